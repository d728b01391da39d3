"""One sound file -> int16 samples of one channel at one rate; training and prediction share it.

libsndfile decodes (wav, flac, ogg, opus, mp3, aiff, au, caf, sph …), channels are averaged, and
another rate is brought to the asked one by a polyphase filter (scipy.signal.resample_poly).
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
Waves = NDArray[np.float32]

FULL = 32768
"""What the loudest sound is in int16."""
RATES = 2000, 400_000
"""Hz: what lies outside cannot be the rate of a sound."""
SHORTEST = 0.025
"""Seconds: one window of a spectrogram."""
SILENT = 16
"""int16: what never gets louder holds no sound (66 dB below the loudest)."""
CLIPPED = 1e-3
"""Share of the samples at the very top from which a sound is said to be clipped."""
BLOCK = 1 << 20
"""Frames that are read at once, to hold one channel only of a long recording."""
HEAD = 1 << 16
"""Bytes in which the header of a file is looked for."""
WHOLE = 0.9
"""Share of the promised samples that must be there: headers of mp3 are not exact."""
LOUDEST = 8.0
"""Samples beyond this were never scaled to -1 to 1; what is a little beyond 1 is clipped."""
FLAGS = {"silent": 1, "clipped": 2, "cancelling": 4}
"""Bits of what is odd about a sound that can be decoded."""


class Unreadable(Exception):
    """A file that is no sound; what is wrong with it, and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what, self.remedy = what, remedy


@dataclass(frozen=True)
class Header:
    """What a file says about itself."""

    rate: int
    """Hz"""
    channels: int
    frames: int
    kind: str
    """Such as WAV PCM_16"""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / self.rate


@dataclass(frozen=True)
class Decoded:
    """One sound, and what was odd about it."""

    samples: Samples
    header: Header
    flags: int = 0
    """Bits as ``FLAGS`` names them."""


def header(source: bytes | Path) -> Header:
    """Read the header alone.

    Raises:
        Unreadable: If it is none, or cannot be true.
    """
    with _opened(source) as file:
        return _header(file)


def decode(source: bytes | Path, rate: int, longest: float | None = None) -> Decoded:
    """Decode a file to one channel at ``rate`` Hz, of ``longest`` seconds at most.

    Raises:
        Unreadable: If it is damaged, cut short, empty, or no sound.
    """
    with _opened(source) as file:
        head = _header(file)
        _refuse_cut(source, head)
        most = head.frames if longest is None else math.ceil(longest * head.rate)
        wave, cancelling = _mono(file, min(head.frames, most))
    if len(wave) < WHOLE * min(head.frames, most):
        raise Unreadable(
            f"is cut short: its header promises {head.seconds:.2f} s, it ends after "
            f"{len(wave) / head.rate:.2f} s", "fetch it again",
        )  # fmt: skip
    if len(wave) < SHORTEST * head.rate:
        raise Unreadable(
            f"holds {len(wave)} samples at {head.rate} Hz, less than {SHORTEST * 1000:.0f} ms",
            "record it again, or remove it",
        )
    _refuse_unscaled(wave)
    samples = to_int16(resampled(wave, head.rate, rate))
    return Decoded(samples, head, _flags(wave, head, cancelling))


