"""A set of labelled sequences of nucleotides or amino acids as the doctor sees it.

Two sequences are copies if their letters are equal, whatever the case, also from the other strand;
labels contradict each other only if the letters are equal as they are written, since the strand may
be what is asked for. Sequences of the test are looked at by their inputs alone.

Legend: N sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data import dnaletters
from glassnet.data.dna import DnaSource
from glassnet.data.doctor import repeats
from glassnet.data.doctor.effort import counted
from glassnet.data.doctor.sheet import TEST, TRAIN, VALIDATION
from glassnet.task import Problem

Array = NDArray[Any]

UNSURE = 0.1
"""Share of the letters of a sequence that stand for several, from which on it is named."""
TELLING = 0.9
"""Of 0.5 to 1: how surely a mere count tells a class from the others to be suspicious."""
FEWEST = 20
"""Sequences of a class, and of the others, below which nothing is said about counts."""


@dataclass(frozen=True)
class Shelf:
    """Sequences with their answers and parts; what ``repeats`` asks of a table."""

    sequences: Sequence[str]
    answers: Array
    """Class numbers, (N,)"""
    classes: Sequence[str]
    parts: Array
    """int8 (N,): TRAIN, VALIDATION or TEST."""
    name: Callable[[int], str]
    origin: str
    brought: bool
    target: str = ""


def check(source: DnaSource, parts: Array, brought: bool) -> Iterator[Problem]:
    """All checks of a set of labelled sequences."""
    shelf = Shelf(
        source.sequences, source.answers, source.classes, parts, source.name,
        Path(source.origin).name, brought, source.found.target,
    )  # fmt: skip
    labelled = np.flatnonzero(parts != TEST)
    yield from _copies(shelf, source.alphabet)
    written = _equal([one.upper().replace("U", "T") if source.alphabet == "dna" else one.upper()
                      for one in shelf.sequences])  # fmt: skip
    yield from repeats.class_conflicts(shelf, written[labelled], labelled)
    unsure = _unsure(shelf, source.alphabet)
    lengths = np.array([len(one) for one in shelf.sequences])
    yield from _telling(shelf, labelled, lengths, "length", "cut all to one length")
    yield from _telling(
        shelf, labelled, unsure / np.maximum(lengths, 1), "share of letters that stand for several",
        "look whether classes come from different sources",
    )  # fmt: skip
    yield from _named(shelf, unsure, lengths)


def _equal(keys: Sequence[str]) -> Array:
    """The number of the group of equal texts that each belongs to, (N,)."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def _copies(shelf: Shelf, alphabet: dnaletters.Alphabet) -> Iterator[Problem]:
    group = _equal([dnaletters.canonical(one, alphabet) for one in shelf.sequences])
    first = repeats.firsts(group)
    pairs = [(int(row), int(first[row])) for row in np.flatnonzero(first != np.arange(len(first)))]
    if pairs:
        yield Problem(
            shelf.origin,
            f"{len(pairs):,} of {len(group):,} sequences repeat an earlier one",
            "copies count double; parts that are drawn keep them together",
            kind="duplicates",
            level="note",
            items=tuple(f"{shelf.name(a)} = {shelf.name(b)}" for a, b in pairs),
            rows=tuple(pairs),
        )
    there = np.flatnonzero(shelf.parts == TRAIN)
    seen = {int(g): int(row) for row, g in zip(there[::-1], group[there][::-1], strict=True)}
    for part in (TEST, VALIDATION):
        here = np.flatnonzero(shelf.parts == part)
        torn = [(int(row), seen[int(group[row])]) for row in here if int(group[row]) in seen]
        if torn:
            yield repeats.straddling(shelf, part, torn, len(here))


def _unsure(shelf: Shelf, alphabet: dnaletters.Alphabet) -> Array:
    """How many letters of each sequence stand for several, as N does, (N,)."""
    sure = dnaletters.LETTERS[alphabet] + ("U" if alphabet == "dna" else "")
    return np.array([
        len(one) - sum(map(one.upper().count, sure)) for one in shelf.sequences
    ])  # fmt: skip


def _named(shelf: Shelf, unsure: Array, lengths: Array) -> Iterator[Problem]:
    rows = np.flatnonzero(unsure > UNSURE * lengths)
    if len(rows):
        rows = rows[np.argsort(-unsure[rows] / lengths[rows], kind="stable")]
        yield Problem(
            shelf.origin,
            f"{counted(len(rows), 'sequence')} with more than {UNSURE:.0%} of letters that stand "
            "for several, such as N",
            "they say little; look whether they are worth having",
            kind="unsure letters",
            level="note",
            items=tuple(f"{shelf.name(int(r))}: {unsure[r]} of {lengths[r]}" for r in rows),
            rows=tuple((int(row),) for row in rows),
        )


def _telling(shelf: Shelf, rows: Array, values: Array, what: str, remedy: str) -> Iterator[Problem]:
    """A class that a mere count tells from all others: by the area under its ROC curve."""
    from scipy.stats import rankdata

    answers, values = shelf.answers[rows], values[rows]
    if len(rows) == 0 or values.min() == values.max():
        return
    ranks = rankdata(values)
    for number, name in enumerate(shelf.classes):
        own = answers == number
        if min(own.sum(), (~own).sum()) < FEWEST:
            continue
        above = ranks[own].sum() - own.sum() * (own.sum() + 1) / 2
        area = float(above / (own.sum() * (~own).sum()))
        if max(area, 1 - area) >= TELLING:
            yield Problem(
                f"{shelf.origin}: class {name}",
                f"the {what} alone tells it from the others (area under the ROC curve "
                f"{max(area, 1 - area):.2f}; median {np.median(values[own]):.3g} against "
                f"{np.median(values[~own]):.3g})",
                f"the network may learn that instead of letters; if it is no property of the "
                f"class, {remedy}",
                kind="leaks",
            )
