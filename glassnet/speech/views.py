"""Figures for the report of a speech recognizer: which words go wrong, and where."""

from __future__ import annotations

from collections import Counter
from typing import Any

from glassnet.figures import Cell, Table
from glassnet.speech.ctc import BLANK
from glassnet.speech.heard import WORD_EDITS, WORDS
from glassnet.speech.mistakes import Step, alignment
from glassnet.speech.wording import referred, spelled, units_of
from glassnet.task import Review

NUM_SHOWN = 12


def mistakes(review: Review[Any]) -> Table | None:
    """How many words were substituted, deleted and inserted, and the most frequent of each."""
    counts: dict[Step, Counter[str]] = {"substituted": Counter(), "deleted": Counter(),
                                        "inserted": Counter()}  # fmt: skip
    total = 0
    for reference, heard in _pairs(review):
        for step, said, other in _aligned(reference, heard, review.facts):
            total += step != "inserted"
            if step != "same":
                counts[step][_change(step, said, other)] += 1
    if not total:
        return None
    rows: list[list[Cell]] = [
        [
            step,
            sum(found.values()),
            f"{sum(found.values()) / total:.2%}",
            ", ".join(f"{change} ({n})" for change, n in found.most_common(NUM_SHOWN)),
        ]
        for step, found in counts.items()
    ]
    columns = ["change", "words", "of all words", "the most frequent"]
    note = f"the fewest changes that make what was heard of {total:,} words that were said"
    return Table("Mistakes", columns, rows, note=note)


def words(review: Review[Any]) -> Table | None:
    """The words with the most mistakes: how often said, heard right, and what was heard instead."""
    said_of: Counter[str] = Counter()
    wrong_of: dict[str, Counter[str]] = {}
    for reference, heard in _pairs(review):
        for step, said, other in _aligned(reference, heard, review.facts):
            if said is None:
                continue
            said_of[said] += 1
            if step != "same":
                wrong_of.setdefault(said, Counter())[other or "(nothing)"] += 1
    if not wrong_of:
        return None
    order = sorted(wrong_of, key=lambda word: (-sum(wrong_of[word].values()), word))
    rows: list[list[Cell]] = [
        [
            word,
            said_of[word],
            said_of[word] - sum(wrong_of[word].values()),
            ", ".join(f"{other} ({n})" for other, n in wrong_of[word].most_common(5)),
        ]
        for word in order[:NUM_SHOWN]
    ]
    return Table("Words with the most mistakes", ["word", "said", "right", "heard instead"], rows)


def worst(review: Review[Any]) -> Table | None:
    """The utterances with the most mistakes, with what must be changed."""
    outputs = review.outcome.outputs
    if review.outcome.answers is None or not len(outputs):
        return None
    order = sorted(range(len(outputs)), key=lambda n: (-float(outputs[n, WORD_EDITS]), n))
    both = _pairs(review)
    rows: list[list[Cell]] = []
    for position in order[:NUM_SHOWN]:
        reference, heard = both[position]
        changes = [
            _change(step, said, other)
            for step, said, other in _aligned(reference, heard, review.facts)
            if step != "same"
        ]
        wrong, number = int(outputs[position, WORD_EDITS]), int(outputs[position, WORDS])
        rows.append(
            [review.name(position), f"{wrong} of {number}", reference, heard, ", ".join(changes)]
        )
    columns = ["utterance", "words wrong", "said", "heard", "changes"]
    note = "a → b: b was heard for a; − a: not heard; + b: heard, but not said"
    return Table("Utterances with the most mistakes", columns, rows, note=note)


VIEWS = {"mistakes": mistakes, "words": words, "utterances": worst}


def _pairs(review: Review[Any]) -> list[tuple[str, str]]:
    """What was said and what was heard in each utterance."""
    outcome, facts = review.outcome, review.facts
    assert outcome.answers is not None
    return [
        (
            referred([token for token in said if token != BLANK], facts),
            spelled([token for token in heard if token != BLANK], facts),
        )
        for said, heard in zip(outcome.targets.tolist(), outcome.answers.tolist(), strict=True)
    ]


def _aligned(reference: str, heard: str, facts: Any) -> list[tuple[Step, str | None, str | None]]:
    return alignment(units_of(reference, facts), units_of(heard, facts))


def _change(step: Step, said: str | None, other: str | None) -> str:
    return {"substituted": f"{said} → {other}", "deleted": f"− {said}"}.get(step, f"+ {other}")
