"""Does backpropagation agree with finite differences? Measured, number by number.

A derivative is measured as (L(w + h) - L(w - h)) / 2h in float64. Every gradient that a trace shows
is measured so: those of the weights, and those of what each step gave. Where the loss has a kink
within h (a rectified unit switches, another number becomes the maximum of a window), there is no
derivative to compare with: h is made smaller, and what then still lies on a kink is counted apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from glassnet import progress
from glassnet.explain.recorder import Nudge, Step

STEPS = (1e-4, 1e-5, 1e-6)
"""h, in the unit of the number that is changed."""
TOLERANCE = 1e-4
"""A larger relative deviation is an error: right gradients deviate by some 1e-8."""
ALL = 600
"""Up to so many numbers in all, every single one is measured."""
SAMPLE = 200
"""Of larger networks about so many are: per tensor the largest gradients and some at random."""
SECONDS = 20.0
"""Of computing; after this time no further numbers are measured."""
ROUNDING = 2e-15
"""What float64 may lose in a loss around 1, several operations long."""


@dataclass(frozen=True)
class Check:
    """What came out."""

    agrees: bool
    compared: int
    """Numbers whose derivative was measured."""
    of: int
    """Numbers that have a gradient."""
    largest_deviation: float
    """Relative: |measured - backpropagated| / the larger of both."""
    at: str
    """Where it was found, such as 'output.weight[2, 1]'."""
    measured: float
    backpropagated: float
    """Both derivatives there."""
    kinks: int
    """Numbers at which the loss has a kink, so that no derivative could be measured."""
    tolerance: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet trace --json`` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """A tensor whose gradient is to be checked."""

    name: str
    gradient: Tensor
    loss_with: Callable[[int, float], float]
    """(place in the flattened tensor, change) -> the loss."""


@dataclass(frozen=True)
class _Found:
    deviation: float
    measured: float
    kink: bool = False


def check(subjects: Sequence[Subject], loss: float, scale: float) -> Check:
    """Measure. ``loss`` is the undisturbed one; ``scale`` the size of the numbers behind it."""
    began = time.thread_time()
    noise = ROUNDING * max(1.0, scale)
    places = list(_places(subjects))
    worst, worst_at, compared, kinks = _Found(0.0, 0.0), (0, 0), 0, 0
    for done, (subject, place) in enumerate(places):
        if time.thread_time() - began > SECONDS:
            break
        progress.tell("checking gradients by finite differences", done, len(places))
        found = _measure(subjects[subject], place, loss, noise)
        kinks += found.kink
        compared += not found.kink
        if not found.kink and (compared == 1 or not found.deviation <= worst.deviation):
            worst, worst_at = found, (subject, place)
    if places:
        progress.tell("checking gradients by finite differences", len(places), len(places))
    subject, place = worst_at
    return Check(
        agrees=worst.deviation <= TOLERANCE,
        compared=compared,
        of=sum(s.gradient.numel() for s in subjects),
        largest_deviation=worst.deviation,
        at=_where(subjects[subject], place) if compared else "",
        measured=worst.measured,
        backpropagated=float(subjects[subject].gradient.flatten()[place]) if compared else 0.0,
        kinks=kinks,
        tolerance=TOLERANCE,
        seconds=time.thread_time() - began,
    )


def _measure(subject: Subject, place: int, loss: float, noise: float) -> _Found:
    """The smallest deviation over all h; a wrong gradient deviates at every one."""
    expected = float(subject.gradient.flatten()[place])
    best = _Found(float("inf"), float("nan"))
    for h in STEPS:
        up, down = subject.loss_with(place, h), subject.loss_with(place, -h)
        measured = (up - down) / (2 * h)
        # What is smaller than rounding lets one measure cannot deviate.
        size = max(abs(expected), abs(measured), noise / h / TOLERANCE)
        found = _Found(abs(measured - expected) / size, measured)
        best = found if not best.deviation <= found.deviation else best
        if best.deviation <= TOLERANCE / 100:
            return best
    if best.deviation <= TOLERANCE:
        return best
    above, below = (up - loss) / h, (loss - down) / h
    bend = 1e-3 * max(abs(above), abs(below)) + 4 * noise / h
    return _Found(best.deviation, best.measured, kink=abs(above - below) > bend)


def _places(subjects: Sequence[Subject]) -> Iterator[tuple[int, int]]:
    """Which numbers to look at, in an order in which an early end is fair to all."""
    generator = torch.Generator().manual_seed(0)
    total = sum(subject.gradient.numel() for subject in subjects)
    each = total if total <= ALL else max(2, SAMPLE // max(1, len(subjects)))
    chosen: list[tuple[int, int]] = []
    for number, subject in enumerate(subjects):
        size = subject.gradient.abs().flatten()
        largest = size.argsort(descending=True)[: (each + 1) // 2].tolist()
        anywhere = torch.randperm(len(size), generator=generator).tolist()
        picked = list(dict.fromkeys([*largest, *anywhere]))[:each]
        chosen += [(number, place) for place in picked]
    order = torch.randperm(len(chosen), generator=generator).tolist()
    return (chosen[i] for i in order)


def _where(subject: Subject, place: int) -> str:
    index = torch.unravel_index(torch.tensor(place), subject.gradient.shape)
    return f"{subject.name}[{', '.join(str(int(i)) for i in index)}]"


def subjects(steps: Sequence[Step], loss_with: Callable[[Nudge | None], float]) -> list[Subject]:
    """All that has a gradient: the weights, and what the steps gave."""
    found = []
    for step in steps:
        if step.gradient is not None:
            found.append(_of_step(step, loss_with))
        for name, parameter in step.parameters.items():
            if parameter.grad is not None:
                found.append(_of_parameter(name, parameter, loss_with))
    return found


def _of_step(step: Step, loss_with: Callable[[Nudge | None], float]) -> Subject:
    assert step.gradient is not None
    return Subject(
        step.name,
        step.gradient[0],
        lambda place, by: loss_with(Nudge(step.number, place, by)),
    )


def _of_parameter(
    name: str, parameter: Tensor, loss_with: Callable[[Nudge | None], float]
) -> Subject:
    assert parameter.grad is not None

    def changed(place: int, by: float) -> float:
        index = torch.unravel_index(torch.tensor(place), parameter.shape)
        before = parameter.data[index].clone()
        parameter.data[index] += by
        loss = loss_with(None)
        parameter.data[index] = before
        return loss

    return Subject(name, parameter.grad, changed)
