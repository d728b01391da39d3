"""Blocks of a long row of tokens: what a network that says what comes next learns from.

Legend: N examples, B batch, T tokens of a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from glassnet.task import Batch, Subset

NOT_COUNTED = -100
"""The target at a place that is not to be predicted; what torch's cross entropy passes over."""


@dataclass(frozen=True)
class Block(Batch):
    """Tokens (B, T), and of each the one that comes next, with the row that they are cut from."""

    place: BlockExamples | None = None
    starts: Tensor | None = None
    """Where each block begins, int64 (B,)."""
    firsts: Tensor | None = None
    """The earliest token of the same part of the text, int64 (B,)."""
    ends: Tensor | None = None

    def moved_back(self, by: Tensor | int) -> Block:
        """The same blocks, beginning up to ``by`` (B,) tokens earlier, never in another part."""
        assert self.place is not None and self.starts is not None
        assert self.firsts is not None and self.ends is not None
        starts = torch.maximum(self.starts - by, self.firsts)
        return self.place.cut(starts, self.firsts, self.ends)


@dataclass(frozen=True)
class BlockExamples:
    """Blocks of ``length`` tokens, cut end to end from one row of tokens."""

    rows: Tensor
    """The row of the source in which the first token to predict lies; int64 (N,)."""
    tokens: Tensor
    """All tokens end to end; int16 or int32, perhaps mapped from a file."""
    starts: Tensor
    """int64 (N,)"""
    firsts: Tensor
    """The first token of the stretch of text that each block is cut from; int64 (N,)."""
    ends: Tensor
    """Where it ends; int64 (N,)."""
    known: Tensor
    """How many targets at its beginning are those of the block before; int64 (N,)."""
    length: int
    spacing: int
    """Tokens from one block to the next, in training, at most; at least ``length``."""
    pad: int

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor, /) -> Block:
        """Return the blocks at the positions ``index``, each token to be predicted once in all."""
        picked = (column.index_select(0, index) for column in (self.starts, self.firsts, self.ends))
        block = self.cut(*picked)
        known = self.known.index_select(0, index)
        if not known.any():
            return block
        places = torch.arange(self.length, device=index.device)
        hidden = places < known[:, None]
        return replace(block, targets=block.targets.masked_fill(hidden, NOT_COUNTED))

    def cut(self, starts: Tensor, firsts: Tensor, ends: Tensor) -> Block:
        """Cut blocks that begin at ``starts`` (B,) out of text that ends at ``ends`` (B,)."""
        places = starts[:, None] + torch.arange(self.length + 1, device=starts.device)
        outside = places >= ends[:, None]
        short = bool(outside.any())
        found = self.tokens[places.clamp_(max=len(self.tokens) - 1) if short else places].long()
        inputs, targets = found[:, :-1], found[:, 1:]
        if short:
            inputs = inputs.masked_fill(outside[:, :-1], self.pad)
            targets = targets.masked_fill(outside[:, 1:], NOT_COUNTED)
        return Block(inputs, targets, None, self, starts, firsts, ends)

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Block]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> BlockExamples:
        """Return the same examples on ``device``."""
        columns = ("rows", "tokens", "starts", "firsts", "ends", "known")
        return replace(self, **{name: getattr(self, name).to(device) for name in columns})


def blocks(
    segments: Sequence[tuple[int, int]], length: int, spacing: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cut segments of tokens into blocks: their starts, firsts, ends and known, (N,) each.

    The last block of a segment is moved back, so that it is full; ``known`` says by how much.
    """
    columns: list[list[Tensor]] = [[], [], [], []]
    for (first, end), step in zip(segments, spacing, strict=True):
        if end - first < 2:
            continue  # nothing comes after its only token
        count = math.ceil((end - 1 - first) / step - 1e-6)  # spread evenly, if not end to end
        wanted = first + (torch.arange(max(1, count), dtype=torch.float64) * step).long()
        starts = wanted.clamp(max=max(first, end - 1 - length))
        known = wanted - starts if step == length else torch.zeros_like(starts)
        for column, values in zip(
            columns,
            (starts, torch.full_like(starts, first), torch.full_like(starts, end), known),
            strict=True,
        ):
            column.append(values)
    if not columns[0]:
        empty = torch.zeros(0, dtype=torch.int64)
        return empty, empty, empty, empty
    starts, firsts, ends, known = (torch.cat(column) for column in columns)
    return starts, firsts, ends, known


def starts_of(examples: Any) -> Tensor:
    """Where each example's block begins."""
    if isinstance(examples, Subset):
        return starts_of(examples.whole)[examples.positions]
    starts: Tensor = examples.starts
    return starts


def anywhere(batch: Any, epoch: int) -> Block:
    """Each block begins at a random place of its own, at most a block earlier."""
    where, spacing = batch.inputs.device, batch.place.spacing
    moved: Block = batch.moved_back(torch.randint(spacing, (len(batch.inputs),), device=where))
    return moved


def as_streams(order: Tensor, number: int) -> list[Tensor]:
    """Cut positions into ``number`` batches such that each goes on where the one before ended.

    Stream b reads positions b·number, b·number + 1, … in ascending order, from a place that the
    random ``order`` chooses; its state is carried from batch to batch. The last stream may be
    shorter: it is missing from the last batches.
    """
    ascending = order.sort().values
    ascending = ascending.roll(-int((ascending < order[0]).sum()))
    return [ascending[step::number] for step in range(number)]
