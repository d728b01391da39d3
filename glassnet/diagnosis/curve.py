"""The learning curve: the same recipe, trained anew on fewer of its training rows.

All are validated on the run's own validation rows, and also on training rows that they did not
get: if those are answered better, the validation part is of another kind.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassnet import loop, progress, splits
from glassnet.errors import UserError
from glassnet.evaluate.intervals import Estimate, estimate
from glassnet.recipe import Split, to_yaml
from glassnet.run import Run
from glassnet.task import Event, Finished, Source, Splits, Step
from glassnet.trained import Trained

PATIENCE = 1.5
"""A training that began in time may go on to this many times the limit."""
MAX_LOOK = 2_000
"""Training rows, seen and unseen, on which such a training is measured."""
LEAST_ROWS = 20
"""A training on fewer rows says nothing."""


@dataclass(frozen=True)
class Point:
    """One training on some of the rows."""

    rows: int
    seed: int
    training: Estimate
    """Of the task's first metric, on (a sample of) the rows that it was trained on."""
    validation: Estimate
    unseen: Estimate | None
    """On training rows that it did not get; None if it got all."""
    seconds: float


@dataclass(frozen=True)
class Curve:
    """All points, in the order of their training."""

    points: list[Point]
    full_rows: int
    """Training rows of the run itself."""
    skipped: list[str] = field(default_factory=list)
    """What was left out, and why."""

    def sizes(self) -> dict[int, list[Point]]:
        """Number of rows -> the trainings on so many, ascending."""
        found: dict[int, list[Point]] = {}
        for point in sorted(self.points, key=lambda p: p.rows):
            found.setdefault(point.rows, []).append(point)
        return found


class Parted:
    """A source of which only the given rows are there; all others count as sealed."""

    def __init__(self, source: Source[Any], train: Tensor, validation: Tensor, facts: Any) -> None:
        self.source, self.learned = source, facts
        self.fingerprint, self.problems = source.fingerprint, source.problems
        parts = ["test"] * len(source)
        for rows, part in ((train, "train"), (validation, "validation")):
            for row in rows.tolist():
                parts[row] = part
        self.parts: Sequence[str] = parts
        self.strata, self.groups = source.strata, source.groups
        self.name, self.examples = source.name, source.examples

    def __len__(self) -> int:
        return len(self.source)

    def facts(self, _rows: Tensor, /) -> Any:
        """Those of the run: a class that the few rows lack must not change the question."""
        return self.learned


def draw(
    trained: Trained, source: Source[Any], fractions: Sequence[float], seeds: int, minutes: float
) -> Curve:
    """Train on each share of the rows, in the order given, as long as the time allows.

    The first round has the shares below 1, since the run itself is the whole; the others repeat
    the whole too, with other seeds. An interrupt ends the drawing and keeps what there is.
    """
    trained = trained.fold(trained.run.folds()[0]) if trained.run.folds() else trained
    parts, full = trained.run.splits(), len(trained.run.splits().train)
    sizes = list(dict.fromkeys(max(LEAST_ROWS, round(share * full)) for share in fractions))
    plan = [
        (seed, size)
        for seed in range(seeds)
        for size in [*(s for s in sizes if s < full), *([full] if seed else [])]
    ]
    clock = Clock(trained, plan, minutes)
    points: list[Point] = []
    skipped: list[str] = []
    for seed, size in plan:
        if not clock.allows(size):
            skipped.append(f"{size:,} rows, seed {seed}: no time left")
            continue
        try:
            points.append(_point(trained, source, parts, size, seed, clock))
        except UserError as error:
            skipped.append(f"{size:,} rows, seed {seed}: {str(error)[:200]}")
        except OutOfTime:
            skipped.append(f"{size:,} rows, seed {seed}: took too long")
        except (Interrupted, KeyboardInterrupt):
            skipped.append("the rest: interrupted")
            break
    clock.tell_end()
    return Curve(points, full, skipped)


class Interrupted(Exception):  # noqa: N818 - no error: the user asked for it
    """The user asked to stop."""


class OutOfTime(Exception):  # noqa: N818 - no error: the user set the time
    """A training took much longer than was to be expected."""


