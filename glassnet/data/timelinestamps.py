"""Time stamps as people write them -> numbers, and the regular calendar that they stand on.

A calendar counts steps: hours, days, working days, months … from its first stamp. That a row is
missing, or stands twice, can be said of steps only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from glassnet.data import cells
from glassnet.errors import UserError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TIMELY = re.compile(
    r"(?i)^(date|time|date_?time|time_?stamps?|ds|day|week|month|year|quarter|period|when|epoch|"
    r"unix.*|t|step|index|jahr|datum|monat|zeit|tag|.*_(date|time|at|timestamp)|(date|time)_.*)$"
)
"""Names of columns of numbers that may well be time stamps."""
SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86_400
MICRO = 1_000_000
_QUARTER = r"^\s*(?P<year>\d{4})\s?[-:/]?\s?[Qq](?P<quarter>[1-4])\s*$"
_QUARTER_FIRST = r"^\s*[Qq](?P<quarter>[1-4])\s?[-:/]?\s?(?P<year>\d{4})\s*$"
FURTHER = (
    "%b %Y", "%B %Y", "%Y %b", "%b-%Y", "%b-%y", "%m/%Y", "%d/%m/%Y %H:%M:%S",
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
    if form is not None:
        dates = _written(text, form)
        return _of(dates, form) if dates.null_count() <= 0.5 * len(text) else None
    bare = text.str.replace(r"(Z|[+-]\d{2}:?\d{2})$", "")  # the time on local clocks, as elsewhere
    zoned = bool(text.str.contains(r":\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})$").fill_null(False).all())
    forms = [*cells.DATES, "quarters", *FURTHER]
    forms.remove("clock")
    rows = [
        (name, _written(bare if zoned else text, name)) for name in forms if _likely(text, name)
    ]
    least = 0.5 * (len(text) - text.null_count())
    rows = [(name, dates) for name, dates in rows if len(dates) - dates.null_count() > least]
    if not rows:
        return None
    # Where day and month could be either, the way that gives even steps is meant.
    best = min(rows, key=lambda row: (row[1].null_count(), _unevenness(row[1])))
    return _of(best[1], best[0])


def _likely(text: pl.Series, form: str) -> bool:
    head = text.drop_nulls().head(50)
    return _written(head, form).null_count() <= 0.5 * len(head)


def _written(text: pl.Series, form: str) -> pl.Series:
    """Dates that are written in this form; null where not."""
    if form in cells.DATES:
        return cells.dates(text, form)
    if form == "quarters":
        first, second = (text.str.extract_groups(p).struct.unnest() for p in
                         (_QUARTER, _QUARTER_FIRST))  # fmt: skip
        year = first["year"].fill_null(second["year"])
        month = (first["quarter"].fill_null(second["quarter"]).cast(pl.Int64) - 1) * 3 + 1
        whole = year + "-" + month.cast(pl.String) + "-01"
        return whole.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
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
    steps = np.diff(dates.drop_nulls().head(5000).cast(pl.Int64).to_numpy())
    return float(len(np.unique(steps)) + 1e6 * float(np.mean(steps < 0)))


def _of(dates: pl.Series, form: str) -> Stamps:
    values = dates.cast(pl.Int64)
    there = values.is_not_null().to_numpy()
    return Stamps(values.fill_null(0).to_numpy().astype(np.int64), there, form)


# --- Calendars ------------------------------------------------------------------------------------


class Calendar(BaseModel):
    """Even steps through time; part of ``facts.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Literal["seconds", "months", "business days", "numbers", "rows"]
    count: int
    """Units in a step."""
    origin: int
    """Step 0: microseconds since 1970, months since year 0, working days since 1970, a number."""
    day: int = 0
    """Of months: microseconds from the first day's beginning; -1: the last day of each month."""
    form: str = "stamps"
    """How stamps are written in the data."""

    @property
    def name(self) -> str:
        """For people: 'hourly', 'every 15 minutes', 'monthly' …"""
        known = {
            ("seconds", HOUR): "hourly", ("seconds", DAY): "daily", ("seconds", 7 * DAY): "weekly",
            ("months", 1): "monthly", ("months", 3): "quarterly", ("months", 12): "yearly",
            ("business days", 1): "on working days", ("rows", 1): "row by row",
        }  # fmt: skip
        if (self.unit, self.count) in known:
            return known[self.unit, self.count]
        if self.unit != "seconds":
            return f"every {self.count} {self.unit}" if self.count > 1 else "by numbers"
        for size, name in ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes"), (1, "seconds")):
            if self.count % size == 0:
                return f"every {self.count // size} {name}" if self.count > size else name[:-1]
        raise AssertionError("every number of seconds is a multiple of one second")

    def steps(self, values: Ints) -> tuple[Ints, Bools]:
        """The step of each stamp, and whether it lies exactly on it."""
        if self.unit == "months":
            months, rest = _months(values)
            step, off = np.divmod(months - self.origin, self.count)
            at_end = _month_start(months + 1) - _month_start(months) - DAY * MICRO
            day = at_end if self.day < 0 else np.full_like(rest, self.day)
            return step, (off == 0) & (rest - rest % (DAY * MICRO) == day - day % (DAY * MICRO))
        if self.unit == "business days":
            number, working = _working_days(values)
            return number - self.origin, working
        size = self.count * (MICRO if self.unit == "seconds" else 1)
        step, off = np.divmod(values - self.origin, size)
        return step, off == 0

    def values(self, steps: Ints) -> Ints:
        """The stamp of each step, in microseconds since 1970, or as a number."""
        if self.unit == "months":
            months = self.origin + steps * self.count
            start, following = _month_start(months), _month_start(months + 1)
            last = following - DAY * MICRO
            return last if self.day < 0 else np.minimum(start + self.day, following - 1)
        if self.unit == "business days":
            week, day = np.divmod(self.origin + steps, 5)
            return (week * 7 + day - 3) * DAY * MICRO
        size = self.count * (MICRO if self.unit == "seconds" else 1)
        return self.origin + steps * size

    @property
    def has_dates(self) -> bool:
        """Whether a step is a day, an hour …"""
        return self.unit in ("seconds", "months", "business days")

    def written(self, steps: Ints) -> list[str]:
        """Stamps for people, as precise as the steps are."""
        if not self.has_dates:
            return [str(value) for value in self.values(steps).tolist()]
        moments = self.values(steps).astype("datetime64[us]")
        if self.form == "years":
            return [str(m) for m in moments.astype("datetime64[Y]")]
        if self.form in ("year-month", "quarters", "YYYYMM") or (
            self.form not in cells.DATES and "%d" not in self.form and self.form.startswith("%")
        ):
            return [str(m) for m in moments.astype("datetime64[M]")]
        if self.unit != "seconds" or self.count % DAY == 0 and self.origin % (DAY * MICRO) == 0:
            return [str(m) for m in moments.astype("datetime64[D]")]
        precise = "datetime64[s]" if self.count % MINUTE or self.origin % (MINUTE * MICRO) else "m"
        kind: Any = precise if precise != "m" else "datetime64[m]"
        return [str(m).replace("T", " ") for m in moments.astype(kind)]


