"""Rows that occur more than once: equal, nearly equal, in several parts, or with other answers.

*Equal* is counted over all rows. *Nearly equal* asks whether a row's nearest other row is nearer
than chance allows. Around any row, the distances r1 <= r2 <= … to its neighbours obey
P(r1 / rk < e) = 1 - (1 - e^m)^(k-1), whatever the density is there, if the data have m dimensions
nearby (Levina and Bickel 2005, "Maximum likelihood estimation of intrinsic dimension"; Facco et
al. 2017 for k = 2). m is estimated from the data themselves, and e is set so that data without
copies give about one false alarm in a hundred data sets.

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

from glassnet.data.doctor.sheet import PARTS, TEST, TRAIN, Sheet, numbers_of, sample
from glassnet.progress import tell
from glassnet.task import Problem

Array = NDArray[Any]

NEIGHBOURS = 10
"""The k of rk: copies in groups of up to so many are found."""
FALSE_ALARMS = 0.01
"""Pairs that data without copies may give."""
NEAREST = 0.1
"""No pair is called near whose distance is a larger share of rk, whatever chance says."""
COINCIDENCE = 0.1
"""If chance explains this share of equal rows, they are no sign of a mistake."""


def check(sheet: Sheet, most: int) -> Iterator[Problem]:
    """All that concerns equal rows; near ones are searched among ``most`` rows."""
    whole = _whole_rows(sheet)
    yield from _duplicates(sheet, whole)
    if sheet.used:
        equal = groups(sheet.inputs)
        yield from _straddling(sheet, equal, whole)
        yield from _conflicts(sheet, equal)
        yield from _near(sheet, equal, most)


def groups(frame: pl.DataFrame) -> Array:
    """The number of the group of equal rows that each row belongs to, (N,)."""
    if not frame.width:
        return np.arange(frame.height)
    return np.unique(frame.hash_rows(seed=1).to_numpy(), return_inverse=True)[1]


def firsts(group: Array) -> Array:
    """For each row the first row that equals it, (N,)."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[inverse])


def _whole_rows(sheet: Sheet) -> Array:
    """Groups of rows that are equal in every column, used or not, and in their answers."""
    plain = [c for c in sheet.frame if not c.dtype.is_nested() and c.dtype not in _OPAQUE]
    frame = pl.DataFrame(plain)
    if sheet.answers is not None:
        frame = frame.with_columns(pl.Series("\0answer", sheet.answers))
    return groups(frame)


_OPAQUE = (pl.Object, pl.Binary)


def _duplicates(sheet: Sheet, group: Array) -> Iterator[Problem]:
    first, common = firsts(group), is_common(group)
    repeats = first != np.arange(len(first))
    later = np.flatnonzero(repeats & ~common)
    natural = is_coincidence(sheet.frame, group)
    note = "; the columns have so few values that chance explains it" if natural else ""
    if len(later):
        yield Problem(
            sheet.origin,
            f"{len(later):,} of {len(first):,} rows ({len(later) / len(first):.1%}) repeat an "
            f"earlier row{note}",
            "equal rows may get into training and test, and count double; remove them if they "
            "are copies and not separate cases",
            kind="duplicates",
            level="note" if natural else "warning",
            items=tuple(f"{sheet.name(int(r))} = {sheet.name(int(first[r]))}" for r in later),
            rows=tuple((int(r), int(first[r])) for r in later),
            fix="" if natural else "all copies but one are dropped",
        )
    if common.any() and not natural:
        yield _common_rows(sheet, group, first, common)


def _common_rows(sheet: Sheet, group: Array, first: Array, common: Array) -> Problem:
    sizes = np.bincount(group)
    heads = sorted({int(row) for row in first[common]}, key=lambda row: -sizes[group[row]])
    return Problem(
        sheet.origin,
        f"{len(heads):,} rows occur more than {MOST_COPIES} times each and make up "
        f"{common.mean():.1%} of the table",
        "this looks like a default or a failed measurement rather than like copies; find out what "
        "it stands for. Any model knows these rows of the test beforehand",
        kind="duplicates",
        items=tuple(f"{sheet.name(row)} occurs {sizes[group[row]]:,} times" for row in heads),
        rows=tuple((row,) for row in heads),
    )


