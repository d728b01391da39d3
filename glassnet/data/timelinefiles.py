"""Series in time as they are published -> columns of numbers on one calendar.

A table with a column of time stamps and one or many of numbers; several series below each other
with their names in a column; a folder with a table for each series; .tsf (Monash). What is missing
is NaN, what stands twice is averaged, what is not in order is sorted, and each is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glassnet.data import cells, tablefiles, timelinestamps, tsf
from glassnet.data.frames import as_frame
from glassnet.data.parts import part_of
from glassnet.data.tables import require_column
from glassnet.data.timelinestamps import ROWS, Calendar, Stamps
from glassnet.errors import UserError
from glassnet.task import Problem

Floats = NDArray[np.float64]
MAX_SHOWN = 5


@dataclass
class Timeline:
    """One series: a row for each step of the calendar."""

    name: str
    first: int
    """The step of the first row."""
    values: Floats
    """(T, columns); NaN is missing."""


@dataclass
class Timelines:
    """Series on one calendar."""

    origin: str
    series: list[Timeline]
    columns: list[str]
    calendar: Calendar
    time: str | None
    """The column of time stamps; None: rows are steps."""
    by: str | None
    """The column with the names of the series."""
    separator: str = ","
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """How a table is to be read: known from training, or found."""

    time: str | None = None
    by: str | None = None
    frequency: str | None = None
    calendar: Calendar | None = None
    """Known from training."""
    columns: Sequence[str] | None = None
    """Those that are needed; unset: all that hold numbers."""
    timeless: bool = False
    """Known from training: rows are steps."""


def read(data: Any, layout: Layout) -> Timelines:
    """Read a file, a folder, or a frame.

    Raises:
        UserError: If there is no such file or column, or no column of numbers.
    """
    if isinstance(data, str | Path):
        return _arranged(_frames(Path(str(data)), data, layout), str(data), layout)
    origin = f"a {type(data).__module__.split('.')[0]} frame"
    return _arranged([("", as_frame(data))], origin, layout)


def _frames(path: Path, reference: str | Path, layout: Layout) -> list[tuple[str, pl.DataFrame]]:
    """Name and table of each file; the name is empty if there is one."""
    if path.is_dir():
        files = tablefiles.table_files(path)
        if len(files) > 1:
            return [(file.stem, _table(file)) for file in files]
    if path.suffix.lower() == ".tsf":
        return tsf.frames(path)
    return [("", _table(reference))]


def _table(reference: str | Path) -> pl.DataFrame:
    read = tablefiles.read(reference)
    frame = tablefiles.missing_to_null(read.frame)
    if not frame.height:
        raise UserError(f"{reference} holds no rows. Expected a table with rows of data.")
    return frame


def _arranged(frames: list[tuple[str, pl.DataFrame]], origin: str, layout: Layout) -> Timelines:
    """All series of all tables, on one calendar."""
    problems: list[Problem] = []
    frames = [(name, with_one_stamp(frame, layout.time)) for name, frame in frames]
    head = frames[0][1]
    for name, role in ((layout.time, "time stamps"), (layout.by, "names of series")):
        if name is not None:
            require_column(head, name, origin, f"the {role}")
    time = None if layout.timeless else layout.time or time_column(head)
    by = layout.by or _series_column(head, time)
    parts = [
        ("/".join(filter(None, [name, str(key)])) if by else name, rows.drop(by) if by else rows)
        for name, frame in frames
        for key, rows in _split(frame, by)
    ]
    columns = list(layout.columns or _columns(head, time, by, problems))
    if not columns:
        raise UserError(
            f"{origin} has no column of numbers to forecast"
            f"{f' beside the time stamps in {time!r}' if time else ''}. Its columns: "
            f"{', '.join(head.columns[:20])}."
        )
    for name in columns:
        for where, frame in frames:
            require_column(frame, name, "/".join(filter(None, [origin, where])), "read")
    stamped = [(name, rows, _stamps(rows, time, layout, origin)) for name, rows in parts]
    calendar = _calendar(stamped, layout, origin, time, problems)
    series = [_timeline(part, columns, calendar, time, problems) for part in stamped]
    found = Timelines(
        origin, [one for one in series if len(one.values)], columns, calendar, time, by
    )
    found.problems = problems
    return found


# --- Which column is what -------------------------------------------------------------------------


def time_column(frame: pl.DataFrame) -> str | None:
    """The column of time stamps: of dates, else of even numbers under a name such as year."""
    for name in frame.columns:
        column = frame[name]
        if (
            (column.dtype == pl.String or column.dtype.is_temporal())
            and (stamps := timelinestamps.read(column.head(200))) is not None
            and stamps.are_dates
        ):
            return name
    for name in frame.columns:
        if timelinestamps.TIMELY.match(name) and timelinestamps.read(frame[name], timely=True):
            return name
    return None


PARTS = ("year", "quarter", "month", "day", "hour")


def with_one_stamp(frame: pl.DataFrame, time: str | None = None) -> pl.DataFrame:
    """Join a year and a month, quarter or day that stand in columns of their own."""
    names = {name.lower(): name for name in frame.columns}
    given = [names[part] for part in PARTS if part in names]
    if time is not None and time not in frame.columns:
        if time != "+".join(given):
            return frame
    elif time is not None or len(given) < 2 or given[0].lower() != "year":
        return frame
    whole = {name.lower(): frame[name].cast(pl.Float64, strict=False) for name in given}
    if any(column.null_count() for column in whole.values()):
        return frame
    month = whole.get("month", (whole["quarter"] - 1) * 3 + 1 if "quarter" in whole else None)
    pieces = [whole["year"].cast(pl.Int64).cast(pl.String)]
    for part in (month, whole.get("day")):
        text = "01" if part is None else part.cast(pl.Int64).cast(pl.String).str.zfill(2)
        pieces.append(pieces[0].str.replace(".*", "-") + text)
    if "hour" in whole:
        pieces.append(" " + whole["hour"].cast(pl.Int64).cast(pl.String).str.zfill(2) + ":00")
    joined = pieces[0]
    for piece in pieces[1:]:
        joined = joined + piece
    stamp = joined.alias("+".join(given))
    return frame.drop(given).insert_column(0, stamp)


def _series_column(frame: pl.DataFrame, time: str | None) -> str | None:
    """A column of names in which each name has every stamp once, where stamps stand twice."""
    if time is None or frame[time].n_unique() > 0.9 * frame.height:
        return None
    for name in frame.columns:
        column = frame[name]
        named = column.dtype == pl.String or bool(
            re.search(r"(?i)(^|_)(id|series|item|store|name|code|unique_id)$", name)
        )
        if name == time or not named or not 1 < column.n_unique() <= frame.height / 3:
            continue
        if frame.select(name, time).n_unique() >= 0.98 * frame.height:
            return name
    return None


def _split(frame: pl.DataFrame, by: str | None) -> Iterator[tuple[Any, pl.DataFrame]]:
    if by is None:
        yield "", frame
        return
    for key, rows in frame.group_by(by, maintain_order=True):
        yield key[0], rows


def _columns(
    frame: pl.DataFrame, time: str | None, by: str | None, problems: list[Problem]
) -> list[str]:
    """The columns that hold numbers; the others are told."""
    found, others = [], []
    for name in frame.columns:
        if name in (time, by):
            continue
        column = frame[name]
        is_index = name == "" or bool(re.match(r"(?i)^(unnamed.*|rownames|index)$", name))
        if numbers(column) is not None and not is_index:
            found.append(name)
        else:
            others.append(name)
    if others:
        listed = ", ".join(repr(name) for name in others[:10])
        problems.append(Problem(f"column {listed}", "holds no measured numbers", "not read"))
    return found


def numbers(column: pl.Series) -> pl.Series | None:
    """The column as finite numbers, null where missing; None if it holds others things."""
    if column.dtype == pl.Boolean:
        return column.cast(pl.Float64)
    if column.null_count() == len(column):
        return None
    notation, _, found = cells.read_numbers(column, ",")
    return cells.finite(found) if notation else None


# --- Steps ----------------------------------------------------------------------------------------


Stamped = tuple[str, pl.DataFrame, Stamps | None]


def _stamps(rows: pl.DataFrame, time: str | None, layout: Layout, origin: str) -> Stamps | None:
    if time is None:
        return None
    require_column(rows, time, origin, "the time stamps")
    form = None if layout.calendar is None else layout.calendar.form
    stamps = timelinestamps.read(rows[time], form, timely=True)
    if stamps is None:
        examples = ", ".join(repr(str(value)) for value in rows[time].head(3))
        raise UserError(
            f"{origin}: the column {time!r} must hold time stamps"
            f"{f' as in training ({form})' if form else ''}, such as 2024-03-01 14:00, and holds "
            f"{examples}. Name another by --time."
        )
    return stamps


def _calendar(
    stamped: Sequence[Stamped],
    layout: Layout,
    origin: str,
    time: str | None,
    problems: list[Problem],
) -> Calendar:
    """The calendar of all series; rows as steps, and told, where there is none."""
    if layout.calendar is not None:
        return layout.calendar
    longest = max((stamps for *_, stamps in stamped if stamps is not None),
                  key=lambda stamps: int(stamps.present.sum()), default=None)  # fmt: skip
    if longest is None:
        return ROWS
    if layout.frequency is not None:
        return timelinestamps.named(layout.frequency, longest)
    if (found := timelinestamps.find(longest)) is not None:
        return found
    steps = np.diff(np.unique(longest.values[longest.present]))
    sizes = sorted({int(size) for size in steps.tolist()})
    shown = ", ".join(_distance(size, longest) for size in (sizes[:2] + sizes[-1:]))
    problems.append(
        Problem(
            f"column {time!r}",
            f"its time stamps are not even: neighbours are {shown} apart",
            "each row is read as one step, in order of time; to average them on an even calendar, "
            "say which, as --frequency hour, day, week or month",
            kind="irregular calendar",
        )
    )
    return ROWS


def _distance(size: int, stamps: Stamps) -> str:
    if not stamps.are_dates:
        return str(size)
    for unit, length in (("days", 86_400e6), ("hours", 3600e6), ("minutes", 60e6)):
        if size >= length:
            return f"{size / length:.4g} {unit}"
    return f"{size / 1e6:.4g} seconds"


def _timeline(
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


def is_folder_of_series(path: Path) -> bool:
    """Whether a folder holds several tables of the same columns, none called train or test."""
    files = tablefiles.table_files(path)
    return len(files) > 1 and not any(part_of(file.name) for file in files)
