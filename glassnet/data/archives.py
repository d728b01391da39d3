"""Files by relative name, whether they lie in a folder, a .zip or a .tar(.gz, .bz2, .xz).

Nothing is ever extracted to a place that an archive chooses: members of a zip are read in memory,
those of a tar as ``tars`` says. What is refused stands in ``members``.
"""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from glassnet.data.members import checked, is_litter, plain_name, report_links, stamp_of
from glassnet.data.tars import Tar
from glassnet.errors import UserError
from glassnet.task import Problem

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError)


class Files(Protocol):
    """Files below one root."""

    sizes: Mapping[str, int]
    """Relative name with '/' -> bytes; in the order of the names."""
    problems: list[Problem]

    def read(self, name: str, /) -> bytes:
        """Return the content of one file; safe to call from several threads."""
        ...

    def stamp(self) -> str:
        """Changes when a file is written, without reading any."""
        ...


def open_files(path: Path) -> Files:
    """List the files of a folder or an archive, without hidden files and system litter."""
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist. Check the spelling; the path must be readable.")
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        return Zip(path) if is_zip else Tar(path)
    except (*_BROKEN, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise UserError(
                f"{path} does not fit into {tempfile.gettempdir()} when it is unpacked. Free some "
                "space, or set TMPDIR to a folder on another disk."
            ) from error
        raise UserError(
            f"{path} cannot be read as an archive ({error or type(error).__name__}). It may be "
            f"cut short or be no archive: fetch it again. Known: {', '.join(ARCHIVES)}."
        ) from error


def is_archive(path: Path) -> bool:
    """Whether the name says that this is an archive."""
    return path.name.lower().endswith(ARCHIVES)


class Folder:
    """A folder with everything below it; links are followed, but never in a circle."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.sizes: Mapping[str, int] = dict(sorted(_walk(path)))

    def read(self, name: str) -> bytes:
        """Return the content of one file."""
        return (self.path / name).read_bytes()

    def stamp(self) -> str:
        """When each file was written last."""
        written = ((self.path / name).stat().st_mtime_ns for name in self.sizes)
        return hashlib.sha256(",".join(map(str, written)).encode()).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        return _folder_to_read, (self.path,)


class Zip:
    """A .zip archive, read in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self._zip = zipfile.ZipFile(path)
        members = [m for m in self._zip.infolist() if not m.is_dir()]
        sizes = {m.filename: m.file_size for m in members if not _is_zip_link(m)}
        report_links(path, [m.filename for m in members if _is_zip_link(m)], self.problems)
        self.sizes: Mapping[str, int] = checked(path, sizes)
        self._names = {plain_name(name): name for name in sizes}
        if any(m.flag_bits & 1 for m in members):
            raise UserError(f"{path} is protected by a password. Unpack it, and give the folder.")

    def read(self, name: str) -> bytes:
        """Return the content of one member."""
        try:
            return self._zip.read(self._names[name])
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise OSError(f"damaged in the archive: {error}") from error

    def stamp(self) -> str:
        """When the archive was written last."""
        return stamp_of(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Zip, (self.path,)


def _folder_to_read(path: Path) -> Folder:
    """A folder of which names are known: it is not listed again."""
    folder = Folder.__new__(Folder)
    folder.path, folder.problems, folder.sizes = path, [], {}
    return folder


def _walk(
    folder: Path, prefix: str = "", above: frozenset[int] = frozenset()
) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except PermissionError as error:
        raise UserError(f"{folder} may not be read: give yourself the right to list it.") from error
    for entry in entries:
        name = prefix + entry.name
        if is_litter(entry.name):
            continue
        if entry.is_dir():
            inode = entry.stat().st_ino
            if inode not in above:  # a link to a folder above would never end
                yield from _walk(Path(entry.path), name + "/", above | {inode})
        elif entry.is_file():
            yield name, entry.stat().st_size


def _is_zip_link(member: zipfile.ZipInfo) -> bool:
    return (member.external_attr >> 28) == 0o12  # the file type of a symbolic link in Unix modes
