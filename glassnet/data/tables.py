"""Tables as a source: columns of any type -> one float32 vector per row.

``read_raw`` is the one path for training and for prediction:

- number: minus the median, by the interquartile range, then x / sqrt(1 + (x/3)^2), which keeps
  the middle and bends the tails (RealMLP; Holzmüller, Grinsztajn and Steinwart 2024); missing
  becomes the median
- boolean: -1 and 1; missing becomes 0
- category: one slot per level and one for every 'other'; text with more levels keeps the most
  frequent ones
- date: days as a number; month, weekday and time of day as points on circles
- and, where training has missing cells, one slot that says so

Legend: N rows, D slots, K classes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from glassnet.data import tablefiles
from glassnet.data.examples import TensorExamples
from glassnet.data.order import natural
from glassnet.data.tablefiles import Known, Read
from glassnet.errors import UserError, nearest
from glassnet.task import Facts, Problem

MAX_LEVELS = 50
"""Levels of a category that get a slot of their own; the rest is 'other'."""
ENOUGH_ROWS = 20
"""Fewer rows say nothing about whether a column is an identifier."""
READABLE = 0.99
"""Share of the cells that must read as numbers (dates) for a column to be one of them."""

Kind = Literal["number", "boolean", "category", "text", "date", "ignored"]
TargetKind = Literal["categories", "numbers"]
Array = NDArray[Any]

_DATES = [
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%Y %H:%M",
    "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d-%m-%Y", "%d %b %Y", "%H:%M:%S",
]  # fmt: skip
_TRUE = ("true", "yes", "y", "t")
_FALSE = ("false", "no", "n", "f")
_ID_NAME = re.compile(
    r"(?i:^(id|idx|index|key|row|nr|number|unnamed.*)$|(^|[_\W])(id|uuid|guid)$)|[a-z]I[dD]$"
)


class Column(BaseModel):
    """How one column becomes slots of the input vector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    reason: str = ""
    """Why the column is ignored."""
    notation: str = "point"
    """How text says numbers: 'point' 1.5, 'comma' 1,5 or 'thousands' 1,000.5."""
    format: str = ""
    """How text says dates; empty for columns that are dates already."""
    centre: float = 0.0
    scale: float = 1.0
    levels: list[str] = []
    missing: bool = False
    """Whether training has missing cells, which then get a slot of their own."""
    clock: bool = False
    """Whether the dates have a time of day."""

    @property
    def slots(self) -> list[str]:
        """Names of the slots that the column fills."""
        names = {
            "ignored": [],
            "number": [self.name],
            "boolean": [f"{self.name}={self.levels[-1]}" if self.levels else self.name],
            "category": [f"{self.name}={level}" for level in self.levels] + [f"{self.name}=other"],
            "date": [f"{self.name}:{part}" for part in _date_parts(self.clock)],
        }
        own = names["category" if self.kind == "text" else self.kind]
        return own + ([f"{self.name} missing"] if self.missing and self.kind != "ignored" else [])


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

    @property
    def features(self) -> list[str]:
        """Names of the D slots of an encoded row."""
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
) -> TableSource:
    """Open a CSV, TSV or Parquet file, a folder with train and test tables, or a frame.

    ``kind`` says whether the target is one of several categories or a number. ``classes`` is the
    order of the categories, such as ["low", "middle", "high"]; by default numbers come first, by
    their value, then words alphabetically ('week 2' before 'week 10').
    """
    if classes is not None and kind == "numbers":
        raise UserError("classes can only be given for a target of categories, not of numbers.")
    wanted = Target(name=target, kind=kind, classes=list(classes or []))
    if isinstance(data, str | Path):
        path = Path(data).expanduser()
        return TableSource(tablefiles.read(path, target, separator), wanted, str(path))
    frame = tablefiles.as_frame(data)
    read = Read(frame, [("", "train", frame.height)])
    return TableSource(read, wanted, f"a {type(data).__module__.split('.')[0]} frame")


