"""The rows of a series, put on the steps of its calendar; what had to be done is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glassnet.data import cells
from glassnet.data.timelinecalendar import Calendar
from glassnet.data.timelinestamps import Stamps
from glassnet.errors import UserError
from glassnet.task import Problem

Floats = NDArray[np.float64]
Stamped = tuple[str, pl.DataFrame, Stamps | None]
MAX_SHOWN = 5


@dataclass
class Timeline:
    """One series: a row for each step of the calendar."""

    name: str
    first: int
    """The step of the first row."""
    values: Floats
    """(T, columns); NaN is missing."""


def on_calendar(
    part: Stamped,
    columns: Sequence[str],
    calendar: Calendar,
    time: str | None,
    problems: list[Problem],
) -> Timeline:
    """Put the rows of one series on the steps of the calendar."""
    name, rows, stamps = part
    where = f"series {name!r}" if name else f"column {time!r}"
    values = np.stack([_column(rows[column], where, problems) for column in columns], 1)
    if stamps is None:
        return Timeline(name, 0, values)
    if not stamps.present.all():
        gone = int((~stamps.present).sum())
        what = f"{gone} rows have no time stamp that could be read"
        problems.append(Problem(where, what, "left out", kind="time stamps"))
        values = values[stamps.present]
    moments = stamps.values[stamps.present]
    if len(moments) > 1 and (backward := int((np.diff(moments) < 0).sum())):
        problems.append(
            Problem(where, f"{backward:,} time stamps are earlier than the one before them",
                    "sorted by time", kind="time stamps")
        )  # fmt: skip
    order = np.argsort(moments, kind="stable")
    values, moments = values[order], moments[order]
    if calendar.unit == "rows":
        if twice := len(moments) - len(np.unique(moments)):
            what = f"{twice:,} time stamps occur more than once"
            remedy = "each row is a step of its own, since there is no even calendar"
            problems.append(Problem(where, what, remedy, kind="time stamps"))
        return Timeline(name, 0, values)
    steps, exact = calendar.steps(moments)
    return _on_steps(name, steps, exact, values, calendar, where, problems)


def _column(column: pl.Series, where: str, problems: list[Problem]) -> Floats:
    found = numbers(column)
    if found is None:
        if column.null_count() < len(column):
            problems.append(
                Problem(f"{where}, column {column.name!r}", "holds no numbers", "read as missing")
            )
        return np.full(len(column), np.nan)
    odd = int((found.is_null() & column.is_not_null()).sum())
    if odd:
        what = f"{odd} cells are no finite numbers"
        problems.append(Problem(f"column {column.name!r}", what, "treated as missing"))
    return found.fill_null(np.nan).to_numpy().astype(np.float64)


def _on_steps(
    name: str,
    steps: Any,
    exact: Any,
    values: Floats,
    calendar: Calendar,
    where: str,
    problems: list[Problem],
) -> Timeline:
    """Average what falls on one step, and leave NaN on the steps without a row."""
    distinct, place, counts = np.unique(steps, return_inverse=True, return_counts=True)
    resampled = not exact.all()
    if resampled and (off := int((~exact).sum())) < len(exact):
        what = f"{off:,} of {len(exact):,} time stamps do not lie on the calendar ({calendar.name})"
        remedy = "each counts for the step that it falls into"
        problems.append(Problem(where, what, remedy, kind="time stamps"))
    if len(distinct) < len(steps) and not resampled:
        twice = np.flatnonzero(counts > 1)
        shown = ", ".join(calendar.written(distinct[twice[:MAX_SHOWN]]))
        what = f"{len(twice):,} time stamps occur more than once ({shown})"
        remedy = "their rows were averaged; if they belong to several series, name the column that "
        remedy += "tells them apart by --series"
        problems.append(Problem(where, what, remedy, kind="time stamps"))
    length = int(distinct[-1] - distinct[0]) + 1
    if length > 20 * len(distinct) + 1000:
        raise UserError(
            f"{where}: from {' to '.join(calendar.written(distinct[[0, -1]]))} there are "
            f"{length:,} steps ({calendar.name}), and only {len(distinct):,} have a row. Look at "
            "the first and the last time stamp, or say --frequency row."
        )
    if missing := length - len(distinct):
        gaps = distinct[:-1][np.diff(distinct) > 1] + 1
        shown = ", ".join(calendar.written(gaps[:MAX_SHOWN]))
        what = f"{missing:,} of {length:,} steps ({calendar.name}) have no row ({shown}"
        what += " …)" if len(gaps) > MAX_SHOWN else ")"
        problems.append(Problem(where, what, "read as missing values", kind="missing steps"))
    total, count = (np.zeros((len(distinct), values.shape[1])) for _ in range(2))
    np.add.at(total, place, np.nan_to_num(values))
    np.add.at(count, place, ~np.isnan(values))
    whole = np.full((length, values.shape[1]), np.nan)
    with np.errstate(invalid="ignore"):
        whole[distinct - distinct[0]] = total / count
    return Timeline(name, int(distinct[0]), whole)


def numbers(column: pl.Series) -> pl.Series | None:
    """The column as finite numbers, null where missing; None if it holds others things."""
    if column.dtype == pl.Boolean:
        return column.cast(pl.Float64)
    if column.null_count() == len(column):
        return None
    notation, _, found = cells.read_numbers(column, ",")
    return cells.finite(found) if notation else None
