"""Tables with a column of sequences and one of labels, as the UCI repository publishes them too.

``promoters.data`` has ``+,S10,<tabs>sequence`` and ``splice.data`` ``EI, NAME, <spaces>sequence``,
both without a header.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from glassnet import references
from glassnet.data import cells, dnaletters, tablefiles, textlayouts
from glassnet.data.rawtable import Read, missing_to_null
from glassnet.data.tables import require_column
from glassnet.data.textfolders import Found
from glassnet.errors import UserError
from glassnet.task import Problem

SAMPLED = 500
"""Cells by which a column is judged."""
LEAST = 8
"""Letters in half of the cells of a column that is taken for sequences; cab and tag are words."""
LEAST_PROTEIN = 20
WELL = 0.9
"""Share of the cells that must be sequences."""


def read(path: str | Path, target: str | None, sequence: str | None) -> Found:
    """Labelled sequences of a table; ``target`` and ``sequence`` name columns."""
    return of_read(tablefiles.read(path, target), str(path), target, sequence)


def of_read(table: Read, origin: str, target: str | None, sequence: str | None) -> Found:
    """The same of a table that was read."""
    frame, header = with_first_row(table)
    if not frame.height:
        raise UserError(f"{origin} holds no rows. Expected a table with a sequence in each row.")
    sequence = _sequence_column(frame, sequence, target, origin)
    target = label_column(frame, sequence, target, header, origin)
    labels = missing_to_null(frame.select(target), target)[target]
    cell = frame[sequence].cast(pl.String).fill_null("")
    parts = [part for _, part, count in table.files for _ in range(count)]
    parts += [parts[-1]] * (frame.height - len(parts)) if parts else ["train"] * frame.height

    def name(row: int) -> str:
        for file, _, count in table.files if len(table.files) > 1 else ():
            if row < count:
                return f"{file} row {row + 1}"
            row -= count
        return f"row {row + 1}"

    found = Found(
        [dnaletters.cleaned(one) for one in cell], cells.as_text(labels).to_list(), parts, name,
        sequence, target, order=frame.columns, form="sequences in a table",
    )  # fmt: skip
    found.problems = [p for p in table.problems if "first row looks like" not in p.what]
    found.problems += _unused(frame, sequence, target, origin)
    return found


def with_first_row(table: Read) -> tuple[pl.DataFrame, bool]:
    """The rows, and whether their columns have names; a header that holds a sequence is a row."""
    names = table.frame.columns
    is_row = any(
        len(name) >= LEAST and dnaletters.is_nucleotides(dnaletters.cleaned(name))
        and not dnaletters.strange(dnaletters.cleaned(name), "dna") for name in names
    )  # fmt: skip
    if not (table.header and is_row):
        return table.frame, table.header
    columns = [f"column_{number}" for number in range(1, len(names) + 1)]
    rest = table.frame.with_columns(pl.all().cast(pl.String))
    rest.columns = columns
    first = pl.DataFrame({new: [old] for new, old in zip(columns, names, strict=True)})
    return pl.concat([first, rest]), False


def _unused(frame: pl.DataFrame, sequence: str, target: str, origin: str) -> list[Problem]:
    """Columns that say something, perhaps; names of rows do not."""
    others = [c for c in frame.columns if c not in (sequence, target)]
    telling = [c for c in others if 1 < frame[c].n_unique() <= frame.height / 2]
    if not telling:
        return []
    return [
        Problem(
            f"{origin}: {', '.join(telling[:10])}", "are no sequences, and are not read",
            "choose --task table-classification to learn from columns instead", level="note",
        )
    ]  # fmt: skip


# --- Which column -----------------------------------------------------------------------------


def sequence_columns(frame: pl.DataFrame, target: str | None = None) -> list[str]:
    """The columns of nucleotides; where there are none, those of proteins."""
    texts = [c for c in frame if c.dtype == pl.String and c.name != target]
    found = [column.name for column in texts if is_column(column)]
    return found or [column.name for column in texts if _is_proteins(column)]


def is_column(column: pl.Series) -> bool:
    """Whether the cells of a column are nucleotides, and long enough to be no words."""
    some = _some(column)
    good = [
        one for one in some
        if dnaletters.is_nucleotides(one) and len(dnaletters.strange(one, "dna")) <= 1
    ]  # fmt: skip
    return _long(some, LEAST) and len(good) >= WELL * len(some)


def _is_proteins(column: pl.Series) -> bool:
    """Words of capital letters that are as long as no word is, of most of the amino acids."""
    some = _some(column)
    good = [one for one in some if one.isupper() and not dnaletters.strange(one, "protein")]
    various = len(set("".join(good)) & set(dnaletters.LETTERS["protein"])) >= 15
    return _long(some, LEAST_PROTEIN) and len(good) >= WELL * len(some) and various


def _some(column: pl.Series) -> list[str]:
    cells_ = column.drop_nulls().head(SAMPLED).str.strip_chars()
    return [cell for cell in cells_ if cell]


def _long(some: Sequence[str], least: int) -> bool:
    return bool(some) and sorted(map(len, some))[len(some) // 2] >= least


def _sequence_column(
    frame: pl.DataFrame, sequence: str | None, target: str | None, origin: str
) -> str:
    if sequence is not None:
        require_column(frame, sequence, origin, "the sequence")
        if sequence == target:
            raise UserError(f"{origin}: sequence and target are both {target!r}. Name two columns.")
        return sequence
    found = sequence_columns(frame, target)
    if len(found) == 1:
        return found[0]
    columns = ", ".join(frame.columns[:40])
    raise UserError(
        f"{origin}: several columns hold sequences: {', '.join(found)}. Name one by --sequence."
        if found
        else f"{origin} has no column of sequences, which are words of A, C, G, T and N (columns: "
        f"{columns}). Name it by --sequence, or choose another --task."
    )


def label_column(
    frame: pl.DataFrame, sequence: str, target: str | None, header: bool, origin: str
) -> str:
    """The column of the labels: the named one, or the one that can be meant."""
    if target is not None:
        require_column(frame, target, origin)
        return target
    found = guessed_label(frame, sequence)
    if found is None:
        named = "" if header else " (the file has no header)"
        raise UserError(
            f"{origin}: name the column of the labels by --target; the columns are{named}: "
            f"{', '.join(frame.columns[:40])}."
        )
    return found


def guessed_label(frame: pl.DataFrame, sequence: str) -> str | None:
    """One of a usual name, or the only other column that may hold classes."""
    others = [column for column in frame if column.name != sequence]
    usual = [c.name for c in others if c.name.lower() in textlayouts.LABEL_NAMES]
    if len(usual) == 1:
        return usual[0]
    few = [c.name for c in others if textlayouts.is_few(c)]
    if len(few) == 1:
        return few[0]
    return others[0].name if len(others) == 1 else None


def may_hold(path: str | Path) -> bool:
    """A cheap look at the first lines of a text file; of other tables True."""
    if references.is_database(path):
        return False
    place, _ = references.split(path)
    tables = [place] if place.is_file() else tablefiles.table_files(place)
    if not tables or not tablefiles.is_table(tables[0]):
        return False
    if tables[0].suffix.lower() not in tablefiles.TEXT:
        return True
    with tables[0].open("rb") as file:
        head = file.read(1 << 16).decode("latin-1")
    words = head.replace('"', " ").replace(",", " ").replace(";", " ").split()
    return any(len(word) >= LEAST and word.isalpha() and _may_be(word) for word in words)


def _may_be(word: str) -> bool:
    is_long = len(word) >= LEAST_PROTEIN and word.isupper()
    return is_long or dnaletters.is_nucleotides(word)
