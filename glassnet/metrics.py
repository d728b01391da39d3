"""Figures of quality, each a function of the answers to some examples.

What torch says in a line stands here in a line; the tests compare it with scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from glassnet.task import Metric, Outcome


def answered(outcome: Outcome) -> Tensor:
    """Class numbers (N,): what a decision chose, else the most probable class."""
    return outcome.outputs.argmax(1) if outcome.answers is None else outcome.answers


def accuracy(outcome: Outcome) -> float:
    """Share of examples whose answer is the right class."""
    return float((answered(outcome) == outcome.targets).double().mean())


def log_loss(outcome: Outcome) -> float:
    """Mean negative log probability (nats) of the right class; punishes false certainty."""
    return float(nn.functional.cross_entropy(outcome.outputs.double(), outcome.targets))


def balanced_accuracy(outcome: Outcome) -> float:
    """Mean over the classes of the share of each that is found."""
    hits = (answered(outcome) == outcome.targets).double()
    present, place = outcome.targets.unique(return_inverse=True)
    found = torch.zeros(len(present), dtype=torch.float64).scatter_reduce(
        0, place, hits, "mean", include_self=False
    )
    return float(found.mean())


def macro_f1(outcome: Outcome) -> float:
    """Mean over the classes of the harmonic mean of precision and recall."""
    predicted, num = answered(outcome), outcome.outputs.shape[1]
    right = torch.bincount(outcome.targets[predicted == outcome.targets], minlength=num)
    taken = torch.bincount(predicted, minlength=num)
    there = torch.bincount(outcome.targets, minlength=num)
    sizes = (taken + there).double()
    seen = sizes > 0
    return float((2 * right[seen] / sizes[seen]).mean())


def top5(outcome: Outcome) -> float:
    """Share of examples whose right class is among the five most probable; NaN for few classes."""
    if outcome.outputs.shape[1] <= 5:
        return math.nan
    best = outcome.outputs.topk(5, dim=1).indices
    return float((best == outcome.targets[:, None]).any(1).double().mean())


def roc_auc(outcome: Outcome) -> float:
    """Area under the ROC curve; with several classes the mean of one class against the rest."""
    return _one_against_rest(outcome, roc_area)


def average_precision(outcome: Outcome) -> float:
    """Area under the precision-recall curve; the one to read when a class is rare."""
    return _one_against_rest(outcome, precision_recall_area)


def average_precision_of(classes: Sequence[int], outcome: Outcome) -> float:
    """Mean of the average precisions of some classes."""
    shares = outcome.outputs.double().softmax(1)
    return _mean(
        [_area(outcome.targets == c, shares[:, c], precision_recall_area) for c in classes]
    )


def precision_of(classes: Sequence[int], outcome: Outcome) -> float:
    """Of the answers of these classes, the share that is right; NaN if there are none."""
    predicted = answered(outcome)
    shares = [(outcome.targets[predicted == c] == c).double().mean() for c in classes]
    return _mean([float(share) for share in shares])


def recall_of(classes: Sequence[int], outcome: Outcome) -> float:
    """Of the examples of these classes, the share that is answered so; mean over the classes."""
    predicted = answered(outcome)
    shares = [(predicted[outcome.targets == c] == c).double().mean() for c in classes]
    return _mean([float(share) for share in shares])


def rmse(outcome: Outcome) -> float:
    """Root of the mean squared error, in the unit of the target."""
    return math.sqrt(float((outcome.outputs - outcome.targets).double().square().mean()))


def mae(outcome: Outcome) -> float:
    """Mean absolute error, in the unit of the target."""
    return float((outcome.outputs - outcome.targets).double().abs().mean())


def r2(outcome: Outcome) -> float:
    """Share of the target's variance that is explained: 1 is perfect, 0 as good as the mean."""
    targets = outcome.targets.double()
    spread = (targets - targets.mean()).square().sum()
    rest = (targets - outcome.outputs.double()).square().sum()
    return float(1 - rest / spread) if spread > 0 else math.nan


CLASSIFICATION = (
    Metric("accuracy", accuracy, proportion=True),
    Metric("log_loss", log_loss, better="lower"),
    Metric("balanced_accuracy", balanced_accuracy, costly=True),
    Metric("macro_f1", macro_f1, costly=True),
    Metric("top5_accuracy", top5, costly=True, proportion=True),
    Metric("roc_auc", roc_auc, costly=True),
    Metric("average_precision", average_precision, costly=True),
)
"""Outputs are logits (N, classes), targets class numbers (N,)."""

REGRESSION = (
    Metric("rmse", rmse, better="lower"),
    Metric("mae", mae, better="lower"),
    Metric("r2", r2),
)
"""Outputs and targets (N,) are in the unit of the target."""


# scikit-learn's two functions take 10 to 25 times as long, and the bootstrap calls them often.


def roc_area(truth: Tensor, shares: Tensor) -> float:
    """Probability that a member gets a larger share than another; ties count half."""
    members, others = at_each_share(truth, shares)
    below = members.cumsum(0) - members / 2  # of the members, counted from the largest share
    return float((others * below).sum() / (members.sum() * others.sum()))


def precision_recall_area(truth: Tensor, shares: Tensor) -> float:
    """Mean precision over the members, each at its own share (average precision)."""
    members, others = at_each_share(truth, shares)
    found = members.cumsum(0)
    precision = found / (found + others.cumsum(0))
    return float((precision * members).sum() / members.sum())


def at_each_share(truth: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of members and of others at each distinct share, the largest share first."""
    distinct, place = shares.unique(return_inverse=True)
    members = torch.bincount(place[truth], minlength=len(distinct)).double()
    others = torch.bincount(place[~truth], minlength=len(distinct)).double()
    return members.flip(0), others.flip(0)


def _one_against_rest(outcome: Outcome, area: Callable[[Tensor, Tensor], float]) -> float:
    """Mean over the classes that have both members and others; of two classes, the second."""
    shares = outcome.outputs.double().softmax(1)
    classes = range(shares.shape[1]) if shares.shape[1] > 2 else [1]
    return _mean([_area(outcome.targets == c, shares[:, c], area) for c in classes])


def _area(truth: Tensor, shares: Tensor, area: Callable[[Tensor, Tensor], float]) -> float:
    both = bool(truth.any()) and not bool(truth.all())
    return area(truth, shares) if both else math.nan


def _mean(values: list[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
