"""A walk of a window (``windows.Walk``) as text for a terminal and as a document for a page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from glassnet.explain.windows import NAMES, Matrix, Walk, Window
from glassnet.figures import (
    Document,
    Fact,
    Facts,
    Frame,
    Grid,
    Images,
    Picture,
    Section,
    Shown,
    Steps,
    notebook,
    png,
)

WIDTH = 100
TERMS = 12
"""Products that are written out as a sum."""
SO_FAR = 5
"""Rows and columns of an output that the text repeats at each window."""
DRAWN = 64
"""Rows and columns of a map that is drawn as a matrix of cells."""
PICTURED = 12
"""From so many rows and columns on a map is shown as a picture too."""
CHANNELS = 8
"""Channels whose sums a sentence tells one by one."""

REASONS = {
    "first": "of the first row", "strongest": "among the largest answers",
    "weakest": "among the smallest answers", "all": "",
}  # fmt: skip


def about(walk: Walk) -> str:
    """What moves over what, and what comes out."""
    moving = "kernel" if walk.kernel else "window"
    what = f"{NAMES[walk.kind]} with a {moving} of {_size(walk, walk.size)}"
    shape = _size(walk, (len(walk.input[0]), len(walk.input[0][0])))
    channels = f"{len(walk.input)} channels of " if len(walk.input) > 1 else ""
    settings = f"stride {_side(walk, walk.stride)}, padding {_side(walk, walk.padding)}"
    if max(walk.dilation) > 1:
        settings += f", dilation {_side(walk, walk.dilation)}"
    out = _size(walk, (len(walk.output[0]), len(walk.output[0][0])))
    return f"{what}, {settings}: input {channels}{shape}, output {out}"


def choice(walk: Walk) -> str:
    """Which windows are shown, if not all."""
    if len(walk.windows) == walk.of:
        return ""
    counts = {
        why: sum(w.why == why for w in walk.windows) for why in ("first", "strongest", "weakest")
    }
    return (
        f"Shown are {len(walk.windows)} of {walk.of:,} windows: {counts['first']} of the first "
        f"row, the {counts['strongest']} with the largest and the {counts['weakest']} with the "
        "smallest answers."
    )


def remarks(walk: Walk, notes: Sequence[str]) -> list[str]:
    """What one must know to read the numbers."""
    more = [choice(walk)]
    if walk.kernel and len(walk.input) > 1:
        channel, of = channel_shown(walk) + 1, len(walk.input)
        more.append(f"Shown is channel {channel} of {of}, which moves the answers most.")
    return [note for note in (*notes, *more) if note]


def checked(walk: Walk) -> str:
    """What the comparison found."""
    found = walk.check
    word = "equals" if found.agrees else "DOES NOT EQUAL"
    return f"the output {word} {found.by}: largest difference {written(found.largest_difference)}"


@dataclass(frozen=True)
class Walked:
    """A walk with its name; draws itself in a notebook, prints itself in a terminal."""

    walk: Walk
    title: str = ""
    notes: tuple[str, ...] = ()
    """What one must know to read the numbers."""

    @property
    def text(self) -> str:
        """For a terminal, one window after another."""
        return text(self.walk, self.title, self.notes)

    @property
    def document(self) -> Document:
        """For a page: ``figures.page(walked.document)``."""
        return document(self.walk, self.title, self.notes)

    def to_json(self) -> dict[str, Any]:
        """The title, the notes, and every field of the walk."""
        return {"title": self.title, "notes": list(self.notes), **self.walk.to_json()}

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return notebook(self.document)


# --- Text -----------------------------------------------------------------------------------------


def text(walk: Walk, title: str, notes: Sequence[str]) -> str:
    """One window after another, then the output and the check."""
    heading = textwrap.fill(f"{title}: {about(walk)}" if title else about(walk), WIDTH)
    said = [textwrap.fill(f"note: {note}", WIDTH) for note in remarks(walk, notes)]
    parts = ["\n".join([heading, *said]), *(_window(walk, window) for window in walk.windows)]
    channel = channel_shown(walk)
    if max(len(walk.output[0]), len(walk.output[0][0])) <= 2 * SO_FAR:
        out = walk.output[0 if walk.kernel else channel]
        parts.append("\n".join(["output", *(f"  {line}" for line in block(out))]))
    parts.append(f"check   {checked(walk)}")
    return "\n\n".join(parts)


def _window(walk: Walk, window: Window) -> str:
    """Its place, its numbers, what they are multiplied with, and the output so far."""
    channel = channel_shown(walk) if walk.kernel else 0
    head = _label(walk, window) + (f"  ({REASONS[window.why]})" if REASONS[window.why] else "")
    columns = [block(_open(window.numbers[channel]))]
    if walk.kernel:
        columns += [["*"], block(walk.kernel[channel])]
        products = [["="], block(window.products[channel])]
        # What does not fit beside the kernel can be had from --json.
        columns += products if len(max(beside([*columns, *products]), key=len)) < WIDTH else []
    reached = _reached(walk, window)
    if reached is not None:
        columns += [["->"], block(reached)]
    lines = [f"  {line}" for line in beside(columns)]
    end = textwrap.fill(
        sentence(walk, window), WIDTH, initial_indent="  ", subsequent_indent="    "
    )
    return "\n".join([head, *lines, end])


def block(matrix: Sequence[Sequence[float | None]]) -> list[str]:
    """Rows of numbers in columns of one width; what is not there yet is a dot."""
    cells = [["." if v is None else written(v) for v in row] for row in matrix]
    width = max(len(cell) for row in cells for cell in row)
    return [" ".join(cell.rjust(width) for cell in row) for row in cells]


def beside(columns: Sequence[Sequence[str]]) -> list[str]:
    """Blocks of lines beside each other; a sign stands in the middle row."""
    height = max(map(len, columns))
    full = []
    for lines in columns:
        above = (height - len(lines)) // 2 if len(lines) == 1 else 0
        padded = [""] * above + list(lines) + [""] * (height - above - len(lines))
        width = max(map(len, lines))
        full.append([line.ljust(width) for line in padded])
    return ["   ".join(line).rstrip() for line in zip(*full, strict=True)]


def written(value: float) -> str:
    """Whole numbers as such, others with three digits.

    >>> [written(value) for value in (4.0, 0.125, -1234.5, float("-inf"), 2e-7)]
    ['4', '0.125', '-1234', '-inf', '2e-07']
    """
    if value == round(value, 9) and abs(value) < 1e6 and value == int(value):
        return str(int(value))
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def sentence(walk: Walk, window: Window) -> str:
    """What happens in one window."""
    said = written(window.value)
    if walk.kind == "max":
        assert window.winner is not None
        place = _cell(walk, *window.winner)
        return f"The largest of {_count(window)} numbers is {said}, at {place} of the input."
    if walk.kind == "average":
        return f"{_sum(window)} = {written(window.total)}; divided by {_count(window)}: {said}."
    if walk.kind == "l2":
        return f"{_sum(window, '²')} = {written(window.total)}; its square root: {said}."
    if _count(window) <= TERMS:
        pairs = zip(_flat(window.numbers), _flat(walk.kernel), strict=True)
        terms = " + ".join(f"{_signed(a)}·{_signed(b)}" for a, b in pairs)
        return f"{terms}{_bias(walk)} = {said}"
    sums = channel_sums(window)
    each = " + ".join(map(_signed, sums[:CHANNELS])) if len(sums) > 1 else written(sums[0])
    if len(sums) > CHANNELS:
        each += f" + … ({len(sums)} channels)"
    parts = "the channels" if len(sums) > 1 else "the products"
    return f"Sum of {parts}: {each}{_bias(walk)} = {said}"


def channel_sums(window: Window) -> list[float]:
    """What each channel adds to the sum."""
    return [sum(map(sum, rows)) for rows in window.products]


def channel_shown(walk: Walk) -> int:
    """Of a filter the channel that moves its answers most; of pooling the first one."""
    if not walk.kernel:
        return 0
    moves = [sum(abs(channel_sums(w)[c]) for w in walk.windows) for c in range(len(walk.input))]
    return moves.index(max(moves))


def _bias(walk: Walk) -> str:
    return (
        ""
        if not walk.bias
        else f" {'-' if walk.bias < 0 else '+'} {written(abs(walk.bias))} (bias)"
    )


def _signed(value: float) -> str:
    return f"({written(value)})" if value < 0 else written(value)


def _sum(window: Window, power: str = "") -> str:
    return " + ".join(f"{_signed(v)}{power}" for v in _flat(window.numbers))


def _flat(maps: Sequence[Matrix]) -> list[float]:
    return [value for rows in maps for row in rows for value in row]


def _count(window: Window) -> int:
    """Padding of a maximum is no number."""
    return sum(value != -float("inf") for value in _flat(window.numbers))


def _label(walk: Walk, window: Window) -> str:
    where = f"channel {window.channel + 1}, " if not walk.kernel and len(walk.output) > 1 else ""
    return f"window {window.number:,} of {walk.of:,}: {where}{_cell(walk, *window.place)}"


def _cell(walk: Walk, row: int, column: int) -> str:
    return f"place {column + 1}" if walk.axes == 1 else f"row {row + 1}, column {column + 1}"


def _size(walk: Walk, pair: Sequence[int]) -> str:
    return "×".join(map(str, pair[-walk.axes :]))


def _side(walk: Walk, pair: Sequence[int]) -> str:
    return str(pair[1]) if walk.axes == 1 or pair[0] == pair[1] else f"{pair[0]}×{pair[1]}"


def _reached(walk: Walk, window: Window) -> list[list[float | None]] | None:
    """The output with what no window has reached yet left open; None if it is large or not all."""
    out = walk.output[window.channel]
    if len(walk.windows) < walk.of or max(len(out), len(out[0])) > SO_FAR:
        return None
    return so_far(out, window)


def so_far(out: Matrix, window: Window) -> list[list[float | None]]:
    """Rows of the output up to this window."""
    return [
        [v if (y, x) <= window.place else None for x, v in enumerate(row)]
        for y, row in enumerate(out)
    ]


# --- Page -----------------------------------------------------------------------------------------


def document(walk: Walk, title: str, notes: Sequence[str]) -> Document:
    """The steps, the maps as pictures where they are large, and the check."""
    facts = Facts([
        Fact("input", _shape(walk, walk.input)), Fact("window", _size(walk, walk.size)),
        Fact("stride", _side(walk, walk.stride)), Fact("padding", _side(walk, walk.padding)),
        Fact("output", _shape(walk, walk.output)), Fact("windows", walk.of),
        Fact("check", "agrees" if walk.check.agrees else "differs", checked(walk)),
    ])  # fmt: skip
    words = "\n\n".join(remarks(walk, notes))
    gallery = pictures(walk)
    return Document(
        title or NAMES[walk.kind].capitalize(),
        about(walk),
        [Section("", words, [facts, steps(walk), *([gallery] if gallery else [])])],
    )


def steps(walk: Walk) -> Steps:
    """A figure with one frame for each window."""
    channel = channel_shown(walk)
    panels, frames = _panels(walk, channel), []
    for window in walk.windows:
        shown = _shown(walk, window, channel)
        why = f"{REASONS[window.why].capitalize()}. " if REASONS[window.why] else ""
        words = why + sentence(walk, window)
        label = _label(walk, window).capitalize()
        frames.append(Frame(label, words, [shown[name] for name in panels]))
    return Steps("One window at a time", list(panels.values()), frames)


def _panels(walk: Walk, channel: int) -> dict[str, Grid]:
    """The matrices that stand side by side, with the values that they have at the end."""
    one, of = walk.windows[-1], len(walk.input)
    here = f", channel {channel + 1} of {of}" if of > 1 else ""
    found: dict[str, Grid] = {}
    if _fits(walk.input[0]):
        found["input"] = Grid(f"input{_padded(walk)}{here}", padded(walk, channel))
    found["numbers"] = Grid(
        f"under the window{here if walk.kernel else ''}", _open(one.numbers[_of(walk, channel)])
    )
    if walk.kernel:
        found["kernel"] = Grid(f"kernel{here}", walk.kernel[channel])
    if one.products and walk.kind != "average":
        name = "squares" if walk.kind == "l2" else f"products{here}"
        found["products"] = Grid(name, one.products[_of(walk, channel)])
    if walk.kernel and of > 1:
        sums = channel_sums(one)
        found["sums"] = Grid("sums of the channels", _rows(sums))
    if _fits(walk.output[0]):
        found["output"] = Grid("output", walk.output[0])
    return {name: replace(grid, format=_format(grid.values)) for name, grid in found.items()}


def _format(values: Sequence[Sequence[float | None]]) -> str:
    """Two decimals, so that they fit into cells; whole, large and tiny numbers as they are."""
    flat = [abs(v) for row in values for v in row if v is not None]
    whole = all(v == int(v) for v in flat)
    return "" if whole or not 0.05 <= max(flat) < 100 else ".2f"


def _shown(walk: Walk, window: Window, channel: int) -> dict[str, Shown]:
    """What each panel has at this window."""
    (ph, pw), at = walk.padding, _of(walk, channel)
    inside = [(r + ph, c + pw) for row in window.cells for r, c in row]
    won = [] if window.winner is None else [(window.winner[0] + ph, window.winner[1] + pw)]
    under = [
        (k, m) for k, row in enumerate(window.cells) for m, cell in enumerate(row)
        if cell == window.winner
    ]  # fmt: skip
    moved = not walk.kernel and len(walk.input) > 1
    out = walk.output[window.channel]
    whole = len(walk.windows) == walk.of
    return {
        "input": Shown(padded(walk, window.channel) if moved else None, marked=inside, chosen=won),
        "numbers": Shown(_open(window.numbers[at]), chosen=under),
        "kernel": Shown(),
        "products": Shown(window.products[at] if window.products else None),
        "sums": Shown(_rows(channel_sums(window)) if window.products else None),
        "output": Shown(so_far(out, window) if whole else out if moved else None,
                        marked=[window.place]),
    }  # fmt: skip


def _of(walk: Walk, channel: int) -> int:
    """Where a window keeps the channel: of pooling it holds one only."""
    return channel if walk.kernel else 0


def _rows(values: list[float]) -> list[list[float | None]]:
    """Eight numbers a row."""
    filled: list[float | None] = [*values, *[None] * (-len(values) % min(8, len(values)))]
    across = min(8, len(values))
    return [filled[i : i + across] for i in range(0, len(filled), across)]


def padded(walk: Walk, channel: int) -> list[list[float | None]]:
    """A map of the input with its padding: zeros; nothing for a maximum, which passes it over."""
    (ph, pw), rows = walk.padding, walk.input[channel]
    filling = None if walk.kind == "max" else 0.0
    border = [[filling] * (len(rows[0]) + 2 * pw)] * ph
    return [*border, *([filling] * pw + list(row) + [filling] * pw for row in rows), *border]


def _padded(walk: Walk) -> str:
    return " with its padding" if max(walk.padding) else ""


def _open(matrix: Matrix) -> list[list[float | None]]:
    return [[None if v == -float("inf") else v for v in row] for row in matrix]


def _fits(matrix: Matrix) -> bool:
    """Whether a map is drawn as cells; a signal may be longer, for it has one row."""
    return max(len(matrix), len(matrix[0])) <= DRAWN


def _shape(walk: Walk, maps: Sequence[Matrix]) -> str:
    channels = f"{len(maps)} × " if len(maps) > 1 else ""
    return channels + _size(walk, (len(maps[0]), len(maps[0][0])))


def pictures(walk: Walk) -> Images | None:
    """Input and output side by side, if they are large enough to be looked at."""
    if walk.axes == 1 or min(len(walk.input[0]), len(walk.input[0][0])) < PICTURED:
        return None
    channel = channel_shown(walk)
    given = Picture(_picture(walk.input[channel]), "input", _range(walk.input[channel]))
    out = Picture(_picture(walk.output[0]), "output", _range(walk.output[0]))
    note = "Black is the least and white the largest number; with negative ones, middle grey is 0."
    small = len(walk.input[0][0]) < 112
    return Images("The whole maps", [given, out], pixelated=small, note=note)


def _range(matrix: Matrix) -> str:
    flat = [value for row in matrix for value in row]
    return f"{written(min(flat))} to {written(max(flat))}"


def _picture(matrix: Matrix) -> str:
    import numpy as np

    values = np.array(matrix)
    low, high = values.min(), values.max()
    if low < 0:
        high = max(-low, high)
        low = -high
    shares = (values - low) / (high - low if high > low else 1.0)
    return png((255 * shares).round().astype(np.uint8))
