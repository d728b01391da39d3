"""Labelled texts as a source: each becomes a row of tokens of its own length.

Where they lie is read by ``textlayouts``; ``encode`` is the one path from text to tokens, for
training and for prediction.

Legend: N texts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassnet.data import textfolders, textlayouts, tokens
from glassnet.data.order import natural
from glassnet.data.ragged import RaggedExamples, joined
from glassnet.data.textfolders import Found
from glassnet.data.tokens import Unit, Vocabulary
from glassnet.errors import UserError
from glassnet.task import Facts, Look, Problem

DEFAULT_SIZE = 20_000
DEFAULT_LONGEST = 512
ROOM = 2
"""A new text may have so many times the tokens of the longest one in training."""
FEW_WORDS = 3
"""A text with fewer words, in the median, is read by its characters."""
UNKNOWN_SHARE = 0.35
"""Words are no good unit where more of them than this share occur once."""
LOOKED_AT = 200
"""Files that a look reads."""
ENOUGH_ROWS = 20
"""Fewer labels that are nearly all different may still be classes."""

Tokens = NDArray[np.int32]


class TextFacts(Facts):
    """What turns a text into tokens, and an output into a class."""

    kind: Literal["texts"] = "texts"
    vocabulary: Vocabulary
    longest: int
    """Tokens that are read of a text; what comes behind is cut off."""
    classes: list[str]
    class_counts: list[int]
    """Training texts of each class."""
    text: str = ""
    """Name of the column; empty if texts are files."""
    target: str = ""
    order: list[str] = []
    """All columns of the table, for files without a header."""
    one: Literal["row", "file"] = "row"
    """What one text was in training."""


def open_texts(
    path: str | Path,
    *,
    target: str | None = None,
    text: str | None = None,
    units: Unit | None = None,
    vocabulary: int | None = None,
    lowercase: bool = True,
    longest: int | None = None,
    given: Callable[[], Vocabulary | None] = lambda: None,
) -> TextSource:
    """Open labelled texts; the arguments are the knobs of the task of the same names.

    ``given`` is asked for a vocabulary when one is to be learned; None: it is learned.
    """
    found = textlayouts.find(path, target, text)
    return TextSource(found, str(path), Form(units, vocabulary, lowercase, longest, given))


@dataclass(frozen=True)
class Form:
    """What was asked for of the tokens."""

    units: Unit | None
    size: int | None
    lowercase: bool
    longest: int | None
    given: Callable[[], Vocabulary | None]


class TextSource:
    """Labelled texts of which nothing has been learned yet."""

    def __init__(self, found: Found, origin: str, form: Form) -> None:
        self.origin, self.form, self.found = origin, form, found
        self.problems: list[Problem] = list(found.problems)
        self._numbers = self._usable(found)
        self.texts = [found.texts[row] for row in self._numbers]
        labels = [str(found.labels[row]) for row in self._numbers]
        parts = [found.parts[row] for row in self._numbers]
        self._parts = parts if len(set(parts)) > 1 else None
        self.classes = self._read_classes(labels)
        position = {name: number for number, name in enumerate(self.classes)}
        self.answers = np.array([position[label] for label in labels], np.int64)
        self.fingerprint = _digest(self.texts, labels, self._parts)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def strata(self) -> Sequence[int]:
        """The class number of every text."""
        return self.answers.tolist()  # type: ignore[no-any-return]

    @property
    def groups(self) -> None:
        """None: every row stands for itself."""
        return None

    @property
    def parts(self) -> Sequence[str] | None:
        """The part of every text if the data bring their own split."""
        return self._parts

    def name(self, row: int, /) -> str:
        """'row 17', with the file if there are several; or the name of the text's own file."""
        return self.found.name(self._numbers[row])

    def facts(self, rows: Tensor, /) -> TextFacts:
        """Learn vocabulary and lengths from these rows.

        Only the list of the classes comes from all rows: it is part of the problem's statement.
        """
        texts = [self.texts[row] for row in rows.tolist()]
        if not texts:
            raise UserError(f"{self.origin}: no text is left to learn from.")
        vocabulary = self.form.given() or self._vocabulary(texts)
        most = ROOM * max(len(found) for found in vocabulary.encode(texts))
        longest = self.form.longest or max(1, min(most, DEFAULT_LONGEST))
        counts = np.bincount(self.answers[rows.numpy()], minlength=len(self.classes))
        return TextFacts(
            vocabulary=vocabulary, longest=longest, classes=self.classes,
            class_counts=counts.tolist(), text=self.found.text, target=self.found.target,
            order=self.found.order, one=self.found.one,
        )  # fmt: skip

    def examples(self, rows: Tensor, facts: TextFacts, /) -> RaggedExamples:
        """Encode these rows; ``rows`` becomes part of the examples and is not copied."""
        numbers = rows.tolist()
        encoded, problems = encode([self.texts[row] for row in numbers], facts, self.origin)
        self.problems += [problem for problem in problems if problem not in self.problems]
        ends, starts = joined(encoded)
        targets = torch.from_numpy(self.answers[rows.numpy()])
        return RaggedExamples(rows, ends, starts, targets, facts.vocabulary.pad)

    # What is asked of the data -------------------------------------------------------------------

    def _usable(self, found: Found) -> list[int]:
        """Rows with a text and a label; the others are reported."""
        if not found.texts:
            raise UserError(
                f"{self.origin} holds no texts with a label.\n{textlayouts.expected(self.origin)}"
            )
        bare = [row for row, label in enumerate(found.labels) if label is None]
        empty = [row for row, text in enumerate(found.texts) if not text]
        self._reject(bare, "have no label")
        self._reject(empty, "are empty")
        gone = {*bare, *empty}
        kept = [row for row in range(len(found.texts)) if row not in gone]
        if not kept:
            what = "label" if len(bare) == len(found.texts) else "text"
            raise UserError(f"{self.origin}: the {what} is missing in every row.")
        return kept

    def _reject(self, rows: Sequence[int], what: str) -> None:
        if rows:
            names = [self.found.name(row) for row in rows]
            self.problems.append(
                Problem(
                    self.origin,
                    f"{len(rows):,} of {len(self.found.texts):,} texts {what} "
                    f"({', '.join(names[:10])}{' …' * (len(names) > 10)})",
                    "they are left out",
                    kind="rejected rows",
                    items=tuple(names),
                    fix="dropped",
                )
            )

    def _read_classes(self, labels: Sequence[str]) -> list[str]:
        counts = Counter(labels)
        where = f"the target {self.found.target!r}" if self.found.text else "the class folder"
        if len(counts) < 2:
            raise UserError(
                f"{self.origin}: {where} is {labels[0]!r} for every text. Telling classes apart "
                "needs at least two; add texts of another class."
            )
        if len(counts) > len(labels) / 2 and len(labels) >= ENOUGH_ROWS:
            raise UserError(
                f"{self.origin}: {where} has {len(counts):,} different values for "
                f"{len(labels):,} texts. That is no class; choose another target."
            )
        if self._parts is not None:
            self._refuse_unlearnable(labels)
        if single := sorted(name for name, count in counts.items() if count == 1):
            self.problems.append(
                Problem(
                    f"{self.origin}: classes",
                    f"the class {', '.join(map(repr, single[:10]))} has one text only",
                    "it can be learned or measured, but not both; add texts or merge classes",
                )
            )
        return sorted(counts, key=natural)

    def _refuse_unlearnable(self, labels: Sequence[str]) -> None:
        """A class that is only measured can never be learned."""
        parts = self._parts or []
        known = {label for label, part in zip(labels, parts, strict=True) if part == "train"}
        if unknown := sorted(set(labels) - known):
            raise UserError(
                f"{self.origin}: the train part has no text of the class "
                f"{', '.join(map(repr, unknown[:10]))}; it has {', '.join(sorted(known)[:10])}. "
                "Write the labels alike in all parts."
            )

    # What is learned -----------------------------------------------------------------------------

    def _vocabulary(self, texts: Sequence[str]) -> Vocabulary:
        """The vocabulary that was asked for; where none was, words if they repeat enough."""
        form = self.form
        about: dict[str, Any] = {"size": form.size or DEFAULT_SIZE, "lowercase": form.lowercase}
        found = tokens.learn(texts, form.units or "words", **about)
        if form.units is None and (tokens.unspaced(texts) or not _repeat(found, texts)):
            found = tokens.learn(texts, "characters", **about)
        if len(found) <= len(tokens.SPECIAL):
            raise UserError(
                f"{self.origin}: no word occurs twice in the {len(texts):,} training texts, so "
                "that there is nothing to know them by. Set --units characters or subwords."
            )
        if form.size is not None and len(found) < form.size and found.unit != "bytes":
            self._tell(
                f"{self.origin}: vocabulary",
                f"has {len(found):,} {found.unit}, not {form.size:,}: the training texts have no "
                "more that occur often enough",
                "nothing to do, or set a smaller --vocabulary",
            )
        return found

    def _tell(self, where: str, what: str, remedy: str) -> None:
        problem = Problem(where, what, remedy, level="note")
        if problem not in self.problems:
            self.problems.append(problem)


