"""How people read the windows that a forecast is made from."""

from __future__ import annotations

from typing import Any

from torch import nn

from glassnet.forecasts.scoring import MIDDLE
from glassnet.task import Axes


def axes(facts: Any, _network: nn.Module) -> Axes:
    """The variables in their own unit, where all windows are of one series.

    Several series have scales of their own: their windows are told as the network reads them, in
    standard deviations from the mean.
    """
    own = list(facts.scales.values())
    scale = [(one.std, one.mean) for one in [*own[0], *facts.inputs]] if len(own) == 1 else []
    return Axes(
        facts.channels, unit="step", variables=len(facts.target), horizon=facts.horizon,
        middle=MIDDLE, scale=scale,
    )  # fmt: skip
