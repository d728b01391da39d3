"""Sequences of brackets, some of which are balanced: a small set of texts, drawn by rule.

In a balanced one each bracket is closed by one of its kind, the last opened first, such as
``( [ ] ( ) )``. Which bracket belongs to which depends on all between them: the simplest question
about a text that cannot be answered by counting its words (Dyck's language).
"""

from __future__ import annotations

import random

NUM_TEXTS = 800
MOST_PAIRS = 8
PAIRS = {"(": ")", "[": "]"}


def as_csv() -> str:
    """The texts as a table with the columns sequence and class, half of them balanced."""
    draw = random.Random(0)
    lines = ["sequence,class"]
    seen: set[str] = set()
    while len(lines) <= NUM_TEXTS:
        wanted = len(lines) % 2 == 1
        signs = balanced(draw, draw.randint(2, MOST_PAIRS))
        if not wanted:
            signs = spoiled(draw, signs)
        text = " ".join(signs)
        if text not in seen and is_balanced(signs) == wanted:
            seen.add(text)
            lines.append(f"{text},{'balanced' if wanted else 'unbalanced'}")
    return "\n".join(lines) + "\n"


def balanced(draw: random.Random, num_pairs: int) -> list[str]:
    """A balanced sequence of so many pairs."""
    signs: list[str] = []
    waiting: list[str] = []
    opened = 0
    while opened < num_pairs or waiting:
        if opened < num_pairs and (not waiting or draw.random() < 0.5):
            sign = draw.choice(list(PAIRS))
            signs.append(sign)
            waiting.append(PAIRS[sign])
            opened += 1
        else:
            signs.append(waiting.pop())
    return signs


def spoiled(draw: random.Random, signs: list[str]) -> list[str]:
    """The same with one or two brackets changed; it may be balanced by chance."""
    signs = list(signs)
    for place in draw.sample(range(len(signs)), draw.randint(1, 2)):
        signs[place] = draw.choice([*PAIRS, *PAIRS.values()])
    return signs


def is_balanced(signs: list[str]) -> bool:
    """Whether each bracket is closed by one of its kind, the last opened first."""
    waiting: list[str] = []
    for sign in signs:
        if sign in PAIRS:
            waiting.append(PAIRS[sign])
        elif not waiting or waiting.pop() != sign:
            return False
    return not waiting
