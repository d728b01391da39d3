"""What a network that forecasts looks back at: the regression that it corrects, and its attention.

A regression is linear: its weights say all of it, and are what the network's own evidence is to be
compared with. Attention says from where numbers are taken, not that they decide the forecast.
"""

# Letters in tensor names: B windows, C channels, T steps, N = B · V series, A heads, P patches, D
# width.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.forecasts.baselines import Linear
from glassnet.networks._forecast import Answer, Patches


def corrected(network: nn.Module) -> Linear | None:
    """The regression that a network corrects, as a network (B, C, T) -> (B, V, H); None: none."""
    answers = [part for part in network.modules() if isinstance(part, Answer)]
    return Linear(answers[0]) if answers and answers[0].regression is not None else None


@dataclass(frozen=True)
class Attended:
    """How the patches of one variable's past look at each other."""

    shares_LPP: Tensor
    """Of each layer, the mean of its heads: how much of what a patch reads comes from each."""
    places: list[tuple[int, int]]
    """The first and the last step of each patch, from the first step of the past."""
    num_heads: int


def attended(network: nn.Module, series_1CT: Tensor, variable: int) -> Attended | None:
    """The attention of a network that reads patches; None if this one does not."""
    cuts = [part for part in network.modules() if isinstance(part, Patches)]
    layers = [part for part in network.modules() if isinstance(part, nn.TransformerEncoderLayer)]
    if not cuts or not layers:
        return None
    found: list[Tensor] = []

    def look(layer: Any, given: tuple[Tensor, ...]) -> None:
        read_NPD = layer.norm1(given[0]) if layer.norm_first else given[0]
        _, shares_NAPP = layer.self_attn(
            read_NPD, read_NPD, read_NPD, need_weights=True, average_attn_weights=False
        )
        found.append(shares_NAPP[variable].mean(0).float().cpu())

    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with torch.no_grad():
            network(series_1CT)
    finally:
        for handle in handles:
            handle.remove()
    num_heads = int(layers[0].self_attn.num_heads)
    return Attended(torch.stack(found), cuts[0].places(), num_heads)
