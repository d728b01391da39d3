"""From a run that reads words, and a text, to a ``Reading``: the one place that knows both.

Which kind it is follows from the facts and the network: facts with classes tell texts apart, a
network that can ``read`` a source writes a translation, any other says what comes next.

Raw texts are turned into tokens by the task's own ``predict``: the tokens are overheard where they
enter the network, so that what is explained is what was answered.
"""

# Letters in tensor names: B texts, T tokens of a text, S of a source.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import UserError
from glassnet.explain import attribution, read
from glassnet.explain.example import one_network
from glassnet.explain.read import Given, Reading
from glassnet.explain.tokens import Words, names, spaced
from glassnet.metrics import answered
from glassnet.task import Review
from glassnet.trained import Trained
from glassnet.views import worst_mistakes
from glassnet.words.inner import present

SOME = 4
"""Worst and best validation texts, of each."""
PAIRS = 3
"""Validation pairs whose attention is shown."""
QUICK = ("integrated_gradients",)
"""The methods for validation texts, if none are named."""
FILES = (".txt", ".text", ".md")


def of_words(facts: Any) -> bool:
    """Whether a run reads words; one that hears them has a vocabulary too."""
    listens = getattr(facts, "kind", None) == "sounds"
    return getattr(facts, "vocabulary", None) is not None and not listens


def texts(
    trained: Trained,
    raw: Any,
    methods: Sequence[str] | None = None,
    about: str | None = None,
    layer: str | None = None,
) -> Reading:
    """Explain what a run makes of texts.

    Args:
        trained: The run; of a k-fold run the first network is shown.
        raw: A text, a list of texts, or a file with one in each line (for a language model: one).
        methods: Names from ``attribution.METHODS``; None: all.
        about: The class, or the next token, that is explained; None: the one that is answered.
        layer: The layer whose gates or heads are drawn; None: as many as a page holds.

    Raises:
        UserError: If a text is empty, or a name is unknown.
    """
    one, notes = one_network(trained)
    facts, network, words = one.facts, one.network, one.facts.vocabulary
    kind = _kind(facts, network)
    named = _read(raw, whole=kind == "stream")
    common: dict[str, Any] = {"name": one.recipe.network.name, "spaced": spaced(words)}
    if kind == "pairs":
        _refuse_for_pairs(methods, about)
        pairs = [_pair(one, text) for text in named[: read.MOST_TEXTS]]
        found = read.translated(network, pairs, layer=layer, **common)
    else:
        common |= {"methods": methods or attribution.DEFAULT, "layer": layer}
        if kind == "texts":
            given = [_classified(one, text) for text in named]
            classes = list(facts.classes)
            found = read.classified(network, given, classes, about=about, **common)
        else:
            given = [_streamed(one, text) for text in named]
            found = read.continued(
                network, given, lambda token: names(words, [token])[0],
                context=_context(network), about=_token(words, about), **common,
            )  # fmt: skip
    return replace(found, run=str(trained.run.path), notes=[*notes, *found.notes])


def validation(
    trained: Trained,
    review: Review[Any],
    methods: Sequence[str] | None = None,
    layer: str | None = None,
) -> Reading:
    """Explain the worst and the best answers to validation texts, or a passage of them."""
    one, notes = one_network(trained)
    found = reviewed(review, one.recipe.network.name, methods, layer, check=True)
    if found is None:
        raise UserError(f"{trained.run.path} has no validation texts to explain; give a text.")
    return replace(found, run=str(trained.run.path), notes=[*notes, *found.notes])


