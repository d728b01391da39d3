"""What people give to be answered -> named sequences: a sequence, a list, a file, a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from glassnet import references
from glassnet.data import dnafiles, dnaletters, dnatables, tablefiles
from glassnet.data.dna import DnaFacts
from glassnet.data.rawtable import Known, Read
from glassnet.errors import UserError, nearest
from glassnet.task import Problem

Named = list[tuple[str, str]]
"""Name and sequence of each."""
FAR = 2
"""Lengths by this factor beyond those of the training are told."""


def read_raw(raw: Any, facts: DnaFacts) -> tuple[Named, list[Problem]]:
    """Read sequences without labels.

    A string is the path of a file or folder if there is one, else the sequence itself.
    """
    is_list = isinstance(raw, Sequence) and not isinstance(raw, str | bytes)
    if isinstance(raw, str | Path):
        return _of_string(raw, facts)
    if is_list and raw and all(isinstance(one, str) for one in raw):
        return [(f"sequence {n}", dnaletters.cleaned(one)) for n, one in enumerate(raw, 1)], []
    if is_list and raw and all(isinstance(one, Path) for one in raw):
        each = [_of_string(one, facts) for one in raw]
        return [pair for named, _ in each for pair in named], [p for _, ps in each for p in ps]
    if isinstance(raw, pl.Series):
        raw = pl.DataFrame({facts.sequence or "sequence": raw})
    if is_list and not (raw and isinstance(raw[0], Mapping)):
        kinds = ", ".join(sorted({type(one).__name__ for one in raw})) or "nothing"
        raise UserError(f"Expected sequences to answer, found a list of {kinds}.")
    return _of_frame(tablefiles.as_frame(raw), facts), []


def wrong_with(sequence: str, facts: DnaFacts, one_length: bool) -> str | None:
    """Why a sequence cannot be answered, or None; ``one_length``: the network knows places."""
    if not sequence:
        return "is empty"
    if odd := dnaletters.strange(sequence, facts.alphabet):
        listed = ", ".join(f"{sign!r} at {place}" for sign, place in odd.items())
        return f"has letters outside of {facts.letters} and their ambiguity codes: {listed[:200]}"
    if one_length and min(len(sequence), facts.longest) != facts.most:
        return (
            f"has {len(sequence):,} letters; those of the training are aligned and have "
            f"{facts.most:,} each. Cut it as they were"
        )
    return None


def unusual(named: Named, facts: DnaFacts) -> list[Problem]:
    """Sequences much shorter or longer than any of the training: answered, but a guess."""
    low, high = facts.shortest / FAR, facts.most * FAR
    odd = [f"{name} ({len(one):,})" for name, one in named if not low <= len(one) <= high]
    if not odd:
        return []
    learned = f"{facts.shortest:,} to {facts.most:,}"
    return [
        Problem(
            f"{len(odd):,} of {len(named):,} sequences",
            f"are far from the lengths that were learned, {learned} letters: "
            f"{', '.join(odd[:5])}{' …' * (len(odd) > 5)}",
            "take their answers as guesses, or cut them as those of the training were cut",
        )
    ]


def _of_string(raw: str | Path, facts: DnaFacts) -> tuple[Named, list[Problem]]:
    text = str(raw).strip()
    if not text:
        return [("sequence", "")], []
    path, _ = references.split(raw)
    if not (references.exists(path) or references.is_database(raw)):
        if isinstance(raw, Path) or "/" in text or dnafiles.is_fasta(text) or _is_table(text):
            raise UserError(f"There is no file or folder {text!r}. Check the spelling.")
        return [("sequence", dnaletters.cleaned(text))], []
    if not references.is_database(raw):
        if dnafiles.holds_sequences(path) or path.suffix.lower() in dnafiles.PLAIN:
            return dnafiles.unlabelled(path), []
        if path.is_dir():
            raise UserError(f"{path} holds no FASTA files. Give a folder of them, or a file.")
    read = tablefiles.read_file(raw, known=Known(facts.order, facts.target))
    return _of_frame(_whole(read, facts), facts), list(read.problems)


def _is_table(text: str) -> bool:
    return text.lower().endswith(tablefiles.SUFFIXES)


def _whole(read: Read, facts: DnaFacts) -> pl.DataFrame:
    """The rows of a table; where training had no header, the first row is one too."""
    if facts.sequence in read.frame.columns:
        return read.frame
    return dnatables.with_first_row(read)[0]


def _of_frame(frame: pl.DataFrame, facts: DnaFacts) -> Named:
    """The sequences of a table: from the column that training had, or from the only one."""
    name = facts.sequence
    if name not in frame.columns:
        found = dnatables.sequence_columns(frame)
        found = frame.columns if frame.width == 1 else found
        if len(found) != 1:
            raise UserError(
                f"The column {name!r} of the sequences is missing.{nearest(name, frame.columns)} "
                f"Found: {', '.join(frame.columns[:40]) or 'none'}."
            )
        name = found[0]
    column = frame[name].cast(pl.String).fill_null("")
    return [(f"row {n}", dnaletters.cleaned(one)) for n, one in enumerate(column, 1)]
