"""Which tokens of a text speak for an answer: integrated gradients, occlusion, gradient × input.

Papers: Mukund Sundararajan, Ankur Taly, Qiqi Yan (2017), "Axiomatic Attribution for Deep Networks",
arXiv:1703.01365 (integrated gradients; section 6.3 for texts, whose baseline are zero embeddings);
Jiwei Li, Will Monroe, Dan Jurafsky (2016), "Understanding Neural Networks through Representation
Erasure", arXiv:1612.08220 (occlusion); Avanti Shrikumar, Peyton Greenside, Anshul Kundaje (2017),
"Learning Important Features Through Propagating Activation Differences", arXiv:1704.02685, section
3 (gradient × input).

How ours differs: evidence is in log-odds, ln(p / (1 - p)), which for an answer and against it
differ in sign alone, and do not saturate as a probability does. Occlusion takes a token out of the
text, which closes up: no word of the vocabulary means nothing, and padding in the middle of a text
is nothing that a network has ever read.
"""

# Letters in tensor names: T tokens, D numbers of an embedding, S points on the way.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from glassnet.errors import UserError, nearest
from glassnet.explain.tokens import Embedded, Question
from glassnet.words.inner import PAD, differentiable

STEPS = (32, 128, 512)
"""Points on the way from the baseline; the next number if the sum is not complete."""
COMPLETE = 0.02
"""How far the sum may be from the whole change, as a share of it (or in log-odds, if that is more);
the paper finds 5 % good enough (section 5)."""
AT_ONCE = 2**14
"""Tokens, or numbers, that go through the network at once."""


@dataclass(frozen=True)
class Attribution:
    """What each token of a text adds to the log-odds of an answer; negative ones speak against."""

    method: str
    values: Sequence[float]
    change: float | None = None
    """Log-odds of the text less those of the baseline: what the values should add up to. None for
    methods that promise no sum."""
    steps: int | None = None
    """Points on the way; None for other methods."""

    @property
    def total(self) -> float:
        """What the values add up to."""
        return float(sum(self.values))

    @property
    def gap(self) -> float | None:
        """By how much the sum misses the whole change."""
        return None if self.change is None else self.total - self.change

    @property
    def complete(self) -> bool | None:
        """Whether the sum is the whole change, nearly; None if the method promises none."""
        if self.gap is None or self.change is None:
            return None
        return abs(self.gap) <= COMPLETE * max(1.0, abs(self.change))

    def to_json(self) -> dict[str, Any]:
        """All of it, with the sum and how far it is off."""
        return {**asdict(self), "total": self.total, "gap": self.gap, "complete": self.complete}


Method = Callable[[Question, Tensor], Attribution]
"""A question and the tokens (T,) of one text, without padding -> what each adds."""


def integrated_gradients(question: Question, tokens_T: Tensor) -> Attribution:
    """What each token adds on the straight way from zero embeddings to its own.

    The values add up to the whole change of the log-odds, as far as the points on the way tell; if
    they do not, more points are taken.
    """
    one = Embedded(question, tokens_T)
    values_TD = one.values_TD
    with torch.no_grad():
        ends = one.log_odds(torch.stack([torch.zeros_like(values_TD), values_TD]))
    change = float(ends[1] - ends[0])

    def gradient(shares_S: Tensor) -> Tensor:
        return _gradient(one, shares_S[:, None, None] * values_TD).sum(0)

    worth_TD, steps = along(gradient, values_TD, change, len(tokens_T))
    worth_T = worth_TD.sum(1)
    return Attribution("integrated_gradients", worth_T.tolist(), change, steps)


def along(
    gradient: Callable[[Tensor], Tensor],
    way: Tensor,
    change: float,
    size: int,
    places: Sequence[int] = STEPS,
) -> tuple[Tensor, int]:
    """What each number of ``way`` adds on a straight line of that length and direction.

    Args:
        gradient: Places (S,) between 0 and 1 -> the sum of the gradients there, as ``way``.
        way: From the baseline to the input.
        change: Of the explained answer, from the one to the other.
        size: How much one place weighs, in the unit of ``AT_ONCE``.
        places: How many places are looked at; the next number if the sum is not complete.

    Returns:
        What each adds, and how many places were looked at: so many that the sum is complete.
    """
    worth, steps = torch.zeros_like(way), 0
    for steps in places:
        places_S = (torch.arange(steps, device=way.device) + 0.5) / steps
        mean = torch.zeros_like(way)
        for some in places_S.split(max(1, AT_ONCE // size)):
            mean += gradient(some) / steps
        worth = mean * way
        if Attribution("", [float(worth.cpu().double().sum())], change, steps).complete:
            break
    return worth, steps


def gradient_times_input(question: Question, tokens_T: Tensor) -> Attribution:
    """What each token would add if the network were a straight line: one gradient, quickly had."""
    one = Embedded(question, tokens_T)
    worth_T = (_gradient(one, one.values_TD[None])[0] * one.values_TD).sum(1)
    return Attribution("gradient_times_input", worth_T.tolist())


def occlusion(question: Question, tokens_T: Tensor) -> Attribution:
    """By how much the log-odds fall when a token is taken out of the text, which closes up."""
    num_tokens = len(tokens_T)
    kept_TT = ~torch.eye(num_tokens, dtype=torch.bool, device=tokens_T.device)
    without = kept(tokens_T, kept_TT)
    with torch.no_grad():
        whole = question.log_odds(tokens_T[None])
        parts = without.split(max(1, AT_ONCE // num_tokens))
        left = torch.cat([question.log_odds(part) for part in parts])
    return Attribution("occlusion", (whole - left).tolist())


def kept(tokens_T: Tensor, kept_BT: Tensor) -> Tensor:
    """The text with some of its tokens only, closed up: as many of them in each row.

    Nothing at all is one token of padding.
    """
    rows, count = len(kept_BT), int(kept_BT[0].sum())
    if not count:
        return tokens_T.new_full((rows, 1), PAD)
    return tokens_T.expand(rows, -1)[kept_BT].view(rows, count)


def _gradient(one: Embedded, values_BTD: Tensor) -> Tensor:
    with differentiable():
        given = values_BTD.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(one.log_odds(given).sum(), given)
    return found.detach()


@dataclass(frozen=True)
class Way:
    """One method, and how to read what it says."""

    method: Method
    about: str


METHODS = {
    "integrated_gradients": Way(
        integrated_gradients,
        "what each token adds to the log-odds of the answer on the way from nothing (zero "
        "embeddings) to the text; the values add up to the whole change (Sundararajan et al. 2017)",
    ),
    "occlusion": Way(
        occlusion,
        "by how much the log-odds of the answer fall when the token is taken out of the text, "
        "which closes up (Li et al. 2016); two words that say the same hide each other",
    ),
    "gradient_times_input": Way(
        gradient_times_input,
        "the change that the gradient at the text foretells if a token were nothing; quick, and "
        "wrong where the network is not nearly a straight line (Shrikumar et al. 2017)",
    ),
}
DEFAULT = tuple(METHODS)


def chosen(names: Sequence[str]) -> dict[str, Method]:
    """The methods of these names.

    Raises:
        UserError: If there is no such method.
    """
    for name in names:
        if name not in METHODS:
            raise UserError(
                f"--method {name}: there is no such method for texts.{nearest(name, list(METHODS))}"
                f" Methods: {', '.join(METHODS)}."
            )
    return {name: METHODS[name].method for name in names}
