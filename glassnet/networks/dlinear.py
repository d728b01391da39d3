"""DLinear: a forecast is one linear function of the past, split into trend and what moves about it.

Paper: Ailing Zeng, Muxi Chen, Lei Zhang, Qiang Xu (2023), "Are Transformers Effective for Time
Series Forecasting?", AAAI. NLinear, of the same paper, takes the last value off instead of
splitting: ``subtract=last`` and ``moving_average=1``.

How ours differs:
- it begins with the weights of a ridge regression in closed form (``begin``); what is trained are
  changes of them. The authors' code begins with torch's own first weights, or, for weights that are
  to be looked at, with 1 / L.
- the mean of each window is taken off before (``subtract``), as in later work (Toner and Darlow
  2024, "An Analysis of Linear Time Series Forecasting Models", who show that DLinear, NLinear and
  this differ in their constraints only). The paper takes nothing off.
- missing values repeat the one before; what is known of the future has a weight for each channel.

When to use it: always as the first network, and as the last where windows are few. It trains in
seconds, and its weights can be read: how much each step of the past counts for each step ahead.
"""

# Letters in tensor names: B examples, C channels, T steps, V variables, L steps of the past, H of
# the future, K known channels, Q outputs.

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._forecast import Answer, Begin, Centre, faint, window

READS = ("forecast",)


class DLinear(nn.Module):
    """Two linear layers over time, of the trend and of the rest, with the same weights for all."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        variables: int,
        horizon: int,
        begin: Begin = "regression",
        subtract: Centre = "mean",
        moving_average: Annotated[
            int,
            Field(
                ge=1,
                le=1001,
                description="Steps of the moving average that is the trend: about one season. 1: "
                "no splitting.",
            ),
        ] = 25,
    ):
        super().__init__()
        channels, steps = input_shape
        self.variables, self.horizon = variables, horizon
        self.subtract, self.moving_average = subtract, moving_average
        self.rest = nn.Linear(steps - horizon, horizon * num_outputs)
        self.trend = (
            nn.Linear(steps - horizon, horizon * num_outputs, bias=False)
            if moving_average > 1
            else None
        )
        num_known = channels - variables
        self.ahead = nn.Linear(num_known, num_outputs, bias=False) if num_known else None
        self.answer = Answer(input_shape, num_outputs, variables, horizon, begin, subtract)
        for layer in (self.rest, self.trend, self.ahead):
            if layer is not None:
                faint(layer)

    def forward(self, series_BCT: Tensor) -> Tensor:
        """Return forecasts (B, V, H, Q)."""
        seen = window(series_BCT, self.variables, self.horizon, self.subtract)
        x_BVL = seen.x_BVL / seen.spread_BV1
        if self.trend is None:
            correction_BVN = self.rest(x_BVL)
        else:
            trend_BVL = smoothed(x_BVL, self.moving_average)
            correction_BVN = self.rest(x_BVL - trend_BVL) + self.trend(trend_BVL)
        correction_BVHQ = correction_BVN.unflatten(2, (self.horizon, -1))
        if self.ahead is not None:
            known_BKH = seen.known_BKT[:, :, -self.horizon :]
            correction_BVHQ = correction_BVHQ + self.ahead(known_BKH.transpose(1, 2))[:, None]
        return self.answer(seen, correction_BVHQ)  # type: ignore[no-any-return]


def smoothed(x_BVL: Tensor, steps: int) -> Tensor:
    """A moving average of the same length; beyond the ends stand the first and the last value."""
    before, after = (steps - 1) // 2, steps // 2
    padded_BVL = nn.functional.pad(x_BVL, (before, after), mode="replicate")
    return nn.functional.avg_pool1d(padded_BVL, steps, stride=1)


NETWORK = DLinear
