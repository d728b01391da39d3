"""Airbench: plain 3×3 convolutions, the most accurate network per minute for images of 28 to 64 px.

Paper: Keller Jordan (2024), "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv:2404.00498.

One convolution looks at windows of 2×2 pixels; three blocks of 3×3 convolutions follow, each
halving the map after its first convolution; the largest value of each last map goes to one dense
layer. Maps (channels × side) after each block, parameters for 10 classes, and multiplications of
the convolutions per image:

| image, channels                | first | blocks               | parameters | multiplications |
|--------------------------------|-------|----------------------|------------|-----------------|
| 1×28×28, 64-128-128            | 24×27 | 64×13, 128×6, 128×3  |    569,474 |    40.8 million |
| 3×32×32, 64-128-128            | 24×31 | 64×15, 128×7, 128×3  |    569,666 |    54.2 million |
| 3×64×64, 64-128-128            | 24×31 | 64×15, 128×7, 128×3  |    570,530 |    55.1 million |
| 3×32×32, 64-256-256            | 24×31 | 64×15, 256×7, 256×3  |  1,972,802 |   118.1 million |
| 3×32×32, 128-384-512, 3 convs  | 24×31 | 128×15, 384×7, 512×3 |  9,918,786 |   452.0 million |

The last two rows are the paper's airbench94 and airbench96; the others fit two processor cores.

How ours differs from the paper:
- all weights are learned and begin at random. The paper sets the first convolution to the principal
  components of 2×2 windows of the training images and keeps it (section 3.2), and lets every other
  convolution begin by handing its inputs on unchanged (3.3). Trained with Muon, neither made a
  difference (docs/log.md); and a network of ours is built before it sees an image.
- batch normalization has a scale and torch's momentum of 0.1; the paper's has a shift alone and a
  momentum of 0.4. That made no difference either.
- the first output weights are small; the paper divides the logits by 9 instead.
- an image of more than 32 pixels is read in larger windows, 4×4 at every second pixel up to 64 and
  so on, so that the blocks work on maps of at most 32×32.
- halving rounds down as in the paper, but never to nothing, so that 8×8 pixels are enough.

When to use it: for the last percents on small images. It computes four times as much per image as
convnet. Train it with `--fit.precision bfloat16` (1.9 times as fast on a processor that has it),
`--fit.lr 0.015`, and flips for photographs; the recipes cifar10-* and fashion-mnist-airbench do.
"""

# Letters in tensor names: B examples, C channels, H height, W width.

import itertools
import math
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._images import check_image

LEAST_SIDE = 8  # pixels
LARGEST_MAP = 32  # pixels; what the first block works on


class Airbench(nn.Module):
    """Blocks of 3×3 convolutions for small images (channels, height, width)."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        channels: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(
                min_length=1,
                description="Channels of each block, first block first; each block halves the map. "
                "64-128-128 for two processor cores, 64-256-256 or 128-384-512 for a GPU.",
            ),
        ] = (64, 128, 128),
        convs: Annotated[
            int,
            Field(
                ge=1,
                description="Convolutions in each block. From 3 on, what the first one gives is "
                "added to what the last one gives. 3 for the highest accuracy, on a GPU.",
            ),
        ] = 2,
        first_channels: Annotated[
            int,
            Field(ge=1, description="Channels of the first convolution, over windows of pixels."),
        ] = 24,
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of the last features set to zero at each training step. Raise "
                "it when validation is much worse than training.",
            ),
        ] = 0.0,
    ):
        super().__init__()
        stride = window_step(max(input_shape[1:]))  # windows must fit across the shorter side too
        check_image("airbench", input_shape, max(LEAST_SIDE, 2 * stride), "use convnet")
        self.first = nn.Conv2d(input_shape[0], first_channels, 2 * stride, stride)
        sides = [(side - 2 * stride) // stride + 1 for side in input_shape[1:]]
        self.blocks = nn.Sequential()
        for c_in, c_out in itertools.pairwise((first_channels, *channels)):
            self.blocks.append(Block(c_in, c_out, convs, keeps_last=min(sides) == 1))
            sides = [max(1, side // 2) for side in sides]
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(channels[-1], num_outputs)
        initialize(self)

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized images."""
        maps_BCHW = self.blocks(nn.functional.gelu(self.first(inputs_BCHW)))
        features_BC = maps_BCHW.amax(dim=(2, 3))
        return self.output(self.dropout(features_BC))  # type: ignore[no-any-return]


class Block(nn.Module):
    """3×3 convolutions; the first one's result is halved before it is normalized."""

    def __init__(self, c_in: int, c_out: int, convs: int, *, keeps_last: bool):
        super().__init__()
        self.conv1 = conv3x3(c_in, c_out)
        self.pool = nn.MaxPool2d(2, ceil_mode=keeps_last)  # before the norm: a quarter of its work
        self.norm1 = nn.BatchNorm2d(c_out)
        self.middle = nn.Sequential()
        for _ in range(convs - 2):
            self.middle.extend([conv3x3(c_out, c_out), nn.BatchNorm2d(c_out), nn.GELU()])
        self.last = nn.Sequential()
        if convs > 1:
            self.last.extend([conv3x3(c_out, c_out), nn.BatchNorm2d(c_out)])

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return maps of half the height and width."""
        maps_BCHW = nn.functional.gelu(self.norm1(self.pool(self.conv1(maps_BCHW))))
        if not self.last:
            return maps_BCHW
        change_BCHW = self.last(self.middle(maps_BCHW))
        if self.middle:
            change_BCHW = maps_BCHW + change_BCHW
        return nn.functional.gelu(change_BCHW)


def window_step(side: int) -> int:
    """Return the step from one window of pixels to the next: a power of two.

    >>> [window_step(side) for side in (8, 32, 33, 64, 224)]
    [1, 1, 2, 2, 8]
    """
    return 1 << max(0, math.ceil(math.log2(side / LARGEST_MAP)))


def conv3x3(c_in: int, c_out: int) -> nn.Conv2d:
    """Return a convolution without bias: the shift of the batch normalization stands for it."""
    return nn.Conv2d(c_in, c_out, kernel_size=3, padding=1, bias=False)


def initialize(network: Airbench) -> None:
    """Set the first weights.

    | parameter            | first value                                                  |
    |----------------------|--------------------------------------------------------------|
    | convolution weight   | uniform, variance 1 / (3 × inputs) (torch's own)             |
    | first bias           | the same                                                     |
    | batch normalization  | scale 1, shift 0 (torch's own)                               |
    | output weight        | normal, variance 0.01 / inputs: at first, all classes are    |
    |                      | nearly equally likely                                        |
    | output bias          | 0                                                            |
    """
    nn.init.normal_(network.output.weight, std=0.1 / math.sqrt(network.output.in_features))
    nn.init.zeros_(network.output.bias)


NETWORK = Airbench
