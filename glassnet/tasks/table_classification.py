"""Table classification: which of several classes does a row of a table belong to?

Data: CSV, TSV or Parquet with a header or without, and the name of the column to predict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import nn

from glassnet import (
    balance,
    curves,
    decisions,
    learners,
    losses,
    metrics,
    mixing,
    progress,
    readings,
    tilt,
    views,
)
from glassnet.balance import ClassWeights, Costs, FocalGamma
from glassnet.data import sources, tables
from glassnet.data.tables import TableFacts
from glassnet.decisions import Decision
from glassnet.losses import Loss
from glassnet.network import build_network
from glassnet.recipe import LabelSmoothing, MixupAlpha, NetworkKnobs, Recipe
from glassnet.task import Batch, Data, Look, Prediction, Task


class TableClassification(Recipe):
    """The knobs of table classification."""

    target: str = Field(description="Name of the column to predict.")
    network: NetworkKnobs = NetworkKnobs(name="mlp")
    label_smoothing: LabelSmoothing = 0.0
    mixup: MixupAlpha = 0.0
    loss: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy",
        description="What is minimized. cross_entropy asks for honest probabilities. focal counts "
        "examples that are easy already little; try it if a rare class is drowned by easy ones.",
    )
    focal_gamma: FocalGamma = 2.0
    class_weights: ClassWeights = None
    costs: Costs = None

    _agree = model_validator(mode="after")(balance.refuse_contradictions)


LOSSES: dict[str, Callable[[TableClassification], Loss]] = {
    "cross_entropy": lambda recipe: losses.cross_entropy(recipe.label_smoothing),
    "focal": lambda recipe: losses.focal(recipe.focal_gamma),
}


def fits(look: Look) -> str | None:
    """A target of categories is to be classified."""
    is_class = look.kind == "table" and look.details.get("target", {}).get("kind") == "categories"
    return "the target is a category" if is_class else None


def source(recipe: TableClassification) -> tables.TableSource:
    """Open the table."""
    path = sources.locate(recipe.data)
    return tables.open_table(path, target=recipe.target, kind="categories")


def network(recipe: TableClassification, facts: TableFacts) -> nn.Module:
    """The chosen network, with one output for each class."""
    chosen = build_network(recipe.network, (len(facts.slots),), len(facts.classes), facts.slots)
    return tilt.levelled(chosen, recipe, facts)


def learner(
    recipe: TableClassification, network: nn.Module, data: Data[Batch]
) -> learners.Supervised:
    """The chosen loss, with class weights if there are any."""
    loss = tilt.tilted(LOSSES[recipe.loss](recipe), recipe, data.facts)
    rows = mixing.blend_rows([slot.size > 0 for slot in data.facts.slots])
    mix = mixing.mixup(recipe.mixup, rows, recipe.fit)
    return learners.Supervised(network, loss, recipe.fit, len(data.positions(0)[0]), mix=mix)


def predict(
    network: nn.Module, facts: TableFacts, raw: Any, decision: Decision | None = None
) -> Sequence[Prediction]:
    """Answer each row with a class, and tell the probability of each class."""
    names, inputs, problems = tables.read_raw(raw, facts)
    progress.warn(problems)
    where = next(network.parameters()).device
    outputs = learners.answer(network, inputs.to(where)).cpu()
    answers = decisions.answers(outputs, decision).tolist()
    shares = outputs.softmax(1).tolist()
    return [
        decisions.prediction(name, facts.classes[answer], facts.classes, row, decision)
        for name, answer, row in zip(names, answers, shares, strict=True)
    ]


TASK = Task(
    recipe=TableClassification,
    facts=TableFacts,
    fits=fits,
    source=source,
    network=network,
    fill=learners.fill_for_tables,
    learner=learner,
    score=learners.score,
    metrics=metrics.CLASSIFICATION,
    predict=predict,
    decide=decisions.decide,
    reading=readings.classification,
    views={
        "costs": curves.costs,
        "confusion": views.confusion,
        "classes": views.per_class,
        "mistakes": views.mistaken_rows,
        "calibration": curves.calibration,
        "precision_recall": curves.precision_recall,
        "precision_levels": curves.precision_levels,
        "roc": curves.roc,
        "columns": views.columns,
    },
)
