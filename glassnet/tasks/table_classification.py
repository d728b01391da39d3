"""Table classification: which of several classes does a row of a table belong to?

Data: CSV, TSV, Excel, Parquet, Arrow, JSON lines or a database, and the column to predict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from glassnet import (
    balance,
    curves,
    decisions,
    findings,
    learners,
    losses,
    metrics,
    mixing,
    plane,
    progress,
    readings,
    tilt,
    views,
)
from glassnet.balance import ClassWeights, Costs, FocalGamma
from glassnet.data import sources, tables
from glassnet.data.decode import decode
from glassnet.data.tables import TableFacts
from glassnet.decisions import Decision
from glassnet.network import build_network, names_of_row
from glassnet.recipe import (
    Fit,
    LabelSmoothing,
    MixupAlpha,
    NetworkKnobs,
    Recipe,
    RowWeights,
    Split,
    merge,
)
from glassnet.task import Batch, Data, Look, Prediction, Task


class TableClassification(Recipe):
    """The knobs of table classification."""

    target: str = Field(description="Name of the column to predict.")
    network: NetworkKnobs = NetworkKnobs(name="tabm")
    fit: Fit = learners.FIT_FOR_TABLES
    split: Split = learners.SPLIT_FOR_TABLES
    weights: RowWeights = None
    label_smoothing: LabelSmoothing = 0.0
    mixup: MixupAlpha = 0.0
    loss: Literal["cross_entropy", "focal", "perceptron"] = Field(
        "cross_entropy",
        description="What is minimized. cross_entropy: the logistic form, whose outputs are honest "
        "probabilities. focal counts examples that are easy already little; try it if a rare class "
        "is drowned by easy ones. perceptron: Rosenblatt's rule, which moves the weights at "
        "mistakes only; unless you say otherwise it comes with network perceptron, sgd, a constant "
        "lr of 1 and 30 epochs of batches of one row, and its certainties mean little.",
    )
    focal_gamma: FocalGamma = 2.0
    class_weights: ClassWeights = None
    costs: Costs = None

    _agree = model_validator(mode="after")(balance.refuse_contradictions)

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
        return learners.implied_for_tables(values)
    given = merge({"network": {"name": "perceptron"}}, values)
    if given["network"]["name"] != "perceptron":
        return learners.implied_for_tables(values)
    rule = {"optimizer": {"name": "sgd"}, "schedule": {"name": "constant"}}
    rate = {} if "optimizer" in given.get("fit", {}) else {"lr": 1.0}
    # Its scores are no probabilities: no log loss could choose the best weights.
    fit = {"batch_size": 1, "epochs": 30, "keep": "last", **rate, **rule}
    return {"network": {"name": "perceptron"}, "fit": fit, "split": {"refit": False}}


def fits(look: Look) -> str | None:
    """A target of categories is to be classified."""
    is_class = look.kind == "table" and look.details.get("target", {}).get("kind") == "categories"
    return "the target is a category" if is_class else None


def source(recipe: TableClassification) -> tables.TableSource:
    """Open the table."""
    path = sources.locate(recipe.data)
    return tables.open_table(path, target=recipe.target, kind="categories", weights=recipe.weights)


def network(recipe: TableClassification, facts: TableFacts) -> nn.Module:
    """The chosen network, with one output for each class."""
    chosen = build_network(recipe.network, (len(facts.slots),), len(facts.classes), facts.slots)
    return tilt.levelled(chosen, recipe, facts)


def learner(
    recipe: TableClassification, network: nn.Module, data: Data[Batch]
) -> learners.Supervised:
    """The chosen loss, with class weights if there are any; the rule counts its mistakes."""
    rule = losses.perceptron if recipe.loss == "perceptron" else losses.of_classes(recipe)
    loss = tilt.tilted(rule, recipe, data.facts)
    rows = mixing.blend_rows([slot.size > 0 for slot in data.facts.slots])
    mix = mixing.mixup(recipe.mixup, rows, recipe.fit)
    counts = {"mistakes": losses.mistakes} if recipe.loss == "perceptron" else {}
    num_examples = len(data.positions(0)[0])
    return learners.Supervised(network, loss, recipe.fit, num_examples, mix=mix, counts=counts)


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
    implied=implied,
    fill=learners.fill_for_tables,
    learner=learner,
    score=learners.score,
    metrics=metrics.CLASSIFICATION,
    chosen_by=("log_loss", "accuracy"),
    findings=(findings.separability,),
    predict=predict,
    decide=decisions.decide,
    reading=readings.classification,
    views={
        "costs": curves.costs,
        "regions": plane.regions,
        "moving_line": plane.moving_line,
        "confusion": views.confusion,
        "classes": views.per_class,
        "mistakes": views.mistaken_rows,
        **curves.OF_PROBABILITIES,
        "columns": views.columns,
    },
    input_names=lambda facts, width: names_of_row(facts.slots, width),
    input_cells=lambda facts, row: decode(row, facts.columns),
    output_names=lambda facts: facts.classes,
)
