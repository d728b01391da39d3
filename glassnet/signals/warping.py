"""Nearest neighbours among series: plain methods to be shown beside a network.

Dynamic time warping: Hiroaki Sakoe, Seibi Chiba (1978), "Dynamic Programming Algorithm Optimization
for Spoken Word Recognition", IEEE Transactions on Acoustics, Speech, and Signal Processing 26. With
one nearest neighbour it is what every classifier of series is compared with (Bagnall et al. 2017).
"""

# Letters in tensor names: A asked, K known, P pairs, B examples, C channels, T steps.

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from glassnet.networks._series import lengths, present
from glassnet.task import Examples, Outcome

MOST_CELLS = 2.5e10
"""Squared differences that a comparison may cost: up to about three minutes on one core."""
CELLS_AT_ONCE = 65_536
"""Numbers of a diagonal that are computed at once: what stays in a processor's cache."""
SURE = 0.99
"""Share that a nearest neighbour's class is given, since a plain neighbour knows no shares."""


def nearest_warped(_recipe: Any, known: Examples[Any], asked: Examples[Any], facts: Any) -> Outcome:
    """Answer each series with the class of the nearest known one, by dynamic time warping."""
    known_BCT, labels = _all(known)
    asked_BCT, targets = _all(asked)
    cells = float(len(asked_BCT)) * len(known_BCT) * asked_BCT.shape[2] * known_BCT.shape[2]
    every = math.ceil(math.sqrt(cells / MOST_CELLS))
    notes: tuple[str, ...] = ()
    if every > 1:
        notes = (f"it compared the means of {every} steps each, to save time",)
        known_BCT, asked_BCT = thinned(known_BCT, every), thinned(asked_BCT, every)
    found = _outcome(warped(asked_BCT, known_BCT), labels, targets, len(facts.classes))
    return replace(found, notes=notes)


def nearest(_recipe: Any, known: Examples[Any], asked: Examples[Any], facts: Any) -> Outcome:
    """Answer each series with the class of the nearest known one, step by step."""
    known_BCT, labels = _all(known)
    asked_BCT, targets = _all(asked)
    return _outcome(straight(asked_BCT, known_BCT), labels, targets, len(facts.classes))


def _all(examples: Examples[Any]) -> tuple[Tensor, Tensor]:
    batch = examples.batch(torch.arange(len(examples), device=examples.rows.device))
    return batch.inputs.cpu(), batch.targets.cpu()


def _outcome(distance_AK: Tensor, labels: Tensor, targets: Tensor, classes: int) -> Outcome:
    shares = torch.full((len(distance_AK), classes), (1 - SURE) / max(1, classes - 1))
    shares[torch.arange(len(shares)), labels[distance_AK.argmin(1)]] = SURE
    return Outcome(shares.log(), targets)


def straight(asked_BCT: Tensor, known_BCT: Tensor) -> Tensor:
    """The mean squared difference (A, K), over the steps that both series have."""
    steps = min(asked_BCT.shape[2], known_BCT.shape[2])
    known_KCT = known_BCT[:, :, :steps]
    rows = [
        (known_KCT - asked_CT).square().sum(1).nanmean(1) for asked_CT in asked_BCT[:, :, :steps]
    ]
    return torch.stack(rows).nan_to_num(math.inf)


def thinned(signals_BCT: Tensor, every: int) -> Tensor:
    """The means of so many steps each; NaN behind the end."""
    missing = -signals_BCT.shape[2] % every
    whole_BCT = torch.nn.functional.pad(signals_BCT, (0, missing), value=math.nan)
    means_BCT: Tensor = whole_BCT.unflatten(2, (-1, every)).nanmean(3)
    return means_BCT


def warped(asked_BCT: Tensor, known_BCT: Tensor, band: int | None = None) -> Tensor:
    """The squared distances (A, K) under dynamic time warping; channels are warped together.

    Args:
        asked_BCT: Series that end in NaN; gaps within them count as 0.
        known_BCT: The series that they are compared with.
        band: How many steps apart two matched steps may be, at most; None: any. It is widened to
            the difference of two series' lengths.
    """
    asked_B, known_B = lengths(present(asked_BCT)), lengths(present(known_BCT))
    asked_BCT, known_BCT = torch.nan_to_num(asked_BCT), torch.nan_to_num(known_BCT)
    num_asked, num_known = len(asked_BCT), len(known_BCT)
    pairs = torch.cartesian_prod(torch.arange(num_asked), torch.arange(num_known))
    # Pairs of like lengths together: the shorter ones need not wait for the longest.
    pairs = pairs[(asked_B[pairs[:, 0]] + known_B[pairs[:, 1]]).argsort()]
    distance_AK = torch.empty(num_asked, num_known)
    for of_AK in pairs.split(max(1, CELLS_AT_ONCE // max(1, asked_BCT.shape[2]))):
        a, k = of_AK.unbind(1)
        most_a, most_k = int(asked_B[a].max()), int(known_B[k].max())
        distance_AK[a, k] = _of_pairs(
            asked_BCT[a, :, :most_a], known_BCT[k, :, :most_k], asked_B[a], known_B[k], band
        )
    return distance_AK


def _of_pairs(
    one_PCT: Tensor, other_PCT: Tensor, one_P: Tensor, other_P: Tensor, band: int | None
) -> Tensor:
    """The distance of each pair: cells along a diagonal do not wait for each other."""
    steps, others = one_PCT.shape[2], other_PCT.shape[2]
    turned_PCT = other_PCT.flip(2)
    # Two diagonals back, one back, and this one; number i + 1 stands for step i, number 0 for none.
    before, last, now = (one_PCT.new_full((len(one_PCT), steps + 1), math.inf) for _ in range(3))
    before[:, 0] = 0
    found_P = one_PCT.new_zeros(len(one_PCT))
    ends_P = one_P + other_P - 2
    ends = set(ends_P.tolist())
    wide = None if band is None else max(band, int((one_P - other_P).abs().max()))
    for diagonal in range(max(ends) + 1):
        first, end = max(0, diagonal - others + 1), min(steps, diagonal + 1)
        if wide is not None:
            first = max(first, math.ceil((diagonal - wide) / 2))
            end = min(end, (diagonal + wide) // 2 + 1)
        shift = others - 1 - diagonal
        differ = one_PCT[:, :, first:end] - turned_PCT[:, :, first + shift : end + shift]
        cost = differ[:, 0].square() if differ.shape[1] == 1 else differ.square().sum(1)
        best = torch.minimum(last[:, first:end], last[:, first + 1 : end + 1])
        best = torch.minimum(best, before[:, first:end])
        now[:, first] = math.inf
        torch.add(cost, best, out=now[:, first + 1 : end + 1])
        if end < steps:
            now[:, end + 1] = math.inf
        if diagonal in ends:
            at = (ends_P == diagonal).nonzero()[:, 0]
            found_P[at] = now[at, one_P[at]]
        before, last, now = last, now, before
    return found_P
