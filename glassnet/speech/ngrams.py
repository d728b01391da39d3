"""N-grams: how probable a word is after the few before it, counted in texts.

Paper: Reinhard Kneser, Hermann Ney (1995), "Improved Backing-off for M-gram Language Modeling",
ICASSP; interpolated as in Stanley Chen, Joshua Goodman (1999), "An Empirical Study of Smoothing
Techniques for Language Modeling", Computer Speech and Language 13, 359-394, with one discount for
each order, D = n1 / (n1 + 2 n2), of the n-grams that were seen once and twice.

    p(w | h) = max(c(h w) - D, 0) / c(h) + D · N(h) / c(h) · p(w | h without its first word)

N(h) is how many different words follow h. The longest n-grams are counted as they occur; of shorter
ones it counts after how many different words they occur: "Francisco" is frequent, but only after
"San". Below single words all words are as probable as each other, one that was never seen included.
"""

from __future__ import annotations

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

BEGIN, END = "<s>", "</s>"
USUAL = 0.75
"""The discount where too few n-grams are seen once or twice to estimate it."""

Gram = tuple[str, ...]


class NGrams(BaseModel):
    """An n-gram model; a part of the facts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: int
    counts: dict[str, int]
    """Of n-grams of this order, their words parted by spaces; texts begin with ``order - 1`` BEGIN
    and end in END."""

    def score(self, words: Gram, /) -> float:
        """Log-probability (nats) of the last word after all others."""
        return self._log((*[BEGIN] * (self.order - 1), *words)[-self.order :])

    def end(self, words: Gram, /) -> float:
        """Log-probability (nats) that nothing comes after them."""
        return self.score((*words, END))

    def perplexity(self, texts: Iterable[Sequence[str]]) -> float:
        """The exponential of the mean surprise of a word (nats), ends of texts included."""
        total, number = 0.0, 0
        for text in texts:
            words = tuple(text)
            total += self.end(words)
            total += sum(self.score(words[:n]) for n in range(1, len(words) + 1))
            number += len(words) + 1
        return math.exp(-total / max(1, number))

    @functools.cached_property
    def num_words(self) -> int:
        """Different words, END included."""
        return len({gram[-1] for gram in self._tables[-1].counts})

    def _log(self, gram: Gram) -> float:
        known = self._cache.get(gram)
        if known is None:
            known = self._cache[gram] = math.log(self._probability(gram))
        return known

    def _probability(self, gram: Gram) -> float:
        share = 1 / (self.num_words + 1)
        for size in range(1, self.order + 1):
            share = self._tables[size - 1].smoothed(gram[len(gram) - size :], share)
        return share

    @functools.cached_property
    def _cache(self) -> dict[Gram, float]:
        return {}

    @functools.cached_property
    def _tables(self) -> list[_Table]:
        """One for each order, the shortest first."""
        counts = {tuple(gram.split(" ")): count for gram, count in self.counts.items()}
        tables = [_Table(counts)]
        for _ in range(self.order - 1):
            counts = dict(Counter(gram[1:] for gram in counts))
            tables.insert(0, _Table(counts))
        return tables


class _Table:
    """The counts of one order."""

    def __init__(self, counts: dict[Gram, int]) -> None:
        self.counts = counts
        self.sums: dict[Gram, int] = defaultdict(int)
        self.followers: dict[Gram, int] = defaultdict(int)
        for gram, count in counts.items():
            self.sums[gram[:-1]] += count
            self.followers[gram[:-1]] += 1
        once, twice = (sum(count == n for count in counts.values()) for n in (1, 2))
        self.discount = once / (once + 2 * twice) if once and twice else USUAL

    def smoothed(self, gram: Gram, below: float) -> float:
        """The probability of the last word, given that of the next shorter n-gram."""
        before = gram[:-1]
        total = self.sums.get(before, 0)
        if not total:
            return below
        kept = max(self.counts.get(gram, 0) - self.discount, 0) / total
        return kept + self.discount * self.followers[before] / total * below


def count(texts: Iterable[Sequence[str]], order: int, most: int = 1_000_000) -> NGrams:
    """Count the n-grams of texts, each a sequence of words without spaces.

    Args:
        texts: Each begins and ends by itself.
        order: Words of an n-gram.
        most: N-grams that are kept, the most frequent ones.
    """
    found: Counter[str] = Counter()
    for text in texts:
        words = [*[BEGIN] * (order - 1), *text, END]
        found.update(" ".join(words[n : n + order]) for n in range(len(words) - order + 1))
    return NGrams(order=order, counts=dict(found.most_common(most)))
