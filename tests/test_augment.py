"""Augmentation on whole batches does what a slow loop over images does."""

import pytest
import torch
from torch import Tensor

from glassnet.data.augment import flip, shift

BATCH = torch.arange(40 * 3 * 6 * 5, dtype=torch.int64).view(40, 3, 6, 5)


def moved(image_CHW: Tensor, dy: int, dx: int) -> Tensor:
    """Read pixel (y + dy, x + dx), or the nearest one inside: the definition, pixel by pixel."""
    result = torch.empty_like(image_CHW)
    _, H, W = image_CHW.shape
    for y in range(H):
        for x in range(W):
            result[:, y, x] = image_CHW[:, min(max(y + dy, 0), H - 1), min(max(x + dx, 0), W - 1)]
    return result


def offsets(images: Tensor, shifted: Tensor, pixels: int) -> list[tuple[int, int]]:
    """Find by trial the one offset that explains each shifted image."""
    tried = range(-pixels, pixels + 1)
    found = [
        [(dy, dx) for dy in tried for dx in tried if torch.equal(moved(image, dy, dx), result)]
        for image, result in zip(images, shifted, strict=True)
    ]
    assert all(len(explanations) == 1 for explanations in found)
    return [explanations[0] for explanations in found]


def test_each_shifted_image_is_the_slow_reference_at_one_offset() -> None:
    found = offsets(BATCH, shift(BATCH, 2), 2)
    assert len(set(found)) > 5, "the images of a batch move independently"


def test_every_offset_is_equally_likely() -> None:
    ramp_HW = 10 * torch.arange(7)[:, None] + torch.arange(7)
    centre = shift(ramp_HW.repeat(9000, 1, 1, 1), 1)[:, 0, 3, 3] - 33
    counts = torch.stack([(centre == 10 * dy + dx).sum() for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    assert counts.sum() == 9000
    assert (counts - 1000).abs().max() < 150  # five standard deviations


def test_a_shift_by_zero_pixels_changes_nothing() -> None:
    assert torch.equal(shift(BATCH, 0), BATCH)


def test_each_image_is_mirrored_or_left_alone() -> None:
    images, flipped = BATCH, flip(BATCH)
    mirrored = [torch.equal(a.flip(2), b) for a, b in zip(images, flipped, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(images, flipped, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 8 <= sum(mirrored) <= 32  # of 40: one in 20,000 draws falls outside


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16])
def test_the_type_and_the_shape_are_kept_and_the_input_is_not_changed(dtype: torch.dtype) -> None:
    images = (BATCH % 251).to(dtype)
    before = images.clone()
    for result in (shift(images, 2), flip(images)):
        assert result.dtype == dtype
        assert result.shape == images.shape
    assert torch.equal(images, before)


def test_the_same_seed_repeats_the_same_changes() -> None:
    torch.manual_seed(3)
    first = shift(BATCH, 2), flip(BATCH)
    torch.manual_seed(3)
    second = shift(BATCH, 2), flip(BATCH)
    other = shift(BATCH, 2)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], other)
