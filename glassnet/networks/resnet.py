"""ResNet: residual networks of 18 to 152 layers, the field's yardstick since 2015.

Paper: Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun (2015), "Deep Residual Learning for Image
Recognition", arXiv:1512.03385; table 1.

A residual block adds its input to what its convolutions made of it, so that a block has to learn
only the change, and gradients pass unhindered through the sum. A stem, four stages of blocks that
halve the map and double the channels, the mean over the last map, one dense layer. For 3×224×224
images and 1000 classes:

| layer  | maps, depth 18 and 34 | maps, 50 to 152 | blocks with depth 18, 34, 50, 101, 152 |
|--------|-----------------------|-----------------|----------------------------------------|
| stem   | 64×56×56              | 64×56×56        | 7×7 by 2, then 3×3 maximum pooling by 2 |
| layer1 | 64×56×56              | 256×56×56       | 2, 3, 3, 3, 3                          |
| layer2 | 128×28×28             | 512×28×28       | 2, 4, 4, 4, 8                          |
| layer3 | 256×14×14             | 1024×14×14      | 2, 6, 6, 23, 36                        |
| layer4 | 512×7×7               | 2048×7×7        | 2, 3, 3, 3, 3                          |
| fc     | 1000                  | 1000            |                                        |

| depth | block            | parameters | multiplications | torchvision's weights, top-1 |
|-------|------------------|------------|-----------------|------------------------------|
| 18    | two 3×3          | 11,689,512 |     1.8 billion | 69.8 %                       |
| 34    | two 3×3          | 21,797,672 |     3.7 billion | 73.3 %                       |
| 50    | 1×1, 3×3, 1×1    | 25,557,032 |     4.1 billion | 76.1 %; 80.9 % (V2 recipe)   |
| 101   | 1×1, 3×3, 1×1    | 44,549,160 |     7.8 billion | 77.4 %; 81.9 %               |
| 152   | 1×1, 3×3, 1×1    | 60,192,808 |    11.5 billion | 78.3 %; 82.3 %               |

How ours differs (the paper's own choice after the colon):
- where a bottleneck halves the map, its 3×3 convolution has the stride, as in torchvision (called
  v1.5): the first 1×1 convolution, which drops three of four numbers unseen.
- a shortcut that changes size is a 1×1 convolution with normalization: option B of section 4.1.
- `stem: small`, one 3×3 convolution without pooling, for images under 64 pixels: for those the
  paper has other networks, of three stages (section 4.2). After the large stem a 32×32 image
  would enter layer1 as 8×8.
- `zero_init` (Goyal et al. 2017, arXiv:1706.02677, section 5.1) is off, as in the paper: with it
  each block passes its input on unchanged at first, and its convolutions have no gradient at the
  first step. It gained 0.2-0.3 points on ImageNet.

Public weights: torchvision's and timm's `resnet18` … `resnet152`, and many others trained in their
names; parameters are called as there (conv1, bn1, layer1.0.conv1, …, downsample.0, fc).

When to use it: as a yardstick, and to start from published weights, of which no family has more.
`convnext` is more accurate for the same time.
"""

# Letters in tensor names: B examples, C channels, H height, W width.

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._images import check_image

LEAST_SIDE = 8  # pixels: layer4 then has one place after the small stem
SMALL = 64  # pixels; images with a longer side below it get the small stem
PAPER_INPUT, PAPER_OUTPUTS = (3, 224, 224), 1000

Depth: TypeAlias = Literal[18, 34, 50, 101, 152]
Stem: TypeAlias = Literal["auto", "photo", "small"]

BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""How many there are in each stage, by depth."""


class ResNet(nn.Module):
    """A residual network for images (channels, height, width) of 8×8 pixels or more."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        depth: Annotated[
            Depth,
            Field(
                description="Layers with weights. 18 to begin with; 50 from published weights, "
                "where accuracy is worth twice the time."
            ),
        ] = 18,
        stem: Annotated[
            Stem,
            Field(
                description="What stands before the stages. photo: a 7×7 convolution and pooling "
                "that halve the image twice. small: a 3×3 convolution that does not, at 16 times "
                "the work for the same image. auto: small below 64 pixels, else photo."
            ),
        ] = "auto",
        width: Annotated[
            int,
            Field(
                ge=1,
                description="Channels after the stem; each stage after the first doubles them. "
                "Halving it costs a quarter of the time; published weights have 64.",
            ),
        ] = 64,
        zero_init: Annotated[
            bool,
            Field(
                description="Let every block pass its input on unchanged at first. Set it for "
                "depths above 50 trained from scratch, or if the first steps diverge."
            ),
        ] = False,
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
        check_image("resnet", input_shape, LEAST_SIDE)
        small = stem == "small" or (stem == "auto" and max(input_shape[1:]) < SMALL)
        if small:
            self.conv1 = nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(input_shape[0], width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        block = BasicBlock if depth < 50 else Bottleneck
        counts = BLOCKS[depth]
        c_in = width
        self.layer1 = stage(block, c_in, width, counts[0], stride=1)
        self.layer2 = stage(block, width * block.expansion, width * 2, counts[1], stride=2)
        self.layer3 = stage(block, width * 2 * block.expansion, width * 4, counts[2], stride=2)
        self.layer4 = stage(block, width * 4 * block.expansion, width * 8, counts[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width * 8 * block.expansion, num_outputs)
        initialize(self, zero_init)

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized images."""
        maps_BCHW = self.maxpool(self.relu(self.bn1(self.conv1(inputs_BCHW))))
        maps_BCHW = self.layer2(self.layer1(maps_BCHW))
        maps_BCHW = self.layer4(self.layer3(maps_BCHW))
        features_BC = self.avgpool(maps_BCHW).flatten(start_dim=1)
        return self.fc(self.dropout(features_BC))  # type: ignore[no-any-return]


class BasicBlock(nn.Module):
    """Two 3×3 convolutions whose result is added to the block's input."""

    expansion = 1

    def __init__(self, c_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = shortcut(c_in, channels, stride)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return relu(input + change); a stride of 2 halves the map."""
        change_BCHW = self.relu(self.bn1(self.conv1(maps_BCHW)))
        change_BCHW = self.bn2(self.conv2(change_BCHW))
        return self.relu(change_BCHW + self.downsample(maps_BCHW))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """A 3×3 convolution between two of 1×1, which narrow and widen; added to the block's input."""

    expansion = 4

    def __init__(self, c_in: int, channels: int, stride: int):
        super().__init__()
        c_out = channels * self.expansion
        self.conv1 = nn.Conv2d(c_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU()
        self.downsample = shortcut(c_in, c_out, stride)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return relu(input + change); a stride of 2 halves the map."""
        change_BCHW = self.relu(self.bn1(self.conv1(maps_BCHW)))
        change_BCHW = self.relu(self.bn2(self.conv2(change_BCHW)))
        change_BCHW = self.bn3(self.conv3(change_BCHW))
        return self.relu(change_BCHW + self.downsample(maps_BCHW))  # type: ignore[no-any-return]


def stage(
    block: type[BasicBlock | Bottleneck], c_in: int, channels: int, count: int, stride: int
) -> nn.Sequential:
    """Return residual blocks; the first one changes size and channels."""
    wide = channels * block.expansion
    return nn.Sequential(
        block(c_in, channels, stride), *(block(wide, channels, 1) for _ in range(count - 1))
    )


def shortcut(c_in: int, c_out: int, stride: int) -> nn.Module:
    """Return the way past a block: nothing, or a 1×1 convolution where size or channels change."""
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False), nn.BatchNorm2d(c_out)
    )


def initialize(network: ResNet, zero_init: bool) -> None:
    """Set the first weights.

    | parameter                      | first value                                               |
    |--------------------------------|-----------------------------------------------------------|
    | convolution weight             | normal, variance 2 / (kernel area × channels out), as in  |
    |                                | the authors' code                                         |
    | batch normalization            | scale 1, shift 0 (torch's own)                            |
    | … last of a block, `zero_init` | scale 0                                                   |
    | fc weight                      | normal, variance 0.01 / inputs: at first, all classes are |
    |                                | nearly equally likely                                     |
    | fc bias                        | 0                                                         |
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif zero_init and isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif zero_init and isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
    nn.init.normal_(network.fc.weight, std=0.1 / math.sqrt(network.fc.in_features))
    nn.init.zeros_(network.fc.bias)


NETWORK = ResNet
