"""Time stamps that stand in several columns, and calendars with a column for each month."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

PARTS = {
    "year": r"year|yr|yyyy|jahr",
    "quarter": r"quarter|qtr|quartal",
    "month": r"month|mon|mo|monat",
    "day": r"day|dy|doy|day_?of_?year|tag",
    "hour": r"hour|hr|stunde",
    "minute": r"minute|min",
}
"""Names of columns that hold a part of a time stamp, in lower case."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class Wide:
    """A calendar with a row for each year and a column for each month."""

    year: str
    months: dict[str, int]
    """Name of the column -> 1 to 12."""
    texts: list[str]
    """What says whose row it is, such as a station."""
    others: list[str]
    """What is left, such as the mean of the year."""

    @property
    def time(self) -> str:
        """What the joined column of time stamps is called."""
        return f"{self.year}+month"


def with_one_stamp(frame: pl.DataFrame, time: str | None = None) -> pl.DataFrame:
    """Join a year and a month, quarter, day or hour that stand in columns of their own.

    Months beside each other are put below each other first, as ``value``. ``time`` is the column
    that was asked for, if any: one that is there is left as it is.
    """
    found = wide(frame)
    if found is not None and time in (None, found.time):
        frame = _below(frame, found)
    given = _parts(frame)
    if time is not None and time not in frame.columns:
        if time != "+".join(given.values()):
            return frame
    elif time is not None or len(given) < 2 or "year" not in given:
        return frame
    whole = {part: _numbers(frame[name], part) for part, name in given.items()}
    if any(column.null_count() for column in whole.values()):
        return frame
    stamp = _joined(whole).alias("+".join(given.values()))
    return frame.drop(list(given.values())).insert_column(0, stamp)


def wide(frame: pl.DataFrame) -> Wide | None:
    """The calendar with a column for each month, if the table is one."""
    found = {name: MONTHS.index(name.strip().lower()[:3]) + 1
             for name in frame.columns if name.strip().lower()[:3] in MONTHS}  # fmt: skip
    years = [name for name in frame.columns if re.fullmatch(PARTS["year"], name.lower())]
    if len(found) != 12 or len(set(found.values())) != 12 or not years:
        return None
    rest = [name for name in frame.columns if name not in found and name != years[0]]
    texts = [name for name in rest if frame[name].dtype == pl.String]
    return Wide(years[0], found, texts, [name for name in rest if name not in texts])


def _below(frame: pl.DataFrame, found: Wide) -> pl.DataFrame:
    """A row for each month, in order of time."""
    if any(frame[name].dtype == pl.String for name in found.months):
        frame = frame.with_columns(pl.col(list(found.months)).cast(pl.String))
    long = frame.unpivot(
        on=list(found.months), index=[found.year, *found.texts], variable_name="month"
    )
    long = long.with_columns(pl.col("month").replace_strict(found.months, return_dtype=pl.Int64))
    return long.sort([*found.texts, found.year, "month"])


def _parts(frame: pl.DataFrame) -> dict[str, str]:
    """Year, month … -> the column that holds it."""
    return {
        part: next(name for name in frame.columns if re.fullmatch(names, name.strip().lower()))
        for part, names in PARTS.items()
        if any(re.fullmatch(names, name.strip().lower()) for name in frame.columns)
    }


def _numbers(column: pl.Series, part: str) -> pl.Series:
    """Whole numbers; months may be called by their names."""
    if column.dtype == pl.String and part == "month":
        names = {name: str(number) for number, name in enumerate(MONTHS, 1)}
        short = column.str.strip_chars().str.to_lowercase()
        column = short.str.slice(0, 3).replace(names).str.strip_prefix("m")
    return column.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)


def _joined(whole: dict[str, pl.Series]) -> pl.Series:
    """2021-03-01, with the hour and the minute if there are any."""
    table = pl.DataFrame(whole)
    month: pl.Expr = pl.lit(1)
    if "month" in whole:
        month = pl.col("month")
    elif "quarter" in whole:
        month = (pl.col("quarter") - 1) * 3 + 1
    day = pl.col("day") - 1 if "day" in whole else pl.lit(0)  # of a year without months: of it
    clock = [pl.col(part) if part in whole else pl.lit(0) for part in ("hour", "minute")]
    first = pl.date(pl.col("year"), month, pl.lit(1)).cast(pl.Datetime("us"))
    later = first + pl.duration(days=day, hours=clock[0], minutes=clock[1])
    form = "%Y-%m-%d %H:%M" if "hour" in whole else "%Y-%m-%d"
    return table.select(stamp=later.dt.strftime(form))["stamp"]
