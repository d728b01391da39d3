"""Commands that train: from data, from weights, onward, and those that find good knobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glassnet.cli.text import writable
from glassnet.cli.verb import DATA, MOVED, RUN, TRUST, Argument, Options, Verb, say
from glassnet.errors import UserError


def train(options: Options) -> int:
    """Train, or with ``--dry-run`` only say what it would cost."""
    return _train(options, None)


def finetune(options: Options) -> int:
    """Train as ``train`` does, from weights that have learned elsewhere."""
    if (Path(options.data) / "run.json").is_file():
        raise UserError(
            f"{options.data} is a run, not data: `glassnet finetune` takes what has learned first, "
            f"then the data. Did you mean `glassnet finetune {options.data} {options.weights}`?"
        )
    return _train(options, options.weights)


def _train(options: Options, weights: str | None) -> int:
    from glassnet import api, catalog

    with api.watcher(True) as watch:
        copies = None if options.dry_run else Path(options.runs)
        task, recipe = catalog.resolve(options.data, options.knobs, copies, weights)
        if options.dry_run:
            return _dry_run(options, task, recipe)
        run = api.start(task, recipe, options.name, options.runs, watch)
    return _trained(options, run)


def resume(options: Options) -> int:
    """Continue a run."""
    from glassnet import api

    with api.watcher(True) as watch:
        run = api.go_on_with(options.run, watch, options.trust_code, options.data)
    return _trained(options, run)


def _trained(options: Options, run: Any) -> int:
    from glassnet.cli.text import figures, remarks

    status = run.status
    metrics = {name: vars(estimate) for name, estimate in run.metrics.items()}
    answer = {"run": str(run.path), "status": status, "metrics": metrics}
    answer["findings"] = run.findings
    if status != "finished":
        say(options, answer, f"Stopped; `glassnet resume {run.path}` continues exactly here.")
        return 130
    report = run.path / "report.html"
    body = figures(run.evaluation) + remarks(run.notes)
    text = f"{body}\n\nrun     {run.path}\nreport  {report}"
    return say(options, answer, text)


def _dry_run(options: Options, task: Any, recipe: Any) -> int:
    from glassnet import dryrun
    from glassnet.cli.text import cost, remarks, table
    from glassnet.recipe import to_yaml

    found = dryrun.measure(task, recipe)
    answer = {"recipe": found.recipe.model_dump(mode="json"), "cost": vars(found.cost)}
    answer["notes"] = list(found.notes)
    text = f"{to_yaml(found.recipe)}\n{cost(found.cost)}{remarks(found.notes)}"
    if found.layers is not None:
        columns, rows = found.layers.columns, found.layers.rows
        answer["layers"] = [dict(zip(columns, row, strict=True)) for row in rows]
        text += f"\n\n{table(columns, rows)}"
    return say(options, answer, text)


def lr(options: Options) -> int:
    """Draw the learning-rate range test."""
    from glassnet import catalog, figures, rangetest

    task, recipe = catalog.resolve(options.data, options.knobs)
    path = writable(options.output)
    found = rangetest.run(task, recipe)
    path.write_text(figures.page(rangetest.document(found, recipe)), encoding="utf-8")
    answer = {"suggestion": found.suggestion, "lr": found.lrs, "loss": found.losses}
    text = f"suggested --fit.lr {found.suggestion:.2g}\nplot  {path}"
    return say(options, {**answer, "plot": str(path)}, text)


def compare_optimizers(options: Options) -> int:
    """Race all optimizers and all schedules on one problem."""
    from glassnet import api, catalog, figures, optimizer_page, optimizer_race
    from glassnet.cli.findings import race

    with api.watcher(True):
        task, recipe = catalog.resolve(options.data, options.knobs)
        path = writable(options.output)
        found = optimizer_race.run(
            task,
            recipe,
            steps=options.steps,
            seeds=options.seeds,
            rates=options.rates,
            minutes=options.minutes,
        )
    path.write_text(figures.page(optimizer_page.document(found)), encoding="utf-8")
    answer = {**optimizer_page.to_json(found), "page": str(path)}
    say(options, answer, f"{race(found)}\n\npage  {path}")
    return 130 if found.interrupted else 0


def knobs_of_all() -> str:
    """The knobs that every recipe has; the three that everybody looks for come first."""
    from glassnet.cli.text import knob_help
    from glassnet.recipe import Fit, Split

    return (
        "knobs (full name, or short as --epochs; values as in YAML):\n"
        f"{knob_help(Fit, 'fit.')}\n{knob_help(Split, 'split.')}\n"
        "  --task, --network, --target … and all others of a task: `glassnet tasks NAME`"
    )


def knobs_of_transfer() -> str:
    """The same, after those that only first weights from elsewhere have."""
    from glassnet.cli.text import knob_help
    from glassnet.recipe import Transfer

    return f"how it learns on:\n{knob_help(Transfer, 'transfer.')}\n\n{knobs_of_all()}"


TRAINING: tuple[Argument, ...] = (
    DATA,
    (("--name",), {"help": "name of the run folder (default: from data and network)"}),
    (("--runs",), {"default": "runs", "help": "folder for run folders (default: runs)"}),
    (
        ("--dry-run",),
        {"action": "store_true", "help": "print the resolved recipe and its cost only"},
    ),
)
WEIGHTS: Argument = (
    ("weights",),
    {
        "metavar": "RUN|HUB-ID",
        "help": "what has learned already: a run folder, a .safetensors or .pth file, or a name on "
        "the Hugging Face Hub",
    },
)

VERBS = (
    Verb(
        "train",
        "Train a network on your data.",
        train,
        TRAINING,
        takes_knobs=True,
        more_help=knobs_of_all,
    ),
    Verb(
        "finetune",
        "Train a run, or published weights, further on other data: `train` with --weights.",
        finetune,
        (WEIGHTS, *TRAINING),
        takes_knobs=True,
        more_help=knobs_of_transfer,
    ),
    Verb(
        "resume",
        "Continue an interrupted run, to the same weights bit for bit.",
        resume,
        (RUN, MOVED, TRUST),
    ),
    Verb(
        "lr",
        "Draw the learning-rate range test: loss while the rate grows.",
        lr,
        (DATA, (("-o", "--output"), {"default": "lr.html", "help": "the plot (default: lr.html)"})),
        takes_knobs=True,
        more_help=knobs_of_all,
    ),
    Verb(
        "compare-optimizers",
        "Race all optimizers and all schedules on one problem, each at a learning rate of its own.",
        compare_optimizers,
        (
            DATA,
            (
                ("--minutes",),
                {
                    "type": float,
                    "default": 5.0,
                    "help": "about how long all of it may take (default: 5)",
                },
            ),
            (
                ("--steps",),
                {
                    "type": int,
                    "help": "optimizer steps of each training (default: as many as the time "
                    "allows, at most as many as the recipe takes)",
                },
            ),
            (("--seeds",), {"type": int, "default": 3, "help": "trainings of each (default: 3)"}),
            (
                ("--rates",),
                {
                    "type": int,
                    "default": 5,
                    "help": "learning rates tried for each, at most (default: 5; 1: the task's "
                    "default alone)",
                },
            ),
            (
                ("-o", "--output"),
                {"default": "optimizers.html", "help": "the page (default: optimizers.html)"},
            ),
        ),
        takes_knobs=True,
        more_help=knobs_of_all,
    ),
)
