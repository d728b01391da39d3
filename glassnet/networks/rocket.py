"""Rocket: thousands of fixed convolutions over a signal, and one dense layer that learns.

Papers: Angus Dempster, François Petitjean, Geoffrey Webb (2020), "ROCKET: Exceptionally fast and
accurate time series classification using random convolutional kernels", Data Mining and Knowledge
Discovery 34, arXiv:1910.13051; the kernels are those of Dempster, Schmidt and Webb (2021),
"MiniRocket", KDD, arXiv:2012.08791.

The 84 kernels of nine steps with six weights of -1 and three of 2 look at the signal with gaps of
1, 2, 4 … steps between (dilation), and at its change from step to step, as in MultiRocket (Tan et
al. 2022, arXiv:2102.00457). Of each result the features are the shares of steps above some
thresholds. Nothing of this is learned but the thresholds, which are quantiles of what the kernels
answer to training signals. The dense layer on the features is what is trained.

How ours differs (the paper's value after the colon):
- the dense layer is trained by gradients with weight decay: a ridge classifier whose penalty is
  chosen by leave-one-out.
- a step counts for a threshold by how far it is above, between 0 and 1 within a small range about
  it, so that an answer has a gradient back to the signal: all or nothing.
- every kernel begins beyond the ends of a signal: every other one.
- signals of different lengths: what stands behind the end of one counts nowhere.

When to use it: for few series, and long ones. It trains in seconds, and it is hard to be much worse
than it. Its features say little to people: look into `fcn` instead.
"""

# Letters in tensor names: B examples, C channels, T steps, K kernels, F thresholds, O outputs.

import itertools
import math
from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._masked import Prepared, initialize, opened

READS = ("signals",)

STEPS = 9
"""Under each kernel."""
KERNELS = tuple(itertools.combinations(range(STEPS), 3))
"""Where each of the 84 kernels has its three weights of 2."""
MOST_DILATIONS = 16
VIEWS = ("the signal", "its change from step to step")
AT_ONCE = 32
"""Signals whose features are computed at once."""
LEAST_SPREAD = 0.003
"""Of a feature, which is a share between 0 and 1."""


