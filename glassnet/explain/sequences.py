"""What a network makes of sequences of numbers: sounds, series, DNA, a past that is continued.

``inputs`` explains what a run answers to raw input, ``validation`` its worst and best answers to
validation examples, ``reviewed`` the same for a report. How people read what the network is fed is
said by the task's ``axes``; what is asked follows from the answers (``questions.py``).
"""

# Letters in tensor names: B examples, C channels, T steps, F rows of the field, U its columns.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from glassnet import figures
from glassnet.errors import UserError, nearest
from glassnet.explain import mutations, numbers, numbertrust, questions, sequencespage
from glassnet.explain.attribution import Attribution
from glassnet.explain.example import Tap
from glassnet.explain.numbertrust import Check
from glassnet.explain.questions import Question, Timed
from glassnet.metrics import answered
from glassnet.progress import tell
from glassnet.task import Axes, Metric, Review
from glassnet.trained import Trained
from glassnet.views import worst_mistakes

MOST = 8
"""Examples that are explained at once."""
SOME = 2
"""Worst and best validation examples, of each."""
QUICK = ("integrated_gradients",)
"""The methods for validation examples, if none are named."""
CHECKED = 30_000
"""Numbers of all the examples together on which the methods are checked; one example at least."""
RANKED = 2_000
"""Validation examples of which the largest error is looked for."""


@dataclass(frozen=True)
class Explained:
    """What the methods found about one answer."""

    about: str
    unit: str
    evidence: Sequence[Attribution]
    """Each with the numbers of the field, row after row."""
    value: float | None = None
    """Of a forecast: what is explained, in people's unit."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        found = [one.to_json() for one in self.evidence]
        return {"about": self.about, "unit": self.unit, "value": self.value, "evidence": found}


@dataclass(frozen=True)
class Shown:
    """One example, what was answered, and why."""

    name: str
    answer: str
    truth: str | None
    probabilities: dict[str, float]
    """Of the classes, the most probable first."""
    signals: Tensor
    """(C, T), as the network reads it."""
    field: Tensor
    """(F, U): what evidence is laid over."""
    tiles: Tensor
    """(F, U): which of its numbers belong together."""
    explained: Sequence[Explained]
    letters: Sequence[Timed] = ()
    words: Sequence[Timed] = ()
    mutated: Tensor | None = None
    """(C, T): what each letter at each place would add to the log-odds, in place of the one there.
    """
    forecast: Tensor | None = None
    """(V, H), as the network answers."""
    future: Tensor | None = None
    """(V, H): what came, if it is known."""

    def to_json(self) -> dict[str, Any]:
        """The numbers of the example itself are left out; ``shape`` is that of the evidence."""
        plain = {key: getattr(self, key) for key in ("name", "answer", "truth", "probabilities")}
        lists = {key: [vars(one) for one in getattr(self, key)] for key in ("letters", "words")}
        mutated = None if self.mutated is None else self.mutated.tolist()
        found = [one.to_json() for one in self.explained]
        shape = list(self.field.shape)
        return {**plain, "shape": shape, "explained": found, **lists, "mutated": mutated}


@dataclass(frozen=True)
class Sequences:
    """What was found; ``text`` for a terminal, ``document`` for a page."""

    network: str
    axes: Axes
    examples: Sequence[Shown]
    checks: Sequence[Check] = ()
    run: str = ""
    notes: Sequence[str] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet explain --json`` prints it."""
        return {
            "run": self.run, "network": self.network,
            "examples": [one.to_json() for one in self.examples],
            "checks": [one.to_json() for one in self.checks], "notes": list(self.notes),
        }  # fmt: skip

    @property
    def text(self) -> str:
        """For a terminal, in 100 columns."""
        return sequencespage.text(self)

    @cached_property
    def document(self) -> figures.Document:
        """For a page: ``figures.page(sequences.document)``."""
        return sequencespage.document(self)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return figures.notebook(self.document)