def read_raw(raw: Any, facts: TableFacts) -> tuple[list[str], Tensor, list[Problem]]:
    """Read rows without answers: their names, the vectors (N, D), and what was wrong."""
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
    blocks = [_encode(frame[column.name], column, problems) for column in used]
    empty = np.zeros((frame.height, 0), np.float32)
    inputs = torch.from_numpy(np.concatenate([empty, *blocks], axis=1))
    return [f"row {number}" for number in range(1, frame.height + 1)], inputs, problems


def _raw_frame(raw: Any, facts: TableFacts, problems: list[Problem]) -> pl.DataFrame:
    if isinstance(raw, str | Path):
        path = Path(raw).expanduser()
        if not path.is_file():
            raise UserError(f"{path} does not exist. Give a table (CSV, TSV or Parquet).")
        read = tablefiles.read_file(path, known=Known(facts.order, facts.target.name))
        problems += read.problems
        return tablefiles.missing_to_null(read.frame)
    return tablefiles.missing_to_null(tablefiles.as_frame(raw))


class TableSource:
    """A table of which nothing has been learned yet."""

    def __init__(self, read: Read, target: Target, origin: str) -> None:
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
        names = [name for name in frame.columns if name != self.target.name]
        columns = [learn_column(frame[name], self.separator) for name in names]
        for column in columns:
            if column.kind == "ignored":
                self._report(f"column {column.name!r}", column.reason, "not used")
        if all(column.kind == "ignored" for column in columns):
            reasons = "; ".join(f"{c.name}: {c.reason}" for c in columns[:10]) or "none"
            raise UserError(
                f"{self.origin} has no column to learn from beside the target "
                f"{self.target.name!r} ({reasons}). Add columns that tell the rows apart."
            )
        target = self._learn_target(rows)
        return TableFacts(columns=columns, target=target, order=frame.columns)

    def examples(self, rows: Tensor, facts: TableFacts, /) -> TensorExamples:
        """Encode these rows; ``rows`` becomes part of the examples and is not copied."""
        _, inputs, problems = read_raw(self.frame[rows.numpy()], facts)
        for problem in problems:
            self._report(problem.where, problem.what, problem.remedy)
        answers = self._answers[rows.numpy()]
        if self.target.kind == "numbers":
            answers = ((answers - facts.target.mean) / facts.target.std).astype(np.float32)
        return TensorExamples(rows, inputs, torch.from_numpy(np.array(answers)))

    def _report(self, where: str, what: str, remedy: str) -> None:
        problem = Problem(where, what, remedy)
        if problem not in self.problems:
            self.problems.append(problem)

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
            self._report(
                f"column {target!r}",
                f"the target is missing in {len(gone)} rows ({rows}{' …' * (len(gone) > 10)})",
                "these rows are left out",
            )
        return kept

    def _numbers_of(self, column: pl.Series) -> pl.Series:
        """The target as finite numbers; a few odd cells count as missing."""
        _, numbers = read_numbers(column, self.separator)
        numbers = _finite(numbers)
        odd = column.filter(numbers.is_null() & column.is_not_null())
        if len(odd) > (1 - READABLE) * max(len(column) - column.null_count(), 1):
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
        return self._read_classes(_as_text(column))

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
                f"{len(column)} rows. That is no class: choose regression if it is a quantity, or "
                "another target if it is an identifier."
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


# --- Learning a column ----------------------------------------------------------------------------


def learn_column(column: pl.Series, separator: str = ",") -> Column:
    """Find a column's type, scale and levels."""
    name, present = column.name, column.drop_nulls()
    if present.dtype.is_nested() or present.dtype in (pl.Object, pl.Binary):
        return Column(name=name, kind="ignored", reason=f"holds {present.dtype}, no single values")
    if not len(present):
        return Column(name=name, kind="ignored", reason="has no value in any training row")
    missing = column.null_count() > 0
    if present.n_unique() == 1 and not missing:
        return _ignored(name, f"is {str(present[0])!r} in every training row")
    if reason := _identifier(present):
        return _ignored(name, reason)
    if present.dtype == pl.Boolean or _is_boolean(present):
        levels = sorted(_as_text(present).unique().to_list(), key=_truth)
        return Column(name=name, kind="boolean", levels=levels, missing=missing)
    notation, numbers = read_numbers(column, separator)
    if notation:
        return _learn_number(name, numbers, notation)
    format, dates = _read_dates(column)
    if format is not None:
        return _learn_date(name, dates, format)
    return _learn_category(name, _as_text(present), missing)


