"""Recordings as a source: files -> int16 samples of one channel at one rate, decoded once.

``SoundRows`` is what both tasks of sounds read: the rows (``soundlayouts``), decoded
(``soundfiles``) into memory or the cache (``soundcache``). ``SoundSource`` adds classes to it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from glassnet.data import keeping, shelf, soundfiles, soundlayouts
from glassnet.data.archives import Folder
from glassnet.data.order import natural
from glassnet.data.recordings import Found
from glassnet.data.shelf import NoRoom
from glassnet.data.soundcache import Held, InMemory, OnDisk, SoundExamples
from glassnet.data.soundchecks import about, odd, of
from glassnet.data.soundfiles import Decoded, Header, Unreadable
from glassnet.data.soundlists import Listed
from glassnet.data.threads import in_threads
from glassnet.errors import UserError
from glassnet.progress import tell
from glassnet.task import Facts, Problem

HIGHEST = 16_000
"""Hz: sounds of more are brought down to it, unless a rate is asked for; speech needs no more."""
HEAVY = 64 * 2**20
"""Bytes of sound files from which on they are decoded to the disk; less is done in a second."""
VERSION = 2
"""To be raised when ``soundfiles`` gives other samples for the same file."""
Speakers = Literal["mixed", "apart"]
TooLong = Literal["cut", "left out"]


class SoundFacts(Facts):
    """What turns a sound file into what the network reads."""

    kind: Literal["sounds"] = "sounds"
    rate: int
    """Hz, of what the network reads."""
    longest: int
    """Samples of the longest sound of the training."""
    limit: float
    """Seconds: what is longer is cut."""


class ClassSoundFacts(SoundFacts):
    """The same with the classes to choose from."""

    classes: list[str]
    class_counts: list[int]
    """Training examples of each."""


@dataclass(frozen=True)
class Ask:
    """What was asked for of the reading of sounds."""

    names: str | None = None
    target: str | None = None
    text: str | None = None
    held_out: str | None = None
    rate: int | None = None
    """Hz; None: what most training sounds have, ``HIGHEST`` at most."""
    longest: float = 30.0
    """Seconds"""
    too_long: TooLong = "cut"
    speakers: Speakers = "mixed"


class SoundRows:
    """The rows of a set of recordings, decoded as they are asked for."""

    def __init__(self, found: Found, path: Path, ask: Ask) -> None:
        self.found, self.path, self.ask = found, path, ask
        self.fingerprint = found.digest()
        self.problems: list[Problem] = list(found.problems)
        self._headers: dict[int, Header | Problem] = {}
        self._held: tuple[int, Held] | None = None
        self._told: set[int] = set()
        if ask.speakers == "apart" and found.speakers is None:
            raise UserError(
                f"{path}: speakers=apart, but nothing says who speaks. A list with a column "
                "speaker, or --names with {speaker}, would say it; else leave it at mixed."
            )

    def __len__(self) -> int:
        return len(self.found)

    def unreadable(self, rows: Iterable[int]) -> list[Problem]:
        """Why the headers of some of these rows cannot be read, as ``headers`` found."""
        return [one for row in rows if isinstance(one := self._headers.get(row), Problem)]

    @property
    def groups(self) -> Sequence[str] | None:
        """Who speaks, if speakers are kept apart; else the sound, if one is listed twice."""
        names = self.found.names if len(set(self.found.names)) < len(self) else None
        return self.found.speakers if self.ask.speakers == "apart" else names

    @property
    def parts(self) -> Sequence[str] | None:
        """The part of every row if the set brings its own split."""
        return self.found.parts

    def name(self, row: int, /) -> str:
        """The file's name."""
        return self.found.names[row]

    def headers(self, rows: Iterable[int]) -> dict[int, Header]:
        """What the files of these rows say about themselves; those that fail are left out."""
        rows = list(rows)
        missing = [row for row in rows if row not in self._headers]
        for row, found in zip(missing, in_threads(self._header, missing), strict=True):
            self._headers[row] = found
        read = {row: self._headers[row] for row in rows}
        return {row: head for row, head in read.items() if isinstance(head, Header)}

    def rate(self, rows: Iterable[int]) -> int:
        """The rate for these training rows, in Hz: as asked, or the one that most of them have."""
        if self.ask.rate is not None:
            return self.ask.rate
        heads = self.headers(rows)
        read = self._headers.values()
        self._refuse_many(len(read), [one for one in read if isinstance(one, Problem)])
        counts = Counter(head.rate for head in heads.values())
        return min(HIGHEST, max(counts, key=lambda rate: (counts[rate], rate)))

    def decoded(
        self, rows: Sequence[int], rate: int, targets: Callable[[list[int]], Tensor]
    ) -> SoundExamples:
        """Decode these rows; what cannot be read is reported and left out.

        ``targets`` gives the targets of the rows that are left, in their order.
        """
        held = self._filled(rows, rate)
        self._report(held, rows)
        failed = held.index.problems
        self._refuse_many(len(rows), [failed[row] for row in rows if row in failed])
        kept = [row for row in rows if row not in failed]
        return SoundExamples(torch.tensor(kept, dtype=torch.int64), targets(kept), held)

    def _refuse_many(self, asked: int, failed: Sequence[Problem]) -> None:
        """More than half of the files are too many to leave out."""
        if 2 * len(failed) > asked:
            one = failed[0]
            raise UserError(
                f"{self.path}: {len(failed)} of {asked} sounds cannot be used, such as "
                f"{one.where}, which {one.what}. More than half is too many to leave out: "
                f"{one.remedy}."
            )

    # --- Decoding ---------------------------------------------------------------------------------

    def _source(self, row: int) -> bytes | Path:
        files, name = self.found.files, self.found.names[row]
        if isinstance(files, Folder):
            return files.path / name
        if isinstance(files, Listed):
            return files.paths[name]
        return files.read(name)

    def _header(self, row: int) -> Header | Problem:
        try:
            return soundfiles.header(self._source(row))
        except Unreadable as error:
            return Problem(self.name(row), error.what, error.remedy)
        except OSError as error:
            return Problem(self.name(row), f"cannot be read ({error})", "check the file")

    def _decode(self, row: int, rate: int) -> Decoded | Problem:
        limit = self.ask.longest
        try:
            source = self._source(row)
            if self.ask.too_long == "left out":
                seconds = soundfiles.header(source).seconds
                if seconds > limit:
                    what = f"is {seconds:.1f} s long, more than longest={limit:g}"
                    return Problem(self.name(row), what, "cut it into pieces, or raise longest")
            return soundfiles.decode(source, rate, limit)
        except Unreadable as error:
            return Problem(self.name(row), error.what, error.remedy)
        except OSError as error:
            return Problem(self.name(row), f"cannot be read ({error})", "check the file")

    def decode(self, rows: Sequence[int], rate: int) -> Iterator[tuple[int, Decoded | Problem]]:
        """Each row with its sound, or why there is none; nothing is kept."""
        progress = partial(tell, "decoding sounds")
        work = partial(self._decode, rate=rate)
        yield from zip(rows, in_threads(work, rows, progress), strict=True)

    def _filled(self, rows: Sequence[int], rate: int) -> Held:
        if self._held is None or self._held[0] != rate:
            self._held = rate, self._place(rate)
        held = self._held[1]
        if isinstance(held, InMemory):
            held.fill(rows)
            return held
        try:
            held.fill(rows, self._bytes(held.index.missing(rows), rate))
        except (OSError, NoRoom) as error:
            held = self._in_memory(rows, rate, error)
            self._held = rate, held
            held.fill(rows)
        return held

    def _place(self, rate: int) -> Held:
        decode = partial(self.decode, rate=rate)
        sizes = self.found.files.sizes
        if sum(sizes[name] for name in self.found.names) < HEAVY:
            return InMemory(len(self), decode)
        import soundfile

        stamp = self.found.files.stamp()
        versions = [VERSION, soundfile.__libsndfile_version__, self.ask.longest, self.ask.too_long]
        what = json.dumps(["sounds", self.fingerprint, stamp, rate, versions])
        key = hashlib.sha256(what.encode()).hexdigest()[:32]
        try:
            held = OnDisk(key, self.found.names, decode)
        except OSError as error:
            return self._in_memory(range(len(self)), rate, error)
        if held.damage:
            where, what = f"cache {held.path}", f"was damaged: {held.damage}"
            self.problems.append(Problem(where, what, "thrown away and built anew"))
        return held

    def _in_memory(self, rows: Sequence[int], rate: int, error: Exception) -> InMemory:
        """What to do with what the disk does not take."""
        needed, there = self._bytes(rows, rate), keeping.memory()
        why = getattr(error, "strerror", None) or error
        if needed > keeping.SHARE * there:
            raise UserError(
                f"{self.path}: decoded, the sounds take {needed / 2**30:.1f} GB, which neither the "
                f"cache ({why}) nor the memory ({there / 2**30:.1f} GB) can hold. Free some space, "
                f"set {shelf.VARIABLE}, or give a lower rate."
            )
        what, remedy = f"cannot take the decoded sounds ({why})", "they are kept in memory"
        self.problems.append(Problem(f"cache {shelf.folder()}", what, remedy))
        return InMemory(len(self), partial(self.decode, rate=rate))

    def _bytes(self, rows: Sequence[int], rate: int) -> int:
        heads = self.headers(rows).values()
        return 2 * round(rate * sum(min(head.seconds, self.ask.longest) for head in heads))

    # --- What is told -----------------------------------------------------------------------------

    def _report(self, held: Held, rows: Sequence[int]) -> None:
        """Tell what is known of these rows; each row once."""
        new = [row for row in rows if row not in self._told]
        self._told.update(new)
        for row in new:
            if problem := held.index.problems.get(row):
                remedy = f"left out; {problem.remedy}"
                self.problems.append(replace(problem, remedy=remedy, kind="damaged sounds"))
        good = [row for row in new if held.index.begins[row] >= 0]
        index = held.index
        assert self._held is not None
        self.problems += odd(
            [self.name(row) for row in good], index.rates[good], index.channels[good],
            index.flags[good], self._held[0],
        )  # fmt: skip
        limit = round(self.ask.longest * self._held[0])
        if long := [self.name(row) for row in good if index.lengths[row] >= limit]:
            what = f"{of(long)} cut after {self.ask.longest:g} s"
            self.problems.append(about(long, what, "raise longest if what matters comes later"))


