"""A trace as a page: first forward, then the loss, then the gradients backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassnet.explain.formulas import BACKWARD, FORWARD
from glassnet.explain.labelled import (
    WEIGHTED,
    Contributions,
    Labelled,
    contributions,
    plain,
    shape_text,
    short_name,
    summary,
)
from glassnet.figures import (
    Bar,
    Bars,
    Block,
    Cell,
    Document,
    Fact,
    Facts,
    Grid,
    Images,
    Picture,
    Section,
    Table,
    png,
    short,
)

if TYPE_CHECKING:
    from glassnet.explain.trace import Trace

LABELLED = 32
"""A matrix with at most so many rows and columns is drawn with the names of both."""
DRAWN = 2_048
"""A matrix of more numbers is told by its statistics."""
MAPS = 12
"""Maps or kernels of a convolution that are drawn."""
TOP = 12
"""Largest contributions that are listed."""
CLASSES = 20
"""Classes whose probabilities are drawn."""


def document(trace: Trace) -> Document:
    """Put the page together."""
    part = "of your input" if trace.part == "input" else f"of the {trace.part} part"
    subtitle = f"example {trace.example} of {trace.of:,} {part}; {trace.network}, {trace.run}"
    forward = [_forward(s) for s in trace.steps]
    if trace.cells:
        forward[0] = _slots(trace.steps[0])
    sections = [_head(trace), *_row(trace), _overview(trace), *forward]
    if trace.loss is not None:
        backward = [_backward(labelled) for labelled in reversed(trace.steps)]
        sections += [_loss(trace), *(s for s in backward if s), _check(trace)]
    return Document(f"Trace of {trace.name}", subtitle, sections)


# --- The whole ------------------------------------------------------------------------------------


def _head(trace: Trace) -> Section:
    facts = [Fact("answer", plain(trace.answer))]
    if trace.target is not None:
        facts.append(Fact("target", plain(trace.target)))
    if trace.loss is not None:
        facts.append(Fact("loss", short(trace.loss)))
    blocks: list[Block] = [Facts(facts, headline=True)]
    if trace.probabilities:
        best = sorted(trace.probabilities.items(), key=lambda item: -item[1])[:CLASSES]
        bars = [Bar(name, share) for name, share in best]
        blocks.append(Bars("Probabilities", bars, x_label="probability"))
    text = (
        "Numbers flow forward, from the input to the loss. Then gradients flow backward: dL/dw "
        "says how fast the loss grows with the number w, so training moves each weight against "
        "its gradient. Dropout is off, and batch normalization uses the averages of training."
    )
    return Section("The example", "\n\n".join([text, *trace.notes]), blocks)


def _row(trace: Trace) -> Iterator[Section]:
    """The cells of the row of a table."""
    if trace.cells:
        rows: list[list[Cell]] = [[c.column, c.cell, c.encoded] for c in trace.cells]
        text = (
            "What the cells say, read back from the numbers that the network reads: a missing "
            "number counts as the median unless training had missing ones, a level that training "
            "hardly had is 'other'."
        )
        columns = ["column", "cell", "what the network reads"]
        yield Section("The row", text, [Table("Column by column", columns, rows)])


def _overview(trace: Trace) -> Section:
    rows: list[list[Cell]] = []
    for labelled in trace.steps:
        step, value = labelled.step, labelled.value.double()
        reads = ", ".join(map(str, step.sources))
        weights = sum(p.numel() for p in step.parameters.values())
        what = FORWARD.get(step.kind, step.kind)
        ends = (float(value.min()), float(value.max())) if value.numel() else (None, None)
        rows.append([step.number, step.name, what, reads, shape_text(value), weights, *ends])
    columns = ["step", "name", "what it does", "reads", "gives", "weights", "least", "largest"]
    return Section("All steps", "", [Table("From the input to the output", columns, rows)])


def _loss(trace: Trace) -> Section:
    last = trace.steps[-1]
    text = f"L = {plain(trace.loss)}."
    if last.gradient is None or last.value.ndim != 1 or not trace.probabilities:
        return Section("The loss", text)
    shares = last.value.softmax(0)
    wanted = [float(name == trace.target) for name in last.labels]
    rows: list[list[Cell]] = [
        list(row)
        for row in zip(last.labels, last.value.tolist(), shares.tolist(), wanted,
                       last.gradient.tolist(), strict=True)
    ]  # fmt: skip
    difference = shares - last.value.new_tensor(wanted)
    if bool((difference - last.gradient).abs().max() < 1e-9):
        text += (
            f" It is -log p of the class {trace.target}. Its gradient is the probability minus "
            "what was wanted: each wrong class is pushed down by its probability, the right one "
            "pulled up by what it lacks."
        )
    columns = ["class", "z", "p = softmax(z)", "wanted", "dL/dz"]
    return Section("The loss", text, [Table("From outputs to loss", columns, rows)])


def _check(trace: Trace) -> Section:
    found = trace.check
    assert found is not None
    verdict = "they agree" if found.agrees else "THEY DO NOT AGREE"
    facts = [
        Fact("gradients and finite differences", verdict if found.compared else "not measured"),
        Fact("largest relative deviation", f"{found.largest_deviation:.1e}", found.at),
        Fact("numbers measured", f"{found.compared:,} of {found.of:,}"),
    ]
    if found.kinks:
        facts.append(Fact("on a kink or jump", found.kinks, "no derivative there"))
    text = (
        "Each number was made a little larger and a little smaller, and the loss computed anew: "
        "(L(w + h) - L(w - h)) / 2h, in float64. That is what the gradient must be."
    )
    return Section("The proof", text, [Facts(facts, headline=True)])


# --- Steps ----------------------------------------------------------------------------------------


def _forward(labelled: Labelled) -> Section:
    step = labelled.step
    parameters = {name: tensor.detach() for name, tensor in step.parameters.items()}
    blocks = list(_weights(parameters, labelled, ""))
    terms = _terms(labelled)
    blocks += terms
    if _follows(labelled):
        blocks.append(_before_and_after(labelled))
    elif not terms:  # else they end in the values
        blocks += _drawn("", labelled.value, labelled, labelled.symbol)
    return Section(f"{step.number} · {step.name}", _said(labelled, FORWARD), blocks)


def _slots(labelled: Labelled) -> Section:
    """An encoded row: positions of levels among numbers have no scale of colours in common."""
    pairs = zip(labelled.labels, labelled.value.tolist(), strict=True)
    rows: list[list[Cell]] = [[name, value] for name, value in pairs]
    blocks = [Table("x", ["slot", "number"], rows)] if len(rows) <= LABELLED else []
    text = "The row above, encoded; of a category the position of its level, from 0."
    return Section(f"0 · {labelled.step.name}", text, blocks)


def _backward(labelled: Labelled) -> Section | None:
    step = labelled.step
    gradients = {n: p.grad for n, p in step.parameters.items() if p.grad is not None}
    if labelled.gradient is None and not gradients:
        return None
    blocks: list[Block] = []
    if labelled.gradient is not None:
        blocks += _drawn("", labelled.gradient, labelled, f"dL/d{labelled.symbol}")
    blocks += _weights(gradients, labelled, "dL/d")
    return Section(f"Back to {step.number} · {step.name}", _said(labelled, BACKWARD), blocks)


def _weights(tensors: Mapping[str, Tensor], labelled: Labelled, what: str) -> Iterator[Block]:
    """The weights of a step, or their gradients; W and b of a small dense layer in one."""
    letters = {f"{what}{short_name(name, labelled.step)}": t for name, t in tensors.items()}
    pair = list(letters.values())
    if (
        list(letters) == [f"{what}W", f"{what}b"]
        and pair[0].ndim == 2
        and max(pair[0].shape) <= LABELLED
    ):
        names = [*_input_names(labelled, pair[0].shape[1]), "b"]
        rows = [[*w, b] for w, b in zip(pair[0].tolist(), pair[1].tolist(), strict=True)]
        yield _grid(", ".join(letters), rows, labelled.labels, names)
        return
    for letter, tensor in letters.items():
        yield from _drawn("weights", tensor, labelled, letter)


def _input_names(labelled: Labelled, width: int) -> Sequence[str]:
    before = labelled.before
    if before is not None and len(before.labels) == width:
        return before.labels
    return [str(i) for i in range(1, width + 1)]


def _said(labelled: Labelled, formulas: dict[str, str]) -> str:
    step = labelled.step
    known = formulas.get(step.kind)
    reads = f" Reads steps {', '.join(map(str, step.sources))}." if len(step.sources) > 1 else ""
    kind = "" if step.kind == step.name else f"{step.kind}: "
    return f"{kind}{known}.{reads}" if known else f"{step.kind}.{reads}"


def _follows(labelled: Labelled) -> bool:
    """Whether a step without weights changes a few numbers one by one, as an activation does."""
    before = labelled.before
    return (
        before is not None
        and not labelled.step.parameters
        and len(labelled.step.sources) == 1
        and before.value.ndim == labelled.value.ndim == 1
        and before.value.shape == labelled.value.shape
        and len(labelled.labels) <= LABELLED
    )


def _before_and_after(labelled: Labelled) -> Grid:
    assert labelled.before is not None
    letters = labelled.before.symbol, labelled.symbol
    if letters[0] == letters[1]:
        letters = "before", "after"
    rows = [labelled.before.value.tolist(), labelled.value.tolist()]
    return _grid(" → ".join(letters), rows, letters, labelled.labels)


def _terms(labelled: Labelled) -> list[Block]:
    """What each input adds to each z: all if there are few, else the largest."""
    parts = contributions(labelled)
    if parts is None:
        return []
    if len(parts.bias) > LABELLED:
        return [_strongest(parts)]
    totals = parts.terms.sum(1) + parts.bias
    order = parts.terms.abs().max(0).values.argsort(descending=True)[:TOP].tolist()
    if len(parts.names) <= LABELLED:
        order, title = list(range(len(parts.names))), "What each input adds to z: W · a"
    else:
        title = f"What the {TOP} strongest of {len(parts.names)} inputs add to z: W · a"
    rest = totals - parts.bias - parts.terms[:, order].sum(1)
    columns = [parts.terms[:, order], rest[:, None], parts.bias[:, None], totals[:, None]]
    names = [*(parts.names[i] for i in order), "others", "+ b", "= z"]
    if len(order) == len(parts.names):
        del columns[1], names[-3]
    rows = torch.cat(columns, 1).tolist()
    return [_grid(title, rows, labelled.labels, names)]


def _strongest(parts: Contributions) -> Table:
    """Of a wide layer: the inputs that move its units most."""
    moved = parts.terms.abs().mean(0)
    rows: list[list[Cell]] = []
    for i in moved.argsort(descending=True)[:TOP].tolist():
        least, largest = float(parts.terms[:, i].min()), float(parts.terms[:, i].max())
        rows.append([str(parts.names[i]), float(moved[i]), least, largest])
    columns = ["input", "mean size of W · a", "least", "largest"]
    title = f"The {len(rows)} of {len(parts.names)} inputs that move the {len(parts.bias)} z most"
    return Table(title, columns, rows)


# --- Tensors --------------------------------------------------------------------------------------


def _drawn(name: str, tensor: Tensor, labelled: Labelled, symbol: str) -> Iterator[Block]:
    """Draw a value, a weight or a gradient, by its shape. ``name`` is that of a parameter."""
    tensor = tensor.detach().double()
    is_bias = bool(name) and isinstance(labelled.step.module, WEIGHTED)
    if tensor.ndim == 4 or (tensor.ndim == 3 and not name):
        yield from _maps(symbol, tensor, is_input=symbol == "x")
    elif tensor.ndim <= 1 and tensor.numel() <= LABELLED:
        fits = len(labelled.labels) == tensor.numel()
        yield _grid(symbol, [tensor.reshape(-1).tolist()], (), labelled.labels if fits else ())
    elif tensor.ndim == 1 and tensor.numel() == len(labelled.labels) and not is_bias:
        yield _largest(symbol, tensor, labelled.labels)
    elif tensor.ndim == 2 and tensor.numel() <= DRAWN:
        yield _matrix(symbol, tensor, labelled)
    else:
        yield Table(symbol, ["shape", "numbers"], [[shape_text(tensor), summary(tensor)]])


def _largest(symbol: str, tensor: Tensor, names: Sequence[str]) -> Table:
    """Of many numbers: the largest, by name."""
    order = tensor.abs().argsort(descending=True)[:TOP].tolist()
    rows: list[list[Cell]] = [[names[i], float(tensor[i])] for i in order]
    title = f"{symbol}, the {len(rows)} largest of {tensor.numel()}"
    return Table(title, ["name", "number"], rows, note=summary(tensor))


def _matrix(symbol: str, tensor: Tensor, labelled: Labelled) -> Grid:
    rows, columns = tensor.shape
    if max(rows, columns) > LABELLED:
        note = f"{rows} × {columns} numbers: {summary(tensor)}"
        if rows > LABELLED >= columns:  # a tall one lies on its side: pages are wide
            sideways = f"a column for each of the {rows} rows; {note}"
            return _grid(symbol, tensor.T.tolist(), _input_names(labelled, columns), note=sideways)
        return _grid(symbol, tensor.tolist(), note=note)
    units = labelled.labels if len(labelled.labels) == rows else ()
    return _grid(symbol, tensor.tolist(), units, _input_names(labelled, columns))


def _grid(
    title: str, rows: Sequence[Sequence[float]], names: Sequence[str] = (),
    columns: Sequence[str] = (), note: str = "",
) -> Grid:  # fmt: skip
    """Numbers to four digits, a tenth of the page's size; two decimals are what a cell can show."""
    short_rows = [[float(f"{value:.4g}") or 0.0 for value in row] for row in rows]
    size = max((abs(value) for row in short_rows for value in row), default=0.0)
    format = ".2f" if 0.1 <= size < 100 and len(columns) <= LABELLED + 3 else ""
    return Grid(
        title, short_rows, row_labels=names, column_labels=columns, format=format, note=note
    )


