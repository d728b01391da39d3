"""The ways in which labelled texts are published, all read into one ``Found``.

- a table with a column of texts and a column of labels, as ``tablefiles`` reads it: CSV, TSV,
  Excel, Parquet, JSON lines, a folder of train, dev and test, a folder that ``datasets`` saved
- files in class folders, with or without train/ and test/ above them, also packed: aclImdb's

Nothing is learned here, and no row is left out.
"""

from __future__ import annotations

import codecs
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from glassnet.data import cells, hfdatasets, layouts, tablefiles
from glassnet.data.archives import Files, is_archive, open_files
from glassnet.data.order import natural
from glassnet.data.parts import ORDER
from glassnet.data.rawtable import Read, missing_to_null
from glassnet.data.tables import require_column
from glassnet.data.threads import in_threads
from glassnet.errors import UserError
from glassnet.task import Problem

SUFFIXES = (".txt", ".text")
UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
"""Folders beside the class folders whose texts have no label, as in aclImdb."""
LABEL_NAMES = ("label", "labels", "class", "target", "category", "sentiment")
"""Columns that are taken for the labels where no target is named."""
FEW_CLASSES = 20
SAMPLED = 2000
"""Cells by which a column is judged."""


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
    one: Literal["row", "file"] = "row"
    """What one text is here: a row of a table, or a file."""
    form: str = "texts in a table"
    problems: list[Problem] = field(default_factory=list)


def find(path: str | Path, target: str | None = None, text: str | None = None) -> Found:
    """Read labelled texts, however they lie there; ``target`` and ``text`` name columns."""
    place = Path(path)
    if is_tree(place):
        return _tree(place)
    if place.is_dir() and not tablefiles.table_files(place) and not hfdatasets.is_saved(place):
        raise UserError(
            f"{path} holds neither texts in class folders nor a table.\n{expected(path)}"
        )
    read = tablefiles.read(path, target)
    return of_read(read, str(path), target, text)


def expected(path: str | Path) -> str:
    """The layout to show to a person whose data have another."""
    return (
        "Expected a table with a column of texts and one of labels, or one folder per class, such "
        f"as\n  {path}/pos/1.txt\n  {path}/neg/2.txt\nor parts with class folders, such as\n  "
        f"{path}/train/pos/1.txt\n  {path}/test/pos/9.txt"
    )


# --- Tables ---------------------------------------------------------------------------------------


def of_read(read: Read, origin: str, target: str | None, text: str | None) -> Found:
    """The texts and labels of a table; problems of the table come along."""
    if not read.frame.height:
        raise UserError(f"{origin} holds no rows. Expected a table with a text in each row.")
    target = label_column(read, target, origin)
    text = text_column(read.frame, target, text, origin)
    labels = missing_to_null(read.frame.select(target), target)[target]
    texts = read.frame[text].cast(pl.String).fill_null("").str.strip_chars()
    parts = [part for _, part, count in read.files for _ in range(count)]

    def name(row: int) -> str:
        for file, _, count in read.files:
            if row < count:
                return f"{file} row {row + 1}" if len(read.files) > 1 else f"row {row + 1}"
            row -= count
        raise IndexError(row)

    return Found(
        texts.to_list(), cells.as_text(labels).to_list(), parts, name, text, target,
        problems=list(read.problems),
    )  # fmt: skip


def label_column(read: Read, target: str | None, origin: str) -> str:
    """The column of the labels: the named one, or the one that can be meant."""
    if target is not None:
        require_column(read.frame, target, origin)
        return target
    found = guessed_target(read.frame, read.header)
    if found is None:
        raise UserError(
            f"{origin}: name the column of the labels by --target; the columns are: "
            f"{', '.join(read.frame.columns[:40])}."
        )
    return found


def guessed_target(frame: pl.DataFrame, header: bool = True) -> str | None:
    """The column that must be the labels where none is named; None: somebody has to say.

    That is the other one of two columns, one of a usual name, or the last of nameless ones.
    """
    few = [column.name for column in frame if is_few(column)]
    usual = [name for name in few if name.lower() in LABEL_NAMES]
    if len(usual) == 1:
        return usual[0]
    bare = [name for name in few if not cells.is_wordy(cells.as_text(frame[name].drop_nulls()))]
    if frame.width == 2 and len(bare) == 1:
        return bare[0]
    return frame.columns[-1] if not header and frame.columns[-1] in few else None


