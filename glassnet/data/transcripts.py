"""Recordings with what is said in them: the source of speech recognition.

The sounds are read as every set of sounds is (``sounds.py``); here is what becomes of the words:
one way of writing, the vocabulary, and the n-grams of the training transcripts.
"""

# Letters in tensor names: N recordings, L tokens of a transcript.

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from glassnet.data import soundlayouts, strings, tokens
from glassnet.data.recordings import Found
from glassnet.data.soundcache import SoundExamples
from glassnet.data.sounds import Ask, SoundFacts, SoundRows
from glassnet.data.spelling import normalized
from glassnet.data.strings import StringExamples
from glassnet.data.textfolders import decoded
from glassnet.data.tokens import END, Unit, Vocabulary
from glassnet.errors import UserError
from glassnet.task import Problem

SHOWN = 5
FEW_WORDS, OFTEN = 50, 50
"""Words are heard whole where there are so many at most, and each is said so often at least."""
MOST_TEXT = 20_000_000
"""Characters of a text file that are counted, since the facts of a run hold them."""


class Writer(BaseModel):
    """A run of language modelling: all that its network is built from, but its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    network: dict[str, Any]
    vocabulary: Vocabulary
    context: int
    first: list[int]
    """What stands before a text."""

    def __hash__(self) -> int:
        return hash(self.path)


class SpeechFacts(SoundFacts):
    """What turns a recording into what the network reads, and its answer into words."""

    vocabulary: Vocabulary
    lowercase: bool
    punctuation: bool
    spaced: bool
    """Whether words are parted by spaces."""
    beam: int
    texts: list[str]
    """What the language model counts; empty: nothing."""
    writer: Writer | None
    """The network that is the language model."""


@dataclass(frozen=True)
class Wording:
    """How transcripts are written, and searched for."""

    unit: Unit | None = None
    """Unset: the one that ``suited`` says."""
    size: int = 500
    """Most different tokens, for words and sub-words."""
    lowercase: bool = True
    punctuation: bool = False
    """Whether it is kept."""
    beam: int = 1
    join: str | None = None
    """How many recordings make up an example, such as 3-7."""
    language_model: str = "none"
    """transcripts, none, a text file, or the folder of a run."""


def open_transcripts(
    path: str | Path, ask: Ask, wording: Wording
) -> TranscriptSource | StringSource:
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
    if wording.join is not None:
        return StringSource(found, place, ask, wording)
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
        vocabulary = self.learned(texts)
        longest = int(self.decoded(numbers, rate, self._targets(vocabulary)).lengths.max())
        return SpeechFacts(
            rate=rate, longest=longest, limit=self.ask.longest, vocabulary=vocabulary,
            lowercase=own.lowercase, punctuation=own.punctuation,
            spaced=not tokens.unspaced(texts), beam=own.beam,
            texts=self.read(texts), writer=_writer(own.language_model),
        )  # fmt: skip

    def learned(self, texts: list[str]) -> Vocabulary:
        """The vocabulary of texts."""
        unit = self.wording.unit or suited(texts)
        return tokens.learn(texts, unit, size=self.wording.size, least=1, marks=False)

    def read(self, texts: list[str]) -> list[str]:
        """What the language model counts: the training transcripts, or the lines of a file."""
        own = self.wording
        if own.beam == 1 or own.language_model == "none" or is_run(own.language_model):
            return []
        if own.language_model == "transcripts":
            return texts
        return lines_of(Path(own.language_model).expanduser(), own, self.problems)

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


class StringSource:
    """Recordings joined into strings, each with the words of all of them."""

    def __init__(self, found: Found, path: Path, ask: Ask, wording: Wording) -> None:
        assert wording.join is not None
        self.single = TranscriptSource(found, path, ask, replace(wording, join=None))
        apart = ask.speakers == "apart"
        self.strings = strings.draw(found, wording.join, apart=apart)
        what = f"{self.single.fingerprint}{wording.join}{len(self.strings)}{'apart' * apart}"
        self.fingerprint = hashlib.sha256(what.encode()).hexdigest()
        self.problems = self.single.problems
        self.texts = [
            " ".join(self.single.texts[row] for row in rows) for rows in self.strings.members
        ]

    def __len__(self) -> int:
        return len(self.strings)

    @property
    def strata(self) -> None:
        """Transcripts are no classes."""
        return None

    @property
    def groups(self) -> None:
        """None: the parts are those of the recordings."""
        return None

    @property
    def parts(self) -> Sequence[str]:
        """The part of every string, which is that of all its recordings."""
        return self.strings.parts

    def name(self, row: int, /) -> str:
        """The names of its recordings."""
        return " + ".join(self.single.name(member) for member in self.strings.members[row])

    def facts(self, rows: Tensor, /) -> SpeechFacts:
        """Learn from the recordings of these strings."""
        members = sorted({member for row in rows.tolist() for member in self.strings.members[row]})
        facts = self.single.facts(torch.tensor(members))
        texts = self.single.read([self.texts[row] for row in rows.tolist()])
        longest = int(self.examples(rows, facts).lengths.max())
        vocabulary = self.single.learned([self.texts[row] for row in rows.tolist()])
        return facts.model_copy(
            update={"texts": texts, "longest": longest, "vocabulary": vocabulary, "spaced": True}
        )

    def examples(self, rows: Tensor, facts: SpeechFacts, /) -> StringExamples:
        """Decode the recordings; a string of which one cannot be read is left out."""
        members = sorted({member for row in rows.tolist() for member in self.strings.members[row]})
        sounds = self.single.examples(torch.tensor(members, dtype=torch.int64), facts)
        place = {row: number for number, row in enumerate(sounds.rows.tolist())}
        kept = [row for row in rows.tolist() if all(m in place for m in self.strings.members[row])]
        pieces = [
            [
                (round(gap * facts.rate), place[member])
                for gap, member in zip(
                    self.strings.gaps[row], self.strings.members[row], strict=True
                )
            ]
            for row in kept
        ]
        targets = padded(facts.vocabulary.encode([self.texts[row] for row in kept]))
        return StringExamples(torch.tensor(kept, dtype=torch.int64), targets, sounds, pieces)


def suited(texts: Sequence[str]) -> Unit:
    """Words where all are frequent, else characters.

    A word is one answer, where its letters are several that must fit into its time, and spelling is
    to be learned as well. But of other words than those of training nothing could be heard, and
    rare ones are learned from their letters.

    >>> [suited(["yes", "no"] * 50), suited(["yes", "no"] * 20)]
    ['words', 'characters']
    """
    counts = Counter(word for text in texts for word in text.split())
    few = len(counts) <= FEW_WORDS and min(counts.values(), default=0) >= OFTEN
    return "words" if few and not tokens.unspaced(texts) else "characters"


def lines_of(path: Path, own: Wording, problems: list[Problem]) -> list[str]:
    """The lines of a text file, normalized as transcripts are.

    Raises:
        UserError: If there is no such file, or no text in it.
    """
    if not path.is_file():
        raise UserError(
            f"language_model={str(path)!r} is no file, and no run of language modelling. Give a "
            "text file, the folder of a run, `transcripts` or `none`."
        )
    try:
        read = decoded(path.read_bytes(), str(path), problems)[:MOST_TEXT]
    except UserError as error:
        raise UserError(f"language_model: {path} {error}. Give a text file.") from None
    lines = [normalized(line, own.lowercase, own.punctuation) for line in read.splitlines()]
    if not any(lines):
        raise UserError(f"language_model={str(path)!r} holds no text.")
    return [line for line in lines if line]


def is_run(name: str) -> bool:
    """Whether a language model is the folder of a run."""
    return (Path(name).expanduser() / "facts.json").is_file()


def _writer(name: str) -> Writer | None:
    if not is_run(name):
        return None
    path = Path(name).expanduser().resolve()
    facts = json.loads((path / "facts.json").read_text(encoding="utf-8"))
    recipe = yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8"))
    if facts.get("kind") != "corpus":
        raise UserError(
            f"language_model={name!r} is a run of {recipe.get('task')}; a language model is made "
            "by `glassnet train book.txt`."
        )
    vocabulary = Vocabulary.model_validate(facts["vocabulary"])
    first = (
        [END]
        if facts["many"] and vocabulary.end is not None
        else [int(token) for token in vocabulary.encode(["\n"])[0]]
    )
    return Writer(
        path=str(path), network=recipe["network"], vocabulary=vocabulary,
        context=facts["context"], first=first,
    )  # fmt: skip


def padded(sequences: Sequence[Any]) -> Tensor:
    """Token sequences as one matrix int64 (N, L), filled up with 0."""
    found = [torch.as_tensor(one, dtype=torch.int64) for one in sequences]
    if not found:
        return torch.zeros(0, 1, dtype=torch.int64)
    return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)


def _about(names: Sequence[str], what: str, remedy: str) -> Problem:
    few = ", ".join(names[:SHOWN]) + " …" * (len(names) > SHOWN)
    return Problem(few, f"{len(names):,} recordings {what}", remedy, items=tuple(names))
