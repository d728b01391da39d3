"""Stock figures about texts, for the report and the notebook."""

# Letters in tensor names: B texts, T tokens.

from __future__ import annotations

from typing import Any

import torch

from glassnet.figures import Cell, Table
from glassnet.metrics import answered
from glassnet.task import Review
from glassnet.views import NUM_ROWS, worst_mistakes

SHOWN = 160
"""Letters of a text that a table shows."""
LOOKED_AT = 10_000
"""Texts by which the vocabulary is measured."""


def mistaken(review: Review[Any]) -> Table | None:
    """List the wrong answers of which the network was most certain, with what it read."""
    outputs, targets = review.outcome.outputs, review.outcome.targets
    shares, classes = outputs.double().softmax(1), review.facts.classes
    answers = answered(review.outcome)
    rows: list[list[Cell]] = [
        [
            review.name(i),
            read(review, i),
            classes[int(targets[i])],
            classes[int(answers[i])],
            float(shares[i, answers[i]]),
            float(shares[i, targets[i]]),
        ]
        for i in worst_mistakes(review.outcome)[:NUM_ROWS]
    ]
    columns = ["where", "text", "true class", "answer", "certainty", "given to the true class"]
    note = "texts stand as the network read them: <unk> is a word that it does not know"
    return Table("Worst mistakes", columns, rows, note=note) if rows else None


def read(review: Review[Any], position: int, most: int = SHOWN) -> str:
    """What the network read of a text, put together again."""
    where = review.examples.rows.device
    inputs_BT = review.examples.batch(torch.tensor([position], device=where)).inputs
    text: str = review.facts.vocabulary.decode(inputs_BT[0].tolist())
    return text if len(text) <= most else text[:most] + " …"


def vocabulary(review: Review[Any]) -> Table:
    """Say what a token is, how many are known, and how much of these texts is unknown or cut."""
    facts, number = review.facts, min(len(review.examples), LOOKED_AT)
    known = facts.vocabulary
    positions = torch.arange(number, device=review.examples.rows.device)
    total = unknown = full = 0
    for piece in positions.split(512):
        inputs_BT = review.examples.batch(piece).inputs
        lengths_B = (inputs_BT != known.pad).sum(1)
        total += int(lengths_B.sum())
        unknown += int((inputs_BT == known.unknown).sum()) if known.unknown is not None else 0
        full += int((lengths_B >= facts.longest).sum())
    rows: list[list[Cell]] = [
        ["a token is one of the", f"{known.unit}{', in lower case' if known.lowercase else ''}"],
        ["tokens that are known", f"{len(known):,}"],
        ["tokens in a text of these, on average", f"{total / max(number, 1):.1f}"],
        ["of them unknown", f"{unknown / max(total, 1):.2%}"],
        ["tokens that are read of a text, at most", f"{facts.longest:,}"],
        ["texts of these that reach it", f"{full:,} of {number:,}"],
    ]
    note = "an unknown token occurred once or never in training: the network cannot tell it"
    return Table("How texts are read", ["", ""], rows, note=f"{note} from other unknown ones")
