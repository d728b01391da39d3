"""Files of text -> documents, and stretches of them that can be read one by one.

A document is a file, or a line of one. Nothing is held in memory but where each stretch lies, so a
text may be larger than the memory: one pass finds out what is there, and a second one where to cut.
All places are bytes of the unpacked file; a cut never divides a character.
"""

# Legend: N stretches, F files, D documents.

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from glassnet.data.members import is_litter
from glassnet.errors import UserError
from glassnet.progress import tell

PLAIN = (".txt", ".md", ".rst", ".text")
CODE = (
    ".py", ".c", ".h", ".cpp", ".hpp", ".cc", ".rs", ".go", ".java", ".kt", ".js", ".ts", ".rb",
    ".lua", ".sh", ".sql", ".r", ".jl", ".hs", ".ml", ".lisp", ".tex", ".html", ".css", ".abc",
)  # fmt: skip
SUFFIXES = (*PLAIN, *CODE)
PIECE = 4 * 2**20
"""Bytes that are read at once."""
ENOUGH = 100
FEW = 0.01
"""A file with at least ``ENOUGH`` lines, of which at most this share is empty, holds a document in
each line: prose and verse have empty lines between paragraphs, lists have none."""

Documents = Literal["line", "file"]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Text:
    """One file, as the first pass found it."""

    path: Path
    name: str
    begin: int
    """Bytes of the mark that some programs put before UTF-8."""
    size: int
    """Bytes, unpacked."""
    digest: str
    lines: Places
    """Where lines begin, and the size; empty if the lines are no documents."""
    num_lines: int
    num_empty: int
    """Empty lines."""

    def open(self) -> IO[bytes]:
        """The unpacked bytes."""
        return opened(self.path)


def opened(path: Path) -> IO[bytes]:
    """The unpacked bytes of a file."""
    if path.suffix.lower() == ".gz":
        return cast(IO[bytes], gzip.open(path))
    return path.open("rb")


def is_text(name: str) -> bool:
    """Whether the suffix, without .gz, is one of texts or of programs."""
    return Path(name.lower().removesuffix(".gz")).suffix in SUFFIXES


def files(path: Path) -> list[Path]:
    """The texts of a folder and of those below it, by name; of a file, itself."""
    if not path.is_dir():
        return [path]
    names = (str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    return [path / name for name in sorted(names) if is_text(name) and not is_litter(name)]


def scan(path: Path, documents: Documents | None) -> tuple[list[Text], Documents]:
    """Read all files once: sizes, fingerprints, and whether every line is a document of its own.

    Raises:
        UserError: If there is no text, or bytes are no UTF-8.
    """
    listed = files(path)
    if not listed:
        raise UserError(
            f"{path} holds no texts. Expected files such as a.txt, b.md or c.py, also packed as "
            ".gz; or give the path of one file."
        )
    sizes = [file.stat().st_size for file in listed]
    found, done = [], 0
    for file, size in zip(listed, sizes, strict=True):
        tell("reading the text", done, sum(sizes))
        name = str(file.relative_to(path)) if path.is_dir() else path.name
        found.append(_scan(file, name, documents != "file"))
        done += size
    if documents is None:
        lined = all(t.num_empty <= FEW * t.num_lines and t.num_lines >= ENOUGH for t in found)
        documents = "line" if lined and is_plain(listed) else "file"
    if not any(text.size > text.begin for text in found):
        raise UserError(f"{path} is empty. Expected a text to learn from.")
    return found, documents


def is_plain(listed: Iterable[Path]) -> bool:
    """Whether no file is a program, whose lines belong together."""
    return all(not file.name.lower().removesuffix(".gz").endswith(CODE) for file in listed)


def _scan(path: Path, name: str, with_lines: bool) -> Text:
    digest, check = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    size = begin = num_lines = empty = 0
    starts, last = [np.zeros(1, np.int64)], b""
    try:
        with opened(path) as file:
            while piece := file.read(PIECE):
                begin = begin if size else _begin(path, piece)
                _require_text(check, piece, path, size)
                digest.update(piece)
                ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == 10)
                num_lines += len(ends)
                empty += (last + piece).replace(b"\r\n", b"\n").count(b"\n\n")
                if with_lines and (num_lines < 10 * ENOUGH or empty <= FEW * num_lines):
                    starts.append(ends + (size + 1))
                last, size = piece[-1:], size + len(piece)
            _require_text(check, b"", path, size, final=True)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}). Fetch it again.") from error
    lines = np.concatenate(starts)
    if lines[-1] != size:
        lines, num_lines = np.append(lines, size), num_lines + 1
    lines[0] = begin
    return Text(path, name, begin, size, digest.hexdigest(), lines, num_lines, empty)


def _begin(path: Path, piece: bytes) -> int:
    if piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(
            f"{path} is written in UTF-16; expected UTF-8. Convert it: `iconv -f UTF-16 -t UTF-8`."
        )
    return len(codecs.BOM_UTF8) if piece.startswith(codecs.BOM_UTF8) else 0