def _ignored(name: str, reason: str) -> Column:
    return Column(name=name, kind="ignored", reason=reason)


def _learn_number(name: str, numbers: pl.Series, notation: str) -> Column:
    finite = _finite(numbers)
    values = finite.drop_nulls().to_numpy().astype(np.float64)
    if not len(values) or values.min() == values.max() and not finite.null_count():
        return _ignored(name, "has no two different finite values in the training rows")
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    # A column that is mostly one value has no interquartile range; RealMLP takes half its range.
    spread = high - low if high > low else (values.max() - values.min()) / 2
    return Column(
        name=name, kind="number", notation=notation, missing=finite.null_count() > 0,
        centre=float(middle), scale=float(spread) if spread > 0 else 1.0,
    )  # fmt: skip


def _learn_date(name: str, dates: pl.Series, format: str) -> Column:
    days = _days(dates).drop_nulls().to_numpy()
    low, middle, high = np.quantile(days, [0.25, 0.5, 0.75])
    clock = bool((days % 1 != 0).any())
    return Column(
        name=name, kind="date", format=format, clock=clock, missing=dates.null_count() > 0,
        centre=float(middle), scale=float(high - low) if high > low else 1.0,
    )  # fmt: skip


def _learn_category(name: str, present: pl.Series, missing: bool) -> Column:
    """Levels by frequency, those that occur once are 'other', which so gets learned as well."""
    counts = present.value_counts(sort=True).rows()
    often = sorted((-count, natural(level), level) for level, count in counts if count > 1)
    levels = [level for *_, level in often[:MAX_LEVELS]]
    kind: Kind = "category" if len(counts) <= MAX_LEVELS else "text"
    return Column(name=name, kind=kind, levels=sorted(levels, key=natural), missing=missing)


def _identifier(present: pl.Series) -> str:
    """Why a column is taken for an identifier: its values say which row it is, nothing else."""
    n = len(present)
    head = present.head(1000)  # most columns show at once that they are none
    if n < ENOUGH_ROWS or head.n_unique() < len(head) or present.n_unique() < n:
        return ""
    notation, numbers = read_numbers(present, ",")
    if not notation:
        dated = present.dtype.is_temporal() or _read_dates(present)[0] is not None
        return "" if dated else "is different in every row, like an identifier"
    if numbers.dtype.is_float() and not (numbers.floor() == numbers).all():
        return ""
    low, high = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
    if _ID_NAME.search(present.name):
        return "is named like an identifier and different in every row"
    counts = high - low + 1 <= 2 * n and 0 <= low <= 1 + 0.05 * n
    return "counts the rows, like an identifier" if counts else ""


def read_numbers(column: pl.Series, separator: str) -> tuple[str, pl.Series]:
    """The notation in which nearly all cells are numbers ('' if none), and the numbers."""
    if column.dtype.is_numeric():
        return "point", column.cast(pl.Float64)
    if column.dtype != pl.String:
        return "", pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    present = len(column) - column.null_count()
    order = ["point", "thousands", "comma"] if separator == "," else ["point", "comma", "thousands"]
    for notation in order:
        numbers = _numbers(column, notation)
        if present and (present - (numbers.is_not_null()).sum()) <= (1 - READABLE) * present:
            return notation, numbers
    return "", pl.Series(column.name, [None] * len(column), dtype=pl.Float64)


def _numbers(column: pl.Series, notation: str) -> pl.Series:
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False)
    if notation == "comma":  # 1.234,5
        plain = column.str.contains(r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d+)?([eE][+-]?\d+)?$")
        column = column.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    elif notation == "thousands":  # 1,234.5
        plain = column.str.contains(r"^[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d*)?([eE][+-]?\d+)?$")
        column = column.str.replace_all(",", "", literal=True)
    else:
        return column.cast(pl.Float64, strict=False)
    empty = pl.Series([None], dtype=pl.Float64)
    return column.cast(pl.Float64, strict=False).zip_with(plain.fill_null(False), empty)


