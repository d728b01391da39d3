"""What is recorded of every layer: the figures themselves, and what the report says about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trainings import finished, new_run, play, recipe_for

from glassnet import api, learners, losses, mixing
from glassnet.evaluate import layers
from glassnet.evaluate.layers import histories, remarks
from glassnet.health import Health, dead_share, spacing
from glassnet.networks.tabm import TabM
from glassnet.recipe import Fit
from glassnet.run import Run
from glassnet.task import Batch

LR = 0.1


def dense(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 32), activation(), nn.Linear(32, 16), activation(), nn.Linear(16, 3)
    )


def batch(num: int = 64) -> Batch:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(num, 6, generator=generator)
    return Batch(inputs, torch.randint(3, (num,), generator=generator))


def learner(network: nn.Module, **fit: Any) -> learners.Supervised:
    """Looks at every step, since there are only ten."""
    values = {"batch_size": 64, "lr": LR, "epochs": 10, "optimizer": {"name": "sgd"}, **fit}
    knobs = Fit.model_validate({"schedule": {"name": "constant"}, **values})
    return learners.Supervised(network, losses.cross_entropy(), knobs, 64)


def look(network: nn.Module, **fit: Any) -> dict[str, float]:
    """What one step says of the layers."""
    values = learner(network, **fit).update(batch(), 0)
    return {name: float(v) for name, v in values.items() if "/" in name}


def hidden_activations(network: nn.Sequential, inputs: Tensor) -> list[Tensor]:
    found = []
    for layer in network:
        inputs = layer(inputs)
        if not isinstance(layer, nn.Linear):
            found.append(inputs.detach())
    return found


# --- The three figures ----------------------------------------------------------------------------


@pytest.mark.parametrize("fit", [{}, {"clip": 0.01}, {"optimizer": "adamw"}, {"l1": 0.1}], ids=str)
def test_the_update_ratio_is_that_of_the_true_change(fit: dict[str, Any]) -> None:
    if "optimizer" in fit:
        fit = {"optimizer": {"name": fit["optimizer"], "weight_decay": 0.5}}
    network = dense()
    before = {name: w.detach().clone() for name, w in network.named_parameters()}
    found = look(network, **fit)
    for name, weight in network.named_parameters():
        if weight.ndim == 2:
            true = (weight.detach() - before[name]).norm() / before[name].norm()
            layer = name.removesuffix(".weight")
            assert found[f"update_ratio/{layer}"] == pytest.approx(float(true), rel=1e-4)


def test_the_gradient_norm_is_that_of_the_whole_batch_before_clipping() -> None:
    network = dense()
    nn.functional.cross_entropy(network(batch().inputs), batch().targets).backward()
    true = {name: float(network.get_submodule(name).weight.grad.norm()) for name in "024"}  # type: ignore[union-attr, operator]
    for fit in ({}, {"clip": 1e-3}, {"accumulate": 4}):
        found = look(dense(), **fit)
        for name, norm in true.items():
            assert found[f"gradient_norm/{name}"] == pytest.approx(norm, rel=1e-4), fit


@pytest.mark.parametrize("shift", [0.0, -2.0, -6.0])
def test_dead_units_of_relu_are_those_that_answer_zero_to_every_example(shift: float) -> None:
    network = dense()
    with torch.no_grad():
        network[0].bias += shift * torch.rand(32)
        network[2].bias += shift * torch.rand(16)
    active = hidden_activations(network, batch().inputs)
    zero = [float((a == 0).all(0).float().mean()) for a in active]
    found = look(network)
    assert found["dead/2"] == pytest.approx(zero[1])
    # A unit of the first layer may also be dead because only dead units listen to it.
    assert found["dead/0"] >= zero[0] if zero[1] < 1 else found["dead/0"] == 1
    assert (found["dead/0"] > 0) == (shift < 0)


@pytest.mark.parametrize(("activation", "far"), [(nn.Sigmoid, 40.0), (nn.Tanh, 20.0)])
def test_saturated_units_are_dead(activation: type[nn.Module], far: float) -> None:
    network = dense(activation)
    with torch.no_grad():
        network[2].bias[:4] += far
        network[2].bias[4:8] -= far
    assert look(dense(activation))["dead/2"] == 0
    assert look(network)["dead/2"] == 0.5


def test_units_to_which_nothing_listens_are_dead_and_the_output_layer_never_is() -> None:
    network = dense()
    nn.init.zeros_(network[4].weight)  # type: ignore[arg-type]
    found = look(network)
    assert found["dead/0"] == found["dead/2"] == 1
    assert "dead/4" not in found
    assert found["gradient_norm/4"] > 0


def test_a_channel_of_a_convolution_is_a_unit_and_functions_in_forward_are_seen() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 8, 3, bias=False)
            self.norm = nn.BatchNorm2d(8)
            self.output = nn.Linear(8, 3)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.norm(self.conv(images)).relu()
            return self.output(maps.mean((2, 3)))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    network = Net()
    with torch.no_grad():
        network.norm.bias[:2] = -50
    images = Batch(torch.randn(64, 1, 6, 6), torch.randint(3, (64,)))
    assert learner(network).update(images, 0)["dead/conv"] == 0.25


def test_members_share_units_and_a_unit_is_dead_only_if_it_is_so_in_all_of_them() -> None:
    class Members(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = nn.Parameter(torch.randn(2, 16, 3))
            self.scales = nn.Parameter(torch.ones(2, 16))
            self.dense = nn.Linear(6, 16)

        def forward(self, inputs: Tensor) -> Tensor:
            hidden = (self.dense(inputs)[:, None] * self.scales).relu()
            return torch.einsum("bmd,mdo->bmo", hidden, self.heads)

    torch.manual_seed(0)
    network = Members()
    with torch.no_grad():
        network.dense.bias[:8] -= 100
        network.scales[1, :4] = -1  # alive in the second member
    found = look(network)
    assert found["dead/dense"] == 0.25
    names = [name for name in found if name.startswith("gradient_norm")]
    assert names == ["gradient_norm/dense", "gradient_norm/heads", "gradient_norm/scales"]


def test_weights_without_a_gradient_are_left_out() -> None:
    network = dense()
    network[0].requires_grad_(False)
    assert {name.split("/")[1] for name in look(network)} == {"2", "4"}
    network.zero_grad()
    assert Health(network, 1).measure(lambda: None, 3) == {}


def test_the_share_of_dead_rows_counts_what_is_nothing_beside_the_largest() -> None:
    grad = torch.tensor([[1.0, -2.0], [0.0, 0.0], [1e-9, 0.0], [1e-3, 0.0]])
    assert float(dead_share(grad)) == 0.5
    assert float(dead_share(torch.zeros(3, 2))) == 1.0


def test_looking_changes_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [dense(), dense()]
    learning = [learner(network, optimizer={"name": "adam"}) for network in networks]
    monkeypatch.setattr(learning[1].health, "is_due", lambda step: False)
    for step in range(5):
        seen, unseen = (one.update(batch(), step) for one in learning)
        assert len(seen) > len(unseen) == 2
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("num_steps", [1, 7, 20, 999, 1000, 10_000, 123_456])
def test_a_training_is_looked_at_often_enough_and_seldom_enough(num_steps: int) -> None:
    looks = num_steps // spacing(num_steps)
    assert looks >= min(num_steps, 20)
    assert num_steps < 1000 or looks <= num_steps / 50


# --- In the run and in its report -----------------------------------------------------------------


def trained(folder: Path, reference: str = "iris", **knobs: Any) -> tuple[Any, Run]:
    task, recipe = recipe_for(reference, **knobs)
    run = new_run(folder, recipe)
    finished(play(task, recipe, run))
    return task, run


def test_every_run_records_every_layer_and_the_report_draws_them(tmp_path: Path) -> None:
    _, run = trained(tmp_path, epochs=10)
    found = histories(run.rows())
    assert [la.layer for la in found] == ["hidden.0.dense", "output"]
    assert all(len(la.steps) == 10 for la in found)
    section = layers.section([run])
    assert section is not None
    titles = [getattr(block, "title", "") for block in section.blocks]
    assert titles[:2] == ["Update-to-weight ratio", "Gradient norm"]
    loaded = api.load(run.path)
    loaded.evaluate()
    assert "How the layers learned" in loaded.report.read_text(encoding="utf-8")


def test_a_default_training_is_called_healthy(tmp_path: Path) -> None:
    _, run = trained(tmp_path, "breast-cancer", epochs=20, network__hidden=[256, 128])
    assert remarks(histories(run.rows())) == []
    section = layers.section([run])
    assert section is not None
    assert section.text.startswith("All layers look healthy")


def test_dead_units_are_named_with_what_to_try(tmp_path: Path) -> None:
    wild = {"fit__optimizer": "sgd", "lr": 20.0, "fit__schedule": "constant", "epochs": 20}
    _, run = trained(tmp_path, "breast-cancer", network__hidden=[64, 32], **wild)
    found = remarks(histories(run.rows()))
    assert any(r.startswith("Dead units") and "smaller --fit.lr" in r for r in found), found


def test_a_deep_network_of_sigmoids_has_a_vanishing_gradient(tmp_path: Path) -> None:
    deep = {"network__hidden": [32] * 7, "network__activation": "sigmoid", "epochs": 5}
    _, run = trained(tmp_path, "breast-cancer", **deep)
    found = remarks(histories(run.rows()))
    assert any("Vanishing" in r and "hidden.0.dense" in r for r in found), found


@pytest.mark.parametrize(("ratio", "word"), [(1e-3, ""), (0.2, "Restless"), (1e-7, "Nearly still")])
def test_layers_that_move_too_much_or_too_little_are_named(ratio: float, word: str) -> None:
    row = {"gradient_norm": {"a": 1.0, "b": 1.0}, "update_ratio": {"a": ratio, "b": 1e-3}}
    found = remarks(histories([{"step": s, "layers": row} for s in range(1, 20)]))
    assert len(found) == bool(word)
    assert all(remark.startswith(word) and "a by" in remark for remark in found)


def test_figures_that_are_missing_or_not_finite_are_gaps(tmp_path: Path) -> None:
    rows = [
        {"step": 1, "layers": {"gradient_norm": {"a": None}, "update_ratio": {"a": None}}},
        {"step": 2, "train": {"loss": 1.0}},
        {"step": 3, "layers": {"gradient_norm": {"a": 0.0, "b": 1.0}, "update_ratio": {"b": 0.1}}},
    ]
    found = histories(rows)
    assert [list(la.steps) for la in found] == [[1, 3], [1, 3]]
    assert [remark.split(":")[0] for remark in remarks(found)] == ["Vanishing gradient", "Restless"]
    run = Run(tmp_path)
    run.append("metrics.jsonl", *rows)
    assert layers.section([run]) is not None


def test_a_run_of_an_older_version_has_no_such_section(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.append("metrics.jsonl", {"step": 1, "epoch": 0, "train": {"loss": 1.0}})
    assert layers.section([run]) is None


def test_many_layers_are_all_in_a_table_and_some_of_them_drawn() -> None:
    names = [f"layer{i}" for i in range(40)]
    figures = {figure: dict.fromkeys(names, 1e-3) for figure in ("gradient_norm", "update_ratio")}
    found = layers._figures(histories([{"step": s, "layers": figures} for s in (1, 2)]))
    assert [series.name for series in found[1].series] == [names[i] for i in (0, 10, 20, 29, 39)]  # type: ignore[union-attr]
    assert len(found[-1].rows) == 40  # type: ignore[union-attr]


def test_biases_of_members_are_no_layers() -> None:
    network = TabM((6,), 3, members=4, hidden=(16, 16))
    layers = {name.partition("/")[2] for name in look(network)}
    assert layers == {"first", "members", "hidden.0", "output"}


@pytest.mark.parametrize("mixed", [False, True])
def test_a_hidden_layer_as_wide_as_the_batch_is_not_taken_for_the_output_of_regression(
    mixed: bool,
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(-2))
    knobs = Fit.model_validate({"batch_size": 64, "lr": LR, "epochs": 10})
    mix = mixing.mixup(0.5, mixing.blend_rows([False] * 3), knobs) if mixed else None
    one = learners.Supervised(network, losses.squared, knobs, 64, mix=mix)
    found = one.update(Batch(torch.randn(64, 3), torch.randn(64)), 0)
    assert "dead/0" in found
    assert "dead/2" not in found  # one output, which is the last layer's
