"""Is the network better than a plain method? Told by the difference on the same examples.

Two figures whose intervals overlap may still differ beyond doubt, since both methods find the same
examples hard: the bootstrap draws examples, and looks at the difference of the two on each draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from glassnet.evaluate.intervals import Estimate, bootstrap, resamples
from glassnet.figures import short
from glassnet.task import Metric, Outcome

FEWEST = 6
"""Examples (or blocks of them) from which on anything is said: fewer all speak for the same side by
chance alone in more than 5 of 100 cases, 2 / 2**5."""


@dataclass(frozen=True)
class Pair:
    """Two answers to the same examples, drawn together."""

    own: Outcome
    other: Outcome

    @property
    def targets(self) -> Tensor:
        """Of both."""
        return self.own.targets

    def __getitem__(self, index: Any, /) -> Pair:
        return Pair(self.own[index], self.other[index])


def difference(metric: Metric, own: Outcome, other: Outcome) -> Estimate | None:
    """By how much ``own`` is better than ``other``, which answers the same examples in that order.

    None if there are too few examples that hardly depend on each other, or no figure of them.
    """
    sign = 1.0 if metric.better == "higher" else -1.0

    def gain(pair: Pair) -> float:
        return sign * (metric.compute(pair.own) - metric.compute(pair.other))

    value, number = gain(Pair(own, other)), resamples(metric, own)
    if metric.blocks is not None:
        own, other = metric.blocks(own), metric.blocks(other)
    if len(own.targets) < FEWEST or not math.isfinite(value):
        return None
    low, high = bootstrap(gain, Pair(own, other), number)
    return Estimate(value, low, high) if math.isfinite(low) else None


def differences(
    metrics: Sequence[Metric], own: Outcome, others: Mapping[str, Outcome]
) -> dict[str, Estimate]:
    """The same for each method, by the first metric that is defined for the network's answers."""
    first = next((metric for metric in metrics if math.isfinite(metric.compute(own))), None)
    if first is None:
        return {}
    found = {name: difference(first, own, other) for name, other in others.items()}
    return {name: gain for name, gain in found.items() if gain is not None}


def told(
    metrics: Sequence[Metric],
    figures: Mapping[str, Estimate],
    plain: Mapping[str, Mapping[str, Estimate]],
    gains: Mapping[str, Estimate],
) -> Iterator[str]:
    """Say which plain methods are better than the network, and which as good."""
    first = next((metric.name for metric in metrics if metric.name in figures), None)
    if first is None:
        return
    better = [name for name, gain in gains.items() if gain.high < 0]
    equal = [name for name, gain in gains.items() if gain.low <= 0 <= gain.high]
    unknown = [name for name, found in plain.items() if first in found and name not in gains]
    of = f"by {first.replace('_', ' ')} on the same examples, with 95 % intervals"

    def listed(names: Sequence[str]) -> str:
        return ", ".join(f"{name} ({_range(gains[name])})" for name in names)

    if better:
        yield (
            f"Plainer methods are better here than the network: {listed(better)}; {of}. Train "
            "longer, choose another network, or take the plain method."
        )
    if equal:
        yield (
            f"As good as the network, as far as these examples tell: {listed(equal)}; {of} that "
            "hold 0. What is left may be chance: more examples would show it."
        )
    if unknown:
        yield (
            f"Whether the network is better than {', '.join(unknown)} cannot be told: here are "
            f"fewer than {FEWEST} examples that do not overlap."
        )


def _amount(value: float) -> str:
    """Small differences are not rounded to nothing."""
    return short(value) if value == 0 or value >= 0.001 else f"{value:.1g}"


def _range(gain: Estimate) -> str:
    """What the plain method has more or less than the network, for people."""
    if gain.value == gain.low == gain.high == 0:
        return "no difference at all"
    side = "better" if gain.value < 0 else "worse"
    ends = sorted((abs(gain.low), abs(gain.high)))
    if gain.low <= 0 <= gain.high:
        return (
            f"{_amount(abs(gain.value))} {side}; from {_amount(max(0.0, -gain.low))} better to "
            f"{_amount(max(0.0, gain.high))} worse"
        )
    return f"{_amount(abs(gain.value))} {side}; {_amount(ends[0])} to {_amount(ends[1])}"