def _maps(symbol: str, tensor: Tensor, *, is_input: bool) -> Iterator[Block]:
    """Pictures of the maps of a convolution, or of its kernels, on one scale."""
    maps = tensor.flatten(0, -3)
    size = float(maps.abs().max()) or 1.0
    if is_input and len(maps) in (1, 3) and float(maps.min()) >= 0:
        pixels = (maps / size * 255).round().byte().permute(1, 2, 0).numpy()
        yield Images("The image", [Picture(png(pixels))], pixelated=True)
        return
    items = [Picture(png(_coloured(m / size)), str(i)) for i, m in enumerate(maps[:MAPS], 1)]
    of = f"the first {MAPS} of {len(maps)}" if len(maps) > MAPS else f"{len(maps)}"
    note = f"{of}; blue above 0, orange below, white 0; {shape_text(tensor)}: {summary(tensor)}"
    yield Images(symbol, items, pixelated=True, note=note)


def _coloured(numbers: Tensor) -> NDArray[np.uint8]:
    """-1 to 1 as orange, white, blue: the colours that grids have."""
    share = numbers.abs().clamp(0, 1).sqrt().unsqueeze(-1).numpy()
    blue, orange, white = np.array([31, 95, 168]), np.array([201, 96, 21]), np.array([255] * 3)
    ink = np.where(numbers.unsqueeze(-1).numpy() < 0, orange, blue)
    pixels: NDArray[np.uint8] = (white + share * (ink - white)).round().astype(np.uint8)
    return pixels
