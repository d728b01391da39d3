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

from glassnet.data import tablefiles, timelinecalendar, timelinestamps, tsf
from glassnet.data.frames import as_frame
from glassnet.data.parts import part_of
from glassnet.data.tables import require_column
from glassnet.data.timelinecalendar import ROWS, Calendar
from glassnet.data.timelinejoined import wide, with_one_stamp
from glassnet.data.timelinestamps import Stamps
from glassnet.data.timelinesteps import Stamped, Timeline, numbers, on_calendar
from glassnet.errors import UserError
from glassnet.task import Problem


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
    horizon: int | None = None
    """How many steps ahead the file asks for; None: it does not say."""
    repeated: int = 0
    """Time stamps that stand twice in their series."""
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
        found = _arranged(_frames(Path(str(data)), data, layout), str(data), layout)
        if Path(str(data)).suffix.lower() == ".tsf":
            found.horizon = tsf.horizon(Path(str(data)))
        return found
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
    _tell_wide(frames[0][1], layout, problems)
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
    series = [on_calendar(part, columns, calendar, time, problems) for part in stamped]
    found = Timelines(
        origin, [one for one in series if len(one.values)], columns, calendar, time, by
    )
    found.problems = problems
    found.repeated = sum(_repeated(stamps) for *_, stamps in stamped if stamps is not None)
    return found


def _repeated(stamps: Stamps) -> int:
    there = stamps.values[stamps.present]
    return len(there) - len(np.unique(there))


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
    first = frame.columns[0]
    if UNNAMED.match(first) and (stamps := timelinestamps.read(frame[first], timely=True)):
        years = stamps.values[stamps.present]
        if stamps.form == "years" and len(years) > 2 and (np.diff(years) > 0).all():
            return first
    return None


UNNAMED = re.compile(r"(?i)^(|unnamed.*|rownames|index|column_1)$")
"""What the names of rows stand under that a program has written beside a table."""


def _tell_wide(frame: pl.DataFrame, layout: Layout, problems: list[Problem]) -> None:
    found = wide(frame)
    if found is None or layout.time not in (None, found.time):
        return
    names = list(found.months)
    left = f"; {', '.join(found.others)} is not read" if found.others else ""
    problems.append(
        Problem(
            f"columns {names[0]} … {names[-1]}",
            f"a calendar: a row for each {found.year}, a column for each month",
            f"read as one monthly series, called value{left}; for twelve yearly series say --time "
            f"{found.year}",
            kind="calendar",
            level="note",
        )
    )


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
        if numbers(column) is not None and not _is_index(column):
            found.append(name)
        else:
            others.append(name)
    if others:
        listed = ", ".join(repr(name) for name in others[:10])
        problems.append(Problem(f"column {listed}", "holds no measured numbers", "not read"))
    return found


def _is_index(column: pl.Series) -> bool:
    """Whether a program counted the rows there."""
    if UNNAMED.match(column.name) and column.name != "column_1":  # which may be a real column
        return True
    if not re.match(r"(?i)^(column_1|id|row|row_?id|nr|no|number)$", column.name):
        return False
    found = numbers(column)
    return (
        found is not None
        and len(found) > 1
        and bool((found.diff()[1:] == 1).fill_null(False).all())
    )


# --- Steps ----------------------------------------------------------------------------------------


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
    if longest.doubt:
        where = f"column {time!r}"
        what, remedy = longest.doubt
        problems.append(Problem(where, what, remedy, kind="time stamps", level="note"))
    if layout.frequency is not None:
        return timelinecalendar.named(layout.frequency, longest)
    if (found := timelinecalendar.find(longest)) is not None:
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


def is_folder_of_series(path: Path) -> bool:
    """Whether a folder holds several tables of the same columns, none called train or test."""
    files = tablefiles.table_files(path)
    return len(files) > 1 and not any(part_of(file.name) for file in files)
