"""The folder of what was decoded once: where it lies, how large it may grow, who uses it.

An entry is a folder of files below ``~/.cache/glassnet/packed`` (or ``XDG_CACHE_HOME``). All of it
can be made again, so it may be deleted at any time. When it grows beyond its limit, entries go
that nobody uses, the least recently used first.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from glassnet.data.datasets import cache_folder
from glassnet.errors import UserError

LIMIT_GB = 20.0
"""What all entries together may take, unless ``GLASSNET_CACHE_GB`` says otherwise."""
SHARE = 0.5
"""Of the free disk, at most this share is taken."""
VARIABLE = "GLASSNET_CACHE_GB"
_USED, _ASIDE = "used", ".old-"


class NoRoom(Exception):
    """There is no place for an entry; the message says why."""


@dataclass(frozen=True)
class Entry:
    """One thing in the cache."""

    path: Path
    size: int
    """Bytes on the disk; holes do not count."""
    used: float
    """When it was last opened, in seconds since 1970."""


def folder() -> Path:
    """Where the entries lie."""
    return cache_folder() / "packed"


def limit() -> float:
    """Bytes that all entries together may take; half of what the disk has at most."""
    said = os.environ.get(VARIABLE, "").strip()
    try:
        allowed = (float(said) if said else LIMIT_GB) * 1e9
        if not 0 <= allowed < float("inf"):
            raise ValueError
    except ValueError:
        raise UserError(
            f"{VARIABLE} says {said!r}; expected a number of gigabytes, such as 20, or 0 for none."
        ) from None
    place = folder()
    while not place.exists():
        place = place.parent
    return min(allowed, SHARE * (shutil.disk_usage(place).free + sum(e.size for e in entries())))


def entries() -> list[Entry]:
    """All entries, the least recently used first."""
    found = []
    for path in folder().glob("[!.]*"):
        with contextlib.suppress(OSError):  # another process may remove it meanwhile
            stats = [file.stat() for file in path.iterdir()]
            size = sum(getattr(s, "st_blocks", 0) * 512 or s.st_size for s in stats)
            found.append(Entry(path, size, (path / _USED).stat().st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def make_room(needed: int, beside: Path | None = None) -> None:
    """Remove entries, but not ``beside``, until ``needed`` bytes more are allowed, or refuse."""
    _sweep()
    allowed = limit()
    if needed > allowed:
        raise NoRoom(f"{needed / 1e9:.2f} GB exceed the cache's limit of {allowed / 1e9:.2f} GB")
    others = [entry for entry in entries() if entry.path != beside]
    taken = sum(entry.size for entry in others)
    for entry in others:
        if taken + needed <= allowed:
            return
        if remove(entry.path):
            taken -= entry.size
    if taken + needed > allowed:
        raise NoRoom(
            f"the cache's limit of {allowed / 1e9:.2f} GB is taken by what other runs use now"
        )


def clear() -> tuple[int, int]:
    """Remove all entries that nobody uses; bytes freed, and entries that are in use."""
    _sweep()
    freed = kept = 0
    for entry in entries():
        if remove(entry.path):
            freed += entry.size
        else:
            kept += 1
    return freed, kept


def remove(path: Path) -> bool:
    """Remove an entry unless a process uses it."""
    with contextlib.suppress(OSError), (path / _USED).open("rb") as mark:
        if not _lock(mark, exclusive=True):
            return False
        aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=path.parent))
        path.rename(aside / "it")  # at once, so that nobody finds half of it
        shutil.rmtree(aside, ignore_errors=True)
    return not path.exists()


def _sweep() -> None:
    """Remove what is left of entries whose removal was killed half-way: nobody finds them else."""
    for aside in folder().glob(f"{_ASIDE}*"):
        shutil.rmtree(aside, ignore_errors=True)


def hold(name: str) -> tuple[Path, IO[bytes]]:
    """Open an entry, made if it is not there; nobody removes it while the file is open."""
    path = folder() / name
    while True:
        path.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # removed between two of these steps
            mark = (path / _USED).open("ab")
            _lock(mark, exclusive=False)
            with contextlib.ExitStack() as unless_kept:
                unless_kept.callback(mark.close)
                if os.path.samestat(os.fstat(mark.fileno()), (path / _USED).stat()):
                    os.utime(path / _USED)
                    unless_kept.pop_all()
                    return path, mark


@contextlib.contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    os.replace(file.name, path)


def _lock(mark: IO[Any], exclusive: bool) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows removes no file that is open
        return True
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    return True
