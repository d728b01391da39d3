"""How good forecasts are: errors, beside those of repeating a season, and intervals that hold.

Windows that overlap are not independent. All figures are therefore made of sums over stretches as
long as the horizon, and the bootstrap draws such stretches.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from glassnet.forecasts.scoring import LEVELS, MIDDLE, truth
from glassnet.task import Metric, Outcome

FEWEST = 8
"""Blocks in which the windows of a part are at least cut, however short it is."""
SUMS = (
    "count", "squared", "absolute", "squared in unit", "scaled", "scalable", "covered", "bounded",
    "width", "pinball",
)  # fmt: skip


def blocks(outcome: Outcome) -> Outcome:
    """Sums (U, len(SUMS)) over stretches of windows of a horizon's length."""
    sums_NK = _sums(outcome)
    assert outcome.moments is not None
    num, horizon = len(sums_NK), outcome.targets.shape[2]
    size = max(1, min(horizon, num // FEWEST))
    series, step = outcome.moments.unbind(1)
    _, unit = torch.stack([series, step.div(size, rounding_mode="floor")], 1).unique(
        dim=0, return_inverse=True
    )
    sums_UK = torch.zeros(int(unit.max()) + 1, sums_NK.shape[1], dtype=torch.float64)
    sums_UK.index_add_(0, unit, sums_NK)
    return Outcome(sums_UK, sums_UK)


def _sums(outcome: Outcome) -> Tensor:
    """Of each window, (N, len(SUMS)) float64."""
    y, outputs = truth(outcome), outcome.outputs
    there = ~y.isnan()
    away = torch.where(there, y - outputs[..., MIDDLE], 0)
    std, naive = outcome.targets[..., 2], outcome.targets[..., 3]
    unit = away * std if outputs.shape[1] == 1 else away.new_full((), torch.nan).expand_as(away)
    scalable = there & (naive > 0)
    scaled = torch.where(scalable, away.abs() * std / naive, 0)
    low, high = outputs[..., 0], outputs[..., -1]
    bounded = there & low.isfinite() & high.isfinite()
    covered = bounded & (low <= y) & (y <= high)
    levels = torch.tensor(LEVELS)
    each = y[..., None] - outputs
    pinball = torch.maximum(levels * each, (levels - 1) * each).mean(-1)
    columns = (
        there, away.square(), away.abs(), unit.square(), scaled, scalable, covered, bounded,
        torch.where(bounded, high - low, 0), torch.where(bounded, pinball, 0),
    )  # fmt: skip
    return torch.stack([column.double().sum((1, 2)) for column in columns], 1)


def _ratio(over: str, under: str, root: bool, outcome: Outcome) -> float:
    sums = (outcome.outputs if outcome.outputs.ndim == 2 else _sums(outcome)).sum(0).tolist()
    named = dict(zip(SUMS, sums, strict=True))
    if not named[under]:
        return math.nan
    ratio = named[over] / named[under]
    return math.sqrt(ratio) if root else ratio


def _metric(name: str, over: str, under: str = "count", **options: bool | str) -> Metric:
    root = bool(options.pop("root", False))
    options = {"better": "lower", **options}
    return Metric(name, partial(_ratio, over, under, root), blocks=blocks, **options)  # type: ignore[arg-type]


FORECASTS = (
    _metric("mse", "squared"),
    _metric("mae", "absolute"),
    _metric("mase", "scaled", "scalable"),
    _metric("rmse", "squared in unit", root=True, costly=True),
    _metric("coverage_90", "covered", "bounded", costly=True, better="higher"),
    _metric("width_90", "width", "bounded", costly=True),
    _metric("pinball", "pinball", "bounded", costly=True),
)
"""mse, mae, width_90 and pinball in standard deviations of the training rows; mase in errors of
repeating the last season there; rmse in the unit of the variable, if there is one variable."""
EXPLAINED = (
    "mse and mae are in standard deviations of the training rows; mase is the mean absolute error "
    "in units of that of repeating the last season there (below 1 is better). coverage_90 is the "
    "share of the truth within the 90 % intervals, which should be 0.9; width_90 is how wide they "
    "are, in standard deviations. 95 % intervals of the figures come from a bootstrap of stretches "
    "as long as the horizon, since windows overlap."
)
