"""Table classification: which of several classes does a row of a table belong to?

Data: CSV, TSV or Parquet with a header or without, and the name of the column to predict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from glassnet import findings, learners, losses, metrics, plane, progress, views
from glassnet.data import sources, tables
from glassnet.data.tables import TableFacts
from glassnet.losses import Loss
from glassnet.network import build_network
from glassnet.recipe import LabelSmoothing, NetworkKnobs, Recipe, merge
from glassnet.task import Batch, Data, Look, Prediction, Task


class TableClassification(Recipe):
    """The knobs of table classification."""

    target: str = Field(description="Name of the column to predict.")
    network: NetworkKnobs = NetworkKnobs(name="mlp")
    label_smoothing: LabelSmoothing = 0.0
    loss: Literal["cross_entropy", "perceptron"] = Field(
        "cross_entropy",
        description="What is minimized. cross_entropy: the logistic form, whose outputs are honest "
        "probabilities. perceptron: Rosenblatt's rule, which moves the weights at mistakes only; "
        "unless you say otherwise it comes with network perceptron, sgd, a constant lr of 1 and "
        "30 epochs of batches of one row, and its certainties mean little.",
    )

    @model_validator(mode="after")
    def _smoothing_is_of_probabilities(self) -> Self:
        if self.loss == "perceptron" and self.label_smoothing:
            raise ValueError(
                f"label_smoothing={self.label_smoothing} contradicts loss=perceptron, which knows "
                "no probabilities to smooth; choose loss cross_entropy or label_smoothing 0"
            )
        return self


def implied(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The perceptron's rule as textbooks have it: their network, one row at a time, plain steps."""
    if values.get("loss") != "perceptron":
        return {}
    given = merge({"network": {"name": "perceptron"}}, values)
    if given["network"]["name"] != "perceptron":
        return {}
    rule = {"optimizer": {"name": "sgd"}, "schedule": {"name": "constant"}}
    rate = {} if "optimizer" in given.get("fit", {}) else {"lr": 1.0}
    fit = {"batch_size": 1, "epochs": 30, **rate, **rule}
    return {"network": {"name": "perceptron"}, "fit": fit}


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
    """The chosen loss; the perceptron's rule counts its mistakes."""
    options: dict[str, Loss] = {
        "cross_entropy": losses.cross_entropy(recipe.label_smoothing),
        "perceptron": losses.perceptron,
    }
    counts = {"mistakes": losses.mistakes} if recipe.loss == "perceptron" else {}
    return learners.Supervised(
        network, options[recipe.loss], recipe.fit, len(data.positions(0)[0]), counts=counts
    )


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
    implied=implied,
    fill=learners.fill_for_tables,
    learner=learner,
    score=learners.score,
    metrics=metrics.CLASSIFICATION,
    findings=(findings.separability,),
    predict=predict,
    views={
        "regions": plane.regions,
        "moving_line": plane.moving_line,
        "confusion": views.confusion,
        "classes": views.per_class,
        "mistakes": views.mistaken_rows,
        "calibration": views.calibration,
        "columns": views.columns,
    },
)
