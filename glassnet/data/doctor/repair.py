"""``--fix``: a repaired copy beside the original, and a list of every change.

Done is only what is certain. Tables lose rows without an answer, exact copies of whole rows
(copies in training of rows of the test first; never rows that are too common to be copies, or as
common as chance makes them), and columns that are the same in every row; answers that differ by
blanks around them, or by the case of rare ones, are written alike. Rows with a wrong number of
fields cannot be read and are not in the copy. Sets of images lose what cannot be read, and exact
copies with the same label. Conflicts, suspicious labels, near copies, leaks and groups are left
to a person.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from glassnet.data import layouts, pixels, tablefiles
from glassnet.data.doctor import repeats
from glassnet.data.layouts import Layout
from glassnet.errors import UserError
from glassnet.progress import tell
from glassnet.task import Problem

Array = NDArray[Any]

RARE = 0.1
"""How common a spelling may be, against the usual one, to be taken for a slip."""


@dataclass
class Repairs:
    """What was changed, one line each."""

    out: Path
    log: Path
    changes: list[tuple[str, str, str]] = field(default_factory=list)
    """Where, what was wrong, what was done."""

    def add(self, where: str, what: str, done: str) -> None:
        """Note one change."""
        self.changes.append((where, what, done))

    @property
    def summary(self) -> dict[str, int]:
        """How often each thing was done."""
        counts: dict[str, int] = {}
        for _, what, done in self.changes:
            counts[f"{what}: {done}"] = counts.get(f"{what}: {done}", 0) + 1
        return counts

    def write(self) -> None:
        """Write the list of changes."""
        with self.log.open("x", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("where", "what", "done"), *self.changes])


def fresh(out: Path) -> Repairs:
    """Refuse to write over anything."""
    log = out.with_name(f"{out.name.split('.')[0]}.repairs.csv")
    for path in (out, log):
        if path.exists():
            raise UserError(
                f"--fix {out}: {path} is there already, and nothing is ever overwritten. Give a "
                "new name."
            )
    if not out.absolute().parent.is_dir():
        raise UserError(f"--fix {out}: there is no folder {out.absolute().parent}.")
    return Repairs(out, log)


# --- Tables ---------------------------------------------------------------------------------------


def table(reference: str | Path, target: str | None, out: Path) -> Repairs:
    """Write a repaired copy of a table, or of a folder of train and test tables, to ``out``."""
    repairs = fresh(out)
    read = tablefiles.read(reference, target)
    path = Path(str(reference).partition("#")[0])  # without a sheet's or a query's name
    _check_form(path, out, len(read.files) > 1 or path.is_dir())
    for problem in read.problems:
        for item in problem.items:
            repairs.add(item, "wrong number of fields", "left out")
    if not read.header:
        repairs.add(path.name, "no names of columns", "names written in the first row")
    frame, kept = _repaired(read, target, repairs)
    start = 0
    if path.is_dir():
        out.mkdir()
    for name, _, count in read.files:
        rows = np.flatnonzero(kept[start : start + count]) + start
        to = out / (name or path.name).removesuffix(".gz") if path.is_dir() else out
        _write(frame[rows], to, read.separator)
        start += count
    for name in read.unlabelled:
        shutil.copy2(path / name, out / name)
    repairs.write()
    return repairs


def _check_form(path: Path, out: Path, folder: bool) -> None:
    if folder:
        if out.suffix:
            raise UserError(f"--fix {out}: {path} is a folder of tables; name a folder.")
        return
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in _WRITTEN:  # a spreadsheet, a database
        if out.suffix.lower() not in (".csv", ".parquet"):
            raise UserError(
                f"--fix {out}: expected a name ending in .csv or .parquet; the copy of {path.name} "
                "is written as a plain table."
            )
    elif out.suffix.lower() != suffix:
        raise UserError(
            f"--fix {out}: the copy has the format of the original; expected a name ending in "
            f"{suffix}."
        )


_WRITTEN = (".csv", ".tsv", ".tab", ".txt", ".data", ".test", ".parquet", ".pq")


def _repaired(read: tablefiles.Read, target: str | None, repairs: Repairs) -> tuple[Any, Array]:
    """The mended frame, and which of its rows stay."""
    frame, names = read.frame, list(_names(read))
    clean = tablefiles.missing_to_null(frame, target)
    kept = np.ones(frame.height, bool)
    if target is not None:
        for row in np.flatnonzero(clean[target].is_null().to_numpy()):
            kept[row] = False
            repairs.add(names[row], "no answer", "row dropped")
        frame = _spelt_alike(frame, clean[target], target, names, repairs)
        clean = clean.with_columns(tablefiles.missing_to_null(frame.select(target), target))
    _drop_copies(clean, read, kept, names, repairs)
    constant = [
        name for name in frame.columns
        if name != target and clean[name].n_unique() == 1 and frame.height > 1
    ]  # fmt: skip
    for name in constant:
        repairs.add(f"column {name!r}", "the same in every row", "column dropped")
    return frame.drop(constant), kept


def _names(read: tablefiles.Read) -> Iterator[str]:
    for file, _, count in read.files:
        before = f"{file} " if len(read.files) > 1 else ""
        yield from (f"{before}row {number + 1}" for number in range(count))


def _spelt_alike(
    frame: pl.DataFrame, answers: pl.Series, target: str, names: Sequence[str], repairs: Repairs
) -> pl.DataFrame:
    """Write rare spellings of a class as the usual one: 'Yes ', 'YES' -> 'yes'."""
    if answers.dtype != pl.String:
        return frame
    counts = dict(answers.drop_nulls().value_counts(name="\0n").rows())
    usual: dict[str, str] = {}
    for spelling in sorted(counts, key=lambda text: -counts[text]):
        usual.setdefault(" ".join(spelling.casefold().split()), spelling)
    change = {
        text: best
        for text in counts
        if (best := usual[" ".join(text.casefold().split())]) != text
        and counts[text] <= RARE * counts[best]
    }
    for row, text in enumerate(answers):
        if text in change:
            repairs.add(names[row], f"answer spelt {text!r}", f"written {change[text]!r}")
    return frame.with_columns(answers.replace(change).alias(target)) if change else frame


def _drop_copies(
    clean: pl.DataFrame, read: tablefiles.Read, kept: Array, names: Sequence[str], repairs: Repairs
) -> None:
    """All copies of a row but one: the test's before validation's before training's, the first."""
    plain = clean.select(
        cells for cells in clean if not cells.dtype.is_nested() and cells.dtype != pl.Object
    )
    group = repeats.groups(plain)
    if repeats.is_coincidence(plain, group):
        return
    rank = {"test": 0, "validation": 1, "train": 2}
    part = np.repeat([rank[p] for _, p, _ in read.files], [n for *_, n in read.files])
    order = np.argsort(part, kind="stable")
    order = order[kept[order] & ~repeats.is_common(group)[order]]
    first: dict[int, int] = {}
    for row in order.tolist():
        original = first.setdefault(int(group[row]), row)
        if original != row:
            kept[row] = False
            repairs.add(names[row], f"copy of {names[original]}", "row dropped")


