"""Which rows are trained on, validated on, and sealed for the test.

The test rows are drawn (or taken, if the data bring a test part) before anything else; what
``divide`` returns holds their numbers but no way to their contents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from glassnet.errors import UserError
from glassnet.task import B, Data, Source, Splits

if TYPE_CHECKING:
    from glassnet.recipe import Split


def divide(source: Source[B], knobs: Split) -> Data[B]:
    """Draw the splits, learn the facts from the training rows, encode all but the test rows."""
    splits = draw(source, knobs)
    if knobs.per_class is not None:
        few = _few(splits.train, source.strata, knobs.per_class, knobs.seed)
        splits = replace(splits, train=few)
    if not len(splits.train):
        raise UserError(
            f"No row is left to train on: {len(source)} rows, of which "
            f"{len(splits.test)} for the test and {len(splits.validation)} for validation."
        )
    redrawn = knobs.mode == "redrawn"
    pool_rows = torch.cat([splits.train, splits.validation])
    # Networks of several folds, or of redrawn rows, must agree on classes and scales; those of a
    # rolling validation do not answer together, and may not know what comes later.
    alone = knobs.mode in ("fixed", "rolling")
    facts = source.facts(splits.train if alone else pool_rows)
    pool = source.examples(pool_rows, facts)
    is_validation = torch.isin(pool.rows, splits.validation)
    if not 0 < int(is_validation.sum()) < len(pool):
        raise UserError(
            f"Of {len(source)} rows, {len(pool)} are left beside the test, and none of them for "
            f"{'training' if is_validation.any() else 'validation'}. Add rows."
        )
    fixed = (~is_validation).nonzero().flatten(), is_validation.nonzero().flatten()

    def positions(epoch: int) -> tuple[Tensor, Tensor]:
        if not redrawn:
            return fixed
        share = int(is_validation.sum()) / len(pool)
        held = _hold(source, pool.rows, share, knobs.seed + 1 + epoch)
        return (~held).nonzero().flatten(), held.nonzero().flatten()

    return Data(
        pool=pool,
        positions=positions,
        facts=facts,
        splits=splits,
        fingerprint=source.fingerprint,
        problems=source.problems,
    )


def draw(source: Source[Any], knobs: Split) -> Splits:
    """Draw the test rows, then the validation rows; a pure function of source and knobs."""
    test = _given(source.parts, "test")
    given = _given(source.parts, "validation")
    if test is None:
        test = torch.zeros(len(source), dtype=torch.bool)
        free = torch.arange(len(source)) if given is None else (~given).nonzero().flatten()
        test[free[_hold(source, free, knobs.test, knobs.seed, least=0)]] = True
    rest = (~test).nonzero().flatten()
    if knobs.mode == "kfold":
        return _fold(source, rest, test, knobs)
    if knobs.mode == "rolling":
        return _roll(source, rest, test, knobs)
    if given is None:
        held = _hold(source, rest, knobs.validation, knobs.seed + 1)
        train, validation = rest[~held], rest[held]
    else:
        train, validation = (~test & ~given).nonzero().flatten(), given.nonzero().flatten()
    return Splits(train=train, validation=validation, test=test.nonzero().flatten())


def _few(rows: Tensor, strata: Sequence[Any] | None, number: int, seed: int) -> Tensor:
    """At most ``number`` of the rows of each stratum; those of a smaller number are among them."""
    if strata is None:
        raise UserError(
            "split.per_class needs rows that belong to classes; these data have none. Unset it."
        )
    generator = torch.Generator().manual_seed(seed + 2)
    shuffled = rows[torch.randperm(len(rows), generator=generator)]
    groups = _groups([strata[row] for row in shuffled.tolist()])
    return torch.cat([shuffled[members[:number]] for members in groups.values()]).sort().values


def some(rows: Tensor, number: int, strata: Sequence[Any] | None, seed: int) -> Tensor:
    """Draw ``number`` of the rows, each stratum in its share, in random order."""
    drawn = rows
    if number < len(rows):
        order = _stratified_order(len(rows), _take(strata, rows), seed)
        places = (torch.arange(number) + 0.5) * (len(rows) / number)
        drawn = rows[order[places.long()]]
    return drawn[torch.randperm(number, generator=torch.Generator().manual_seed(seed))]


def _fold(source: Source[Any], rest: Tensor, test: Tensor, knobs: Split) -> Splits:
    """One of k parts of equal size and like mixture, in turn, is the validation part."""
    unit, strata = _units(source, rest)
    num_units = int(unit.max()) + 1 if len(unit) else 0
    if num_units < knobs.folds:
        what = "rows" if source.groups is None else "groups of rows that belong together"
        raise UserError(
            f"split.folds={knobs.folds} needs at least as many {what}, found {num_units}."
        )
    order = _stratified_order(num_units, strata, knobs.seed + 1)
    fold = torch.empty(num_units, dtype=torch.int64)
    fold[order] = torch.arange(num_units) % knobs.folds
    held = fold[unit] == (knobs.fold or 1) - 1
    return Splits(train=rest[~held], validation=rest[held], test=test.nonzero().flatten())


@runtime_checkable
class Timed(Protocol):
    """A source whose rows have an order in time."""

    @property
    def spans(self) -> tuple[Tensor, Tensor]:
        """When what each row is asked about begins, and when it is over; int64 (N,), (N,)."""
        ...


def _roll(source: Source[Any], rest: Tensor, test: Tensor, knobs: Split) -> Splits:
    """Cut time into equal blocks: each but the first is validated on once, after all before it.

    A row is trained on if all it is asked about is over when the block begins.
    """
    if not isinstance(source, Timed):
        raise UserError(
            "split.mode=rolling needs rows with an order in time, and these data have none. Use "
            "fixed or kfold."
        )
    begins, ends = (moments[rest] for moments in source.spans)
    blocks, fold = knobs.folds + 1, knobs.fold or 1
    moments = begins.sort().values
    edges = [moments[len(moments) * n // blocks] for n in range(blocks)] + [ends.max()]
    held = (begins >= edges[fold]) & (ends <= edges[fold + 1])
    train = ends <= edges[fold]
    if not (len(held.nonzero()) and len(train.nonzero())):
        raise UserError(
            f"split.folds={knobs.folds} is too many for {len(rest):,} rows in order of time: fold "
            f"{fold} has {int(train.sum())} rows to train on and {int(held.sum())} to validate on."
            " Set fewer folds."
        )
    return Splits(train=rest[train], validation=rest[held], test=test.nonzero().flatten())


def _hold(source: Source[Any], rows: Tensor, share: float, seed: int, least: int = 1) -> Tensor:
    """Mark a share of the rows, each stratum in its share; rows of one group together."""
    unit, strata = _units(source, rows)
    num_units = int(unit.max()) + 1 if len(unit) else 0
    wanted = max(least, round(share * num_units)) if num_units > 1 else 0
    return _draw(num_units, wanted, strata, seed)[unit]


def _units(source: Source[Any], rows: Tensor) -> tuple[Tensor, Sequence[Any] | None]:
    """What may be drawn: for each row the number of its unit, and the stratum of each unit.

    A unit is a row, or all rows of a group. Groups of several strata form one of their own, so that
    how these mix is left to chance.
    """
    if source.groups is None:
        return torch.arange(len(rows)), _take(source.strata, rows)
    number: dict[Any, int] = {}
    unit = [number.setdefault(source.groups[row], len(number)) for row in rows.tolist()]
    if source.strata is None:
        return torch.tensor(unit, dtype=torch.int64), None
    strata: list[set[Any]] = [set() for _ in number]
    for row, group in zip(rows.tolist(), unit, strict=True):
        strata[group].add(source.strata[row])
    of_unit = [next(iter(found)) if len(found) == 1 else "several" for found in strata]
    return torch.tensor(unit, dtype=torch.int64), of_unit


def _draw(total: int, wanted: int, strata: Sequence[Any] | None, seed: int) -> Tensor:
    """Mark ``wanted`` of ``total`` rows, each stratum in its share; a lone row is never taken."""
    order = _stratified_order(total, strata, seed)
    held = torch.zeros(total, dtype=torch.bool)
    if not wanted:
        return held
    # Every n-th of an order in which each stratum stands together takes each in its share.
    takes = (torch.arange(wanted) + 0.5) * (total / wanted)
    held[order[takes.long()]] = True
    if strata is not None:
        lonely = [rows[0] for rows in _groups(strata).values() if len(rows) == 1]
        held[lonely] = False
    return held


def _stratified_order(total: int, strata: Sequence[Any] | None, seed: int) -> Tensor:
    """Shuffle the rows within each stratum, and put the strata one after another."""
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(total, generator=generator)
    if strata is None:
        return shuffled
    groups = _groups([strata[i] for i in shuffled.tolist()])
    return torch.cat(
        [shuffled[rows] for _, rows in sorted(groups.items(), key=lambda g: str(g[0]))]
    )


def _groups(strata: Sequence[Any]) -> dict[Any, list[int]]:
    groups = defaultdict(list)
    for row, label in enumerate(strata):
        groups[label].append(row)
    return groups


def _take(strata: Sequence[Any] | None, rows: Tensor) -> Sequence[Any] | None:
    return None if strata is None else [strata[row] for row in rows.tolist()]


def _given(parts: Sequence[str] | None, part: str) -> Tensor | None:
    if parts is None or part not in parts:
        return None
    return torch.tensor([p == part for p in parts])
