"""Prefix beam search: the most probable text of an utterance, also by a model of the language.

Papers: Awni Hannun, Andrew Maas, Daniel Jurafsky, Andrew Ng (2014), "First-Pass Large Vocabulary
Continuous Speech Recognition using Bi-Directional Recurrent DNNs", arXiv:1408.2873, algorithm 1;
with Alex Graves and Navdeep Jaitly (2014), "Towards End-to-End Speech Recognition with Recurrent
Neural Networks".

It follows the ``beam`` best beginnings of a text from frame to frame, and sums over the paths that
spell each: apart for those that end in a blank and those that end in its last token, since only
after a blank may the same token come again. With a beam as wide as there are texts it finds the
most probable one. With a language model a text is as good as

    score = log p(text | sound) + alpha log p(words) + beta · (number of words)

How ours differs: probabilities are logarithms throughout, as products over a thousand frames are
too small for floats; of each frame only tokens of at least ``LEAST`` times the best one's
probability lengthen a text; words are scored when a space ends them, and the last one at the end.
"""

# Letters in tensor names: U frames, V tokens with the blank.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from glassnet.speech.ctc import BLANK

LEAST = math.log(1e-5)
"""A token this much less probable than the best one of its frame is not tried (nats)."""
NEVER = -math.inf

Prefix = tuple[int, ...]


class LanguageModel(Protocol):
    """How probable one word is after others."""

    def score(self, words: tuple[str, ...], /) -> float:
        """Log-probability (nats) of the last word after all others."""
        ...

    def end(self, words: tuple[str, ...], /) -> float:
        """Log-probability (nats) that nothing comes after them."""
        ...


@dataclass(frozen=True)
class Fusion:
    """A language model, and how much it says."""

    model: LanguageModel
    units: Callable[[Prefix], tuple[str, ...]]
    """Tokens of a text -> what the model counts: its words, or its signs in scripts without
    spaces."""
    begins: Callable[[int], bool]
    """Whether what stands before a token is finished, as a word is before a space."""
    alpha: float
    beta: float

    def total(self, tokens: Prefix) -> tuple[float, int]:
        """Log-probability (nats) of a whole text by the model alone, and its number of words."""
        units = self.units(tokens)
        each = (self.model.score(units[:number]) for number in range(1, len(units) + 1))
        return sum(each) + self.model.end(units), len(units)


@dataclass(frozen=True)
class Candidate:
    """A text that may have been said."""

    tokens: Prefix
    sound: float
    """Log-probability given the sound alone (nats), over the paths that were followed."""
    score: float
    """By which it was found; the same without a language model."""


def search(
    logs_UV: Tensor, beam: int, fusion: Fusion | None = None, least: float = LEAST
) -> list[Candidate]:
    """The best texts of one utterance, the best first, at most ``beam``.

    Args:
        logs_UV: Log-probabilities of its frames.
        beam: How many beginnings are followed.
        fusion: The language model, if any.
        least: What a token must have more than, beside the best one of the frame (nats).
    """
    told = _Told(fusion)
    beams: dict[Prefix, tuple[float, float]] = {(): (0.0, NEVER)}
    for tokens, logs in _likely(logs_UV, least):
        beams = _step(beams, tokens, logs, told)
        if len(beams) > beam:
            ranked = sorted(
                beams.items(), key=lambda item: _plus(*item[1]) + told.of(item[0]), reverse=True
            )
            beams = dict(ranked[:beam])
    found = [
        Candidate(prefix, _plus(*ends), _plus(*ends) + told.whole(prefix))
        for prefix, ends in beams.items()
    ]
    return sorted(found, key=lambda one: (-one.score, one.tokens))


def _likely(logs_UV: Tensor, least: float) -> list[tuple[list[int], list[float]]]:
    """Of each frame the tokens that are probable enough, and the blank, with their logarithms."""
    kept_UV = logs_UV >= logs_UV.amax(1, keepdim=True) + least
    kept_UV[:, BLANK] = True
    rows = []
    for logs_V, kept_V in zip(logs_UV.double(), kept_UV, strict=True):
        places = kept_V.nonzero()[:, 0]
        rows.append((places.tolist(), logs_V[places].tolist()))
    return rows


def _step(
    beams: dict[Prefix, tuple[float, float]],
    tokens: Sequence[int],
    logs: Sequence[float],
    told: _Told,
) -> dict[Prefix, tuple[float, float]]:
    """One more frame: for each text, log p of its paths that end in a blank, and in a token."""
    then: dict[Prefix, tuple[float, float]] = {}
    for prefix, (blank, token_end) in beams.items():
        both = _plus(blank, token_end)
        for token, log in zip(tokens, logs, strict=True):
            if token == BLANK:
                old = then.get(prefix, (NEVER, NEVER))
                then[prefix] = (_plus(old[0], both + log), old[1])
                continue
            before = both
            if prefix and prefix[-1] == token:
                old = then.get(prefix, (NEVER, NEVER))  # held on, or said twice without a pause
                then[prefix] = (old[0], _plus(old[1], token_end + log))
                before = blank
            if before > NEVER:
                longer = told.longer(prefix, token)
                old = then.get(longer, (NEVER, NEVER))
                then[longer] = (old[0], _plus(old[1], before + log))
    return then


class _Told:
    """What the language model says about each beginning; it is asked once for each word."""

    def __init__(self, fusion: Fusion | None) -> None:
        self.fusion = fusion
        self.known: dict[Prefix, tuple[float, int]] = {(): (0.0, 0)}
        """The bonus of its finished words, and how many they are."""

    def longer(self, prefix: Prefix, token: int) -> Prefix:
        """The text with one token more, which may finish the word before it."""
        longer = (*prefix, token)
        if self.fusion is not None and longer not in self.known:
            now = self.known[prefix]
            self.known[longer] = self._finished(prefix, now) if self.fusion.begins(token) else now
        return longer

    def of(self, prefix: Prefix) -> float:
        """The bonus of the words that are finished."""
        return 0.0 if self.fusion is None else self.known[prefix][0]

    def whole(self, prefix: Prefix) -> float:
        """The bonus of a whole text, with its last word and its end."""
        if self.fusion is None:
            return 0.0
        bonus, _ = self._finished(prefix, self.known[prefix])
        return bonus + self.fusion.alpha * self.fusion.model.end(self.fusion.units(prefix))

    def _finished(self, prefix: Prefix, now: tuple[float, int]) -> tuple[float, int]:
        fusion, (bonus, scored) = self.fusion, now
        assert fusion is not None
        units = fusion.units(prefix)
        for number in range(scored + 1, len(units) + 1):  # none where two spaces stand together
            bonus += fusion.alpha * fusion.model.score(units[:number]) + fusion.beta
        return bonus, len(units)


def _plus(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    if one < other:
        one, other = other, one
    return one if other == NEVER else one + math.log1p(math.exp(other - one))
