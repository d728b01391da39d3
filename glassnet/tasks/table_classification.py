"""Table classification: which of several classes does a row of a table belong to?

Data: CSV, TSV, Excel, Parquet, Arrow, JSON lines or a database, and the column to predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from torch import nn

from glassnet import learners, losses, metrics, progress, views
from glassnet.data import sources, tables
from glassnet.data.tables import TableFacts
from glassnet.network import build_network
from glassnet.recipe import LabelSmoothing, NetworkKnobs, Recipe
from glassnet.task import Batch, Data, Look, Prediction, Task


class TableClassification(Recipe):
    """The knobs of table classification."""

    target: str = Field(description="Name of the column to predict.")
    network: NetworkKnobs = NetworkKnobs(name="mlp")
    label_smoothing: LabelSmoothing = 0.0


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
    return build_network(recipe.network, (len(facts.slots),), len(facts.classes), facts.slots)


def learner(
    recipe: TableClassification, network: nn.Module, data: Data[Batch]
) -> learners.Supervised:
    """Cross-entropy."""
    loss = losses.cross_entropy(recipe.label_smoothing)
    return learners.Supervised(network, loss, recipe.fit, len(data.positions(0)[0]))


def predict(network: nn.Module, facts: TableFacts, raw: Any) -> Sequence[Prediction]:
    """Name the most probable class of each row, and the probability of each class."""
    names, inputs, problems = tables.read_raw(raw, facts)
    progress.warn(problems)
    where = next(network.parameters()).device
    shares = learners.answer(network, inputs.to(where)).softmax(1).cpu()
    return [
        Prediction(
            name,
            facts.classes[int(share.argmax())],
            {"probabilities": dict(zip(facts.classes, share.tolist(), strict=True))},
        )
        for name, share in zip(names, shares, strict=True)
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
    views={
        "confusion": views.confusion,
        "classes": views.per_class,
        "mistakes": views.mistaken_rows,
        "calibration": views.calibration,
        "columns": views.columns,
    },
)
