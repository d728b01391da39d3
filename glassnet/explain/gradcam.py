"""Grad-CAM: which places of the last map speak for an output.

Paper: Ramprasaath R. Selvaraju, Michael Cogswell, Abhishek Das, Ramakrishna Vedantam, Devi Parikh,
Dhruv Batra (2017), "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", arXiv:1610.02391, equations 1 and 2. Ours differs in nothing but the map: it is found
by its shape, as the last one with more than one place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glassnet.explain import maps
from glassnet.explain.maps import Target


def gradcam(
    network: nn.Module, inputs: Tensor, target: Target, *, layer: str | None = None
) -> Tensor:
    """Return the evidence for each place of the inputs (B, C, *sides), at least 0: (B, *sides).

    Each channel of the map counts by the mean of the target's gradient over its places; what
    speaks against the target is left out, as in the paper. ``layer`` is a module that gives a map
    (unset: the last one). The map is enlarged by (bi)linear interpolation.
    """
    layer = layer or maps.last(network, inputs).name
    with torch.enable_grad():
        given = inputs.float().requires_grad_()  # also where all weights are frozen
        outputs, found = maps.values(network, given, [layer])
        (gradient,) = torch.autograd.grad(target(outputs).sum(), found[layer])
    weights_BC = gradient.flatten(2).mean(2)
    sums = torch.einsum("bc,bc...->b...", weights_BC, found[layer].detach())
    return enlarged(sums.relu(), tuple(inputs.shape[2:]))


def enlarged(coarse: Tensor, sides: tuple[int, ...]) -> Tensor:
    """(B, *coarse sides) -> (B, *sides)."""
    mode = "linear" if len(sides) == 1 else "bilinear"
    return nn.functional.interpolate(coarse[:, None], sides, mode=mode)[:, 0]
