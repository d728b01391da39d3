"""Parts of a data set by the names that people give to their folders and files."""

from __future__ import annotations

import re

PARTS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test", "t10k": "test",
}  # fmt: skip
ORDER = {"train": 0, "validation": 1, "test": 2}
"""In which the rows of the parts follow each other."""


def part_of(name: str) -> str | None:
    """The part that a file's name speaks of: 'adult-train.csv.gz' is the train part.

    >>> part_of("t10k-images-idx3-ubyte.gz"), part_of("housing.csv")
    ('test', None)
    """
    words = re.split(r"[-_. ]", name.lower())
    return next((PARTS[word] for word in words if word in PARTS), None)
