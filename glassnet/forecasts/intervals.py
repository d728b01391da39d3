"""Intervals that hold what they promise: quantiles of a network, stretched by what it got wrong.

A network's quantiles are made on the rows that it learned from, and series change. So each interval
is stretched by a factor for every variable and horizon step: first the one with which the share of
the validation targets lies within that should (split conformal prediction of quantiles: Romano,
Patterson, Candès 2019, "Conformalized Quantile Regression"; stretched, not shifted, as CQR-m in
Sesia and Candès 2020, and from a mixture of the window's own width and the usual one). Then, as
time goes on, it grows after each miss and shrinks after each hit (adaptive conformal inference:
Gibbs and Candès 2021; on the quantile itself as in Angelopoulos, Candès, Tibshirani 2023,
"Conformal PID Control"). Ours steps on the logarithm of the factor. A miss counts only from the
step on at which its truth has come: nobody looks ahead.
"""

# Letters in tensor names: N windows, V variables, H horizon, P intervals, Q quantiles.

from __future__ import annotations

import math
from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from glassnet.forecasts.scoring import LEVELS, MIDDLE, PAIRS, truth
from glassnet.task import Outcome

GAIN, FASTEST = 0.5, 0.1
"""How much the logarithm of a factor moves after a miss: GAIN / horizon, FASTEST at most. News of a
forecast comes a horizon later; who then moves much overshoots (see docs/log.md)."""
SHARED = 0.5
"""Share of the usual width, of all windows, in what is stretched; the rest is the window's own. A
window that was quiet says too little of what follows, one that was wild too much."""
LEAST, MOST = -4.0, 4.0
"""Limits of the logarithm of a factor."""
TINY = 1e-6
"""The narrowest half of an interval, in standard deviations."""


class Calibration(BaseModel):
    """How much wider than the network's own each interval is; part of ``decision.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_factors: list[list[list[float]]]
    """(V, H, P): logarithms of the factors that the validation windows ask for."""
    usual: list[list[list[float]]]
    """(V, H, Q): how far the network's quantiles usually are from its forecast."""
    windows: int
    """How many validation windows chose them."""

    @property
    def rule(self) -> str:
        """In a few words."""
        return f"calibrated on {self.windows:,} validation windows, then by each hit and miss"

    def apply(self, outcome: Outcome) -> Outcome:
        """The same forecasts with calibrated intervals; each window knows what had come by then."""
        halves = _halves(outcome.outputs, torch.tensor(self.usual))
        begun_VHP = torch.tensor(self.log_factors)
        factors_NVHP = follow(_scores(outcome, halves), outcome, begun_VHP).exp()
        return replace(outcome, outputs=_stretched(outcome.outputs, halves, factors_NVHP))


def calibrate(outcome: Outcome) -> Calibration:
    """The factors with which the right share of these windows' targets lies within.

    A step with few targets shares its factor with its neighbours. Windows that overlap count as one
    for each horizon; of few, a factor is as uncertain as a standard deviation, and wider by the
    ratio of Student's quantile to the normal one.
    """
    outputs = outcome.outputs
    usual_VHQ = (outputs - outputs[..., MIDDLE : MIDDLE + 1]).abs().mean(0)
    scores_NVHP = _scores(outcome, _halves(outputs, usual_VHQ))
    num, _, horizon, _ = scores_NVHP.shape
    near = min(horizon, max(1, round(200 / num)))
    found = torch.empty(scores_NVHP.shape[1:])
    doubts = [_doubt(num / horizon, share) for share in _shares().tolist()]
    for step in range(horizon):
        begin = max(0, min(step - near // 2, horizon - near))
        pool_NVHP = scores_NVHP[:, :, begin : begin + near]
        for p, share in enumerate(_shares().tolist()):
            pool_VM = pool_NVHP[..., p].transpose(0, 1).flatten(1)
            found[:, step, p] = _quantiles(pool_VM, share) + doubts[p]
    return Calibration(
        log_factors=found.clamp(LEAST, MOST).tolist(), usual=usual_VHQ.tolist(), windows=num
    )


def _shares() -> Tensor:
    return torch.tensor([LEVELS[high] - LEVELS[low] for low, high in PAIRS])


def _quantiles(scores_VM: Tensor, share: float) -> Tensor:
    """The smallest score above this share of the finite ones, of which one more is counted."""
    ordered_VM = scores_VM.sort(1).values  # NaN come last
    num_V = scores_VM.isfinite().sum(1)
    place_V = torch.minimum(num_V, ((num_V + 1) * share).ceil().long()) - 1
    found_V = ordered_VM.gather(1, place_V.clamp(min=0)[:, None])[:, 0]
    return torch.where(num_V > 0, found_V, 0.0)


def _doubt(independent: float, share: float) -> float:
    """The logarithm by which an interval grows that so few independent windows have chosen."""
    from scipy import special

    above = (1 + share) / 2
    return math.log(special.stdtrit(independent + 1, above) / special.ndtri(above))


def _halves(outputs_NVHQ: Tensor, usual_VHQ: Tensor) -> Tensor:
    """How far each quantile is from the forecast before it is stretched, (N, V, H, Q)."""
    own = (outputs_NVHQ - outputs_NVHQ[..., MIDDLE : MIDDLE + 1]).abs()
    return torch.lerp(own, usual_VHQ, SHARED).clamp(min=TINY)


def _scores(outcome: Outcome, halves_NVHQ: Tensor) -> Tensor:
    """Logarithm of the factor with which each interval would just reach the truth: (N, V, H, P)."""
    away = truth(outcome) - outcome.outputs[..., MIDDLE]
    found = [
        torch.maximum(away / halves_NVHQ[..., high], -away / halves_NVHQ[..., low])
        for low, high in PAIRS
    ]
    return torch.stack(found, -1).clamp(min=1e-9).log()


def _stretched(outputs_NVHQ: Tensor, halves_NVHQ: Tensor, factors_NVHP: Tensor) -> Tensor:
    """Move the ends of the intervals away from the middle; they stay in rising order."""
    middle = outputs_NVHQ[..., MIDDLE]
    moved = outputs_NVHQ.clone()
    for p, (low, high) in enumerate(PAIRS):
        moved[..., low] = middle - halves_NVHQ[..., low] * factors_NVHP[..., p]
        moved[..., high] = middle + halves_NVHQ[..., high] * factors_NVHP[..., p]
    moved[..., 0] = torch.minimum(moved[..., 0], moved[..., 1])
    moved[..., -1] = torch.maximum(moved[..., -1], moved[..., -2])
    return moved


def follow(scores_NVHP: Tensor, outcome: Outcome, begun_VHP: Tensor) -> Tensor:
    """Logarithms of the factors of each window, (N, V, H, P), moved by what had come until then."""
    assert outcome.moments is not None
    horizon = scores_NVHP.shape[2]
    gain, expected_P = min(FASTEST, GAIN / horizon), 1 - _shares()
    found = torch.empty_like(scores_NVHP)
    steps = torch.arange(1, horizon + 1)
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
                _learn(now_VHP, scores_NVHP, found, place, news + 1 - steps, gain, expected_P)
            seen = moment
            found[row] = now_VHP
    return found


def _learn(
    now_VHP: Tensor,
    scores_NVHP: Tensor,
    found_NVHP: Tensor,
    place: Tensor,
    origins_H: Tensor,
    gain: float,
    expected_P: Tensor,
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
    change = torch.where(there, missed - expected_P, 0)
    moved = now_VHP[:, known] + gain * change.transpose(0, 1)
    now_VHP[:, known] = moved.clamp(LEAST, MOST)
