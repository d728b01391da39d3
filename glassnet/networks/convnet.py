"""ConvNet: a small residual network for images of 8×8 to 224×224 pixels, and for signals.

Paper: Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun (2015), "Deep Residual Learning for Image
Recognition", arXiv:1512.03385; the stem that halves large images before the body is after
Tong He et al. (2018), "Bag of Tricks for Image Classification with CNNs", arXiv:1812.01187.

A stem of 3×3 convolutions halves the image until its longer side is at most 16 pixels (the knob
`body_side`); three stages of residual blocks follow, each after the first halving the map and
doubling the channels; the mean over the last map goes to one dense layer. So an image of 49 times
the pixels costs about twice as much. Maps (channels × side), parameters for 10 classes, and
multiplications per image:

| image     | stem                    | stages              | parameters | multiplications |
|-----------|-------------------------|---------------------|------------|-----------------|
| 1×8×8     | 32×8                    | 32×8, 64×4, 128×2   |    308,074 |     3.0 million |
| 1×28×28   | 32×14                   | 32×14, 64×7, 128×4  |    308,074 |    10.3 million |
| 3×32×32   | 32×16                   | 32×16, 64×8, 128×4  |    308,650 |    12.9 million |
| 3×224×224 | 16×112, 16×56, 16×28, … | 32×14, 64×7, 128×4  |    317,530 |    28.2 million |

How ours differs from the paper's networks for 32×32 images (section 4.2: 3 stages of 16, 32 and 64
channels, 3 to 18 blocks each):
- wider and shallower, one block a stage: on a processor few large convolutions are cheaper than
  many small ones.
- the body works on maps of at most 16×16, the paper's on 32×32: four times less to compute.
- maximum pooling stands between the stem's last convolution and its normalization, which then has
  a quarter of the numbers to work on; the paper's stem for large images pools after the activation.
- a shortcut that halves the map averages 2×2 windows before its 1×1 convolution (He et al. 2018,
  ResNet-D); the paper's drops three of four numbers.
- halving rounds up, so that odd sides keep their last row and column.

Signals, 8 steps or more: the same layers with one axis (a signal is an image of height 1), after
Zhiguang Wang, Weizhong Yan, Tim Oates (2016), "Time Series Classification from Scratch with Deep
Neural Networks: A Strong Baseline", arXiv:1611.06455. They come as a table with a column for each
step, in their order: `glassnet train gunpoint.csv --target label --network convnet`. All columns
then get one scale instead of each its own (the knob `rescale`), and every column must be a number.
The first stage works on at most 128 steps, under filters of 7 steps; the paper's residual network
keeps the whole length, under filters of 8, 5 and 3. Several channels and unequal lengths are
read by the task series-classification.

When to use it: the default for images; it trains in minutes on a processor. For high accuracy on
large photographs start from published weights instead.
"""

# Letters in tensor names: B examples, C channels, H height, W width.

import itertools
import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks import _masked
from glassnet.networks._bricks import BRICKS, Bricks
from glassnet.networks._images import check_image
from glassnet.networks._series import mean_over_time
from glassnet.networks._signals import Rescale, ScaledSlot, Signal

READS = ("numbers", "signals")

LEAST_SIDE = 8  # pixels
LEAST_LENGTH = 8  # steps of a signal
LEAST_SHARE = 0.25  # of a window of two steps, or none of it is there
IMAGE_KERNEL, SIGNAL_KERNEL = 3, 7

Dropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of the last features set to zero at each training step. Raise "
        "it when validation is much worse than training.",
    ),
]


