"""Is an attribution of tokens to be trusted: does it find what counts, does it follow the weights?

The two checks are those of images (``trust.py``: Petsiuk et al. 2018; Adebayo et al. 2018), for
texts: the tokens that are marked most are taken out, which is compared with taking out as many at
random; and the weights are shuffled, which must give another attribution. Words have no
neighbourhood that random ones would tear, as pixels have, so that random orders are a fair rival,
and how many of them cost as much says whether chance explains what a method found.
"""

# Letters in tensor names: T tokens, B copies of a text, S shares that are taken out.

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.explain.attribution import AT_ONCE, Method, kept
from glassnet.explain.tokens import Question
from glassnet.explain.trust import SAME, area, rank_correlation
from glassnet.figures import Grid, Lines, Series

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)
"""Of the tokens, taken out; one at least stays."""
TOLD = 0.2
RANDOM = 100
"""Random orders in which tokens are taken out."""
CHANCE, DOUBT = 0.05, 0.25
"""If more of the random orders than this cost as much, chance may explain what a method found; or
most likely does."""
SHUFFLES = 4
LEAST = 0.01
"""The change of the answer's share, in probability, below which there is nothing to explain."""
FEW = 40
"""Tokens of all texts together, below which the checks say little."""


@dataclass(frozen=True)
class Check:
    """What the checks found about one method, on the mean over some texts."""

    method: str
    num_texts: int
    num_tokens: int
    """Of all texts together."""
    taken: Sequence[float]
    """Shares of the tokens that were taken out, the strongest evidence first."""
    score: Sequence[float]
    """The probability of the explained answer then."""
    score_random: Sequence[float]
    """The same for random tokens; the mean of several orders."""
    as_costly: float
    """The share of random orders that lower the score as much, over all shares together."""
    like_new_head: float
    """Rank correlation with the evidence of a network whose last layer has shuffled weights."""
    like_new_network: float
    """The same with all weights shuffled."""

    def to_json(self) -> dict[str, Any]:
        """All of it, and the verdict."""
        verdict = {"finds": self.finds, "follows": self.follows, "text": self.text}
        return {**asdict(self), **verdict}

    @property
    def finds(self) -> bool:
        """Whether it finds what counts: taking that out costs more than random orders do."""
        return self.as_costly <= CHANCE and not self.idle

    @property
    def idle(self) -> bool:
        """Whether the answer hangs on no token: whatever is taken out, it stays as it is."""
        found = [*self.score, *self.score_random]
        return max(found) - min(found) < LEAST

    @property
    def follows(self) -> bool:
        """Whether it follows the weights: other weights give other evidence."""
        return self.like_new_head <= SAME and self.like_new_network <= SAME

    @property
    def text(self) -> str:
        """One sentence on each check, and what follows."""
        place = self.taken.index(TOLD)
        drop = (
            f"taking out the {TOLD:.0%} of the tokens that it marks most changes the answer's "
            f"share from {self.score[0]:.0%} to {self.score[place]:.0%}, as many at random to "
            f"{self.score_random[place]:.0%} ({self.as_costly:.0%} of random orders cost as much)"
        )
        alike = (
            "with the last layer's weights shuffled the evidence has a rank correlation of "
            f"{self.like_new_head:.2f} with this one, with all weights shuffled "
            f"{self.like_new_network:.2f}"
        )
        return f"{self.method.replace('_', ' ')}: {self._verdict}. Here {drop}; {alike}."

    @property
    def _verdict(self) -> str:
        shown = "it shows the words more than what the network learned"
        lost = "what it marks matters little more than what it does not mark"
        if self.idle:
            return "there is nothing to explain here, for no word changes the answer"
        if CHANCE < self.as_costly <= DOUBT and self.follows:
            return "follows the weights, but chance may explain what it marks: give more texts"
        if self.finds and self.follows:
            return "passes both checks"
        if self.finds:
            return f"finds what counts, but stays alike with other weights, so beware: {shown}"
        return f"not to be trusted here: {lost if self.follows else f'{lost}, and {shown}'}"


