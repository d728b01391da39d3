"""From probabilities to answers: the decision of least cost.

Most runs answer with the most probable class. With costs (or class weights) a run answers with the
class whose expected cost is least (Elkan 2001, "The Foundations of Cost-Sensitive Learning"). Of
two classes that is a threshold: answer ``positive``, the rarer one, from this probability on. It is
chosen on the validation examples, which know where the probabilities are off, and kept in
``decision.json``, so that prediction needs no data.
"""

# Letters in tensor names: N examples, C classes.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from glassnet import balance
from glassnet.task import Outcome, Prediction

PRIOR = 200
"""The network's own probabilities count like this many validation examples of the rarer class.

The threshold that was best on a few hundred examples alone cost 17 % more on new ones than the
theoretical one; with this prior 1 % less (six sets × three costs × 10 seeds, docs/log.md)."""
RESAMPLES = 200


class Decision(BaseModel):
    """How a run chooses its answers; part of ``decision.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Literal["costs", "class weights"]
    classes: list[str]
    costs: list[list[float]]
    """[true class][answer]"""
    positive: int | None = None
    """Of two classes, the one that the threshold is for: the rarer one in training."""
    threshold: float | None = None
    """Answer ``positive`` if its probability is at least this; 0 to just above 1."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the threshold: what other validation examples would have chosen."""
    theoretical: float | None = None
    """The threshold that would be best if every probability could be taken at its word."""
    examples: int = 0
    """Validation examples that chose the threshold; 0: it is the theoretical one."""

    def answers(self, outputs: Tensor) -> Tensor:
        """Log probabilities (N, C) -> class numbers (N,)."""
        shares = outputs.double().softmax(1)
        if self.positive is None or self.threshold is None:
            return (shares @ torch.tensor(self.costs, dtype=torch.float64)).argmin(1)
        return torch.where(
            shares[:, self.positive] >= self.threshold, self.positive, 1 - self.positive
        )

    def apply(self, outcome: Outcome) -> Outcome:
        """The same outcome with these answers."""
        return Outcome(outcome.outputs, outcome.targets, self.answers(outcome.outputs))

    def mean_cost(self, answers: Tensor, targets: Tensor) -> float:
        """What these answers cost, per example."""
        return float(torch.tensor(self.costs, dtype=torch.float64)[targets, answers].mean())

    @property
    def rule(self) -> str:
        """In a few words, for the table of predictions."""
        if self.positive is None or self.threshold is None:
            return f"least expected cost ({self.reason})"
        return f"{self.classes[self.positive]} from a probability of {_percent(self.threshold)} on"


def answers(outputs: Tensor, decision: Decision | None) -> Tensor:
    """Class numbers (N,) for log probabilities (N, C)."""
    return outputs.argmax(1) if decision is None else decision.answers(outputs)


def prediction(
    name: str,
    answer: str,
    classes: Sequence[str],
    shares: Sequence[float],
    decision: Decision | None,
) -> Prediction:
    """An answer with probabilities of classes, and the rule if it is not the most probable one."""
    rule = {} if decision is None else {"rule": decision.rule}
    return Prediction(
        name, answer, {**rule, "probabilities": dict(zip(classes, shares, strict=True))}
    )


def predictions(
    named: Sequence[tuple[str, str | None]],
    outputs: Tensor,
    classes: Sequence[str],
    decision: Decision | None,
) -> list[Prediction]:
    """An answer for each name, or why there is none.

    Args:
        named: Name of each input, and what was wrong with it; None: it was answered.
        outputs: Raw outputs (N, classes) of those that were answered, in their order.
        classes: Their names.
        decision: How the answers are chosen; None: the most probable one.
    """
    chosen = answers(outputs, decision).tolist()
    rows = iter(zip(chosen, outputs.softmax(1).tolist(), strict=True))
    found = []
    for name, wrong in named:
        if wrong is not None:
            found.append(Prediction(name, None, {"error": wrong}))
            continue
        answer, row = next(rows)
        found.append(prediction(name, classes[answer], classes, row, decision))
    return found


def decide(recipe: Any, facts: Any, outcome: Outcome | None) -> Decision | None:
    """Choose by a recipe's ``costs`` or else ``class_weights``; None: the most probable class.

    ``outcome`` are the validation examples; without them the threshold is the theoretical one.
    Class weights say what a miss of each class costs, so answers favour the weighted classes even
    though the probabilities do not; their threshold follows from the weights alone. After a loss
    whose outputs are not corrected, such as the perceptron's, they favour these classes already.
    """
    classes, counts = facts.classes, facts.class_counts
    costs = balance.cost_matrix(recipe.costs, classes)
    if costs is not None:
        return choose(Decision(reason="costs", classes=classes, costs=costs), counts, outcome)
    weights = balance.class_weights(recipe.class_weights, classes, counts)
    if weights is None or recipe.loss not in balance.HONEST:
        return None
    costs = [[w * (answer != truth) for answer in range(len(weights))]
             for truth, w in enumerate(weights)]  # fmt: skip
    return choose(Decision(reason="class weights", classes=classes, costs=costs), counts, None)


