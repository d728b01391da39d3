"""Sequences that are to be explained, as a network reads them: from raw input, from validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import UserError
from glassnet.explain import questions
from glassnet.explain.example import Tap
from glassnet.metrics import answered
from glassnet.task import Axes, Metric, Outcome, Review
from glassnet.trained import Trained
from glassnet.views import worst_mistakes

SOME = 2
"""Worst and best validation examples, of each."""
RANKED = 2_000
"""Validation examples of which the largest error is looked for."""


@dataclass(frozen=True)
class Given:
    """One sequence as the network reads it, and what is known about it."""

    name: str
    signals_1CT: Tensor
    truth: str | None = None
    answer: str | None = None
    """What the run answered, where that is more than the network says by itself."""
    tokens: Sequence[int] | None = None
    """Of a text that was heard: its tokens. None: what the best path spells is the answer."""
    future: Tensor | None = None


def axes_of(trained: Trained) -> Axes:
    """How people read what the run's network is fed."""
    assert trained.task.axes is not None
    return trained.task.axes(trained.facts, trained.network)


def classes_of(facts: Any, trained: Trained) -> Sequence[str]:
    """The names of the classes, or of the outputs."""
    return list(trained.task.output_names(facts))


def metric_of(trained: Trained) -> Metric:
    """The figure by which the answer to a single example is called better or worse."""
    task = trained.task
    names = task.chosen_by or (task.metrics[0].name,)
    return next(metric for metric in task.metrics if metric.name == names[0])


# --- From raw input -------------------------------------------------------------------------------


def read(one: Trained, raw: Any) -> tuple[list[Given], list[str]]:
    """What the network is fed for each input: overheard while the run answers it."""
    items = raw if isinstance(raw, list | tuple) else [raw]
    horizon = axes_of(one).horizon
    found: list[Given] = []
    notes: list[str] = []
    for item in items:
        tap = Tap(one.network)
        # Without a decision: that of a forecast is made of windows before the one that is answered.
        answers = one.task.predict(tap, one.facts, item) if horizon else one.predict(item, tap)
        bad = [p for p in answers if "error" in p.details]
        good = [p for p in answers if "error" not in p.details]
        if not good:
            said = "; ".join(f"{p.input}: {p.details['error']}" for p in bad[:3])
            raise UserError(said or f"{item!s:.80}: nothing was found there to be explained.")
        notes += [f"{p.input} could not be read: {p.details['error']}" for p in bad]
        rows = [batch[n : n + 1] for batch in tap.seen for n in range(len(batch))]
        whole = True
        if len(rows) != len(good):
            notes.append(
                f"{good[0].input}: read in {len(rows)} pieces; the first of them is explained."
            )
            good, rows, whole = good[:1], rows[:1], False
        for answer, signals in zip(good, _in_order(one, good, rows), strict=True):
            # A copy, for what was made in inference mode can have no gradient.
            given = Given(answer.input or "the history", _ended(signals.clone()))
            found.append(_said(one, given, answer, whole))
    return found, notes


def _said(one: Trained, given: Given, answer: Any, whole: bool) -> Given:
    """With the class, which costs may have chosen, or the text, which was searched for.

    Not of a forecast; and the text of many pieces was not heard in the first of them.
    """
    axes = axes_of(one)
    if axes.horizon or (axes.spell is not None and not whole):
        return given
    text = str(answer.answer)
    return replace(given, answer=text, tokens=axes.spell(text) if axes.spell else None)


def _in_order(one: Trained, answers: Sequence[Any], rows: list[Tensor]) -> list[Tensor]:
    """Batches may be sorted by length: each answer gets the row with its own probabilities."""
    if len(rows) < 2 or "probabilities" not in answers[0].details:
        return rows
    left, found = list(rows), []
    classes = classes_of(one.facts, one)
    shares = [questions.outputs(one.network, row)[0].cpu().double().softmax(0) for row in rows]
    for answer in answers:
        told = answer.details["probabilities"]
        own = torch.tensor([told.get(c, 0.0) for c in classes], dtype=torch.float64)
        known = torch.tensor([c in told for c in classes])
        far = [float(((share - own) * known).abs().sum()) for share in shares]
        best = far.index(min(far))
        found.append(left.pop(best))
        shares.pop(best)
    return found


