"""A table whose features, answers and weights are told by the caller: nothing has to be guessed.

This is how scikit-learn's ``fit(X, y, sample_weight)`` becomes a source. The rows are put into an
order of their own, so that the order in which they were given does not change what is learned.

Legend: N rows, C slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from glassnet.data import tables
from glassnet.data.columns import Array, learn_column
from glassnet.data.examples import TensorExamples
from glassnet.data.tables import TableFacts, Target
from glassnet.errors import UserError
from glassnet.task import Problem

REPEATS = 10
"""Whole numbers as weights repeat the rows up to so many times as many rows (of 1000, if fewer)."""
FEW_ROWS = 20
"""So few rows are all trained on; none is set aside for validation."""

_UNSORTABLE = (pl.Object, pl.Binary)


def declare(
    features: pl.DataFrame, answers: Array, target: Target, weights: Array | None = None
) -> DeclaredTable:
    """Make a source of N rows, in an order that does not depend on the one they come in.

    Rows of weight 0 are left out. If all weights are whole numbers, not too large, a row is
    repeated as often as its weight says; other weights count in the loss of each batch.
    """
    rows = np.arange(len(answers)) if weights is None else np.flatnonzero(weights)
    rows = rows[_order(features[rows], answers[rows], None if weights is None else weights[rows])]
    if weights is not None and _are_counts(weights):
        rows, weights = np.repeat(rows, weights[rows].astype(np.int64)), None
    own = None if weights is None else weights[rows] / weights[rows].mean()
    return DeclaredTable(features[rows], target, answers[rows], own, rows)


def with_parts(table: DeclaredTable, train: Tensor, validation: Tensor) -> DeclaredTable:
    """Say which rows are trained on and which are for validation; a row may be both.

    Figures count each validation row once; so that they judge by weight, a row is there in
    proportion to its weight: four times on average, and below a quarter of the mean weight only
    now and then (systematic sampling). Else the epoch would be chosen for rows that hardly count.
    """
    held = validation.numpy()
    has_copies = table.weights is not None or bool(torch.isin(train, validation).any())
    if table.weights is not None:
        shares = table.weights[held].cumsum() / table.weights[held].sum()
        held = np.repeat(
            held, np.diff(np.floor(4 * len(held) * shares + 0.5), prepend=0).astype(int)
        )
    rows = np.concatenate([train.numpy(), held])
    return replace(
        table,
        features=table.features[rows],
        answers=table.answers[rows],
        weights=None if table.weights is None else table.weights[rows],
        given=table.given[rows],
        parts=["train"] * len(train) + ["validation"] * len(held),
        has_copies=has_copies,
    )


def _order(features: pl.DataFrame, answers: Array, weights: Array | None) -> Array:
    """The rows by their contents: what sorts alike is alike."""
    columns = [c for c in features if not c.dtype.is_nested() and c.dtype not in _UNSORTABLE]
    columns += [pl.Series(column) for column in (answers, weights) if column is not None]
    keys = pl.DataFrame([column.alias(str(i)) for i, column in enumerate(columns)])
    order: Array = keys.with_row_index("row").sort(keys.columns)["row"].to_numpy()
    return order


def _are_counts(weights: Array) -> bool:
    """Whether the rows can be repeated instead of weighed."""
    whole = bool((weights == np.floor(weights)).all())
    return whole and float(weights.sum()) <= REPEATS * max(len(weights), 1000)


@dataclass
class DeclaredTable:
    """A source of rows that bring their answers, and perhaps their weights, in columns apart."""

    features: pl.DataFrame
    target: Target
    answers: Array
    """Numbers of classes, int64 (N,), or the numbers to predict, float64 (N,)."""
    weights: Array | None
    """float64 (N,), 1 on average; None: all the same."""
    given: Array
    """The row, as it was given, of each row: int64 (N,)."""
    parts: Sequence[str] | None = None
    has_copies: bool = False
    """Whether validation rows are there several times, or are training rows too."""
    fingerprint: str = "in memory"
    problems: list[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def strata(self) -> Sequence[int] | None:
        """The class number of every row; None for a target of numbers."""
        return self.answers.tolist() if self.target.kind == "categories" else None

    @property
    def groups(self) -> None:
        """None: every row stands for itself."""
        return None

    def name(self, row: int, /) -> str:
        """'row 17' of the rows as they were given, counted from 1."""
        return f"row {self.given[row] + 1}"

    def facts(self, rows: Tensor, /) -> TableFacts:
        """Learn types, scales and levels from these rows."""
        frame = self.features[rows.numpy()]
        columns = [learn_column(frame[name], chosen=True) for name in frame.columns]
        ignored = [column for column in columns if column.kind == "ignored"]
        for column in ignored:
            self._report(Problem(f"column {column.name!r}", column.reason, "not used"))
        if len(ignored) == len(columns):
            reasons = "; ".join(f"{column.name}: {column.reason}" for column in ignored[:10])
            raise UserError(
                f"X has no column to learn from ({reasons}). Add columns that tell the rows apart."
            )
        order, target = [*frame.columns, self.target.name], self._learn_target(rows)
        counts = []
        if target.classes:
            counts = np.bincount(self.answers[rows.numpy()], minlength=len(target.classes)).tolist()
        return TableFacts(columns=columns, target=target, order=order, class_counts=counts)

    def examples(self, rows: Tensor, facts: TableFacts, /) -> TensorExamples:
        """Encode these rows; ``rows`` becomes part of the examples and is not copied."""
        _, inputs, problems = tables.read_raw(self.features[rows.numpy()], facts)
        for problem in problems:
            self._report(problem)
        answers, weights = self.answers[rows.numpy()], None
        if self.target.kind == "numbers":
            answers = ((answers - facts.target.mean) / facts.target.std).astype(np.float32)
        if self.weights is not None:
            weights = torch.from_numpy(self.weights[rows.numpy()].astype(np.float32))
        return TensorExamples(rows, inputs, torch.from_numpy(answers), weights)

    def stored(self) -> pl.DataFrame:
        """One frame of features, target and weights, as it is kept beside a run."""
        answers = pl.Series(self.target.name, self.answers)
        if self.target.classes:
            answers = pl.Series(self.target.name, np.array(self.target.classes)[self.answers])
        own = [answers]
        if self.weights is not None:
            own.append(pl.Series(self.weights_name, self.weights))
        return self.features.with_columns(own)

    @property
    def weights_name(self) -> str | None:
        """The column of the weights in what is stored; None if there are none."""
        if self.weights is None:
            return None
        return free_name("sample_weight", [*self.features.columns, self.target.name])

    def _learn_target(self, rows: Tensor) -> Target:
        if self.target.kind == "categories":
            return self.target
        values = self.answers[rows.numpy()]
        scale = {"mean": float(values.mean()), "std": float(values.std()) or 1.0}
        return self.target.model_copy(update=scale)

    def _report(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with underscores after it if a column is called so already.

    >>> free_name("target", ["a", "target"])
    'target_'
    """
    while name in taken:
        name = f"{name}_"
    return name
