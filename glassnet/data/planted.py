"""Sequences of random nucleotides, some with planted motifs: a small set of DNA, drawn by rule.

A promoter has words like TTGACA and TATAAT, with a few letters changed, 16 to 18 letters apart, at
about one place; the others are random all along. So a network that finds both words finds all.
"""

from __future__ import annotations

import random

NUM_SEQUENCES = 400
LENGTH = 50
MOTIFS = (("TTGACA", 8), ("TATAAT", 31))
CHANGED = 0.08
"""Share of a motif's letters that are drawn anew."""


def as_csv() -> str:
    """The sequences as a table with the columns name, sequence and class, half of them planted."""
    draw = random.Random(0)
    lines = ["name,sequence,class"]
    for number in range(NUM_SEQUENCES):
        letters = draw.choices("ACGT", k=LENGTH)
        is_planted = number % 2 == 0
        if is_planted:
            for word, place in MOTIFS:
                _plant(draw, letters, word, place + draw.randint(-1, 1))
        label = "promoter" if is_planted else "random"
        lines.append(f"s{number + 1},{''.join(letters)},{label}")
    return "\n".join(lines) + "\n"


def _plant(draw: random.Random, letters: list[str], word: str, place: int) -> None:
    for step, letter in enumerate(word):
        letters[place + step] = draw.choice("ACGT") if draw.random() < CHANGED else letter
