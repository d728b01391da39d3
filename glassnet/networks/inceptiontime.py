"""InceptionTime: filters of several lengths side by side, on each other, and the mean over time.

Paper: Hassan Ismail Fawaz et al. (2020), "InceptionTime: Finding AlexNet for Time Series
Classification", Data Mining and Knowledge Discovery 34, arXiv:1909.04939.

A module narrows its input to 32 channels, then looks at it under filters of about 40, 20 and 10
steps at once; beside them stand the largest values of three steps. Six modules on each other, with
a residual connection over each three; the mean over all steps goes to one dense layer. Five such
networks, trained from different first weights, answer together.

How ours differs (the paper's value after the colon):
- signals of different lengths: what stands behind the end of one counts nowhere.
- filters have an odd number of steps, to have a middle (39, 19, 9: 40, 20, 10), and no more than
  the signal has.
- one member, unless `members` says more: five. They are trained side by side on the same batches
  and are one network: five trainings, one after the other.

When to use it: for series of which pieces of very different length tell the class; a member costs
about twice as much as one of `fcn`.
"""

# Letters in tensor names: B examples, C channels, T steps, O outputs.

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._masked import (
    Convolution,
    initialize,
    normalized,
    opened,
    strongest,
    together,
)
from glassnet.networks._series import mean_over_time
from glassnet.networks.fcn import Members

READS = ("signals",)

WINDOW = 3
"""Steps whose largest value is taken."""
RESIDUAL = 3
"""Modules under a residual connection."""


class InceptionTime(nn.Module):
    """Members, each of Inception modules over the whole signal."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        filters: Annotated[
            int, Field(ge=1, description="Filters of each length in a module.")
        ] = 32,
        depth: Annotated[
            int, Field(ge=1, description="Modules on each other. Fewer for few or short series.")
        ] = 6,
        kernel: Annotated[
            int,
            Field(
                ge=4,
                description="Steps under the longest filters; the others have half and a quarter.",
            ),
        ] = 40,
        members: Members = 1,
    ):
        super().__init__()
        kernels = tuple(odd(min(kernel, input_shape[1]) / part) for part in (1, 2, 4))
        self.members = nn.ModuleList(
            Member(input_shape[0], num_outputs, filters, depth, kernels) for _ in range(members)
        )
        initialize(self)

    def forward(self, signals_BCT: Tensor) -> Tensor:
        """Return logits (B, num_outputs); of several members (B, M, num_outputs) in training."""
        x_BCT, present_BT = opened(signals_BCT)
        return together([member(x_BCT, present_BT) for member in self.members], self.training)


class Member(nn.Module):
    """Modules with residual connections, the mean over time, and one dense layer."""

    def __init__(
        self, c_in: int, num_outputs: int, filters: int, depth: int, kernels: tuple[int, ...]
    ):
        super().__init__()
        width = filters * (len(kernels) + 1)
        self.inceptions = nn.ModuleList(
            Inception(width if number else c_in, filters, kernels) for number in range(depth)
        )
        self.skips = nn.ModuleList(
            Convolution(width if number else c_in, width, 1, rectified=False)
            for number in range(depth // RESIDUAL)
        )
        self.activation = nn.ReLU()
        self.output = nn.Linear(width, num_outputs)

    def forward(self, x_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """Return the logits (B, O)."""
        begin_BCT = x_BCT
        for number, inception in enumerate(self.inceptions):
            x_BCT = inception(x_BCT, present_BT)
            if number % RESIDUAL == RESIDUAL - 1:
                skip = self.skips[number // RESIDUAL]
                x_BCT = begin_BCT = self.activation(x_BCT + skip(begin_BCT, present_BT))
        return self.output(mean_over_time(x_BCT, present_BT))  # type: ignore[no-any-return]


class Inception(nn.Module):
    """Filters of several lengths, and the largest of neighbouring steps, side by side."""

    def __init__(self, c_in: int, filters: int, kernels: tuple[int, ...]):
        super().__init__()
        self.narrow = nn.Conv1d(c_in, filters, 1, bias=False) if c_in > 1 else nn.Identity()
        narrowed = filters if c_in > 1 else 1
        self.filters = nn.ModuleList(
            nn.Conv1d(narrowed, filters, kernel, padding="same", bias=False) for kernel in kernels
        )
        self.of_strongest = nn.Conv1d(c_in, filters, 1, bias=False)
        self.norm = nn.BatchNorm1d(filters * (len(kernels) + 1))
        self.activation = nn.ReLU()

    def forward(self, x_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """Return zeros behind the end of each signal."""
        narrow_BCT = self.narrow(x_BCT)
        largest_BCT = strongest(x_BCT, present_BT, WINDOW) * present_BT[:, None]
        parts = [*(part(narrow_BCT) for part in self.filters), self.of_strongest(largest_BCT)]
        x_BCT = normalized(self.norm, torch.cat(parts, 1), present_BT)
        return self.activation(x_BCT) * present_BT[:, None]  # type: ignore[no-any-return]


def odd(steps: float) -> int:
    """The largest odd number of steps up to this one, at least 1.

    >>> [odd(steps) for steps in (40, 10, 0.5)]
    [39, 9, 1]
    """
    return max(1, int(steps) - (int(steps) + 1) % 2)


NETWORK = InceptionTime
