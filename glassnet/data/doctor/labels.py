"""Answers that are probably wrong: what a model thinks of rows that it was not trained on.

For classes, confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels"): with out-of-fold probabilities p, the threshold of a class is the
mean of its own p over the rows that are labelled so; a row is suspicious if another class passes
its threshold and its own does not win. Where classes overlap, that names rows that are merely
hard; so, unlike the paper, we ask in addition that the model be nearly sure (SURE, DOUBT).

For numbers: residuals against their spread among rows with a like prediction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.doctor import quick
from glassnet.data.doctor.effort import counted
from glassnet.data.doctor.sheet import Sheet, numbers_of, sample
from glassnet.task import Problem

Array = NDArray[Any]

SURE = 0.9
"""Probability that the suggested class must have."""
DOUBT = 0.05
"""Probability that the given class may have."""
MANY = 0.015
"""Share of suspicious labels that is worth a warning, even if the classes overlap so much."""
ABLE = 0.6
"""Share of right answers below which a quick model has no say about labels."""
FAR = 8.0
"""Residual, in robust standard deviations of its neighbourhood, that is suspicious."""
FEWEST = 60
"""Rows below which a cross-validated model says too little."""


def check(sheet: Sheet, most: int, count: int) -> Iterator[Problem]:
    """Suspicious answers among ``most`` of the rows outside of the test, by ``count`` folds."""
    if sheet.answers is None or not sheet.used or len(sheet.labelled) < FEWEST:
        return
    rows = sheet.labelled[sample(len(sheet.labelled), most)]
    x, is_category = numbers_of(sheet.frame[rows], sheet.used)
    y = sheet.answers[rows]
    looked = f" among {len(rows):,} rows drawn" if len(rows) < len(sheet.labelled) else ""
    if sheet.kind == "categories":
        p = quick.probabilities(x, is_category, y, len(sheet.classes), count)
        yield from suspicious_classes(sheet, rows, p, looked)
    else:
        yield from _suspicious_numbers(sheet, rows, quick.numbers(x, is_category, y, count), looked)


def suspects(p: Array, y: Array) -> tuple[Array, Array]:
    """Positions of suspicious labels, the worst first, and the classes suggested instead.

    ``p`` (N, K) are probabilities for rows that the model was not trained on.
    """
    own = p[np.arange(len(y)), y]
    sizes = np.bincount(y, minlength=p.shape[1])
    thresholds = np.bincount(y, own, minlength=p.shape[1]) / np.maximum(sizes, 1)
    thresholds[sizes == 0] = np.inf
    passing = np.where(p >= thresholds, p, 0)
    best = passing.argmax(axis=1)
    found = (best != y) & (passing.max(axis=1) >= SURE) & (own <= DOUBT)
    order = np.argsort(own - p.max(axis=1), kind="stable")
    worst = order[found[order]]
    return worst, best[worst]


def expected(p: Array) -> float:
    """How many right labels would look suspicious, if the probabilities are to be believed."""
    sure = p.max(axis=1, keepdims=True) >= SURE
    return float((p * (sure & (p <= DOUBT))).sum())


def suspicious_classes(sheet: Any, rows: Array, p: Array, looked: str) -> Iterator[Problem]:
    """What is said of suspicious labels of rows (or images), with the class suggested."""
    y = np.asarray(sheet.answers)[rows]
    right, by_chance = float((p.argmax(axis=1) == y).mean()), expected(p)
    if right < ABLE:
        yield Problem(
            sheet.origin,
            f"labels could not be checked: a quick model is right for {right:.1%} only",
            "nothing to do; look at the worst mistakes in the report of a run",
            kind="suspicious labels",
            level="note",
        )
        return
    worst, best = suspects(p, y)
    if not len(worst):
        return
    overlap = len(worst) <= by_chance + 2 * np.sqrt(by_chance) and len(worst) < MANY * len(y)
    about = f"; classes that overlap as these do would give about {by_chance:.0f}"
    about = about if by_chance >= 1 else ""
    yield Problem(
        f"{sheet.origin}: {sheet.target}" if sheet.target else sheet.origin,
        f"{counted(len(worst), 'label')} looking wrong{looked}: a quick model that did not "
        f"see them, and is right for {right:.1%}, is sure of another class{about}",
        "look at them, the worst first; not all of them are wrong",
        kind="suspicious labels",
        level="note" if overlap else "warning",
        items=tuple(
            f"{sheet.name(int(rows[k]))}: given {sheet.classes[y[k]]!r} ({p[k, y[k]]:.1%}), "
            f"suggested {sheet.classes[b]!r} ({p[k, b]:.1%})"
            for k, b in zip(worst, best, strict=True)
        ),
        rows=tuple((int(rows[k]),) for k in worst),
    )


def _suspicious_numbers(
    sheet: Sheet, rows: Array, predicted: Array, looked: str
) -> Iterator[Problem]:
    assert sheet.answers is not None
    y = sheet.answers[rows]
    far = outlying(predicted, y)
    worst = np.argsort(-np.abs(far), kind="stable")[: int((np.abs(far) > FAR).sum())]
    if not len(worst):
        return
    total = ((y - y.mean()) ** 2).sum()
    share = 1 - float(((y - predicted) ** 2).sum() / total) if total > 0 else 0.0
    yield Problem(
        f"{sheet.origin}: {sheet.target}",
        f"{counted(len(worst), 'answer')} more than {FAR:.0f} robust standard deviations{looked} "
        f"from what a quick model (R² {share:.3f}) that did not see them expects",
        "look at them, the worst first: a slip of the pen, a wrong unit, or a rare case",
        kind="suspicious labels",
        items=tuple(
            f"{sheet.name(int(rows[k]))}: given {y[k]:g}, expected about {predicted[k]:g}"
            for k in worst
        ),
        rows=tuple((int(rows[k]),) for k in worst),
    )


def outlying(predicted: Array, y: Array) -> Array:
    """Residuals (N,) over the robust spread of residuals among rows with a like prediction."""
    residual = y - predicted
    order = np.argsort(predicted, kind="stable")
    far = np.empty(len(y))
    for block in np.array_split(order, max(1, min(10, len(y) // 100))):
        centre = np.median(residual[block])
        spread = 1.4826 * np.median(np.abs(residual[block] - centre))
        far[block] = (residual[block] - centre) / max(spread, 1e-12 * (1 + np.abs(y).max()))
    return far
