"""What a network that reads words makes of a text: evidence, memory, attention, expectation.

``classified`` is for networks with one answer for a text, ``continued`` for language models,
``translated`` for those that write a translation. They put together the methods of this folder,
and know nothing of runs and tasks: they take a network, tokens, and how people read these.
"""

# Letters in tensor names: T tokens of a text, S of a source, V different tokens.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from glassnet import figures
from glassnet.errors import UserError, nearest
from glassnet.explain import attribution, gates, heads, readpage, vanishing, wordtrust
from glassnet.explain.attribution import Attribution
from glassnet.explain.gates import Layer
from glassnet.explain.heads import Attention
from glassnet.explain.tokens import Question
from glassnet.explain.vanishing import Faded
from glassnet.explain.wordtrust import Check
from glassnet.progress import tell
from glassnet.words import nexttoken
from glassnet.words.nexttoken import Expected

MOST_TEXTS = 16
CHECKED = 12_000
"""Sum of the squared lengths of the texts on which the methods are checked: eight of 40 tokens."""


@dataclass(frozen=True)
class Given:
    """One text as the network reads it."""

    name: str
    tokens: Tensor
    """int64 (T,), without padding."""
    names: Sequence[str]
    """How people read each token."""
    truth: str | None = None
    """The right answer, if somebody said it."""
    answer: str | None = None
    """What was answered, where costs or a threshold chose it; None: the most probable."""


@dataclass(frozen=True)
class Read:
    """One text, what was answered, and what was found out about it."""

    name: str
    tokens: Sequence[str]
    answer: str
    """The class; the next token; the translation."""
    about: str
    """The answer that is explained."""
    probabilities: dict[str, float]
    """Of the answers, the most probable first; of next tokens the first ten."""
    truth: str | None = None
    evidence: Sequence[Attribution] = ()
    expected: Sequence[Expected] = ()
    """Of a language model: what it expected at each token."""
    written: Sequence[str] = ()
    """Of a translation: its tokens."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        plain = {key: value for key, value in vars(self).items() if key not in _LISTS}
        return plain | {key: [o.to_json() for o in getattr(self, key)] for key in _LISTS}


_LISTS = ("evidence", "expected")


@dataclass(frozen=True)
class Reading:
    """What was found; ``text`` for a terminal, ``document`` for a page."""

    network: str
    texts: Sequence[Read]
    spaced: bool
    """Whether people put a space between tokens."""
    checks: Sequence[Check] = ()
    """Whether the methods are to be trusted on these texts."""
    memory: Sequence[Layer] = ()
    """Of the first text: recurrent layers token by token."""
    faded: Sequence[Faded] = ()
    """Of the first text: what is left of a gradient on its way back."""
    attention: Sequence[Attention] = ()
    """Of the first text."""
    layer: str | None = None
    """The layer whose gates or heads are drawn; None: as many as a page holds."""
    run: str = ""
    notes: Sequence[str] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet explain --json`` prints it."""
        lists = ("texts", "checks", "memory", "faded", "attention")
        found = {key: [one.to_json() for one in getattr(self, key)] for key in lists}
        return {"run": self.run, "network": self.network, **found, "notes": list(self.notes)}

    @property
    def text(self) -> str:
        """For a terminal, in 100 columns."""
        return readpage.text(self)

    @cached_property
    def document(self) -> figures.Document:
        """For a page: ``figures.page(reading.document)``."""
        return readpage.document(self)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return figures.notebook(self.document)


