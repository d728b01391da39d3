"""TabM: several small networks that share nearly all of their weights; the default for tables.

Paper: Yury Gorishniy, Akim Kotelnikov and Artem Babenko (2025), "TabM: Advancing Tabular Deep
Learning with Parameter-Efficient Ensembling", ICLR.

Every member has scales and shifts of its own after the first dense layer (BatchEnsemble: Wen, Tran
and Ba 2020) and an output of its own; all the rest is common. Each member learns from its own
errors; together they answer with the mean of their probabilities, or of their values.

How ours differs: the members part after the first layer, where the paper multiplies its inputs
(a first layer is then computed once, not once for each member; docs/log.md); 8 members, hidden
layers of 128 and no more than two of them, where the paper has 32 members and 3 layers of 512: what
two cores can train in a minute. Numbers are spread over bins, which go into the first layer as they
are (the paper puts a small dense layer between). Each input has a learned scale that learns 20
times as fast as the weights, to find out soon which inputs count (RealMLP's scaling layer,
Holzmüller, Grinsztajn and Steinwart 2024, section 3; theirs is 6 times as fast).

When to use it: the default for tables. `mlp` is simpler to look into and trains faster; this one
answers better and knows better how sure it is.
"""

# Letters in tensor names: B examples, M members, D numbers of a layer, O outputs.

import itertools
import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._columns import PiecewiseLinear, Slot

FASTER = 20.0
"""How many times as fast as the other weights the scales of the inputs learn."""


class TabM(nn.Module):
    """Members that share their dense layers, on the columns of a table or any flattened input."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        slots: Sequence[Slot] | None = None,
        members: Annotated[
            int,
            Field(
                ge=1,
                le=256,
                description="Networks that answer together. More: a little better and surer, in "
                "proportion slower.",
            ),
        ] = 8,
        hidden: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(
                min_length=1,
                description="Units of each hidden layer, first layer first. Widen or deepen it "
                "when the training error stays high.",
            ),
        ] = (128, 128),
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of hidden activations set to zero at each training step. "
                "Raise it when validation is much worse than training.",
            ),
        ] = 0.2,
    ):
        super().__init__()
        self.spread: nn.Module = nn.Flatten()
        width = math.prod(input_shape)
        if slots is not None:
            self.spread = spread = PiecewiseLinear(slots)
            width = spread.num_outputs
        self.inputs = Scale(width)
        self.first = nn.Linear(width, hidden[0])
        self.members = Members(members, hidden[0])
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(hidden))
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.output = Outputs(members, hidden[-1], num_outputs)
        initialize(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return each member's logits (B, M, O) in training mode, else those of all, (B, O)."""
        common_BD = self.first(self.inputs(self.spread(inputs)))
        hidden_BMD = self.dropout(self.activation(self.members(common_BD)))
        for layer in self.hidden:
            hidden_BMD = self.dropout(self.activation(layer(hidden_BMD)))
        outputs_BMO: Tensor = self.output(hidden_BMD)
        return outputs_BMO if self.training else together(outputs_BMO)


class Scale(nn.Module):
    """A learned scale for each input; Adam's steps are of one size, so a factor makes it faster."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), 1 / FASTER))

    def forward(self, inputs_BD: Tensor) -> Tensor:
        """Return the inputs, scaled."""
        return inputs_BD * (FASTER * self.weight)


class Members(nn.Module):
    """From here on there are several networks: each has scales and shifts of its own."""

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, width))
        self.bias = nn.Parameter(torch.empty(members, width))

    def forward(self, common_BD: Tensor) -> Tensor:
        """(B, D) -> (B, M, D)."""
        return torch.addcmul(self.bias, common_BD[:, None], self.weight)


class Outputs(nn.Module):
    """A dense layer for each member."""

    def __init__(self, members: int, width: int, num_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, width, num_outputs))
        self.bias = nn.Parameter(torch.empty(members, 1, num_outputs))

    def forward(self, hidden_BMD: Tensor) -> Tensor:
        """(B, M, D) -> (B, M, O)."""
        return torch.baddbmm(self.bias, hidden_BMD.transpose(0, 1), self.weight).transpose(0, 1)


def together(outputs_BMO: Tensor) -> Tensor:
    """The mean of a single output; of several, the logarithm of the mean probabilities (B, O)."""
    if outputs_BMO.shape[-1] == 1:
        return outputs_BMO.mean(1)
    return outputs_BMO.log_softmax(-1).logsumexp(1) - math.log(outputs_BMO.shape[1])


def initialize(network: TabM) -> None:
    """Set the first weights.

    | parameter                  | first value                                                |
    |----------------------------|------------------------------------------------------------|
    | `inputs.weight`            | 1 / 20, which acts as 1                                    |
    | dense weights              | normal, variance 2 / inputs (He et al. 2015, eq. 10)       |
    | `members.weight`           | -1 or 1, so that the members differ (TabM, section 3.3)    |
    | `output.weight`            | normal, variance 0.09 / inputs                             |
    | every bias                 | 0                                                          |
    """
    for layer in (network.first, *network.hidden):
        assert isinstance(layer, nn.Linear)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    signs = torch.randint(0, 2, network.members.weight.shape)
    with torch.no_grad():
        network.members.weight.copy_(2.0 * signs - 1.0)
    nn.init.zeros_(network.members.bias)
    nn.init.normal_(network.output.weight, std=0.3 / math.sqrt(network.output.weight.shape[1]))
    nn.init.zeros_(network.output.bias)


NETWORK = TabM
