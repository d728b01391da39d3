"""Speech recognition: loss, search, mistakes, long recordings, transcripts, and bad input."""

from __future__ import annotations

import itertools
import math
import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nan
from trainings import glassnet

from glassnet.data import datasets, strings, tokens, transcripts
from glassnet.data.recordings import Found
from glassnet.data.sounds import Ask
from glassnet.data.spelling import normalized
from glassnet.data.transcripts import Wording
from glassnet.errors import UserError
from glassnet.network import build_network
from glassnet.networks._dropout import Dropout
from glassnet.recipe import NetworkKnobs
from glassnet.speech import beam, ctc, heard, mistakes, ngrams, transcribe, wording
from glassnet.speech.heard import FIXED, Weights
from glassnet.task import Outcome


def every_text(logs_UV: Tensor) -> dict[tuple[int, ...], float]:
    """The probability of each text: the sum over all paths."""
    shares: dict[tuple[int, ...], float] = {}
    frames, size = logs_UV.shape
    for path in itertools.product(range(size), repeat=frames):
        text = tuple(token for token, _ in itertools.groupby(path) if token)
        log = sum(float(logs_UV[frame, token]) for frame, token in enumerate(path))
        shares[text] = shares.get(text, 0.0) + math.exp(log)
    return shares


def random_logs(frames: int = 5, size: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, size, generator=generator).log_softmax(1)


# --- CTC ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_probability_of_all_paths(seed: int) -> None:
    logs_UV = random_logs(seed=seed)
    for text, share in every_text(logs_UV).items():
        if text:
            found = ctc.total(logs_UV[None], torch.tensor([text]))
            assert float(found) == pytest.approx(-math.log(share), rel=1e-4)


def test_padding_changes_neither_the_loss_nor_its_gradient() -> None:
    short_UV = torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([[1, 2]])
    ctc.loss(short_UV[None], targets).sum().backward()
    expected, short_UV.grad = short_UV.grad, None
    padded_BUV = torch.cat([short_UV, torch.full((3, 3), nan)])[None]
    ctc.loss(padded_BUV, torch.tensor([[1, 2, 0]])).sum().backward()
    assert expected is not None
    assert short_UV.grad is not None
    torch.testing.assert_close(short_UV.grad, expected)


def test_a_text_longer_than_its_frames_is_told_and_has_no_gradient() -> None:
    targets = torch.tensor([[1, 1, 2], [1, 2, 0]])
    assert ctc.needed(targets).tolist() == [4, 2]  # a blank must stand between equal tokens
    assert ctc.impossible(torch.tensor([3, 3]), targets).tolist() == [True, False]
    (said,) = ctc.told(torch.tensor([3, 3]), targets)
    assert said.startswith("1 of 2 training transcripts have more letters")
    logits = torch.randn(2, 3, 3, requires_grad=True)
    ctc.loss(logits, targets).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0].abs().sum() == 0
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("seed", range(5))
def test_forced_alignment_is_the_best_of_all_paths_that_spell_the_text(seed: int) -> None:
    logs_UV, text = random_logs(6, seed=seed), (1, 1, 2)
    best = -math.inf
    where: tuple[int, ...] = ()
    for path in itertools.product(range(3), repeat=6):
        if tuple(token for token, _ in itertools.groupby(path) if token) != text:
            continue
        log = sum(float(logs_UV[frame, token]) for frame, token in enumerate(path))
        if log > best:
            begins = [n for n, t in enumerate(path) if t and (n == 0 or path[n - 1] != t)]
            best, where = log, tuple(begins)
    found = ctc.align(logs_UV, text)
    assert found is not None
    assert found.log_probability == pytest.approx(best)
    assert found.frames == where
    assert ctc.align(logs_UV[:3], text) is None


# --- Search ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_a_wide_beam_finds_what_exhaustive_search_finds(seed: int) -> None:
    logs_UV = random_logs(seed=seed)
    shares = every_text(logs_UV)
    found = beam.search(logs_UV, 1000, least=-99)
    assert found[0].tokens == max(shares, key=lambda text: shares[text])
    assert {one.tokens: pytest.approx(math.exp(one.sound), rel=1e-5) for one in found} == shares


def facts_of(letters: str = "ab ", **more: Any) -> Any:
    vocabulary = tokens.learn([letters], "characters")
    return SimpleNamespace(vocabulary=vocabulary, spaced=True, **more)