def _repeat(found: Vocabulary, texts: Sequence[str]) -> bool:
    """Whether these texts can be told by their words: several each, most of which occur again."""
    encoded = found.encode(texts)
    lengths = np.array([len(one) for one in encoded])
    unknown = sum(int((one == tokens.UNKNOWN).sum()) for one in encoded)
    return bool(np.median(lengths) >= FEW_WORDS and unknown <= UNKNOWN_SHARE * lengths.sum())


def encode(
    texts: Sequence[str], facts: TextFacts, origin: str
) -> tuple[list[Tokens], list[Problem]]:
    """The tokens of each text, no more than ``facts.longest``; and how many were cut."""
    encoded = facts.vocabulary.encode(texts)
    room = facts.longest - facts.vocabulary.around
    long = sum(len(found) > room for found in encoded)
    problems = []
    if long:
        most = max(len(found) for found in encoded)
        problems.append(
            Problem(
                f"{origin}: long texts",
                f"{long:,} of {len(texts):,} are longer than {room:,} "
                f"{facts.vocabulary.unit}; the longest has {most:,}",
                "their ends are cut off; raise --longest to read more, which takes more time",
                level="note",
            )
        )
    return [facts.vocabulary.framed(found, facts.longest) for found in encoded], problems


def _digest(texts: Sequence[str], labels: Sequence[str], parts: Sequence[str] | None) -> str:
    digest = hashlib.sha256()
    for text, label in zip(texts, labels, strict=True):
        digest.update(f"{label}\0{text}\0".encode("utf-8", "surrogatepass"))
    digest.update("".join(part[:2] for part in parts or ()).encode())
    return digest.hexdigest()


