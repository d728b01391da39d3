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

from torch import Tensor, nn

from glassnet import figures
from glassnet.errors import UserError, nearest
from glassnet.explain import lookback, mutations, numbers, numbertrust, questions, sequencespage
from glassnet.explain.attribution import Attribution
from glassnet.explain.example import one_network
from glassnet.explain.lookback import Lookback
from glassnet.explain.numbertrust import Check
from glassnet.explain.questions import Question, Timed
from glassnet.explain.sequencesgiven import (
    Given,
    apart,
    axes_of,
    classes_of,
    given,
    metric_of,
    order,
    ranked,
    read,
    worst_variable,
)
from glassnet.progress import tell
from glassnet.task import Axes, Review
from glassnet.trained import Trained

MOST = 8
"""Examples that are explained at once."""
QUICK = ("integrated_gradients",)
"""The methods for validation examples, if none are named."""
CHECKED = 30_000
"""Numbers of all the examples together on which the methods are checked; one example at least."""


@dataclass(frozen=True)
class Explained:
    """What the methods found about one answer."""

    about: str
    unit: str
    evidence: Sequence[Attribution]
    """Each with the numbers of the field, row after row."""
    value: float | None = None
    """Of a forecast: what is explained, in people's unit."""
    channel: int = 0
    """Of a forecast: the variable that is explained."""

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
    lookback: Lookback | None = None

    def to_json(self) -> dict[str, Any]:
        """The numbers of the example itself are left out; ``shape`` is that of the evidence."""
        plain = {key: getattr(self, key) for key in ("name", "answer", "truth", "probabilities")}
        lists = {key: [vars(one) for one in getattr(self, key)] for key in ("letters", "words")}
        mutated = None if self.mutated is None else self.mutated.tolist()
        found = [one.to_json() for one in self.explained]
        shape = list(self.field.shape)
        back = None if self.lookback is None else self.lookback.to_json()
        more = {"mutated": mutated, "lookback": back}
        return {**plain, "shape": shape, "explained": found, **lists, **more}


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


def of_sequences(trained: Trained) -> bool:
    """Whether a run reads sequences of numbers whose axes its task knows."""
    return trained.task.axes is not None


def horizon(trained: Trained) -> int:
    """How many steps a run forecasts; 0 for one that does not."""
    return axes_of(one_network(trained)[0]).horizon


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
    one, notes = one_network(trained)
    given, more = read(one, raw)
    asker = Asker(one.network, axes_of(one), classes_of(one.facts, one), chosen, about, step)
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
    one, notes = one_network(trained)
    if not len(review.examples):
        raise UserError(f"{trained.run.path} has no validation examples to explain; give an input.")
    asker = _asker(one, review, methods, step)
    found = asker.explain(
        given(review, ranked(review, metric_of(one)), asker.axes, asker.classes), check=True
    )
    name, run = one.recipe.network.name, str(trained.run.path)
    return replace(found, network=name, run=run, notes=[*notes, *found.notes])


def reviewed(trained: Trained, review: Review[Any]) -> tuple[Sequences, Sequences] | None:
    """For a report: the examples with the largest errors, as they are; and why a wrong and a
    typical answer were given. None if the run reads something else, or there are no examples.
    """
    if not of_sequences(trained) or not len(review.examples):
        return None
    asker, name = _asker(trained, review, QUICK, None), trained.recipe.network.name
    wrong, right = order(review, metric_of(trained))
    typical = right[len(right) // 2 : len(right) // 2 + 1]
    plain = replace(asker, methods={})
    # Where fewer are wrong, those that were least sure come next.
    worst = apart([*wrong, *right[::-1]], review.outcome)[: sequencespage.HEARD]
    largest = plain.explain(given(review, worst, asker.axes, asker.classes), check=False)
    why = asker.explain(
        given(review, [*wrong[:1], *typical], asker.axes, asker.classes), check=False
    )
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
            asked, *words_found = questions.of_words(
                self.network, signals, self.axes, self.about, one.tokens
            )
            words = (words_found[0], words_found[1])
            answer = one.answer or " ".join(word.text for word in words[1]) or "nothing"
        elif self.axes.horizon:
            variable = self.about or worst_variable(self.network, signals, one.future, self.axes)
            asked = [questions.of_step(self.network, signals, self.axes, variable, self.step)]
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
        found = [Explained(q.about, q.unit, self._evidence(q, n), q.value, q.channel)
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
            back = lookback.look(asked[0], self.axes) if self.methods else None
            forecast = outputs[0, :, :, self.axes.middle].cpu()
            shown = replace(shown, forecast=forecast, lookback=back)
        return shown

    def _evidence(self, question: Question, number: int) -> list[Attribution]:
        """Of the first question by all methods; of others, such as further words, by the first."""
        methods = list(self.methods.values())
        return [method(question.asked) for method in (methods if number == 0 else methods[:1])]

    def _shares(self, signals_1CT: Tensor) -> dict[str, float]:
        shares = questions.outputs(self.network, signals_1CT)[0].cpu().double().softmax(0)
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
    classes = classes_of(review.facts, trained)
    chosen = _chosen(methods or QUICK)
    return Asker(review.network, axes, classes, chosen, step=step)


def _chosen(names: Sequence[str]) -> dict[str, Any]:
    for name in names:
        if name not in numbers.METHODS:
            raise UserError(
                f"--method {name}: there is no such method for sequences of numbers."
                f"{nearest(name, list(numbers.METHODS))} Methods: {', '.join(numbers.METHODS)}."
            )
    return {name: numbers.METHODS[name][0] for name in names}
