"""What a recipe would do and cost: all is built and a few real steps are timed, then discarded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic

from glassnet import cost
from glassnet.cost import Cost
from glassnet.figures import Table
from glassnet.loop import assemble
from glassnet.task import B, R, Task


@dataclass(frozen=True)
class DryRun(Generic[R]):
    """What would be done."""

    recipe: R
    """With every knob set."""
    cost: Cost
    """On this machine."""
    notes: Sequence[str]
    """What the user should know about the first weights."""
    layers: Table | None
    """When each part of the network learns; None: all of it, from the start."""


def measure(task: Task[R, B], recipe: R) -> DryRun[R]:
    """Build all that a recipe names, time a few steps, and tell what was found."""
    with ExitStack() as stack:
        parts = assemble(task, recipe, None, stack)
        fit, num_examples = parts.recipe.fit, len(parts.data.positions(0)[0])
        split = parts.recipe.split
        networks = split.folds if split.has_folds and split.fold is None else 1
        steps = networks * fit.num_steps(num_examples)
        if split.refits:
            steps += fit.num_steps(len(parts.data.pool))
        batch_size = -(-num_examples // fit.steps_per_epoch(num_examples))
        layers = task.layers(parts.recipe, parts.learner.network)
        found = cost.measure(parts.learner, parts.data, batch_size, steps)
        return DryRun(parts.recipe, found, parts.notes, layers)
