"""A table as the doctor sees it: rows, answers, parts, and columns as numbers for quick models.

Legend: N rows, C columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glassnet.data import cells
from glassnet.data.columns import Column, learn_column
from glassnet.data.tables import TableSource

Array = NDArray[Any]

TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = ("train", "validation", "test")
MOST_LEVELS = 200
"""Levels of a category that a quick model tells apart; the rarer ones are one."""


@dataclass(frozen=True)
class Sheet:
    """Rows of a table, their answers, and the part that each row will be in."""

    frame: pl.DataFrame
    """All columns without the target and the weights of rows; missing cells are null."""
    parts: Array
    """int8 (N,): TRAIN, VALIDATION or TEST."""
    name: Callable[[int], str]
    """row -> how a person finds it"""
    origin: str
    answers: Array | None = None
    """Class numbers (int64) or numbers (float64), (N,); None: no target was named."""
    classes: Sequence[str] = ()
    """Names of the classes; empty for a target of numbers."""
    target: str = ""
    separator: str = ","
    brought: bool = False
    """Whether the data bring their parts, instead of having them drawn."""
    known: Sequence[Column] = field(default=(), repr=False)

    @property
    def kind(self) -> Literal["categories", "numbers", "none"]:
        """What the target is."""
        if self.answers is None:
            return "none"
        return "categories" if len(self.classes) else "numbers"

    @cached_property
    def columns(self) -> list[Column]:
        """What training would make of each column, learned from all rows but those of the test."""
        if self.known:
            return list(self.known)
        seen = self.frame.filter(pl.Series(self.parts != TEST))
        return [learn_column(seen[name], self.separator) for name in seen.columns]

    @cached_property
    def used(self) -> list[Column]:
        """The columns that training uses."""
        return [column for column in self.columns if column.kind != "ignored"]

    @cached_property
    def inputs(self) -> pl.DataFrame:
        """The columns that training uses, cell by cell."""
        return self.frame.select(column.name for column in self.used)

    @cached_property
    def labelled(self) -> Array:
        """Rows whose answers may be looked at: all but those of the sealed test."""
        return np.flatnonzero(self.parts != TEST)

    def take(self, rows: Array) -> Sheet:
        """Some of the rows; ``name`` goes along."""
        rows = np.asarray(rows)
        return replace(
            self,
            frame=self.frame[rows],
            parts=self.parts[rows],
            answers=None if self.answers is None else self.answers[rows],
            name=lambda row: self.name(int(rows[row])),
            known=self.columns,
        )


def of_source(source: TableSource, parts: Array, brought: bool) -> Sheet:
    """The sheet of an opened table."""
    target, strata = source.target, source.strata
    if strata is None:
        *_, numbers = cells.read_numbers(source.frame[target.name], source.separator)
        answers = numbers.to_numpy().astype(np.float64)
    else:
        answers = np.array(strata, np.int64)
    no_inputs = [name for name in (target.name, source.weighing) if name is not None]
    return Sheet(
        frame=source.frame.drop(no_inputs), parts=parts, name=source.name,
        origin=Path(source.origin).name, answers=answers, classes=source.target.classes,
        target=target.name, separator=source.separator, brought=brought,
    )  # fmt: skip


def numbers_of(frame: pl.DataFrame, columns: Sequence[Column]) -> tuple[Array, Array]:
    """Columns as float64 (N, C) with NaN for missing, and which of them are categories (C,)."""
    found = [_one(frame[column.name], column) for column in columns]
    empty = np.zeros((frame.height, 0))
    return (
        np.column_stack(found) if found else empty,
        np.array([column.kind in ("category", "text", "boolean") for column in columns], bool),
    )


def _one(column: pl.Series, learned: Column) -> Array:
    if learned.kind == "number":
        return _floats(cells.numbers(column, learned.notation, learned.unit))
    if learned.kind == "date":
        return _floats(cells.days(cells.dates(column, learned.format)))
    return _levels(column)


def _floats(values: pl.Series) -> Array:
    return cells.finite(values).fill_null(float("nan")).to_numpy().astype(np.float64)


def _levels(column: pl.Series) -> Array:
    """Levels by frequency, 0 the most frequent; the rare ones share a number; missing is NaN."""
    text = cells.as_text(column)
    counts = text.drop_nulls().value_counts(sort=True, name="n")
    order = counts.sort(["n", text.name], descending=[True, False])[text.name].to_list()
    number = {level: float(min(k, MOST_LEVELS)) for k, level in enumerate(order)}
    return np.array([number.get(value, np.nan) for value in text], np.float64)


def sample(count: int, most: int, seed: int = 0) -> Array:
    """At most so many of the rows, drawn without replacement and in order."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
