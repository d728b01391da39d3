"""Learned filters: the kernels of a convolution as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from glassnet.errors import UserError
from glassnet.explain import colours, maps
from glassnet.figures import Images, Picture, png

SHOWN, SLICES = 32, 16


@dataclass(frozen=True)
class Filters:
    """The kernels of one layer that have the largest weights."""

    layer: str
    channels: Sequence[int]
    """Which filters, the one with the largest sum of squares first."""
    kernels: Tensor
    """(shown, C, height, width)."""
    num_filters: int

    def to_json(self) -> dict[str, Any]:
        """All shown weights, nested as (filter, input channel, row, column)."""
        return {**vars(self), "channels": list(self.channels), "kernels": self.kernels.tolist()}

    @property
    def figure(self) -> Images:
        """One picture for each filter: in colour if it reads colours, else a grid of greys."""
        inputs, *sides = self.kernels.shape[1:]
        colour = inputs == 3
        items = [
            Picture(
                png(_picture(kernel, colour)),
                f"filter {c + 1}",
                f"±{float(kernel.abs().max()):.2g}",
            )
            for c, kernel in zip(self.channels, self.kernels, strict=True)
        ]
        left = self.num_filters - len(items)
        some = f"The {len(items)} of {self.num_filters} filters with the largest weights. "
        note = some if left else ""
        note += "Each filter has a scale of its own, from minus to plus the number below it: "
        note += (
            "a weight of 0 is middle grey, in all three colours."
            if colour
            else "black, grey for 0, white."
        )
        if not colour and inputs > 1:
            note += (
                f" Each square is the part that reads one channel; the {min(inputs, SLICES)} of "
                f"{inputs} with the largest weights are shown, the largest first."
            )
        title = f"{self.layer}: {self.num_filters} filters of {' × '.join(map(str, sides))}"
        return Images(title, items, pixelated=True, note=note)


def filters(network: nn.Module, layer: str | None = None, shown: int = SHOWN) -> Filters:
    """Return the kernels of a 2-D convolution: of the first one, or of the one named.

    Raises:
        UserError: If there is no such convolution.
    """
    known = {n: m for n, m in maps.convolutions(network).items() if isinstance(m, nn.Conv2d)}
    if layer is None and known:
        layer = next(iter(known))
    if layer not in known:
        raise UserError(
            f"{layer!r} is no convolution over images. Convolutions: {', '.join(known) or 'none'}."
        )
    weight = known[layer].weight.detach().cpu()
    order = weight.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:shown]
    return Filters(layer, order.tolist(), weight[order], len(weight))


def _picture(kernel: Tensor, colour: bool) -> Any:
    level = kernel / (kernel.abs().max().clamp_min(1e-12)) * 127.5 + 127.5  # (C, h, w)
    if colour:
        return colours.plain(level)
    order = kernel.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:SLICES]
    pictures = [colours.plain(level[c : c + 1]) for c in order.tolist()]
    return colours.mosaic(pictures, min(4, len(pictures)))