MOST_COPIES = 100
"""A row that occurs more often is no copy, but a default or a common case."""


def is_common(group: Array) -> Array:
    """Which rows occur too often to be copies."""
    return np.bincount(group)[group] > MOST_COPIES


def is_coincidence(frame: pl.DataFrame, group: Array) -> bool:
    """Whether columns that know nothing of each other would give a like number of equal rows."""
    sizes = np.bincount(group).astype(float)
    found = (sizes * (sizes - 1)).sum() / 2
    log_equal = 0.0
    for cells in frame:
        if cells.dtype.is_nested() or cells.dtype in _OPAQUE:
            continue
        share = cells.value_counts(name="\0n")["\0n"].to_numpy() / frame.height
        log_equal += float(np.log((share**2).sum()))
    expected = np.exp(2 * np.log(max(frame.height, 2)) - np.log(2) + log_equal)
    return bool(expected >= COINCIDENCE * found)


# --- Across parts ---------------------------------------------------------------------------------


def _straddling(sheet: Sheet, group: Array, whole: Array) -> Iterator[Problem]:
    """Rows of validation and test whose inputs occur in training as well."""
    natural = is_coincidence(sheet.inputs, group)
    common = is_common(group)
    for part in (TEST, 1):
        here = np.flatnonzero((sheet.parts == part) & ~common)
        there = np.flatnonzero(sheet.parts == TRAIN)
        seen = {int(g): int(row) for row, g in zip(there[::-1], group[there][::-1], strict=True)}
        pairs = [(int(row), seen[int(group[row])]) for row in here if int(group[row]) in seen]
        if pairs:
            copies = any(whole[a] == whole[b] for a, b in pairs)
            how = "" if copies else "equal in every column that training uses"
            count = int((sheet.parts == part).sum())
            yield straddling(sheet, part, pairs, count, natural, how)


def straddling(
    sheet: Any,
    part: int,
    pairs: Sequence[tuple[int, int]],
    count: int,
    natural: bool = False,
    how: str = "",
) -> Problem:
    """What is said of copies in training of rows (or images) that measure."""
    share = len(pairs) / count
    note = f", {how}" if how else ""
    note += "; the columns have so few values that chance explains it" if natural else ""
    drawn = (
        "drop the copies from training" if sheet.brought else "drop all copies but one before this"
    )
    return Problem(
        f"{sheet.origin}: {PARTS[part]} part",
        f"{len(pairs):,} of its {count:,} ({share:.1%}) are in training too{note}",
        f"its figures flatter, as of questions known beforehand; {drawn}",
        kind="copies across parts",
        level="note" if natural else "serious" if share >= 0.01 and not how else "warning",
        items=tuple(f"{sheet.name(a)} = {sheet.name(b)}" for a, b in pairs),
        rows=tuple(pairs),
        fix="" if natural or how else "copies are dropped, first from training",
    )


# --- Other answers --------------------------------------------------------------------------------


def _conflicts(sheet: Sheet, group: Array) -> Iterator[Problem]:
    rows = sheet.labelled
    if sheet.answers is None or not len(rows):
        return
    if sheet.kind == "categories":
        yield from class_conflicts(sheet, group[rows], rows)
    else:
        yield from _value_conflicts(sheet, group[rows], rows)


def class_conflicts(sheet: Any, group: Array, rows: Array) -> Iterator[Problem]:
    """Equal inputs with different classes; no model can answer all of them rightly."""
    answers = np.asarray(sheet.answers)[rows]
    _, group = np.unique(group, return_inverse=True)
    counts = np.zeros((group.max() + 1, len(sheet.classes)), np.int64)
    np.add.at(counts, (group, answers), 1)
    torn = np.flatnonzero((counts > 0).sum(axis=1) > 1)
    if not len(torn):
        return
    wrong = int(counts.sum() - counts.max(axis=1).sum())
    ceiling = 1 - wrong / len(rows)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], torn)
    ends = np.searchsorted(group[order], torn, side="right")
    members = [rows[order[a:b]] for a, b in zip(starts, ends, strict=True)]
    members.sort(key=lambda m: -len(m))
    yield Problem(
        f"{sheet.origin}: {sheet.target}" if sheet.target else sheet.origin,
        f"{len(torn):,} groups of equals have several labels; {wrong:,} of {len(rows):,} are "
        f"outvoted by their equals, so that no model can get more than {ceiling:.2%} right",
        "look whether the labels are wrong, or an input is lacking that tells them apart",
        kind="label conflicts",
        level="warning" if 1 - ceiling < 0.01 else "serious",
        items=tuple(_conflict(sheet, m) for m in members),
        rows=tuple(tuple(int(r) for r in m) for m in members),
    )


