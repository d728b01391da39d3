"""Recordings to be written down: short ones as in training, long ones piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from glassnet.data import rawsounds, soundfiles
from glassnet.data.archives import is_archive
from glassnet.data.order import natural
from glassnet.data.recordings import is_sound
from glassnet.data.soundfiles import Samples, Unreadable
from glassnet.data.transcripts import SpeechFacts
from glassnet.errors import UserError
from glassnet.progress import warn
from glassnet.task import Problem

WINDOW = 24.0
"""Seconds of a long recording that are heard at once."""
OVERLAP = 6.0
"""Seconds that two windows share; within them is the place where one ends and the next begins."""
FOREVER = 1e7
"""Seconds: nothing is cut."""


@dataclass(frozen=True)
class Short:
    """Recordings that are heard whole, together."""

    names: list[str]
    sounds: list[Samples]
    failed: list[Problem]
    """What could not be read."""


@dataclass(frozen=True)
class Long:
    """A recording that is read from its file in windows."""

    name: str
    seconds: float
    windows: Callable[[], Iterator[tuple[float, Samples]]]
    """Where each begins, in seconds, and its samples."""


def read_raw(raw: Any, facts: SpeechFacts) -> Iterator[Short | Long]:
    """Read recordings in their order; what is odd about them is told.

    ``raw`` is what ``rawsounds.read_raw`` takes. A file longer than ``WINDOW`` seconds, and than
    the longest of the training, is never in memory as a whole.

    Raises:
        UserError: If none can be read.
    """
    whole = max(WINDOW, facts.longest / facts.rate)
    waiting: list[Any] = []
    for item in _items(raw):
        seconds = _seconds(item)
        if seconds is None or seconds <= whole:
            waiting.append(item)
            continue
        if waiting:
            yield from _decoded(waiting, facts, whole)
            waiting = []
        yield _long(Path(item).expanduser(), seconds, facts)
    if waiting:
        yield from _decoded(waiting, facts, whole)


def _items(raw: Any) -> list[Any]:
    """Paths one by one; everything else as it is."""
    if isinstance(raw, str | Path):
        path = Path(raw).expanduser()
        if path.is_dir():
            found = [one for one in path.rglob("*") if one.is_file() and is_sound(one.name)]
            return sorted(found, key=lambda one: natural(str(one))) or [raw]
        return [raw]
    return list(raw) if isinstance(raw, list) else [raw]


def _seconds(item: Any) -> float | None:
    """How long a file says that it is; None if it is none, or nothing can be read of it."""
    if not isinstance(item, str | Path):
        return None
    path = Path(item).expanduser()
    if not path.is_file() or is_archive(path):
        return None
    try:
        return soundfiles.header(path).seconds
    except (Unreadable, OSError):
        return None  # told when it is read


def _decoded(items: list[Any], facts: SpeechFacts, whole: float) -> Iterator[Short | Long]:
    """What was given decoded, or lies in archives: heard whole, or in windows if it is too long."""
    only = items[0] if len(items) == 1 else items
    names, sounds, failed, odd = rawsounds.read_raw(only, facts, limit=FOREVER)
    warn(odd)
    some = Short([], [], [])
    for name, sound in zip(names, sounds, strict=True):
        if len(sound) <= whole * facts.rate:
            some.names.append(name)
            some.sounds.append(sound)
            continue
        if some.names:
            yield some
            some = Short([], [], [])
        yield Long(name, len(sound) / facts.rate, partial(_pieces, sound, facts.rate))
    if some.names or failed:
        yield Short(some.names, some.sounds, failed)


def _pieces(sound: Samples, rate: int) -> Iterator[tuple[float, Samples]]:
    """The windows of what is in memory, as ``soundfiles.windows`` cuts files."""
    step, size = round((WINDOW - OVERLAP) * rate), round(WINDOW * rate)
    for first in range(0, max(1, len(sound) - (size - step)), step):
        yield first / rate, sound[first : first + size]


def _long(path: Path, seconds: float, facts: SpeechFacts) -> Long:
    def windows() -> Iterator[tuple[float, Samples]]:
        try:
            yield from soundfiles.windows(path, facts.rate, WINDOW, OVERLAP)
        except Unreadable as error:
            raise UserError(f"{path} {error.what}; {error.remedy}.") from error

    return Long(str(path), seconds, windows)