def test_search_with_a_language_model_is_exhaustive_search_by_its_score() -> None:
    facts, model = facts_of(), ngrams.count([["a", "b"], ["b"], ["a"]], 2)
    fusion = wording.fusion(facts, model, 0.7, 0.3)
    logs_UV = random_logs(4, len(facts.vocabulary), seed=1)
    logs_UV[:, 1:4] = -math.inf  # unknown, begin and end are never heard
    shares = every_text(logs_UV)
    shares = {text: share for text, share in shares.items() if share > 0}

    def score(text: tuple[int, ...]) -> float:
        told, number = fusion.total(text)
        return math.log(shares[text]) + 0.7 * told + 0.3 * number

    found = beam.search(logs_UV, 10_000, fusion, least=-99)
    best = max(shares, key=score)
    assert found[0].score == pytest.approx(score(best), rel=1e-6)
    assert {one.tokens for one in found} == set(shares)


def test_n_grams_sum_to_one_and_know_what_follows() -> None:
    texts = [line.split() for line in ("turn on the light", "turn off the light", "on the wall")]
    model = ngrams.count(texts, 3)
    words = {word for text in texts for word in text} | {ngrams.END, "never"}
    for before in [(), ("turn",), ("turn", "on"), ("the",), ("never", "heard")]:
        assert sum(math.exp(model.score((*before, word))) for word in words) == pytest.approx(1)
    assert model.score(("on", "the", "light")) > model.score(("on", "the", "turn"))
    assert ngrams.NGrams.model_validate_json(model.model_dump_json()) == model


def test_weights_are_those_with_the_fewest_mistakes_and_choose_among_candidates() -> None:
    right, wrong = [-5.0, -1.0, 1.0, 0.0, 0.0], [-4.0, -9.0, 1.0, 1.0, 3.0]
    columns = torch.tensor(
        [[0.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 3.0, *wrong, *right]], dtype=torch.float64
    )
    answers = torch.tensor([[[4, 4, 4], [5, 5, 0]]])
    outcome = Outcome(columns, torch.tensor([[5, 5]]), answers)
    assert heard.wer(Weights(alpha=0, beta=0).apply(outcome)) == 1
    chosen = heard.choose(outcome)
    assert chosen.alpha > 0.1
    applied = chosen.apply(outcome)
    assert heard.wer(applied) == heard.cer(applied) == 0
    assert applied.outputs.shape == (1, FIXED)
    assert applied.answers is not None
    assert applied.answers.tolist() == [[5, 5, 0]]


# --- Mistakes -------------------------------------------------------------------------------------


def test_word_and_character_errors_are_those_of_jiwer() -> None:
    jiwer = pytest.importorskip("jiwer")
    dice = random.Random(0)
    for _ in range(200):
        said = [dice.choice("abcd") for _ in range(dice.randint(1, 9))]
        got = [dice.choice("abcd") for _ in range(dice.randint(0, 9))]
        judged = jiwer.process_words(" ".join(said), " ".join(got))
        expected = judged.substitutions + judged.deletions + judged.insertions
        assert mistakes.distance(said, got) == expected
        steps = mistakes.alignment(said, got)
        assert sum(step != "same" for step, _, _ in steps) == expected
        assert [one for _, one, _ in steps if one] == said
        assert [one for _, _, one in steps if one] == got


# --- Long recordings ------------------------------------------------------------------------------


def spoken(text: str, facts: Any, frames_each: int = 6) -> Tensor:
    """Frames (U, V) that spell a text, each letter once among blanks."""
    (numbers,) = facts.vocabulary.encode([text])
    rows = torch.full((len(numbers) * frames_each, len(facts.vocabulary)), -9.0)
    rows[:, ctc.BLANK] = 0
    for place, token in enumerate(numbers.tolist()):
        rows[place * frames_each + 2, token] = 5
    return rows.log_softmax(1)


def test_windows_that_overlap_are_joined_without_doubling_a_word() -> None:
    text = "ab ba aab b ab bba a b ab"
    facts = facts_of(text)
    logs_UV = spoken(text, facts)
    seconds, size, step = 0.04, 60, 40
    windows = [
        (first * seconds, logs_UV[first : first + size])
        for first in range(0, len(logs_UV) - size + step, step)
    ]
    assert len(windows) > 2
    done: list[float] = []
    found = transcribe.transcribe_windows(windows, seconds, transcribe.Search(), facts, done.append)
    assert found.text == text
    assert [word.text for word in found.words] == text.split()
    assert done[-1] == pytest.approx(len(logs_UV) * seconds)
    whole = transcribe.transcribe(logs_UV, seconds, transcribe.Search(), facts)
    assert found.words == whole.words
    begins = [word.begin for word in found.words]
    assert begins == sorted(begins)
    assert found.words[1].begin == pytest.approx((3 * 6 + 2) * seconds)


