"""Augmentation: random changes that keep the answer, on a whole batch of images at once.

The functions take and return a batch (B, C, H, W) of any type on any device, uint8 as it is stored,
and draw from torch's global random state of that device: `torch.manual_seed` repeats them.
"""

# Letters in tensor names: B images, C channels, H height, W width.

import torch
from torch import Tensor


def shift(images_BCHW: Tensor, pixels: int) -> Tensor:
    """Move each image by up to `pixels` in x and in y; every offset is equally likely.

    What moves in from outside repeats the nearest edge pixel, so that white paper stays white.
    """
    B, _, H, W = images_BCHW.shape
    device = images_BCHW.device
    padded = images_BCHW[:, :, padded_index(H, pixels, device)]
    padded = padded[:, :, :, padded_index(W, pixels, device)]
    windows = padded.unfold(2, H, 1).unfold(3, W, 1)  # (B, C, dy, dx, H, W), a view: no copy
    dy, dx = torch.randint(2 * pixels + 1, (2, B), device=device)
    return windows[torch.arange(B, device=device), :, dy, dx]


def flip(images_BCHW: Tensor) -> Tensor:
    """Mirror each image left to right with probability 1/2."""
    mirrored_B = torch.rand(images_BCHW.shape[0], device=images_BCHW.device) < 0.5
    return torch.where(mirrored_B[:, None, None, None], images_BCHW.flip(3), images_BCHW)


def padded_index(length: int, pixels: int, device: torch.device) -> Tensor:
    """Return the rows to read for a border of `pixels` that repeats the edge: 0 0 0 1 2 … n n n."""
    return torch.arange(-pixels, length + pixels, device=device).clamp(0, length - 1)
