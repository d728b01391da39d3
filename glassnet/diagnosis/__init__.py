"""What keeps a run from being better: bias, variance, data mismatch or noise; and what to do.

``diagnose`` measures, ``verdict`` says by open rules what it means, ``advice`` what to try next.
The run folder is only added to, and the sealed test part is never touched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from glassnet import progress
from glassnet.diagnosis import curve, references
from glassnet.diagnosis.advice import Advice, advise
from glassnet.diagnosis.curve import Curve
from glassnet.diagnosis.references import Drift, Member
from glassnet.diagnosis.verdict import Finding, Gap, Level, Measured, judge_all
from glassnet.errors import UserError
from glassnet.evaluate import joined
from glassnet.evaluate.intervals import Estimate, estimate
from glassnet.task import Examples, Metric, Outcome, Source, Subset
from glassnet.trained import Trained

FRACTIONS = (0.4, 0.7, 0.2, 0.1)
"""Shares of the training rows on which the recipe is trained anew; the run itself is 1.

The most telling ones come first, in case the time ends."""


@dataclass(frozen=True)
class Diagnosis:
    """What was measured, what it means, and what to try next, in order."""

    run: Path
    measured: Measured
    findings: Sequence[Finding]
    advice: Sequence[Advice]

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet diagnose --json`` prints it."""
        return {
            "run": str(self.run),
            "findings": [asdict(finding) for finding in self.findings],
            "advice": [asdict(item) for item in self.advice],
            **self.measured.to_json(),
        }


def diagnose(
    trained: Trained,
    source: Source[Any],
    *,
    reachable: float | None = None,
    minutes: float = 5.0,
    seeds: int = 3,
) -> Diagnosis:
    """Diagnose a run.

    Args:
        trained: The run.
        source: Its data set.
        reachable: What could be reached at best (by people, by an older system), in the task's
            first metric; None: the best of the reference models is taken for it.
        minutes: About how long the trainings of the learning curve may take; 0: no curve.
        seeds: Trainings for each size of the training set, if the time allows.

    Raises:
        UserError: If the run is not finished, or a number is out of its range.
    """
    _check(trained, reachable, minutes, seeds)
    with ExitStack() as stack:
        if trained.recipe.split.mode == "redrawn":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            subject = curve.with_fixed_validation(trained, source, Path(folder))
        else:
            subject = trained
        measured = replace(_measure(subject, source, reachable), doubts=_doubts(trained))
        progress.tell("reference models", 1, 1)
        if minutes:
            found = curve.draw(subject, source, FRACTIONS, seeds, minutes)
            measured = replace(measured, curve=found)
        notes = [_REDRAWN] if subject is not trained else []
        measured = replace(measured, notes=[*measured.notes, *notes])
        findings = judge_all(measured)
        items = advise(findings, measured, trained.recipe, trained.run.path)
    diagnosis = Diagnosis(trained.run.path, measured, findings, items)
    trained.run.write_json("diagnosis.json", diagnosis.to_json())
    return diagnosis


_REDRAWN = (
    "The run redrew its validation rows at each epoch, so that training saw all of them. What is "
    "diagnosed here is the same recipe, trained anew with one fixed validation part."
)


def _check(trained: Trained, reachable: float | None, minutes: float, seeds: int) -> None:
    if trained.run.info.get("status") != "finished":
        raise UserError(
            f"{trained.run.path} is not finished (status: {trained.run.info.get('status')}); "
            f"`glassnet resume {trained.run.path}` continues it."
        )
    metric = trained.task.metrics[0]
    if reachable is not None and metric.proportion and not 0 < reachable <= 1:
        raise UserError(
            f"--reachable {reachable:g}: expected a value of the task's first metric, "
            f"{metric.name}, between 0 and 1 (such as 0.95)."
        )
    if reachable is not None and metric.better == "lower" and reachable < 0:
        raise UserError(f"--reachable {reachable:g}: {metric.name} is never below 0.")
    if minutes < 0:
        raise UserError(f"--minutes must be 0 (no learning curve) or more, found {minutes:g}.")
    if seeds < 1:
        raise UserError(f"--seeds must be at least 1, found {seeds}.")


# --- Measuring ------------------------------------------------------------------------------------