def test_the_letters_of_a_known_text_are_found_where_they_were_said() -> None:
    facts = facts_of("ab")
    found = transcribe.align(spoken("ab", facts), "ab", 0.04, facts)
    assert found is not None
    assert [(letter.text, round(letter.begin / 0.04)) for letter in found] == [("a", 2), ("b", 8)]


# --- The network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", ["frames", "signals"])
def test_a_conformer_answers_the_same_however_it_is_padded(reads: str) -> None:
    torch.manual_seed(0)
    knobs = NetworkKnobs(name="conformer", width=16, num_layers=2, num_heads=2, filters=4)
    network = build_network(knobs, (8, 50), 5, reads=reads).eval()
    signals = torch.randn(2, 8, 37)
    signals[1, :, 21:] = nan
    alone, both = network(signals[1:, :, :21]), network(signals)
    if reads == "frames":
        assert both.shape == (2, 10, 5)
        assert ctc.lengths(both).tolist() == [10, 6]
        both = both[:, :6]
    torch.testing.assert_close(alone[0], both[1], rtol=1e-4, atol=1e-5)
    network.train()(signals).nan_to_num().square().sum().backward()
    gradients = [weight.grad for weight in network.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in gradients)


def test_dropout_drops_its_share_scales_the_rest_and_is_drawn_from_the_generator() -> None:
    layer, ones = Dropout(0.25), torch.ones(100, 1001)
    torch.manual_seed(0)
    found = layer(ones)
    assert found.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(found.mean()) == pytest.approx(1, abs=0.01)
    assert float((found[:, 1:] == found[:, :-1]).float().mean()) == pytest.approx(0.625, abs=0.01)
    torch.manual_seed(0)
    assert layer(ones).equal(found)
    assert layer.eval()(ones).equal(ones)


# --- Transcripts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("HELLO, World.", "hello world"),
        ("It\N{RIGHT SINGLE QUOTATION MARK}s 'so-so' [noise]", "it's so so"),
        ("3,000.5 km <unk>", "3,000.5 km"),
        ("Stra\N{LATIN SMALL LETTER SHARP S}e \N{EM DASH} A\N{COMBINING DIAERESIS}rger!",
         "stra\N{LATIN SMALL LETTER SHARP S}e \N{LATIN SMALL LETTER A WITH DIAERESIS}rger"),
    ],
)  # fmt: skip
def test_transcripts_are_written_in_one_way(written: str, read: str) -> None:
    assert normalized(written, lowercase=True, punctuation=False) == read


def silence(path: Path, seconds: float = 0.5, rate: int = 8000) -> Path:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    noise = torch.randn(round(seconds * rate), generator=torch.Generator().manual_seed(0)) * 0.01
    soundfile.write(path, noise.numpy(), rate)
    return path


def test_recordings_without_a_word_and_words_without_a_recording_are_told(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "alone"):
        silence(tmp_path / "set" / f"{name}.wav")
    rows = ["path,text", "a.wav,One", "b.wav,...", "c.wav,two", "missing.wav,three"]
    (tmp_path / "set" / "list.csv").write_text("\n".join(rows), encoding="utf-8")
    source = transcripts.open_transcripts(tmp_path / "set", Ask(too_long="left out"), Wording())
    assert isinstance(source, transcripts.TranscriptSource)
    assert source.texts == ["one", "two"]
    told = " ".join(f"{problem.where} {problem.what}" for problem in source.problems)
    assert "b.wav" in told
    assert "empty transcript" in told
    assert "missing.wav" in told
    assert "alone.wav" in told
    facts = source.facts(torch.tensor([0]))
    examples = source.examples(torch.tensor([0, 1]), facts)
    assert examples.targets.shape == (2, 3)
    assert any("no training transcript has" in problem.what for problem in source.problems)


