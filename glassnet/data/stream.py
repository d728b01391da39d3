"""Images that neither memory nor disk can hold: worker processes decode the next batches.

Every worker is a process of its own that answers a list of names with their pixels. It is started
as a plain command, not by ``multiprocessing``, which would run a user's script a second time; it
sleeps unless it is asked, and ends when the pipe to it does, however its parent ended. The order
of the batches is the caller's, whoever decodes what, so that nothing depends on the workers.

Before the first batch every image has been decoded once, to learn the mean and to know which ones
cannot be read; what came of it is kept on the disk.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from glassnet.data import shelf
from glassnet.data.examples import SMALL, in_slices
from glassnet.data.packed import Decode, Index, Shape, changed, count_levels, key_of
from glassnet.errors import UserError
from glassnet.task import Batch, Problem

PIECE = 32
"""Images that a worker decodes at a time: a batch is spread over all workers."""
AHEAD = 3
"""Batches that are decoded before they are asked for, beside the current one."""


class Streamed:
    """The rows of a source in one form, decoded whenever they are asked for."""

    def __init__(
        self,
        key: str,
        num_rows: int,
        shape: Shape,
        name: Callable[[int], str],
        decode: Decode,
        read: Callable[[str], Tensor],
    ) -> None:
        self.shape, self.name, self.decode = shape, name, decode
        self.row_bytes = shape[0] * shape[1] * shape[2]
        self.index = Index(num_rows)
        self.crew = Crew(read, shape)
        self._path: Path | None = None
        with contextlib.suppress(OSError):  # without a place on the disk it is learned anew
            folder, used = shelf.hold(f"{key}-stream")
            weakref.finalize(self, used.close)
            self._path = folder / "index.npz"
            with contextlib.suppress(ValueError):
                self.index = Index.load(self._path, num_rows)

    def fill(self, rows: Sequence[int]) -> None:
        """Decode once what was never decoded, to know whether that is possible."""
        missing, counted = self.index.missing(rows), []
        for row, found, frames in self.decode(missing):
            self.index.note(row, found, frames)
            if not isinstance(found, Problem):
                counted.append(count_levels([found[None]]) if False else found)
        if missing:
            self._save()

    def take(self, rows: Tensor) -> Tensor:
        """These rows, uint8 (B, C, H, W)."""
        return next(self.crew.decode([self._names(rows)]))

    def levels(self, rows: Tensor) -> Tensor:
        """How often each channel has each of the 256 levels in these rows; int64 (C, 256)."""
        key = key_of(rows)
        if key not in self.index.levels:
            pieces = self.crew.decode(map(self._names, rows.split(1024)))
            self.index.levels[key] = count_levels(pieces).tolist()
            self._save()
        return torch.tensor(self.index.levels[key])

    def examples(self, rows: Tensor, targets: Tensor) -> StreamedExamples:
        """Examples that are decoded ahead."""
        return StreamedExamples(rows, targets, self)
