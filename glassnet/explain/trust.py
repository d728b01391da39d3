"""Is an explanation to be trusted: does it follow the weights, and does it find what counts?

Papers: Julius Adebayo, Justin Gilmer, Michael Muelly, Ian Goodfellow, Moritz Hardt, Been Kim
(2018), "Sanity Checks for Saliency Maps", arXiv:1810.03292 (a map that stays the same when the
weights are replaced shows the image, not the network); Vitali Petsiuk, Abir Das, Kate Saenko
(2018), "RISE", arXiv:1806.07421 (the deletion curve).

How ours differs: weights are shuffled within their tensor, so that their sizes stay; and deletion
is compared with the same map moved elsewhere (rolled around the border), not with single random
pixels: scattered pixels disturb a network more than a patch of the same area, whatever they show.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.explain.maps import CONVOLUTIONS, Target
from glassnet.explain.saliency import mean
from glassnet.figures import Grid, Lines, Series

Method = Callable[[nn.Module, Tensor, Target], Tensor]
"""Network, inputs (B, C, *sides) and target -> evidence (B, *sides)."""

SHARES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
"""Of the area, covered."""
TOLD = 0.2
"""The share whose effect is told in words."""
MOVES = 4
SAME = 0.5
"""Rank correlation above which two maps are called alike."""
BETTER = 0.9
"""The area below the curve of a map that finds what counts is at most so much of a moved one's."""


@dataclass(frozen=True)
class Check:
    """What the checks found about one method, on the mean over some inputs."""

    method: str
    num_inputs: int
    covered: Sequence[float]
    """Shares of the area that were covered, the strongest evidence first."""
    score: Sequence[float]
    """The score then, such as the probability of the class."""
    score_moved: Sequence[float]
    """The same for the map moved elsewhere; the mean of several moves."""
    like_new_head: float
    """Rank correlation with the map of a network whose last layer has shuffled weights."""
    like_new_network: float
    """The same with all weights shuffled."""

    def to_json(self) -> dict[str, Any]:
        """All of it, and the verdict."""
        return {**asdict(self), "finds": self.finds, "follows": self.follows, "text": self.text}

    @property
    def finds(self) -> bool:
        """Whether it finds what counts: covering it costs clearly more than covering elsewhere."""
        return area(self.covered, self.score) <= BETTER * area(self.covered, self.score_moved)

    @property
    def follows(self) -> bool:
        """Whether it follows the weights: other weights give another map."""
        return self.like_new_head <= SAME and self.like_new_network <= SAME

    @property
    def text(self) -> str:
        """One sentence on each check, and what follows."""
        place = self.covered.index(TOLD)
        drop = (
            f"covering the {TOLD:.0%} of the area that it marks most changes the answer's share "
            f"from {self.score[0]:.0%} to {self.score[place]:.0%}, the same marks moved elsewhere "
            f"to {self.score_moved[place]:.0%}"
        )
        alike = (
            f"with the last layer's weights shuffled the map has a rank correlation of "
            f"{self.like_new_head:.2f} with this one, with all weights shuffled "
            f"{self.like_new_network:.2f}"
        )
        name = self.method.replace("_", " ")
        return f"{name}: {self._verdict}. Here {drop}; {alike}."

    @property
    def _verdict(self) -> str:
        if self.finds and self.follows:
            return "passes both checks"
        shown = "it shows the image more than what the network learned"
        lost = "what it marks matters little more than what it does not mark"
        if self.finds:
            return f"finds what counts, but stays alike with other weights, so beware: {shown}"
        return f"not to be trusted here: {lost if self.follows else f'{lost}, and {shown}'}"


def check(
    name: str,
    method: Method,
    network: nn.Module,
    inputs: Tensor,
    target: Target,
    score: Target,
) -> Check:
    """Check a method on some inputs (B, C, *sides).

    ``score`` is what deletion is measured by, such as the probability of the class that ``target``
    explains.
    """
    heat = method(network, inputs, target)
    generator = torch.Generator().manual_seed(0)
    own = deletion(network, inputs, heat, score)
    moves = [deletion(network, inputs, moved(heat, generator), score) for _ in range(MOVES)]
    head = method(shuffled(network, generator, head_only=True), inputs, target)
    whole = method(shuffled(network, generator, head_only=False), inputs, target)
    return Check(
        method=name,
        num_inputs=len(inputs),
        covered=SHARES,
        score=own,
        score_moved=[sum(some) / MOVES for some in zip(*moves, strict=True)],
        like_new_head=rank_correlation(heat, head),
        like_new_network=rank_correlation(heat, whole),
    )


