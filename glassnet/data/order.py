"""The order of names, for files, classes and levels alike."""

from __future__ import annotations

import math
import re


def natural(name: str) -> tuple[float, list[tuple[int, int, str]], str]:
    """Sort key: numbers by their value, then words alphabetically, 'image2' before 'image10'.

    >>> sorted(["week 10", "0.5", "b", "week 2", "-1", "10", "9"], key=natural)
    ['-1', '0.5', '9', '10', 'b', 'week 2', 'week 10']
    """
    if (value := _value(name)) < math.inf:
        return value, [], name
    steps = [step for step in re.split(r"([0-9]+)", name) if step]
    return math.inf, [_digits(s) if s[0] in "0123456789" else (1, 0, s) for s in steps], name


def _value(name: str) -> float:
    """The number that a name is; infinity if it is a word."""
    if name[-1:].isalpha():  # as files are: an exception for each costs a second of 400,000 names
        return math.inf
    try:
        number = float(name)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def _digits(step: str) -> tuple[int, int, str]:
    """By value without making a number of them: int() refuses more than 4300 digits."""
    plain = step.lstrip("0")
    return 0, len(plain), plain
