"""Rows that occur more than once: in one part, in several, or with other answers.

All rows are compared. What is nearly equal is sought in ``near``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glassnet.data.doctor import near
from glassnet.data.doctor.effort import counted
from glassnet.data.doctor.sheet import PARTS, TEST, TRAIN, Sheet
from glassnet.task import Problem

Array = NDArray[Any]

COINCIDENCE = 0.1
"""If chance explains this share of equal rows, they are no sign of a mistake."""


def check(sheet: Sheet, most: int) -> Iterator[Problem]:
    """All that concerns equal rows; near ones are searched among ``most`` rows."""
    whole = _whole_rows(sheet)
    yield from _duplicates(sheet, whole)
    if sheet.used:
        equal = groups(_telling(sheet))
        yield from _straddling(sheet, equal, whole)
        yield from _conflicts(sheet, equal)
        yield from near.check(sheet, equal, most)


def _telling(sheet: Sheet) -> pl.DataFrame:
    """The inputs without texts that name the rows: two rows may be equal but for their names."""
    texts = [column.name for column in sheet.used if column.kind in ("category", "text")]
    enough = NAMES * sheet.frame.height
    names = [name for name in texts if sheet.frame[name].n_unique() >= enough]
    return sheet.inputs.drop(names) if len(names) < len(sheet.used) else sheet.inputs


NAMES = 0.98
"""Share of different values in a column of texts above which it names the rows."""


def groups(frame: pl.DataFrame) -> Array:
    """The number of the group of equal rows that each row belongs to, (N,)."""
    if not frame.width:
        return np.arange(frame.height)
    return np.unique(frame.hash_rows(seed=1).to_numpy(), return_inverse=True)[1]


def firsts(group: Array) -> Array:
    """For each row the first row that equals it, (N,)."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[inverse])


def _whole_rows(sheet: Sheet) -> Array:
    """Groups of rows that are equal in every column, used or not, and in their answers."""
    plain = [c for c in sheet.frame if not c.dtype.is_nested() and c.dtype not in _OPAQUE]
    frame = pl.DataFrame(plain)
    if sheet.answers is not None:
        frame = frame.with_columns(pl.Series("\0answer", sheet.answers))
    return groups(frame)


_OPAQUE = (pl.Object, pl.Binary)


def _duplicates(sheet: Sheet, group: Array) -> Iterator[Problem]:
    first, common = firsts(group), is_common(group)
    repeats = first != np.arange(len(first))
    later = np.flatnonzero(repeats & ~common)
    natural = is_coincidence(sheet.frame, group)
    note = "; the columns have so few values that chance explains it" if natural else ""
    if len(later):
        yield Problem(
            sheet.origin,
            f"{len(later):,} of {len(first):,} rows ({len(later) / len(first):.1%}) repeat an "
            f"earlier row{note}",
            "equal rows may get into training and test, and count double; remove them if they "
            "are copies and not separate cases",
            kind="duplicates",
            level="note" if natural else "warning",
            items=tuple(f"{sheet.name(int(r))} = {sheet.name(int(first[r]))}" for r in later),
            rows=tuple((int(r), int(first[r])) for r in later),
            fix="" if natural else "all copies but one are dropped",
        )
    if common.any() and not natural:
        yield _common_rows(sheet, group, first, common)


def _common_rows(sheet: Sheet, group: Array, first: Array, common: Array) -> Problem:
    sizes = np.bincount(group)
    heads = sorted({int(row) for row in first[common]}, key=lambda row: -sizes[group[row]])
    return Problem(
        sheet.origin,
        f"{counted(len(heads), 'row')} with more than {MOST_COPIES} copies make up "
        f"{common.mean():.1%} of the table",
        "this looks like a default or a failed measurement rather than like copies; find out what "
        "it stands for. Any model knows these rows of the test beforehand",
        kind="duplicates",
        items=tuple(f"{sheet.name(row)} occurs {sizes[group[row]]:,} times" for row in heads),
        rows=tuple((row,) for row in heads),
    )


MOST_COPIES = 100
"""A row that occurs more often is no copy, but a default or a common case."""


def is_common(group: Array) -> Array:
    """Which rows occur too often to be copies."""
    return np.bincount(group)[group] > MOST_COPIES


def is_coincidence(frame: pl.DataFrame, group: Array) -> bool:
    """Whether columns that know nothing of each other would give a like number of equal rows."""
    sizes = np.bincount(group).astype(float)
    found = (sizes * (sizes - 1)).sum() / 2
    log_equal = 0.0
    for cells in frame:
        if cells.dtype.is_nested() or cells.dtype in _OPAQUE:
            continue
        share = cells.value_counts(name="\0n")["\0n"].to_numpy() / frame.height
        if len(share) > frame.height / 2:
            return False  # rows that agree in a column of mostly different values
        log_equal += float(np.log((share**2).sum()))
    expected = np.exp(2 * np.log(max(frame.height, 2)) - np.log(2) + log_equal)
    return bool(expected >= COINCIDENCE * found)


# --- Across parts ---------------------------------------------------------------------------------


