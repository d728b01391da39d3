"""Small pictures of images, to compare them by.

Legend: N images, S the side of a small picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glassnet.data import layouts, pixels
from glassnet.data.doctor.sheet import sample
from glassnet.data.imagefacts import ImageFacts
from glassnet.data.images import ImageSource
from glassnet.data.layouts import ArrayStore
from glassnet.data.rawimages import to_tensor
from glassnet.data.threads import in_threads
from glassnet.progress import tell
from glassnet.task import Problem

Array = NDArray[Any]

SIDE = 32
"""Pixels of a small picture on each side."""
COMPONENTS = 48
"""Principal components by which small pictures are compared."""


@dataclass(frozen=True)
class Album:
    """What was found by looking at images; one row for each that could be read."""

    origin: str
    classes: Sequence[str]
    name: Callable[[int], str]
    answers: Array
    """Class numbers of all rows of the source."""
    parts: Array
    brought: bool
    rows: Array
    """The rows of the source that were looked at and could be read, (N,)."""
    small: Array
    """float32 (N, 3, S, S), 0 to 255."""
    shapes: Array
    """Height, width and channels of each original, (N, 3)."""
    unread: Sequence[Problem]
    sampled: bool
    target: str = ""


def look(source: ImageSource, parts: Array, brought: bool, most: int, most_bytes: float) -> Album:
    """Decode a sample (of small sets: all) to small pictures."""
    rows = sample(len(source), _affordable(source, most, most_bytes))
    whites = layouts.whites(source.layout.store, rows)
    read = partial(_small, source, whites)
    kept, pictures, shapes, unread = [], [], [], []
    for row, found in zip(
        rows.tolist(), in_threads(read, rows.tolist(), partial(tell, "examining images")),
        strict=True,
    ):  # fmt: skip
        if isinstance(found, Problem):
            unread.append(found)
        else:
            kept.append(row)
            pictures.append(found[0])
            shapes.append(found[1])
    empty = np.zeros((0, 3, SIDE, SIDE), np.uint8)
    return Album(
        origin=source.path.name, classes=source.classes, name=source.name,
        answers=source.layout.labels, parts=parts, brought=brought, rows=np.array(kept, np.int64),
        small=np.stack(pictures) if pictures else empty,
        shapes=np.array(shapes, np.int64).reshape(-1, 3), unread=unread,
        sampled=len(rows) < len(source),
    )  # fmt: skip


def _affordable(source: ImageSource, most: int, most_bytes: float) -> int:
    store = source.layout.store
    if isinstance(store, ArrayStore):
        return most
    total = sum(store.files.sizes[name] for name in store.names)
    return min(most, max(200, int(min(1.0, most_bytes / max(total, 1)) * len(source))))


def _small(source: ImageSource, whites: dict[str, float], row: int) -> Any:
    """A small picture (3, S, S) with the original's shape, or what is wrong."""
    form = ImageFacts(
        channels=3, height=SIDE, width=SIDE, mean=[], std=[], classes=[], whites=whites
    )
    try:
        raw = source.layout.store.raw(row)
        if isinstance(raw, bytes):
            shape = pixels.header(raw)
            size = (shape.height, shape.width, shape.channels)
        else:
            size = raw.shape
        return to_tensor(raw, form).numpy(), size
    except pixels.Unreadable as error:
        what, remedy = error.what, error.remedy
    except OSError as error:
        what, remedy = f"cannot be read ({error})", "check the file"
    return Problem(
        source.name(row), what, f"left out; {remedy}", kind="unreadable images",
        items=(source.name(row),), rows=((row,),), fix="not copied",
    )  # fmt: skip


def components(small: Array) -> Array:
    """Principal components (N, COMPONENTS) of grey and colour at even brightness and contrast."""
    flat = _even(small)
    centred = flat - flat.mean(dim=0)
    covariance = centred.T @ centred / len(centred)
    _, vectors = torch.linalg.eigh(covariance.double())
    points: Array = (centred @ vectors[:, -COMPONENTS:].flip(1).float()).numpy()
    return points


def _even(small: Array) -> torch.Tensor:
    """Half as large, minus the mean, over the standard deviation; float32 (N, 3 * 16 * 16)."""
    x = torch.from_numpy(np.ascontiguousarray(small))
    halves = [
        torch.nn.functional.avg_pool2d(chunk.float(), 2).flatten(1) for chunk in x.split(4096)
    ]
    flat = torch.cat(halves)
    flat = flat - flat.mean(dim=1, keepdim=True)
    return flat / flat.std(dim=1, keepdim=True).clamp(min=1.0)


def correlation(one: Array, other: Array) -> float:
    """Correlation of two small pictures (3, S, S)."""
    a, b = (x.astype(np.float64).ravel() - x.mean() for x in (one, other))
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-12))