@dataclass(frozen=True)
class Given:
    """One sequence as the network reads it, and what is known about it."""

    name: str
    signals_1CT: Tensor
    truth: str | None = None
    answer: str | None = None
    """What the run answered, where that is more than the network says by itself."""
    future: Tensor | None = None


def of_sequences(trained: Trained) -> bool:
    """Whether a run reads sequences of numbers whose axes its task knows."""
    return trained.task.axes is not None


def horizon(trained: Trained) -> int:
    """How many steps a run forecasts; 0 for one that does not."""
    folds = trained.run.folds()
    return _axes(trained.fold(folds[0]) if folds else trained).horizon


def inputs(
    trained: Trained,
    raw: Any,
    methods: Sequence[str] | None = None,
    about: str | None = None,
    step: int | None = None,
) -> Sequences:
    """Explain what a run answers to raw input.

    Args:
        trained: The run; of a k-fold run the first network is shown.
        raw: As for ``predict``: a path, a folder, an array, or a list of them.
        methods: Names from ``numbers.METHODS``; None: all.
        about: The class, the word or the variable that is explained; None: what is answered.
        step: Of a forecast: the step of the future, from 1; None: the last.

    Raises:
        UserError: If an input cannot be read, or a name or a step is unknown.
    """
    chosen = _chosen(methods or numbers.DEFAULT)
    one, notes = _one(trained)
    given, more = _read(one, raw)
    asker = Asker(one.network, _axes(one), _classes(one.facts, one), chosen, about, step)
    found = asker.explain(given, check=True)
    name, run = one.recipe.network.name, str(trained.run.path)
    return replace(found, network=name, run=run, notes=[*notes, *more, *found.notes])


def validation(
    trained: Trained,
    review: Review[Any],
    methods: Sequence[str] | None = None,
    step: int | None = None,
) -> Sequences:
    """Explain the worst and the best answers to validation examples.

    Raises:
        UserError: If there are none, or a name or a step is unknown.
    """
    one, notes = _one(trained)
    if not len(review.examples):
        raise UserError(f"{trained.run.path} has no validation examples to explain; give an input.")
    asker = _asker(one, review, methods, step)
    found = asker.explain(given(review, ranked(review, _metric(one)), asker), check=True)
    name, run = one.recipe.network.name, str(trained.run.path)
    return replace(found, network=name, run=run, notes=[*notes, *found.notes])


