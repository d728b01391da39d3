"""A network on paper: every layer with its output shape, parameters and FLOPs.

The network is really built, and an example really passes through it, but on torch's device "meta",
which knows shapes and keeps no numbers: VGG-19 costs no memory and no time.
"""

from __future__ import annotations

import math
import re
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from glassnet import cost, network
from glassnet.cost import Layer
from glassnet.errors import UserError
from glassnet.recipe import NetworkKnobs

TRIALS: tuple[tuple[tuple[int, ...], int], ...] = (((1, 28, 28), 10), ((20,), 10))
"""Inputs and outputs for a network whose file names none: a small image, the row of a table."""


@dataclass(frozen=True)
class Blueprint:
    """What a network consists of, for one shape of inputs."""

    network: dict[str, Any]
    """Name and all knobs."""
    input_shape: tuple[int, ...]
    """Without the batch axis."""
    num_outputs: int
    layers: list[Layer]
    """In the order in which they act; one that acts twice is there twice."""
    parameters: int
    flops: int
    """For one example, forward: additions and multiplications of convolutions and products of
    matrices, to which others hardly add anything. Twice the "multiply-adds" of many papers."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "network": self.network,
            "input_shape": list(self.input_shape),
            "num_outputs": self.num_outputs,
            "parameters": self.parameters,
            "flops": self.flops,
            "layers": [{**vars(la), "output_shape": list(la.output_shape)} for la in self.layers],
        }


def draw(
    knobs: NetworkKnobs,
    input_shape: tuple[int, ...] | None = None,
    num_outputs: int | None = None,
) -> Blueprint:
    """Build a network on paper; unset shapes are those of its paper.

    Raises:
        UserError: the knobs are wrong, or the network does not take such inputs.
    """
    knobs = network.resolved(knobs)
    module = vars(sys.modules[network.find(knobs.name).__module__])
    usual = (
        [(module["PAPER_INPUT"], module["PAPER_OUTPUTS"])] if "PAPER_INPUT" in module else TRIALS
    )
    trials = [(input_shape or shape, num_outputs or outputs) for shape, outputs in usual]
    for shape, outputs in trials[:-1]:
        try:
            return _drawn(knobs, shape, outputs)
        except UserError:  # an image is nothing for it; the next trial may be
            continue
    return _drawn(knobs, *trials[-1])


def _drawn(knobs: NetworkKnobs, input_shape: tuple[int, ...], num_outputs: int) -> Blueprint:
    own = knobs.name.endswith(".py")  # a user's own network may look at its numbers
    with nullcontext() if own else torch.device("meta"):
        built = network.build_network(knobs, input_shape, num_outputs)
        layers = cost.layers(built, torch.zeros(1, *input_shape))
    told = [layer for layer in layers if layer.kind != "Identity"]
    return Blueprint(
        network={"name": knobs.name, **knobs.options},
        input_shape=input_shape,
        num_outputs=num_outputs,
        layers=told,
        parameters=sum(p.numel() for p in built.parameters()),
        flops=sum(layer.flops for layer in layers),
    )


def parse_shape(text: str) -> tuple[int, ...]:
    """Read the shape of inputs, as in 3x224x224.

    >>> [parse_shape(text) for text in ("3x224x224", "3×32×32", "20")]
    [(3, 224, 224), (3, 32, 32), (20,)]
    """
    if not re.fullmatch(r"[1-9]\d*([x×,][1-9]\d*)*", text):
        raise UserError(
            f"--input {text}: expected channels x height x width, as in 3x224x224, "
            "or the number of columns of a table."
        )
    shape = tuple(int(side) for side in re.split("[x×,]", text))
    if math.prod(shape) > LARGEST:
        raise UserError(f"--input {text}: expected at most {LARGEST:,} numbers in an example.")
    return shape


LARGEST = 10**9
