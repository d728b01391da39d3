"""Sound files that are cut short, oddly made, or not scaled: refused if damaged, else read."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from glassnet.data import soundfiles
from glassnet.data.soundfiles import Unreadable

RATE = 16000
WAVE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "aiff", "au"])
def test_half_of_a_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"whole.{suffix}"
    soundfile.write(path, WAVE, RATE)
    assert len(soundfiles.decode(path, RATE).samples) == len(WAVE)
    half = path.read_bytes()[: path.stat().st_size // 2]
    (tmp_path / f"half.{suffix}").write_bytes(half)
    for source in (half, tmp_path / f"half.{suffix}"):
        with pytest.raises(Unreadable, match=r"cut short|cannot|no sound"):
            soundfiles.decode(source, RATE)


def test_a_remark_that_says_data_is_not_taken_for_the_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", WAVE, RATE)
    whole = (tmp_path / "a.wav").read_bytes()
    text = b"my data is loud\0"
    remark = b"LIST" + struct.pack("<I", 12 + len(text)) + b"INFOINAM"
    remark += struct.pack("<I", len(text)) + text
    size = struct.pack("<I", len(whole) + len(remark) - 8)
    found = soundfiles.decode(whole[:4] + size + whole[8:12] + remark + whole[12:], RATE)
    assert len(found.samples) == len(WAVE)


def test_wav_files_of_the_other_byte_order_are_read() -> None:
    values = np.rint(WAVE * 32767).astype(">i2").tobytes()
    form = struct.pack(">IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVEfmt " + form + b"data" + struct.pack(">I", len(values)) + values
    found = soundfiles.decode(b"RIFX" + struct.pack(">I", len(body)) + body, RATE)
    assert len(found.samples) == len(WAVE)


def test_sound_that_was_never_scaled_is_refused_and_not_made_noise_of(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", WAVE * 32768, RATE, subtype="FLOAT")
    with pytest.raises(Unreadable, match="where the loudest sound is 1"):
        soundfiles.decode(tmp_path / "a.wav", RATE)
    with pytest.raises(Unreadable, match="where the loudest sound is 1"):
        soundfiles.of_array(WAVE * 32768, RATE, RATE)
    soundfile.write(tmp_path / "b.wav", WAVE * 6, RATE, subtype="FLOAT")
    assert soundfiles.decode(tmp_path / "b.wav", RATE).flags == soundfiles.FLAGS["clipped"]
