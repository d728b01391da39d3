"""Re-check what verified recipes promise, by training them and measuring."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from glassnet import api, catalog, device, listing
from glassnet.errors import UserError


@dataclass(frozen=True)
class Check:
    """What a recipe promised, and what came out."""

    recipe: str
    metric: str
    goal: float
    value: float
    minutes: float
    allowed: float
    reached: bool


def check(names: Sequence[str]) -> list[Check]:
    """Train the named recipes and compare with their goals; if none is named, all that can be."""
    return [check_one(name) for name in names or _that_run_here()]


def check_one(name: str) -> Check:
    """Train one recipe in a temporary folder and compare with its goal."""
    task, recipe = catalog.resolve(name, {})
    goal = recipe.goal
    if goal is None:
        raise UserError(f"The recipe {name} has no goal to check.")
    sys.stderr.write(f"{name}: {goal.metric} {goal.value} within {goal.minutes:g} min\n")
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with api.watcher(True) as watch:
            run = api.start(task, recipe, name, folder, watch)
        if run.status != "finished":
            raise KeyboardInterrupt
        minutes = (time.monotonic() - began) / 60
        value = run.evaluate(test=goal.split == "test").metrics[goal.metric].value
    metric = next(m for m in task.metrics if m.name == goal.metric)
    good = value >= goal.value if metric.better == "higher" else value <= goal.value
    reached = good and minutes <= goal.minutes
    return Check(name, goal.metric, goal.value, value, minutes, goal.minutes, reached)


def _that_run_here() -> list[str]:
    """All recipes, but those for a device that this machine lacks."""
    here = []
    for name in listing.names("recipes", ".yaml"):
        try:
            device.choose(catalog.resolve(name, {})[1].fit.device)
        except UserError as error:
            sys.stderr.write(f"{name}: left out. {error}\n")
        else:
            here.append(name)
    return here
