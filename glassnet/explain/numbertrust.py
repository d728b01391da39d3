"""Is the evidence in a sequence of numbers to be trusted: the two checks of ``wordtrust.py``.

Tiles of neighbours are covered with the blank, the strongest evidence first, and as many in random
orders; and the weights are shuffled, which must give other evidence. Of a forecast, what
raises it most is covered first, and measured is how far it falls.
"""

# Letters in tensor names: B copies, N tiles, F rows, U columns, S shares that are covered.

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.explain.attribution import Attribution
from glassnet.explain.maps import CONVOLUTIONS
from glassnet.explain.numbers import Asked
from glassnet.explain.trust import SAME, area, rank_correlation
from glassnet.explain.wordtrust import CHANCE, DOUBT
from glassnet.figures import Grid, Lines, Series

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
TOLD = 0.2
RANDOM = 40
"""Random orders in which tiles are covered."""
SHUFFLES = 3
LEAST = 0.01
"""The change, as a share (of one, or of the whole change), below which nothing is explained."""


@dataclass(frozen=True)
class Check:
    """What the checks found about one method, on the mean over some examples."""

    method: str
    num_examples: int
    covered: Sequence[float]
    """Shares of the tiles that were covered, the strongest evidence first."""
    score: Sequence[float]
    """The probability of the explained class then; of a forecast, 1 at first, and 0 once it has
    fallen by the spread of the past."""
    score_random: Sequence[float]
    """The same for random tiles; the mean of several orders."""
    as_costly: float
    """The share of random orders that lower the score as much, over all shares together."""
    like_new_head: float
    """Rank correlation with the evidence of a network whose last layer has shuffled weights."""
    like_new_network: float
    """The same with all weights shuffled."""
    thing: str = "answer's share"

    def to_json(self) -> dict[str, Any]:
        """All of it, and the verdict."""
        return {**asdict(self), "finds": self.finds, "follows": self.follows, "text": self.text}

    @property
    def finds(self) -> bool:
        """Whether it finds what counts: covering that costs more than random orders do."""
        return self.as_costly <= CHANCE and not self.idle

    @property
    def idle(self) -> bool:
        """Whether the answer hangs on nothing: whatever is covered, it stays."""
        found = [*self.score, *self.score_random]
        return max(found) - min(found) < LEAST

    @property
    def follows(self) -> bool:
        """Whether it follows the weights: other weights give other evidence."""
        return self.like_new_head <= SAME and self.like_new_network <= SAME

    @property
    def text(self) -> str:
        """One sentence on each check, and what follows."""
        place = self.covered.index(TOLD)
        return (
            f"{self.method.replace('_', ' ')}: {self._verdict}. Here covering the {TOLD:.0%} that "
            f"it marks most changes the {self.thing} from {self.score[0]:.0%} to "
            f"{self.score[place]:.0%}, as much at random to {self.score_random[place]:.0%} "
            f"({self.as_costly:.0%} of random orders cost as much); with the last layer's weights "
            f"shuffled the evidence has a rank correlation of {self.like_new_head:.2f} with this "
            f"one, with all weights shuffled {self.like_new_network:.2f}."
        )

    @property
    def _verdict(self) -> str:
        shown = "it shows the input more than what the network learned"
        lost = "what it marks matters little more than what it does not mark"
        if self.idle:
            return "there is nothing to explain here, for nothing that is covered changes it"
        if CHANCE < self.as_costly <= DOUBT and self.follows:
            return "follows the weights, but chance may explain what it marks: give more examples"
        if self.finds and self.follows:
            return "passes both checks"
        if self.finds:
            return f"finds what counts, but stays alike with other weights, so beware: {shown}"
        return f"not to be trusted here: {lost if self.follows else f'{lost}, and {shown}'}"


