"""Does it help to start from weights that learned elsewhere, with few examples per class?

    python benchmarks/transfer.py runs/animals vehicles.npz
    python benchmarks/transfer.py WEIGHTS DATA --per-class 1,5 --epochs 60,30 --seeds 3

WEIGHTS are what `glassnet finetune` takes, DATA any images with classes. For each number of
examples and each seed, the same rows are given to three ways of training: the weights fine-tuned;
their frozen features with a new head (linear probe); the same network from random weights. Each
has its own defaults of `glassnet train`, but for the epochs (``--epochs``, one for each number of
examples), of which all have the same number; further knobs hold for all of them.
All are measured on the same large set that none of them saw: the sealed test, or with
``--on unused`` the training rows that nobody drew, which is for choosing defaults.

The test is a paired t-test over seeds, two-sided, with Holm's correction over the rows of the
table. A seed draws the training rows, the first weights and the order of the examples, so that its
result speaks of another draw of so few examples, which McNemar's test on the examples of one run
does not. With five seeds a sign test could not fall below 0.06; the t-test pays with the
assumption that differences spread normally.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from scipy import stats

from glassnet import catalog, figures, loop, weights
from glassnet.cli import parse_flags
from glassnet.cli.text import table
from glassnet.figures import Document, Lines, Section, Series, Table
from glassnet.recipe import to_yaml
from glassnet.run import Run
from glassnet.trained import Trained

WAYS = ("fine-tuned", "frozen features", "from scratch")


@dataclass
class Study:
    """The same few rows, trained on in several ways."""

    origin: str
    data: str
    knobs: dict[str, Any]
    on: str
    held_rows: int
    """That are measured on, at most."""

    def __post_init__(self) -> None:
        self.sources: dict[str, Any] = {}
        self.held: dict[str, Any] = {}
        _, recipe = catalog.resolve(self.data, {})
        num_rows = len(catalog.task(recipe.task).source(recipe))
        self.looked_at = min(0.2, 100 / num_rows)
        self.folder = tempfile.TemporaryDirectory(prefix="glassnet-transfer-")

    def accuracy(self, way: str, per_class: int, epochs: int, seed: int) -> float:
        """Train once, and measure on what no training saw."""
        task, recipe = catalog.resolve(self.data, self._knobs_of(way, per_class, epochs, seed))
        about = repr((recipe.size, recipe.resize, recipe.preprocessing))
        if about not in self.sources:
            self.sources[about] = task.source(recipe)
        source = self.sources[about]
        name = f"{way}-{per_class}-{seed}".replace(" ", "-")
        run = Run.create(
            self.folder.name, name, to_yaml(recipe), {"task": recipe.task}, durable=False
        )
        for _ in loop.train(task, recipe, run, source):
            pass
        if run.info["status"] != "finished":  # SIGINT and SIGTERM end one training, not the study
            raise KeyboardInterrupt
        trained = Trained(run, task)
        place = f"{about} {'' if self.on == 'test' else (per_class, seed)}"
        if place not in self.held:
            rows = self._held_rows(run, len(source))
            self.held = {**(self.held if self.on == "test" else {}), place: None}
            self.held[place] = source.examples(rows, trained.facts)
        outcome = task.score(trained.network, self.held[place], trained.facts)
        return float((outcome.outputs.argmax(1) == outcome.targets).float().mean())

    def _knobs_of(self, way: str, per_class: int, epochs: int, seed: int) -> dict[str, Any]:
        """The knobs of one way; from scratch, network and size are those of the weights."""
        few = {"split.per_class": per_class, "split.seed": seed}
        few |= {"fit.epochs": epochs, "fit.seed": seed}
        # No row may choose the weights, for that row would be an example too: few are looked at.
        fixed = {"fit.keep": "last", "split.validation": self.looked_at, "doctor": "skip", **few}
        if way == "from scratch":
            known = weights.about(self.origin)
            same = {name: known[name] for name in ("network", "size", "resize") if name in known}
            own = {k: v for k, v in self.knobs.items() if "transfer" not in k}
            return {**fixed, **same, **own}
        frozen = {"freeze": "all"} if way == "frozen features" else {}
        return {**fixed, "weights": self.origin, **self.knobs, **frozen}

    def _held_rows(self, run: Run, num_rows: int) -> torch.Tensor:
        splits = run.splits()
        rows = splits.test
        if self.on == "unused":
            taken = torch.cat([splits.train, splits.validation, splits.test])
            rows = torch.arange(num_rows)[~torch.isin(torch.arange(num_rows), taken)]
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randperm(len(rows), generator=generator)[: self.held_rows]
        return rows[drawn].sort().values


def holm(values: list[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979); the order is kept."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    corrected, least = [0.0] * len(values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(values) - rank) * values[i]))
        corrected[i] = least
    return corrected


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of the mean, by Student's t."""
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


