"""Short words of sequences of letters, whose probabilities are given: k-mers and their counts."""

# Letters in tensor names: B examples, C letters, T steps, K words.

import torch
from torch import Tensor, nn


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
