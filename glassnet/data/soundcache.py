"""Decoded sounds, end to end: in memory, or on the disk where all runs share them.

An entry on the disk belongs to one content at one rate, and holds two files:

- ``samples``: int16, sound after sound in the order in which they were first asked for. The sounds
  of the sealed test are decoded, and added, when somebody opens it.
- ``index.npz``: where each row begins, its length and CRC-32, what was odd, what cannot be decoded.

Samples are written first and the index is then replaced as a whole, so that a kill in between does
no harm: what lies behind the last sound of the index is overwritten. Each sound is compared with
its checksum when a process uses it first; what differs is decoded again, and told.
"""

from __future__ import annotations

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
from glassnet.data.signals import SignalExamples, trimmed
from glassnet.data.soundfiles import FULL, Decoded, Samples
from glassnet.errors import UserError
from glassnet.progress import warn
from glassnet.task import Batch, Problem

FORMAT = 1
SAVED_EVERY = 20.0
"""Seconds between two indices of an entry that is being built: what a kill may cost."""

Decode = Callable[[Sequence[int]], Iterable[tuple[int, Decoded | Problem]]]
"""Rows -> each with its sound, or why there is none."""


class Index:
    """What is known of the rows."""

    def __init__(self, num_rows: int) -> None:
        self.begins = np.full(num_rows, -1, np.int64)
        """Where in the samples; -1: not decoded."""
        self.lengths = np.zeros(num_rows, np.int64)
        self.crc = np.zeros(num_rows, np.uint32)
        self.rates = np.zeros(num_rows, np.int32)
        """Hz, as the file has it."""
        self.channels = np.zeros(num_rows, np.int16)
        self.flags = np.zeros(num_rows, np.uint8)
        self.problems: dict[int, Problem] = {}

    COLUMNS = ("begins", "lengths", "crc", "rates", "channels", "flags")

    @property
    def size(self) -> int:
        """Samples of all sounds together."""
        return int(self.lengths.sum())

    def missing(self, rows: Sequence[int]) -> list[int]:
        """Those rows that nobody has tried to decode."""
        return [row for row in rows if self.begins[row] < 0 and row not in self.problems]

    def note(self, row: int, found: Decoded | Problem, begin: int) -> None:
        """Keep what came of a row."""
        if isinstance(found, Problem):
            self.problems[row] = found
            return
        self.begins[row], self.lengths[row] = begin, len(found.samples)
        self.crc[row] = zlib.crc32(found.samples.data)
        self.rates[row], self.channels[row] = found.header.rate, found.header.channels
        self.flags[row] = found.flags

    def save(self, path: Path) -> None:
        """Write it as a whole."""
        told = {str(row): [p.where, p.what, p.remedy] for row, p in self.problems.items()}
        more = np.array(json.dumps({"format": FORMAT, "problems": told}))
        columns = {name: getattr(self, name) for name in self.COLUMNS}
        with shelf.written(path) as file:
            np.savez(file, more=more, **columns)

    @classmethod
    def load(cls, path: Path, num_rows: int) -> Index:
        """Read it; an index that is damaged or of another format raises ValueError."""
        index = cls(num_rows)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
                for name in cls.COLUMNS:
                    setattr(index, name, held[name])
                more = json.loads(str(held["more"]))
        except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"its index cannot be read ({error})") from error
        if more["format"] != FORMAT or len(index.begins) != num_rows:
            raise ValueError("its index is of another format")
        index.problems = {int(row): Problem(*told) for row, told in more["problems"].items()}
        return index


class InMemory:
    """Sounds decoded into memory."""

    damage = ""

    def __init__(self, num_rows: int, decode: Decode) -> None:
        self.index, self.decode = Index(num_rows), decode
        self.samples = torch.zeros(0, dtype=torch.int16)

    def fill(self, rows: Sequence[int]) -> None:
        """Decode those rows that were not decoded yet."""
        pieces, place = [self.samples], len(self.samples)
        for row, found in self.decode(self.index.missing(rows)):
            self.index.note(row, found, place)
            if not isinstance(found, Problem):
                pieces.append(torch.from_numpy(found.samples))
                place += len(found.samples)
        self.samples = torch.cat(pieces)

    def take(self, row: int) -> Tensor:
        """The samples of a row, int16; not to be changed."""
        begin = int(self.index.begins[row])
        return self.samples[begin : begin + int(self.index.lengths[row])]


