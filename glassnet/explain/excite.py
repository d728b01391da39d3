"""What excites a filter most: parts of the data's images, and an image made for it.

Papers: Dumitru Erhan, Yoshua Bengio, Aaron Courville, Pascal Vincent (2009), "Visualizing
Higher-Layer Features of a Deep Network" (images by gradient ascent); Chris Olah, Alexander
Mordvintsev, Ludwig Schubert (2017), "Feature Visualization", https://distill.pub/2017/
feature-visualization (the image as decorrelated frequencies, and small random moves at each step);
Matthew D. Zeiler, Rob Fergus (2014), arXiv:1311.2901 (parts of the data); Pavlo Molchanov et al.
(2017), "Pruning Convolutional Neural Networks", arXiv:1611.06440 (which filters matter most).

How ours differs: the colours are decorrelated by the images at hand, not by ImageNet's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glassnet.explain import maps, receptive
from glassnet.explain.maps import Target
from glassnet.explain.receptive import Box

STEPS = 48
"""Steps of the ascent; Olah et al. take 512 of a large network, small ones are done sooner."""
RATE = 0.05
"""Adam's learning rate (Olah et al.'s)."""
STRENGTHS = (3, 3, 3)
"""By these the noise to start from is raised as long as the filter gives nothing."""
BATCH = 2**21
"""Numbers of the inputs that go through the network at once."""


@dataclass(frozen=True)
class Patch:
    """A part of an image that excites a filter."""

    example: int
    """Its position among the examples that were given."""
    value: float
    """What the filter gives there."""
    box: Box
    """In pixels of that image: the filter's receptive field."""


@dataclass(frozen=True)
class Made:
    """An image made for a filter."""

    image: Tensor
    """(C, H, W), float, 0 to 255."""
    mean: float
    """The filter's mean over all places of that image."""
    natural: float
    """The highest such mean among the images of the data that were given."""


def telling(network: nn.Module, inputs: Tensor, target: Target, layer: str, most: int) -> list[int]:
    """The filters that the target depends on most, the strongest first.

    By the mean size of gradient times value, summed over the map: the first-order change of the
    target if the filter gave nothing (Molchanov et al. 2017, equation 8).
    """
    with torch.enable_grad():
        given = inputs.float().requires_grad_()
        outputs, found = maps.values(network, given, [layer])
        (gradient,) = torch.autograd.grad(target(outputs).sum(), found[layer])
    effects = (gradient * found[layer].detach()).flatten(2).sum(2).abs().mean(0)
    return [int(c) for c in effects.argsort(descending=True, stable=True)[:most]]


def patches(
    network: nn.Module, inputs: Tensor, layer: str, channels: Sequence[int], most: int = 9
) -> dict[int, list[Patch]]:
    """The ``most`` parts of different images (N, C, H, W) that excite each filter most."""
    best, places, width = [], [], 1
    size = max(1, BATCH // inputs[0].numel())
    with torch.no_grad():
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size].float()
            map_BCHW = maps.values(network, part, [layer], stop=True)[1][layer]
            width = map_BCHW.shape[3]
            value, place = map_BCHW[:, list(channels)].flatten(2).max(2)
            best.append(value)
            places.append(place)
    values, where = torch.cat(best), torch.cat(places)  # (N, F)
    order = values.argsort(dim=0, descending=True, stable=True)[:most]
    spots = {
        (channel, int(n)): divmod(int(where[n, f]), width)
        for f, channel in enumerate(channels)
        for n in order[:, f]
    }
    fields = receptive.boxes(network, inputs, layer, spots.values())
    return {
        channel: [
            Patch(int(n), float(values[n, f]), fields[spots[channel, int(n)]]) for n in order[:, f]
        ]
        for f, channel in enumerate(channels)
    }


