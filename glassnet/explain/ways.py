"""How a window moves over an input, which numbers lie under it, and torch's own answers."""

# Letters in tensor names: C channels, H height and W width of the input, Y rows and X columns of
# the output, K rows and L columns of the kernel or window, S windows along one axis.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.errors import UserError

Kind: TypeAlias = Literal["convolution", "max", "average", "l2"]
Pooling: TypeAlias = Literal["max", "average", "l2"]
NAMES: dict[Kind, str] = {
    "convolution": "convolution", "max": "max pooling", "average": "average pooling",
    "l2": "L2-norm pooling",
}  # fmt: skip
LARGEST = 1e100
MOST = 2**26
"""Numbers under all windows together, 512 MB: 64 channels of 224×224 under 3×3 are 29 million."""


class Way:
    """How a window moves: its size, stride, padding and dilation, each (rows, columns)."""

    def __init__(
        self,
        axes: int,
        size: tuple[int, ...],
        stride: int | Sequence[int],
        padding: int | Sequence[int],
        dilation: int | Sequence[int],
    ) -> None:
        self.axes, self.size = axes, (size[0], size[1])
        self.stride = pair(stride, axes, "stride", 1, first=1)
        self.padding = pair(padding, axes, "padding", 0, first=0)
        self.dilation = pair(dilation, axes, "dilation", 1, first=1)

    def shape(self, pair: Sequence[int]) -> str:
        """As people write it: 3×3, or 3 for a signal."""
        return "×".join(map(str, pair[-self.axes :]))

    def starts(self, axis: int, length: int) -> Tensor:
        """Cells of the input (S, size of the window) under each of S windows along one axis."""
        reach = self.dilation[axis] * (self.size[axis] - 1) + 1
        last = length + 2 * self.padding[axis] - reach
        first = torch.arange(0, last + 1, self.stride[axis]) - self.padding[axis]
        return first[:, None] + self.dilation[axis] * torch.arange(self.size[axis])

    def patches(self, x_CHW: Tensor, filling: float) -> Tensor:
        """The numbers under every window, (C, Y, X, K, L)."""
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.size, strict=True)]
        room = [n + 2 * p for n, p in zip(x_CHW.shape[1:], self.padding, strict=True)]
        if any(a > b for a, b in zip(reach, room, strict=True)):
            raise UserError(
                f"The window spans {self.shape(reach)} cells, but the input has only "
                f"{self.shape(x_CHW.shape[1:])}, with padding {self.shape(room)}: take a smaller "
                "kernel or window, less dilation, or more padding."
            )
        windows = [(b - a) // s + 1 for a, b, s in zip(reach, room, self.stride, strict=True)]
        if max(len(x_CHW) * math.prod(windows) * math.prod(self.size), math.prod(room)) > MOST:
            raise UserError(
                f"An input of {self.shape(room)} cells, its padding among them, has "
                f"{math.prod(windows):,} windows, which is too much to be stepped through: take a "
                "smaller input, less padding, or a larger stride."
            )
        (ph, pw) = self.padding
        padded_CHW = F.pad(x_CHW, (pw, pw, ph, ph), value=filling)
        rows_YK, columns_XL = (
            self.starts(0, x_CHW.shape[1]) + ph,
            self.starts(1, x_CHW.shape[2]) + pw,
        )
        return padded_CHW[:, rows_YK[:, None, :, None], columns_XL[None, :, None, :]]

    def torchs_convolution(self, x_CHW: Tensor, k_CKL: Tensor, bias: float) -> tuple[str, Tensor]:
        """The same by torch, (Y, X)."""
        b = torch.tensor([bias], dtype=x_CHW.dtype)
        last = (self.stride[1], self.padding[1], self.dilation[1])
        if self.axes == 1:
            return "torch's conv1d", F.conv1d(x_CHW[None, :, 0], k_CKL[None, :, 0], b, *last)[0]
        both = (self.stride, self.padding, self.dilation)
        return "torch's conv2d", F.conv2d(x_CHW[None], k_CKL[None], b, *both)[0, 0]

    def torchs_pooling(self, kind: Pooling, x_CHW: Tensor) -> tuple[str, Tensor]:
        """The same by torch, (C, Y, X); it dilates maxima alone, and pads all but L2."""
        size, stride = self.size, self.stride
        if kind == "max":
            found = F.max_pool2d(x_CHW, size, stride, self.padding, self.dilation)
            return "torch's max_pool2d", found
        if self.dilation != (1, 1):
            raise UserError(f"--dilation: torch dilates max pooling alone, not {NAMES[kind]}.")
        if kind == "average":
            return "torch's avg_pool2d", F.avg_pool2d(x_CHW, size, stride, self.padding)
        (ph, pw) = self.padding
        padded_CHW = F.pad(x_CHW, (pw, pw, ph, ph))
        return "torch's lp_pool2d", F.lp_pool2d(padded_CHW, 2.0, size, stride)


def numbers(given: Any, name: str) -> Tensor:
    """A float64 tensor of one to three axes, of finite numbers whose squares are finite too."""
    try:
        found = torch.as_tensor(given, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--{name}: expected numbers in rows of one length, such as [[1, 0], [0, 1]]; {error}."
        ) from None
    if not 1 <= found.ndim <= 3 or not found.numel():
        raise UserError(
            f"--{name}: expected numbers of one axis (a signal), two (an image) or three "
            f"(channels), found the shape {tuple(found.shape)}."
        )
    if not (found.abs() <= LARGEST).all():
        raise UserError(
            f"--{name}: expected finite numbers of at most {LARGEST:g}, found NaN, infinity or a "
            "larger one."
        )
    return found


def maps(given: Tensor, axes: int) -> Tensor:
    """Numbers as (C, H, W); a signal (L,) or (C, L) becomes (C, 1, L)."""
    if axes == 1 and (given.ndim < 3 or given.shape[1] == 1):
        return given.reshape(-1, 1, given.shape[-1])
    if axes == 2 and given.ndim > 1:
        return given if given.ndim == 3 else given[None]
    takes = "a signal" if axes == 1 else "an image"
    raise UserError(f"Expected {takes}, found numbers of the shape {tuple(given.shape)}.")


def pair(
    given: int | Sequence[int], axes: int, name: str, least: int, first: int
) -> tuple[int, int]:
    """(rows, columns) of a setting; a signal moves along its columns only."""
    both = list(given) if isinstance(given, Sequence) else [given] * axes
    if len(both) != axes or any(
        isinstance(n, bool) or not isinstance(n, int) or not least <= n <= MOST for n in both
    ):
        more = "" if axes == 1 else ", or two: rows,columns"
        raise UserError(
            f"--{name} {given}: expected a whole number from {least} up, at most {MOST:,}{more}."
        )
    return (both[0], both[1]) if axes == 2 else (first, both[0])
