"""FCN: three convolutions over a whole signal, and the mean of what they find.

Paper: Zhiguang Wang, Weizhong Yan, Tim Oates (2016), "Time Series Classification from Scratch with
Deep Neural Networks: A Strong Baseline", IJCNN 2017, arXiv:1611.06455, section II.B.

Convolutions of 128, 256 and 128 filters under 8, 5 and 3 steps, each with batch normalization and
ReLU; the mean over all steps; one dense layer. Nothing is pooled on the way, so that its class
activation map says for each step what it speaks for.

For C channels and K classes a member has 1,024 C + 263,168 + 129 K parameters.

How ours differs (the paper's value after the colon):
- signals of different lengths: what stands behind the end of one counts nowhere.
- several members, trained side by side on the same batches, answer with the mean of their
  probabilities: one network. The review of Fawaz et al. (2019, arXiv:1909.04939) found that what
  such networks answer on small sets depends much on their first weights, and that a mean of five
  repairs most of that.
- first weights after He et al. (2015): Keras's uniform Glorot.

When to use it: for series of which short pieces tell the class, wherever they stand. It is the
fastest convolutional network for signals.
"""

# Letters in tensor names: B examples, C channels, T steps, O outputs.

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._masked import Convolution, initialize, opened, together
from glassnet.networks._series import mean_over_time

READS = ("signals",)

Members = Annotated[
    int,
    Field(
        ge=1,
        le=32,
        description="Networks that answer together. More: surer, and better on small sets; in "
        "proportion slower.",
    ),
]


class FCN(nn.Module):
    """Members, each of three convolutions over the whole signal."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        filters: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(min_length=1, description="Filters of each convolution, the first one first."),
        ] = (128, 256, 128),
        kernels: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(min_length=1, description="Steps under the filters of each convolution."),
        ] = (8, 5, 3),
        members: Members = 1,
    ):
        super().__init__()
        if len(filters) != len(kernels):
            raise ValueError(
                f"fcn: filters and kernels must name as many convolutions, found {len(filters)} "
                f"and {len(kernels)}"
            )
        self.members = nn.ModuleList(
            Member(input_shape[0], num_outputs, filters, kernels) for _ in range(members)
        )
        initialize(self)

    def forward(self, signals_BCT: Tensor) -> Tensor:
        """Return logits (B, num_outputs); of several members (B, M, num_outputs) in training."""
        x_BCT, present_BT = opened(signals_BCT)
        return together([member(x_BCT, present_BT) for member in self.members], self.training)


class Member(nn.Module):
    """Convolutions, the mean over time, and one dense layer."""

    def __init__(
        self, c_in: int, num_outputs: int, filters: tuple[int, ...], kernels: tuple[int, ...]
    ):
        super().__init__()
        before = (c_in, *filters)
        self.convolutions = nn.ModuleList(
            Convolution(before[number], filters[number], kernel)
            for number, kernel in enumerate(kernels)
        )
        self.output = nn.Linear(filters[-1], num_outputs)

    def forward(self, x_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """Return the logits (B, O)."""
        for convolution in self.convolutions:
            x_BCT = convolution(x_BCT, present_BT)
        return self.output(mean_over_time(x_BCT, present_BT))  # type: ignore[no-any-return]


NETWORK = FCN
