"""Examples that are sequences of numbers of different lengths: sounds, signals, series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from glassnet.task import Batch


@dataclass(frozen=True)
class SignalExamples:
    """Sequences of numbers, kept end to end, each with a target.

    A batch has inputs (B, C, T) float32, T the length of its longest sequence; what is not there is
    NaN, as ``networks/_series.py`` says.
    """

    rows: Tensor
    """int64 (N,)"""
    values: Tensor
    """All sequences end to end, (total, C); float32, or int16 as sound files hold them. May lie on
    disk (a tensor over a memory map)."""
    starts: Tensor
    """int64 (N + 1,): sequence n is ``values[starts[n] : starts[n + 1]]``."""
    targets: Tensor
    """(N,) classes or numbers; or (N, U) int64, tokens that end in zeros."""
    scale: float = 1.0
    """What the numbers are multiplied by: 1 / 32768 for int16."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Tensor:
        """Steps of each sequence, int64 (N,)."""
        return self.starts.diff()

    def batch(self, index: Tensor, /) -> Batch:
        """Return the examples at the positions ``index``."""
        begin, end = self.starts[index], self.starts[index + 1]
        longest = max(1, int((end - begin).max())) if len(index) else 1
        places = begin[:, None] + torch.arange(longest, device=begin.device)
        inside = places < end[:, None]
        found = self.values[places.clamp(max=max(0, len(self.values) - 1))].float() * self.scale
        inputs = found.masked_fill(~inside[:, :, None], torch.nan).transpose(1, 2).contiguous()
        return Batch(inputs, trimmed(self.targets.index_select(0, index)))

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Batch]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> SignalExamples:
        """Return the same examples on ``device``."""
        columns = ("rows", "values", "starts", "targets")
        return replace(self, **{name: getattr(self, name).to(device) for name in columns})


def trimmed(targets: Tensor) -> Tensor:
    """Rows of tokens without the columns behind the longest of them; classes as they are."""
    if targets.ndim < 2 or not len(targets):
        return targets
    used = (targets != 0).any(0).nonzero()
    return targets[:, : int(used.max()) + 1 if len(used) else 1]
