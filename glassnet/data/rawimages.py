"""One image in whatever form users give it -> uint8 (C, H, W); and whatever they give to predict.

Every image, in training and in prediction, goes through ``to_tensor`` (for whole arrays of the
right size ``imagerows`` has a batched form of the same integer arithmetic).

Legend: N images, C channels, H height, W width.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from glassnet.data import layouts, pixels
from glassnet.data.archives import Files, is_archive, open_files
from glassnet.data.imagefacts import ImageFacts
from glassnet.data.pixels import Unreadable
from glassnet.data.threads import in_threads
from glassnet.errors import UserError
from glassnet.task import Problem

Array = NDArray[Any]
Y = TypeVar("Y")
_one_given_image = threading.Lock()
"""Pillow loads an image when it is first used; the same one may be given more than once."""


def to_tensor(image: Any, facts: ImageFacts) -> Tensor:
    """Turn a path, bytes, Pillow image, array or tensor into uint8 (C, H, W)."""
    if isinstance(image, str | Path):
        try:
            image = Path(image).expanduser().read_bytes()
        except OSError as error:
            raise Unreadable(
                f"cannot be read ({error.strerror})", "check the path and its rights"
            ) from error
    if isinstance(image, bytes | bytearray | memoryview):
        return pixels.decode(bytes(image), facts.geometry)
    if isinstance(image, Image.Image):
        with _one_given_image:
            x_CHW = pixels.from_pil(image)
        return pixels.fit(x_CHW, facts.geometry)
    array = _as_array(image)
    return pixels.fit(pixels.from_array(array, _white(array, facts.whites)), facts.geometry)


def read_raw(raw: Any, facts: ImageFacts) -> tuple[list[str], Tensor, list[Problem]]:
    """Read images without labels: a path, folder, archive, array (N, H, W[, C]) or a list of such.

    Images that cannot be read are left out and reported; it is an error if none is left.
    """
    names: list[str] = []
    problems: list[Problem] = []
    given = list(_each(raw, problems))
    form = facts.geometry
    inputs = torch.empty((len(given), form.channels, form.height, form.width), dtype=torch.uint8)

    def read(item: tuple[str, Any]) -> Tensor | Problem:
        name, image = item
        return or_problem(name, lambda: to_tensor(image() if callable(image) else image, facts))

    for (name, _), found in zip(given, in_threads(read, given), strict=True):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            inputs[len(names)] = found
            names.append(name)
    if not names:
        reasons = "; ".join(f"{p.where} {p.what} ({p.remedy})" for p in problems[:3])
        raise UserError(f"No image to predict could be read: {reasons or 'nothing was given'}.")
    return names, inputs[: len(names)], problems


def or_problem(name: str, work: Callable[[], Y]) -> Y | Problem:
    """Do the work on one image, or say why that is impossible."""
    try:
        return work()
    except Unreadable as error:
        return Problem(name, error.what, error.remedy)
    except OSError as error:
        return Problem(name, f"cannot be read ({error})", "check the file")


def _as_array(image: Any) -> Array:
    if isinstance(image, Tensor):
        image = image.detach().cpu().numpy()
    array = np.asarray(image)
    if array.dtype.kind not in "biuf":
        raise Unreadable(
            f"is a {type(image).__name__}",
            "give a path, bytes, a Pillow image, or an array or tensor of numbers",
        )
    return array


def _white(array: Array, whites: dict[str, float]) -> float | None:
    return whites.get("f" if array.dtype.kind == "f" else "i") if array.dtype != np.uint8 else None


def _each(raw: Any, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    """Names and images, the latter perhaps to be called for."""
    if isinstance(raw, str | Path):
        yield from _each_at(Path(raw).expanduser(), problems)
    elif isinstance(raw, list | tuple):
        for number, item in enumerate(raw):
            if isinstance(item, str | Path):
                yield from _each_at(Path(item).expanduser(), problems)
            else:
                yield f"image {number}", item
    elif isinstance(raw, bytes | bytearray | Image.Image):
        yield "image 0", raw
    else:
        array = _as_array(raw)
        many = array.ndim == 4 or (array.ndim == 3 and not _is_one(array, isinstance(raw, Tensor)))
        for number, item in enumerate(array if many else array[None]):
            yield f"image {number}", item


def _is_one(array: Array, tensor: bool) -> bool:
    """Whether three axes are one image: (H, W, C), or (C, H, W) as torch has it."""
    return array.shape[-1] in (1, 3, 4) or (tensor and array.shape[0] in (1, 3, 4))


def _each_at(path: Path, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    if not path.exists():
        raise UserError(f"{path} does not exist. Give an image, a folder of images or an archive.")
    if path.is_file() and not is_archive(path):
        yield str(path), path
        return
    files = open_files(path)
    problems += files.problems
    for name in files.sizes:
        if layouts.is_image(name) or Path(name).suffix.lower() in pixels.CONVERTIBLE:
            yield name, _reader(files, name)  # the decoder says what is to be done
        else:
            problems.append(Problem(name, "is no image", "it was left out"))


def _reader(files: Files, name: str) -> Callable[[], bytes]:
    return lambda: files.read(name)
