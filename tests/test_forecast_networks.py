"""The contract of networks that forecast, and the regression that they begin with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nan, nn

from glassnet import listing
from glassnet.errors import UserError
from glassnet.forecasts import regression
from glassnet.network import build_network, reads
from glassnet.networks import _forecast
from glassnet.networks.tcn import TCN, Block
from glassnet.recipe import NetworkKnobs
from glassnet.task import Batch

NETWORKS = [name for name in listing.names("networks") if "forecast" in reads(name)]
every_network = pytest.mark.parametrize("name", NETWORKS)


def built(
    name: str, variables: int, past: int, horizon: int, *, known: int = 0, outputs: int = 1,
    **knobs: Any,
) -> nn.Module:  # fmt: skip
    torch.manual_seed(0)
    return build_network(
        NetworkKnobs(name=name, **knobs),
        (variables + known, past + horizon),
        outputs,
        reads="forecast",
        variables=variables,
        horizon=horizon,
    ).eval()


def series(batch: int, variables: int, past: int, horizon: int, known: int = 0) -> Tensor:
    series_BCT = torch.randn(batch, variables + known, past + horizon)
    series_BCT[:, :variables, past:] = nan
    return series_BCT


def test_the_networks_of_issue_six_forecast() -> None:
    assert {"dlinear", "patchtst", "tcn", "rnn", "lstm", "gru"} <= set(NETWORKS)


@every_network
@pytest.mark.parametrize(
    ("variables", "known", "past", "horizon", "outputs"),
    [(1, 0, 1, 1, 1), (3, 2, 5, 7, 3), (200, 0, 20, 2, 1), (2, 1, 40, 300, 5)],
)
def test_it_answers_any_number_of_variables_and_steps_with_gaps_anywhere(
    name: str, variables: int, known: int, past: int, horizon: int, outputs: int
) -> None:
    network = built(name, variables, past, horizon, known=known, outputs=outputs)
    series_BCT = series(4, variables, past, horizon, known)
    series_BCT[torch.rand_like(series_BCT) < 0.3] = nan
    series_BCT[0] = nan
    answers = network(series_BCT)
    assert answers.shape == (4, variables, horizon, outputs)
    assert answers.isfinite().all()
    assert (answers.diff(dim=3) >= 0).all(), "quantiles never cross"


@every_network
@pytest.mark.parametrize("outputs", [1, 3])
def test_every_parameter_gets_a_gradient(name: str, outputs: int) -> None:
    network = built(name, 3, 40, 12, known=2, outputs=outputs).train()
    network(series(8, 3, 40, 12, 2)).square().sum().backward()
    without = [k for k, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@every_network
def test_what_a_variable_may_become_is_not_looked_at(name: str) -> None:
    network = built(name, 2, 30, 10, known=1)
    series_BCT = series(2, 2, 30, 10, 1)
    told = series_BCT.clone()
    told[:, :2, 30:] = 7.0
    assert torch.equal(network(told), network(series_BCT))


@every_network
def test_it_reads_what_is_known_of_the_future(name: str) -> None:
    network = built(name, 2, 30, 10, known=1)
    series_BCT = series(2, 2, 30, 10, 1)
    other = series_BCT.clone()
    other[:, 2, -1] += 1
    assert not torch.equal(network(other)[:, :, -1], network(series_BCT)[:, :, -1])


@every_network
def test_a_series_twice_as_large_and_moved_is_forecast_so_too(name: str) -> None:
    network = built(name, 2, 48, 12, outputs=3)
    series_BCT = series(3, 2, 48, 12)
    series_BCT[1, 0, 5:9] = nan
    expected = 2 * network(series_BCT) + 5
    torch.testing.assert_close(network(2 * series_BCT + 5), expected, atol=2e-4, rtol=1e-4)


@every_network
def test_a_constant_series_goes_on_as_it_was(name: str) -> None:
    network = built(name, 1, 24, 6)
    constant = torch.full((1, 1, 30), 4.0)
    torch.testing.assert_close(network(constant), torch.full((1, 1, 6, 1), 4.0), atol=1e-3, rtol=0)


@every_network
def test_it_answers_an_example_the_same_in_any_batch(name: str) -> None:
    network = built(name, 2, 30, 4, known=1)
    series_BCT = series(5, 2, 30, 4, 1)
    torch.testing.assert_close(network(series_BCT)[2:3], network(series_BCT[2:3]))


def test_a_tcn_answers_as_convolutions_with_holes_do_at_their_last_step() -> None:
    network = built("tcn", 1, 37, 3)
    assert isinstance(network, TCN)
    signals = torch.randn(2, 2, 37)
    seen = signals
    for number, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        hidden = seen
        for layer in (block.first, block.second):
            hidden = nn.functional.pad(hidden, (block.reach * 2**number, 0))
            hidden = nn.functional.conv1d(
                hidden, layer.weight, layer.bias, dilation=2**number
            ).relu()
        seen = (hidden + block.shortcut(seen)).relu()
    torch.testing.assert_close(network.blocks(signals)[:, :, -1], seen[:, :, -1])


def test_knobs_of_patches_that_contradict_each_other_are_named() -> None:
    with pytest.raises(UserError, match="stride 9 is more than patch 4"):
        built("patchtst", 1, 30, 4, patch=4, stride=9)
    with pytest.raises(UserError, match="width 10 is no multiple of num_heads 4"):
        built("patchtst", 1, 30, 4, width=10)


# --- The regression that a network begins with ----------------------------------------------------


def begun(
    network: nn.Module, steps_TC: Tensor, past: int, horizon: int, seasons: tuple[int, ...] = (),
    variables: int = 1,
) -> tuple[regression.Choice, float, float]:  # fmt: skip
    """What was chosen, the error of the network, and that of the mean of the window."""

    def batch(index: Tensor) -> Batch:
        windows = steps_TC[index[:, None] + torch.arange(past + horizon)].transpose(1, 2).clone()
        targets = windows[:, :variables, past:].clone()
        windows[:, :variables, past:] = nan
        return Batch(windows, targets)

    last = len(steps_TC) - past - horizon + 1
    train, validation = torch.arange(0, last * 2 // 3), torch.arange(last * 2 // 3 + horizon, last)
    chosen = regression.begin(network, batch, train, validation, train, seasons)
    assert chosen is not None
    asked = batch(validation)
    means = asked.inputs[:, :variables, :past].nanmean(2, keepdim=True)
    with torch.no_grad():
        error = (network(asked.inputs)[..., 0] - asked.targets).square().nanmean()
    return chosen, float(error), float((means - asked.targets).square().nanmean())


def test_a_wave_is_forecast_before_the_first_step_of_training() -> None:
    time = torch.arange(400.0)
    wave = torch.stack([(time / 5).sin(), (time / 3).cos()], 1)
    _, error, of_mean = begun(built("dlinear", 2, 40, 20), wave, 40, 20, variables=2)
    assert error < 1e-3 * of_mean


def test_what_is_known_of_the_future_is_regressed_on() -> None:
    torch.manual_seed(1)
    plan = torch.randn(500)
    sales = 2 * plan + 0.1 * torch.randn(500)
    network = built("patchtst", 1, 10, 5, known=1)
    chosen, error, of_mean = begun(network, torch.stack([sales, plan], 1), 10, 5)
    assert chosen.known
    assert error < 0.01 * of_mean


def test_noise_about_a_level_is_forecast_by_the_level() -> None:
    torch.manual_seed(1)
    noise = 3 + torch.randn(600, 1)
    _, error, _ = begun(built("dlinear", 1, 20, 10), noise, 20, 10)
    assert error < 1.1 * noise.var()


def test_a_walk_at_random_is_forecast_by_its_last_value() -> None:
    torch.manual_seed(1)
    walk = torch.randn(800, 1).cumsum(0)
    chosen, error, of_mean = begun(built("dlinear", 1, 20, 5), walk, 20, 5)
    assert chosen.prior == "last value"
    assert error < 0.5 * of_mean


def test_a_season_with_few_rows_is_repeated() -> None:
    torch.manual_seed(1)
    season = torch.randn(12).repeat(8)[:, None] + 0.05 * torch.randn(96, 1)
    chosen, error, of_mean = begun(built("lstm", 1, 24, 12), season, 24, 12, seasons=(12,))
    assert chosen.prior == "season of 12"
    assert error < 0.02 * of_mean


def test_gaps_in_past_and_future_do_not_keep_from_a_regression() -> None:
    torch.manual_seed(1)
    wave = (torch.arange(500.0) / 4).sin()[:, None]
    wave[torch.rand_like(wave) < 0.1] = nan
    wave[100:160] = nan
    _, error, of_mean = begun(built("dlinear", 1, 40, 20), wave, 40, 20)
    assert error < 0.2 * of_mean


def test_series_that_repeat_themselves_exactly_are_regressed_all_the_same() -> None:
    steps = torch.arange(3000)
    pulses = torch.stack([(steps % 11 == 0), (steps % 7 == 0), (steps % 11 == 0)], 1).float()
    network = built("dlinear", 2, 85, 7, known=1)
    _, error, of_mean = begun(network, pulses, 85, 7, variables=2)
    assert error < 1e-3 * of_mean


@pytest.mark.parametrize("windows", [1, 2, 5])
def test_a_handful_of_windows_suffices(windows: int) -> None:
    network = built("dlinear", 1, 6, 2)
    values = torch.randn(windows, 1, 8)

    def batch(index: Tensor) -> Batch:
        return Batch(values[index], values[index, :, 6:])

    train = torch.arange(windows)
    assert regression.begin(network, batch, train, train[:0], train) is not None
    assert network(values).isfinite().all()


def test_a_network_that_begins_with_zero_is_left_alone() -> None:
    network = built("tcn", 1, 6, 2, begin="zero")
    train = torch.arange(0)
    assert regression.begin(network, lambda index: Batch(index, index), train, train, train) is None


def test_gaps_repeat_the_value_before_them() -> None:
    past = torch.tensor([[[nan, 1.0, nan, 3.0, nan], [nan] * 5]])
    assert _forecast.carried(past).tolist() == [[[1.0, 1.0, 1.0, 3.0, 3.0], [0.0] * 5]]