ROWS = Calendar(unit="rows", count=1, origin=0, form="rows")
"""Of data without stamps: each row is a step."""
ON_THE_GRID = 0.9
"""Share of the stamps that must lie on a calendar to be its own."""
SPARSEST = 0.2
"""Share of a calendar's steps that must have a stamp."""


def find(stamps: Stamps) -> Calendar | None:
    """The calendar that nearly all stamps lie on, without many holes; None if there is none."""
    values = np.unique(stamps.values[stamps.present])
    if len(values) < 3:
        return None
    for calendar in _candidates(values, stamps):
        step, exact = calendar.steps(values)
        full = len(np.unique(step[exact])) / (step.max() - step.min() + 1)
        if exact.mean() >= ON_THE_GRID and full >= SPARSEST:
            return calendar
    return None


def _candidates(values: Ints, stamps: Stamps) -> list[Calendar]:
    if not stamps.are_dates:
        size = _usual_step(values)
        return [Calendar(unit="numbers", count=size, origin=int(values[0]), form=stamps.form)]
    found = []
    months, rest = _months(values)
    days = rest // (DAY * MICRO)
    lengths = (_month_start(months + 1) - _month_start(months)) // (DAY * MICRO)
    apart = np.diff(np.unique(months))
    same = len(np.unique(days)) == 1 or (days == lengths - 1).all()
    if len(apart) and len(apart) >= 0.9 * (len(values) - 1) and same:
        last = bool((days == lengths - 1).all())
        found.append(
            Calendar(unit="months", count=_usual_step(np.unique(months)), origin=int(months[0]),
                     day=-1 if last else int(rest[0]), form=stamps.form)
        )  # fmt: skip
    number, working = _working_days(values)
    usual = _usual_step(values)
    if working.all() and usual == DAY * MICRO and len(values) >= 15:
        first = int(number[0])
        found.append(Calendar(unit="business days", count=1, origin=first, form=stamps.form))
    seconds = max(1, round(usual / MICRO))
    found.append(Calendar(unit="seconds", count=seconds, origin=int(values[0]), form=stamps.form))
    return found


