"""Tables as a source: rows of columns of any type -> one compact float32 vector per row.

``read_raw`` is the one path for training and for prediction; ``columns`` says how a column becomes
slots of that vector.

Legend: N rows, C slots, K classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from glassnet.data import cells, columns, tablefiles
from glassnet.data.columns import ENOUGH_ROWS, Array, Column, Slot, learn_column
from glassnet.data.examples import TensorExamples
from glassnet.data.order import natural
from glassnet.data.tablefiles import Known, Read
from glassnet.errors import UserError, nearest
from glassnet.task import Facts, Problem

TargetKind = Literal["categories", "numbers"]


class Target(BaseModel):
    """What is predicted: classes in order, or a number with its scale."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: TargetKind
    classes: list[str] = []
    notation: str = "point"
    mean: float = 0.0
    std: float = 1.0


class TableFacts(Facts):
    """What turns one row into a vector, and an output into an answer."""

    kind: Literal["table"] = "table"
    columns: list[Column]
    """All columns but the target, in the order of the table."""
    target: Target
    order: list[str] = []
    """All columns with the target, for files without a header."""
    class_counts: list[int] = []
    """Training rows of each class; empty for a target of numbers."""

    @property
    def slots(self) -> list[Slot]:
        """The C numbers of an encoded row."""
        return [slot for column in self.columns for slot in column.slots]

    @property
    def classes(self) -> list[str]:
        """Names of the classes; empty for a target of numbers."""
        return self.target.classes


def open_table(
    data: Any,
    *,
    target: str,
    kind: TargetKind,
    classes: Sequence[str] | None = None,
    separator: str | None = None,
    weights: str | None = None,
) -> TableSource:
    """Open a table file, a folder with train and test tables, a table of a database, or a frame.

    ``kind`` says whether the target is one of several categories or a number. ``classes`` is the
    order of the categories, such as ["low", "middle", "high"]; by default numbers come first, by
    their value, then words alphabetically ('week 2' before 'week 10'). ``weights`` names a column
    that says how much each row counts in training; it is not learned from.
    """
    if classes is not None and kind == "numbers":
        raise UserError("classes can only be given for a target of categories, not of numbers.")
    wanted = Target(name=target, kind=kind, classes=list(classes or []))
    if isinstance(data, str | Path):
        return TableSource(tablefiles.read(data, target, separator), wanted, str(data), weights)
    frame = tablefiles.as_frame(data)
    read = Read(frame, [("", "train", frame.height)])
    origin = f"a {type(data).__module__.split('.')[0]} frame"
    return TableSource(read, wanted, origin, weights)


def read_raw(raw: Any, facts: TableFacts) -> tuple[list[str], Tensor, list[Problem]]:
    """Read rows without answers: their names, the vectors (N, C), and what was wrong."""
    problems: list[Problem] = []
    frame = _raw_frame(raw, facts, problems)
    used = [column for column in facts.columns if column.kind != "ignored"]
    if lacking := [column.name for column in used if column.name not in frame.columns]:
        raise UserError(
            f"The column {', '.join(repr(name) for name in lacking)} is missing."
            f"{nearest(lacking[0], frame.columns)} Training had the columns "
            f"{', '.join(column.name for column in used)}; found: "
            f"{', '.join(frame.columns) or 'none'}."
        )
    blocks = [columns.encode(frame[column.name], column, problems) for column in used]
    empty = np.zeros((frame.height, 0), np.float32)
    inputs = torch.from_numpy(np.concatenate([empty, *blocks], axis=1))
    return [f"row {number}" for number in range(1, frame.height + 1)], inputs, problems


def _raw_frame(raw: Any, facts: TableFacts, problems: list[Problem]) -> pl.DataFrame:
    if isinstance(raw, str | Path):
        read = tablefiles.read_file(raw, known=Known(facts.order, facts.target.name))
        problems += read.problems
        return tablefiles.missing_to_null(read.frame)
    return tablefiles.missing_to_null(tablefiles.as_frame(raw))


