"""Text classification: which of several classes does a text belong to?

Data: a table with a column of texts (CSV, TSV, Excel, Parquet, JSON lines), .txt files in class
folders, or a data set that the library `datasets` saved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from glassnet import (
    balance,
    curves,
    decisions,
    learners,
    losses,
    metrics,
    progress,
    readings,
    tilt,
    views,
)
from glassnet.balance import ClassLoss, ClassWeights, Costs, FocalGamma
from glassnet.data import ragged, rawtexts, sources, texts, tokenizerfiles
from glassnet.data.ragged import RaggedExamples, joined
from glassnet.data.texts import TextFacts
from glassnet.data.tokens import Units
from glassnet.decisions import Decision
from glassnet.learners import between
from glassnet.network import build_network
from glassnet.recipe import Fit, LabelSmoothing, NetworkKnobs, Recipe, Transfer
from glassnet.task import Batch, Data, Examples, Look, Outcome, Prediction, Task
from glassnet.transfer import refuse_without_weights
from glassnet.words import textual, wording

SCORED = 32_768
"""Tokens that are answered at once, with their padding."""


class TextClassification(Recipe):
    """The knobs of text classification."""

    target: textual.Target = None
    text: textual.Text = None
    units: Units | None = Field(
        None,
        description="What a token is: words, subwords (byte-pair encoding), characters, bytes. "
        "Unset: words, or characters where words hardly repeat or are not parted by spaces.",
    )
    vocabulary: textual.Size = None
    lowercase: textual.Lowercase = True
    longest: textual.Longest = None
    network: NetworkKnobs = NetworkKnobs(name="textcnn", width=100)
    fit: Fit = Fit()
    weights: wording.FirstWeights = None
    transfer: Transfer = Transfer()
    word_dropout: textual.WordDropout = 0.0
    label_smoothing: LabelSmoothing = 0.0
    loss: ClassLoss = "cross_entropy"
    focal_gamma: FocalGamma = 2.0
    class_weights: ClassWeights = None
    costs: Costs = None

    _agree = model_validator(mode="after")(balance.refuse_contradictions)
    _transfers = model_validator(mode="after")(refuse_without_weights)
    _reads = model_validator(mode="after")(
        wording.refuse_own_vocabulary("units", "vocabulary", "lowercase")
    )


def fits(look: Look) -> str | None:
    """Texts with a label each, and nothing else to tell them apart."""
    return "texts with a class each" if look.kind == "texts" else None


def source(recipe: TextClassification) -> texts.TextSource:
    """Open the texts."""
    return texts.open_texts(
        sources.locate(recipe.data),
        target=recipe.target,
        text=recipe.text,
        units=recipe.units,
        vocabulary=recipe.vocabulary,
        lowercase=recipe.lowercase,
        longest=recipe.longest,
        given=lambda: tokenizerfiles.read_if(wording.folder(recipe)),
    )


def network(recipe: TextClassification, facts: TextFacts) -> nn.Module:
    """The chosen network, with one output for each class."""
    chosen = build_network(
        recipe.network, (facts.longest,), len(facts.classes),
        reads="tokens", vocabulary=len(facts.vocabulary),
    )  # fmt: skip
    return tilt.levelled(chosen, recipe, facts)


def learner(
    recipe: TextClassification, network: nn.Module, data: Data[Batch]
) -> learners.Supervised:
    """The chosen loss, on texts of which some words are hidden."""
    loss = tilt.tilted(losses.of_classes(recipe), recipe, data.facts)
    known = data.facts.vocabulary
    what = {"unknown": known.unknown, "kept": known.special}
    hide = learners.of_inputs(partial(textual.hidden, share=recipe.word_dropout, **what))
    num_examples = len(data.positions(0)[0])
    change = hide if recipe.word_dropout else None
    follow = wording.following(recipe, network)
    return learners.Supervised(
        network, loss, recipe.fit, num_examples, augment=change, layers=follow
    )


def cut(
    recipe: TextClassification, examples: Examples[Batch], order: Tensor, number: int
) -> Sequence[Tensor]:
    """Batches of texts of like lengths, each with about as many tokens."""
    return ragged.by_length(ragged.lengths_of(examples), order, number)


def score(network: nn.Module, examples: Examples[Batch], facts: TextFacts) -> Outcome:
    """Answer all texts, those of like lengths together."""
    lengths = ragged.lengths_of(examples)
    return learners.score(network, examples, facts, ragged.sorted_batches(lengths, SCORED))


def predict(
    network: nn.Module, facts: TextFacts, raw: Any, decision: Decision | None = None
) -> Sequence[Prediction]:
    """Answer each text with a class, and tell the probability of each class."""
    named, problems = rawtexts.read_raw(raw, facts)
    told = [(name, text) for name, text in named if text]
    encoded, long = texts.encode([text for _, text in told], facts, "these texts")
    progress.warn([*problems, *long, *rawtexts.mostly_unknown(encoded, told, facts)])
    outputs = _outputs(network, encoded, facts.vocabulary.pad)
    asked = [(name, _wrong_with(text)) for name, text in named]
    return decisions.predictions(asked, outputs, facts.classes, decision)


def _outputs(network: nn.Module, encoded: Sequence[Any], pad: int) -> Tensor:
    """Raw outputs (N, classes), in the order of the texts; texts of like lengths go together."""
    where = next(network.parameters()).device
    both, starts = joined(encoded)
    none = torch.zeros(len(encoded), dtype=torch.int64)
    examples = RaggedExamples(none, both, starts, none, pad).to(where)
    batches = ragged.sorted_batches(examples.lengths, SCORED)
    return learners.score(
        network, examples, None, [batch.sort().values for batch in batches]
    ).outputs


def _wrong_with(text: str | None) -> str | None:
    """Why a text cannot be answered, or None."""
    if text:
        return None
    return "is no text" if text is None else "is empty"


TASK = Task(
    recipe=TextClassification,
    facts=TextFacts,
    fits=fits,
    source=source,
    network=network,
    fill=learners.filler(
        lr={"muon": 3e-3, "adamw": 1e-3, "adam": 1e-3, "rmsprop": 5e-4, "sgd": 0.1},
        batch_size=lambda n: 2 ** between(4, math.log2(n / 100), 7),
        epochs=lambda n: between(4, 900 / math.sqrt(n), 100),
    ),
    start=partial(wording.start, reads="tokens"),
    implied=partial(wording.implied, reads="tokens"),
    bound=wording.bound,
    learner=learner,
    layers=wording.layers,
    cut=cut,
    score=score,
    metrics=metrics.CLASSIFICATION,
    predict=predict,
    decide=decisions.decide,
    reading=readings.classification,
    views={
        "costs": curves.costs,
        "confusion": views.confusion,
        "classes": views.per_class,
        "mistakes": textual.mistaken,
        "vocabulary": textual.vocabulary,
        **curves.OF_PROBABILITIES,
    },
    output_names=lambda facts: facts.classes,
)
