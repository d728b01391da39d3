"""Short words of sequences of letters, whose probabilities are given: k-mers and their counts."""

# Letters in tensor names: B examples, C letters, T steps, K words, M members, O outputs.

import math

import torch
from torch import Tensor, nn


class LinearWords(nn.Module):
    """A linear model of how often words stand there and, with places, of the letter at each.

    Each of several members has weights of its own. Words have up to four letters, of alphabets of
    more than six up to two. It begins by knowing nothing: all weights are 0.
    """

    scale_K: Tensor

    def __init__(
        self, letters: int, length: int, num_outputs: int, *, members: int = 1, places: bool = False
    ) -> None:
        super().__init__()
        self.places, self.members = places, members
        self.longest = 4 if letters <= 6 else 2
        kinds = [letters**size for size in range(1, self.longest + 1)]
        # Without places, words of each size vary by chance as much in sum: Adam, whose steps are of
        # one size, would else learn 256 noisy words before four letters. With places, as they are.
        sizes = [1.0 if places else 2 * math.sqrt(length) / kind for kind in kinds]
        scales = [size for size, kind in zip(sizes, kinds, strict=True) for _ in range(kind)]
        self.register_buffer("scale_K", torch.tensor(scales), persistent=False)
        known = sum(kinds) + letters * length * places
        self.weight = nn.Parameter(torch.zeros(members, known, num_outputs))
        self.bias = nn.Parameter(torch.zeros(members, 1, num_outputs))

    def forward(self, letters_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """(B, M, O), from letters with zeros behind the end and where a sequence has not ended."""
        known_MBK = self.counted(letters_BCT, present_BT).expand(self.members, -1, -1)
        return torch.baddbmm(self.bias, known_MBK, self.weight).transpose(0, 1)

    def counted(self, letters_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """What it reads of each sequence, (B, K)."""
        known = [word_counts(letters_BCT, present_BT, self.longest) * self.scale_K]
        if self.places:
            known.append(letters_BCT.flatten(1))
        return torch.cat(known, 1)


def kmers(letters_BCT: Tensor, size: int) -> Tensor:
    """The probability (B, C^size, T) of each k-mer that begins at each step; zeros at the end."""
    found = letters_BCT
    for shift in range(1, size):
        later = nn.functional.pad(letters_BCT[:, :, shift:], (0, shift))
        found = (found[:, :, None] * later[:, None]).flatten(1, 2)
    return found


def word_counts(letters_BCT: Tensor, present_BT: Tensor, longest: int) -> Tensor:
    """How often each word of up to 2 or 4 letters stands in a sequence, over chance, (B, K).

    The square root of the share over that of chance, less 1: a rare word then varies as much as a
    common one. 0 is as often as chance.
    """
    letters, steps = letters_BCT.shape[1], present_BT.sum(1)
    counts = [letters_BCT.sum(2), letters_BCT[:, :, :-1] @ letters_BCT[:, :, 1:].mT]
    if longest == 4:
        pairs = kmers(letters_BCT, 2)
        counts.append(pairs[:, :, :-2] @ letters_BCT[:, :, 2:].mT)
        counts.append(pairs[:, :, :-2] @ pairs[:, :, 2:].mT)
    found = []
    for size, count in enumerate(counts, 1):
        places = (steps - size + 1).clamp(min=1)[:, None]
        over_chance = count.flatten(1) * letters**size / places
        found.append((over_chance.clamp(min=0) + 1e-6).sqrt() - 1)
    return torch.cat(found, 1)
