"""Writing a text token by token: the search for the most probable one among the possible.

Beam search (Lowerre 1976; Sutskever et al. 2014) follows the ``beam`` most probable beginnings of a
text at once, and lengthens each by every token. A text that ends is compared with others by

    score = log p(text) / ((5 + length) / 6) ** length_penalty

with its end counted in its length (Wu et al. 2016, "Google's Neural Machine Translation System",
section 7, eq. 14; without its term for coverage). At 0 the sum of the logarithms decides, and short
texts win, as each token more makes a text less probable. With a beam of 1 the search is greedy: it
takes the most probable token at each place.

A text is done when as many ends as the beam is wide were found among the best, or when no other
beginning can overtake the best end any more. Whatever the beam, what is found is one of the
probable texts and not surely the most probable; with a beam as wide as there are texts, it is.

The network has read the source once (``read``), and ``follow`` keeps what it needs of what was
written, so that one more token costs one token.
"""

# Letters in tensor names: B texts that are not done yet, K beam, V vocabulary, S source tokens.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.networks._sequences import PAD, chosen
from glassnet.progress import tell

TOGETHER = 8192
"""Source tokens that are read at once, counted once for each beginning."""


@dataclass(frozen=True)
class Written:
    """One text that a network wrote."""

    tokens: tuple[int, ...]
    """Without begin and end."""
    score: float
    """By which it was chosen; 0 is certainty."""
    log_probability: float
    """Of the whole text with its end, in nats."""


@dataclass(frozen=True)
class Rules:
    """What may be written, and how it is searched for."""

    begin: int
    """The token that begins a text."""
    end: int
    """The token that ends it."""
    never: tuple[int, ...] = ()
    """Tokens that are not written, such as padding."""
    beam: int = 5
    """How many beginnings are followed."""
    length_penalty: float = 1.0
    """0 or more; larger favours longer texts."""

    def penalty(self, length: int) -> float:
        """What the logarithm of a probability is divided by."""
        return float(((5 + length) / 6) ** self.length_penalty)


def write(
    network: nn.Module,
    sources: Sequence[Sequence[int]],
    longest: Callable[[int], int],
    rules: Rules,
) -> list[Written]:
    """Write a text for each source, those of like lengths together.

    Args:
        network: One that reads pairs, see ``networks/_sequences.py``.
        sources: The tokens of each.
        longest: From the tokens of a source to the most tokens of its text, with its end.
        rules: How to write.
    """
    network.eval()
    where = next(network.parameters()).device
    # The longest first: it says how many more have a place beside it.
    order = sorted(range(len(sources)), key=lambda number: -len(sources[number]))
    found: dict[int, Written] = {}
    while len(found) < len(order):
        rest = order[len(found) :]
        number = max(1, TOGETHER // (rules.beam * max(1, len(sources[rest[0]]))))
        batch = rest[:number]
        tokens = [torch.tensor(sources[n], device=where) for n in batch]
        source_BS = nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=PAD)
        written = search(network, source_BS, [longest(len(sources[n])) for n in batch], rules)
        found |= dict(zip(batch, written, strict=True))
        tell("writing", len(found), len(order))
    return [found[number] for number in range(len(order))]


@torch.inference_mode()
def search(
    network: nn.Module, source_BS: Tensor, longest: Sequence[int], rules: Rules
) -> list[Written]:
    """Write a text for each source of a batch; the network must be in evaluation mode.

    Args:
        network: One that reads pairs.
        source_BS: The sources, filled up with padding.
        longest: The most tokens of each text, its end among them; at that place it must end.
        rules: How to write.
    """
    beams = Beams(len(source_BS), longest, rules, source_BS.device)
    where = source_BS.device
    copies = torch.arange(len(source_BS), device=where).repeat_interleave(rules.beam)
    memory: Any = chosen(network.read(source_BS), copies)  # type: ignore[operator]
    state: Any = None
    while beams.alive:
        last = beams.last_tokens
        logits, state = network.follow(last[:, None], memory, state)  # type: ignore[operator]
        logits_NV = logits[:, -1].float()
        logits_NV[:, list(rules.never)] = -math.inf
        places, rows = beams.step(logits_NV.log_softmax(-1))
        if rows is not None:
            memory = chosen(memory, rows)
        state = chosen(state, places)
    return [max(ended, key=lambda written: written.score) for ended in beams.ended]


