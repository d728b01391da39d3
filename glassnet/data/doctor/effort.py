"""How much the doctor looks at, and how it counts."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How much is looked at; what is more is sampled, and the findings say so."""

    rows: int
    """Rows of a table on which quick models learn."""
    pairs: int
    """Rows of a table among which nearly equal ones are sought."""
    images: int
    """Images that are decoded to small pictures."""
    bytes: float
    """Bytes of image files that are read for it."""
    folds: int
    """Of cross-validation."""


EFFORTS = {
    "quick": Effort(rows=4_000, pairs=4_000, images=4_000, bytes=256e6, folds=3),
    "full": Effort(rows=20_000, pairs=12_000, images=70_000, bytes=math.inf, folds=5),
}


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
