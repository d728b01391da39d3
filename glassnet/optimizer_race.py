"""All optimizers and all schedules on one problem, from the same first weights.

Everything is held equal but what is compared: for one seed, all trainings begin with the same
weights and see the same batches in the same order, so that differences are taken seed by seed. A
rate that suits one optimizer starves another, so each gets a search of its own (downhill in steps
of √10 from the task's default, on a seed that the race itself does not use).

A race is shorter than a training, and schedules count in epochs. So the steps of a race are cut
into laps; a lap is what a schedule takes for an epoch, and the validation part is looked at after
each. The test part is never touched.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from glassnet import device, progress
from glassnet.errors import Diverged, UserError
from glassnet.loop import Assembly, assemble, shuffled, stop_on_signal
from glassnet.optimizers import SGD, Adam, AdamW, Muon, OptimizerKnobs, RMSprop
from glassnet.schedules import Constant, Cosine, Exponential, OneCycle, ScheduleKnobs, Step
from glassnet.task import Metric, Scores, Subset, Task

LAPS = 25
"""Points of each curve."""
FACTOR = math.sqrt(10)
"""Between two learning rates of a search."""
LEAST_STEPS = 100
"""A shorter race, unless asked for, says nothing."""
SWEEP_SEED = 1_000_000
"""Added to the recipe's seed for the search of rates, which must not choose the race's luckiest."""
USUAL_TRIES = 3.5
"""Rates that a search usually needs, for the estimate of the time."""

OPTIMIZERS: dict[str, OptimizerKnobs] = {
    "sgd": SGD(),
    "sgd, momentum 0.9": SGD(momentum=0.9),
    "sgd, Nesterov 0.9": SGD(momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(),
    "adam": Adam(),
    "adamw": AdamW(),
    "muon": Muon(),
}


@dataclass(frozen=True)
class Trial:
    """One short training."""

    lr: float
    """At its peak."""
    seed: int
    losses: list[float]
    """Mean training loss of each lap."""
    scores: list[Scores]
    """On the validation part, after each lap."""
    step_seconds: float
    """Median over the laps, without validation."""
    diverged: int | None = None
    """The step at which the loss was not finite any more."""

    def score(self, metric: Metric, keep: str) -> float | None:
        """What a run would answer with: its best lap, or its last; None if it diverged."""
        if self.diverged is not None:
            return None
        values = [lap[metric.name] for lap in self.scores]
        if keep == "last":
            return values[-1]
        return max(values) if metric.better == "higher" else min(values)


@dataclass
class Entry:
    """One optimizer with one schedule: the rates that were tried, and the race."""

    optimizer: OptimizerKnobs
    schedule: ScheduleKnobs
    tried: list[Trial] = field(default_factory=list)
    raced: list[Trial] = field(default_factory=list)

    @property
    def trials(self) -> list[Trial]:
        """The race, or what there is of the search if the race was cut short."""
        return self.raced or self.tried[:1]


@dataclass
class Comparison:
    """What came out."""

    recipe: Any
    metric: Metric
    """Compared, and chose the rates: the first that is not a share of examples, as it is finer."""
    headline: Metric
    """The task's first metric, for people."""
    steps: int
    laps: int
    steps_per_epoch: int
    seeds: list[int]
    optimizers: dict[str, Entry]
    schedules: dict[str, Entry]
    own: Entry
    """The recipe's own optimizer and schedule; it stands in both groups."""
    interrupted: bool = False

    @property
    def entries(self) -> list[Entry]:
        """All, each once."""
        every = [*self.optimizers.values(), *self.schedules.values()]
        return list({id(entry): entry for entry in every}.values())


