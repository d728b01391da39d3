"""Figures of the plane: what a network with two numbers as its input answers everywhere."""

# Letters in tensor names: P points of the plane, C classes.

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from glassnet import decisions, linear
from glassnet.figures import Ground, Lines, Series
from glassnet.learners import SCORING_BATCH
from glassnet.task import Batch, Review

CELLS = 90
"""Cells along each side."""
MAX_CLASSES = 6
"""As many as there are colours."""
MAX_POINTS = 1500
FAINT, FULL = 0.06, 0.45
"""Strength of the colour where the network is least and most sure."""
_AXES = "Axes as the network sees them: 0 is a column's median, 1 its interquartile range."


def regions(review: Review[Batch]) -> Lines | None:
    """Draw which class is answered where, with the validation examples; None beyond a plane."""
    points = _points(review)
    if points is None:
        return None
    (left, right), (low, high) = box = _box(points)
    x, y = torch.linspace(left, right, CELLS), torch.linspace(low, high, CELLS)
    grid_P2 = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).view(-1, 2)
    where = next(review.network.parameters()).device
    with torch.inference_mode():
        parts = [review.network(part.to(where)) for part in grid_P2.split(SCORING_BATCH)]
    outputs_PC = torch.cat(parts).float().cpu()
    shares_PC = outputs_PC.softmax(1)
    sure, answer = shares_PC.amax(1), decisions.answers(outputs_PC, review.decision)
    blind = 1 / shares_PC.shape[1]
    strength = FAINT + (FULL - FAINT) * (sure - blind) / (1 - blind)
    ground = Ground(
        *box, answer.view(CELLS, CELLS).tolist(), [_short(r) for r in strength.view(CELLS, CELLS)]
    )
    note = f"The colour is the answer, its strength the certainty. {_AXES}"
    return _figure(review, "What is answered where", points, [], [ground], note)


def moving_line(review: Review[Batch]) -> Lines | None:
    """Draw where the line of a linear network stood at a few moments; None for any other."""
    points = _points(review)
    moments = [row for row in review.history if any(row.get("line", ()))]
    if points is None or not moments or linear.line(review.network) is None:
        return None
    box = _box(points)
    chosen = _spread(moments)
    lines = [
        Series(
            f"step {row['step']:,}",
            *_ends(row["line"], box),
            joined=True,
            dashed=row is not chosen[-1],
        )
        for row in chosen
    ]
    ground = Ground(*box, [[0]], [[0]])  # transparent: it says how far the plane reaches
    note = (
        f"Dashed: where the line was; solid: where it ended, at step {moments[-1]['step']:,}. "
        f"{_AXES}"
    )
    return _figure(review, "The moving line", points, lines, [ground], note)


def _points(review: Review[Batch]) -> Tensor | None:
    """The inputs of the examples (N, 2), if they are two numbers and nothing else."""
    if [slot.size for slot in review.facts.slots] != [0, 0]:  # categories have a size
        return None
    if len(review.facts.classes) > MAX_CLASSES or len(review.examples) == 0:
        return None
    index = torch.arange(min(MAX_POINTS, len(review.examples)), device=review.examples.rows.device)
    return torch.cat([review.examples.batch(i[None]).inputs for i in index]).float().cpu()


def _box(points: Tensor) -> tuple[tuple[float, float], tuple[float, float]]:
    """The extent of the points along both axes, with a margin."""
    low, high = points.amin(0), points.amax(0)
    room = 0.08 * (high - low).clamp(min=1e-3)
    (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
    return (left, right), (bottom, top)


def _figure(
    review: Review[Batch],
    title: str,
    points: Tensor,
    lines: list[Series],
    grounds: list[Ground],
    note: str,
) -> Lines:
    truth = review.outcome.targets[: len(points)]
    clouds = [
        Series(name, *points[truth == number].T.tolist())
        for number, name in enumerate(review.facts.classes)
    ]
    first, second = (slot.name for slot in review.facts.slots)
    return Lines(
        title,
        [*clouds, *lines],
        x_label=first,
        y_label=second,
        mode="points",
        grounds=grounds,
        note=note,
    )


def _spread(moments: list[Any]) -> list[Any]:
    """The first moment, the last, and two between them, evenly over those that moved the line."""
    moments = [moments[0], *(b for a, b in pairwise(moments) if a["line"] != b["line"])]
    last = len(moments) - 1
    return [moments[i] for i in sorted({0, last // 3, 2 * last // 3, last})]


def _ends(
    line: list[float], box: tuple[tuple[float, float], tuple[float, float]]
) -> tuple[list[float], list[float]]:
    """Where the line w1 x + w2 y + b = 0 enters and leaves the box; nothing if it misses it."""
    w1, w2, b = line
    (left, right), (low, high) = box
    found = [(x, -(w1 * x + b) / w2) for x in (left, right) if w2]
    found += [(-(w2 * y + b) / w1, y) for y in (low, high) if w1]
    inside = [(x, y) for x, y in found if left <= x <= right and low <= y <= high]
    xs, ys = zip(*(inside[:1] + inside[-1:]), strict=True) if inside else ((), ())
    return list(xs), list(ys)


def _short(row: Tensor) -> list[float]:
    return [round(value, 2) for value in row.tolist()]
