"""How much of a gradient that arrives at the end of a text reaches back to each of its tokens.

Papers: Sepp Hochreiter (1991), "Untersuchungen zu dynamischen neuronalen Netzen"; Yoshua Bengio,
Patrice Simard, Paolo Frasconi (1994), "Learning Long-Term Dependencies with Gradient Descent is
Difficult", IEEE Transactions on Neural Networks 5.

A recurrent network learns what happened k steps before the end only by a gradient that went through
k steps. Measured is the length of d (loss at the last step) / d (state at step t), as a share of
its length at the last step. An LSTM has two states: its hidden state, and its cell, by which the
gradient travels.

For a network with one answer for a text, the loss reaches each step directly too (by the mean or
the largest over all steps), which would hide what is lost on the way; so instead of the loss a few
random directions of the last state are followed back, and the root of the mean square is taken.
"""

# Letters in tensor names: T tokens, H hidden units.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.explain.gates import BACKWARDS
from glassnet.figures import Lines, Series
from glassnet.words.inner import differentiable, recorded

STATES = ("hidden", "cell")
DIRECTIONS = 8
FADED = 1e-3
"""Below this share a gradient moves next to nothing, beside those of nearer tokens."""


@dataclass(frozen=True)
class Faded:
    """What is left of a gradient in one state of one layer."""

    layer: str
    state: str
    """'hidden' or 'cell'."""
    left: Sequence[float]
    """0, 1, 2 … steps before the end: the share of the gradient that is left."""

    @property
    def rate(self) -> float | None:
        """The factor by which it changes from step to step, in the geometric mean."""
        known = [share for share in self.left if share > 0]
        if len(known) < 2:
            return None
        return float(math.exp(math.log(known[-1] / known[0]) / (len(known) - 1)))

    @property
    def reach(self) -> int | None:
        """After how many steps less than ``FADED`` is left; None if it never is."""
        return next((k for k, share in enumerate(self.left) if share < FADED), None)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "rate": self.rate, "reach": self.reach}

    @property
    def text(self) -> str:
        """One sentence."""
        back = len(self.left) - 1
        rate = "" if self.rate is None else f", ×{self.rate:.2f} a step"
        end = f"{self.left[-1]:.1e} of the gradient is left {back} steps back{rate}"
        return f"{self.layer}, {self.state}: {end}"


def faded(network: nn.Module, tokens: Tensor, *, stream: bool, seed: int = 0) -> list[Faded]:
    """Measure a network on one text (T,) or on texts of one length (B, T), whose mean is taken.

    Empty if the network has no recurrent layer with an explicit form, or there is no step to go.
    """
    tokens_BT = tokens if tokens.ndim == 2 else tokens[None]
    if tokens_BT.shape[1] < 2:
        return []
    asked: dict[str, Tensor] = {}

    def ask() -> None:
        # The last token's loss: for it the network must have read all tokens but the last.
        asked["outputs"] = network(tokens_BT[:, :-1] if stream else tokens_BT)

    with differentiable():
        seen = recorded(network, ask)
        found = []
        for layer, parts in seen.items():
            states = {name: parts[name] for name in STATES if name in parts}
            if len(states.get("hidden", [])) < 2:
                continue
            if stream:
                loss = nn.functional.cross_entropy(
                    asked["outputs"][:, -1].float(), tokens_BT[:, -1]
                )
                sources: list[Callable[[], Tensor]] = [lambda loss=loss: loss]  # type: ignore[misc]
            else:
                sources = _directions(parts["hidden"][-1], seed)
            found += _measured(_plain(layer), states, sources)
    return found


def _directions(last_BH: Tensor, seed: int) -> list[Callable[[], Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(DIRECTIONS, *last_BH.shape, generator=generator).to(last_BH.device)
    return [lambda one=one: (last_BH * one).sum() for one in drawn]  # type: ignore[misc]


def _measured(
    layer: str, states: dict[str, list[Tensor]], sources: Sequence[Callable[[], Tensor]]
) -> list[Faded]:
    """The root of the mean square over sources and texts, state by state and step by step."""
    flat = [state for steps in states.values() for state in steps]
    total = torch.zeros(len(flat), dtype=torch.float64)
    for source in sources:
        gradients = torch.autograd.grad(source(), flat, retain_graph=True, allow_unused=True)
        for place, gradient in enumerate(gradients):
            if gradient is not None:
                total[place] += float(gradient.cpu().double().square().sum())
    found, first = [], 0
    for name, steps in states.items():
        size_T = total[first : first + len(steps)].sqrt().flip(0)
        first += len(steps)
        last = float(size_T[0]) or 1.0
        found.append(Faded(layer, name, (size_T / last).tolist()))
    return found


def _plain(layer: str) -> str:
    words = layer.split(".")
    return layer + " (from the end)" if BACKWARDS in words else layer


def figure(found: Sequence[Faded], title: str) -> Lines:
    """How the gradient fades on its way back."""
    return Lines(
        title,
        [
            Series(f"{one.layer}, {one.state}", list(range(len(one.left))),
                   [share if share > 0 else None for share in one.left],
                   dashed=one.state == "cell")
            for one in found
        ],
        x_label="steps before the end of what was read",
        y_label="share of the gradient that is left",
        y_log=True,
    )  # fmt: skip
