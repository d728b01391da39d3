"""Writing with a network that says what comes next: which token is drawn, and what is read for it.

- temperature: logits are divided by it before they become probabilities; 0 takes the most probable.
- top-k: only the k most probable tokens (Fan, Lewis, Dauphin 2018, "Hierarchical Neural Story
  Generation", section 4.3).
- top-p: only the most probable tokens that together have the probability p (Holtzman et al. 2020,
  "The Curious Case of Neural Text Degeneration", section 3.1); the one that passes p is among them.

With both, top-k comes first, as in most programs.
"""

# Letters in tensor names: V tokens of the vocabulary, T tokens that are read.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import UserError


@dataclass(frozen=True)
class Sampling:
    """How a text is written; see the head of the file."""

    tokens: int = 300
    """How many are written, at most."""
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "tokens": (self.tokens >= 1, "a whole number of at least 1"),
            "temperature": (0 <= self.temperature < float("inf"), "0 or more"),
            "top-k": (self.top_k is None or self.top_k >= 1, "a whole number of at least 1"),
            "top-p": (self.top_p is None or 0 < self.top_p <= 1, "above 0 and at most 1"),
            "seed": (0 <= self.seed < 2**63, "a whole number from 0"),
        }
        for name, (good, expected) in ranges.items():
            if not good:
                found = getattr(self, name.replace("-", "_"))
                raise UserError(f"--{name}: expected {expected}, found {found}.")


def continued(
    network: nn.Module,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    never: Sequence[int] = (),
    cached: bool = True,
) -> Iterator[int]:
    """Yield the tokens that come after ``prompt`` (at least one), ``sampling.tokens`` of them.

    What was read is kept (keys and values, or a hidden state), so that each new token is read
    alone. When a network's context is full, it goes on from the newer half of it, read anew.

    Args:
        network: With ``follow`` and ``context``, as ``networks/_sequences.py`` says.
        prompt: Of more tokens than the context, the last ones are read.
        sampling: How to draw.
        never: Tokens that are not drawn.
        cached: false reads everything anew for each token: slow, with the same answer, for tests.
    """
    where = next(network.parameters()).device
    draw = torch.Generator().manual_seed(sampling.seed)
    context: Any = network.context
    text = list(prompt)
    window = text if context is None else text[-context:]
    unread, state = list(window), None
    for _ in range(sampling.tokens):
        with torch.inference_mode():
            tokens_1T = torch.tensor([unread], device=where)
            logits_1TV, state = network.follow(tokens_1T, state)  # type: ignore[operator]
            logits_V = logits_1TV[0, -1].cpu().double()
            logits_V[list(never)] = -torch.inf
            token = drawn(probabilities(logits_V, sampling), draw)
        yield token
        window.append(token)
        unread = [token]
        if context is not None and len(window) > context:
            window = window[-max(1, context // 2) :]
            unread, state = list(window), None
        if not cached:
            unread, state = list(window), None


def expected(network: nn.Module, prompt: Sequence[int], never: Sequence[int]) -> Tensor:
    """The probability (V,) of each token to come next, on the CPU; 0 for those of ``never``."""
    where = next(network.parameters()).device
    with torch.inference_mode():
        logits_V: Tensor = network(torch.tensor([prompt], device=where))[0, -1].cpu().double()
        logits_V[list(never)] = -torch.inf
        return logits_V.softmax(0)


def probabilities(logits_V: Tensor, sampling: Sampling) -> Tensor:
    """The probabilities (V,) with which the next token is drawn; their sum is 1."""
    logits_V = logits_V.double()
    if sampling.temperature == 0:
        return nn.functional.one_hot(logits_V.argmax(), len(logits_V)).double()
    shares_V = (logits_V / sampling.temperature).softmax(0)
    order_V = shares_V.argsort(descending=True, stable=True)
    sorted_V = shares_V[order_V]
    if sampling.top_k is not None:
        sorted_V[sampling.top_k :] = 0
        sorted_V /= sorted_V.sum()
    if sampling.top_p is not None:
        before_V = sorted_V.cumsum(0) - sorted_V
        # A hair less, so that 0.5 + 0.3 is enough for 0.8 however it is rounded.
        sorted_V[before_V >= sampling.top_p - 1e-9] = 0
        sorted_V /= sorted_V.sum()
    return torch.zeros_like(shares_V).scatter_(0, order_V, sorted_V)


def drawn(shares_V: Tensor, generator: torch.Generator) -> int:
    """One token, at random: the same on every device for the same generator."""
    return int(torch.multinomial(shares_V, 1, generator=generator))
