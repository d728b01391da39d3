"""What networks that read sequences of numbers share, and the contract that each of them keeps."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nan, nn
from torch.testing import assert_close

import glassnet.networks
from glassnet import listing
from glassnet.data.signals import SignalExamples
from glassnet.networks import _series


def test_a_gap_is_not_the_end_of_a_sequence() -> None:
    signals = torch.tensor([[[1.0, nan, 2.0, nan]], [[nan, nan, nan, nan]]])
    present = _series.present(signals)
    assert present.tolist() == [[True, True, True, False], [False] * 4]
    assert _series.frames(present, 2).tolist() == [[True, True], [False, False]]
    assert _series.lengths(present).tolist() == [3, 0]


def test_an_empty_sequence_has_the_mean_and_the_largest_value_zero() -> None:
    features = torch.tensor([[[1.0, 3.0, 9.0]], [[5.0, 5.0, 5.0]]])
    present = torch.tensor([[True, True, False], [False, False, False]])
    assert _series.mean_over_time(features, present).tolist() == [[2.0], [0.0]]
    assert _series.max_over_time(features, present).tolist() == [[3.0], [0.0]]


def test_a_batch_of_signals_ends_in_nan_and_its_tokens_in_zeros() -> None:
    values = torch.arange(10, dtype=torch.int16).reshape(5, 2)
    examples = SignalExamples(
        rows=torch.arange(2),
        values=values,
        starts=torch.tensor([0, 2, 5]),
        targets=torch.tensor([[3, 0, 0], [4, 5, 0]]),
        scale=0.5,
    )
    batch = examples.batch(torch.tensor([1, 0]))
    assert batch.inputs.shape == (2, 2, 3)
    assert batch.inputs[0].tolist() == [[2.0, 3.0, 4.0], [2.5, 3.5, 4.5]]
    assert _series.present(batch.inputs).tolist() == [[True, True, True], [True, True, False]]
    assert batch.targets.tolist() == [[4, 5], [3, 0]]


# --- The contract of the networks -----------------------------------------------------------------

FOLDER = Path(glassnet.networks.__file__).parent
CASES = [
    (name, reads)
    for name in sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    for reads in listing.constant("networks", name, "READS", ("numbers",))
    if reads in ("signals", "frames")
]
"""Every network that reads signals, with each way in which it does."""
SIGNALS = [name for name, reads in CASES if reads == "signals"]
MEMBERS = ["fcn", "inceptiontime", "signalresnet"]
LONGEST, CLASSES = 40, 3
SLIM = {"width": 16, "hidden": 10, "features": 600}
NARROW: dict[str, dict[str, Any]] = {
    "fcn": {"filters": (8, 12, 8)},
    "signalresnet": {"filters": (8, 12, 8)},
    "inceptiontime": {"filters": 4},
    "convnet": {"channels": (8, 12), "body_length": 16},
}

every_case = pytest.mark.parametrize(("name", "reads"), CASES)
every_channels = pytest.mark.parametrize("channels", [1, 3])


def build(name: str, reads: str, channels: int, seed: int = 0, **knobs: Any) -> Any:
    """A slim network whose first weights follow from the seed, in training mode."""
    torch.manual_seed(seed)
    constructor = importlib.import_module(f"glassnet.networks.{name}").NETWORK
    takes = inspect.signature(constructor).parameters
    given = {"reads": reads, **SLIM, **NARROW.get(name, {}), **knobs}
    options = {key: value for key, value in given.items() if key in takes}
    return constructor((channels, LONGEST), CLASSES, **options)


def judge(name: str, reads: str, channels: int, **knobs: Any) -> Any:
    """The same in evaluation mode, with answers far enough apart to be told from each other."""
    network = build(name, reads, channels, **knobs).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network


def signals(lengths: Sequence[int], channels: int, padding: int = 0) -> Tensor:
    """Random signals of these lengths, and so many steps of padding behind the longest."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(len(lengths), channels, max(lengths) + padding, generator=generator)
    behind = torch.arange(drawn.shape[2]) >= torch.tensor(lengths)[:, None]
    return drawn.masked_fill(behind[:, None], nan)


