"""One image, in whatever form it comes -> a uint8 tensor (C, H, W) of 8-bit grey or RGB.

Decisions, in one place because training and prediction must share them:

- Alpha is composited on white: transparent drawings are made for white pages.
- 16-bit grey is divided by 257, so that 65535 becomes 255; 1-bit becomes 0 and 255.
- CMYK, palette, YCbCr and LAB become RGB by Pillow; RGB becomes grey by ITU-R 601 in integers,
  bit for bit as Pillow does it.
- EXIF orientation is applied; of an animation the first frame is taken.
- A JPEG of at least twice the wanted size is shrunk while it is decoded (DCT scaling).
- The middle of the image is cropped to the wanted aspect ratio, then resized (bilinear or bicubic,
  antialiased). Cropping keeps shapes and adds no borders; what is lost lies at the rim. Published
  networks were made for images that are resized first and cropped then, or pressed into a square,
  from JPEGs that were decoded in full: ``fit`` says which, for the last level counts there.

Legend: N images, C channels, H height, W width.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from glassnet.errors import UserError

MAX_PIXELS = 80_000_000
"""Above it an image is refused (240 MB as RGB), except a JPEG that shrinks while it is decoded."""
BIG = 8_000_000
"""Images with more pixels are decoded one at a time, so that threads do not multiply the memory."""

SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".tif", ".tiff", ".webp",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".tga",
}  # fmt: skip

CONVERTIBLE = {
    ".heic", ".heif", ".jxl", ".svg", ".psd", ".pdf", ".eps", ".dng", ".cr2", ".cr3", ".nef",
    ".arw", ".raf", ".orf", ".rw2", ".exr", ".dcm",
}  # fmt: skip
"""Pictures that are not read, but that other programs turn into JPEG or PNG."""

# Once and for all threads, as catch_warnings cannot: Pillow warns about odd EXIF data and big
# images. The former do not matter to the pixels, the latter are refused below.
warnings.filterwarnings("ignore", module=r"PIL\.")

Array = NDArray[Any]
_one_big_image = threading.Lock()


class Unreadable(UserError):
    """An image that cannot be used; ``what`` is wrong and what would help."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"The image {what}; {remedy}.")
        self.what, self.remedy = what, remedy


@dataclass(frozen=True)
class Shape:
    """What an image's header says."""

    height: int
    width: int
    channels: int


Fit: TypeAlias = Literal["crop_first", "resize_first", "squash"]


@dataclass(frozen=True)
class Geometry:
    """The form that every image is brought into."""

    channels: int
    height: int
    width: int
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    fit: Fit = "crop_first"
    read: tuple[int, int] | None = None
    """Height and width of the middle that the network reads, for ``resize_first``: where rounding
    decides, the crop is laid so that its middle is where that of one crop would be."""


def decode(data: bytes, geometry: Geometry) -> Tensor:
    """Decode an image file; uint8 (C, H, W)."""
    shape = header(data)
    smallest = _smallest_decoded(data, shape, geometry)
    if math.prod(smallest) > MAX_PIXELS:
        raise Unreadable(
            f"has {shape.width} x {shape.height} pixels, more than the limit of {MAX_PIXELS:,}",
            "make it smaller",
        )
    if shape.height * shape.width > BIG:
        with _one_big_image:
            return fit(_decode(data, smallest), geometry)
    return fit(_decode(data, smallest), geometry)


def header(data: bytes) -> Shape:
    """Read size and channels without decoding."""
    if not data:
        raise Unreadable("is empty (0 bytes)", "fetch or export it again")
    if _is_plain_jpeg(data):
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError as error:
            raise _broken(data, error) from error
        return Shape(height, width, 1 if space == "Gray" else 3)
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 32 and b"eXIf" not in data:
        width, height = struct.unpack(">II", data[16:24])
        return Shape(height, width, 1 if data[25] in (0, 4) else 3)  # colour types grey, grey+alpha
    image = _opened(data)
    with _damage(data):
        exif = image.getexif()
    # Orientations that swap the axes; of a TIFF, Pillow has swapped them already.
    turned = exif.get(0x0112, 1) >= 5 and image.format != "TIFF"
    width, height = image.size[::-1] if turned else image.size
    return Shape(height, width, 1 if image.mode[0] in "1LIF" and image.mode != "LAB" else 3)


def mode(data: bytes) -> str:
    """Pillow's name for the kind of pixels, for people."""
    return _opened(data).mode


def num_frames(data: bytes) -> int:
    """How many frames an animation has; 1 for everything that is none."""
    if data[:4] not in (b"GIF8", b"RIFF", b"II*\0", b"MM\0*") and b"acTL" not in data[:128]:
        return 1
    image = _opened(data)
    with _damage(data):
        return int(getattr(image, "n_frames", 1))
    return 1


