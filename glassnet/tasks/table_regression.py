"""Table regression: which number belongs to a row of a table?

Data: CSV, TSV, Excel, Parquet, Arrow, JSON lines or a database, and the column to predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from glassnet import learners, losses, metrics, mixing, progress, views
from glassnet.data import sources, tables
from glassnet.data.decode import decode
from glassnet.data.tables import TableFacts
from glassnet.losses import Loss
from glassnet.network import build_network, names_of_row
from glassnet.recipe import Fit, MixupAlpha, NetworkKnobs, Recipe, RowWeights, Split
from glassnet.task import Batch, Data, Examples, Look, Outcome, Prediction, Task


class TableRegression(Recipe):
    """The knobs of table regression."""

    target: str = Field(description="Name of the column to predict.")
    network: NetworkKnobs = NetworkKnobs(name="tabm")
    fit: Fit = learners.FIT_FOR_TABLES
    split: Split = learners.SPLIT_FOR_TABLES
    weights: RowWeights = None
    loss: Literal["squared", "absolute", "huber"] = Field(
        "squared",
        description="What is minimized: squared error predicts the mean, absolute error the "
        "median (outliers count less), huber lies between.",
    )
    mixup: MixupAlpha = 0.0


LOSSES: dict[str, Loss] = {
    "squared": losses.squared,
    "absolute": losses.absolute,
    "huber": losses.huber,
}


def fits(look: Look) -> str | None:
    """A target of numbers is to be predicted as a number."""
    is_number = look.kind == "table" and look.details.get("target", {}).get("kind") == "numbers"
    return "the target is a number" if is_number else None


def source(recipe: TableRegression) -> tables.TableSource:
    """Open the table."""
    path = sources.locate(recipe.data)
    return tables.open_table(path, target=recipe.target, kind="numbers", weights=recipe.weights)


def network(recipe: TableRegression, facts: TableFacts) -> nn.Module:
    """The chosen network, with one output: the target, standardized."""
    chosen = build_network(recipe.network, (len(facts.slots),), 1, facts.slots)
    return nn.Sequential(chosen, nn.Flatten(-2))  # (B, 1) -> (B,), or (B, M, 1) -> (B, M)


def learner(recipe: TableRegression, network: nn.Module, data: Data[Batch]) -> learners.Supervised:
    """The chosen loss, on the standardized target."""
    loss = LOSSES[recipe.loss]
    rows = mixing.blend_rows([slot.size > 0 for slot in data.facts.slots])
    mix = mixing.mixup(recipe.mixup, rows, recipe.fit)
    return learners.Supervised(network, loss, recipe.fit, len(data.positions(0)[0]), mix=mix)


def score(network: nn.Module, examples: Examples[Batch], facts: TableFacts) -> Outcome:
    """Answer all examples, in the unit of the target."""
    outcome = learners.score(network, examples)
    return Outcome(in_unit(outcome.outputs, facts), in_unit(outcome.targets, facts))


def in_unit(standardized: Tensor, facts: TableFacts) -> Tensor:
    """Undo the standardization of the target."""
    return standardized.double() * facts.target.std + facts.target.mean


def predict(network: nn.Module, facts: TableFacts, raw: Any) -> Sequence[Prediction]:
    """Answer each row with a number in the unit of the target."""
    names, inputs, problems = tables.read_raw(raw, facts)
    progress.warn(problems)
    where = next(network.parameters()).device
    values = in_unit(learners.answer(network, inputs.to(where)).cpu(), facts)
    return [Prediction(name, value) for name, value in zip(names, values.tolist(), strict=True)]


TASK = Task(
    recipe=TableRegression,
    facts=TableFacts,
    fits=fits,
    source=source,
    network=network,
    fill=learners.fill_for_tables,
    implied=learners.implied_for_tables,
    learner=learner,
    score=score,
    metrics=metrics.REGRESSION,
    predict=predict,
    views={
        "values": views.predicted_and_true,
        "errors": views.largest_errors,
        "columns": views.columns,
    },
    input_names=lambda facts, width: names_of_row(facts.slots, width),
    input_cells=lambda facts, row: decode(row, facts.columns),
    output_names=lambda facts: [facts.target.name],
)