@every_channels
@every_case
def test_an_answer_does_not_depend_on_the_padding(name: str, reads: str, channels: int) -> None:
    network = judge(name, reads, channels)
    batch = signals((40, 17, 23), channels)
    with torch.no_grad():
        together = network(batch)
        padded = network(nn.functional.pad(batch, (0, 11), value=nan))
        alone = network(batch[1:2, :, :17])
    assert together[:, 0].std() > 1e-3  # else nothing would be compared
    if reads == "frames":
        padded, alone = padded[:, : together.shape[1]], alone[0]
        assert_close(alone, together[1, : len(alone)], rtol=1e-4, atol=1e-5)
    else:
        assert_close(alone[0], together[1], rtol=1e-4, atol=1e-5)
    assert_close(padded, together, rtol=1e-4, atol=1e-5, equal_nan=True)


@every_case
def test_a_gap_and_an_empty_signal_get_an_answer_that_is_a_number(name: str, reads: str) -> None:
    network = judge(name, reads, 2)
    batch = signals((30, 12), 2)
    batch[0, 1, 5:9] = nan
    batch[0, :, 20] = nan
    batch[1] = nan
    with torch.no_grad():
        answers = network(batch)
    if reads == "frames":
        frames = math.ceil(30 / network.stride)
        assert answers.shape == (2, frames, CLASSES)
        assert not answers[0].isnan().any() and answers[1].isnan().all()
    else:
        assert answers.shape == (2, CLASSES) and not answers.isnan().any()


@every_channels
@every_case
def test_every_parameter_gets_a_gradient(name: str, reads: str, channels: int) -> None:
    network = build(name, reads, channels)
    answers = network(signals((40, 17, 23, 35), channels))
    targets = torch.randn(answers.shape)
    (answers - targets).square().nanmean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@every_case
def test_padding_changes_nothing_in_training_either(name: str, reads: str) -> None:
    """Statistics of a batch are over the steps that are there."""
    batch = signals((40, 17, 23, 35), 2)
    answers = []
    for padding in (0, 9):
        network = build(name, reads, 2, dropout=0.0, hide=0.0)
        padded = nn.functional.pad(batch, (0, padding), value=nan)
        answers.append(network(padded))
    if reads == "frames":
        answers[1] = answers[1][:, : answers[0].shape[1]]
    assert_close(*answers, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", SIGNALS)
def test_an_answer_has_a_gradient_back_to_the_signal(name: str) -> None:
    network = judge(name, "signals", 2)
    batch = signals((40, 23), 2).nan_to_num().requires_grad_()
    network(batch).square().sum().backward()
    assert batch.grad is not None and batch.grad.abs().sum() > 0


@pytest.mark.parametrize("name", MEMBERS)
def test_members_learn_side_by_side_and_answer_with_their_mean(name: str) -> None:
    network = build(name, "signals", 1, members=3)
    batch = signals((40, 23), 1)
    assert network(batch).shape == (2, 3, CLASSES)
    network.eval()
    assert_close(network(batch).exp().sum(1), torch.ones(2))


def test_frames_come_at_the_stride_that_is_asked_for() -> None:
    for stride in (1, 3, 4):
        network = build("lstm", "frames", 2, stride=stride).eval()
        answers = network(signals((40, 18), 2))
        assert network.stride == stride
        assert answers.shape == (2, math.ceil(40 / stride), CLASSES)
        assert (~answers[1, :, 0].isnan()).sum() == math.ceil(18 / stride)


def test_rocket_takes_its_thresholds_from_training_signals() -> None:
    network = build("rocket", "signals", 1)
    batch = 100 + 5 * signals((40, 23, 31, 40), 1)
    network.prepare(batch)
    shares = network.features(batch)
    assert (shares >= 0).all() and (shares <= 1.001).all()
    assert shares.mean() == pytest.approx(0.5, abs=0.1)
    scaled = (shares - network.means) / network.deviations
    assert scaled.mean(0).abs().max() < 0.01


def test_published_numbers_of_parameters() -> None:
    fcn = importlib.import_module("glassnet.networks.fcn").NETWORK((1, 150), 2)
    assert sum(one.numel() for one in fcn.parameters()) == 1_024 + 263_168 + 129 * 2
