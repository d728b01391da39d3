"""The first layer of every image network: bytes in, standardized floats out.

It is part of the network, so that training, prediction and export cannot disagree about it, and
so that images stay bytes until they are on the device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """(pixels / 255 - mean) / std, per channel, in the memory order that convolutions like.

    Of images larger than (height, width) the middle is taken: training crops out of them at random
    before, all others come here as they are stored.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], height: int, width: int
    ) -> None:
        super().__init__()
        self.height, self.width = height, width
        # A constant channel has no spread; leave it at zero instead of dividing by it.
        spread = torch.tensor([s if s > 0 else 1.0 for s in std])
        self.register_buffer("scale", (1 / (255 * spread)).view(1, -1, 1, 1), persistent=False)
        shift = (torch.tensor(list(mean)) / spread).view(1, -1, 1, 1)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Turn uint8 pixels into floats of mean 0 and standard deviation 1."""
        middle = cropped(pixels_BCHW, self.height, self.width)
        floats = middle.to(torch.float32, memory_format=torch.channels_last)
        return floats * self.scale - self.shift


def cropped(pixels_BCHW: Tensor, height: int, width: int) -> Tensor:
    """Return the middle of images, a view: what a network reads of those that are stored larger."""
    # Halves go to the even neighbour, as where published networks were measured.
    top = round((pixels_BCHW.shape[2] - height) / 2)
    left = round((pixels_BCHW.shape[3] - width) / 2)
    return pixels_BCHW[:, :, top : top + height, left : left + width]


def behind(network: nn.Module) -> nn.Module:
    """Return the network that reads the standardized floats: what published weights are for."""
    pairs = [m for m in network.modules() if isinstance(m, nn.Sequential)]
    return next(pair[1] for pair in pairs if isinstance(pair[0], Standardize))
