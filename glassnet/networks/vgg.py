"""VGG: 11 to 19 layers of nothing but 3×3 convolutions and 2×2 pooling, the plain deep network.

Paper: Karen Simonyan, Andrew Zisserman (2014), "Very Deep Convolutional Networks for Large-Scale
Image Recognition", arXiv:1409.1556; table 1, configurations A, B, D and E.

Five groups of 3×3 convolutions, each followed by 2×2 maximum pooling, then three dense layers. Two
3×3 convolutions see what one 5×5 does, with fewer parameters and one more activation. For
3×224×224 images and 1000 classes:

| group  | maps at its end | convolutions with depth 11 | 13 | 16 | 19 |
|--------|-----------------|----------------------------|----|----|----|
| conv1  | 64×112×112      | 1                          | 2  | 2  | 2  |
| conv2  | 128×56×56       | 1                          | 2  | 2  | 2  |
| conv3  | 256×28×28       | 2                          | 2  | 3  | 4  |
| conv4  | 512×14×14       | 2                          | 2  | 3  | 4  |
| conv5  | 512×7×7         | 2                          | 2  | 3  | 4  |
| fc6, 7 | 4096, 4096      | 1 each                     | 1  | 1  | 1  |
| fc8    | 1000            | 1                          | 1  | 1  | 1  |

| depth | paper | parameters  | with `norm: batch` | multiplications |
|-------|-------|-------------|--------------------|-----------------|
| 11    | A     | 132,863,336 |        132,868,840 |     7.6 billion |
| 13    | B     | 133,047,848 |        133,053,736 |    11.3 billion |
| 16    | D     | 138,357,544 |        138,365,992 |    15.5 billion |
| 19    | E     | 143,667,240 |        143,678,248 |    19.6 billion |

Layers are called as in the authors' own files and in the literature on style transfer: conv1_1,
relu1_1, …, pool5, fc6.

How ours differs (the paper's own choice after the colon):
- `norm: batch` puts batch normalization (Ioffe and Szegedy 2015) after each convolution: the paper
  is older. With it the network learns at a ten times larger rate.
- first weights after He et al. (2015), so that all depths start from scratch: normal with
  deviation 0.01 (section 3.1), from which only depth 11 learned; it lent its weights to the others.
- test on one crop of the trained size: dense evaluation over scales (section 3.2).

Sizes: the last map has 7×7 places at 224 pixels, 1×1 at 32. fc6 sees 7×7 places at most: a larger
map is averaged down to that (torchvision's rule for all), a smaller one is seen as it is, so that
fc6 grows with the image. `map_side: 7` gives fc6 7×7 places always, as public weights need.

Public weights: torchvision's `vgg16` (71.6 % top-1 on ImageNet), `vgg16_bn` (73.4 %) and the other
depths; the convolutions, norms and dense layers come in the same order as here.

When to use it: to learn from, for style transfer and perceptual losses. As a classifier `resnet`
with depth 50 is more accurate with a fifth of the parameters and a quarter of the work.
"""

# Letters in tensor names: B examples, C channels, H height, W width, D numbers of one layer.

import math
from collections import OrderedDict
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._images import check_image, undrawn_linear

LEAST_SIDE = 32  # pixels: five poolings halve it to 1
PAPER_INPUT, PAPER_OUTPUTS = (3, 224, 224), 1000

Depth: TypeAlias = Literal[11, 13, 16, 19]
Channels = Annotated[int, Field(ge=1)]

CONVOLUTIONS: dict[Depth, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""How many there are in each group, by depth."""


class VGG(nn.Module):
    """VGG for images (channels, height, width) of 32×32 pixels or more."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        depth: Annotated[
            Depth,
            Field(
                description="Layers with weights. 16 is what others compare with; 11 costs half "
                "as much and is nearly as accurate."
            ),
        ] = 16,
        norm: Annotated[
            Literal["none", "batch"],
            Field(
                description="Normalization after each convolution. none: as in 2014; needs a small "
                "fit.lr. batch: to train from scratch."
            ),
        ] = "none",
        channels: Annotated[
            tuple[Channels, Channels, Channels, Channels, Channels],
            Field(
                description="Channels of the convolutions of each group. Halving them costs a "
                "quarter of the time."
            ),
        ] = (64, 128, 256, 512, 512),
        dense: Annotated[
            int,
            Field(
                ge=1,
                description="Units in each of the two hidden dense layers. Lower it to 512 or so "
                "when there are few classes: it saves most of the parameters.",
            ),
        ] = 4096,
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of the outputs of both hidden dense layers set to zero at each "
                "training step. Lower it when even the training loss stays high.",
            ),
        ] = 0.5,
        map_side: Annotated[
            int | None,
            Field(
                ge=1,
                le=64,
                description="Places a side of the last map, as the first dense layer sees it. 7 "
                "for published weights at any image size. Unset: the map's own, 7 at most.",
            ),
        ] = None,
    ):
        super().__init__()
        check_image("vgg", input_shape, LEAST_SIDE, "use convnet, or --size 32")
        self.features = convolutions(input_shape[0], channels, CONVOLUTIONS[depth], norm)
        height, width = (map_side or min(side // 32, 7) for side in input_shape[1:])
        self.avgpool = nn.AdaptiveAvgPool2d((height, width))
        self.classifier = nn.Sequential(
            OrderedDict[str, nn.Module](
                fc6=undrawn_linear(channels[-1] * height * width, dense),
                relu6=nn.ReLU(),
                drop6=nn.Dropout(dropout),
                fc7=undrawn_linear(dense, dense),
                relu7=nn.ReLU(),
                drop7=nn.Dropout(dropout),
                fc8=nn.Linear(dense, num_outputs),
            )
        )
        initialize(self)

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized images."""
        maps_BCHW = self.features(inputs_BCHW)  # (B, 512, 7, 7) at 224×224
        features_BD = self.avgpool(maps_BCHW).flatten(start_dim=1)
        return self.classifier(features_BD)  # type: ignore[no-any-return]


def convolutions(
    c_in: int, channels: tuple[int, ...], counts: tuple[int, ...], norm: Literal["none", "batch"]
) -> nn.Sequential:
    """Return the five groups; `counts` are the convolutions of each."""
    layers = OrderedDict[str, nn.Module]()
    for group, (c_out, count) in enumerate(zip(channels, counts, strict=True), start=1):
        for place in range(1, count + 1):
            layers[f"conv{group}_{place}"] = nn.Conv2d(c_in, c_out, kernel_size=3, padding=1)
            if norm == "batch":
                layers[f"norm{group}_{place}"] = nn.BatchNorm2d(c_out)
            layers[f"relu{group}_{place}"] = nn.ReLU()
            c_in = c_out
        layers[f"pool{group}"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)


def initialize(network: VGG) -> None:
    """Set the first weights.

    | parameter                 | first value                                               |
    |---------------------------|-----------------------------------------------------------|
    | convolutions, fc6, fc7    | normal, variance 2 / inputs (He et al. 2015, eq. 10)      |
    | batch normalization       | scale 1, shift 0 (torch's own)                            |
    | fc8 weight                | normal, variance 0.01 / inputs: at first, all classes are |
    |                           | nearly equally likely                                     |
    | every bias                | 0                                                         |
    """
    *hidden, output = (m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    for layer in hidden:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    nn.init.normal_(output.weight, std=0.1 / math.sqrt(output.weight.shape[1]))
    nn.init.zeros_(output.bias)  # type: ignore[arg-type]


NETWORK = VGG
