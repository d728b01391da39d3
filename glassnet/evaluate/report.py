"""``report.html``: one self-contained page about a run, from figures as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glassnet import cost, figures
from glassnet.evaluate import Evaluation, layers, reading
from glassnet.evaluate.intervals import Estimate
from glassnet.explain import asked, readpage, seen, seenpage, sequences, sequencespage
from glassnet.figures import (
    Cell,
    Code,
    Document,
    Fact,
    Facts,
    Lines,
    Mark,
    Section,
    Series,
    Table,
    short,
)
from glassnet.recipe import knobs
from glassnet.task import Review
from glassnet.trained import Trained


def write(trained: Trained, evaluation: Evaluation, review: Review[Any]) -> Path:
    """Write the report of a run, with figures from its validation examples."""
    page = figures.page(document(trained, evaluation, review))
    return trained.run.write_text("report.html", page)


def document(trained: Trained, evaluation: Evaluation, review: Review[Any]) -> Document:
    """Put the report together."""
    info = trained.run.info
    subtitle = f"{info['task']} on {trained.recipe.data}, {info['created'][:16].replace('T', ' ')}"
    sections = [
        _headline(trained, evaluation, review),
        _findings(trained),
        _test(trained),
        _curves(trained),
        _transfer(trained),
        layers.section(trained.run.folds() or [trained.run]),
        _views(trained, review),
        *_seen(trained, review),
        _data(trained),
        _network(trained, review),
        _asked(trained),
        _environment(trained),
    ]
    return Document(trained.run.path.name, subtitle, [s for s in sections if s is not None])


def _headline(trained: Trained, evaluation: Evaluation, review: Review[Any]) -> Section:
    text = (
        f"Measured on the {evaluation.examples:,} validation examples, which chose the best "
        "weights and so flatter a little. Of 95 % intervals made like these, 95 in 100 hold the "
        "true figure of these weights; what another seed would give is not in them."
    )
    if trained.recipe.split.refits:
        text += (
            " Measured are the weights that never saw the validation rows; the run answers with "
            "weights that were trained once more, on these rows too, and are most likely better."
        )
    if trained.recipe.split.mode == "redrawn":
        text += (
            " Validation rows were redrawn at each epoch, so training saw all of them: these "
            "figures flatter a lot; trust the sealed test."
        )
    text = "\n\n".join([*evaluation.notes, text])
    views = trained.task.views
    drawn = [views[name](review) for name in reading(trained).first]
    beside = _beside(evaluation)
    blocks = [_estimates(evaluation.metrics), *beside, *(figure for figure in drawn if figure)]
    return Section("How good it is", text, blocks)


def _findings(trained: Trained) -> Section | None:
    found = [*_serious(trained), *trained.run.info.get("findings", [])]
    text = "\n\n".join(sentence[:1].upper() + sentence[1:] + "." for sentence in found)
    return Section("What to know about it", text) if found else None


def _serious(trained: Trained) -> list[str]:
    """What the data doctor found that puts the figures themselves into doubt."""
    if not trained.run.exists("doctor.json"):
        return []
    found = trained.run.read_json("doctor.json")["problems"]
    grave = [p for p in found if p["level"] == "serious"]
    return [f"{p['kind']}: {p['where']}: {p['what']}; {p['remedy']}" for p in grave]


def _estimates(metrics: dict[str, Estimate]) -> Facts:
    return Facts(
        [
            Fact(name.replace("_", " "), short(e.value), f"{short(e.low)} to {short(e.high)}")
            for name, e in metrics.items()
        ],
        headline=True,
    )


def _beside(evaluation: Evaluation) -> list[Table]:
    """The figures of plain methods, with the network's above them."""
    if not evaluation.baselines:
        return []
    names = list(evaluation.metrics)
    found = {"this network": evaluation.metrics, **evaluation.baselines}
    rows: list[list[Cell]] = [
        [who, *(f"{short(e.value)} ({short(e.low)} to {short(e.high)})"
                if (e := figures.get(name)) else None for name in names)]
        for who, figures in found.items()
    ]  # fmt: skip
    note = (
        "Plain methods learned from the same rows and answered the same examples. Values with "
        "their 95 % intervals."
    )
    columns = ["", *(name.replace("_", " ") for name in names)]
    return [Table("Beside plain methods", columns, rows, note=note)]