def _read_dates(column: pl.Series) -> tuple[str | None, pl.Series]:
    """The format in which nearly all cells are dates ('' for columns of dates), and the dates."""
    if column.dtype.is_temporal():
        return "", column
    if column.dtype == pl.String:
        present = column.drop_nulls()
        head = present.head(100)
        for format in _DATES:
            if _dates(head, format).null_count() <= 1 and len(head) > 1:
                dates = _dates(column, format)
                lost = dates.null_count() - column.null_count()
                if lost <= (1 - READABLE) * len(present):
                    return format, dates
    return None, column


def _dates(column: pl.Series, format: str) -> pl.Series:
    if column.dtype != pl.String:
        return column
    if format == "%H:%M:%S":
        column, format = "1970-01-01 " + column, "%Y-%m-%d %H:%M:%S"
    if "%H" in format:
        return column.str.to_datetime(format, strict=False, time_unit="us")
    return column.str.to_date(format, strict=False)


# --- Encoding a column ----------------------------------------------------------------------------


def _encode(column: pl.Series, facts: Column, problems: list[Problem]) -> Array:
    """One column as float32 (N, slots)."""
    if facts.kind == "number":
        gone, block = _encode_number(column, facts, problems)
    elif facts.kind == "date":
        gone, block = _encode_date(column, facts, problems)
    elif facts.kind == "boolean":
        gone, block = _encode_boolean(column)
    else:
        gone, block = _encode_category(column, facts, problems)
    block[gone] = 0
    if facts.missing:
        block = np.concatenate([block, gone[:, None]], axis=1)
    return block.astype(np.float32)


def _encode_number(
    column: pl.Series, facts: Column, problems: list[Problem]
) -> tuple[Array, Array]:
    notation = _notation(column, facts, problems)
    numbers = _numbers(column, notation)
    finite = _finite(numbers)
    odd = column.filter(finite.is_null() & column.is_not_null() & ~_is_nan(numbers))
    if len(odd):
        problems.append(
            Problem(
                f"column {column.name!r}",
                f"{len(odd)} cells are no finite numbers, such as {str(odd[0])!r}",
                "treated as missing; mend them if they should count",
            )
        )
    return _bent(finite, facts)


def _notation(column: pl.Series, facts: Column, problems: list[Problem]) -> str:
    """Training's notation, unless other cells than training's read better in another one."""
    if column.dtype != pl.String:
        return facts.notation
    options = [facts.notation, "point", "comma", "thousands"]
    best = min(options, key=lambda notation: _numbers(column, notation).null_count())
    if best != facts.notation:
        what = f"has numbers with decimal {best}, training had decimal {facts.notation}"
        problems.append(Problem(f"column {column.name!r}", what, f"read with decimal {best}"))
    return best


def _bent(values: pl.Series, facts: Column) -> tuple[Array, Array]:
    gone = values.is_null().to_numpy()
    x = values.fill_null(facts.centre).to_numpy().astype(np.float64)
    x = (x - facts.centre) / facts.scale
    x = np.clip(x, -1e100, 1e100)  # the square of a larger one would overflow
    return gone, (x / np.sqrt(1 + (x / 3) ** 2))[:, None]


def _encode_date(column: pl.Series, facts: Column, problems: list[Problem]) -> tuple[Array, Array]:
    dates = _dates(column, facts.format)
    lost = dates.null_count() - column.null_count()
    if lost:
        format, others = _read_dates(column)
        if format is not None and others.null_count() - column.null_count() < lost:
            dates = others
            remedy = f"read as {format}"
        else:
            remedy = "treated as missing; mend them if they should count"
        what = f"{lost} cells are no dates written as in training ({facts.format})"
        problems.append(Problem(f"column {column.name!r}", what, remedy))
    if not dates.dtype.is_temporal():
        dates = pl.Series(column.name, [None] * len(column), dtype=pl.Datetime)
    days = _days(dates)
    gone, bent = _bent(days, facts)
    whole = days.fill_null(0).to_numpy()
    stamps = whole.astype("datetime64[D]")
    month = (stamps.astype("datetime64[M]").astype(int) % 12) / 12
    weekday = ((np.floor(whole) + 3) % 7) / 7  # 1970-01-01 was a Thursday
    circles = [month, weekday] + ([whole % 1] if facts.clock else [])
    waves = [wave(2 * math.pi * circle) for circle in circles for wave in (np.sin, np.cos)]
    return gone, np.concatenate([bent, np.stack(waves, axis=1)], axis=1)


