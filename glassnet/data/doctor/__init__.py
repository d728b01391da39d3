"""The data doctor: what is wrong with a table, images, texts or DNA, before anything is trained.

``examine`` looks at an opened source and the parts that its rows will be in, and returns findings
(``Problem``), the worst first. It changes nothing; ``repair`` writes a mended copy.

*The seal.* Rows of the test are looked at for copies, near copies and drift by their inputs alone.
Their answers are read for one thing only: whether two whole rows are equal. No check that learns
(leaks, suspicious labels) or counts answers (conflicts) receives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glassnet.data.dna import DnaSource
from glassnet.data.doctor import (
    columns,
    drift,
    groups,
    labels,
    pictures,
    prose,
    repeats,
    sheet,
    strands,
)
from glassnet.data.doctor.effort import EFFORTS, Effort
from glassnet.data.images import ImageSource
from glassnet.data.tables import TableSource
from glassnet.data.texts import TextSource
from glassnet.progress import tell
from glassnet.task import Problem, Source

LEVELS = ("serious", "warning", "note")
"""From the worst."""


def examine(
    source: Source[Any], parts: NDArray[Any], effort: Literal["quick", "full"] = "full"
) -> list[Problem]:
    """Look for all that can be wrong; ``parts`` (N,) is 0, 1 or 2: train, validation or test.

    Sources of other kinds are not known to the doctor: nothing is found.
    """
    bounds, brought = EFFORTS[effort], source.parts is not None
    if isinstance(source, TableSource):
        return ordered(_of_table(sheet.of_source(source, parts, brought), bounds))
    if isinstance(source, ImageSource):
        return ordered(pictures.check(source, parts, brought, bounds))
    if isinstance(source, TextSource):
        return ordered(prose.check(source, parts, brought))
    if isinstance(source, DnaSource):
        return ordered(strands.check(source, parts, brought))
    return []


def examine_sheet(table: sheet.Sheet, effort: Literal["quick", "full"] = "full") -> list[Problem]:
    """The same for a table without a target."""
    return ordered(_of_table(table, EFFORTS[effort]))


def _of_table(table: sheet.Sheet, bounds: Effort) -> Iterator[Problem]:
    checks: list[Callable[[], Iterable[Problem]]] = [
        lambda: columns.check(table, bounds.rows),
        lambda: groups.check(table),
        lambda: drift.check(table, bounds.rows, bounds.folds),
        lambda: labels.check(table, bounds.rows, bounds.folds),
        lambda: repeats.check(table, bounds.pairs),
    ]
    for number, check in enumerate(checks):
        tell("examining the data", number, len(checks))
        yield from check()
    tell("examining the data", len(checks), len(checks))


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """The worst first, and those of one kind together."""
    return sorted(problems, key=lambda p: (LEVELS.index(p.level), p.kind))


def parts_of(train: Any, validation: Any, test: Any, count: int) -> NDArray[Any]:
    """Row numbers of three parts -> the part of each of ``count`` rows; int8 (N,)."""
    parts = np.zeros(count, np.int8)
    for number, rows in ((sheet.VALIDATION, validation), (sheet.TEST, test)):
        parts[np.asarray(rows)] = number
    return parts
