"""Figures of series: what the classes look like, and the answers with the largest errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from glassnet.figures import Images, Lines, Picture, Series, png
from glassnet.metrics import answered
from glassnet.signals.warping import thinned
from glassnet.task import Axes, Review

LOOKED_AT = 300
"""Series of which one is chosen for each class."""
MOST_CLASSES = 10
MOST_POINTS = 400
NUM_PICTURES = 24
HEIGHT, WIDTH = 96, 192
COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14))


def classes(review: Review[Any]) -> Lines:
    """Draw the most typical series of each class: the one nearest to the mean of its class."""
    count = min(len(review.examples), LOOKED_AT)
    first = [_one(review, position) for position in range(count)]
    inputs_BT = pad_sequence([one_CT[0] for one_CT in first], True, torch.nan)
    targets = review.outcome.targets[:count]
    drawn = []
    for number, name in enumerate(review.facts.classes[:MOST_CLASSES]):
        mine_BT = inputs_BT[targets == number]
        if not len(mine_BT):
            continue
        error_B = (mine_BT - mine_BT.nanmean(0)).square().nanmean(1)
        one_T = mine_BT[error_B.nan_to_num(torch.inf).argmin()]
        every = -(-len(one_T) // MOST_POINTS)
        values = thinned(one_T[None, None], every)[0, 0]
        steps = [1 + step * every for step in range(len(values))]
        drawn.append(Series(name, steps, values.tolist()))
    channel = review.facts.channels[0]
    return Lines(
        "The most typical series of each class",
        drawn,
        x_label="step",
        y_label=f"{channel}, scaled",
    )


def mistaken(review: Review[Any]) -> Images:
    """Draw the answers with the largest errors first, whether wrong or only unsure."""
    shares = review.outcome.outputs.double().softmax(1)
    given = shares.gather(1, review.outcome.targets[:, None])[:, 0]
    order = given.argsort()[:NUM_PICTURES].tolist()
    pictures = [_picture(review, position, shares[position].tolist()) for position in order]
    return Images("Answers from the largest error down", pictures)


def _picture(review: Review[Any], position: int, shares: list[float]) -> Picture:
    signal_CT = _one(review, position)
    names = review.facts.classes
    truth = int(review.outcome.targets[position])
    answer = int(answered(review.outcome)[position])
    caption = (
        f"{names[truth]}, {shares[truth]:.0%}"
        if truth == answer
        else f"{names[answer]}, {shares[answer]:.0%}; truly {names[truth]}"
    )
    drawn = png(sketch(signal_CT.numpy()))
    return Picture(drawn, f"{review.name(position)}: {caption}")


def _one(review: Review[Any], position: int) -> Tensor:
    """The signal (C, T) of an example; one by one, since those of k folds have no common batch."""
    at = torch.tensor([position], device=review.examples.rows.device)
    signals: Tensor = review.examples.batch(at).inputs
    return signals[0].cpu()


def sketch(series: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A small picture of a series (channels, steps): each channel a line of its own colour."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    known = series[~np.isnan(series)]
    if not len(known):
        return image
    low, high = float(known.min()), float(known.max())
    places = np.linspace(0, series.shape[1] - 1, WIDTH)
    for channel, values in reversed(list(enumerate(series[: len(COLOURS)]))):
        there = np.flatnonzero(~np.isnan(values))
        if not len(there):
            continue
        heights = (np.interp(places, there, values[there]) - low) / max(high - low, 1e-12)
        rows = np.rint((1 - heights) * (HEIGHT - 5)).astype(int) + 2
        for column, row in enumerate(rows):
            before = rows[max(0, column - 1)]
            image[min(row, before) - 1 : max(row, before) + 1, column] = COLOURS[channel]
    return image


def axes(facts: Any, _network: nn.Module) -> Axes:
    """How people read series: in the unit of each channel, where all were scaled alike."""
    scale = list(zip(facts.deviations, facts.means, strict=True))
    return Axes(facts.channels, first=1, scale=scale if facts.scale == "channel" else ())