def _date_parts(clock: bool) -> list[str]:
    circles = ["month", "weekday"] + (["time"] if clock else [])
    return ["day", *(f"{circle} {wave}" for circle in circles for wave in ("sin", "cos"))]


def _encode_boolean(column: pl.Series) -> tuple[Array, Array]:
    """-1 and 1 by meaning, so that True may be given where training had 'yes'."""
    text = _as_text(column).str.to_lowercase()
    yes = text.is_in((*_TRUE, "1")).fill_null(False).to_numpy()
    no = text.is_in((*_FALSE, "0")).fill_null(False).to_numpy()
    return ~(yes | no), (yes.astype(float) - no.astype(float))[:, None]


def _encode_category(
    column: pl.Series, facts: Column, problems: list[Problem]
) -> tuple[Array, Array]:
    text = _as_text(column)
    position = {level: number for number, level in enumerate(facts.levels)}
    other = len(facts.levels)
    slots = np.array([position.get(value, other) for value in text], np.int64)
    unseen = text.filter(pl.Series(slots == other) & text.is_not_null()).unique().sort()
    if len(unseen) and facts.kind == "category":
        some = ", ".join(unseen.head(5).to_list())
        what = f"has {len(unseen)} levels that training had not or hardly: {some}"
        problems.append(Problem(f"column {column.name!r}", what, "they count as 'other'"))
    x = np.zeros((len(text), other + 1))
    x[np.arange(len(text)), slots] = 1
    return text.is_null().to_numpy(), x


# --- Small things ---------------------------------------------------------------------------------


def require_column(frame: pl.DataFrame, target: str, origin: str) -> None:
    """Raise unless the table has the target."""
    if target not in frame.columns:
        more = " …" if frame.width > 40 else ""
        raise UserError(
            f"{origin} has no column {target!r} to be the target.{nearest(target, frame.columns)} "
            f"Its columns: {', '.join(frame.columns[:40])}{more}."
        )


def _finite(numbers: pl.Series) -> pl.Series:
    empty = pl.Series([None], dtype=pl.Float64)
    numbers = numbers.cast(pl.Float64)
    return numbers.zip_with(numbers.is_finite().fill_null(False), empty)


def _is_nan(numbers: pl.Series) -> pl.Series:
    return numbers.cast(pl.Float64).is_nan().fill_null(False)


def _days(dates: pl.Series) -> pl.Series:
    """Days since 1970 with their fraction."""
    if dates.dtype == pl.Time:
        return dates.cast(pl.Int64) / 86_400e9
    if dates.dtype == pl.Duration:
        return dates.dt.total_microseconds() / 86_400e6
    return dates.cast(pl.Datetime("us")).cast(pl.Int64) / 86_400e6


def _as_text(column: pl.Series) -> pl.Series:
    """Values as their names; whole numbers without '.0', so that 1.0 and 1 are one class."""
    if column.dtype.is_float() and (column.drop_nulls().floor() == column.drop_nulls()).all():
        column = column.cast(pl.Int64, strict=False)
    if column.dtype == pl.Boolean:
        return column.cast(pl.String).str.to_lowercase()
    return column.cast(pl.String)


def _is_boolean(present: pl.Series) -> bool:
    if present.dtype != pl.String or present.head(1000).n_unique() > 2:
        return False
    values = set(present.unique().str.to_lowercase().to_list())
    return values in [{yes, no} for yes, no in zip(_TRUE, _FALSE, strict=True)]


def _truth(level: str) -> bool:
    return level.lower() in _TRUE


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
