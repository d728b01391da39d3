"""Tokens of speech as text, as words, and as a language model reads them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from glassnet.speech import ngrams
from glassnet.speech.beam import Fusion, LanguageModel, Prefix

ORDER = 3
"""Words of an n-gram: that of a word and the two before it; more need a great deal of text."""


def spelled(tokens: Sequence[int], facts: Any) -> str:
    """The text of tokens, with single spaces."""
    return " ".join(facts.vocabulary.decode(tokens).split())


def units_of(text: str, facts: Any) -> list[str]:
    """The words of a text, or its characters in scripts that put no spaces between words."""
    return text.split() if facts.spaced else list(text.replace(" ", ""))


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


def counted(facts: Any) -> ngrams.NGrams:
    """The n-grams of the texts of the facts."""
    return ngrams.count((units_of(text, facts) for text in facts.texts), ORDER)
