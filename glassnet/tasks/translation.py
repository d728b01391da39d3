"""Translation: a text in one language into a text in another, learned from pairs of them.

Data: line-aligned files such as train.en and train.de (also .gz; with val and test beside them),
two columns of a table (TSV, CSV, Parquet), or JSON lines, also with the pair under "translation".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet import learners
from glassnet.data import pairs, pairtexts, ragged, sources
from glassnet.data.pairs import PairFacts
from glassnet.data.tokens import BEGIN, END, PAD, UNKNOWN, Units
from glassnet.figures import Table
from glassnet.learners import between
from glassnet.network import build_network
from glassnet.optimizers import AdamW
from glassnet.recipe import Fit, LabelSmoothing, NetworkKnobs, Recipe
from glassnet.schedules import OneCycle
from glassnet.task import (
    Batch,
    Data,
    Examples,
    Look,
    Outcome,
    Prediction,
    Review,
    Task,
)  # fmt: skip
from glassnet.words import translated, writing

SCORED = 8192
"""Tokens of a batch with its padding when it is scored."""


class Translation(Recipe):
    """The knobs of translation."""

    network: NetworkKnobs = NetworkKnobs(name="transformer")
    fit: Fit = Fit(optimizer=AdamW(betas=(0.9, 0.98)), schedule=OneCycle(pct_start=0.2))
    source: str | None = Field(
        None,
        description="The language, or the column, to translate from. Unset: the one that is not "
        "`target`, where there are two.",
    )
    target: str | None = Field(None, description="The language, or the column, to translate into.")
    test_part: str | None = Field(
        None,
        description="Which part is sealed for the test, such as test_2016_flickr, where the data "
        "have several. Unset: the first by alphabet.",
    )
    units: Units = "subwords"
    vocabulary: Annotated[
        int,
        Field(
            ge=300,
            le=200_000,
            description="Most different tokens of both languages together, for words and "
            "sub-words. 4,000-8,000 for some ten thousand pairs, 32,000 for millions.",
        ),
    ] = 8000
    lowercase: bool = Field(False, description="Throw upper case away, on both sides.")
    longest: int = Field(
        256,
        ge=4,
        description="Most tokens of a text on either side; longer pairs are left out and reported.",
    )
    label_smoothing: LabelSmoothing = 0.1
    beam: int = Field(
        5,
        ge=1,
        le=100,
        description="How many beginnings of a translation are followed at once. 1: the most "
        "probable token at each place (fastest); above 10 translations seldom get better.",
    )
    length_penalty: float = Field(
        1.0,
        ge=0,
        le=5,
        description="Among translations, log p / ((5 + length) / 6)^this decides (Wu et al. "
        "2016). Larger: longer translations; 0: the most probable one, which is often too short.",
    )


def fits(look: Look) -> str | None:
    """Texts in two languages are to be translated."""
    return "texts and their translations" if look.kind == "pairs" else None


def source(recipe: Translation) -> pairs.PairSource:
    """Open both sides."""
    return pairs.open_pairs(
        sources.locate(recipe.data),
        source=recipe.source,
        target=recipe.target,
        test_part=recipe.test_part,
        unit=recipe.units,
        size=recipe.vocabulary,
        lowercase=recipe.lowercase,
        longest=recipe.longest,
        beam=recipe.beam,
        length_penalty=recipe.length_penalty,
    )


def network(recipe: Translation, facts: PairFacts) -> nn.Module:
    """The chosen network, with one output for each token."""
    size = len(facts.vocabulary)
    return build_network(recipe.network, (facts.longest,), size, reads="pairs", vocabulary=size)


def learner(recipe: Translation, network: nn.Module, data: Data[Batch]) -> learners.Supervised:
    """Foretell each token of the translation from the true ones before it."""
    loss = translated.per_token(recipe.label_smoothing)
    return learners.Supervised(network, loss, recipe.fit, len(data.positions(0)[0]))


def cut(recipe: Any, examples: Any, order: Tensor, number: int) -> Sequence[Tensor]:
    """Batches of like lengths and about as many tokens."""
    return ragged.by_length(examples.lengths, order, number)


def score(network: nn.Module, examples: Examples[Batch], _facts: Any = None) -> Outcome:
    """Foretell every token from the true ones before it: loss, tokens, right ones of each text."""
    batches = ragged.sorted_batches(ragged.lengths_of(examples), SCORED)
    return translated.forced(network, examples, batches)


def full_score(network: nn.Module, examples: Examples[Batch], facts: PairFacts) -> Outcome:
    """The same, and translate: what BLEU and chrF are summed from; answers are the tokens."""
    forced = score(network, examples)
    texts = pairs.texts_of(examples)
    found = translate(network, [one for one, _ in texts], facts)
    ours = [facts.vocabulary.decode(written.tokens) for written in found]
    judged = translated.statistics(ours, [reference for _, reference in texts], facts.target)
    outputs = torch.cat([forced.outputs, judged.to(forced.outputs)], 1)
    tokens = [torch.tensor(written.tokens, dtype=torch.int64) for written in found]
    answers = nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=PAD)
    return Outcome(outputs, forced.targets, answers)


def translate(network: nn.Module, texts: Sequence[str], facts: PairFacts) -> list[writing.Written]:
    """Translate texts by beam search, in at most twice their tokens and ten more."""
    never = (PAD, BEGIN, UNKNOWN)
    rules = writing.Rules(BEGIN, END, never, facts.beam, facts.length_penalty)
    sequences = pairtexts.encoded(texts, facts)
    return writing.write(network, sequences, lambda n: min(facts.longest, 2 * n + 10), rules)


def predict(network: nn.Module, facts: PairFacts, raw: Any) -> Sequence[Prediction]:
    """Translate a sentence, a list of sentences, or the lines of a text file."""
    texts = pairtexts.read_raw(raw, facts)
    full = [n for n, text in enumerate(texts) if text]
    found = dict(zip(full, translate(network, [texts[n] for n in full], facts), strict=True))
    answers = []
    for n, text in enumerate(texts):
        ours = facts.vocabulary.decode(found[n].tokens) if text else ""
        answers.append(Prediction(text, ours, {"score": found[n].score if text else 0.0}))
    return answers


def shown(review: Review[Batch]) -> Table | None:
    """The best and the worst translations."""
    if review.outcome.answers is None:
        return None
    return translated.examples(review, pairs.texts_of(review.examples))


TASK = Task(
    recipe=Translation,
    facts=PairFacts,
    fits=fits,
    source=source,
    network=network,
    fill=learners.filler(
        lr={"muon": 1e-3, "adamw": 1e-3, "adam": 1e-3, "rmsprop": 5e-4, "sgd": 0.1},
        batch_size=lambda n: 2 ** between(4, math.log2(n / 20), 7),
        epochs=lambda n: between(3, 600_000 / n, 100),
    ),
    learner=learner,
    cut=cut,
    score=score,
    full_score=full_score,
    metrics=translated.METRICS,
    chosen_by=("accuracy", "loss"),
    predict=predict,
    reading=translated.reading,
    later=("beam", "length_penalty"),
    views={"translations": shown},
    output_names=lambda facts: [
        facts.vocabulary.token(number) for number in range(len(facts.vocabulary))
    ],
)
