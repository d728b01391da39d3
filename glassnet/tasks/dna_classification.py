"""DNA classification: which of several classes does a sequence of nucleotides belong to?

Data: FASTA with labels in the headers or one file per class, a table with a column of sequences
(also the UCI repository's layout), .txt files in class folders; RNA and proteins too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from glassnet.data import dna, ragged, rawdna, sources
from glassnet.data.dna import DnaFacts
from glassnet.data.dnaletters import Alphabet
from glassnet.decisions import Decision
from glassnet.dna import baselines, motifviews, placing, regression, tells
from glassnet.errors import UserError
from glassnet.learners import between
from glassnet.network import build_network
from glassnet.networks._strands import BothStrands
from glassnet.recipe import Fit, LabelSmoothing, NetworkKnobs, Recipe
from glassnet.task import Axes, Batch, Data, Examples, Look, Outcome, Prediction, Task

SCORED = 100_000
"""Letters that are answered at once, with their padding."""


class DnaClassification(Recipe):
    """The knobs of DNA classification."""

    target: str | None = Field(
        None,
        description="Name of the column of the labels. Unset: the only one that may be meant. "
        "FASTA has labels in headers or file names.",
    )
    sequence: str | None = Field(
        None, description="Name of the column of the sequences. Unset: the only one that is so."
    )
    alphabet: Alphabet | None = Field(
        None,
        description="dna: nucleotides, U is T. protein: amino acids. Unset: as most of the "
        "sequences are.",
    )
    longest: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Letters that are read of a sequence; its end is cut off. Unset: 20,000.",
    )
    both_strands: bool | None = Field(
        None,
        description="Whether a sequence means the same read from the other strand: training shows "
        "either, answers are the mean of both. true for binding sites and open chromatin; false "
        "for genes, splice sites, RNA. Unset: true if places have no meaning and words are as "
        "frequent in the training sequences as their reverse complements.",
    )
    network: NetworkKnobs = NetworkKnobs(name="dnacnn")
    fit: Fit = Fit()
    label_smoothing: LabelSmoothing = 0.0
    loss: ClassLoss = "cross_entropy"
    focal_gamma: FocalGamma = 2.0
    class_weights: ClassWeights = None
    costs: Costs = None

    _agree = model_validator(mode="after")(balance.refuse_contradictions)


def fits(look: Look) -> str | None:
    """Sequences with a label each."""
    return "sequences with a class each" if look.kind == "dna" else None


def source(recipe: DnaClassification) -> dna.DnaSource:
    """Open the sequences."""
    return dna.open_dna(
        sources.locate(recipe.data), target=recipe.target, sequence=recipe.sequence,
        alphabet=recipe.alphabet, longest=recipe.longest,
    )  # fmt: skip


def network(recipe: DnaClassification, facts: DnaFacts) -> nn.Module:
    """The chosen network, with one output for each class; for both strands if they are alike."""
    shape = (len(facts.letters), facts.most)
    knobs = placing.with_places(recipe.network, facts)
    built = build_network(knobs, shape, len(facts.classes), reads="signals")
    if recipe.both_strands and facts.alphabet != "dna":
        raise UserError("both_strands=true: a protein has no other strand. Unset it.")
    asked = recipe.both_strands
    if facts.both_strands and not facts.aligned if asked is None else asked:
        built = BothStrands(built)
    return tilt.levelled(built, recipe, facts)


def learner(
    recipe: DnaClassification, network: nn.Module, data: Data[Batch]
) -> learners.Supervised:
    """The chosen loss."""
    loss = tilt.tilted(losses.of_classes(recipe), recipe, data.facts)
    return learners.Supervised(network, loss, recipe.fit, len(data.positions(0)[0]))


def cut(
    recipe: DnaClassification, examples: Examples[Batch], order: Tensor, number: int
) -> Sequence[Tensor]:
    """Batches of equal size; of sequences of like lengths where they differ."""
    return ragged.in_pieces(examples, order, number)


def score(network: nn.Module, examples: Examples[Batch], facts: DnaFacts) -> Outcome:
    """Answer all sequences, those of like lengths together."""
    lengths = ragged.lengths_of(examples)
    return learners.score(network, examples, facts, ragged.sorted_batches(lengths, SCORED))


def predict(
    network: nn.Module, facts: DnaFacts, raw: Any, decision: Decision | None = None
) -> Sequence[Prediction]:
    """Answer each sequence with a class, and tell the probability of each class."""
    named, problems = rawdna.read_raw(raw, facts)
    fixed = placing.knows_places(network)
    wrong = [rawdna.wrong_with(sequence, facts, fixed) for _, sequence in named]
    good = [one for one, why in zip(named, wrong, strict=True) if why is None]
    told = [sequence for _, sequence in good]
    odd = rawdna.unusual(good, facts)
    progress.warn([*problems, *odd, *dna.cut(told, facts, "these sequences")])
    asked = [(name, why) for (name, _), why in zip(named, wrong, strict=True)]
    if not told:
        return [Prediction(name, None, {"error": why}) for name, why in asked]
    none = torch.zeros(len(told), dtype=torch.int64)
    where = next(network.parameters()).device
    examples = dna.as_signals(told, facts, none, none).to(where)
    outputs = score(network, examples, facts).outputs
    return decisions.predictions(asked, outputs, facts.classes, decision)


TASK = Task(
    recipe=DnaClassification,
    facts=DnaFacts,
    fits=fits,
    source=source,
    network=network,
    fill=learners.filler(
        lr={"muon": 2e-3, "adamw": 2e-3, "adam": 2e-3, "rmsprop": 1e-3, "sgd": 0.05},
        batch_size=lambda n: 2 ** between(5, math.log2(n / 20), 7),
        epochs=lambda n: between(6, 700 / math.sqrt(n), 40),
    ),
    learner=learner,
    start=regression.start,
    cut=cut,
    score=score,
    metrics=metrics.CLASSIFICATION,
    baselines={"k-mer logistic regression": baselines.kmers,
               "logistic regression of places": baselines.places},
    predict=predict,
    decide=decisions.decide,
    reading=readings.classification,
    views={
        "costs": curves.costs,
        "confusion": views.confusion,
        "classes": views.per_class,
        **tells.VIEWS,
        **motifviews.VIEWS,
        **curves.OF_PROBABILITIES,
    },
    axes=lambda facts, _: Axes(list(facts.letters), unit="position", first=1, letters=True),
    output_names=lambda facts: facts.classes,
)  # fmt: skip