def test_a_language_model_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    silence(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("one", encoding="utf-8")
    own = Wording(beam=4, language_model=str(tmp_path / "book.txt"))
    source = transcripts.open_transcripts(tmp_path, Ask(), own)
    with pytest.raises(UserError, match=r"language_model='.*book\.txt' is no file"):
        source.facts(torch.tensor([0]))
    (tmp_path / "book.txt").write_text("One two.\n\nTwo!", encoding="utf-8")
    assert source.facts(torch.tensor([0])).texts == ["one two", "two"]


def test_strings_have_recordings_of_one_part_and_speaker() -> None:
    num = 60
    found = Found(
        files=None,  # type: ignore[arg-type]
        names=[f"{n}.wav" for n in range(num)],
        transcripts=[str(n % 10) for n in range(num)],
        speakers=[f"s{n % 3}" for n in range(num)],
        parts=["test" if n % 5 == 0 else "train" for n in range(num)],
    )
    drawn = strings.draw(found, "3-7")
    assert drawn == strings.draw(found, "3-7")
    sizes = {part: set() for part in ("train", "validation", "test")}  # type: dict[str, set[int]]
    for members, part in zip(drawn.members, drawn.parts, strict=True):
        sizes[part].add(len(members))
    assert sizes["test"] <= set(range(3, 8))
    assert sizes["train"] == set(range(1, 8))  # shorter ones are sooner learned from
    seen: dict[str, set[int]] = {"train": set(), "validation": set(), "test": set()}
    for members, part in zip(drawn.members, drawn.parts, strict=True):
        assert len({member % 3 for member in members}) == 1
        seen[part] |= set(members)
    assert all(member % 5 == 0 for member in seen["test"])
    assert not seen["train"] & seen["validation"]
    with pytest.raises(UserError, match="join='many'"):
        strings.read_range("many")


def test_strings_sound_as_their_recordings_and_say_their_words(tmp_path: Path) -> None:
    whistles = datasets.fetch("whistles")
    own = Wording(join="2-3")
    source = transcripts.open_transcripts(whistles, Ask(), own)
    assert isinstance(source, transcripts.StringSource)
    rows = torch.tensor([n for n, part in enumerate(source.parts) if part == "train"][:4])
    facts = source.facts(rows)
    examples = source.examples(rows, facts)
    batch = examples.batch(torch.arange(4))
    assert (~batch.inputs[:, 0].isnan()).sum(1).tolist() == examples.lengths.tolist()
    for row, said in zip(rows.tolist(), batch.targets.tolist(), strict=True):
        assert wording.spelled([token for token in said if token], facts) == source.texts[row]


def test_few_words_that_are_said_often_are_heard_whole(tmp_path: Path) -> None:
    place = Path(datasets.fetch("whistles"))
    rows = range(100)
    assert opened(place, None).facts(torch.tensor(rows)).vocabulary.unit == "characters"
    lines = (place / "list.csv").read_text(encoding="utf-8").splitlines()
    said = [line.partition(",")[0] + ",no" for line in lines[1:]]
    folder = tmp_path / "no"
    shutil.copytree(place, folder)
    (folder / "list.csv").write_text("\n".join([lines[0], *said]), encoding="utf-8")
    facts = opened(folder, None).facts(torch.tensor(rows))
    assert facts.vocabulary.unit == "words"
    assert (
        wording.spelled([int(t) for t in facts.vocabulary.encode(["no no"])[0]], facts) == "no no"
    )
    assert opened(folder, "characters").facts(torch.tensor(rows)).vocabulary.unit == "characters"


def opened(place: Path, unit: Any) -> Any:
    return transcripts.open_transcripts(place, Ask(), Wording(unit=unit))


# --- By the command line --------------------------------------------------------------------------


def test_a_run_writes_down_a_long_recording_and_tells_what_cannot_be_read(tmp_path: Path) -> None:
    small = ["--network.width", "16", "--network.hidden", "16", "--fit.epochs", "1"]
    done = glassnet("train", "whistles", *small, "--fit.threads", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    long = silence(tmp_path / "long.wav", seconds=40)
    done = glassnet("predict", run, long, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"certainty"' in done.stdout
    done = glassnet("decide", run, "--search", "beam: 3, alpha: 0.7, beta: 0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "3 beginnings at once" in said
    assert "weighed 0.7, each word +0 (not chosen on recordings)" in said
    done = glassnet("decide", run, "--search", "beam: 1", cwd=tmp_path)
    assert "Heard by the best path, without a language model." in done.stdout
    done = glassnet("decide", run, "--search", "units: words", cwd=tmp_path)
    assert done.returncode == 2
    assert "'units' cannot be changed after training; these can: beam, alpha, beta" in done.stderr
    (tmp_path / "text.wav").write_text("no sound at all", encoding="utf-8")
    done = glassnet("predict", run, tmp_path / "text.wav", cwd=tmp_path)
    assert done.returncode == 2
    assert "text.wav" in done.stderr
    assert "Traceback" not in done.stderr
