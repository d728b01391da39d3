"""Labelled sequences of nucleotides or amino acids as a source: letters become probabilities.

Where they lie is read by ``dnafiles`` and ``dnatables``; ``encoded`` is the one path from a
sequence to numbers, for training and for prediction.
"""

# Letters in names of arrays: N sequences, C letters of the alphabet, T places.

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from glassnet import references
from glassnet.data import dnafiles, dnaletters, dnatables, tablefiles
from glassnet.data.dnafacts import is_aligned, lacks_strand
from glassnet.data.dnaletters import WHOLE, Alphabet
from glassnet.data.order import natural
from glassnet.data.signals import SignalExamples
from glassnet.data.textfolders import Found
from glassnet.errors import UserError
from glassnet.task import Facts, Problem

DEFAULT_LONGEST = 20_000
ENOUGH_ROWS = 20
"""Fewer labels that are nearly all different may still be classes."""
NAMED = 10
MADE_OF: dict[Alphabet, str] = {"dna": "nucleotides", "protein": "amino acids"}


class DnaFacts(Facts):
    """What turns a sequence into numbers, and an output into a class."""

    kind: Literal["dna"] = "dna"
    alphabet: Alphabet
    shortest: int
    """Letters of the shortest sequence of the training."""
    most: int
    """Letters of the longest one."""
    longest: int
    """Letters that are read of a sequence; what comes behind is cut off."""
    aligned: bool
    """Whether all have one length, and letters depend on the place."""
    both_strands: bool
    """Whether the training sequences look the same from the other strand."""
    frequencies: list[float]
    """How often each letter stands in the training sequences; they sum to 1."""
    classes: list[str]
    class_counts: list[int]
    sequence: str = ""
    """Name of the column; empty if sequences are records of files."""
    target: str = ""
    order: list[str] = []
    """All columns of the table, for files without a header."""

    @property
    def letters(self) -> str:
        """The letters of the channels, in order."""
        return dnaletters.LETTERS[self.alphabet]


def open_dna(
    path: str | Path,
    *,
    target: str | None = None,
    sequence: str | None = None,
    alphabet: Alphabet | None = None,
    longest: int | None = None,
) -> DnaSource:
    """Open labelled sequences; the arguments are the knobs of the task of the same names."""
    return DnaSource(find(path, target, sequence), str(path), alphabet, longest)


def find(path: str | Path, target: str | None = None, sequence: str | None = None) -> Found:
    """Read labelled sequences, however they lie there.

    Raises:
        UserError: If there are none.
    """
    place, part = references.split(path)
    if not references.is_database(path) and not part and dnafiles.holds_sequences(place):
        return dnafiles.read(place)
    if not references.is_database(path) and place.is_dir() and not tablefiles.table_files(place):
        raise UserError(f"{path} holds no sequences.\n{expected(path)}")
    return dnatables.read(path, target, sequence)


def expected(path: str | Path) -> str:
    """The layouts to show to a person whose data have another."""
    return (
        "Expected a FASTA file with labels in its headers ('>name|label'), one file for each class "
        f"such as\n  {path}/promoter.fa\n  {path}/other.fa\nthe same below train/ and test/, one "
        "folder of .txt files for each class, or a table with a column of sequences and one of "
        "labels."
    )