def fit(x_CHW: Tensor, geometry: Geometry) -> Tensor:
    """Crop the middle, convert the channels and resize; uint8 in, uint8 (C, H, W) out."""
    height, width = geometry.height, geometry.width
    h, w = x_CHW.shape[-2:]
    if (h, w) == (height, width):
        return channels(x_CHW, geometry.channels).contiguous()
    if geometry.fit == "squash":
        return _resized(channels(x_CHW, geometry.channels), (height, width), geometry)
    if geometry.fit == "resize_first":
        return _cropped_last(channels(x_CHW, geometry.channels), geometry)
    crop_h = max(1, min(h, round(w * height / width)))
    crop_w = max(1, min(w, round(h * width / height)))
    top, left = (h - crop_h) // 2, (w - crop_w) // 2
    # Contiguous: torch may pick another kernel for another layout, and every pixel must agree.
    crop = channels(x_CHW[:, top : top + crop_h, left : left + crop_w], geometry.channels)
    return _resized(crop, (height, width), geometry)


def _cropped_last(x_CHW: Tensor, geometry: Geometry) -> Tensor:
    """Resize the shorter side, cutting the longer one off to whole pixels, and crop the middle."""
    h, w = x_CHW.shape[-2:]
    # For a square, as published; for another shape, the side that is short of it decides.
    by_height = geometry.height * w >= geometry.width * h
    size = (
        (geometry.height, max(geometry.width, int(geometry.height * w / h)))
        if by_height
        else (max(geometry.height, int(geometry.width * h / w)), geometry.width)
    )
    resized = x_CHW if (h, w) == size else _resized(x_CHW, size, geometry)
    kept = geometry.height, geometry.width
    top, left = (
        _offset(whole, stored, read)
        for whole, stored, read in zip(size, kept, geometry.read or kept, strict=True)
    )
    return resized[:, top : top + kept[0], left : left + kept[1]].contiguous()


def _offset(whole: int, stored: int, read: int) -> int:
    """Where to cut ``stored`` out of ``whole`` so that its middle is the middle of ``whole``."""
    return min(max(0, middle(whole, read) - middle(stored, read)), whole - stored)


def middle(whole: int, part: int) -> int:
    """Where the middle of a side begins; halves go to the even neighbour, as torchvision does."""
    return round((whole - part) / 2)


def _resized(x_CHW: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    return torch.nn.functional.interpolate(
        x_CHW.contiguous()[None], size=size, mode=geometry.interpolation, antialias=True
    )[0]


def channels(x: Tensor, wanted: int) -> Tensor:
    """Convert grey to RGB or RGB to grey; uint8 (…, C, H, W)."""
    have = x.shape[-3]
    if have == wanted:
        return x
    if wanted == 3:
        return x.expand(*x.shape[:-3], 3, *x.shape[-2:])
    r, g, b = x.to(torch.int32).unbind(-3)
    return ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16).to(torch.uint8).unsqueeze(-3)


def white_of(array: Array) -> float:
    """Guess the value that means white in an array: 1, 255 or 65535."""
    if array.dtype == bool:
        return 1.0
    if array.dtype == np.uint8 or not array.size:
        return 255.0
    largest = float(array.max())
    if array.dtype.kind == "f" and largest <= 1.0:
        return 1.0
    return 255.0 if largest <= 255.0 else 65535.0


def to_uint8(array: Array, white: float) -> Array:
    """Scale so that ``white`` becomes 255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "iuf":
        raise Unreadable(f"has values of type {array.dtype}", "give numbers in 0..255 or 0..1")
    if not np.isfinite(array).all():
        raise Unreadable("holds NaN or infinite values", "give finite numbers in 0..255 or 0..1")
    if array.size and array.min() < 0:
        raise Unreadable(
            "holds negative values, as if it were standardized already",
            "give pixel values in 0..255 or 0..1; glassnet standardizes by itself",
        )
    scaled = np.rint(array.astype(np.float64) * (255.0 / white))
    return np.minimum(scaled, 255).astype(np.uint8)


def from_array(array: Array, white: float | None = None) -> Tensor:
    """Turn (H, W), (H, W, C) or (C, H, W) into uint8 (1 or 3, H, W)."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or not array.size:
        raise Unreadable(f"has shape {array.shape}", "give (H, W), (H, W, 3) or (H, W, 4)")
    array = to_uint8(array, white_of(array) if white is None else white)
    if array.shape[-1] == 4:
        array = _on_white(Image.fromarray(array))
    return torch.from_numpy(np.array(array)).permute(2, 0, 1)


def from_pil(image: Image.Image) -> Tensor:
    """Turn a Pillow image of any mode into uint8 (1 or 3, H, W)."""
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(f"has {image.width} x {image.height} pixels", "make it smaller")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        array = np.array(image)
        white = 65535.0 if image.mode.startswith("I;16") else white_of(array)
        return from_array(array, white)
    if image.has_transparency_data:
        return from_array(_on_white(image))
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode in ("1", "La", "LA") else "RGB")
    return from_array(np.array(image))