def classified(
    network: nn.Module,
    texts: Sequence[Given],
    classes: Sequence[str],
    *,
    name: str,
    spaced: bool,
    methods: Sequence[str] = attribution.DEFAULT,
    about: str | None = None,
    layer: str | None = None,
    check: bool = True,
) -> Reading:
    """Explain the answers of a network that tells classes of texts.

    Args:
        network: In evaluation mode; (B, T) -> (B, classes).
        texts: Without padding.
        classes: The names of its outputs.
        name: What the network is called.
        spaced: Whether people put a space between tokens.
        methods: Names from ``attribution.METHODS``.
        about: The class that is explained; None: the one that is answered.
        layer: The layer whose gates or heads are drawn.
        check: Whether the methods are put to the test.

    Raises:
        UserError: If a name is unknown, or a text is empty.
    """
    chosen, texts, notes = attribution.chosen(methods), *_some(texts)
    if about is not None and about not in classes:
        raise UserError(
            f"--class {about}: the run knows no such class.{nearest(about, classes)} "
            f"Classes: {', '.join(classes)}."
        )
    found, asked = [], []
    for done, given in enumerate(texts):
        tell("finding evidence", done, len(texts))
        shares = _shares(network(given.tokens[None])[0])
        order = shares.argsort(descending=True, stable=True).tolist()
        answer = given.answer or classes[order[0]]
        question = Question(network, classes.index(about or answer))
        asked.append((question, given.tokens))
        found.append(
            Read(
                given.name, given.names, answer, about or answer,
                {classes[k]: float(shares[k]) for k in order}, given.truth,
                [method(question, given.tokens) for method in chosen.values()],
            )
        )  # fmt: skip
    tell("finding evidence", len(texts), len(texts))
    reading = Reading(name, found, spaced, layer=layer, notes=notes)
    if check:
        reading = replace(reading, checks=_checks(chosen, asked))
    return _looked_into(reading, network, texts[0], stream=False)


def continued(
    network: nn.Module,
    texts: Sequence[Given],
    token_name: Callable[[int], str],
    *,
    name: str,
    spaced: bool,
    context: int | None,
    methods: Sequence[str] = attribution.DEFAULT,
    about: int | None = None,
    layer: str | None = None,
    check: bool = True,
) -> Reading:
    """Show what a language model expected along texts, and what its next token follows from.

    Args:
        network: In evaluation mode; (B, T) -> (B, T, V).
        texts: Without padding.
        token_name: Number of a token -> how people read it.
        name: What the network is called.
        spaced: Whether people put a space between tokens.
        context: The longest stretch that it reads; None without a limit.
        methods: Names from ``attribution.METHODS``.
        about: The next token that is explained; None: the most probable one.
        layer: The layer whose gates or heads are drawn.
        check: Whether the methods are put to the test.

    Raises:
        UserError: If a name is unknown, or a text is empty.
    """
    chosen, texts, notes = attribution.chosen(methods), *_some(texts)
    found, asked, ends = [], [], []
    for done, given in enumerate(texts):
        tell("finding evidence", done, len(texts))
        logits_TV = nexttoken.logits(network, given.tokens, context)
        best = int(logits_TV[-1].argmax())
        end = _end(given, context)
        question = Question(network, best if about is None else about, stream=True)
        ends.append(end)
        asked.append((question, end.tokens))
        expected = nexttoken.expected(logits_TV, given.tokens, given.names, token_name)
        found.append(
            Read(
                given.name, given.names, token_name(best), token_name(question.output),
                dict(nexttoken.after(logits_TV, token_name)), None,
                [_in_front(m(question, end.tokens), given) for m in chosen.values()], expected,
            )
        )  # fmt: skip
    tell("finding evidence", len(texts), len(texts))
    if any(len(e.tokens) < len(g.tokens) for e, g in zip(ends, texts, strict=True)):
        notes.append(
            f"The network reads {context} tokens: of a longer text the last ones are explained."
        )
    reading = Reading(name, found, spaced, layer=layer, notes=notes)
    if check:
        reading = replace(reading, checks=_checks(chosen, asked))
    return _looked_into(reading, network, ends[0], stream=True)


