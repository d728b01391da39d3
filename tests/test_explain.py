"""Seeing into networks of convolutions: each method against arithmetic, and on planted evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from trainings import table

import glassnet
from glassnet.errors import UserError
from glassnet.explain import colours, evidence, excite, maps, receptive, trust
from glassnet.explain.evidence import METHODS, Evidence
from glassnet.explain.feature_maps import feature_maps
from glassnet.explain.filters import filters
from glassnet.explain.gradcam import gradcam
from glassnet.explain.occlusion import occlusion
from glassnet.explain.saliency import integrated_gradients, mean, saliency, smoothgrad
from glassnet.networks._views import Views
from glassnet.networks.convnet import ConvNet

Cli = Callable[..., tuple[int, str, str]]


# --- Arithmetic -----------------------------------------------------------------------------------


class Weighted(nn.Module):
    """One output: a weighted sum of all pixels."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs * self.weights).flatten(1).sum(1, keepdim=True)


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def first(count: int = 1) -> maps.Target:
    return maps.of_class(torch.zeros(count, dtype=torch.int64))


def small_network(*, inplace: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=inplace), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=inplace),
        nn.Flatten(), nn.Linear(6 * 36, 5),
    ).eval()  # fmt: skip


def test_of_a_weighted_sum_every_method_gives_the_weights_in_its_own_way() -> None:
    weights, inputs = seeded(3, 6, 7), seeded(2, 3, 6, 7, seed=1)
    network, target = Weighted(weights), first(2)
    assert torch.equal(saliency(network, inputs, target), weights.abs().amax(0).expand(2, 6, 7))
    parts = ((inputs - mean(inputs)) * weights).sum(1)
    found = integrated_gradients(network, inputs, target)
    torch.testing.assert_close(found, parts, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        occlusion(network, inputs, target, window=1, stride=1), parts, atol=1e-5, rtol=1e-3
    )


def test_integrated_gradients_add_up_to_the_change_from_the_baseline() -> None:
    network, inputs = small_network(), seeded(3, 3, 12, 12)
    target = maps.of_class(torch.tensor([0, 2, 4]))
    found = integrated_gradients(network, inputs, target, steps=256)
    change = target(network(inputs)) - target(network(mean(inputs)))
    torch.testing.assert_close(found.flatten(1).sum(1), change.detach(), atol=2e-3, rtol=0)


def test_saliency_agrees_with_finite_differences() -> None:
    network, inputs = small_network().double(), seeded(1, 3, 12, 12)
    double = nn.Sequential(Doubled(), network)
    found = saliency(double, inputs, first())
    row, column, step = 5, 7, 1e-5
    slopes = []
    for channel in range(3):
        ends = []
        for sign in (1, -1):
            moved = inputs.double().clone()
            moved[0, channel, row, column] += sign * step
            ends.append(float(network(moved)[0, 0].detach()))
        slopes.append(abs(ends[0] - ends[1]) / (2 * step))
    assert float(found[0, row, column]) == pytest.approx(max(slopes), rel=1e-4)


