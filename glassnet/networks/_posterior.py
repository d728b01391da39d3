"""The last layer of a classifier that was trained on tilted ground: back to honest probabilities.

Class weights and the focal loss pay for answers that are not the probabilities of the classes: a
class of weight 5 looks five times as frequent as it is, and the focal loss stops asking for
certainty too early. What they do is known exactly, and so it is undone exactly:

- minimizing weighted cross-entropy gives odds multiplied by the weights (prior correction: King and
  Zeng 2001, "Logistic Regression in Rare Events Data"; Elkan 2001, theorem 2)
- minimizing the focal loss gives q with p proportional to q / ((1-q)^g - g (1-q)^(g-1) q log q)
  (Charoenphakdee et al. 2021, "On Focal Loss for Class-Posterior Probability Estimation", eq. 7)

It is part of the network, so that validation, prediction and export cannot disagree about it. While
training it lets logits through, since that is what the loss wants to see.
"""

# Letters in tensor names: B examples, C classes.

from collections.abc import Sequence

import torch
from torch import Tensor, nn

NEARLY_ONE = 1e-4
"""Chances of all other classes below which log q = -(1 - q) is exact enough in float32."""


class Posterior(nn.Module):
    """Logits that a tilted loss asked for -> logits whose softmax are the probabilities."""

    log_weights: Tensor

    def __init__(self, weights: Sequence[float], gamma: float = 0.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("log_weights", torch.tensor(weights).log(), persistent=False)

    def forward(self, logits_BC: Tensor) -> Tensor:
        """Any shape that ends in C; unchanged while training."""
        if self.training:
            return logits_BC
        straight = _unfocused(logits_BC.float(), self.gamma) if self.gamma else logits_BC
        return straight - self.log_weights


def _unfocused(logits: Tensor, gamma: float) -> Tensor:
    """The formula above, in logarithms, so that it holds for certain answers too."""
    log_q = logits.log_softmax(-1)
    log_others = _of_all_others(log_q)  # log(1 - q)
    others = log_others.exp()
    surprise = torch.where(others > NEARLY_ONE, -log_q / others, 1 + others / 2)
    return log_q - gamma * log_others - (gamma * log_q.exp() * surprise).log1p()


def _of_all_others(log_q: Tensor) -> Tensor:
    """For each class the logarithm of what the others have together, without 1 - q."""
    num = log_q.shape[-1]
    alone = torch.eye(num, dtype=torch.bool, device=log_q.device)
    repeated = log_q.unsqueeze(-2).expand(*log_q.shape[:-1], num, num)
    return repeated.masked_fill(alone, -torch.inf).logsumexp(-1)
