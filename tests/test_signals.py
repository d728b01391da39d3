"""Signals: a table whose columns are the steps of a series, read by the convnet of images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import glassnet
from glassnet.data import tables
from glassnet.errors import UserError
from glassnet.network import build_network
from glassnet.networks._signals import Signal
from glassnet.networks.convnet import ConvNet
from glassnet.recipe import NetworkKnobs

Cli = Callable[..., tuple[int, str, str]]
UCR = Path(os.environ.get("GLASSNET_DATA", "/nowhere")) / "tsc_ucr"


@pytest.mark.parametrize("shape", [(8,), (150,), (1, 24), (6, 100), (1000,)])
@pytest.mark.parametrize("rescale", ["common", "each", "columns"])
def test_a_convnet_reads_signals_of_any_length(shape: tuple[int, ...], rescale: str) -> None:
    torch.manual_seed(0)
    network = ConvNet(shape, 3, channels=(4, 8), rescale=rescale)
    logits = network(torch.randn(5, *shape))
    assert logits.shape == (5, 3)
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_signal_is_an_image_of_height_one() -> None:
    torch.manual_seed(0)
    flat = ConvNet((2, 100), 3, channels=(4, 8), kernel=3, body_length=16).eval()
    image = ConvNet((2, 100, 100), 3, channels=(4, 8), body_side=16).eval()
    weights = {}
    for name, value in flat.state_dict().items():
        wide = image.state_dict()[name]
        if value.ndim == 3 and wide.shape[-1] > 1:  # only the middle row sees an image of one row
            padded = torch.zeros_like(wide)
            padded[:, :, 1] = value
            value = padded
        weights[name] = value.reshape(wide.shape)
    image.load_state_dict(weights)
    signal = torch.randn(4, 2, 100)
    torch.testing.assert_close(image(signal[:, :, None]), flat(signal), rtol=1e-4, atol=1e-5)


def test_too_short_a_signal_is_refused_with_the_least_length() -> None:
    with pytest.raises(ValueError, match=r"at least 8 steps \(columns of a table\), found 5"):
        ConvNet((5,), 2)
    with pytest.raises(ValueError, match="kernel must be odd, to have a middle, found 4"):
        ConvNet((50,), 2, kernel=4)


# --- The scale ------------------------------------------------------------------------------------


def write(path: Path, rows: int = 40, more: str = "", cell: str = "") -> Path:
    """Series of 12 steps around 1000, one class three times as wide as the other."""
    torch.manual_seed(0)
    lines = [",".join([*(f"t{i}" for i in range(12)), *([more] if more else []), "label"])]
    for row in range(rows):
        values = 1000 + (1 + 2 * (row % 2)) * torch.randn(12) * torch.linspace(0.1, 5, 12)
        cells = [f"{value:.4f}" for value in values.tolist()] + ([cell] if more else [])
        if more and row % 2:
            cells[-1] = "other"
        lines.append(",".join([*cells, "wide" if row % 2 else "narrow"]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_scales_of_the_columns_are_undone_and_a_common_one_is_put_in_their_place(
    tmp_path: Path,
) -> None:
    source = tables.open_table(write(tmp_path / "a.csv"), target="label", kind="categories")
    rows = torch.arange(len(source))
    facts = source.facts(rows)
    inputs = source.examples(rows, facts).inputs
    raw = torch.tensor(source.frame.drop("label").to_numpy().astype("float64")).float()
    common = Signal(facts.slots, "common")(inputs)[:, 0]
    slope = (common[:, 1:] - common[:, :1]) / (raw[:, 1:] - raw[:, :1])
    torch.testing.assert_close(slope, torch.full_like(slope, slope.mean()), rtol=5e-3, atol=0)
    assert 0.3 < common.std() < 3
    each = Signal(facts.slots, "each")(inputs)[:, 0]
    torch.testing.assert_close(each.std(1, correction=0), torch.ones(40), rtol=1e-2, atol=0)
    assert torch.equal(Signal(facts.slots, "columns")(inputs)[:, 0], inputs)


@pytest.mark.parametrize("value", [3.0, -3.0, 0.0])
def test_values_beyond_all_scales_stay_finite(value: float, tmp_path: Path) -> None:
    source = tables.open_table(write(tmp_path / "a.csv"), target="label", kind="categories")
    slots = source.facts(torch.arange(len(source))).slots
    for rescale in ("common", "each", "columns"):
        assert Signal(slots, rescale)(torch.full((2, 12), value)).isfinite().all()  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", ["red", ""])
def test_a_column_that_is_no_number_is_refused_by_name(cli: Cli, cell: str) -> None:
    write(Path("mixed.csv"), more="colour", cell=cell)
    code, _, err = cli("train", "mixed.csv", "--target", "label", "--network", "convnet")
    assert code == 2
    assert "'colour" in err
    assert "a signal has one column of numbers for each of its steps" in err
    assert "take the network tabm or mlp" in err


def test_a_table_too_narrow_for_a_signal_is_refused(cli: Cli) -> None:
    Path("narrow.csv").write_text(
        "a,b,y\n" + "".join(f"{i * 0.37},{i * i * 0.11},{'uv'[i % 2]}\n" for i in range(40))
    )
    code, _, err = cli("train", "narrow.csv", "--target", "y", "--network", "convnet")
    assert code == 2
    assert "signals must have at least 8 steps (columns of a table), found 2" in err


def test_the_page_of_the_network_says_how_to_give_it_a_signal(cli: Cli) -> None:
    code, out, _ = cli("networks", "convnet")
    assert code == 0
    assert "glassnet train gunpoint.csv --target label --network convnet" in out
    assert "--network.rescale" in out


def test_slots_are_no_knob_and_other_networks_need_no_scales() -> None:
    assert isinstance(build_network(NetworkKnobs(name="convnet"), (20,), 2), nn.Module)
    with pytest.raises(UserError, match="slots"):
        build_network(NetworkKnobs(name="convnet", slots=[]), (20,), 2)


# --- Real signals ---------------------------------------------------------------------------------


def ucr(name: str, folder: Path) -> Path:
    """The official parts as train.csv and test.csv, a column for each step."""
    folder.mkdir()
    for part in ("TRAIN", "TEST"):
        lines = (UCR / name / f"{name}_{part}.ts").read_text().splitlines()
        rows = [line.rsplit(":", 1) for line in lines if line and line[0] not in "#@"]
        steps = len(rows[0][0].split(","))
        head = ",".join([*(f"t{i}" for i in range(steps)), "label"])
        body = "".join(f"{values},c{label}\n" for values, label in rows)
        (folder / f"{part.lower()}.csv").write_text(f"{head}\n{body}")
    return folder


@pytest.mark.skipif(not UCR.is_dir(), reason="needs $GLASSNET_DATA/tsc_ucr")
def test_a_convnet_reads_the_italian_power_demand(tmp_path: Path) -> None:
    data = ucr("ItalyPowerDemand", tmp_path / "italy")
    run = glassnet.train(
        data, target="label", network="convnet", epochs=30, runs=tmp_path, show=False, threads=1
    )
    found = run.evaluate(test=True).metrics["accuracy"]
    assert found.value > 0.93  # a majority vote has 0.50, published networks 0.954 to 0.963
    row = run.predict(data / "test.csv")[0]
    assert row.answer in ("c1", "c2")
    steps = run.convolve(filter=3)
    assert (steps.walk.axes, steps.walk.check.agrees) == (1, True)
