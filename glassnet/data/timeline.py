"""Series in time as examples: a window of the past and what came then, one for each step.

A row of the source is an origin: a step of a series up to which the past is known. Its targets are
the next ``horizon`` steps. Rows are divided in order of time: no target of a part is a target of
another part, and what a part is asked about comes after all that was learned from.
"""

# Letters in tensor names: N rows, B examples, C channels, T steps, V variables, H horizon.

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from glassnet.data import timelinefiles, timelineplan
from glassnet.data.timelinefiles import Layout, Timeline, Timelines
from glassnet.data.timelineplan import Plan, Wishes
from glassnet.data.timelinestamps import Calendar
from glassnet.errors import UserError, nearest
from glassnet.task import Batch, Facts, Problem

Floats = NDArray[np.float64]


class Scale(BaseModel):
    """How one variable of one series is brought to like size, and how hard it is to forecast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    std: float
    """Never 0: of a constant it is 1."""
    naive: float
    """Mean absolute error of repeating the last season, within the training rows."""


class TimelineFacts(Facts):
    """What turns a history into a window, and an output into values at time stamps."""

    kind: Literal["timeline"] = "timeline"
    time: str | None
    by: str | None
    calendar: Calendar
    target: list[str]
    past: list[str]
    """Columns of the past that help, but are not forecast; unknown in the future."""
    known: list[str]
    """Columns that are known in the future too."""
    features: list[str]
    """Calendar features, made from the stamps."""
    context: int
    horizon: int
    seasons: list[int]
    """Steps after which the series repeat themselves, the strongest first."""
    scales: dict[str, list[Scale]]
    """By the name of a series, of each variable."""
    inputs: list[Scale]
    """Of each past and known column."""

    @property
    def season(self) -> int:
        """The strongest season in steps; 1: none."""
        return self.seasons[0] if self.seasons else 1

    @property
    def channels(self) -> list[str]:
        """Names of the channels of a window; the variables come first."""
        return [*self.target, *self.past, *self.known, *self.features]

    @property
    def layout(self) -> Layout:
        """How a history is to be read."""
        return Layout(
            time=self.time,
            by=self.by,
            calendar=self.calendar,
            columns=[*self.target, *self.past, *self.known],
            timeless=self.time is None,
        )


@dataclass(frozen=True)
class Windows(Batch):
    """Inputs (B, C, context + horizon), targets (B, V, H), both in units of the scales."""

    scales: Tensor | None = None
    """float32 (B, V, 3): mean, std and the naive error of each variable."""
    moments: Tensor | None = None
    """int64 (B, 2): number of the series, and step of the calendar at which the future begins."""


@dataclass(frozen=True)
class TimelineExamples:
    """Windows that are cut out of their series when they are asked for."""

    rows: Tensor
    """int64 (N,)"""
    origins: Tensor
    """int64 (N,): where in ``values`` the future of each row begins."""
    begins: Tensor
    """int64 (N,): where its series begins."""
    moments: Tensor
    """int64 (N, 2), as in ``Windows``."""
    values: Tensor
    """float32 (T, C): all series below each other, scaled, each with room for a horizon."""
    scales: Tensor
    """float32 (S, V, 3)"""
    variables: int
    known: Tensor
    """bool (C,): which channels are known in the future."""
    context: int
    horizon: int

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor, /) -> Windows:
        """Return the windows at the positions ``index``."""
        offsets_T = torch.arange(-self.context, self.horizon, device=index.device)
        places_BT = self.origins[index][:, None] + offsets_T
        begun_BT = places_BT >= self.begins[index][:, None]
        found_BTC = self.values[places_BT.clamp(min=0, max=len(self.values) - 1)]
        found_BTC = found_BTC.masked_fill(~begun_BT[:, :, None], torch.nan)
        targets_BVH = found_BTC[:, self.context :, : self.variables].transpose(1, 2).contiguous()
        found_BTC[:, self.context :, ~self.known] = torch.nan
        moments = self.moments[index]
        inputs_BCT = found_BTC.transpose(1, 2).contiguous()
        return Windows(inputs_BCT, targets_BVH, None, self.scales[moments[:, 0]], moments)

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Windows]:
        """Yield the windows at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> TimelineExamples:
        """Return the same windows on ``device``."""
        columns = ("rows", "origins", "begins", "moments", "values", "scales", "known")
        return replace(self, **{name: getattr(self, name).to(device) for name in columns})


