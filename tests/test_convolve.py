"""Convolution and pooling one window at a time, on numbers, images and in trained runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import glassnet
from glassnet import convolving
from glassnet.errors import UserError
from glassnet.explain import layerwalk, windows
from glassnet.figures import Steps, from_json
from glassnet.networks.lenet import LeNet

Cli = Callable[..., tuple[int, str, str]]
WORKED = ((4, 3, 4), (2, 4, 3), (2, 3, 4))


def test_the_worked_example_comes_out_one_window_at_a_time() -> None:
    walk = glassnet.convolve().walk
    assert walk.output == (WORKED,)
    assert [window.value for window in walk.windows] == [4, 3, 4, 2, 4, 3, 2, 3, 4]
    first = walk.windows[0]
    assert first.numbers == (((1, 1, 1), (0, 1, 1), (0, 0, 1)),)
    assert first.products == (((1, 0, 1), (0, 1, 0), (0, 0, 1)),)
    assert (first.place, first.cells[2][2]) == ((0, 0), (2, 2))
    assert walk.check.agrees
    assert walk.check.by == "torch's conv2d"


@pytest.mark.parametrize("kind", ["max", "average", "l2"])
@pytest.mark.parametrize(("window", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1)])
def test_pooling_equals_torchs(kind: Any, window: int, stride: int, padding: int) -> None:
    maps = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    walk = windows.pool(maps, kind, window=window, stride=stride, padding=padding)
    assert walk.check.agrees
    for one in walk.windows:
        assert walk.output[one.channel][one.place[0]][one.place[1]] == one.value


def test_convolution_equals_torchs_with_channels_stride_padding_and_dilation() -> None:
    random = torch.Generator().manual_seed(1)
    image, kernel = torch.randn(3, 9, 11, generator=random), torch.randn(3, 3, 2, generator=random)
    walk = windows.convolve(image, kernel, bias=0.5, stride=(2, 1), padding=1, dilation=2)
    assert walk.check.agrees
    one = walk.windows[5]
    total = sum(value for rows in one.products for row in rows for value in row)
    assert one.value == pytest.approx(total + 0.5)
    assert windows.convolve(image[0, 0], [1, 2, 3], stride=2, padding=1).check.by.endswith("conv1d")


def test_a_check_that_fails_is_told() -> None:
    walk = windows.convolve([1.0, 2.0, 3.0], [1.0, 1.0], expected=[3.0, 5.5])
    assert not walk.check.agrees
    assert walk.check.largest_difference == 0.5


def test_the_winner_of_a_maximum_is_the_first_and_never_the_padding() -> None:
    walk = windows.pool([[-1, -1], [-2, -1]], "max", window=2, stride=1, padding=1)
    assert walk.windows[0].winner == (0, 0)
    assert walk.windows[4].winner == (0, 0)
    assert walk.output[0][0][0] == -1
    assert json.loads(json.dumps(walk.to_json(), allow_nan=False))["windows"][0]["numbers"] == [
        [[None, None], [None, -1]]
    ]


def test_of_many_windows_the_first_the_strongest_and_the_weakest_are_shown() -> None:
    image = torch.arange(400.0).reshape(20, 20).sin()
    found = convolving.convolve(image, "sobel-x")
    values = sorted(value for row in found.walk.output[0] for value in row)
    shown = {why: [w.value for w in found.walk.windows if w.why == why]
             for why in ("first", "strongest", "weakest")}  # fmt: skip
    assert sorted(shown["strongest"]) == values[-6:]
    assert sorted(shown["weakest"]) == values[:6]
    assert len(found.walk.windows) < found.walk.of == 18 * 18
    assert f"Shown are {len(found.walk.windows)} of 324 windows" in found.text


def test_the_figure_has_a_frame_for_each_window_and_survives_json() -> None:
    found = glassnet.convolve(pool="max", window=3, stride=2)
    steps = next(b for b in found.document.sections[0].blocks if isinstance(b, Steps))
    assert len(steps.frames) == found.walk.of == 4
    assert [panel.title for panel in steps.panels] == ["input", "under the window", "output"]
    assert steps.frames[0].panels[0].chosen == ((1, 1),)  # the 6
    assert steps.frames[1].panels[2].values == ((6, 8), (None, None))
    assert from_json(json.loads(json.dumps(steps.to_json(), allow_nan=False))) == steps
    assert "<iframe" in found._repr_html_()


def test_a_csv_and_an_image_are_read(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("1,2,4,2,1\n")
    signal = glassnet.convolve(str(tmp_path / "one.csv"), [-1, 0, 1]).walk
    assert (signal.axes, signal.output) == (1, (((3, 0, -3),),))
    pixels = np.zeros((20, 400), np.uint8)
    pixels[:, 200:] = 255
    Image.fromarray(pixels).save(tmp_path / "step.png")
    found = glassnet.convolve(tmp_path / "step.png", "sobel-x")
    assert any("400×20 pixels was made smaller: 256×13" in note for note in found.notes)
    assert max(found.walk.output[0][0]) > 500
    assert min(found.walk.output[0][0]) > -200


# --- The command ----------------------------------------------------------------------------------


def test_the_command_prints_text_json_and_a_page(cli: Cli) -> None:
    code, out, err = cli("convolve", "-o", "steps.html")
    assert (code, err) == (0, "")
    assert "1·1 + 1·0 + 1·1 + 0·0 + 1·1 + 1·0 + 0·1 + 0·0 + 1·1 = 4" in out
    assert all(len(line) <= 100 for line in out.splitlines())
    assert "One window at a time" in Path("steps.html").read_text()
    answer = json.loads(cli("convolve", "--json")[1])
    assert answer["output"] == [[list(row) for row in WORKED]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pool", "avg"], "expected one of max, average, l2. Did you mean 'average'?"),
        (["--pool", "max", "--kernel", "blur"], "--kernel blur contradicts --pool max"),
        (["--kernel", "sobelx"], "Did you mean 'sobel-x'?"),
        (["--kernel=-1,0,1"], "does not fit an input of shape (5, 5)"),
        (["--window", "3"], "--window is for --pool"),
        (["--stride", "x"], "--stride x: expected a whole number"),
        (["--stride", "0"], "--stride 0: expected a whole number from 1 up"),
        (["--input", "1,2;3"], "expected numbers in rows of one length"),
        (["--input", "none.csv"], "there is no such file"),
        (["--input", "bad.csv"], "bad.csv, row 2, column 1: expected a number, found 'x'"),
        (["--input", "not.png"], "not.png: The image"),
        (["--layer", "C1"], "--layer C1 needs a --run"),
        (["--pool", "max", "--window", "9"], "spans 9×9 cells, but the input has only 6×6"),
        (["--pool", "max", "--padding", "2"], "takes at most half of its side"),
        (["--filter", "0"], "--filter 0 needs a --run"),
        (["--example", "0"], "--example 0 needs a --run"),
        (["--dilation", "0"], "--dilation 0: expected a whole number from 1 up"),
        (["--padding", "100000"], "which is too much to be stepped through"),
        (["--stride", "9" * 20], "at most 67,108,864"),
        (["--input", "1e308,1;1,1"], "expected finite numbers of at most 1e+100"),
        (["--input", "1,,2,3"], "--input: expected a number, found ''"),
    ],
)
def test_what_cannot_be_done_is_told(cli: Cli, words: list[str], says: str) -> None:
    Path("bad.csv").write_text("1,2\nx,3\n")
    Path("not.png").write_text("no image")
    code, out, err = cli("convolve", *words)
    assert (code, out) == (2, "")
    assert says in err


# --- In a run -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A LeNet with L2 pooling, trained for a moment."""
    return glassnet.train(
        "digits", network={"name": "lenet", "pooling": "l2"}, epochs=1, show=False, threads=1,
        runs=tmp_path_factory.mktemp("runs"),
    )  # fmt: skip


