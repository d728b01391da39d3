"""Recordings: their layouts, decoding, checks and cache, and the spectrogram in front."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from glassnet import splits
from glassnet.data import rawsounds, soundfiles, soundlayouts, sounds, sources
from glassnet.data.signals import SignalExamples
from glassnet.data.soundcache import OnDisk
from glassnet.data.soundfiles import Unreadable
from glassnet.data.sounds import Ask, SoundFacts
from glassnet.errors import UserError
from glassnet.networks._sound import LogMel, SpecAugment
from glassnet.networks.spectronet import SpectroNet
from glassnet.recipe import Split
from glassnet.signals import spectral
from glassnet.signals.waves import NO_CHANGE, Waves

RATE = 8000


def tone(hertz: float = 440, seconds: float = 0.3, rate: int = RATE) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 0.5 * np.sin(
        2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate
    )
    return found


def put(path: Path, samples: NDArray[np.float64] | None = None, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone() if samples is None else samples, rate)
    return path


def classes(folder: Path, each: int = 6, rate: int = RATE) -> Path:
    for number in range(each):
        put(folder / "low" / f"{number}.wav", tone(200 + 5 * number, rate=rate), rate)
        put(folder / "high" / f"{number}.wav", tone(900 + 5 * number, rate=rate), rate)
    return folder


# --- Layouts --------------------------------------------------------------------------------------


def test_class_folders_may_lie_in_parts(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        classes(tmp_path / part, each=2)
    found = soundlayouts.find(tmp_path)
    assert sorted(set(found.labels or [])) == ["high", "low"]
    assert (found.parts or []).count("validation") == 4
    assert len(found) == 12


def test_speech_commands_lists_say_the_parts_and_noise_is_no_class(tmp_path: Path) -> None:
    for word in ("yes", "no"):
        for who in ("ab12", "cd34", "ef56"):
            put(tmp_path / word / f"{who}_nohash_0.wav")
    put(tmp_path / "_background_noise_" / "rain.wav")
    (tmp_path / "validation_list.txt").write_text("yes/ab12_nohash_0.wav\nno/ab12_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("yes/cd34_nohash_0.wav\n")
    found = soundlayouts.find(tmp_path)
    assert set(found.labels or []) == {"yes", "no"}
    assert sorted(found.parts or []) == [
        "test",
        "train",
        "train",
        "train",
        "validation",
        "validation",
    ]
    assert set(found.speakers or []) == {"ab12", "cd34", "ef56"}
    assert any("_background_noise_" in problem.what for problem in found.problems)


def test_names_say_label_speaker_and_take_and_one_speaker_is_the_test(tmp_path: Path) -> None:
    for name in ("7_theo_0", "7_ann_0", "3_theo_1", "3_ann_1"):
        put(tmp_path / f"{name}.wav")
    put(tmp_path / "readme.wav")
    found = soundlayouts.find(tmp_path, names="{label}_{speaker}_{take}", held_out="theo")
    assert dict(zip(found.names, found.parts or [], strict=True))["7_theo_0.wav"] == "test"
    assert (found.parts or []).count("test") == 2
    assert found.fields["take"] == ["1", "1", "0", "0"]
    assert "readme.wav" in found.problems[-1].where
    with pytest.raises(UserError, match="no speaker 'leo'; there is ann, theo"):
        soundlayouts.find(tmp_path, names="{label}_{speaker}_{take}", held_out="leo")
    with pytest.raises(UserError, match="Known: label, take"):
        soundlayouts.find(tmp_path, names="{label}_ann_{take}", held_out="leo")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "path,label,speaker\na.wav,x,s1\nclips/b.wav,y,s2\ngone.wav,x,s1\n"),
        ("all.tsv", "client_id\tpath\tclass\ns1\ta.wav\tx\ns2\tb.wav\ty\ns1\tgone.wav\tx\n"),
        ("m.jsonl", '{"audio_filepath": "a.wav", "label": "x"}\n'
                    '{"audio_filepath": "clips/b.wav", "label": "y"}\n'
                    '{"audio_filepath": "gone.wav", "label": "y"}\n'),
    ],
)  # fmt: skip
def test_a_list_names_sounds_and_labels(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path / "a.wav")
    put(tmp_path / "clips" / "b.wav")
    put(tmp_path / "c.wav")
    (tmp_path / name).write_text(text)
    for place in (tmp_path, tmp_path / name):
        found = soundlayouts.find(place)
        assert found.names == ["a.wav", "clips/b.wav"]
        assert found.labels == ["x", "y"]
        told = " ".join(problem.what for problem in found.problems)
        assert "gone.wav" in told
        assert "stand in no row" in told


def test_common_voice_librispeech_sphinx_and_texts_beside_are_read(tmp_path: Path) -> None:
    voice = tmp_path / "voice"
    for number in range(3):
        put(voice / "clips" / f"c{number}.wav")
    for part, number in (("train", 0), ("dev", 1), ("test", 2)):
        row = f'id{number}\tc{number}.wav\tHe said "no {number}\n'
        (voice / f"{part}.tsv").write_text("client_id\tpath\tsentence\n" + row)
    found = soundlayouts.find(voice)
    assert sorted(found.parts or []) == ["test", "train", "validation"]
    assert 'He said "no 0' in (found.transcripts or [])

    libri = tmp_path / "libri"
    put(libri / "dev-clean" / "84" / "121" / "84-121-0.flac")
    put(libri / "train-clean" / "19" / "198" / "19-198-0.flac")
    (libri / "dev-clean/84/121/84-121.trans.txt").write_text("84-121-0 GO ON\n84-121-1 LOST\n")
    (libri / "train-clean/19/198/19-198.trans.txt").write_text("19-198-0 HALLO\n")
    found = soundlayouts.find(libri)
    assert found.transcripts == ["GO ON", "HALLO"]
    assert found.parts == ["validation", "train"]
    assert found.speakers == ["84", "19"]
    assert "transcripts without a sound" in found.problems[0].what

    an4 = tmp_path / "an4"
    put(an4 / "wav" / "fash" / "an1-fash-b.wav")
    put(an4 / "wav" / "mmxg" / "an2-mmxg-b.wav")
    (an4 / "etc").mkdir()
    (an4 / "etc/an4_train.fileids").write_text("fash/an1-fash-b\n")
    (an4 / "etc/an4_train.transcription").write_text("<s> YES </s> (an1-fash-b)\n")
    (an4 / "etc/an4_test.fileids").write_text("mmxg/an2-mmxg-b\n")
    (an4 / "etc/an4_test.transcription").write_text("NO ONE (an2-mmxg-b)\n")
    found = soundlayouts.find(an4)
    assert (found.transcripts, found.parts) == (["YES", "NO ONE"], ["train", "test"])

    beside = tmp_path / "beside"
    put(beside / "one.wav")
    put(beside / "two.ogg")
    put(beside / "mute.wav")
    (beside / "one.txt").write_text("eins\n")
    (beside / "two.txt").write_text("zwei\n")
    found = soundlayouts.find(beside)
    assert found.transcripts == ["eins", "zwei"]
    assert "have no transcript" in found.problems[0].what


def test_a_folder_of_which_nothing_is_known_is_refused_with_what_was_expected(
    tmp_path: Path,
) -> None:
    put(tmp_path / "a.wav")
    with pytest.raises(UserError, match=r"--names '\{label\}"):
        soundlayouts.find(tmp_path)
    (tmp_path / "a.wav").unlink()
    (tmp_path / "b.m4a").write_bytes(b"x")
    with pytest.raises(UserError, match="ffmpeg -i b.m4a"):
        soundlayouts.find(tmp_path)


# --- Decoding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_every_kind_rate_and_number_of_channels_becomes_one_channel_of_one_rate(
    tmp_path: Path, kind: str
) -> None:
    wave = tone(seconds=0.5, rate=44100)
    soundfile.write(tmp_path / f"x.{kind}", np.stack([wave, 0.5 * wave], 1), 44100)
    found = soundfiles.decode(tmp_path / f"x.{kind}", RATE)
    assert (found.header.channels, found.header.rate) == (2, 44100)
    assert found.samples.dtype == np.int16
    assert abs(len(found.samples) - RATE // 2) <= 300  # mp3 pads
    middle = found.samples[1000:3000].astype(float) / soundfiles.FULL
    assert np.abs(middle).max() == pytest.approx(0.375, abs=0.02)
    loudest = np.abs(np.fft.rfft(middle * np.hanning(2000))).argmax() * RATE / 2000
    assert loudest == pytest.approx(440, abs=5)


def test_samples_of_a_16_bit_file_come_as_they_are(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32767, 4000, dtype=np.int16)
    soundfile.write(tmp_path / "x.wav", samples, RATE)
    assert (soundfiles.decode(tmp_path / "x.wav", RATE).samples == samples).all()


def test_damaged_files_say_what_is_wrong(tmp_path: Path) -> None:
    whole = put(tmp_path / "whole.wav").read_bytes()

    def wrong(data: bytes) -> str:
        with pytest.raises(Unreadable) as caught:
            soundfiles.decode(data, RATE)
        return caught.value.what

    assert "empty" in wrong(b"")
    assert "cut short" in wrong(whole[: len(whole) // 2])
    assert "no sound that can be decoded" in wrong(b"<html>404</html>" * 10)
    assert "less than 25 ms" in wrong(put(tmp_path / "s.wav", tone(seconds=0.01)).read_bytes())
    flac = put(tmp_path / "x.flac").read_bytes()
    assert wrong(flac[: len(flac) // 2])
    slow = bytearray(whole)
    slow[24:28] = (80).to_bytes(4, "little")
    assert "80 Hz" in wrong(bytes(slow))


def test_silence_clipping_and_cancelling_channels_are_seen(tmp_path: Path) -> None:
    flag = soundfiles.FLAGS
    silent = put(tmp_path / "0.wav", np.zeros(4000))
    assert soundfiles.decode(silent, RATE).flags == flag["silent"]
    clipped = put(tmp_path / "1.wav", np.clip(4 * tone(), -0.99, 0.99))
    assert soundfiles.decode(clipped, RATE).flags == flag["clipped"]
    against = put(tmp_path / "2.wav", np.stack([tone(), -tone()], 1))
    found = soundfiles.decode(against, RATE)
    assert found.flags == flag["cancelling"]
    assert np.abs(found.samples).max() > 10_000
    assert soundfiles.decode(put(tmp_path / "3.wav"), RATE).flags == 0


def test_a_recording_is_read_in_windows_that_overlap(tmp_path: Path) -> None:
    put(tmp_path / "x.wav", tone(seconds=2.5))
    pieces = list(soundfiles.windows(tmp_path / "x.wav", RATE, 1.0, 0.25))
    assert [start for start, _ in pieces] == [0.0, 0.75, 1.5]
    assert [len(samples) for _, samples in pieces] == [8000, 8000, 8000]
    assert (pieces[0][1][6000:] == pieces[1][1][:2000]).all()


# --- The source -----------------------------------------------------------------------------------


def test_damaged_sounds_are_left_out_and_oddities_told(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "low" / "9.wav").write_bytes(b"")
    put(tmp_path / "high" / "8.wav", np.zeros(2000))
    put(tmp_path / "high" / "9.wav", np.stack([tone(rate=44100)] * 2, 1), 44100)
    source = sounds.open_sounds(tmp_path, Ask())
    rows = torch.arange(len(source))
    facts = source.facts(rows)
    assert (facts.rate, facts.classes, facts.class_counts) == (RATE, ["high", "low"], [8, 6])
    examples = source.examples(rows, facts)
    assert len(examples) == 14
    told = {problem.what for problem in source.problems}
    assert "is empty (0 bytes)" in told
    assert any("silent" in what for what in told)
    assert any("several channels" in what for what in told)
    assert any("1 of 44,100 Hz" in what for what in told)
    batch = examples.batch(torch.tensor([0, 6]))
    assert batch.inputs.shape == (2, 1, 2400)
    assert batch.inputs[1, 0, 2000:].isnan().all()


def test_too_many_damaged_sounds_and_a_lost_class_are_refused(tmp_path: Path) -> None:
    classes(tmp_path / "a")
    for file in (tmp_path / "a" / "low").iterdir():
        file.write_bytes(b"")
    put(tmp_path / "a" / "high" / "x.wav")
    source = sounds.open_sounds(tmp_path / "a", Ask())
    with pytest.raises(UserError, match="not one sound of the class low"):
        source.facts(torch.arange(len(source)))
    (tmp_path / "a" / "high" / "0.wav").write_bytes(b"")
    (tmp_path / "a" / "high" / "1.wav").write_bytes(b"")
    source = sounds.open_sounds(tmp_path / "a", Ask())
    with pytest.raises(UserError, match="sounds cannot be used"):
        source.facts(torch.arange(len(source)))


def test_nobody_is_heard_in_two_parts_when_speakers_are_kept_apart(tmp_path: Path) -> None:
    for speaker in range(8):
        for label in "ab":
            put(tmp_path / f"{label}_s{speaker}_0.wav")
    ask = Ask(names="{label}_{speaker}_{take}", speakers="apart")
    source = sounds.open_sounds(tmp_path, ask)
    drawn = splits.draw(source, Split())
    voices = [
        {(source.found.speakers or [])[row] for row in part.tolist()}
        for part in (drawn.train, drawn.validation, drawn.test)
    ]
    assert all(voices)
    assert len(set.union(*voices)) == sum(map(len, voices))
    classes(tmp_path / "b")
    with pytest.raises(UserError, match="nothing says who speaks"):
        sounds.open_sounds(tmp_path / "b", Ask(speakers="apart"))


def test_sounds_on_the_disk_equal_those_in_memory_and_damage_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    classes(tmp_path / "a")
    rows = torch.arange(12)
    source = sounds.open_sounds(tmp_path / "a", Ask())
    facts = source.facts(rows)
    expected = source.examples(rows, facts).batch(rows).inputs

    monkeypatch.setattr(sounds, "HEAVY", 0)
    first = sounds.open_sounds(tmp_path / "a", Ask())
    facts = first.facts(rows[:6])
    again = sounds.open_sounds(tmp_path / "a", Ask())
    examples = again.examples(rows, facts)
    held = examples.sounds
    assert isinstance(held, OnDisk)
    assert torch.equal(examples.batch(rows).inputs, expected)
    assert not list((held.path).glob(".*"))

    path = held.path / "samples"
    data = bytearray(path.read_bytes())
    data[100] ^= 255
    path.write_bytes(bytes(data))
    third = sounds.open_sounds(tmp_path / "a", Ask())
    mended = third.examples(rows, facts)
    with pytest.warns(UserWarning, match="differed from its checksum"):
        assert torch.equal(mended.batch(rows).inputs, expected)
    path.write_bytes(b"")
    fourth = sounds.open_sounds(tmp_path / "a", Ask())
    assert torch.equal(fourth.examples(rows, facts).batch(rows).inputs, expected)
    assert any("cut short" in problem.what for problem in fourth.problems)


def test_raw_sounds_become_what_training_read(tmp_path: Path) -> None:
    classes(tmp_path, rate=16000)
    source = sounds.open_sounds(tmp_path, Ask(rate=RATE))
    facts = source.facts(torch.arange(12))
    trained = source.examples(torch.arange(12), facts).sound(0).numpy()
    file = tmp_path / source.name(0)
    samples, rate = soundfile.read(file)
    for raw in (
        file,
        str(file),
        file.read_bytes(),
        (samples, rate),
        [(np.stack([samples] * 2), rate)],
    ):
        _, (found,), failed, told = rawsounds.read_raw(raw, facts)
        assert (found == trained).all()
        assert not failed
        assert not told
    (tmp_path / "low" / "bad.wav").write_bytes(b"x")
    names, _, failed, _ = rawsounds.read_raw(tmp_path, facts)
    assert len(names) == 12
    assert failed[0].where == "low/bad.wav"
    with pytest.raises(UserError, match="does not say how fast"):
        rawsounds.read_raw(samples, facts)
    with pytest.raises(UserError, match="does not exist"):
        rawsounds.read_raw("nowhere.wav", facts)
    _, _, _, told = rawsounds.read_raw((np.zeros(4000), RATE), facts)
    assert "silent" in told[0].what


def test_a_look_tells_length_rate_and_what_is_wrong(tmp_path: Path) -> None:
    classes(tmp_path)
    put(tmp_path / "low" / "a.wav", np.zeros(4000))
    put(tmp_path / "low" / "b.wav", tone(seconds=12))
    (tmp_path / "low" / "c.wav").write_bytes(b"")
    look = sources.look(tmp_path)
    assert look.kind == "sounds"
    summary = dict(look.summary)
    assert summary["Sounds"] == "15"
    assert summary["Rates"] == "8,000 Hz 14"
    assert "median 0.30 s" in summary["Length"]
    told = " ".join(problem.what for problem in look.problems)
    for what in ("empty", "silent", "longer than 10 s"):
        assert what in told
    assert json.dumps(look.details)


def test_a_flat_folder_is_read_by_the_names_that_its_files_seem_to_follow(tmp_path: Path) -> None:
    for label in ("yes", "no"):
        for take in range(6):
            put(tmp_path / f"{label}_{take}.wav")
    look = sources.look(tmp_path)
    assert look.details["classes"] == {"yes": 6, "no": 6}
    assert "--names '{label}_{part2}'" in look.problems[0].remedy


# --- Before the network ---------------------------------------------------------------------------


def slaney_mel(rate: int, size: int, mels: int) -> NDArray[np.float64]:
    """The filters of librosa.filters.mel, written down a second time with loops."""

    def to_hertz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)

    high = rate / 2
    top = 15 + 27 * math.log(high / 1000) / math.log(6.4) if high > 1000 else high * 3 / 200
    low = 20 * 3 / 200
    edges = [to_hertz(low + (top - low) * n / (mels + 1)) for n in range(mels + 2)]
    found = np.zeros((mels, size // 2 + 1))
    for band in range(mels):
        a, b, c = edges[band : band + 3]
        for place in range(size // 2 + 1):
            hertz = place * rate / size
            found[band, place] = max(0.0, min((hertz - a) / (b - a), (c - hertz) / (c - b)))
        found[band] *= 2 / (c - a)
    return found


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_the_spectrogram_is_the_published_one(rate: int) -> None:
    front = LogMel(rate, mels=40, normalize="none")
    size, hop, window = front.num_fft, round(0.01 * rate), round(0.025 * rate)
    wave = np.random.default_rng(0).standard_normal(rate // 3).astype(np.float32) * 0.1
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    shape = np.pad(hann, ((size - window) // 2, size - window - (size - window) // 2))
    padded = np.pad(wave, (size // 2, size))
    frames = math.ceil(len(wave) / hop)
    power = [
        np.abs(np.fft.rfft(padded[u * hop : u * hop + size] * shape)) ** 2 for u in range(frames)
    ]
    expected = np.log(slaney_mel(rate, size, 40) @ np.array(power).T)
    found = front(torch.from_numpy(wave)[None, None])[0]
    assert found.shape == (40, frames)
    assert np.abs(found.numpy() - expected).max() < 5e-5


@pytest.mark.parametrize("normalize", ["sound", "band"])
def test_neither_padding_nor_loudness_changes_a_spectrogram(normalize: str) -> None:
    front = LogMel(RATE, mels=40, normalize=normalize)  # type: ignore[arg-type]
    torch.manual_seed(0)
    wave = torch.randn(2, 1, 5000) * 0.1
    wave[1, :, 3001:] = torch.nan
    found = front(wave)
    assert found.shape == (2, 40, 63)
    assert found[1, :, 38:].isnan().all()
    alone = front(wave[1:, :, :3001])
    assert torch.allclose(found[1, :, :38], alone[0], atol=1e-5)
    assert torch.allclose(front(wave / 7)[0], found[0], atol=1e-4)
    click = torch.zeros(2, 1, 5000)
    click[:, :, 2950:2956] = 1  # nearer to a frame behind the end than to the last one
    click[1, :, 2956:] = torch.nan
    alone = front(click[1:, :, :2956])
    assert torch.allclose(front(click)[1, :, :37], alone[0], atol=1e-5)
    assert found[0].mean().abs() < 1e-4
    assert not front(torch.zeros(1, 1, 4000)).isnan().any()


def test_stripes_are_hidden_while_training_only() -> None:
    torch.manual_seed(0)
    hide = SpecAugment(bands=2, band_share=0.2, times=2, time_share=0.1)
    mels = torch.randn(50, 40, 100)
    mels[::2, :, 60:] = torch.nan
    found = hide(mels)
    assert torch.equal(found.isnan(), mels.isnan())
    share = (found == 0).float().mean()
    assert 0.1 < share < 0.4
    assert torch.equal(hide.eval()(mels[1]), mels[1])


def test_waves_change_while_training_and_keep_their_ends() -> None:
    torch.manual_seed(0)
    wave = torch.randn(16, 1, 4000)
    wave[3, :, 2500:] = torch.nan
    assert torch.equal(NO_CHANGE.changed(wave, RATE).nan_to_num(9), wave.nan_to_num(9))
    moved = Waves(speed=0, shift=0.05, noise=1, gain=6).changed(wave, RATE)
    assert torch.equal(moved.isnan(), wave.isnan())
    faster = Waves(speed=0.2, shift=0, noise=0, gain=0).changed(wave, RATE)
    lengths = (~faster[:, 0].isnan()).sum(1)
    assert 4000 / 1.2 <= int(lengths[4:].min()) < 4000 < int(lengths.max()) <= 4000 / 0.8
    assert 2500 / 1.2 <= int(lengths[3]) <= 2500 / 0.8
    # A tone that is played faster is a higher tone.
    pitch = torch.from_numpy(tone(400, 1.0)).float().expand(64, 1, -1)
    zeros = (Waves(speed=0.2, shift=0, noise=0, gain=0).changed(pitch, RATE)[:, 0] > 0).float()
    crossings = zeros.diff(dim=1).abs().nansum(1)
    assert crossings.min() > 780
    assert crossings.max() < 820


def test_a_spectronet_answers_a_sound_the_same_whatever_it_is_padded_with() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(LogMel(RATE, mels=40), SpectroNet((40, 60), 3))
    wave = torch.randn(4, 1, 4000)
    wave[0, :, 2000:] = torch.nan
    loss = net(wave).logsumexp(1).sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    net.eval()
    both = net(wave)
    assert torch.allclose(both[:1], net(wave[:1, :, :2000]), atol=1e-5)
    assert both.isfinite().all()


def test_examples_on_a_gpu_equal_those_on_the_cpu(tmp_path: Path) -> None:
    classes(tmp_path)
    source = sounds.open_sounds(tmp_path, Ask())
    facts = source.facts(torch.arange(12))
    examples = source.examples(torch.arange(12), facts)
    joined = examples._joined(examples.rows, examples.targets)
    assert isinstance(joined, SignalExamples)
    index = torch.tensor([3, 1])
    assert torch.equal(joined.batch(index).inputs, examples.batch(index).inputs)
    assert isinstance(facts, SoundFacts)


def test_sounds_in_an_archive_are_those_in_the_folder(tmp_path: Path) -> None:
    classes(tmp_path / "set", each=3)
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "set")
    shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path, "set")
    rows = torch.arange(6)
    expected = sounds.open_sounds(tmp_path / "set", Ask())
    batch = expected.examples(rows, expected.facts(rows)).batch(rows)
    for name in ("packed.zip", "packed.tar.gz"):
        source = sounds.open_sounds(tmp_path / name, Ask())
        found = source.examples(rows, source.facts(rows)).batch(rows)
        assert torch.equal(found.inputs, batch.inputs)
        assert torch.equal(found.targets, batch.targets)
        assert sources.look(tmp_path / name).details["num_rows"] == 6


def test_the_nearest_neighbour_tells_what_it_left_out_to_save_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sounds_ = [torch.from_numpy(tone(200 + 20 * n)).float()[:, None] for n in range(40)]
    starts = torch.tensor([0, *map(len, sounds_)]).cumsum(0)
    rows = torch.arange(40)
    known = SignalExamples(rows, torch.cat(sounds_), starts, rows // 20)
    front = LogMel(RATE, mels=24)
    whole = spectral.nearest(known, known, 2, front)
    assert whole.notes == ("it compared the means of 2 frames each, to save time",)
    assert torch.equal(whole.outputs.argmax(1), known.targets)
    monkeypatch.setattr(spectral, "MOST", 1e5)
    (note,) = spectral.nearest(known, known, 2, front).notes
    assert note == (
        "it compared the means of 6 frames each, with 20 of the 40 known sounds, to save time"
    )
