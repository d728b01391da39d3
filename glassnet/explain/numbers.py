"""What in a sequence of numbers speaks for an answer: in sound, measurements, letters, a past.

The methods are those of texts (``attribution.py``), for any network that is fed (B, C, T) with NaN
where nothing is. Evidence is laid over a ``field`` of numbers (F, U): the input itself, or what a
layer in front makes of it, such as the spectrogram of a sound, of which people see more than of the
wave. What speaks for an answer is measured against a ``blank``: silence, a flat line, letters that
are not known.

How ours differs from the papers: evidence of classes is in log-odds, as for texts; occlusion
covers tiles of neighbours with the blank, each tile once, so that the tiles' drops can be compared.
"""

# Letters in tensor names: B copies, C channels, T steps, F rows of the field, U columns, N tiles.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.explain.attribution import AT_ONCE, STEPS, Attribution, along
from glassnet.words.inner import differentiable, listening

BANDS, COLUMNS = 10, 24
"""Tiles of a field, at most: rows of tiles, and columns; of one row three times as many columns."""
QUIET = 0.05
"""The quantile of a spectrogram that is called silence."""

Target = Callable[[Tensor], Tensor]
"""Outputs of the network (B, …) -> one number for each copy, (B,)."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a network about one sequence, and against what evidence is measured."""

    network: nn.Module
    """In evaluation mode."""
    signals_1CT: Tensor
    target: Target
    """What is explained: the log-odds of a class, the value of a forecast."""
    score: Target
    """What must fall when evidence is covered: the probability of the class, nearness."""
    front: nn.Module | None = None
    letters: bool = False
    """The channels are letters: their numbers are probabilities, and a place is all of them."""
    roughly: bool = False
    """Whether a sum need not be complete: other weights are only compared with."""

    @cached_property
    def field_FU(self) -> Tensor:
        """The numbers over which evidence is laid; NaN where nothing is."""
        if self.front is None:
            return self.signals_1CT[0]
        found: list[Tensor] = []
        with torch.no_grad(), listening([("", self.front)], lambda _n, _m, out: found.append(out)):
            self.network(self.signals_1CT)
        return found[0][0].detach()

    @cached_property
    def there_FU(self) -> Tensor:
        """Where the field has numbers."""
        return ~self.field_FU.isnan()

    @cached_property
    def blank_FU(self) -> Tensor:
        """The field of a sequence that says nothing; NaN where the field has none."""
        field, there = self.field_FU, self.there_FU
        if self.letters:
            blank = torch.full_like(field, 1 / len(field))
        elif self.front is not None:
            blank = torch.full_like(field, float(field[there].float().quantile(QUIET)))
        else:
            mean_F1 = field.nan_to_num().sum(1, keepdim=True) / there.sum(1, keepdim=True).clamp(1)
            blank = mean_F1.expand_as(field)
        return blank.masked_fill(~there, torch.nan)

    @cached_property
    def tiles_FU(self) -> Tensor:
        """The number of the tile to which each place belongs, int64, from 0; the same for gaps."""
        num_rows, num_columns = self.field_FU.shape
        bands = 1 if self.letters else min(BANDS, num_rows)
        columns = min(num_columns, COLUMNS * (3 if bands == 1 else 1))
        places_F = torch.arange(num_rows) * bands // num_rows
        # Tiles divide what is there: behind the end of a sequence is nothing to be covered.
        used = int(self.there_FU.any(0).nonzero().max()) + 1 if bool(self.there_FU.any()) else 1
        columns = min(columns, used)
        places_U = (torch.arange(num_columns) * columns // used).clamp(max=columns - 1)
        tiles = places_F[:, None] * columns + places_U
        return tiles.to(self.field_FU.device)

    @property
    def num_tiles(self) -> int:
        """Tiles, including any in which nothing is."""
        return int(self.tiles_FU.max()) + 1

    def outputs(self, fields_BFU: Tensor) -> Tensor:
        """What the network answers to these fields."""
        if self.front is None:
            outputs: Tensor = self.network(fields_BFU)
            return outputs
        signals_BCT = self.signals_1CT.expand(len(fields_BFU), -1, -1)

        def instead(_name: str, _module: nn.Module, _output: Any) -> Tensor:
            return fields_BFU

        with listening([("", self.front)], instead):
            replaced: Tensor = self.network(signals_BCT)
        return replaced

    def measured(self, fields_BFU: Tensor, by: Target) -> Tensor:
        """``by`` of each field, (B,) float64 on the CPU, a few at once; not all devices have it."""
        size = max(1, self.signals_1CT.numel(), self.field_FU.numel())
        with torch.no_grad():
            parts = fields_BFU.split(max(1, 16 * AT_ONCE // size))
            return torch.cat([by(self.outputs(part)).cpu().double() for part in parts])

    def covered(self, hidden_BN: Tensor) -> Tensor:
        """The field with some of its tiles blank, (B, F, U)."""
        hidden_BFU = hidden_BN.to(self.field_FU.device)[:, self.tiles_FU]
        return torch.where(hidden_BFU, self.blank_FU, self.field_FU)

    def by_tile(self, values_FU: Tensor) -> Tensor:
        """Sums over the tiles, (N,) float64 on the CPU."""
        sums_N = torch.zeros(self.num_tiles, dtype=torch.float64)
        return sums_N.index_add(
            0, self.tiles_FU.cpu().flatten(), values_FU.cpu().double().flatten()
        )

    def without(self, network: nn.Module) -> Asked:
        """The same question to a copy of the network with other weights."""
        if self.front is None:
            return replace(self, network=network, roughly=True)
        place = [name for name, m in self.network.named_modules() if m is self.front][0]
        front = network.get_submodule(place)
        return replace(self, network=network, front=front, roughly=True)


def integrated_gradients(asked: Asked) -> Attribution:
    """What each number adds on the straight way from the blank to the sequence."""
    blank, way = asked.blank_FU.nan_to_num(), (asked.field_FU - asked.blank_FU).nan_to_num()
    ends = asked.measured(torch.stack([asked.blank_FU, asked.field_FU]), asked.target)
    change = float(ends[1] - ends[0])

    def summed(shares_S: Tensor) -> Tensor:
        return gradient(asked, blank + shares_S[:, None, None] * way).sum(0)

    size = max(asked.signals_1CT.numel(), asked.field_FU.numel()) // 8 + 1
    worth_FU, steps = along(summed, way, change, size, STEPS[:1] if asked.roughly else STEPS)
    return Attribution("integrated_gradients", worth_FU.flatten().tolist(), change, steps)


def gradient_times_input(asked: Asked) -> Attribution:
    """What each number would add if the network were a straight line: one gradient."""
    way = (asked.field_FU - asked.blank_FU).nan_to_num()
    worth_FU = gradient(asked, asked.field_FU[None].nan_to_num())[0] * way
    return Attribution("gradient_times_input", worth_FU.flatten().tolist())


def occlusion(asked: Asked) -> Attribution:
    """By how much the answer falls when a tile is blank; each place of it has an equal share."""
    hidden_NN = torch.eye(asked.num_tiles, dtype=torch.bool)
    drop_N = torch.zeros(asked.num_tiles, dtype=torch.float64)
    whole = asked.measured(asked.field_FU[None], asked.target)
    for some in torch.arange(asked.num_tiles).split(64):
        drop_N[some] = whole - asked.measured(asked.covered(hidden_NN[some]), asked.target)
    size_N = asked.by_tile(asked.there_FU).clamp(min=1)
    worth_FU = (drop_N / size_N)[asked.tiles_FU.cpu()] * asked.there_FU.cpu()
    return Attribution("occlusion", worth_FU.flatten().tolist())


def gradient(asked: Asked, fields_BFU: Tensor) -> Tensor:
    """That of the target, at fields whose gaps are filled; zero in the gaps."""
    with differentiable():
        given = fields_BFU.detach().clone().requires_grad_()
        seen = given.masked_fill(~asked.there_FU, torch.nan)
        (found,) = torch.autograd.grad(asked.target(asked.outputs(seen)).sum(), given)
    return found.detach().nan_to_num()


METHODS: dict[str, tuple[Callable[[Asked], Attribution], str]] = {
    "integrated_gradients": (
        integrated_gradients,
        "what each number adds to the answer on the way from {blank} to this input; the values add "
        "up to the whole change (Sundararajan et al. 2017)",
    ),
    "occlusion": (
        occlusion,
        "by how much the answer falls when a tile of neighbours is covered with {blank} (Zeiler & "
        "Fergus 2014; Li et al. 2016); two tiles that say the same hide each other",
    ),
    "gradient_times_input": (
        gradient_times_input,
        "the change that the gradient at the input foretells if it were {blank}; quick, and wrong "
        "where the network is not nearly a straight line (Shrikumar et al. 2017)",
    ),
}
DEFAULT = tuple(METHODS)
