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
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.forecasts.ridge import OWN_PULLS, PULLS, Choice, Sums, Weights, plain, solve
from glassnet.forecasts.scoring import LEVELS
from glassnet.networks._forecast import Answer, Regression, carried, window
from glassnet.task import Batch, Data

MOST = 200_000
"""Pasts of one variable that are looked at; of more, windows at equal distances."""
PIECE = 4096
"""Pasts of one variable that are held at once."""
LEAST, LARGEST = 1e-3, 1e3
"""Limits of a distance between quantiles, in spreads of the window."""
SOME = 500
"""Windows that say how far the truth lies from the regression."""
STRETCHES = {True: (0.6, 1.0), False: (0.5, 0.75, 1.0)}
"""Where stretches of time end, as shares of the training windows: with validation, and without."""
DOUBT, MOST_DOUBT = 0.5, 0.1
"""Without validation windows: by what share of the error a regression that reads more, or has
weights for each variable, must be better. DOUBT, divided by how many horizons the windows that
choose span, at most MOST_DOUBT. With validation windows it only did harm; see docs/log.md."""


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
    priors = plain(past, horizon, fitting, answer.subtract)
    spans = (len(parts[1]) + len(parts[2])) / horizon
    doubt = 0.0 if len(validation) else min(MOST_DOUBT, DOUBT / max(1.0, spans))
    chosen = choose(stretches, priors, past, doubt)
    learned = stretches[0] + stretches[1]
    if not len(validation):
        learned = learned + stretches[2]
    _fill(regression, solve(learned, chosen, priors, past), past)
    if answer.steps is not None:
        asked = validation if len(validation) else train
        _spread(network, answer, batch, asked[:: max(1, len(asked) // SOME)])
    return chosen


def choose(
    stretches: Sequence[Sums], priors: dict[str, Tensor], past: int, doubt: float = 0.0
) -> Choice:
    """The choice that forecasts later stretches best from those before them.

    ``doubt`` is the share of the error that all beyond the past must be worth.
    """
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
        return sum(found) * (1 + doubt * (choice.level + choice.known))

    errors = [error(choice, common) for choice in choices]
    best, least = min(zip(choices, errors, strict=True), key=lambda pair: pair[1])
    if len(stretches[0].pp) == 1:
        return best
    own = [Choice(best.prior, best.pull, best.level, best.known, pull) for pull in OWN_PULLS]
    errors = [error(choice, folds) for choice in own]
    better = min(zip(own, errors, strict=True), key=lambda pair: pair[1])
    return better[0] if better[1] * (1 + doubt) < least else best


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
    return Sums(*(s.cpu().double() for s in (*sums, y.square().sum(1), there)))