@pytest.mark.parametrize(("layer", "kind"), [("C1", "convolution"), ("C3", "convolution"),
                                             ("pool", "l2")])  # fmt: skip
def test_a_filter_of_a_run_gives_what_the_network_answered(run: Any, layer: str, kind: str) -> None:
    found = run.convolve(layer, filter=3, example=7)
    assert found.walk.kind == kind
    assert found.walk.check.agrees
    assert found.walk.check.by == "the network's own answer"
    assert "filter 3" in found.title or "channel 3" in found.title


def test_a_run_says_what_it_has(run: Any, cli: Cli) -> None:
    for words, says in (
        (["--layer", "C9"], "It has 1.pool, 1.C1, 1.C3"),
        (["--filter", "7"], "layer 1.C1 has 6 filters, numbered from 1 to 6"),
        (["--example", "9999"], "the validation part has"),
        (["--part", "test"], "The test is sealed"),
        (["--kernel", "edge"], "is what the run's own layer says"),
    ):
        code, _, err = cli("convolve", "--run", str(run.path), *words)
        assert code == 2
        assert says in err


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), ((1, 5), 2)])
def test_a_layer_that_pads_by_same_is_stepped_through(kernel: Any, dilation: int) -> None:
    layer = nn.Conv2d(2, 3, kernel, padding="same", dilation=dilation)
    reads = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    walk, _ = layerwalk._walk(layer, reads, layer(reads[None])[0, 1], 1)
    assert walk.check.agrees
    assert walk.check.by == "the network's own answer"


def test_a_layer_that_pads_its_sides_unequally_is_refused() -> None:
    layer, reads = nn.Conv2d(1, 1, 4, padding="same"), torch.zeros(1, 8, 8)
    with pytest.raises(UserError, match="'same' with a kernel of 4×4, one zero more on one side"):
        layerwalk._walk(layer, reads, reads[0], 0)


def test_a_convolution_with_groups_and_a_pooling_that_reaches_beyond_the_end() -> None:
    from glassnet.explain.layerwalk import _convolution, _pooling

    torch.manual_seed(0)
    maps, layer = torch.randn(4, 6, 6), nn.Conv2d(4, 4, 3, groups=2, padding=1)
    walk, notes = _convolution(layer, maps, layer(maps[None])[0, 2], 2)
    assert walk.check.agrees
    assert notes == ["The layer has 2 groups; this filter reads group 2."]
    pooling = nn.MaxPool1d(2, ceil_mode=True)
    walk, notes = _pooling(pooling, maps[:, 0, :5], pooling(maps[:, 0, :5])[1], 1)
    assert walk.check.agrees
    assert "beyond the end" in notes[0]
    with pytest.raises(UserError, match="pads by circular"):
        _convolution(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), maps, maps[0], 0)


# --- L2 pooling as a brick ------------------------------------------------------------------------


def test_l2_pooling_of_lenet_has_a_gradient_even_where_a_window_is_all_zero() -> None:
    torch.manual_seed(0)
    network = LeNet((1, 8, 8), 3, pooling="l2")
    torch.nn.init.constant_(network.C1.bias, -9.0)  # after ReLU nothing is left in any window
    inputs = torch.randn(4, 1, 8, 8, requires_grad=True)
    network(inputs).sum().backward()
    grads = [parameter.grad for parameter in network.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)
    maps = torch.tensor([[[[3.0, 0.0], [0.0, 4.0]]]])
    assert network.pool(maps).item() == 5
