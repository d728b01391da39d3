"""Geometry of augmentation: drawn once for a batch, applied to images, masks and boxes alike.

A move says, for each pixel of the changed image, where in the original it is read. Whole offsets
and mirrorings are read pixel by pixel, exactly; everything else by one bilinear resampling, never
two, however many changes are put together.

Coordinates are in pixels, x to the right and y down; pixel 0 covers 0 to 1, its middle is 0.5.
"""

# Letters in tensor names: B images, C channels, H height, W width, N boxes; 23 a matrix (2, 3).

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

Padding = Literal["edge", "zero", "reflect"]
_MODES = {"edge": "border", "zero": "zeros", "reflect": "reflection"}


@dataclass(frozen=True)
class Move:
    """Where each pixel of a changed batch is read in the original one."""

    matrix_B23: Tensor
    """(x, y, 1) in the changed image -> (x, y) in the original; float32."""
    height: int
    width: int
    """Of the changed images, in pixels."""
    padding: Padding = "edge"
    """What lies outside: the nearest edge pixel, zeros, or the image mirrored at its edge."""
    between: Tensor | None = None
    """int64 (n,): images that are read between pixels, bilinearly. All others have whole offsets
    and at most mirrorings. None: all of them are such."""

    def images(self, images_BCHW: Tensor) -> Tensor:
        """Return the changed images, of the same type; uint8 is rounded to the nearest."""
        if self.between is None:
            return self._exact(images_BCHW)
        if len(self.between) == len(images_BCHW):
            return self._resampled(images_BCHW)
        changed = self._exact(images_BCHW)
        if len(self.between):
            few = Move(self.matrix_B23[self.between], self.height, self.width, self.padding)
            changed[self.between] = few._resampled(images_BCHW[self.between])
        return changed

    def masks(self, masks_BHW: Tensor, outside: int) -> Tensor:
        """Return the changed masks: each label is one of the original's, or ``outside``.

        What an image's padding shows is never labelled.
        """
        B, H, W = masks_BHW.shape
        x, y = (value.floor().long() for value in self._places(sheared=True))
        index = (y.clamp(0, H - 1) * W + x.clamp(0, W - 1)).view(B, -1)
        changed = masks_BHW.reshape(B, -1).gather(1, index).view(B, self.height, self.width)
        return changed.masked_fill(~_inside(x, W) | ~_inside(y, H), outside)

    def boxes(
        self, boxes_N4: Tensor, image_N: Tensor, least: float = 0.25
    ) -> tuple[Tensor, Tensor]:
        """Return the changed boxes, and which of them are still there, bool (N,).

        Args:
            boxes_N4: Left, top, right and bottom, float.
            image_N: Which image of the batch each box belongs to, int64.
            least: A box of which less than this share of the area is left within the image is no
                longer there.
        """
        left, top, right, bottom = boxes_N4.unbind(1)
        xs = torch.stack([left, right, right, left], 1)  # (N, 4 corners)
        ys = torch.stack([top, top, bottom, bottom], 1)
        inverse = _inverse(self.matrix_B23)[image_N]
        new_xs = inverse[:, 0, :1] * xs + inverse[:, 0, 1:2] * ys + inverse[:, 0, 2:]
        new_ys = inverse[:, 1, :1] * xs + inverse[:, 1, 1:2] * ys + inverse[:, 1, 2:]
        low_x, high_x, low_y, high_y = (
            new_xs.amin(1), new_xs.amax(1), new_ys.amin(1), new_ys.amax(1),
        )  # fmt: skip
        whole = (high_x - low_x) * (high_y - low_y)
        low_x, high_x = low_x.clamp(0, self.width), high_x.clamp(0, self.width)
        low_y, high_y = low_y.clamp(0, self.height), high_y.clamp(0, self.height)
        area = (high_x - low_x) * (high_y - low_y)
        kept = (area > 0) & (area >= least * whole)
        return torch.stack([low_x, low_y, high_x, high_y], 1), kept

    def _exact(self, images_BCHW: Tensor) -> Tensor:
        """By one gather: nine times as fast as indexing windows of a padded copy."""
        B, C, H, W = images_BCHW.shape
        x_B1W, y_BH1 = (value.floor().long() for value in self._places(sheared=False))
        index = _fold(y_BH1, H, self.padding) * W + _fold(x_B1W, W, self.padding)
        flat = images_BCHW.reshape(B, C, -1)
        read = flat.gather(2, index.view(B, 1, -1).expand(B, C, -1))
        read = read.view(B, C, self.height, self.width)
        if self.padding == "zero":
            read.mul_((_inside(x_B1W, W) & _inside(y_BH1, H))[:, None])
        return read

    def _resampled(self, images_BCHW: Tensor) -> Tensor:
        H, W = images_BCHW.shape[2:]
        x_BHW, y_BHW = self._places(sheared=True)
        grid = torch.stack([x_BHW * (2 / W) - 1, y_BHW * (2 / H) - 1], 3)
        pixels = images_BCHW.to(grid.dtype)
        read = grid_sample(pixels, grid, padding_mode=_MODES[self.padding], align_corners=False)
        if images_BCHW.dtype.is_floating_point:
            return read.to(images_BCHW.dtype)
        return read.add_(0.5).to(images_BCHW.dtype)

    def _places(self, *, sheared: bool) -> tuple[Tensor, Tensor]:
        """X and y at which each pixel is read: (B, H, W), or (B, 1, W) and (B, H, 1)."""
        device = self.matrix_B23.device
        X = torch.arange(self.width, device=device) + 0.5
        Y = torch.arange(self.height, device=device)[:, None] + 0.5
        m = self.matrix_B23[:, :, :, None, None]
        x, y = m[:, 0, 0] * X + m[:, 0, 2], m[:, 1, 1] * Y + m[:, 1, 2]
        return (x + m[:, 0, 1] * Y, y + m[:, 1, 0] * X) if sheared else (x, y)


