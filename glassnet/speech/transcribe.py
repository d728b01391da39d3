"""From a recording to its words with their times, whole or in windows.

A recording that is too long to be heard at once is heard in windows that overlap. Each frame is
answered by one window only: where two overlap, the later one takes over in the frame in which both
are surest that nothing is said, so that no word is cut and none is heard twice.
"""

# Letters in tensor names: U frames, V tokens with the blank.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glassnet.speech import ctc, heard
from glassnet.speech.beam import Fusion
from glassnet.speech.ctc import BLANK
from glassnet.speech.heard import Weights
from glassnet.speech.wording import spelled, units_of

CALM = 0.25
"""Seconds around a frame that count when a place to cut is chosen."""


@dataclass(frozen=True)
class Word:
    """A word, and when it was said."""

    text: str
    begin: float
    """Seconds from the beginning of the recording."""
    end: float


@dataclass(frozen=True)
class Transcript:
    """What was heard in a recording."""

    text: str
    words: tuple[Word, ...]
    certainty: float
    """Mean probability of the frames of the best path, 0 to 1."""


@dataclass(frozen=True)
class Search:
    """How a text is searched for."""

    width: int = 1
    """Beginnings that are followed at once; 1: the best path."""
    fusion: Fusion | None = None
    weights: Weights | None = None
    """Of the language model; None: the usual ones."""

    def best(self, logs_UV: Tensor) -> tuple[int, ...]:
        """The tokens of the best text."""
        found = heard.candidates(logs_UV, self.fusion, self.width)
        weights = self.weights or heard.choose(None)
        columns = torch.tensor([[row[1:] for row in found]], dtype=torch.float64)
        return found[int(weights.best(*columns.unbind(2)))][0]


def transcribe(logs_UV: Tensor, seconds: float, search: Search, facts: Any) -> Transcript:
    """The words in the frames of one recording, each ``seconds`` long."""
    return _joined([(logs_UV, 0)], seconds, search, facts)


def transcribe_windows(
    windows: Iterable[tuple[float, Tensor]],
    seconds: float,
    search: Search,
    facts: Any,
    told: Callable[[float], None],
) -> Transcript:
    """The words of a long recording.

    Args:
        windows: Where each begins (seconds), and its log-probabilities (U, V).
        seconds: Of a frame.
        search: How each stretch is searched.
        facts: With the vocabulary.
        told: Is called with the seconds that are done.
    """

    def stretches() -> Iterator[tuple[Tensor, int]]:
        for logs_UV, first in cut(windows, seconds):
            yield logs_UV, first
            told((first + len(logs_UV)) * seconds)

    return _joined(stretches(), seconds, search, facts)


def cut(windows: Iterable[tuple[float, Tensor]], seconds: float) -> Iterator[tuple[Tensor, int]]:
    """Windows that overlap -> stretches that do not, each with the number of its first frame."""
    held: Tensor | None = None
    first = 0
    for begin, logs_UV in windows:
        here = round(begin / seconds)
        if held is None:
            held, first = logs_UV, here
            continue
        shared = min(first + len(held) - here, len(logs_UV))
        if shared <= 0:
            yield held, first
            held, first = logs_UV, here
            continue
        calm_U = held[here - first : here - first + shared, BLANK] + logs_UV[:shared, BLANK]
        place = _calmest(calm_U, seconds)
        yield held[: here - first + place], first
        held, first = logs_UV[place:], here + place
    if held is not None:
        yield held, first


def _calmest(calm_U: Tensor, seconds: float) -> int:
    """The frame around which blanks are surest, by the mean over ``CALM`` seconds to each side."""
    reach = min(max(1, round(CALM / seconds)), (len(calm_U) - 1) // 2)
    smooth_U = torch.nn.functional.avg_pool1d(calm_U[None, None].float(), 2 * reach + 1, stride=1)[
        0, 0
    ]
    best = (smooth_U >= smooth_U.max() - 1e-6).nonzero()[:, 0]
    middle = len(smooth_U) // 2
    return int(best[(best - middle).abs().argmin()]) + reach


def _joined(
    stretches: Iterable[tuple[Tensor, int]], seconds: float, search: Search, facts: Any
) -> Transcript:
    tokens: list[int] = []
    frames: list[int] = []
    total, number = 0.0, 0
    for logs_UV, first in stretches:
        found = search.best(logs_UV)
        when = ctc.align(logs_UV, found)
        assert when is not None, "what was found in the frames can be spelled in them"
        tokens += found
        frames += [first + frame for frame in when.frames]
        total += float(logs_UV.amax(1).exp().sum())
        number += len(logs_UV)
    text = spelled(tokens, facts)
    words = timed(tokens, frames, seconds, facts)
    return Transcript(text, words, total / number if number else 0.0)


def timed(
    tokens: Sequence[int], frames: Sequence[int], seconds: float, facts: Any
) -> tuple[Word, ...]:
    """When each word was said, from the frames of its tokens."""
    words: list[Word] = []
    first = 0  # of the last word: to spell all anew for each token would take hours of an hour
    for place, frame in enumerate(frames):
        units = units_of(spelled(tokens[first : place + 1], facts), facts)
        begin, end = frame * seconds, (frame + 1) * seconds
        if len(units) > 1 or (units and not words):
            words.append(Word(units[-1], begin, end))
            first = place
        elif units and units[-1] != words[-1].text:
            words[-1] = Word(units[-1], words[-1].begin, end)
    return tuple(words)


def align(logs_UV: Tensor, text: str, seconds: float, facts: Any) -> list[Word] | None:
    """When each token of a known text was said; None if the recording is too short for it."""
    (tokens,) = facts.vocabulary.encode([text])
    found = ctc.align(logs_UV, [int(token) for token in tokens])
    if found is None:
        return None
    named = [facts.vocabulary.decode([token]) for token in found.tokens]
    begins = [*found.frames, len(logs_UV)]
    return [
        Word(name, begins[n] * seconds, begins[n + 1] * seconds) for n, name in enumerate(named)
    ]
