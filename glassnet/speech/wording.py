"""Tokens of speech as text, as words, and as a language model reads them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from glassnet.speech.beam import Fusion, LanguageModel, Prefix

LACKING = "\N{WHITE SQUARE}"


def spelled(tokens: Sequence[int], facts: Any) -> str:
    """The text of tokens, with single spaces."""
    return " ".join(facts.vocabulary.decode(tokens).split())


def referred(tokens: Sequence[int], facts: Any) -> str:
    """The text of a reference; what the vocabulary lacks is spelled so that no answer is like it.

    A network may learn where rare words stand; that it says "unknown" there is no right answer.
    """
    vocabulary = facts.vocabulary
    return spelled(tokens, facts).replace(vocabulary.token(vocabulary.unknown), LACKING)


def units_of(text: str, facts: Any) -> list[str]:
    """The words of a text, or its characters in scripts that put no spaces between words."""
    return cut(text, facts.spaced)


def cut(text: str, spaced: bool) -> list[str]:
    """The words of a text, or its characters."""
    return text.split() if spaced else list(text.replace(" ", ""))


def fusion(facts: Any, model: LanguageModel, alpha: float, beta: float) -> Fusion:
    """A language model that reads what the tokens of a vocabulary spell."""
    vocabulary = facts.vocabulary

    def units(tokens: Prefix) -> tuple[str, ...]:
        return tuple(units_of(spelled(tokens, facts), facts))

    @functools.cache
    def begins(token: int) -> bool:
        apart = vocabulary.unit == "words" or not facts.spaced
        return apart or bool(vocabulary.decode([token]).startswith(" "))

    return Fusion(model, units, begins, alpha, beta)
