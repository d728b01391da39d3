"""Every brick against overfitting: found by its name, does what it says, and resumes exactly."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from trainings import (
    assert_same_end,
    finished,
    go_on,
    new_run,
    play,
    recipe_for,
    same_bits,
    table,
    weights,
)

from glassnet import catalog, learners, losses, mixing, network
from glassnet.averaging import Average
from glassnet.errors import UserError
from glassnet.learners import weighted_mean
from glassnet.optimizers import SGD, AdamW, Muon, build, shrink
from glassnet.recipe import Fit, knobs
from glassnet.task import Batch

TASKS = ["image-classification", "table-classification", "table-regression"]
NEW = {"fit__l1": 0.05, "fit__average": 0.9, "mixup": 0.4}

# --- Found by name --------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("words", "knob"),
    [
        ("L1", "fit.l1"),
        ("L2", "fit.optimizer.weight_decay"),
        ("weight decay", "fit.optimizer.weight_decay"),
        ("early stopping", "fit.patience"),
        ("mixup", "mixup"),
        ("average of the weights", "fit.average"),
        ("EMA", "fit.average"),
    ],
)
def test_the_help_names_each_by_the_field_s_name(task: str, words: str, knob: str) -> None:
    texts = {k.name: k.help for k in knobs(catalog.task(task).recipe)}
    assert words.lower() in texts[knob].lower()


def test_the_help_names_label_smoothing_and_dropout() -> None:
    for task in TASKS[:2]:
        texts = {k.name: k.help for k in knobs(catalog.task(task).recipe)}
        assert "label smoothing" in texts["label_smoothing"].lower()
    for name in ("mlp", "convnet"):
        assert "dropout" in {k.name for k in knobs(network.schema(network.find(name)))}


@pytest.mark.parametrize(
    ("knob", "value"),
    [("fit__l1", -1), ("fit__average", 1), ("fit__average", 0), ("mixup", -0.1), ("mixup", 11)],
)
def test_values_out_of_range_are_refused_by_name(knob: str, value: float) -> None:
    name = knob.replace("__", ".")
    with pytest.raises(UserError, match=f"{name}: .*found {value}"):
        recipe_for("iris", **{knob: value})


def test_mixing_needs_another_example_in_the_batch(tmp_path: Path) -> None:
    task, recipe = recipe_for("iris", mixup=0.2, fit__batch_size=1)
    with pytest.raises(UserError, match=r"mixup=0\.2 contradicts fit\.batch_size=1"):
        play(task, recipe, new_run(tmp_path, recipe))


# --- Works everywhere, and resumes exactly --------------------------------------------------------


def end_and_resume(folder: Path, reference: str | Path, stop: int, **more: Any) -> Any:
    """Train without and with a stop; both must end alike, bit for bit."""
    task, recipe = recipe_for(reference, **more)
    whole, run = new_run(folder, recipe, "whole"), new_run(folder, recipe)
    finished(play(task, recipe, whole))
    play(task, recipe, run, ask_to_stop_at=stop)
    go_on(task, run)
    assert_same_end(run, whole)
    return whole


ALL = [{name: value} for name, value in NEW.items()] + [
    NEW,
    {"fit__average": 0.9, "network__normalization": "batch"},
    {"fit__average": 0.9, "fit__precision": "bfloat16", "fit__accumulate": 2, "mixup": 1.0},
    {"fit__l1": 0.1, "fit__optimizer": "muon"},
    {"fit__optimizer": "sgd", "lr": 0.05, "fit__optimizer__weight_decay": 0.01},
    {"network__dropout": 0.3, "label_smoothing": 0.1, "fit__patience": 2},
]


@pytest.mark.parametrize("more", ALL, ids=str)
def test_tables_of_classes_resume_exactly_with_each(tmp_path: Path, more: dict[str, Any]) -> None:
    data = table(tmp_path / "x.csv")
    end_and_resume(tmp_path, data, 7, target="y", **more)


@pytest.mark.parametrize("more", [NEW, {"network__dropout": 0.3, "fit__patience": 2}], ids=str)
def test_tables_of_numbers_resume_exactly_with_each(tmp_path: Path, more: dict[str, Any]) -> None:
    data = table(tmp_path / "x.csv", kind="number")
    end_and_resume(tmp_path, data, 7, target="y", **more)


@pytest.mark.parametrize(
    "more",
    [{"label_smoothing": 0.1, **NEW}, {"network__dropout": 0.3, "fit__patience": 1}],
    ids=str,
)
def test_images_resume_exactly_with_each(tmp_path: Path, more: dict[str, Any]) -> None:
    name = "convnet" if "network__dropout" in more else "lenet"
    if name == "convnet":
        more = {"network__channels": [8, 8], **more}
    flags = {"network": name, "epochs": 2, "fit__batch_size": 256, "augment__flip": True, **more}
    named = {key.replace("__", "."): value for key, value in flags.items()}
    task, recipe = catalog.resolve("digits", {"fit.threads": 1, **named})
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    finished(play(task, recipe, whole))
    play(task, recipe, run, ask_to_stop_at=7)
    go_on(task, run)
    assert_same_end(run, whole)


# --- L1 -------------------------------------------------------------------------------------------


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 3))


def test_shrinking_is_the_proximal_step_of_the_l1_norm() -> None:
    weight = torch.tensor([[0.5, -0.3, 0.05, -0.1, 0.0]])
    expected = weight.sign() * (weight.abs() - 0.1).clamp(min=0)
    shrink([weight], 0.1)
    assert torch.equal(weight, expected)


@pytest.mark.parametrize("optimizer", [SGD(), AdamW(), Muon()], ids=lambda o: o.name)
def test_l1_shrinks_weights_after_the_step_and_spares_biases_and_norms(optimizer: Any) -> None:
    plain, sparse = small(), small()
    for one, l1 in ((plain, 0.0), (sparse, 2.0)):
        rule = build(optimizer, one, 0.01, l1)
        one(torch.ones(4, 8)).square().sum().backward()
        rule.step()
    theirs = dict(plain.named_parameters())
    for name, mine in sparse.named_parameters():
        other = theirs[name].detach()
        expected = nn.functional.softshrink(other, 0.02) if other.ndim > 1 else other
        assert torch.equal(mine, expected), name


def test_l1_makes_weights_of_useless_inputs_zero_and_loses_little(tmp_path: Path) -> None:
    """Of ten inputs, eight say nothing about the target."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 10, generator=generator)
    targets = (inputs[:, 0] + inputs[:, 1] > 0).long()
    ends = {}
    for l1 in (0.0, 0.2):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 2))
        fit = Fit(batch_size=100, lr=0.01, epochs=150, l1=l1)
        learner = learners.Supervised(net, losses.cross_entropy(), fit, 400)
        for step in range(learner.num_steps):
            rows = slice(100 * (step % 4), 100 * (step % 4) + 100)
            learner.update(Batch(inputs[rows], targets[rows]), step)
        useless = net[0].weight[:, 2:]  # type: ignore[index]
        ends[l1] = (
            float((useless == 0).float().mean()),
            float((net(inputs).argmax(1) == targets).float().mean()),
        )
    assert ends[0.0][0] == 0
    assert ends[0.2][0] > 0.6
    assert ends[0.2][1] > 0.95