def reviewed(
    review: Review[Any],
    name: str,
    methods: Sequence[str] | None = None,
    layer: str | None = None,
    *,
    check: bool = False,
) -> Reading | None:
    """The same from a review of validation examples; None if they are no texts, or there are none.

    ``check`` puts the methods to the test, which takes longer.
    """
    if not of_words(review.facts) or not len(review.examples):
        return None
    words, network = review.facts.vocabulary, review.network
    kind = _kind(review.facts, network)
    common: dict[str, Any] = {"name": name, "spaced": spaced(words)}
    if kind == "pairs":
        pairs = [_given_pair(review, n) for n in range(min(PAIRS, len(review.examples)))]
        try:
            return read.translated(network, pairs, layer=layer, **common)
        except UserError:  # a network without attention has no map to be shown
            if layer is not None:
                raise
            return None
    common |= {"methods": methods or QUICK, "layer": layer, "check": check}
    if kind == "texts":
        given = [_given_text(review, position) for position in _worst_and_best(review)]
        given = [text for text in given if len(text.tokens)]
        if not given:
            return None
        return read.classified(network, given, list(review.facts.classes), **common)
    given = [_given_passage(review)]
    return read.continued(
        network, given, lambda token: names(words, [token])[0], context=_context(network), **common
    )


def _kind(facts: Any, network: nn.Module) -> str:
    if len(getattr(facts, "classes", ())) > 1:
        return "texts"
    return "pairs" if callable(getattr(network, "read", None)) else "stream"


def _context(network: nn.Module) -> int | None:
    context = getattr(network, "context", None)
    return context if isinstance(context, int) else None


# --- From what was typed to tokens ----------------------------------------------------------------


def _read(raw: Any, *, whole: bool) -> list[str]:
    """The texts that were given, and those in files."""
    if isinstance(raw, str | Path):
        raw = [raw]
    if not isinstance(raw, Sequence) or not all(isinstance(one, str | Path) for one in raw):
        raise UserError(
            f"Expected a text, a list of texts or a text file to explain, found {raw!r:.80}."
        )
    found: list[str] = []
    for one in raw:
        found += _of(one, whole)
    return found


def _of(one: str | Path, whole: bool) -> list[str]:
    short = len(str(one)) < 1000 and "\n" not in str(one)
    path = Path(one) if short and str(one) else None
    if path is not None and path.is_file():
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read as UTF-8 text ({error}).") from None
        lines = [text] if whole else [line for line in text.splitlines() if line.strip()]
        if not text.strip():
            raise UserError(f"{path} is empty; expected a text to explain.")
        return lines
    like_a_file = path is not None and path.suffix.lower() in FILES and " " not in str(one)
    if isinstance(one, Path) or like_a_file:
        raise UserError(f"There is no file {one}. Give a text file, or the text itself.")
    if not str(one).strip():
        raise UserError("The text to explain is empty; expected at least one word or character.")
    return [str(one)]


def overheard(network: nn.Module, ask: Callable[[], Any]) -> tuple[Tensor | None, Any]:
    """The first tokens (T,), without padding, that entered a network while ``ask`` ran, and its
    answer.
    """
    heard: list[Tensor] = []

    def hook(_module: nn.Module, given: Any) -> None:
        if not heard and given[0].ndim == 2:
            heard.append(given[0][0][present(given[0])[0]])

    layers = [m for m in network.modules() if isinstance(m, nn.Embedding)]
    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        answer = ask()
    finally:
        for handle in handles:
            handle.remove()
    # A copy, for what was made in inference mode can have no gradient.
    return (heard[0].clone() if heard else None), answer


def _asked(one: Trained, text: str) -> tuple[Tensor, Any]:
    """The tokens of one text as ``predict`` reads them, and what it answers."""
    tokens_T, answers = overheard(one.network, lambda: one.predict([text]))
    if "error" in answers[0].details:
        raise UserError(f"{text[:60]!r}: {answers[0].details['error']}")
    if tokens_T is None or not len(tokens_T):
        raise UserError(
            f"{text[:60]!r}: the text has no token that the run knows; expected at least one word "
            "or character."
        )
    return tokens_T, answers[0].answer


def _classified(one: Trained, text: str) -> Given:
    tokens_T, answer = _asked(one, text)
    shown = names(one.facts.vocabulary, tokens_T.tolist(), text)
    return Given(text, tokens_T, shown, answer=str(answer))