class TimelineSource:
    """Series of which nothing has been learned yet but their seasons before the test."""

    def __init__(self, found: Timelines, wishes: Wishes) -> None:
        self.found, self.problems = found, found.problems
        target, past, known = _roles(found, wishes)
        self.target, self.past, self.known = target, past, known
        order = [found.columns.index(name) for name in (*target, *past, *known)]
        found.series = [replace(one, values=one.values[:, order]) for one in found.series]
        self.plan: Plan = timelineplan.make(found, len(target), wishes)
        self.series = self.plan.series
        self.fingerprint = _digest(self.series, [*target, *past, *known], found.calendar)

    def __len__(self) -> int:
        return len(self.plan.rows)

    @property
    def strata(self) -> None:
        """None: there are no classes."""
        return None

    @property
    def groups(self) -> None:
        """None: rows are parted by time, not by chance."""
        return None

    @property
    def parts(self) -> Sequence[str] | None:
        """'train', 'validation' or 'test' for each origin, by its place in time."""
        return self.plan.parts

    @property
    def spans(self) -> tuple[Tensor, Tensor]:
        """First step of each row's targets, and the first after them: (N,), (N,)."""
        return self.plan.spans

    def name(self, row: int, /) -> str:
        """The time stamp at which the future of this row begins."""
        number, place = self.plan.rows[row].tolist()
        one = self.series[number]
        stamp = self.found.calendar.written(np.array([one.first + place]))[0]
        stamp = f"step {stamp}" if not self.found.calendar.has_dates else stamp
        return f"{one.name} from {stamp}" if len(self.series) > 1 else f"from {stamp}"

    def facts(self, rows: Tensor, /) -> TimelineFacts:
        """Learn scales and seasons from the steps that these rows see or are asked about."""
        ends: dict[int, int] = {}
        for number, place in self.plan.rows[rows].tolist():
            ends[number] = max(ends.get(number, 0), place + self.plan.horizon)
        learned = {n: self.series[n].values[:end] for n, end in ends.items()}
        num, seasons = len(self.target), self.plan.seasons
        season = seasons[0] if seasons else 1
        scales = {self.series[n].name: scales_of(v[:, :num], season) for n, v in learned.items()}
        self._tell_constant(scales)
        others = np.concatenate([values[:, num:] for values in learned.values()])
        return TimelineFacts(
            time=self.found.time,
            by=self.found.by,
            calendar=self.found.calendar,
            target=self.target,
            past=self.past,
            known=self.known,
            features=timelineplan.features(self.found.calendar, max(map(len, learned.values()))),
            context=self.plan.context,
            horizon=self.plan.horizon,
            seasons=seasons,
            scales=scales,
            inputs=scales_of(others, 1),
        )

    def _tell_constant(self, scales: dict[str, list[Scale]]) -> None:
        constant = [
            "/".join(filter(None, [name, self.target[v]]))
            for name, found in scales.items()
            for v, scale in enumerate(found)
            if scale.naive == 0
        ]
        if len(constant) == sum(map(len, scales.values())):
            raise UserError(
                f"{self.found.origin}: {', '.join(constant[:5])} is the same at every step of the "
                "training rows. There is nothing to learn; choose another --target."
            )
        if constant:
            problem = Problem(
                ", ".join(constant[:10]),
                "the same at every step of the training rows",
                "any method forecasts it; it makes the figures look better than they are",
            )
            if problem not in self.problems:
                self.problems.append(problem)

    def examples(self, rows: Tensor, facts: TimelineFacts, /) -> TimelineExamples:
        """Cut these rows out when they are asked for."""
        if self.found.calendar.unit == "rows":
            moments = self.plan.rows[rows]
        else:
            firsts = torch.tensor([one.first for one in self.series])
            places = self.plan.rows[rows]
            moments = torch.stack([places[:, 0], places[:, 1] + firsts[places[:, 0]]], 1)
        return windows(self.series, facts, rows, self.plan.rows[rows], moments)


