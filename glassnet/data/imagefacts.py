"""What is known of a set of images once its training rows were read, and how that is learned.

The size is learned from the headers of the training rows alone:

- all of one size, at most 128 on the longer side: kept as they are;
- else the shorter side becomes the median shorter side, rounded down to a multiple of 8 and at
  most 128, which a laptop's CPU can still train on; ``size`` overrides it;
- if all have one aspect ratio it is kept, else images are cropped to a square.

Mean and standard deviation of each channel come from a histogram of the decoded images. Whatever
``Preprocessing`` sets is not learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from glassnet.data import pixels
from glassnet.data.pixels import Geometry, Shape
from glassnet.errors import UserError
from glassnet.knobs import Knobs
from glassnet.task import Facts

KEPT_SIZE = 128
"""The longest side, in pixels, that is kept as it is, and the cap of the default size."""


class ImageFacts(Facts):
    """What turns one raw image into a tensor, and a class number into its name."""

    kind: Literal["images"] = "images"
    channels: int
    height: int
    """Of what the network reads, in pixels."""
    width: int
    stored: tuple[int, int] | None = None
    """Height and width that images are brought to, if more than the network reads: training crops
    out of them at random, answers are given for the middle."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    fit: pixels.Fit = "crop_first"
    mean: list[float]
    """Per channel, of pixels / 255."""
    std: list[float]
    classes: list[str]
    class_counts: list[int] = []
    """Training examples of each class."""
    whites: dict[str, float] = {}
    """For arrays that are not uint8: the value of white by kind of number, 'f' or 'i'."""

    @property
    def geometry(self) -> Geometry:
        """The form that every image is brought into."""
        height, width = self.stored or (self.height, self.width)
        read = (self.height, self.width) if self.fit == "resize_first" else None
        return Geometry(self.channels, height, width, self.interpolation, self.fit, read)

    @classmethod
    def of(cls, geometry: Geometry, whites: dict[str, float]) -> ImageFacts:
        """What is needed to bring images into a form, and nothing else."""
        stored = geometry.height, geometry.width
        height, width = geometry.read or stored
        return cls(
            channels=geometry.channels, height=height, width=width, stored=stored,
            interpolation=geometry.interpolation, fit=geometry.fit, mean=[], std=[], classes=[],
            whites=whites,
        )  # fmt: skip

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """What the network reads: channels, height, width."""
        return self.channels, self.height, self.width


class Preprocessing(Knobs):
    """How pixels become numbers. Published weights bring theirs; unset knobs follow your images."""

    mean: list[float] | None = Field(
        None,
        description="Mean of each channel that is taken off, of pixels / 255. Unset: the mean of "
        "the training images.",
    )
    std: list[float] | None = Field(
        None,
        description="What each channel is then divided by. Unset: the standard deviation of the "
        "training images.",
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1: grey, 3: colour. Unset: grey if all images are grey."
    )
    interpolation: Literal["bilinear", "bicubic"] = Field(
        "bilinear", description="How images are resized; both without aliasing."
    )
    fit: pixels.Fit = Field(
        "crop_first",
        description="How images come to their size. crop_first: keeps a shape that all share, else "
        "crops a square, and shrinks JPEGs while decoding them. resize_first: resizes, then crops "
        "the middle square, to the pixel as torchvision and timm do. squash: presses the whole "
        "image into a square.",
    )


def read_size(shapes: Sequence[Shape], size: int | None) -> tuple[int, int]:
    """Height and width that the network reads, by the shapes of the training images."""
    sizes = {(shape.height, shape.width) for shape in shapes}
    one = next(iter(sizes)) if len(sizes) == 1 else None
    if one and size is None and max(one) <= KEPT_SIZE:
        return one
    if size is None:
        median = int(np.median([min(shape.height, shape.width) for shape in shapes]))
        size = min(KEPT_SIZE, max(median - median % 8, min(median, 8)))
    ratios = np.array([shape.width / shape.height for shape in shapes])
    ratio = float(np.median(ratios))
    if ratios.max() / ratios.min() > 1.02 or not 0.25 <= ratio <= 4:
        return size, size
    return (size, round(size * ratio)) if ratio >= 1 else (round(size / ratio), size)


def stored_size(read: tuple[int, int], resize: int | None) -> tuple[int, int]:
    """Height and width to store images in, whose shorter side is ``resize``."""
    shorter = min(read)
    if resize is None or resize == shorter:
        return read
    if resize < shorter:
        raise UserError(
            f"resize={resize} contradicts size={shorter}: images cannot be stored smaller than "
            "what the network reads. Raise resize, or set a smaller size."
        )
    return round(read[0] * resize / shorter), round(read[1] * resize / shorter)


def normalization(levels: Tensor, preprocessing: Preprocessing) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel; ``levels``: a histogram (C, 256)."""
    mean, std = _mean_and_std(levels)
    mean = _of_each_channel("mean", preprocessing.mean, mean)
    std = _of_each_channel("std", preprocessing.std, std)
    return mean, std


def _of_each_channel(name: str, given: list[float] | None, learned: list[float]) -> list[float]:
    """The values given, if there is one for each channel; else those learned."""
    if given is None:
        return learned
    if len(given) != len(learned):
        raise UserError(
            f"preprocessing.{name} has {len(given)} values, but the images have {len(learned)} "
            "channels. Give one value for each, or set preprocessing.channels."
        )
    return given


def _mean_and_std(levels: Tensor) -> tuple[list[float], list[float]]:
    """Exact, from a histogram (C, 256), so that neither order nor threads change a bit."""
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for counts in levels.double():
        share = counts / counts.sum()
        average = float((share * values).sum())
        spread = float((share * (values - average) ** 2).sum()) ** 0.5
        mean.append(average)
        std.append(spread if spread > 1e-3 else 1.0)  # a constant channel must not be divided by 0
    return mean, std
