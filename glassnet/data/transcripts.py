"""Recordings with what is said in them: the source of speech recognition.

The sounds are read as every set of sounds is (``sounds.py``); here is what becomes of the words:
one way of writing, the vocabulary, and the n-grams of the training transcripts.
"""

# Letters in tensor names: N recordings, L tokens of a transcript.

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassnet.data import soundlayouts, tokens
from glassnet.data.recordings import Found
from glassnet.data.soundcache import SoundExamples
from glassnet.data.sounds import Ask, SoundFacts, SoundRows
from glassnet.data.tokens import Unit, Vocabulary
from glassnet.errors import UserError
from glassnet.task import Problem

SHOWN = 5
APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}"


class SpeechFacts(SoundFacts):
    """What turns a recording into what the network reads, and its answer into words."""

    vocabulary: Vocabulary
    lowercase: bool
    punctuation: bool
    texts: list[str]
    """What was said in training, each transcript once: the language model counts them."""


@dataclass(frozen=True)
class Wording:
    """How transcripts are written."""

    unit: Unit = "characters"
    size: int = 500
    """Most different tokens, for words and sub-words."""
    lowercase: bool = True
    punctuation: bool = False
    """Whether it is kept."""


def normalized(text: str, lowercase: bool, punctuation: bool) -> str:
    """One way of writing for what sounds the same.

    Without ``punctuation``, what stands in angle or square brackets (noise, laughter) goes, and all
    signs but letters, digits, and apostrophes and points within words; hyphens part words.

    >>> normalized("Well -- it's [noise] 3.5 O\N{RIGHT SINGLE QUOTATION MARK}Clock!", True, False)
    "well it's 3.5 o'clock"
    """
    text = unicodedata.normalize("NFC", tokens.whole(text))
    if lowercase:
        text = text.lower()
    if not punctuation:
        text = re.sub(r"<[^<>]*>|\[[^\[\]]*\]", " ", text)
        text = re.sub(f"[{APOSTROPHES}]", "'", text)
        text = re.sub(r"(?<!\w)['.,]|['.,](?!\w)|(?<!\d)[.,]|[.,](?!\d)|[^\w\s'.,]|_", " ", text)
    return " ".join(text.split())


def open_transcripts(path: str | Path, ask: Ask, wording: Wording) -> TranscriptSource:
    """Open a set of recordings with a transcript each; class names do where there are none.

    Raises:
        UserError: If nothing is said of what is said.
    """
    place = Path(path).expanduser()
    found = soundlayouts.find(
        place, names=ask.names, target=ask.target, text=ask.text, held_out=ask.held_out
    )
    said = found.transcripts if found.transcripts is not None else found.labels
    if said is None:
        raise UserError(
            f"{place} says nothing of what is said in its sounds ({found.form}).\n"
            f"{soundlayouts.expected(place)}"
        )
    found.transcripts = [normalized(t, wording.lowercase, wording.punctuation) for t in said]
    if bare := [row for row, text in enumerate(found.transcripts) if not text]:
        names = [found.names[row] for row in bare]
        found.problems.append(_about(names, "have an empty transcript", "left out; write it"))
        found = found.take([row for row, text in enumerate(found.transcripts) if text])
    if not len(found):
        raise UserError(f"{place}: not one recording has a transcript with a letter or a digit.")
    return TranscriptSource(found, place, ask, wording)


class TranscriptSource(SoundRows):
    """Recordings, each with its words."""

    def __init__(self, found: Found, path: Path, ask: Ask, wording: Wording) -> None:
        super().__init__(found, path, ask)
        self.wording = wording
        self.texts: list[str] = list(found.transcripts or [])
        """What is said in each row, normalized."""
        self._odd: set[int] = set()

    @property
    def strata(self) -> None:
        """Transcripts are no classes."""
        return None

    def facts(self, rows: Tensor, /) -> SpeechFacts:
        """Learn rate, vocabulary and what is said from these rows."""
        numbers = rows.tolist()
        if not numbers:
            raise UserError(f"{self.path}: no recording is left to learn from.")
        rate, own = self.rate(numbers), self.wording
        texts = [self.texts[row] for row in numbers]
        vocabulary = tokens.learn(texts, own.unit, size=own.size, least=1)
        longest = int(self.decoded(numbers, rate, self._targets(vocabulary)).lengths.max())
        return SpeechFacts(
            rate=rate, longest=longest, limit=self.ask.longest, vocabulary=vocabulary,
            lowercase=own.lowercase, punctuation=own.punctuation, texts=texts,
        )  # fmt: skip

    def examples(self, rows: Tensor, facts: SpeechFacts, /) -> SoundExamples:
        """Decode these rows; what cannot be read is reported and left out."""
        self._report_unknown(rows.tolist(), facts.vocabulary)
        return self.decoded(rows.tolist(), facts.rate, self._targets(facts.vocabulary))

    def _targets(self, vocabulary: Vocabulary) -> Any:
        def targets(rows: list[int]) -> Tensor:
            found = vocabulary.encode([self.texts[row] for row in rows])
            return padded(found)

        return targets

    def _report_unknown(self, rows: list[int], vocabulary: Vocabulary) -> None:
        new = [row for row in rows if row not in self._odd]
        self._odd.update(new)
        encoded = vocabulary.encode([self.texts[row] for row in new])
        odd = [
            self.name(row)
            for row, found in zip(new, encoded, strict=True)
            if (found == vocabulary.unknown).any()
        ]
        if odd:
            what = f"have {vocabulary.unit} that no training transcript has"
            self.problems.append(_about(odd, what, "they cannot be heard right; nothing to do"))


def padded(sequences: Sequence[Any]) -> Tensor:
    """Token sequences as one matrix int64 (N, L), filled up with 0."""
    found = [torch.as_tensor(one, dtype=torch.int64) for one in sequences]
    if not found:
        return torch.zeros(0, 1, dtype=torch.int64)
    return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)


def _about(names: Sequence[str], what: str, remedy: str) -> Problem:
    few = ", ".join(names[:SHOWN]) + " …" * (len(names) > SHOWN)
    return Problem(few, f"{len(names):,} recordings {what}", remedy, items=tuple(names))
