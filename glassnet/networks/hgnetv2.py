"""HGNetV2: the network for photographs on a laptop, accurate for its time with public weights.

Paper: none of its own. Baidu's PaddleClas team (2023), "PP-HGNetV2", docs/zh_CN/models/ImageNet1k/
PP-HGNetV2.md of PaddleClas; first used in print by Yian Zhao et al. (2024), "DETRs Beat YOLOs on
Real-time Object Detection", arXiv:2304.08069. Its block is that of Youngwan Lee et al. (2019), "An
Energy and GPU-Computation Efficient Backbone Network" (VoVNet), arXiv:1904.09730, section 3.2.

A block applies its layers one after another, lays the outputs of all of them side by side, and
mixes them by 1×1 convolutions: every earlier map is read directly, and once. The first two stages
use dense 3×3 convolutions, which processors do fast, the last two 1×1 and 5×5 by channel. The sizes
b0 to b3 scale and shift the result of each activation by two trained numbers. Maps of b0 at
3×224×224 (others differ in channels, blocks, and layers within a block):

    stem 16×56×56 → stages 64×56×56, 256×28×28, 512×14×14, 1024×7×7 → mean → 2048 → 1000

| size | parameters | multiplications | top-1 of the public weights at 224 | forward | training |
|------|------------|-----------------|------------------------------------|---------|----------|
| b0   |  5,996,550 |    0.32 billion | 77.4 %                             |   73/s  |    27/s  |
| b1   |  6,343,158 |    0.49 billion | 78.9 %                             |   60/s  |    18/s  |
| b2   | 11,221,356 |    1.14 billion | 81.6 %                             |   31/s  |    10/s  |
| b3   | 16,292,216 |    1.77 billion | 82.9 %                             |         |          |
| b4   | 19,796,680 |    2.73 billion | 83.7 %                             |         |          |

(Images per second of one core of an AMD EPYC with AVX-512, float32, batches of 16, torch 2.13;
`resnet` with depth 18 does 25 and 8 and has 69.8 to 73.3 %. docs/log.md has the comparison.)

How ours differs from the authors' (its own choice after the colon):
- one file of plain layers, with timm's names for all parameters.
- sizes b0 to b4: b5 and b6, of 33 and 75 million parameters, are none for a laptop.
- the last dense layer starts near zero: torch's uniform first weights.

Public weights: timm's `hgnetv2_b0.ssld_stage2_ft_in1k` … `hgnetv2_b4…` on the Hugging Face Hub
(Apache 2.0), distilled from a larger network on ImageNet-22k (SSLD: Cheng Cui et al. 2021,
arXiv:2103.05959); parameters are called as there. D-FINE and RT-DETR detect objects with it.

When to use it: for photographs, best from public weights: b0 to try things out, b2 when accuracy
counts. For images under 64 pixels `convnet` is faster.
"""

# Letters in tensor names: B examples, C channels, H height, W width.

import math
from collections import OrderedDict
from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._images import check_image

LEAST_SIDE = 32  # pixels: stem and stages halve it to 1
PAPER_INPUT, PAPER_OUTPUTS = (3, 224, 224), 1000

Size: TypeAlias = Literal["b0", "b1", "b2", "b3", "b4"]


class Form(NamedTuple):
    """What distinguishes a size; stage by stage, where there are four numbers."""

    stem: tuple[int, int]
    """Channels within the stem, and after it."""
    inner: tuple[int, int, int, int]
    """Channels of the layers within a block."""
    outer: tuple[int, int, int, int]
    """Channels after a block."""
    third: int
    """Blocks of the third stage; the others have one."""
    layers: int
    """Layers within a block."""
    affine: bool
    """Whether a trained scale and shift follow each activation."""


FORMS: dict[Size, Form] = {
    "b0": Form((16, 16), (16, 32, 64, 128), (64, 256, 512, 1024), 2, 3, True),
    "b1": Form((24, 32), (32, 48, 96, 192), (64, 256, 512, 1024), 2, 3, True),
    "b2": Form((24, 32), (32, 64, 128, 256), (96, 384, 768, 1536), 3, 4, True),
    "b3": Form((24, 32), (32, 64, 128, 256), (128, 512, 1024, 2048), 3, 5, True),
    "b4": Form((32, 48), (48, 96, 192, 384), (128, 512, 1024, 2048), 3, 6, False),
}


