"""Defaults of a training that begins with a regression, which few windows may correct a little."""

from __future__ import annotations

import math
from typing import TypeVar

from glassnet import learners
from glassnet.learners import between
from glassnet.recipe import Recipe

Rec = TypeVar("Rec", bound=Recipe)
ENOUGH = 2000
"""Windows from which on the learning rate is the full one; below it is as much smaller."""
LEAST = 0.05
"""The smallest share of it."""

_fill = learners.filler(
    lr={"muon": 1e-3, "adamw": 1e-3, "adam": 1e-3, "rmsprop": 5e-4, "sgd": 0.02},
    batch_size=lambda n: 2 ** between(4, math.log2(n / 64), 7),
    epochs=lambda n: between(3, 40_000 / n, 40),
)


def fill(recipe: Rec, num_examples: int) -> Rec:
    """Set the unset knobs from the number of windows (evidence in docs/log.md)."""
    filled = _fill(recipe, num_examples)
    options = recipe.network.options
    if recipe.fit.lr is not None or options.get("begin") == "zero":
        return filled
    assert filled.fit.lr is not None, "filled"
    share = max(LEAST, min(1.0, num_examples / ENOUGH))
    fit = filled.fit.model_copy(update={"lr": float(f"{filled.fit.lr * share:.2g}")})
    return filled.model_copy(update={"fit": fit})
