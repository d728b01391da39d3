"""Occlusion: what becomes of an output if a window of the input is covered.

Paper: Matthew D. Zeiler, Rob Fergus (2014), "Visualizing and Understanding Convolutional Networks",
arXiv:1311.2901, section 4.2. The paper covers with grey and draws the answer for each place of the
window; ours covers with the input's own mean and gives each place the mean of the losses of all
windows that covered it.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.explain.maps import Target
from glassnet.explain.saliency import mean

WINDOWS = 6
"""Windows side by side along the shorter side of an input, if no size is given."""
BATCH = 2**21
"""Numbers of the inputs that go through the network at once: 700 images of 3×32×32."""


def occlusion(
    network: nn.Module,
    inputs: Tensor,
    target: Target,
    *,
    window: int | None = None,
    stride: int | None = None,
    baseline: Tensor | None = None,
) -> Tensor:
    """Return what each place of the inputs is worth to the target: (B, *sides).

    Negative where covering raises the target. ``window`` and ``stride`` are in pixels (unset: a
    sixth of the shorter side, at least 3, and two thirds of that); ``baseline`` is what covers
    (unset: each input's mean, channel by channel).
    """
    floats, sides = inputs.float(), inputs.shape[2:]
    window = window or max(3, round(min(sides) / WINDOWS))
    stride = stride or max(1, window * 2 // 3)
    cover = mean(floats) if baseline is None else baseline.float().expand_as(floats)
    places = windows(tuple(sides), window, stride)
    losses, counts = floats.new_zeros(floats[:, 0].shape), floats.new_zeros(tuple(sides))
    size = max(1, BATCH // floats.numel())
    with torch.no_grad():
        whole = target(network(floats))
        for start in range(0, len(places), size):
            part = places[start : start + size]
            covered = floats.repeat(len(part), *(1,) * (floats.ndim - 1))
            rows = covered.view(len(part), *floats.shape)
            for row, place in zip(rows, part, strict=True):
                window_of: tuple[Any, ...] = (..., *place)
                row[window_of] = cover[window_of]
            found = each(target, network(covered), len(part))
            for place, now in zip(part, found, strict=True):
                loss = (whole - now).view(-1, *(1,) * len(sides))
                losses[(slice(None), *place)] += loss
                counts[place] += 1
    return losses / counts


def windows(sides: tuple[int, ...], window: int, stride: int) -> list[tuple[slice, ...]]:
    """Every place of the window; the last ones end with the input, so that nothing is left out.

    >>> [(one.start, one.stop) for (one,) in windows((8,), 3, 2)]
    [(0, 3), (2, 5), (4, 7), (5, 8)]
    """
    axes = []
    for side in sides:
        end = max(0, side - window)
        starts = [*range(0, end, stride), end]
        axes.append([slice(start, min(side, start + window)) for start in starts])
    return list(itertools.product(*axes))


def each(target: Target, outputs: Tensor, times: int) -> Tensor:
    """The target of the same examples, ``times`` over: (times, B)."""
    return torch.stack([target(part) for part in outputs.chunk(times)])