class DnaSource:
    """Labelled sequences of which nothing has been learned yet."""

    def __init__(
        self, found: Found, origin: str, alphabet: Alphabet | None, longest: int | None
    ) -> None:
        self.origin, self.found, self.longest = origin, found, longest
        self.problems: list[Problem] = list(found.problems)
        if not found.texts:
            raise UserError(f"{origin} holds no sequences.\n{expected(origin)}")
        self.alphabet = alphabet or dnaletters.alphabet_of(found.texts)
        self._numbers = self._usable()
        self.sequences = [found.texts[row] for row in self._numbers]
        self.labels = [str(found.labels[row]) for row in self._numbers]
        parts = [found.parts[row] for row in self._numbers]
        self._parts = parts if len(set(parts)) > 1 else None
        self.classes = self._read_classes()
        position = {name: number for number, name in enumerate(self.classes)}
        self.answers = np.array([position[label] for label in self.labels], np.int64)
        self._groups = self._read_groups()
        self.fingerprint = self._digest()

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def strata(self) -> Sequence[int]:
        """The class number of every sequence."""
        return self.answers.tolist()  # type: ignore[no-any-return]

    @property
    def groups(self) -> Sequence[int] | None:
        """Equal sequences, also from the other strand, are a group; None if all differ."""
        return self._groups

    @property
    def parts(self) -> Sequence[str] | None:
        """The part of every sequence if the data bring their own split."""
        return self._parts

    def name(self, row: int, /) -> str:
        """How a person finds the sequence: 'row 17', or its file, record and name."""
        return self.found.name(self._numbers[row])

    def facts(self, rows: Tensor, /) -> DnaFacts:
        """Learn lengths, and whether place and strand have a meaning, from these rows.

        Only the list of the classes comes from all rows: it is part of the problem's statement.
        """
        known = [self.sequences[row] for row in rows.tolist()]
        if not known:
            raise UserError(f"{self.origin}: no sequence is left to learn from.")
        lengths = [len(one) for one in known]
        longest = self.longest or DEFAULT_LONGEST
        answers = self.answers[rows.numpy()]
        codes = [encoded(one, self.alphabet, longest) for one in known]
        totals = np.sum([one.sum(0, dtype=np.int64) for one in codes], axis=0)
        return DnaFacts(
            alphabet=self.alphabet, shortest=min(longest, *lengths),
            most=min(longest, max(lengths)),
            longest=longest, aligned=is_aligned(codes, answers),
            both_strands=self._is_double() and lacks_strand(codes, answers),
            frequencies=(totals / totals.sum()).tolist(), classes=self.classes,
            class_counts=np.bincount(answers, minlength=len(self.classes)).tolist(),
            sequence=self.found.text, target=self.found.target, order=self.found.order,
        )  # fmt: skip

    def examples(self, rows: Tensor, facts: DnaFacts, /) -> SignalExamples:
        """Encode these rows; ``rows`` becomes part of the examples and is not copied."""
        known = [self.sequences[row] for row in rows.tolist()]
        for problem in cut(known, facts, self.origin):
            if problem not in self.problems:
                self.problems.append(problem)
        return as_signals(known, facts, rows, torch.from_numpy(self.answers[rows.numpy()]))

    def _is_double(self) -> bool:
        """Whether there may be another strand: in DNA, and not in RNA, which has U."""
        return self.alphabet == "dna" and not any("U" in one.upper() for one in self.sequences)

    # What is asked of the data -------------------------------------------------------------------

    def _usable(self) -> list[int]:
        """Rows with a sequence of known letters and a label; the others are reported."""
        found, wrong = self.found, dict[int, str]()
        for row, sequence in enumerate(found.texts):
            if odd := dnaletters.strange(sequence, self.alphabet):
                wrong[row] = ", ".join(f"{sign!r} at {place}" for sign, place in odd.items())
        empty = [row for row, sequence in enumerate(found.texts) if not sequence]
        bare = [row for row, label in enumerate(found.labels) if not label]
        gone = {*wrong, *empty, *bare}
        if 2 * len(wrong) > len(found.texts):
            row = next(iter(wrong))
            raise UserError(
                f"{self.origin}: {len(wrong):,} of {len(found.texts):,} sequences have letters "
                f"outside of {dnaletters.LETTERS[self.alphabet]} and their ambiguity codes, such "
                f"as {found.name(row)} ({wrong[row][:80]}). Say --alphabet protein for amino "
                "acids, dna for nucleotides; other alphabets are read by --task "
                "text-classification --units characters."
            )
        self._reject([*wrong], f"have letters that are no {MADE_OF[self.alphabet]}", wrong)
        self._reject(empty, "are empty")
        self._reject(bare, "have no label")
        kept = [row for row in range(len(found.texts)) if row not in gone]
        if not kept:
            what = "label" if len(bare) == len(found.texts) else "sequence"
            raise UserError(f"{self.origin}: the {what} is missing in every row.")
        return kept

    def _reject(self, rows: list[int], what: str, why: dict[int, str] | None = None) -> None:
        if not rows:
            return
        names = [
            self.found.name(row) + (f": {why[row]}" if why is not None else "") for row in rows
        ]
        listed = "; ".join(names[:NAMED]) + " …" * (len(names) > NAMED)
        self.problems.append(
            Problem(
                self.origin, f"{len(rows):,} of {len(self.found.texts):,} sequences {what} "
                f"({listed})", "they are left out", kind="rejected rows", items=tuple(names),
                fix="dropped",
            )
        )  # fmt: skip

    def _read_classes(self) -> list[str]:
        counts = Counter(self.labels)
        where = f"the target {self.found.target!r}" if self.found.text else "the class"
        if len(counts) < 2:
            raise UserError(
                f"{self.origin}: {where} is {self.labels[0]!r} for every sequence. Telling classes "
                "apart needs at least two; add sequences of another class."
            )
        if len(counts) > len(self.labels) / 2 and len(self.labels) >= ENOUGH_ROWS:
            raise UserError(
                f"{self.origin}: {where} has {len(counts):,} different values for "
                f"{len(self.labels):,} sequences. That is no class; choose another target."
            )
        if self._parts is not None:
            pairs = zip(self.labels, self._parts, strict=True)
            known = {label for label, part in pairs if part == "train"}
            if unknown := sorted(set(counts) - known):
                raise UserError(
                    f"{self.origin}: the train part has no sequence of the class "
                    f"{', '.join(map(repr, unknown[:NAMED]))}; it has "
                    f"{', '.join(sorted(known)[:NAMED])}. Write the labels alike in all parts."
                )
        return sorted(counts, key=natural)

    def _read_groups(self) -> list[int] | None:
        """Group numbers, where sequences repeat; the doctor tells what is odd about them."""
        number: dict[str, int] = {}
        groups = [
            number.setdefault(dnaletters.canonical(one, self.alphabet), len(number))
            for one in self.sequences
        ]
        if len(number) == len(groups):
            return None
        rows: dict[int, list[int]] = defaultdict(list)
        for row, group in enumerate(groups):
            rows[group].append(row)
        many = [members for members in rows.values() if len(members) > 1]
        told = f"{len(groups) - len(number):,} of {len(groups):,} sequences repeat an earlier one"
        first = [", ".join(self.name(row) for row in one[:3]) for one in many]
        listed = "; ".join(first[:3]) + " …" * (len(first) > 3)
        self.problems.append(
            Problem(
                self.origin, f"{told} (such as {listed})",
                "splits that are drawn keep equal sequences together", kind="duplicates",
                level="note", items=tuple(first), rows=tuple(map(tuple, many)),
            )
        )  # fmt: skip
        return groups

    def _digest(self) -> str:
        digest = hashlib.sha256(self.alphabet.encode())
        for sequence, label in zip(self.sequences, self.labels, strict=True):
            digest.update(f"{label}\0{sequence}\0".encode("utf-8", "surrogatepass"))
        digest.update("".join(part[:2] for part in self._parts or ()).encode())
        return digest.hexdigest()