def windows(
    series: Sequence[Timeline], facts: TimelineFacts, rows: Tensor, places: Tensor, moments: Tensor
) -> TimelineExamples:
    """Windows of series whose columns are variables, past and known, in the order of the facts.

    ``places`` (N, 2) are number of the series and step in it at which the future begins.
    """
    num, blocks, scales, begins, total = len(facts.target), [], [], [], 0
    for one in series:
        scale = facts.scales.get(one.name) or _fallback(one, facts)
        own = [*scale, *facts.inputs]
        mean, std = np.array([s.mean for s in own]), np.array([s.std for s in own])
        steps = one.first + np.arange(len(one.values) + facts.horizon)
        calendar = timelineplan.encode(facts.calendar, steps, facts.features)
        values = np.full((len(steps), len(own)), np.nan)
        values[: len(one.values)] = (one.values - mean) / std
        blocks.append(np.concatenate([values, calendar], 1).astype(np.float32))
        scales.append([[s.mean, s.std, s.naive] for s in scale])
        begins.append(total)
        total += len(steps)
    starts = torch.tensor(begins)[places[:, 0]]
    known = torch.zeros(len(facts.channels), dtype=torch.bool)
    known[num + len(facts.past) :] = True
    return TimelineExamples(
        rows=rows,
        origins=starts + places[:, 1],
        begins=starts,
        moments=moments,
        values=torch.from_numpy(np.concatenate(blocks)),
        scales=torch.tensor(scales, dtype=torch.float32),
        variables=num,
        known=known,
        context=facts.context,
        horizon=facts.horizon,
    )


def _fallback(one: Timeline, facts: TimelineFacts) -> list[Scale]:
    """The scale of a series without training rows: of the only one that is known, or its own."""
    if facts.by is None and len(facts.scales) == 1:
        return next(iter(facts.scales.values()))
    return scales_of(one.values[:, : len(facts.target)], facts.season)


def scales_of(values: Floats, season: int) -> list[Scale]:
    """Mean, standard deviation and naive error of each column; of an empty one 0, 1 and 0."""
    found = []
    for column in values.T:
        there = column[np.isfinite(column)]
        apart = np.abs(column[season:] - column[:-season]) if len(column) > season else column[:0]
        apart = apart[np.isfinite(apart)]
        std = float(there.std()) if len(there) else 0.0
        varies = std > 1e-12 * max(1.0, float(np.abs(there).max(initial=0)))
        naive = float(apart.mean()) if len(apart) else std
        found.append(
            Scale(
                mean=float(there.mean()) if len(there) else 0.0,
                std=std if varies else 1.0,
                naive=(naive or std) if varies else 0.0,
            )
        )
    return found


def open_timeline(data: Any, wishes: Wishes) -> TimelineSource:
    """Open a table, a folder of tables, a .tsf file or a frame as series in time.

    Raises:
        UserError: If nothing can be forecast there, or the series are too short; with the numbers.
    """
    layout = Layout(time=wishes.time, by=wishes.series, frequency=wishes.frequency)
    return TimelineSource(timelinefiles.read(data, layout), wishes)


def _roles(found: Timelines, wishes: Wishes) -> tuple[list[str], list[str], list[str]]:
    """Which columns are forecast, which help from the past, which are known in the future."""
    asked = [*wishes.target, *wishes.known, *wishes.past]
    for name in asked:
        if name not in found.columns:
            raise UserError(
                f"{found.origin} has no column of numbers {name!r}."
                f"{nearest(name, found.columns)} Its columns: {', '.join(found.columns[:40])}."
            )
        if asked.count(name) > 1:
            raise UserError(f"The column {name!r} is named twice in target, known and past.")
    others = {*wishes.known, *wishes.past}
    target = list(wishes.target) or [name for name in found.columns if name not in others]
    if not target:
        raise UserError(f"{found.origin}: no column is left to forecast beside known and past.")
    return target, list(wishes.past), list(wishes.known)


def _digest(series: Sequence[Timeline], columns: Sequence[str], calendar: Calendar) -> str:
    digest = hashlib.sha256("\0".join([*columns, calendar.name]).encode())
    for one in series:
        digest.update(f"{one.name}\0{one.first}\0".encode())
        digest.update(np.ascontiguousarray(one.values).tobytes())
    return digest.hexdigest()
