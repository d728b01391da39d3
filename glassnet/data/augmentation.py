"""Augmentation: random changes of the training images that keep their class, on whole batches.

``Augmentation.draw`` decides once for a batch what happens to each image; the ``Change`` is then
applied to the images and, by its ``move``, to masks and boxes, which thus stay with them. It draws
from torch's global random state: `torch.manual_seed` repeats it, and a resume goes on with it.

Papers: crops of a larger image, and mirroring: Alex Krizhevsky, Ilya Sutskever, Geoffrey Hinton
(2012), "ImageNet Classification with Deep Convolutional Neural Networks". Crops of random size:
Christian Szegedy et al. (2015), "Going deeper with convolutions". Erasing: Zhun Zhong et al.
(2020), "Random Erasing Data Augmentation". Cutout: Terrance DeVries, Graham Taylor (2017),
"Improved Regularization of Convolutional Neural Networks with Cutout". Alternating flip: Keller
Jordan (2024), "94% on CIFAR-10 in 3.29 Seconds on a Single GPU".
"""

# Letters in tensor names: B images, C channels, H height, W width; 23 a matrix (2, 3).

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from glassnet.data import colours, moves, policies, symmetry
from glassnet.data.imagefacts import ImageFacts
from glassnet.data.moves import Move, Padding
from glassnet.knobs import Knobs
from glassnet.task import Batch, Data

SHIFT = 0.08
"""Largest shift if none is asked for, as a share of the shorter side."""

Tta = Annotated[
    Literal["none", "flip", "shift", "flip_shift", "ten_crops"],
    Field(
        description="Test-time augmentation: answer each image by the average over several views "
        "of it, wherever answers are given. flip: with its mirror image (2 views); shift: moved "
        "by a 32nd of its side (3); flip_shift: both (6); ten_crops: the corners and the middle "
        "of images stored larger (`resize`), and their mirror images (10). Answers take that many "
        "times as long; training does not."
    ),
]

NUM_VIEWS = {"none": 1, "flip": 2, "shift": 3, "flip_shift": 6, "ten_crops": 10}
Rec = TypeVar("Rec", bound=Any)


