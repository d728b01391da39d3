"""What each command does. An answer is a JSON object; its text is made from the same object."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassnet.cli.text import writable
from glassnet.errors import UserError

Options = argparse.Namespace
Argument = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Verb:
    """One command."""

    name: str
    help: str
    act: Callable[[Options], int]
    arguments: tuple[Argument, ...] = ()
    takes_knobs: bool = False
    more_help: Callable[[], str] | None = None


def say(options: Options, answer: dict[str, Any], text: str) -> int:
    """Print the answer as JSON or as text."""
    out = json.dumps(answer, ensure_ascii=False) if options.json else text
    sys.stdout.write(out.rstrip("\n") + "\n")
    return 0


# --- Training -------------------------------------------------------------------------------------


def train(options: Options) -> int:
    """Train, or with ``--dry-run`` only say what it would cost."""
    return _train(options, None)


def finetune(options: Options) -> int:
    """Train as ``train`` does, from weights that have learned elsewhere."""
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
    from glassnet.cli.text import estimates, remarks

    status = run.status
    metrics = {name: vars(estimate) for name, estimate in run.metrics.items()}
    answer = {"run": str(run.path), "status": status, "metrics": metrics}
    answer["findings"] = run.findings
    if status != "finished":
        say(options, answer, f"Stopped; `glassnet resume {run.path}` continues exactly here.")
        return 130
    report = run.path / "report.html"
    text = f"{estimates(run.metrics)}{remarks(run.notes)}\n\nrun     {run.path}\nreport  {report}"
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


# --- After training -------------------------------------------------------------------------------


def evaluate(options: Options) -> int:
    """Measure a run."""
    from glassnet import api
    from glassnet.cli.text import evaluation

    run = api.load(options.run, options.trust_code)
    found = run.evaluate(test=options.test, data=options.data)
    return say(options, found.to_json(), evaluation(found, run.openings))


def decide(options: Options) -> int:
    """Choose answers by other costs."""
    from glassnet import api
    from glassnet.cli.text import evaluation
    from glassnet.recipe import parse_value

    run = api.load(options.run, options.trust_code)
    costs = None if options.costs == "none" else parse_value(options.costs)
    found = run.decide(costs, data=options.data)
    return say(options, found.to_json(), evaluation(found, run.openings))


def diagnose(options: Options) -> int:
    """Say what keeps a run from being better."""
    from glassnet import api, figures
    from glassnet.cli.findings import diagnosis
    from glassnet.diagnosis import page

    run = api.load(options.run, options.trust_code)
    path = writable(options.output) if options.output else run.path / "diagnosis.html"
    found = run.diagnose(
        options.reachable, minutes=options.minutes, seeds=options.seeds, data=options.data
    )
    if options.output:
        document = page.document(found, run.recipe)
        path.write_text(figures.page(document), encoding="utf-8")
    return say(
        options, {**found.to_json(), "page": str(path)}, f"{diagnosis(found)}\n\npage  {path}"
    )


def predict(options: Options) -> int:
    """Answer new inputs."""
    from glassnet import api
    from glassnet.cli.text import check_output, predictions, write_predictions

    check_output(options.output)
    found = api.load(options.run, options.trust_code).predict(options.input)
    if options.output:
        write_predictions(Path(options.output), found)
    return say(options, {"predictions": [vars(p) for p in found]}, predictions(found, options))


def trace(options: Options) -> int:
    """Show one example forward through a network, its loss, and every gradient backward."""
    from glassnet import api, figures

    path = None if options.output is None else writable(options.output)
    with api.watcher(True):
        found = api.load(options.run, options.trust_code).trace(
            options.example, part=options.part, input=options.input, data=options.data
        )
    if path is not None:
        path.write_text(figures.page(found.document), encoding="utf-8")
    answer = {**found.to_json(), "page": None if path is None else str(path)}
    say(options, answer, found.text if path is None else f"{found.text}\n\npage  {path}")
    return 0 if found.agrees else 1


def explain(options: Options) -> int:
    """Show what a network looks at, in given images or in all that it has learned."""
    from glassnet import api, figures

    run = api.load(options.run, options.trust_code)
    path = writable(options.output) if options.output else run.path / "explain.html"
    with api.watcher(True):
        found = run.explain(
            options.images or None,
            methods=None if options.method is None else options.method.split(","),
            about=options.about,
            layer=options.layer,
            data=options.data,
        )
    path.write_text(figures.page(found.document), encoding="utf-8")
    return say(options, {**found.to_json(), "page": str(path)}, f"{found.text}\n\npage  {path}")


def inspect(options: Options) -> int:
    """Look at data before training, and repair a copy."""
    from glassnet import api, catalog, figures, inspection
    from glassnet.cli.text import look, repairs

    page = writable(options.output) if options.output else None
    with api.watcher(True):
        found = inspection.inspect(options.data, options.target)
        done = inspection.fix(found, options.target, options.fix) if options.fix else None
        if page:
            document = inspection.document(found)
            page.write_text(figures.page(document), encoding="utf-8")
    fitting = catalog.tasks_for(found)
    answer = {
        "kind": found.kind,
        "path": str(found.path),
        "summary": [list(item) for item in found.summary],
        "problems": [vars(problem) for problem in found.problems],
        "tasks": fitting,
    }
    text = look(found, fitting, options)
    if done:
        answer["fix"] = {"out": str(done.out), "log": str(done.log), "done": done.summary}
        text += f"\n\n{repairs(done)}"
    if page:
        answer["page"] = str(page)
        text += f"\n\npage  {page}"
    return say(options, answer, text)


def runs(options: Options) -> int:
    """List the runs."""
    from glassnet.cli.text import table
    from glassnet.run import Run

    rows = []
    for path in sorted(Path(options.folder).glob("*/run.json")):
        try:
            info = Run(path.parent).info
        except UserError:
            info = {"status": "damaged"}
        if info.get("status") == "training" and not Run(path.parent).is_locked():
            info["status"] = "stopped"  # by a crash, kill -9 or power loss: `resume` continues
        first = next(iter((info.get("scores") or {}).items()), ("", None))
        about = [info.get(key, "") for key in ("status", "task")]
        rows.append([str(path.parent), *about, *first, info.get("created", "")])
    columns = ["run", "status", "task", "metric", "value", "created"]
    answer = {"runs": [dict(zip(columns, row, strict=True)) for row in rows]}
    return say(options, answer, table(columns, rows) if rows else f"No runs in {options.folder}/.")


# --- The catalogue --------------------------------------------------------------------------------


def tasks(options: Options) -> int:
    """List the tasks, or show the knobs of one."""
    return _entries(options, "tasks", _task_knobs)


def networks(options: Options) -> int:
    """List the networks, or show one, layer by layer, for inputs of any shape."""
    if options.name is None:
        if options.input or options.classes or options.knobs:
            raise UserError("Name a network, as in `glassnet networks resnet50 --input 3x64x64`.")
        return _entries(options, "networks", lambda name: "")
    from glassnet import blueprint, listing, network
    from glassnet.cli.text import knob_help, layer_table
    from glassnet.recipe import NetworkKnobs

    if options.classes is not None and options.classes < 1:
        raise UserError(f"--classes {options.classes}: expected 1 or more.")
    shape = blueprint.parse_shape(options.input) if options.input else None
    knobs = NetworkKnobs(name=options.name, **_network_knobs(options.knobs))
    drawn = blueprint.draw(knobs, shape, options.classes)
    name = str(drawn.network["name"])
    path = Path(name) if name.endswith(".py") else listing.file("networks", name)
    of_name = knob_help(network.schema(network.find(name)), "network.")
    page = f"{listing.docstring(path)}\n\n{of_name}\n\n{layer_table(drawn)}".strip()
    answer = {"name": options.name, "file": str(path), "text": page, **drawn.to_json()}
    return say(options, answer, page)


def _network_knobs(flags: dict[str, Any]) -> dict[str, Any]:
    """Turn ``--network.depth 50`` into ``{"depth": 50}``."""
    from glassnet.recipe import parse_value

    for flag in flags:
        if not flag.startswith("network."):
            raise UserError(
                f"Unknown flag --{flag}. `glassnet networks --help` lists all; a knob of the "
                f"network is set by --network.{flag}."
            )
    return {flag.removeprefix("network."): parse_value(text) for flag, text in flags.items()}


def datasets(options: Options) -> int:
    """List the named data sets, or show one."""
    return _entries(options, "datasets", lambda name: "", ".yaml")


def recipes(options: Options) -> int:
    """List the verified recipes, show one, or check what they promise."""
    if options.name == "check":
        from glassnet import goals
        from glassnet.cli.text import checks

        results = goals.check(options.names)
        say(options, {"checks": [vars(r) for r in results]}, checks(results))
        return 0 if all(r.reached for r in results) else 1
    if options.names:
        raise UserError(f"{options.names[0]!r} is not understood; one name at a time.")
    return _entries(options, "recipes", lambda name: "", ".yaml")


def activations(options: Options) -> int:
    """Draw each activation with its derivative."""
    from glassnet import figures, showcase
    from glassnet.cli.text import activations as told

    path = writable(options.output)
    shown = showcase.activations()
    path.write_text(figures.page(showcase.document(shown)), encoding="utf-8")
    answer = {"activations": [vars(one) for one in shown], "plot": str(path)}
    return say(options, answer, f"{told(shown)}\n\nplot  {path}")


def convolve(options: Options) -> int:
    """Step a filter or a pooling window over numbers, an image, or an example of a run."""
    from glassnet import api, figures
    from glassnet.cli.text import sides

    path = None if options.output is None else writable(options.output)
    for_run = ("layer", "filter", "example", "part", "data")
    own = ("kernel", "stride", "padding", "dilation", "pool", "window")
    wrong = [
        name for name in (own if options.run else for_run) if getattr(options, name) is not None
    ]
    if wrong:
        whose = "is what the run's own layer says" if options.run else "needs a --run"
        raise UserError(f"--{wrong[0]} {getattr(options, wrong[0])} {whose}; leave it out.")
    if options.run:
        found = api.load(options.run, options.trust_code).convolve(
            options.layer, 1 if options.filter is None else options.filter,
            example=1 if options.example is None else options.example,
            part=options.part or "validation", input=options.input, data=options.data,
        )  # fmt: skip
    else:
        found = api.convolve(
            options.input, options.kernel,
            stride=sides(options, "stride"), padding=sides(options, "padding", 0),
            dilation=sides(options, "dilation", 1),
            pool=options.pool, window=sides(options, "window"),
        )  # fmt: skip
    if path is not None:
        path.write_text(figures.page(found.document), encoding="utf-8")
    answer = {**found.to_json(), "page": None if path is None else str(path)}
    say(options, answer, found.text if path is None else f"{found.text}\n\npage    {path}")
    return 0 if found.walk.check.agrees else 1


def check(options: Options) -> int:
    """Check this installation and its catalogue."""
    from glassnet import checkup
    from glassnet.cli.text import table

    rows = [checkup.clear_cache()] if options.clear_cache else checkup.run()
    answer = {"checks": [vars(row) for row in rows]}
    say(options, answer, table(["", "check", "found"], [[r.mark, r.name, r.found] for r in rows]))
    return 0 if all(row.good for row in rows) else 1


def _entries(options: Options, folder: str, more: Callable[[str], str], suffix: str = ".py") -> int:
    from glassnet import listing
    from glassnet.cli.text import table

    name = getattr(options, "name", None)
    if name is None:
        rows = [
            [entry, listing.about(folder, entry, suffix)] for entry in listing.names(folder, suffix)
        ]
        return say(options, {folder: dict(rows)}, table(["name", ""], rows))
    path = Path(name) if name.endswith(".py") else listing.file(folder, name, suffix)
    text = listing.docstring(path) if suffix == ".py" else path.read_text(encoding="utf-8")
    page = f"{text.rstrip()}\n\n{more(name)}".rstrip()
    return say(options, {"name": name, "file": str(path), "text": page}, page)


def _task_knobs(name: str) -> str:
    from glassnet import catalog
    from glassnet.cli.text import knob_help

    return knob_help(catalog.task(name).recipe)


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


RUN: Argument = (("run",), {"metavar": "RUN", "help": "a run folder, such as runs/digits-convnet"})
DATA: Argument = (
    ("data",),
    {
        "metavar": "DATA",
        "help": "a path, a name from `glassnet datasets`, a recipe file, a sheet as "
        "book.xlsx#Sheet2, or a database as sqlite:///shop.db#TABLE-OR-SELECT",
    },
)
MOVED: Argument = (("--data",), {"help": "where the data set is now, if it has moved"})

TRUST: Argument = (
    ("--trust-code",),
    {"action": "store_true", "help": "run the task or network program that a copied run holds"},
)

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
        "evaluate",
        "Measure a run, with 95 % intervals.",
        evaluate,
        (
            RUN,
            (
                ("--test",),
                {"action": "store_true", "help": "open the sealed test split (it is counted)"},
            ),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "decide",
        "Choose a run's answers by what mistakes cost, without training again.",
        decide,
        (
            RUN,
            (
                ("--costs",),
                {
                    "required": True,
                    "help": "'bad: {good: 50}, good: {bad: 1}': true class, answer, cost; "
                    "none: by the most probable class",
                },
            ),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "diagnose",
        "Say what keeps a run from being better (bias, variance, mismatch, noise), and what to do.",
        diagnose,
        (
            RUN,
            (
                ("--reachable",),
                {
                    "type": float,
                    "metavar": "VALUE",
                    "help": "what could be reached at best, in the task's first metric, such as "
                    "0.95 (default: the better of a linear model and boosted trees)",
                },
            ),
            (
                ("--minutes",),
                {
                    "type": float,
                    "default": 5.0,
                    "help": "about how long the trainings of the learning curve may take "
                    "(default: 5; 0: no curve)",
                },
            ),
            (
                ("--seeds",),
                {"type": int, "default": 3, "help": "trainings for each size (default: 3)"},
            ),
            (("-o", "--output"), {"help": "the page (default: diagnosis.html in the run)"}),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "predict",
        "Answer new inputs with a run.",
        predict,
        (
            RUN,
            (("input",), {"metavar": "INPUT", "help": "a file, folder, archive or table"}),
            (("-o", "--output"), {"help": "write all answers to this .csv or .json file"}),
            TRUST,
        ),
    ),
    Verb(
        "trace",
        "Show one example number by number: forward, its loss, and every gradient backward.",
        trace,
        (
            RUN,
            (
                ("--example",),
                {"type": int, "default": 1, "metavar": "N", "help": "its number, from 1"},
            ),
            (
                ("--part",),
                {"default": "validation", "help": "validation (default) or train; never test"},
            ),
            (("--input",), {"help": "trace an example of this file or folder, forward only"}),
            (("-o", "--output"), {"help": "draw it as a page, such as trace.html"}),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "explain",
        "Show what a network looks at: in your images, or its filters and what excites them.",
        explain,
        (
            RUN,
            (
                ("images",),
                {
                    "nargs": "*",
                    "metavar": "IMAGE",
                    "help": "images, folders or archives; none: filters, what excites them, and "
                    "the worst and best validation examples",
                },
            ),
            (
                ("--method",),
                {
                    "metavar": "NAME,…",
                    "help": "of gradcam, occlusion, integrated_gradients, saliency, smoothgrad "
                    "(default: the first four for images, gradcam for validation examples)",
                },
            ),
            (
                ("--class",),
                {
                    "dest": "about",
                    "metavar": "NAME",
                    "help": "the class to explain (default: the answer)",
                },
            ),
            (
                ("--layer",),
                {
                    "metavar": "NAME",
                    "help": "the layer to look into, as `stages.1.0` (default: an early one, some "
                    "in the middle, the last)",
                },
            ),
            (("-o", "--output"), {"help": "the page (default: explain.html in the run)"}),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "inspect",
        "Say what is in data, what is wrong with it, and which task fits; repair a copy.",
        inspect,
        (
            DATA,
            (("--target",), {"help": "the column to predict, for tables"}),
            (("--fix",), {"metavar": "OUT", "help": "write a repaired copy to this new path"}),
            (("-o", "--output"), {"help": "write a page with all findings to this .html file"}),
        ),
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
    Verb(
        "runs",
        "List runs.",
        runs,
        ((("folder",), {"nargs": "?", "default": "runs", "help": "default: runs"}),),
    ),
    *(
        Verb(name, help, act, ((("name",), {"nargs": "?", "metavar": "NAME", "help": "show one"}),))
        for name, help, act in (
            ("tasks", "List tasks, or show one with its knobs.", tasks),
            ("datasets", "List named data sets, or show one.", datasets),
        )
    ),
    Verb(
        "networks",
        "List networks, or show one with its knobs and all its layers.",
        networks,
        (
            (("name",), {"nargs": "?", "metavar": "NAME", "help": "show one, such as resnet50"}),
            (
                ("--input",),
                {
                    "metavar": "SHAPE",
                    "help": "channels x height x width of an image, as 3x224x224, or the number "
                    "of columns of a table (default: the paper's)",
                },
            ),
            (
                ("--classes",),
                {"type": int, "metavar": "N", "help": "outputs (default: the paper's)"},
            ),
        ),
        takes_knobs=True,
        more_help=lambda: "--network.KNOB sets any knob of the network: --network.depth 50",
    ),
    Verb(
        "activations",
        "Draw each activation with its derivative, and say when to take which.",
        activations,
        (
            (
                ("-o", "--output"),
                {"default": "activations.html", "help": "the page (default: activations.html)"},
            ),
        ),
    ),
    Verb(
        "convolve",
        "Show convolution or pooling one window at a time, on numbers, an image, or in a run.",
        convolve,
        (
            (
                ("--input",),
                {
                    "help": "numbers as '1,0;0,1' (rows of an image) or 1,2,3 (a signal), a .csv "
                    "of them, or an image (default: the worked 5x5 example); with --run a raw input"
                },
            ),
            (
                ("--kernel",),
                {
                    "help": "numbers as '1,0;0,1' (write --kernel=-1,0,1 if a minus comes first), "
                    "or cross (default), sobel-x, sobel-y, edge, sharpen, blur, identity"
                },
            ),
            (
                ("--stride",),
                {"help": "cells from one window to the next, as 2 or 2,1 (default: 1 or --window)"},
            ),
            (("--padding",), {"help": "cells around the input, as 1 or 1,0 (default: 0)"}),
            (("--dilation",), {"help": "cells from number to number of the kernel (default: 1)"}),
            (("--pool",), {"help": "max, average or l2, instead of a kernel"}),
            (("--window",), {"help": "side of the pooling window, as 3 or 3,2 (default: 2)"}),
            (("--run",), {"help": "a run folder: step one of its own filters over an example"}),
            (
                ("--layer",),
                {"help": "a convolution or pooling layer of the run (default: first convolution)"},
            ),
            (("--filter",), {"type": int, "metavar": "N", "help": "its number, from 1"}),
            (("--example",), {"type": int, "metavar": "N", "help": "its number, from 1"}),
            (("--part",), {"help": "validation (default) or train; never test"}),
            (("-o", "--output"), {"help": "draw it as a page, such as steps.html"}),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "recipes",
        "List verified recipes, show one, or `recipes check [NAME …]` what they promise.",
        recipes,
        (
            (("name",), {"nargs": "?", "metavar": "NAME", "help": "show one, or `check`"}),
            (("names",), {"nargs": "*", "metavar": "NAME", "help": "after `check`: which"}),
        ),
    ),
    Verb(
        "check",
        "Check this installation: devices, packages, cache, catalogue.",
        check,
        (
            (
                ("--clear-cache",),
                {"action": "store_true", "help": "remove decoded images that no run uses now"},
            ),
        ),
    ),
)