Found = Mapping[str, Mapping[int, list[float]]]


def rows_of(found: Found, ways: list[str]) -> list[list[str]]:
    """One row for each number of examples and each way that is compared with the last one."""
    pairs = [(k, way) for k in found[ways[0]] for way in ways[:-1]]
    gains = {
        (k, way): [a - b for a, b in zip(found[way][k], found[ways[-1]][k], strict=True)]
        for k, way in pairs
    }
    several = len(next(iter(gains.values()))) > 1
    raw = [float(stats.ttest_1samp(gains[pair], 0.0).pvalue) if several else 1.0 for pair in pairs]
    rows = []
    for (k, way), p, corrected in zip(pairs, raw, holm(raw), strict=True):
        low, high = interval(gains[k, way])
        rows.append(
            [str(k), way, *(_points(found[w][k]) for w in (way, ways[-1]))]
            + [f"{100 * mean(gains[k, way]):+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"]
            + [f"{p:.2g}", f"{corrected:.2g}"]
        )
    return rows


COLUMNS = [
    "per class", "way", "accuracy, %", "from scratch, %", "gain, points", "95 % interval",
    "p, paired t", "p, Holm",
]  # fmt: skip


def _points(values: list[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


def document(found: Found, ways: list[str], title: str, seconds: float) -> Document:
    """The page: curves with their intervals, and the table."""
    series = []
    for way in ways:
        numbers = list(found[way])
        each = [found[way][k] for k in numbers]
        low, high = zip(*map(interval, each), strict=True)
        series.append(
            Series(way, numbers, [mean(values) for values in each], low=list(low), high=list(high))
        )
    lines = Lines(
        "Accuracy by examples per class", series, x_label="examples per class",
        y_label="accuracy", x_log=True,
        note=f"Mean of {len(each[0])} seeds with its 95 % interval over seeds.",
    )  # fmt: skip
    comparison = Table("Against training from scratch on the same rows", COLUMNS,
                       rows_of(found, ways))  # fmt: skip
    about_test = " ".join(__doc__.rpartition("\n\n")[2].split())
    note = f"Took {seconds / 60:.1f} minutes. {about_test}"
    return Document("Does transfer help?", title, [Section("", note, [lines, comparison])])


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("data")
    parser.add_argument("--per-class", default="1,5,10,50")
    parser.add_argument("--epochs", default="60,60,30,15")
    parser.add_argument("--held", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--on", choices=("test", "unused"), default="test")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("-o", "--output", default="transfer.html")
    options, flags = parser.parse_known_args()
    study = Study(options.weights, options.data, parse_flags(flags), options.on, options.held)
    ways, began = options.ways.split(","), time.monotonic()
    found: dict[str, dict[int, list[float]]] = {way: {} for way in ways}
    numbers = [[int(n) for n in given.split(",")] for given in (options.per_class, options.epochs)]
    for k, epochs in zip(*numbers, strict=True):
        for way in ways:
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            since = time.process_time()
            found[way][k] = [study.accuracy(way, k, epochs, seed) for seed in seeds]
            taken = (time.process_time() - since) / len(seeds)
            each = " ".join(f"{value:.4f}" for value in found[way][k])
            sys.stderr.write(f"{k:3} {way:16} {_points(found[way][k])} ({each}), {taken:.1f} s\n")
    seconds = time.monotonic() - began
    if len(ways) > 1:
        sys.stdout.write(table(COLUMNS, rows_of(found, ways)) + "\n")
    title = f"{options.weights} to {options.data}, measured on: {options.on}"
    page = figures.page(document(found, ways, title, seconds)) if len(ways) > 1 else ""
    Path(options.output).write_text(page, encoding="utf-8")
    Path(options.output).with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