def _test(trained: Trained) -> Section:
    openings = trained.run.rows("test-openings.jsonl")
    if openings and not trained.run.exists("test.json"):
        times = ", ".join(row["opened"] for row in openings)
        return Section("The sealed test", f"Opened ({times}), but never measured to the end.")
    if not openings:
        return Section(
            "The sealed test",
            "Never opened. The command glassnet evaluate RUN --test opens it, and counts.",
        )
    last = Evaluation.from_json(trained.run.read_json("test.json"))
    times = ", ".join(row["opened"] for row in openings)
    count = "once" if len(openings) == 1 else f"{len(openings)} times"
    text = f"Opened {count} ({times}); {last.examples:,} examples that no training code received."
    if len(openings) > 1:
        text += " Each look that leads to a change of the training makes the next figure flatter."
    text = "\n\n".join([*last.notes, text])
    return Section("The sealed test", text, [_estimates(last.metrics), *_beside(last)])


def _asked(trained: Trained) -> Section:
    recipe = trained.recipe.model_dump(mode="json")
    rows: list[list[str]] = []
    for knob in knobs(type(trained.recipe)):
        if knob.choices:
            continue  # shown with the choice itself
        value: Any = recipe
        for part in knob.name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        plain = value.get("name") if isinstance(value, dict) and "name" in value else value
        changed = not knob.required and _text(plain) != _text(knob.default)
        rows.append([knob.name, _text(value), _text(knob.default) if changed else ""])
    options = {k: v for k, v in recipe["network"].items() if k != "name"}
    rows += [[f"network.{name}", _text(value), ""] for name, value in options.items()]
    return Section(
        "What was asked",
        "Every knob of this run. The last column is empty where the default was used.",
        [Table("Knobs", ["knob", "value", "default"], rows)],
    )


def _data(trained: Trained) -> Section:
    info, run = trained.run.info, trained.run
    parts = vars((run.folds() or [run])[0].splits())
    facts = trained.facts.model_dump()
    items = [
        Fact(name, len(rows), "sealed" if name == "test" else "") for name, rows in parts.items()
    ]
    if "classes" in facts:
        items.append(Fact("classes", len(facts["classes"])))
    items.append(Fact("fingerprint", str(info["fingerprint"])[:16]))
    problems = info.get("problems", [])
    blocks: list[Any] = [Facts(items)]
    if problems:
        rows = [[p["where"], p["what"], p["remedy"]] for p in problems]
        blocks.append(Table("What was wrong with the data", ["where", "what", "remedy"], rows))
    text, more = _doctor(trained)
    return Section("The data", text, [*blocks, *more])


def _doctor(trained: Trained) -> tuple[str, list[Any]]:
    """What the examination before training found."""
    run = trained.run
    if not run.exists("doctor.json"):
        return "The data were not examined before training (doctor: skip).", []
    found = run.read_json("doctor.json")
    examined = f"Examined before training ({found['effort']}, {found['seconds']:.1f} s): "
    if not found["problems"]:
        return examined + "nothing was found to be wrong.", []
    rows = [
        [p["level"], p["kind"], p["where"], p["what"], p["remedy"], "; ".join(p["items"][:3])]
        for p in found["problems"]
    ]
    columns = ["", "kind", "where", "what", "remedy", "such as"]
    table = Table("What the data doctor found", columns, rows)
    return examined + "doctor.json in the run folder lists every row and file.", [table]


def _curves(trained: Trained) -> Section:
    runs = trained.run.folds() or [trained.run]
    blocks: list[Any] = []
    metrics = [m for m in trained.task.metrics if not m.costly]
    losses, rates = [], []
    for run in runs:
        suffix = f", {run.path.name}" if len(runs) > 1 else ""
        steps = [row for row in run.rows() if "train" in row]
        x = [row["step"] for row in steps]
        losses.append(Series(f"training loss{suffix}", x, [r["train"]["loss"] for r in steps]))
        again = [row for row in run.rows() if "refit" in row]
        if again:
            y = [row["refit"]["loss"] for row in again]
            losses.append(
                Series("refit on all rows", [row["step"] for row in again], y, dashed=True)
            )
        rates.append(Series(f"lr{suffix}", x, [r["train"].get("lr") for r in steps]))
    blocks.append(Lines("Training loss", losses, x_label="step", y_label="loss"))
    blocks += [_validation_curve(runs, metric.name, metric.better) for metric in metrics]
    blocks.append(Lines("Learning rate", rates, x_label="step", y_label="lr"))
    return Section("How it learned", "", blocks)


