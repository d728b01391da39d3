"""A network on paper: every layer with its output shape, parameters and FLOPs.

The network is really built, and an example really passes through it, but on torch's device "meta",
which knows shapes and keeps no numbers: VGG-19 costs no memory and no time.
"""

from __future__ import annotations

import math
import re
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from glassnet import cost, network
from glassnet.cost import Layer
from glassnet.errors import UserError
from glassnet.recipe import NetworkKnobs

TRIALS: tuple[tuple[tuple[int, ...], int], ...] = (((1, 28, 28), 10), ((20,), 10))
"""Inputs and outputs for a network whose file names none: a small image, the row of a table."""
TOKENS, VOCABULARY, CLASSES = 64, 8000, 2
"""Length of a text, different tokens, and classes, for a network that reads texts."""
HISTORY = (7, 336, 96)
"""Variables, steps of the past and steps ahead: those of ETTh1."""
SIGNAL = (4, 200)
"""Channels and steps of a sequence of numbers, such as 200 letters of DNA."""


@dataclass(frozen=True)
class Blueprint:
    """What a network consists of, for one shape of inputs."""

    network: dict[str, Any]
    """Name and all knobs."""
    reads: str
    """'numbers'; 'tokens', 'stream' or 'pairs' if it reads texts; 'signals' or 'frames'."""
    vocabulary: int | None
    """How many different tokens it knows, if it reads texts."""
    input_shape: tuple[int, ...]
    """Without the batch axis; of a text, how many tokens."""
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
            "reads": self.reads,
            "vocabulary": self.vocabulary,
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
    reads: str | None = None,
    vocabulary: int | None = None,
) -> Blueprint:
    """Build a network on paper; unset shapes are those of its paper.

    ``reads`` is what it is fed, of what its file says that it can read; unset: the first of these.

    Raises:
        UserError: the knobs are wrong, or the network does not take such inputs.
    """
    knobs = network.resolved(knobs)
    module = vars(sys.modules[network.find(knobs.name).__module__])
    reads = reads or network.reads(knobs.name)[0]
    if reads in ("signals", "frames"):
        return _drawn(knobs, input_shape or SIGNAL, num_outputs or CLASSES, reads)
    if reads == "forecast":
        return _of_forecasts(knobs, input_shape or HISTORY, num_outputs or 1)
    if reads != "numbers":
        return _of_texts(knobs, reads, input_shape, num_outputs, vocabulary)
    if vocabulary is not None:
        raise UserError(f"--vocabulary {vocabulary}: network {knobs.name} reads no texts.")
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


def _of_forecasts(knobs: NetworkKnobs, shape: tuple[int, ...], num_outputs: int) -> Blueprint:
    """A network that continues series."""
    if len(shape) != 3:
        raise UserError(
            f"--input {'x'.join(map(str, shape))}: network {knobs.name} forecasts; expected "
            "variables x steps of the past x steps ahead, as in --input "
            f"{'x'.join(map(str, HISTORY))}."
        )
    variables, past, horizon = shape
    whole = (variables, past + horizon)
    return _drawn(knobs, whole, num_outputs, "forecast", variables=variables, horizon=horizon)


def _of_texts(
    knobs: NetworkKnobs,
    reads: str,
    input_shape: tuple[int, ...] | None,
    num_outputs: int | None,
    vocabulary: int | None,
) -> Blueprint:
    """A network that reads texts: outputs are classes, or else all tokens."""
    shape = input_shape or (TOKENS,)
    if len(shape) != 1:
        sides = "x".join(map(str, shape))
        raise UserError(
            f"--input {sides}: network {knobs.name} reads texts; expected how many tokens, as in "
            f"--input {TOKENS}."
        )
    if reads == "tokens":
        return _drawn(knobs, shape, num_outputs or CLASSES, reads, vocabulary or VOCABULARY)
    if num_outputs is not None:
        raise UserError(
            f"--classes {num_outputs}: network {knobs.name} answers with tokens; set --vocabulary."
        )
    return _drawn(knobs, shape, vocabulary or VOCABULARY, reads, vocabulary or VOCABULARY)


def _drawn(
    knobs: NetworkKnobs,
    input_shape: tuple[int, ...],
    num_outputs: int,
    reads: str = "numbers",
    vocabulary: int | None = None,
    variables: int = 0,
    horizon: int = 0,
) -> Blueprint:
    own = knobs.name.endswith(".py")  # a user's own network may look at its numbers
    with ExitStack() as stack:
        if not own:
            stack.enter_context(torch.device("meta"))
            stack.enter_context(Undrawn())  # type: ignore[no-untyped-call]
        built = network.build_network(
            knobs,
            input_shape,
            num_outputs,
            reads=reads,
            vocabulary=vocabulary,
            variables=variables,
            horizon=horizon,
        )
        layers = cost.layers(built, _example(reads, input_shape))
    told = [layer for layer in layers if layer.kind != "Identity"]
    return Blueprint(
        network={"name": knobs.name, **knobs.options},
        reads=reads,
        vocabulary=vocabulary,
        input_shape=input_shape,
        num_outputs=num_outputs,
        layers=told,
        parameters=sum(p.numel() for p in built.parameters()),
        flops=sum(layer.flops for layer in layers),
    )


def _example(reads: str, input_shape: tuple[int, ...]) -> Tensor:
    """One example of what a network reads; no token of it is padding."""
    if reads in ("numbers", "signals", "frames", "forecast"):
        return torch.zeros(1, *input_shape)
    sides = (2,) if reads == "pairs" else ()
    return torch.ones(1, *sides, *input_shape, dtype=torch.int64)


class Undrawn(TorchDispatchMode):
    """Draws no first weights: on the device "meta" that would only import the compiler, for 1 s."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch's hook: keep __torch_dispatch__ as it is, without the compiler

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run one operation, if it is not a draw."""
        if func in (torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default):
            return args[0]
        return func(*args, **(kwargs or {}))


def parse_shape(text: str) -> tuple[int, ...]:
    """Read the shape of inputs, as in 3x224x224.

    >>> [parse_shape(text) for text in ("3x224x224", "3×32×32", "20")]
    [(3, 224, 224), (3, 32, 32), (20,)]
    """
    if not re.fullmatch(r"[1-9]\d*([x×,][1-9]\d*)*", text):
        raise UserError(
            f"--input {text}: expected channels x height x width, as in 3x224x224, "
            "or the number of columns of a table, or of tokens."
        )
    shape = tuple(int(side) for side in re.split("[x×,]", text))
    if math.prod(shape) > LARGEST:
        raise UserError(f"--input {text}: expected at most {LARGEST:,} numbers in an example.")
    return shape


LARGEST = 10**9
