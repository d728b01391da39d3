"""Whether the parts that the data bring were drawn alike: can a model tell them apart?

The classifier two-sample test (Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample
Tests"): trees learn to tell training rows from test rows; in rows that they did not see, an area
under the ROC curve of 0.5 says that the parts are alike. Single columns are compared by the
largest difference of their distribution functions (Kolmogorov and Smirnov), categories by half
the sum of the differences of their shares (total variation); both lie between 0 and 1.

Only inputs are looked at. Nothing is trained here that answers anything, so the test stays sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.doctor import quick
from glassnet.data.doctor.sheet import PARTS, TEST, TRAIN, VALIDATION, Sheet, numbers_of, sample
from glassnet.task import Problem

Array = NDArray[Any]

TOLD_APART = 0.6
"""Area under the ROC curve, at the lower end of its 95 % interval, that is reported."""
MOVED = 0.1
"""Difference of a single column that is named, if chance does not explain it."""
FEWEST = 50
"""Rows that each part must have."""


def check(sheet: Sheet, most: int, count: int) -> Iterator[Problem]:
    """Compare each part that the data bring with training, on ``most`` rows of both together."""
    if not sheet.brought or not sheet.used:
        return
    for part in (TEST, VALIDATION):
        there, here = (np.flatnonzero(sheet.parts == p) for p in (TRAIN, part))
        if min(len(there), len(here)) < FEWEST:
            continue
        rows = np.concatenate([side[sample(len(side), most // 2)] for side in (there, here)])
        x, is_category = numbers_of(sheet.frame[rows], sheet.used)
        names = [column.name for column in sheet.used]
        yield from compare(
            sheet.origin, part, x, is_category, names, sheet.parts[rows] == part, count
        )


def compare(
    origin: str, part: int, x: Array, is_category: Array, names: Sequence[str], new: Array,
    count: int,
) -> Iterator[Problem]:  # fmt: skip
    """``x`` (N, C) of two parts, ``new`` (N,) tells the later one: what has moved, if anything."""
    p = quick.probabilities(x, is_category, new.astype(np.int64), 2, count)[:, 1]
    area, error = quick.auc(p, new)
    if area - 1.96 * error < TOLD_APART:
        return
    moved = _moved(x, is_category, names, new)
    yield Problem(
        f"{origin}: {PARTS[part]} part",
        f"differs from training: a quick model tells their inputs apart with AUC {area:.3f} "
        f"(95 % interval {max(area - 1.96 * error, 0):.3f} to {min(area + 1.96 * error, 1):.3f}; "
        "0.5 is alike)"
        + (f", most by {', '.join(repr(name) for name, *_ in moved[:3])}" if moved else ""),
        "figures of the parts will differ; if the use will be like this part, add rows like it to "
        "training. A column that numbers the rows or tells the time may be left out",
        kind="drift",
        level="serious" if area >= 0.8 else "warning",
        items=tuple(f"{name}: {how} {size:.3f}" for name, size, how in moved),
    )


def _moved(
    x: Array, is_category: Array, names: Sequence[str], new: Array
) -> list[tuple[str, float, str]]:
    """Columns that moved more than chance explains: name, by how much, by which measure."""
    from scipy.stats import ks_2samp

    # The 99 % point of either measure under no drift, divided among the columns.
    noise = np.sqrt(np.log(2 * len(names) / 0.01) / 2 * (1 / new.sum() + 1 / (~new).sum()))
    found = []
    for k, name in enumerate(names):
        a, b = x[~new, k], x[new, k]
        lost = abs(float(np.isnan(a).mean() - np.isnan(b).mean()))
        if is_category[k]:
            size, how, limit = _total_variation(a, b), "total variation", 2 * noise
        else:
            a, b = a[~np.isnan(a)], b[~np.isnan(b)]
            some = len(a) and len(b)
            size, how, limit = float(ks_2samp(a, b).statistic) if some else 0.0, "KS", noise
        if lost > size:
            size, how, limit = lost, "share of missing cells", noise
        if size > max(MOVED, limit):
            found.append((name, size, how))
    return sorted(found, key=lambda item: -item[1])


def _total_variation(a: Array, b: Array) -> float:
    levels = np.unique(np.concatenate([a, b]))
    levels = levels[~np.isnan(levels)]
    shares = [(side[:, None] == levels).mean(axis=0) for side in (a, b)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
