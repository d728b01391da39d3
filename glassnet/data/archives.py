"""Files by relative name, whether they lie in a folder, a .zip or a .tar(.gz, .bz2, .xz).

Nothing is ever extracted to a place that an archive chooses: members of a zip are read in memory,
a tar is decompressed into one file, whose slices its members are. That file and the list of the
members lie in the cache, so that the next start finds them; where the cache has no room, it is an
anonymous temporary file, which the system removes by itself.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import hashlib
import io
import json
import lzma
import mmap
import os
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from filelock import FileLock

from glassnet.data import shelf
from glassnet.errors import UserError
from glassnet.progress import warn
from glassnet.task import Problem

MAX_BYTES = 32 * 2**30
"""What an archive may unpack to; more is taken for a decompression bomb."""
MAX_MEMBER = 2**30
MAX_MEMBERS = 5_000_000
MAX_GUNZIPPED = 16 * 2**30
"""What a single .gz may unpack to, all of which is held in memory."""
MAX_RATIO = 1100
"""Deflate cannot pack better than 1032 : 1 (zlib's manual); bz2 and xz can, and bombs do."""
RATIO_FREE = 256 * 2**20
"""Archives that unpack to less are harmless whatever their ratio."""

KEPT = 4 * 2**20
"""Smaller packed archives are unpacked anew each time: it takes a tenth of a second."""

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}
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


def is_litter(name: str) -> bool:
    """Whether a relative name is hidden or one of the files that systems scatter about."""
    return any(part.startswith(".") or part.lower() in _IGNORED for part in name.split("/"))


def unpacked(data: bytes, where: str) -> bytes:
    """Unpack gzip, bzip2, xz, or a zip of one file; all else as it is. ``where`` is for messages.

    All members count: bgzip writes many, and ``cat a.gz b.gz`` joins two.
    """
    if data[:3] == b"BZh":
        return _inflated(bz2.open(io.BytesIO(data)), where)
    if data[:6] == b"\xfd7zXZ\0":
        return _inflated(lzma.open(io.BytesIO(data)), where)
    if data[:2] == b"PK" and where.lower().endswith(".zip"):
        return _only_member(Path(where))
    return gunzipped(data, where)


def gunzipped(data: bytes, where: str) -> bytes:
    """Unpack what is gzip, and return everything else as it is; ``where`` is for messages."""
    if data[:2] != b"\x1f\x8b":
        return data
    return _inflated(cast(IO[bytes], gzip.open(io.BytesIO(data))), where)


def _inflated(packed: IO[bytes], where: str) -> bytes:
    plain = io.BytesIO()
    try:
        with packed:
            while block := packed.read(1 << 20):
                plain.write(block)
                if plain.tell() > MAX_GUNZIPPED:
                    raise UserError(
                        f"{where} unpacks to more than {MAX_GUNZIPPED:,} bytes. Unpack it "
                        "yourself, and split it."
                    )
    except EOFError as error:
        raise UserError(f"{where} is cut short. Fetch it again.") from error
    except (OSError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{where} is damaged ({error}). Fetch it again.") from error
    return plain.getvalue()


def _only_member(path: Path) -> bytes:
    files = open_files(path)
    if len(files.sizes) != 1:
        raise UserError(
            f"{path} holds {len(files.sizes)} files; a packed table is one. Unpack it, and give "
            "the folder."
        )
    try:
        return files.read(next(iter(files.sizes)))
    except OSError as error:
        raise UserError(f"{path} is {error}. Fetch it again.") from error


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
        _report_links(path, [m.filename for m in members if _is_zip_link(m)], self.problems)
        self.sizes: Mapping[str, int] = _checked(path, sizes)
        self._names = {_plain_name(name): name for name in sizes}
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
        return _stamp(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Zip, (self.path,)


class Tar:
    """A .tar archive, packed or not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        with contextlib.ExitStack() as stack:
            plain, listing = _unpacked(path, stack)
            self._bytes = mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ)
            weakref.finalize(self, stack.pop_all().close)
        _report_links(path, listing.links, self.problems)
        self.sizes: Mapping[str, int] = listing.sizes
        self._offsets = listing.starts

    def read(self, name: str) -> bytes:
        """Return the content of one member."""
        start = self._offsets[name]
        return self._bytes[start : start + self.sizes[name]]

    def stamp(self) -> str:
        """When the archive was written last."""
        return _stamp(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tar, (self.path,)


def _folder_to_read(path: Path) -> Folder:
    """A folder of which names are known: it is not listed again."""
    folder = Folder.__new__(Folder)
    folder.path, folder.problems, folder.sizes = path, [], {}
    return folder


def _stamp(path: Path) -> str:
    about = path.stat()
    return f"{about.st_size} {about.st_mtime_ns}"


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


def _checked(path: Path, sizes: Mapping[str, int]) -> dict[str, int]:
    """Refuse an archive that would climb out of its folder or fill the memory."""
    for name, size in sizes.items():
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise UserError(
                f"{path} holds a member named {name!r}, which points outside of the archive. "
                "Such archives are refused; pack the folder again with relative names."
            )
        if size > MAX_MEMBER:
            raise UserError(
                f"{path} holds {name!r} of {size:,} bytes; one member may have {MAX_MEMBER:,}. "
                "Unpack the archive yourself if you trust it, and give the folder."
            )
    total = sum(sizes.values())
    _refuse_bomb(path, total)
    if len(sizes) > MAX_MEMBERS:
        raise UserError(f"{path} holds {len(sizes):,} members; the limit is {MAX_MEMBERS:,}.")
    plain = {_plain_name(name): size for name, size in sizes.items()}
    return {name: plain[name] for name in sorted(plain) if not is_litter(name)}


def _plain_name(name: str) -> str:
    return "/".join(p for p in name.replace("\\", "/").split("/") if p not in ("", "."))


def _refuse_bomb(path: Path, total: int) -> None:
    ratio = total / max(path.stat().st_size, 1)
    if total > MAX_BYTES or (total > RATIO_FREE and ratio > MAX_RATIO):
        raise UserError(
            f"{path} unpacks to at least {total:,} bytes, {ratio:,.0f} times its size: it looks "
            f"like a decompression bomb (limit: {MAX_BYTES:,} bytes). Unpack it yourself if you "
            "trust it, and give the folder."
        )


def _report_links(path: Path, links: list[str], problems: list[Problem]) -> None:
    if links:
        problems.append(
            Problem(
                str(path),
                f"{len(links)} links or devices in the archive are refused, such as {links[0]!r}",
                "pack the files themselves (tar --dereference)",
            )
        )


def _is_zip_link(member: zipfile.ZipInfo) -> bool:
    return (member.external_attr >> 28) == 0o12  # the file type of a symbolic link in Unix modes


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
            starts[_plain_name(member.name)] = member.offset_data
        elif not member.isdir():
            links.append(member.name)
    return _Listing(_checked(path, sizes), starts, links)


def _unpack(path: Path, opener: Callable[[Path], IO[bytes]], plain: IO[bytes]) -> None:
    total = 0
    with opener(path) as packed:
        while block := packed.read(1 << 20):
            total += len(block)
            _refuse_bomb(path, total)
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
