"""What training sequences tell about themselves: whether places, and the strand, have a meaning."""

# Letters in names of arrays: N sequences, C letters, T places, K classes.

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from glassnet.data.dnaletters import WHOLE, Codes

SURE = 6.0
"""Standard deviations above what chance gives, from which on it is none."""
FEW = 200
"""With fewer sequences nothing can be said about the strand: then it is taken to have a meaning."""

Array = NDArray[np.float64]


def is_aligned(codes: Sequence[Codes], answers: NDArray[np.int64]) -> bool:
    """Whether all have one length, and letters depend on the place in some class.

    Pearson's chi-square of letters by place against the letters of the class as a whole; a motif
    that may stand anywhere leaves every place alike.
    """
    if len({len(one) for one in codes}) != 1 or len(codes[0]) < 2:
        return False
    excess = freedom = 0.0
    for label in np.unique(answers).tolist():
        members = [code for code, answer in zip(codes, answers, strict=True) if answer == label]
        counts = np.stack(members).sum(0, dtype=np.int64) / WHOLE  # (T, C)
        expected = counts.sum(0) / len(counts)
        used = expected > 0
        parts = (counts[:, used] - expected[used]) ** 2 / expected[used]
        degrees = (used.sum() - 1) * (len(counts) - 1)
        excess += float(parts.sum()) - degrees
        freedom += 2.0 * degrees
    return freedom > 0 and excess > SURE * float(np.sqrt(freedom))


def lacks_strand(codes: Sequence[Codes], answers: NDArray[np.int64]) -> bool:
    """Whether words of three letters are as frequent as those on the other strand, in each class.

    Letters must be A, C, G, T, so that the complement is the reverse order. Standard scores over
    the sequences, the largest one against what chance gives (Bonferroni).
    """
    if len(codes) < FEW:
        return False
    turned = [63 - word for word in range(64)]  # the complement of each letter
    other = [word // 16 + 4 * (word // 4 % 4) + 16 * (word % 4) for word in turned]
    words = np.stack([_words(code) for code in codes])  # (N, 64)
    largest, tests = 0.0, 0
    for label in np.unique(answers).tolist():
        own = words[answers == label]
        if len(own) < 2:
            continue
        apart = own - own[:, other]
        score = np.abs(apart.mean(0)) / (apart.std(0) / np.sqrt(len(own)) + 1e-12)
        largest, tests = max(largest, float(score.max())), tests + 32
    limit = NormalDist().inv_cdf(1 - 0.05 / (2 * max(tests, 1)))
    return 0 < largest < limit


def _words(code: Codes) -> Array:
    """How often each word of three letters stands in a sequence, (64,)."""
    share = code.astype(np.float32) / WHOLE
    if len(share) < 3:
        return np.zeros(64)
    pairs = (share[:-2, :, None] * share[1:-1, None, :]).reshape(len(share) - 2, -1)
    counts: Array = (pairs.T @ share[2:]).astype(np.float64).ravel() / len(pairs)
    return counts
