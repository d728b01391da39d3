"""The language models that help to hear: n-grams of texts, or a network that writes."""

# Letters in tensor names: T tokens, V different tokens.

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glassnet.errors import UserError
from glassnet.network import build_network
from glassnet.recipe import NetworkKnobs
from glassnet.run import Run
from glassnet.speech import ngrams, wording
from glassnet.speech.beam import Fusion, LanguageModel
from glassnet.speech.heard import ALPHA, BETA, Weights
from glassnet.speech.ngrams import Gram, NGrams
from glassnet.words import nexttoken

ORDER = 3
"""Words of an n-gram: that of a word and the two before it; more need a great deal of text."""


def fusion(facts: Any) -> Fusion | None:
    """The language model of a run with the usual weights; None if it has none."""
    if facts.beam == 1 or not (facts.texts or facts.writer):
        return None
    model: LanguageModel
    if facts.writer is None:
        model = _counted(tuple(facts.texts), facts.spaced)
    else:
        model = _written(facts.writer.path, facts.spaced, facts.writer)
    return wording.fusion(facts, model, ALPHA, BETA)


def told(facts: Any, weights: Weights | None) -> str:
    """How texts are searched for, which figures depend on."""
    if facts.beam == 1:
        return "Heard by the best path, without a language model."
    if weights is None:
        return f"Heard by beam search, {facts.beam} beginnings at once, without a language model."
    model = (
        f"{ORDER}-grams of {len(facts.texts):,} texts"
        if facts.writer is None
        else f"the run {facts.writer.path}"
    )
    number = weights.examples
    chosen = f"chosen on {number} validation recordings" if number else "not chosen on recordings"
    return (
        f"Heard by beam search, {facts.beam} beginnings at once, with {model}: its logarithm is "
        f"weighed {weights.alpha:g}, each word {weights.beta:+g} ({chosen})."
    )


def bound(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The place of a language model, so that it means the same from any folder."""
    name = values.get("language_model", "none")
    if name in ("none", "transcripts"):
        return {}
    return {"language_model": str(Path(name).expanduser().resolve())}


@functools.lru_cache(maxsize=2)
def _counted(texts: tuple[str, ...], spaced: bool) -> NGrams:
    return ngrams.count((wording.cut(text, spaced) for text in texts), ORDER)


@functools.lru_cache(maxsize=1)
def _written(path: str, spaced: bool, writer: Any) -> Writer:
    run = Run(Path(path))
    if not run.exists("model.safetensors"):
        raise UserError(
            f"The language model {path} is not there any more, by which this run listens. Bring "
            "the folder back, or train with another --language_model."
        )
    size = len(writer.vocabulary)
    network = build_network(
        NetworkKnobs(**writer.network), (writer.context,), size, reads="stream", vocabulary=size
    )
    network.load_state_dict(run.read_tensors("model.safetensors")[0])
    return Writer(network.eval(), writer, spaced)


class Writer:
    """A network that tells how probable the next token of a text is; words are what it spells."""

    def __init__(self, network: nn.Module, writer: Any, spaced: bool) -> None:
        self.network, self.writer, self.joint = network, writer, " " if spaced else ""
        self.totals: dict[Gram, float] = {(): 0.0}

    def score(self, words: Gram, /) -> float:
        """Log-probability (nats) of the last word, and the space behind it, after all others."""
        return self._total(words) - self._total(words[:-1])

    def end(self, words: Gram, /) -> float:
        """0: books do not end where utterances do."""
        return 0.0

    def _total(self, words: Gram) -> float:
        if words not in self.totals:
            (read,) = self.writer.vocabulary.encode([self.joint.join(words) + self.joint])
            tokens_T = torch.tensor([*self.writer.first, *read.tolist()])
            logits_TV = nexttoken.logits(self.network, tokens_T, self.writer.context)
            logs_TV = logits_TV[:-1].log_softmax(1)
            told_T = logs_TV.gather(1, tokens_T[1:, None])[:, 0]
            self.totals[words] = float(told_T[len(self.writer.first) - 1 :].sum())
        return self.totals[words]
