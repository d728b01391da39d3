"""Speech recognition: what is said in a recording, learned from recordings with transcripts.

Data: LibriSpeech's folders, a list (CSV, TSV, JSON lines) with a path and a text in each row, CMU
Sphinx' lists, a .txt beside each sound, or class folders; wav, flac, ogg, mp3 of any rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

from pydantic import model_validator
from torch import Tensor, nn

from glassnet import learners, progress
from glassnet.data import ragged, rawspeech, sources, transcripts
from glassnet.data.rawspeech import Long
from glassnet.data.soundcache import padded
from glassnet.data.sounds import Ask
from glassnet.data.transcripts import SpeechFacts, Wording
from glassnet.learners import between
from glassnet.network import build_network
from glassnet.optimizers import Muon
from glassnet.recipe import Fit, NetworkKnobs, Recipe
from glassnet.schedules import OneCycle
from glassnet.signals import listening as hearing
from glassnet.signals.hearing import axes
from glassnet.signals.listening import ApartSpeakers, HeldOut, Hide, Mel, Names, Rate
from glassnet.signals.waves import Waves
from glassnet.speech import ctc, heard, listening, models, transcribe, views
from glassnet.speech.heard import Weights
from glassnet.speech.knobs import (
    Alpha,
    Beam,
    Beta,
    Heard,
    Join,
    Language,
    Longest,
    Lowercase,
    NumTokens,
    Punctuation,
    Text,
)  # fmt: skip
from glassnet.speech.listening import Listener
from glassnet.task import Batch, Data, Examples, Look, Outcome, Prediction, Reading, Task

SCORED = 120.0
"""Seconds of sound, with their padding, that are heard at once when they are scored."""


class SpeechRecognition(Recipe):
    """The knobs of speech recognition."""

    network: NetworkKnobs = NetworkKnobs(name="conformer")
    fit: Fit = Fit(optimizer=Muon(), schedule=OneCycle(pct_start=0.15), clip=1.0)
    text: Text = None
    names: Names = None
    held_out: HeldOut = None
    speakers: ApartSpeakers = "mixed"
    rate: Rate = None
    longest: Longest = 30.0
    mel: Mel = Mel(bands=64, normalize="band")
    waves: Waves = Waves(shift=0.0, gain=0.0)
    hide: Hide = Hide()
    join: Join = None
    units: Heard = None
    vocabulary: NumTokens = 500
    lowercase: Lowercase = True
    punctuation: Punctuation = False
    beam: Beam = 16
    language_model: Language = "transcripts"
    alpha: Alpha = None
    beta: Beta = None

    @model_validator(mode="after")
    def _validated_on_the_unknown(self) -> Self:
        if self.split.mode not in ("kfold", "redrawn"):
            return self
        if self.join is not None:
            raise ValueError(
                f"split.mode={self.split.mode} parts strings, and join={self.join} has each "
                "recording in several: what is validated on would have been learned. Use fixed"
            )
        if self.beam > 1 and self.language_model == "transcripts":
            raise ValueError(
                f"split.mode={self.split.mode} gives all networks one language model, which would "
                "know the transcripts that are validated on. With language_model=transcripts use "
                "fixed; or set language_model to none or a text file"
            )
        return self


def fits(look: Look) -> str | None:
    """Recordings with transcripts are to be written down."""
    if look.kind == "sounds" and look.details["transcripts"] and not look.details["choice"]:
        return "recordings with transcripts"
    return None


def source(recipe: SpeechRecognition) -> Any:
    """Open the recordings."""
    ask = Ask(
        names=recipe.names, text=recipe.text, held_out=recipe.held_out, rate=recipe.rate,
        longest=recipe.longest, too_long="left out", speakers=recipe.speakers,
    )  # fmt: skip
    wording = Wording(
        recipe.units, recipe.vocabulary, recipe.lowercase, recipe.punctuation,
        recipe.beam, recipe.join, recipe.language_model,
    )  # fmt: skip
    return transcripts.open_transcripts(sources.locate(recipe.data), ask, wording)


def network(recipe: SpeechRecognition, facts: SpeechFacts) -> nn.Module:
    """A spectrogram, and the chosen network with one output for each token and the blank."""
    features, hide = hearing.front(recipe.mel, recipe.hide, facts.rate)
    shape = (recipe.mel.bands, features.frames(facts.longest))
    body = build_network(recipe.network, shape, len(facts.vocabulary), reads="frames")
    return Listener(features, hide, body)


def start(recipe: SpeechRecognition, network: nn.Module, data: Data[Batch]) -> Sequence[str]:
    """Tell which transcripts cannot be spelled in the frames of their recordings."""
    train, _ = data.positions(0)
    examples: Any = data.pool
    frame = listening.seconds(network) * data.facts.rate
    num_frames = (ragged.lengths_of(examples)[train] / frame).ceil()
    return ctc.told(num_frames, examples.targets[train])


def learner(recipe: SpeechRecognition, network: nn.Module, data: Data[Batch]) -> Any:
    """Make the transcripts probable, by whatever path (CTC)."""
    rate, num_examples = data.facts.rate, len(data.positions(0)[0])
    change = learners.of_inputs(lambda inputs, _: recipe.waves.changed(inputs, rate))
    return learners.Supervised(network, ctc.loss, recipe.fit, num_examples, augment=change)


def cut(recipe: Any, examples: Any, order: Tensor, number: int) -> Sequence[Tensor]:
    """Batches of like lengths."""
    return ragged.by_length(ragged.lengths_of(examples), order, number)


def score(network: nn.Module, examples: Examples[Batch], facts: SpeechFacts) -> Outcome:
    """Hear all recordings by their best paths."""
    return heard.hear(network, examples, _batches(examples, facts), facts)


def full_score(network: nn.Module, examples: Examples[Batch], facts: SpeechFacts) -> Outcome:
    """The same by beam search, with the language model."""
    fusion = models.fusion(facts)
    return heard.hear(network, examples, _batches(examples, facts), facts, fusion, facts.beam)


def _batches(examples: Any, facts: SpeechFacts) -> list[Tensor]:
    return ragged.sorted_batches(ragged.lengths_of(examples), round(SCORED * facts.rate))


def decide(recipe: Any, facts: SpeechFacts, outcome: Outcome | None) -> Weights | None:
    """Weigh the language model, if there is one."""
    plain = models.fusion(facts) is None
    return None if plain else heard.choose(outcome, recipe.alpha, recipe.beta)


def predict(
    network: nn.Module, facts: SpeechFacts, raw: Any, weights: Weights | None = None
) -> Sequence[Prediction]:
    """Write recordings down: a file of any length, a folder, samples with their rate."""
    search = transcribe.Search(facts.beam, models.fusion(facts), weights)
    answers: list[Prediction] = []
    for item in rawspeech.read_raw(raw, facts):
        if isinstance(item, Long):
            windows = ((begin, padded([sound])) for begin, sound in item.windows())
            told = partial(progress.tell, item.name, total=round(item.seconds))
            answers.append(listening.long(network, item.name, windows, search, facts, told))
        else:
            answers += listening.short(network, item.names, padded(item.sounds), search, facts)
            answers += [Prediction(one.where, None, {"error": one.what}) for one in item.failed]
    return answers


def reading(facts: SpeechFacts, weights: Weights | None) -> Reading:
    """The figures, with how the answers were searched for."""
    return Reading(heard.METRICS, (models.told(facts, weights),))


TASK = Task(
    recipe=SpeechRecognition,
    facts=SpeechFacts,
    fits=fits,
    source=source,
    network=network,
    fill=learners.filler(
        lr={"muon": 2e-3, "adamw": 1e-3, "adam": 1e-3, "rmsprop": 5e-4, "sgd": 0.05},
        batch_size=lambda n: 2 ** between(3, math.log2(n / 100), 5),
        epochs=lambda n: between(3, 45_000 / n, 100),
    ),
    start=start,
    bound=models.bound,
    learner=learner,
    cut=cut,
    score=score,
    full_score=full_score,
    metrics=heard.METRICS,
    chosen_by=("greedy_wer", "loss"),
    baselines={"most frequent transcript": heard.most_frequent},
    predict=predict,
    decide=decide,
    decision=Weights,
    later=("beam", "alpha", "beta"),
    reading=reading,
    views=views.VIEWS,
    axes=lambda facts, network: axes(
        network, facts.rate, facts.vocabulary, listening.seconds(network)
    ),
    output_names=lambda facts: [facts.vocabulary.token(n) for n in range(len(facts.vocabulary))],
)
