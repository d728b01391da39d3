"""Ridge regression from sums of products, pulled to a plain forecast instead of to zero.

Everything a regression needs to know of windows are sums of products. Those of stretches of time
can be added, so that many ways to solve it are compared without looking at a window again.
"""

# Letters in tensor names: L steps of the past, H of the future, K known channels, P what all steps
# of the future are regressed on, G groups of variables.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PULLS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties, as shares of the mean square of the past, summed over windows."""
OWN_PULLS = (1e-3, 1e-2, 1e-1, 1.0)
"""How strongly the weights of one variable are pulled to those of all."""


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
    factor = _factor(pp)
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


def _factor(pp: Tensor) -> Tensor:
    """Cholesky factors (G, P, P).

    Sums are of single precision: of columns that follow from each other, as in a series that
    repeats itself exactly, they may be no sums of squares any more. Then more is added, as little
    as suffices; whether the weights are any good is asked of later windows.
    """
    size_G = pp.diagonal(dim1=1, dim2=2).amax(1)
    eye = torch.eye(pp.shape[1], dtype=pp.dtype)
    factor: Tensor
    factor, failed_G = torch.linalg.cholesky_ex(pp)
    for share in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        if not failed_G.any():
            break
        more_G = share * size_G * (failed_G > 0)
        pp = pp + more_G[:, None, None] * eye
        factor, failed_G = torch.linalg.cholesky_ex(pp)
    return factor


def plain(past: int, horizon: int, seasons: Sequence[int], subtract: str) -> dict[str, Tensor]:
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