def _ended(signals_1CT: Tensor) -> Tensor:
    """Without the padding of a batch; of nothing at all, one step stays."""
    there = (~signals_1CT.isnan()).any(1)[0].nonzero()
    return signals_1CT[:, :, : int(there.max()) + 1 if len(there) else 1]


# --- From validation examples ---------------------------------------------------------------------


def ranked(review: Review[Any], metric: Metric) -> list[int]:
    """Positions of the worst answers, then of the best ones."""
    wrong, right = (apart(part, review.outcome) for part in order(review, metric))
    return list(dict.fromkeys([*wrong[:SOME], *right[:SOME]]))


def apart(positions: Sequence[int], outcome: Outcome) -> list[int]:
    """Without windows over time that share a part of their future with an earlier position's."""
    if outcome.moments is None:
        return list(positions)
    horizon = outcome.targets.shape[2]
    found: list[int] = []
    begun: dict[int, list[int]] = {}
    for position in positions:
        series, moment = outcome.moments[position].tolist()
        if all(abs(moment - other) >= horizon for other in begun.setdefault(series, [])):
            begun[series].append(moment)
            found.append(position)
    return found


def worst_variable(
    network: nn.Module, signals_1CT: Tensor, future: Tensor | None, axes: Axes
) -> str | None:
    """The variable whose forecast is farthest from what came; None if that is not known."""
    if future is None or axes.variables < 2:
        return None
    answers = questions.outputs(network, signals_1CT)[0, :, :, axes.middle].cpu()
    errors_V = (answers - future.cpu()).abs().nanmean(1).nan_to_num()
    return questions.variables_of(axes)[int(errors_V.argmax())]


def order(review: Review[Any], metric: Metric) -> tuple[list[int], list[int]]:
    """Positions of wrong answers, the worst first, and of right ones, the best first.

    Of answers that are never quite right, the worse half and the better half.
    """
    outcome = review.outcome
    if outcome.targets.ndim == 1 and not outcome.targets.is_floating_point():
        shares = outcome.outputs.double().softmax(1).amax(1)
        right = (answered(outcome) == outcome.targets).nonzero().flatten()
        best = right[shares[right].argsort(descending=True, stable=True)]
        return list(worst_mistakes(outcome)), best.tolist()
    sign = -1 if metric.better == "higher" else 1
    number = min(RANKED, len(outcome.targets))
    each = [sign * metric.compute(outcome[torch.tensor([n])]) for n in range(number)]
    errors = torch.tensor(each, dtype=torch.float64)
    ranks = errors.nan_to_num().argsort(descending=True, stable=True).tolist()
    half = (len(ranks) + 1) // 2
    return ranks[:half], ranks[half:][::-1]


def given(
    review: Review[Any], positions: Sequence[int], axes: Axes, classes: Sequence[str]
) -> list[Given]:
    """These validation examples, as the network reads them, with what is right."""
    found = []
    for position in positions:
        index = torch.tensor([position], device=review.examples.rows.device)
        batch = review.examples.batch(index)
        name, signals = review.name(position), batch.inputs
        if axes.horizon:
            future = batch.targets[0] if batch.targets.ndim == 3 else None
            found.append(Given(name, signals, future=future))
        elif axes.tokens is not None:
            truth = "".join(axes.tokens(int(token)) for token in batch.targets[0] if token)
            answers = review.outcome.answers
            said = None if answers is None else [int(t) for t in answers[position] if t]
            found.append(Given(name, _ended(signals), truth.strip(), tokens=said))
        else:
            number = int(answered(review.outcome)[position])
            truth = classes[int(review.outcome.targets[position])]
            found.append(Given(name, _ended(signals), truth, classes[number]))
    return found