# --- What moves are made of: matrices (B, 2, 3) ---------------------------------------------------


def windows(
    top_B: Tensor, left_B: Tensor, high_B: Tensor, wide_B: Tensor, height: int, width: int
) -> Tensor:
    """Windows of the original (their upper left corner, height and width) become the image."""
    zero = torch.zeros_like(top_B)
    return _matrix(wide_B / width, zero, left_B, zero, high_B / height, top_B)


def mirrors(across_B: Tensor, upside_B: Tensor, height: int, width: int) -> Tensor:
    """Mirror left to right, and upside down, the images that are marked (bool)."""
    x, y = 1 - 2 * across_B.float(), 1 - 2 * upside_B.float()
    zero = torch.zeros_like(x)
    return _matrix(x, zero, width * across_B.float(), zero, y, height * upside_B.float())


def rotations(degrees_B: Tensor, height: int, width: int) -> Tensor:
    """Turn counterclockwise around the middle."""
    angle = degrees_B * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _about_middle(_matrix(cos, -sin, zero, sin, cos, zero), height, width)


def shears(x_B: Tensor, y_B: Tensor, height: int, width: int) -> Tensor:
    """Read each row moved by ``x`` times its distance from the middle, and columns by ``y``."""
    one, zero = torch.ones_like(x_B), torch.zeros_like(x_B)
    return _about_middle(_matrix(one, x_B, zero, y_B, one, zero), height, width)


def offsets(x_B: Tensor, y_B: Tensor) -> Tensor:
    """Read ``x`` pixels further right and ``y`` further down."""
    one, zero = torch.ones_like(x_B), torch.zeros_like(x_B)
    return _matrix(one, zero, x_B, zero, one, y_B)


def chain(first_B23: Tensor, then_B23: Tensor) -> Tensor:
    """One matrix for a change, and another one of what it gave."""
    linear = first_B23[:, :, :2] @ then_B23[:, :, :2]
    offset = first_B23[:, :, :2] @ then_B23[:, :, 2:] + first_B23[:, :, 2:]
    return torch.cat([linear, offset], 2)


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor) -> Tensor:
    return torch.stack([a, b, c, d, e, f], 1).view(-1, 2, 3)


def _about_middle(matrix_B23: Tensor, height: int, width: int) -> Tensor:
    middle = matrix_B23.new_tensor([width / 2, height / 2])[:, None]
    linear = matrix_B23[:, :, :2]
    return torch.cat([linear, middle - linear @ middle + matrix_B23[:, :, 2:]], 2)


def _inverse(matrix_B23: Tensor) -> Tensor:
    linear = matrix_B23[:, :, :2].inverse()
    return torch.cat([linear, -linear @ matrix_B23[:, :, 2:]], 2)


def _inside(index: Tensor, length: int) -> Tensor:
    return (index >= 0) & (index < length)


def _fold(index: Tensor, length: int, padding: Padding) -> Tensor:
    """The pixel inside that stands for one outside."""
    if padding != "reflect":
        return index.clamp(0, length - 1)
    index = index % (2 * length)
    return torch.minimum(index, 2 * length - 1 - index)
