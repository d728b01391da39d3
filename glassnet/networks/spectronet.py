"""SpectroNet: a small residual network for spectrograms of any length, such as spoken commands.

Paper: Raphael Tang, Jimmy Lin (2018), "Deep Residual Learning for Small-Footprint Keyword
Spotting", arXiv:1710.10361, which reads spoken commands as images of frequency and time with the
residual blocks of Kaiming He et al. (2015), arXiv:1512.03385.

A spectrogram (bands × frames) is an image of one channel. A stem of one 3×3 convolution halves it;
three stages of residual blocks follow, the second and the third halving it again while channels
double. Then each band that is left keeps its own features (a low sound is not a high one): they are
joined by a dense layer, frame by frame, and mean and maximum over time go to the last layer. Maps
(channels × bands × frames), parameters for 10 classes, multiplications for one second of sound:

| spectrogram | stem     | stages                       | parameters | multiplications |
|-------------|----------|------------------------------|------------|-----------------|
| 40 × 100    | 32×20×50 | 32×20×50, 64×10×25, 128×5×13 |    391,530 |      49 million |
| 64 × 100    | 32×32×50 | 32×32×50, 64×16×25, 128×8×13 |    440,682 |      78 million |

How ours differs from the paper:
- frequency is never averaged away, and the maximum over time stands beside the mean: a short event
  in a long recording counts.
- widths double while maps halve, as in the paper of residual networks; the paper's keep 45 channels
  and widen their filters (dilation) instead.
- frames behind the end of a sound are zero before each layer and stay out of the statistics of
  batch normalization, so that a sound is answered the same whatever it is padded with.

When to use it: the default for sounds with a class each. For raw signals take fcn or convnet.
"""

# Letters in tensor names: B sounds, M bands, U frames, C channels, D features.

import itertools
import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._series import max_over_time, mean_over_time, present

READS = ("signals",)


class SpectroNet(nn.Module):
    """A small residual network for spectrograms (B, M, U) that end in NaN."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        channels: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(
                min_length=1,
                description="Channels of each stage, first stage first; each later stage halves "
                "the map. Doubling them costs four times the time.",
            ),
        ] = (32, 64, 128),
        blocks: Annotated[
            int,
            Field(ge=1, description="Residual blocks in each stage. Raise it for large sets."),
        ] = 1,
        width: Annotated[
            int, Field(ge=1, description="Features of each frame that are pooled over time.")
        ] = 128,
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of the pooled features set to zero at each training step. Raise "
                "it when validation is much worse than training.",
            ),
        ] = 0.2,
    ):
        super().__init__()
        num_bands = input_shape[0]
        self.stem = Convolution(1, channels[0], stride=2)
        pairs = [(channels[0], channels[0]), *itertools.pairwise(channels)]
        self.stages = nn.ModuleList(
            Block(c_in if first else c_out, c_out, 2 if first and stage else 1)
            for stage, (c_in, c_out) in enumerate(pairs)
            for first in [True] + [False] * (blocks - 1)
        )
        for _ in range(len(channels)):
            num_bands = math.ceil(num_bands / 2)
        self.join = nn.Conv1d(channels[-1] * num_bands, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * width, num_outputs)
        initialize(self)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, mels_BMU: Tensor) -> Tensor:
        """Return the logits (B, num_outputs)."""
        present_BU = present(mels_BMU)
        maps_BCMU = torch.nan_to_num(mels_BMU)[:, None]
        # Channels last in memory: 1.7 times as fast on a processor.
        maps_BCMU = maps_BCMU.contiguous(memory_format=torch.channels_last)
        maps_BCMU, present_BU = self.stem(maps_BCMU, present_BU)
        maps_BCMU = maps_BCMU.relu()
        for block in self.stages:
            maps_BCMU, present_BU = block(maps_BCMU, present_BU)
        joined_BD1U = self.join(maps_BCMU.flatten(1, 2))[:, :, None]
        joined_BDU = normalized(self.norm, joined_BD1U, present_BU)[:, :, 0].relu()
        pooled = mean_over_time(joined_BDU, present_BU), max_over_time(joined_BDU, present_BU)
        return self.output(self.dropout(torch.cat(pooled, 1)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Two 3×3 convolutions whose result is added to the block's input."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.conv1 = Convolution(c_in, c_out, stride)
        self.conv2 = Convolution(c_out, c_out)
        self.skip = Convolution(c_in, c_out, stride, kernel=1) if stride > 1 else None

    def forward(self, maps_BCMU: Tensor, present_BU: Tensor) -> tuple[Tensor, Tensor]:
        """Return relu(input + change); a stride of 2 halves bands and frames."""
        change_BCMU, fewer_BU = self.conv1(maps_BCMU, present_BU)
        change_BCMU, fewer_BU = self.conv2(change_BCMU.relu(), fewer_BU)
        if self.skip is not None:
            maps_BCMU, fewer_BU = self.skip(maps_BCMU, present_BU)
        return (maps_BCMU + change_BCMU).relu(), fewer_BU


class Convolution(nn.Module):
    """Convolution and batch normalization; zeros stay behind the end of each sound."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1, kernel: int = 3):
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(
            c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, maps_BCMU: Tensor, present_BU: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps, and which of their frames are there."""
        present_BU = present_BU[:, :: self.stride]
        maps_BCMU = normalized(self.norm, self.convolution(maps_BCMU), present_BU)
        return maps_BCMU * present_BU[:, None, None], present_BU


def normalized(norm: nn.BatchNorm2d, maps_BCMU: Tensor, present_BU: Tensor) -> Tensor:
    """Batch normalization whose statistics are over the frames that are there."""
    if not norm.training or bool(present_BU.all()):
        return norm(maps_BCMU)  # type: ignore[no-any-return]
    assert norm.running_mean is not None
    assert norm.running_var is not None
    there_B11U = present_BU[:, None, None].float()
    total = (there_B11U.sum() * maps_BCMU.shape[2]).clamp(min=1)
    maps_BCMU = maps_BCMU.float() * there_B11U
    mean_C = maps_BCMU.sum((0, 2, 3)) / total
    variance_C = (maps_BCMU.square().sum((0, 2, 3)) / total - mean_C.square()).clamp(min=0)
    with torch.no_grad():
        share = norm.momentum or 0.1
        norm.running_mean.lerp_(mean_C, share)
        norm.running_var.lerp_(variance_C, share)
    scale_C = norm.weight * (variance_C + norm.eps).rsqrt()
    shift_C = norm.bias - mean_C * scale_C
    return maps_BCMU * scale_C[:, None, None] + shift_C[:, None, None]


def initialize(network: SpectroNet) -> None:
    """Set the first weights.

    | parameter            | first value                                                  |
    |----------------------|--------------------------------------------------------------|
    | convolution weight   | normal, variance 2 / (kernel area × channels out)            |
    | batch normalization  | scale 1, shift 0 (torch's own)                               |
    | output weight        | normal, variance 0.01 / inputs: at first, all classes are    |
    |                      | nearly equally likely                                        |
    | output bias          | 0                                                            |
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    nn.init.normal_(network.output.weight, std=0.1 / math.sqrt(network.output.in_features))
    nn.init.zeros_(network.output.bias)


NETWORK = SpectroNet
