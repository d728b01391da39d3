"""The ways in which labelled texts are published, all read into one ``Found``.

- a table with a column of texts and a column of labels, as ``tablefiles`` reads it: CSV, TSV,
  Excel, Parquet, JSON lines, a folder of train, dev and test, a folder that ``datasets`` saved
- files in class folders, with or without train/ and test/ above them, also packed: aclImdb's

Nothing is learned here, and no row is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from glassnet.data import cells, hfdatasets, tablefiles, textfolders
from glassnet.data.rawtable import Read, missing_to_null
from glassnet.data.tables import require_column
from glassnet.data.textfolders import Found
from glassnet.errors import UserError

LABEL_NAMES = ("label", "labels", "class", "target", "category", "sentiment")
"""Columns that are taken for the labels where no target is named."""
FEW_CLASSES = 20
SAMPLED = 2000
"""Cells by which a column is judged."""


def find(path: str | Path, target: str | None = None, text: str | None = None) -> Found:
    """Read labelled texts, however they lie there; ``target`` and ``text`` name columns."""
    place = Path(path)
    if textfolders.is_tree(place):
        return textfolders.read(place)
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
        order=read.frame.columns, problems=list(read.problems),
    )  # fmt: skip


def in_table(
    read: Read, columns: Sequence[Mapping[str, Any]], target: str | None, origin: str
) -> Found | None:
    """The table as labelled texts, if nothing but one text tells its rows apart.

    ``columns`` says of each column its 'name' and the 'type' that a task of tables gives it.
    """
    target = target or guessed_target(read.frame, read.header)
    if target is None or not (is_few(read.frame[target]) or is_name(read.frame[target])):
        return None
    inputs = {c["name"]: c["type"] for c in columns if c["name"] != target}
    telling = [name for name in inputs if is_prose(read.frame[name])]
    telling = telling or [name for name in inputs if is_telling(read.frame[name])]
    more = [name for name, kind in inputs.items() if name not in telling and kind != "ignored"]
    if more or len(telling) != 1:
        return None
    return of_read(read, origin, target, telling[0])


def label_column(read: Read, target: str | None, origin: str) -> str:
    """The column of the labels: the named one, or the one that can be meant."""
    if target is not None:
        require_column(read.frame, target, origin)
        return target
    found = guessed_target(read.frame, read.header)
    if found is None:  # one that is called so, and holds no classes: whoever reads it says why
        called = [name for name in read.frame.columns if name.lower() in LABEL_NAMES]
        if len(called) == 1:
            return called[0]
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
    usual = [
        column.name
        for column in frame
        if column.name.lower() in LABEL_NAMES and (is_few(column) or is_name(column))
    ]
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


def is_name(column: pl.Series) -> bool:
    """Whether a column may hold the names of many classes: words that repeat."""
    return column.dtype == pl.String and 2 <= column.n_unique() <= len(column) // 2


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
