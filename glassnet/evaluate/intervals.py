"""Figures of quality with their 95 % intervals: Wilson's for shares, else by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from glassnet.task import Metric, Outcome

RESAMPLES = 1000
COSTLY_RESAMPLES = 200
COSTLY_WORK = 10**7
"""For metrics that take milliseconds each: resamples, and answers that are looked at in all."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    Of intervals made this way from other examples of the same kind, 95 in 100 hold the true figure
    of these weights. What another seed or another training would give is not in it.
    """

    value: float
    low: float
    high: float


def estimates(metrics: tuple[Metric, ...], outcome: Outcome) -> dict[str, Estimate]:
    """Compute every metric that is defined for these answers, with its interval."""
    found = {metric.name: estimate(metric, outcome) for metric in metrics}
    return {name: e for name, e in found.items() if math.isfinite(e.value)}


def estimate(metric: Metric, outcome: Outcome) -> Estimate:
    """Compute one metric with its interval; NaN if it is not defined for these answers."""
    value, num = metric.compute(outcome), len(outcome.targets)
    if not math.isfinite(value):
        return Estimate(value, value, value)
    if metric.blocks is not None:
        return Estimate(value, *bootstrap(metric.compute, metric.blocks(outcome), RESAMPLES))
    if metric.proportion:
        return Estimate(value, *wilson(value, num))
    return Estimate(value, *bootstrap(metric.compute, outcome, resamples(metric, outcome)))


def resamples(metric: Metric, outcome: Outcome) -> int:
    """How many draws of these examples the bootstrap of a metric can afford."""
    if not metric.costly or metric.blocks is not None:
        return RESAMPLES
    return max(20, min(COSTLY_RESAMPLES, COSTLY_WORK // outcome.outputs.numel()))


def wilson(share: float, num: int) -> tuple[float, float]:
    """95 % interval of a share of ``num`` examples (Wilson, 1927); right near 0 and 1 too."""
    z = 1.959964
    middle = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    return max(0.0, middle - half), min(1.0, middle + half)


class Drawn(Protocol):
    """Examples that can be drawn again."""

    @property
    def targets(self) -> Tensor:
        """One for each."""
        ...

    def __getitem__(self, index: Any, /) -> Any: ...


def bootstrap(compute: Callable[[Any], float], outcome: Drawn, number: int) -> tuple[float, float]:
    """95 % interval by the percentile bootstrap over examples (Efron, 1979)."""
    generator = torch.Generator().manual_seed(0)
    num = len(outcome.targets)
    draws = [
        compute(outcome[torch.randint(num, (num,), generator=generator)]) for _ in range(number)
    ]
    finite: Tensor = torch.tensor([d for d in draws if math.isfinite(d)], dtype=torch.float64)
    if not len(finite):
        return math.nan, math.nan
    low, high = finite.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
