"""Small series made by a program: waves of three forms, of unequal length.

Sines, sawtooths and squares of random period, phase and height, with noise, and 40 to 80 steps.
They are drawn from a fixed seed, so that everybody has the same.
"""

from __future__ import annotations

import math
import random

SEED = 6
SERIES_PER_FORM = 30
SHORTEST, LONGEST = 40, 80
NOISE = 0.2
FORMS = ("sine", "sawtooth", "square")


def as_ts() -> str:
    """All series in the format .ts, the forms in turn."""
    draw = random.Random(SEED)
    lines = [
        "@problemName Waves",
        "@timeStamps false",
        "@univariate true",
        "@equalLength false",
        f"@classLabel true {' '.join(FORMS)}",
        "@data",
    ]
    for number in range(SERIES_PER_FORM * len(FORMS)):
        form = FORMS[number % len(FORMS)]
        lines.append(",".join(f"{value:.4f}" for value in wave(draw, form)) + f":{form}")
    return "\n".join(lines) + "\n"


def wave(draw: random.Random, form: str) -> list[float]:
    """One series."""
    period, begin = draw.uniform(8, 20), draw.random()
    height = draw.uniform(0.8, 1.6)
    steps = draw.randint(SHORTEST, LONGEST)
    turns = (step / period + begin for step in range(steps))
    return [height * at(form, turn % 1) + draw.gauss(0, NOISE) for turn in turns]


def at(form: str, turn: float) -> float:
    """The value of a wave at a share of its turn, between -1 and 1.

    >>> [at(form, 0.25) for form in FORMS]
    [1.0, -0.5, 1.0]
    """
    if form == "sine":
        return math.sin(2 * math.pi * turn)
    return 2 * turn - 1 if form == "sawtooth" else math.copysign(1, 0.5 - turn)
