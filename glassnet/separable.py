"""Can a hyperplane separate two classes? An answer with its proof, by linear programming.

Two finite sets can be separated exactly if their convex hulls have no point in common. So either
there is a hyperplane, or a point that is an average of rows of the one class and an average of rows
of the other: whichever side it is on, one class has a row on the wrong side (Minsky and Papert
1969, section 12; the linear programs are those of Bennett and Mangasarian 1992).
"""

# Letters: N rows, D inputs; A and B rows of the first and the second class.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SECONDS = 2.0
"""Time limit of one linear program."""
EXACT = 1e-6
"""Relative difference that counts as none: the solver's own tolerance is 1e-7."""


@dataclass(frozen=True)
class Plane:
    """A hyperplane with every row of the first class on one side and of the second on the other."""

    distance: float
    """Of the nearest row, in the unit of the inputs."""


@dataclass(frozen=True)
class Crossing:
    """A point within both classes: no hyperplane separates them."""

    point: Floats
    first: dict[int, float]
    """Row of the first class -> its share in the average that is the point."""
    second: dict[int, float]
    difference: float
    """Largest difference between the two averages; 0 up to rounding."""


def decide(first_AD: Floats, second_BD: Floats) -> Plane | Crossing | None:
    """Find the proof for or against; None if there was no time for it, or none is exact enough."""
    return crossing(first_AD, second_BD) or plane(first_AD, second_BD)


def crossing(first_AD: Floats, second_BD: Floats) -> Crossing | None:
    """A point in both hulls, as averages of at most D + 2 rows in all; None if none was found.

    >>> found = crossing(np.array([[-1.0, -1], [1, 1]]), np.array([[-1.0, 1], [1, -1]]))
    >>> found.point.tolist(), found.first
    ([0.0, 0.0], {0: 0.5, 1: 0.5})
    """
    num = len(first_AD)
    sums = np.zeros((2, num + len(second_BD)))
    sums[0, :num] = sums[1, num:] = 1
    balance = np.concatenate([first_AD.T, -second_BD.T], axis=1)
    shares = _solve(
        np.zeros(sums.shape[1]),
        A_eq=np.concatenate([balance, sums]),
        b_eq=np.concatenate([np.zeros(len(balance)), [1, 1]]),
        bounds=(0, 1),
    )
    if shares is None:
        return None
    shares[shares < 1e-9] = 0
    point, other = shares[:num] @ first_AD, shares[num:] @ second_BD
    difference = float(np.abs(point - other).max(initial=0))
    whole = np.abs(sums @ shares - 1).max()
    size = max(1.0, np.abs(first_AD).max(), np.abs(second_BD).max())
    if max(difference / size, whole) > EXACT:
        return None
    return Crossing(point, _kept(shares[:num]), _kept(shares[num:]), difference)


def plane(first_AD: Floats, second_BD: Floats) -> Plane | None:
    """A hyperplane between the classes, checked on every row; None if none was found."""
    dim = first_AD.shape[1]
    signed = np.concatenate([-_with_one(first_AD), _with_one(second_BD)])
    # The last unknown is the margin that every row has at least, and that is to be large.
    rows = np.concatenate([-signed, np.ones((len(signed), 1))], axis=1)
    bounds = [(-1, 1)] * dim + [(None, None), (None, None)]
    found = _solve(np.eye(dim + 2)[-1] * -1, A_ub=rows, b_ub=np.zeros(len(rows)), bounds=bounds)
    if found is None:
        return None
    length = float(np.linalg.norm(found[:dim]))
    distance = float((signed @ found[:-1]).min()) / length if length else 0.0
    return Plane(distance) if distance > EXACT else None


def most_mistakes(first_AD: Floats, second_BD: Floats) -> float | None:
    """Novikoff's bound (R / margin)^2 on the mistakes of the perceptron rule, row by row.

    The bias counts as the weight of an input that is 1. Novikoff (1962), "On convergence proofs for
    perceptrons". None if no margin was found.
    """
    from scipy.optimize import nnls

    signed = np.concatenate([-_with_one(first_AD), _with_one(second_BD)])
    # The point of the rows' hull that is nearest to 0 is the normal of the largest margin; that
    # of min |shares @ signed|^2 + (sum of shares - 1)^2 with shares >= 0 has its direction.
    system = np.concatenate([signed.T, np.ones((1, len(signed)))])
    try:
        shares, _ = nnls(system, np.eye(len(system))[-1])
    except RuntimeError:  # too many iterations
        return None
    normal = shares @ signed
    margin = float((signed @ normal).min()) / max(float(np.linalg.norm(normal)), 1e-300)
    return float((signed**2).sum(1).max()) / margin**2 if margin > EXACT else None


def _solve(cost: Floats, **problem: Any) -> Floats | None:
    from scipy.optimize import linprog

    # The simplex method: its solutions are corners, and so have few rows.
    found = linprog(cost, **problem, method="highs-ds", options={"time_limit": SECONDS})
    return np.asarray(found.x) if found.status == 0 else None


def _kept(shares: Floats) -> dict[int, float]:
    return {int(row): float(shares[row]) for row in np.flatnonzero(shares)}


def _with_one(rows: Floats) -> Floats:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
