"""A set of labelled texts as the doctor sees it.

Two texts are equal if their words are, whatever blanks and upper case there are. Texts of the test
are looked at by their inputs alone.

Legend: N texts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.doctor import repeats
from glassnet.data.doctor.effort import counted
from glassnet.data.doctor.sheet import PARTS, TEST, TRAIN, VALIDATION
from glassnet.data.texts import TextSource
from glassnet.data.tokens import normal
from glassnet.task import Problem

Array = NDArray[Any]

STRANGE = 0.01
"""Share of characters that training does not have, above which a part is of another kind."""
LONG = 10
"""Times the median length from which on a text is called very long."""
MOST_SHARE = 0.9
"""Of one class, above which accuracy says little."""
# UTF-8 that was read as Windows-1252 or Latin-1, and what replaces bytes that nothing fits.
_BROKEN = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac.|\u00ef\u00bf\u00bd|\ufffd")


@dataclass(frozen=True)
class Book:
    """Texts with their answers and parts; what ``repeats`` asks of a table."""

    texts: Sequence[str]
    answers: Array
    """Class numbers, (N,)"""
    classes: Sequence[str]
    parts: Array
    """int8 (N,): TRAIN, VALIDATION or TEST."""
    name: Callable[[int], str]
    origin: str
    brought: bool
    target: str = ""


def check(source: TextSource, parts: Array, brought: bool) -> Iterator[Problem]:
    """All checks of a set of texts."""
    book = Book(
        source.texts, source.answers, source.classes, parts, source.name,
        Path(source.origin).name, brought, source.found.target,
    )  # fmt: skip
    same = [" ".join(normal(text, lowercase=True).split()) for text in book.texts]
    group = np.unique(np.array(same, dtype=object), return_inverse=True)[1]
    yield from _duplicates(book, group)
    yield from _straddling(book, group)
    labelled = np.flatnonzero(parts != TEST)
    yield from repeats.class_conflicts(book, group[labelled], labelled)
    yield from _broken(book)
    yield from _strange(book)
    yield from _lengths(book)
    yield from _balance(book)


def _duplicates(book: Book, group: Array) -> Iterator[Problem]:
    first = repeats.firsts(group)
    later = np.flatnonzero(first != np.arange(len(first)))
    pairs = [(int(row), int(first[row])) for row in later]
    if pairs:
        yield Problem(
            book.origin,
            f"{len(pairs):,} of {len(group):,} texts repeat an earlier one",
            "copies count double, and may get into training and test; remove them",
            kind="duplicates",
            items=tuple(f"{book.name(a)} = {book.name(b)}" for a, b in pairs),
            rows=tuple(pairs),
        )


def _straddling(book: Book, group: Array) -> Iterator[Problem]:
    """Texts of validation and test that occur in training as well."""
    there = np.flatnonzero(book.parts == TRAIN)
    seen = {int(g): int(row) for row, g in zip(there[::-1], group[there][::-1], strict=True)}
    for part in (TEST, VALIDATION):
        here = np.flatnonzero(book.parts == part)
        pairs = [(int(row), seen[int(group[row])]) for row in here if int(group[row]) in seen]
        if pairs:
            yield repeats.straddling(book, part, pairs, len(here))


# --- Single texts ---------------------------------------------------------------------------------


def _broken(book: Book) -> Iterator[Problem]:
    rows = [row for row, text in enumerate(book.texts) if _BROKEN.search(text)]
    if rows:
        example = _BROKEN.search(book.texts[rows[0]])
        yield Problem(
            book.origin,
            f"{counted(len(rows), 'text')} with signs of a wrong encoding, such as "
            f"{example[0] if example else ''!r} in {book.name(rows[0])}",
            "UTF-8 was read as something else on the way here; export the texts again as UTF-8",
            kind="wrong encoding",
            items=tuple(book.name(row) for row in rows),
            rows=tuple((row,) for row in rows),
        )


def _strange(book: Book) -> Iterator[Problem]:
    """Parts whose characters training does not have: another script, or another encoding."""
    known = set().union(*(book.texts[row] for row in np.flatnonzero(book.parts == TRAIN).tolist()))
    for part in (VALIDATION, TEST):
        rows = np.flatnonzero(book.parts == part).tolist()
        counts = Counter(sign for row in rows for sign in book.texts[row])
        unknown = {sign: n for sign, n in counts.items() if sign not in known}
        share = sum(unknown.values()) / max(counts.total(), 1)
        if share > STRANGE:
            shown = " ".join(sorted(unknown, key=lambda sign: -unknown[sign])[:10])
            yield Problem(
                f"{book.origin}: {PARTS[part]} part",
                f"{share:.1%} of its characters do not occur in training: {shown}",
                "the network cannot know them; look whether these are texts of the same kind",
                kind="unknown characters",
                level="serious" if share > 10 * STRANGE else "warning",
            )


def _lengths(book: Book) -> Iterator[Problem]:
    lengths = np.array([len(text) for text in book.texts])
    median = float(np.median(lengths))
    rows = np.flatnonzero(lengths > LONG * max(median, 1))
    if len(rows):
        rows = rows[np.argsort(-lengths[rows])]
        yield Problem(
            book.origin,
            f"{counted(len(rows), 'text')} more than {LONG} times as long as half of them "
            f"({median:,.0f} characters); the longest has {lengths.max():,}",
            "look whether several were joined, such as by a quote that was never closed",
            kind="long texts",
            level="note",
            items=tuple(f"{book.name(int(row))}: {lengths[row]:,} characters" for row in rows),
            rows=tuple((int(row),) for row in rows),
        )


def _balance(book: Book) -> Iterator[Problem]:
    """Classes that are rare where learning and choosing happen; the test's answers stay sealed."""
    answers = book.answers[book.parts != TEST]
    counts = np.bincount(answers, minlength=len(book.classes))
    share = counts.max() / max(counts.sum(), 1)
    if share > MOST_SHARE:
        yield Problem(
            f"{book.origin}: {book.target}",
            f"{share:.1%} of the texts are {book.classes[int(counts.argmax())]!r}",
            "accuracy alone says little; look at the figures of each class, or set --costs",
            kind="class balance",
        )
    rare = [(book.classes[c], int(n)) for c, n in enumerate(counts) if n < 10]
    if rare:
        listed = ", ".join(f"{name!r} ({n})" for name, n in rare[:10])
        yield Problem(
            f"{book.origin}: {book.target}",
            f"fewer than ten texts of the class {listed}",
            "measuring them will be very uncertain; add texts, or merge classes",
            kind="class balance",
        )
