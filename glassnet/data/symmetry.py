"""Whether images look the same mirrored, told from the images alone, before any training.

For each class, the mean difference between an image and its mirror image is compared with how much
that difference varies: 0 where left and right are alike on average, as in photographs. Measured on
6,000 images each: CIFAR-10 .0002 (largest class .0015); digits .48, Fashion-MNIST .07 (2.2: shoes
point to one side), Omniglot .11, medians of the classes.
"""

# Letters in tensor names: B images, C channels, H height, W width, P pixels.

from __future__ import annotations

import torch
from torch import Tensor

LOOKED_AT = 1000
FEWEST = 20
"""Images that a class must have to be looked at."""
ALIKE, ALIKE_CLASS = 0.01, 0.05
"""Largest asymmetry of all classes together, and of one, that counts as none."""


def asymmetry(images_BCHW: Tensor, targets_B: Tensor) -> tuple[float, float] | None:
    """The asymmetry of all classes together and that of the worst; None: too few images."""
    half = images_BCHW.shape[3] // 2
    shares: list[tuple[float, float]] = []
    for target in targets_B.unique().tolist():
        images = images_BCHW[targets_B == target].double()
        if len(images) >= FEWEST:
            difference_BP = (images - images.flip(3))[..., :half].flatten(1)
            variance = float(difference_BP.var(0).sum())
            # Less what chance alone gives the mean of so few.
            square = float((difference_BP.mean(0) ** 2).sum()) - variance / len(images)
            shares.append((square, variance))
    total = sum(variance for _, variance in shares)
    if not total:
        return None
    worst = max(square / variance for square, variance in shares if variance)
    return sum(square for square, _ in shares) / total, worst


def hint(images_BCHW: Tensor, targets_B: Tensor) -> list[str]:
    """A sentence for those who do not mirror images that look the same mirrored."""
    found = asymmetry(images_BCHW, targets_B)
    if found is None or found[0] > ALIKE or found[1] > ALIKE_CLASS:
        return []
    return [
        "mirrored, the training images look the same on average in every class: unless left and "
        "right mean something here, try --augment.flip true"
    ]


def sample(positions_N: Tensor) -> Tensor:
    """At most ``LOOKED_AT`` of the positions, evenly spread."""
    step = max(1, len(positions_N) // LOOKED_AT)
    return torch.sort(positions_N[::step][:LOOKED_AT]).values