def translated(
    network: nn.Module,
    texts: Sequence[tuple[Given, Given]],
    *,
    name: str,
    spaced: bool,
    layer: str | None = None,
) -> Reading:
    """Show at which words of a source a network looked while it wrote.

    Args:
        network: In evaluation mode; pairs (B, 2, T) -> (B, T, V).
        texts: Sources, as the network reads them, and what was written: the tokens of that are
            ``BEGIN`` and all but the last, their names the tokens that were written there.
        name: What the network is called.
        spaced: Whether people put a space between tokens.
        layer: The layer whose heads are drawn.

    Raises:
        UserError: If the network has no attention, a layer is unknown, or a text is empty.
    """
    found, attention = [], []
    for number, (source, target) in enumerate(texts):
        _require(source)
        _require(target)
        longest = max(len(source.tokens), len(target.tokens))
        pair_12T = torch.zeros(1, 2, longest, dtype=torch.int64, device=source.tokens.device)
        pair_12T[0, 0, : len(source.tokens)] = source.tokens
        pair_12T[0, 1, : len(target.tokens)] = target.tokens
        if number == 0:
            attention = heads.across(
                heads.attention(network, pair_12T), len(source.tokens), len(target.tokens)
            )
        written = ("" if not spaced else " ").join(target.names)
        found.append(Read(source.name, source.names, written, written, {}, written=target.names))
    heads.find(attention, layer)
    return Reading(name, found, spaced, attention=attention, layer=layer)


def _looked_into(reading: Reading, network: nn.Module, first: Given, *, stream: bool) -> Reading:
    """Add memory, gradient and attention of the first text, where the network has them."""
    memory = gates.there(network, first.tokens)
    attention = heads.there(network, first.tokens[None])
    known = [one.name for one in memory] + [one.layer for one in attention]
    if reading.layer is not None and reading.layer not in known:
        has = f"Layers: {', '.join(known)}." if known else "It has no gates and no attention."
        raise UserError(
            f"--layer {reading.layer}: the network has no such layer to look into."
            f"{nearest(reading.layer, known)} {has}"
        )
    faded = vanishing.faded(network, first.tokens, stream=stream) if memory else []
    return replace(reading, memory=memory, attention=attention, faded=faded)


def _checks(
    methods: dict[str, attribution.Method], asked: Sequence[tuple[Question, Tensor]]
) -> list[Check]:
    some: list[tuple[Question, Tensor]] = []
    size = 0
    for question, tokens_T in asked:
        if some and size + len(tokens_T) ** 2 > CHECKED:
            continue
        some.append((question, tokens_T))
        size += len(tokens_T) ** 2
    found = []
    for done, (name, method) in enumerate(methods.items()):
        tell("testing the methods", done, len(methods))
        found.append(wordtrust.check(name, method, some))
    tell("testing the methods", len(methods), len(methods))
    return [one for one in found if one is not None]


def _some(texts: Sequence[Given]) -> tuple[Sequence[Given], list[str]]:
    for given in texts:
        _require(given)
    if not texts:
        raise UserError('There is no text to explain; give one, such as "what a good film".')
    if len(texts) <= MOST_TEXTS:
        return texts, []
    return texts[:MOST_TEXTS], [
        f"Explained are the first {MOST_TEXTS} of {len(texts)} texts; name the others to see them."
    ]


def _require(given: Given) -> None:
    if not len(given.tokens):
        raise UserError(
            f"{given.name}: the text has no token; expected at least one word or character."
        )


def _end(given: Given, context: int | None) -> Given:
    """The stretch that the network reads before it says what comes next."""
    if context is None or len(given.tokens) <= context:
        return given
    return replace(given, tokens=given.tokens[-context:], names=given.names[-context:])


def _in_front(found: Attribution, given: Given) -> Attribution:
    """Nothing is said for the tokens that stand before what the network read."""
    missing = len(given.tokens) - len(found.values)
    return replace(found, values=[0.0] * missing + list(found.values)) if missing else found


def _shares(logits_K: Tensor) -> Tensor:
    return logits_K.detach().cpu().double().softmax(0)