# --- From sequences to numbers --------------------------------------------------------------------


def encoded(sequence: str, alphabet: Alphabet, longest: int) -> dnaletters.Codes:
    """Sixtieths (T, C) of the letters of a sequence, at most ``longest``."""
    return dnaletters.encode(sequence[:longest], alphabet)


def as_signals(
    sequences: Sequence[str], facts: DnaFacts, rows: Tensor, targets: Tensor
) -> SignalExamples:
    """Sequences of known letters as examples: one channel for each letter, its probability."""
    codes = [encoded(one, facts.alphabet, facts.longest) for one in sequences]
    width = len(facts.letters)
    values = np.concatenate([np.zeros((0, width), np.uint8), *codes])
    starts = torch.tensor([0, *map(len, codes)], dtype=torch.int64).cumsum(0)
    return SignalExamples(rows, torch.from_numpy(values), starts, targets, scale=1 / WHOLE)


def cut(sequences: Sequence[str], facts: DnaFacts, origin: str) -> list[Problem]:
    """Tell how many are longer than what is read."""
    long = [len(one) for one in sequences if len(one) > facts.longest]
    if not long:
        return []
    return [
        Problem(
            f"{origin}: long sequences", f"{len(long):,} of {len(sequences):,} have more than "
            f"{facts.longest:,} letters; the longest has {max(long):,}",
            "their ends are cut off; raise --longest to read more, which takes more time",
            level="note",
        )
    ]  # fmt: skip
