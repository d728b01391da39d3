"""Sound classification: which of several classes does a recording belong to?

Spoken commands, digits, noises of a place or a machine. Data: sound files (wav, flac, ogg, mp3 …)
in class folders; a list with paths and labels; files whose names say it (`--names`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from pydantic import model_validator
from torch import Tensor, nn

from glassnet import (
    balance,
    curves,
    decisions,
    learners,
    losses,
    metrics,
    progress,
    readings,
    tilt,
    views,
)
from glassnet.balance import ClassLoss, ClassWeights, Costs, FocalGamma
from glassnet.data import ragged, rawsounds, soundcache, sounds, sources
from glassnet.data.sounds import Ask, ClassSoundFacts
from glassnet.decisions import Decision
from glassnet.learners import between
from glassnet.network import build_network
from glassnet.networks._sound import LogMel
from glassnet.optimizers import Muon
from glassnet.recipe import Fit, LabelSmoothing, NetworkKnobs, Recipe
from glassnet.schedules import OneCycle
from glassnet.signals import hearing, listening, spectral
from glassnet.signals.listening import Hide, Mel
from glassnet.signals.waves import Waves
from glassnet.task import Batch, Data, Examples, Look, Outcome, Prediction, Task

TOP = 5
SCORED = 100
"""Seconds of sound that are answered at once, with their padding."""


class SoundClassification(Recipe):
    """The knobs of sound classification."""

    target: listening.Target = None
    names: listening.Names = None
    held_out: listening.HeldOut = None
    speakers: listening.ApartSpeakers = "mixed"
    rate: listening.Rate = None
    longest: listening.Longest = 30.0
    mel: Mel = Mel()
    network: NetworkKnobs = NetworkKnobs(name="spectronet")
    fit: Fit = Fit(optimizer=Muon(weight_decay=0.05), schedule=OneCycle(pct_start=0.2))
    waves: Waves = Waves()
    hide: Hide = Hide()
    label_smoothing: LabelSmoothing = 0.0
    loss: ClassLoss = "cross_entropy"
    focal_gamma: FocalGamma = 2.0
    class_weights: ClassWeights = None
    costs: Costs = None

    _agree = model_validator(mode="after")(balance.refuse_contradictions)


def fits(look: Look) -> str | None:
    """Sounds with a class each; of transcripts, those that repeat as spoken commands do."""
    if look.kind != "sounds":
        return None
    if look.details["classes"] or not look.details["transcripts"] or look.details["choice"]:
        return "sounds with a class each"
    return None


def source(recipe: SoundClassification) -> sounds.SoundSource:
    """Open the sounds."""
    ask = Ask(
        names=recipe.names, target=recipe.target, held_out=recipe.held_out, rate=recipe.rate,
        longest=recipe.longest, speakers=recipe.speakers,
    )  # fmt: skip
    return sounds.open_sounds(sources.locate(recipe.data), ask)


def network(recipe: SoundClassification, facts: ClassSoundFacts) -> nn.Module:
    """Spectrogram, hidden stripes, and the chosen network on them."""
    first = listening.front(recipe.mel, recipe.hide, facts.rate)
    shape = (recipe.mel.bands, first[0].frames(facts.longest))
    chosen = build_network(recipe.network, shape, len(facts.classes), reads="signals")
    return tilt.levelled(listening.listening(first, chosen), recipe, facts)


def learner(
    recipe: SoundClassification, network: nn.Module, data: Data[Batch]
) -> learners.Supervised:
    """The chosen loss, on sounds that are changed a little each time."""
    rate = data.facts.rate
    change = learners.of_inputs(lambda inputs, _: recipe.waves.changed(inputs, rate))
    loss = tilt.tilted(losses.of_classes(recipe), recipe, data.facts)
    num_examples = len(data.positions(0)[0])
    return learners.Supervised(network, loss, recipe.fit, num_examples, augment=change)


def cut(
    recipe: SoundClassification, examples: Examples[Batch], order: Tensor, number: int
) -> Sequence[Tensor]:
    """Batches of sounds of like lengths, each with about as many samples."""
    return ragged.by_length(ragged.lengths_of(examples), order, number)


def score(network: nn.Module, examples: Examples[Batch], facts: ClassSoundFacts) -> Outcome:
    """Answer all sounds, those of like lengths together."""
    lengths = ragged.lengths_of(examples)
    batches = ragged.sorted_batches(lengths, SCORED * facts.rate)
    return learners.score(network, examples, facts, batches)


def plainly(
    recipe: SoundClassification,
    known: Examples[Batch],
    asked: Examples[Batch],
    facts: ClassSoundFacts,
    *,
    method: Callable[[Examples[Batch], Examples[Batch], int, LogMel], Outcome],
) -> Outcome:
    """What a plain method makes of the spectrogram that the network reads."""
    first, _ = listening.front(recipe.mel, recipe.hide, facts.rate)
    return method(known, asked, len(facts.classes), first)


def predict(
    network: nn.Module, facts: ClassSoundFacts, raw: Any, decision: Decision | None = None
) -> Sequence[Prediction]:
    """Answer each sound with a class, and tell the most probable classes."""
    names, heard, failed, told = rawsounds.read_raw(raw, facts)
    progress.warn(told)
    where = next(network.parameters()).device
    lengths = torch.tensor([len(sound) for sound in heard])
    outputs = torch.empty(len(heard), len(facts.classes))
    for longer in ragged.sorted_batches(lengths, SCORED * facts.rate):
        batch = longer.sort().values
        inputs = soundcache.padded([heard[place] for place in batch.tolist()])
        outputs[batch] = learners.answer(network, inputs.to(where)).cpu()
    chosen = decisions.answers(outputs, decision).tolist()
    answers = []
    for name, answer, share in zip(names, chosen, outputs.softmax(1), strict=True):
        best = share.argsort(descending=True)[:TOP].tolist()
        classes, shares = [facts.classes[c] for c in best], share[best].tolist()
        answers.append(decisions.prediction(name, facts.classes[answer], classes, shares, decision))
    return [*answers, *(Prediction(p.where, None, {"error": p.what}) for p in failed)]


TASK = Task(
    recipe=SoundClassification,
    facts=ClassSoundFacts,
    fits=fits,
    source=source,
    network=network,
    fill=learners.filler(
        lr={"muon": 5e-3, "adamw": 3e-3, "adam": 3e-3, "rmsprop": 1e-3, "sgd": 0.1},
        batch_size=lambda n: 2 ** between(4, math.log2(n / 40), 6),
        epochs=lambda n: between(6, 800 / math.sqrt(n), 100),
    ),
    learner=learner,
    cut=cut,
    score=score,
    metrics=metrics.CLASSIFICATION,
    baselines={
        "logistic regression on the mean spectrum": partial(plainly, method=spectral.logistic),
        "nearest neighbour with dynamic time warping": partial(plainly, method=spectral.nearest),
    },
    predict=predict,
    decide=decisions.decide,
    reading=readings.classification,
    views={
        "costs": curves.costs,
        "confusion": views.confusion,
        "classes": views.per_class,
        **curves.OF_PROBABILITIES,
    },
    axes=lambda facts, network: hearing.axes(network, facts.rate),
    output_names=lambda facts: facts.classes,
)
