"""Class weights and focal loss: the ground is tilted for learning, and levelled for answering."""

from __future__ import annotations

from typing import Any

from torch import nn

from glassnet import balance, losses
from glassnet.losses import Loss
from glassnet.networks._posterior import Posterior


def tilted(loss: Loss, recipe: Any, facts: Any) -> Loss:
    """The loss of a classification with its class weights; costs that cannot be are refused here.

    Raises:
        UserError: If ``class_weights`` or ``costs`` name a class that the target does not have.
    """
    balance.cost_matrix(recipe.costs, facts.classes)  # better found now than when training ends
    weights = balance.class_weights(recipe.class_weights, facts.classes, facts.class_counts)
    if weights is None:
        return loss
    if recipe.label_smoothing:  # by cross-entropy; what is spread over the classes is weighted too
        return losses.cross_entropy(recipe.label_smoothing, weights)
    return losses.by_class(loss, weights)


def levelled(network: nn.Module, recipe: Any, facts: Any) -> nn.Module:
    """The network, with a last layer that gives honest probabilities where the loss does not."""
    weights = balance.class_weights(recipe.class_weights, facts.classes, facts.class_counts)
    gamma = recipe.focal_gamma if recipe.loss == "focal" else 0.0
    if recipe.loss not in balance.HONEST or (weights is None and not gamma):
        return network
    return nn.Sequential(network, Posterior(weights or [1.0] * len(facts.classes), gamma))