# --- The average of the weights -------------------------------------------------------------------


def test_the_average_is_the_exponential_one_with_a_warm_up() -> None:
    trained = nn.Linear(1, 1, bias=False)
    average = Average(trained, 0.9)
    expected = float(trained.weight.detach())
    for step in range(200):
        with torch.no_grad():
            trained.weight.fill_(step % 7)
        average.follow(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step % 7)
        (found,) = average.network.parameters()
        assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


def test_statistics_of_batch_normalization_are_averaged_and_counts_copied() -> None:
    trained = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    average = Average(trained, 0.5)
    for step in range(30):
        trained(torch.randn(16, 3) + 5)
        average.follow(step)
    theirs, ours = trained.state_dict(), average.network.state_dict()
    assert ours["1.num_batches_tracked"] == theirs["1.num_batches_tracked"] == 30
    assert not torch.equal(ours["1.running_mean"], theirs["1.running_mean"])
    assert torch.allclose(ours["1.running_mean"], theirs["1.running_mean"], atol=0.2)


def test_the_average_is_what_is_scored_and_kept_and_the_weights_train_as_without_it(
    tmp_path: Path,
) -> None:
    runs = {}
    for average in (None, 0.99):
        task, recipe = recipe_for("iris", fit__average=average, epochs=6)
        runs[average] = new_run(tmp_path, recipe, str(average))
        events = play(task, recipe, runs[average])
        assert finished(events).scores
    with_average = runs[0.99].load_checkpoint()[0]["parts"]
    without = runs[None].load_checkpoint()[0]["parts"]
    assert same_bits(with_average["network"], without["network"])
    assert same_bits(weights(runs[0.99]), with_average["average"])
    assert not same_bits(with_average["average"], with_average["network"])
    curves = [[row["train"] for row in run.rows() if "train" in row] for run in runs.values()]
    assert curves[0] == curves[1]


