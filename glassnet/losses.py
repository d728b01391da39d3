"""Losses: outputs and targets -> one value for each example; the learner averages them.

A network of several members (such as TabM) answers with one axis more while it trains: (B, M, …)
instead of (B, …). Each member then has a loss of its own, (B, M): members that were trained on
their common answer would stop differing.
"""

# Letters in tensor names: B examples, M members, C classes.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> the loss of each example, (B,) or (B, M)."""


def of_classes(recipe: Any) -> Loss:
    """The loss that a recipe for classes names, with its knobs."""
    if recipe.loss == "focal":
        return focal(recipe.focal_gamma)
    return cross_entropy(recipe.label_smoothing)


def cross_entropy(smoothing: float = 0.0, weights: Sequence[float] | None = None) -> Loss:
    """Negative log probability (nats) of the right class, by the weight of each class.

    Label smoothing: Szegedy et al. (2016), "Rethinking the Inception Architecture", section 7. With
    ``weights`` (see ``by_class``) the share of a label that goes to a class is weighted like it,
    so that dividing the odds by the weights leaves the smoothed probabilities, and no others.
    """
    table = None if weights is None else torch.tensor(weights)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        """(B, C) or (B, M, C), class numbers (B,) -> (B,) or (B, M)."""
        many = logits.ndim > 2
        return nn.functional.cross_entropy(
            logits.movedim(-1, 1) if many else logits,
            _for_members(targets, logits[..., 0]) if many else targets,
            None if table is None else table.to(logits),
            reduction="none",
            label_smoothing=smoothing,
        )

    return loss


def focal(gamma: float) -> Loss:
    """Cross-entropy times (1 - p)^gamma: examples that are easy already count little.

    Lin et al. (2017), "Focal Loss for Dense Object Detection", eq. 4. The alpha of their eq. 5 is a
    class weight. What it asks for is not the probability; ``networks/_posterior.py`` undoes that.
    """
    plain = cross_entropy()

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        """(B, C) or (B, M, C), class numbers (B,) -> (B,) or (B, M)."""
        surprise = plain(logits, targets)  # -log p
        # -expm1(-x) is 1 - p without rounding; the limit keeps the slope of (1 - p)^gamma finite.
        return (-torch.expm1(-surprise)).clamp(min=1e-12).pow(gamma) * surprise

    return loss


def by_class(loss: Loss, weights: Sequence[float]) -> Loss:
    """Multiply the loss of each example by the weight of its class.

    The weights are of mean 1 over the training examples, so that the learning rate keeps its
    meaning. They are not divided by their sum in the batch: a batch without the rare class would
    then count as much as one with it, and the odds would not be tilted by just these weights.
    """
    table = torch.tensor(weights)

    def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
        """As ``loss``, targets are class numbers (B,)."""
        each = loss(outputs, targets)
        return each * _for_members(table.to(each.device)[targets], each)

    return weighted


def perceptron(scores: Tensor, targets: Tensor) -> Tensor:
    """By how much the best wrong class is ahead of the right one; 0 where the right one is ahead.

    One gradient step on one example is the perceptron rule (Rosenblatt 1958; for several classes
    Crammer and Singer 2003): only a mistake moves the weights, the right class's row by +lr x and
    the row of the class that was answered by -lr x. A tie is a mistake, as in Novikoff (1962);
    else weights that begin at zero would never move.

    (B, C) or (B, M, C), class numbers (B,) -> (B,) or (B, M).
    """
    lead = _lead(scores, targets)
    return torch.where(lead >= 0, lead, 0.0)


def mistakes(scores: Tensor, targets: Tensor) -> Tensor:
    """1 where the perceptron rule moves the weights, else 0; same shapes as ``perceptron``."""
    return (_lead(scores, targets) >= 0).to(scores.dtype)


def _lead(scores: Tensor, targets: Tensor) -> Tensor:
    """The best score of a wrong class minus that of the right class."""
    right = _for_members(targets, scores[..., 0])[..., None]
    others = scores.scatter(-1, right, -torch.inf)
    # The maximum by index, not amax: of tied classes one alone takes the gradient.
    return others.max(-1).values - scores.gather(-1, right)[..., 0]


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error; its best answer is the mean of what may come."""
    return (outputs - _for_members(targets, outputs)).square()


def absolute(outputs: Tensor, targets: Tensor) -> Tensor:
    """Absolute error; its best answer is the median, so that outliers count less."""
    return (outputs - _for_members(targets, outputs)).abs()


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared below an error of 1, absolute above (Huber, 1964)."""
    wanted = _for_members(targets, outputs)
    return nn.functional.smooth_l1_loss(outputs, wanted, reduction="none")


def _for_members(targets: Tensor, outputs: Tensor) -> Tensor:
    """Give each member the same target."""
    return targets[:, None].expand_as(outputs) if outputs.ndim > targets.ndim else targets