class OnDisk:
    """Sounds decoded into an entry of the cache."""

    def __init__(self, key: str, names: Sequence[str], decode: Decode) -> None:
        self.names, self.decode, self.damage = names, decode, ""
        self.path, used = shelf.hold(key)
        weakref.finalize(self, used.close)
        self._lock = FileLock(self.path / "writing")
        with self._lock:
            self._open()
        self.checked = np.zeros(len(names), np.bool_)

    def fill(self, rows: Sequence[int], needed: int = 0) -> None:
        """Decode those rows that are missing; two processes do not do the same work.

        ``needed`` is about how many bytes they will take.
        """
        if not self.index.missing(rows):
            return
        with self._lock:
            self._open()  # with what another process has added meanwhile
            if missing := self.index.missing(rows):
                shelf.make_room(needed + 2 * self.index.size, self.path)
                self._write(missing)
                self._open()

    def take(self, row: int) -> Tensor:
        """The samples of a row, int16; a damaged one is mended first."""
        begin, length = int(self.index.begins[row]), int(self.index.lengths[row])
        found = self.samples[begin : begin + length]
        if not self.checked[row]:
            if zlib.crc32(found.numpy().data) != self.index.crc[row]:
                return self._mended(row)
            self.checked[row] = True
        return found

    def _open(self) -> None:
        """Map the samples and read the index; begin anew if one of them cannot be right."""
        samples, index = self.path / "samples", self.path / "index.npz"
        self.index = Index(len(self.names))
        samples.touch()
        try:
            if index.exists():
                self.index = Index.load(index, len(self.names))
                if samples.stat().st_size < 2 * self.index.size:
                    raise ValueError("its samples are cut short")
        except ValueError as error:
            self.damage, self.index = str(error), Index(len(self.names))
            index.unlink()
        self.samples = _mapped(samples, self.index.size)

    def _write(self, missing: Sequence[int]) -> None:
        saved, place = time.monotonic(), self.index.size
        with (self.path / "samples").open("r+b") as file:
            file.seek(2 * place)
            for row, found in self.decode(missing):
                self.index.note(row, found, place)
                if not isinstance(found, Problem):
                    file.write(found.samples.data)
                    place += len(found.samples)
                if time.monotonic() - saved > SAVED_EVERY:
                    self._save(file)
                    saved = time.monotonic()
            self._save(file)

    def _save(self, file: Any) -> None:
        file.flush()
        os.fsync(file.fileno())  # the index must never promise what a power cut would take back
        self.index.save(self.path / "index.npz")

    def _mended(self, row: int) -> Tensor:
        """Decode again what differs from its checksum, and write it to its place."""
        ((_, found),) = self.decode([row])
        if isinstance(found, Problem) or len(found.samples) != self.index.lengths[row]:
            what = found.what if isinstance(found, Problem) else "has another length"
            raise UserError(
                f"{self.names[row]} could be read before, but now it {what}. Put the file back as "
                "it was and resume the run, or start a new one."
            )
        with (self.path / "samples").open("r+b") as file:
            file.seek(2 * int(self.index.begins[row]))
            file.write(found.samples.data)
        self.index.crc[row] = zlib.crc32(found.samples.data)
        self.checked[row] = True
        what = f"{self.names[row]} differed from its checksum"
        remedy = "decoded again; if it happens often, check disk and memory"
        warn([Problem(f"cache {self.path}", what, remedy)])
        return torch.from_numpy(found.samples)


Held = InMemory | OnDisk


@dataclass(frozen=True)
class SoundExamples:
    """Sounds that were decoded, each with a target.

    A batch has inputs (B, 1, T) float32 in -1 to 1, T the longest of its sounds; what is not there
    is NaN, as ``networks/_series.py`` says.
    """

    rows: Tensor
    """int64 (N,)"""
    targets: Tensor
    """(N,) classes; or (N, U) int64, tokens that end in zeros."""
    sounds: Held

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Tensor:
        """Samples of each sound, int64 (N,)."""
        found: NDArray[np.int64] = self.sounds.index.lengths[self.rows.cpu().numpy()]
        return torch.from_numpy(found).to(self.rows.device)

    def sound(self, position: int) -> Tensor:
        """The samples of one, int16 (T,), as its file has them."""
        return self.sounds.take(int(self.rows[position])).clone()

    def batch(self, index: Tensor, /) -> Batch:
        """Return the examples at the positions ``index``."""
        taken = [self.sounds.take(row) for row in self.rows[index].tolist()]
        inputs = padded(taken).to(self.rows.device)
        return Batch(inputs, trimmed(self.targets.index_select(0, index)))

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Batch]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> SoundExamples | SignalExamples:
        """Put all sounds on an accelerator if they fill less than half of it, else only targets."""
        rows, targets = self.rows.to(device), self.targets.to(device)
        if rows.device == self.rows.device:
            return self
        if rows.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(rows.device)
            if 4 * int(self.lengths.sum()) < free:
                return self._joined(rows, targets)
        return SoundExamples(rows, targets, self.sounds)

    def _joined(self, rows: Tensor, targets: Tensor) -> SignalExamples:
        pieces = [self.sounds.take(row) for row in self.rows.tolist()]
        values = torch.cat([torch.zeros(0, dtype=torch.int16), *pieces])[:, None].to(rows.device)
        starts = torch.tensor([0, *map(len, pieces)]).cumsum(0).to(rows.device)
        return SignalExamples(rows, values, starts, targets, 1 / FULL)


def padded(sounds: Sequence[Tensor | Samples]) -> Tensor:
    """Sounds int16 as one batch, float32 (B, 1, T) in -1 to 1, filled up with NaN."""
    longest = max((len(sound) for sound in sounds), default=1)
    inputs = torch.full((len(sounds), 1, longest), torch.nan)
    for place, sound in enumerate(sounds):
        inputs[place, 0, : len(sound)] = torch.as_tensor(sound)
    return inputs.mul_(1 / FULL)


def _mapped(path: Path, size: int) -> Tensor:
    """Map a file for reading: its pages are shared by all processes, and no memory is reserved."""
    if not size:
        return torch.zeros(0, dtype=torch.int16)
    array = np.memmap(path, np.int16, "r", shape=(size,))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)  # only copies of its sounds ever leave this file