def check(
    name: str,
    method: Callable[[Asked], Attribution],
    examples: Sequence[Asked],
    thing: str = "answer's share",
) -> Check:
    """Check a method on some examples; ``thing`` is what their score is."""
    generator = torch.Generator().manual_seed(0)
    own, random = [], []
    heads: list[float] = []
    networks: list[float] = []
    for asked in examples:
        evidence_N = tiles(asked, method(asked))
        order_N = evidence_N.argsort(descending=True, stable=True)
        own.append(deletion(asked, order_N[None])[:, 0])
        orders = [torch.randperm(asked.num_tiles, generator=generator) for _ in range(RANDOM)]
        random.append(deletion(asked, torch.stack(orders)))
        for found, head_only in ((heads, True), (networks, False)):
            for _ in range(SHUFFLES):
                other = asked.without(shuffled(asked, generator, head_only=head_only))
                values_N = tiles(other, method(other))
                found.append(rank_correlation(evidence_N[None], values_N[None]))
    score = torch.stack(own).mean(0).tolist()
    by_chance_SB = torch.stack(random).mean(0)
    below = [area(SHARES, scores) for scores in by_chance_SB.T.tolist()]
    return Check(
        method=name, num_examples=len(examples), covered=SHARES, score=score,
        score_random=by_chance_SB.mean(1).tolist(),
        as_costly=sum(one <= area(SHARES, score) for one in below) / len(below),
        like_new_head=sum(heads) / len(heads), like_new_network=sum(networks) / len(networks),
        thing=thing,
    )  # fmt: skip


def tiles(asked: Asked, found: Attribution) -> Tensor:
    """The evidence of each tile, (N,) float64."""
    return asked.by_tile(torch.tensor(found.values, dtype=torch.float64))


def deletion(asked: Asked, orders_BN: Tensor) -> Tensor:
    """The score (S, B) when the first of ``SHARES`` of the tiles in each order are covered."""
    rank_BN = orders_BN.argsort(dim=1)  # of each tile: when its turn comes
    found = []
    for share in SHARES:
        hidden_BN = rank_BN < round(share * asked.num_tiles)
        parts = [asked.measured(asked.covered(some), asked.score) for some in hidden_BN.split(16)]
        found.append(torch.cat(parts))
    return torch.stack(found)


def shuffled(asked: Asked, generator: torch.Generator, *, head_only: bool) -> nn.Module:
    """A copy with the weights of its last layer, or of all, in random order; the front as it is."""
    other = copy.deepcopy(asked.network)
    # What was solved rather than trained, such as a regression, lies in kept buffers.
    every = [p for p in other.state_dict().values() if p.ndim > 1 and p.is_floating_point()]
    with torch.no_grad():
        shape = asked.network(asked.signals_1CT).shape[1:]
        for weight in _heads(other, shape) or every[-1:] if head_only else every:
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return other


def _heads(network: nn.Module, shape: Sequence[int]) -> list[Tensor]:
    """The weights that end in as many numbers as there are outputs, (…) of one example.

    There may be several, such as a linear part beside the deep one.
    """
    sizes = {math.prod(shape[first:]) for first in range(len(shape))} | {*shape} - {1}
    usual, kept = (nn.Linear, *CONVOLUTIONS), network.state_dict().keys()
    return [
        weight.data
        for place, module in network.named_modules()
        for name, weight in [
            *module.named_parameters(recurse=False),
            *module.named_buffers(recurse=False),
        ]
        if weight.ndim > 1
        and f"{place}.{name}".removeprefix(".") in kept
        and weight.shape[0 if isinstance(module, usual) else -1] in sizes
    ]


def curve(checks: Sequence[Check]) -> Lines:
    """The deletion curves of all methods, dashed for random tiles."""
    series = [Series(one.method.replace("_", " "), one.covered, one.score) for one in checks]
    first = checks[0]
    series.append(Series("random tiles", first.covered, first.score_random, dashed=True))
    return Lines(
        "What counts: the answer while what is marked is covered",
        series,
        x_label="share of the input that is covered, the strongest evidence first",
        y_label=first.thing,
        note="The sooner a curve falls below the dashed one, the better the method finds what "
        "counts.",
    )


def likeness(checks: Sequence[Check]) -> Grid:
    """How alike the evidence of networks with other weights is."""
    return Grid(
        "Follows the weights: rank correlation with the evidence of other weights",
        [[1.0, one.like_new_head, one.like_new_network] for one in checks],
        row_labels=[one.method.replace("_", " ") for one in checks],
        column_labels=["these", "last layer shuffled", "all shuffled"],
        column_title="weights", format=".2f",
        note=f"The mean of several shuffles. Near 0 is as it should be. Above {SAME}, the evidence "
        "shows the input more than what the network learned.",
    )  # fmt: skip
