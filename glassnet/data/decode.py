"""From slots of an encoded row back to what its cells say, for people who look into a trace.

The inverse of ``columns.encode``, as far as there is one: a rare level is 'other', of a text only
its frequent words and its length are left, and a number far out in the tail is known to few digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from glassnet.data.columns import Column
from glassnet.task import CellShown

BEND = 2.999999
"""A bent number comes no nearer to its limit of 3 than float32 can tell."""


def decode(row: Sequence[float], columns: Sequence[Column]) -> list[CellShown]:
    """Tell each used column of one encoded row (C,) in words."""
    shown, place = [], 0
    for column in columns:
        width = len(column.slots)
        if width:
            part = row[place : place + width]
            shown.append(CellShown(column.name, _cell(part, column), _slots(part, column)))
        place += width
    return shown


def _cell(part: Sequence[float], column: Column) -> str:
    match column.kind:
        case "category":
            return column.slots[0].levels[int(part[0])]
        case "boolean":
            return "missing" if part[0] == 0 else column.levels[int(part[0] > 0)]
    if column.missing and part[-1] == 1:
        return "missing"
    if column.kind == "text":
        there = [word for word, flag in zip(column.words, part, strict=False) if flag]
        length = round(_unbent(part[len(column.words)], column))
        return f"{length} characters, with {', '.join(there) or 'no frequent word'}"
    value = _unbent(part[0], column)
    if column.kind == "date":
        return str(np.datetime64(round(value), "D"))
    before, _, after = column.unit.partition("|")
    return f"{before}{value:.6g}{' ' * bool(after)}{after}"


def _unbent(bent: float, column: Column) -> float:
    bent = min(max(bent, -BEND), BEND)
    return bent / math.sqrt(1 - (bent / 3) ** 2) * column.scale + column.centre


def _slots(part: Sequence[float], column: Column) -> str:
    """What the network reads, slot by slot; of a text the words that are there."""
    if column.kind == "category":
        return f"level {int(part[0]) + 1} of {len(column.slots[0].levels)}"
    pairs = [
        (slot.name.removeprefix(column.name).strip(" :="), value)
        for slot, value in zip(column.slots, part, strict=True)
    ]
    if column.kind == "text":
        pairs = [(name, value) for name, value in pairs if value]
    return ", ".join(f"{name} {value:.4g}".strip() for name, value in pairs)