def made(
    network: nn.Module,
    inputs: Tensor,
    layer: str,
    channels: Sequence[int],
    *,
    steps: int = STEPS,
    seed: int = 0,
) -> dict[int, Made]:
    """Make an image for each filter, of the size and with the colours of ``inputs`` (B, C, H, W).

    The mean of the filter over its map is raised by Adam, starting from faint noise around the
    mean colour. Each step sees the image turned, scaled and moved a little at random, so that what
    remains is what the filter looks for and not what one exact grid of pixels does to it.
    """
    generator = torch.Generator().manual_seed(seed)
    floats, device = inputs.float(), inputs.device
    painting = Painting(floats, len(channels), generator)
    pick = torch.arange(len(channels), device=device)
    index = torch.tensor(list(channels), device=device)
    with torch.no_grad():  # a ReLU that gives 0 everywhere lets no gradient through
        for strength in STRENGTHS:
            first = maps.values(network, painting.images(), [layer], stop=True)[1][layer]
            silent = (first[pick, index] == 0).all(-1).all(-1)
            painting.spectrum[silent] *= strength
    optimizer = torch.optim.Adam([painting.spectrum], RATE)
    for _ in range(steps):
        with torch.enable_grad():
            images = moved(painting.images(), generator)
            map_BCHW = maps.values(network, images, [layer], stop=True)[1][layer]
            excitement = map_BCHW[pick, index].mean((1, 2))
            (painting.spectrum.grad,) = torch.autograd.grad(-excitement.sum(), painting.spectrum)
        optimizer.step()
    with torch.no_grad():
        images = painting.images()
        reached = maps.values(network, images, [layer], stop=True)[1][layer][pick, index]
        natural = maps.values(network, floats, [layer], stop=True)[1][layer][:, index]
    most = natural.mean((2, 3)).amax(0).tolist()
    return {
        channel: Made(images[n].cpu(), float(reached[n].mean()), most[n])
        for n, channel in enumerate(channels)
    }


class Painting:
    """Images as decorrelated colours of frequencies, each as strong as in natural images."""

    def __init__(self, floats: Tensor, number: int, generator: torch.Generator) -> None:
        _, channels, self.height, self.width = floats.shape
        pixels = floats.transpose(0, 1).flatten(1) / 255
        self.middle = pixels.mean(1).clamp(0.05, 0.95).logit().view(1, channels, 1, 1)
        self.colours = _colours(pixels)
        rows = torch.fft.fftfreq(self.height)[:, None]
        frequency = (rows**2 + torch.fft.rfftfreq(self.width)[None] ** 2).sqrt()
        # 1 / f: natural images have as much energy in each octave.
        lowest = 1 / max(self.height, self.width)
        scale = math.sqrt(self.height * self.width) / frequency.clamp_min(lowest) * lowest
        self.scale = scale.to(floats.device)[..., None]
        size = (number, channels, *frequency.shape, 2)
        noise = torch.randn(size, generator=generator) * 0.1
        self.spectrum = noise.to(floats.device).requires_grad_()

    def images(self) -> Tensor:
        """(number, C, H, W), 0 to 255."""
        spectrum = torch.view_as_complex((self.spectrum * self.scale).contiguous())
        waves = torch.fft.irfft2(spectrum, s=(self.height, self.width), norm="ortho")
        painted = self.middle + torch.einsum("dc,nchw->ndhw", self.colours, waves)
        return painted.sigmoid() * 255


def _colours(pixels: Tensor) -> Tensor:
    """The square root of the colours' covariance (C, pixels), its largest column of length 1."""
    covariance = pixels.float().cov().reshape(len(pixels), len(pixels))
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp_min(1e-6).sqrt()
    scaled: Tensor = root / root.norm(dim=0).max()
    return scaled


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by up to 5°, scaled by up to 10 %, and moved by up to a 16th."""
    number = len(images)
    uniform = (torch.rand(number, 4, generator=generator) * 2 - 1).to(images.device)
    angle, size = uniform[:, 0] * math.radians(5), 1 + uniform[:, 1] * 0.1
    cosine, sine = angle.cos() * size, angle.sin() * size
    row = [torch.stack([cosine, -sine, uniform[:, 2] / 8], 1)]
    row.append(torch.stack([sine, cosine, uniform[:, 3] / 8], 1))
    grid = nn.functional.affine_grid(torch.stack(row, 1), list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
