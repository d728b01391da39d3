"""AlexNet: the network that won ImageNet in 2012, in its one-tower form.

Paper: Alex Krizhevsky, Ilya Sutskever, Geoffrey E. Hinton (2012), "ImageNet Classification with
Deep Convolutional Neural Networks", NeurIPS 25. The narrow form that public weights have is after
Alex Krizhevsky (2014), "One weird trick for parallelizing convolutional neural networks",
arXiv:1404.5997.

Five convolutions, the first of 11×11 with stride 4; overlapping maximum pooling (3×3, stride 2)
after the first, second and fifth; three dense layers that hold 94 % of the parameters. For
3×224×224 images and 1000 classes, 62,378,344 parameters and 1.14 billion multiplications:

| layer               | maps      | parameters |
|---------------------|-----------|------------|
| conv1 11×11, by 4   | 96×55×55  |     34,944 |
| pool1 3×3, by 2     | 96×27×27  |            |
| conv2 5×5           | 256×27×27 |    614,656 |
| pool2 3×3, by 2     | 256×13×13 |            |
| conv3 3×3           | 384×13×13 |    885,120 |
| conv4 3×3           | 384×13×13 |  1,327,488 |
| conv5 3×3           | 256×13×13 |    884,992 |
| pool5 3×3, by 2     | 256×6×6   |            |
| fc6                 | 4096      | 37,752,832 |
| fc7                 | 4096      | 16,781,312 |
| fc8                 | 1000      |  4,097,000 |

How ours differs (the paper's own choice after the colon):
- one tower: two, on a graphics card each; conv2, conv4 and conv5 saw half of the maps (figure 2),
  hence the paper's 60 million parameters.
- 2 pixels of padding before conv1: none is told, and 224 pixels do not give 55 without.
- no local response normalization: after conv1 and conv2 (section 3.3; k = 2, n = 5, α = 1e-4,
  β = 0.75). `response_norm: true` puts it there. It gained 1.2-1.4 points of top-1 error then;
  Simonyan and Zisserman (2014, section 2.1) found no gain, and public weights have none.
- first weights after He et al. (2015), biases 0: normal with deviation 0.01, biases 1 in conv2,
  conv4, conv5 and the hidden dense layers (section 5). Those need the paper's schedule to start.
- dropout of the outputs of fc6 and fc7, as the paper; torchvision drops their inputs instead.

Sizes: the last map has 6×6 places at 224 pixels, 1×1 at 63. fc6 sees 6×6 places at most: a larger
map is averaged down to that (torchvision's rule for all), a smaller one is seen as it is, so that
fc6 grows with the image. `map_side: 6` gives fc6 6×6 places always, as public weights need.

Public weights: torchvision's `alexnet` (56.5 % top-1 on ImageNet), of the narrow form:
`channels: [64, 192, 384, 256, 256]`, 61,100,840 parameters. The order of ours is the same:
conv1 … conv5 are its features.0, 3, 6, 8, 10; fc6, fc7, fc8 its classifier.1, 4, 6.

When to use it: to learn from, and to compare with the literature. `resnet` with depth 18 is more
accurate with a fifth of the parameters.
"""

# Letters in tensor names: B examples, C channels, H height, W width, D numbers of one layer.

import math
from collections import OrderedDict
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._images import check_image, undrawn_linear

LEAST_SIDE = 63  # pixels: the last pooling then finds its one 3×3 window
PAPER_INPUT, PAPER_OUTPUTS = (3, 224, 224), 1000

Channels = Annotated[int, Field(ge=1)]


class AlexNet(nn.Module):
    """AlexNet for images (channels, height, width) of 63×63 pixels or more."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        channels: Annotated[
            tuple[Channels, Channels, Channels, Channels, Channels],
            Field(
                description="Channels of the five convolutions. 64,192,384,256,256 for the weights "
                "that torchvision publishes; fewer for small data sets."
            ),
        ] = (96, 256, 384, 384, 256),
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
        response_norm: Annotated[
            bool,
            Field(
                description="Local response normalization after the first two convolutions, as in "
                "2012. Set it to follow the paper; it is slow and gains little."
            ),
        ] = False,
        map_side: Annotated[
            int | None,
            Field(
                ge=1,
                le=64,
                description="Places a side of the last map, as the first dense layer sees it. 6 "
                "for published weights at any image size. Unset: the map's own, 6 at most.",
            ),
        ] = None,
    ):
        super().__init__()
        check_image("alexnet", input_shape, LEAST_SIDE, "use convnet, or --size 64")
        self.features = convolutions(input_shape[0], channels, response_norm)
        height, width = (map_side or min(last_side(side), 6) for side in input_shape[1:])
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
        maps_BCHW = self.features(inputs_BCHW)  # (B, 256, 6, 6) at 224×224
        features_BD = self.avgpool(maps_BCHW).flatten(start_dim=1)
        return self.classifier(features_BD)  # type: ignore[no-any-return]


def convolutions(
    c_in: int, channels: tuple[int, int, int, int, int], response_norm: bool
) -> nn.Sequential:
    """Return the five convolutions with what follows each of them."""
    c1, c2, c3, c4, c5 = channels
    norm1 = {"norm1": response_normalization()} if response_norm else {}
    norm2 = {"norm2": response_normalization()} if response_norm else {}
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(c_in, c1, kernel_size=11, stride=4, padding=2),
            relu1=nn.ReLU(),
            **norm1,
            pool1=nn.MaxPool2d(kernel_size=3, stride=2),
            conv2=nn.Conv2d(c1, c2, kernel_size=5, padding=2),
            relu2=nn.ReLU(),
            **norm2,
            pool2=nn.MaxPool2d(kernel_size=3, stride=2),
            conv3=nn.Conv2d(c2, c3, kernel_size=3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(c3, c4, kernel_size=3, padding=1),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(c4, c5, kernel_size=3, padding=1),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(kernel_size=3, stride=2),
        )
    )


def response_normalization() -> nn.LocalResponseNorm:
    """Return the paper's a / (2 + 1e-4 Σ a²)^0.75 over 5 neighbouring channels.

    torch divides its `alpha` by the number of channels in the sum; the paper does not.
    """
    return nn.LocalResponseNorm(size=5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def last_side(side: int) -> int:
    """Return the side of the last map.

    >>> [last_side(side) for side in (63, 64, 95, 127, 224, 256)]
    [1, 1, 2, 3, 6, 7]
    """
    side = (side + 2 * 2 - 11) // 4 + 1
    for _ in ("pool1", "pool2", "pool5"):
        side = (side - 3) // 2 + 1
    return side


def initialize(network: AlexNet) -> None:
    """Set the first weights.

    | parameter                 | first value                                               |
    |---------------------------|-----------------------------------------------------------|
    | conv1 … conv5, fc6, fc7   | normal, variance 2 / inputs (He et al. 2015, eq. 10)      |
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


NETWORK = AlexNet
