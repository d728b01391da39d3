"""What networks that forecast share: a look at the past, a linear answer, and a way out.

Every variable is forecast from its own past with the same weights (channel independence: Nie et al.
2023, "A Time Series is Worth 64 Words"), measured from the centre of the window that is looked at
and in units of its spread (reversible instance normalization: Kim et al. 2022, "Reversible Instance
Normalization for Accurate Time-Series Forecasting against Distribution Shift").

The answer is that of a linear regression plus a correction that is nearly zero at first. The
regression is no parameter: it is solved from the training windows, in closed form, before the first
step (``solved``), so that a network begins where a linear forecast ends. Unsolved it answers the
centre of the window, and the network learns all by itself.
"""

# Letters in tensor names: B examples, C channels, T steps, V variables, L steps of the past, H of
# the future, K known channels, D width, Q outputs, G groups: all variables as one, or each alone.

from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

Subtract: TypeAlias = Literal["mean", "last", "none"]
Start: TypeAlias = Literal["regression", "zero"]
LEAST = 1e-4
"""The smallest spread of a window that is divided by, in units of the variable's own spread."""
SEPARATE = 10_000_000
"""Weights of regressions, one for each variable, that are at most held."""
FEW = 32
"""Variables of which each may have a regression of its own; of more, all share one."""
NARROW = 16
"""Numbers of the past that each step of the future is told beside what is known about it."""

Begin = Annotated[
    Start,
    Field(
        description="What the answer is at first. regression: that of a linear (ridge) regression, "
        "solved from the training windows, which the network then corrects. zero: the middle of "
        "the window; the network as in its paper, which needs many more epochs."
    ),
]
Dropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of features set to zero at each training step. Lower it to 0.1 with "
        "tens of thousands of windows; raise it if validation gets worse while training improves.",
    ),
]
Centre = Annotated[
    Subtract,
    Field(
        description="What is taken off each window and added to its forecast. mean: its mean; "
        "last: its last value (NLinear), for series that wander; none: forecasts return to the "
        "level of the training rows, for series that never left it."
    ),
]


class Window(NamedTuple):
    """What a network sees of a batch."""

    x_BVL: Tensor
    """The past, from its centre; what is missing repeats the value before it."""
    measured_BVL: Tensor
    """1 where a value was measured, 0 where it was filled in."""
    centre_BV1: Tensor
    spread_BV1: Tensor
    """The standard deviation of what was measured."""
    known_BKT: Tensor
    """What is known of past and future, T = L + H; 0 where it is missing."""

    def signals(self) -> Tensor:
        """Each variable by itself, in units of its spread: (B · V, 2 + K, L)."""
        known_BVKL = self.known_BKT[:, None, :, : self.x_BVL.shape[2]].expand(
            -1, self.x_BVL.shape[1], -1, -1
        )
        own_BV2L = torch.stack([self.x_BVL / self.spread_BV1, self.measured_BVL], 2)
        return torch.cat([own_BV2L, known_BVKL], 2).flatten(0, 1)


def window(series_BCT: Tensor, variables: int, horizon: int, subtract: Subtract = "mean") -> Window:
    """Look at the past of the variables, and at what is known; nothing is NaN any more."""
    past_BVL = series_BCT[:, :variables, : series_BCT.shape[2] - horizon]
    measured_BVL = ~past_BVL.isnan()
    number_BV1 = measured_BVL.sum(2, keepdim=True).clamp(min=1)
    filled_BVL = carried(past_BVL)
    mean_BV1 = past_BVL.nan_to_num().sum(2, keepdim=True) / number_BV1
    away_BVL = (past_BVL - mean_BV1).nan_to_num()
    spread_BV1 = (away_BVL.square().sum(2, keepdim=True) / number_BV1).sqrt().clamp(min=LEAST)
    centre_BV1 = {
        "mean": mean_BV1,
        "last": filled_BVL[:, :, -1:],
        "none": torch.zeros_like(mean_BV1),
    }[subtract]
    known_BKT = series_BCT[:, variables:].nan_to_num()
    return Window(filled_BVL - centre_BV1, measured_BVL.float(), centre_BV1, spread_BV1, known_BKT)


