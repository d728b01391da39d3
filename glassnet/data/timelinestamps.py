"""Time stamps as people write them -> numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glassnet.data import cells

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TIMELY = re.compile(
    r"(?i)^(date|time|date_?time|time_?stamps?|ds|day|week|month|year|quarter|period|when|epoch|"
    r"unix.*|t|step|index|jahr|datum|monat|zeit|tag|.*_(date|time|at|timestamp)|(date|time)_.*)$"
)
"""Names of columns of numbers that may well be time stamps."""
MICRO = 1_000_000
_QUARTER = r"^\s*(?P<year>\d{4})\s?[-:/]?\s?[Qq](?P<quarter>[1-4])\s*$"
_QUARTER_FIRST = r"^\s*[Qq](?P<quarter>[1-4])\s?[-:/]?\s?(?P<year>\d{4})\s*$"
_ZONE = r"\s?(Z|UTC|GMT|[+-]\d{2}:?\d{2})$"
ZONE = rf":\d{{2}}(\.\d+)?{_ZONE}"
_WEEK = r"^(\d{4})\s?-?\s?[Ww](\d{1,2})(?:-?([1-7]))?$"
_WEEKDAY = r"(?i)^(mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?[.,]?\s+"
FIRST_YEAR = -30_610_224_000 * 1_000_000
"""The year 1000 in microseconds: what lies before is a year of two digits, read as four."""
FURTHER = (
    "%b %Y", "%B %Y", "%Y %b", "%b-%Y", "%b-%y", "%b %y", "%YM%m", "%b %d %Y", "%B %d %Y",
    "%m/%Y", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
    "%Y-%m-%d %H", "%Y-%m-%dT%H:%M", "%Y/%m/%d %H:%M:%S", "%Y%m%d %H:%M", "%Y%m%d %H:%M:%S",
    "%Y%m%dT%H%M%S", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%m-%d-%Y",
    "%d%b%Y", "%Y%b", "%Y-%m-%d %H-%M-%S", "%b-%d-%Y",
)  # fmt: skip
"""Ways of writing that tables of other kinds hardly have."""


@dataclass(frozen=True)
class Stamps:
    """A column of time stamps, read."""

    values: Ints
    """Microseconds since 1970, or whole numbers; meaningless where not ``present``."""
    present: Bools
    form: str
    """How they are written, as ``read`` takes it again; 'numbers …' if they are no dates."""
    doubt: tuple[str, str] | None = None
    """What else they could say, and how they were read; None: nothing else."""

    @property
    def are_dates(self) -> bool:
        """Whether they say a day, not only an order."""
        return not self.form.startswith("numbers")


def read(column: pl.Series, form: str | None = None, *, timely: bool = False) -> Stamps | None:
    """Read a column of time stamps; None if its cells are none.

    ``form`` is how they are known to be written. Numbers are taken for stamps if they are
    ``timely``: asked for, or the column is called so.
    """
    if column.dtype.is_temporal() and column.dtype not in (pl.Time, pl.Duration):
        return _of(column.cast(pl.Datetime("us")), "stamps")
    whole = _whole_numbers(column)
    if whole is not None:
        return _of_numbers(whole, form, timely)
    if column.dtype != pl.String or column.null_count() == len(column) or _are_numbers(column):
        return None
    return _of_texts(column, form)


def _are_numbers(column: pl.Series) -> bool:
    there = column.drop_nulls()
    return there.cast(pl.Float64, strict=False).null_count() < 0.5 * len(there)


def _whole_numbers(column: pl.Series) -> pl.Series | None:
    """The column as whole numbers, if all that is there are such."""
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric():
        numbers = column.cast(pl.Float64)
    else:
        return None
    there = cells.finite(numbers).drop_nulls()
    if not len(there) or len(there) < len(column) - column.null_count():
        return None
    return cells.finite(numbers) if bool((there == there.floor()).all()) else None


NUMBERS: dict[str, tuple[float, float]] = {
    "years": (1000, 2500),
    "YYYYMM": (1000_01, 2500_12),
    "YYYYMMDD": (1000_01_01, 2500_12_31),
    "seconds": (1e8, 1e10),
    "milliseconds": (1e11, 1e13),
    "microseconds": (1e14, 1e16),
}
"""Whole numbers that are dates, and in which range each way of writing lies."""


def _of_numbers(numbers: pl.Series, form: str | None, timely: bool) -> Stamps | None:
    there = numbers.drop_nulls()
    low, high = float(there.min()), float(there.max())  # type: ignore[arg-type]
    for name, (least, most) in NUMBERS.items():
        if form not in (None, name) or not least <= low <= high <= most:
            continue
        if not timely and name not in ("YYYYMMDD", "YYYYMM"):
            continue
        dates = _number_as_date(numbers, name)
        if dates.null_count() == numbers.null_count():
            return _of(dates, name)
    if (form in (None, "numbers")) and timely:
        values = numbers.fill_null(0).cast(pl.Int64).to_numpy().astype(np.int64)
        return Stamps(values, numbers.is_not_null().to_numpy(), "numbers")
    return None


def _number_as_date(numbers: pl.Series, name: str) -> pl.Series:
    whole = numbers.cast(pl.Int64)
    if name == "years":
        return (whole.cast(pl.String) + "-01-01").str.to_datetime(
            "%Y-%m-%d", strict=False, time_unit="us"
        )
    if name.startswith("YYYY"):
        text = whole.cast(pl.String) + ("" if name == "YYYYMMDD" else "01")
        return text.str.to_date("%Y%m%d", strict=False).cast(pl.Datetime("us"))
    factor = {"seconds": MICRO, "milliseconds": 1000, "microseconds": 1}[name]
    return (whole * factor).cast(pl.Datetime("us"))


def _of_texts(column: pl.Series, form: str | None) -> Stamps | None:
    text = column.str.strip_chars()
    if text.str.contains(ZONE).fill_null(False).any():
        text = text.str.replace(_ZONE, "")  # the time on local clocks
    if text.str.contains(_WEEKDAY).fill_null(False).any():
        text = text.str.replace(_WEEKDAY, "")
    if form is not None:
        dates = _written(text, form)
        return _of(dates, form) if dates.null_count() <= 0.5 * len(text) else None
    forms = [*cells.DATES, "quarters", "weeks", *FURTHER]
    forms.remove("clock")
    rows = [(name, _written(text, name)) for name in forms if _likely(text, name)]
    least = 0.5 * (len(text) - text.null_count())
    rows = [(name, dates) for name, dates in rows if len(dates) - dates.null_count() > least]
    if not rows:
        return None
    # Where day and month could be either, the way that gives even steps is meant.
    best = min(rows, key=lambda row: (row[1].null_count(), _unevenness(row[1])))
    return replace(_of(best[1], best[0]), doubt=_doubt(best[0], best[1], rows))


def _doubt(
    form: str, dates: pl.Series, rows: list[tuple[str, pl.Series]]
) -> tuple[str, str] | None:
    """Whether day and month could be meant the other way round in every cell."""
    both = ("day-month-year", "month-day-year")
    if form not in both:
        return None
    (other,) = (name for name in both if name != form)
    found = [read for name, read in rows if name == other]
    if not found or found[0].null_count() > dates.null_count() or (found[0] == dates).all():
        return None
    what = f"each date could be {form} or {other}"
    remedy = f"read as {form}, which gives the more even steps; if that is wrong, write 2021-02-28"
    return what, remedy


def _likely(text: pl.Series, form: str) -> bool:
    head = text.drop_nulls().head(50)
    return _written(head, form).null_count() <= 0.5 * len(head)


def _written(text: pl.Series, form: str) -> pl.Series:
    """Dates that are written in this form; null where not."""
    dates = _parsed(text, form)
    early = (dates.cast(pl.Int64) < FIRST_YEAR).fill_null(False)
    return dates.set(early, None) if early.any() else dates


def _parsed(text: pl.Series, form: str) -> pl.Series:
    if form in cells.DATES:
        return cells.dates(text, form)
    if form == "quarters":
        first, second = (text.str.extract_groups(p).struct.unnest() for p in
                         (_QUARTER, _QUARTER_FIRST))  # fmt: skip
        year = first["year"].fill_null(second["year"])
        month = (first["quarter"].fill_null(second["quarter"]).cast(pl.Int64) - 1) * 3 + 1
        whole = year + "-" + month.cast(pl.String) + "-01"
        return whole.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    if form == "weeks":
        parts = text.str.extract_groups(_WEEK).struct.unnest()
        day = parts.to_series(0) + "-" + parts.to_series(1).str.zfill(2) + "-"
        day = day + parts.to_series(2).fill_null("1")
        return day.str.to_date("%G-%V-%u", strict=False).cast(pl.Datetime("us"))
    if form == "stamps":
        return text.str.to_datetime(strict=False, time_unit="us")
    if "%d" not in form:
        text, form = text + " 01", f"{form} %d"
    if "%H" in form and "%M" not in form:
        text, form = text + ":00", f"{form}:%M"
    if "%H" in form or "%I" in form:
        return text.str.to_datetime(form, strict=False, time_unit="us")
    return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))


def _unevenness(dates: pl.Series) -> float:
    """How much the steps vary, in units of their mean; it is worse that time goes back."""
    values = dates.drop_nulls().head(5000).cast(pl.Int64).to_numpy()
    steps = np.diff(np.unique(values))
    spread = float(steps.std() / steps.mean()) if len(steps) else 0.0
    return spread + 1e3 * float(np.mean(np.diff(values) < 0) if len(values) > 1 else 0)


def _of(dates: pl.Series, form: str) -> Stamps:
    values = dates.cast(pl.Int64)
    there = values.is_not_null().to_numpy()
    return Stamps(values.fill_null(0).to_numpy().astype(np.int64), there, form)