def _transfer(trained: Trained) -> Section | None:
    """When each block learned, if not all did from the start."""
    found = trained.task.layers(trained.recipe, trained.network)
    if found is None:
        return None
    text = (
        f"The first weights are those of {trained.recipe.weights}. Each block learned at its share "
        "of the learning rate, from its epoch on."
    )
    return Section("What it began with", text, [found])


def _validation_curve(runs: list[Any], name: str, better: str) -> Lines:
    series, marks = [], []
    for run in runs:
        rows = [row for row in run.rows() if "validation" in row]
        x, y = [row["epoch"] + 1 for row in rows], [row["validation"].get(name) for row in rows]
        series.append(Series(f"{name} {run.path.name}" if len(runs) > 1 else name, x, y))
        known = [(v, e) for v, e in zip(y, x, strict=True) if v is not None]
        if known and len(runs) == 1:
            best = max(known) if better == "higher" else min(known, key=lambda p: (p[0], -p[1]))
            marks.append(Mark(best[1], f"best {short(best[0])}"))
    title = f"Validation {name.replace('_', ' ')}"
    return Lines(title, series, x_label="epoch", y_label=name, marks=marks)


def _views(trained: Trained, review: Review[Any]) -> Section:
    first = reading(trained).first  # shown with the figures of quality
    drawn = [view(review) for name, view in trained.task.views.items() if name not in first]
    return Section("Where it is right and wrong", "", [figure for figure in drawn if figure])


def _seen(trained: Trained, review: Review[Any]) -> list[Section]:
    """What a network looks at in its input; a k-fold run has several, see `explain`."""
    if trained.run.folds():
        return []
    if sequences.of_sequences(trained):
        parts = sequences.reviewed(trained, review)
        return [] if parts is None else sequencespage.report(*parts)
    if asked.of_words(review.facts):
        words = asked.reviewed(review, trained.recipe.network.name)
        return [] if words is None else readpage.sections(words)
    found = seen.reviewed(review, trained.recipe.network.name)
    return [] if found is None else seenpage.sections(found)


def _network(trained: Trained, review: Review[Any]) -> Section:
    index = review.examples.rows.new_zeros(1)
    batch: Any = review.examples.batch(index)
    found = cost.layers(trained.network, batch.inputs)
    rows: list[list[Cell]] = [
        [la.name, la.kind, " × ".join(map(str, la.output_shape)), la.parameters, la.flops]
        for la in found
    ]
    total = sum(p.numel() for p in trained.network.parameters())
    return Section(
        f"The network: {trained.recipe.network.name}",
        f"{total:,} parameters, {sum(la.flops for la in found):,} FLOPs for one example.",
        [Table("Layers", ["layer", "kind", "output", "parameters", "FLOPs"], rows)],
    )


def _environment(trained: Trained) -> Section:
    run = (trained.run.folds() or [trained.run])[0]
    environment = run.read_json("environment.json")
    items = [Fact(name, value) for name, value in environment.items() if value is not None]
    commands = (
        f"# these knobs again, from the start\nglassnet train {trained.run.path}/recipe.yaml\n"
        f"# figures again\nglassnet evaluate {trained.run.path}\n"
        f"# answers for new inputs\nglassnet predict {trained.run.path} NEW -o answers.csv"
    )
    return Section("How to reproduce it", "", [Facts(items), Code(commands, "sh")])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        options = ", ".join(f"{k} {_text(v)}" for k, v in value.items() if k != "name")
        name = str(value.get("name", ""))
        return f"{name} ({options})" if name and options else name or options
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "unset" if value is None else str(value)
