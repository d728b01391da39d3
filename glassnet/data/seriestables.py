"""Series that lie in tables: a row each, several rows each, or a file each in class folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glassnet.data import cells, layouts, tablefiles
from glassnet.data.members import is_litter
from glassnet.data.order import natural
from glassnet.data.parts import ORDER
from glassnet.data.rawtable import Read, missing_to_null
from glassnet.data.seriesfiles import Recorded, ended
from glassnet.data.tables import require_column
from glassnet.errors import UserError
from glassnet.task import Problem

Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]
TIMES = ("time", "timestamp", "timestamps", "date", "datetime", "t", "seconds", "ms")
"""Columns of a recording that are no measurement, if their values only grow."""
LABELS = ("label", "class", "target", "y")
WHOSE = ("id", "series", "series_id", "unit", "sample", "recording", "case", "instance", "trial")
"""Columns that say to which series a row belongs, if values repeat."""
FEW_COLUMNS, ROWS_EACH = 20, 3
"""A long table has at most so many columns, and at least so many rows for each series."""
UNEVEN = 0.01
"""Steps of time may differ by this share of their median."""
SUFFIXES = (".csv", ".tsv")


@dataclass(frozen=True)
class Columns:
    """What the columns of a table mean; empty where the data say it themselves."""

    target: str | None = None
    series: str | None = None
    """Whose rows with the same value are one series."""
    time: str | None = None
    group: str | None = None
    channels: tuple[str, ...] | None = None


# --- A row for each series ------------------------------------------------------------------------


def read_wide(path: str | Path, columns: Columns, labelled: bool = True) -> Recorded:
    """Read a table with a series in each row, a column for each step, in their order."""
    read = tablefiles.read(path, columns.target)
    return of_wide(read, str(path), columns, labelled)


def of_wide(read: Read, origin: str, columns: Columns, labelled: bool) -> Recorded:
    """The rows of a table, each as a series of one channel."""
    target = _target(read, origin, columns) if labelled else columns.target
    frame = missing_to_null(read.frame, target)
    others = [name for name in frame.columns if name not in (target, columns.group)]
    if labelled:
        _refuse_long(frame, others, target or "", origin)
    problems = list(read.problems)
    steps = _numeric(frame, others, read.separator, origin, problems)
    values = np.stack([steps[name] for name in steps], 1)
    return Recorded(
        series=[ended(row[:, None]) for row in values],
        labels=_texts(frame, target),
        names=_row_names(read),
        channels=["values"],
        parts=_parts(read),
        groups=_groups(frame, columns) if labelled else None,
        form="series in the rows of a table",
        target=target or "",
        problems=problems,
    )


def _refuse_long(frame: pl.DataFrame, others: Sequence[str], target: str, origin: str) -> None:
    """Refuse rows of which several are one series: read one by one, they would be nonsense.

    Such a table has a column of time or of the series' names, and another one, or the same, whose
    equal values stand for one label each.
    """
    named = [name for name in others if name.lower() in (*TIMES, *WHOSE)]
    if not named or len(others) > FEW_COLUMNS:
        return
    for name in others:
        distinct = frame[name].n_unique()
        if 1 < distinct <= frame.height / ROWS_EACH and (
            frame.select(name, target).n_unique() == distinct
        ):
            times = [one for one in named if one.lower() in TIMES and one != name]
            time = f" --time {times[0]}" if times else ""
            raise UserError(
                f"{origin}: equal values of column {name!r} stand in several rows with one "
                f"{target!r}, so the rows look like measurements, not like series. Say --series "
                f"{name}{time}; if each row is a series of its own, leave out the columns "
                f"{', '.join(map(repr, named))}."
            )


def _target(read: Read, origin: str, columns: Columns) -> str:
    if columns.target is not None:
        require_column(read.frame, columns.target, origin)
        return columns.target
    found = [name for name in read.frame.columns if name.lower() in LABELS]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(read.frame.columns[:5])
    raise UserError(
        f"{origin}: name the column of the labels by --target; the columns are {shown}"
        f"{f' … {read.frame.columns[-1]}' if read.frame.width > 5 else ''}."
    )


def _numeric(
    frame: pl.DataFrame, names: Sequence[str], separator: str, origin: str,
    problems: list[Problem],
) -> dict[str, Numbers]:  # fmt: skip
    """The columns that hold numbers, NaN for missing cells; the others are told."""
    found: dict[str, Numbers] = {}
    left = []
    for name in names:
        notation, _, values = cells.read_numbers(frame[name], separator)
        empty = frame[name].null_count() == frame.height
        if notation or empty:
            number = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
            found[name] = np.where(np.isfinite(number), number, np.nan)
        else:
            left.append(name)
    if left:
        shown = ", ".join(map(repr, left[:5])) + " …" * (len(left) > 5)
        what = f"{len(left)} of {len(names)} columns hold no numbers: {shown}"
        problems.append(Problem(origin, what, "they are not used", kind="unused columns"))
    if not found:
        raise UserError(f"{origin}: no column holds the numbers of a series.")
    return found


def _texts(frame: pl.DataFrame, target: str | None) -> list[str | None]:
    if target is None or target not in frame.columns:
        return [None] * frame.height
    return [None if one is None else str(one) for one in cells.as_text(frame[target])]


def _groups(frame: pl.DataFrame, columns: Columns) -> list[str] | None:
    if columns.group is None:
        return None
    require_column(frame, columns.group, "the group")
    return [str(value) for value in cells.as_text(frame[columns.group]).to_list()]


def _row_names(read: Read) -> list[str]:
    several = len(read.files) > 1
    return [
        f"{file + ' ' if several else ''}row {row + 1}"
        for file, _, count in read.files
        for row in range(count)
    ]


def _parts(read: Read) -> list[str]:
    if len({part for _, part, _ in read.files}) < 2:
        return []
    return [part for _, part, count in read.files for _ in range(count)]


# --- Several rows for each series -----------------------------------------------------------------


def read_long(path: str | Path, columns: Columns, labelled: bool = True) -> Recorded:
    """Read a table with a row for each step: columns for the series, the time, and each channel."""
    read = tablefiles.read(path, columns.target)
    return of_long(read, str(path), columns, labelled)


def of_long(read: Read, origin: str, columns: Columns, labelled: bool) -> Recorded:
    """The rows of a table, those of one series together, in order of time."""
    assert columns.series is not None
    require_column(read.frame, columns.series, origin)
    target = _target(read, origin, columns) if labelled else columns.target
    frame = missing_to_null(read.frame, target)
    whose = cells.as_text(frame[columns.series])
    if whose.null_count():
        raise UserError(
            f"{origin}: column {columns.series!r} is empty in {whose.null_count()} rows."
        )
    given = [target, columns.series, columns.time, columns.group]
    wanted = columns.channels or [name for name in frame.columns if name not in given]
    for name in wanted:
        require_column(frame, name, origin)
    problems = list(read.problems)
    channels = _numeric(frame, list(wanted), read.separator, origin, problems)
    values = np.stack(list(channels.values()), 1)
    labels, parts = _texts(frame, target), _parts(read)
    groups = _groups(frame, columns) if labelled else None
    times = _times(frame, columns.time, read.separator, origin)
    found = Recorded([], [], [], list(channels), problems=problems, form="series in a long table")
    found.target = target or ""
    found.groups = None if groups is None else []
    unsorted, uneven = [], []
    keys = whose.to_list() if not parts else [f"{p} {k}" for p, k in zip(parts, whose, strict=True)]
    for key, rows in _rows_by(keys).items():
        name = f"series {key}"
        if times is not None:
            rows, is_sorted, is_even = _in_time(times, rows, f"{origin}: {name}")
            unsorted += [name] * (not is_sorted)
            uneven += [name] * (not is_even)
        found.series.append(values[rows])
        found.labels.append(_only(labels, rows, f"{origin}: {name}", target or ""))
        found.names.append(name)
        found.parts += [parts[rows[0]]] if parts else []
        if groups is not None and found.groups is not None:
            found.groups.append(groups[rows[0]])
    _tell_times(origin, unsorted, uneven, len(found.series), problems)
    return found


def _rows_by(keys: Sequence[str]) -> Mapping[str, Rows]:
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return {key: np.array(held) for key, held in rows.items()}


def _only(labels: Sequence[str | None], rows: Rows, where: str, target: str) -> str | None:
    held = {labels[row] for row in rows}
    if len(held) > 1:
        shown = ", ".join(sorted(map(repr, held))[:5])
        raise UserError(f"{where} has several labels in column {target!r}: {shown}. Expected one.")
    return labels[int(rows[0])]


def _times(frame: pl.DataFrame, name: str | None, separator: str, origin: str) -> Numbers | None:
    """Numbers that grow with time, NaN where there is none."""
    if name is None:
        return None
    require_column(frame, name, origin)
    notation, _, found = cells.read_numbers(frame[name], separator)
    if not notation:
        order, dates = cells.read_dates(frame[name])
        if order is None:
            raise UserError(
                f"{origin}: column {name!r} holds neither numbers nor dates; the first cell says "
                f"{str(frame[name][0])!r}."
            )
        found = cells.days(dates)
    return found.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _in_time(times: Numbers, rows: Rows, where: str) -> tuple[Rows, bool, bool]:
    """The rows in order of time; whether they were, and whether their steps are equal."""
    held = times[rows]
    if np.isnan(held).any():
        raise UserError(f"{where}: {int(np.isnan(held).sum())} rows have no time.")
    order = held.argsort(kind="stable")
    steps = np.diff(held[order])
    if (steps == 0).any():
        place = int(np.flatnonzero(steps == 0)[0])
        raise UserError(
            f"{where}: two rows have the same time ({held[order][place]:g}). Remove one, or name "
            "the column that tells the series apart by --series."
        )
    even = not len(steps) or bool(np.abs(steps / np.median(steps) - 1).max() <= UNEVEN)
    return rows[order], bool((order[1:] > order[:-1]).all()), even


def _tell_times(
    origin: str, unsorted: Sequence[str], uneven: Sequence[str], total: int,
    problems: list[Problem],
) -> None:  # fmt: skip
    told = (
        (unsorted, "have rows that are not in order of time", "they were sorted by time"),
        (uneven, "have steps of unequal time",
         "they are read as if steps were equal; resample them if that is wrong"),
    )  # fmt: skip
    for names, what, remedy in told:
        if names:
            shown = ", ".join(names[:5]) + " …" * (len(names) > 5)
            problems.append(
                Problem(origin, f"{len(names)} of {total} series {what} ({shown})", remedy,
                        kind="time", items=tuple(names))
            )  # fmt: skip


# --- A file for each series -----------------------------------------------------------------------


def places(folder: Path) -> dict[str, tuple[str | None, str]]:
    """Part and class of each table in class folders below ``folder``; only names are looked at."""
    if not folder.is_dir():
        return {}
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    names = sorted((str(file) for file in files if not is_litter(str(file))), key=natural)
    tables = [name for name in names if name.lower().endswith(SUFFIXES)]
    if not tables or len(tables) < len(names) / 2:
        return {}
    found = {name: layouts.place(name) for name in tables}
    if any(part and label for part, label in found.values()):
        found = {name: place for name, place in found.items() if place[0]}
    return {name: (part, label) for name, (part, label) in found.items() if label}


def read_folders(folder: Path, columns: Columns) -> Recorded:
    """Read recordings in class folders: a file each, a row for each step, a column per channel."""
    held = places(folder)
    ordered = sorted(held, key=lambda name: ORDER.get(held[name][0] or "", 0))
    found = Recorded([], [], [], [], one="file", form="recordings in class folders")
    for name in ordered:
        part, label = held[name]
        read_recording(folder / name, columns, found)
        found.labels.append(label)
        found.names.append(name)
        found.parts += [part] if part else []
    return found


def read_recording(path: Path, columns: Columns, found: Recorded) -> None:
    """Append the series of one file to those found; its columns must be those of the others."""
    read = tablefiles.read_file(path)
    frame = missing_to_null(read.frame)
    time = columns.time or next((n for n in frame.columns if n.lower() in TIMES), None)
    wanted = [n for n in (found.channels or columns.channels or frame.columns) if n != time]
    if missing := [name for name in wanted if name not in frame.columns]:
        raise UserError(
            f"{path} lacks the channel {', '.join(map(repr, missing[:5]))}; its columns are "
            f"{', '.join(frame.columns[:20])}. All recordings need the same channels."
        )
    problems: list[Problem] = []
    channels = _numeric(frame, wanted, read.separator, str(path), problems)
    if found.channels and list(channels) != found.channels:
        raise UserError(
            f"{path}: column {next(n for n in found.channels if n not in channels)!r} holds no "
            "numbers, as it does in the recordings before."
        )
    if not found.channels:  # the others are like the first one
        found.channels = list(channels)
        found.problems += problems
    rows = np.arange(frame.height)
    times = _times(frame, time, read.separator, str(path))
    if times is not None:
        rows, is_sorted, is_even = _in_time(times, rows, str(path))
        unsorted, uneven = [path.name] * (not is_sorted), [path.name] * (not is_even)
        _tell_times(str(path), unsorted, uneven, 1, found.problems)
    found.series.append(np.stack(list(channels.values()), 1)[rows])
