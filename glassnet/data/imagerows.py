"""Rows of a set of images brought into one form, whoever keeps what comes of it.

Legend: N images, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from glassnet.data import keeping, pixels
from glassnet.data.archives import Files
from glassnet.data.imagefacts import ImageFacts
from glassnet.data.layouts import ArrayStore, Layout
from glassnet.data.packed import Decoded
from glassnet.data.pixels import Geometry, Shape
from glassnet.data.rawimages import or_problem, to_tensor
from glassnet.data.threads import in_threads
from glassnet.task import Problem

Progress = Callable[[int, int], None]


class ImageRows:
    """Rows of a set, the form that they are to be brought into, and how that is done."""

    def __init__(
        self,
        layout: Layout,
        fingerprint: str,
        rows: Sequence[int],
        geometry: Geometry,
        whites: dict[str, float],
        progress: Progress | None,
    ) -> None:
        # Not the source itself: it would hold what it holds in a circle, and so keep it in use.
        self.layout, self.progress = layout, progress
        self.rows, self.geometry = rows, geometry
        self.shape = geometry.channels, geometry.height, geometry.width
        self.size = geometry.channels * geometry.height * geometry.width
        self.facts = ImageFacts.of(geometry, whites)
        self.key = keeping.key(fingerprint, layout.stamp(), geometry, whites)

    @property
    def is_plain(self) -> bool:
        """Whether nothing needs decoding or resizing."""
        store = self.layout.store
        return isinstance(store, ArrayStore) and _fits(store, self.rows, self.geometry)

    def decode(self, rows: Sequence[int]) -> Iterator[Decoded]:
        """Decode these rows in threads, in order."""
        store = self.layout.store

        def one(row: int) -> tuple[Tensor | Problem, int]:
            raw = store.raw(row)
            frames = pixels.num_frames(raw) if isinstance(raw, bytes) else 1
            return to_tensor(raw, self.facts), frames

        def attempt(row: int) -> Decoded:
            found = or_problem(self.layout.names[row], lambda: one(row))
            return (row, found, 1) if isinstance(found, Problem) else (row, *found)

        yield from in_threads(attempt, rows, self.progress)
        if isinstance(store, ArrayStore):
            store.forget()

    def gather(self, rows: Sequence[int]) -> Tensor | None:
        """All at once, where nothing needs decoding; else None."""
        store = self.layout.store
        if not isinstance(store, ArrayStore) or not _fits(store, rows, self.geometry):
            return None
        inputs = torch.empty((len(rows), *self.shape), dtype=torch.uint8)
        _gather(store, rows, inputs)
        store.forget()
        return inputs


@dataclass(frozen=True)
class Reader:
    """Decodes one file by its name, in any process."""

    files: Files
    facts: ImageFacts

    def __call__(self, name: str) -> Tensor | Problem:
        """Return uint8 (C, H, W), or why there is none."""
        return or_problem(name, lambda: to_tensor(self.files.read(name), self.facts))


def array_shapes(store: ArrayStore, rows: Sequence[int]) -> list[Shape]:
    """The shape of each array that these rows come from."""
    found = [store.shape(row) for row in _firsts(store, rows)]
    return [Shape(height, width, 1 if channels == 1 else 3) for height, width, channels in found]


def _firsts(store: ArrayStore, rows: Sequence[int]) -> list[int]:
    """One row of every array that these rows come from."""
    numbers = np.searchsorted(store.starts, np.array(rows), side="right") - 1
    return [int(store.starts[number]) for number in np.unique(numbers)]


def _fits(store: ArrayStore, rows: Sequence[int], geometry: Geometry) -> bool:
    """Whether these rows are 8-bit arrays of the right size, so that nothing needs resizing."""
    arrays = [store.raw(row) for row in _firsts(store, rows)] if rows else []
    size = (geometry.height, geometry.width)
    return (
        bool(arrays)
        and len({a.shape for a in arrays}) == 1
        and all(a.dtype == np.uint8 and a.shape[:2] == size and a.shape[2] != 4 for a in arrays)
    )


def _gather(store: ArrayStore, rows: Sequence[int], inputs: Tensor) -> None:
    """What ``to_tensor`` does, for many arrays at once."""
    for start in range(0, len(rows), 4096):
        block = torch.from_numpy(store.gather(np.array(rows[start : start + 4096])))
        inputs[start : start + len(block)] = pixels.channels(
            block.permute(0, 3, 1, 2), inputs.shape[1]
        )
