"""Histories to be continued: the same reading as in training, and answers at time stamps.

Rows below a history whose targets are all empty are the future: they bring what is known of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from glassnet import progress
from glassnet.data import timelinefiles
from glassnet.data.timeline import TimelineExamples, TimelineFacts, windows
from glassnet.data.timelinefiles import Timeline
from glassnet.errors import UserError
from glassnet.task import Problem

REMEMBERED = 3
"""Horizons before the end whose forecasts are made too, to see how well the intervals hold."""


@dataclass(frozen=True)
class Histories:
    """Series, each with the step up to which it is known."""

    series: list[Timeline]
    ends: list[int]
    """In each series, the step at which its future begins."""

    def examples(self, facts: TimelineFacts, past: bool) -> TimelineExamples:
        """The window at the end of each history; with the ``past``, those shortly before it too."""
        places = []
        for number, end in enumerate(self.ends):
            first = max(facts.context, end - REMEMBERED * facts.horizon) if past else end
            places += [(number, place) for place in [*range(first, end), end]]
        where = torch.tensor(places)
        firsts = torch.tensor([one.first for one in self.series])
        moments = torch.stack([where[:, 0], where[:, 1] + firsts[where[:, 0]]], 1)
        return windows(self.series, facts, torch.arange(len(where)), where, moments)

    def last(self, examples: TimelineExamples) -> Iterator[tuple[str, int, int]]:
        """Name, row of the window at the end, and the step at which the future begins."""
        for number, one in enumerate(self.series):
            row = int((examples.moments[:, 0] == number).nonzero().max())
            yield one.name, row, one.first + self.ends[number]


def read(raw: Any, facts: TimelineFacts) -> Histories:
    """Read histories, and tell what was odd.

    Raises:
        UserError: If a column is missing, or a history holds no measured value.
    """
    found = timelinefiles.read(raw, facts.layout)
    progress.warn(found.problems)
    series, ends = [], []
    num = len(facts.target)
    for one in found.series:
        measured = np.flatnonzero(np.isfinite(one.values[:, :num]).any(1))
        where = f"series {one.name!r}" if one.name else found.origin
        if not len(measured):
            raise UserError(
                f"{where}: {', '.join(facts.target)} must hold the past, and every cell is empty."
            )
        end = int(measured[-1]) + 1
        problems = list(_few(where, one, end, facts))
        progress.warn(problems)
        series.append(one if one.name else replace(one, name=_only(facts)))
        ends.append(end)
    return Histories(series, ends)


def _only(facts: TimelineFacts) -> str:
    """The name of the only series of the training, or none."""
    return next(iter(facts.scales)) if len(facts.scales) == 1 else ""


def _few(where: str, one: Timeline, end: int, facts: TimelineFacts) -> Iterator[Problem]:
    if end < facts.context:
        yield Problem(
            where,
            f"has {end:,} steps of the past, and the network looks at {facts.context:,}",
            "what is missing is read as missing; give a longer history for a better forecast",
        )
    given = len(one.values) - end
    if facts.known and given < facts.horizon:
        yield Problem(
            where,
            f"tells {', '.join(facts.known)} for {given:,} of the {facts.horizon:,} steps ahead",
            f"what is missing is read as missing; add rows with {', '.join(facts.target)} empty",
        )


def told(
    facts: TimelineFacts, step: int, values: Sequence[Sequence[Mapping[str, float]]]
) -> list[dict[str, Any]]:
    """One row for each step ahead: its stamp, and of each variable forecast, low and high.

    ``values`` are, for each variable and step, the names and values of what is answered.
    """
    stamps = facts.calendar.written(np.arange(step, step + facts.horizon))
    rows = []
    for ahead, stamp in enumerate(stamps):
        row: dict[str, Any] = {facts.time or "step": stamp}
        for name, answers in zip(facts.target, values, strict=True):
            row |= {f"{name}{ending}": value for ending, value in answers[ahead].items()}
        rows.append(row)
    return rows
