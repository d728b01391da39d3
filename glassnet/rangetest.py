"""The learning-rate range test: raise the rate at each step until the loss explodes.

Leslie Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3. Ours
grows the rate by a constant factor per step, smooths the loss, and suggests a tenth of the rate at
which the loss was lowest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from glassnet.errors import Diverged, UserError
from glassnet.figures import Document, Lines, Mark, Section, Series
from glassnet.loop import Assembly, assemble, shuffled
from glassnet.schedules import Ramp
from glassnet.task import B, Learner, R, Task

HIGHEST_LR = 10.0
NUM_STEPS = 200
EXPLODED = 4.0
"""The test ends when the smoothed loss is this many times its lowest value."""


@dataclass(frozen=True)
class RangeTest:
    """Learning rates, the smoothed losses at them, and the suggested rate."""

    lrs: list[float]
    losses: list[float]
    suggestion: float


def run(task: Task[R, B], recipe: R) -> RangeTest:
    """Run the test on a network that is thrown away afterwards."""
    with ExitStack() as stack:
        parts = assemble(task, recipe, None, stack)
        lrs, losses = _climb(*_ramped(task, parts))
    if len(losses) < 10:
        raise UserError("The loss was not finite from the beginning; look at the data first.")
    lowest = min(range(len(losses)), key=losses.__getitem__)
    return RangeTest(lrs, losses, lrs[lowest] / 10)


def document(found: RangeTest, recipe: Any) -> Document:
    """The plot as a page."""
    figure = Lines(
        "Loss while the learning rate grows",
        [Series("smoothed training loss", found.lrs, found.losses)],
        x_label="learning rate",
        y_label="loss",
        x_log=True,
        marks=[Mark(found.suggestion, f"suggested: {found.suggestion:.2g}")],
    )
    text = (
        "Each step had a larger learning rate than the one before. The suggestion is a tenth of "
        "the rate at which the loss was lowest; use it by --fit.lr."
    )
    title = f"Learning-rate range test: {recipe.network.name} on {recipe.data}"
    return Document(title, "", [Section("", text, [figure])])


def _ramped(task: Task[R, B], parts: Assembly[R, B]) -> tuple[Learner[B], Iterator[B]]:
    """A learner whose rate climbs over ``NUM_STEPS`` steps, and the batches for it."""
    fit, data = parts.recipe.fit, parts.data
    assert fit.batch_size is not None
    positions = shuffled(data.positions(0)[0], fit.seed, 0)[: NUM_STEPS * fit.batch_size]
    some = replace(data, positions=lambda _: (positions, positions[:0]))
    steps_per_epoch = fit.steps_per_epoch(len(positions))
    epochs = math.ceil(NUM_STEPS / steps_per_epoch)
    climbing = {"lr": HIGHEST_LR, "schedule": Ramp(), "epochs": epochs}
    recipe = parts.recipe.model_copy(update={"fit": fit.model_copy(update=climbing)})
    batches = (
        data.pool.batch(index)
        for epoch in range(epochs)
        for index in task.cut(
            recipe,
            data.pool,
            shuffled(positions, fit.seed, epoch).to(parts.where),
            steps_per_epoch,
        )
    )
    return task.learner(recipe, parts.learner.network, some), batches


def _climb(learner: Learner[B], batches: Iterator[B]) -> tuple[list[float], list[float]]:
    lrs: list[float] = []
    losses: list[float] = []
    smoothed = 0.0
    learner.network.train()
    for step, batch in enumerate(batches):
        try:
            values = learner.update(batch, step)
        except Diverged:
            break
        if "lr" not in values:
            raise UserError(
                "The range test needs a learner that follows fit.schedule and returns its 'lr'; "
                "this task's does not."
            )
        loss = float(values["loss"])
        smoothed = 0.9 * smoothed + 0.1 * loss
        unbiased = smoothed / (1 - 0.9 ** (step + 1))
        if not math.isfinite(loss) or (losses and unbiased > EXPLODED * min(losses)):
            break
        lrs.append(float(values["lr"]))
        losses.append(unbiased)
    return lrs, losses
