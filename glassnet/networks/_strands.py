"""A network that answers a sequence of DNA as it answers the other strand of it.

In training each example is shown from one of its strands, by chance; in evaluation the logarithms
of the mean probabilities of both strands are answered. Letters must be A, C, G, T in this order, of
which the complement is the reverse.
"""

# Letters in tensor names: B examples, C letters, T steps.

import math

import torch
from torch import Tensor, nn

from glassnet.networks._series import lengths, present


class BothStrands(nn.Module):
    """Wraps a network that reads ``signals`` and answers classes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, signals_BCT: Tensor) -> Tensor:
        """What the network answers to one strand (training), or to both."""
        other_BCT = reverse_complement(signals_BCT)
        if self.training:
            drawn_B = torch.rand(len(signals_BCT), device=signals_BCT.device) < 0.5
            answer: Tensor = self.network(
                torch.where(drawn_B[:, None, None], other_BCT, signals_BCT)
            )
            return answer
        both = torch.stack([self.network(signals_BCT), self.network(other_BCT)])
        return both.log_softmax(-1).logsumexp(0) - math.log(2)


def reverse_complement(signals_BCT: Tensor) -> Tensor:
    """The other strand of each sequence, read in its direction; NaN stays behind the end."""
    lengths_B = lengths(present(signals_BCT))
    steps_T = torch.arange(signals_BCT.shape[2], device=signals_BCT.device)
    from_BT = lengths_B[:, None] - 1 - steps_T
    from_BT = torch.where(from_BT < 0, steps_T, from_BT)  # what is behind the end
    return signals_BCT.flip(1).gather(2, from_BT[:, None].expand_as(signals_BCT))