def deletion(network: nn.Module, inputs: Tensor, heat: Tensor, score: Target) -> list[float]:
    """The mean score when the strongest ``SHARES`` of the area are covered by the input's mean."""
    floats, flat = inputs.float(), heat.flatten(1)
    cover, places = mean(floats), flat.shape[1]
    order = flat.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(places, device=order.device).expand_as(order)
    )
    rank = rank.view(heat.shape)[:, None]
    found = []
    with torch.no_grad():
        for share in SHARES:
            covered = torch.where(rank < round(share * places), cover, floats)
            found.append(float(score(network(covered)).mean()))
    return found


def moved(heat: Tensor, generator: torch.Generator) -> Tensor:
    """The same maps, rolled around the border by a quarter to three quarters of each side."""
    shifts = [
        int(torch.randint(side // 4, side - side // 4, (), generator=generator))
        for side in heat.shape[1:]
    ]
    rolled: Tensor = heat.roll(shifts, tuple(range(1, heat.ndim)))
    return rolled


def shuffled(network: nn.Module, generator: torch.Generator, *, head_only: bool) -> nn.Module:
    """A copy with the weights of the last layer, or of all layers, in random order."""
    other = copy.deepcopy(network)
    layers = [m for m in other.modules() if isinstance(m, (nn.Linear, *CONVOLUTIONS))]
    for layer in layers[-1:] if head_only else layers:
        weight = layer.weight.data
        order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
        weight.copy_(weight.flatten()[order].view_as(weight))
    return other


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's rank correlation of maps (B, …), the mean over the batch; 0 for a constant map."""
    return sum(_spearman(a.flatten(), b.flatten()) for a, b in zip(one, other, strict=True)) / len(
        one
    )


def _spearman(one: Tensor, other: Tensor) -> float:
    ranks = torch.stack([_ranks(one), _ranks(other)])
    ranks = ranks - ranks.mean(1, keepdim=True)
    size = float(ranks.norm(dim=1).prod())
    return float((ranks[0] * ranks[1]).sum()) / size if size else 0.0


def _ranks(values: Tensor) -> Tensor:
    """Ranks; equal numbers share the mean of theirs."""
    _, which, counts = values.double().unique(return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    ranks: Tensor = (ends - (counts - 1) / 2)[which]
    return ranks


def area(x: Sequence[float], y: Sequence[float]) -> float:
    """The area below a curve."""
    pairs = itertools.pairwise(zip(x, y, strict=True))
    return sum((right - left) * (a + b) / 2 for (left, a), (right, b) in pairs)


def curve(one: Check) -> Lines:
    """The deletion curve, dashed for the map moved elsewhere."""
    series = [
        Series("where it marks", one.covered, one.score),
        Series("moved elsewhere", one.covered, one.score_moved, dashed=True),
    ]
    return Lines(
        f"What counts: the answer while what {one.method.replace('_', ' ')} marks is covered",
        series,
        x_label="share of the area that is covered, the strongest evidence first",
        y_label="share that the network gives the class",
        note="The sooner it falls below the dashed curve, the better the map finds what counts.",
    )


def likeness(checks: Sequence[Check]) -> Grid:
    """How alike the maps of networks with other weights are."""
    return Grid(
        "Follows the weights: rank correlation with the maps of other weights",
        [[1.0, one.like_new_head, one.like_new_network] for one in checks],
        row_labels=[one.method.replace("_", " ") for one in checks],
        column_labels=["these", "last layer shuffled", "all shuffled"],
        column_title="weights",
        format=".2f",
        note=f"Near 0 is as it should be. Above {SAME}, the map shows the image more than what the "
        "network learned.",
    )
