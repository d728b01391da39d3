"""Test-time augmentation: in evaluation mode the answer is the average over views of the image.

It is part of the network, so that validation, evaluation, prediction and export cannot disagree.
Training passes through.

Ten crops: Krizhevsky, Sutskever, Hinton (2012), section 4.1. Mirrored and moved views: Keller
Jordan (2024), "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", whose weights these are: the
moved views, up left and down right, count half as much as the unmoved one.
"""

# Letters in tensor names: B images, C channels, H height, W width, K classes.

from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Views(nn.Module):
    """A network of uint8 images (B, C, H, W) -> logits (B, K), asked about several views."""

    def __init__(self, network: nn.Module, kind: str, height: int, width: int) -> None:
        """``height`` and ``width`` are what the network reads; of larger images, the middle."""
        super().__init__()
        self.network, self.kind, self.height, self.width = network, kind, height, width

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Return logits; in evaluation mode the weighted mean of each view's log-probabilities."""
        if self.training:
            logits: Tensor = self.network(pixels_BCHW)
            return logits
        total_BK = torch.zeros((), device=pixels_BCHW.device)
        for share, view_BCHW in self._views(pixels_BCHW):
            total_BK = total_BK + share * self.network(view_BCHW).log_softmax(1)
        return total_BK

    def _views(self, pixels_BCHW: Tensor) -> Iterator[tuple[float, Tensor]]:
        """Each view, one after another so that memory holds one, and its share of the answer."""
        if self.kind == "ten_crops":
            for crop in self._crops(pixels_BCHW):
                yield 0.1, crop
                yield 0.1, crop.flip(3)
            return
        moved = [(1.0, pixels_BCHW)]
        if self.kind in ("shift", "flip_shift"):
            pixels = max(1, round(min(self.height, self.width) / 32))
            moved = [(0.5, pixels_BCHW)]
            moved += [(0.25, _moved(pixels_BCHW, step)) for step in (-pixels, pixels)]
        for share, view in moved:
            if self.kind == "shift":
                yield share, view
            else:
                yield share / 2, view
                yield share / 2, view.flip(3)

    def _crops(self, pixels_BCHW: Tensor) -> Iterator[Tensor]:
        """The middle and the four corners."""
        room_y, room_x = pixels_BCHW.shape[2] - self.height, pixels_BCHW.shape[3] - self.width
        middle = (room_y // 2, room_x // 2)
        for top, left in (middle, (0, 0), (0, room_x), (room_y, 0), (room_y, room_x)):
            yield pixels_BCHW[:, :, top : top + self.height, left : left + self.width]


def _moved(pixels_BCHW: Tensor, step: int) -> Tensor:
    """Read each pixel ``step`` further down and right; the edge is repeated."""
    H, W = pixels_BCHW.shape[2:]
    rows = (torch.arange(H, device=pixels_BCHW.device) + step).clamp(0, H - 1)
    columns = (torch.arange(W, device=pixels_BCHW.device) + step).clamp(0, W - 1)
    return pixels_BCHW[:, :, rows][:, :, :, columns]