class TableSource:
    """A table of which nothing has been learned yet."""

    def __init__(self, read: Read, target: Target, origin: str, weights: str | None = None) -> None:
        self.origin, self.target, self.separator = origin, target, read.separator
        self.problems: list[Problem] = list(read.problems)
        if not read.frame.height:
            raise UserError(f"{origin} holds no rows. Expected a table with rows of data.")
        require_column(read.frame, target.name, origin)
        categories = target.name if target.kind == "categories" else None
        frame = tablefiles.missing_to_null(read.frame, categories)
        self._files = read.files
        self._numbers = np.arange(frame.height)
        kept = self._labelled(frame, target.name)
        self._numbers = self._numbers[kept]
        self.frame = frame.filter(pl.Series(kept))
        parts = np.repeat([p for _, p, _ in read.files], [n for *_, n in read.files])[kept]
        self._parts = parts.tolist() if len(set(parts.tolist())) > 1 else None
        self._answers = self._read_target(self.frame[target.name])
        self._weights = self._read_weights(weights)
        self.fingerprint = _digest(self.frame, self._parts)

    def __len__(self) -> int:
        return self.frame.height

    @property
    def strata(self) -> Sequence[int] | None:
        """The class number of every row; None for a target of numbers."""
        if self.target.kind == "numbers":
            return None
        return self._answers.tolist()  # type: ignore[no-any-return]

    @property
    def groups(self) -> None:
        """None: every row stands for itself."""
        return None

    @property
    def parts(self) -> Sequence[str] | None:
        """The part of every row if the table brings its own split."""
        return self._parts

    def name(self, row: int, /) -> str:
        """'row 17', counted from 1 below the header, with the file if there are several."""
        number = int(self._numbers[row])
        for file, _, count in self._files:
            if number < count:
                return f"{file} row {number + 1}" if len(self._files) > 1 else f"row {number + 1}"
            number -= count
        raise IndexError(row)

    def facts(self, rows: Tensor, /) -> TableFacts:
        """Learn types, scales and categories from these rows.

        Only the list of the classes comes from all rows: it is part of the problem's statement.
        """
        if not len(rows):
            raise UserError(f"{self.origin}: no row is left to learn from.")
        frame = self.frame[rows.numpy()]
        names = [name for name in frame.columns if name not in (self.target.name, self.weighing)]
        learned = [learn_column(frame[name], self.separator) for name in names]
        for column in learned:
            if column.kind == "ignored":
                self._report(f"column {column.name!r}", column.reason, "not used")
            elif column.kind == "category":
                self._tell_rare(frame[column.name], column)
        if all(column.kind == "ignored" for column in learned):
            reasons = "; ".join(f"{c.name}: {c.reason}" for c in learned[:10]) or "none"
            raise UserError(
                f"{self.origin} has no column to learn from beside the target "
                f"{self.target.name!r} ({reasons}). Add columns that tell the rows apart."
            )
        target = self._learn_target(rows)
        counts = [int((self._answers[rows.numpy()] == c).sum()) for c in range(len(target.classes))]
        return TableFacts(columns=learned, target=target, order=frame.columns, class_counts=counts)

    def _tell_rare(self, values: pl.Series, column: Column) -> None:
        """Say it if much of a column is lost because its values hardly repeat."""
        present = cells.as_text(values.drop_nulls())
        rare = present.filter(~present.is_in(column.levels))
        if len(rare) > 0.05 * len(present) and rare.n_unique() > columns.FEW_LEVELS:
            self._report(
                f"column {column.name!r}",
                f"{rare.n_unique():,} of {present.n_unique():,} values occur once in training "
                f"({len(rare) / len(present):.0%} of its rows)",
                "they all count as 'other'; group them if they tell something",
            )

    def examples(self, rows: Tensor, facts: TableFacts, /) -> TensorExamples:
        """Encode these rows; ``rows`` becomes part of the examples and is not copied."""
        _, inputs, problems = read_raw(self.frame[rows.numpy()], facts)
        for problem in problems:
            self._report(problem.where, problem.what, problem.remedy)
        answers = self._answers[rows.numpy()]
        if self.target.kind == "numbers":
            answers = ((answers - facts.target.mean) / facts.target.std).astype(np.float32)
        weights = None if self._weights is None else torch.from_numpy(self._weights[rows.numpy()])
        return TensorExamples(rows, inputs, torch.from_numpy(np.array(answers)), weights)

    def _report(self, where: str, what: str, remedy: str) -> None:
        problem = Problem(where, what, remedy)
        if problem not in self.problems:
            self.problems.append(problem)

    def _read_weights(self, name: str | None) -> Array | None:
        """How much each row counts; float32 (N,)."""
        self.weighing = name
        if name is None:
            return None
        require_column(self.frame, name, self.origin, "the weight of each row")
        *_, numbers = cells.read_numbers(self.frame[name], self.separator)
        values = cells.finite(numbers).fill_null(-1.0).to_numpy().astype(np.float32)
        wrong = np.flatnonzero(values < 0)
        if len(wrong) or not values.any():
            where = f"{self.name(int(wrong[0]))} has none" if len(wrong) else "all are 0"
            raise UserError(
                f"{self.origin}: the column {name!r} must hold a weight of 0 or more in each row, "
                f"and one above 0; {where}. Name another column, or none."
            )
        return values

    # The target ---------------------------------------------------------------------------------

    def _labelled(self, frame: pl.DataFrame, target: str) -> Array:
        """Which rows have an answer."""
        column = frame[target]
        if self.target.kind == "numbers":
            column = self._numbers_of(column)
        kept = column.is_not_null().to_numpy()
        gone = np.flatnonzero(~kept)
        if not kept.any():
            raise UserError(f"{self.origin}: the target {target!r} is missing in every row.")
        if len(gone):
            rows = ", ".join(str(row + 1) for row in gone[:10])
            self.problems.append(
                Problem(
                    f"column {target!r}",
                    f"the target is missing in {len(gone)} rows ({rows}{' …' * (len(gone) > 10)})",
                    "these rows are left out",
                    kind="rejected rows",
                    items=tuple(f"row {row + 1}" for row in gone),
                    fix="dropped",
                )
            )
        return kept

    def _numbers_of(self, column: pl.Series) -> pl.Series:
        """The target as finite numbers; a few odd cells count as missing."""
        *_, numbers = cells.read_numbers(column, self.separator)
        numbers = cells.finite(numbers)
        odd = column.filter(numbers.is_null() & column.is_not_null())
        if len(odd) > (1 - cells.MOSTLY) * max(len(column) - column.null_count(), 1):
            examples = ", ".join(repr(str(v)) for v in odd.unique(maintain_order=True).head(5))
            raise UserError(
                f"{self.origin}: the target {column.name!r} must hold numbers for a regression, "
                f"but holds {examples}. For names of classes choose classification."
            )
        if len(odd):
            self._report(
                f"column {column.name!r}",
                f"{len(odd)} cells of the target are no finite numbers, such as {str(odd[0])!r}",
                "treated as missing",
            )
        return numbers

    def _read_target(self, column: pl.Series) -> Array:
        if column.n_unique() < 2:
            raise UserError(
                f"{self.origin}: the target {column.name!r} is {str(column[0])!r} in every row. "
                "There is nothing to learn; choose another target."
            )
        if self.target.kind == "numbers":
            return self._numbers_of(column).to_numpy().astype(np.float64)
        return self._read_classes(cells.as_text(column))

    def _read_classes(self, column: pl.Series) -> Array:
        column = self._without_dots(column)
        counts = column.value_counts(sort=True)
        if (
            len(counts) > len(column) / 2
            and len(column) >= ENOUGH_ROWS
            or len(counts) == len(column)
        ):
            raise UserError(
                f"{self.origin}: the target {column.name!r} has {len(counts)} different values in "
                f"{len(column)} rows. That is no class: if it is a quantity, choose "
                "--task table-regression; if it is an identifier, another target."
            )
        classes = self._in_order(sorted(column.unique().to_list(), key=natural))
        if single := sorted(counts.filter(pl.col("count") == 1)[column.name].to_list()):
            self._report(
                f"column {column.name!r}",
                f"the class {', '.join(repr(s) for s in single[:10])} has one row only",
                "it can be learned or measured, but not both; add rows or merge classes",
            )
        self.target = self.target.model_copy(update={"classes": classes})
        position = {name: number for number, name in enumerate(classes)}
        return np.array([position[value] for value in column], np.int64)

    def _in_order(self, found: list[str]) -> list[str]:
        """The classes in the order that was asked for, if one was."""
        wanted = self.target.classes
        if wanted and sorted(wanted) != sorted(found):
            raise UserError(
                f"{self.origin}: classes must name each class of the target {self.target.name!r} "
                f"once, but is {', '.join(wanted)}; found: {', '.join(found)}."
            )
        return wanted or found

    def _without_dots(self, column: pl.Series) -> pl.Series:
        """Adult's official test labels end in '.', those of its train part do not."""
        if self._parts is None:
            return column
        train = set(column.filter(pl.Series(self._parts) == "train").to_list())
        dotted = {v for v in set(column.to_list()) - train if v[:-1] in train and v[-1] == "."}
        if dotted:
            self._report(
                f"column {column.name!r}",
                f"classes are written {', '.join(sorted(dotted))} outside of the train part",
                "the dot was removed",
            )
        return column.replace({value: value[:-1] for value in dotted})

    def _learn_target(self, rows: Tensor) -> Target:
        if self.target.kind == "categories":
            return self.target
        values = self._answers[rows.numpy()]
        std = float(values.std())
        scale = {"mean": float(values.mean()), "std": std if std > 0 else 1.0}
        return self.target.model_copy(update=scale)


# --- Small things ---------------------------------------------------------------------------------


def require_column(frame: pl.DataFrame, name: str, origin: str, role: str = "the target") -> None:
    """Raise unless the table has the column."""
    if name not in frame.columns:
        more = " …" if frame.width > 40 else ""
        raise UserError(
            f"{origin} has no column {name!r} to be {role}.{nearest(name, frame.columns)} "
            f"Its columns: {', '.join(frame.columns[:40])}{more}."
        )


def _digest(frame: pl.DataFrame, parts: Iterable[str] | None) -> str:
    """Over the cells as text, so that packing, encoding and separator do not matter."""
    digest = hashlib.sha256("\0".join(frame.columns).encode())
    plain = frame.select(
        column
        for column in frame
        if not column.dtype.is_nested() and column.dtype not in (pl.Object, pl.Binary)
    )
    for start in range(0, plain.height, 100_000):
        digest.update(plain[start : start + 100_000].write_csv(include_header=False).encode())
    digest.update("".join(part[:2] for part in parts or ()).encode())
    return digest.hexdigest()
