"""Test-time augmentation, cutmix and stored images, in whole trainings; and the picture of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import assert_same_end, drop_at, go_on, new_run, play

from glassnet import api, catalog, evaluate
from glassnet.data import sources
from glassnet.errors import UserError
from glassnet.figures import Images
from glassnet.networks._standardize import behind
from glassnet.networks._views import Views
from glassnet.run import Run
from glassnet.task import Review
from glassnet.trained import Trained

pytestmark = pytest.mark.usefixtures("in_tmp")
PIXELS = torch.randint(256, (5, 3, 12, 10), dtype=torch.uint8)


class Probe(nn.Module):
    """Remembers what it was asked, and answers by the corner pixels of the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[torch.Tensor] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.asked.append(pixels)
        return pixels.float().flatten(2).mean(2)


@pytest.mark.parametrize(
    ("kind", "number"), [("flip", 2), ("shift", 3), ("flip_shift", 6), ("ten_crops", 10)]
)
def test_answers_are_the_mean_of_log_probabilities_of_different_views(
    kind: str, number: int
) -> None:
    probe = Probe()
    views = Views(probe, kind, 8, 6).eval()
    answer = views(PIXELS)
    assert len(probe.asked) == number
    first = [view[0] for view in probe.asked]
    assert len({view.numpy().tobytes() for view in first}) == number
    if kind == "ten_crops":
        assert {tuple(view.shape[2:]) for view in probe.asked} == {(8, 6)}
        assert torch.equal(probe.asked[2], PIXELS[:, :, :8, :6])
        assert torch.equal(probe.asked[-1], PIXELS[:, :, 4:, 4:].flip(3))
    if kind in ("flip", "ten_crops"):  # a mirrored image has the same views
        assert torch.allclose(views(PIXELS.flip(3)), answer, atol=1e-4)


def test_training_sees_one_view() -> None:
    probe = Probe()
    assert torch.equal(Views(probe, "flip", 12, 10).train()(PIXELS), probe(PIXELS))
    assert len(probe.asked) == 2


def resolved(**knobs: Any) -> tuple[Any, Any]:
    """A task and a quick recipe for the digits; knobs with ``__`` for the dot."""
    quick = {"network": "lenet", "fit.epochs": 2, "fit.threads": 1, "doctor": "skip"}
    return catalog.resolve(
        "digits", {**quick, **{k.replace("__", "."): v for k, v in knobs.items()}}
    )


def everything() -> tuple[Any, Any]:
    """All changes at once."""
    return resolved(
        augment__flip=True, augment__alternate=True, augment__rotate=10, augment__scale=0.6,
        augment__colour=0.3, augment__policy="trivial", augment__cutout=0.3,
        mixup=0.4, cutmix=1.0, tta="flip_shift", size=8, resize=10,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> api.TrainedRun:
    """A run that was never stopped, with its report."""
    return api.start(*everything(), "whole", tmp_path_factory.mktemp("runs"), iter)


def look(run: api.TrainedRun) -> Review[Any]:
    """The answers of a run to its validation examples."""
    trained = Trained(Run(run.path), everything()[0])
    return evaluate.look(trained, "validation", trained.source())


def test_a_training_with_everything_resumes_exactly(whole: api.TrainedRun, tmp_path: Path) -> None:
    task, recipe = everything()
    stopped = new_run(tmp_path, recipe)
    drop_at(task, recipe, stopped, 25)
    go_on(task, stopped)
    assert_same_end(stopped, Run(whole.path))


def test_the_answer_to_an_image_is_the_average_that_was_validated(whole: api.TrainedRun) -> None:
    assert isinstance(whole.network, Views)
    review = look(whole)
    raw = np.load(sources.locate("digits"))["x"][review.examples.rows[0]]
    shares = review.outcome.outputs[0].softmax(0)
    answer = whole.predict(raw)[0]
    assert answer.answer == review.facts.classes[int(shares.argmax())]
    assert answer.details["probabilities"][answer.answer] == pytest.approx(
        float(shares.max()), abs=1e-4
    )


def test_weights_go_on_from_a_run_that_averages_views_to_one_that_does_not(
    whole: api.TrainedRun,
) -> None:
    names = {name.removeprefix("0.").removeprefix("1.") for name in whole.network.state_dict()}
    assert names == set(behind(whole.network).state_dict())


def test_looking_at_augmented_images_changes_nothing_and_tells_everything(
    whole: api.TrainedRun,
) -> None:
    review, view = look(whole), everything()[0].views["augmented"]
    state = torch.get_rng_state()
    figure = view(review)
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(figure, Images)
    assert figure == view(review)
    assert len({picture.caption for picture in figure.items}) == len(figure.items) == 8
    for words in ("its own share is", "no end of them", "average over 6 views", "6 times as long"):
        assert words in figure.note
    assert "What training sees" in whole.report.read_text("utf-8")


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"tta": "ten_crops"}, "tta=ten_crops contradicts resize=None"),
        ({"tta": "ten_crops", "size": 8, "resize": 8}, "tta=ten_crops contradicts resize=8"),
        ({"cutmix": 1.0, "fit__batch_size": 1}, "cutmix=1.0 contradicts fit.batch_size=1"),
    ],
)
def test_contradictions_are_refused_with_both_names(
    knobs: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        task, recipe = resolved(**knobs)
        play(task, recipe, new_run(tmp_path, recipe))
