"""Files of sequences: FASTA, and plain .txt; alone, in a folder, or packed.

FASTA (Pearson and Lipman 1988): a record begins with ``>``, its sequence may go over several lines.
Labels stand in the headers, or each class has a file or a folder of its own, below train/ and test/
or not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from glassnet.data import dnaheaders, dnaletters, layouts
from glassnet.data.archives import Files, is_archive, open_files
from glassnet.data.compressed import unpacked
from glassnet.data.order import natural
from glassnet.data.parts import ORDER, PARTS, part_of
from glassnet.data.textfolders import Found
from glassnet.errors import UserError
from glassnet.task import Problem

FASTA = (".fa", ".fasta", ".fna", ".ffn", ".faa", ".fas", ".frn", ".mfa")
PLAIN = (".txt", ".seq")
PACKED = (".gz", ".bz2", ".xz")
LOOKED_AT = 5
"""Plain files by which a look judges a folder."""
Places = Mapping[str, tuple[str | None, str | None]]
"""Name of a file -> its part and its class."""


@dataclass(frozen=True)
class Record:
    """One sequence of a file."""

    header: str
    """Without the ``>``; empty in plain files."""
    sequence: str
    file: str
    number: int
    """From 1, in the file."""

    @property
    def name(self) -> str:
        """The first word of the header."""
        return re.split(r"[\s|]", self.header, maxsplit=1)[0]


def is_fasta(name: str | Path) -> bool:
    """Whether a name ends as those of FASTA files do, packed or not."""
    return _plain_name(str(name)).lower().endswith(FASTA)


def _plain_name(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in PACKED else name


def _is_sequences(name: str) -> bool:
    return is_fasta(name) or _plain_name(name).lower().endswith(PLAIN)


def holds_sequences(path: Path) -> bool:
    """Whether a path is a file, a folder or an archive of sequences, and of no tables or texts."""
    if path.is_file() and not is_archive(path):
        if is_fasta(path):
            return True
        return path.suffix.lower() in ("", *PLAIN) and _begins(path.read_bytes()[:64], b">")
    if not (path.is_dir() or path.is_file()) or not _may_hold(path):
        return False
    files = open_files(path)
    names = [name for name in files.sizes if _is_sequences(name)]
    if any(is_fasta(name) for name in names):
        return True
    few = names[:: max(1, len(names) // LOOKED_AT)][:LOOKED_AT]
    return len(names) > 1 and all(_are_bare(files.read(name)[:4000]) for name in few)


def _may_hold(path: Path) -> bool:
    """A cheap question first: a folder of a million images is listed elsewhere, once."""
    if path.is_file():
        return is_archive(path)
    first = next((p for p in path.rglob("*") if p.is_file() and _is_sequences(p.name)), None)
    return first is not None


def _begins(data: bytes, sign: bytes) -> bool:
    return data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(sign)


def _are_bare(data: bytes) -> bool:
    lines = data.decode("latin-1").split()
    return _begins(data, b">") or (
        bool(lines) and all(dnaletters.is_nucleotides(line) for line in lines[:-1] or lines)
    )


def records(data: bytes, where: str) -> list[Record]:
    """The records of one file; of a plain one its lines.

    Raises:
        UserError: If a FASTA file does not begin with a header.
    """
    text = unpacked(data, where).decode("utf-8-sig", "replace")
    lines = [line.strip() for line in text.splitlines()]
    if not is_fasta(where) and not text.lstrip().startswith(">"):
        bare = [dnaletters.cleaned(line) for line in lines if line]
        return [Record("", line, where, number) for number, line in enumerate(bare, 1)]
    first = next((n for n, line in enumerate(lines) if line and line[0] not in ";#"), 0)
    if lines and not lines[first].startswith(">"):
        raise UserError(_no_header(where, first + 1, lines[first]))
    found: list[Record] = []
    header, held = None, list[str]()
    for line in [*lines[first:], ">"]:
        if not line.startswith(">"):
            held += [] if line.startswith(";") else [line]  # ; began remarks once
            continue
        if header is not None:
            found.append(Record(header, dnaletters.cleaned("".join(held)), where, len(found) + 1))
        header, held = line[1:].strip(), []
    return found


def _no_header(where: str, number: int, line: str) -> str:
    if line.startswith("@"):
        return (
            f"{where} is FASTQ, reads with qualities. Turn it into FASTA, for instance by "
            "`seqtk seq -A reads.fq > reads.fa`."
        )
    return (
        f"{where}, line {number}: expected a header that begins with '>', found {line[:40]!r}. In "
        "FASTA each sequence stands below a line such as '>name|label'. Bare sequences, one in "
        "each line, belong into a .txt file for each class, or into a table."
    )


# --- Layouts --------------------------------------------------------------------------------------


def read(path: Path) -> Found:
    """The labelled sequences of a file, a folder or an archive."""
    if path.is_file() and not is_archive(path):
        return _of_headers(path, [("train", _read_one(path))])
    files = open_files(path)
    names = sorted((name for name in files.sizes if _is_sequences(name)), key=natural)
    if any(is_fasta(name) for name in names):  # beside them, a README.txt
        names = [name for name in names if is_fasta(name)]
    places = _places(names)
    names.sort(key=lambda name: ORDER[places[name][0] or "train"])
    each = [(places[name][0] or "train", _read_of(path, files, name)) for name in names]
    classes = {label for _, label in places.values()}
    if len(classes - {None}) < 2:
        return _of_headers(path, each)
    each = _joined_lines(each, len({place for place in places.values()}))
    labels = [places[name][1] for name, (_, rows) in zip(names, each, strict=True) for _ in rows]
    return _found(path, each, labels, None, "sequences, a file or folder for each class")


def _places(names: Sequence[str]) -> Places:
    """Part and class of each file, as its folder and its name tell them."""
    root = layouts.common_root(names) if names else ""
    return {name: _place(PurePosixPath(name[len(root) :])) for name in names}


def _place(path: PurePosixPath) -> tuple[str | None, str | None]:
    stem = PurePosixPath(_plain_name(path.name)).stem
    above = path.parts[:-1]
    folders = [folder for folder in above if folder.lower() not in PARTS]
    part = next((PARTS[folder.lower()] for folder in above if folder.lower() in PARTS), None)
    if folders:
        return part, folders[0]
    words = [word for word in re.split(r"[-_. ]", stem) if word.lower() not in PARTS]
    rest = "_".join(words) if part_of(stem) else stem
    return part or part_of(stem), rest or None


def _joined_lines(each: list[tuple[str, list[Record]]], classes: int) -> list[
    tuple[str, list[Record]]
]:  # fmt: skip
    """Where each class has many plain files, each is one sequence, however its lines are cut."""
    if len(each) <= 2 * classes:
        return each
    joined = []
    for part, rows in each:
        if rows and not any(row.header for row in rows):
            rows = [replace(rows[0], sequence="".join(row.sequence for row in rows))]
        joined.append((part, rows))
    return joined


def _of_headers(path: Path, each: list[tuple[str, list[Record]]]) -> Found:
    rows = [row for _, one in each for row in one]
    labels, said = dnaheaders.labels_and_parts([row.header for row in rows], str(path))
    by_file = len({part for part, _ in each}) > 1
    return _found(path, each, labels, None if by_file else said, "FASTA, the label in the header")


def _found(
    path: Path,
    each: list[tuple[str, list[Record]]],
    labels: Sequence[str | None],
    parts: list[str] | None,
    form: str,
) -> Found:
    rows = [row for _, one in each for row in one]
    several = len(each) > 1
    alone = {one[0].file for _, one in each if len(one) == 1}

    def name(row: int) -> str:
        record = rows[row]
        if several and record.file in alone:
            return record.file
        number = f"{'record' if record.header else 'line'} {record.number}"
        named = f"{number} ({record.name})" if record.name else number
        return f"{record.file} {named}" if several else named

    return Found(
        [row.sequence for row in rows], list(labels),
        parts or [part for part, one in each for _ in one], name, target="header" if not several
        else "file", form=form, problems=_twice(path, rows),
    )  # fmt: skip


def _twice(path: Path, rows: Sequence[Record]) -> list[Problem]:
    names = Counter(row.name for row in rows if row.name)
    twice = [name for name, count in names.items() if count > 1]
    if not twice:
        return []
    few = ", ".join(twice[:5]) + " …" * (len(twice) > 5)
    what = f"{len(twice):,} names stand above several sequences ({few})"
    remedy = "they are told apart by their number too; look whether a file was joined twice"
    return [Problem(str(path), what, remedy, level="note", items=tuple(twice))]


def _read_one(path: Path) -> list[Record]:
    try:
        return records(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Check its rights.") from error


def _read_of(path: Path, files: Files, name: str) -> list[Record]:
    try:
        return [replace(row, file=name) for row in records(files.read(name), str(path / name))]
    except OSError as error:
        raise UserError(f"{path / name} cannot be read ({error}). Check it.") from error


def unlabelled(path: Path) -> list[tuple[str, str]]:
    """Name and sequence of each record of a file, a folder or an archive."""
    if path.is_file() and not is_archive(path):
        rows = _read_one(path)
        return [(row.header or f"line {row.number}", row.sequence) for row in rows]
    files = open_files(path)
    names = sorted((name for name in files.sizes if _is_sequences(name)), key=natural)
    return [
        (f"{name} {row.header or row.number}", row.sequence)
        for name in names
        for row in _read_of(path, files, name)
    ]