def carried(past_BVL: Tensor) -> Tensor:
    """Repeat the value before what is missing; at the beginning, the first one; else zero.

    >>> carried(torch.tensor([[[torch.nan, 1.0, torch.nan, 3.0], [torch.nan] * 4]])).tolist()
    [[[1.0, 1.0, 1.0, 3.0], [0.0, 0.0, 0.0, 0.0]]]
    """
    there_BVL = ~past_BVL.isnan()
    places_L = torch.arange(past_BVL.shape[2], device=past_BVL.device)
    before_BVL = torch.where(there_BVL, places_L, 0).cummax(2).values
    first_BV1 = there_BVL.long().argmax(2, keepdim=True)
    return past_BVL.gather(2, torch.maximum(before_BVL, first_BV1)).nan_to_num()


class Regression(nn.Module):
    """The linear answer, from the past of a variable, its level, and what is known of each step.

    Its weights are no parameters: ``forecasts/regression.py`` solves them in closed form. At first
    they are zeros, and the answer is the centre of the window.
    """

    past_GLH: Tensor
    level_GH: Tensor
    constant_GH: Tensor
    ahead_GKH: Tensor
    behind_GKH: Tensor

    def __init__(self, variables: int, past: int, horizon: int, num_known: int):
        super().__init__()
        separate = variables <= FEW and variables * past * horizon <= SEPARATE
        groups = variables if separate else 1
        self.register_buffer("past_GLH", torch.zeros(groups, past, horizon))
        self.register_buffer("level_GH", torch.zeros(groups, horizon))
        self.register_buffer("constant_GH", torch.zeros(groups, horizon))
        self.register_buffer("ahead_GKH", torch.zeros(groups, num_known, horizon))
        self.register_buffer("behind_GKH", torch.zeros(groups, num_known, horizon))

    def forward(self, window: Window) -> Tensor:
        """The forecast (B, V, H), from the centre of the window."""
        x_BVL, horizon = window.x_BVL, self.past_GLH.shape[2]
        if len(self.past_GLH) == 1:
            answer_BVH = x_BVL @ self.past_GLH[0]
        else:
            answer_BVH = torch.einsum("bvl,vlh->bvh", x_BVL, self.past_GLH)
        answer_BVH = answer_BVH + window.centre_BV1 * self.level_GH + self.constant_GH
        if not window.known_BKT.shape[1]:
            return answer_BVH
        ahead_BKH = window.known_BKT[:, :, -horizon:]
        behind_BK = window.known_BKT[:, :, :-horizon].mean(2)
        return (
            answer_BVH
            + torch.einsum("bkh,gkh->bgh", ahead_BKH, self.ahead_GKH)
            + torch.einsum("bk,gkh->bgh", behind_BK, self.behind_GKH)
        )


class Answer(nn.Module):
    """From a correction to the forecast (B, V, H, Q): regression plus correction, put back.

    Several outputs are quantiles in rising order: the middle one is answered, the others lie above
    and below it by sums of positive steps, so that they never cross (as in Park et al. 2022,
    "Learning Quantile Functions without Quantile Crossing").
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        variables: int,
        horizon: int,
        begin: Start,
        subtract: Subtract = "mean",
    ):
        """``subtract`` is that of the windows."""
        super().__init__()
        channels, steps = input_shape
        self.horizon, self.variables, self.subtract = horizon, variables, subtract
        self.middle = (num_outputs - 1) // 2
        self.regression = (
            Regression(variables, steps - horizon, horizon, channels - variables)
            if begin == "regression"
            else None
        )
        # Steps between neighbouring quantiles begin at 0.5 spreads: softplus(-0.43) = 0.5.
        self.steps = (
            nn.Parameter(torch.full((horizon, num_outputs), -0.43)) if num_outputs > 1 else None
        )

    def forward(self, window: Window, correction_BVHQ: Tensor) -> Tensor:
        """The correction is in spreads of the window."""
        middle, spread_BV11 = self.middle, window.spread_BV1[..., None]
        answer_BVHQ = spread_BV11 * correction_BVHQ[..., middle : middle + 1]
        answer_BVHQ = answer_BVHQ + self.linear(window)[..., None]
        if self.steps is None:
            return answer_BVHQ
        steps_BVHQ = spread_BV11 * nn.functional.softplus(correction_BVHQ + self.steps)
        below = steps_BVHQ[..., :middle].flip(-1).cumsum(-1).flip(-1)
        above = steps_BVHQ[..., middle + 1 :].cumsum(-1)
        return torch.cat([answer_BVHQ - below, answer_BVHQ, answer_BVHQ + above], -1)

    def linear(self, window: Window) -> Tensor:
        """What is corrected, (B, V, H): the regression's forecast, or the centre of the window."""
        if self.regression is None:
            return window.centre_BV1.expand(-1, -1, self.horizon)
        forecast_BVH: Tensor = self.regression(window) + window.centre_BV1
        return forecast_BVH