def run(
    task: Task[Any, Any],
    recipe: Any,
    *,
    steps: int | None = None,
    seeds: int = 3,
    rates: int = 5,
    minutes: float = 5.0,
) -> Comparison:
    """Compare all optimizers, and all schedules with the recipe's own optimizer.

    Args:
        task: What is to be learned.
        recipe: On which data, by which network.
        steps: Optimizer steps of each training; None: as many as ``minutes`` allow, and no more
            than the recipe itself takes.
        seeds: Trainings of each optimizer and schedule.
        rates: Learning rates tried for each, at most; 1: the task's default alone.
        minutes: About how long all of it may take, if ``steps`` is None.

    Raises:
        UserError: If a number is out of its range, or the task's learner follows no schedule.
        KeyboardInterrupt: If it was interrupted before anything came out.
    """
    _check(steps, seeds, rates, minutes)
    with ExitStack() as stack:
        parts = assemble(task, recipe, None, stack)
        track = Track(task, parts)
        wanted = steps or track.affordable(minutes, seeds, rates)
        track.measure_out(wanted)
        found = _prepared(task, recipe, track, seeds)
        _race(found, track, rates)
    if not any(entry.tried for entry in found.entries):
        raise KeyboardInterrupt
    return found


class Track:
    """The problem, ready for any number of trainings."""

    def __init__(self, task: Task[Any, Any], parts: Assembly[Any, Any]) -> None:
        self.task, self.recipe, self.data, self.where = task, parts.recipe, parts.data, parts.where
        self.train, validation = self.data.positions(0)
        self.validation = Subset(self.data.pool, validation.to(self.where))
        self.batch_size = min(int(self.recipe.fit.batch_size), len(self.train))
        self.laps = self.steps_per_lap = 1
        self.stop: Callable[[], bool] = bool
        self.done, self.total = 0, 1

    @property
    def steps(self) -> int:
        """Of each training."""
        return self.laps * self.steps_per_lap

    @property
    def own_steps(self) -> int:
        """Of a training by the recipe."""
        return int(self.recipe.fit.num_steps(len(self.train)))

    def measure_out(self, steps: int) -> None:
        """Cut the way into laps of equal length."""
        self.laps = min(LAPS, steps)
        self.steps_per_lap = max(1, round(steps / self.laps))

    def affordable(self, minutes: float, seeds: int, rates: int) -> int:
        """How many steps fit into the time, from a short trial; at most the recipe's own."""
        self.measure_out(30)
        fit = self.recipe.fit
        began = time.perf_counter()
        trial = self.trial(fit.optimizer, fit.schedule, fit.lr, fit.seed)
        looks = (time.perf_counter() - began - self.steps * trial.step_seconds) / self.laps * LAPS
        trainings = (len(OPTIMIZERS) + 5) * (seeds + min(rates, USUAL_TRIES))
        left = minutes * 60 / trainings - max(0.0, looks)
        wanted = max(LEAST_STEPS, int(left / trial.step_seconds)) if left > 0 else LEAST_STEPS
        return min(wanted, max(LEAST_STEPS, self.own_steps))

    def trial(
        self, optimizer: OptimizerKnobs, schedule: ScheduleKnobs, lr: float, seed: int
    ) -> Trial:
        """One training from the first weights of ``seed``."""
        stream = self._stream(seed)
        data = replace(self.data, positions=lambda lap: (stream[lap], stream[lap][:0]))
        knobs = {"optimizer": optimizer, "schedule": schedule, "lr": lr, "seed": seed}
        size = {"epochs": self.laps, "batch_size": self.batch_size}
        fit = self.recipe.fit.model_copy(update=knobs | size)
        recipe = self.recipe.model_copy(update={"fit": fit})
        torch.manual_seed(seed)
        network = device.place(self.task.network(recipe, self.data.facts), self.where)
        return self._train(self.task.learner(recipe, network, data), stream, lr, seed)

    def _stream(self, seed: int) -> list[Tensor]:
        """The positions of each lap; epochs follow each other as in a training."""
        total = self.steps * self.batch_size
        epochs = range(math.ceil(total / len(self.train)))
        order = torch.cat([shuffled(self.train, seed, epoch) for epoch in epochs])[:total]
        return list(order.split(self.steps_per_lap * self.batch_size))

    def _train(self, learner: Any, stream: list[Tensor], lr: float, seed: int) -> Trial:
        losses: list[float] = []
        scores: list[Scores] = []
        times: list[float] = []
        for lap, positions in enumerate(stream):
            began = time.perf_counter()
            loss, bad = self._lap(learner, positions, lap * self.steps_per_lap)
            if bad is not None:
                return Trial(lr, seed, losses, scores, _median(times), diverged=bad)
            times.append((time.perf_counter() - began) / self.steps_per_lap)
            losses.append(loss)
            scores.append(self._scores(learner.network))
        return Trial(lr, seed, losses, scores, _median(times))

    def _lap(self, learner: Any, positions: Tensor, first: int) -> tuple[float, int | None]:
        """Train for one lap; its mean loss, and the step at which it diverged, if it did."""
        learner.network.train()
        values: list[Tensor | float] = []
        batches = self.data.pool.batches(positions.to(self.where).split(self.batch_size))
        for step, batch in enumerate(batches, first):
            if self.stop():
                raise Stopped
            try:
                found = learner.update(batch, step)
            except Diverged:
                return math.nan, step
            if "lr" not in found:
                raise UserError(
                    "The comparison needs a learner that follows fit.optimizer and fit.schedule "
                    "and returns its 'lr'; this task's does not."
                )
            values.append(found["loss"])
        self.done += len(values)
        progress.tell("comparing optimizers", min(self.done, self.total), self.total)
        loss = math.fsum(map(float, values)) / len(values)  # waits for a GPU: once a lap only
        return loss, None if math.isfinite(loss) else first

    def _scores(self, network: Any) -> Scores:
        with device.forked_random(self.where):
            outcome = self.task.score(network, self.validation, self.data.facts)
        return {m.name: m.compute(outcome) for m in self.task.metrics if not m.costly}


