"""Mixup and cutmix: each example of a batch is mixed with another one, and so are the targets.

Paper: Hongyi Zhang, Moustapha Cisse, Yann Dauphin, David Lopez-Paz (2018), "mixup: Beyond
Empirical Risk Minimization", ICLR. As in the authors' code, one share λ ~ Beta(α, α) is drawn for a
batch, and its examples are mixed with themselves in another order; the losses of both targets are
mixed by λ, which for cross-entropy and squared error has the same gradient as mixing the targets.

How ours differs, for tables: a level of a category is a number that cannot be averaged. It is taken
whole from one of both parents, from the first with probability λ; on average that is the mixture of
the one-hot vectors. Taking values whole is cutmix, which SAINT (Somepalli et al. 2021) brought to
tables.

Cutmix, for images: Sangdoo Yun, Dongyoon Han, Seong Joon Oh, Sanghyuk Chun, Junsuk Choe, Youngjoon
Yoo (2019), "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
ICCV. As in the authors' code, one rectangle for a batch, its middle anywhere in the image, cut off
at the rim, and shares by the area that is left of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Gamma

from glassnet.errors import UserError
from glassnet.losses import Loss
from glassnet.recipe import Fit
from glassnet.task import Batch

Mixture = Callable[[Tensor, Tensor, float], Tensor]
"""(inputs, inputs of the partners, share of the former) -> mixed inputs, of the same shape."""


Mixing = Callable[[Batch], Batch]
"""Returns a batch of mixtures, with targets and weights (B, 2): those of both parents."""


class Mixup:
    """Mixes a batch; it draws from torch's global random state, so that a resume repeats it."""

    def __init__(self, alpha: float, mixture: Mixture) -> None:
        """``alpha`` is above 0: 0.2 mixes most batches a little, at 1 every share is as likely."""
        self.mixture, self.share = mixture, Shares(alpha)

    def __call__(self, batch: Batch) -> Batch:
        """Return the mixed examples."""
        order = torch.randperm(len(batch.inputs), device=batch.inputs.device)
        share = self.share()
        return _mixed(batch, self.mixture(batch.inputs, batch.inputs[order], share), order, share)


class Cutmix:
    """Pastes a rectangle of another image of the batch (B, C, H, W) into each."""

    def __init__(self, alpha: float) -> None:
        """``alpha`` is above 0; at 1, as in the paper, every share is as likely."""
        self.share = Shares(alpha)

    def __call__(self, batch: Batch) -> Batch:
        """Return images of the same type."""
        images = batch.inputs
        order = torch.randperm(len(images), device=images.device)
        left, top, right, bottom = self.box(images.shape[2], images.shape[3])
        pasted = images.clone()
        pasted[:, :, top:bottom, left:right] = images[:, :, top:bottom, left:right][order]
        area = (right - left) * (bottom - top)
        return _mixed(batch, pasted, order, 1 - area / (images.shape[2] * images.shape[3]))

    def box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Draw left, top, right and bottom, on the CPU so that no device is waited for."""
        side = math.sqrt(1 - self.share())
        y, x = torch.rand(2).tolist()
        high, wide = int(height * side), int(width * side)
        top, left = int(height * y) - high // 2, int(width * x) - wide // 2
        return max(left, 0), max(top, 0), min(left + wide, width), min(top + high, height)


class OneOf:
    """Either of two ways of mixing for each batch, both equally likely."""

    def __init__(self, first: Mixing, second: Mixing) -> None:
        self.first, self.second = first, second

    def __call__(self, batch: Batch) -> Batch:
        """Return the mixed examples."""
        return (self.first if torch.rand(1).item() < 0.5 else self.second)(batch)


class Shares:
    """Draws the share of the first parent from Beta(α, α)."""

    def __init__(self, alpha: float) -> None:
        self.alpha, self.gamma = alpha, Gamma(alpha + 1, 1.0)

    def __call__(self) -> float:
        """Draw on the CPU, so that no device is waited for.

        By two gamma variables of shape α, in logarithms (Marsaglia and Tsang 2000, section 6):
        torch's Beta underflows for small α and answers 0.5 where 0 or 1 is meant, a quarter of the
        time at α = 0.001.
        """
        (a, b), (u, v) = self.gamma.sample((2,)).tolist(), torch.rand(2).tolist()
        log_ratio = math.log(a / b) + math.log((1 - u) / (1 - v)) / self.alpha
        return (1 + math.tanh(log_ratio / 2)) / 2


def _mixed(batch: Batch, inputs: Tensor, order: Tensor, share: float) -> Batch:
    alike = torch.ones(len(order), device=order.device)
    weights = alike if batch.weights is None else batch.weights
    return Batch(
        inputs,
        torch.stack([batch.targets, batch.targets[order]], 1),
        torch.stack([share * weights, (1 - share) * weights[order]], 1),
    )


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
    _refuse_single("mixup", alpha, fit)
    return Mixup(alpha, mixture) if alpha else None


def of_images(recipe: Any) -> Mixing | None:
    """Return what mixes batches of images; with both, one of them for each batch (as in timm)."""
    blending = mixup(recipe.mixup, blend, recipe.fit)
    _refuse_single("cutmix", recipe.cutmix, recipe.fit)
    if not recipe.cutmix:
        return blending
    pasting = Cutmix(recipe.cutmix)
    return pasting if blending is None else OneOf(blending, pasting)


def _refuse_single(name: str, alpha: float, fit: Fit) -> None:
    if alpha and fit.batch_size == 1:
        raise UserError(
            f"{name}={alpha} contradicts fit.batch_size=1: an example needs another one of its "
            f"batch to be mixed with; raise fit.batch_size, or set {name} to 0."
        )