def _streamed(one: Trained, text: str) -> Given:
    """A whole text, however long; where documents are told apart, one begins here."""
    words = one.facts.vocabulary
    begin = [words.end] if getattr(one.facts, "many", False) else []
    own = words.encode([text])[0].tolist()
    where = next(one.network.parameters()).device
    tokens_T = torch.tensor([*begin, *own], dtype=torch.int64, device=where)
    shown = [*names(words, begin), *names(words, own, text)]
    return Given(text, tokens_T, shown)


def _pair(one: Trained, text: str) -> tuple[Given, Given]:
    """A source, and what the run writes; its tokens are those of the written text, cut again."""
    source_S, answer = _asked(one, text)
    words = one.facts.vocabulary
    written = [*words.encode([str(answer)])[0].tolist(), words.end]
    so_far_T = torch.tensor([words.begin, *written[:-1]], dtype=torch.int64, device=source_S.device)
    return (
        Given(text, source_S, names(words, source_S.tolist(), text)),
        Given(str(answer), so_far_T, names(words, written)),
    )


def _token(words: Words, about: str | None) -> int | None:
    """The next token that is to be explained."""
    if about is None:
        return None
    found = [int(token) for token in words.encode([about])[0]]
    if len(found) != 1 or found[0] == words.unknown:
        said = "it is unknown" if found else "it is empty"
        cut = ", ".join(repr(piece) for piece in names(words, found))
        raise UserError(
            f"--class {about!r}: expected one token of the vocabulary, for what comes next; "
            + (f"found {len(found)}: {cut}." if len(found) > 1 else f"{said}.")
        )
    return found[0]


def _refuse_for_pairs(methods: Sequence[str] | None, about: str | None) -> None:
    if methods is not None or about is not None:
        flag = "--method" if methods is not None else "--class"
        raise UserError(
            f"{flag} is for answers that are classes or next tokens; of a translation the map of "
            "its attention is shown. Leave it out."
        )


# --- From validation examples to tokens -----------------------------------------------------------


def _worst_and_best(review: Review[Any]) -> list[int]:
    """Positions of the most certain wrong answers, then of the most certain right ones."""
    shares = review.outcome.outputs.double().softmax(1).amax(1)
    right = (answered(review.outcome) == review.outcome.targets).nonzero().flatten()
    best = right[shares[right].argsort(descending=True, stable=True)][:SOME]
    return [*worst_mistakes(review.outcome)[:SOME], *best.tolist()]


def _batch(review: Review[Any], position: int) -> Any:
    index = torch.tensor([position], device=review.examples.rows.device)
    return review.examples.batch(index)


def _given_text(review: Review[Any], position: int) -> Given:
    tokens_T = _batch(review, position).inputs[0]
    tokens_T = tokens_T[present(tokens_T)]
    classes = review.facts.classes
    return Given(
        review.name(position), tokens_T, names(review.facts.vocabulary, tokens_T.tolist()),
        classes[int(review.outcome.targets[position])],
        classes[int(answered(review.outcome)[position])],
    )  # fmt: skip


def _given_passage(review: Review[Any]) -> Given:
    position = len(review.examples) // 2
    tokens_T = _batch(review, position).inputs[0]
    tokens_T = tokens_T[present(tokens_T)]
    return Given("validation text", tokens_T, names(review.facts.vocabulary, tokens_T.tolist()))


def _given_pair(review: Review[Any], position: int) -> tuple[Given, Given]:
    batch, words = _batch(review, position), review.facts.vocabulary
    source_S, so_far_T = (part[present(part)] for part in batch.inputs[0])
    written = batch.targets[0][: len(so_far_T)].tolist()
    return (
        Given(review.name(position), source_S, names(words, source_S.tolist())),
        Given("as it should be", so_far_T, names(words, written)),
    )
