"""A diagnosis as a page."""

from __future__ import annotations

from typing import Any

from glassnet.diagnosis import Diagnosis
from glassnet.diagnosis.curve import Curve
from glassnet.diagnosis.verdict import (
    BEHIND,
    CONFLICTING,
    FLAT,
    GAP,
    MUCH_ERROR,
    TELLS_APART,
    Level,
    Measured,
    bias_gap,
    curve_state,
    is_perfect,
    mismatch_gap,
    slope,
    variance_gap,
)
from glassnet.figures import (
    Bar,
    Bars,
    Cell,
    Code,
    Document,
    Fact,
    Facts,
    Lines,
    Section,
    Series,
    Table,
    short,
)


def document(found: Diagnosis, recipe: Any) -> Document:
    """The page."""
    m = found.measured
    sections = [
        _verdict(found),
        _levels(m),
        *([_curve(m, m.curve)] if m.curve is not None and m.curve.points else []),
        _next(found),
        _rules(m),
    ]
    subtitle = f"{recipe.network.name} on {recipe.data}"
    return Document(f"Diagnosis of {found.run.name}", subtitle, sections)


# --- Sections -------------------------------------------------------------------------------------


def _verdict(found: Diagnosis) -> Section:
    facts = [Fact(f.certainty, f.name) for f in found.findings]
    words = [f"{_first_up(f.name)}. {f.evidence}" for f in found.findings]
    return Section(
        "What it is", "\n\n".join([*words, *found.measured.notes]), [Facts(facts, headline=True)]
    )


def _levels(m: Measured) -> Section:
    name = m.metric.name.replace("_", " ")
    better = "higher is better" if m.metric.better == "higher" else "lower is better"
    bars = [
        Bar(level.name, level.estimate.value, low=level.estimate.low, high=level.estimate.high)
        for level in all_levels(m)
    ]
    if m.reachable is not None:
        bars.append(Bar("reachable, as you say", m.reachable))
    second = [
        [level.name, *interval(level), level.examples] for level in m.second_levels
    ]  # the first metric may be coarse
    words = (
        f"The network on {m.training.examples:,} of its training rows and on all "
        f"{m.validation.examples:,} validation rows, beside models of another kind that were "
        "trained on the same training rows and measured on the same validation rows. Whiskers are "
        "95 % intervals."
    )
    if m.weak_references:
        words += (
            " For pictures the other models see a few averaged pixels, so they are weak: what is "
            "reachable is better told by --reachable."
        )
    columns = ["", m.second.name, "95 % interval", "rows"]
    blocks: list[Any] = [
        Bars(name[:1].upper() + name[1:], bars, x_label=f"{name}, {better}"),
        Table(m.second.name.replace("_", " "), columns, second),
        Table("Differences of errors", _GAP_COLUMNS, _gaps(m)),
    ]
    return Section("Where it stands", words, blocks)


_GAP_COLUMNS = ["what", "difference", "95 % interval", "counts from"]


def _gaps(m: Measured) -> list[list[Cell]]:
    rows = {
        "unseen rows - training": (variance_gap(m), GAP),
        "training - reachable": (bias_gap(m), GAP),
        **{f"validation - {name}": (gap, BEHIND) for name, gap in m.behind.items()},
    }
    if (gap := mismatch_gap(m)) is not None:
        rows["validation - left-out training rows"] = (gap, GAP)
    if m.reachable is None and m.best_reference is None:
        del rows["training - reachable"]
    return [
        [what, round(gap.value, 9) + 0.0, f"{short(gap.low)} to {short(gap.high)}", least * m.unit]
        for what, (gap, least) in rows.items()
    ]


def _curve(m: Measured, curve: Curve) -> Section:
    """Training and validation over the number of rows; bands are the spread of the trainings."""
    sizes = curve.sizes()
    own = {"training": m.training.estimate.value, "validation": m.validation.estimate.value}
    series = []
    for part, last in own.items():
        values = {rows: [getattr(p, part).value for p in points] for rows, points in sizes.items()}
        values[curve.full_rows] = [last, *values.get(curve.full_rows, [])]
        x = sorted(values)
        y = [sum(values[rows]) / len(values[rows]) for rows in x]
        low, high = [min(values[rows]) for rows in x], [max(values[rows]) for rows in x]
        series.append(Series(part, x, y, low=low, high=high))
    x = sorted(rows for rows in {*sizes, curve.full_rows})
    for level in m.references[1:]:
        flat = [level.estimate.value] * len(x)
        series.append(Series(f"{level.name}, all rows", x, flat, dashed=True))
    if m.reachable is not None:
        series.append(Series("reachable", x, [m.reachable] * len(x), dashed=True))
    words = (
        f"The same recipe, trained anew on fewer of the {curve.full_rows:,} training rows "
        f"({len(curve.points)} trainings; the last point holds the run itself). Bands reach from "
        "the lowest to the highest training. All are validated on the same rows."
    )
    worth = worth_of_twice(m)
    skipped = f"Left out: {'; '.join(curve.skipped)}." if curve.skipped else ""
    figure = Lines(
        "Learning curve",
        series,
        x_label="training rows",
        y_label=m.metric.name,
        x_log=len(x) > 2,
    )
    text = "\n\n".join(part for part in (words, worth, skipped) if part)
    return Section("What more rows are worth", text, [figure])


