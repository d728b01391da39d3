"""Four kinds of short tones as sound files, to try sound classification with: made by rule.

- rise and fall: the pitch climbs, or sinks, by half an octave
- hold: it stays
- twice: it stays, and is interrupted once

Pitch, length and loudness differ from sound to sound, so that only the course of the pitch and the
pause tell the classes apart; a little noise lies under all of them.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CLASSES = ("rise", "fall", "hold", "twice")
EACH = 18
"""Sounds of each class."""
RATE = 4000
"""Hz"""
SPAN = 0.5
"""Octaves by which a pitch climbs or sinks."""


def write(folder: Path) -> None:
    """Write the sounds into a folder for each class, as WAV files of 16 bits."""
    random = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(EACH):
            samples = tone(name, random)
            with wave.open(str(folder / name / f"{number:02d}.wav"), "wb") as file:
                file.setparams((1, 2, RATE, 0, "NONE", ""))
                file.writeframes(samples.astype("<i2").tobytes())


def tone(name: str, random: np.random.Generator) -> NDArray[np.int16]:
    """One sound of a class."""
    seconds, hertz = random.uniform(0.2, 0.35), random.uniform(300, 700)
    loud = 10 ** random.uniform(-1.3, -0.3)
    time = np.arange(round(seconds * RATE)) / RATE
    octaves = {"rise": SPAN, "fall": -SPAN}.get(name, 0.0) * (time / seconds - 0.5)
    phase = 2 * np.pi * np.cumsum(hertz * 2**octaves) / RATE
    sound = np.sin(phase) + 0.3 * np.sin(2 * phase)
    if name == "twice":
        sound[(time > 0.35 * seconds) & (time < 0.65 * seconds)] = 0
    sound = 0.7 * sound + 0.01 * random.standard_normal(len(sound))
    return np.clip(np.rint(loud * sound * 32767), -32768, 32767).astype(np.int16)
