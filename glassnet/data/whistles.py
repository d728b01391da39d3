"""Whistled words: a tone of its own for each letter, to learn speech recognition in seconds."""

from __future__ import annotations

import csv
import math
import random
import wave
from array import array
from pathlib import Path

RATE = 8000
LETTERS = {"a": 400, "b": 560, "e": 780, "l": 1090, "n": 1530, "o": 2140}
"""Hz"""
WORDS = ("no", "one", "bell", "lane", "able", "on", "bone", "all", "ale", "boa")
NUMBER = 100
TONE, PAUSE, GAP = 0.07, 0.01, 0.08
"""Seconds of a letter, between two letters, and between two words."""


def write(folder: Path) -> None:
    """Write recordings of one to three words each, and ``list.csv`` with what they say."""
    draw = random.Random(0)
    rows = []
    for number in range(NUMBER):
        words = draw.choices(WORDS, k=draw.randint(1, 3))
        name = f"{number:03}.wav"
        _write(folder / name, _samples(words, draw))
        rows.append([name, " ".join(words)])
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["path", "text"], *rows])


def _samples(words: list[str], draw: random.Random) -> list[float]:
    """Tones that swell and fade, a little off pitch, in some noise."""
    pitch, loudness = draw.uniform(0.96, 1.04), draw.uniform(0.2, 0.6)
    samples = [0.0] * round(GAP * RATE)
    for word in words:
        for letter in word:
            length = round(TONE * draw.uniform(0.8, 1.2) * RATE)
            step = 2 * math.pi * LETTERS[letter] * pitch / RATE
            samples += [
                loudness * math.sin(step * n) * math.sin(math.pi * n / length)
                for n in range(length)
            ]
            samples += [0.0] * round(PAUSE * RATE)
        samples += [0.0] * round(GAP * RATE)
    return [sample + draw.gauss(0, 0.003) for sample in samples]


def _write(path: Path, samples: list[float]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(array("h", [round(32767 * sample) for sample in samples]).tobytes())
