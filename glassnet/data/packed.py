"""Decoded images on the disk: decoded once, mapped into memory, shared by runs and by processes.

An entry belongs to one content in one form, and holds two files:

- ``pixels``: uint8 (N, C, H, W), a place for every row of the source. Rows that nobody has asked
  for yet, such as those of the sealed test, are holes, and take no space.
- ``index.npz``: format, which rows are there, a CRC-32 of each, which could not be decoded and why.

Pixels are written first and the index is then replaced as a whole, so that whoever is killed in
between, or builds the same entry at the same time, does no harm. Each row is compared with its
checksum when a process uses it for the first time (50 ms for the 154 MB of CIFAR-10); what differs
is decoded again, and told.

Legend: N rows, B batch, C channels, H height, W width.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import warnings
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from glassnet.data import shelf
from glassnet.data.examples import TensorExamples, in_slices
from glassnet.errors import UserError
from glassnet.progress import warn
from glassnet.task import Batch, Problem

FORMAT = 1
SAVED_EVERY = 20.0
"""Seconds between two indices of an entry that is being built: what a kill may cost."""

Shape = tuple[int, int, int]
Decoded = tuple[int, Tensor | Problem, int]
"""A row, its image or why there is none, and how many frames it has."""
Decode = Callable[[Sequence[int]], Iterable[Decoded]]


class Index:
    """What is known of the rows: which were decoded, with what result."""

    def __init__(self, num_rows: int) -> None:
        self.here = np.zeros(num_rows, np.bool_)
        """Rows that can be decoded, and were."""
        self.crc = np.zeros(num_rows, np.uint32)
        self.problems: dict[int, Problem] = {}
        """Rows that cannot."""
        self.frames: dict[int, int] = {}
        """How many frames the rows have that are animations."""
        self.levels: dict[str, Any] = {}
        """Histograms, by what they are of."""

    def missing(self, rows: Sequence[int]) -> list[int]:
        """Those rows that nobody has tried to decode."""
        return [row for row in rows if not self.here[row] and row not in self.problems]

    def note(self, row: int, found: Tensor | Problem, frames: int) -> None:
        """Keep what came of a row."""
        if isinstance(found, Problem):
            self.problems[row] = found
        else:
            self.here[row] = True
            if frames > 1:
                self.frames[row] = frames

    def save(self, path: Path) -> None:
        """Write it as a whole."""
        told = {str(row): [p.where, p.what, p.remedy] for row, p in self.problems.items()}
        more = {"format": FORMAT, "problems": told, "frames": self.frames, "levels": self.levels}
        with shelf.written(path) as file:
            np.savez(file, here=self.here, crc=self.crc, more=np.array(json.dumps(more)))

    @classmethod
    def load(cls, path: Path, num_rows: int) -> Index:
        """Read it; an index that is damaged or of another format raises ValueError."""
        index = cls(num_rows)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
                index.here, index.crc = held["here"], held["crc"]
                more = json.loads(str(held["more"]))
        except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"its index cannot be read ({error})") from error
        if more["format"] != FORMAT or len(index.here) != num_rows:
            raise ValueError("its index is of another format")
        index.problems = {int(row): Problem(*told) for row, told in more["problems"].items()}
        index.frames = {int(row): number for row, number in more["frames"].items()}
        index.levels = more["levels"]
        return index


class Packed:
    """One entry of the cache: the rows of a source in one form."""

    def __init__(self, key: str, names: Sequence[str], shape: Shape, decode: Decode) -> None:
        self.names, self.shape, self.decode = names, shape, decode
        self.row_bytes = int(np.prod(shape))
        self.damage = ""
        """What was wrong with the entry that was found, if anything."""
        self.path, used = shelf.hold(key)
        weakref.finalize(self, used.close)
        self._lock = FileLock(self.path / "writing")
        with self._lock:
            self._open()
        self.checked = np.zeros(len(names), np.bool_)

    def fill(self, rows: Sequence[int]) -> None:
        """Decode those rows that are missing; two processes do not do the same work."""
        if not self.index.missing(rows):
            return
        with self._lock:
            self._open()  # with what another process has added meanwhile
            if missing := self.index.missing(rows):
                shelf.make_room(len(missing) * self.row_bytes + self._taken(), self.path)
                self._write(missing)

    def take(self, rows: Tensor) -> Tensor:
        """Copies of these rows, uint8 (B, C, H, W); damaged ones are mended first."""
        found = self.pixels.index_select(0, rows)
        numbers = rows.numpy()
        positions = np.flatnonzero(~self.checked[numbers])
        if len(positions):
            self._check(numbers[positions], positions, found)
        return found

    def levels(self, rows: Tensor) -> Tensor:
        """How often each channel has each of the 256 levels in these rows; int64 (C, 256)."""
        key = key_of(rows)
        if key not in self.index.levels:
            pieces = map(self.take, rows.split(4096))
            counted = count_levels(pieces, self.shape[0]).tolist()
            with self._lock:
                self._open()
                self.index.levels[key] = counted
                with contextlib.suppress(OSError):  # on a full disk they are counted again
                    self.index.save(self.path / "index.npz")
        return torch.tensor(self.index.levels[key])

    def examples(self, rows: Tensor, targets: Tensor) -> PackedExamples:
        """Examples that are cut out of the mapped file."""
        return PackedExamples(rows, targets, self)

    def _open(self) -> None:
        """Map the pixels and read the index; begin anew if one of them cannot be right."""
        pixels, index = self.path / "pixels", self.path / "index.npz"
        num_rows = len(self.names)
        size = num_rows * self.row_bytes
        self.index = Index(num_rows)
        try:
            if index.exists():
                self.index = Index.load(index, num_rows)
                if not pixels.exists() or pixels.stat().st_size != size:
                    raise ValueError("its pixels are cut short")
        except ValueError as error:
            self.damage, self.index = str(error), Index(num_rows)
            index.unlink()
        if not pixels.exists() or pixels.stat().st_size != size:
            with pixels.open("wb") as file:
                file.truncate(size)
        self.pixels = _mapped(pixels, (num_rows, *self.shape))

    def _write(self, missing: Sequence[int]) -> None:
        saved = time.monotonic()
        with (self.path / "pixels").open("r+b") as file:
            for row, found, frames in self.decode(missing):
                if not isinstance(found, Problem):
                    data = found.contiguous().numpy().reshape(-1)
                    self.index.crc[row] = zlib.crc32(data.data)
                    _write_at(file.fileno(), data, row * self.row_bytes)
                self.index.note(row, found, frames)
                if time.monotonic() - saved > SAVED_EVERY:
                    self._save(file.fileno())
                    saved = time.monotonic()
            self._save(file.fileno())

    def _save(self, file: int) -> None:
        os.fsync(file)  # the index must never promise what a power cut would take back
        self.index.save(self.path / "index.npz")

    def _taken(self) -> int:
        return int(self.index.here.sum()) * self.row_bytes

    def _check(self, rows: NDArray[np.int64], positions: NDArray[np.int64], found: Tensor) -> None:
        array = found.numpy().reshape(len(found), -1)
        crc = self.index.crc[rows]
        bad = [
            (int(row), int(position))
            for row, position, expected in zip(rows, positions, crc, strict=True)
            if zlib.crc32(array[position].data) != expected
        ]
        if bad:
            self._mend(bad, found)
        self.checked[rows] = True

    def _mend(self, bad: Sequence[tuple[int, int]], found: Tensor) -> None:
        """Decode again what differs from its checksum, and write it to its place."""
        damaged = sorted({row for row, _ in bad})
        for row, image, _ in self.decode(damaged):
            if isinstance(image, Problem):
                raise changed(image)
            found[[position for one, position in bad if one == row]] = image
            self.index.crc[row] = zlib.crc32(image.contiguous().numpy().data)
            with (self.path / "pixels").open("r+b") as file:
                _write_at(file.fileno(), image.contiguous().numpy(), row * self.row_bytes)
        what = (
            f"{len(damaged)} images differ from their checksums, such as {self.names[damaged[0]]}"
        )
        where = f"cache {self.path}"
        warn([Problem(where, what, "decoded again; if it happens often, check disk and memory")])


@dataclass(frozen=True)
class PackedExamples:
    """Images in a packed cache, or decoded as they are needed, with labels in memory."""

    rows: Tensor
    """int64 (N,)"""
    targets: Tensor
    images: Any
    """Packed or Streamed: ``take`` and ``row_bytes``."""

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor, /) -> Batch:
        """Return the examples at the positions ``index``."""
        inputs = self.images.take(self.rows[index].cpu())
        return Batch(inputs.to(self.rows.device), self.targets[index])

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Batch]:
        """Yield the batch at each index."""
        return in_slices(self, len(self) * self.images.row_bytes, indices, first)

    def to(self, device: Any, /) -> TensorExamples | PackedExamples:
        """Put all images on an accelerator if they fill less than half of it, else only labels."""
        rows, targets = self.rows.to(device), self.targets.to(device)
        if rows.device == self.rows.device:
            return self
        if rows.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(rows.device)
            if 2 * len(self) * self.images.row_bytes < free:
                pieces = [self.images.take(r).to(rows.device) for r in self.rows.split(4096)]
                return TensorExamples(rows, torch.cat(pieces), targets)
        return PackedExamples(rows, targets, self.images)


def key_of(rows: Tensor) -> str:
    """A name for a set of rows."""
    return hashlib.sha256(rows.sort().values.numpy().tobytes()).hexdigest()[:16]


def count_levels(pieces: Iterable[Tensor], num_channels: int) -> Tensor:
    """How often each channel of uint8 (B, C, H, W) has each level; int64 (C, 256)."""
    total = torch.zeros((num_channels, 256), dtype=torch.int64)
    for piece in pieces:
        for channel, values in enumerate(piece.unbind(1)):
            total[channel] += torch.bincount(values.flatten(), minlength=256)
    return total


def changed(problem: Problem) -> UserError:
    """An image that could be decoded once cannot be decoded now."""
    return UserError(
        f"{problem.where} could be read before, but now it {problem.what}. Put the file back as "
        "it was and resume the run, or start a new one, which leaves it out."
    )


def _mapped(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Map a file for reading: its pages are shared by all processes, and no memory is reserved."""
    array = np.memmap(path, np.uint8, "r", shape=shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)  # only copies of its rows ever leave this file


def _write_at(file: int, data: NDArray[np.uint8], place: int) -> None:
    """Write all bytes; never through the mapping, where a full disk would kill the process."""
    left = memoryview(data.reshape(-1))  # type: ignore[arg-type]
    while left:
        done = os.pwrite(file, left, place)
        left, place = left[done:], place + done