def check(name: str, method: Method, asked: Sequence[tuple[Question, Tensor]]) -> Check | None:
    """Check a method on some texts (T,) of two tokens or more; None if there are none."""
    asked = [(question, tokens_T) for question, tokens_T in asked if len(tokens_T) > 1]
    if not asked:
        return None
    generator = torch.Generator().manual_seed(0)
    own, random = [], []
    heads: list[float] = []
    networks: list[float] = []
    for question, tokens_T in asked:
        evidence_T = torch.tensor(method(question, tokens_T).values)
        order_T = evidence_T.argsort(descending=True, stable=True)
        own.append(deletion(question, tokens_T, order_T[None])[:, 0])
        orders = [torch.randperm(len(tokens_T), generator=generator) for _ in range(RANDOM)]
        random.append(deletion(question, tokens_T, torch.stack(orders)))
        for found, head_only in ((heads, True), (networks, False)):
            for _ in range(SHUFFLES):
                other = shuffled(question, tokens_T, generator, head_only=head_only)
                values_T = torch.tensor(method(other, tokens_T).values)
                found.append(rank_correlation(evidence_T[None], values_T[None]))
    score = torch.stack(own).mean(0).tolist()
    by_chance_SB = torch.stack(random).mean(0)
    below = [area(SHARES, scores) for scores in by_chance_SB.T.tolist()]
    return Check(
        method=name,
        num_texts=len(asked),
        num_tokens=sum(len(tokens_T) for _, tokens_T in asked),
        taken=SHARES,
        score=score,
        score_random=by_chance_SB.mean(1).tolist(),
        as_costly=sum(one <= area(SHARES, score) for one in below) / len(below),
        like_new_head=sum(heads) / len(heads),
        like_new_network=sum(networks) / len(networks),
    )


def deletion(question: Question, tokens_T: Tensor, orders_BT: Tensor) -> Tensor:
    """The probability (S, B) when the first of ``SHARES`` of the tokens in each order are out."""
    num_tokens, found = len(tokens_T), []
    rank_BT = orders_BT.argsort(dim=1)  # of each token: when its turn comes
    with torch.no_grad():
        for share in SHARES:
            count = min(round(share * num_tokens), num_tokens - 1)
            without = kept(tokens_T, (rank_BT >= count).to(tokens_T.device))
            parts = without.split(max(1, AT_ONCE // num_tokens))
            found.append(torch.cat([question.share(part) for part in parts]).cpu())
    return torch.stack(found)


def shuffled(
    question: Question, tokens_T: Tensor, generator: torch.Generator, *, head_only: bool
) -> Question:
    """The same question to a copy with the weights of its last layer, or of all, in random order.

    Where the last layer's weights are the embedding (tied), they cannot be shuffled alone; another
    of its outputs is asked about instead.
    """
    with torch.no_grad():
        num_outputs = question.logits(tokens_T[None]).shape[1]
    other = copy.deepcopy(question.network)
    dense = [m for m in other.modules() if isinstance(m, nn.Linear)]
    heads = [m.weight for m in dense if m.out_features == num_outputs]
    if head_only and not heads:
        step = 1 + int(torch.randint(num_outputs - 1, (), generator=generator))
        return replace(question, output=(question.output + step) % num_outputs)
    with torch.no_grad():
        for weight in heads[-1:] if head_only else [p for p in other.parameters() if p.ndim > 1]:
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return replace(question, network=other)


def curve(checks: Sequence[Check]) -> Lines:
    """The deletion curves of all methods, dashed for random tokens."""
    series = [Series(one.method.replace("_", " "), one.taken, one.score) for one in checks]
    series.append(Series("random tokens", checks[0].taken, checks[0].score_random, dashed=True))
    return Lines(
        "What counts: the answer while the marked tokens are taken out",
        series,
        x_label="share of the tokens that is taken out, the strongest evidence first",
        y_label="probability of the explained answer",
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
        column_title="weights",
        format=".2f",
        note=f"Near 0 is as it should be. Above {SAME}, the evidence shows the words more than "
        "what the network learned.",
    )
