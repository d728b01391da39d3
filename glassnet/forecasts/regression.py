"""The linear regression that a network that forecasts begins with, solved in closed form.

Ridge regression from the past of a window to all steps of its future, with the same weights for all
variables, or for each its own. It is not pulled to zero but to a plain forecast: the mean of the
window, its last value, or the season before. Which of them, how strongly, whether the level of the
window and the known channels are read, and whether variables differ, is chosen by how well later
windows are forecast from earlier ones, the validation windows from all others; the weights are then
those of the training windows. So the answer is that of a plain method where there is nothing to be
learned, and of a regression where there is.

All that is needed of the windows are sums of products, kept for three stretches of time.
"""

# Letters in tensor names: B windows, V variables, L steps of the past, H of the future, K known
# channels, P what all steps of the future are regressed on, G groups of variables.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.forecasts.scoring import LEVELS
from glassnet.networks._forecast import Answer, Regression, carried, window
from glassnet.task import Batch, Data

MOST = 200_000
"""Pasts of one variable that are looked at; of more, windows at equal distances."""
PIECE = 4096
"""Pasts of one variable that are held at once."""
PULLS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties, as shares of the mean square of the past, summed over windows."""
OWN_PULLS = (1e-3, 1e-2, 1e-1, 1.0)
"""How strongly the weights of one variable are pulled to those of all."""
LEAST, LARGEST = 1e-3, 1e3
"""Limits of a distance between quantiles, in spreads of the window."""
SOME = 500
"""Windows that say how far the truth lies from the regression."""
STRETCHES = {True: (0.6, 1.0), False: (0.5, 0.75, 1.0)}
"""Where stretches of time end, as shares of the training windows: with validation, and without."""
CLEAR = 0.995
"""The error that weights for each variable must reach, beside that of common ones."""


@dataclass(frozen=True)
class Sums:
    """Sums of products over windows, float64; of several stretches they may be added."""

    pp: Tensor
    """(G, P, P) of what is regressed on; the past first, then the level, 1, and known means."""
    py: Tensor
    """(G, P, H) of it with what is to be forecast."""
    pk: Tensor
    """(G, H, P, K) of it with what is known of each step."""
    kk: Tensor
    """(G, H, K, K)"""
    ky: Tensor
    """(G, H, K)"""
    yy: Tensor
    """(G, H)"""
    number: Tensor
    """(G,) of windows."""

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(a + b for a, b in zip(self._all, other._all, strict=True)))

    @property
    def _all(self) -> tuple[Tensor, ...]:
        return (self.pp, self.py, self.pk, self.kk, self.ky, self.yy, self.number)

    def together(self) -> Sums:
        """All variables as one group."""
        return Sums(*(tensor.sum(0, keepdim=True) for tensor in self._all))


@dataclass(frozen=True)
class Weights:
    """A regression: of what all steps share (G, P, H), and of what is known of each (G, H, K)."""

    shared: Tensor
    known: Tensor

    def error(self, sums: Sums) -> float:
        """The mean squared error on the windows of these sums."""
        w_GPH, v_GHK = self.shared, self.known
        both_GHK = torch.einsum("ghpk,gph->ghk", sums.pk, w_GPH)
        total_GH = (
            sums.yy
            + (w_GPH * (sums.pp @ w_GPH - 2 * sums.py)).sum(1)
            + (v_GHK * (2 * both_GHK - 2 * sums.ky)).sum(2)
            + torch.einsum("ghk,ghkj,ghj->gh", v_GHK, sums.kk, v_GHK)
        )
        return float(total_GH.sum() / (sums.number.sum() * total_GH.shape[1]).clamp(min=1))


@dataclass(frozen=True)
class Choice:
    """One way to solve the regression."""

    prior: str
    pull: float
    level: bool
    known: bool
    own: float | None = None
    """How strongly variables are pulled to what they share; None: they have nothing of their own"""

    @property
    def told(self) -> str:
        """In a sentence."""
        reads = ", ".join(
            name
            for name, used in (
                ("the past", True), ("its level", self.level), ("what is known", self.known)
            )
            if used
        )  # fmt: skip
        own = "the same for all variables" if self.own is None else "for each variable its own"
        return (
            f"begins with a linear regression on {reads}, {own}, pulled to the {self.prior} of "
            f"the past (ridge {self.pull:g}), which the network corrects"
        )


def start(_recipe: Any, network: nn.Module, data: Data[Any]) -> Sequence[str]:
    """``Task.start`` of forecasting: solve the regression, and say what was chosen."""
    train, validation = data.positions(0)
    pool: Any = data.pool
    where = pool.rows.device
    moments = pool.moments[train.to(where), 1].cpu()
    chosen = begin(
        network,
        lambda index: pool.batch(index.to(where)),
        train.cpu(),
        validation.cpu(),
        moments,
        data.facts.seasons,
    )
    return () if chosen is None else (chosen.told,)


def begin(
    network: nn.Module,
    batch: Callable[[Tensor], Batch],
    train: Tensor,
    validation: Tensor,
    moments: Tensor,
    seasons: Sequence[int] = (),
) -> Choice | None:
    """Solve the regression that a network begins with.

    Args:
        network: As built for ``forecast``; left as it is if it begins with no regression.
        batch: From positions to inputs (B, C, T) and targets (B, V, H), NaN where missing.
        train: Positions of the training windows.
        validation: Of later windows, to choose by; may be empty.
        moments: Step in time at which the future of each training window begins, int64.
        seasons: Steps of the seasons that may be repeated; those longer than the past are not.

    Returns:
        What was chosen; None if there is nothing to be solved.
    """
    answers = [part for part in network.modules() if isinstance(part, Answer)]
    if not answers or answers[0].regression is None or not len(train):
        return None
    answer, regression = answers[0], answers[0].regression
    parts = _stretches(train, validation, moments, answer.horizon)
    stretches = [_summed(answer, batch, part) for part in parts]
    _, past, horizon = regression.past_GLH.shape
    fitting = [season for season in seasons if 1 < season <= past]
    priors = _priors(past, horizon, fitting, answer.subtract)
    chosen = choose(stretches, priors, past)
    learned = stretches[0] + stretches[1]
    if not len(validation):
        learned = learned + stretches[2]
    _fill(regression, solve(learned, chosen, priors, past), past)
    if answer.steps is not None:
        asked = validation if len(validation) else train
        _spread(network, answer, batch, asked[:: max(1, len(asked) // SOME)])
    return chosen


def choose(stretches: Sequence[Sums], priors: dict[str, Tensor], past: int) -> Choice:
    """The choice that forecasts later stretches best from those before them."""
    folds = [(stretches[0], stretches[1]), (stretches[0] + stretches[1], stretches[2])]
    common = [(before.together(), after.together()) for before, after in folds]
    num_known = stretches[0].kk.shape[3]
    ways = [(False, False), (True, False)] + ([(False, True), (True, True)] if num_known else [])
    choices = [
        Choice(prior, pull, level, known)
        for prior, pull, (level, known) in product(priors, PULLS, ways)
    ]

    def error(choice: Choice, folds: Sequence[tuple[Sums, Sums]]) -> float:
        found = [solve(before, choice, priors, past).error(after) for before, after in folds]
        return sum(found)

    errors = [error(choice, common) for choice in choices]
    best, least = min(zip(choices, errors, strict=True), key=lambda pair: pair[1])
    if len(stretches[0].pp) == 1:
        return best
    own = [Choice(best.prior, best.pull, best.level, best.known, pull) for pull in OWN_PULLS]
    errors = [error(choice, folds) for choice in own]
    better = min(zip(own, errors, strict=True), key=lambda pair: pair[1])
    return better[0] if better[1] < CLEAR * least else best


def solve(sums: Sums, choice: Choice, priors: dict[str, Tensor], past: int) -> Weights:
    """The weights of all variables together, or with what each has of its own."""
    prior_PH = sums.py.new_zeros(sums.py.shape[1:])
    prior_PH[:past] = priors[choice.prior]
    num_known = sums.kk.shape[3]
    start = Weights(prior_PH[None], sums.ky.new_zeros(1, prior_PH.shape[1], num_known))
    common = _ridge(sums.together(), start, choice.pull, choice, past)
    if choice.own is None:
        return common
    groups = len(sums.pp)
    each = Weights(common.shared.expand(groups, -1, -1), common.known.expand(groups, -1, -1))
    return _ridge(sums, each, choice.own, choice, past)


def _ridge(sums: Sums, prior: Weights, pull: float, choice: Choice, past: int) -> Weights:
    """Minimize the squared error plus a penalty on the distance from ``prior``."""
    size = sums.pp.diagonal(dim1=1, dim2=2)[:, :past].mean(1)
    penalty_G = pull * size + 1e-9 * sums.number.clamp(min=1)
    used_P = torch.ones(sums.pp.shape[1], dtype=torch.bool)
    used_P[past : past + 2] = choice.level
    used_P[past + 2 :] = choice.known
    used = used_P.nonzero()[:, 0]
    pp = sums.pp[:, used][:, :, used]
    pp = pp + penalty_G[:, None, None] * torch.eye(len(used), dtype=pp.dtype)
    py = sums.py - sums.pp @ prior.shared - torch.einsum("ghpk,ghk->gph", sums.pk, prior.known)
    py = py[:, used]
    factor = torch.linalg.cholesky(pp)
    change = torch.cholesky_solve(py, factor)
    shared = prior.shared.expand(len(pp), -1, -1).clone()
    known = prior.known.expand(len(pp), -1, -1).clone()
    if choice.known:
        # What is known differs from step to step: it is eliminated for each of them (Schur).
        groups, horizon, _, num_known = sums.pk.shape
        pk = sums.pk[:, :, used]
        solved = torch.cholesky_solve(pk.movedim(1, 2).flatten(2), factor)
        solved = solved.unflatten(2, (horizon, num_known)).movedim(2, 1)
        rest = sums.kk - pk.mT @ solved
        rest = rest + penalty_G[:, None, None, None] * torch.eye(num_known, dtype=pp.dtype)
        wanted = (
            sums.ky
            - torch.einsum("ghpk,gph->ghk", sums.pk, prior.shared.expand(groups, -1, -1))
            - torch.einsum("ghkj,ghj->ghk", sums.kk, prior.known.expand(groups, -1, -1))
            - torch.einsum("ghpk,gph->ghk", pk, change)
        )
        step = torch.linalg.solve(rest, wanted[..., None])[..., 0]
        known = known + step
        change = change - torch.einsum("ghpk,ghk->gph", solved, step)
    shared[:, used] += change
    return Weights(shared, known)


def _priors(past: int, horizon: int, seasons: Sequence[int], subtract: str) -> dict[str, Tensor]:
    """Plain forecasts as weights (L, H) of a past whose centre was taken off."""
    zeros = torch.zeros(past, horizon, dtype=torch.float64)
    found = {"centre": zeros, "last value": zeros.clone()}
    found["last value"][-1] = 1
    if subtract == "last":
        del found["last value"]
    for season in seasons:
        weights = zeros.clone()
        steps = torch.arange(horizon)
        weights[past - season + steps % season, steps] = 1
        found[f"season of {season}"] = weights
    return found


def _fill(regression: Regression, weights: Weights, past: int) -> None:
    """Put the weights into the network."""

    def put(name: str, tensor: Tensor) -> None:
        regression.get_buffer(name).copy_(tensor.expand_as(regression.get_buffer(name)))

    put("past_GLH", weights.shared[:, :past])
    put("level_GH", weights.shared[:, past])
    put("constant_GH", weights.shared[:, past + 1])
    put("behind_GKH", weights.shared[:, past + 2 :])
    put("ahead_GKH", weights.known.mT)


def _spread(
    network: nn.Module, answer: Answer, batch: Callable[[Tensor], Batch], asked: Tensor
) -> None:
    """Begin with quantiles as far from the forecast as the truth is from the regression."""
    assert answer.regression is not None and answer.steps is not None
    seen_from = (answer.variables, answer.horizon, answer.subtract)
    away = []
    with torch.no_grad():
        for piece in asked.split(max(1, PIECE // answer.variables)):
            found = batch(piece)
            seen = window(found.inputs, *seen_from)
            forecast_BVH = answer.regression(seen) + seen.centre_BV1
            y_BVH = found.targets.reshape(forecast_BVH.shape)
            away.append(((y_BVH - forecast_BVH) / seen.spread_BV1).flatten(0, 1).cpu())
        away_NH = torch.cat(away).abs().clamp(max=LARGEST)
        # The same below as above, from a pool of neighbouring steps where windows are few.
        shares = torch.tensor([abs(2 * level - 1) for level in LEVELS])
        reach_HQ = torch.stack([_quantiles(away_NH, float(share)) for share in shares], 1)
        steps_HQ = reach_HQ.diff(dim=1).abs()
        middle = answer.middle
        both_HQ = torch.cat([steps_HQ[:, :middle], steps_HQ[:, :1], steps_HQ[:, middle:]], 1)
        both_HQ = both_HQ.clamp(min=LEAST)
        answer.steps.copy_(both_HQ + torch.log(-torch.expm1(-both_HQ)))


def _quantiles(away_NH: Tensor, share: float) -> Tensor:
    """(H,), smoothed over steps of the future; zeros for a share of zero."""
    if share == 0:
        return torch.zeros(away_NH.shape[1])
    found_H = away_NH.nanquantile(share, 0).nan_to_num(nan=1.0)
    near = min(len(found_H) // 2 * 2 + 1, 2 * round(100 / max(1, len(away_NH))) + 1)
    near = min(near, len(found_H) - 1 + len(found_H) % 2)
    padded = nn.functional.pad(found_H[None], (near // 2, near // 2), mode="replicate")
    return nn.functional.avg_pool1d(padded, near, stride=1)[0]


def _stretches(train: Tensor, validation: Tensor, moments: Tensor, horizon: int) -> list[Tensor]:
    """Three stretches of time; between them, windows whose futures overlap are left out."""
    order = moments.argsort(stable=True)
    train, moments = train[order], moments[order]
    parts, begin = [], 0
    for share in STRETCHES[bool(len(validation))]:
        end = max(begin + 1, round(share * len(train)))
        part, when = train[begin:end], moments[begin:end]
        if begin and len(part):
            # A window answered from what was learned before it must not have been learned from;
            # of a stretch that is no longer than a forecast, two thirds are kept all the same.
            gap = min(horizon, int(when[-1] - when[0]) // 3)
            part = part[when >= when[0] + gap]
        parts.append(part)
        begin = end
    return [*parts, validation] if len(validation) else parts


def _summed(answer: Answer, batch: Callable[[Tensor], Batch], positions: Tensor) -> Sums:
    """Sums over these windows, or over some of them if they are many."""
    assert answer.regression is not None
    apart = max(1, -(-len(positions) * answer.variables * len(STRETCHES[False]) // MOST))
    pieces = positions[::apart].split(max(1, PIECE // answer.variables))
    groups = len(answer.regression.past_GLH)
    total = _sums(answer, batch(pieces[0]), groups)  # of no window, zeros
    for piece in pieces[1:]:
        total = total + _sums(answer, batch(piece), groups)
    return total


def _sums(answer: Answer, batch: Batch, groups: int) -> Sums:
    seen = window(batch.inputs, answer.variables, answer.horizon, answer.subtract)
    past_BVL = batch.inputs[:, : answer.variables, : -answer.horizon]
    y_BVH = batch.targets.reshape(len(past_BVL), answer.variables, answer.horizon)
    # A future of which half is missing teaches nothing; a smaller gap repeats what was before it.
    there_BV1 = (y_BVH.isnan().float().mean(2, keepdim=True) < 0.5) & (
        seen.measured_BVL.sum(2, keepdim=True) > 0
    )
    whole_BVT = carried(torch.cat([past_BVL, y_BVH], 2))
    y_BVH = (whole_BVT[:, :, -answer.horizon :] - seen.centre_BV1) * there_BV1
    num_known = seen.known_BKT.shape[1]
    variables = (-1, answer.variables, -1)
    behind_BVK = seen.known_BKT[:, :, : -answer.horizon].mean(2)[:, None].expand(*variables)
    ones_BV1 = torch.ones_like(seen.centre_BV1)
    p_BVP = torch.cat([seen.x_BVL, seen.centre_BV1, ones_BV1, behind_BVK], 2) * there_BV1
    k_BVHK = (
        seen.known_BKT[:, :, -answer.horizon :].mT[:, None].expand(-1, answer.variables, -1, -1)
        * there_BV1[..., None]
    )
    p, y, k = (part.movedim(1, 0).to(torch.float32) for part in (p_BVP, y_BVH, k_BVHK))
    if groups == 1:
        p, y, k = (part.flatten(0, 1)[None] for part in (p, y, k))
        there = there_BV1.sum()[None]
    else:
        there = there_BV1.sum((0, 2))
    horizon = answer.horizon
    pk = (p.mT @ k.flatten(2)).unflatten(2, (horizon, num_known)).movedim(2, 1)
    each = k.movedim(2, 1)  # (G, H, N, K)
    sums = (p.mT @ p, p.mT @ y, pk, each.mT @ each, (each * y.mT[..., None]).sum(2))
    return Sums(*(s.double().cpu() for s in (*sums, y.square().sum(1), there)))