def is_few(column: pl.Series) -> bool:
    """Whether a column may hold classes."""
    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
        return False
    distinct = column.n_unique()
    return 2 <= distinct <= max(2, min(FEW_CLASSES, len(column) // 2))


def text_column(frame: pl.DataFrame, target: str, text: str | None, origin: str) -> str:
    """The column of the texts: the named one, or the only one that can be meant."""
    if text is not None:
        require_column(frame, text, origin, "the text")
        if text == target:
            raise UserError(f"{origin}: text and target are both {text!r}. Name two columns.")
        if frame[text].dtype.is_nested() or frame[text].dtype == pl.Binary:
            raise UserError(
                f"{origin}: column {text!r} holds {frame[text].dtype}, no texts. Name another."
            )
        return text
    others = [column for column in frame if column.name != target]
    found = [c.name for c in others if is_prose(c)] or [c.name for c in others if is_words(c)]
    if len(found) == 1:
        return found[0]
    columns = ", ".join(frame.columns[:40])
    raise UserError(
        f"{origin}: several columns hold texts: {', '.join(found[:20])}. Name one by --text."
        if found
        else f"{origin} has no column of texts beside the target {target!r} (columns: {columns}). "
        "Name one by --text, or choose table-classification by --task."
    )


def is_words(column: pl.Series) -> bool:
    """Whether a column holds words, and not numbers or dates."""
    if column.dtype != pl.String:
        return False
    some = column.drop_nulls().head(SAMPLED).str.strip_chars()
    some = some.filter(some != "")
    if not len(some):
        return False
    return not cells.read_numbers(some, ",")[0] and cells.read_dates(some)[0] is None


def is_prose(column: pl.Series) -> bool:
    """Whether most cells have several words, and differ."""
    if not is_words(column):
        return False
    some = column.drop_nulls().head(SAMPLED)
    return cells.is_wordy(some) and some.n_unique() > len(some) / 10


def is_telling(column: pl.Series) -> bool:
    """Whether a column can only be read as texts: prose, or words that hardly repeat."""
    if is_prose(column):
        return True
    some = column.drop_nulls().head(SAMPLED)
    return is_words(column) and len(some) > FEW_CLASSES and some.n_unique() > len(some) / 2


# --- Files in class folders -----------------------------------------------------------------------


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


def _tree(path: Path) -> Found:
    files = open_files(path)
    names = _texts(files)
    places = _places(names)
    problems = [*files.problems]
    if without := [name for name in names if name not in places]:
        problems.append(_left_out(path, without, "lie outside of class folders, without a label"))
    if unsure := [name for name, (_, c) in places.items() if str(c).lower() in UNLABELLED]:
        problems.append(_left_out(path, unsure, "lie in a folder for texts without labels"))
    kept = {name: place for name, place in places.items() if name not in set(unsure)}
    rows = sorted(kept, key=lambda name: (ORDER[kept[name][0] or "train"], natural(name)))
    read = list(in_threads(lambda name: _read(path, files, name), rows))
    problems += [problem for _, found in read for problem in found]
    broken = [row for row, (text, _) in enumerate(read) if text is None]
    if 2 * len(broken) > len(rows):
        what = read[broken[0]][1][0]
        raise UserError(
            f"{path}: {len(broken)} of {len(rows)} files cannot be read as texts, such as "
            f"{what.where}, which {what.what}. More than half is too many to leave out."
        )
    good = [row for row, (text, _) in enumerate(read) if text is not None]
    return Found(
        texts=[str(read[row][0]).strip() for row in good],
        labels=[kept[rows[row]][1] for row in good],
        parts=[kept[rows[row]][0] or "train" for row in good],
        name=lambda row: rows[good[row]],
        target="folder", one="file", form="texts in class folders", problems=problems,
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
