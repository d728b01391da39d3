"""Intervals that hold what they promise: quantiles of a network, stretched by what it got wrong.

A network's quantiles are made on the rows that it learned from, and series change. So each interval
is stretched by a factor for every variable and horizon step: first the one with which the share of
the validation targets lies within that should (split conformal prediction of quantiles: Romano,
Patterson, Candès 2019, "Conformalized Quantile Regression"; stretched, not shifted, as CQR-m in
Sesia and Candès 2020). Then, as time goes on, it grows after each miss and shrinks after each hit
(adaptive conformal inference: Gibbs and Candès 2021; on the quantile itself as in Angelopoulos,
Candès, Tibshirani 2023, "Conformal PID Control"). Ours steps on the logarithm of the factor. A miss
counts only from the step on at which its truth has come: nobody looks ahead.
"""

# Letters in tensor names: N windows, V variables, H horizon, P intervals, Q quantiles.

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from glassnet.forecasts.scoring import LEVELS, MIDDLE, PAIRS, truth
from glassnet.task import Outcome

GAIN = 0.05
"""How much the logarithm of a factor moves after a miss of all windows; see docs/log.md."""
LEAST, MOST = -4.0, 4.0
"""Limits of the logarithm of a factor."""
TINY = 1e-6
"""The narrowest half of an interval, in standard deviations."""


class Calibration(BaseModel):
    """How much wider than the network's own each interval is; part of ``decision.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_factors: list[list[list[float]]]
    """(P, V, H): logarithms of the factors that the validation windows ask for."""
    windows: int
    """How many validation windows chose them."""

    @property
    def rule(self) -> str:
        """In a few words."""
        return f"intervals calibrated on {self.windows:,} validation windows, then by each miss"

    def apply(self, outcome: Outcome) -> Outcome:
        """The same forecasts with calibrated intervals; each window knows what had come by then."""
        begun = torch.tensor(self.log_factors).permute(1, 2, 0)  # (V, H, P)
        factors_NVHP = follow(scores(outcome), outcome, begun).exp()
        return replace(outcome, outputs=stretched(outcome.outputs, factors_NVHP))


def calibrate(outcome: Outcome) -> Calibration:
    """The factors with which the right share of these windows' targets lies within.

    A step with few targets shares its factor with its neighbours.
    """
    scores_NVHP = scores(outcome)
    num, horizon = scores_NVHP.shape[0], scores_NVHP.shape[2]
    share_P = torch.tensor([LEVELS[high] - LEVELS[low] for low, high in PAIRS])
    near = min(horizon, max(1, round(200 / num)))
    found = torch.empty(scores_NVHP.shape[1:])
    for step in range(horizon):
        begin = max(0, min(step - near // 2, horizon - near))
        pool_NVHP = scores_NVHP[:, :, begin : begin + near]
        for p, share in enumerate(share_P.tolist()):
            found[:, step, p] = _quantiles(pool_NVHP[..., p].transpose(0, 1).flatten(1), share)
    return Calibration(log_factors=found.permute(2, 0, 1).tolist(), windows=num)


def _quantiles(scores_VM: Tensor, share: float) -> Tensor:
    """The smallest score at which the share of the (finite) scores, one more counted, lies below."""
    found = []
    for row in scores_VM:
        there = row[row.isfinite()].sort().values
        place = min(len(there), int(-(-(len(there) + 1) * share // 1))) - 1
        found.append(there[place] if len(there) else torch.tensor(0.0))
    return torch.stack(found).clamp(LEAST, MOST)


def scores(outcome: Outcome) -> Tensor:
    """Logarithm of the factor with which each interval would just reach the truth: (N, V, H, P)."""
    y, outputs = truth(outcome), outcome.outputs
    middle = outputs[..., MIDDLE]
    found = []
    for low, high in PAIRS:
        above = (y - middle) / (outputs[..., high] - middle).clamp(min=TINY)
        below = (middle - y) / (middle - outputs[..., low]).clamp(min=TINY)
        found.append(torch.maximum(above, below).clamp(min=1e-9).log())
    return torch.stack(found, -1)


def stretched(outputs_NVHQ: Tensor, factors_NVHP: Tensor) -> Tensor:
    """Move the ends of the intervals away from the middle; they stay in rising order."""
    middle = outputs_NVHQ[..., MIDDLE]
    moved = outputs_NVHQ.clone()
    for p, pair in enumerate(PAIRS):
        for q in pair:
            half = (outputs_NVHQ[..., q] - middle).abs().clamp(min=TINY)
            sign = 1 if q > MIDDLE else -1
            moved[..., q] = middle + sign * half * factors_NVHP[..., p]
    moved[..., 1] = torch.minimum(moved[..., 1], middle)
    moved[..., 0] = torch.minimum(moved[..., 0], moved[..., 1])
    moved[..., -1] = torch.maximum(moved[..., -1], moved[..., -2])
    return moved


def follow(
    scores_NVHP: Tensor, outcome: Outcome, begun_VHP: Tensor, gain: float | None = None
) -> Tensor:
    """Logarithms of the factors of each window, (N, V, H, P), moved by what had come until then."""
    assert outcome.moments is not None
    gain = GAIN if gain is None else gain
    share_P = torch.tensor([LEVELS[high] - LEVELS[low] for low, high in PAIRS])
    found = torch.empty_like(scores_NVHP)
    steps = torch.arange(1, scores_NVHP.shape[2] + 1)
    for series in outcome.moments[:, 0].unique():
        rows = (outcome.moments[:, 0] == series).nonzero().flatten()
        rows = rows[outcome.moments[rows, 1].argsort(stable=True)]
        moments = outcome.moments[rows, 1]
        first = int(moments[0])
        place = torch.full((int(moments[-1]) - first + 1,), -1)
        place[moments - first] = rows
        now_VHP = begun_VHP.clone()
        seen = 0  # moments whose news has come
        for row, moment in zip(rows.tolist(), (moments - first).tolist(), strict=True):
            for news in range(seen, moment):
                _learn(now_VHP, scores_NVHP, found, place, news + 1 - steps, share_P, gain)
            seen = moment
            found[row] = now_VHP
    return found


def _learn(
    now_VHP: Tensor,
    scores_NVHP: Tensor,
    found_NVHP: Tensor,
    place: Tensor,
    origins_H: Tensor,
    share_P: Tensor,
    gain: float,
) -> None:
    """Learn from one step whose truth has come: each horizon step forecast it from its origin."""
    known = (origins_H >= 0).nonzero().flatten()
    rows = place[origins_H[known]]
    known, rows = known[rows >= 0], rows[rows >= 0]
    if not len(known):
        return
    scores_HVP = scores_NVHP[rows, :, known]
    there = scores_HVP.isfinite()
    missed = (scores_HVP > found_NVHP[rows, :, known]).float()
    change = torch.where(there, missed - (1 - share_P), 0)
    moved = now_VHP[:, known] + gain * change.transpose(0, 1)
    now_VHP[:, known] = moved.clamp(LEAST, MOST)
