"""Rows that belong together, such as those of one patient: they must not be torn apart.

If rows of one patient are in training and in the test, a network that recognizes the patient looks
better than it is. A column is suspected of naming such groups if it holds whole numbers or texts,
has many values with a few rows each, and either is named like a group, or other columns hardly
change within its groups, much less than within groups of the same sizes drawn at random.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glassnet.data.columns import Column
from glassnet.data.doctor.sheet import PARTS, TEST, TRAIN, VALIDATION, Sheet, numbers_of
from glassnet.task import Problem

Array = NDArray[Any]

NAME = re.compile(
    r"(?i)(^|[_\W]|(?<=[a-z])(?=[A-Z]))(patient|subject|person|user|customer|client|member|"
    r"student|household|family|group|session|visit|case|animal|mouse|donor|specimen|speaker|"
    r"author|device|machine|sensor|batch|plate|slide|scan|video|clip|scene|ticket|account)s?"
    r"([_\W]?(id|nr|no|number|code|name|key))?$|[a-z]_?(id|ID|Id)$"
)
_ID = re.compile(r"(?i)[_\W](id|nr|no|number|code|key)$|[a-z](ID|Id)$")
_CODE = re.compile(r"^[A-Za-z]{0,8}[-_ ]?\d{2,}[A-Za-z]?$|^[0-9a-fA-F-]{8,}$")
FEWEST, MOST, MOST_IF_NAMED = 10, 0.5, 0.9
"""Values that a column of groups has: at least, and at most as a share of the rows."""
STEADY = 0.9
"""Share of rows that agree with the commonest of their group for a column to be steady in it."""
DRAWN = 20_000
"""Rows on which the other columns are compared."""


def check(sheet: Sheet) -> Iterator[Problem]:
    """Columns that seem to name groups, and groups that the parts tear apart."""
    for column in sheet.columns:
        cells = sheet.frame[column.name]
        named = bool(NAME.search(column.name))
        if not _is_possible(cells, column, named):
            continue
        steady = _steady(sheet, cells)
        # A number may be an amount, such as of households, even if it is named like a group.
        certain = named and (column.kind != "number" or bool(_ID.search(column.name)))
        if not certain and not (steady and (named or _holds_codes(cells))):
            continue
        group = np.unique(cells.hash(seed=1).to_numpy(), return_inverse=True)[1]
        group = np.where(cells.is_null().to_numpy(), -1, group)
        yield _torn(sheet, f"column {column.name!r}", cells, group, steady)


def _is_possible(cells: pl.Series, column: Column, named: bool) -> bool:
    """Whether there are many values, most of them with a few rows each, and no fractions."""
    if column.kind not in ("number", "category", "text"):
        return False
    if column.kind == "number":
        numbers = numbers_of(pl.DataFrame([cells]), [column])[0][:, 0]
        if (numbers[~np.isnan(numbers)] % 1 != 0).any():
            return False
    present = cells.drop_nulls()
    most = MOST_IF_NAMED if named else MOST
    return FEWEST <= present.n_unique() <= most * len(present)


def _holds_codes(cells: pl.Series) -> bool:
    """Whether the values look like codes (P0012, 45dd12ab) rather than amounts or names."""
    if cells.dtype != pl.String:
        return False
    some = cells.drop_nulls().unique().sort().head(200).to_list()
    return sum(bool(_CODE.match(text)) and not text.isdigit() for text in some) >= 0.9 * len(some)


def _steady(sheet: Sheet, cells: pl.Series) -> list[str]:
    """Other columns that agree within the groups, and would not if these were drawn at random."""
    rows = np.arange(min(len(cells), DRAWN))
    group = np.unique(cells[rows].hash(seed=1).to_numpy(), return_inverse=True)[1]
    drawn = np.random.default_rng(0).permutation(group)
    found = []
    for column in sheet.used:
        if column.name == cells.name:
            continue
        values = np.unique(
            sheet.frame[column.name][rows].hash(seed=1).to_numpy(), return_inverse=True
        )[1]
        here, chance = _agreement(group, values), _agreement(drawn, values)
        if here >= STEADY and 1 - here < 0.3 * (1 - chance):
            found.append(column.name)
    return found


def _agreement(group: Array, values: Array) -> float:
    """Share of rows that have the commonest value of their group; lone rows do not count."""
    sizes = np.bincount(group)
    width = int(values.max()) + 1
    pairs, counts = np.unique(group * width + values, return_counts=True)
    best = np.zeros(len(sizes), np.int64)
    np.maximum.at(best, pairs // width, counts)
    several = sizes > 1
    return float(best[several].sum() / max(sizes[several].sum(), 1))


def _shown(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _torn(sheet: Sheet, where: str, cells: pl.Series, group: Array, steady: list[str]) -> Problem:
    seen = np.unique(group[(sheet.parts == TRAIN) & (group >= 0)])
    torn = {
        part: np.unique(group[(sheet.parts == part) & np.isin(group, seen)])
        for part in (VALIDATION, TEST)
    }
    first = {int(g): k for k, g in reversed(list(enumerate(group)))}
    sizes = np.bincount(group[group >= 0])
    concerned = np.unique(np.concatenate(list(torn.values())))
    values = len(np.unique(group[group >= 0]))
    told = " and ".join(f"{len(g):,} in {PARTS[p]}" for p, g in torn.items() if len(g))
    why = f"; {', '.join(map(repr, steady[:4]))} hardly change within its groups" if steady else ""
    return Problem(
        where,
        f"seems to name groups of rows ({values:,} values for {int((group >= 0).sum()):,} rows"
        f"{why}); "
        + (f"of the groups of training, {told} as well" if told else "no part splits one"),
        "if rows of one group are alike, figures flatter: keep each group in one part, by giving "
        "train.csv and test.csv that you divide by this column"
        if told
        else "good as it is",
        kind="groups across parts",
        level="note" if not told else "warning",
        items=tuple(f"{_shown(cells[first[int(g)]])}: {sizes[g]} rows" for g in concerned),
    )
