"""Tokens on the disk: a text is tokenized once, mapped into memory, and shared by all runs.

An entry belongs to one text, one vocabulary and some of its stretches, and holds two files:

- ``tokens``: all of them end to end, int16 or int32;
- ``index.npz``: format, where each stretch begins, and a CRC-32 of the tokens.

Both are written under other names first and then put in place as a whole, the index last, so that
whoever is killed in between leaves nothing that looks finished. The checksum is compared when an
entry is opened (1 s for 2 GB); what differs is made again, and told.
"""

from __future__ import annotations

import warnings
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from glassnet.data import shelf
from glassnet.progress import tell, warn
from glassnet.task import Problem

FORMAT = 1
BLOCK = 2**24
"""Tokens that are checked at once."""

Pieces = Callable[[], Iterable[list[NDArray[np.int32]]]]
"""Tokenizes: the tokens of some stretches at a time, in order."""
Whole = type[np.int16] | type[np.int32]
Tokens = tuple[Tensor, NDArray[np.int64]]
"""All tokens end to end, and where each stretch begins, (N + 1,)."""


def in_memory(pieces: Pieces, dtype: Whole) -> Tokens:
    """Tokenize into one tensor."""
    rows = [row for piece in pieces() for row in piece]
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=starts[1:])
    joined = np.concatenate([np.zeros(0, dtype), *rows]).astype(dtype, copy=False)
    return torch.from_numpy(joined), starts


def on_disk(key: str, pieces: Pieces, dtype: Whole, most: int) -> Tokens:
    """Tokenize into the cache, or take what is there; ``most`` is the most bytes it may take.

    Raises:
        shelf.NoRoom: If the cache has no place for it.
    """
    path, used = shelf.hold(key)
    with ExitStack() as unless_kept:
        unless_kept.callback(used.close)
        with FileLock(path / "writing"):
            starts = _starts(path, dtype)
            if starts is None:
                shelf.make_room(most, path)
                starts = _write(path, pieces, dtype)
        mapped = np.memmap(path / "tokens", dtype, "r")
        weakref.finalize(mapped, used.close)  # it lives as long as any tensor that looks into it
        unless_kept.pop_all()
    return _tensor(mapped), starts


def _starts(path: Path, dtype: Whole) -> NDArray[np.int64] | None:
    """Where the stretches of a finished and undamaged entry begin."""
    if not (path / "index.npz").exists():
        return None
    try:
        with (path / "index.npz").open("rb") as file, np.load(file, allow_pickle=False) as held:
            if int(held["format"]) == FORMAT and _checksum(path, dtype) == int(held["crc"]):
                return np.asarray(held["starts"], np.int64)
        what = "differs from its checksum, or is of another format"
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        what = f"cannot be read ({error})"
    warn([Problem(f"cache {path}", what, "the text is tokenized again")])
    return None


def _checksum(path: Path, dtype: Whole) -> int:
    tokens, crc = np.memmap(path / "tokens", dtype, "r"), 0
    for first in range(0, len(tokens), BLOCK):
        crc = zlib.crc32(tokens[first : first + BLOCK].data, crc)
        if len(tokens) > 4 * BLOCK:
            tell("checking the tokens", first, len(tokens))
    return crc


def _write(path: Path, pieces: Pieces, dtype: Whole) -> NDArray[np.int64]:
    lengths, crc = [0], 0
    (path / "index.npz").unlink(missing_ok=True)
    with shelf.written(path / "tokens") as file:
        for piece in pieces():
            data = np.concatenate(piece).astype(dtype, copy=False)
            lengths += [len(row) for row in piece]
            crc = zlib.crc32(data.data, crc)
            file.write(data.data)
    starts = np.cumsum(lengths, dtype=np.int64)
    with shelf.written(path / "index.npz") as file:
        np.savez(file, format=np.array(FORMAT), starts=starts, crc=np.array(crc))
    return starts


def _tensor(mapped: NDArray[np.int16] | NDArray[np.int32]) -> Tensor:
    """The mapped file: its pages are shared by processes, and no memory is reserved."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(mapped)  # only copies ever leave this file
