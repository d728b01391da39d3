"""Numbers as colours whose steps look even: heat over an image, maps, kernels, and their scales.

All mixing is done in OKLab, a space in which equal distances look about equally large:
Björn Ottosson (2020), "A perceptual color space for image processing",
https://bottosson.github.io/posts/oklab/. Orange speaks for, blue against: they differ in hue for
all common kinds of colour blindness.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from glassnet.figures import Picture, png

FOR, AGAINST = (0.72, 0.09, 0.15), (0.60, -0.06, -0.17)
"""OKLab of the strongest evidence: orange and blue."""
LOW, HIGH, ZERO = (0.22, 0.00, -0.09), (0.95, -0.01, 0.12), (0.97, 0.0, 0.0)
"""OKLab of the ends of a scale without negative numbers, and of zero where there are some."""
COVER = 0.9
"""Share of the colour where evidence is strongest; the image must still be seen."""
CUT = 0.99
"""Quantile of the evidence from which on colours are the strongest."""
LARGEST = 224
"""Longest side, in pixels, of a picture in a page."""
SMALL = 64
"""Up to this side pictures are enlarged by whole factors."""


def over(image: Tensor, heat: Tensor) -> Any:
    """Lay signed heat (H, W), at most 1 in size, over an image (C, H, W) of 0 to 255: (H, W, 3).

    The image becomes grey of middle lightness, so that colour means evidence alone.
    """
    grey = 0.3 + 0.5 * to_oklab(_rgb(image))[..., :1]
    under = torch.cat([grey, torch.zeros_like(grey), torch.zeros_like(grey)], -1)
    ink = torch.where(heat[..., None] >= 0, under.new_tensor(FOR), under.new_tensor(AGAINST))
    share = heat.abs().clamp(0, 1)[..., None] * COVER
    return to_bytes(under * (1 - share) + ink * share)


def scaled(values: Tensor) -> Any:
    """Colour numbers (H, W): 0 to 1 from dark to light, or -1 to 1 around white: (H, W, 3)."""
    signed = bool((values < 0).any())
    low, high = values.new_tensor(ZERO if signed else LOW), values.new_tensor(HIGH)
    if signed:
        high = torch.where(
            values[..., None] >= 0, values.new_tensor((0.55, 0.1, 0.11)), values.new_tensor(AGAINST)
        )
    share = values.abs().clamp(0, 1)[..., None]
    return to_bytes(low * (1 - share) + high * share)


def plain(image: Tensor) -> Any:
    """An image (C, H, W) of 0 to 255 as bytes (H, W, C)."""
    return image.detach().round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


def strength(values: Tensor) -> Tensor:
    """Evidence (H, W) in units of nearly its strongest: the few strongest places are cut at 1.

    Else one pixel of a gradient would leave all others without colour.
    """
    sizes = values.abs()
    most = float(sizes.flatten().float().quantile(CUT)) or float(sizes.max()) or 1.0
    return (values / most).clamp(-1, 1)


def heat_scale(signed: bool) -> Picture:
    """What the colours of ``over`` mean."""
    ramp = torch.linspace(-1 if signed else 0, 1, 56).repeat(10, 1)
    words = "blue against, grey nothing, orange for" if signed else "grey nothing, orange for"
    return Picture(png(over(torch.full((1, 10, 56), 128.0), ramp)), "scale", words)


def value_scale(low: float, high: float) -> Picture:
    """What the colours of ``scaled`` mean, for numbers from ``low`` to ``high``."""
    ramp = torch.linspace(-1 if low < 0 else 0, 1, 56).repeat(10, 1)
    size = max(-low, high)
    words = f"-{size:.3g} (blue), 0 (white), {size:.3g}" if low < 0 else f"0 (dark) to {high:.3g}"
    return Picture(png(scaled(ramp)), "scale", words)


def fitted(image: Tensor, largest: int = LARGEST) -> Tensor:
    """Shrink (C, H, W) so that its longer side is at most ``largest``."""
    factor = largest / max(image.shape[1:])
    if factor >= 1:
        return image
    size = [max(1, round(side * factor)) for side in image.shape[1:]]
    return torch.nn.functional.interpolate(
        image[None].float(), size, mode="bilinear", antialias=True
    )[0]


def enlarged(picture: Any, side: int) -> Any:
    """Enlarge (h, w, C) by the whole factor that brings it to at least ``side`` pixels."""
    factor = -(-side // max(picture.shape[:2]))
    return picture.repeat(factor, 0).repeat(factor, 1)


def mosaic(pictures: list[Any], columns: int) -> Any:
    """Lay arrays (h, w, C) of one size side by side, a pixel of grey between them."""
    height, width, channels = pictures[0].shape
    rows = -(-len(pictures) // columns)
    size = (rows * (height + 1) - 1, columns * (width + 1) - 1, channels)
    whole = torch.full(size, 128, dtype=torch.uint8).numpy()
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        whole[top : top + height, left : left + width] = picture
    return whole


# --- OKLab ----------------------------------------------------------------------------------------

_TO_CONES = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
             (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
_TO_LAB = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
           (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip


def to_oklab(rgb: Tensor) -> Tensor:
    """Turn sRGB (…, 3) of 0 to 1 into OKLab (…, 3): lightness, green to red, blue to yellow."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = linear @ linear.new_tensor(_TO_CONES).T
    return cones.clamp_min(0) ** (1 / 3) @ linear.new_tensor(_TO_LAB).T


def to_bytes(lab: Tensor) -> Any:
    """Turn OKLab (…, 3) into sRGB bytes; what the screen cannot show is cut."""
    cones = (lab @ torch.linalg.inv(lab.new_tensor(_TO_LAB)).T) ** 3
    linear = (cones @ torch.linalg.inv(lab.new_tensor(_TO_CONES)).T).clamp(0, 1)
    rgb = torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (rgb * 255).round().byte().cpu().numpy()


def _rgb(image: Tensor) -> Tensor:
    """(C, H, W) of 0 to 255 -> (H, W, 3) of 0 to 1; more channels than three: their mean."""
    channels = image.float() / 255
    if len(channels) != 3:
        channels = channels.mean(0, keepdim=True).expand(3, -1, -1)
    return channels.permute(1, 2, 0)
