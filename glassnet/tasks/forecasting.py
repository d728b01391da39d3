"""Forecasting: how do measured series go on? Every step ahead, with intervals that hold.

Data: a table with a column of time stamps and one or many columns of numbers, several series below
each other, a folder with a table for each series, or .tsf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from glassnet import learners
from glassnet.data import sources, timeline, timelineraw
from glassnet.data.timeline import TimelineFacts, Windows
from glassnet.data.timelineplan import Wishes
from glassnet.forecasts import (
    baselines,
    fitting,
    intervals,
    metrics,
    regression,
    scoring,
    seen,
    views,
)
from glassnet.forecasts.intervals import Calibration
from glassnet.network import build_network
from glassnet.recipe import Fit, NetworkKnobs, Recipe, Split
from glassnet.task import Data, Look, Outcome, Prediction, Reading, Task


class Forecasting(Recipe):
    """The knobs of forecasting."""

    network: NetworkKnobs = NetworkKnobs(name="dlinear")
    fit: Fit = Fit()
    split: Split = Split()
    time: str | None = Field(
        None,
        description="The column of time stamps. Unset: the one that holds dates; without any, each "
        "row is a step.",
    )
    series: str | None = Field(
        None,
        description="The column that says which series a row belongs to, where several stand below "
        "each other. Unset: found where stamps repeat.",
    )
    target: list[str] | str | None = Field(
        None, description="The columns to forecast, as OT or OT,HUFL. Unset: all that hold numbers."
    )
    known: list[str] | str | None = Field(
        None,
        description="Columns that are known in the future too, such as prices, plans, holidays. "
        "What is predicted then needs them in rows whose targets are empty.",
    )
    past: list[str] | str | None = Field(
        None,
        description="Columns that are not forecast, but whose past may help. Each one more can "
        "also hurt: compare.",
    )
    horizon: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="How many steps are forecast. Unset: one season, or what people plan for (24 "
        "hours, a week, a year of months).",
    )
    context: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="How many steps of the past are looked at. Unset: two of the longest seasons, "
        "or 3.5 horizons if that is more; at most 512 or a third of the training rows.",
    )
    frequency: str | None = Field(
        None,
        description="The calendar: hour, 15 minutes, day, working day, week, month …; rows that "
        "fall into one step are averaged. row: each row is a step. Unset: found in the stamps.",
    )
    parts: tuple[int, int, int] | None = Field(
        None,
        description="Steps of train, validation and test from the first step on, as "
        "8640,2880,2880; what follows is not used. Unset: by split.test and split.validation.",
    )
    loss: Literal["squared", "absolute"] = Field(
        "squared",
        description="What is minimized: squared error forecasts the mean, absolute error the "
        "median (outliers count less). The quantiles' own loss is added.",
    )

    @model_validator(mode="after")
    def _time_is_cut_once(self) -> Self:
        if self.split.mode in ("redrawn", "kfold"):
            raise ValueError(
                f"split.mode={self.split.mode} draws windows at random, and windows overlap: what "
                "is validated on would have been learned before. Use rolling or fixed"
            )
        if self.split.per_class is not None:
            raise ValueError(
                f"split.per_class={self.split.per_class} is for classes, and a forecast has none; "
                "unset it"
            )
        return self


def names(given: list[str] | str | None) -> tuple[str, ...]:
    """One column or several, as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given or ())


def fits(look: Look) -> str | None:
    """What is measured over time is to be continued."""
    return "columns of numbers over time" if look.kind == "timeline" else None


def source(recipe: Forecasting) -> timeline.TimelineSource:
    """Open the series."""
    wishes = Wishes(
        time=recipe.time,
        series=recipe.series,
        frequency=recipe.frequency,
        target=names(recipe.target),
        known=names(recipe.known),
        past=names(recipe.past),
        horizon=recipe.horizon,
        context=recipe.context,
        parts=recipe.parts,
        test=recipe.split.test,
        validation=recipe.split.validation,
        cut=recipe.split.mode == "fixed",
    )
    return timeline.open_timeline(sources.locate(recipe.data), wishes)


def network(recipe: Forecasting, facts: TimelineFacts) -> nn.Module:
    """The chosen network, with an output for each quantile."""
    return build_network(
        recipe.network,
        (len(facts.channels), facts.context + facts.horizon),
        len(scoring.LEVELS),
        reads="forecast",
        variables=len(facts.target),
        horizon=facts.horizon,
    )


def learner(recipe: Forecasting, network: nn.Module, data: Data[Windows]) -> learners.Supervised:
    """The error of the forecast and of its quantiles, in standard deviations."""
    loss = scoring.loss(recipe.loss)
    return learners.Supervised(network, loss, recipe.fit, len(data.positions(0)[0]))


def decide(recipe: Forecasting, facts: TimelineFacts, outcome: Outcome | None) -> Any:
    """Calibrate the intervals on the validation windows."""
    return None if outcome is None else intervals.calibrate(outcome)


def reading(facts: TimelineFacts, decision: Calibration | None) -> Reading:
    """All figures, and what they are measured in."""
    about = "" if decision is None else f" Intervals were {decision.rule}."
    return Reading(metrics.FORECASTS, (metrics.EXPLAINED + about,), ("latest", "typical"))


def predict(
    network: nn.Module, facts: TimelineFacts, raw: Any, decision: Calibration | None = None
) -> Sequence[Prediction]:
    """Continue each history by the horizon, with intervals, in the unit of the variables."""
    read = timelineraw.read(raw, facts)
    where = next(network.parameters()).device
    examples = read.examples(facts, past=decision is not None)
    outcome = scoring.score(network, examples.to(where), facts)
    if decision is not None:
        outcome = decision.apply(outcome)
    return [
        Prediction(name, timelineraw.told(facts, step, scoring.table(outcome[row])))
        for name, row, step in read.last(examples)
    ]


TASK = Task(
    recipe=Forecasting,
    facts=TimelineFacts,
    fits=fits,
    source=source,
    network=network,
    fill=fitting.fill,
    start=regression.start,
    start_answers=True,
    learner=learner,
    score=scoring.score,
    metrics=metrics.FORECASTS,
    chosen_by=("mse", "mae"),
    baselines=baselines.BASELINES,
    decide=decide,
    decision=Calibration,
    reading=reading,
    predict=predict,
    views=views.VIEWS,
    input_names=lambda facts, width: facts.channels,
    axes=seen.axes,
    output_names=lambda facts: facts.target,
)