def reviewed(trained: Trained, review: Review[Any]) -> tuple[Sequences, Sequences] | None:
    """For a report: the examples with the largest errors, as they are; and why a wrong and a
    typical answer were given. None if the run reads something else, or there are no examples.
    """
    if not of_sequences(trained) or not len(review.examples):
        return None
    asker, name = _asker(trained, review, QUICK, None), trained.recipe.network.name
    wrong, right = _order(review, _metric(trained))
    typical = right[len(right) // 2 : len(right) // 2 + 1]
    plain = replace(asker, methods={})
    largest = plain.explain(given(review, wrong[: sequencespage.HEARD], asker), check=False)
    why = asker.explain(given(review, [*wrong[:1], *typical], asker), check=False)
    return replace(largest, network=name), replace(why, network=name)


# --- Asking ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asker:
    """A network, and what is to be found out about sequences."""

    network: nn.Module
    axes: Axes
    classes: Sequence[str]
    methods: dict[str, Any]
    about: str | None = None
    step: int | None = None

    def explain(self, given: Sequence[Given], *, check: bool) -> Sequences:
        """Find the evidence, and whether it is to be trusted."""
        if not given:
            raise UserError("There is nothing to explain; give an input that can be read.")
        notes = []
        if len(given) > MOST:
            notes = [f"Explained are the first {MOST} of {len(given)} inputs."]
        found, asked = [], []
        for done, one in enumerate(given[:MOST]):
            tell("finding evidence", done, min(MOST, len(given)))
            shown, of_it = self._shown(one)
            found.append(shown)
            asked += of_it[:1]
        tell("finding evidence", len(found), len(found))
        checks = self._checks(asked) if check else []
        return Sequences("", self.axes, found, checks, notes=notes)

    def _shown(self, one: Given) -> tuple[Shown, list[Question]]:
        signals = questions.future_hidden(one.signals_1CT, self.axes)
        words: tuple[Sequence[Timed], Sequence[Timed]] = ((), ())
        shares: dict[str, float] = {}
        if self.axes.tokens is not None:
            asked, *words_found = questions.of_words(self.network, signals, self.axes, self.about)
            words = (words_found[0], words_found[1])
            answer = one.answer or " ".join(word.text for word in words[1]) or "nothing"
        elif self.axes.horizon:
            asked = [questions.of_step(self.network, signals, self.axes, self.about, self.step)]
            answer = f"{asked[0].about}: {asked[0].value:.4g}"
        else:
            shares = self._shares(signals)
            answer = one.answer or next(iter(shares))
            about = self.about or answer
            asked = [questions.of_class(self.network, signals, self.axes, self.classes, about)]
        return self._with(one, signals, answer, shares, asked, words), asked

    def _with(
        self,
        one: Given,
        signals_1CT: Tensor,
        answer: str,
        shares: dict[str, float],
        asked: Sequence[Question],
        words: tuple[Sequence[Timed], Sequence[Timed]],
    ) -> Shown:
        found = [Explained(q.about, q.unit, self._evidence(q, n), q.value)
                 for n, q in enumerate(asked)]  # fmt: skip
        first = asked[0].asked if asked else questions.nothing(self.network, signals_1CT, self.axes)
        shown = Shown(
            one.name, answer, one.truth, shares, signals_1CT[0].cpu(), first.field_FU.cpu(),
            first.tiles_FU.cpu(), found, *words, future=one.future,
        )  # fmt: skip
        if self.axes.letters and self.methods:
            shown = replace(shown, mutated=mutations.changes(first).cpu())
        if self.axes.horizon:
            outputs = questions.outputs(self.network, signals_1CT)
            shown = replace(shown, forecast=outputs[0, :, :, self.axes.middle].cpu())
        return shown

    def _evidence(self, question: Question, number: int) -> list[Attribution]:
        """Of the first question by all methods; of others, such as further words, by the first."""
        methods = list(self.methods.values())
        return [method(question.asked) for method in (methods if number == 0 else methods[:1])]

    def _shares(self, signals_1CT: Tensor) -> dict[str, float]:
        shares = questions.outputs(self.network, signals_1CT)[0].double().softmax(0).cpu()
        order = shares.argsort(descending=True, stable=True).tolist()
        return {self.classes[k]: float(shares[k]) for k in order}

    def _checks(self, asked: Sequence[Question]) -> list[Check]:
        some: list[Question] = []
        size = 0
        for one in asked:
            size += one.asked.field_FU.numel()
            if some and size > CHECKED:
                break
            some.append(one)
        found = []
        for done, (name, method) in enumerate(self.methods.items()):
            tell("testing the methods", done, len(self.methods))
            if some:
                examples = [one.asked for one in some]
                found.append(numbertrust.check(name, method, examples, some[0].thing))
        tell("testing the methods", len(self.methods), len(self.methods))
        return found


def _asker(
    trained: Trained, review: Review[Any], methods: Sequence[str] | None, step: int | None
) -> Asker:
    assert trained.task.axes is not None
    axes = trained.task.axes(review.facts, review.network)
    classes = _classes(review.facts, trained)
    chosen = _chosen(methods or QUICK)
    return Asker(review.network, axes, classes, chosen, step=step)


def _axes(trained: Trained) -> Axes:
    assert trained.task.axes is not None
    return trained.task.axes(trained.facts, trained.network)


def _classes(facts: Any, trained: Trained) -> Sequence[str]:
    return list(trained.task.output_names(facts))


def _metric(trained: Trained) -> Metric:
    """The figure by which the answer to a single example is called better or worse."""
    task = trained.task
    names = task.chosen_by or (task.metrics[0].name,)
    return next(metric for metric in task.metrics if metric.name == names[0])


def _chosen(names: Sequence[str]) -> dict[str, Any]:
    for name in names:
        if name not in numbers.METHODS:
            raise UserError(
                f"--method {name}: there is no such method for sequences of numbers."
                f"{nearest(name, list(numbers.METHODS))} Methods: {', '.join(numbers.METHODS)}."
            )
    return {name: numbers.METHODS[name][0] for name in names}


def _one(trained: Trained) -> tuple[Trained, list[str]]:
    folds = trained.run.folds()
    if not folds:
        return trained, []
    note = f"A k-fold run has {len(folds)} networks; this is the one of {folds[0].path.name}."
    return trained.fold(folds[0]), [note]


# --- From raw input -------------------------------------------------------------------------------


def _read(one: Trained, raw: Any) -> tuple[list[Given], list[str]]:
    """What the network is fed for each input: overheard while the run answers it."""
    items = raw if isinstance(raw, list | tuple) else [raw]
    found: list[Given] = []
    notes: list[str] = []
    for item in items:
        tap = Tap(one.network)
        answers = one.predict(item, tap)
        bad = [p for p in answers if "error" in p.details]
        good = [p for p in answers if "error" not in p.details]
        if not good:
            said = "; ".join(f"{p.input}: {p.details['error']}" for p in bad[:3])
            raise UserError(said or f"{item!s:.80}: nothing was found there to be explained.")
        notes += [f"{p.input} could not be read: {p.details['error']}" for p in bad]
        rows = [batch[n : n + 1] for batch in tap.seen for n in range(len(batch))]
        if len(rows) != len(good):
            notes.append(
                f"{good[0].input}: read in {len(rows)} pieces; the first of them is explained."
            )
            good, rows = good[:1], rows[:1]
        for answer, signals in zip(good, _in_order(one, good, rows), strict=True):
            # A copy, for what was made in inference mode can have no gradient.
            found.append(Given(answer.input, _ended(signals.clone()), answer=_said(one, answer)))
    return found, notes


def _said(one: Trained, answer: Any) -> str | None:
    """A class, which costs may have chosen, or a text that was searched for; not of a forecast."""
    return None if _axes(one).horizon else str(answer.answer)


def _in_order(one: Trained, answers: Sequence[Any], rows: list[Tensor]) -> list[Tensor]:
    """Batches may be sorted by length: each answer gets the row with its own probabilities."""
    if len(rows) < 2 or "probabilities" not in answers[0].details:
        return rows
    left, found = list(rows), []
    classes = _classes(one.facts, one)
    shares = [questions.outputs(one.network, row)[0].double().softmax(0) for row in rows]
    for answer in answers:
        told = answer.details["probabilities"]
        own = torch.tensor([told.get(c, 0.0) for c in classes], dtype=torch.float64)
        known = torch.tensor([c in told for c in classes])
        far = [float(((share.cpu() - own) * known).abs().sum()) for share in shares]
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
    wrong, right = _order(review, metric)
    return list(dict.fromkeys([*wrong[:SOME], *right[:SOME]]))


def _order(review: Review[Any], metric: Metric) -> tuple[list[int], list[int]]:
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
    order = errors.nan_to_num().argsort(descending=True, stable=True).tolist()
    half = (len(order) + 1) // 2
    return order[:half], order[half:][::-1]


def given(review: Review[Any], positions: Sequence[int], asker: Asker) -> list[Given]:
    """These validation examples, as the network reads them, with what is right."""
    found = []
    for position in positions:
        index = torch.tensor([position], device=review.examples.rows.device)
        batch = review.examples.batch(index)
        name, signals, axes = review.name(position), batch.inputs, asker.axes
        if axes.horizon:
            future = batch.targets[0] if batch.targets.ndim == 3 else None
            found.append(Given(name, signals, future=future))
        elif axes.tokens is not None:
            truth = "".join(axes.tokens(int(token)) for token in batch.targets[0] if token)
            found.append(Given(name, _ended(signals), truth.strip()))
        else:
            number = int(answered(review.outcome)[position])
            truth = asker.classes[int(review.outcome.targets[position])]
            found.append(Given(name, _ended(signals), truth, asker.classes[number]))
    return found
