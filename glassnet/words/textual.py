"""What tasks that read texts are put together from: knobs, hidden words, figures."""

# Letters in tensor names: B texts, T tokens.

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from glassnet.figures import Cell, Table
from glassnet.metrics import answered
from glassnet.networks._sequences import PAD
from glassnet.task import Review
from glassnet.views import NUM_ROWS, worst_mistakes

SHOWN = 160
"""Letters of a text that a table shows."""
LOOKED_AT = 2000
"""Texts by which the vocabulary is measured."""

UNKNOWN = 1
"""The number of the unknown token in every vocabulary that is made here."""

# --- Knobs ----------------------------------------------------------------------------------------

Target = Annotated[
    str | None,
    Field(
        description="Name of the column of the labels. Unset: the other one of two columns, one "
        "that is called label or class, or the last where the columns have no names.",
    ),
]

Text = Annotated[
    str | None,
    Field(description="Name of the column of the texts. Unset: the only one that holds texts."),
]

Size = Annotated[
    int | None,
    Field(
        ge=10,
        le=1_000_000,
        description="The most tokens that are known, the frequent ones first; for words and "
        "subwords. Unset: 20,000. Words that occur once in training are never known.",
    ),
]

Lowercase = Annotated[
    bool,
    Field(description="Whether upper case is thrown away; set false where it tells something."),
]

Longest = Annotated[
    int | None,
    Field(
        ge=1,
        le=100_000,
        description="Tokens that are read of a text; its end is cut off. Unset: twice those of "
        "the longest text in training, 512 at most.",
    ),
]

WordDropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of the tokens that training shows as unknown, others at each step: the "
        "network learns not to rely on single words. 0.1-0.3 for some thousand texts; 0 for large "
        "sets, or where each token counts.",
    ),
]


def hidden(
    tokens_BT: Tensor, _epoch: int, *, share: float, unknown: int | None = UNKNOWN,
    kept: Collection[int] = (PAD,),
) -> Tensor:  # fmt: skip
    """The same with a random ``share`` of the tokens as ``unknown``; those of ``kept`` stay.

    A published vocabulary may know all there is: nothing is hidden then.
    """
    drawn = torch.rand(tokens_BT.shape, device=tokens_BT.device) < share
    if unknown is None:
        return tokens_BT
    for special in kept:
        drawn &= tokens_BT != special
    return tokens_BT.masked_fill(drawn, unknown)


# --- Figures --------------------------------------------------------------------------------------


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
    facts, total = review.facts, len(review.examples)
    known = facts.vocabulary
    where = review.examples.rows.device
    tokens = unknown = full = 0
    looked = range(0, total, total // LOOKED_AT + 1)
    for position in looked:  # one by one: a batch of several folds must not mix them
        inputs_BT = review.examples.batch(torch.tensor([position], device=where)).inputs
        length = int((inputs_BT != known.pad).sum())
        tokens += length
        unknown += int((inputs_BT == known.unknown).sum()) if known.unknown is not None else 0
        full += length >= facts.longest
    rows: list[list[Cell]] = [
        ["a token is one of the", f"{known.unit}{', in lower case' if known.lowercase else ''}"],
        ["tokens that are known", f"{len(known):,}"],
        ["tokens in a text of these, on average", f"{tokens / max(len(looked), 1):.1f}"],
        ["of them unknown", f"{unknown / max(tokens, 1):.2%}"],
        ["tokens that are read of a text, at most", f"{facts.longest:,}"],
        ["texts of these that reach it", f"{full:,} of {len(looked):,}"],
    ]
    note = "an unknown token occurred once or never in training: the network cannot tell it"
    return Table("How texts are read", ["", ""], rows, note=f"{note} from other unknown ones")
