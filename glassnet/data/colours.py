"""Colours of augmentation: changes of the values of pixels that move none of them.

All take a batch of uint8 images (B, C, H, W) with 1 or 3 channels, and one strength for each image,
and return a new batch. Strengths have Pillow's meaning (``ImageEnhance``, ``ImageOps``), whose
results these are within rounding: where a factor is 1, the image stays as it is.
"""

# Letters in tensor names: B images, C channels, H height, W width, P pixels of an image.

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue count in a grey (ITU-R 601)."""
LEAST_ERASED, MOST_ERASED, MOST_LONG = 0.02, 0.4, 1 / 0.3
"""Of random erasing: shares of the area, and ratio of the sides (Zhong et al. 2020, table 1)."""
_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def jitter(images_BCHW: Tensor, factors_3B: Tensor, hue_B: Tensor) -> Tensor:
    """Change brightness, contrast, saturation (three factors) and hue (in turns) in one pass.

    All four are linear, so that each image has one 3 x 3 matrix and one offset. How that differs
    from four operations one after another: values are cut to 0-255 once, at the end; and hue turns
    in the plane of YIQ, not on the hexagon of HSV. Grey images change brightness and contrast only.
    """
    B, C = images_BCHW.shape[:2]
    brightness_B, contrast_B, saturation_B = factors_3B.unbind(0)
    values_BCP = images_BCHW.flatten(2).float()
    luma = _luma(values_BCP, C)
    matrix_BCC = torch.eye(C, device=luma.device).expand(B, C, C)
    if C == 3:
        grey = luma.expand(3, 3)
        saturation = saturation_B[:, None, None]
        matrix_BCC = _hues(hue_B, luma.device) @ (grey + saturation * (matrix_BCC - grey))
    # The mean grey is what neither saturation nor hue change, so contrast may come before them.
    mean_B = (values_BCP.mean(2) @ luma) * brightness_B
    factor_B, offset_B = brightness_B * contrast_B, mean_B * (1 - contrast_B)
    matrix_BCC = matrix_BCC * factor_B[:, None, None]
    changed = torch.baddbmm(offset_B[:, None, None].expand(B, C, 1), matrix_BCC, values_BCP)
    return _bytes(changed).view_as(images_BCHW)


def brightness(images_BCHW: Tensor, factor_B: Tensor) -> Tensor:
    """0 is black."""
    one = torch.ones_like(factor_B)
    return jitter(images_BCHW, torch.stack([factor_B, one, one]), one - 1)


def contrast(images_BCHW: Tensor, factor_B: Tensor) -> Tensor:
    """0 is the mean grey of the image."""
    one = torch.ones_like(factor_B)
    return jitter(images_BCHW, torch.stack([one, factor_B, one]), one - 1)


def saturation(images_BCHW: Tensor, factor_B: Tensor) -> Tensor:
    """0 is grey."""
    one = torch.ones_like(factor_B)
    return jitter(images_BCHW, torch.stack([one, one, factor_B]), one - 1)


def sharpness(images_BCHW: Tensor, factor_B: Tensor) -> Tensor:
    """0 is Pillow's SMOOTH filter; pixels at the rim, which have no neighbours, stay."""
    B, C, H, W = images_BCHW.shape
    values = images_BCHW.float()
    if min(H, W) < 3:
        return images_BCHW
    kernel = torch.ones(C, 1, 3, 3, device=values.device)
    kernel[:, :, 1, 1] = 5
    smooth = values.clone()
    smooth[:, :, 1:-1, 1:-1] = (conv2d(values, kernel, groups=C) / 13).round()
    return _bytes(torch.lerp(smooth, values, factor_B[:, None, None, None]))


def posterize(images_BCHW: Tensor, bits_B: Tensor) -> Tensor:
    """Keep the highest ``bits`` (0 to 8, rounded to whole ones) of each value."""
    dropped_B = 8 - bits_B.round().long()
    kept_B = (256 - (1 << dropped_B)).to(torch.uint8)
    return images_BCHW & kept_B[:, None, None, None]


def solarize(images_BCHW: Tensor, threshold_B: Tensor) -> Tensor:
    """Turn values from ``threshold`` (0 to 256) on into their opposite."""
    bright = images_BCHW >= threshold_B[:, None, None, None]
    return torch.where(bright, 255 - images_BCHW, images_BCHW)


