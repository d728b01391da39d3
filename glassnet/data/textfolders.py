"""Texts that are files in class folders, with or without train/ and test/ above them; also packed.

That is the layout of aclImdb. Which file is of which class is told by its name alone.
"""

from __future__ import annotations

import codecs
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from glassnet.data import layouts
from glassnet.data.archives import Files, is_archive, open_files
from glassnet.data.order import natural
from glassnet.data.parts import ORDER
from glassnet.data.threads import in_threads
from glassnet.errors import UserError
from glassnet.task import Problem

SUFFIXES = (".txt", ".text")
UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
"""Folders beside the class folders whose texts have no label, as in aclImdb."""


@dataclass
class Found:
    """Texts and their labels, row by row."""

    texts: list[str]
    labels: list[str | None]
    parts: list[str]
    """'train', 'validation' or 'test' for each row."""
    name: Callable[[int], str]
    """row -> how a person finds it"""
    text: str = ""
    """The column of the texts; empty for files."""
    target: str = ""
    order: list[str] = field(default_factory=list)
    """All columns of the table."""
    one: Literal["row", "file"] = "row"
    """What one text is here: a row of a table, or a file."""
    form: str = "texts in a table"
    problems: list[Problem] = field(default_factory=list)


def is_tree(path: Path, enough: int = 1) -> bool:
    """Whether texts lie in class folders, at least ``enough`` of them; only names are looked at."""
    if not (path.is_dir() or (is_archive(path) and _begins_with_texts(path))):
        return False
    names = _texts(open_files(path))
    return len({label for _, label in _places(names).values() if label}) >= enough


def _begins_with_texts(path: Path, looked_at: int = 50) -> bool:
    """Whether there is a text among the first members: a .tar.gz is slow to list as a whole."""
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            return True
    try:
        with tarfile.open(path) as tar:
            members = (member for member, _ in zip(tar, range(looked_at), strict=False))
            return any(member.name.endswith(SUFFIXES) for member in members)
    except (OSError, EOFError, tarfile.TarError):
        return False  # told by the reader of archives


def _texts(files: Files) -> list[str]:
    """The names that are texts; none where there are pictures or tables as well in folders."""
    names = list(files.sizes)
    if any(layouts.is_image(name) for name in names):
        return []
    return [name for name in names if name.lower().endswith(SUFFIXES)]


Places = dict[str, tuple[str | None, str | None]]


def _places(names: Sequence[str]) -> Places:
    """Part and class of each name that lies in a class folder.

    Where some lie in train/ or test/, the others are no texts of the set, such as lists of words.
    """
    if not names:
        return {}
    root = layouts.common_root(names)
    places = {name: layouts.place(name[len(root) :]) for name in names}
    has_parts = any(part and label for part, label in places.values())
    return {
        name: (part, label)
        for name, (part, label) in places.items()
        if label and (part or not has_parts)
    }


@dataclass
class Listing:
    """Files in class folders by their names; none has been read."""

    files: Files
    rows: list[str]
    """Names, in the order of the rows."""
    labels: list[str | None]
    parts: list[str]
    problems: list[Problem]


def listed(path: Path) -> Listing:
    """Which files are texts of which class and part."""
    files = open_files(path)
    names = _texts(files)
    places = _places(names)
    problems = [*files.problems]
    if without := [name for name in names if name not in places]:
        problems.append(_left_out(path, without, "lie outside of class folders, without a label"))
    unsure = {name for name, (_, label) in places.items() if str(label).lower() in UNLABELLED}
    if unsure:
        what = "lie in a folder for texts without labels"
        problems.append(_left_out(path, sorted(unsure), what))
    kept = {name: place for name, place in places.items() if name not in unsure}
    rows = sorted(kept, key=lambda name: (ORDER[kept[name][0] or "train"], natural(name)))
    labels = [kept[name][1] for name in rows]
    return Listing(files, rows, labels, [kept[name][0] or "train" for name in rows], problems)


def sampled(path: Path, most: int) -> Found:
    """As ``read``, but texts are read of ``most`` rows only; the others: ''."""
    listing = listed(path)
    texts = [""] * len(listing.rows)
    for row in range(0, len(texts), max(1, len(texts) // most)):
        texts[row] = _read(path, listing.files, listing.rows[row])[0] or ""
    return _found(listing, texts)


def read(path: Path) -> Found:
    """Read all of them; what is no text is reported and left out."""
    listing = listed(path)
    rows = listing.rows
    done = list(in_threads(lambda name: _read(path, listing.files, name), rows))
    listing.problems += [problem for _, found in done for problem in found]
    broken = [row for row, (text, _) in enumerate(done) if text is None]
    if 2 * len(broken) > len(rows):
        what = done[broken[0]][1][0]
        raise UserError(
            f"{path}: {len(broken)} of {len(rows)} files cannot be read as texts, such as "
            f"{what.where}, which {what.what}. More than half is too many to leave out."
        )
    good = [row for row, (text, _) in enumerate(done) if text is not None]
    listing = Listing(
        listing.files,
        [rows[row] for row in good],
        [listing.labels[row] for row in good],
        [listing.parts[row] for row in good],
        listing.problems,
    )
    return _found(listing, [str(done[row][0]).strip() for row in good])


def _found(listing: Listing, texts: list[str]) -> Found:
    return Found(
        texts, listing.labels, listing.parts, lambda row: listing.rows[row], target="folder",
        one="file", form="texts in class folders", problems=listing.problems,
    )  # fmt: skip


def _left_out(path: Path, names: Sequence[str], what: str) -> Problem:
    return Problem(
        str(path / names[0]), f"{len(names):,} files {what}",
        "left out; put them into class folders if they belong to a class", level="note",
    )  # fmt: skip


def _read(path: Path, files: Files, name: str) -> tuple[str | None, list[Problem]]:
    problems: list[Problem] = []
    try:
        return decoded(files.read(name), f"{path / name}", problems), problems
    except OSError as error:
        problem = Problem(f"{path / name}", f"cannot be read ({error})", "left out; check it")
    except UserError as error:
        problem = Problem(f"{path / name}", str(error), "left out; remove it or export it as text")
    return None, [problem]


def lines(text: str) -> list[str]:
    """The lines of a text, by line breaks alone: ``splitlines`` cuts within sentences, too."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def decoded(data: bytes, where: str, problems: list[Problem]) -> str:
    """The text of a file: by its byte order mark, else UTF-8, else Windows-1252 with a problem.

    Raises:
        UserError: If it is no text.
    """
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:4096]:
        raise UserError("is no text (it holds zero bytes)")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
    problems.append(
        Problem(
            f"{where} line {line}",
            f"is not UTF-8 (byte 0x{byte:02x}); read as Windows-1252 (Western European)",
            "if letters look wrong, save the file as UTF-8",
            kind="wrong encoding",
        )
    )
    return data.decode("cp1252", "replace")
