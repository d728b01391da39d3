"""Every letter changed into every other: what the answer would be (in-silico mutagenesis).

Paper: B. Alipanahi, A. Delong, M. Weirauch, B. Frey (2015), "Predicting the sequence specificities
of DNA- and RNA-binding proteins by deep learning", Nature Biotechnology 33, which draws such maps.
"""

# Letters in tensor names: B copies, C letters of the alphabet, T places.

from __future__ import annotations

import torch
from torch import Tensor

from glassnet.explain.numbers import Asked

MOST = 400
"""Places that are asked, in the middle of a longer sequence; the others are NaN."""


def changes(asked: Asked) -> Tensor:
    """What the answer gains (C, T) if a place held that letter instead; 0 for the one there."""
    field_CT = asked.field_FU
    num_letters, length = field_CT.shape
    found_CT = torch.full((num_letters, length), torch.nan, dtype=torch.float64)
    begin, end = stretch(asked)
    now = asked.measured(field_CT[None], asked.target)
    letters_CC = torch.eye(num_letters, dtype=field_CT.dtype, device=field_CT.device)
    for place in range(begin, end):
        if not bool(asked.there_FU[:, place].any()):
            continue
        copies_CCT = field_CT.repeat(num_letters, 1, 1)
        copies_CCT[:, :, place] = letters_CC
        found_CT[:, place] = asked.measured(copies_CCT, asked.target) - now
    return found_CT


def stretch(asked: Asked) -> tuple[int, int]:
    """The places that are asked: all, or ``MOST`` in the middle."""
    there = asked.there_FU.any(0).nonzero().flatten()
    end = int(there.max()) + 1 if len(there) else 0
    begin = max(0, (end - MOST) // 2)
    return begin, min(end, begin + MOST)
