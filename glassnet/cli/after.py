"""Commands for what was trained: measure it, decide by costs, diagnose, answer, list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glassnet.cli.text import writable
from glassnet.cli.verb import MOVED, RUN, TRUST, Options, Verb, say
from glassnet.errors import UserError


def evaluate(options: Options) -> int:
    """Measure a run."""
    from glassnet import api
    from glassnet.cli.text import evaluation

    run = api.load(options.run, options.trust_code)
    found = run.evaluate(test=options.test, data=options.data)
    return say(options, found.to_json(), evaluation(found, run.openings))


def decide(options: Options) -> int:
    """Choose answers by other costs, or search otherwise."""
    from glassnet import api
    from glassnet.cli.text import evaluation
    from glassnet.recipe import parse_value

    run = api.load(options.run, options.trust_code)
    if (options.costs is None) == (options.search is None):
        raise UserError("Give --costs (classes) or --search (texts), one of the two.")
    search = None if options.search is None else _mapping("--search", options.search)
    costs = None if options.costs in (None, "none") else parse_value(options.costs)
    found = run.decide(costs, data=options.data, search=search)
    return say(options, found.to_json(), evaluation(found, run.openings))


def _mapping(flag: str, text: str) -> dict[str, Any]:
    from glassnet.recipe import parse_value

    found = {} if text == "none" else parse_value(f"{{{text.strip().strip('{}')}}}")
    if not isinstance(found, dict):
        raise UserError(f"{flag} {text!r}: expected names and values, such as 'beam: 64'.")
    return found


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


VERBS = (
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
        "Choose a run's answers by what mistakes cost, or search otherwise, without training.",
        decide,
        (
            RUN,
            (
                ("--costs",),
                {
                    "help": "'bad: {good: 50}, good: {bad: 1}': true class, answer, cost; "
                    "none: by the most probable class",
                },
            ),
            (
                ("--search",),
                {
                    "help": "how a text is searched for: 'beam: 64, alpha: 0.8' (speech), "
                    "'beam: 10' (translation); none: as trained",
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
            (
                ("input",),
                {"metavar": "INPUT", "help": "a file, folder, archive or table; or a text"},
            ),
            (("-o", "--output"), {"help": "write all answers to this .csv or .json file"}),
            TRUST,
        ),
    ),
    Verb(
        "runs",
        "List runs.",
        runs,
        ((("folder",), {"nargs": "?", "default": "runs", "help": "default: runs"}),),
    ),
)
