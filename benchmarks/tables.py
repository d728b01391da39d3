"""Compare glassnet's default on tables with scikit-learn's and pytabkit's defaults.

    python benchmarks/tables.py --realmlp .venv-tables/bin/python [--sets titanic …] [--seeds 5]
                                [--threads 2] [--out tables.jsonl]
    python benchmarks/tables.py --report tables.jsonl

Every set is divided anew by each seed (a set with an official test keeps it); every peer learns
from the same training and validation rows and answers the same sealed test rows. glassnet runs as
`glassnet.train(NAME)` does, reading, data doctor and report included in its seconds; the others
get the columns as glassnet has cleaned them (types found, words of texts, missing values filled),
which is more than their defaults do by themselves, and only their `fit` is timed. Seconds are
processor time of all threads: neighbours on the machine change it little.

Two peers are compared row by row: the difference of their losses on a test row, averaged over the
seeds that tested it; its mean over the rows has a 95 % interval by bootstrap over rows, and is
significant if zero lies outside. wine and mammography were never looked at while the default was
chosen (docs/log.md).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glassnet import api, catalog, evaluate, splits
from glassnet.networks._columns import Flat

HERE = Path(__file__).parent
SETS = (
    "iris", "wine", "breast-cancer", "diabetes", "titanic", "toyota-corolla", "mammography",
    "california-housing", "adult",
)  # fmt: skip
UNSEEN = ("wine", "mammography")
OURS, REALMLP = "glassnet", "RealMLP-TD"
SKLEARN = ("sklearn MLP", "random forest", "HistGradientBoosting")
RESAMPLES = 2000
Rows = dict[str, Any]


def main() -> None:
    """Measure, or report what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--realmlp", help="the Python of an environment with pytabkit")
    parser.add_argument("--out", default="tables.jsonl")
    parser.add_argument("--report", help="print the tables of this file, measure nothing")
    options = parser.parse_args()
    if options.report:
        lines = Path(options.report).read_text(encoding="utf-8").splitlines()
        print(report([json.loads(line) for line in lines]))
        return
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    with Path(options.out).open("a") as file:
        for name in options.sets:
            for seed in range(options.seeds):
                for row in measure(name, seed, options):
                    file.write(json.dumps(row) + "\n")
                    file.flush()
                    losses = {k: f"{np.mean(v):.4f}" for k, v in row["losses"].items()}
                    print(name, seed, row["peer"], losses, f"{row['seconds']:.1f} s", flush=True)


# --- Measuring ------------------------------------------------------------------------------------


def measure(name: str, seed: int, options: argparse.Namespace) -> Iterator[Rows]:
    """Train every peer on one division of one set."""
    knobs = {"fit.seed": seed, "split.seed": seed, "fit.threads": options.threads}
    task, recipe = catalog.resolve(name, knobs)
    source = task.source(recipe)
    parts = splits.draw(source, recipe.split)
    # What the peers get is learned from all rows that are not sealed, as theirs is.
    known = torch.cat([parts.train, parts.validation])
    facts = source.facts(known)
    train, test = source.examples(known, facts), source.examples(parts.test, facts)
    common = {"set": name, "seed": seed, "rows": parts.test.tolist()}
    for peer, answer in peers(facts, train, test, seed, options):
        began = time.process_time()
        answers, seconds = answer()
        seconds = seconds or time.process_time() - began
        yield {**common, "peer": peer, "seconds": seconds, "losses": losses(answers, test, facts)}
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        run = api.train(name, runs=folder, show=False, **knobs)
        seconds = time.process_time() - began
        outcome = evaluate.look(run._trained, "test", source).outcome
    answers = outcome.outputs.double()
    if facts.classes:
        answers = answers.softmax(1)
    else:
        answers = (answers - facts.target.mean) / facts.target.std
    found = losses(answers.numpy(), test, facts)
    yield {**common, "peer": OURS, "seconds": seconds, "losses": found}


def losses(answers: Any, test: Any, facts: Any) -> dict[str, list[float]]:
    """The loss of each test row: wrong or not and log loss, or the squared standardized error."""
    truth = test.targets.numpy()
    if not facts.classes:
        return {"squared error": ((answers - truth) ** 2).tolist()}
    shares = np.clip(answers[np.arange(len(truth)), truth], 1e-15, 1)
    wrong = (answers.argmax(1) != truth).astype(float)
    return {"error": wrong.tolist(), "log loss": (-np.log(shares)).tolist()}


def peers(
    facts: Any, train: Any, test: Any, seed: int, options: argparse.Namespace
) -> Iterator[tuple[str, Callable[[], tuple[Any, float]]]]:
    """Name and training of each peer; a training returns answers and seconds of its fit."""
    for peer, model, spread in models(facts, seed):

        def answer(model: Any = model, spread: Any = spread) -> tuple[Any, float]:
            began = time.process_time()
            model.fit(spread(train.inputs), train.targets.numpy())
            seconds = time.process_time() - began
            ask = model.predict_proba if facts.classes else model.predict
            return ask(spread(test.inputs)), seconds

        yield peer, answer
    if options.realmlp:
        yield REALMLP, lambda: realmlp(facts, train, test, seed, options)


