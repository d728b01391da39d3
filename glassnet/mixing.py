"""Mixup: each example of a batch is mixed with another one, and so is what is expected of it.

Paper: Hongyi Zhang, Moustapha Cisse, Yann Dauphin, David Lopez-Paz (2018), "mixup: Beyond
Empirical Risk Minimization", ICLR. As in the authors' code, one share λ ~ Beta(α, α) is drawn for a
batch, and its examples are mixed with themselves in another order; the losses of both targets are
mixed by λ, which for cross-entropy and squared error has the same gradient as mixing the targets.

How ours differs, for tables: a level of a category is a number that cannot be averaged. It is taken
whole from one of both parents, from the first with probability λ; on average that is the mixture of
the one-hot vectors. Taking values whole is CutMix (Yun et al. 2019), which SAINT (Somepalli et al.
2021) brought to tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Gamma

from glassnet.errors import UserError
from glassnet.losses import Loss
from glassnet.recipe import Fit
from glassnet.task import Batch

Mixture = Callable[[Tensor, Tensor, float], Tensor]
"""(inputs, inputs of the partners, share of the former) -> mixed inputs, of the same shape."""


class Mixup:
    """Mixes a batch; it draws from torch's global random state, so that a resume repeats it."""

    def __init__(self, alpha: float, mixture: Mixture) -> None:
        """``alpha`` is above 0: 0.2 mixes most batches a little, at 1 every share is as likely."""
        self.alpha, self.mixture = alpha, mixture
        self.gamma = Gamma(alpha + 1, 1.0)

    def __call__(self, batch: Batch) -> Batch:
        """Return the mixed examples, with targets and weights (B, 2): of both parents."""
        order = torch.randperm(len(batch.inputs), device=batch.inputs.device)
        share = self.share()
        weights = torch.ones(len(order), device=order.device)
        weights = weights if batch.weights is None else batch.weights
        return Batch(
            self.mixture(batch.inputs, batch.inputs[order], share),
            torch.stack([batch.targets, batch.targets[order]], 1),
            torch.stack([share * weights, (1 - share) * weights[order]], 1),
        )

    def share(self) -> float:
        """Draw from Beta(α, α), on the CPU so that no device is waited for.

        By two gamma variables of shape α, in logarithms (Marsaglia and Tsang 2000, section 6):
        torch's Beta underflows for small α and answers 0.5 where 0 or 1 is meant, a quarter of the
        time at α = 0.001.
        """
        (a, b), (u, v) = self.gamma.sample((2,)).tolist(), torch.rand(2).tolist()
        log_ratio = math.log(a / b) + math.log((1 - u) / (1 - v)) / self.alpha
        return (1 + math.tanh(log_ratio / 2)) / 2


def of_both(loss: Loss) -> Loss:
    """Return the losses of both parents' targets (B, 2, …): (B, 2) or, with members, (B, 2, M)."""

    def both(outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.stack([loss(outputs, column) for column in targets.unbind(1)], 1)

    return both


def blend(inputs: Tensor, partners: Tensor, share: float) -> Tensor:
    """Average all values; bytes become floats of the same range (0 to 255)."""
    return torch.lerp(partners.float(), inputs.float(), share)


def blend_rows(is_level: Sequence[bool]) -> Mixture:
    """Average the numbers of rows (B, C), and take each level (marked for the C slots) whole."""
    if not any(is_level):
        return blend
    levels = torch.tensor([slot for slot, marked in enumerate(is_level) if marked])

    def mixture(inputs: Tensor, partners: Tensor, share: float) -> Tensor:
        mixed, slots = blend(inputs, partners, share), levels.to(inputs.device)
        first, second = inputs[:, slots], partners[:, slots]
        from_first = torch.rand(first.shape, device=first.device) < share
        mixed[:, slots] = torch.where(from_first, first, second)
        return mixed

    return mixture


def mixup(alpha: float, mixture: Mixture, fit: Fit) -> Mixup | None:
    """Return what mixes batches, or None without mixing; refuse batches without partners."""
    if alpha and fit.batch_size == 1:
        raise UserError(
            f"mixup={alpha} contradicts fit.batch_size=1: an example needs another one of its "
            "batch to be mixed with; raise fit.batch_size, or set mixup to 0."
        )
    return Mixup(alpha, mixture) if alpha else None
