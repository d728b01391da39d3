"""Series classification: which of several classes does a sequence of measurements belong to?

Data: .ts, .arff or UCR files, arrays (.npz), recordings (CSV) in class folders, or a table with a
row for each series or each measurement; one or more channels, any length.
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
from glassnet.data import ragged, series, seriesraw, sources
from glassnet.data.series import Gaps, Scale, SeriesFacts
from glassnet.data.seriestables import Columns
from glassnet.data.signals import SignalExamples
from glassnet.decisions import Decision
from glassnet.learners import between
from glassnet.network import build_network, find
from glassnet.networks._masked import Prepared
from glassnet.recipe import Fit, LabelSmoothing, NetworkKnobs, Recipe, Split
from glassnet.signals import augmentation, seen, warping
from glassnet.task import Batch, Data, Examples, Look, Outcome, Prediction, Task

SCORED = 65_536
"""Steps that are answered at once, with their padding."""
PREPARED = 256
"""Training series that a network may look at before it learns."""


class SeriesClassification(Recipe):
    """The knobs of series classification."""

    target: str | None = Field(
        None, description="Name of the column of the labels, for tables. Unset: label or class."
    )
    series: str | None = Field(
        None,
        description="For tables with a measurement in each row: the column that says to which "
        "series a row belongs. Unset: each row is a series, its columns the steps.",
    )
    time: str | None = Field(
        None, description="For tables with a measurement in each row: the column of the time."
    )
    channels: tuple[str, ...] | None = Field(
        None,
        description="For tables with a measurement in each row: the columns that were measured. "
        "Unset: all that hold numbers.",
    )
    group: str | None = Field(
        None,
        description="For tables: the column that says whose a series is, such as a person or a "
        "machine. What is of one group is never parted between training and test.",
    )
    scale: Scale = Field(
        "channel",
        description="channel: each channel gets mean 0 and standard deviation 1 over all training "
        "series. each: every series by itself; take it when its level and size say nothing.",
    )
    gaps: Gaps = Field(
        "interpolate",
        description="Missing measurements. interpolate: on the line between their neighbours. "
        "keep: the network reads the mean of the channel in their place.",
    )
    network: NetworkKnobs = NetworkKnobs(name="rocket")
    fit: Fit = Fit(keep="last")
    split: Split = Split(refit=True)
    jitter: augmentation.Jitter = 0.0
    stretch: augmentation.Stretch = 0.0
    shift: augmentation.Shift = 0.0
    warp: augmentation.Warp = 0.0
    label_smoothing: LabelSmoothing = 0.0
    loss: ClassLoss = "cross_entropy"
    focal_gamma: FocalGamma = 2.0
    class_weights: ClassWeights = None
    costs: Costs = None

    _agree = model_validator(mode="after")(balance.refuse_contradictions)


def fits(look: Look) -> str | None:
    """Series with a class each."""
    return "series with a class each" if look.kind == "series" else None


def source(recipe: SeriesClassification) -> series.SeriesSource:
    """Open the series."""
    columns = Columns(recipe.target, recipe.series, recipe.time, recipe.group, recipe.channels)
    path = sources.locate(recipe.data)
    return series.open_series(path, columns, scale=recipe.scale, gaps=recipe.gaps)


def network(recipe: SeriesClassification, facts: SeriesFacts) -> nn.Module:
    """The chosen network, with one output for each class."""
    shape = (len(facts.channels), facts.longest)
    chosen = build_network(recipe.network, shape, len(facts.classes), reads="signals")
    return tilt.levelled(chosen, recipe, facts)


def start(recipe: SeriesClassification, network: nn.Module, data: Data[Batch]) -> Sequence[str]:
    """Let a network of fixed filters look at some training series."""
    for part in network.modules():
        if isinstance(part, Prepared):
            positions = data.positions(0)[0]
            drawn = positions[torch.randperm(len(positions))[:PREPARED].to(positions.device)]
            part.prepare(data.pool.batch(drawn).inputs)
    return ()


def learner(
    recipe: SeriesClassification, network: nn.Module, data: Data[Batch]
) -> learners.Supervised:
    """The chosen loss, on series that are changed a little if that is asked for."""
    loss = tilt.tilted(losses.of_classes(recipe), recipe, data.facts)
    change = augmentation.changed(recipe.jitter, recipe.stretch, recipe.shift, recipe.warp)
    augment = None if change is None else learners.of_inputs(change)
    num_examples = len(data.positions(0)[0])
    return learners.Supervised(network, loss, recipe.fit, num_examples, augment=augment)


def cut(
    recipe: SeriesClassification, examples: Examples[Batch], order: Tensor, number: int
) -> Sequence[Tensor]:
    """Batches of series of like lengths, each with about as many steps."""
    return ragged.in_pieces(examples, order, number)


def score(network: nn.Module, examples: Examples[Batch], facts: SeriesFacts) -> Outcome:
    """Answer all series, those of like lengths together."""
    lengths = ragged.lengths_of(examples)
    return learners.score(network, examples, facts, ragged.sorted_batches(lengths, SCORED))


def predict(
    network: nn.Module, facts: SeriesFacts, raw: Any, decision: Decision | None = None
) -> Sequence[Prediction]:
    """Answer each series with a class, and tell the probability of each class."""
    named, problems = seriesraw.read_raw(raw, facts)
    progress.warn(problems)
    values, starts = series.encode([one for _, one in named], facts)
    none = torch.zeros(len(named), dtype=torch.int64)
    examples = SignalExamples(none, values, starts, none).to(next(network.parameters()).device)
    batches = [one.sort().values for one in ragged.sorted_batches(examples.lengths, SCORED)]
    outputs = learners.score(network, examples, facts, batches).outputs
    return decisions.predictions([(n, None) for n, _ in named], outputs, facts.classes, decision)


_fill_learned = learners.filler(
    lr={"muon": 3e-3, "adamw": 1e-3, "adam": 1e-3, "rmsprop": 5e-4, "sgd": 0.05},
    batch_size=lambda n: 2 ** between(4, math.log2(n / 20), 7),
    epochs=lambda n: between(10, 8000 / n, 200),
)
_fill_fixed = learners.filler(
    lr={"muon": 3e-4, "adamw": 3e-4, "adam": 3e-4, "rmsprop": 1e-4, "sgd": 1e-3},
    batch_size=lambda n: 2 ** between(4, math.log2(n / 20), 7),
    epochs=lambda n: between(10, 4000 / n, 60),
)


def fill(recipe: SeriesClassification, num_examples: int) -> SeriesClassification:
    """Set the unset knobs: fixed filters need few epochs and small steps."""
    is_fixed = issubclass(find(recipe.network.name), Prepared)
    chosen = _fill_fixed if is_fixed else _fill_learned
    return chosen(recipe, num_examples)


TASK = Task(
    recipe=SeriesClassification,
    facts=SeriesFacts,
    fits=fits,
    source=source,
    network=network,
    start=start,
    fill=fill,
    learner=learner,
    cut=cut,
    score=score,
    metrics=metrics.CLASSIFICATION,
    chosen_by=("log_loss", "accuracy"),
    baselines={
        "nearest, warped in time": warping.nearest_warped,
        "nearest": warping.nearest,
    },
    predict=predict,
    decide=decisions.decide,
    reading=readings.classification,
    views={
        "costs": curves.costs,
        "series": seen.classes,
        "confusion": views.confusion,
        "classes": views.per_class,
        "mistakes": seen.mistaken,
        **curves.OF_PROBABILITIES,
    },
    axes=seen.axes,
    output_names=lambda facts: facts.classes,
)
