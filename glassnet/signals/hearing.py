"""How people read what a network that listens is fed: sound in seconds, bands in hertz."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from glassnet.networks._sound import LogMel
from glassnet.task import Axes

MARKS = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)
"""Hertz that are told along a spectrogram, where they lie well apart."""
APART = 0.14
"""Of the height of a spectrogram, between two of them."""


def axes(network: nn.Module, rate: int, vocabulary: Any = None, frame: float = 0.0) -> Axes:
    """The axes of a network that hears sounds of this rate through a ``LogMel``.

    ``vocabulary`` is that of a network that writes what it hears, ``frame`` the seconds between two
    of its frames.
    """
    first = next(m for m in network.modules() if isinstance(m, LogMel))
    heard = Axes(
        ("sound",), step=1 / rate, unit="s", rate=rate, front=first, rows=marks(first)
    )  # fmt: skip
    if vocabulary is None:
        return heard

    def spell(text: str) -> list[int]:
        return [int(token) for token in vocabulary.encode([text])[0]]

    return replace(heard, tokens=vocabulary.token, spell=spell, frame=frame)


def marks(first: LogMel) -> list[tuple[float, str]]:
    """Where round frequencies lie between the lowest band (0) and the highest (1)."""
    centres = first.filters_FM.argmax(0).cpu().double() * first.rate / first.num_fft
    found: list[tuple[float, str]] = []
    for hertz in MARKS:
        if not float(centres[0]) <= hertz <= float(centres[-1]):
            continue
        place = float((centres - hertz).abs().argmin()) / max(1, first.mels - 1)
        if not found or place - found[-1][0] >= APART:
            found.append((place, f"{hertz // 1000} kHz" if hertz >= 1000 else f"{hertz} Hz"))
    return found
