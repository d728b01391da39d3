"""What people give to be answered -> sounds as the network reads them.

A file, a folder, an archive, an array with its rate, or a list of such; each passes through
``soundfiles``, as in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from glassnet.data import soundfiles
from glassnet.data.archives import Files, is_archive, open_files
from glassnet.data.recordings import UNREADABLE, is_sound
from glassnet.data.soundfiles import FLAGS, Samples, Unreadable
from glassnet.data.sounds import SoundFacts
from glassnet.data.threads import in_threads
from glassnet.errors import UserError
from glassnet.task import Problem

Given = tuple[str, Any]
"""A name, and a path, bytes, or a pair of samples and rate; perhaps to be called for."""


def read_raw(
    raw: Any, facts: SoundFacts, limit: float | None = None
) -> tuple[list[str], list[Samples], list[Problem], list[Problem]]:
    """Read sounds without labels.

    Args:
        raw: A path (sound, folder, archive), bytes of a file, a pair (samples, rate in Hz), where
            samples are an array (T,), (T, C) or (C, T), or a list of such.
        facts: The rate to bring them to.
        limit: Seconds after which they are cut; None: as training cut them.

    Returns:
        Names, sounds (int16, at the rate of the facts), what could not be read, and what is odd
        about those that could.

    Raises:
        UserError: If none can be read.
    """
    failed: list[Problem] = []
    told: list[Problem] = []
    given = list(_each(raw, failed))
    longest = facts.limit if limit is None else limit
    names, sounds = [], []

    def read(item: Given) -> tuple[Samples, list[str]] | Problem:
        return _read(item, facts.rate, longest)

    for (name, _), found in zip(given, in_threads(read, given), strict=True):
        if isinstance(found, Problem):
            failed.append(found)
            continue
        names.append(name)
        sounds.append(found[0])
        told += [Problem(name, what, "the answer may mean little") for what in found[1]]
    if not names:
        reasons = "; ".join(f"{p.where} {p.what} ({p.remedy})" for p in failed[:3])
        raise UserError(f"No sound to predict could be read: {reasons or 'nothing was given'}.")
    return names, sounds, failed, told


def _read(item: Given, rate: int, longest: float) -> tuple[Samples, list[str]] | Problem:
    """One sound with what is odd about it, or why there is none."""
    name, sound = item
    try:
        sound = sound() if callable(sound) else sound
        if isinstance(sound, tuple):
            samples, given = sound
            found = soundfiles.of_array(samples, given, rate)
            silent = int(np.abs(found.astype(np.int32)).max()) < soundfiles.SILENT
            odd = ["is silent"] if silent else []
            return found[: round(longest * rate)], odd
        decoded = soundfiles.decode(sound, rate, longest)
        odd = [f"is {flag}" for flag, bit in FLAGS.items() if decoded.flags & bit]
        if decoded.header.seconds > longest:
            odd.append(f"is {decoded.header.seconds:.0f} s long; what comes after {longest:g} s "
                       "was left out")  # fmt: skip
        return decoded.samples, odd
    except Unreadable as error:
        return Problem(name, error.what, error.remedy)
    except OSError as error:
        return Problem(name, f"cannot be read ({error})", "check the file")


def _each(raw: Any, problems: list[Problem], number: int = 0) -> Iterator[Given]:
    """Names and sounds."""
    if isinstance(raw, str | Path):
        yield from _at(Path(raw).expanduser(), problems)
    elif isinstance(raw, bytes | bytearray):
        yield f"sound {number}", bytes(raw)
    elif isinstance(raw, tuple) and len(raw) == 2 and isinstance(raw[1], int | np.integer):
        samples = raw[0].detach().cpu().numpy() if isinstance(raw[0], Tensor) else raw[0]
        yield f"sound {number}", (samples, int(raw[1]))
    elif isinstance(raw, list | tuple):
        for place, item in enumerate(raw):
            yield from _each(item, problems, place)
    else:
        raise UserError(
            f"Give a sound file, a folder, or a pair (samples, rate in Hz), or a list of such; "
            f"found {type(raw).__name__}. An array alone does not say how fast it is to be played."
        )


def _at(path: Path, problems: list[Problem]) -> Iterator[Given]:
    if not path.exists():
        raise UserError(f"{path} does not exist. Give a sound, a folder of sounds or an archive.")
    if path.is_file() and not is_archive(path):
        yield str(path), path
        return
    files = open_files(path)
    problems += files.problems
    for name in files.sizes:
        if is_sound(name) or Path(name).suffix.lower() in UNREADABLE:
            yield name, _reader(files, name)  # the decoder says what is to be done
        else:
            problems.append(Problem(name, "is no sound", "it was left out"))


def _reader(files: Files, name: str) -> Callable[[], bytes]:
    return lambda: files.read(name)