def _on_white(image: Image.Image) -> Array:
    grey = image.mode in ("LA", "La", "L")
    image = image.convert("RGBA")
    page = Image.new("RGBA", image.size, "white")
    return np.array(Image.alpha_composite(page, image).convert("L" if grey else "RGB"))


def _decode(data: bytes, smallest: tuple[int, int]) -> Tensor:
    """Decode at a size of at least ``smallest`` (height, width), which only JPEG makes use of."""
    if _is_plain_jpeg(data):
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
            if space in ("Gray", "YCbCr", "YUV", "RGB"):
                shrink = {} if smallest == (height, width) else _shrunk(smallest)
                colours = "GRAY" if space == "Gray" else "RGB"
                array = simplejpeg.decode_jpeg(data, colours, **shrink)
                return torch.from_numpy(array).permute(2, 0, 1)
        except ValueError as error:
            raise _broken(data, error) from error
    image = _opened(data)
    if image.format == "JPEG":
        # The EXIF turn comes later, so that both sides must reach the longer of the two.
        image.draft(None, (max(smallest), max(smallest)))
    with _damage(data):
        return from_pil(image)


def _shrunk(smallest: tuple[int, int]) -> dict[str, int]:
    return {"min_height": smallest[0], "min_width": smallest[1], "min_factor": 2}


def _smallest_decoded(data: bytes, shape: Shape, geometry: Geometry) -> tuple[int, int]:
    """Height and width to ask the decoder for: a JPEG can be shrunk by up to 8 on the way."""
    scale = max(geometry.height / shape.height, geometry.width / shape.width)
    if geometry.fit != "crop_first":
        return shape.height, shape.width
    if data[:3] != b"\xff\xd8\xff" or scale > 0.5:
        return shape.height, shape.width
    scale = max(scale, 1 / 8)
    return math.ceil(shape.height * scale), math.ceil(shape.width * scale)


def _is_plain_jpeg(data: bytes) -> bool:
    """A JPEG without EXIF, which might turn it: simplejpeg reads it, 1.5 times as fast."""
    return data[:3] == b"\xff\xd8\xff" and b"Exif\0\0" not in data[:65536]


def _opened(data: bytes) -> Image.Image:
    with _damage(data):
        return Image.open(io.BytesIO(data))


@contextlib.contextmanager
def _damage(data: bytes) -> Iterator[None]:
    """Turn whatever Pillow raises for a damaged file into Unreadable: it may be anything."""
    try:
        yield
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(f"has more than {MAX_PIXELS:,} pixels", "make it smaller") from error
    except Exception as error:
        raise _broken(data, error) from error


_TO_JPEG = "convert it to JPEG, with `magick IN OUT.jpg` or any image program"
_STRANGERS: tuple[tuple[bytes, str, str], ...] = (
    (rb"....ftyp(heic|heix|hevc|heim|heis|mif1|msf1)", "is HEIC, as iPhones write it", _TO_JPEG),
    (rb"(\xff\x0a|\0\0\0\x0cJXL )", "is JPEG XL, which cannot be read", _TO_JPEG),
    (rb"8BPS", "is a Photoshop document", "export it as PNG or JPEG"),
    (rb"%PDF|%!PS", "is a document, not an image", "export its pages as PNG"),
    (rb"(?si)\s*(<\?xml.*?)?(<!--.*?-->\s*)*(<!doctype svg.*?)?<svg", "is a drawing (SVG), which "
     "has no pixels", "export it as PNG in the size that you need"),
    (rb"(?si)\s*(<!doctype html|<html|<head)", "is a web page (HTML), not an image: a download "
     "that failed", "fetch the image again"),
)  # fmt: skip
"""How files begin that are often taken for images: a pattern, what they are, what helps."""


def _broken(data: bytes, error: Exception) -> Unreadable:
    for pattern, what, remedy in _STRANGERS:
        if re.match(pattern, data[:1024].removeprefix(b"\xef\xbb\xbf")):
            return Unreadable(what, remedy)
    if data[:512].isascii() and b"\0" not in data[:512] and data[:2] not in (b"P1", b"P2", b"P3"):
        return Unreadable("is a text file, not an image", "remove it, or fetch the image again")
    if data[:4] in (b"II*\0", b"MM\0*") and isinstance(error, UnidentifiedImageError):
        what = "is a TIFF of a kind that cannot be read, such as 16-bit colour, or damaged"
        return Unreadable(what, "export it as 8-bit TIFF or as PNG")
    cause = "is cut short or damaged" if _has_image_start(data) else "is no image"
    detail = str(error).partition("<")[0].strip() or type(error).__name__
    return Unreadable(f"{cause} ({detail})", "fetch or export it again, or remove it")


def _has_image_start(data: bytes) -> bool:
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*", b"MM\0", b"BM"))
