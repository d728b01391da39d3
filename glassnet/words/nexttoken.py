"""What a language model expected at each token of a text, and how much the token surprised it.

The surprise of a token is -log2 of its probability, in bits: what it would cost to send the token
to somebody who has the same model (Shannon 1951, "Prediction and Entropy of Printed English").
"""

# Letters in tensor names: T tokens, V different tokens.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.figures import Lines, Series, Table, Token, Tokens

TOP = 5


@dataclass(frozen=True)
class Expected:
    """What was expected where one token stands."""

    token: str
    probability: float | None
    """None for the first token, before which nothing was read."""
    rank: int | None
    """1 if it was the most probable."""
    bits: float | None
    entropy: float | None
    """Bits of surprise to be expected there: how open the place was."""
    instead: Sequence[tuple[str, float]]
    """The most probable tokens with their probabilities."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def logits(network: nn.Module, tokens_T: Tensor, context: int | None) -> Tensor:
    """The logits (T, V) after each token.

    A text longer than the context is read in stretches that overlap by half: each token but those
    of the first stretch has half a context before it, at least.
    """
    with torch.no_grad():
        if context is None or len(tokens_T) <= context:
            return network(tokens_T[None])[0].float()  # type: ignore[no-any-return]
        step = max(1, context // 2)
        found = [network(tokens_T[None, :context])[0]]
        done = context
        while done < len(tokens_T):
            end = min(done + step, len(tokens_T))
            stretch = network(tokens_T[None, end - context : end])[0]
            found.append(stretch[done - end :])
            done = end
        return torch.cat(found).float()


def expected(
    logits_TV: Tensor, tokens_T: Tensor, names: Sequence[str], name: Any
) -> list[Expected]:
    """What was expected at each token.

    Args:
        logits_TV: After each token.
        tokens_T: The tokens.
        names: How people read them.
        name: Number of a token -> how people read it.
    """
    logs_TV = logits_TV.cpu().double().log_softmax(1)
    entropy_T = -(logs_TV.exp() * logs_TV).sum(1) / math.log(2)
    count = min(TOP, logs_TV.shape[1])
    found = [Expected(names[0], None, None, None, None, ())] if names else []
    for place in range(1, len(tokens_T)):
        logs_V, token = logs_TV[place - 1], int(tokens_T[place])
        best = logs_V.topk(count)
        found.append(
            Expected(
                names[place],
                float(logs_V[token].exp()),
                int((logs_V > logs_V[token]).sum()) + 1,
                float(-logs_V[token] / math.log(2)),
                float(entropy_T[place - 1]),
                _named(best, name),
            )
        )
    return found


def after(logits_TV: Tensor, name: Any, count: int = 10) -> list[tuple[str, float]]:
    """The most probable tokens after the whole text, with their probabilities."""
    shares_V = logits_TV[-1].cpu().double().log_softmax(0)
    return _named(shares_V.topk(min(count, len(shares_V))), name)


def _named(best: Any, name: Any) -> list[tuple[str, float]]:
    pairs = zip(best.indices.tolist(), best.values.exp().tolist(), strict=True)
    return [(name(token), share) for token, share in pairs]


def mean_bits(found: Sequence[Expected]) -> float | None:
    """The mean surprise of a token; None for a text of one."""
    bits = [one.bits for one in found if one.bits is not None]
    return sum(bits) / len(bits) if bits else None


def text(found: Sequence[Expected], spaced: bool) -> Tokens:
    """The text, coloured by surprise."""
    items = [
        Token(
            one.token,
            one.bits,
            said="" if one.rank is None else "\n".join(
                [f"probability\t{one.probability:.2%}", f"rank\t{one.rank}"]
                + [f"“{shown(token)}”\t{share:.1%}" for token, share in one.instead]
            ),
        )
        for one in found
    ]  # fmt: skip
    return Tokens(
        "How surprising each token was",
        items,
        value_label="surprise, bits",
        spaced=spaced,
        note="1 bit is a token of probability 1/2, 10 bits one of about 1/1000. Pointing at a "
        "token shows what was expected instead.",
    )


def table(found: Sequence[Expected]) -> Table:
    """Token by token."""
    rows: list[list[str | float | None]] = [
        [
            number, shown(one.token), one.probability, one.rank, one.bits, one.entropy,
            ", ".join(f"{shown(token)} {share:.0%}" for token, share in one.instead),
        ]
        for number, one in enumerate(found, 1)
    ]  # fmt: skip
    columns = ["number", "token", "probability", "rank", "surprise, bits", "open, bits"]
    return Table(
        "Token by token",
        [*columns, "most probable there"],
        rows,
        note="“Open” is the surprise that was to be expected there: low where the place allows one "
        "token only. The first token has nothing before it.",
    )


def course(found: Sequence[Expected]) -> Lines:
    """Surprise along the text, and how open each place was."""
    places = list(range(1, len(found) + 1))
    return Lines(
        "Surprise along the text",
        [
            Series("surprise", places, [one.bits for one in found]),
            Series("expected (entropy)", places, [one.entropy for one in found], dashed=True),
        ],
        x_label="token",
        y_label="bits",
    )


def shown(token: str) -> str:
    """White space made visible where it is all there is; else without the spaces around it."""
    visible = token.replace("\n", "↵").replace("\t", "⇥")
    return visible.strip(" ") or visible.replace(" ", "␣")
