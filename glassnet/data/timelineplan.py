"""Which steps of the series are looked at and asked about: context, horizon, and parts in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassnet.data import timelineseasons
from glassnet.data.timelinecalendar import DAY, HOUR, Calendar
from glassnet.data.timelinefiles import Timelines
from glassnet.data.timelinesteps import Timeline
from glassnet.errors import UserError
from glassnet.task import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOGETHER = 0.6
"""Share of all steps that a series must have, so that all are parted at the same moments."""
DEEPEST = 512
"""The longest context that is chosen by itself."""


@dataclass(frozen=True)
class Wishes:
    """What was asked for; empty and None: chosen."""

    time: str | None = None
    series: str | None = None
    frequency: str | None = None
    target: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    horizon: int | None = None
    context: int | None = None
    parts: tuple[int, int, int] | None = None
    """Steps of train, validation and test, from the first step on."""
    test: float = 0.2
    validation: float = 0.2
    """Share of all steps, and share of the rest."""
    cut: bool = True
    """Whether rows are parted here, or by another hand, as in a rolling validation."""


@dataclass(frozen=True)
class Plan:
    """Origins of forecasts, and the part of each."""

    series: list[Timeline]
    """Those that are long enough."""
    rows: Tensor
    """int64 (N, 2): number of the series, and step in it at which the future begins."""
    parts: list[str]
    spans: tuple[Tensor, Tensor]
    context: int
    horizon: int
    seasons: list[int]


def make(found: Timelines, variables: int, wishes: Wishes) -> Plan:
    """Choose what was not asked for, and list the origins.

    Raises:
        UserError: If no series is long enough for training, validation and test.
    """
    series = [_trimmed(one, variables) for one in found.series]
    series = [one for one in series if len(one.values)]
    if not series:
        raise UserError(f"{found.origin}: the columns to forecast hold no numbers.")
    cuts = _cuts(series, wishes)
    learned = [
        one.values[:train, :variables] for one, (train, *_) in zip(series, cuts, strict=True)
    ]
    seasons = timelineseasons.find(learned, found.calendar)
    typical = int(np.median([len(values) for values in learned]))
    # Of many series, one that is too short for a part is left out, and does not decide.
    shortest = _usual_length([test - train for train, test, _ in cuts])
    if wishes.test or wishes.parts:
        shortest = min(shortest, _usual_length([end - test for _, test, end in cuts]))
    horizon = wishes.horizon or _horizon(found, seasons, typical, shortest)
    context = wishes.context or _context(seasons, horizon, typical)
    plan = _origins(found, series, cuts, context, horizon, wishes)
    return Plan(*plan, context, horizon, seasons)


def _trimmed(one: Timeline, variables: int) -> Timeline:
    """Without the steps before the first and after the last that were measured."""
    there = np.flatnonzero(np.isfinite(one.values[:, :variables]).any(1))
    if not len(there):
        return Timeline(one.name, one.first, one.values[:0])
    first, last = int(there[0]), int(there[-1])
    return Timeline(one.name, one.first + first, one.values[first : last + 1])


def _cuts(series: Sequence[Timeline], wishes: Wishes) -> list[tuple[int, int, int]]:
    """For each series the steps at which validation begins, test begins, and all ends."""
    if wishes.parts is not None:
        train, validation, test = wishes.parts
        for one in series:
            if len(one.values) < sum(wishes.parts):
                raise UserError(
                    f"parts: expected at most {len(one.values):,} steps in all"
                    f"{f' for the series {one.name!r}' if one.name else ''}, found {train:,} + "
                    f"{validation:,} + {test:,}."
                )
        return [(train, train + validation, train + validation + test)] * len(series)
    low = min(one.first for one in series)
    high = max(one.first + len(one.values) for one in series)
    together = all(len(one.values) >= TOGETHER * (high - low) for one in series)
    cuts = []
    for one in series:
        begin, length = (low, high - low) if together else (one.first, len(one.values))
        test = begin + length - round(length * wishes.test)
        train = test - round((test - begin) * wishes.validation)
        end = len(one.values)
        cuts.append((min(end, max(0, train - one.first)), min(end, test - one.first), end))
    return cuts


MANY = 8
"""Series from which on a part with one window of each says enough."""


def _usual_length(lengths: Sequence[int]) -> int:
    """How many steps of a part a horizon may take: half, so that there are some windows."""
    return int(np.median(lengths)) if len(lengths) >= MANY else min(lengths) // 2


def _horizon(found: Timelines, seasons: Sequence[int], typical: int, most: int) -> int:
    """What the file asks for, a season, or what people plan for; at most ``most``."""
    calendar = found.calendar
    usual = {"months": 12 // min(12, calendar.count), "business days": 5}.get(calendar.unit, 7)
    if calendar.unit == "months" and calendar.count >= 12:
        usual = 5
    if calendar.unit == "seconds" and calendar.count < DAY:
        usual = min(96, max(12, DAY // calendar.count))
    fitting = [season for season in seasons if season <= 96]
    wanted = found.horizon or (fitting[0] if fitting else usual)
    return max(1, min(wanted, most, typical // 4))


def _context(seasons: Sequence[int], horizon: int, typical: int) -> int:
    """Two of the longest seasons, or more for a long horizon; a third of the training at most."""
    longest = max([s for s in seasons if s <= DEEPEST // 2], default=1)
    wanted = max(2 * longest, round(3.5 * horizon), 16)
    return max(2, min(wanted, max(DEEPEST, horizon), typical // 3))


def _origins(
    found: Timelines,
    series: list[Timeline],
    cuts: list[tuple[int, int, int]],
    context: int,
    horizon: int,
    wishes: Wishes,
) -> tuple[list[Timeline], Tensor, list[str], tuple[Tensor, Tensor]]:
    kept: list[Timeline] = []
    rows, parts, first = [], [], []
    short = []
    for one, (train, test, end) in zip(series, cuts, strict=True):
        places = np.arange(context, end - horizon + 1)
        ends = places + horizon
        names = np.full(len(places), "", "<U10")
        names[ends <= train] = "train"
        if not wishes.cut:
            names[ends <= test] = "train"
        else:
            names[(places >= train) & (ends <= test)] = "validation"
        names[places >= test] = "test"
        if not (names == "train").any():
            short.append(one)
            continue
        measured = np.isfinite(one.values).any(1)
        seen = np.concatenate([[0], np.cumsum(measured)])
        used = (names != "") & (seen[ends] > seen[places])
        rows.append(np.stack([np.full(used.sum(), len(kept)), places[used]], 1))
        parts += names[used].tolist()
        first.append(one.first + places[used])
        kept.append(one)
    missing = _missing(parts, wishes) if kept else "training"
    if missing:
        _refuse(found, series, cuts, context, horizon, missing)
    if short:
        _tell_short(found, short, context + horizon)
    begins = torch.from_numpy(np.concatenate(first))
    whole = torch.from_numpy(np.concatenate(rows))
    return kept, whole, parts, (begins, begins + horizon)


def _missing(parts: Sequence[str], wishes: Wishes) -> str:
    """The first part that has no row although it should."""
    has_test = bool(wishes.parts[2]) if wishes.parts else wishes.test > 0
    needed = {"train": True, "validation": wishes.cut, "test": has_test}
    lacking = [part for part, need in needed.items() if need and part not in parts]
    return {"train": "training"}.get(lacking[0], lacking[0]) if lacking else ""


def _refuse(
    found: Timelines,
    series: Sequence[Timeline],
    cuts: Sequence[tuple[int, int, int]],
    context: int,
    horizon: int,
    lacking: str,
) -> None:
    longest = max(range(len(series)), key=lambda n: len(series[n].values))
    train, test, end = cuts[longest]
    of = "its longest series has" if len(series) > 1 else "there are"
    raise UserError(
        f"{found.origin}: {of} {len(series[longest].values):,} steps ({found.calendar.name}): "
        f"{train:,} for training, {test - train:,} for validation, {end - test:,} for the test. "
        f"With horizon={horizon} and context={context}, training needs {context + horizon:,} steps "
        f"and each other part {horizon:,}; nothing is left for {lacking}. Give a shorter horizon "
        "or context, more steps, or other shares (split.test, split.validation)."
    )


def _tell_short(found: Timelines, short: Sequence[Timeline], needed: int) -> None:
    names = ", ".join(f"{one.name} ({len(one.values)})" for one in short[:5])
    what = f"{len(short):,} series have too few steps to train on, such as {names}"
    remedy = f"left out: context and horizon need {needed:,} steps before the validation part"
    found.problems.append(Problem(found.origin, what, remedy, kind="short series"))


# --- Calendar features ----------------------------------------------------------------------------


def features(calendar: Calendar, steps: int) -> list[str]:
    """What a stamp says, as far as ``steps`` of training show all of it: hour, weekday, time of
    year.
    """
    if not calendar.has_dates:
        return []
    if calendar.unit == "months":
        names = ["year"] if calendar.count < 12 else []
        lengths = {"year": 12 // calendar.count}
    else:
        per_day = DAY / calendar.count if calendar.unit == "seconds" else 5 / 7
        lengths = {"day": round(per_day), "week": round(7 * per_day), "year": round(365 * per_day)}
        sizes = {"day": calendar.count if calendar.unit == "seconds" else DAY}
        sizes["week"] = sizes["day"]
        names = ["year"]
        if calendar.unit == "business days" or calendar.count <= DAY:
            names.insert(0, "week")
        if calendar.unit == "seconds" and calendar.count <= 6 * HOUR:
            names.insert(0, "day")
    shown = [name for name in names if steps >= 2 * lengths[name]]
    return [f"{wave} of {name}" for name in shown for wave in ("sine", "cosine")]


def encode(calendar: Calendar, steps: Ints, names: Sequence[str]) -> Floats:
    """Calendar features of these steps, (steps, features), each from -1 to 1."""
    if not names:
        return np.zeros((len(steps), 0))
    moments = calendar.values(steps).astype("datetime64[us]")
    days = moments.astype("datetime64[D]")
    hours = (moments - days).astype("timedelta64[us]").astype(np.int64) / (DAY * 1e6)
    years = moments.astype("datetime64[Y]")
    phase = {
        "day": hours,
        "week": ((days.astype(np.int64) + 3) % 7 + hours) / 7,
        "year": ((days - years).astype("timedelta64[D]").astype(np.int64) + hours) / 365.25,
    }
    waves = {"sine": np.sin, "cosine": np.cos}
    columns = []
    for name in names:
        wave, _, of = name.partition(" of ")
        columns.append(waves[wave](2 * np.pi * phase[of]))
    return np.stack(columns, 1)
