"""What in sounds, series, DNA and a past speaks for an answer: what was planted must be found."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import glassnet
from glassnet import evaluate
from glassnet.data import tides
from glassnet.errors import UserError
from glassnet.explain import (
    numbers,
    numbertrust,
    questions,
    sequences,
    sequencesfigures,
    sequencesgiven,
    sequencesplaces,
)
from glassnet.explain.sequences import Asker, Sequences
from glassnet.explain.sequencesgiven import Given
from glassnet.figures import page
from glassnet.networks._sound import LogMel
from glassnet.networks.patchtst import PatchTST
from glassnet.signals import hearing
from glassnet.task import Axes, Outcome

RATE = 8000


class Louder(nn.Module):
    """Class 1 if anything ever gets louder in the band that hears it."""

    def __init__(self, front: LogMel, band: int) -> None:
        super().__init__()
        self.front, self.band = front, band
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[-1.0], [1.0]]))
            self.head.bias.zero_()

    def forward(self, sounds_B1S: Tensor) -> Tensor:
        """(B, 1, S) -> (B, 2)."""
        heard_BU = self.front(sounds_B1S)[:, self.band].nan_to_num()
        answer: Tensor = self.head(heard_BU.logsumexp(1, keepdim=True) - 3)
        return answer


class Matches(nn.Module):
    """Class 1 if a pattern (C, W) is found anywhere in a sequence (B, C, T)."""

    def __init__(self, pattern_CW: Tensor) -> None:
        super().__init__()
        channels, width = pattern_CW.shape
        self.look = nn.Conv1d(channels, 1, width, bias=False)
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.look.weight.copy_(pattern_CW[None])
            self.head.weight.copy_(torch.tensor([[-1.0], [1.0]]))
            self.head.bias.copy_(torch.tensor([2.0, -2.0]))

    def forward(self, signals_BCT: Tensor) -> Tensor:
        """(B, C, T) -> (B, 2)."""
        there_BT = ~signals_BCT.isnan().all(1)
        found_B1T = self.look(signals_BCT.nan_to_num())
        gaps_BT = nn.functional.pad(there_BT, (0, 0))[:, self.look.kernel_size[0] - 1 :]
        best_B1 = found_B1T.masked_fill(~gaps_BT[:, None], -9).mul(3).logsumexp(2) / 3
        answer: Tensor = self.head(best_B1)
        return answer


class Lag(nn.Module):
    """Forecasts each step as the first variable was some steps ago, plus half of what is known."""

    def __init__(self, lag: int, horizon: int) -> None:
        super().__init__()
        self.lag, self.horizon = lag, horizon
        self.weight = nn.Parameter(torch.tensor([[2.0, 0.5]]))

    def forward(self, series_BCT: Tensor) -> Tensor:
        """(B, 2, L + H) -> (B, 1, H, 1)."""
        past = series_BCT.shape[2] - self.horizon
        told_BH = series_BCT[:, 0, past - self.lag, None].expand(-1, self.horizon)
        known_BH = series_BCT[:, 1, past:]
        answer_BH = self.weight[0, 0] * told_BH + self.weight[0, 1] * known_BH
        return answer_BH[:, None, :, None]


class Whistled(nn.Module):
    """Writes a letter where a tone is heard, another one for each of two bands."""

    def __init__(self, front: LogMel, bands: tuple[int, int]) -> None:
        super().__init__()
        self.front, self.bands = front, list(bands)

    def forward(self, sounds_B1S: Tensor) -> Tensor:
        """(B, 1, S) -> (B, U, 4): blank, space, a, b."""
        heard_BMU = self.front(sounds_B1S)
        tones_B2U = heard_BMU[:, self.bands]
        ended_BU = heard_BMU[:, 0].isnan()
        space_B1U = torch.full_like(tones_B2U[:, :1], -5.0)
        logits_B4U = torch.cat([torch.ones_like(space_B1U), space_B1U, tones_B2U], 1)
        return logits_B4U.masked_fill(ended_BU[:, None], torch.nan).mT


class Letters:
    """The vocabulary of ``Whistled``."""

    def token(self, number: int) -> str:
        return ["", " ", "a", "b"][number]

    def encode(self, texts: list[str]) -> list[list[int]]:
        return [[" ab".index(letter) + 1 for letter in text] for text in texts]


def beep(hertz: float, begin: float, seconds: float = 1.0) -> Tensor:
    """Noise with a tone of 0.1 s in it, (1, 1, S)."""
    time_S = torch.arange(round(seconds * RATE)) / RATE
    noise_S = torch.randn(len(time_S), generator=torch.Generator().manual_seed(0)) * 0.002
    inside_S = (time_S >= begin) & (time_S < begin + 0.1)
    return (noise_S + inside_S * (2 * torch.pi * hertz * time_S).sin() * 0.5)[None, None]


def explained(
    network: nn.Module, signals: Tensor, axes: Axes, classes: Any = ("no", "yes"), **more: Any
) -> Sequences:
    chosen = {name: way[0] for name, way in numbers.METHODS.items()}
    given = Given("planted", signals, answer=None if axes.horizon or axes.tokens else "yes")
    return Asker(network.eval(), axes, classes, chosen, **more).explain([given], check=True)


def strongest(found: Sequences, method: int) -> tuple[int, int]:
    """The first row and column of the tile with the strongest evidence."""
    one = found.examples[0]
    values = torch.tensor(one.explained[0].evidence[method].values).view(one.field.shape)
    sums = torch.zeros(int(one.tiles.max()) + 1).index_add(0, one.tiles.flatten(), values.flatten())
    row, column = (one.tiles == int(sums.argmax())).nonzero()[0].tolist()
    return row, column


@pytest.fixture(scope="module")
def heard() -> Sequences:
    """One telling beep, of 1,500 Hz at 0.6 s, in a second of noise."""
    front = LogMel(RATE, mels=32, normalize="sound")
    band = int((front.filters_FM.argmax(0) * RATE / front.num_fft - 1500).abs().argmin())
    return explained(Louder(front, band), beep(1500, 0.6), hearing.axes(nn.Sequential(front), RATE))


@pytest.mark.parametrize("method", [0, 1, 2])
def test_the_telling_beep_is_found_in_time_and_frequency(heard: Sequences, method: int) -> None:
    row, column = strongest(heard, method)
    assert 55 <= column <= 70
    assert abs(heard.axes.rows[-1][0] - 1) < 0.3
    place = sequencesplaces.place(heard.examples[0], 0, heard.axes)
    assert place.startswith("0–")
    assert row >= 12


def test_integrated_gradients_of_a_sound_are_complete_and_pass_the_checks(heard: Sequences) -> None:
    evidence = heard.examples[0].explained[0].evidence[0]
    assert evidence.complete
    assert heard.checks[0].finds
    assert "passes both checks" in heard.checks[0].text or not heard.checks[0].follows


def test_a_sound_is_drawn_with_its_spectrogram_and_told_in_seconds(heard: Sequences) -> None:
    assert "0.6" in heard.text and "kHz" in heard.text
    sounds = heard.document.sections[0].blocks[0]
    assert sounds.kind == "sounds"
    assert [strip.label[:11] for strip in sounds.items[0].strips][:2] == [
        "spectrogram",
        "evidence fo",
    ]
    json.dumps(heard.to_json())


def bump() -> tuple[nn.Module, Tensor]:
    """A bump in the second of two channels, at the steps 60 to 68; then padding."""
    pattern = torch.zeros(2, 9)
    pattern[1] = torch.hann_window(9, periodic=False) / 2
    signal = torch.randn(1, 2, 120, generator=torch.Generator().manual_seed(1)) * 0.05
    signal[0, 1, 60:69] += torch.hann_window(9, periodic=False) * 3
    signal[0, :, 110:] = torch.nan
    signal[0, 0, 20:30] = torch.nan  # missing in one channel: a gap, no end
    return Matches(pattern), signal


def test_the_telling_bump_of_a_series_is_found_in_its_channel() -> None:
    found = explained(*bump(), Axes(("still", "moving")))
    for method in (0, 1, 2):
        row, column = strongest(found, method)
        assert row == 1
        assert 54 <= column <= 68
    assert found.examples[0].explained[0].evidence[0].complete
    assert found.checks[0].finds
    assert "of moving" in found.text
    kinds = [block.kind for block in found.document.sections[0].blocks]
    assert kinds.count("lines") == 6 and "grid" in kinds


def test_padding_changes_no_evidence() -> None:
    network, signal = bump()
    longer = nn.functional.pad(signal, (0, 30), value=torch.nan)
    one, other = (
        torch.tensor(explained(network, s, Axes()).examples[0].explained[0].evidence[0].values)
        for s in (signal, longer)
    )
    assert torch.allclose(one.view(2, -1), other.view(2, -1)[:, :120], atol=1e-5)
    assert not other.view(2, -1)[:, 110:].any()


def test_the_planted_motif_of_dna_is_found_and_every_change_of_it_costs() -> None:
    motif = "TATAAT"
    pattern = torch.zeros(4, 6)
    pattern[["ACGT".index(letter) for letter in motif], range(6)] = 1
    letters = "GCGGCATCGA" + motif + "GCCGCTTACGGC"
    signal = nn.functional.one_hot(torch.tensor(["ACGT".index(x) for x in letters]), 4).T.float()
    axes = Axes(list("ACGT"), unit="position", first=1, letters=True)
    network = Matches(pattern)
    with torch.no_grad():
        network.head.bias.mul_(2.2)
    found = explained(network, signal[None], axes)
    one = found.examples[0]
    assert all(10 <= strongest(found, method)[1] < 16 for method in (0, 1, 2))
    assert one.mutated is not None
    costs = one.mutated.nan_to_num().min(0).values
    assert set(costs.argsort()[:6].tolist()) == set(range(10, 16))
    logo = found.document.sections[0].blocks[0]
    assert logo.kind == "logo" and logo.first == 1
    assert "at 1" in found.text


def test_a_forecast_that_hangs_on_one_lag_looks_back_at_it() -> None:
    lag, horizon = 7, 4
    series = torch.randn(1, 2, 34, generator=torch.Generator().manual_seed(2))
    axes = Axes(("load", "price"), variables=1, horizon=horizon, scale=[(10.0, 100.0), (1.0, 0.0)])
    found = explained(Lag(lag, horizon), series, axes, classes=(), step=3)
    one, evidence = found.examples[0], found.examples[0].explained[0].evidence[0]
    values = torch.tensor(evidence.values).view(2, 34)
    place = (0, 30 - lag)
    # Linear: what a step adds is its weight times its distance from the mean, in people's unit.
    mean = series[0, 0, :30].mean()
    assert values[place] == pytest.approx(float(20 * (series[0, 0, 30 - lag] - mean)), rel=1e-3)
    assert set(values.abs().nonzero()[:, 0].tolist()) == {0, 1}
    assert (values[0].abs() > 1e-5).sum() == 1
    assert (values[1].abs() > 1e-5).nonzero().flatten().tolist() == [32]
    assert evidence.complete
    assert one.explained[0].about == "load, 3 steps ahead"
    wanted = 10 * (2 * series[0, 0, 30 - lag] + 0.5 * series[0, 1, 32]) + 100
    assert one.explained[0].value == pytest.approx(float(wanted), rel=1e-4)
    assert "of load" in found.text


def test_the_weights_of_the_regression_stand_beside_those_of_the_network() -> None:
    torch.manual_seed(0)
    network = PatchTST((3, 14), 5, variables=2, horizon=4, patch=4, stride=4).eval()
    weights_LH = torch.randn(10, 4)
    assert network.answer.regression is not None
    network.answer.regression.past_GLH[1] = weights_LH
    series = torch.randn(1, 3, 14)
    series[0, :2, 10:] = torch.nan
    axes = Axes(("load", "load, 2"), variables=2, horizon=4, middle=2, scale=[(10.0, 1.0)] * 3)
    found = explained(network, series, axes, classes=(), about="load, 2", step=3)
    back = found.examples[0].lookback
    assert back is not None and back.regression is not None and back.attention is not None
    # The mean of the window is taken off before, and put back behind.
    wanted_L = weights_LH[:, 2] + (1 - weights_LH[:, 2].sum()) / 10
    assert torch.allclose(torch.tensor(back.regression), wanted_L, atol=1e-5)
    assert torch.tensor(back.slope).isfinite().all()
    assert torch.allclose(back.attention.shares_LPP.sum(2), torch.ones(3, 3))
    assert back.attention.places == [(0, 1), (2, 5), (6, 9)]
    blocks = found.document.sections[0].blocks
    weights = next(block for block in blocks if "weighs for" in block.title)
    assert list(weights.series[0].x) == list(range(-9, 1))
    attention = [block for block in blocks if "attention" in block.title]
    assert [list(block.row_labels) for block in attention] == [
        ["−9 to −8", "−7 to −4", "−3 to 0"]
    ] * 3
    json.dumps(found.to_json())


def test_the_first_step_of_a_forecast_is_drawn_one_step_ahead() -> None:
    axes = Axes(("load", "price"), variables=1, horizon=4)
    found = explained(Lag(1, 4), torch.randn(1, 2, 34), axes, classes=(), step=1)
    drawn = found.document.sections[0].blocks[0]
    assert [one.x[-1] for one in drawn.series if one.name == "past"] == [0]
    assert [list(one.x) for one in drawn.series if one.name == "forecast"] == [[1, 2, 3, 4]]
    assert "+0 steps of load" in " ".join(found.text.split())
    assert sequencesplaces.ahead(axes, 34)[-5:] == [0, 1, 2, 3, 4]


def test_of_the_largest_errors_the_variable_that_went_wrong_is_drawn() -> None:
    network = PatchTST((2, 14), 5, variables=2, horizon=4).eval()
    series, axes = torch.randn(1, 2, 14), Axes(("tide", "warmth"), variables=2, horizon=4, middle=2)
    came = network(questions.future_hidden(series, axes))[0, :, :, 2].detach()
    came[1] += 5
    given = Given("worst", series, future=came)
    found = Asker(network, axes, (), {}).explain([given], check=False)
    assert found.document.sections[0].blocks[0].y_label == "warmth"


def test_windows_that_share_a_part_of_their_future_are_shown_once() -> None:
    moments = torch.tensor([[0, 10], [0, 11], [1, 10], [0, 14], [0, 6]])
    outcome = Outcome(torch.zeros(5, 1, 4, 5), torch.zeros(5, 1, 4, 4), moments=moments)
    assert sequencesgiven.apart([1, 0, 2, 3, 4], outcome) == [1, 2, 4]
    assert sequencesgiven.apart([0, 1, 3], outcome) == [0, 3]


def test_wrong_steps_and_variables_of_a_forecast_are_refused() -> None:
    axes = Axes(("load",), variables=1, horizon=4)
    series = torch.zeros(1, 2, 34)
    with pytest.raises(UserError, match="--step 5: the run forecasts 4 steps"):
        questions.of_step(Lag(2, 4), series, axes, None, 5)
    with pytest.raises(UserError, match="--class lode.*mean 'load'|--class lode.*Variables: load"):
        questions.of_step(Lag(2, 4), series, axes, "lode", 1)


def test_letters_and_words_of_speech_stand_where_they_were_said() -> None:
    front = LogMel(RATE, mels=32)
    centres = front.filters_FM.argmax(0) * RATE / front.num_fft
    bands = tuple(int((centres - hertz).abs().argmin()) for hertz in (600, 1500))
    sound = beep(600, 0.2) + beep(1500, 0.7)
    axes = hearing.axes(nn.Sequential(front), RATE, Letters(), 0.01)
    found = explained(Whistled(front, (bands[0], bands[1])), sound, axes, classes=())
    one = found.examples[0]
    assert one.answer == "ab"
    assert [letter.text for letter in one.letters] == ["a", "b"]
    assert 0.15 <= one.letters[0].begin <= 0.25
    assert 0.65 <= one.letters[1].begin <= 0.75
    tracks = found.document.sections[0].blocks[0].items[0].tracks
    assert [track.name for track in tracks] == ["words", "letters"]
    with pytest.raises(UserError, match="--class ba: no such word was heard"):
        explained(Whistled(front, (bands[0], bands[1])), sound, axes, classes=(), about="ba")


@pytest.fixture
def two_tones() -> tuple[nn.Module, Tensor, Axes]:
    """What writes a at 0.2 s and b at 0.7 s."""
    front = LogMel(RATE, mels=32)
    centres = front.filters_FM.argmax(0) * RATE / front.num_fft
    low, high = (int((centres - hertz).abs().argmin()) for hertz in (600, 1500))
    axes = hearing.axes(nn.Sequential(front), RATE, Letters(), 0.01)
    return Whistled(front, (low, high)).eval(), beep(600, 0.2) + beep(1500, 0.7), axes


def test_the_text_that_was_answered_is_aligned_and_not_the_best_path(
    two_tones: tuple[nn.Module, Tensor, Axes],
) -> None:
    network, sound, axes = two_tones
    assert axes.spell is not None
    _, letters, words = questions.of_words(network, sound, axes, None, axes.spell("a b"))
    assert [letter.text for letter in letters] == ["a", " ", "b"]
    assert [word.text for word in words] == ["a", "b"]
    assert letters[0].begin < letters[1].begin < letters[2].begin
    asked, letters, words = questions.of_words(network, sound, axes, None, axes.spell("b"))
    assert [(letter.text, 0.65 <= letter.begin <= 0.75) for letter in letters] == [("b", True)]
    assert [question.about for question in asked] == ["b"]
    given = Given("planted", sound, tokens=axes.spell("a b"))
    shown = Asker(network, axes, (), {}).explain([given], check=False).examples[0]
    assert shown.answer == "a b"


def test_letters_keep_their_time_in_a_recording_that_ends_within_a_frame(
    two_tones: tuple[nn.Module, Tensor, Axes],
) -> None:
    network, sound, axes = two_tones
    _, whole, _ = questions.of_words(network, sound, axes, None)
    _, cut, _ = questions.of_words(network, sound[:, :, : round(0.801 * RATE)], axes, None)
    assert [one.begin for one in cut] == pytest.approx([one.begin for one in whole])


def test_a_recording_is_drawn_to_its_end_and_evenly(
    two_tones: tuple[nn.Module, Tensor, Axes],
) -> None:
    network, sound, axes = two_tones
    cut = sound[:, :, : round(0.713 * RATE)]
    found = Asker(network, axes, (), {}).explain([Given("cut", cut)], check=False)
    heard = sequencesfigures.heard(found).items[0]
    assert [span.end for track in heard.tracks for span in track.spans][-1] == heard.seconds
    # A tone that does not change must not look as if it did.
    steady = (2 * torch.pi * 440 * torch.arange(1700) / RATE).sin()[None, None]
    found = Asker(network, axes, (), {}).explain([Given("steady", steady)], check=False)
    lows, highs = sequencesfigures.heard(found).items[0].wave
    heights = torch.tensor(highs[:-1]) - torch.tensor(lows[:-1])
    left, right = (float(half.mean()) for half in heights.tensor_split(2))
    assert left == pytest.approx(right, rel=0.05)


def test_a_frame_of_a_spectrogram_is_drawn_around_its_time() -> None:
    drawn = sequencesfigures.centred(torch.arange(4.0)[None])
    assert drawn.tolist() == [[0, 1, 1, 2, 2, 3, 3, 3]]


def test_silence_has_no_word_and_is_still_drawn() -> None:
    front = LogMel(RATE, mels=32)
    axes = hearing.axes(nn.Sequential(front), RATE, Letters(), 0.01)
    found = explained(Whistled(front, (9, 20)), torch.zeros(1, 1, 800), axes, classes=())
    assert found.examples[0].answer == "nothing"
    assert "sounds" in page(found.document)


def test_evidence_that_stays_alike_with_other_weights_is_told() -> None:
    network, signal = bump()
    question = questions.of_class(network.eval(), signal, Axes(), ["no", "yes"], "yes")

    def of_the_input(asked: numbers.Asked) -> Any:
        values = asked.field_FU.nan_to_num().abs().flatten().tolist()
        return numbers.Attribution("loudness", values)

    check = numbertrust.check("loudness", of_the_input, [question.asked])
    assert not check.follows
    assert "beware" in check.text or "not to be trusted" in check.text


# --- Through a run --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    runs = tmp_path_factory.mktemp("runs")
    return glassnet.train("tones", epochs=2, threads=1, runs=runs, show=False)


def test_a_run_explains_its_validation_examples_and_draws_itself(run: Any) -> None:
    found = run.explain(show=False)
    assert isinstance(found, Sequences)
    assert 1 <= len(found.examples) <= 4
    assert "<iframe" in found._repr_html_()
    assert all(e.complete for one in found.examples for e in one.explained[0].evidence)


def test_the_report_lets_people_hear_the_largest_errors(run: Any) -> None:
    report = (run.path / "report.html").read_text()
    assert "The largest errors" in report
    assert "data:audio/wav" in report
    assert len(report) < 1_500_000


def test_where_nothing_is_wrong_the_least_sure_answers_are_shown(run: Any) -> None:
    trained = run._trained
    review = evaluate.look(trained, "validation", trained.source())
    told = replace(review.outcome, targets=review.outcome.outputs.argmax(1))
    parts = sequences.reviewed(trained, replace(review, outcome=told))
    assert parts is not None
    assert parts[0].examples
    assert all(one.truth == one.answer for one in parts[0].examples)


def test_what_does_not_go_together_is_refused(run: Any) -> None:
    for given, said in (
        ({"step": 2}, "--step is for forecasts"),
        ({"layer": "0"}, "--layer is for networks"),
        ({"about": "rise"}, "--class says what is explained"),
        ({"methods": ["gradcam"]}, "no such method for sequences"),
    ):
        with pytest.raises(UserError, match=said):
            run.explain(show=False, **given)


def test_of_a_history_the_forecast_that_is_answered_is_explained(tmp_path: Path) -> None:
    run = glassnet.train("tides", epochs=1, threads=1, runs=tmp_path, show=False)
    history = tmp_path / "history.csv"
    history.write_text(tides.as_csv())
    found = run.explain(history, methods=["integrated_gradients"], about="tide", show=False)
    (answer,) = run.predict(history)
    (one,) = found.examples
    assert not found.notes
    assert one.explained[0].value == pytest.approx(answer.answer[-1]["tide"], rel=1e-4)


def test_gradients_through_a_spectrogram_agree_with_finite_differences() -> None:
    sound = beep(1500, 0, 0.05).double().requires_grad_()
    front = LogMel(RATE, mels=8).double()
    assert torch.autograd.gradcheck(lambda s: front(s).nan_to_num(), (sound,), fast_mode=True)
