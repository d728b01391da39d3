"""Answers as text for a terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from glassnet.errors import UserError
from glassnet.figures import short

_KNOWN = ("probabilities", "error")
"""Details of predictions that have a place of their own in tables."""
SHOWN = 20
"""Predictions that are printed when all go to a file, or the list is long."""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns of equal width, numbers to the right."""
    cells = [[_cell(value) for value in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    numeric = [
        bool(rows) and all(isinstance(row[i], int | float | None) for row in rows)
        for i in range(len(columns))
    ]
    lines = [
        "  ".join(
            c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def estimates(metrics: dict[str, Any], part: str = "validation") -> str:
    """Figures with their intervals."""
    rows = [[name, e.value, f"{short(e.low)} to {short(e.high)}"] for name, e in metrics.items()]
    return table([part, "value", "95 % interval"], rows)


def evaluation(found: Any, openings: int) -> str:
    """An evaluation, with what it was measured on."""
    times = "once" if openings == 1 else f"{openings} times"
    note = f"\nThe sealed test has now been opened {times}." if found.split == "test" else ""
    number = f"{found.examples:,} {found.split} examples"
    return f"{figures(found)}\non {number}{note}{remarks(found.notes)}"


def figures(found: Any) -> str:
    """All figures of an evaluation, those of plain methods too."""
    return estimates(found.metrics, found.split) + beside(found)


def beside(found: Any) -> str:
    """The figures of plain methods, and the network's."""
    if not found.baselines:
        return ""
    names = list(found.metrics)
    rows = [
        [who, *(short(figures[name].value) if name in figures else "" for name in names)]
        for who, figures in {"this network": found.metrics, **found.baselines}.items()
    ]
    return "\n\n" + table(["beside plain methods", *names], rows) + "\n"


def remarks(notes: Sequence[str]) -> str:
    """Notes below a table, each a paragraph."""
    return "".join(f"\n{fill(text, 96)}" for text in notes)


def cost(estimate: Any) -> str:
    """What a training would cost."""
    minutes, seconds = divmod(round(estimate.seconds), 60)
    rows = [
        ["parameters", f"{estimate.parameters:,}"],
        ["FLOPs per example, forward", f"{estimate.flops_per_example:,}"],
        ["memory", f"{estimate.memory_bytes / 1e6:,.0f} MB"],
        ["one step", f"{estimate.seconds_per_step * 1e3:.2f} ms"],
        ["estimated time", f"{minutes} min {seconds} s, without validation"],
    ]
    return table(["cost", ""], rows)


def look(found: Any, fitting: dict[str, str], options: Any) -> str:
    """What an inspection found."""
    parts = [table(["found", found.kind], [list(item) for item in found.summary])]
    parts += [problem_text(problem) for problem in found.problems]
    if any(problem.fix for problem in found.problems) and not options.fix:
        parts.append("--fix OUT writes a copy that is repaired where it says so above.")
    target = f" --target {options.target}" if options.target else ""
    for name, why in fitting.items():
        task = f" --task {name}" if len(fitting) > 1 else ""
        parts.append(f"fits {name}: {why}\n  glassnet train {options.data}{target}{task}")
    if not fitting:
        from glassnet.catalog import wanted

        parts.append(f"No task fits yet. {wanted(found)}".rstrip())
    return "\n\n".join(parts)


EXAMPLES = 10
"""Rows, files or pairs that are printed of each finding; ``--json`` has them all."""


def problem_text(problem: Any) -> str:
    """One finding: what, where, the remedy, and examples."""
    title = f"{problem.level.upper()}  {problem.kind}" if problem.kind else problem.level.upper()
    lines = [title, *_indented(f"{problem.where}: {problem.what}", 2)]
    lines += _indented(f"-> {problem.remedy}", 2)
    if problem.fix:
        lines += _indented(f"-> with --fix: {problem.fix}", 2)
    lines += [f"     {_clipped(item)}" for item in problem.items[:EXAMPLES]]
    if len(problem.items) > EXAMPLES:
        lines.append(f"     … {len(problem.items):,} in all")
    return "\n".join(lines)


def repairs(done: Any) -> str:
    """What was written, and how often each thing was done."""
    counts: dict[str, int] = {}
    for _, what, how in done.changes:
        key = f"{what.split(' of ')[0]}: {how}"
        counts[key] = counts.get(key, 0) + 1
    rows = [[f"{n:,}", what] for what, n in counts.items()]
    body = table(["times", "repaired"], rows) if rows else "Nothing had to be repaired."
    return f"{body}\n\ncopy  {done.out}\nlog   {done.log}"


def _indented(text: str, spaces: int) -> list[str]:
    indent = " " * spaces
    return fill(text, 98, initial_indent=indent, subsequent_indent=indent).splitlines()


def _clipped(text: str) -> str:
    return text if len(text) <= 140 else text[:139] + "…"


def predictions(found: Sequence[Any], options: Any) -> str:
    """The first answers."""
    rows = [[p.input, "" if p.answer is None else p.answer, _details(p)] for p in found[:SHOWN]]
    columns, num = ["input", "answer", ""], len(found)
    if _answers_are_rows(found):
        columns, *rows = _rows_of_rows(found)
        rows, num = rows[:SHOWN], len(rows)
    lines = [table(columns, rows)]
    if num > SHOWN:
        lines.append(f"… {num:,} in all")
    if failed := sum(p.answer is None for p in found):
        lines.append(f"{failed:,} could not be answered: see their `error` in -o answers.csv")
    if options.output:
        lines.append(f"written to {options.output}")
    elif num > SHOWN:
        lines.append("-o answers.csv writes them all")
    return "\n".join(lines)


def check_output(output: str | None) -> None:
    """Refuse a place that cannot be written before the work is done."""
    if output is None:
        return
    path = Path(output)
    if path.suffix not in (".csv", ".json"):
        raise UserError(f"--output {path}: expected a name ending in .csv or .json.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--output {path}: there is no folder {path.absolute().parent}.")


def writable(output: str) -> Path:
    """A path for a page; an unwritable one is better found before the work than after it."""
    path = Path(output)
    try:
        path.touch()
    except OSError as error:
        raise UserError(f"{path} could not be written: {error.strerror}.") from None
    return path


def sides(options: Any, name: str, default: int | None = None) -> Any:
    """A number for both axes, as 2, or one for each, as 2,1; the default if none is given."""
    given = getattr(options, name)
    if given is None:
        return default
    try:
        found = [int(part) for part in given.split(",")]
    except ValueError:
        raise UserError(
            f"--{name} {given}: expected a whole number, or two as rows,columns."
        ) from None
    return found[0] if len(found) == 1 else found


def write_predictions(path: Path, found: Sequence[Any]) -> None:
    """Write all answers as .csv or .json."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            if path.suffix == ".json":
                json.dump([vars(p) for p in found], file, ensure_ascii=False, indent=1)
            else:
                csv.writer(file).writerows(_csv_rows(found))
    except OSError as error:
        raise UserError(f"{path} could not be written: {error.strerror}.") from None


def knob_help(model: Any, prefix: str = "") -> str:
    """All knobs of a recipe: name, type, default and what to set it for."""
    from glassnet.recipe import knobs

    lines = []
    for knob in knobs(model, prefix):
        default = "unset" if knob.default is None else knob.default
        default = "required" if knob.required else f"default: {default}"
        only = f"{', '.join(knob.choices)}; " if knob.choices else ""
        lines.append(f"  --{knob.name}  {knob.type}  ({only}{default})")
        if knob.help:
            indent = "      "
            lines.append(fill(knob.help, 96, initial_indent=indent, subsequent_indent=indent))
    return "\n".join(lines)


def layer_table(found: Any) -> str:
    """A network on paper: its layers, and what they come to."""
    rows = [
        [layer.name, layer.kind, "×".join(map(str, layer.output_shape)),
         f"{layer.parameters:,}" if layer.parameters else "",
         f"{layer.flops:,}" if layer.flops else ""]
        for layer in found.layers
    ]  # fmt: skip
    rows.append(["in all", "", "", f"{found.parameters:,}", f"{found.flops:,}"])
    columns = ["layer", "kind", "output", "parameters", "FLOPs"]
    widths = [max(len(row[place]) for row in [columns, *rows]) for place in (3, 4)]
    for row in [columns, *rows]:  # numbers with their thousands apart are text, but stand right
        row[3:] = [text.rjust(width) for text, width in zip(row[3:], widths, strict=True)]
    shape = "×".join(map(str, found.input_shape))
    heading = (
        f"for inputs {shape} and {found.num_outputs:,} outputs: {found.parameters:,} parameters "
        f"({found.parameters * 4 / 1e6:,.1f} MB), {_large(found.flops)} FLOPs forward, which are "
        f"{_large(found.flops / 2)} multiplications and as many additions"
    )
    return f"{fill(heading, 96)}\n\n{table(columns, rows)}"


def _large(number: float) -> str:
    """A number of operations in words.

    >>> _large(2_270_000_000), _large(123_400), _large(7)
    ('2.27 billion', '123 thousand', '7')
    """
    for name, size in (("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:.3g}"


def activations(shown: Iterable[Any]) -> str:
    """What each activation computes, how steep it gets, and when to take it."""
    parts = []
    for one in shown:
        steepest = f"steepest {short(max(one.derivative))}"
        use = fill(f"{one.use} ({one.source})", 96, initial_indent="  ", subsequent_indent="  ")
        parts.append(f"{one.name}: a = {one.formula}; {steepest}\n{use}")
    return "\n".join(parts)


def checks(results: Iterable[Any]) -> str:
    """What recipes promised, and what came out."""
    rows = [
        ["ok" if r.reached else "MISSED", r.recipe, r.metric, r.goal, r.value, r.minutes, r.allowed]
        for r in results
    ]
    columns = ["", "recipe", "metric", "goal", "found", "minutes", "allowed"]
    return table(columns, rows)


def _details(prediction: Any) -> str:
    shares = prediction.details.get("probabilities", {})
    best = sorted(shares.items(), key=lambda item: -item[1])[:5]
    parts = [
        f"{k} {_cell(v)}"
        for k, v in prediction.details.items()
        if k not in _KNOWN and not isinstance(v, list)  # such as the times of words: see --json
    ]
    parts += [f"{name} {share:.1%}" for name, share in best]
    return "  ".join([*parts, str(prediction.details.get("error", ""))]).rstrip()


def _answers_are_rows(found: Sequence[Any]) -> bool:
    """Whether each answer is a list of rows itself, such as the steps of a forecast."""
    return bool(found) and all(isinstance(p.answer, list) and p.answer for p in found)


def _rows_of_rows(found: Sequence[Any]) -> list[list[Any]]:
    """The columns, then a row for each row of each answer; the input where it has a name."""
    names = list(dict.fromkeys(name for p in found for row in p.answer for name in row))
    named = any(p.input for p in found)
    rows = [[*([p.input] * named), *(row.get(name, "") for name in names)]
            for p in found for row in p.answer]  # fmt: skip
    return [["input"] * named + names, *rows]


def _csv_rows(found: Sequence[Any]) -> Iterable[list[Any]]:
    if _answers_are_rows(found):
        yield from _rows_of_rows(found)
        return
    classes = sorted({c for p in found for c in p.details.get("probabilities", {})})
    errors = any("error" in p.details for p in found)
    others = list(dict.fromkeys(k for p in found for k in p.details if k not in _KNOWN))
    yield ["input", "answer", *others, *(f"probability {c}" for c in classes), *["error"] * errors]
    for p in found:
        shares = p.details.get("probabilities", {})
        more = (p.details.get(name, "") for name in others)
        row = [p.input, p.answer, *more, *(shares.get(c, "") for c in classes)]
        yield [*row, p.details.get("error", "")] if errors else row


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return short(value)
    return "" if value is None else str(value)