def worth_of_twice(m: Measured) -> str | None:
    """What twice the rows would give, if the curve tells."""
    found, error = slope(m), m.error(m.validation.estimate.value)
    if is_perfect(m):
        return (
            f"More rows cannot raise {m.metric.name}: it is {short(m.validation.estimate.value)}."
        )
    if found is None:
        return None
    if curve_state(m) == "flat":
        return "The learning curve is flat: no gain from more rows of this kind can be seen."
    if curve_state(m) == "unknown":
        return "Whether more rows would help cannot be told from this curve."
    ends = sorted(m.error(error * 2**end) for end in (found.low, min(found.high, 0.0)))
    about = m.error(error * 2**found.value)
    return (
        f"If the curve goes on as it did, twice the rows would give {m.metric.name} of about "
        f"{short(about)} ({short(ends[0])} to {short(ends[1])}, from the spread of the trainings; "
        "the uncertainty of the validation rows is not in it)."
    )


def _next(found: Diagnosis) -> Section:
    rows: list[list[Cell]] = [
        [float(number), item.what, item.why] for number, item in enumerate(found.advice, 1)
    ]
    commands = "\n".join(
        f"# {number}. {item.what}\n{item.command}"
        for number, item in enumerate(found.advice, 1)
        if item.command
    )
    blocks: list[Any] = [Table("In this order", ["", "try", "why"], rows)]
    if commands:
        blocks.append(Code(commands, "sh"))
    words = "Change one thing at a time, and diagnose again."
    return Section("What to try next", words, blocks)


def _rules(m: Measured) -> Section:
    words = f"""\
Figures become errors first (1 - accuracy; an error in the target's unit as it is). A difference \
counts from {GAP:.0%} of the error of always giving the same answer ({short(m.unit)} here), if its \
95 % interval lies above 0. If the interval holds both 0 and that threshold, it cannot be told.

High bias: the error on training rows is that much above what is reachable, which is your figure \
(--reachable) or the better one of the linear model and the boosted trees. High variance: the \
error on validation rows is that much above the one on training rows. Data mismatch: training and \
validation rows can be told apart by their inputs (area under the curve surely above \
{TELLS_APART:g}), or left-out training rows are answered better than validation rows. Noise: equal \
rows contradict each other (over {CONFLICTING:.0%} of them, and much of the error), or an error \
above {MUCH_ERROR:.0%} of the trivial one at which network, linear model and trees all stop, while \
twice the rows take away less than {FLAT:.0%} of it.

Validation chose the network's best epoch and so flatters it a little beside the other models. The \
sealed test was not touched, and the weights of the run are as they were."""
    rows: list[list[Cell]] = []
    if m.drift is not None:
        auc = m.drift.auc
        rows.append(["training told from validation rows (AUC)", auc.value, auc.low, auc.high])
    if (found := slope(m)) is not None:
        rows.append(
            ["exponent of the learning curve (error ~ rows^x)", found.value, found.low, found.high]
        )
    if m.conflicts is not None:
        share = m.conflicts.wrong / max(1, m.conflicts.of)
        rows.append(["share of training rows that equal rows contradict", share, None, None])
    more = [Table("Other measurements", ["", "value", "low", "high"], rows)] if rows else []
    return Section("The rules", words, more)


# --- Helpers --------------------------------------------------------------------------------------


def all_levels(m: Measured) -> list[Level]:
    """The other models, and the network on both parts."""
    return [*m.references, m.training, m.validation]


def interval(level: Level) -> list[Any]:
    """Value and interval as people read them."""
    e = level.estimate
    return [short(e.value), f"{short(e.low)} to {short(e.high)}"]


def _first_up(words: str) -> str:
    return words[:1].upper() + words[1:]