def _write(frame: pl.DataFrame, path: Path, separator: str) -> None:
    if path.suffix.lower() in (".parquet", ".pq"):
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator=separator)


# --- Images ---------------------------------------------------------------------------------------


def images(layout: Layout, found: Sequence[Problem], out: Path) -> Repairs:
    """Write the good images of a set to class folders (in parts) below ``out``."""
    repairs = fresh(out)
    drop: dict[int, tuple[str, str]] = {}
    for problem in found:
        if problem.kind == "unreadable images":
            drop |= {row: (problem.what, "not copied") for (row,) in problem.rows}
        elif problem.kind in ("duplicates", "copies across parts"):
            for pair in problem.rows:
                _drop_copy(layout, pair, drop)
    for row, (what, done) in sorted(drop.items()):
        repairs.add(layout.names[row], what, done)
    names: set[Path] = set()
    whites = layouts.whites(layout.store, np.arange(len(layout.labels)))
    for row in range(len(layout.labels)):
        if row % 500 == 0:
            tell("copying images", row, len(layout.labels))
        if row not in drop:
            _copy(layout, row, whites, out, names)
    repairs.write()
    return repairs


def _drop_copy(layout: Layout, pair: tuple[int, ...], drop: dict[int, tuple[str, str]]) -> None:
    """Of two equal images, leave out the one in training, else the later one."""
    labels, parts = layout.labels, layout.parts
    if labels[pair[0]] != labels[pair[1]]:
        return  # which of the labels is right, a person must say
    later, first = sorted(pair, reverse=True)
    if parts is not None and parts[first] == "train" != parts[later]:
        later, first = first, later
    if first not in drop:
        drop[later] = (f"copy of {layout.names[first]}", "not copied")


def _copy(layout: Layout, row: int, whites: dict[str, float], out: Path, names: set[Path]) -> None:
    raw = layout.store.raw(row)
    label, name = layout.classes[layout.labels[row]], Path(layout.names[row])
    folder = out / (layout.parts[row] if layout.parts is not None else "") / label
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(raw, bytes):
        path = _free(folder / name.name, names)
        path.write_bytes(raw)
    else:
        white = None if raw.dtype == np.uint8 else whites["f" if raw.dtype.kind == "f" else "i"]
        image = pixels.from_array(raw, white).permute(1, 2, 0).numpy()
        path = _free(folder / f"{row}.png", names)
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path)


def _free(path: Path, names: set[Path]) -> Path:
    """A name that no other image of the class has taken."""
    free, number = path, 1
    while free in names:
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    names.add(free)
    return free