def _measure(trained: Trained, source: Source[Any], reachable: float | None) -> Measured:
    """Everything but the learning curve."""
    metric = trained.task.metrics[0]
    members = _members(trained, source)
    training = joined([member.answers for member in members])
    validation = joined([member.validation for member in members])
    answers = references.answer_all(members)
    return Measured(
        metric=metric,
        second=trained.task.metrics[1],
        training=_level("training", metric, training),
        validation=_level("validation", metric, validation),
        references=[_level(name, metric, outcome) for name, outcome in answers.items()],
        behind={name: _behind(metric, validation, outcome) for name, outcome in answers.items()},
        second_levels=_levels(trained.task.metrics[1], training, validation, answers),
        reachable=reachable,
        drift=references.drift(members[0]),
        conflicts=references.conflicts(members[0]),
        num_training=sum(len(member.answers.targets) for member in members) // len(members),
        last_best=_last_best(trained),
        weak_references=members[0].is_picture,
        notes=[] if answers else [_NO_REFERENCES],
    )


def _doubts(trained: Trained) -> list[str]:
    """The serious findings of the data doctor, but drift: ``data mismatch`` says that itself."""
    if not trained.run.exists("doctor.json"):
        return []
    found = trained.run.read_json("doctor.json")["problems"]
    grave = [p for p in found if p["level"] == "serious" and p["kind"] != "drift"]
    return [f"{p['where']}: {p['what']}" for p in grave]


_NO_REFERENCES = (
    "There are no reference models for answers of this kind; say by --reachable what could be "
    "reached."
)


def _members(trained: Trained, source: Source[Any]) -> list[Member]:
    """The run, or each fold of a k-fold run with the rows that it was and was not trained on."""
    folds = trained.run.folds()
    runs = [trained.fold(fold) for fold in folds] if folds else [trained]
    found = []
    for number, run in enumerate(runs):
        progress.tell("reference models", number, len(runs) + 1)
        found.append(_member(run, source))
    return found


def _member(trained: Trained, source: Source[Any]) -> Member:
    train, validation = (trained.examples(part, source) for part in ("train", "validation"))
    train = _some(train, references.MAX_ROWS)
    answers = trained.task.score(trained.validated, train, trained.facts)
    answered = trained.task.score(trained.validated, validation, trained.facts)
    return Member(train, answers, validation, answered, trained.facts)


def _some(examples: Examples[Any], most: int) -> Examples[Any]:
    """A random sample if there are many."""
    if len(examples) <= most:
        return examples
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))[:most]
    return Subset(examples, order.to(examples.rows.device))


def _level(name: str, metric: Metric, outcome: Outcome) -> Level:
    return Level(name, estimate(metric, outcome), len(outcome.targets))


def _levels(
    metric: Metric, training: Outcome, validation: Outcome, answers: dict[str, Outcome]
) -> list[Level]:
    named = {"training": training, "validation": validation, **answers}
    return [_level(name, metric, outcome) for name, outcome in named.items()]


def _behind(metric: Metric, own: Outcome, other: Outcome) -> Gap:
    """How much larger the network's error is than a reference's on the same rows (bootstrap)."""
    sign = -1.0 if metric.better == "higher" else 1.0
    generator = torch.Generator().manual_seed(0)
    num = len(own.targets)
    draws = []
    for _ in range(400):
        index = torch.randint(num, (num,), generator=generator)
        draws.append(sign * (metric.compute(own[index]) - metric.compute(other[index])))
    low, high = torch.tensor(draws, dtype=torch.float64).quantile(
        torch.tensor([0.025, 0.975], dtype=torch.float64)
    )
    return Gap(sign * (metric.compute(own) - metric.compute(other)), float(low), float(high))


def _last_best(trained: Trained) -> float | None:
    """Where the best epoch lies, as a share of all epochs: 1 means that the last was the best."""
    runs = trained.run.folds() or [trained.run]
    metric = trained.task.metrics[0]
    places = []
    for run in runs:
        scores = [row["validation"].get(metric.name) for row in run.rows() if "validation" in row]
        known = [(v, i) for i, v in enumerate(scores) if v is not None]
        if known:
            sign = 1.0 if metric.better == "higher" else -1.0
            places.append((max(known, key=lambda p: (sign * p[0], p[1]))[1] + 1) / len(scores))
    return sum(places) / len(places) if places else None


__all__ = ["Advice", "Curve", "Diagnosis", "Drift", "Estimate", "Finding", "diagnose"]
