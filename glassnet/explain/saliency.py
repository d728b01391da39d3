"""Evidence from gradients with respect to the input: saliency, SmoothGrad, integrated gradients.

Papers: Karen Simonyan, Andrea Vedaldi, Andrew Zisserman (2013), "Deep Inside Convolutional
Networks", arXiv:1312.6034 (saliency); Daniel Smilkov et al. (2017), "SmoothGrad: removing noise by
adding noise", arXiv:1706.03825; Mukund Sundararajan, Ankur Taly, Qiqi Yan (2017), "Axiomatic
Attribution for Deep Networks", arXiv:1703.01365 (integrated gradients).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glassnet.explain.maps import Target

NOISE = 0.15
"""Standard deviation of SmoothGrad's noise as a share of the range of each input; the paper finds
10 % to 20 % to be best (section 3.1)."""


def saliency(network: nn.Module, inputs: Tensor, target: Target) -> Tensor:
    """Return how much the target changes with each place of the inputs: (B, *sides).

    The largest absolute gradient over the channels, as in the paper.
    """
    return gradient(network, inputs.float(), target).abs().amax(1)


def smoothgrad(
    network: nn.Module, inputs: Tensor, target: Target, *, samples: int = 16, seed: int = 0
) -> Tensor:
    """Return the mean of ``saliency`` over noisy copies of the inputs: (B, *sides)."""
    generator = torch.Generator().manual_seed(seed)
    floats = inputs.float()
    size = (1,) * (floats.ndim - 1)
    spread = (floats.flatten(1).amax(1) - floats.flatten(1).amin(1)).view(-1, *size) * NOISE
    total = floats.new_zeros(floats[:, 0].shape)
    for _ in range(samples):
        noise = torch.randn(floats.shape, generator=generator).to(floats.device)
        total += saliency(network, floats + noise * spread, target)
    return total / samples


def integrated_gradients(
    network: nn.Module,
    inputs: Tensor,
    target: Target,
    *,
    baseline: Tensor | None = None,
    steps: int = 32,
) -> Tensor:
    """Return what each place adds to the target, compared with ``baseline``: (B, *sides).

    Negative numbers speak against it. Their sum is the target of the inputs minus that of the
    baseline, as far as ``steps`` points on the straight line between them (the middles of equal
    parts) tell. ``baseline`` is as the inputs, or broadcasts to them; unset: each input's mean.
    """
    floats = inputs.float()
    start = mean(floats) if baseline is None else baseline.float().expand_as(floats)
    total = torch.zeros_like(floats)
    for step in range(steps):
        total += gradient(network, start + (step + 0.5) / steps * (floats - start), target)
    return ((floats - start) * total / steps).sum(1)


def gradient(network: nn.Module, inputs: Tensor, target: Target) -> Tensor:
    """Return d target / d inputs, of the inputs' shape."""
    with torch.enable_grad():
        given = inputs.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(target(network(given)).sum(), given)
    return found.detach()


def mean(inputs: Tensor) -> Tensor:
    """Each input as its own mean, channel by channel: what is left if nothing is to be seen."""
    flat = inputs.flatten(2).mean(2)
    return flat.view(*flat.shape, *(1,) * (inputs.ndim - 2)).expand_as(inputs)