class Doubled(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.double()


def test_gradcam_is_the_formula_of_the_paper() -> None:
    network, inputs = small_network(), seeded(2, 3, 12, 12)
    map_BCHW = network[:5](inputs).detach().requires_grad_()
    network[5:](map_BCHW)[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    assert map_BCHW.grad is not None
    alpha = map_BCHW.grad.mean((2, 3), keepdim=True)
    coarse = (alpha * map_BCHW.detach()).sum(1, keepdim=True).relu()
    expected = nn.functional.interpolate(coarse, (12, 12), mode="bilinear")[:, 0]
    torch.testing.assert_close(gradcam(network, inputs, first(2)), expected)


def test_layers_that_change_their_input_in_place_change_nothing_that_is_shown() -> None:
    one, other, inputs = small_network(), small_network(inplace=True), seeded(1, 3, 12, 12)
    torch.testing.assert_close(gradcam(one, inputs, first()), gradcam(other, inputs, first()))
    for a, b in zip(*(feature_maps(n, inputs[0], ["0", "3"]) for n in (one, other)), strict=True):
        assert torch.equal(a.values, b.values)


def test_occlusion_of_the_paper_is_what_covering_by_hand_gives() -> None:
    network, inputs = small_network(), seeded(1, 3, 12, 12)
    found = occlusion(network, inputs, first(), window=12, stride=12, baseline=torch.zeros(1))
    change = network(inputs)[0, 0] - network(torch.zeros_like(inputs))[0, 0]
    torch.testing.assert_close(found, change.detach().expand(1, 12, 12))


def test_smoothgrad_comes_out_the_same_each_time_and_leaves_the_random_state_alone() -> None:
    network, inputs = small_network(), seeded(1, 3, 12, 12)
    state = torch.get_rng_state()
    assert torch.equal(*(smoothgrad(network, inputs, first(), samples=3) for _ in range(2)))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", METHODS)
def test_signals_with_one_axis_are_explained_by_the_same_methods(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(2, 4, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(4, 3),
    ).eval()  # fmt: skip
    inputs = seeded(2, 2, 40) * 0.01
    inputs[:, :, 20:25] += 1
    heat = METHODS[name].method(network, inputs, first(2))
    assert heat.shape == (2, 40)
    size = heat.abs()
    assert float(size[:, 15:30].sum() / size.sum()) > 0.3


# --- Maps -----------------------------------------------------------------------------------------


def test_maps_are_found_by_their_shape_in_any_network() -> None:
    found = maps.listed(ConvNet((3, 32, 32), 10).eval(), torch.zeros(1, 3, 32, 32))
    assert [one.name for one in maps.levels(found)] == [
        "stem.0", "stages.0.0", "stages.1.0", "stages.2.0",
    ]  # fmt: skip
    assert (found[-1].name, found[-1].shape) == ("stages.2.0", (128, 4, 4))
    inplace = maps.listed(small_network(inplace=True), torch.zeros(1, 3, 12, 12))
    assert inplace[-1].name == "4"  # after the activation, though that is the tensor of "3"


class Twice(nn.Module):
    """One activation for two layers, and a sum in place, as in many published networks."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        change = self.two(self.relu(self.one(inputs)))
        change += inputs
        return self.relu(change)  # type: ignore[no-any-return]


def test_the_map_of_a_block_is_found_though_its_activation_acts_twice() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Twice(), nn.Flatten(), nn.Linear(128, 2)).eval()
    inputs = seeded(1, 1, 8, 8)
    found = maps.listed(network, inputs)
    assert [one.name for one in found] == ["0.one", "0.two", "0"]
    _, held = maps.values(network, inputs, ["0"], stop=True)
    assert torch.equal(held["0"], network[0](inputs))


def test_a_network_that_asks_another_about_several_views_is_explained_by_that_one() -> None:
    inner = ConvNet((3, 32, 32), 3).eval()
    views = Views(inner, "flip", 32, 32).eval()
    assert maps.once(views, torch.zeros(1, 3, 32, 32)) is inner
    assert maps.once(inner, torch.zeros(1, 3, 32, 32)) is inner


def test_a_layer_is_found_by_its_own_name_behind_a_wrapper() -> None:
    network = nn.Sequential(nn.Identity(), ConvNet((1, 16, 16), 3)).eval()
    found = maps.listed(network, torch.zeros(1, 1, 16, 16))
    assert maps.find(found, "stages.1.0").name == "1.stages.1.0"
    with pytest.raises(UserError, match="stages.1.0"):
        maps.find(found, "stages.1")


def test_a_network_without_convolutions_has_no_maps() -> None:
    with pytest.raises(UserError, match="no convolution"):
        maps.listed(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), torch.zeros(1, 1, 3, 3))


@pytest.mark.parametrize(
    ("layers", "side"),
    [
        ([nn.Conv2d(1, 4, 3)], 3),
        ([nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)], 5),
        ([nn.Conv2d(1, 4, 5, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 3)], 9),
        ([nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3)], 8),
        ([nn.Conv2d(1, 4, 3, dilation=3)], 7),
    ],
)
def test_receptive_fields_are_those_of_the_books(layers: list[nn.Module], side: int) -> None:
    torch.manual_seed(0)
    network, inputs = nn.Sequential(*layers).eval(), torch.zeros(1, 1, 32, 32)
    last = maps.last(network, inputs)
    middle = (last.sides[0] // 2, last.sides[1] // 2 - 1)
    top, left, bottom, right = receptive.boxes(network, inputs, last.name, [middle])[middle]
    assert (bottom - top, right - left) == (side, side)


# --- What excites filters -------------------------------------------------------------------------


def edges() -> nn.Sequential:
    """A filter for dark-to-light edges from left to right, and one for upright ones."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.Flatten(),
                            nn.Linear(2 * 100, 2))  # fmt: skip
    kernel = torch.tensor([[-1.0, 0, 1]]).expand(3, 3)
    network[0].weight.data = torch.stack([kernel, kernel.T])[:, None].clone()
    return network.eval()


def test_the_parts_of_the_data_that_excite_a_filter_are_those_that_look_like_it() -> None:
    images = torch.full((5, 1, 12, 12), 100, dtype=torch.uint8)
    images[3, :, :, 6:] = 200  # an edge from left to right at column 6
    images[1, :, 5:] = 180  # an edge from top to bottom at row 5
    found = excite.patches(edges(), images, "1", [0, 1], most=2)
    best = found[0][0]
    assert best.example == 3
    assert best.value == pytest.approx(300)
    top, left, bottom, right = best.box
    assert (bottom - top, right - left) == (3, 3)
    assert left <= 5 < 6 < right
    assert found[1][0].example == 1


def test_an_image_made_for_a_filter_excites_it_more_than_any_of_the_data() -> None:
    images = (seeded(8, 1, 12, 12) * 30 + 128).clamp(0, 255).byte()
    made = excite.made(edges(), images, "1", [0, 1], steps=24)
    for one in made.values():
        assert one.mean > 2 * one.natural
        assert 0 <= float(one.image.min()) <= float(one.image.max()) <= 255
    across, upright = (made[c].image[0] for c in (0, 1))
    assert steepness(across, 1) > 1.3 * steepness(across, 0)
    assert steepness(upright, 0) > 1.3 * steepness(upright, 1)
    again = excite.made(edges(), images, "1", [0, 1], steps=24)
    assert torch.equal(again[0].image, made[0].image)


def steepness(image: Tensor, axis: int) -> float:
    return float(image.diff(dim=axis).abs().mean())


def test_an_image_is_made_for_a_filter_that_faint_noise_does_not_wake() -> None:
    network = edges()
    network[0].bias = nn.Parameter(torch.tensor([-200.0, -200.0]))
    images = (seeded(8, 1, 12, 12) * 60 + 128).clamp(0, 255).byte()
    made = excite.made(network, images, "1", [0, 1], steps=24)
    assert all(one.mean > one.natural for one in made.values())


def test_the_filter_that_the_answer_depends_on_is_told_first() -> None:
    network = edges()
    network[3].weight.data[0, :100] = 0
    network[3].weight.data[0, 100:] = 1
    images = (seeded(4, 1, 12, 12) * 30 + 128).clamp(0, 255).byte()
    assert excite.telling(network, images, first(4), "1", 2) == [1, 0]


# --- Trust ----------------------------------------------------------------------------------------


def test_rank_correlation_is_spearmans_with_ties() -> None:
    one, other = seeded(2, 6, 6).round(decimals=0), seeded(2, 6, 6, seed=1).round(decimals=0)
    each = [stats.spearmanr(a.flatten(), b.flatten())[0] for a, b in zip(one, other, strict=True)]
    assert trust.rank_correlation(one, other) == pytest.approx(float(np.mean(each)), abs=1e-9)
    assert trust.rank_correlation(one, torch.zeros_like(other)) == 0


def test_a_map_of_the_image_alone_is_called_untrustworthy() -> None:
    network, inputs = small_network(), seeded(4, 3, 12, 12)
    score: maps.Target = lambda outputs: outputs.softmax(1)[:, 0]  # noqa: E731

    def picture(_network: nn.Module, given: Tensor, _target: maps.Target) -> Tensor:
        return given.abs().sum(1)

    found = trust.check("picture", picture, network, inputs, first(4), score)
    assert found.like_new_head == found.like_new_network == pytest.approx(1)
    assert not found.follows
    assert "image more than what the network learned" in found.text
    json.dumps(found.to_json())


# --- Words and colours ----------------------------------------------------------------------------


def test_evidence_is_told_by_its_place_and_its_area() -> None:
    values = torch.full((10, 10), -1.0)
    values[1:3, 7:9] = 5.0
    found = Evidence("occlusion", values)
    assert found.text == "the upper right; 80% of the evidence in 4% of the area"
    assert Evidence("gradcam", torch.zeros(4, 4)).text == "nowhere: nothing speaks for it"
    assert Evidence("gradcam", torch.ones(4, 4)).place == "all over the image"


def test_colours_of_a_scale_differ_evenly() -> None:
    ramp = torch.linspace(0, 1, 32)[None]
    lab = colours.to_oklab(torch.from_numpy(colours.scaled(ramp)).float() / 255)[0]
    steps = lab.diff(dim=0).norm(dim=1)
    assert float(steps.max()) < 1.35 * float(steps.min())


def test_every_filter_is_drawn_and_the_note_says_how_many_are_left_out() -> None:
    network = ConvNet((3, 16, 16), 3)
    first_layer = filters(network).figure
    assert len(first_layer.items) == 32
    later = filters(network, "stages.1.0.conv1", shown=8).figure
    assert "The 8 of 64 filters" in later.note
    with pytest.raises(UserError, match="stem.0"):
        filters(network, "output")


# --- Runs -----------------------------------------------------------------------------------------

SIDE, PATCH = 24, 6
COLOURS = ["blue", "green", "red"]


def planted(count: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], list[int], list[Any]]:
    """Noise with a small patch of one colour at a random place: its colour is the class."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 140, (count, SIDE, SIDE, 3)).astype(np.uint8)
    labels, places = [], []
    for image in images:
        label = int(draw.integers(3))
        top, left = draw.integers(1, SIDE - PATCH, 2)
        image[top : top + PATCH, left : left + PATCH] = 40
        image[top : top + PATCH, left : left + PATCH, 2 - label] = 250
        labels.append(label)
        places.append((int(top), int(left)))
    return images, labels, places


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> glassnet.api.TrainedRun:
    """A small network trained on planted patches."""
    folder = tmp_path_factory.mktemp("planted")
    images, labels, _ = planted(480)
    names = np.array(COLOURS)[labels]
    np.savez(folder / "patches.npz", x=images, y=names)
    network = {"name": "convnet", "channels": [8, 16], "body_side": 32}
    knobs: dict[str, Any] = {"epochs": 6, "threads": 1, "show": False, "network": network}
    return glassnet.train(folder / "patches.npz", runs=folder, name="run", **knobs)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    from PIL import Image

    images, _, _ = planted(1, seed=5)
    Image.fromarray(images[0]).save(tmp_path / "new.png")
    return tmp_path / "new.png"


@pytest.mark.parametrize(
    ("name", "least"),
    # The patch and 3 pixels around it are a quarter of the area. Gradients are known to be noisy.
    [("gradcam", 0.6), ("occlusion", 0.6), ("integrated_gradients", 0.6), ("saliency", 0.35)],
)
def test_planted_evidence_is_found(run: glassnet.api.TrainedRun, name: str, least: float) -> None:
    images, labels, places = planted(12, seed=9)
    assert run.metrics["accuracy"].value > 0.95
    found = run.explain(images, methods=[name], show=False)
    inside = []
    for one, label, (top, left) in zip(found.images, labels, places, strict=True):
        assert one.answer == COLOURS[label]
        heat = one.evidence[0].values.clamp_min(0)
        near = heat[max(0, top - 3) : top + PATCH + 3, max(0, left - 3) : left + PATCH + 3]
        inside.append(float(near.sum() / heat.sum()))
    assert np.mean(inside) > least


def test_an_image_is_explained_on_the_command_line(
    cli: Cli, run: glassnet.api.TrainedRun, image: Path
) -> None:
    code, out, err = cli("explain", run.path, image)
    assert code == 0, err
    assert "gradcam" in out and "% of the area" in out and "is this to be trusted?" in out
    assert (run.path / "explain.html").is_file()
    code, out, _ = cli(
        "explain", run.path, image, "--json", "--method", "saliency,gradcam", "--class", "red",
        "--layer", "stages.0.0", "-o", "page.html",
    )  # fmt: skip
    answer = json.loads(out)
    assert code == 0
    assert [one["method"] for one in answer["images"][0]["evidence"]] == ["saliency", "gradcam"]
    assert answer["images"][0]["about"] == "red"
    assert [one["layer"] for one in answer["feature_maps"]] == ["1.stages.0.0"]
    assert Path("page.html").is_file()


def test_without_an_image_the_network_itself_is_shown(
    cli: Cli, run: glassnet.api.TrainedRun
) -> None:
    code, out, err = cli("explain", run.path, "--json", "-o", "page.html")
    assert code == 0, err
    answer = json.loads(out)
    assert [one["layer"] for one in answer["filters"]] == ["1.stem.0"]
    layers = list(dict.fromkeys(one["layer"] for one in answer["excited"]))
    assert layers == ["1.stem.0", "1.stages.0.0", "1.stages.1.0"]
    assert all(len(one["patches"]) == 9 for one in answer["excited"])
    assert all(one["made"] is None for one in answer["excited"] if one["layer"] == layers[0])
    page = Path("page.html").read_text("utf-8")
    for title in ("What excites its filters", "Is this to be trusted?", "What its layers give"):
        assert title in page


def test_images_may_stand_behind_options(
    cli: Cli, run: glassnet.api.TrainedRun, image: Path
) -> None:
    words = ("explain", str(run.path), "--method", "saliency", "-o", "page.html", str(image))
    code, out, err = cli(*words, "--json")
    assert code == 0, err
    assert [one["name"] for one in json.loads(out)["images"]] == [str(image)]


def test_of_images_that_are_stored_larger_the_crop_that_is_answered_is_explained(
    in_tmp: Path,
) -> None:
    images, labels, _ = planted(60)
    np.savez(in_tmp / "patches.npz", x=images, y=np.array(COLOURS)[labels])
    network = {"name": "convnet", "channels": [8]}
    run = glassnet.train(
        in_tmp / "patches.npz", size=19, resize=26, network=network, epochs=1, threads=1, show=False
    )
    found, answers = run.explain(images[:4], methods=["saliency"]).images, run.predict(images[:4])
    for one, answer in zip(found, answers, strict=True):
        assert one.image.shape[1:] == (19, 19)
        assert one.probabilities[answer.answer] == pytest.approx(
            answer.details["probabilities"][answer.answer], abs=1e-6
        )


def test_the_report_of_a_run_shows_what_it_sees(run: glassnet.api.TrainedRun) -> None:
    page = run.report.read_text("utf-8")
    for title in ("Where it looks", "What its filters are", "What excites its filters"):
        assert title in page


def test_a_notebook_draws_an_explanation(run: glassnet.api.TrainedRun, image: Path) -> None:
    found = run.explain(str(image), methods=["gradcam"], show=False)
    assert "<iframe" in found._repr_html_()
    assert "gradcam" in repr(found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "gradcan"], "Did you mean 'gradcam'"),
        (["--class", "rad"], "Did you mean 'red'"),
        (["--layer", "stages.9.0"], "Layers: 1.stem.0"),
    ],
)
def test_unknown_names_are_refused(
    cli: Cli, run: glassnet.api.TrainedRun, image: Path, words: list[str], said: str
) -> None:
    code, _, err = cli("explain", run.path, image, *words)
    assert code == 2
    assert said in err


def test_bad_images_and_a_class_without_an_image_are_refused(
    cli: Cli, run: glassnet.api.TrainedRun
) -> None:
    Path("bad.png").write_bytes(b"not an image")
    code, _, err = cli("explain", run.path, "bad.png")
    assert code == 2 and "bad.png" in err
    code, _, err = cli("explain", run.path, "--class", "red")
    assert code == 2 and "--class" in err


def test_a_network_on_a_table_is_sent_to_trace(cli: Cli, in_tmp: Path) -> None:
    knobs: dict[str, Any] = {"target": "y", "network": {"name": "mlp", "hidden": [3]}}
    trained = glassnet.train(table(in_tmp / "t.csv"), epochs=1, threads=1, show=False, **knobs)
    code, _, err = cli("explain", trained.path, "t.csv")
    assert code == 2
    assert "convolutions over images" in err and "glassnet trace" in err


def test_the_first_methods_are_known() -> None:
    assert set(evidence.DEFAULT) <= set(METHODS)
