"""A trace as text, in at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from glassnet.explain.formulas import BACKWARD, FORWARD
from glassnet.explain.labelled import (
    Labelled,
    contributions,
    plain,
    shape_text,
    short_name,
    summary,
)

if TYPE_CHECKING:
    from glassnet.explain.trace import Trace

WIDTH = 100
CELL = 10
"""Columns of text for one number."""
ROWS, COLUMNS, VECTOR = 16, 7, 40
"""A larger matrix or vector is given by its statistics."""
LABEL = 10
"""Columns for the name of a row."""
TOP = 5
"""Largest contributions that are shown of a large layer."""


def write(trace: Trace) -> str:
    """Forward, loss, backward, check."""
    parts = [_head(trace), _row(trace), "FORWARD", *map(_forward, trace.steps), _loss(trace)]
    if trace.loss is not None:
        parts += ["BACKWARD, from the loss to the input", *map(_backward, reversed(trace.steps))]
    parts.append(check(trace))
    return "\n\n".join(part for part in parts if part)


def about(trace: Trace) -> str:
    """Which example this is."""
    part = "the input" if trace.part == "input" else f"the {trace.part} part"
    return f"example {trace.example} of {trace.of:,} of {part}: {trace.name}"


def check(trace: Trace) -> str:
    """What the comparison with finite differences found."""
    found = trace.check
    if found is None:
        return ""
    what = f"{found.compared:,} of {found.of:,} gradients measured by finite differences"
    kinks = f"; {found.kinks:,} more lie on a kink or jump of the loss" if found.kinks else ""
    if not found.compared:
        return f"CHECK   none of {found.of:,} gradients could be measured{kinks}"
    worst = f"largest relative deviation {found.largest_deviation:.1e}, at {found.at}"
    if found.agrees:
        return _wrapped("CHECK", f"they agree: {what}{kinks}; {worst}")
    return _wrapped(
        "CHECK",
        f"THEY DO NOT AGREE: {what}{kinks}; {worst}: measured {found.measured:.6g}, backpropagated "
        f"{found.backpropagated:.6g}. A gradient of this network is wrong there or after it, or "
        "the network is not deterministic.",
    )


def _wrapped(name: str, text: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=f"{name:<8}", subsequent_indent=" " * 8, break_on_hyphens=False
    )


def _head(trace: Trace) -> str:
    lines = [f"{trace.run}: {trace.network}, {about(trace)}", f"answer  {plain(trace.answer)}"]
    if trace.target is not None:
        lines.append(f"target  {plain(trace.target)}")
    if trace.probabilities:
        best = sorted(trace.probabilities.items(), key=lambda item: -item[1])[:TOP]
        lines.append("        " + "  ".join(f"{name} {share:.2%}" for name, share in best))
    notes = [textwrap.fill(f"note: {note}", WIDTH) for note in trace.notes]
    return "\n".join([*lines, *notes])


def _row(trace: Trace) -> str:
    """The cells of the row, as far as they can be read back from the numbers."""
    if not trace.cells:
        return ""
    widest = min(30, max(len(cell.column) for cell in trace.cells))
    lines = [f"     {c.column[:30]:<{widest}}  {c.cell[:30]:<30}  {c.encoded}" for c in trace.cells]
    title = f"ROW  {'column':<{widest}}  {'cell':<30}  what the network reads"
    return "\n".join(line[:WIDTH].rstrip() for line in [title, *lines])


def _loss(trace: Trace) -> str:
    return "" if trace.loss is None else f"LOSS    {trace.loss:.6g}"


def _forward(labelled: Labelled) -> str:
    step = labelled.step
    lines = [_title(labelled, FORWARD.get(step.kind, ""))]
    for name, parameter in step.parameters.items():
        lines += _tensor(short_name(name, step), parameter.detach(), labelled, heading=True)
    lines += _tensor(labelled.symbol, labelled.value, labelled)
    lines += _contributions(labelled)
    return "\n".join(lines)


def _backward(labelled: Labelled) -> str:
    step = labelled.step
    if labelled.gradient is None and not step.parameters:
        return ""
    lines = [_title(labelled, BACKWARD.get(step.kind, ""))]
    if labelled.gradient is not None:
        lines += _tensor(f"dL/d{labelled.symbol}", labelled.gradient, labelled)
    for name, parameter in step.parameters.items():
        if parameter.grad is not None:
            lines += _tensor(f"dL/d{short_name(name, step)}", parameter.grad, labelled)
    return "\n".join(lines)


def _title(labelled: Labelled, formula: str) -> str:
    step = labelled.step
    reads = f" of {', '.join(map(str, step.sources))}" if len(step.sources) > 1 else ""
    kind = "" if step.kind == step.name else f"{step.kind}  "
    text = f"{step.number:>3}  {step.name}  {kind}{formula}{reads}  ({shape_text(labelled.value)})"
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * 5, break_on_hyphens=False)


def _tensor(name: str, tensor: Tensor, labelled: Labelled, heading: bool = False) -> Iterator[str]:
    if tensor.ndim == 2 and tensor.shape[0] <= ROWS and tensor.shape[1] <= COLUMNS:
        if heading:
            yield _heading(labelled, tensor.shape[1])
        yield from _matrix(name, tensor, labelled)
    elif tensor.ndim <= 1 and tensor.numel() <= VECTOR:
        fits = len(labelled.labels) == tensor.numel()
        numbered = [str(i) for i in range(1, tensor.numel() + 1)]
        yield from _vector(name, tensor, labelled.labels if fits else numbered)
    else:
        yield f"     {name:<8} {shape_text(tensor)}: {summary(tensor)}"


def _heading(labelled: Labelled, width: int) -> str:
    """The names of the inputs over the columns of W, cut to their width."""
    before = labelled.before
    fits = before is not None and len(before.labels) == width
    names = before.labels if before is not None and fits else [str(i + 1) for i in range(width)]
    cells = "".join(f"{name[: CELL - 1]:>{CELL}}" for name in names)
    return f"     {'':<8} {'':<{LABEL}}  {cells}"


def _matrix(name: str, tensor: Tensor, labelled: Labelled) -> Iterator[str]:
    """One row of the layer's units for each row of numbers."""
    fits = len(labelled.labels) == len(tensor)
    labels = labelled.labels if fits else [str(i + 1) for i in range(len(tensor))]
    for number, (label, row) in enumerate(zip(labels, tensor.tolist(), strict=True)):
        cells = "".join(f"{number_text(value):>{CELL}}" for value in row)
        yield f"     {'' if number else name:<8} {label[:LABEL]:<{LABEL}} |{cells}"


