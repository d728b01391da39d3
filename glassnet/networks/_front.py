"""The way into a network for signals: two convolutions that turn some steps into one frame.

What is not there is NaN (``_series.py``). A measurement that is missing within a sequence is read
as 0, which is the mean of a channel that was scaled; what stands behind the end never reaches a
frame before it.
"""

# Letters in tensor names: B examples, C channels, T steps, U frames, D width.

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._series import frames, present

KERNEL = 5
"""Steps under each filter of the first convolution; at 100 frames of sound a second 50 ms."""
MOST_STEPS = 128
"""Steps that are left of a signal with one answer: more cost time, and gradients reach no
farther."""
MOST_OF_A_PAST = 48
"""Steps that are left of a past that is to be continued: a look of every variable by itself."""
FRAME_STRIDE = 4
"""Of 10 ms each: 25 frames a second, a little more than letters are spoken in."""

Stride = Annotated[
    int | None,
    Field(
        ge=1,
        description="Steps of a signal that are read as one. Unset: 4 where each frame is "
        "answered; for one answer so many that at most 128 are left of the longest signal. Lower "
        "it when short events matter; the time doubles when you halve it.",
    ),
]


class SignalFront(nn.Module):
    """Signals (B, C, T) with NaN -> frames (B, U, D), and which of them have begun (B, U)."""

    def __init__(self, c_in: int, width: int, stride: int):
        super().__init__()
        self.stride = stride
        self.steps = nn.Conv1d(c_in, width, KERNEL, padding=KERNEL // 2)
        # As wide as two strides, so that no event falls between two frames.
        wide = max(3, 2 * stride - 1)
        self.frames = nn.Conv1d(width, width, wide, stride=stride, padding=wide // 2)
        self.activation = nn.ReLU()
        for convolution in (self.steps, self.frames):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, signals_BCT: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames (B, U, D), zeros behind the end, and which have begun (B, U)."""
        present_BT = present(signals_BCT)
        features_BDT = self.activation(self.steps(torch.nan_to_num(signals_BCT)))
        features_BDT = features_BDT * present_BT[:, None]
        present_BU = frames(present_BT, self.stride)
        features_BDU = self.activation(self.frames(features_BDT)) * present_BU[:, None]
        return features_BDU.mT, present_BU


def stride_for(reads: str, stride: int | None, longest: int) -> int:
    """Return the stride that is given, or the one that suits.

    >>> [stride_for("signals", None, longest) for longest in (24, 128, 150, 1000)]
    [1, 1, 2, 8]
    """
    if stride is not None:
        return stride
    if reads == "frames":
        return FRAME_STRIDE
    return math.ceil(longest / (MOST_OF_A_PAST if reads == "forecast" else MOST_STEPS))
