"""An exponential average of the weights, which is scored and kept in place of the weights.

Paper: Boris Polyak and Anatoli Juditsky (1992), "Acceleration of Stochastic Approximation by
Averaging"; with exponentially fading weights as in Szegedy et al. (2016), "Rethinking the Inception
Architecture", section 8. The warm-up, (1 + step) / (10 + step) until the decay is reached, is that
of TensorFlow's ``ExponentialMovingAverage``: without it, the random first weights would count for
1 / (1 - decay) steps.

The running means and variances of batch normalization are averaged like weights (so does timm);
what is no number with a fraction, such as a count of batches, is copied.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class Average:
    """A network that follows another one, step by step. Its state is that of its ``network``."""

    def __init__(self, trained: nn.Module, decay: float) -> None:
        self.decay, self.network = decay, deepcopy(trained)
        pairs = list(zip(_tensors(self.network), _tensors(trained), strict=True))
        smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        # Neither a step nor load_state_dict puts another tensor in the place of one of these.
        self.means, self.sources = [mean for mean, _ in smooth], [now for _, now in smooth]
        self.copies = [pair for pair in pairs if not pair[0].is_floating_point()]

    def follow(self, step: int) -> None:
        """Take in the weights after step number ``step`` (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.means, self.sources, 1 - decay)
            for copy, now in self.copies:
                copy.copy_(now)


def _tensors(network: nn.Module) -> list[Tensor]:
    """Parameters and buffers, those too that are not stored; ``state_dict`` would detach them."""
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]