def _vector(name: str, tensor: Tensor, labels: Sequence[str]) -> Iterator[str]:
    """Pairs of a name and its number, in columns."""
    values = tensor.reshape(-1).tolist()
    widest = min(40, max(map(len, labels), default=1))
    pairs = [
        f"{label[:widest]:<{widest}} {number_text(value):>{CELL}}"
        for label, value in zip(labels, values, strict=True)
    ]
    across = max(1, (WIDTH - 14) // (widest + CELL + 4))
    for first in range(0, len(pairs), across):
        line = "   ".join(pairs[first : first + across])
        yield f"     {name if not first else '':<8} {line}"


def number_text(value: float) -> str:
    """Four digits after the point, or a power of ten where these would say nothing."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.2e}"


def _contributions(labelled: Labelled) -> list[str]:
    """Of a dense layer with few outputs: which inputs make z what it is."""
    parts = contributions(labelled)
    if parts is None:
        return []
    if len(parts.bias) > COLUMNS:
        moved = parts.terms.abs().mean(0)
        names = [str(parts.names[i]) for i in moved.argsort(descending=True)[:TOP].tolist()]
        text = f"moved most by {', '.join(names)}"
        return [textwrap.fill(text, WIDTH, initial_indent=" " * 14, subsequent_indent=" " * 18)]
    lines = []
    for row, label in enumerate(labelled.labels):
        terms = parts.terms[row]
        there = int((terms != 0).sum())
        order = terms.abs().argsort(descending=True)[: min(TOP, there)].tolist()
        shown = [f"{_term(float(terms[i]))} ({parts.names[i]})" for i in order]
        rest = float(terms.sum() - terms[order].sum())
        shown += [f"{_term(rest)} ({there - len(order)} others)"] * (there > len(order))
        value = float(labelled.value.reshape(-1)[row])
        text = f"{label} = {parts.bias[row]:.4f} (b) {' '.join(shown)} = {value:.4f}"
        lines.append(
            textwrap.fill(text, WIDTH, initial_indent=" " * 14, subsequent_indent=" " * 18)
        )
    return lines


def _term(value: float) -> str:
    return f"{'-' if value < 0 else '+'} {abs(value):.4f}"