class Augment(Knobs):
    """Random changes of the training images that keep their class."""

    shift: float | None = Field(
        None,
        ge=0,
        lt=0.5,
        description="Largest random shift, as a share of the image's shorter side. 0 where the "
        "place of things in the image matters; 0.125 is usual for CIFAR. Unset: 0.08, or 0 where "
        "`resize` or `scale` crops already.",
    )
    padding: Padding = Field(
        "edge",
        description="What moves in from outside: edge (the nearest pixel, so that white paper "
        "stays white), reflect (the image mirrored, for photographs) or zero (black).",
    )
    scale: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Random resized crop: smallest share of the area that a random window keeps, "
        "which is then resized. 0.08 for long trainings on large sets of photographs, 0.3-0.6 for "
        "short ones; 1: off.",
    )
    ratio: float = Field(
        4 / 3,
        ge=1,
        le=4,
        description="With `scale`: how much longer or shorter than by right one side of the "
        "window may be.",
    )
    flip: bool = Field(
        False,
        description="Mirror half of the images left to right. Set it for photographs; never for "
        "digits, letters or anything that has a left and a right.",
    )
    alternate: bool = Field(
        False,
        description="With `flip`: mirror each image in every other epoch, half of them in the "
        "first, instead of at random. Set it for trainings of 5-50 epochs.",
    )
    upside_down: bool = Field(
        False,
        description="Turn half of the images upside down, as in a mirror. Set it where there is "
        "no above: microscopes, satellites.",
    )
    rotate: float = Field(
        0.0,
        ge=0,
        le=180,
        description="Largest random rotation, in degrees, both ways. 10-15 for drawings and "
        "handwriting; 180 where there is no above; 0: off.",
    )
    colour: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Change brightness, contrast and saturation by random factors of 1 ± this, and "
        "the hue by up to a quarter of it of the colour circle; of grey images brightness and "
        "contrast. 0.2-0.4 for photographs in changing light; 0: off.",
    )
    erase: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of images of which a random rectangle, 2-40 % of the area, is filled "
        "with the mean colour. 0.25-0.5 against overfitting in long trainings; 0: off.",
    )
    cutout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Side of a square that is filled with the mean colour in each image, at a "
        "random place, as a share of the shorter side. 0.25-0.5 in long trainings; 0: off.",
    )
    policy: Literal["none", "trivial", "rand"] = Field(
        "none",
        description="trivial (TrivialAugment: one of 14 operations at a random strength for each "
        "image, nothing to tune) or rand (RandAugment: `operations` of them, one after another, at "
        "one `magnitude`). For photographs and long trainings.",
    )
    operations: int = Field(2, ge=1, le=14, description="With `policy` rand: operations an image.")
    magnitude: float = Field(
        0.3,
        ge=0,
        le=1,
        description="With `policy` rand: how strong they are; the paper's 9 of 30 is 0.3.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.alternate and not self.flip:
            raise ValueError(
                "augment.alternate contradicts augment.flip=false: it says when images are "
                "mirrored; set flip too, or leave alternate out"
            )
        if self.erase and self.cutout:
            raise ValueError(
                f"augment.erase={self.erase:g} contradicts augment.cutout={self.cutout:g}: both "
                "cover a part of the image; set one of them to 0"
            )
        return self


@dataclass(frozen=True)
class Change:
    """What happens to each image of one batch."""

    move: Move
    paints: Sequence[Callable[[Tensor], Tensor]] = ()

    def images(self, images_BCHW: Tensor) -> Tensor:
        """Return the changed images, uint8 (B, C, height, width)."""
        changed = self.move.images(images_BCHW)
        for paint in self.paints:
            changed = paint(changed)
        return changed


@dataclass(frozen=True)
class Augmentation:
    """The changes that were chosen for these images."""

    knobs: Augment
    facts: ImageFacts
    fill_C: Tensor = field(init=False)
    """What erased parts are filled with: the mean colour, zero for the network."""

    def __post_init__(self) -> None:
        """Round the mean colour to bytes, once."""
        fill = (torch.tensor(self.facts.mean) * 255).round().clamp(0, 255).to(torch.uint8)
        object.__setattr__(self, "fill_C", fill)

    def __call__(self, images_BCHW: Tensor, epoch: int = 0) -> Tensor:
        """Return changed images (B, C, height, width) of uint8 images in their stored size."""
        return images_BCHW if self.is_nothing else self.draw(images_BCHW, epoch).images(images_BCHW)

    def draw(self, images_BCHW: Tensor, epoch: int = 0) -> Change:
        """Decide what happens to each image; only alternating flips look at the images."""
        B, device, knobs = len(images_BCHW), images_BCHW.device, self.knobs
        policy = self._policy(B)
        move = self._move(images_BCHW, epoch, policy)
        paints: list[Callable[[Tensor], Tensor]] = []
        if knobs.colour:
            factors = 1 + knobs.colour * (2 * torch.rand(3, B, device=device) - 1)
            hue = knobs.colour / 4 * (2 * torch.rand(B, device=device) - 1)
            paints.append(partial(colours.jitter, factors_3B=factors, hue_B=hue))
        if policy is not None:
            paints.append(policy.paint)
        if knobs.erase or knobs.cutout:
            size = (B, self.facts.height, self.facts.width)
            draw = partial(colours.squares, knobs.cutout) if knobs.cutout else partial(
                colours.rectangles, knobs.erase
            )  # fmt: skip
            fill = self.fill_C.to(device, non_blocking=True)
            paints.append(partial(colours.erase, boxes_B4=draw(*size, device), fill_C=fill))
        return Change(move, paints)

    def _policy(self, num_images: int) -> policies.Drawn | None:
        knobs = self.knobs
        if knobs.policy == "none":
            return None
        if knobs.policy == "trivial":
            return policies.trivial(num_images)
        return policies.rand(num_images, knobs.operations, knobs.magnitude)

    def _move(self, images_BCHW: Tensor, epoch: int, policy: policies.Drawn | None) -> Move:
        """All geometry as one matrix for each image."""
        B, device, knobs = len(images_BCHW), images_BCHW.device, self.knobs
        size = (self.facts.height, self.facts.width)
        total = self._windows(B, device)
        if knobs.flip or knobs.upside_down:
            off = torch.zeros(B, dtype=torch.bool, device=device)
            across = self._mirrored(images_BCHW, epoch) if knobs.flip else off
            upside = torch.rand(B, device=device) < 0.5 if knobs.upside_down else off
            total = moves.chain(total, moves.mirrors(across, upside, *size))
        if knobs.rotate:
            degrees = knobs.rotate * (2 * torch.rand(B, device=device) - 1)
            total = moves.chain(total, moves.rotations(degrees, *size))
        between = None
        if knobs.rotate or knobs.scale < 1:
            between = torch.arange(B, device=device)
        if policy is not None:
            index = policy.moved if between is None else torch.arange(B)
            matrices = policy.matrices(index, *size).to(device, non_blocking=True)
            between = index.to(device, non_blocking=True)
            total[between] = moves.chain(total[between], matrices)
        return Move(total, *size, knobs.padding, between)

    def _windows(self, num_images: int, device: torch.device) -> Tensor:
        """Where in the stored images, or how far outside, each training image lies."""
        (H, W), (height, width) = self._stored, (self.facts.height, self.facts.width)
        high, wide = (torch.full((num_images,), float(side), device=device)
                      for side in (height, width))  # fmt: skip
        reach = self.reach
        if self.knobs.scale < 1:
            high, wide = self._sizes(num_images, device)
            room_y, room_x = H - high, W - wide
            top = torch.rand(num_images, device=device) * (room_y + 2 * reach) - reach
            left = torch.rand(num_images, device=device) * (room_x + 2 * reach) - reach
        else:
            top, left = (
                torch.randint(-reach, room + reach + 1, (num_images,), device=device).float()
                for room in (H - height, W - width)
            )
        return moves.windows(top, left, high, wide, height, width)

    def _sizes(self, num_images: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Height and width of windows of random area and ratio, cut to the stored image."""
        (H, W), longest = self._stored, math.log(self.knobs.ratio)
        least = self.knobs.scale
        area = least + (1 - least) * torch.rand(num_images, device=device)
        ratio = (longest * (2 * torch.rand(num_images, device=device) - 1)).exp()
        return H * (area / ratio).sqrt().clamp(max=1), W * (area * ratio).sqrt().clamp(max=1)

    def _mirrored(self, images_BCHW: Tensor, epoch: int) -> Tensor:
        if not self.knobs.alternate:
            return torch.rand(len(images_BCHW), device=images_BCHW.device) < 0.5
        # Which half an image belongs to is told by its own pixels, so that no row must be known.
        some = images_BCHW[:, :, ::3, ::3].flatten(1)
        first = some.sum(1, dtype=torch.int64) % 2
        return first != epoch % 2

    @property
    def _stored(self) -> tuple[int, int]:
        return self.facts.stored or (self.facts.height, self.facts.width)

    @property
    def reach(self) -> int:
        """Pixels by which a window may lie outside the stored image."""
        shift = self.knobs.shift
        if shift is None:
            shift = SHIFT if self.facts.stored is None and self.knobs.scale == 1 else 0.0
        return round(shift * min(self.facts.height, self.facts.width))

    @property
    def is_nothing(self) -> bool:
        """Whether images stay as they are."""
        return self.num_views == 1

    @property
    def num_views(self) -> float:
        """How many different views there are of each image; infinity: no end of them."""
        knobs = self.knobs
        if knobs.scale < 1 or any(
            [knobs.rotate, knobs.colour, knobs.erase, knobs.cutout, knobs.policy != "none"]
        ):
            return math.inf
        down, across = self._places
        return float(down * across * 2 ** (knobs.flip + knobs.upside_down))

    @property
    def _places(self) -> tuple[int, int]:
        (H, W), reach = self._stored, 2 * self.reach + 1
        return H - self.facts.height + reach, W - self.facts.width + reach

    @property
    def sentence(self) -> str:
        """How many views of each image training sees, for people."""
        if self.is_nothing:
            return "training sees each image as it is (no augmentation)"
        if self.num_views == math.inf:
            return "training sees another view of each image each time, drawn from no end of them"
        down, across = self._places
        mirrored = 2 ** (self.knobs.flip + self.knobs.upside_down)
        ways = f" × {mirrored} mirrorings" if mirrored > 1 else ""
        return (
            f"training sees {self.num_views:,.0f} views of each image: {down} × {across} places of "
            f"a window of {self.facts.height} × {self.facts.width} pixels{ways}"
        )


def news(recipe: Any, data: Data[Batch]) -> list[str]:
    """What a user should know before training, if it is not what is always done."""
    usual = recipe.augment == Augment() and recipe.tta == "none" and data.facts.stored is None
    told = [] if usual else sentences(recipe, data.facts)
    if recipe.augment.flip:
        return told
    some = data.pool.batch(symmetry.sample(data.positions(0)[0]).to(data.pool.rows.device))
    return [*told, *symmetry.hint(some.inputs, some.targets)]


def shown(recipe: Any, facts: ImageFacts) -> tuple[Augmentation, list[str]]:
    """The changes, and what is to be said of them where they are shown."""
    return Augmentation(recipe.augment, facts), sentences(recipe, facts)


def sentences(recipe: Any, facts: ImageFacts) -> list[str]:
    """What training sees of each image, and what answers cost if they are averages."""
    told, number = [Augmentation(recipe.augment, facts).sentence], NUM_VIEWS[recipe.tta]
    cost = f"each answer is the average over {number} views of the image (tta {recipe.tta})"
    return [*told, f"{cost} and takes {number} times as long"] if number > 1 else told


def refuse_crops_without_room(recipe: Rec) -> Rec:
    """Ten crops of an image that is read whole would all be the same."""
    if recipe.tta == "ten_crops" and (recipe.resize is None or recipe.resize == recipe.size):
        raise ValueError(
            f"tta=ten_crops contradicts resize={recipe.resize} with size={recipe.size}: without "
            "room around it all crops are the same; set resize larger than size (256 for 224), or "
            "tta to flip"
        )
    return recipe
