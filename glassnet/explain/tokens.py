"""Texts as a network reads them: their tokens, how people read those, and what is asked of it.

The functions of this folder that explain texts take a network, tokens (B, T) and names of tokens;
they know no task. ``Question`` says what is to be explained.
"""

# Letters in tensor names: B examples, T tokens, K outputs.

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from glassnet.errors import UserError
from glassnet.words.inner import listening, present

PIECES = re.compile(r"\w+|[^\w\s]+")
"""Words and marks, as vocabularies of words cut them."""


class Words(Protocol):
    """What is needed of a vocabulary."""

    unit: Any
    unknown: int | None
    begin: int | None
    end: int | None

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """The tokens of each text."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""

    def token(self, number: int) -> str:
        """How one token is shown to people."""


@dataclass(frozen=True)
class Question:
    """What is asked of a network about some tokens (B, T), and which of its answers is explained.

    ``stream`` networks answer at each token what comes next; explained is what they say after the
    last one. Others have one answer for each text.
    """

    network: nn.Module
    output: int
    """The class, or the next token."""
    stream: bool = False

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """All answers (B, K) to these tokens."""
        outputs: Tensor = self.network(tokens_BT)
        if not self.stream:
            return outputs.float()
        last_B = present(tokens_BT).sum(1).clamp(min=1) - 1
        return outputs[torch.arange(len(outputs), device=outputs.device), last_B].float()

    def log_odds(self, tokens_BT: Tensor) -> Tensor:
        """ln(p / (1 - p)) of the explained answer, (B,): above 0 if it is more likely than not."""
        return log_odds(self.logits(tokens_BT), self.output)

    def share(self, tokens_BT: Tensor) -> Tensor:
        """The probability of the explained answer, (B,)."""
        return self.logits(tokens_BT).softmax(1)[:, self.output]


def log_odds(logits_BK: Tensor, output: int) -> Tensor:
    """ln(p / (1 - p)) of one of several answers, (B,)."""
    chosen_K = torch.arange(logits_BK.shape[1], device=logits_BK.device) == output
    others_B = logits_BK.masked_fill(chosen_K, -torch.inf).logsumexp(1)
    return logits_BK[:, output] - others_B


def embedding(network: nn.Module, tokens_BT: Tensor) -> nn.Embedding:
    """The layer that turns tokens into numbers, found by listening to what it is given.

    Raises:
        UserError: If there is none.
    """
    found: list[nn.Embedding] = []
    layers = [m for m in network.modules() if isinstance(m, nn.Embedding)]

    def hook(module: nn.Module, given: Any) -> None:
        if given and isinstance(given[0], Tensor) and torch.equal(given[0], tokens_BT):
            assert isinstance(module, nn.Embedding)
            found.append(module)

    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        with torch.no_grad():
            network(tokens_BT)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise UserError(
            "This network has no layer nn.Embedding that reads the tokens, so its gradient cannot "
            "be followed to them. Use --method occlusion."
        )
    return found[0]


class Embedded:
    """A network as a function of the numbers (B, T, D) that stand for its tokens.

    The tokens themselves go in as well: masks of padding are made of them.
    """

    def __init__(self, question: Question, tokens_T: Tensor) -> None:
        self.question, self.tokens_T = question, tokens_T
        self.layer = embedding(question.network, tokens_T[None])
        with torch.no_grad():
            self.values_TD = self.layer(tokens_T).detach()

    def log_odds(self, values_BTD: Tensor) -> Tensor:
        """The log-odds (B,) if these numbers stood for the tokens."""
        tokens_BT = self.tokens_T.expand(len(values_BTD), -1)

        def instead(_name: str, _module: nn.Module, output: Tensor) -> Tensor | None:
            # A position's embedding may be of the same layer; only tokens have this shape.
            return values_BTD if output.shape == values_BTD.shape else None

        with listening([("", self.layer)], instead):
            return self.question.log_odds(tokens_BT)


def names(vocabulary: Words, tokens: Sequence[int], text: str | None = None) -> list[str]:
    """Tokens as people read them; of ``text``, if it is given, also the words that are unknown.

    Sub-words, characters and bytes hold their own spaces.
    """
    pieces = [_name(vocabulary, int(token)) for token in tokens]
    if text is None or vocabulary.unknown not in [int(token) for token in tokens]:
        return pieces
    if vocabulary.unit == "words":
        written = PIECES.findall(text)
    elif vocabulary.unit == "characters":
        written = list(text)
    else:
        return pieces
    if len(written) < len(pieces):  # the text was cut or cleaned in another way
        return pieces
    return [
        word if int(token) == vocabulary.unknown else piece
        for piece, token, word in zip(pieces, tokens, written, strict=False)
    ]


def _name(vocabulary: Words, token: int) -> str:
    shown = vocabulary.token(token)
    if vocabulary.unit != "subwords":
        return shown
    # A piece of byte-pair encoding is spelled in signs for bytes; whole characters read better.
    written = vocabulary.decode([token])
    if not written or "\N{REPLACEMENT CHARACTER}" in written:
        return shown
    return written


def spaced(vocabulary: Words) -> bool:
    """Whether people put a space between the names of two tokens."""
    return bool(vocabulary.unit == "words")