class Clock:
    """What there is time for, and how far it has come."""

    def __init__(self, trained: Trained, plan: list[tuple[int, int]], minutes: float) -> None:
        self.steps = {size: _num_steps(trained, size) for _, size in plan}
        self.total = sum(self.steps[size] for _, size in plan)
        self.began, self.limit = time.monotonic(), 60 * minutes
        self.done = 0

    def allows(self, size: int) -> bool:
        """Whether a training on so many rows will end in time, judging by those before."""
        gone = time.monotonic() - self.began
        if not self.done:
            return gone < self.limit
        return gone + self.steps[size] * gone / self.done < self.limit

    def tick(self) -> None:
        """Count one step."""
        self.done += 1
        if time.monotonic() - self.began > PATIENCE * self.limit:
            raise OutOfTime
        progress.tell("learning curve", self.done, max(self.total, self.done + 1))

    def tell_end(self) -> None:
        """Say that it is over."""
        progress.tell("learning curve", 1, 1)


def _point(
    trained: Trained, source: Source[Any], parts: Splits, size: int, seed: int, clock: Clock
) -> Point:
    """Train on ``size`` rows, and measure on all three kinds of rows."""
    rows = splits.some(parts.train, size, source.strata, 1000 + seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fewer = _trained_on(trained, source, rows, parts.validation, seed, Path(folder), clock)
        metric, facts = trained.task.metrics[0], trained.facts
        where = next(fewer.validated.parameters()).device

        def look(which: Tensor) -> Estimate:
            examples = source.examples(which, facts).to(where)
            return estimate(metric, trained.task.score(fewer.validated, examples, facts))

        some = rows[:MAX_LOOK]
        unseen = parts.train[~torch.isin(parts.train, rows)]
        order = torch.randperm(len(unseen), generator=torch.Generator().manual_seed(seed))
        unseen = unseen[order[:MAX_LOOK]]
        return Point(
            rows=size,
            seed=seed,
            training=look(some),
            validation=look(parts.validation),
            unseen=look(unseen) if len(unseen) >= LEAST_ROWS else None,
            seconds=time.monotonic() - began,
        )


def with_fixed_validation(trained: Trained, source: Source[Any], folder: Path) -> Trained:
    """The same recipe, trained anew with the run's first validation part held fixed."""
    parts = trained.run.splits()
    clock = Clock(trained, [(0, len(parts.train))], math.inf)
    return _trained_on(trained, source, parts.train, parts.validation, 0, folder, clock)


def _trained_on(
    trained: Trained,
    source: Source[Any],
    rows: Tensor,
    validation: Tensor,
    seed: int,
    folder: Path,
    clock: Clock,
) -> Trained:
    task, recipe = trained.task, _refitted(trained, len(rows))
    fit = recipe.fit.model_copy(update={"seed": recipe.fit.seed + seed})
    recipe = recipe.model_copy(update={"fit": fit, "split": Split(test=0, refit=False)})
    run = Run.create(folder, "part", to_yaml(recipe), {"task": recipe.task})
    fewer = Parted(source, rows, validation, trained.facts)
    with closing(_closable(loop.train(task, recipe, run, fewer))) as events:
        for event in events:
            if isinstance(event, Step):
                clock.tick()
            elif isinstance(event, Finished) and run.info["status"] != "finished":
                raise Interrupted
    return Trained(run, task, trained.trust_code)


def _closable(events: Iterator[Event]) -> Any:
    return events  # a generator, which the type does not say


def _refitted(trained: Trained, rows: int) -> Any:
    """The recipe for fewer rows.

    Batch size and epochs that glassnet had chosen for the size of the data are chosen anew. Epochs
    that a person had set become more, so that the number of optimizer steps stays the same: the
    curve is to show what rows are worth, not what steps are worth.
    """
    recipe, full = trained.recipe, len(trained.run.splits().train)
    fit = recipe.fit
    unset = {"batch_size": None, "epochs": None}
    chosen = trained.task.fill(
        recipe.model_copy(update={"fit": fit.model_copy(update=unset)}), full
    ).fit
    changes: dict[str, Any] = {}
    if fit.batch_size == chosen.batch_size:
        changes["batch_size"] = None
    if fit.epochs == chosen.epochs:
        changes["epochs"] = None
    recipe = recipe.model_copy(update={"fit": fit.model_copy(update=changes)})
    recipe = trained.task.fill(recipe, rows)
    if fit.epochs == chosen.epochs:
        return recipe
    steps = fit.num_steps(full)
    epochs = max(1, round(steps / recipe.fit.steps_per_epoch(rows)))
    return recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"epochs": epochs})})


def _num_steps(trained: Trained, rows: int) -> int:
    return int(_refitted(trained, rows).fit.num_steps(rows))