# --- A cheap look ---------------------------------------------------------------------------------


def look(path: str | Path, target: str | None) -> Look | None:
    """What lies in class folders, if that is texts; tables are looked at by ``look_at``."""
    place = Path(path)
    if not textfolders.is_tree(place, enough=2):
        return None
    return look_at(textfolders.sampled(place, LOOKED_AT), place)


def look_at(found: Found, path: str | Path) -> Look:
    """Texts with labels, told to people."""
    labels = [label for label in found.labels if label is not None]
    counts, parts = Counter(labels), Counter(found.parts)
    words = sorted(len(text.split()) for text in found.texts if text)
    columns = [("Texts in", f"column {found.text}"), ("Classes in", f"column {found.target}")]
    listed = ", ".join(f"{name} ({n:,})" for name, n in counts.most_common(10))
    summary = [
        ("Kind", found.form),
        ("Texts", f"{len(found.texts):,}"),
        *(columns if found.text else []),
        ("Parts", ", ".join(f"{p} {n:,}" for p, n in parts.items()) if len(parts) > 1
         else "none of its own"),
        ("Classes", f"{len(counts)}: {listed}" + " …" * (len(counts) > 10)),
        ("Words in a text", _spread(words)),
    ]  # fmt: skip
    details: dict[str, Any] = {
        "num_rows": len(found.texts),
        "classes": dict(counts),
        "parts": dict(parts) if len(parts) > 1 else {},
        "text": found.text,
        "target": {"name": found.target, "kind": "categories", "classes": dict(counts)},
    }
    return Look("texts", path, summary, found.problems, details)


def _spread(counts: Sequence[int]) -> str:
    """Sorted numbers in a few words."""
    if not counts:
        return "none"
    return f"{counts[0]:,} to {counts[-1]:,}, half of them {counts[len(counts) // 2]:,} or more"