def of_array(array: Any, given: int, rate: int) -> Samples:
    """Turn samples of a user, (T,), (T, C) or (C, T), at ``given`` Hz into int16 at ``rate`` Hz.

    Floats lie in -1 to 1; integers use the whole range of their type.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "iuf" or values.ndim not in (1, 2) or not values.size:
        raise Unreadable(
            f"is an array of {values.dtype} and shape {values.shape}",
            "give numbers (samples,) or (samples, channels)",
        )
    if not RATES[0] <= given <= RATES[1]:
        raise Unreadable(f"has a rate of {given} Hz", f"give {RATES[0]} to {RATES[1]} Hz")
    if values.dtype.kind in "iu":
        info = np.iinfo(values.dtype)
        middle = 0 if values.dtype.kind == "i" else (int(info.max) + 1) / 2
        values = (values.astype(np.float64) - middle) / (float(info.max) - middle + 1)
    if values.ndim == 2:
        values = values.mean(int(values.shape[0] >= values.shape[1]))
    wave = values.astype(np.float32)
    _refuse_unscaled(wave)
    if len(wave) < SHORTEST * given:
        raise Unreadable(f"has {len(wave)} samples, less than 25 ms", "give a longer one")
    return to_int16(resampled(wave, given, rate))


def windows(
    path: Path, rate: int, seconds: float, overlap: float
) -> Iterator[tuple[float, Samples]]:
    """Read a recording of any length piece by piece: where each begins, in seconds, and samples.

    Each piece is ``seconds`` long and shares ``overlap`` seconds with the next; a piece is all
    that lies in memory.
    """
    import soundfile

    with _opened(path) as file:
        head = _header(file)
        step, size = round((seconds - overlap) * head.rate), round(seconds * head.rate)
        first = 0
        try:
            while first < head.frames:
                file.seek(first)
                wave, _ = _mono(file, min(size, head.frames - first))
                if not len(wave):
                    return
                yield first / head.rate, to_int16(resampled(wave, head.rate, rate))
                if first + size >= head.frames:
                    return
                first += step
        except soundfile.LibsndfileError as error:
            raise _damaged(error) from error


def resampled(wave: Waves, before: int, after: int) -> Waves:
    """The same sound at another rate."""
    if before == after:
        return wave
    from scipy.signal import resample_poly

    common = math.gcd(before, after)
    changed: Waves = resample_poly(wave, after // common, before // common).astype(np.float32)
    return changed


def to_int16(wave: Waves) -> Samples:
    """-1 to 1 as int16; samples of a 16-bit file come back as they were."""
    return np.clip(np.rint(wave * FULL), -FULL, FULL - 1).astype(np.int16)


# --- Within a file --------------------------------------------------------------------------------


def _opened(source: bytes | Path) -> Any:
    import soundfile

    if isinstance(source, Path):
        try:
            size = source.stat().st_size
        except OSError as error:
            raise Unreadable(f"cannot be read ({error.strerror})", "check the path") from error
    else:
        size = len(source)
    if not size:
        raise Unreadable("is empty (0 bytes)", "fetch it again, or remove it")
    try:
        return soundfile.SoundFile(str(source) if isinstance(source, Path) else io.BytesIO(source))
    except soundfile.LibsndfileError as error:
        raise _damaged(error) from error
    except TypeError as error:  # a .raw file, which says nothing about itself
        raise Unreadable("has no header", "convert it to WAV or FLAC") from error


def _damaged(error: Any) -> Unreadable:
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return Unreadable(f"is no sound that can be decoded ({reason})", "fetch or convert it again")


def _header(file: Any) -> Header:
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise Unreadable(
            f"says that its rate is {file.samplerate} Hz, which cannot be", "export it again"
        )
    if file.frames >= 1 << 62:  # a FLAC that was written to a pipe
        raise Unreadable("does not say how long it is", "convert it, for instance by ffmpeg")
    return Header(file.samplerate, file.channels, file.frames, f"{file.format} {file.subtype}")


def _mono(file: Any, frames: int) -> tuple[Waves, bool]:
    """The mean of the channels; of channels that cancel each other, the first one."""
    import soundfile

    pieces, loud, left = [], 0.0, frames
    mixed: list[Waves] = []
    try:
        while left > 0:
            block = file.read(min(BLOCK, left), dtype="float32", always_2d=True)
            if not len(block):
                break
            left -= len(block)
            mixed.append(block.mean(1) if block.shape[1] > 1 else block[:, 0])
            if block.shape[1] > 1:
                loud += float(np.square(block[:, 0], dtype=np.float64).sum())
                pieces.append(block[:, 0].copy())
    except soundfile.LibsndfileError as error:
        raise _damaged(error) from error
    wave = np.concatenate(mixed) if mixed else np.zeros(0, np.float32)
    power = float(np.square(wave, dtype=np.float64).sum())
    if loud and power < 1e-3 * loud:
        return np.concatenate(pieces), True
    return wave, False


def _refuse_cut(source: bytes | Path, head: Header) -> None:
    """A file that holds fewer bytes than its header promises was not fetched as a whole."""
    if isinstance(source, Path):
        size = source.stat().st_size
        with source.open("rb") as file:
            start = file.read(HEAD)
    else:
        size, start = len(source), source[:HEAD]
    place, promised = _promised(start)
    there = size - place
    if promised < 1 << 31 and there < promised - 2 * head.channels:  # more: written to a pipe
        raise Unreadable(
            f"is cut short: its header promises {promised:,} bytes of sound, it holds {there:,}",
            "fetch it again",
        )


def _promised(start: bytes) -> tuple[int, int]:
    """Where the sound begins in a file, and its bytes; 0 where its beginning does not say it."""
    if start[:4] == b"FORM":  # AIFF
        return 8, int.from_bytes(start[4:8], "big")
    if start[:4] == b".snd" and len(start) >= 12:
        place, size = struct.unpack(">II", start[4:12])
        return place, size
    if start[:4] not in (b"RIFF", b"RIFX"):
        return 0, 0
    order: Literal["little", "big"] = "big" if start[:4] == b"RIFX" else "little"
    place = 12
    while place + 8 <= len(start):
        size = int.from_bytes(start[place + 4 : place + 8], order)
        if start[place : place + 4] == b"data":
            return place + 8, size
        place += 8 + size + size % 2
    return 0, 0


def _refuse_unscaled(wave: Waves) -> None:
    if not np.isfinite(wave).all():
        raise Unreadable("holds numbers that are no sound (NaN or infinite)", "export it again")
    peak = float(np.abs(wave).max(initial=0))
    if peak > LOUDEST:
        raise Unreadable(
            f"reaches {peak:,.0f} where the loudest sound is 1", "scale its samples to -1 to 1"
        )


def _flags(wave: Waves, head: Header, cancelling: bool) -> int:
    size = np.abs(wave)
    peak = float(size.max())
    found = FLAGS["cancelling"] if cancelling else 0
    if peak * FULL < SILENT:
        return found | FLAGS["silent"]
    coarse = head.kind.endswith(("_U8", "_S8", "LAW"))  # whose tops are flat by their few levels
    at_top = int((size >= min(peak, 1.0) * (1 - 1e-4)).sum())
    if peak > 0.5 and not coarse and at_top >= max(8, CLIPPED * len(wave)):
        found |= FLAGS["clipped"]
    return found
