"""How the places, times and numbers of a sequence are told to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from glassnet.explain.attribution import Attribution
from glassnet.task import Axes

if TYPE_CHECKING:
    from glassnet.explain.sequences import Shown


def place(one: Shown, tile: int, axes: Axes) -> str:
    """Where a tile lies, in people's words."""
    rows_columns = (one.tiles == tile).nonzero()
    (top, left), (bottom, right) = rows_columns.amin(0).tolist(), rows_columns.amax(0).tolist()
    apart = one.signals.shape[1] * axes.step / one.field.shape[1]
    if axes.horizon:
        x = ahead(axes, one.signals.shape[1])
        when = f"{x[left]:+d}" + (f" to {x[right]:+d}" if right > left else "") + f" {axes.unit}s"
    elif axes.letters:
        of = one.field[:, left : right + 1].nan_to_num().argmax(0).tolist()
        spelled = "".join(axes.channels[c] for c in of)
        where = int(axes.first) + left
        return f"{spelled} at {where}" + (f"–{where + right - left}" if right > left else "")
    else:
        start, end = axes.first + left * apart, axes.first + (right + 1) * apart
        when = f"{start:.3g}–{end:.3g} {axes.unit}"
        if axes.step == 1 and axes.unit == "step":
            when = f"steps {int(axes.first) + left}–{int(axes.first) + right}"
    if axes.front is not None:
        return f"{when}{_band(axes, (top + bottom) / 2 / max(1, one.field.shape[0] - 1))}"
    if len(one.signals) == 1:
        return when
    names = [name_of(axes, c) for c in range(top, bottom + 1)]
    return f"{when} of {names[0]}" + (f" to {names[-1]}" if len(names) > 1 else "")


def _band(axes: Axes, at: float) -> str:
    if not axes.rows:
        return ""
    _, text = min(axes.rows, key=lambda row: abs(row[0] - at))
    return f" near {text}"


AHEAD = "steps ahead"


def ahead(axes: Axes, number: int) -> list[int]:
    """Of a window of so many steps: how far ahead each is; 0 is the last that was measured."""
    return [step - number + axes.horizon + 1 for step in range(number)]


def times(axes: Axes, number: int) -> list[float]:
    """The time or place of each step."""
    first = axes.first
    return [first + n * axes.step for n in range(number)]


def time_of(axes: Axes) -> str:
    """What time or place is told in, written out."""
    return {"s": "seconds"}.get(axes.unit, axes.unit)


def unscaled(values_T: Tensor, axes: Axes, channel: int) -> list[float]:
    """The numbers of a channel in people's unit."""
    factor, offset = axes.scale[channel] if channel < len(axes.scale) else (1.0, 0.0)
    values: list[float] = (values_T.double() * factor + offset).tolist()
    return values


def name_of(axes: Axes, channel: int) -> str:
    """The name of a channel, or its number."""
    if channel < len(axes.channels):
        return axes.channels[channel]
    return f"channel {channel + 1}"


def method_of(found: Attribution) -> str:
    """The name of a method as people write it."""
    return found.method.replace("_", " ")
