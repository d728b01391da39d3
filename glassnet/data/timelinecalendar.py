"""The regular calendar that time stamps stand on.

A calendar counts steps: hours, days, working days, months … from its first stamp. That a row is
missing, or stands twice, can be said of steps only.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from glassnet.data import cells
from glassnet.data.timelinestamps import MICRO, Bools, Ints, Stamps
from glassnet.errors import UserError

SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86_400


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
