"""LeNet-5: the convolutional network that read the digits on cheques.

Paper: Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner (1998), "Gradient-Based Learning
Applied to Document Recognition", Proceedings of the IEEE 86(11), 2278-2324; section II-B, figure 2.

Two rounds of 5×5 convolution and 2×2 pooling, then three dense layers. For 32×32 grey images and
10 classes: 61,706 parameters, and these maps:

    input 1×32×32 → C1 6×28×28 → S2 6×14×14 → C3 16×10×10 → S4 16×5×5 → C5 120 → F6 84 → 10

How ours differs (the paper's own choice after the colon):
- activation ReLU: a scaled tanh, 1.7159 tanh(2/3 z), appendix A. `activation: tanh` is plain tanh.
- 2×2 maximum pooling: the sum of four, times a trained weight, plus a trained bias, then the
  activation. `pooling: average` averages, with nothing trained.
- C3 sees all 6 maps of S2: each of its maps sees 3, 4 or 6 of them (table I), hence the paper's
  60,000 parameters.
- the output is a dense layer of logits: distances to a fixed 7×12 drawing of each character.
- first weights after He et al. (2015): uniform within ±2.4 / inputs, appendix A.

Sizes: as the paper sets its 28×28 digits in the middle of 32×32, a side below 32 is padded up to 32
with the mean (0, for the inputs are standardized; the paper pads with the background). An 8×8 digit
then fills a sixteenth of the map, and most of the work is spent on the border. A side above 32 is
left as it is, and the first dense layer grows with the area: 5.4 million parameters at 224×224.

When to use it: to learn from, to compare with the literature, for small grey images. For anything
else `convnet` is more accurate.
"""

# Letters in tensor names: B examples, C channels, H height, W width, D numbers of one layer.

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, TypeAlias

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._images import check_image

Activation: TypeAlias = Literal["relu", "tanh"]
Pooling: TypeAlias = Literal["max", "average", "l2"]

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
POOLINGS: dict[Pooling, Callable[[int], nn.Module]] = {
    "max": nn.MaxPool2d, "average": nn.AvgPool2d, "l2": partial(nn.LPPool2d, 2.0),
}  # fmt: skip

LEAST_SIDE = 8  # pixels
PADDED_SIDE = 32  # pixels, the paper's input


class LeNet(nn.Module):
    """LeNet-5 for images (channels, height, width) of 8×8 pixels or more."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        activation: Annotated[
            Activation,
            Field(description="Function after each layer: relu learns faster; tanh as in 1998."),
        ] = "relu",
        pooling: Annotated[
            Pooling,
            Field(
                description="What stands for a 2×2 window: its max; its average, as in 1998; l2: "
                "the root of the sum of its squares, between the two."
            ),
        ] = "max",
    ):
        super().__init__()
        check_image("lenet", input_shape, LEAST_SIDE)
        channels, height, width = input_shape
        self.activation = ACTIVATIONS[activation]()
        self.pool = POOLINGS[pooling](2)
        self.padding = centred_padding(height, width)
        self.C1 = nn.Conv2d(channels, 6, kernel_size=5)
        self.C3 = nn.Conv2d(6, 16, kernel_size=5)
        self.C5 = nn.Linear(16 * side_of_S4(height) * side_of_S4(width), 120)
        self.F6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, num_outputs)
        initialize(self)

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized images."""
        maps_BCHW = F.pad(inputs_BCHW, self.padding)
        maps_BCHW = self.pool(self.activation(self.C1(maps_BCHW)))  # (B, 6, 14, 14) at 32×32
        maps_BCHW = self.pool(self.activation(self.C3(maps_BCHW)))  # (B, 16, 5, 5)
        features_BD = maps_BCHW.flatten(start_dim=1)
        features_BD = self.activation(self.C5(features_BD))
        features_BD = self.activation(self.F6(features_BD))
        return self.output(features_BD)  # type: ignore[no-any-return]


def centred_padding(height: int, width: int) -> tuple[int, int, int, int]:
    """Return the left, right, top and bottom padding up to 32 pixels a side."""
    missing_x, missing_y = max(0, PADDED_SIDE - width), max(0, PADDED_SIDE - height)
    left, top = missing_x // 2, missing_y // 2
    return left, missing_x - left, top, missing_y - top


def side_of_S4(side: int) -> int:
    """Return the side of the last maps: padded, minus 4, halved, minus 4, halved."""
    return ((max(side, PADDED_SIDE) - 4) // 2 - 4) // 2


def initialize(network: LeNet) -> None:
    """Set the first weights.

    | parameter               | first value                                               |
    |-------------------------|-----------------------------------------------------------|
    | C1, C3, C5, F6 weights  | normal, variance 2 / inputs (He et al. 2015, eq. 10)      |
    | … with tanh             | normal, variance 2 / (inputs + outputs) (Xavier, 2010)    |
    | output weight           | normal, variance 0.01 / inputs: at first, all classes are |
    |                         | nearly equally likely                                     |
    | every bias              | 0                                                         |
    """
    rectified = isinstance(network.activation, nn.ReLU)
    for layer in (network.C1, network.C3, network.C5, network.F6):
        if rectified:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        else:
            nn.init.xavier_normal_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    nn.init.normal_(network.output.weight, std=0.1 / math.sqrt(network.output.in_features))
    nn.init.zeros_(network.output.bias)


NETWORK = LeNet