# --- With classes ---------------------------------------------------------------------------------


def open_sounds(path: str | Path, ask: Ask) -> SoundSource:
    """Open a set of sounds with a class each."""
    place = Path(path).expanduser()
    found = soundlayouts.find(
        place, names=ask.names, target=ask.target, text=ask.text, held_out=ask.held_out
    )
    if found.labels is None and found.transcripts is not None and few(found.transcripts):
        found.labels = found.transcripts  # a word each: commands
    if found.labels is None:
        raise UserError(
            f"{place} says no class of its sounds ({found.form}).\n{soundlayouts.expected(place)}"
        )
    if bare := [row for row, label in enumerate(found.labels) if not label]:
        what = f"{len(bare):,} sounds have no label"
        found.problems.append(about([found.names[r] for r in bare], what, "left out; label them"))
        found = found.take([row for row, label in enumerate(found.labels) if label])
    return SoundSource(found, place, ask)


def few(transcripts: Sequence[str]) -> bool:
    """Whether what is said repeats so often that it can be a choice."""
    return 2 <= len(set(transcripts)) <= len(transcripts) / 5


class SoundSource(SoundRows):
    """Sounds with a class each; of the classes, only the list comes from all rows."""

    def __init__(self, found: Found, path: Path, ask: Ask) -> None:
        super().__init__(found, path, ask)
        assert found.labels is not None
        self.classes = sorted(set(found.labels), key=natural)
        if len(self.classes) < 2:
            raise UserError(
                f"{path} holds one class only ({', '.join(self.classes) or 'none'}); telling "
                f"classes apart needs at least two.\n{soundlayouts.expected(path)}"
            )
        number = {name: place for place, name in enumerate(self.classes)}
        self.labels = np.array([number[label] for label in found.labels], np.int64)

    @property
    def strata(self) -> Sequence[int]:
        """The class number of every row."""
        return self.labels.tolist()  # type: ignore[no-any-return]

    def facts(self, rows: Tensor, /) -> ClassSoundFacts:
        """Learn the rate and the longest sound from these rows."""
        numbers = rows.tolist()
        if not numbers:
            raise UserError(f"{self.path}: no sound is left to learn from.")
        rate = self.rate(numbers)
        examples = self.decoded(numbers, rate, self._targets)
        counts = np.bincount(examples.targets.numpy(), minlength=len(self.classes))
        gone = {int(self.labels[row]) for row in numbers} - set(examples.targets.tolist())
        if gone:
            names = ", ".join(self.classes[label] for label in sorted(gone))
            raise UserError(
                f"{self.path}: not one sound of the class {names} can be read, so that it cannot "
                "be learned. Fetch its sounds again, or remove the class."
            )
        return ClassSoundFacts(
            rate=rate, longest=int(examples.lengths.max()), limit=self.ask.longest,
            classes=self.classes, class_counts=counts.tolist(),
        )  # fmt: skip

    def examples(self, rows: Tensor, facts: ClassSoundFacts, /) -> SoundExamples:
        """Decode these rows; what cannot be read is reported and left out."""
        return self.decoded(rows.tolist(), facts.rate, self._targets)

    def _targets(self, rows: list[int]) -> Tensor:
        return torch.from_numpy(self.labels[rows].copy())
