"""A walk of a window (``windows.Walk``) as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from glassnet.explain.ways import NAMES
from glassnet.explain.windows import Matrix, Walk, Window

WIDTH = 100
TERMS = 12
"""Products that are written out as a sum."""
SO_FAR = 5
"""Rows and columns of an output that the text repeats at each window."""
CHANNELS = 8
"""Channels whose sums a sentence tells one by one."""

REASONS = {
    "first": "of the first row", "strongest": "among the largest answers",
    "weakest": "among the smallest answers", "all": "",
}  # fmt: skip


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
    head = label_of(walk, window) + (f"  ({REASONS[window.why]})" if REASONS[window.why] else "")
    columns = [block(opened(window.numbers[channel]))]
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


def label_of(walk: Walk, window: Window) -> str:
    """Which window it is, and where in the output."""
    where = f"channel {window.channel + 1}, " if not walk.kernel and len(walk.output) > 1 else ""
    return f"window {window.number:,} of {walk.of:,}: {where}{_cell(walk, *window.place)}"


def _cell(walk: Walk, row: int, column: int) -> str:
    return f"place {column + 1}" if walk.axes == 1 else f"row {row + 1}, column {column + 1}"


def as_size(walk: Walk, pair: Sequence[int]) -> str:
    """As people write it: 3×3, or 3 for a signal."""
    return "×".join(map(str, pair[-walk.axes :]))


def as_side(walk: Walk, pair: Sequence[int]) -> str:
    """One number if it is the same for both axes."""
    return str(pair[1]) if walk.axes == 1 or pair[0] == pair[1] else f"{pair[0]}×{pair[1]}"


def _reached(walk: Walk, window: Window) -> list[list[float | None]] | None:
    """The output with what no window has reached yet left open; None if it is large or not all."""
    out = walk.output[window.channel]
    if len(walk.windows) < walk.of or max(len(out), len(out[0])) > SO_FAR:
        return None
    return so_far(out, window)


def opened(matrix: Matrix) -> list[list[float | None]]:
    """What is under a window; nothing where a maximum passes over the padding."""
    return [[None if v == -float("inf") else v for v in row] for row in matrix]


def so_far(out: Matrix, window: Window) -> list[list[float | None]]:
    """Rows of the output up to this window."""
    return [
        [v if (y, x) <= window.place else None for x, v in enumerate(row)]
        for y, row in enumerate(out)
    ]


def about(walk: Walk) -> str:
    """What moves over what, and what comes out."""
    moving = "kernel" if walk.kernel else "window"
    what = f"{NAMES[walk.kind]} with a {moving} of {as_size(walk, walk.size)}"
    shape = as_size(walk, (len(walk.input[0]), len(walk.input[0][0])))
    channels = f"{len(walk.input)} channels of " if len(walk.input) > 1 else ""
    settings = f"stride {as_side(walk, walk.stride)}, padding {as_side(walk, walk.padding)}"
    if max(walk.dilation) > 1:
        settings += f", dilation {as_side(walk, walk.dilation)}"
    out = as_size(walk, (len(walk.output[0]), len(walk.output[0][0])))
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
