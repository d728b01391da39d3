"""What networks for images share: the check of the input, and large layers drawn once."""

import torch
from torch import nn


def check_image(
    name: str, input_shape: tuple[int, ...], least_side: int, instead: str = ""
) -> None:
    """Refuse what is not (channels, height, width) of the least size, in pixels.

    ``instead`` tells what a person with smaller images can do.

    Raises:
        ValueError: names the network, what was expected and what was found.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"{name}: input_shape must be (channels, height, width), found {input_shape}"
        )
    height, width = input_shape[1:]
    if min(height, width) < least_side:
        raise ValueError(
            f"{name}: images must have at least {least_side}×{least_side} pixels, "
            f"found {height}×{width}{instead and f'; {instead}'}"
        )


def undrawn_linear(dim_in: int, dim_out: int) -> nn.Linear:
    """Return a dense layer whose numbers are whatever memory held; `initialize` must set them.

    torch draws first weights as it builds a layer. The 102 million of VGG's first dense layer
    would be drawn twice: once by torch, once by its file's table.
    """
    return nn.Linear(dim_in, dim_out, device="meta").to_empty(device=torch.get_default_device())
