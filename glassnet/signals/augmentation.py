"""Small changes to series while training: the same thing, measured again a little differently.

After Terry Um et al. (2017), "Data Augmentation of Wearable Sensor Data for Parkinson's Disease
Monitoring using Convolutional Neural Networks", ICMI, arXiv:1706.00527. All random numbers come
from torch's global generator.
"""

# Letters in tensor names: B examples, C channels, T steps.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from glassnet.networks._series import lengths, present

Jitter = Annotated[
    float,
    Field(
        ge=0,
        le=2,
        description="Noise added to each measurement at each training step, in standard deviations "
        "of its channel. 0.03-0.1 for few series from noisy sensors.",
    ),
]
Stretch = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Training multiplies each series by a number about 1 that differs by so much. "
        "0.1-0.3 where the size of a series says little.",
    ),
]
Shift = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Training moves each series in time, by up to this share of its length; its "
        "ends are continued. 0.05-0.2 where it does not matter when something happens.",
    ),
]
Warp = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Training runs through parts of each series faster and through others slower, "
        "by up to this share. 0.1-0.3 for motions and other things that differ in pace.",
    ),
]


def changed(
    jitter: float, stretch: float, shift: float, warp: float
) -> Callable[[Tensor, int], Tensor] | None:
    """What changes a batch of signals (B, C, T) in an epoch; None where nothing is asked for."""
    if not (jitter or stretch or shift or warp):
        return None

    def change(signals_BCT: Tensor, _epoch: int) -> Tensor:
        if shift or warp:
            signals_BCT = moved(signals_BCT, shift, warp)
        drawn_B11 = torch.randn(len(signals_BCT), 1, 1, device=signals_BCT.device)
        return signals_BCT * (stretch * drawn_B11).exp() + jitter * torch.randn_like(signals_BCT)

    return change


def moved(signals_BCT: Tensor, shift: float, warp: float) -> Tensor:
    """Signals that begin earlier or later and run unevenly; as long as before."""
    length_B1 = lengths(present(signals_BCT)).clamp(min=1)[:, None]
    steps_T = torch.arange(signals_BCT.shape[2], device=signals_BCT.device)
    begin_B1, bend_B1 = (2 * torch.rand_like(length_B1.float()) - 1 for _ in range(2))
    # The slope of time is 1 + warp * cos, which never turns back.
    curve_BT = torch.sin(math.pi * steps_T / length_B1) * length_B1 / math.pi
    places_BT = steps_T + begin_B1 * shift * length_B1 + bend_B1 * warp * curve_BT
    places_BT = places_BT.clamp(min=0).minimum(length_B1 - 1.0)
    before_BT = places_BT.floor().long()
    after_BT = (before_BT + 1).minimum(length_B1 - 1)
    share_B1T = (places_BT - before_BT)[:, None]
    one_BCT, other_BCT = (_taken(signals_BCT, at_BT) for at_BT in (before_BT, after_BT))
    mixed_BCT = torch.where(share_B1T > 0, one_BCT + share_B1T * (other_BCT - one_BCT), one_BCT)
    return mixed_BCT.masked_fill((steps_T >= length_B1)[:, None], math.nan)


def _taken(signals_BCT: Tensor, places_BT: Tensor) -> Tensor:
    return signals_BCT.gather(2, places_BT[:, None].expand(-1, signals_BCT.shape[1], -1))
