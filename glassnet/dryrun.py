"""What a recipe would cost: everything is built and a few real steps are timed, then discarded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from glassnet import cost
from glassnet.cost import Cost
from glassnet.loop import assemble
from glassnet.task import B, R, Task


def measure(task: Task[R, B], recipe: R) -> tuple[R, Cost, Sequence[str]]:
    """Return the recipe with every knob set, its cost on this machine, and what to know of it."""
    with ExitStack() as stack:
        parts = assemble(task, recipe, None, stack)
        fit, num_examples = parts.recipe.fit, len(parts.data.positions(0)[0])
        split = parts.recipe.split
        networks = split.folds if split.mode == "kfold" and split.fold is None else 1
        steps = networks * fit.num_steps(num_examples)
        if split.refits:
            steps += fit.num_steps(len(parts.data.pool))
        batch_size = -(-num_examples // fit.steps_per_epoch(num_examples))
        found = cost.measure(parts.learner, parts.data, batch_size, steps)
        return parts.recipe, found, parts.notes
