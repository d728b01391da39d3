"""Lists of recordings as people save them: encodings, repeated columns and sounds, long JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from glassnet import splits
from glassnet.data import soundlayouts, sounds
from glassnet.data.sounds import Ask
from glassnet.errors import UserError
from glassnet.recipe import Split

ROWS = "path,label\n" + "\n".join(f"{n}.wav,{'yes' if n % 2 else 'né'}" for n in range(6))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        wave = 0.1 * np.sin(np.arange(4000) / (5 + number))
        soundfile.write(tmp_path / f"{number}.wav", wave, 8000)
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_is_read_in_the_encoding_that_a_spreadsheet_saves(
    folder: Path, encoding: str, end: str
) -> None:
    (folder / "labels.csv").write_bytes(ROWS.replace("\n", end).encode(encoding))
    found = soundlayouts.find(folder)
    assert found.labels == ["né", "yes"] * 3
    told = any("Windows-1252" in problem.what for problem in found.problems)
    assert told == (encoding == "cp1252")


def test_the_first_of_two_columns_of_one_name_is_read_and_told(folder: Path) -> None:
    twice = [f"{line},{line[-1]}" for line in ROWS.splitlines()[1:]]
    (folder / "labels.csv").write_text("\n".join(["path,label,label", *twice]), "utf-8")
    found = soundlayouts.find(folder)
    assert found.labels == ["né", "yes"] * 3
    assert any("several columns 'label'" in problem.what for problem in found.problems)


def test_a_long_list_in_json_and_names_that_no_disk_takes_are_read(folder: Path) -> None:
    rows = [{"audio_filepath": f"{n % 6}.wav", "text": f"word {n}"} for n in range(300)]
    rows.append({"audio_filepath": "x" * 300 + ".wav", "text": "gone"})
    (folder / "all.json").write_text(json.dumps(rows, indent=1), "utf-8")
    found = soundlayouts.find(folder)
    assert found.transcripts is not None
    assert len(found.transcripts) == 300


def test_a_quote_that_is_never_closed_is_named_by_its_line(folder: Path) -> None:
    (folder / "labels.csv").write_text('path,label\n0.wav,"no\n' + "1.wav,yes\n" * 30_000, "utf-8")
    with pytest.raises(UserError, match=r"labels\.csv line \d+: field larger"):
        soundlayouts.find(folder)


def test_a_part_that_is_misspelt_is_told_and_not_passed_over(folder: Path) -> None:
    parts = ["train", "train", "train", "train", "test", "tset"]
    lines = [f"{line},{part}" for line, part in zip(ROWS.splitlines()[1:], parts, strict=True)]
    (folder / "labels.csv").write_text("\n".join(["path,label,split", *lines]), "utf-8")
    found = soundlayouts.find(folder)
    assert found.parts is None
    assert any("'tset'" in problem.what for problem in found.problems)


def test_a_sound_that_is_listed_twice_is_never_in_two_parts(folder: Path) -> None:
    rows = ROWS.splitlines()
    (folder / "labels.csv").write_text("\n".join([*rows, *rows[1:], *rows[1:]]), "utf-8")
    source = sounds.open_sounds(folder, Ask())
    for seed in range(5):
        drawn = splits.draw(source, Split(test=0.3, validation=0.3, seed=seed))
        named = [{source.name(row) for row in part.tolist()}
                 for part in (drawn.train, drawn.validation, drawn.test)]  # fmt: skip
        assert not named[0] & named[1]
        assert not named[0] & named[2]
        assert not named[1] & named[2]
    assert torch.cat([drawn.train, drawn.validation, drawn.test]).unique().numel() == 18


def test_the_development_list_of_sphinx_is_the_validation_part(folder: Path) -> None:
    for number, part in enumerate(("train", "dev", "test")):
        ids = (2 * number, 2 * number + 1)
        (folder / f"x_{part}.fileids").write_text("\n".join(map(str, ids)), "utf-8")
        words = "\n".join(f"<s> word {one} </s> ({one})" for one in ids)
        (folder / f"x_{part}.transcription").write_text(words, "utf-8")
    found = soundlayouts.find(folder)
    assert found.parts == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    assert found.transcripts == [f"word {n}" for n in range(6)]
