"""Examples of different lengths: kept end to end, padded batch by batch, batched by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from glassnet.task import Batch, Subset

NOISE = 0.1
"""By how much of its length an example may stand among shorter ones, so that batches mix."""


@dataclass(frozen=True)
class RaggedExamples:
    """Sequences of tokens, each with a target.

    A batch has inputs (B, T) int64, T the length of its longest sequence, filled up with ``pad``.
    """

    rows: Tensor
    """int64 (N,)"""
    tokens: Tensor
    """All sequences end to end; int32 or int64."""
    starts: Tensor
    """int64 (N + 1,): sequence n is ``tokens[starts[n] : starts[n + 1]]``."""
    targets: Tensor
    pad: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Tensor:
        """Tokens of each sequence, int64 (N,)."""
        return self.starts.diff()

    def batch(self, index: Tensor, /) -> Batch:
        """Return the examples at the positions ``index``."""
        inputs = gathered(self.tokens, self.starts, index, self.pad)
        return Batch(inputs, self.targets.index_select(0, index))

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Batch]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> RaggedExamples:
        """Return the same examples on ``device``."""
        columns = ("rows", "tokens", "starts", "targets")
        return replace(self, **{name: getattr(self, name).to(device) for name in columns})


def gathered(tokens: Tensor, starts: Tensor, index: Tensor, pad: int) -> Tensor:
    """Some of the sequences that stand end to end, as one matrix (B, T) filled up with ``pad``."""
    begin, end = starts[index], starts[index + 1]
    longest = max(1, int((end - begin).max())) if len(index) else 1
    places = begin[:, None] + torch.arange(longest, device=tokens.device)
    inside = places < end[:, None]
    found = tokens[places.clamp(max=max(0, len(tokens) - 1))] if len(tokens) else places
    return torch.where(inside, found, pad).long()


def joined(sequences: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Put sequences end to end: tokens int32, and where each starts (N + 1,)."""
    import numpy as np

    lengths = torch.tensor([0, *map(len, sequences)], dtype=torch.int64)
    empty = np.zeros(0, np.int32)
    tokens = torch.from_numpy(np.concatenate([empty, *sequences]).astype(np.int32, copy=False))
    return tokens, lengths.cumsum(0)


def lengths_of(examples: Any) -> Tensor:
    """Tokens of each example, int64 (N,)."""
    if isinstance(examples, Subset):
        return lengths_of(examples.whole)[examples.positions]
    lengths: Tensor = examples.lengths
    return lengths


def by_length(lengths: Tensor, order: Tensor, number: int) -> list[Tensor]:
    """Cut shuffled positions into ``number`` batches of like lengths and about as many tokens.

    The token budget of a batch is that of all examples, by ``number``: many short ones, or few
    long ones. A pure function of ``order``.

    Args:
        lengths: Of all examples, by position; int64 (N,).
        order: Positions in random order, int64 (M,).
        number: How many batches; at most M.
    """
    rank = torch.arange(len(order), device=order.device)
    size = lengths[order].clamp(min=1)
    by_size = (size * (1 + NOISE * rank / len(order))).argsort(stable=True)
    pieces = by_size.tensor_split(_cuts(size[by_size].cumsum(0), number).cpu())
    # Which batch comes when is as random as the place of its shortest example in ``order``.
    return [order[piece] for piece in sorted(pieces, key=lambda piece: int(piece[0]))]


def in_pieces(examples: Any, order: Tensor, number: int) -> Sequence[Tensor]:
    """As ``by_length``; where all examples have one length, pieces of equal size."""
    lengths = lengths_of(examples)
    if lengths.min() == lengths.max():
        return order.tensor_split(number)
    return by_length(lengths, order, number)


def _cuts(ends: Tensor, number: int) -> Tensor:
    """Where to cut a row of sequences into ``number`` pieces; ``ends`` are their summed lengths."""
    step = torch.arange(1, number, device=ends.device)
    cuts = torch.searchsorted(ends.double(), step * (ends[-1].double() / number))
    # A piece has one sequence at least: no two cuts fall together, and none at either end.
    spare = (cuts - step).clamp(min=0).cummax(0).values if number > 1 else cuts
    return spare.clamp(max=len(ends) - number) + step


def sorted_batches(lengths: Tensor, tokens: int) -> list[Tensor]:
    """All positions, the shortest first, in batches of at most ``tokens`` with their padding."""
    order = lengths.argsort(stable=True)
    batches, first = [], 0
    sizes = lengths[order].clamp(min=1).tolist()
    for place, size in enumerate(sizes):
        if (place + 1 - first) * size > tokens and place > first:
            batches.append(order[first:place])
            first = place
    return [*batches, order[first:]]
