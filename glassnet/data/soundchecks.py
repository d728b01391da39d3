"""What is odd about sounds that can be decoded, told once for all that share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glassnet.data.soundfiles import FLAGS, Decoded, Header
from glassnet.task import Problem

Level = Literal["note", "warning", "serious"]
BRIEF = 0.1
"""Seconds below which a sound is said to be very short."""
FAR = 20
"""Times the median length from which a sound is said to be very long."""
AT_LEAST = 10.0
"""Seconds that no sound is too long for."""


def sampled(decoded: Iterable[tuple[str, Decoded | Problem]], rate: int) -> list[Problem]:
    """What is wrong with sounds that were decoded, by name."""
    found = list(decoded)
    bad = [one for _, one in found if isinstance(one, Problem)]
    good = [(name, one) for name, one in found if not isinstance(one, Problem)]
    flags = np.array([one.flags for _, one in good], np.uint8)
    mono, rates = np.ones(len(good), np.int16), np.full(len(good), rate)
    return [*bad, *odd([name for name, _ in good], rates, mono, flags, rate)]


def of_headers(heads: Mapping[str, Header], rate: int) -> list[Problem]:
    """What can be told without decoding: rates, channels, lengths."""
    names = list(heads)
    rates = np.array([head.rate for head in heads.values()])
    channels = np.array([head.channels for head in heads.values()])
    told = list(odd(names, rates, channels, np.zeros(len(names), np.uint8), rate))
    seconds = np.array([head.seconds for head in heads.values()])
    middle = float(np.median(seconds))
    if brief := [names[n] for n in np.flatnonzero(seconds < min(BRIEF, middle / 5)).tolist()]:
        what = (
            f"{of(brief)} shorter than {min(BRIEF, middle / 5):.2f} s; the median is {middle:.2f} s"
        )
        told.append(about(brief, what, "listen to them: cut off, or a wrong rate?", "lengths"))
    far = max(AT_LEAST, FAR * middle)
    if long := [names[n] for n in np.flatnonzero(seconds > far).tolist()]:
        what = f"{of(long)} longer than {far:.0f} s; the median is {middle:.2f} s"
        told.append(about(long, what, "listen to them: uncut, or a wrong rate?", "lengths"))
    return told


def odd(
    names: Sequence[str],
    rates: NDArray[Any],
    channels: NDArray[Any],
    flags: NDArray[Any],
    rate: int,
) -> Iterator[Problem]:
    """What people should know about sounds that can be decoded, told once for all of them."""

    def where(mask: NDArray[Any]) -> list[str]:
        return [names[place] for place in np.flatnonzero(mask).tolist()]

    if found := where(flags & FLAGS["silent"]):
        what = f"{of(found)} silent: no sample is louder than -66 dB"
        yield about(found, what, "kept; remove them unless silence is meant", "silent sounds")
    if found := where(flags & FLAGS["clipped"]):
        what = f"{of(found)} clipped: their loudest samples are cut off"
        yield about(found, what, "kept; record them with less gain", "clipped sounds")
    if found := where(flags & FLAGS["cancelling"]):
        what = f"{of(found)} of two channels that cancel each other"
        yield about(found, what, "the first channel is used", "cancelling channels")
    if found := where(channels > 1):
        what = f"{of(found)} of several channels"
        yield about(found, what, "their mean is used", "several channels", "note")
    others = Counter(int(one) for one in rates if one != rate)
    if others:
        found = where(rates != rate)
        had = ", ".join(f"{n:,} of {one:,} Hz" for one, n in others.most_common(5))
        what = f"{of(found)} of other rates than {rate:,} Hz: {had}"
        yield about(found, what, f"resampled to {rate:,} Hz", "several rates", "note")


def of(names: Sequence[str]) -> str:
    """How many, as the beginning of a sentence."""
    return f"{len(names):,} sounds are" if len(names) > 1 else "one sound is"


def about(
    names: Sequence[str], what: str, remedy: str, kind: str = "", level: Level = "warning"
) -> Problem:
    """One problem of several sounds."""
    where = names[0] + (" …" if len(names) > 1 else "")
    return Problem(where, what, remedy, kind=kind, items=tuple(names), level=level)
