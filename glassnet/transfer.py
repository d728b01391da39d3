"""Transfer: a network that learned elsewhere learns on, its new head first.

Papers: Jeremy Howard and Sebastian Ruder (2018), "Universal Language Model Fine-tuning for Text
Classification", arXiv 1801.06146, sections 3.2 and 3.3: smaller steps for lower layers
("discriminative fine-tuning", the paper: each layer's rate is that of the one above / 2.6), and
layers that begin to learn one after another from the top ("gradual unfreezing", the paper: one
more at each epoch; ours spreads them evenly over a share of the epochs, ``unfreeze``, so that a
network of 18 blocks does not need 18 epochs). Training the new head alone first keeps its large
first gradients from spoiling what the layers below know (Kumar et al. 2022, arXiv 2202.10054).

**The blocks** of any network are found by ``glassnet.blocks``.

**A frozen block** keeps its weights, bit for bit, and is in evaluation mode: it answers as it will
when the run is used. Its batch normalizations keep their running means too, which few examples
would only make worse; else a part that is said not to learn would change with every batch.

All of it is a pure function of the step, so there is nothing to save.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

from torch import nn

from glassnet.blocks import Block, blocks
from glassnet.errors import UserError, nearest
from glassnet.figures import Table
from glassnet.recipe import Fit, Transfer
from glassnet.schedules import Ramp

# --- When they learn ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """One block, and how it learns."""

    block: Block
    share: float
    """Of the learning rate."""
    begins: float
    """Epochs, from 0, after which it begins to learn; infinite: it never does."""


def stages(knobs: Transfer, fit: Fit, network: nn.Module) -> list[Stage]:
    """How each block learns, from the input to the head.

    Raises:
        UserError: If there is no such block to freeze.
    """
    found = blocks(network)
    frozen = _num_frozen(knobs.freeze, [block.name for block in found])
    below = len(found) - 1 - frozen
    epochs = fit.epochs or 1

    def begins(number: int) -> float:
        from_top = len(found) - 1 - number
        if from_top == 0:
            return 0.0
        later = knobs.unfreeze * (from_top - 1) / max(1, below - 1)
        return inf if number < frozen else (knobs.head_alone + later) * epochs

    return [
        Stage(block, knobs.layer_decay ** (len(found) - 1 - number), begins(number))
        for number, block in enumerate(found)
    ]


def _num_frozen(freeze: int | str, names: Sequence[str]) -> int:
    """How many blocks, from the input, never learn; the head always does."""
    below = names[:-1]
    if freeze == "all":
        return len(below)
    listed = f"The blocks, from the input: {', '.join(below)}; {names[-1]} is the head."
    if isinstance(freeze, int):
        if freeze <= len(below):
            return freeze
        raise UserError(
            f"transfer.freeze: {freeze} blocks cannot be frozen, there are {len(below)} below the "
            f"head. {listed}"
        )
    if freeze in below:
        return below.index(freeze) + 1
    raise UserError(
        f"transfer.freeze: there is no block {freeze!r} below the head.{nearest(freeze, below)} "
        f"{listed} Give one of these names, a number of blocks, or all."
    )


class Layers:
    """The blocks of one network in training: who learns at a step, and at what share of the rate.

    ``network`` is the part of ``whole`` that has blocks, such as what stands behind the layer that
    standardizes.
    """

    def __init__(
        self, knobs: Transfer, fit: Fit, whole: nn.Module, network: nn.Module, steps_per_epoch: int
    ) -> None:
        found = stages(knobs, fit, network)
        self._begins = [
            (stage.block, inf if stage.begins == inf else round(stage.begins * steps_per_epoch))
            for stage in found
        ]
        share = {id(w): stage.share for stage in found for w in stage.block.weights}
        self.shares: Mapping[str, float] = {
            name: share.get(id(weight), 1.0) for name, weight in whole.named_parameters()
        }
        """By the name of the weight in ``whole``."""
        self.head_steps = int(min((b for _, b in self._begins[:-1] if b < inf), default=0))
        """Optimizer steps before anything but the head learns."""

    def set(self, step: int) -> None:
        """Let those blocks learn that do so at this step (from 0), and still all others.

        It looks at every module, each time: scoring switches all of a network to and fro.
        """
        for block, begins in self._begins:
            learns = step >= begins
            for weight in block.weights:
                if weight.requires_grad != learns:
                    weight.requires_grad_(learns)
            for module in block.modules:
                if module.training != learns:
                    module.training = learns


def following(recipe: Any, whole: nn.Module, network: nn.Module) -> Callable[[int], Layers] | None:
    """What a learner asks: steps in an epoch -> the layers; None if all learn from the start."""
    if recipe.weights is None:
        return None
    knobs = recipe.transfer
    if isinstance(recipe.fit.schedule, Ramp):  # a range test is about all that will ever learn
        knobs = knobs.model_copy(update={"head_alone": 0.0, "unfreeze": 0.0})
    return partial(Layers, knobs, recipe.fit, whole, network)


# --- For people -----------------------------------------------------------------------------------


def table(knobs: Transfer, fit: Fit, network: nn.Module) -> Table:
    """When each block begins to learn, and at what share of the rate."""
    rows = [
        [
            stage.block.name,
            f"{sum(w.numel() for w in stage.block.weights):,}",
            "" if stage.begins == inf else f"{stage.share:.3g}",
            "never" if stage.begins == inf else f"{stage.begins + 1:.3g}",
        ]
        for stage in stages(knobs, fit, network)
    ]
    columns = ["block", "parameters", "share of the rate", "learns from epoch"]
    note = "From the input to the head. A frozen block is as it was, normalizations included."
    return Table("When each block learns", columns, rows, note=note)


# --- Knobs ----------------------------------------------------------------------------------------


def refuse_without_weights(recipe: Any) -> Any:
    """For a recipe's validator: nothing can be transferred from random weights."""
    changed = recipe.transfer.model_dump(exclude_defaults=True)
    if recipe.weights is None and changed:
        name, value = next(iter(changed.items()))
        raise ValueError(
            f"transfer.{name}={value} contradicts weights, which are not set: say by `weights` "
            "what to start from, or leave it out"
        )
    return recipe