def models(facts: Any, seed: int) -> Iterator[tuple[str, Any, Any]]:
    """scikit-learn's models with their defaults, and what each of them is given."""
    from sklearn import ensemble, neural_network
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    flat = Flat(facts.slots)
    kind = "Classifier" if facts.classes else "Regressor"
    mlp = getattr(neural_network, f"MLP{kind}")(random_state=seed)
    forest = getattr(ensemble, f"RandomForest{kind}")(random_state=seed)
    few = [i for i, slot in enumerate(facts.slots) if 0 < slot.size < 255]
    boosting = getattr(ensemble, f"HistGradientBoosting{kind}")
    yield SKLEARN[0], make_pipeline(StandardScaler(), mlp), lambda x: flat(x).detach().numpy()
    yield SKLEARN[1], forest, lambda x: x.numpy()
    yield SKLEARN[2], boosting(random_state=seed, categorical_features=few), lambda x: x.numpy()


def realmlp(
    facts: Any, train: Any, test: Any, seed: int, options: argparse.Namespace
) -> tuple[Any, float]:
    """RealMLP in a process and an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        source, answers = Path(folder) / "in.npz", Path(folder) / "out.npz"
        categories = [i for i, slot in enumerate(facts.slots) if slot.size]
        np.savez(
            source,
            x=train.inputs.numpy(),
            y=train.targets.numpy(),
            test=test.inputs.numpy(),
            categories=np.array(categories, np.int64),
            classes=len(facts.classes),
            seed=seed,
        )
        words = [options.realmlp, HERE / "realmlp.py", source, answers, str(options.threads)]
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"realmlp.py failed:\n{done.stderr[-3000:]}")
        with np.load(answers) as found:
            return found["answers"], float(found["seconds"])


# --- Reporting ------------------------------------------------------------------------------------


def report(rows: list[Rows]) -> str:
    """The tables of benchmarks/README.md."""
    table: dict[str, dict[str, list[Rows]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        table[row["set"]][row["peer"]].append(row)
    lines = [about(rows), ""]
    for loss in ("error", "log loss", "squared error"):
        lines += [*_loss_table(loss, table), ""]
    return "\n".join([*lines, *_ranks(table)])


def about(rows: list[Rows]) -> str:
    """Machine and versions."""
    names = ("torch", "scikit-learn", "numpy")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    seeds = len({row["seed"] for row in rows})
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    return f"{machine}; {versions}; {seeds} seeds"


def _loss_table(loss: str, table: Any) -> Iterator[str]:
    """Mean loss of each peer with how glassnet compares: - better, + worse, significantly."""
    sets = [s for s in table if loss in table[s][OURS][0]["losses"]]
    peers = [OURS, *SKLEARN, REALMLP]
    yield f"| {loss} | {' | '.join(peers)} |"
    yield "|---" * (len(peers) + 1) + "|"
    for name in sets:
        cells = []
        for peer in peers:
            found = table[name].get(peer)
            if not found:
                cells.append("")
                continue
            mean = np.mean([np.mean(row["losses"][loss]) for row in found])
            if peer == OURS:
                cells.append(f"**{mean:.4f}**")
                continue
            low, middle, high = difference(table[name][OURS], found, loss)
            mark = " ▲" if low > 0 else " ▽" if high < 0 else ""
            cells.append(f"{mean:.4f} ({middle:+.4f}, {low:+.4f} to {high:+.4f}){mark}")
        unseen = "*" if name in UNSEEN else ""
        yield f"| {name}{unseen} | {' | '.join(cells)} |"


def difference(ours: list[Rows], theirs: list[Rows], loss: str) -> tuple[float, float, float]:
    """Their loss less ours: 95 % interval and mean; above zero: glassnet is better."""
    sums: dict[int, list[float]] = defaultdict(list)
    by_seed = {row["seed"]: row for row in theirs}  # a slow peer may have fewer seeds
    for a in ours:
        if b := by_seed.get(a["seed"]):
            for row, x, y in zip(a["rows"], a["losses"][loss], b["losses"][loss], strict=True):
                sums[row].append(y - x)
    each = np.array([np.mean(values) for values in sums.values()])
    draws = np.random.default_rng(0).integers(len(each), size=(RESAMPLES, len(each)))
    low, high = np.quantile(each[draws].mean(1), [0.025, 0.975])
    return float(low), float(each.mean()), float(high)


def _ranks(table: Any) -> Iterator[str]:
    """Mean rank over the sets, by log loss or squared error and by error, and the seconds."""
    peers = [OURS, *SKLEARN, REALMLP]
    yield "| mean over sets | " + " | ".join(peers) + " |"
    yield "|---" * (len(peers) + 1) + "|"
    for title, choose in (
        ("rank by log loss or squared error", ("log loss", "squared error")),
        ("rank by error or squared error", ("error", "squared error")),
    ):
        ranks = []
        for name in table:
            there = [peer for peer in peers if table[name].get(peer)]
            kind = next(k for k in choose if k in table[name][OURS][0]["losses"])
            means = [np.mean([np.mean(r["losses"][kind]) for r in table[name][p]]) for p in there]
            order = np.argsort(np.argsort(means)) + 1
            ranks.append({p: r for p, r in zip(there, order, strict=True)})
        cells = [f"{np.mean([r[p] for r in ranks if p in r] or [np.nan]):.2f}" for p in peers]
        yield f"| {title} | {' | '.join(cells)} |"
    for name in table:
        cells = [
            f"{np.mean([r['seconds'] for r in table[name][p]]):.1f}" if table[name].get(p) else ""
            for p in peers
        ]
        yield f"| seconds, {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