def choose(decision: Decision, counts: Sequence[float], outcome: Outcome | None) -> Decision:
    """Add the threshold, if there are two classes."""
    if len(decision.classes) != 2:
        return decision
    positive = positive_class(counts)
    stakes = Stakes.of(decision.costs, positive)
    found: dict[str, Any] = {"threshold": stakes.theoretical}
    if outcome is not None:
        shares = outcome.outputs.double().softmax(1)[:, positive]
        found = _interval(shares, outcome.targets == positive, stakes)
    about = {"positive": positive, "theoretical": stakes.theoretical}
    return decision.model_copy(update={**about, **found})


def positive_class(counts: Sequence[float]) -> int:
    """Of two classes the one to look for: the rarer one, of equal ones the second."""
    return 0 if counts and counts[0] < counts[1] else 1


class Stakes(BaseModel):
    """What is lost by the two mistakes of a yes-or-no answer, over the right answer."""

    missed: float
    """By answering no where yes is right."""
    alarm: float
    """By answering yes where no is right."""

    @classmethod
    def of(cls, costs: Sequence[Sequence[float]], positive: int) -> Stakes:
        """From a matrix [true class][answer]."""
        yes, no = costs[positive], costs[1 - positive]
        return cls(missed=yes[1 - positive] - yes[positive], alarm=no[positive] - no[1 - positive])

    @property
    def theoretical(self) -> float:
        """The probability from which on yes costs less than no (Elkan 2001, eq. 2)."""
        total = self.missed + self.alarm
        return self.alarm / total if total else 0.5


def best_threshold(shares: Tensor, truth: Tensor, stakes: Stakes) -> float:
    """The threshold of least cost, by what the examples were and by what the network thinks.

    Each example counts partly as what it was and partly as its own probability says. Few examples
    leave the theoretical threshold, which is best for the probabilities, where it is; many find
    the one that is best for what was. ``shares`` are probabilities (N,), ``truth`` is boolean.
    """
    num = min(int(truth.sum()), int((~truth).sum()))
    trust = PRIOR / (PRIOR + num)
    costs, low, high = costs_at(shares, (1 - trust) * truth.double() + trust * shares, stakes)
    best = int(costs.argmin())
    if low[best] < stakes.theoretical <= high[best]:
        return stakes.theoretical
    return math.sqrt(max(float(low[best]), 1e-9) * float(high[best]))


def costs_at(shares: Tensor, truth: Tensor, stakes: Stakes) -> tuple[Tensor, Tensor, Tensor]:
    """Mean cost over that of right answers, for thresholds above ``low`` and up to ``high``.

    One value for each set of answers that a threshold can give, from answering yes never on.
    ``truth`` (N,) is 1 for yes and 0 for no, or between them.
    """
    order = shares.argsort(descending=True, stable=True)
    shares, truth = shares[order], truth[order].double()
    zero, one = shares.new_zeros(1), shares.new_full((1,), 1 + 1e-6)
    missed = truth.sum() - torch.cat([zero, truth.cumsum(0)])
    alarms = torch.cat([zero, (1 - truth).cumsum(0)])
    low, high = torch.cat([shares, zero]), torch.cat([one, shares])
    possible = low < high  # equal probabilities get equal answers
    possible[-1] |= bool(shares[-1] == 0)
    costs = (stakes.missed * missed + stakes.alarm * alarms) / len(shares)
    return costs[possible], low[possible], high[possible]


def _interval(shares: Tensor, truth: Tensor, stakes: Stakes) -> dict[str, Any]:
    """The threshold, and the middle 95 % of those that resampled examples choose."""
    num, generator = len(shares), torch.Generator().manual_seed(0)
    draws = [torch.randint(num, (num,), generator=generator) for _ in range(RESAMPLES)]
    others = torch.tensor([best_threshold(shares[d], truth[d], stakes) for d in draws])
    low, high = others.double().quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    threshold = best_threshold(shares, truth, stakes)
    return {"threshold": threshold, "low": low, "high": high, "examples": num}


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.01 else f"{share:.2g}"