class Patches(nn.Module):
    """Cut a past into patches of neighbouring steps, of which the newest is whole.

    Where they do not fit, the first step is repeated before the beginning.
    """

    def __init__(self, past: int, size: int, stride: int):
        super().__init__()
        self.size = min(size, past)
        self.stride = min(stride, self.size)
        self.number = 1 - (self.size - past) // self.stride
        self.before = self.size + (self.number - 1) * self.stride - past

    def forward(self, signals_NCL: Tensor) -> Tensor:
        """(N, C, L) -> (N, P, C · size)."""
        signals_NCL = nn.functional.pad(signals_NCL, (self.before, 0), mode="replicate")
        return signals_NCL.unfold(2, self.size, self.stride).transpose(1, 2).flatten(2)

    def places(self) -> list[tuple[int, int]]:
        """The first and the last step of each, counted from the first step of the past.

        >>> Patches(10, 4, 4).places()
        [(0, 1), (2, 5), (6, 9)]
        """
        begins = [number * self.stride - self.before for number in range(self.number)]
        return [(max(0, begin), begin + self.size - 1) for begin in begins]


class Head(nn.Module):
    """From features of the past (B, V, D) to a correction (B, V, H, Q), nearly zero at first.

    What is known of a step of the future is read together with a summary of the features (the
    temporal decoder of Das et al. 2023, "Long-term Forecasting with TiDE").
    """

    def __init__(self, width: int, num_known: int, horizon: int, num_outputs: int, dropout: float):
        super().__init__()
        self.horizon = horizon
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, horizon * num_outputs)
        self.ahead = None
        if num_known:
            last = nn.Linear(2 * NARROW, num_outputs)
            self.summary = nn.Linear(width, NARROW)
            self.ahead = nn.Sequential(nn.Linear(num_known + NARROW, 2 * NARROW), nn.GELU(), last)
            faint(last)
        faint(self.output)

    def forward(self, features_BVD: Tensor, window: Window) -> Tensor:
        """The correction, in spreads of the window."""
        features_BVD = self.dropout(features_BVD)
        correction_BVHQ: Tensor = self.output(features_BVD).unflatten(2, (self.horizon, -1))
        if self.ahead is None:
            return correction_BVHQ
        variables = features_BVD.shape[1]
        known_BVHK = window.known_BKT[:, None, :, -self.horizon :].expand(-1, variables, -1, -1)
        summary_BVHD = self.summary(features_BVD)[:, :, None].expand(-1, -1, self.horizon, -1)
        told_BVHD = torch.cat([known_BVHK.transpose(2, 3), summary_BVHD], 3)
        ahead_BVHQ: Tensor = self.ahead(told_BVHD)
        return correction_BVHQ + ahead_BVHQ


def faint(layer: nn.Linear) -> None:
    """Begin with answers near zero, yet with a gradient for all that lies below."""
    nn.init.normal_(layer.weight, std=0.01 / layer.in_features**0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