def autocontrast(images_BCHW: Tensor) -> Tensor:
    """Stretch each channel so that its darkest value becomes 0 and its brightest 255."""
    low, high = (v.float() for v in images_BCHW.flatten(2).aminmax(dim=2, keepdim=True))
    scale = torch.where(high > low, 255 / (high - low).clamp(min=1), 1.0)
    low = torch.where(high > low, low, 0.0)
    # The small number keeps whole results, such as 255, from falling below themselves.
    stretched = (images_BCHW.flatten(2).float() - low) * scale + 1e-3
    return stretched.to(torch.uint8).view_as(images_BCHW)


def equalize(images_BCHW: Tensor) -> Tensor:
    """Give each channel values that are as evenly frequent as can be."""
    B, C = images_BCHW.shape[:2]
    values = images_BCHW.flatten(2).view(B * C, -1).long()
    start = torch.arange(B * C, device=values.device)[:, None] * 256
    counts = torch.bincount((values + start).flatten(), minlength=256 * B * C).view(B * C, 256)
    highest = values.amax(1, keepdim=True)
    step = (values.shape[1] - counts.gather(1, highest)) // 255
    before = counts.cumsum(1) - counts
    table = (step // 2 + before) // step.clamp(min=1)
    table = torch.where(step > 0, table.clamp(max=255), torch.arange(256, device=values.device))
    return table.gather(1, values).to(torch.uint8).view_as(images_BCHW)


def erase(images_BCHW: Tensor, boxes_B4: Tensor, fill_C: Tensor) -> Tensor:
    """Fill boxes (left, top, right, bottom: int64, the last two outside) with a colour, uint8."""
    H, W = images_BCHW.shape[2:]
    left, top, right, bottom = boxes_B4[:, :, None, None].unbind(1)  # (B, 1, 1) each
    X = torch.arange(W, device=boxes_B4.device)
    Y = torch.arange(H, device=boxes_B4.device)[:, None]
    within = (left <= X) & (right > X) & (top <= Y) & (bottom > Y)  # (B, H, W)
    return torch.where(within[:, None], fill_C.view(1, -1, 1, 1), images_BCHW)


def rectangles(
    share: float, num_images: int, height: int, width: int, device: torch.device
) -> Tensor:
    """Draw boxes for random erasing, int64 (B, 4); empty ones for 1 - ``share`` of the images.

    Theirs are drawn anew until they fit; ours are cut to the image's height and width.
    """
    u = torch.rand(5, num_images, device=device)
    area = LEAST_ERASED + (MOST_ERASED - LEAST_ERASED) * u[0]
    ratio = (math.log(MOST_LONG) * (2 * u[1] - 1)).exp()
    high = ((area * ratio).sqrt() * height).round().clamp(1, height)
    wide = ((area / ratio).sqrt() * width).round().clamp(1, width)
    top, left = (u[2] * (height - high + 1)).floor(), (u[3] * (width - wide + 1)).floor()
    high = torch.where(u[4] < share, high, 0.0)
    return torch.stack([left, top, left + wide, top + high], 1).long()


def squares(side: float, num_images: int, height: int, width: int, device: torch.device) -> Tensor:
    """Draw boxes for cutout, int64 (B, 4): their middle lies within the image, all of them not."""
    pixels = max(1, round(side * min(height, width)))
    left = torch.randint(width, (num_images,), device=device) - pixels // 2
    top = torch.randint(height, (num_images,), device=device) - pixels // 2
    return torch.stack([left, top, left + pixels, top + pixels], 1)


def _luma(values: Tensor, channels: int) -> Tensor:
    return values.new_tensor(LUMA if channels == 3 else (1.0,))


def _hues(turns_B: Tensor, device: torch.device) -> Tensor:
    """(B, 3, 3): turn the colours of RGB around grey, which stays."""
    yiq = torch.tensor(_YIQ, device=device)
    cos, sin = (2 * math.pi * turns_B).cos(), (2 * math.pi * turns_B).sin()
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    turn = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    back: Tensor = torch.linalg.inv(yiq)
    return back @ turn @ yiq


def _bytes(values: Tensor) -> Tensor:
    return values.add(0.5).clamp_(0, 255).to(torch.uint8)
