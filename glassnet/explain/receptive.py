"""Receptive fields: which part of an input one place of a map looks at.

It is where the gradient of that place with respect to the input is not zero, which holds for any
network, with shortcuts and pooling alike. See Wenjie Luo, Yujia Li, Raquel Urtasun, Richard Zemel
(2016), "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
arXiv:1701.04128: most of the weight lies in the middle of the box that is given here.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from glassnet.explain import maps

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the latter two are not in it."""
SAMPLES = 4
"""Noise images: a maximum or a ReLU lets a gradient through at some of them if not at one."""


def boxes(
    network: nn.Module, inputs: Tensor, layer: str, places: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Box]:
    """The receptive field of each place (row, column) of the layer's map, cut at the border.

    ``inputs`` (B, C, H, W) only give the size. A kernel being a rectangle, rows depend on the row
    alone and columns on the column: one gradient serves one of each.
    """
    wanted = list(places)
    rows, columns = sorted({i for i, _ in wanted}), sorted({j for _, j in wanted})
    generator = torch.Generator().manual_seed(0)
    shape = (SAMPLES, *inputs.shape[1:])
    with torch.enable_grad():
        noise = (torch.rand(shape, generator=generator) * 255).to(inputs.device).requires_grad_()
        _, found = maps.values(network, noise, [layer], stop=True)
        map_BCHW = found[layer]
        signs = torch.randn(map_BCHW.shape[:2], generator=generator).to(inputs.device)
        heights: dict[int, tuple[int, int]] = {}
        widths: dict[int, tuple[int, int]] = {}
        for number in range(max(len(rows), len(columns))):
            row, column = rows[number % len(rows)], columns[number % len(columns)]
            one = (map_BCHW[:, :, row, column] * signs).sum()
            (gradient,) = torch.autograd.grad(one, noise, retain_graph=True)
            seen = (gradient != 0).any(0).any(0)  # (H, W)
            heights[row], widths[column] = _extent(seen.any(1)), _extent(seen.any(0))
    return {(i, j): (heights[i][0], widths[j][0], heights[i][1], widths[j][1]) for i, j in wanted}


def _extent(seen: Tensor) -> tuple[int, int]:
    places = seen.nonzero().flatten()
    if not len(places):  # nothing gets through: a map that does not depend on its input
        return 0, len(seen)
    return int(places[0]), int(places[-1]) + 1
