"""Plain forecasts, shown beside every network: the last value, the last season, the straight line.

(Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed. 2021, section 5.2.)
"""

# Letters in tensor names: B windows, C channels, V variables, L steps of the past, H horizon.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.forecasts import regression
from glassnet.forecasts.scoring import answered
from glassnet.networks._forecast import Answer, window
from glassnet.task import Examples, Outcome

Plain = Callable[[Any, Examples[Any], Examples[Any], Any], Outcome]


def naive(past_BVL: Tensor, horizon: int, season: int = 1) -> Tensor:
    """Repeat the last value that was measured, (B, V, H)."""
    filled_BVL = carried(past_BVL)
    return filled_BVL[:, :, -1:].expand(-1, -1, horizon)


def seasonal(past_BVL: Tensor, horizon: int, season: int) -> Tensor:
    """Repeat the last season; where a value of it is missing, the one a season earlier."""
    length = past_BVL.shape[2]
    season = season if season <= length else 1
    cycles = length // season
    last_BVCS = past_BVL[:, :, length - cycles * season :].unflatten(2, (cycles, season))
    last_BVS = carried(last_BVCS.transpose(2, 3))[..., -1]
    fallback_BV1 = naive(past_BVL, 1)
    last_BVS = torch.where(last_BVS.isnan(), fallback_BV1, last_BVS)
    return last_BVS[:, :, torch.arange(horizon, device=past_BVL.device) % season]


def drift(past_BVL: Tensor, horizon: int, season: int = 1) -> Tensor:
    """Go on along the line through the first and the last value of the window."""
    there_BVL = ~past_BVL.isnan()
    length = past_BVL.shape[2]
    first_BV1 = there_BVL.long().argmax(2, keepdim=True)
    last_BV1 = length - 1 - there_BVL.flip(2).long().argmax(2, keepdim=True)
    begin, end = past_BVL.gather(2, first_BV1), past_BVL.gather(2, last_BV1)
    slope = (end - begin) / (last_BV1 - first_BV1).clamp(min=1)
    ahead_H = torch.arange(1, horizon + 1, device=past_BVL.device)
    return (end + slope * (ahead_H + length - 1 - last_BV1)).nan_to_num()


def carried(past_BVL: Tensor) -> Tensor:
    """Repeat the last value that was measured; NaN stays where there was none yet."""
    there_BVL = ~past_BVL.isnan()
    places_L = torch.arange(past_BVL.shape[-1], device=past_BVL.device)
    latest_BVL = torch.where(there_BVL, places_L, 0).cummax(-1).values
    return past_BVL.gather(-1, latest_BVL)


def _plain(forecast: Callable[[Tensor, int, int], Tensor]) -> Plain:
    def answer(_recipe: Any, _known: Examples[Any], asked: Examples[Any], facts: Any) -> Outcome:
        variables, horizon = len(facts.target), facts.horizon

        def of(inputs_BCT: Tensor) -> Tensor:
            past_BVL = inputs_BCT[:, :variables, : inputs_BCT.shape[2] - horizon]
            return forecast(past_BVL, horizon, facts.season).nan_to_num()

        return answered(asked, of)

    return answer


def linear(_recipe: Any, known: Examples[Any], asked: Examples[Any], facts: Any) -> Outcome:
    """Ridge regression from the past of each variable, solved on all windows that were known."""
    shape = (len(facts.channels), facts.context + facts.horizon)
    plain = Linear(Answer(shape, 1, len(facts.target), facts.horizon, "regression"))
    where: Any = known.rows.device
    plain.to(where)
    windows: Any = known
    everything = torch.arange(len(known), device=where)
    moments = windows.moments[:, 1].cpu()
    regression.begin(plain, windows.batch, everything, everything[:0], moments, facts.seasons)
    with torch.inference_mode():
        return answered(asked, plain)


class Linear(nn.Module):
    """The regression that a network begins with, and nothing else."""

    def __init__(self, answer: Answer):
        super().__init__()
        self.answer = answer

    def forward(self, series_BCT: Tensor) -> Tensor:
        """Return forecasts (B, V, H)."""
        answer = self.answer
        return answer.linear(window(series_BCT, answer.variables, answer.horizon, answer.subtract))


BASELINES: dict[str, Plain] = {
    "last value": _plain(naive),
    "last season": _plain(seasonal),
    "straight line": _plain(drift),
    "linear regression": linear,
}
