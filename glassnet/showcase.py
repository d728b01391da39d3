"""The bricks themselves, to be looked at: each activation with its derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from glassnet.figures import Cell, Document, Lines, Section, Series, Table
from glassnet.networks._activations import ABOUT

REACH = 6.0
"""The curves go from -REACH to REACH."""
POINTS = 241


@dataclass(frozen=True)
class Activation:
    """One activation, with its curve and that of its derivative, which autograd computed."""

    name: str
    formula: str
    use: str
    source: str
    z: list[float]
    a: list[float]
    derivative: list[float]


def activations() -> list[Activation]:
    """All activations of hidden layers, and softmax for the output."""
    hidden = [
        Activation(name, about.formula, about.use, about.source, *curves(about.module()))
        for name, about in ABOUT.items()
    ]
    return [*hidden, softmax()]


def softmax() -> Activation:
    """Softmax of three logits (z, 0, 0): the first probability, as its logit changes."""

    def first(z: Tensor) -> Tensor:
        return torch.stack([z, torch.zeros_like(z), torch.zeros_like(z)], dim=1).softmax(1)[:, 0]

    return Activation(
        "softmax",
        "exp(z[i]) / (exp(z[1]) + … + exp(z[C])); drawn: first of (z, 0, 0)",
        "At the output only, for one of several classes: it turns C logits into C probabilities "
        "that add up to 1. It is no loss: cross-entropy is, and takes the logits themselves.",
        "Bridle 1990",
        *curves(first),
    )


def curves(function: Callable[[Tensor], Tensor]) -> tuple[list[float], list[float], list[float]]:
    """z, a = function(z), and da/dz."""
    z = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64, requires_grad=True)
    a = function(z)
    (slope,) = torch.autograd.grad(a.sum(), z)
    return z.tolist(), a.tolist(), slope.tolist()


def document(shown: list[Activation]) -> Document:
    """A page with a figure for each, and a table of when to take which."""
    text = (
        "Without a function between them, two dense layers are one: W2 (W1 x) = (W2 W1) x. Going "
        "back through a layer, the gradient is multiplied by the derivative: where it is 0 nothing "
        "is learned, and where it is below 1 layer after layer, the gradient fades."
    )
    figures = [
        Lines(
            one.name,
            [Series("a", one.z, one.a), Series("da/dz", one.z, one.derivative, dashed=True)],
            x_label="z",
            y_label="a",
            note=f"a = {one.formula}. {one.use}",
        )
        for one in shown
    ]
    rows: list[list[Cell]] = [[one.name, one.use, max(one.derivative), one.source] for one in shown]
    columns = ["activation", "when", "largest derivative", "source"]
    table = Section("When to take which", "", [Table("", columns, rows)])
    return Document("Activations", "", [Section("", text, figures), table])