def _straddling(sheet: Sheet, group: Array, whole: Array) -> Iterator[Problem]:
    """Rows of validation and test whose inputs occur in training as well."""
    natural = is_coincidence(_telling(sheet), group)
    common = is_common(group)
    for part in (TEST, 1):
        here = np.flatnonzero((sheet.parts == part) & ~common)
        there = np.flatnonzero(sheet.parts == TRAIN)
        seen = {int(g): int(row) for row, g in zip(there[::-1], group[there][::-1], strict=True)}
        pairs = [(int(row), seen[int(group[row])]) for row in here if int(group[row]) in seen]
        if pairs:
            copies = any(whole[a] == whole[b] for a, b in pairs)
            how = "" if copies else "equal in all columns but names"
            count = int((sheet.parts == part).sum())
            yield straddling(sheet, part, pairs, count, natural, how)


def straddling(
    sheet: Any,
    part: int,
    pairs: Sequence[tuple[int, int]],
    count: int,
    natural: bool = False,
    how: str = "",
) -> Problem:
    """What is said of copies in training of rows (or images) that measure."""
    share = len(pairs) / count
    note = f", {how}" if how else ""
    note += "; the columns have so few values that chance explains it" if natural else ""
    drawn = (
        "drop the copies from training" if sheet.brought else "drop all copies but one before this"
    )
    return Problem(
        f"{sheet.origin}: {PARTS[part]} part",
        f"{len(pairs):,} of its {count:,} ({share:.1%}) are in training too{note}",
        f"its figures flatter, as of questions known beforehand; {drawn}",
        kind="copies across parts",
        level="note" if natural else "serious" if share >= 0.01 and not how else "warning",
        items=tuple(f"{sheet.name(a)} = {sheet.name(b)}" for a, b in pairs),
        rows=tuple(pairs),
        fix="" if natural or how else "exact copies are dropped, first from training",
    )


# --- Other answers --------------------------------------------------------------------------------


def _conflicts(sheet: Sheet, group: Array) -> Iterator[Problem]:
    rows = sheet.labelled
    if sheet.answers is None or not len(rows):
        return
    if sheet.kind == "categories":
        yield from class_conflicts(sheet, group[rows], rows)
    else:
        yield from _value_conflicts(sheet, group[rows], rows)


def class_conflicts(sheet: Any, group: Array, rows: Array) -> Iterator[Problem]:
    """Equal inputs with different classes; no model can answer all of them rightly."""
    if not len(rows):
        return
    answers = np.asarray(sheet.answers)[rows]
    _, group = np.unique(group, return_inverse=True)
    counts = np.zeros((group.max() + 1, len(sheet.classes)), np.int64)
    np.add.at(counts, (group, answers), 1)
    torn = np.flatnonzero((counts > 0).sum(axis=1) > 1)
    if not len(torn):
        return
    wrong = int(counts.sum() - counts.max(axis=1).sum())
    ceiling = 1 - wrong / len(rows)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], torn)
    ends = np.searchsorted(group[order], torn, side="right")
    members = [rows[order[a:b]] for a, b in zip(starts, ends, strict=True)]
    members.sort(key=lambda m: -len(m))
    yield Problem(
        f"{sheet.origin}: {sheet.target}" if sheet.target else sheet.origin,
        f"{counted(len(torn), 'group')} of equals with several labels; {wrong:,} of "
        f"{len(rows):,} are outvoted by their equals: no model gets more than {ceiling:.2%} right",
        "look whether the labels are wrong, or an input is lacking that tells them apart",
        kind="label conflicts",
        level="warning" if 1 - ceiling < 0.01 else "serious",
        items=tuple(_conflict(sheet, m) for m in members),
        rows=tuple(tuple(int(r) for r in m) for m in members),
    )


def _conflict(sheet: Any, members: Array) -> str:
    told = [f"{sheet.name(int(r))} {sheet.classes[sheet.answers[r]]!r}" for r in members[:6]]
    return " = ".join(told) + (f" … {len(members)} in all" if len(members) > 6 else "")


def _value_conflicts(sheet: Sheet, group: Array, rows: Array) -> Iterator[Problem]:
    answers = np.asarray(sheet.answers)[rows]
    _, group = np.unique(group, return_inverse=True)
    sizes = np.bincount(group)
    means = np.bincount(group, answers) / sizes
    within = (answers - means[group]) ** 2
    total = ((answers - answers.mean()) ** 2).sum()
    ceiling = 1 - within.sum() / total if total > 0 else 1.0
    spread = np.bincount(group, within)
    torn = [int(g) for g in np.argsort(-spread) if spread[g] > 1e-12 * max(total, 1e-300)]
    if not torn:
        return
    by_group = {g: rows[np.flatnonzero(group == g)] for g in torn[:1000]}
    yield Problem(
        f"{sheet.origin}: {sheet.target}",
        f"{int(sizes[torn].sum()):,} of {len(rows):,} rows have equal inputs but another answer "
        f"({counted(len(torn), 'group')}); no model can reach more than R² {ceiling:.4f}",
        "look whether the answers are wrong, or an input is lacking that tells them apart",
        kind="label conflicts",
        level="note" if ceiling > 0.999 else "warning" if ceiling > 0.95 else "serious",
        items=tuple(_values(sheet, m) for m in by_group.values()),
        rows=tuple(tuple(int(r) for r in m) for m in by_group.values()),
    )


def _values(sheet: Sheet, members: Array) -> str:
    assert sheet.answers is not None
    return " = ".join(f"{sheet.name(int(r))} {sheet.answers[r]:g}" for r in members[:6])