def _conflict(sheet: Any, members: Array) -> str:
    told = [f"{sheet.name(int(r))} {sheet.classes[sheet.answers[r]]!r}" for r in members[:6]]
    return " = ".join(told) + (f" … {len(members)} in all" if len(members) > 6 else "")


def _value_conflicts(sheet: Sheet, group: Array, rows: Array) -> Iterator[Problem]:
    answers = np.asarray(sheet.answers)[rows]
    _, group = np.unique(group, return_inverse=True)
    sizes = np.bincount(group)
    means = np.bincount(group, answers) / sizes
    within = (answers - means[group]) ** 2
    total = ((answers - answers.mean()) ** 2).sum()
    ceiling = 1 - within.sum() / total if total > 0 else 1.0
    spread = np.bincount(group, within)
    torn = [int(g) for g in np.argsort(-spread) if spread[g] > 1e-12 * max(total, 1e-300)]
    if not torn:
        return
    by_group = {g: rows[np.flatnonzero(group == g)] for g in torn[:1000]}
    yield Problem(
        f"{sheet.origin}: {sheet.target}",
        f"{int(sizes[torn].sum()):,} of {len(rows):,} rows have equal inputs but another answer "
        f"({len(torn):,} groups); no model can reach more than R² {ceiling:.4f} from these inputs",
        "look whether the answers are wrong, or an input is lacking that tells them apart",
        kind="label conflicts",
        level="note" if ceiling > 0.999 else "warning" if ceiling > 0.95 else "serious",
        items=tuple(_values(sheet, m) for m in by_group.values()),
        rows=tuple(tuple(int(r) for r in m) for m in by_group.values()),
    )


def _values(sheet: Sheet, members: Array) -> str:
    assert sheet.answers is not None
    return " = ".join(f"{sheet.name(int(r))} {sheet.answers[r]:g}" for r in members[:6])


# --- Nearly equal ---------------------------------------------------------------------------------


def _near(sheet: Sheet, group: Array, most: int) -> Iterator[Problem]:
    _, one_of_each = np.unique(group, return_index=True)
    rows = np.sort(one_of_each)[sample(len(one_of_each), most)]
    chance = _Chance(sheet.inputs[rows], *numbers_of(sheet.frame[rows], sheet.used))
    told = []
    for a, b in near_pairs(chance.points())[:MOST_NEAR]:
        differ = chance.differing(a, b)
        if chance.pairs(a, b, differ) <= CHANCE:
            one, other = int(rows[a]), int(rows[b])
            told.append((one, other, _difference(sheet, one, other, differ)))
    if told:
        looked = f" among {len(rows):,} rows drawn" if len(rows) < len(one_of_each) else ""
        yield near_problem(sheet, told, looked)


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

    def pairs(self, a: int, b: int, differ: Sequence[int]) -> float:
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


def near_problem(sheet: Any, told: Sequence[tuple[int, int, str]], looked: str) -> Problem:
    """What is said of pairs that are nearly equal."""
    across = sum(sheet.parts[a] != sheet.parts[b] for a, b, _ in told)
    return Problem(
        sheet.origin,
        f"{len(told):,} pairs are nearly equal{looked}, {across:,} of them in different parts",
        "if they are copies of one case, keep one of them, or keep them in the same part",
        kind="near duplicates",
        level="warning" if across else "note",
        items=tuple(f"{sheet.name(a)} ~ {sheet.name(b)}: {d}" for a, b, d in told),
        rows=tuple((a, b) for a, b, _ in told),
    )


def near_pairs(
    x: Array, limit: float = NEAREST, told: str = "comparing rows"
) -> list[tuple[int, int]]:
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
