"""A tar, packed or not, whose members are slices of one plain file.

A packed tar is decompressed into one file. That file and the list of the members lie in the cache,
so that the next start finds them; where the cache has no room, it is an anonymous temporary file,
which the system removes by itself.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import json
import lzma
import mmap
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from filelock import FileLock

from glassnet.data import shelf
from glassnet.data.members import checked, plain_name, refuse_bomb, report_links, stamp_of
from glassnet.progress import warn
from glassnet.task import Problem

KEPT = 4 * 2**20
"""Smaller packed archives are unpacked anew each time: it takes a tenth of a second."""


class Tar:
    """A .tar archive, packed or not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        with contextlib.ExitStack() as stack:
            plain, listing = _unpacked(path, stack)
            self._bytes = mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ)
            weakref.finalize(self, stack.pop_all().close)
        report_links(path, listing.links, self.problems)
        self.sizes: Mapping[str, int] = listing.sizes
        self._offsets = listing.starts

    def read(self, name: str) -> bytes:
        """Return the content of one member."""
        start = self._offsets[name]
        return self._bytes[start : start + self.sizes[name]]

    def stamp(self) -> str:
        """When the archive was written last."""
        return stamp_of(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tar, (self.path,)


@dataclass(frozen=True)
class _Listing:
    """What a tar holds: nothing that climbs out of it, and names made plain."""

    sizes: dict[str, int]
    """Name -> bytes, of files; in the order of the names."""
    starts: dict[str, int]
    """Name -> where its bytes begin."""
    links: list[str]
    """Links and devices, which are refused."""


def _unpacked(path: Path, stack: contextlib.ExitStack) -> tuple[IO[bytes], _Listing]:
    """Open a tar as a plain one, from the cache where it must be unpacked; and list it."""
    with path.open("rb") as file:
        opener = _opener(file.read(6))
    if opener is None:
        plain = stack.enter_context(cast(IO[bytes], path.open("rb")))
        return plain, _list(path, plain)
    if path.stat().st_size >= KEPT:
        with contextlib.suppress(shelf.NoRoom, OSError):
            return _kept(path, opener, stack)
    plain = stack.enter_context(cast(IO[bytes], tempfile.TemporaryFile()))  # noqa: SIM115
    _unpack(path, opener, plain)
    return plain, _list(path, plain)


def _kept(
    path: Path, opener: Callable[[Path], IO[bytes]], stack: contextlib.ExitStack
) -> tuple[IO[bytes], _Listing]:
    """The unpacked tar and its list from the cache; made if they are missing or damaged."""
    about = path.stat()
    what = [str(path.resolve()), about.st_size, about.st_mtime_ns, about.st_ino]
    folder, used = shelf.hold("tar-" + hashlib.sha256(repr(what).encode()).hexdigest()[:28])
    stack.enter_context(used)
    held, listing = folder / "plain.tar", folder / "members.json"
    with FileLock(folder / "writing"):
        if (found := _read_kept(held, listing)) is None:
            shelf.make_room(8 * about.st_size, folder)  # a guess: what it will be is not known
            with shelf.written(held) as file:
                _unpack(path, opener, file)
                found = _list(path, file)
                file.seek(0)
                crc = _crc32(file)
            shelf.make_room(held.stat().st_size, folder)
            with shelf.written(listing) as file:
                file.write(json.dumps({"crc": crc, **vars(found)}).encode())
    return stack.enter_context(held.open("rb")), found


def _read_kept(held: Path, listing: Path) -> _Listing | None:
    if not (listing.exists() and held.exists()):
        return None
    try:
        about = json.loads(listing.read_bytes())
        with held.open("rb") as file:
            whole = _crc32(file) == about.pop("crc")
        found = _Listing(**about)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        where = f"cache {held}"
        warn([Problem(where, "the unpacked archive was damaged", "thrown away and unpacked anew")])
        return None
    return found


def _crc32(file: IO[bytes]) -> int:
    crc = 0
    while block := file.read(1 << 20):
        crc = zlib.crc32(block, crc)
    return crc


def _list(path: Path, plain: IO[bytes]) -> _Listing:
    sizes, starts, links = {}, {}, []
    plain.seek(0)
    for member in tarfile.open(fileobj=plain, mode="r:"):  # noqa: SIM115 - plain is closed
        if member.isreg():
            sizes[member.name] = member.size
            starts[plain_name(member.name)] = member.offset_data
        elif not member.isdir():
            links.append(member.name)
    return _Listing(checked(path, sizes), starts, links)


def _unpack(path: Path, opener: Callable[[Path], IO[bytes]], plain: IO[bytes]) -> None:
    total = 0
    with opener(path) as packed:
        while block := packed.read(1 << 20):
            total += len(block)
            refuse_bomb(path, total)
            plain.write(block)
    plain.flush()


def _opener(magic: bytes) -> Callable[[Path], IO[bytes]] | None:
    if magic.startswith(b"\x1f\x8b"):
        return lambda path: cast(IO[bytes], gzip.open(path, "rb"))
    if magic.startswith(b"BZh"):
        return lambda path: bz2.open(path, "rb")
    if magic.startswith(b"\xfd7zXZ"):
        return lambda path: lzma.open(path, "rb")
    return None
