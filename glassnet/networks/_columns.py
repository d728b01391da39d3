"""What the first layer of a network for tables knows of the columns; one row is (C,) numbers.

A row arrives compact, one slot per number and one per category, so that a million rows stay small;
the network spreads it out: a category becomes a one-hot vector, or, with many levels, a learned
vector (Guo and Berkhahn 2016, "Entity Embeddings of Categorical Variables").
"""

# Letters in tensor names: B examples, C slots of a compact row, D numbers of a spread-out row,
# N bins of all piecewise-linear numbers together.

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

MAX_ONE_HOT = 52
"""Categories with more levels than this are embedded."""
EMBEDDED = 16
"""Numbers of an embedded level."""


class Slot(Protocol):
    """One number of a compact row."""

    @property
    def size(self) -> int:
        """Of a category: the number of its levels; the slot holds the position of one. Else 0."""
        ...

    @property
    def edges(self) -> Sequence[float]:
        """Of a number: ascending edges of bins with about equally many examples, or none."""
        ...


class NamedSlot(Slot, Protocol):
    """One number of a compact row, with names for people."""

    @property
    def name(self) -> str:
        """Its name, mostly that of its column."""
        ...

    @property
    def levels(self) -> Sequence[str]:
        """Of a category: the names of its levels."""
        ...


class Categories(nn.Module):
    """The slots of categories as one-hot vectors and embeddings, one after another."""

    one_hot_slots: Tensor
    one_hot_starts: Tensor

    def __init__(self, slots: Sequence[Slot]) -> None:
        super().__init__()
        small = [i for i, slot in enumerate(slots) if 0 < slot.size <= MAX_ONE_HOT]
        self.large = [i for i, slot in enumerate(slots) if slot.size > MAX_ONE_HOT]
        sizes = [slots[i].size for i in small]
        starts = [sum(sizes[:number]) for number in range(len(sizes))]
        self.width = sum(sizes)
        self.register_buffer("one_hot_slots", torch.tensor(small, dtype=torch.int64), False)
        self.register_buffer("one_hot_starts", torch.tensor(starts, dtype=torch.int64), False)
        self.embeddings = nn.ModuleList(nn.Embedding(slots[i].size, EMBEDDED) for i in self.large)
        for embedding in self.embeddings:
            assert isinstance(embedding, nn.Embedding)
            nn.init.normal_(embedding.weight, std=EMBEDDED**-0.5)
        self.num_outputs = self.width + EMBEDDED * len(self.large)

    def forward(self, rows_BC: Tensor) -> list[Tensor]:
        """Return the parts of the spread-out row that come from categories."""
        parts: list[Tensor] = []
        if self.width:
            levels = rows_BC[:, self.one_hot_slots].long() + self.one_hot_starts
            parts.append(rows_BC.new_zeros(len(rows_BC), self.width).scatter_(1, levels, 1.0))
        for slot, embedding in zip(self.large, self.embeddings, strict=True):
            parts.append(embedding(rows_BC[:, slot].long()))
        return parts


class Flat(nn.Module):
    """A compact row as one plain vector: numbers as they are, then the categories."""

    plain: Tensor

    def __init__(self, slots: Sequence[Slot]) -> None:
        super().__init__()
        plain = [i for i, slot in enumerate(slots) if not slot.size]
        self.register_buffer("plain", torch.tensor(plain, dtype=torch.int64), persistent=False)
        self.categories = Categories(slots)
        self.num_outputs = len(plain) + self.categories.num_outputs

    def forward(self, rows_BC: Tensor) -> Tensor:
        """Return the rows, spread out (B, D)."""
        return torch.cat([rows_BC[:, self.plain], *self.categories(rows_BC)], dim=1)


def names_of_flat(slots: Sequence[NamedSlot]) -> list[str]:
    """Names of the numbers that ``Flat`` makes of a row, in their order."""
    small = [slot for slot in slots if 0 < slot.size <= MAX_ONE_HOT]
    large = [slot for slot in slots if slot.size > MAX_ONE_HOT]
    return [
        *(slot.name for slot in slots if not slot.size),
        *(f"{slot.name}={level}" for slot in small for level in slot.levels),
        *(f"{slot.name} #{number}" for slot in large for number in range(1, EMBEDDED + 1)),
    ]


class PiecewiseLinear(nn.Module):
    """Numbers spread over the bins between their edges; flags and categories as in ``Flat``.

    Gorishniy, Rubachev and Babenko (2022), "On Embeddings for Numerical Features in Tabular Deep
    Learning", section 3.2: a bin below the number is 1, the bin that holds it says how far into it
    the number is, a bin above is 0. A following dense layer is then a piecewise linear function
    of each number. How ours differs: the number itself is kept too.
    """

    slot_of_bin: Tensor
    scale: Tensor
    shift: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, slots: Sequence[Slot]) -> None:
        super().__init__()
        bins = [
            (i, low, high, k == 0, k == len(slot.edges) - 2)
            for i, slot in enumerate(slots)
            for k, (low, high) in enumerate(zip(slot.edges[:-1], slot.edges[1:], strict=True))
        ]
        columns: dict[str, list[float]] = {
            "scale": [1 / (high - low) for _, low, high, *_ in bins],
            "shift": [-low / (high - low) for _, low, high, *_ in bins],
            # What lies outside of all edges goes on along the line of the outermost bin.
            "lowest": [-torch.inf if first else 0.0 for *_, first, _ in bins],
            "highest": [torch.inf if last else 1.0 for *_, last in bins],
        }
        for name, values in columns.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)
        places = torch.tensor([i for i, *_ in bins], dtype=torch.int64)
        self.register_buffer("slot_of_bin", places, persistent=False)
        self.flat = Flat(slots)
        self.num_outputs = len(bins) + self.flat.num_outputs

    def forward(self, rows_BC: Tensor) -> Tensor:
        """Return the rows, spread out (B, D)."""
        spread_BN = torch.addcmul(self.shift, rows_BC[:, self.slot_of_bin], self.scale)
        spread_BN = spread_BN.clamp(self.lowest, self.highest)
        return torch.cat([spread_BN, self.flat(rows_BC)], dim=1)


def names_of_piecewise(slots: Sequence[NamedSlot]) -> list[str]:
    """Names of the numbers that ``PiecewiseLinear`` makes of a row, in their order."""
    bins = [f"{s.name}: bin {k}" for s in slots for k in range(1, len(s.edges))]
    return [*bins, *names_of_flat(slots)]