class HGNetV2(nn.Module):
    """HGNetV2 for images (channels, height, width) of 32×32 pixels or more."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        size: Annotated[
            Size,
            Field(
                description="Member of the family. b0 is fastest; each further one is more "
                "accurate and up to twice as slow (see the table above)."
            ),
        ] = "b0",
        features: Annotated[
            int,
            Field(
                ge=1,
                description="Numbers that describe an image before the last layer; published "
                "weights have 2048.",
            ),
        ] = 2048,
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of these features set to zero at each training step. Raise it "
                "when validation is much worse than training.",
            ),
        ] = 0.0,
    ):
        super().__init__()
        check_image("hgnetv2", input_shape, LEAST_SIDE, "use convnet, or --size 64")
        form = FORMS[size]
        c_stem, affine = form.stem[1], form.affine
        c_ins = (c_stem, *form.outer)
        self.stem = Stem(input_shape[0], *form.stem, affine)
        self.stages = nn.Sequential(
            *(stage(form, number, c_ins[number]) for number in range(len(form.outer)))
        )
        last_conv = nn.Conv2d(form.outer[-1], features, kernel_size=1, bias=False)
        self.head = nn.Sequential(
            OrderedDict[str, nn.Module](
                global_pool=nn.AdaptiveAvgPool2d(1),
                last_conv=nn.Sequential(last_conv, nn.ReLU(), *[Affine()] * affine),
                dropout=nn.Dropout(dropout),
                flatten=nn.Flatten(),
                fc=nn.Linear(features, num_outputs),
            )
        )
        initialize(self)

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized images."""
        maps_BCHW = self.stages(self.stem(inputs_BCHW))
        return self.head(maps_BCHW)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Layers one after another; all their outputs, side by side, are mixed by 1×1 convolutions."""

    def __init__(self, layers: list[nn.Module], c_all: int, c_out: int, adds: bool, affine: bool):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.aggregation = nn.Sequential(
            Convolution(c_all, c_out // 2, 1, affine=affine),
            Convolution(c_out // 2, c_out, 1, affine=affine),
        )
        self.adds = adds

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return the mixture; a block that keeps its input's channels adds the input."""
        outputs = [maps_BCHW]
        for layer in self.layers:
            outputs.append(layer(outputs[-1]))
        mixed_BCHW = self.aggregation(torch.cat(outputs, dim=1))
        return mixed_BCHW + maps_BCHW if self.adds else mixed_BCHW  # type: ignore[no-any-return]


class Stem(nn.Module):
    """Convolutions that halve the image twice; between them 2×2 windows go two ways."""

    def __init__(self, c_in: int, c_inner: int, c_out: int, affine: bool):
        super().__init__()
        self.stem1 = Convolution(c_in, c_inner, 3, stride=2, affine=affine)
        self.stem2a = Convolution(c_inner, c_inner // 2, 2, affine=affine)
        self.stem2b = Convolution(c_inner // 2, c_inner, 2, affine=affine)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=1)
        self.stem3 = Convolution(2 * c_inner, c_inner, 3, stride=2, affine=affine)
        self.stem4 = Convolution(c_inner, c_out, 1, affine=affine)

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        """Return maps of a quarter of the image's sides."""
        maps_BCHW = padded(self.stem1(inputs_BCHW))
        pooled_BCHW = self.pool(maps_BCHW)
        maps_BCHW = self.stem2b(padded(self.stem2a(maps_BCHW)))
        maps_BCHW = torch.cat([pooled_BCHW, maps_BCHW], dim=1)
        return self.stem4(self.stem3(maps_BCHW))  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """A convolution, its normalization, and, with `acts`, a ReLU and its scale and shift."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        acts: bool = True,
        affine: bool,
    ):
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(
            c_in, c_out, kernel, stride=stride, padding=padding, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(c_out)
        self.act = nn.ReLU() if acts else nn.Identity()
        self.lab = Affine() if acts and affine else nn.Identity()

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return maps; a stride of 2 halves them."""
        return self.lab(self.act(self.bn(self.conv(maps_BCHW))))  # type: ignore[no-any-return]


class Affine(nn.Module):
    """One trained scale and one trained shift for all maps."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return scale · maps + bias."""
        return self.scale * maps_BCHW + self.bias


def stage(form: Form, number: int, c_in: int) -> nn.Sequential:
    """Return stage `number`, from 0: halving by channel, but in the first; then blocks."""
    light = number >= 2
    inner, outer = form.inner[number], form.outer[number]
    halve = Convolution(c_in, c_in, 3, stride=2, groups=c_in, acts=False, affine=form.affine)
    blocks = []
    for _ in range(form.third if number == 2 else 1):
        sources = [c_in] + [inner] * (form.layers - 1)
        layers = [
            light_layer(source, inner, form.affine)
            if light
            else Convolution(source, inner, 3, affine=form.affine)
            for source in sources
        ]
        c_all = c_in + form.layers * inner
        blocks.append(Block(layers, c_all, outer, adds=bool(blocks), affine=form.affine))
        c_in = outer
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            downsample=halve if number else nn.Identity(), blocks=nn.Sequential(*blocks)
        )
    )


def light_layer(c_in: int, c_out: int, affine: bool) -> nn.Sequential:
    """Return a 1×1 convolution and a 5×5 one by channel."""
    return nn.Sequential(
        OrderedDict(
            conv1=Convolution(c_in, c_out, 1, acts=False, affine=affine),
            conv2=Convolution(c_out, c_out, 5, groups=c_out, affine=affine),
        )
    )


def padded(maps_BCHW: Tensor) -> Tensor:
    """Add a column of zeros at the right and a row below: 2×2 windows then keep the size."""
    return F.pad(maps_BCHW, (0, 1, 0, 1))


def initialize(network: HGNetV2) -> None:
    """Set the first weights.

    | parameter            | first value                                                  |
    |----------------------|--------------------------------------------------------------|
    | convolution weight   | normal, variance 2 / (kernel area × channels out), as in     |
    |                      | timm; He et al. (2015) divide it by the groups               |
    | batch normalization  | scale 1, shift 0 (torch's own)                               |
    | scale, shift (lab)   | 1, 0                                                         |
    | last dense weight    | normal, variance 0.01 / inputs: at first, all classes are    |
    |                      | nearly equally likely                                        |
    | last dense bias      | 0                                                            |
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    *_, output = network.head
    assert isinstance(output, nn.Linear)
    nn.init.normal_(output.weight, std=0.1 / math.sqrt(output.in_features))
    nn.init.zeros_(output.bias)


NETWORK = HGNetV2
