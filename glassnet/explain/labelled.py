"""A recorded step with names for its numbers, and what text, JSON and pages say about it alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from glassnet.explain.recorder import Step

WEIGHTED = nn.Linear | nn.Conv1d | nn.Conv2d
"""Layers whose output is called z: an activation function mostly follows."""


@dataclass(frozen=True)
class Labelled:
    """One step, with names for its numbers."""

    step: Step
    labels: tuple[str, ...]
    """One name for each number of a value with one axis, else empty."""
    before: Labelled | None
    """The (first) step that it reads."""

    @property
    def value(self) -> Tensor:
        """What the step gave, without the axis of the batch."""
        return without_batch(self.step.value)

    @property
    def gradient(self) -> Tensor | None:
        """dL/d value, of the same shape; None if the loss does not depend on it."""
        return None if self.step.gradient is None else without_batch(self.step.gradient)

    @property
    def symbol(self) -> str:
        """Its letter."""
        return symbol(self.step)


@dataclass(frozen=True)
class Contributions:
    """The terms of z = W a + b."""

    names: Sequence[str]
    """Of the inputs (I,)."""
    terms: Tensor
    """W[o, i] a[i], (O, I)."""
    bias: Tensor
    """(O,); zeros if the layer has none."""


def contributions(labelled: Labelled) -> Contributions | None:
    """What each input of a dense layer adds to each z; None for anything else."""
    dense, before = labelled.step.module, labelled.before
    if not isinstance(dense, nn.Linear) or before is None:
        return None
    inputs, weights = before.value.reshape(-1), dense.weight.detach()
    if len(inputs) != dense.in_features:
        return None
    names = before.labels or [str(i) for i in range(1, len(inputs) + 1)]
    bias = weights.new_zeros(len(weights)) if dense.bias is None else dense.bias.detach()
    return Contributions(names, weights * inputs, bias)


def symbol(step: Step) -> str:
    """The letter of the books: x for the input, z after a weighted sum, else a."""
    if step.number == 0:
        return "x"
    return "z" if isinstance(step.module, WEIGHTED) else "a"


def without_batch(tensor: Tensor) -> Tensor:
    """The numbers of the one example."""
    return tensor[0] if tensor.ndim and tensor.shape[0] == 1 else tensor


def short_name(parameter: str, step: Step) -> str:
    """As the formulas call it: W and b, in a normalization γ and β; else its own name."""
    if "embeddings." in parameter:
        return f"W of embedding {int(parameter.rsplit('.', 2)[-2]) + 1}"
    last = parameter.rsplit(".", 1)[-1]
    letters = {"weight": "W", "bias": "b"}
    if "Norm" in step.kind:
        letters = {"weight": "γ", "bias": "β"}
    return letters.get(last, last)


def shape_text(tensor: Tensor) -> str:
    """'16 × 8 × 8'."""
    return " × ".join(map(str, tensor.shape)) or "1"


def summary(tensor: Tensor) -> str:
    """Statistics in a line."""
    numbers = tensor.double()
    if not numbers.numel():
        return "empty"
    zeros = float((numbers == 0).double().mean())
    share = f", {zeros:.0%} are 0" if zeros else ""
    return (
        f"mean {float(numbers.mean()):.4g}, std {float(numbers.std(correction=0)):.4g}, "
        f"from {float(numbers.min()):.4g} to {float(numbers.max()):.4g}{share}"
    )


def plain(value: object) -> str:
    """A value as people read it."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
