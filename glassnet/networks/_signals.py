"""The first layer of a network for signals that come as rows of a table, a column for each step.

A table scales each column by itself. For a signal that is wrong: what is the same shape early and
late must look the same to a filter that slides over it. This layer undoes the columns' scales, and
puts one in their place.
"""

# Letters in tensor names: B examples, C channels, L length.

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor, nn

Rescale: TypeAlias = Literal["common", "each", "columns"]

LARGEST = 2.9999
"""A number beyond 200 interquartile ranges comes as 3 exactly, which could not be undone."""
QUARTILES = 1.349
"""Interquartile range of a normal distribution, in standard deviations."""
LEAST = 1e-3
"""Of the common spread: an example that varies less is not blown up to the size of the others."""
NAMED = 3
"""Unfit columns that an error names."""


class ScaledSlot(Protocol):
    """One number of a compact row, with the scale of its column."""

    @property
    def name(self) -> str:
        """Its name, mostly that of its column."""
        ...

    @property
    def centre(self) -> float:
        """The median of the column."""
        ...

    @property
    def scale(self) -> float:
        """Of a column of numbers: its interquartile range; 0 for all else."""
        ...


class Signal(nn.Module):
    """Rows of a table (B, L), or signals (B, L) or (B, C, L) as they are -> (B, C, L), scaled."""

    centre: Tensor
    scale: Tensor

    def __init__(self, slots: Sequence[ScaledSlot] | None, rescale: Rescale) -> None:
        super().__init__()
        self.rescale = rescale
        self.undoes = slots is not None and rescale != "columns"
        if slots is not None:
            refuse_unfit(slots)
        centres = torch.tensor([slot.centre for slot in slots or ()], dtype=torch.float64)
        scales = torch.tensor([slot.scale for slot in slots or ()], dtype=torch.float64)
        spreads = scales / QUARTILES
        mean = centres.mean()
        std = (spreads.square().mean() + (centres - mean).square().mean()).sqrt()
        # In units of the common scale, so that float32 loses nothing of a signal far from zero.
        self.register_buffer("centre", ((centres - mean) / std).float(), persistent=False)
        self.register_buffer("scale", (scales / std).float(), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the signals (B, C, L)."""
        if self.undoes:
            bent = inputs.clamp(-LARGEST, LARGEST)
            inputs = bent / (1 - (bent / 3).square()).sqrt() * self.scale + self.centre
        signals_BCL = inputs if inputs.ndim == 3 else inputs[:, None]
        if self.rescale != "each":
            return signals_BCL
        variance, mean = torch.var_mean(signals_BCL, dim=(1, 2), correction=0, keepdim=True)
        scaled: Tensor = (signals_BCL - mean) / (variance + LEAST**2).sqrt()
        return scaled


def refuse_unfit(slots: Sequence[ScaledSlot]) -> None:
    """Every column must be a number: categories and gaps have no place along a signal."""
    unfit = [repr(slot.name) for slot in slots if not slot.scale]
    if unfit:
        more = f" and {len(unfit) - NAMED} more" if len(unfit) > NAMED else ""
        raise ValueError(
            "a signal has one column of numbers for each of its steps, in their order; "
            f"{', '.join(unfit[:NAMED])}{more} of the table holds no plain number (a category, "
            "yes or no, a date, text, or a mark for missing cells). Leave such columns out, or "
            "fill the gaps; for a table of mixed columns take the network tabm or mlp"
        )
