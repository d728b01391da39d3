"""Image classification: which of several classes does a picture belong to?

Data: folders named after the classes, with or without train/, val/ and test/ above them; the same
in .zip, .tar, .tar.gz; idx files, .npz arrays, CIFAR's binary batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic import model_validator
from torch import nn

from glassnet import (
    augmented,
    balance,
    curves,
    decisions,
    findings,
    imaging,
    learners,
    losses,
    metrics,
    mixing,
    readings,
    tilt,
    views,
)
from glassnet.balance import ClassLoss, ClassWeights, Costs, FocalGamma
from glassnet.data import augmentation, images, rawimages, sources
from glassnet.data.augmentation import Augment, Augmentation, Tta, refuse_crops_without_room
from glassnet.data.imagefacts import ImageFacts, Preprocessing
from glassnet.decisions import Decision
from glassnet.figures import Figure
from glassnet.learners import between
from glassnet.optimizers import Muon
from glassnet.recipe import (
    CutmixAlpha,
    Fit,
    LabelSmoothing,
    MixupAlpha,
    NetworkKnobs,
    Recipe,
    Transfer,
)
from glassnet.schedules import OneCycle
from glassnet.task import Batch, Data, Look, Prediction, Review, Task
from glassnet.transfer import refuse_without_weights

TOP = 5


class ImageClassification(Recipe):
    """The knobs of image classification."""

    network: NetworkKnobs = NetworkKnobs(name="convnet")
    fit: Fit = Fit(optimizer=Muon(weight_decay=0.05), schedule=OneCycle(pct_start=0.2))
    augment: Augment = Augment()
    size: imaging.Size = None
    resize: imaging.Resize = None
    preprocessing: Preprocessing = Preprocessing()
    cache: imaging.Cache = "auto"
    weights: imaging.FirstWeights = None
    transfer: Transfer = Transfer()
    label_smoothing: LabelSmoothing = 0.0
    mixup: MixupAlpha = 0.0
    cutmix: CutmixAlpha = 0.0
    tta: Tta = "none"
    loss: ClassLoss = "cross_entropy"
    focal_gamma: FocalGamma = 2.0
    class_weights: ClassWeights = None
    costs: Costs = None

    _agree = model_validator(mode="after")(balance.refuse_contradictions)
    _room = model_validator(mode="after")(refuse_crops_without_room)
    _transfers = model_validator(mode="after")(refuse_without_weights)


def fits(look: Look) -> str | None:
    """Images in class folders are to be classified."""
    return "images with a class each" if look.kind == "images" else None


def source(recipe: ImageClassification) -> images.ImageSource:
    """Open the images."""
    return images.open_images(
        sources.locate(recipe.data),
        size=recipe.size,
        resize=recipe.resize,
        preprocessing=recipe.preprocessing,
        cache=recipe.cache,
    )


def network(recipe: ImageClassification, facts: ImageFacts) -> nn.Module:
    """The chosen network, with honest probabilities where the loss does not ask for them."""
    level = partial(tilt.levelled, recipe=recipe, facts=facts)
    return imaging.network(recipe, facts, len(facts.classes), level)


def start(recipe: ImageClassification, network: nn.Module, data: Data[Batch]) -> Sequence[str]:
    """Lay the chosen first weights into the network, and tell what training will see."""
    began = imaging.start(recipe, network, data.facts)
    return [*began, *augmentation.news(recipe, data)]


def learner(
    recipe: ImageClassification, network: nn.Module, data: Data[Batch]
) -> learners.Supervised:
    """The chosen loss on augmented, and then mixed, batches."""
    loss = tilt.tilted(losses.of_classes(recipe), recipe, data.facts)
    change = learners.of_inputs(Augmentation(recipe.augment, data.facts))
    mix = mixing.of_images(recipe)
    num_examples = len(data.positions(0)[0])
    follow = imaging.following(recipe, network)
    return learners.Supervised(
        network, loss, recipe.fit, num_examples, augment=change, mix=mix, layers=follow
    )


def seen(review: Review[Batch]) -> Figure:
    """What training sees."""
    return augmented.pictures(review, *augmentation.shown(review.recipe, review.facts))


def predict(
    network: nn.Module, facts: ImageFacts, raw: Any, decision: Decision | None = None
) -> Sequence[Prediction]:
    """Answer each image with a class, and tell the most probable classes."""
    names, inputs, problems = rawimages.read_raw(raw, facts)
    where = next(network.parameters()).device
    outputs = learners.answer(network, inputs.to(where)).cpu()
    chosen = decisions.answers(outputs, decision).tolist()
    answers = []
    for name, answer, share in zip(names, chosen, outputs.softmax(1), strict=True):
        best = share.argsort(descending=True)[:TOP].tolist()
        classes, shares = [facts.classes[c] for c in best], share[best].tolist()
        answers.append(decisions.prediction(name, facts.classes[answer], classes, shares, decision))
    return [*answers, *(Prediction(p.where, None, {"error": p.what}) for p in problems)]


TASK = Task(
    recipe=ImageClassification,
    facts=ImageFacts,
    fits=fits,
    source=source,
    network=network,
    fill=learners.filler(
        lr={"muon": 5e-3, "adamw": 5e-3, "adam": 5e-3, "rmsprop": 1e-3, "sgd": 0.1},
        batch_size=lambda n: 2 ** between(5, math.log2(n / 16), 7),
        epochs=lambda n: between(3, 2000 / math.sqrt(n), 200),
    ),
    start=start,
    implied=imaging.implied,
    bound=imaging.bound,
    learner=learner,
    layers=imaging.layers,
    score=learners.score,
    metrics=metrics.CLASSIFICATION,
    findings=(findings.separability,),
    predict=predict,
    decide=decisions.decide,
    reading=readings.classification,
    views={
        "costs": curves.costs,
        "confusion": views.confusion,
        "classes": views.per_class,
        "augmented": seen,
        "mistakes": views.mistaken_images,
        **curves.OF_PROBABILITIES,
    },
    output_names=lambda facts: facts.classes,
)
