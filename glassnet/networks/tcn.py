"""TCN: a one-dimensional convolutional network that looks back, twice as far with each block.

Paper: Shaojie Bai, J. Zico Kolter, Vladlen Koltun (2018), "An Empirical Evaluation of Generic
Convolutional and Recurrent Networks for Sequence Modeling".

A block is two causal convolutions of dilation 1, 2, 4, … with a shortcut around them: a step sees
itself and what came before, never what comes after. As many blocks are stacked as it takes to see
the whole past.

How ours differs:
- a forecast needs the features of the last step alone. What that step does not look at is not
  computed: a block reads every 2nd, 4th, 8th … step, and leaves every other one of them. The answer
  is that of the dilated network, some seven times as fast for a past of 336.
- every variable is read by itself with the same weights, in units of its own window, and a linear
  regression is corrected (``begin``).
- no weight normalization; the first weights are He's.

When to use it: for long pasts with short patterns, where an LSTM is too slow.
"""

# Letters in tensor names: B examples, C channels, T steps, V variables, L steps of the past, H of
# the future, D width, Q outputs, N = B · V.

from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._forecast import Answer, Begin, Dropout, Head, window

READS = ("forecast",)


class Block(nn.Module):
    """Two causal convolutions and a shortcut; the second leaves every other step, the last too."""

    def __init__(self, dim_in: int, width: int, kernel: int, dropout: float):
        super().__init__()
        self.reach = kernel - 1
        self.first = nn.Conv1d(dim_in, width, kernel)
        self.second = nn.Conv1d(width, width, kernel, stride=2)
        self.shortcut = nn.Conv1d(dim_in, width, 1) if dim_in != width else nn.Identity()
        self.dropout = nn.Dropout1d(dropout)  # whole features, as in the paper
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x_NDL: Tensor) -> Tensor:
        """(N, D, L) -> (N, width, ceil(L / 2))."""
        odd = (x_NDL.shape[2] - 1) % 2  # a step more in front, where it is needed to end at the end
        hidden_NDL = nn.functional.pad(x_NDL, (self.reach, 0))
        hidden_NDL = self.dropout(self.first(hidden_NDL).relu())
        hidden_NDL = nn.functional.pad(hidden_NDL, (self.reach - odd, 0))
        hidden_NDL = self.dropout(self.second(hidden_NDL).relu())
        shortcut_NDL: Tensor = self.shortcut(x_NDL[:, :, odd::2])
        return nn.functional.relu(hidden_NDL + shortcut_NDL)


class TCN(nn.Module):
    """Blocks until the last step sees the whole past, and one dense layer for all steps ahead."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        variables: int,
        horizon: int,
        begin: Begin = "regression",
        width: Annotated[int, Field(ge=1, description="Filters of each convolution.")] = 32,
        kernel: Annotated[int, Field(ge=2, le=64, description="Steps that a filter spans.")] = 3,
        dropout: Dropout = 0.2,
    ):
        super().__init__()
        channels, steps = input_shape
        self.variables, self.horizon = variables, horizon
        num_known = channels - variables
        dims = [2 + num_known]
        reach = 1
        while reach < steps - horizon:
            reach += 2 * (kernel - 1) * 2 ** (len(dims) - 1)
            dims.append(width)
        if len(dims) == 1:
            dims.append(width)
        self.blocks = nn.Sequential(
            *(Block(before, after, kernel, dropout) for before, after in pairwise(dims))
        )
        self.head = Head(width, num_known, horizon, num_outputs, dropout)
        self.answer = Answer(input_shape, num_outputs, variables, horizon, begin)

    def forward(self, series_BCT: Tensor) -> Tensor:
        """Return forecasts (B, V, H, Q)."""
        seen = window(series_BCT, self.variables, self.horizon)
        features_ND = self.blocks(seen.signals())[:, :, -1]
        features_BVD = features_ND.unflatten(0, (-1, self.variables))
        return self.answer(seen, self.head(features_BVD, seen))  # type: ignore[no-any-return]


NETWORK = TCN
