"""Forecasts to look at: single windows with their intervals, and where the errors are."""

# Letters in tensor names: N windows, V variables, H horizon, Q quantiles.

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from glassnet.figures import Figure, Lines, Mark, Series, Table
from glassnet.forecasts.scoring import LEVELS, MIDDLE, PAIRS, in_unit, truth
from glassnet.task import Outcome, Review

SHOWN = 4
"""Variables that are drawn."""
BEFORE = 3
"""Horizons of the past that are drawn before a forecast."""
WORST = 20
POINTS = 400
"""Points of a curve over time."""


def typical(review: Review[Any]) -> Figure | None:
    """The window whose error is the median one."""
    return _window(review, 0.5, "A typical forecast")


def worst(review: Review[Any]) -> Figure | None:
    """The window with the largest error."""
    return _window(review, 1.0, "The worst forecast")


def latest(review: Review[Any]) -> Figure | None:
    """The last window whose truth is known."""
    errors = _errors(review.outcome).nanmean(2)
    there = errors[:, 0].isfinite().nonzero().flatten()
    return _draw(review, int(there[-1]), 0, "The last forecast") if len(there) else None


def _window(review: Review[Any], share: float, title: str) -> Figure | None:
    """Of the variable that is hardest to forecast, the window at this share of all errors."""
    errors_NV = _errors(review.outcome).nanmean(2)
    variable = int(errors_NV.nanmean(0).nan_to_num().argmax())
    errors = errors_NV[:, variable]
    there = errors.isfinite().nonzero().flatten()
    if not len(there):
        return None
    order = there[errors[there].argsort()]
    row = int(order[min(len(order) - 1, int(share * len(order)))])
    return _draw(review, row, variable, title)


def _draw(review: Review[Any], row: int, variable: int, title: str) -> Lines:
    outcome, facts = review.outcome, review.facts
    horizon, name = facts.horizon, facts.target[variable]
    where: Any = review.examples.rows.device
    batch: Any = review.examples.batch(torch.tensor([row], device=where))
    mean, std = outcome.targets[row, variable, 0, 1:3].tolist()
    past = batch.inputs[0, variable, :-horizon].cpu().double() * std + mean
    past = past[-BEFORE * horizon :]
    one = outcome[row : row + 1]
    values_HQ = torch.stack(
        [in_unit(one.outputs[..., q], one)[0, variable] for q in range(len(LEVELS))], -1
    )
    came = in_unit(truth(one), one)[0, variable]
    ahead = list(range(1, horizon + 1))
    series = [
        Series("the past", list(range(1 - len(past), 1)), past.tolist()),
        Series("what came", ahead, came.tolist()),
        Series(
            "forecast, 90 % interval", ahead, values_HQ[:, MIDDLE].tolist(), dashed=True,
            low=values_HQ[:, 0].tolist(), high=values_HQ[:, -1].tolist(),
        ),
    ]  # fmt: skip
    return Lines(
        f"{title}: {name} {review.name(row)}",
        series,
        x_label=f"steps ahead ({facts.calendar.name})",
        y_label=name,
        marks=[Mark(0.5, "now")],
    )


def by_step(review: Review[Any]) -> Figure | None:
    """How the error grows with the step ahead."""
    errors_NVH = _errors(review.outcome)
    ahead = list(range(1, errors_NVH.shape[2] + 1))
    names = review.facts.target
    series = []
    if len(names) > 1:
        series.append(Series("all variables", ahead, errors_NVH.nanmean((0, 1)).tolist()))
    for variable, name in enumerate(names[:SHOWN]):
        series.append(Series(name, ahead, errors_NVH[:, variable].nanmean(0).tolist()))
    return Lines(
        "Error by steps ahead",
        series,
        x_label="steps ahead",
        y_label="mean absolute error, standard deviations",
    )


def reliability(review: Review[Any]) -> Figure | None:
    """How often the truth lies below each quantile, and how often it should."""
    y, outputs = truth(review.outcome), review.outcome.outputs
    there = ~y.isnan()
    found = [
        float(((y <= outputs[..., q]) & there).sum() / there.sum()) for q in range(len(LEVELS))
    ]
    covered = [
        f"{LEVELS[high] - LEVELS[low]:.0%} intervals hold "
        f"{float(((y >= outputs[..., low]) & (y <= outputs[..., high])).sum() / there.sum()):.1%}"
        for low, high in PAIRS
    ]
    return Lines(
        "Do the quantiles hold what they promise?",
        [Series("measured", LEVELS, found)],
        x_label="share that should lie below",
        y_label="share that does",
        diagonal=True,
        note=f"{'; '.join(covered)}. On the diagonal is best.",
    )


def over_time(review: Review[Any]) -> Figure | None:
    """The error and the coverage of each window, in order of time."""
    assert review.outcome.moments is not None
    moments, calendar = review.outcome.moments, review.facts.calendar
    errors = _errors(review.outcome).nanmean((1, 2))
    order = moments[:, 1].argsort(stable=True)
    pieces = order.tensor_split(min(POINTS, len(order)))
    means = [float(errors[piece].nanmean()) for piece in pieces]
    first, last = (calendar.written(np.array([int(moments[order[end], 1])]))[0] for end in (0, -1))
    return Lines(
        "Error over time",
        [Series("mean absolute error", list(range(1, len(means) + 1)), means)],
        x_label=f"windows from {first} to {last}",
        y_label="standard deviations",
        note="Where it rises, the series has changed: train again with later rows.",
    )


def residuals(review: Review[Any]) -> Figure | None:
    """Whether the errors one step ahead follow from each other: then something was left unused."""
    y = truth(review.outcome)[:, :, 0]
    away_NV = y - review.outcome.outputs[:, :, 0, MIDDLE]
    most = min(3 * max(review.facts.season, 8), len(away_NV) // 3, 200)
    if most < 4:
        return None
    series = []
    for variable, name in enumerate(review.facts.target[:SHOWN]):
        flat = (away_NV[:, variable] - away_NV[:, variable].nanmean()).nan_to_num()
        total = flat.square().sum().clamp(min=1e-12)
        values = [float((flat[lag:] * flat[:-lag]).sum() / total) for lag in range(1, most + 1)]
        series.append(Series(name, list(range(1, most + 1)), values))
    chance = 1.96 / len(away_NV) ** 0.5
    return Lines(
        "Do errors follow from each other?",
        series,
        x_label="steps between two errors, one step ahead",
        y_label="autocorrelation",
        note=f"Within ± {chance:.2f} is chance. Peaks at a season: it is not used up; try a longer "
        "--context.",
    )


def worst_windows(review: Review[Any]) -> Figure | None:
    """The windows with the largest errors."""
    errors_NV = _errors(review.outcome).nanmean(2).nan_to_num()
    order = errors_NV.amax(1).argsort(descending=True)[:WORST].tolist()
    rows = [
        [review.name(row), review.facts.target[int(errors_NV[row].argmax())],
         float(errors_NV[row].max())]
        for row in order
    ]  # fmt: skip
    columns = ["window", "variable", "mean absolute error, standard deviations"]
    return Table("The windows with the largest errors", columns, rows)


def _errors(outcome: Outcome) -> Tensor:
    """Absolute errors (N, V, H) in standard deviations; NaN where nothing was measured."""
    return (truth(outcome) - outcome.outputs[..., MIDDLE]).abs()


VIEWS = {
    "latest": latest,
    "typical": typical,
    "worst": worst,
    "by_step": by_step,
    "reliability": reliability,
    "over_time": over_time,
    "residuals": residuals,
    "worst_windows": worst_windows,
}
