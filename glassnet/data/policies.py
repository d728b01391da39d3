"""Policies of augmentation: operations drawn for each image, none of which has to be tuned.

TrivialAugment: Samuel G. Müller, Frank Hutter (2021), "TrivialAugment: Tuning-free Yet
State-of-the-Art Data Augmentation", ICCV. One operation of 14 and one of 31 strengths for each
image, both equally likely; the ranges are those of its wide space (table 2).

RandAugment: Ekin D. Cubuk, Barret Zoph, Jonathon Shlens, Quoc V. Le (2020), "RandAugment: Practical
automated data augmentation with a reduced search space", CVPR workshops. Several operations of the
same 14, one after another, at one strength.

How ours differs: what moves pixels is put together with crop, flip and rotation into one bilinear
resampling (theirs: one for each, by the nearest pixel) and so comes before what changes values;
what lies outside follows `augment.padding` (theirs: black or grey). On grey images the operation
saturation changes nothing.
"""

# Letters in tensor names: B images, C channels, H height, W width, R rounds; 23 a matrix (2, 3).

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from glassnet.data import colours, moves

LEVELS = 31
MOVING = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
PAINTING = (
    "brightness", "saturation", "contrast", "sharpness",
    "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
OPERATIONS = ("identity", *MOVING, *PAINTING)


@dataclass(frozen=True)
class Space:
    """The strongest form of each operation."""

    shear: float
    translate: Callable[[int], float]
    """Side in pixels -> pixels."""
    rotate: float
    """Degrees."""
    factor: float
    """Brightness, saturation, contrast and sharpness: by 1 ± this factor."""
    bits: int
    """Posterize: bits that are left of 8."""


WIDE = Space(0.99, lambda side: min(32, side), 135, 0.99, 2)
PLAIN = Space(0.3, lambda side: side * 150 / 331, 30, 0.9, 4)


@dataclass(frozen=True)
class Drawn:
    """The operations of one batch: which, and how strong; on the CPU, so that nothing waits."""

    space: Space
    operation_RB: Tensor
    """int64: number in ``OPERATIONS``."""
    level_RB: Tensor
    """0 to 1."""
    sign_RB: Tensor
    """1 or -1: the direction, where an operation has two."""

    @property
    def moved(self) -> Tensor:
        """int64 (n,): images of which pixels are moved."""
        moves_RB = (self.operation_RB >= 1) & (self.operation_RB <= len(MOVING))
        return moves_RB.any(0).nonzero().flatten()

    def matrices(self, index: Tensor, height: int, width: int) -> Tensor:
        """All that moves pixels of these images, as one matrix each (n, 2, 3)."""
        total: Tensor | None = None
        for operation, level, sign in zip(
            self.operation_RB[:, index], self.level_RB[:, index], self.sign_RB[:, index],
            strict=True,
        ):  # fmt: skip
            one = self._matrices(operation, level * sign, height, width)
            total = one if total is None else moves.chain(total, one)
        assert total is not None, "a policy has at least one round"
        return total

    def paint(self, images_BCHW: Tensor) -> Tensor:
        """Return the images with changed values, round after round."""
        changed = images_BCHW.clone()
        for operation, level, sign in zip(
            self.operation_RB, self.level_RB, self.sign_RB, strict=True
        ):
            for name in PAINTING:
                index = (operation == OPERATIONS.index(name)).nonzero().flatten()
                if len(index):
                    strength = self._strength(name, level[index], sign[index])
                    where = index.to(images_BCHW.device, non_blocking=True)
                    strength = strength.to(images_BCHW.device, non_blocking=True)
                    changed[where] = _PAINTS[name](changed[where], strength)
        return changed

    def _matrices(self, operation: Tensor, amount: Tensor, height: int, width: int) -> Tensor:
        """For each image the matrix of its operation; the identity if that moves nothing."""

        def of(name: str, most: float) -> Tensor:
            return torch.where(operation == OPERATIONS.index(name), amount * most, 0.0)

        space = self.space
        shear = moves.shears(of("shear_x", space.shear), of("shear_y", space.shear), height, width)
        offset = moves.offsets(
            of("translate_x", space.translate(width)), of("translate_y", space.translate(height))
        )
        turn = moves.rotations(of("rotate", space.rotate), height, width)
        return moves.chain(moves.chain(shear, offset), turn)

    def _strength(self, name: str, level: Tensor, sign: Tensor) -> Tensor:
        """In the unit of the operation."""
        if name == "posterize":
            return 8 - level * (8 - self.space.bits)
        if name == "solarize":
            return 255 * (1 - level)
        return 1 + sign * level * self.space.factor


def trivial(num_images: int) -> Drawn:
    """Draw TrivialAugment for a batch."""
    level = torch.randint(LEVELS, (1, num_images)) / (LEVELS - 1)
    return Drawn(WIDE, _operations(1, num_images), level, _signs(1, num_images))


def rand(num_images: int, rounds: int, magnitude: float) -> Drawn:
    """Draw RandAugment for a batch; ``magnitude`` is 0 to 1, where the paper says 0 to 30."""
    level = torch.full((rounds, num_images), magnitude)
    return Drawn(PLAIN, _operations(rounds, num_images), level, _signs(rounds, num_images))


def _operations(rounds: int, num_images: int) -> Tensor:
    return torch.randint(len(OPERATIONS), (rounds, num_images))


def _signs(rounds: int, num_images: int) -> Tensor:
    return torch.randint(2, (rounds, num_images)) * 2.0 - 1


_PAINTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": colours.brightness,
    "saturation": colours.saturation,
    "contrast": colours.contrast,
    "sharpness": colours.sharpness,
    "posterize": colours.posterize,
    "solarize": colours.solarize,
    "autocontrast": lambda images, _: colours.autocontrast(images),
    "equalize": lambda images, _: colours.equalize(images),
}
