"""What is said in recordings: how it is written, split and counted, where figures could flatter."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile
import torch

from glassnet.data import rawspeech, strings, tokens
from glassnet.data.recordings import Found
from glassnet.data.spelling import normalized
from glassnet.errors import UserError
from glassnet.recipe import build
from glassnet.speech import heard, transcribe
from glassnet.tasks.speech_recognition import SpeechRecognition


@pytest.mark.parametrize(
    "text",
    [
        "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902",  # Hindi: vowels are marks
        "\u0e17\u0e35\u0e48\u0e19\u0e35\u0e48",  # Thai
        "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd",  # Tamil
        "q\N{COMBINING TILDE}'a",  # no letter has it in one
    ],
)
def test_marks_that_are_vowels_stay_in_their_words(text: str) -> None:
    assert normalized(text, lowercase=True, punctuation=False) == text


def test_joiners_that_nobody_hears_part_no_word() -> None:
    assert normalized("co\N{SOFT HYPHEN}operate", lowercase=True, punctuation=False) == "cooperate"


def test_words_are_parted_by_spaces_alone() -> None:
    vocabulary = tokens.learn(["it's 3.5 o'clock"], "words", least=1, marks=False)
    (found,) = vocabulary.encode(["it's 3.5 o'clock"])
    assert len(found) == 3
    assert vocabulary.decode(found.tolist()) == "it's 3.5 o'clock"


@pytest.mark.parametrize(("unit", "said"), [("words", "one many"), ("characters", "one z")])
def test_unknown_is_never_the_right_answer(unit: tokens.Unit, said: str) -> None:
    vocabulary = tokens.learn(["one two"], unit, least=1, marks=False)
    facts = SimpleNamespace(vocabulary=vocabulary, spaced=True)
    target = torch.from_numpy(vocabulary.encode([said])[0]).long()
    assert vocabulary.unknown in target
    ((wrong_words, wrong_signs),), (_, words, _), _ = heard._judged(
        target, [(tuple(target.tolist()),)], facts
    )
    assert (words, wrong_words) == (2, 1)
    assert wrong_signs >= 1


def test_strings_of_speakers_that_are_kept_apart_have_nobody_in_two_parts() -> None:
    num = 80
    found = Found(
        files=None,  # type: ignore[arg-type]
        names=[f"{n}.wav" for n in range(num)],
        transcripts=[str(n % 10) for n in range(num)],
        speakers=[f"s{n % 8}" for n in range(num)],
    )
    drawn = strings.draw(found, "2-3", apart=True)
    heard_in: dict[str, set[int]] = {"train": set(), "validation": set(), "test": set()}
    for members, part in zip(drawn.members, drawn.parts, strict=True):
        heard_in[part] |= {member % 8 for member in members}
    assert all(heard_in.values())
    assert sum(map(len, heard_in.values())) == 8


@pytest.mark.parametrize("mode", ["kfold", "redrawn"])
def test_folds_that_would_know_what_they_are_validated_on_are_refused(mode: str) -> None:
    asked = {"task": "speech-recognition", "data": "whistles", "split": {"mode": mode}}
    with pytest.raises(UserError, match="language_model=transcripts"):
        build(SpeechRecognition, asked)
    with pytest.raises(UserError, match="join=3-7"):
        build(SpeechRecognition, {**asked, "join": "3-7"})
    assert build(SpeechRecognition, {**asked, "language_model": "none"}).split.mode == mode


def test_what_is_long_in_memory_is_heard_in_the_windows_of_a_file(tmp_path: Path) -> None:
    wave = torch.randn(70 * 8000, generator=torch.Generator().manual_seed(0)).numpy() * 0.1
    soundfile.write(tmp_path / "long.wav", wave, 8000)
    facts: Any = SimpleNamespace(rate=8000, longest=8000, limit=30.0)
    brief = (wave[:8000], 8000)
    (of_file,) = rawspeech.read_raw(tmp_path / "long.wav", facts)
    first, of_array, last = rawspeech.read_raw([brief, (wave, 8000), brief], facts)
    assert isinstance(of_file, rawspeech.Long)
    assert isinstance(of_array, rawspeech.Long)
    assert isinstance(first, rawspeech.Short)
    assert isinstance(last, rawspeech.Short)
    assert [len(first.names), len(last.names)] == [1, 1]
    for (begin, sound), (other_begin, other) in zip(
        of_file.windows(), of_array.windows(), strict=True
    ):
        assert begin == other_begin
        assert len(sound) == len(other)
        assert abs(sound.astype(int) - other).max() <= 1  # a file rounds once more


def test_the_words_of_hours_are_timed_in_seconds() -> None:
    vocabulary = tokens.learn(["the cat sat"], "characters")
    facts = SimpleNamespace(vocabulary=vocabulary, spaced=True)
    said = vocabulary.encode(["the cat sat " * 3000])[0].tolist()
    began = time.monotonic()
    words = transcribe.timed(said, range(len(said)), 0.04, facts)
    assert time.monotonic() - began < 20
    assert len(words) == 9000
    assert words[4] == transcribe.Word("cat", 16 * 0.04, 19 * 0.04)
