"""Encoded examples: columns of tensors in memory, of which a batch is a slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from glassnet.task import Batch


@dataclass(frozen=True)
class TensorExamples:
    """Inputs and targets of supervised learning, with the rows that they come from."""

    rows: Tensor
    """int64 (N,)"""
    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor, /) -> Batch:
        """Return the examples at the positions ``index``."""
        return Batch(self.inputs.index_select(0, index), self.targets.index_select(0, index))

    def to(self, device: Any, /) -> TensorExamples:
        """Return the same examples on ``device``."""
        moved = (self.rows.to(device), self.inputs.to(device), self.targets.to(device))
        return TensorExamples(*moved)