class Rocket(Prepared):
    """Shares of steps above thresholds, of fixed convolutions; one dense layer."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        features: Annotated[
            int,
            Field(
                ge=84,
                description="Numbers that stand for a signal, about. More than 10,000 seldom help.",
            ),
        ] = 5000,
        softness: Annotated[
            float,
            Field(gt=0, description="Width of a threshold, in standard deviations of an answer."),
        ] = 0.1,
        dropout: Annotated[
            float,
            Field(ge=0, lt=1, description="Share of features set to zero at each training step."),
        ] = 0.0,
    ):
        super().__init__()
        channels, steps = input_shape
        self.dilations = dilations(steps)
        number = len(VIEWS) * len(self.dilations)
        shape = (number, len(KERNELS), max(1, round(features / len(KERNELS) / number)))
        count = math.prod(shape)
        self.register_buffer("kernels", kernels(channels, number))
        self.register_buffer("thresholds", torch.randn(shape))
        self.register_buffer("widths", torch.full(shape[:2], softness))
        self.register_buffer("means", torch.full((count,), 0.5))
        self.register_buffer("deviations", torch.full((count,), 0.1))
        self.softness = softness
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(count, num_outputs)
        initialize(self)
        nn.init.zeros_(self.output.weight)  # thousands of small weights would be a large answer

    kernels: Tensor
    thresholds: Tensor
    widths: Tensor
    means: Tensor
    deviations: Tensor

    def forward(self, signals_BCT: Tensor) -> Tensor:
        """Return the logits (B, num_outputs)."""
        features_BF = (self.features(signals_BCT) - self.means) / self.deviations
        return self.output(self.dropout(features_BF))  # type: ignore[no-any-return]

    def features(self, signals_BCT: Tensor) -> Tensor:
        """The share of steps above each threshold, (B, views · dilations · K · F)."""
        x_BCT, present_BT = opened(signals_BCT)
        steps_B1 = present_BT.sum(1, keepdim=True).clamp(min=1)
        hidden = torch.finfo(x_BCT.dtype).min
        shares = []
        for number, answers_BKT in enumerate(self.answers(x_BCT, present_BT)):
            answers_BKT = answers_BKT.masked_fill(~present_BT[:, None], hidden)
            width_K1 = self.widths[number][:, None]
            for threshold_K in self.thresholds[number].unbind(1):
                low_K1 = threshold_K[:, None] - width_K1 / 2
                above_BKT = answers_BKT.clamp(low_K1, low_K1 + width_K1) - low_K1
                shares.append(above_BKT.sum(2) / (width_K1[:, 0] * steps_B1))
        return torch.cat(shares, 1)

    def answers(self, x_BCT: Tensor, present_BT: Tensor) -> Iterator[Tensor]:
        """What the kernels answer at each step, (B, K, T) for each view and dilation."""
        changes_BCT = torch.diff(x_BCT, dim=2, prepend=x_BCT[:, :, :1]) * present_BT[:, None]
        number = 0
        for view_BCT in (x_BCT, changes_BCT):
            for dilation in self.dilations:
                around = dilation * (STEPS // 2)
                yield nn.functional.conv1d(
                    view_BCT, self.kernels[number], padding=around, dilation=dilation
                )
                number += 1

    @torch.no_grad()
    def prepare(self, signals_BCT: Tensor) -> None:
        """Take thresholds, and the scale of the features, from some training signals."""
        x_BCT, present_BT = opened(signals_BCT)
        num_thresholds = self.thresholds.shape[2]
        # Quantiles of a sequence that fills 0 to 1 evenly, others for each kernel (MiniRocket).
        places = torch.arange(1, len(KERNELS) * num_thresholds + 1, dtype=torch.float64)
        shares_KF = (places * (math.sqrt(5) - 1) / 2 % 1).reshape(len(KERNELS), num_thresholds)
        for number, answers_BKT in enumerate(self.answers(x_BCT, present_BT)):
            answers_KN = answers_BKT.transpose(0, 1)[:, present_BT]
            ordered_KN = answers_KN.sort(1).values
            at_KF = (shares_KF * (ordered_KN.shape[1] - 1)).round().long().to(x_BCT.device)
            self.thresholds[number] = ordered_KN.gather(1, at_KF)
            spread_K = answers_KN.std(1, correction=0)
            self.widths[number] = (self.softness * spread_K).clamp(min=1e-6)
        features = [self.features(piece_BCT) for piece_BCT in signals_BCT.split(AT_ONCE)]
        deviations_F, means_F = torch.std_mean(torch.cat(features), 0, correction=0)
        # A share that hardly differs among the training signals is no reason for a large answer.
        self.means.copy_(means_F)
        self.deviations.copy_(deviations_F.clamp(min=LEAST_SPREAD))


def dilations(steps: int) -> tuple[int, ...]:
    """Gaps between the steps of a kernel, up to the whole signal.

    >>> dilations(24), dilations(150)
    ((1, 2), (1, 2, 4, 8, 18))
    """
    most = max(0.0, math.log2(max(1, (steps - 1) / (STEPS - 1))))
    number = min(MOST_DILATIONS, 1 + math.floor(most))
    exponents = [most * place / max(1, number - 1) for place in range(number)]
    return tuple(sorted({int(2**exponent) for exponent in exponents}))


def kernels(channels: int, number: int) -> Tensor:
    """So many times the kernels, (number, K, C, 9); each adds up some channels, drawn at random."""
    weights_K9 = torch.full((len(KERNELS), STEPS), -1.0)
    for row, places in enumerate(KERNELS):
        weights_K9[row, list(places)] = 2.0
    if channels == 1:
        return weights_K9[None, :, None].repeat(number, 1, 1, 1)
    # As many channels as 2 to a random power, so that few are as likely as many.
    most = math.log2(min(channels, STEPS) + 1)
    chosen_DK = (2 ** (torch.rand(number, len(KERNELS)) * most)).long()
    rank_DKC = torch.rand(number, len(KERNELS), channels).argsort(2).argsort(2)
    chosen_DKC = (rank_DKC < chosen_DK[..., None]).float()
    return weights_K9[None, :, None] * chosen_DKC[..., None]


NETWORK = Rocket
