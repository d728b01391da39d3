"""Feature maps: what some layers of a network give for one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.explain import colours, maps
from glassnet.figures import Images, Picture, png

SHOWN = 11  # with the scale two rows of a page


@dataclass(frozen=True)
class FeatureMaps:
    """The most active maps of one layer for one image."""

    layer: str
    channels: Sequence[int]
    """By the largest absolute number on their map, the strongest first."""
    values: Tensor
    """(shown, H, W)."""
    num_channels: int
    num_silent: int
    """Channels that are 0 everywhere for this image."""

    def to_json(self) -> dict[str, Any]:
        """All shown numbers, nested as (channel, row, column)."""
        return {**vars(self), "channels": list(self.channels), "values": self.values.tolist()}

    @property
    def figure(self) -> Images:
        """One picture for each map, on one scale."""
        most = float(self.values.abs().max()) or 1.0
        signed = bool((self.values < 0).any())
        size = tuple(self.values.shape[1:])
        items = [
            Picture(
                png(_coloured(one / most, signed)),
                f"channel {channel + 1}",
                f"{float(one.min()):.3g} to {float(one.max()):.3g}",
            )
            for channel, one in zip(self.channels, self.values, strict=True)
        ]
        left = self.num_channels - len(self.channels)
        note = f"The {len(items)} of {self.num_channels} channels with the largest numbers"
        note += f"; {left} are left out" * bool(left)
        note += f"; {self.num_silent} of all are 0 everywhere" * bool(self.num_silent)
        items.append(colours.value_scale(-most if signed else 0.0, most))
        title = f"{self.layer}: maps of {size[0]} × {size[1]}"
        return Images(title, items, pixelated=max(size) <= colours.SMALL, note=f"{note}.")


def feature_maps(
    network: nn.Module, image: Tensor, layers: Sequence[str], shown: int = SHOWN
) -> list[FeatureMaps]:
    """Return the most active maps of each layer for one image (C, H, W)."""
    with torch.no_grad():
        _, found = maps.values(network, image[None].float(), layers)
    return [_strongest(layer, found[layer][0].cpu(), shown) for layer in layers]


def _strongest(layer: str, map_CHW: Tensor, shown: int) -> FeatureMaps:
    peaks = map_CHW.abs().amax((1, 2))
    order = peaks.argsort(descending=True, stable=True)[:shown]
    silent = int((peaks == 0).sum())
    return FeatureMaps(layer, order.tolist(), map_CHW[order], len(map_CHW), silent)


def _coloured(one: Tensor, signed: bool) -> Any:
    # One scale for all maps of a layer: a map without negative numbers is drawn on it too.
    if signed and not bool((one < 0).any()):
        return colours.scaled(torch.cat([one, torch.full_like(one[:1], -1.0)]))[:-1]
    return colours.scaled(one)