class ConvNet(nn.Module):
    """A small residual network for images (C, H, W) and signals (L,) or (C, L)."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        slots: Sequence[ScaledSlot] | None = None,
        reads: str = "numbers",
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
            Field(ge=1, description="Residual blocks in each stage. Raise it for harder images."),
        ] = 1,
        body_side: Annotated[
            int,
            Field(
                ge=8,
                description="Longest side, in pixels, of the maps that the first stage works on; "
                "the stem halves the image until it fits. Raise it to 32 when small details of a "
                "large image matter, at up to four times the time.",
            ),
        ] = 16,
        body_length: Annotated[
            int,
            Field(
                ge=8,
                description="As body_side, for signals: the most steps that the first stage works "
                "on. Raise it when short events in a long signal matter.",
            ),
        ] = 128,
        kernel: Annotated[
            int | None,
            Field(
                ge=3,
                description="Steps or pixels under each filter, an odd number. Unset: 3 for "
                "images, 7 for signals.",
            ),
        ] = None,
        rescale: Annotated[
            Rescale,
            Field(
                description="Scale of a signal that is a row of a table. common: one for all "
                "columns. each: every example gets mean 0 and standard deviation 1; take it when "
                "level and size of a signal say nothing. columns: each column its own."
            ),
        ] = "common",
        dropout: Dropout = 0.0,
    ):
        super().__init__()
        if len(input_shape) < 3:
            check_signal(input_shape)
            c_in, bricks, size = math.prod(input_shape[:-1]), BRICKS[1], kernel or SIGNAL_KERNEL
            num_halvings = halvings(input_shape[-1], body_length)
        else:
            check_image("convnet", input_shape, LEAST_SIDE)
            c_in, bricks, size = input_shape[0], BRICKS[2], kernel or IMAGE_KERNEL
            num_halvings = halvings(max(input_shape[1:]), body_side)
        check_kernel(size)
        self.reads = reads
        is_row = len(input_shape) < 3 and reads == "numbers"
        self.signal = Signal(slots, rescale) if is_row else nn.Identity()
        self.stem = stem(bricks, size, c_in, channels[0], num_halvings)
        self.stages = nn.Sequential(
            stage(bricks, size, channels[0], channels[0], blocks, stride=1),
            *(stage(bricks, size, a, b, blocks, stride=2) for a, b in itertools.pairwise(channels)),
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(channels[-1], num_outputs)
        initialize(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized images or of signals."""
        if self.reads == "signals":
            x_BCT, present_BT = _masked.opened(inputs)
            for layers in (self.stem, self.stages):
                x_BCT, present_BT = followed(layers, x_BCT, present_BT)
            return self.output(self.dropout(mean_over_time(x_BCT, present_BT)))  # type: ignore[no-any-return]
        maps_BCHW = self.stages(self.stem(self.signal(inputs)))  # of signals (B, C, L)
        features_BC = maps_BCHW.flatten(start_dim=2).mean(dim=2)
        return self.output(self.dropout(features_BC))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Two 3×3 convolutions whose result is added to the block's input."""

    def __init__(self, bricks: Bricks, kernel: int, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.conv1 = convolution(bricks, kernel, c_in, c_out, stride)
        self.norm1 = bricks.norm(c_out)
        self.conv2 = convolution(bricks, kernel, c_out, c_out)
        self.norm2 = bricks.norm(c_out)
        self.skip = shortcut(bricks, c_in, c_out, stride)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return relu(input + change); a stride of 2 halves the map."""
        change_BCHW = self.norm1(self.conv1(maps_BCHW)).relu()
        change_BCHW = self.norm2(self.conv2(change_BCHW))
        return (self.skip(maps_BCHW) + change_BCHW).relu()  # type: ignore[no-any-return]


def followed(layer: nn.Module, x_BCT: Tensor, present_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The same layers on signals of different lengths, and where they have not ended by then.

    Zeros stand behind the end of each signal, and no statistics or largest value sees them.
    """
    if isinstance(layer, nn.Sequential):
        for part in layer:
            x_BCT, present_BT = followed(part, x_BCT, present_BT)
        return x_BCT, present_BT
    if isinstance(layer, Block):
        change_BCT, after_BT = followed(layer.conv1, x_BCT, present_BT)
        change_BCT, _ = followed(layer.norm1, change_BCT, after_BT)
        change_BCT, _ = followed(layer.conv2, change_BCT.relu(), after_BT)
        change_BCT, _ = followed(layer.norm2, change_BCT, after_BT)
        skip_BCT, _ = followed(layer.skip, x_BCT, present_BT)
        return (skip_BCT + change_BCT).relu(), after_BT
    if isinstance(layer, nn.BatchNorm1d):
        x_BCT = _masked.normalized(layer, x_BCT, present_BT)
    elif isinstance(layer, nn.AvgPool1d):
        share_B1U = layer(present_BT[:, None].to(x_BCT.dtype))
        x_BCT = layer(x_BCT) / share_B1U.clamp(min=LEAST_SHARE)
        present_BT = present_BT[:, ::2]  # both kinds of pools halve
    elif isinstance(layer, nn.MaxPool1d):
        x_BCT = layer(x_BCT.masked_fill(~present_BT[:, None], -math.inf))
        present_BT = present_BT[:, ::2]
    else:
        x_BCT = layer(x_BCT)
        if isinstance(layer, nn.Conv1d):
            present_BT = present_BT[:, :: layer.stride[0]]
    return x_BCT.masked_fill(~present_BT[:, None], 0), present_BT


def check_signal(input_shape: tuple[int, ...]) -> None:
    """Refuse a signal below the least length."""
    if input_shape[-1] < LEAST_LENGTH:
        raise ValueError(
            f"convnet: signals must have at least {LEAST_LENGTH} steps (columns of a table), "
            f"found {input_shape[-1]}"
        )


def check_kernel(size: int) -> None:
    """Refuse a filter without a middle."""
    if size % 2 == 0:
        raise ValueError(f"convnet: kernel must be odd, to have a middle, found {size}")


def halvings(side: int, body_side: int) -> int:
    """Return how often to halve a side, rounding up, until it is at most `body_side`.

    >>> [halvings(side, 16) for side in (8, 16, 28, 32, 64, 224)]
    [0, 0, 1, 1, 2, 4]
    """
    return max(0, math.ceil(math.log2(side / body_side)))


def stem(bricks: Bricks, kernel: int, c_in: int, c_out: int, num_halvings: int) -> nn.Sequential:
    """Return convolutions that bring the input to the body's size."""
    layers = nn.Sequential()
    for _ in range(num_halvings - 1):
        c_half = max(1, c_out // 2)
        halving = convolution(bricks, kernel, c_in, c_half, stride=2)
        layers.extend([halving, bricks.norm(c_half), nn.ReLU()])
        c_in = c_half
    layers.append(convolution(bricks, kernel, c_in, c_out))
    if num_halvings > 0:
        layers.append(bricks.max_pool(2, ceil_mode=True))  # before the norm: a quarter of its work
    layers.extend([bricks.norm(c_out), nn.ReLU()])
    return layers


def stage(
    bricks: Bricks, kernel: int, c_in: int, c_out: int, blocks: int, stride: int
) -> nn.Sequential:
    """Return residual blocks; the first one changes size and channels."""
    return nn.Sequential(
        Block(bricks, kernel, c_in, c_out, stride),
        *(Block(bricks, kernel, c_out, c_out, 1) for _ in range(blocks - 1)),
    )


def shortcut(bricks: Bricks, c_in: int, c_out: int, stride: int) -> nn.Module:
    """Return the way past a block: nothing, or averages of 2×2 windows and a 1×1 convolution."""
    if stride == 1:
        return nn.Identity()
    return nn.Sequential(
        bricks.average_pool(stride, ceil_mode=True),
        bricks.conv(c_in, c_out, kernel_size=1, bias=False),
        bricks.norm(c_out),
    )


def convolution(
    bricks: Bricks, kernel: int, c_in: int, c_out: int, stride: int = 1
) -> nn.Conv1d | nn.Conv2d:
    """Return a convolution without bias: the shift of the batch normalization stands for it."""
    return bricks.conv(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False
    )


def initialize(network: ConvNet) -> None:
    """Set the first weights.

    | parameter            | first value                                                  |
    |----------------------|--------------------------------------------------------------|
    | convolution weight   | normal, variance 2 / (kernel area × channels out), as in the |
    |                      | reference code of residual networks                          |
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


NETWORK = ConvNet
