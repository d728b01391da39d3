"""Linear networks: which ones are, and where the line of one with two inputs lies."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def only_layer(network: nn.Module) -> nn.Linear | None:
    """The one layer of a network that has weights, if it is one, and dense; else None."""
    weighted = [m for m in network.modules() if next(m.parameters(recurse=False), None) is not None]
    one = weighted[0] if len(weighted) == 1 else None
    return one if isinstance(one, nn.Linear) else None


def line(network: nn.Module) -> Callable[[], list[float]] | None:
    """What reads the line [w1, w2, b] of a linear network that parts a plane in two classes.

    The second class is answered where w1 x1 + w2 x2 + b > 0. None for any other network.
    """
    layer = only_layer(network)
    if layer is None or layer.bias is None or layer.weight.shape != (2, 2):
        return None
    weight, bias = layer.weight, layer.bias

    def read() -> list[float]:
        first, second = weight.tolist()
        low, high = bias.tolist()
        return [second[0] - first[0], second[1] - first[1], high - low]

    return read
