"""Colours, policies and erasing against Pillow; mixtures; masks and boxes that follow the image."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from test_augment import augmentation, facts
from torch import Tensor

from glassnet import mixing
from glassnet.data import colours, moves, policies, sources, symmetry
from glassnet.data.augmentation import Augment, Augmentation
from glassnet.data.moves import Move
from glassnet.errors import UserError
from glassnet.recipe import Fit, build
from glassnet.task import Batch

generator = torch.Generator().manual_seed(0)
NOISE = torch.randint(256, (4, 3, 21, 17), generator=generator, dtype=torch.uint8)
SMOOTH = torch.nn.functional.interpolate(NOISE, size=(33, 30), mode="bilinear")[:, :, 3:-3, 2:-2]
DARK = SMOOTH // 3 + 40
FLAT = torch.full((4, 3, 9, 9), 77, dtype=torch.uint8)
COLOURED = [NOISE, SMOOTH, DARK, FLAT]
IMAGES = [*COLOURED, *(images[:, :1].contiguous() for images in COLOURED)]


def pillow(image_CHW: Tensor) -> Image.Image:
    array = image_CHW.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def tensor(image: Image.Image) -> Tensor:
    array = np.array(image)
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def differences(
    ours: Tensor, images: Tensor, theirs: Callable[[Image.Image, int], Image.Image]
) -> int:
    """Largest difference of a pixel from what Pillow makes of each image."""
    want = torch.stack([tensor(theirs(pillow(image), i)) for i, image in enumerate(images)])
    return int((ours.int() - want.int()).abs().max())


FACTORS = torch.tensor([0.0, 0.4, 1.0, 1.7])


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colours.brightness, ImageEnhance.Brightness),
        (colours.contrast, ImageEnhance.Contrast),
        (colours.saturation, ImageEnhance.Color),
        (colours.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_factors_mean_what_they_mean_in_pillow(
    ours: Callable[[Tensor, Tensor], Tensor],
    theirs: Callable[[Image.Image], ImageEnhance._Enhance],
    images: Tensor,
) -> None:
    changed = ours(images, FACTORS)
    assert torch.equal(changed[2], images[2]), "a factor of 1 changes nothing"
    # Pillow rounds the grey and the mean before it mixes, and cuts decimals off after.
    assert differences(changed, images, lambda i, n: theirs(i).enhance(float(FACTORS[n]))) <= 2


@pytest.mark.parametrize("images", IMAGES)
def test_posterize_solarize_and_equalize_are_pillows_bit_for_bit(images: Tensor) -> None:
    bits, thresholds = torch.tensor([8.0, 6.0, 4.0, 2.0]), torch.tensor([0.0, 100.0, 255.0, 256.0])
    assert not differences(
        colours.posterize(images, bits), images, lambda i, n: ImageOps.posterize(i, int(bits[n]))
    )
    assert not differences(
        colours.solarize(images, thresholds),
        images,
        lambda i, n: ImageOps.solarize(i, int(thresholds[n])),
    )
    assert not differences(colours.equalize(images), images, lambda i, _: ImageOps.equalize(i))


@pytest.mark.parametrize("images", IMAGES)
def test_autocontrast_is_pillows_within_one(images: Tensor) -> None:
    found = colours.autocontrast(images)
    assert differences(found, images, lambda i, _: ImageOps.autocontrast(i)) <= 1


def test_a_turn_of_the_hue_keeps_greys_and_brightness_and_comes_back() -> None:
    one = torch.ones(3, 4)
    grey = NOISE[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(colours.jitter(grey, one, torch.tensor([0.1, 0.3, 0.5, 0.9])), grey)
    gentle = SMOOTH // 4 + 96
    turned = colours.jitter(gentle, one, torch.full((4,), 0.3))
    assert (turned.int() - gentle.int()).abs().max() > 10
    luma = torch.tensor(colours.LUMA)[:, None, None]
    assert ((turned * luma).sum(1) - (gentle * luma).sum(1)).abs().max() < 1
    back = colours.jitter(turned, one, torch.full((4,), 0.7))
    assert (back.int() - gentle.int()).abs().max() <= 2


@pytest.mark.parametrize("images", [NOISE, NOISE[:, :1], NOISE[:, :, :1, :1], NOISE[:, :, :2, :7]])
@pytest.mark.parametrize(
    "knobs",
    [
        {"policy": "trivial"}, {"policy": "rand", "operations": 3}, {"colour": 0.8},
        {"erase": 1.0}, {"cutout": 0.5}, {"rotate": 180}, {"scale": 0.1, "flip": True},
        {"shift": 0.4, "padding": "reflect"}, {"shift": 0.4, "padding": "zero", "rotate": 5},
    ],
)  # fmt: skip
def test_every_form_of_image_keeps_type_and_shape_and_the_input_stays(
    images: Tensor, knobs: dict[str, float]
) -> None:
    before = images.clone()
    changed = augmentation(images, **knobs)(images)
    assert (changed.dtype, changed.shape) == (torch.uint8, images.shape)
    assert torch.equal(images, before)


# --- Geometry -------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_rotation_by_quarter_turns_is_rot90(turns: int) -> None:
    square = NOISE[:, :, :17, :17].contiguous()
    matrices = moves.rotations(torch.full((4,), 90.0 * turns), 17, 17)
    turned = Move(matrices, 17, 17, between=torch.arange(4)).images(square)
    assert torch.equal(turned, square.rot90(turns, (2, 3)))


def test_resampling_at_whole_places_is_exact_for_every_padding() -> None:
    for padding in ("edge", "zero", "reflect"):
        knobs = Augment(shift=0.3, flip=True, upside_down=True, padding=padding)
        move = Augmentation(knobs, facts(NOISE)).draw(NOISE).move
        between = Move(move.matrix_B23, move.height, move.width, padding, torch.arange(4))
        assert torch.equal(move.images(NOISE), between.images(NOISE))


def test_a_chain_of_moves_is_one_after_the_other() -> None:
    flip, none = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    first, then = moves.offsets(*torch.full((2, 4), 2.0)), moves.mirrors(flip, none, 21, 17)
    one = Move(moves.chain(first, then), 21, 17).images(NOISE)
    two = Move(then, 21, 17).images(Move(first, 21, 17).images(NOISE))
    assert torch.equal(one, two)


def test_masks_keep_their_labels_and_the_marked_pixel_stays_under_its_mask_and_box() -> None:
    torch.manual_seed(1)
    B, H, W = 200, 24, 20
    images = torch.zeros(B, 1, H, W, dtype=torch.uint8)
    masks = torch.zeros(B, H, W, dtype=torch.int64)
    tops, lefts = torch.randint(H - 5, (B,)), torch.randint(W - 6, (B,))
    for i, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
        images[i, :, top : top + 5, left : left + 6] = 255
        masks[i, top : top + 5, left : left + 6] = 7
    boxes = torch.stack([lefts, tops, lefts + 6, tops + 5], 1).float()
    knobs = {"shift": 0.3, "padding": "zero", "flip": True, "upside_down": True, "scale": 0.5}
    for more in ({}, {"rotate": 60}, {"policy": "trivial"}):
        move = augmentation(images, **knobs, **more).draw(images).move
        seen, labels = move.images(images)[:, 0], move.masks(masks, outside=255)
        assert set(labels.unique().tolist()) <= {0, 7, 255}
        # A pixel that is more than half bright is marked, one that is nearly dark is not.
        assert (labels[seen > 250] == 7).all()
        assert (seen[labels == 7] > 60).all()
        moved, kept = move.boxes(boxes, torch.arange(B), least=0.0)
        for i in kept.nonzero().flatten().tolist():
            y, x = (labels[i] == 7).nonzero().unbind(1)
            left, top, right, bottom = moved[i].tolist()
            if len(x):
                assert left <= x.min() + 0.5 <= x.max() + 0.5 <= right
                assert top <= y.min() + 0.5 <= y.max() + 0.5 <= bottom
        gone = ~kept
        assert not (labels[gone] == 7).any()
        assert gone.any() or more


def test_a_box_of_which_too_little_is_left_is_dropped_and_the_others_are_cut() -> None:
    left = moves.offsets(torch.tensor([6.0]), torch.tensor([0.0]))  # the image moves left by 6
    boxes = torch.tensor([[4.0, 2.0, 8.0, 6.0], [5.0, 2.0, 7.0, 6.0], [0.0, 0.0, 7.0, 4.0]])
    moved, kept = Move(left, 10, 10).boxes(boxes, torch.zeros(3, dtype=torch.int64), least=0.5)
    assert kept.tolist() == [True, True, False]
    assert moved[:2].tolist() == [[0, 2, 2, 6], [0, 2, 1, 6]]


def test_random_resized_crops_have_the_areas_and_ratios_that_were_asked_for() -> None:
    large = torch.zeros(4000, 1, 40, 40, dtype=torch.uint8)
    matrix = augmentation(large, scale=0.25, ratio=2.0).draw(large).move.matrix_B23
    wide, high = matrix[:, 0, 0], matrix[:, 1, 1]  # shares of the sides
    assert 0.24 < float((wide * high).min()) < 0.27
    assert float((wide * high).median()) == pytest.approx(0.6, abs=0.04)
    assert float((wide / high).min()) > 0.45
    assert float((wide / high).max()) < 2.05
    for axis, share in ((0, wide), (1, high)):
        start = matrix[:, axis, 2]
        assert (start >= -1e-4).all()
        assert (start + 40 * share <= 40 + 1e-4).all()


def test_images_that_are_stored_larger_are_cropped_at_random_and_the_views_are_counted() -> None:
    stored = torch.arange(256).to(torch.uint8).repeat(200, 1, 256, 1)
    known = facts(stored, height=224, width=224, stored=(256, 256))
    change = Augmentation(Augment(flip=True), known)
    assert change.num_views == 33 * 33 * 2  # Krizhevsky et al. 2012 count 32 * 32 * 2 = 2048
    seen = change(stored)
    assert seen.shape == (200, 1, 224, 224)
    places = set(torch.minimum(seen[:, 0, 0, 0], seen[:, 0, 0, -1]).tolist())
    assert places <= set(range(33))
    assert len(places) > 28
    assert "2,178 views of each image: 33 × 33 places" in change.sentence


def test_alternating_flips_mirror_each_image_in_every_other_epoch() -> None:
    many = torch.randint(256, (400, 3, 8, 7), dtype=torch.uint8)
    change = augmentation(many, flip=True, alternate=True)
    even, odd, again = (change(many, epoch) for epoch in (0, 1, 2))
    assert torch.equal(even, again)
    assert torch.equal(even.flip(3), odd)
    assert 150 < int((even == many).flatten(1).all(1).sum()) < 250
    assert torch.equal(change(many[7:9], 0), even[7:9]), "whatever the batch"


def test_images_that_look_the_same_mirrored_are_told_from_those_that_do_not() -> None:
    torch.manual_seed(0)
    noise = torch.randint(256, (300, 3, 12, 11), dtype=torch.uint8)
    targets = torch.arange(300) % 3
    assert "--augment.flip true" in symmetry.hint(noise, targets)[0]
    noise[targets == 1, :, 3:6, 7:] //= 4  # one class has a dark spot on the right
    assert not symmetry.hint(noise, targets)
    assert symmetry.asymmetry(noise[:30], targets[:30]) is None, "ten of a class are too few"
    digits = np.load(sources.locate("digits"))
    assert not symmetry.hint(torch.from_numpy(digits["x"])[:, None], torch.from_numpy(digits["y"]))


# --- Policies, erasing, mixtures ------------------------------------------------------------------


def test_trivial_augment_draws_each_operation_and_strength_equally_often() -> None:
    drawn = policies.trivial(42_000)
    counts = torch.bincount(drawn.operation_RB[0], minlength=14)
    assert (counts - 3000).abs().max() < 300
    levels = torch.bincount((drawn.level_RB[0] * 30).round().long(), minlength=31)
    assert (levels - 42_000 / 31).abs().max() < 200


@pytest.mark.parametrize("name", policies.PAINTING)
def test_an_operation_touches_its_own_images_only(name: str) -> None:
    operation = torch.tensor([[0, policies.OPERATIONS.index(name), 1, 0]])
    drawn = policies.Drawn(policies.WIDE, operation, torch.ones(1, 4), -torch.ones(1, 4))
    painted = drawn.paint(SMOOTH)
    assert torch.equal(painted[[0, 2, 3]], SMOOTH[[0, 2, 3]])
    assert not torch.equal(painted[1], SMOOTH[1])


def test_rand_augment_at_magnitude_zero_moves_nothing() -> None:
    drawn = policies.rand(40, 3, 0.0)
    matrices = drawn.matrices(torch.arange(40), 8, 8)
    assert torch.allclose(matrices, torch.eye(2, 3).expand(40, 2, 3))


def test_erased_areas_follow_the_paper_and_lie_within_the_image() -> None:
    torch.manual_seed(0)
    left, top, right, bottom = colours.rectangles(0.5, 8000, 64, 80, torch.device("cpu")).T
    area = (right - left) * (bottom - top)
    assert float((area > 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    share = area[area > 0] / (64 * 80)
    assert 0.015 < float(share.min()) < float(share.max()) < 0.42
    assert float(share.mean()) == pytest.approx(0.21, abs=0.015)
    assert int(left.min()) >= 0
    assert int(right.max()) <= 80
    assert int(bottom.max()) <= 64


def test_cutout_covers_a_square_cut_off_at_the_rim_with_the_mean_colour() -> None:
    white = torch.full((500, 3, 20, 30), 255, dtype=torch.uint8)
    covered = (augmentation(white, cutout=0.5)(white) == 128).all(1)
    areas = covered.sum((1, 2))
    assert int(areas.max()) == 100
    assert 20 < int(areas.min()) < 100


def test_cutmix_labels_are_the_areas() -> None:
    torch.manual_seed(0)
    images = torch.arange(16, dtype=torch.uint8)[:, None, None, None].expand(16, 3, 21, 17)
    cutmix = mixing.Cutmix(1.0)
    for _ in range(20):
        mixed = cutmix(Batch(images, torch.arange(16)))
        assert mixed.inputs.dtype == torch.uint8
        assert mixed.weights is not None
        for image, (own, other), (share, rest) in zip(
            mixed.inputs, mixed.targets.tolist(), mixed.weights.tolist(), strict=True
        ):
            assert set(image.unique().tolist()) <= {own, other}
            kept = float((image == own).float().mean())
            assert own == other or kept == pytest.approx(share, abs=1e-6)
            assert share + rest == pytest.approx(1)


def test_with_mixup_and_cutmix_each_batch_has_one_of_both() -> None:
    mix = mixing.of_images(SimpleNamespace(mixup=1.0, cutmix=1.0, fit=Fit(batch_size=8)))
    assert mix is not None
    batch = Batch(torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.arange(8))
    kinds = {mix(batch).inputs.dtype for _ in range(40)}
    assert kinds == {torch.uint8, torch.float32}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"alternate": True}, "augment.alternate contradicts augment.flip=false"),
        ({"erase": 0.5, "cutout": 0.3}, "augment.erase=0.5 contradicts augment.cutout=0.3"),
        ({"scale": 0}, "greater than 0"),
        ({"policy": "auto"}, "'none', 'trivial' or 'rand'"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(Augment, knobs)
