"""A walk of a window (``windows.Walk``) as a document for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glassnet.explain.ways import NAMES
from glassnet.explain.windows import Matrix, Walk, Window
from glassnet.explain.windowtext import (
    REASONS,
    about,
    as_side,
    as_size,
    channel_shown,
    channel_sums,
    checked,
    label_of,
    opened,
    remarks,
    sentence,
    so_far,
    written,
)
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
    png,
)

DRAWN = 64
"""Rows and columns of a map that is drawn as a matrix of cells."""
PICTURED = 12
"""From so many rows and columns on a map is shown as a picture too."""


def document(walk: Walk, title: str, notes: Sequence[str]) -> Document:
    """The steps, the maps as pictures where they are large, and the check."""
    facts = Facts([
        Fact("input", _shape(walk, walk.input)), Fact("window", as_size(walk, walk.size)),
        Fact("stride", as_side(walk, walk.stride)), Fact("padding", as_side(walk, walk.padding)),
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
        label = label_of(walk, window).capitalize()
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
        f"under the window{here if walk.kernel else ''}", opened(one.numbers[_of(walk, channel)])
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
        "numbers": Shown(opened(window.numbers[at]), chosen=under),
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


def _fits(matrix: Matrix) -> bool:
    """Whether a map is drawn as cells; a signal may be longer, for it has one row."""
    return max(len(matrix), len(matrix[0])) <= DRAWN


def _shape(walk: Walk, maps: Sequence[Matrix]) -> str:
    channels = f"{len(maps)} × " if len(maps) > 1 else ""
    return channels + as_size(walk, (len(maps[0]), len(maps[0][0])))


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
