"""Where decoded images are kept: in memory, in a packed cache on the disk, or nowhere.

A set that is decoded within about a second stays in memory: a file would not pay. What is larger
is packed; what neither the cache nor the memory can hold is streamed. All three give the same
bits in the same order.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Literal, Protocol

import PIL
import simplejpeg
import torch
from torch import Tensor

from glassnet.data.examples import TensorExamples
from glassnet.data.layouts import FileStore, Layout
from glassnet.data.packed import Decode, Index, PackedExamples, Shape, count_levels
from glassnet.data.pixels import Geometry
from glassnet.data.stream import StreamedExamples

Gather = Callable[[Sequence[int]], Tensor | None]
"""Loads rows at once if they need no decoding."""
Place = Literal["auto", "memory", "disk", "stream"]

MANY = 10_000
HEAVY = 32 * 2**20
"""Fewer images, of fewer bytes than this in their files, are decoded in about a second (one core:
25,000 CIFAR-10 JPEGs, or 40 MB of photographs), and are not worth a file."""
SHARE = 0.6
"""Of the machine's memory, for decoded images."""
VERSION = 1
"""To be raised when ``pixels`` gives other bits for the same file."""


class Held(Protocol):
    """Decoded images of one form."""

    index: Index
    row_bytes: int
    damage: str
    """What was wrong with what was found on the disk; it has been thrown away."""

    def fill(self, rows: Sequence[int], /) -> None:
        """Decode those rows that were not decoded yet."""
        ...

    def take(self, rows: Tensor, /) -> Tensor:
        """Return these rows, all of which were decoded; uint8 (B, C, H, W)."""
        ...

    def levels(self, rows: Tensor, /) -> Tensor:
        """Return how often each channel has each of 256 levels in these rows; int64 (C, 256)."""
        ...

    def examples(
        self, rows: Tensor, targets: Tensor, /
    ) -> TensorExamples | PackedExamples | StreamedExamples:
        """Return these rows as examples."""
        ...


class Memory:
    """Images decoded into one tensor."""

    def __init__(self, num_rows: int, shape: Shape, decode: Decode, gather: Gather) -> None:
        self.index, self.shape, self.damage = Index(num_rows), shape, ""
        self.decode, self.gather = decode, gather
        self.row_bytes = shape[0] * shape[1] * shape[2]
        self.rows = torch.zeros(0, dtype=torch.int64)
        self.inputs = torch.zeros((0, *shape), dtype=torch.uint8)

    def fill(self, rows: Sequence[int]) -> None:
        """Decode those rows that were not decoded yet."""
        missing = self.index.missing(rows)
        if (whole := self.gather(missing)) is not None:
            self.join(missing, whole)
        elif missing:
            inputs = torch.empty((len(missing), *self.shape), dtype=torch.uint8)
            kept: list[int] = []
            for row, found, frames in self.decode(missing):
                self.index.note(row, found, frames)
                if isinstance(found, Tensor):
                    inputs[len(kept)] = found
                    kept.append(row)
            self.join(kept, inputs[: len(kept)])

    def join(self, rows: Sequence[int], inputs: Tensor) -> None:
        """Keep images that were decoded."""
        self.index.here[rows] = True
        self.inputs = torch.cat([self.inputs, inputs]) if len(self.rows) else inputs
        self.rows = torch.cat([self.rows, torch.tensor(rows, dtype=torch.int64)])
        self._position = torch.empty(len(self.index.here), dtype=torch.int64)
        self._position[self.rows] = torch.arange(len(self.rows))

    def take(self, rows: Tensor) -> Tensor:
        """These rows; all that are held, in their order, are no copy."""
        if rows.equal(self.rows):
            return self.inputs
        return self.inputs.index_select(0, self._position[rows] if len(rows) else rows)

    def levels(self, rows: Tensor) -> Tensor:
        """How often each channel has each of 256 levels in these rows; int64 (C, 256)."""
        return count_levels(self.take(rows).split(4096), self.shape[0])

    def examples(self, rows: Tensor, targets: Tensor) -> TensorExamples:
        """These rows as examples in memory."""
        return TensorExamples(rows, self.take(rows), targets)


def place(wanted: Place, layout: Layout, row_bytes: int, *, plain: bool) -> Place:
    """Where to keep the images; ``plain``: they are 8-bit arrays that need no decoding."""
    if wanted != "auto":
        return wanted
    if plain:
        return "memory"
    store = layout.store
    heavy = len(layout.labels) >= MANY
    if isinstance(store, FileStore):
        heavy = heavy or sum(store.files.sizes[name] for name in store.names) >= HEAVY
    return "disk" if heavy or len(layout.labels) * row_bytes > SHARE * memory() else "memory"


def key(fingerprint: str, stamp: str, geometry: Geometry, whites: dict[str, float]) -> str:
    """A name for this content in this form, as these versions of the decoders give it."""
    versions = [VERSION, PIL.__version__, simplejpeg.__version__, torch.__version__]
    what = [fingerprint, stamp, asdict(geometry), whites, versions, platform.machine()]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def memory() -> float:
    """Bytes of memory of this machine."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError):  # Windows
        return float("inf")
