"""Four small problems in the plane, for teaching: points drawn by rule, the same on every machine.

- blobs: two clouds with a gap between them; a perceptron is enough
- xor: a cloud at each corner of a square, opposite corners of one class; no line separates them
  (Minsky and Papert 1969, "Perceptrons")
- circles: one class around the other
- spirals: each class on an arm that turns around the other's (after Lang and Witbrock 1988,
  "Learning to Tell Two Spirals Apart", theirs turn three times)
"""

# Legend: N points.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NUM_POINTS = 500
TURNS = 1.5
Floats = NDArray[np.float64]
Classes = NDArray[np.int_]
"""0 or 1 for each point."""


def as_csv(name: str) -> str:
    """The points of one problem as a table with the columns x1, x2, class."""
    points, inner = SHAPES[name](np.random.default_rng(0))
    first, second = NAMES[name]
    lines = [
        f"{x:.4f},{y:.4f},{second if other else first}"
        for (x, y), other in zip(points.tolist(), inner.tolist(), strict=True)
    ]
    return "\n".join(["x1,x2,class", *lines]) + "\n"


def blobs(draw: np.random.Generator) -> tuple[Floats, Classes]:
    """Two round clouds (N, 2), cut off where they would meet, and which one each point is of."""
    second = np.arange(NUM_POINTS) % 2
    centres = np.where(second[:, None], [1.5, 1.0], [-1.5, -1.0])
    return centres + _disc(draw, 1.6), second


def xor(draw: np.random.Generator) -> tuple[Floats, Classes]:
    """Clouds around (-1, -1), (1, 1) and around (-1, 1), (1, -1)."""
    number = np.arange(NUM_POINTS) % 4
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
    return corners[number] + draw.normal(0, 0.2, (NUM_POINTS, 2)), number % 2


def circles(draw: np.random.Generator) -> tuple[Floats, Classes]:
    """Radius 1 around radius 0.5."""
    inner = np.arange(NUM_POINTS) % 2
    radius, angle = 1 - inner / 2, draw.uniform(0, 2 * np.pi, NUM_POINTS)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points + draw.normal(0, 0.07, (NUM_POINTS, 2)), inner


def spirals(draw: np.random.Generator) -> tuple[Floats, Classes]:
    """Two arms from the centre outwards, half a turn apart."""
    second = np.arange(NUM_POINTS) % 2
    way = np.sqrt(draw.uniform(0.02, 1, NUM_POINTS))  # even along the arm
    angle = 2 * np.pi * TURNS * way + np.pi * second
    points = np.stack([way * np.cos(angle), way * np.sin(angle)], axis=1)
    return points + draw.normal(0, 0.02, (NUM_POINTS, 2)), second


def _disc(draw: np.random.Generator, radius: float) -> Floats:
    """Points spread evenly over a disc around (0, 0)."""
    angle = draw.uniform(0, 2 * np.pi, NUM_POINTS)
    distance = radius * np.sqrt(draw.uniform(0, 1, NUM_POINTS))
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


SHAPES = {"blobs": blobs, "xor": xor, "circles": circles, "spirals": spirals}
NAMES = {
    "blobs": ("left", "right"),
    "xor": ("same", "different"),
    "circles": ("outer", "inner"),
    "spirals": ("first", "second"),
}