def _usual_step(values: Ints) -> int:
    """The most frequent distance of neighbours; if few have it, what all are multiples of."""
    apart = np.diff(values)
    sizes, counts = np.unique(apart, return_counts=True)
    usual = int(sizes[counts.argmax()])
    if counts.max() < 0.5 * len(apart):
        common = int(np.gcd.reduce(apart))
        usual = common if common * 4 >= usual else usual
    return max(1, usual)


UNITS = {
    "second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY, "week": 7 * DAY,
}  # fmt: skip
MONTHS = {"month": 1, "quarter": 3, "year": 12}


def named(frequency: str, stamps: Stamps) -> Calendar:
    """The calendar that a person asks for: 'hour', '15 minutes', 'working day', '2 weeks'."""
    found = re.fullmatch(r"\s*(\d+)?\s*([a-z -]+?)s?\s*", frequency.lower())
    count, unit = (int(found[1] or 1), found[2]) if found else (0, "")
    first = stamps.values[stamps.present].min()
    if count and unit == "row":
        return ROWS
    if count and stamps.are_dates and unit in UNITS:
        size = count * UNITS[unit]
        origin = int(first) // (min(size, DAY) * MICRO) * (min(size, DAY) * MICRO)
        return Calendar(unit="seconds", count=size, origin=origin, form=stamps.form)
    if count and stamps.are_dates and unit in MONTHS:
        months, _ = _months(np.array([first]))
        size = count * MONTHS[unit]
        return Calendar(unit="months", count=size, origin=int(months[0]), form=stamps.form)
    if count == 1 and stamps.are_dates and unit in ("working day", "business day"):
        number, _ = _working_days(np.array([first]))
        return Calendar(unit="business days", count=1, origin=int(number[0]), form=stamps.form)
    raise UserError(
        f"frequency: expected row, second, minute, hour, day, working day, week, month, quarter or "
        f"year, with a number before it if it is not 1 (15 minutes), found {frequency!r}"
        + ("." if stamps.are_dates else "; these time stamps are no dates, so only row fits.")
    )


def _months(values: Ints) -> tuple[Ints, Ints]:
    """Months since year 0, and microseconds since the month began."""
    moments = values.astype("datetime64[us]")
    months = moments.astype("datetime64[M]")
    rest = (moments - months).astype("timedelta64[us]").astype(np.int64)
    return months.astype(np.int64) + 1970 * 12, rest


def _month_start(months: Ints) -> Ints:
    start = (months - 1970 * 12).astype("datetime64[M]").astype("datetime64[us]")
    return start.astype(np.int64)


def _working_days(values: Ints) -> tuple[Ints, Bools]:
    """Working days since the first Monday before 1970, and whether it is one, at midnight."""
    day, rest = np.divmod(values, DAY * MICRO)
    week, weekday = np.divmod(day + 3, 7)  # 1970 began on a Thursday
    return week * 5 + np.minimum(weekday, 4), (weekday < 5) & (rest == 0)
