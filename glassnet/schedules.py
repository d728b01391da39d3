"""Schedules of the learning rate: their knobs, and one pure function of the step.

``factor`` is what ``fit.lr`` is multiplied by at an optimizer step. It depends on nothing but its
arguments, so there is nothing to save and a resumed run has the same learning rates to the last
bit. This file does not import torch; the tests compare it with ``torch.optim.lr_scheduler``.
"""

from __future__ import annotations

from math import cos, pi
from typing import Annotated, Literal

from pydantic import Field

from glassnet.knobs import Knobs

Gamma = Annotated[float, Field(gt=0, le=1)]
Warmup = Annotated[
    float,
    Field(
        ge=0,
        description="Epochs (fractions allowed) in which the learning rate first rises in a "
        "straight line from near 0; the schedule proper begins after it. Set 1–5 for "
        "Transformers, large batches, or a loss that explodes at the start.",
    ),
]


class Constant(Knobs):
    """The same learning rate throughout, after the warm-up."""

    name: Literal["constant"] = "constant"
    warmup: Warmup = 0.0


class Step(Knobs):
    """Drops by ``gamma`` every ``step_size`` epochs, counted from the end of the warm-up."""

    name: Literal["step"] = "step"
    step_size: Annotated[int, Field(ge=1, description="Epochs from one drop to the next.")] = 30
    gamma: Annotated[Gamma, Field(description="What the rate is multiplied by at a drop.")] = 0.1
    warmup: Warmup = 0.0


class Exponential(Knobs):
    """Drops by ``gamma`` after every epoch."""

    name: Literal["exponential"] = "exponential"
    gamma: Annotated[
        Gamma, Field(description="What the rate is multiplied by after every epoch.")
    ] = 0.95
    warmup: Warmup = 0.0


class Cosine(Knobs):
    """Falls along half a cosine to ``eta_min`` at the end (Loshchilov and Hutter, 2017).

    It moves at every optimizer step; the paper and torch's usual use move once an epoch.
    """

    name: Literal["cosine"] = "cosine"
    eta_min: Annotated[
        float, Field(ge=0, le=1, description="Where it ends, as a fraction of fit.lr.")
    ] = 0.0
    warmup: Warmup = 0.0


class OneCycle(Knobs):
    """Rises to ``fit.lr``, then falls far below where it began (Smith and Topin, 2018).

    The paper and torch also lower the momentum while the rate is high (0.95 to 0.85). Ours leaves
    momentum alone: it would tie the schedule to the optimizer. The rise is its warm-up.
    """

    name: Literal["one-cycle"] = "one-cycle"
    pct_start: Annotated[
        float, Field(gt=0, lt=1, description="Share of all optimizer steps spent rising.")
    ] = 0.3
    div_factor: Annotated[
        float, Field(ge=1, description="It begins at fit.lr divided by this.")
    ] = 25.0
    final_div_factor: Annotated[
        float, Field(ge=1, description="It ends at its beginning divided by this.")
    ] = 1e4
    anneal: Annotated[
        Literal["cos", "linear"], Field(description="The shape of the rise and of the fall.")
    ] = "cos"


class Ramp(Knobs):
    """Grows by a constant factor per step up to ``fit.lr``: for the range test alone."""

    name: Literal["ramp"] = "ramp"
    start: Annotated[
        float, Field(gt=0, lt=1, description="Where it begins, as a fraction of fit.lr.")
    ] = 1e-7


ScheduleKnobs = Annotated[
    Constant | Step | Exponential | Cosine | OneCycle, Field(discriminator="name")
]


def factor(knobs: ScheduleKnobs | Ramp, step: int, steps_per_epoch: int, total_steps: int) -> float:
    """Return the multiplier of ``fit.lr`` for optimizer step ``step``, counted from 0.

    >>> [factor(Step(step_size=1, gamma=0.5), step, 2, 6) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    >>> [factor(Constant(warmup=2), step, 2, 6) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    if isinstance(knobs, OneCycle):
        return _one_cycle(knobs, step, total_steps)
    if isinstance(knobs, Ramp):
        return float(knobs.start ** (1 - step / max(1, total_steps - 1)))
    warmup = round(knobs.warmup * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup  # not step / warmup: a first step of 0 would be wasted
    return _after_warmup(knobs, step - warmup, steps_per_epoch, total_steps - warmup)


def _after_warmup(
    knobs: Constant | Step | Exponential | Cosine, step: int, steps_per_epoch: int, total_steps: int
) -> float:
    epoch = step // steps_per_epoch
    match knobs:
        case Constant():
            return 1.0
        case Step():
            return float(knobs.gamma ** (epoch // knobs.step_size))
        case Exponential():
            return float(knobs.gamma**epoch)
        case Cosine():
            return _cosine(1.0, knobs.eta_min, min(1.0, step / total_steps))


def _one_cycle(knobs: OneCycle, step: int, total_steps: int) -> float:
    between = _cosine if knobs.anneal == "cos" else _line
    begin = 1 / knobs.div_factor
    # The top is reached one step before the share is used up, and the last step is the lowest.
    top, last = knobs.pct_start * total_steps - 1, total_steps - 1
    if step < top:
        return between(begin, 1.0, step / top)
    return between(1.0, begin / knobs.final_div_factor, min(1.0, (step - top) / (last - top)))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * share))


def _line(start: float, end: float, share: float) -> float:
    return start + (end - start) * share
