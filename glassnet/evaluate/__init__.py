"""How good a run is: figures with intervals, on validation or on the sealed test rows."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from glassnet import progress
from glassnet.decisions import Decision
from glassnet.errors import UserError
from glassnet.figures import short
from glassnet.task import Examples, Metric, Outcome, Reading, Review, Source
from glassnet.trained import Trained
from glassnet.version import __version__

RESAMPLES = 1000
COSTLY_RESAMPLES = 200
COSTLY_WORK = 10**7
"""For metrics that take milliseconds each: resamples, and answers that are looked at in all."""

Part = Literal["validation", "test"]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    Of intervals made this way from other examples of the same kind, 95 in 100 hold the true figure
    of these weights. What another seed or another training would give is not in it.
    """

    value: float
    low: float
    high: float


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

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet evaluate --json`` prints it."""
        return {**asdict(self), "run": str(self.run)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Evaluation:
        """What ``to_json`` wrote."""
        plain = {name: _read(found) for name, found in values.get("baselines", {}).items()}
        own = {**values, "run": Path(values["run"]), "metrics": _read(values["metrics"])}
        return cls(**{**own, "baselines": plain})


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
    plainly = answered_plainly(trained, part, source)
    plain = {name: estimates(read.metrics, outcome) for name, outcome in plainly.items()}
    notes = [*read.notes, *_beaten(read.metrics, figures, plain)]
    notes += [f"{name}: {note}." for name, found in plainly.items() for note in found.notes]
    evaluation = Evaluation(trained.run.path, part, num, figures, notes, plain)
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
        return {name: _joined([one[name] for one in each]) for name in trained.task.baselines}
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


def _beaten(
    metrics: Sequence[Metric],
    figures: dict[str, Estimate],
    plain: dict[str, dict[str, Estimate]],
) -> list[str]:
    """Say so if a plain method is better than the network, by the figure that comes first."""
    first = next((metric for metric in metrics if metric.name in figures), None)
    if first is None:
        return []
    sign = 1 if first.better == "higher" else -1
    own = figures[first.name].value
    better = [
        f"{name} ({first.name.replace('_', ' ')} {short(found[first.name].value)})"
        for name, found in plain.items()
        if first.name in found and sign * (found[first.name].value - own) > 0
    ]
    if not better:
        return []
    return [
        f"Plainer methods are better here than the network ({short(own)}): {', '.join(better)}. "
        "Look whether the intervals are far apart; if they are, train longer, choose another "
        "network, or take the plain method."
    ]


def record_opening(trained: Trained) -> None:
    """Note that the seal is broken, before anything is seen."""
    run = (trained.run.folds() or [trained.run])[0]
    if not len(run.splits().test):
        raise UserError(f"{trained.run.path} has no test rows: split.test was 0.")
    opened = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    trained.run.append("test-openings.jsonl", {"opened": opened, "glassnet": __version__})


def estimates(metrics: tuple[Metric, ...], outcome: Outcome) -> dict[str, Estimate]:
    """Compute every metric that is defined for these answers, with its interval."""
    found = {metric.name: estimate(metric, outcome) for metric in metrics}
    return {name: e for name, e in found.items() if math.isfinite(e.value)}


def estimate(metric: Metric, outcome: Outcome) -> Estimate:
    """Compute one metric with its interval; NaN if it is not defined for these answers."""
    value, num = metric.compute(outcome), len(outcome.targets)
    if not math.isfinite(value):
        return Estimate(value, value, value)
    if metric.blocks is not None:
        return Estimate(value, *bootstrap(metric.compute, metric.blocks(outcome), RESAMPLES))
    if metric.proportion:
        return Estimate(value, *wilson(value, num))
    affordable = COSTLY_WORK // outcome.outputs.numel()
    resamples = max(20, min(COSTLY_RESAMPLES, affordable)) if metric.costly else RESAMPLES
    return Estimate(value, *bootstrap(metric.compute, outcome, resamples))


def wilson(share: float, num: int) -> tuple[float, float]:
    """95 % interval of a share of ``num`` examples (Wilson, 1927); right near 0 and 1 too."""
    z = 1.959964
    middle = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(
    compute: Callable[[Outcome], float], outcome: Outcome, resamples: int
) -> tuple[float, float]:
    """95 % interval by the percentile bootstrap over examples (Efron, 1979)."""
    generator = torch.Generator().manual_seed(0)
    num = len(outcome.targets)
    draws = [
        compute(outcome[torch.randint(num, (num,), generator=generator)]) for _ in range(resamples)
    ]
    finite: Tensor = torch.tensor([d for d in draws if math.isfinite(d)], dtype=torch.float64)
    if not len(finite):
        return math.nan, math.nan
    low, high = finite.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def _join(reviews: list[Review[Any]], trained: Trained) -> Review[Any]:
    outcome = _joined([review.outcome for review in reviews])
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


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
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


class Joined:
    """Examples of several folds, one after another."""

    def __init__(self, parts: list[Examples[Any]]) -> None:
        self.parts = parts

    @property
    def rows(self) -> Tensor:
        """The rows of the source."""
        return torch.cat([part.rows for part in self.parts])

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def batch(self, index: Tensor, /) -> Any:
        """Return the examples at ``index``, which must lie in one fold."""
        start = 0
        for part in self.parts:
            if int(index.min()) < start + len(part):
                return part.batch(index - start)
            start += len(part)
        raise IndexError(index)

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Any]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> Joined:
        """Return the same examples on ``device``."""
        return Joined([part.to(device) for part in self.parts])
