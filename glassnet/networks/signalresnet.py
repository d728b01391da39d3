"""SignalResNet: three residual blocks over a whole signal, and the mean of what they find.

Paper: Zhiguang Wang, Weizhong Yan, Tim Oates (2016), "Time Series Classification from Scratch with
Deep Neural Networks: A Strong Baseline", IJCNN 2017, arXiv:1611.06455, section II.C.

Three blocks of 64, 128 and 128 filters; each has convolutions under 8, 5 and 3 steps, whose result
is added to the block's input. Nothing is pooled on the way; the mean over all steps goes to one
dense layer.

How ours differs (the paper's value after the colon):
- signals of different lengths: what stands behind the end of one counts nowhere.
- every block's input passes a convolution of one step before it is added: in the authors' code that
  of the last block, whose channels do not change, passes batch normalization alone.
- several members, if asked for, answer with the mean of their probabilities: one network.
- first weights after He et al. (2015): Keras's uniform Glorot.

When to use it: where `fcn` is too shallow: shapes of 20 to 45 steps, some hundred series or more.
It takes twice as long.
"""

# Letters in tensor names: B examples, C channels, T steps, O outputs.

import itertools
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._masked import Convolution, initialize, opened, together
from glassnet.networks._series import mean_over_time
from glassnet.networks.fcn import Members

READS = ("signals",)


class SignalResNet(nn.Module):
    """Members, each of residual blocks over the whole signal."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        filters: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(min_length=1, description="Filters of each block, the first one first."),
        ] = (64, 128, 128),
        kernels: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(min_length=1, description="Steps under the filters of a block's convolutions."),
        ] = (8, 5, 3),
        members: Members = 1,
    ):
        super().__init__()
        self.members = nn.ModuleList(
            Member(input_shape[0], num_outputs, filters, kernels) for _ in range(members)
        )
        initialize(self)

    def forward(self, signals_BCT: Tensor) -> Tensor:
        """Return logits (B, num_outputs); of several members (B, M, num_outputs) in training."""
        x_BCT, present_BT = opened(signals_BCT)
        return together([member(x_BCT, present_BT) for member in self.members], self.training)


class Member(nn.Module):
    """Residual blocks, the mean over time, and one dense layer."""

    def __init__(
        self, c_in: int, num_outputs: int, filters: tuple[int, ...], kernels: tuple[int, ...]
    ):
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(before, after, kernels) for before, after in itertools.pairwise((c_in, *filters))
        )
        self.output = nn.Linear(filters[-1], num_outputs)

    def forward(self, x_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """Return the logits (B, O)."""
        for block in self.blocks:
            x_BCT = block(x_BCT, present_BT)
        return self.output(mean_over_time(x_BCT, present_BT))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Convolutions whose result is added to the block's input."""

    def __init__(self, c_in: int, c_out: int, kernels: tuple[int, ...]):
        super().__init__()
        last = len(kernels) - 1
        self.convolutions = nn.ModuleList(
            Convolution(c_in if number == 0 else c_out, c_out, kernel, rectified=number < last)
            for number, kernel in enumerate(kernels)
        )
        self.skip = Convolution(c_in, c_out, 1, rectified=False)
        self.activation = nn.ReLU()

    def forward(self, x_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """Return relu(input + change)."""
        change_BCT = x_BCT
        for convolution in self.convolutions:
            change_BCT = convolution(change_BCT, present_BT)
        return self.activation(self.skip(x_BCT, present_BT) + change_BCT)  # type: ignore[no-any-return]


NETWORK = SignalResNet
