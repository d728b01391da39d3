"""Multi-layer perceptron (MLP): dense layers of any number and width.

Paper: David Rumelhart, Geoffrey Hinton, Ronald Williams (1986), "Learning representations by
back-propagating errors", Nature 323, 533-536.

Layer l computes z[l] = W[l] a[l-1] + b[l], then a[l] = activation(z[l]); the last layer has no
activation, its outputs are the logits. Each hidden layer is: dense, normalization, activation,
dropout.

How ours differs: the paper's units are logistic sigmoids (`activation: sigmoid`), its first weights
are small random numbers; ours are rectified linear units (Glorot, Bordes, Bengio 2011) with first
weights after He et al. (2015). Normalization: batch (Ioffe and Szegedy 2015) or layer (Ba, Kiros,
Hinton 2016). Dropout: Srivastava et al. (2014).

When to use it: the default for tables and for any input without a spatial order. It also takes
images, flattened; a convolutional network is better there.
"""

# Letters in tensor names: B examples, D numbers of one layer.

import itertools
import math
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import Tensor, nn

Activation: TypeAlias = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
Normalization: TypeAlias = Literal["none", "batch", "layer"]

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class MLP(nn.Module):
    """Dense layers on the flattened input."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        hidden: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(
                description="Units of each hidden layer, first layer first: its length is the "
                "depth. Widen or deepen it when the training error stays high; empty gives a "
                "linear network."
            ),
        ] = (256, 128),
        activation: Annotated[
            Activation,
            Field(
                description="Function after each hidden layer. relu is fast and right most of "
                "the time; tanh or sigmoid to follow older texts."
            ),
        ] = "relu",
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of hidden activations set to zero at each training step. "
                "Raise it to 0.1-0.5 when validation is much worse than training.",
            ),
        ] = 0.0,
        normalization: Annotated[
            Normalization,
            Field(
                description="Rescale each hidden layer before its activation: batch over the "
                "batch, layer over the units. Set it when a deep network trains slowly; layer "
                "when batches are small."
            ),
        ] = "none",
    ):
        super().__init__()
        dims = [math.prod(input_shape), *hidden]
        self.hidden = nn.ModuleList(
            hidden_layer(dim_in, dim_out, activation, dropout, normalization)
            for dim_in, dim_out in itertools.pairwise(dims)
        )
        self.output = nn.Linear(dims[-1], num_outputs)
        initialize(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized inputs (B, *input_shape)."""
        activations_BD = inputs.flatten(start_dim=1)
        for layer in self.hidden:
            activations_BD = layer(activations_BD)
        return self.output(activations_BD)  # type: ignore[no-any-return]


def hidden_layer(
    dim_in: int, dim_out: int, activation: Activation, dropout: float, normalization: Normalization
) -> nn.Sequential:
    """Return dense, normalization, activation, dropout; what is switched off is left out."""
    layer = nn.Sequential()
    layer.add_module("dense", nn.Linear(dim_in, dim_out))
    if normalization == "batch":
        layer.add_module("normalization", nn.BatchNorm1d(dim_out))
    elif normalization == "layer":
        layer.add_module("normalization", nn.LayerNorm(dim_out))
    layer.add_module("activation", ACTIVATIONS[activation]())
    if dropout > 0:
        layer.add_module("dropout", nn.Dropout(dropout))
    return layer


def initialize(network: MLP) -> None:
    """Set the first weights.

    | parameter               | first value                                               |
    |-------------------------|-----------------------------------------------------------|
    | hidden dense weight     | normal, variance 2 / inputs (He et al. 2015, eq. 10)      |
    | … with tanh or sigmoid  | normal, variance 2 / (inputs + outputs) (Xavier, 2010)    |
    | output weight           | normal, variance 0.01 / inputs: at first, all classes are |
    |                         | nearly equally likely                                     |
    | every bias              | 0                                                         |
    | normalization           | scale 1, shift 0 (torch's own)                            |
    """
    for layer in network.hidden:
        dense = layer.get_submodule("dense")
        assert isinstance(dense, nn.Linear)
        if isinstance(layer.get_submodule("activation"), nn.Tanh | nn.Sigmoid):
            nn.init.xavier_normal_(dense.weight)
        else:
            nn.init.kaiming_normal_(dense.weight, nonlinearity="relu")
        nn.init.zeros_(dense.bias)
    nn.init.normal_(network.output.weight, std=0.1 / math.sqrt(network.output.in_features))
    nn.init.zeros_(network.output.bias)


NETWORK = MLP