def _require_text(
    check: codecs.IncrementalDecoder, piece: bytes, path: Path, before: int, final: bool = False
) -> None:
    """Refuse bytes that are no text, and say where they are."""
    held = len(check.getstate()[0])
    try:
        check.decode(piece, final)
        place, found = before + piece.find(b"\0"), b"\0"
        if b"\0" not in piece:
            return
    except UnicodeDecodeError as error:
        place, found = before - held + error.start, error.object[error.start : error.end]
    with opened(path) as file:
        line = file.read(place).count(b"\n") + 1
    raise UserError(
        f"{path}: byte {place:,} (line {line:,}) is {found.hex(' ')}, which is no UTF-8 text. "
        "If the file is in another encoding, convert it, such as `iconv -f LATIN1 -t UTF-8`; if it "
        "is no text, leave it out."
    )


# --- Stretches ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stretches:
    """Where pieces of documents lie, in the order of the files; each (N,)."""

    file: NDArray[np.int32]
    begin: Places
    end: Places
    first: NDArray[np.bool_]
    """Whether a document begins here."""
    last: NDArray[np.bool_]
    """Whether a document ends here."""

    def __len__(self) -> int:
        return len(self.file)


def whole(texts: list[Text], documents: Documents) -> Stretches:
    """Every document as one stretch; empty lines are passed over."""
    parts = []
    for number, text in enumerate(texts):
        if documents == "file":
            places = np.array([[text.begin, text.size]])
        else:
            places = np.stack([text.lines[:-1], text.lines[1:]], axis=1)
        parts.append(np.insert(places, 0, number, axis=1))
    table = np.concatenate(parts)
    table = table[table[:, 2] - table[:, 1] > (1 if documents == "line" else 0)]
    yes = np.ones(len(table), np.bool_)
    return Stretches(table[:, 0].astype(np.int32), table[:, 1], table[:, 2], yes, yes)


def cut(texts: list[Text], docs: Stretches, size: int, at: list[int]) -> Stretches:
    """Cut documents into stretches of about ``size`` bytes that end with a line where they can.

    ``at`` are bytes of all documents end to end where there must be a cut too.
    """
    if not at and not (docs.end - docs.begin > size).any():
        return docs
    rows: list[tuple[int, int, int, bool, bool]] = []
    before = 0
    for file, begin, end in zip(docs.file.tolist(), docs.begin.tolist(), docs.end.tolist(),
                                strict=True):  # fmt: skip
        cuts = [begin]
        if end - begin > size or any(before < place < before + end - begin for place in at):
            wanted = [begin + p - before for p in at if before < p < before + end - begin]
            with texts[file].open() as handle:
                cuts = _cuts(handle, begin, end, size, wanted)
        ends = [*cuts[1:], end]
        rows += [(file, b, e, b == begin, e == end) for b, e in zip(cuts, ends, strict=True)]
        before += end - begin
    columns = list(zip(*rows, strict=True))
    return Stretches(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.int64),
        np.array(columns[3], np.bool_),
        np.array(columns[4], np.bool_),
    )


def _cuts(handle: IO[bytes], begin: int, end: int, size: int, wanted: list[int]) -> list[int]:
    """Where stretches begin, in ascending order."""
    exact = [_next_character(handle, place) for place in sorted(wanted)]
    handle.seek(0)  # what is packed is unpacked once more
    cuts, targets = [begin], [*exact, end]
    for target in targets:
        while target - cuts[-1] > 1.5 * size:
            cuts.append(min(target, _next_line(handle, cuts[-1] + size)))
        if cuts[-1] < target < end:
            cuts.append(target)
    return cuts if cuts[-1] < end else cuts[:-1]


def _next_character(handle: IO[bytes], place: int) -> int:
    handle.seek(place)
    following = handle.read(4)
    return place + next((n for n, b in enumerate(following) if b & 0xC0 != 0x80), len(following))


def _next_line(handle: IO[bytes], place: int, within: int = 4096) -> int:
    """Behind the next line break; where none is near, before the next character."""
    handle.seek(place)
    found = handle.read(within).find(b"\n")
    return place + found + 1 if found >= 0 else _next_character(handle, place)


def read(texts: list[Text], where: Stretches, rows: NDArray[np.int64]) -> Iterator[list[str]]:
    """The texts of these stretches, in their order, some at a time.

    Neighbours are read at once: up to ``PIECE`` bytes, what lies between them included.
    """
    file, begin, end = where.file[rows], where.begin[rows], where.end[rows]
    place, count = 0, len(rows)
    handle: IO[bytes] | None = None
    held = -1
    try:
        while place < count:
            limit = begin[place] + PIECE
            stop = place + 1
            while stop < count and file[stop] == file[place] and begin[place] < end[stop] <= limit:
                stop += 1
            if file[place] != held:
                if handle is not None:
                    handle.close()
                held = int(file[place])
                handle = texts[held].open()
            assert handle is not None
            base = int(begin[place])
            handle.seek(base)
            data = handle.read(int(end[place:stop].max()) - base)
            spans = zip(begin[place:stop].tolist(), end[place:stop].tolist(), strict=True)
            yield [_plain(data[b - base : e - base]) for b, e in spans]
            place = stop
    finally:
        if handle is not None:
            handle.close()


def _plain(data: bytes) -> str:
    """Text with one kind of line break."""
    text = data.decode()
    return text.replace("\r\n", "\n") if "\r" in text else text
