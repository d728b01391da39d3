"""Columns that say nothing, name the row, say the same as another, or give the answer away.

A *leak* is a column that knows the answer because it was written down after it, or made from it.
No program can tell that from a column that is simply good, so nothing is dropped: it is named,
with what it explains, and the user is asked whether it is known when a prediction is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glassnet.data.columns import Column
from glassnet.data.doctor import quick
from glassnet.data.doctor.effort import counted
from glassnet.data.doctor.sheet import Sheet, numbers_of, sample
from glassnet.task import Problem

Array = NDArray[Any]

ALL = 0.98
"""Share of the target that a single column must explain to be suspected for that alone."""
MUCH = 0.85
"""The same, if no other column explains half as much."""
NAMED = 0.5
"""The same, if it is named like an outcome."""
_OUTCOME = re.compile(
    r"(?i)(^|[_\W])(outcome|result|label|target|answer|truth|status|decision|final|after|"
    r"post|predicted|prediction|score)([_\W]|$)"
)
_LEVELS_OF_EACH = 0.02


def check(sheet: Sheet, most: int) -> Iterator[Problem]:
    """All that concerns single columns; what they explain is measured on ``most`` rows."""
    yield from _unused(sheet)
    yield from _odd_cells(sheet)
    yield from _same(sheet)
    if sheet.answers is not None and sheet.used and len(sheet.labelled) >= 30:
        yield from _leaking(sheet, sheet.labelled[sample(len(sheet.labelled), most)])


def _unused(sheet: Sheet) -> Iterator[Problem]:
    for column in sheet.columns:
        if column.kind == "ignored":
            identifier = "identifier" in column.reason
            yield Problem(
                f"column {column.name!r}",
                column.reason,
                "it will not be used; remove it"
                + (", unless it names groups of rows" if identifier else ""),
                kind="identifier columns" if identifier else "constant columns",
                level="note",
                items=(column.name,),
                fix="" if identifier else "dropped, if it is the same in all rows",
            )


def _odd_cells(sheet: Sheet) -> Iterator[Problem]:
    """Cells that are not of the type of their column."""
    for column in sheet.used:
        if column.kind not in ("number", "date"):
            continue
        read = numbers_of(sheet.frame.select(column.name), [column])[0][:, 0]
        cells = sheet.frame[column.name]
        odd = np.flatnonzero(np.isnan(read) & cells.is_not_null().to_numpy())
        if len(odd):
            kind = "finite numbers" if column.kind == "number" else "dates as the others are"
            such = str(cells[int(odd[0])])
            yield Problem(
                f"column {column.name!r}",
                f"{counted(len(odd), 'cell')} that are no {kind}, such as {such!r}",
                "they count as missing; mend them if they should count",
                kind="odd cells",
                level="note",
                items=tuple(f"{sheet.name(int(r))}: {cells[int(r)]}" for r in odd),
                rows=tuple((int(r),) for r in odd),
            )


def _same(sheet: Sheet) -> Iterator[Problem]:
    """Columns that are one another's codes, so that one of them is enough."""
    seen: dict[bytes, str] = {}
    for column in sheet.used:
        cells = sheet.frame[column.name]
        if cells.n_unique() < 3:
            continue  # two columns with two values agree too easily to mean anything
        # Where nearly all values differ, any two columns are one another's codes: then only equal
        # values say the same.
        differ = cells.n_unique() > len(cells) / 2
        told = cells.hash(seed=1).to_numpy() if differ else _codes(cells)
        twin = seen.setdefault(told.tobytes(), column.name)
        if twin != column.name:
            yield Problem(
                f"column {column.name!r}",
                f"says the same as the column {twin!r} in every row",
                "harmless, but one of them is enough",
                kind="equal columns",
                level="note",
                items=(f"{column.name} = {twin}",),
            )


def _codes(cells: pl.Series) -> Array:
    """The position where each value occurs first: the same for columns that tell the same."""
    hashed = cells.hash(seed=1).to_numpy()
    _, first, inverse = np.unique(hashed, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


# --- Leaks ----------------------------------------------------------------------------------------


def _leaking(sheet: Sheet, rows: Array) -> Iterator[Problem]:
    assert sheet.answers is not None
    y, num_classes = sheet.answers[rows], len(sheet.classes)
    x, is_category = numbers_of(sheet.frame[rows], sheet.used)
    shares = [
        quick.explained(x[:, k], bool(is_category[k]), y, num_classes) for k in range(x.shape[1])
    ]
    looked = f" (measured on {len(rows):,} rows)" if len(rows) < len(sheet.labelled) else ""
    ranked = sorted(zip(shares, sheet.used, strict=True), key=lambda pair: -pair[0])
    for share, column, why in _suspects(ranked):
        yield _suspected(sheet, column, share, why, looked)
    if sheet.kind == "numbers" and (parts := _sum_of(sheet.used, x, is_category, y)):
        yield _sum_problem(sheet, parts)


def _suspects(ranked: Sequence[tuple[float, Column]]) -> Iterator[tuple[float, Column, str]]:
    rest = [(share, column) for share, column in ranked if share < ALL]
    for share, column in ranked:
        others = [s for s, c in rest if c.name != column.name]
        best = max([*others, 0.0])
        if share >= ALL:
            yield share, column, ""
        elif share >= MUCH and others and share >= 2 * best:
            yield share, column, f"; no other explains more than {best:.0%}"
        elif share >= NAMED and _OUTCOME.search(column.name):
            yield share, column, ", and is named like an outcome"


def _suspected(sheet: Sheet, column: Column, share: float, why: str, looked: str) -> Problem:
    what = "of the errors of a guess" if sheet.kind == "categories" else "of the variance"
    return Problem(
        f"column {column.name!r}",
        f"explains {share:.1%} {what} in {sheet.target!r} alone{why}{looked}",
        "is it known before the answer is? If not, remove the column: training would look perfect "
        "and the use fail",
        kind="leaking columns",
        level="serious" if share >= ALL else "warning",
        items=(f"{column.name}: {share:.4f}",),
    )


def _sum_of(used: Sequence[Column], x: Array, is_category: Array, y: Array) -> list[str]:
    """Columns of numbers of which the target is a sum with weights, such as total = a + b."""
    numeric = np.flatnonzero(~is_category)
    block = x[:, numeric]
    whole = ~np.isnan(block).any(axis=1)
    if not 2 <= len(numeric) <= 200 or whole.sum() < 5 * len(numeric) + 30:
        return []
    block, y = block[whole], y[whole]
    scale = block.std(axis=0)
    if not (scale > 0).all() or y.std() == 0:
        return []
    a, b = (block - block.mean(axis=0)) / scale, (y - y.mean()) / y.std()
    weights, *_ = np.linalg.lstsq(a, b, rcond=None)
    if ((a @ weights - b) ** 2).mean() > 1e-8:
        return []
    return [used[numeric[k]].name for k in np.flatnonzero(np.abs(weights) > 1e-3)]


def _sum_problem(sheet: Sheet, parts: Sequence[str]) -> Problem:
    return Problem(
        f"column{'s' * (len(parts) > 1)} {', '.join(map(repr, parts[:5]))}",
        f"add up (with weights) to the target {sheet.target!r} exactly",
        "are they known before the answer is? If not, remove them",
        kind="leaking columns",
        level="serious",
        items=tuple(parts),
    )