class Stopped(Exception):  # noqa: N818 - no error: the user asked for it
    """The user asked to stop."""


def rates_around(start: float, cost: Callable[[float], float], most: int) -> Iterator[float]:
    """Walk downhill from ``start`` by factors of √10, until both neighbours of the best are worse.

    ``cost`` is asked for a rate once it has been yielded; infinity is worst.

    >>> costs = {0.1: 3.0, 0.0316: 2.0, 0.316: 4.0, 0.01: 2.5}
    >>> [round(r, 4) for r in rates_around(0.1, lambda r: costs[float(f"{r:.3g}")], 9)]
    [0.1, 0.0316, 0.3162, 0.01]
    """
    known: dict[int, float] = {}
    waiting = [0]
    while waiting and len(known) < most:
        place = waiting.pop(0)
        yield start * FACTOR**place
        known[place] = cost(start * FACTOR**place)
        if not waiting:
            best = min(known, key=known.__getitem__)
            waiting = [place for place in (best - 1, best + 1) if place not in known]


def scaled(schedule: ScheduleKnobs, epochs: int, laps: int) -> ScheduleKnobs:
    """The same schedule over ``laps`` instead of ``epochs``."""
    share = laps / epochs
    if isinstance(schedule, OneCycle):
        return schedule
    changes: dict[str, Any] = {"warmup": schedule.warmup * share}
    if isinstance(schedule, Step):
        changes["step_size"] = max(1, round(schedule.step_size * share))
    if isinstance(schedule, Exponential):
        changes["gamma"] = schedule.gamma ** (1 / share)
    return schedule.model_copy(update=changes)


def schedules(laps: int) -> dict[str, ScheduleKnobs]:
    """Every schedule, at a usual setting for a race of so many laps."""
    third = max(1, round(laps / 3))
    return {
        "constant": Constant(),
        "warm-up, then constant": Constant(warmup=laps / 10),
        "step": Step(step_size=third, gamma=0.1),
        "exponential": Exponential(gamma=0.01 ** (1 / laps)),
        "cosine": Cosine(),
        "one-cycle": OneCycle(),
    }