def test_an_average_steadies_what_a_constant_rate_leaves_restless(tmp_path: Path) -> None:
    wild = {"fit__schedule": "constant", "lr": 0.05, "epochs": 12, "fit__batch_size": 8}
    ranges = []
    for average in (None, 0.98):
        task, recipe = recipe_for("breast-cancer", fit__average=average, **wild)
        run = new_run(tmp_path, recipe, str(average))
        play(task, recipe, run)
        found = [r["validation"]["log_loss"] for r in run.rows() if "validation" in r][4:]
        ranges.append(max(found) - min(found))
    assert ranges[1] < ranges[0] / 2


# --- Mixup ----------------------------------------------------------------------------------------


def some_batch(num: int = 50, weights: Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(num, 4, generator=generator)
    return Batch(inputs, torch.randint(3, (num,), generator=generator), weights)


def test_inputs_and_both_targets_are_mixed_by_the_same_share() -> None:
    torch.manual_seed(1)
    batch = some_batch()
    mixed = mixing.Mixup(1.0, mixing.blend)(batch)
    share = float(mixed.weights[0, 0])  # type: ignore[index]
    assert mixed.weights is not None
    assert torch.allclose(mixed.weights, torch.tensor([share, 1 - share]).expand(50, 2))
    assert torch.equal(mixed.targets[:, 0], batch.targets)
    partners = (mixed.inputs - share * batch.inputs) / (1 - share)
    nearest = torch.cdist(partners, batch.inputs).argmin(1)
    assert torch.allclose(partners, batch.inputs[nearest], atol=1e-3)
    assert torch.equal(mixed.targets[:, 1], batch.targets[nearest])
    assert sorted(nearest.tolist()) == list(range(50))


def test_the_mixed_loss_has_the_gradient_of_the_mixed_target() -> None:
    torch.manual_seed(2)
    mixed = mixing.Mixup(0.5, mixing.blend)(some_batch())
    assert mixed.weights is not None
    logits = torch.randn(50, 3, requires_grad=True)
    each = mixing.of_both(losses.cross_entropy())(logits, mixed.targets)
    weighted_mean(each, mixed.weights).backward()
    ours, logits.grad = logits.grad, None
    soft = (nn.functional.one_hot(mixed.targets, 3) * mixed.weights[..., None]).sum(1)
    nn.functional.cross_entropy(logits, soft).backward()
    assert torch.allclose(ours, logits.grad, atol=1e-7)  # type: ignore[arg-type]


def test_members_each_have_a_loss_for_both_targets() -> None:
    mixed = mixing.Mixup(1.0, mixing.blend)(some_batch())
    outputs = torch.randn(50, 7, 3)
    each = mixing.of_both(losses.cross_entropy())(outputs, mixed.targets)
    assert each.shape == (50, 2, 7)
    assert mixed.weights is not None
    expected = (each.mean(2) * mixed.weights).sum() / 50
    assert torch.allclose(weighted_mean(each, mixed.weights), expected)


def test_weights_of_rows_go_with_their_rows() -> None:
    weights = torch.zeros(50)
    weights[7] = 2.0
    batch = some_batch(weights=weights)
    mixed = mixing.Mixup(1.0, mixing.blend)(batch)
    assert mixed.weights is not None
    assert mixed.weights.sum() == pytest.approx(2.0)
    counted = mixed.targets[mixed.weights > 0]
    assert len(counted) == 2
    assert (counted == batch.targets[7]).all()


def test_bytes_of_images_become_mixed_floats_of_the_same_range() -> None:
    black, white = torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.full((2, 1, 3, 3), 255).byte()
    grey = mixing.blend(white, black, 0.25)
    assert grey.dtype == torch.float32
    assert torch.equal(grey, torch.full((2, 1, 3, 3), 63.75))


def test_levels_of_categories_are_taken_whole_from_one_of_both_rows() -> None:
    torch.manual_seed(0)
    mixture = mixing.blend_rows([False, True, False])
    first = torch.tensor([[1.0, 3.0, 5.0]]).expand(4000, 3)
    second = torch.tensor([[2.0, 8.0, 6.0]]).expand(4000, 3)
    mixed = mixture(first, second, 0.25)
    assert torch.equal(mixed[:, [0, 2]], torch.tensor([[1.75, 5.75]]).expand(4000, 2))
    assert set(mixed[:, 1].tolist()) == {3.0, 8.0}
    assert float((mixed[:, 1] == 3).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(first[0], torch.tensor([1.0, 3.0, 5.0])), "the inputs are left as they were"


def test_without_categories_rows_are_blended_plainly() -> None:
    assert mixing.blend_rows([False, False]) is mixing.blend


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 3.0])
def test_shares_are_drawn_from_the_beta_distribution(alpha: float) -> None:
    torch.manual_seed(0)
    mixup = mixing.Mixup(alpha, mixing.blend)
    shares = [mixup.share() for _ in range(2000)]
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_a_tiny_alpha_hardly_mixes_and_none_is_no_mixing_at_all() -> None:
    assert mixing.mixup(0.0, mixing.blend, Fit(batch_size=1)) is None
    batch = some_batch()
    mixed = [mixing.Mixup(1e-3, mixing.blend)(copy.copy(batch)) for _ in range(20)]
    shares = [float(one.weights[0, 0]) for one in mixed]  # type: ignore[index]
    assert all(share < 0.01 or share > 0.99 for share in shares)


def test_rows_without_weight_teach_nothing_in_pieces_as_in_one() -> None:
    layer = nn.Linear(2, 1)
    learner = learners.Supervised(layer, losses.squared, Fit(lr=0.1, epochs=1, batch_size=4), 4)
    learner.shrink()
    batch = Batch(torch.ones(4, 2), torch.ones(4, 1), torch.zeros(4))
    assert float(learner.update(batch, 0)["loss"]) == 0


def test_a_default_network_of_members_gets_its_own_steps_however_it_was_chosen() -> None:
    task = catalog.task("table-classification")
    unsaid = task.recipe.model_validate(
        {"task": "table-classification", "data": "x", "target": "y"}
    )
    said = unsaid.model_copy(update={"network": network.resolved(unsaid.network)})
    assert task.fill(unsaid, 1000).fit == task.fill(said, 1000).fit
