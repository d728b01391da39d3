"""Multi-layer perceptron (MLP): dense layers of any number and width.

Paper: David Rumelhart, Geoffrey Hinton, Ronald Williams (1986), "Learning representations by
back-propagating errors", Nature 323, 533-536.

Layer l computes z[l] = W[l] a[l-1] + b[l], then a[l] = activation(z[l]). Each hidden layer is:
dense, normalization, activation, dropout. The last layer has no activation, its outputs are the
logits. Their softmax (for classes) is part of the loss, cross-entropy, which is exact only on
logits, and is applied again when the network answers. An activation is not a loss: softmax turns
logits into probabilities; cross-entropy says how bad these are.

How ours differs: the paper's units are logistic sigmoids (`activation: sigmoid`), its first weights
are small random numbers; ours are rectified linear units (Glorot, Bordes, Bengio 2011) with first
weights after He et al. (2015).

When to use it: for any input without a spatial order. It also takes images, flattened; a
convolutional network is better there. With `hidden: []` it is a perceptron. What to set when:

- activation: relu first (Glorot, Bordes, Bengio 2011); silu or gelu for a smooth function, at
  some cost; leaky_relu or elu if relu units die; tanh in small networks; sigmoid hidden layers
  to follow older texts only. `glassnet activations` draws each one with its derivative.
- initialization: auto. he keeps the size of signals with relu and its kin (He et al. 2015), xavier
  with tanh and sigmoid (Glorot and Bengio 2010), orthogonal in very deep networks (Saxe et al.
  2014). normal (x 0.01) lets the signal fade from about four layers on. zeros is there to
  be seen failing: all units of a layer then stay the same one, and the run says so.
- normalization: batch (Ioffe and Szegedy 2015) if a deep network trains slowly and batches have
  32 rows or more; layer (Ba, Kiros, Hinton 2016) for smaller ones. Two hidden layers need none.
- residual: from about five hidden layers of one width on (He et al. 2016).
- dropout: 0.1 to 0.5 when the validation loss rises while the training loss falls (Srivastava
  et al. 2014).
"""

# Letters in tensor names: B examples, D numbers of one layer.

import itertools
import math
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._activations import ABOUT, Activation

Normalization: TypeAlias = Literal["none", "batch", "layer"]
Initialization: TypeAlias = Literal["auto", "zeros", "normal", "xavier", "he", "orthogonal"]


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
        initialization: Annotated[
            Initialization,
            Field(
                description="First weights. auto: he, or xavier with tanh and sigmoid, and a "
                "small output layer. Any other sets all layers: zeros (to see it fail), normal "
                "(times 0.01), xavier, he, orthogonal."
            ),
        ] = "auto",
        residual: Annotated[
            bool,
            Field(
                description="Add the input of each hidden layer to its output where the layer "
                "before has the same width. Set it from about five hidden layers on."
            ),
        ] = False,
    ):
        super().__init__()
        if residual and not any(one == other for one, other in itertools.pairwise(hidden)):
            raise ValueError(
                "residual adds the input of a hidden layer to its output where two neighbouring "
                f"hidden layers have the same width; hidden is {list(hidden)}, so nothing could "
                "be added. Choose for instance hidden 128,128,128"
            )
        dims = [math.prod(input_shape), *hidden]
        self.hidden = nn.ModuleList(
            hidden_layer(dim_in, dim_out, activation, dropout, normalization)
            for dim_in, dim_out in itertools.pairwise(dims)
        )
        self.output = nn.Linear(dims[-1], num_outputs)
        # Not around the first layer: whether it had the width of the data would be chance.
        self.adds = [residual and i > 0 and dims[i] == width for i, width in enumerate(hidden)]
        initialize(self, initialization)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized inputs (B, *input_shape)."""
        activations_BD = inputs.flatten(start_dim=1)
        for layer, adds in zip(self.hidden, self.adds, strict=True):
            new_BD = layer(activations_BD)
            activations_BD = activations_BD + new_BD if adds else new_BD
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
    layer.add_module("activation", ABOUT[activation].module())
    if dropout > 0:
        layer.add_module("dropout", nn.Dropout(dropout))
    return layer


def initialize(network: MLP, initialization: Initialization = "auto") -> None:
    """Set the first weights.

    | initialization | weights of hidden and output layers                                |
    |----------------|--------------------------------------------------------------------|
    | auto           | hidden: he, with tanh or sigmoid xavier; output: normal, variance  |
    |                | 0.01 / inputs, so that at first all classes are equally likely     |
    | zeros          | 0                                                                  |
    | normal         | normal, standard deviation 0.01                                    |
    | xavier         | normal, variance 2 / (inputs + outputs) (Glorot and Bengio 2010)   |
    | he             | normal, variance 2 / inputs (He et al. 2015, eq. 10)               |
    | orthogonal     | orthogonal rows or columns (Saxe et al. 2014), times sqrt(2) in    |
    |                | hidden layers with relu and its kin                                |

    Every bias is 0; normalization begins with scale 1 and shift 0 (torch's own).
    """
    for layer in network.hidden:
        dense = layer.get_submodule("dense")
        assert isinstance(dense, nn.Linear)
        saturates = isinstance(layer.get_submodule("activation"), nn.Tanh | nn.Sigmoid)
        first = ("xavier" if saturates else "he") if initialization == "auto" else initialization
        _fill(dense, first, gain=1.0 if saturates else math.sqrt(2))
    if initialization == "auto":
        nn.init.normal_(network.output.weight, std=0.1 / math.sqrt(network.output.in_features))
        nn.init.zeros_(network.output.bias)
    else:
        _fill(network.output, initialization, gain=1.0)


def _fill(dense: nn.Linear, initialization: Initialization, gain: float) -> None:
    if initialization == "zeros":
        nn.init.zeros_(dense.weight)
    elif initialization == "normal":
        nn.init.normal_(dense.weight, std=0.01)
    elif initialization == "xavier":
        nn.init.xavier_normal_(dense.weight)
    elif initialization == "he":
        nn.init.kaiming_normal_(dense.weight, nonlinearity="relu")
    else:
        nn.init.orthogonal_(dense.weight, gain=gain)
    nn.init.zeros_(dense.bias)


NETWORK = MLP
