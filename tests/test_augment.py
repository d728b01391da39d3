"""Augmentation on whole batches does what a slow loop over images does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from glassnet.data import moves
from glassnet.data.augmentation import Augment, Augmentation
from glassnet.data.imagefacts import ImageFacts

BATCH = (torch.arange(30 * 3 * 6 * 5) * 37 % 251).to(torch.uint8).view(30, 3, 6, 5)
PADDINGS: list[moves.Padding] = ["edge", "zero", "reflect"]


def facts(images: Tensor, **more: Any) -> ImageFacts:
    """Of images that are stored as the network reads them."""
    _, C, H, W = images.shape
    known = {"channels": C, "height": H, "width": W, "mean": [0.5] * C, "std": [0.2] * C}
    return ImageFacts(**{**known, **more}, classes=["a", "b"])


def augmentation(images: Tensor, **knobs: Any) -> Augmentation:
    """The changes for images of this form."""
    return Augmentation(Augment(**{"shift": 0.0, **knobs}), facts(images))


def pixel(image_CHW: Tensor, y: int, x: int, padding: str) -> Tensor:
    """Read a pixel that may lie outside: the definition."""
    _, H, W = image_CHW.shape
    if padding == "zero" and not (0 <= y < H and 0 <= x < W):
        return torch.zeros(len(image_CHW), dtype=image_CHW.dtype)
    while padding == "reflect" and not (0 <= y < H and 0 <= x < W):
        y = -1 - y if y < 0 else 2 * H - 1 - y if y >= H else y
        x = -1 - x if x < 0 else 2 * W - 1 - x if x >= W else x
    return image_CHW[:, min(max(y, 0), H - 1), min(max(x, 0), W - 1)]


def moved(image_CHW: Tensor, dy: int, dx: int, mirror: bool, padding: str) -> Tensor:
    """Read pixel (y + dy, x + dx), from the right if mirrored, pixel by pixel."""
    result = torch.empty_like(image_CHW)
    _, H, W = image_CHW.shape
    for y in range(H):
        for x in range(W):
            across = W - 1 - x if mirror else x
            result[:, y, x] = pixel(image_CHW, y + dy, across + dx, padding)
    return result


@pytest.mark.parametrize("padding", PADDINGS)
def test_each_image_is_the_slow_reference_at_one_offset_mirrored_or_not(padding: str) -> None:
    change = augmentation(BATCH, shift=0.4, flip=True, padding=padding)
    assert change.reach == 2
    found = set()
    for image, result in zip(BATCH, change(BATCH), strict=True):
        ways = [
            (dy, dx, mirror)
            for dy in range(-2, 3) for dx in range(-2, 3) for mirror in (False, True)
            if torch.equal(moved(image, dy, dx, mirror, padding), result)
        ]  # fmt: skip
        assert len(ways) == 1
        found.add(ways[0])
    assert len(found) > 15, "the images of a batch move independently"


def test_every_offset_is_equally_likely() -> None:
    ramp = (10 * torch.arange(7)[:, None] + torch.arange(7)).to(torch.uint8).repeat(9000, 1, 1, 1)
    centre = augmentation(ramp, shift=0.1)(ramp)[:, 0, 3, 3].long() - 33
    counts = torch.stack([(centre == 10 * dy + dx).sum() for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    assert counts.sum() == 9000
    assert (counts - 1000).abs().max() < 150  # five standard deviations


def test_without_augmentation_nothing_changes() -> None:
    change = augmentation(BATCH)
    assert change.is_nothing
    assert torch.equal(change(BATCH), BATCH)


def test_the_same_seed_repeats_the_same_changes() -> None:
    change = augmentation(BATCH, shift=0.4, flip=True, policy="trivial", colour=0.3, erase=0.5)
    torch.manual_seed(3)
    first = change(BATCH)
    torch.manual_seed(3)
    assert torch.equal(change(BATCH), first)
    assert not torch.equal(change(BATCH), first)