# --- Helpers --------------------------------------------------------------------------------------


def _check(steps: int | None, seeds: int, rates: int, minutes: float) -> None:
    limits = {"steps": (steps, 10), "seeds": (seeds, 1), "rates": (rates, 1)}
    for name, (value, least) in limits.items():
        if value is not None and value < least:
            raise UserError(f"--{name} must be at least {least}, found {value}.")
    if not minutes > 0:
        raise UserError(f"--minutes must be above 0, found {minutes:g}.")


def _prepared(task: Task[Any, Any], recipe: Any, track: Track, seeds: int) -> Comparison:
    """Who takes part."""
    fit = track.recipe.fit
    own = Entry(fit.optimizer, scaled(fit.schedule, fit.epochs, track.laps))
    mine, name = fit.optimizer, fit.optimizer.name
    known = next((n for n, o in OPTIMIZERS.items() if o == mine), None)
    label = known or (f"{name}, as in the recipe" if name == "sgd" else name)
    optimizers = {n: Entry(o, own.schedule) for n, o in OPTIMIZERS.items()} | {label: own}
    plans = {n: Entry(mine, s) for n, s in schedules(track.laps).items()}
    plans[fit.schedule.name] = own
    return Comparison(
        recipe=track.recipe,
        metric=next(m for m in task.metrics if not (m.costly or m.proportion)),
        headline=task.metrics[0],
        steps=track.steps,
        laps=track.laps,
        steps_per_epoch=track.own_steps // fit.epochs,
        seeds=[recipe.fit.seed + number for number in range(seeds)],
        optimizers=optimizers,
        schedules=plans,
        own=own,
    )


def _race(found: Comparison, track: Track, rates: int) -> None:
    """First a rate for each, then seed by seed, so that an interrupt leaves whole rounds."""
    entries = [found.own, *(entry for entry in found.entries if entry is not found.own)]
    trainings = len(entries) * (len(found.seeds) + min(rates, USUAL_TRIES))
    track.done, track.total = 0, round(trainings * track.steps)
    try:
        with stop_on_signal() as stop:
            track.stop = stop.is_set
            for entry in entries:
                _search(found, track, entry, rates)
            track.total = track.done + len(entries) * len(found.seeds) * track.steps
            for seed in found.seeds:
                for entry in entries:
                    lr = entry.tried[0].lr
                    entry.raced.append(track.trial(entry.optimizer, entry.schedule, lr, seed))
    except Stopped:
        found.interrupted = True


def _search(found: Comparison, track: Track, entry: Entry, rates: int) -> None:
    """Try learning rates; the best one comes first in ``entry.tried``."""
    seed = found.recipe.fit.seed + SWEEP_SEED

    def cost(lr: float) -> float:
        trial = next(trial for trial in entry.tried if trial.lr == lr)
        return _cost(found, trial)

    for lr in rates_around(_start(found, track, entry), cost, rates):
        entry.tried.append(track.trial(entry.optimizer, entry.schedule, lr, seed))
    entry.tried.sort(key=lambda trial: _cost(found, trial))


def _cost(found: Comparison, trial: Trial) -> float:
    score = trial.score(found.metric, found.recipe.fit.keep)
    if score is None or not math.isfinite(score):
        return math.inf
    return score if found.metric.better == "lower" else -score


def _start(found: Comparison, track: Track, entry: Entry) -> float:
    """The own rate, or the task's default for this optimizer."""
    if entry.optimizer == found.own.optimizer:
        own = found.own.tried
        return own[0].lr if own else float(found.recipe.fit.lr)
    fit = found.recipe.fit.model_copy(update={"optimizer": entry.optimizer, "lr": None})
    filled = track.task.fill(found.recipe.model_copy(update={"fit": fit}), len(track.train))
    return float(filled.fit.lr)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else math.nan
