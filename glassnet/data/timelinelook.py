"""A look at a table: is it measured over time, so that it asks to be continued?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glassnet import references
from glassnet.task import Look, Problem

LEAST_STEPS = 20


def look(path: str | Path, target: str | None) -> Look | None:
    """What is measured over time there; None if there are no stamps, or rows are no steps in time.

    A ``target`` of classes is not forecast.
    """
    from glassnet.data import tablefiles, timelinefiles
    from glassnet.errors import UserError

    if references.is_database(path):
        return None
    where, _ = references.split(path)
    is_table = where.is_file() and tablefiles.is_table(where)
    is_tsf = where.suffix.lower() == ".tsf" and where.is_file()
    if not (is_table or is_tsf or timelinefiles.is_folder_of_series(where)):
        return None
    try:
        layout = timelinefiles.Layout()
        found = timelinefiles.read(path, layout) if is_tsf or _may_be(where, path) else None
    except UserError:
        return None  # who reads it as a table says what is wrong
    if found is None or _is_class(found, target):
        return None
    if not (_is_even(found, is_tsf) or (target is None and _is_log(found))):
        return None
    return Look("timeline", path, _summary(found), found.problems, _details(found))


def _may_be(where: Path, path: str | Path) -> bool:
    """Whether the table has a column of dates, or of years; read cheaply."""
    from glassnet.data import tablefiles, timelinefiles, timelinejoined

    if where.is_dir():
        path = tablefiles.table_files(where)[0]
    read = tablefiles.read(path)
    if len(read.files) > 1:  # train and test: rows of a table
        return False
    frame = timelinejoined.with_one_stamp(tablefiles.missing_to_null(read.frame))
    return frame.height > 0 and timelinefiles.time_column(frame) is not None


def _is_even(found: Any, is_tsf: bool) -> bool:
    """Whether the stamps lie on a calendar, and few stand twice."""
    if found.calendar.unit == "rows" and not is_tsf:
        return False
    steps = max(len(one.values) for one in found.series)
    return steps >= LEAST_STEPS and found.repeated <= OFTEN * steps


def note(frame: Any) -> list[Problem]:
    """What to say of a table (a polars frame) with time stamps that is not read as a series."""
    from glassnet.data import timelinefiles, timelinejoined

    frame = timelinejoined.with_one_stamp(frame)
    time = timelinefiles.time_column(frame)
    steps = 0 if time is None else frame[time].n_unique()
    if steps < LEAST_STEPS:
        return []
    what = f"holds {steps:,} time stamps in {frame.height:,} rows, and rows are read one by one"
    remedy = (
        "to forecast what comes after the last of them, say --task forecasting; --series names the "
        "column that tells several series apart, --frequency day averages the rows of a day"
    )
    return [Problem(f"column {time!r}", what, remedy, kind="time stamps", level="note")]


OFTEN = 0.05
"""Share of the steps that may stand twice in a table that is a series all the same."""


def _is_log(found: Any) -> bool:
    """Whether numbers alone were written down in order of time, though at uneven moments.

    Rows that stand in no order, or that say more than numbers, are rows of a table: orders, visits.
    """
    told = [problem for problem in found.problems if problem.level != "note"]
    odd = ("earlier than", "no time stamp", "holds no", "no finite")
    if any(word in problem.what for problem in told for word in odd):
        return False
    steps = max(len(one.values) for one in found.series)
    return steps >= LEAST_STEPS and found.repeated <= OFTEN * steps


def _is_class(found: Any, target: str | None) -> bool:
    """Whether the target is none of the columns of numbers, or holds few different ones."""
    import numpy as np

    if not target:
        return False
    names = [name.strip() for name in target.split(",")]
    if any(name not in found.columns for name in names):
        return True
    places = [found.columns.index(name) for name in names]
    values = np.concatenate([one.values[:, places] for one in found.series])
    return any(len(np.unique(column[np.isfinite(column)])) <= 2 for column in values.T)


def _summary(found: Any) -> list[tuple[str, str]]:
    longest = max(found.series, key=lambda one: len(one.values))
    first, last = longest.first, longest.first + len(longest.values) - 1
    import numpy as np

    begin, end = found.calendar.written(np.array([first, last]))
    kind = "series in time" if len(found.series) > 1 else "a series in time"
    return [
        ("Kind", kind),
        ("Time", f"{found.time or 'none'}: {found.calendar.name}"),
        ("Series", f"{len(found.series):,}" + (f" (column {found.by})" if found.by else "")),
        ("Steps", f"{len(longest.values):,}, {begin} to {end}"),
        ("Variables", ", ".join(found.columns[:20])),
    ]


def _details(found: Any) -> dict[str, Any]:
    return {
        "num_rows": sum(len(one.values) for one in found.series),
        "time": found.time,
        "series": found.by,
        "calendar": found.calendar.name,
        "variables": found.columns,
    }