class Beams:
    """Where a search stands: the beginnings that are followed, and the texts that have ended."""

    def __init__(
        self, number: int, longest: Sequence[int], rules: Rules, where: torch.device
    ) -> None:
        self.rules, self.end, self.beam = rules, rules.end, rules.beam
        self.alive = list(range(number))
        """The texts that are not done, in the order of the rows of all tensors here."""
        self.longest = list(longest)
        self.ended: list[list[Written]] = [[] for _ in range(number)]
        self.tokens_BKT = torch.full((number, self.beam, 1), rules.begin, device=where)
        self.log_p_BK = torch.full((number, self.beam), -math.inf, device=where)
        self.log_p_BK[:, 0] = 0  # all beginnings are the same as yet: one of them counts

    @property
    def last_tokens(self) -> Tensor:
        """The newest token of each beginning, (B * K,)."""
        return self.tokens_BKT[:, :, -1].flatten()

    def step(self, log_p_NV: Tensor) -> tuple[Tensor, Tensor | None]:
        """Lengthen all beginnings by a token, N = B * K.

        Returns the rows that the new beginnings grew from, and the rows of texts that go on if some
        are done now, else None.
        """
        length = self.tokens_BKT.shape[2]
        num_tokens = log_p_NV.shape[1]
        all_BKV = self.log_p_BK[:, :, None] + log_p_NV.view(-1, self.beam, num_tokens)
        self._end_where_due(all_BKV, length)
        # Of twice as many as are followed, at most one for each beginning ends: enough go on.
        most = min(2 * self.beam, self.beam * num_tokens)
        best_BM, places_BM = all_BKV.flatten(1).topk(most)
        from_BM, token_BM = places_BM // num_tokens, places_BM % num_tokens
        ends_BM = token_BM == self.end
        self._collect(best_BM, from_BM, ends_BM, length)
        going_BM = best_BM.masked_fill(ends_BM, -math.inf)
        self.log_p_BK, order_BK = going_BM.topk(self.beam)
        grown_BK = from_BM.gather(1, order_BK)
        before_BKT = self.tokens_BKT.gather(1, grown_BK[:, :, None].expand(-1, -1, length))
        self.tokens_BKT = torch.cat((before_BKT, token_BM.gather(1, order_BK)[:, :, None]), 2)
        return self._leave_done(grown_BK, length)

    def _end_where_due(self, all_BKV: Tensor, length: int) -> None:
        due = [row for row, text in enumerate(self.alive) if self.longest[text] <= length]
        if due:
            ends = all_BKV[due, :, self.end]
            all_BKV[due] = -math.inf
            all_BKV[due, :, self.end] = ends

    def _collect(self, best_BM: Tensor, from_BM: Tensor, ends_BM: Tensor, length: int) -> None:
        """Keep the texts that end, if they are among the ``beam`` best; greedy is a beam of 1."""
        ends = ends_BM[:, : self.beam] & best_BM[:, : self.beam].isfinite()
        for row, place in ends.nonzero().tolist():
            log_p = float(best_BM[row, place])
            tokens = self.tokens_BKT[row, from_BM[row, place], 1:].tolist()
            score = log_p / self.rules.penalty(length)
            self.ended[self.alive[row]].append(Written(tuple(tokens), score, log_p))

    def _leave_done(self, grown_BK: Tensor, length: int) -> tuple[Tensor, Tensor | None]:
        first = torch.arange(len(self.alive), device=grown_BK.device) * self.beam
        rows_BK = first[:, None] + grown_BK
        best = self.log_p_BK.amax(1).tolist()
        kept = [row for row, text in enumerate(self.alive) if not self._is_done(text, best[row])]
        if len(kept) == len(self.alive):
            return rows_BK.flatten(), None
        index = torch.tensor(kept, dtype=torch.int64, device=grown_BK.device)
        self.alive = [self.alive[row] for row in kept]
        self.tokens_BKT, self.log_p_BK = self.tokens_BKT[index], self.log_p_BK[index]
        same = first[index][:, None] + torch.arange(self.beam, device=grown_BK.device)
        return rows_BK[index].flatten(), same.flatten()

    def _is_done(self, text: int, best: float) -> bool:
        """Whether enough texts ended, or none that goes on can be better; ``best`` is its log p."""
        ended = self.ended[text]
        if len(ended) >= self.beam or best == -math.inf:
            return True
        # A probability only falls with the length, and the penalty is largest at the longest.
        bound = best / self.rules.penalty(self.longest[text])
        return bool(ended) and max(written.score for written in ended) >= bound
