"""How good a run is: figures with intervals, on validation or on the sealed test rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from glassnet import progress
from glassnet.decisions import Decision
from glassnet.errors import UserError
from glassnet.evaluate import paired
from glassnet.evaluate.intervals import Estimate, estimates
from glassnet.task import Examples, Joined, Outcome, Reading, Review, Source
from glassnet.trained import Trained
from glassnet.version import __version__

Part = Literal["validation", "test"]


@dataclass(frozen=True)
class Evaluation:
    """The figures of a run on one part of its data."""

    run: Path
    split: Part
    examples: int
    metrics: dict[str, Estimate]
    notes: Sequence[str] = ()
    """What one must know to read the figures."""
    baselines: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    """The same figures of plain methods, by name."""
    gains: dict[str, Estimate] = field(default_factory=dict)
    """By how much the network is better than each of them in the first figure, on the same
    examples; below 0, it is worse. Without those that too few examples could tell apart."""

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet evaluate --json`` prints it."""
        return {**asdict(self), "run": str(self.run)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Evaluation:
        """What ``to_json`` wrote."""
        plain = {name: _read(found) for name, found in values.get("baselines", {}).items()}
        own = {**values, "run": Path(values["run"]), "metrics": _read(values["metrics"])}
        return cls(**{**own, "baselines": plain, "gains": _read(values.get("gains", {}))})


def _read(figures: dict[str, dict[str, float]]) -> dict[str, Estimate]:
    return {name: Estimate(**values) for name, values in figures.items()}


def measure(
    trained: Trained, part: Part = "validation", source: Source[Any] | None = None
) -> tuple[Evaluation, Review[Any]]:
    """Measure a run. Opening the test rows is counted and dated in the run folder."""
    source = source or trained.source()
    if part == "test":
        record_opening(trained)
    review = look(trained, part, source)
    if part == "validation":
        decide(trained, review)
    elif not trained.is_decided:
        decide(trained, look(trained, "validation", source))
    review = decided(review, trained.decision)
    read = reading(trained)
    figures = estimates(read.metrics, review.outcome)
    num = len(review.outcome.targets)
    beside = answered_plainly(trained, part, source)
    plain = {name: estimates(read.metrics, outcome) for name, outcome in beside.items()}
    gains = paired.differences(read.metrics, review.outcome, beside)
    notes = [*read.notes, *paired.told(read.metrics, figures, plain, gains)]
    notes += [f"{name}: {note}." for name, found in beside.items() for note in found.notes]
    evaluation = Evaluation(trained.run.path, part, num, figures, notes, plain, gains)
    name = "test.json" if part == "test" else "evaluation.json"
    trained.run.write_json(name, evaluation.to_json())
    return evaluation, review


def decide(trained: Trained, review: Review[Any]) -> None:
    """Choose by the validation examples how the run answers, and keep it in the run folder."""
    if trained.task.decide is not None:
        trained.keep(trained.choose(review.outcome), trained.asked)


def decided(review: Review[Any], decision: Decision | None) -> Review[Any]:
    """The same examples with the answers that a decision gives them."""
    if decision is None:
        return review
    return replace(review, outcome=decision.apply(review.outcome), decision=decision)


def reading(trained: Trained) -> Reading:
    """Which figures to show for this run, and how to read them."""
    if trained.task.reading is None:
        return Reading(trained.task.metrics)
    return trained.task.reading(trained.facts, trained.decision)


def look(trained: Trained, part: Part, source: Source[Any]) -> Review[Any]:
    """Answer the examples of one part; in a k-fold run each by the network that never saw it."""
    folds = trained.run.folds()
    if folds and part == "validation":
        members = [trained.fold(fold) for fold in folds]
        return _join([look(member, part, source) for member in members], trained)
    if part == "test":
        one = trained.fold(folds[-1]) if folds else trained
        examples = one.examples(part, source)
    else:
        examples = trained.examples(part, source)
    network = trained.validated if part == "validation" else trained.network
    score = trained.task.full_score or trained.task.score
    outcome = score(network, examples, trained.facts)
    rows = examples.rows.tolist()
    history = [] if folds else trained.run.rows()
    return Review(
        outcome,
        examples,
        trained.facts,
        lambda i: source.name(rows[i]),
        network,
        history,
        trained.recipe,
    )


def answered_plainly(trained: Trained, part: Part, source: Source[Any]) -> dict[str, Outcome]:
    """The answers of the task's baselines, which learn from the rows that the network had."""
    if not trained.task.baselines:
        return {}
    folds = [trained.fold(fold) for fold in trained.run.folds()]
    if folds and part == "validation":
        each = [answered_plainly(fold, part, source) for fold in folds]
        return {name: joined([one[name] for one in each]) for name in trained.task.baselines}
    one = folds[-1] if folds else trained  # of a rolling validation the one that knows most
    splits = one.run.splits()
    learned = [splits.train]
    if part == "test" and (folds or trained.recipe.split.refits):
        learned.append(splits.validation)
    facts, where = one.facts, next(one.network.parameters()).device
    known = source.examples(torch.cat(learned), facts).to(where)
    asked = one.examples(part, source)
    outcomes = {}
    for number, (name, answer) in enumerate(trained.task.baselines.items()):
        progress.tell("plain baselines", number, len(trained.task.baselines))
        outcomes[name] = answer(trained.recipe, known, asked, facts)
    progress.tell("plain baselines", len(outcomes), len(outcomes))
    return outcomes


def record_opening(trained: Trained) -> None:
    """Note that the seal is broken, before anything is seen."""
    run = (trained.run.folds() or [trained.run])[0]
    if not len(run.splits().test):
        raise UserError(f"{trained.run.path} has no test rows: split.test was 0.")
    opened = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    trained.run.append("test-openings.jsonl", {"opened": opened, "glassnet": __version__})


def _join(reviews: list[Review[Any]], trained: Trained) -> Review[Any]:
    outcome = joined([review.outcome for review in reviews])
    places = [(r, i) for r in reviews for i in range(len(r.outcome.targets))]
    examples: Examples[Any] = Joined([r.examples for r in reviews])
    return Review(
        outcome,
        examples,
        reviews[0].facts,
        lambda i: places[i][0].name(places[i][1]),
        trained.network,
        [],
        trained.recipe,
    )


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Answers of several folds, one after another."""
    chosen = [outcome.answers for outcome in outcomes if outcome.answers is not None]
    moments = [outcome.moments for outcome in outcomes if outcome.moments is not None]
    return Outcome(
        torch.cat([outcome.outputs for outcome in outcomes]),
        _stacked([outcome.targets for outcome in outcomes]),
        _stacked(chosen) if len(chosen) == len(outcomes) else None,
        torch.cat(moments) if len(moments) == len(outcomes) else None,
        tuple(dict.fromkeys(note for outcome in outcomes for note in outcome.notes)),
    )


def _stacked(columns: Sequence[Tensor]) -> Tensor:
    """Rows of several folds; texts of tokens are filled up with zeros to the longest."""
    if columns[0].ndim < 2 or columns[0].is_floating_point():
        return torch.cat(list(columns))
    widest = max(column.shape[-1] for column in columns)
    pad = torch.nn.functional.pad
    return torch.cat([pad(column, (0, widest - column.shape[-1])) for column in columns])
