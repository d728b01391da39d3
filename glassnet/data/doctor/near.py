"""Rows that are nearly equal: nearer than chance explains.

Around any row, the distances r1 <= r2 <= … to its neighbours obey
P(r1 / rk < e) = 1 - (1 - e^m)^(k-1), whatever the density is there, if the data have m dimensions
nearby (Levina and Bickel 2005, "Maximum likelihood estimation of intrinsic dimension"; Facco et
al. 2017 for k = 2). m is estimated from the data themselves, and e is set so that data without
copies give about one false alarm in a hundred data sets. Columns with few values need a second
rule, see ``_Chance``.

Legend: N rows, C columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassnet.data.doctor.effort import counted
from glassnet.data.doctor.sheet import Sheet, numbers_of, sample
from glassnet.progress import tell
from glassnet.task import Problem

Array = NDArray[Any]

NEIGHBOURS = 10
"""The k of rk: copies in groups of up to so many are found."""
FALSE_ALARMS = 0.01
"""Pairs that data without copies may give."""
NEAREST = 0.1
"""No pair is called near whose distance is a larger share of rk, whatever chance says."""


def check(sheet: Sheet, group: Array, most: int) -> Iterator[Problem]:
    """Nearly equal pairs among ``most`` rows, one of each ``group`` (N,) of equal ones."""
    _, one_of_each = np.unique(group, return_index=True)
    rows = np.sort(one_of_each)[sample(len(one_of_each), most)]
    chance = _Chance(sheet.inputs[rows], *numbers_of(sheet.frame[rows], sheet.used))
    told = []
    for a, b in pairs(chance.points())[:MOST_NEAR]:
        differ = chance.differing(a, b)
        if chance.chances(a, b, differ) <= CHANCE:
            one, other = int(rows[a]), int(rows[b])
            told.append((one, other, _difference(sheet, one, other, differ)))
    if told:
        looked = f" among {len(rows):,} rows drawn" if len(rows) < len(one_of_each) else ""
        yield problem_of(sheet, told, looked)


MOST_NEAR = 1000
"""Pairs that are looked at one by one."""
CHANCE = 0.05
"""Pairs as near as one that is reported, which chance would give."""


class _Chance:
    """How many pairs of rows would agree as well as a given one without being copies.

    That is the number of pairs that agree in the other columns, times the share of all pairs that
    come as near in those in which these two differ.
    """

    def __init__(self, frame: pl.DataFrame, x: Array, is_category: Array) -> None:
        self.x, self.is_category = x, is_category
        hashes = [cells.hash(seed=k).to_numpy() for k, cells in enumerate(frame)]
        self.hashes = np.stack(hashes, axis=1)
        self.whole = self.hashes.sum(axis=1, dtype=np.uint64)  # wraps around, as it should
        self.ordered = [np.sort(column[~np.isnan(column)]) for column in x.T]

    def differing(self, a: int, b: int) -> list[int]:
        return np.flatnonzero(self.hashes[a] != self.hashes[b]).tolist()

    def chances(self, a: int, b: int, differ: Sequence[int]) -> float:
        rest = self.whole - self.hashes[:, list(differ)].sum(axis=1, dtype=np.uint64)
        sizes = np.unique(rest, return_counts=True)[1].astype(float)
        found = float((sizes * (sizes - 1)).sum()) / 2
        for column in differ:
            found *= self._share(column, abs(self.x[a, column] - self.x[b, column]))
        return found

    def _share(self, column: int, distance: float) -> float:
        """The share of all pairs that differ by no more than this in a column."""
        if self.is_category[column] or np.isnan(distance):
            return 1.0
        values = self.ordered[column]
        upper = np.searchsorted(values, values + distance, side="right")
        within = (upper - np.arange(len(values)) - 1).sum()
        return float(within / max(len(values) * (len(values) - 1) / 2, 1))

    def points(self) -> Array:
        """Rows as points: numbers by their spread, other levels of a category at distance one."""
        blocks = [
            _level_points(column, self.hashes[:, k]) if category else _number_points(column)
            for k, (column, category) in enumerate(zip(self.x.T, self.is_category, strict=True))
        ]
        return np.concatenate(blocks, axis=1).astype(np.float32)


def _number_points(column: Array) -> Array:
    gone = np.isnan(column)
    if gone.all() or np.nanstd(column) == 0:
        return np.zeros((len(column), 1))
    scaled = (column - np.nanmean(column)) / np.nanstd(column)
    return np.where(gone, -3.0, np.clip(scaled, -10, 10))[:, None]


def _level_points(column: Array, hashed: Array) -> Array:
    """Corners of a simplex; of many levels, random directions, which are nearly one."""
    found, position = np.unique(hashed, return_inverse=True)
    if len(found) <= 32:
        eye: Array = np.eye(len(found))[position] / np.sqrt(2)
        return eye
    corners = np.random.default_rng(0).standard_normal((len(found), 32))
    corners /= np.linalg.norm(corners, axis=1, keepdims=True) * np.sqrt(2)
    return np.asarray(corners[position])


def problem_of(sheet: Any, told: Sequence[tuple[int, int, str]], looked: str) -> Problem:
    """What is said of pairs that are nearly equal."""
    across = sum(sheet.parts[a] != sheet.parts[b] for a, b, _ in told)
    return Problem(
        sheet.origin,
        f"{counted(len(told), 'pair')} nearly equal{looked}, {across:,} in different parts",
        "if they are copies of one case, keep one of them, or keep them in the same part",
        kind="near duplicates",
        level="warning" if across else "note",
        items=tuple(f"{sheet.name(a)} ~ {sheet.name(b)}: {d}" for a, b, d in told),
        rows=tuple((a, b) for a, b, _ in told),
    )


def pairs(x: Array, limit: float = NEAREST, told: str = "comparing rows") -> list[tuple[int, int]]:
    """Pairs of points that are nearer than chance explains, the nearest first.

    ``limit`` is the largest share of the distance to the tenth neighbour; ``told`` names the work.
    """
    k = NEIGHBOURS
    if len(x) < 3 * k:
        return []
    r, neighbour = neighbours(x, k, told)
    positive = r[:, 0] > 0
    with np.errstate(divide="ignore"):
        logs = np.log(r[:, -1:] / np.maximum(r[:, 1:-1], 1e-30))
    m = 1 / max(float(np.median(logs.mean(axis=1)[positive])), 1e-6) if positive.any() else 1.0
    limit = min(limit, (FALSE_ALARMS / (len(x) * (k - 1))) ** (1 / m))
    ratio = r[:, 0] / np.maximum(r[:, -1], 1e-30)
    found: dict[tuple[int, int], float] = {}
    for a in np.flatnonzero(ratio < limit):
        b = int(neighbour[a, 0])
        pair = (min(int(a), b), max(int(a), b))
        found[pair] = min(ratio[a], found.get(pair, 1.0))
    return sorted(found, key=lambda pair: found[pair])


def neighbours(x: Array, k: int, told: str) -> tuple[Array, Array]:
    """Distances (N, k), ascending, and positions of the k nearest other points."""
    points = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    points = points - points.mean(dim=0)
    squares = (points**2).sum(dim=1)
    near = torch.empty((len(points), k))
    which = torch.empty((len(points), k), dtype=torch.int64)
    for start in range(0, len(points), 1024):
        tell(told, start, len(points))
        chunk = slice(start, min(start + 1024, len(points)))
        d2 = squares[chunk, None] + squares - 2 * points[chunk] @ points.T
        d2[torch.arange(d2.shape[0]), torch.arange(chunk.start, chunk.stop)] = torch.inf
        found = _smallest(d2, k)
        # Once more by differences: squares of norms leave no digits for points that nearly agree.
        exact = (points[found] - points[chunk, None]).norm(dim=2)
        near[chunk], order = exact.sort(dim=1)
        which[chunk] = found.gather(1, order)
    return near.numpy().astype(np.float64), which.numpy()


def _smallest(values: Tensor, k: int, width: int = 64) -> Tensor:
    """Positions of the k smallest of each row; they lie in the k blocks with smallest minima.

    Looking for blocks first is several times faster than ``topk`` over long rows.
    """
    if values.shape[1] < 4 * k * width:
        return values.topk(k, dim=1, largest=False).indices
    padded = _padded(values, width)
    blocks = padded.view(len(values), -1, width)
    best = blocks.amin(dim=2).topk(k, dim=1, largest=False).indices
    inside = blocks.gather(1, best[:, :, None].expand(-1, -1, width)).flatten(1)
    chosen = inside.topk(k, dim=1, largest=False).indices
    return best.gather(1, chosen // width) * width + chosen % width


def _padded(values: Tensor, width: int) -> Tensor:
    """Fill rows up to a multiple of ``width`` with infinity."""
    from torch.nn.functional import pad

    return pad(values, (0, -values.shape[1] % width), value=float("inf"))


def _difference(sheet: Sheet, a: int, b: int, differ: Sequence[int]) -> str:
    """In what two rows differ."""
    one, other, names = sheet.inputs.row(a), sheet.inputs.row(b), sheet.inputs.columns
    more = f" and {len(differ) - 4} more" if len(differ) > 4 else ""
    return ", ".join(f"{names[k]} {one[k]} / {other[k]}" for k in differ[:4]) + more
