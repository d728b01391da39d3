"""Recordings joined into longer ones: strings of commands, digits or short sentences.

Who has single words can so learn, and measure, what people say in one breath. A string is made of
recordings of one part and, where speakers are known, of one speaker, with random silences between.
Training strings may be shorter, from one recording on: what a word sounds like is learned much
sooner where little stands beside it. Nothing is drawn anew: the same data, pattern and seed give
the same strings.
"""

# Letters in tensor names: N strings, B of a batch, S samples.

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from glassnet.data.recordings import Found
from glassnet.data.signals import trimmed
from glassnet.data.soundcache import SoundExamples, padded
from glassnet.errors import UserError
from glassnet.task import Batch

SILENCE = (0.05, 0.4)
"""Seconds between two recordings, at least and at most."""
LOUDEST = 40
"""Of the noise in a silence, which is drawn for each string: 1 to so much of 32,768."""
VALIDATION = TEST = 0.1
"""Shares of the recordings for the parts that the data do not bring."""


@dataclass(frozen=True)
class Strings:
    """Which recordings make up each string."""

    members: list[list[int]]
    """Rows of the recordings, in order."""
    gaps: list[list[float]]
    """Seconds of silence before each of them."""
    parts: list[str]

    def __len__(self) -> int:
        return len(self.members)


def read_range(text: str) -> tuple[int, int]:
    """How many recordings a string has, from ``3-7`` or ``4``.

    Raises:
        UserError: If it is neither.
    """
    match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", text)
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= low <= high <= 100:
        raise UserError(f"join={text!r}: expected how many recordings make a string, such as 3-7.")
    return low, high


def draw(found: Found, join: str, seed: int = 0, apart: bool = False) -> Strings:
    """Draw as many strings as there are recordings, in each part: each is in several.

    ``apart``: parts that are missing are drawn by speakers.
    """
    low, high = read_range(join)
    dice = random.Random(seed)
    members, gaps, parts = [], [], []
    by_place: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, part in enumerate(_parts(found, dice, apart)):
        by_place[part, found.speakers[row] if found.speakers else ""].append(row)
    for (part, _), rows in sorted(by_place.items()):
        waiting: list[int] = []
        for _ in rows:
            size = dice.randint(1 if part == "train" else low, high)
            while len(waiting) < size:
                waiting += dice.sample(rows, len(rows))
            members.append([waiting.pop() for _ in range(size)])
            gaps.append([dice.uniform(*SILENCE) for _ in range(size)])
            parts.append(part)
    return Strings(members, gaps, parts)


def _parts(found: Found, dice: random.Random, apart: bool) -> list[str]:
    """The part of each recording, so that none is in strings of two; what is missing is drawn."""
    given = found.parts or ["train"] * len(found)
    parts = list(given)
    people = found.speakers if apart and found.speakers else range(len(found))
    for name, share in (("test", TEST), ("validation", VALIDATION)):
        if name not in given:
            left = [one for one, part in zip(people, parts, strict=True) if part == "train"]
            units = list(dict.fromkeys(left))
            least = 1 if apart and len(units) > 1 else 0
            held = set(dice.sample(units, max(least, round(share * len(units)))))
            parts = [
                name if part == "train" and one in held else part
                for one, part in zip(people, parts, strict=True)
            ]
    return parts


@dataclass(frozen=True)
class StringExamples:
    """Joined sounds, each with the tokens of what is said in it."""

    rows: Tensor
    """int64 (N,)"""
    targets: Tensor
    """int64 (N, L), filled up with 0."""
    sounds: SoundExamples
    """The single recordings."""
    pieces: Sequence[Sequence[tuple[int, int]]]
    """Of each string: samples of silence, then the position of a recording in ``sounds``."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Tensor:
        """Samples of each string, int64 (N,)."""
        each = self.sounds.lengths.tolist()
        lengths = [sum(gap + each[place] for gap, place in string) for string in self.pieces]
        return torch.tensor(lengths, dtype=torch.int64, device=self.rows.device)

    def sound(self, position: int) -> Tensor:
        """The samples of one, int16 (S,)."""
        parts = []
        noise = torch.Generator().manual_seed(int(self.rows[position]))
        loud = LOUDEST ** float(torch.rand((), generator=noise))
        for gap, place in self.pieces[position]:
            quiet = torch.randn(gap, generator=noise) * loud
            parts += [quiet.to(torch.int16), self.sounds.sound(place)]
        return torch.cat(parts)

    def batch(self, index: Tensor, /) -> Batch:
        """Return the examples at the positions ``index``."""
        inputs = padded([self.sound(place) for place in index.tolist()]).to(self.rows.device)
        return Batch(inputs, trimmed(self.targets.index_select(0, index)))

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Batch]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> StringExamples:
        """Return the same examples; the sounds stay in memory and are sent batch by batch."""
        return replace(self, rows=self.rows.to(device), targets=self.targets.to(device))
