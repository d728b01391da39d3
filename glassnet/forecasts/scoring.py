"""From a network's answers to an ``Outcome`` of forecasts, and the loss that they are trained by.

An outcome of forecasts is in units of the scales (standard deviations of the training rows):
``outputs`` (N, V, H, Q) are quantiles in rising order, of which the middle one is the forecast;
``targets`` (N, V, H, 4) are the truth (NaN where it was not measured), and the mean, the standard
deviation and the naive error that belong to it, in the unit of the variable; ``moments`` (N, 2) are
the number of the series, and the step at which the future begins.
"""

# Letters in tensor names: N or B windows, C channels, T steps, V variables, H horizon, Q quantiles.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.task import Examples, Outcome

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Shares of the truth that lie below each output."""
MIDDLE = len(LEVELS) // 2
PAIRS = ((0, 4), (1, 3))
"""Outputs that are the ends of an interval: of 90 %, and of 50 %."""
BATCH = 256


def loss(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Squared or absolute error of the forecast, plus the quantile loss of the others.

    (B, V, H, Q), (B, V, H) -> (B,); what was not measured does not count.
    """

    def of(outputs_BVHQ: Tensor, targets_BVH: Tensor) -> Tensor:
        there = ~targets_BVH.isnan()
        away_BVHQ = targets_BVH.nan_to_num()[..., None] - outputs_BVHQ
        levels = outputs_BVHQ.new_tensor(LEVELS)
        each = torch.maximum(levels * away_BVHQ, (levels - 1) * away_BVHQ).sum(-1)
        middle = away_BVHQ[..., MIDDLE]
        each = each - middle.abs() / 2 + (middle.square() if kind == "squared" else middle.abs())
        return (each * there).sum((1, 2)) / there.sum((1, 2)).clamp(min=1)

    return of


def score(network: nn.Module, examples: Examples[Any], _facts: Any = None) -> Outcome:
    """Answer all windows in evaluation mode."""
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        outcome = answered(examples, lambda inputs: network(inputs).float())
    network.train(was_training)
    return outcome


def answered(examples: Examples[Any], answer: Callable[[Tensor], Tensor]) -> Outcome:
    """The outcome of ``answer`` (B, C, T) -> (B, V, H, Q), or (B, V, H) without any quantiles."""
    outputs, targets, moments = [], [], []
    for index in torch.arange(len(examples), device=examples.rows.device).split(BATCH):
        batch = examples.batch(index)
        found = answer(batch.inputs)
        if found.ndim == 3:
            middle = found
            found = torch.full((*middle.shape, len(LEVELS)), torch.nan, device=middle.device)
            found[..., MIDDLE] = middle
        horizon = batch.targets.shape[2]
        scales = batch.scales[:, :, None].expand(-1, -1, horizon, -1)
        outputs.append(found.cpu())
        targets.append(torch.cat([batch.targets[..., None], scales], 3).cpu())
        moments.append(batch.moments.cpu())
    return Outcome(torch.cat(outputs), torch.cat(targets), moments=torch.cat(moments))


def truth(outcome: Outcome) -> Tensor:
    """What came, (N, V, H), in units of the scales."""
    return outcome.targets[..., 0]


def in_unit(values_NVH: Tensor, outcome: Outcome) -> Tensor:
    """Forecasts or truth in the unit of the variable, float64."""
    return values_NVH.double() * outcome.targets[..., 2] + outcome.targets[..., 1]


def table(one: Outcome) -> list[list[dict[str, float]]]:
    """Of one window: for each variable and step the forecast and its 90 % interval, by ending."""
    scales_VH = one.targets[..., 1:3]
    values_VHQ = one.outputs.double() * scales_VH[..., 1:2] + scales_VH[..., 0:1]
    ends = {"": MIDDLE, "_low": 0, "_high": len(LEVELS) - 1}
    return [
        [{ending: float(step[q]) for ending, q in ends.items()} for step in variable]
        for variable in values_VHQ
    ]
