"""Training further from weights that learned elsewhere: blocks, rates, phases, heads, mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trainings import assert_same_end, drop_at, go_on, new_run, play, same_bits, table, weights

import glassnet
from glassnet import blocks, catalog, matching, network, optimizers, transfer
from glassnet import weights as first_weights
from glassnet.errors import UserError
from glassnet.loop import assemble
from glassnet.networks._standardize import behind
from glassnet.networks.convnet import ConvNet
from glassnet.optimizers import SGD, AdamW, Muon
from glassnet.recipe import Fit, NetworkKnobs, Transfer
from glassnet.run import Run
from glassnet.splits import divide
from glassnet.task import Batch
from glassnet.transfer import Layers

SMALL = {
    "network.channels": [4, 6],
    "fit.threads": 1,
    "fit.batch_size": 16,
    "doctor": "skip",
    "split.test": 0.0,
}
TUNED = {"fit.threads": 1, "fit.batch_size": 16, "doctor": "skip", "split.test": 0.0}


def pictures(
    path: Path, classes: Sequence[str], *, each: int = 20, channels: int = 1, seed: int = 0
) -> Path:
    """Images of 8×8 pixels whose class is the row that is bright."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(classes)), each)
    x = draw.integers(0, 90, (len(labels), 8, 8, channels), dtype=np.uint8)
    for image, label in zip(x, labels, strict=True):
        image[label % 8] += 120
    np.savez(path, x=x.squeeze(-1) if channels == 1 else x, y=np.array(list(classes))[labels])
    return path


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned the classes a, b, c, d."""
    folder = tmp_path_factory.mktemp("first")
    data = pictures(folder / "first.npz", "abcd")
    run = glassnet.train(data, runs=folder, show=False, **SMALL, **{"fit.epochs": 3})
    return run.path


def tuned(first: Path, data: Path, **knobs: Any) -> tuple[Any, Any]:
    """The task and the recipe of a fine-tuning; ``__`` stands for the dot."""
    named = {name.replace("__", "."): value for name, value in knobs.items()}
    return catalog.resolve(str(data), {**TUNED, "weights": str(first), **named})


def body(state: dict[str, Tensor], head: str = "1.output.") -> dict[str, Tensor]:
    """All but the head."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(head)}


# --- Blocks ---------------------------------------------------------------------------------------


class Own(nn.Module):
    """A user's network: parts in rows, and a part that has no rows."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 3, 1, 1))
        self.norm = nn.BatchNorm2d(3)
        self.eye = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.trunk = nn.ModuleDict({"rows": nn.ModuleList([nn.Conv2d(4, 4, 1) for _ in range(2)])})
        self.answer = nn.Linear(4, 2)
        self.tied = nn.Linear(4, 2)
        self.tied.weight = self.answer.weight


def test_blocks_are_found_in_any_network_and_hold_every_weight_once() -> None:
    own = blocks.blocks(Own())
    assert [block.name for block in own] == [
        "eye.0", "trunk.rows.0", "trunk.rows.1", "answer", "tied",
    ]  # fmt: skip
    assert [len(block.weights) for block in own] == [2 + 2 + 1 + 2, 2, 2, 2, 1]
    for built in (Own(), ConvNet((1, 8, 8), 3, blocks=2)):
        found = [id(w) for block in blocks.blocks(built) for w in block.weights]
        assert sorted(found) == sorted(id(w) for w in built.parameters())
    names = [block.name for block in blocks.blocks(ConvNet((1, 8, 8), 3))]
    assert names == ["stem.0", "stages.0.0", "stages.1.0", "stages.2.0", "output"]


def test_blocks_begin_from_the_top_and_take_smaller_steps_below() -> None:
    network, fit = ConvNet((1, 8, 8), 3), Fit(epochs=12)
    knobs = Transfer(head_alone=0.25, unfreeze=0.5, layer_decay=0.5, freeze="stem.0")
    found = transfer.stages(knobs, fit, network)
    assert [stage.begins for stage in found] == [inf, 9.0, 6.0, 3.0, 0.0]
    assert [stage.share for stage in found] == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    whole = transfer.stages(Transfer(freeze="all"), fit, network)
    assert [stage.begins for stage in whole] == [inf] * 4 + [0.0]


@pytest.mark.parametrize("knobs", [SGD(momentum=0.9), AdamW(), Muon()])
def test_each_weight_moves_as_if_its_share_of_the_rate_were_the_rate(knobs: Any) -> None:
    def after(lr: float, shares: dict[str, float] | None) -> dict[str, Tensor]:
        torch.manual_seed(0)
        network = ConvNet((1, 8, 8), 3, channels=(4, 6))
        optimizer = optimizers.build(knobs, network, lr, 0.01, shares)
        for _ in range(2):
            for weight in network.parameters():
                weight.grad = torch.ones_like(weight)
            optimizer.step()
        return dict(network.state_dict())

    names = [name for name, _ in ConvNet((1, 8, 8), 3, channels=(4, 6)).named_parameters()]
    low = {name: 0.25 for name in names if not name.startswith("output")}
    mixed, full, quarter = after(0.1, low), after(0.1, None), after(0.1 * 0.25, None)
    for name in names:
        assert torch.equal(mixed[name], (quarter if name in low else full)[name]), name


class Wrapped(nn.Module):
    """A user's network that is all in one part, without rows."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.conv, self.body.dense = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)


def test_the_only_part_of_a_network_is_walked() -> None:
    assert [block.name for block in blocks.blocks(Wrapped())] == ["body.conv", "body.dense"]
    assert [block.name for block in blocks.blocks(nn.Linear(2, 2))] == ["network"]


@pytest.mark.parametrize(
    "name", ["airbench", "alexnet", "backbone", "convnet", "hgnetv2", "lenet", "mlp", "perceptron",
             "resnet", "tabm", "vgg"],
)  # fmt: skip
def test_the_head_of_every_network_is_what_depends_on_the_number_of_classes(name: str) -> None:
    few, many = (
        dict(network.build_network(NetworkKnobs(name=name), (3, 64, 64), n).named_parameters())
        for n in (2, 3)
    )
    changed = {n for n, weight in few.items() if weight.shape != many[n].shape}
    built = network.build_network(NetworkKnobs(name=name), (3, 64, 64), 2)
    assert set(blocks.head(built)) == changed


# --- Phases ---------------------------------------------------------------------------------------


def test_nothing_but_the_head_changes_while_it_learns_alone(first: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"], seed=1)
    task, recipe = tuned(first, data, fit__epochs=20, transfer__head_alone=0.1)
    with ExitStack() as stack:
        parts = assemble(task, recipe, None, stack, threads=1)
        learner, pool = parts.learner, parts.data.pool
        network = learner.network
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        index = torch.arange(16)
        rates = []
        for step in range(2 * learner.steps_per_epoch + 1):
            now = dict(network.state_dict())
            assert same_bits(body(now), body(before)), step
            task.score(network, pool, parts.data.facts)  # as the loop does between epochs
            network.train()
            rates.append(learner.update(pool.batch(index), step)["lr"])
        assert not torch.equal(network.state_dict()["1.output.weight"], before["1.output.weight"])
        changed = body(dict(network.state_dict()))
        assert all(not torch.equal(changed[n], before[n]) for n in changed if "conv1.weight" in n)
        assert all(not torch.equal(changed[n], before[n]) for n in changed if "running" in n)
        assert set(rates[:-1]) == {recipe.fit.lr or learner.peak_lr}
        assert rates[-1] < rates[0] / 2  # the schedule begins with what joins the head


def test_frozen_blocks_keep_every_bit_to_the_end(first: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"], seed=1)
    knobs = {"fit.l1": 0.01, "fit.average": 0.9, "fit.epochs": 3}
    run = glassnet.finetune(
        first, data, runs=tmp_path, show=False, **TUNED, **knobs, freeze="stages.0.0"
    )
    old, new = weights(Run(first), "model.safetensors"), weights(Run(run.path))
    frozen = ("1.stem.", "1.stages.0.")
    for name in body(old):
        assert torch.equal(old[name], new[name]) == name.startswith(frozen), name


def test_the_schedule_begins_at_once_unless_the_head_is_alone() -> None:
    network, fit = ConvNet((1, 8, 8), 3), Fit(epochs=10)
    gradual = Transfer(head_alone=0.0, unfreeze=0.5)
    assert Layers(gradual, fit, network, network, 7).head_steps == 0
    assert Layers(Transfer(head_alone=0.2, unfreeze=0.5), fit, network, network, 7).head_steps == 14
    assert Layers(Transfer(freeze="all"), fit, network, network, 7).head_steps == 0


def test_a_fine_tuning_goes_on_without_the_weights_once_it_has_a_checkpoint(
    first: Path, tmp_path: Path
) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"], seed=1)
    copy = Path(shutil.copytree(first, tmp_path / "copy"))
    task, recipe = tuned(copy, data, fit__epochs=4)
    early = recipe.model_copy(
        update={"fit": recipe.fit.model_copy(update={"checkpoint_seconds": 1e-9})}
    )
    whole, run, late = (new_run(tmp_path, early, name) for name in ("whole", "run", "late"))
    play(task, early, whole)
    drop_at(task, early, run, 5)
    drop_at(task, early, late, 1)  # before the first checkpoint
    shutil.rmtree(copy)
    go_on(task, run)
    assert_same_end(run, whole)
    with pytest.raises(UserError, match=f"no weights {copy}"):
        go_on(task, late)


def test_every_fold_begins_from_the_weights(first: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"], seed=1)
    folds = {"split.mode": "kfold", "split.folds": 2, "fit.epochs": 1, "fit.lr": 1e-9}
    run = glassnet.finetune(first, data, runs=tmp_path, show=False, **TUNED, **folds)
    old = weights(Run(first), "model.safetensors")["1.stem.0.weight"]
    for fold in Run(run.path).folds():
        assert torch.allclose(weights(fold, "model.safetensors")["1.stem.0.weight"], old, atol=1e-6)
    with pytest.raises(UserError, match=r"choose one, such as .*fold-1"):
        glassnet.finetune(run, data, runs=tmp_path, show=False, **TUNED)
    again = glassnet.finetune(
        run.path / "fold-1", data, runs=tmp_path, show=False, **TUNED, epochs=1
    )
    assert again.status == "finished"


@pytest.mark.parametrize(
    "knobs",
    [
        {"tta": "flip", "loss": "focal"},
        {"tta": "flip", "class_weights": "balanced"},
        {"tta": "flip_shift"},
        {"loss": "focal", "class_weights": "balanced"},
    ],
)
def test_weights_are_found_behind_views_and_behind_what_makes_answers_honest(
    tmp_path: Path, knobs: dict[str, Any]
) -> None:
    data = pictures(tmp_path / "first.npz", "ab")
    run = glassnet.train(data, runs=tmp_path, show=False, epochs=1, **knobs, **SMALL)
    plain = ConvNet((1, 8, 8), 2, channels=(4, 6))
    match = matching.put(plain, first_weights.read(str(run.path)), ["a", "b"])
    assert not match.unused and "by order" not in match.sentence
    own = behind(run.network).state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in plain.state_dict().items())
    again = glassnet.finetune(run, data, runs=tmp_path, show=False, epochs=1, **TUNED)
    assert "1.stem.0.weight" in weights(Run(again.path))


def test_the_file_of_a_run_that_is_named_is_the_one_that_is_read(first: Path) -> None:
    last = weights(Run(first), "last.safetensors")
    write = Run(first).write_tensors
    write("other.safetensors", {name: tensor + 1 for name, tensor in last.items()})
    found = first_weights.read(str(first / "other.safetensors"))
    assert torch.equal(found.tensors["output.bias"], last["1.output.bias"] + 1)
    assert found.classes == ["a", "b", "c", "d"]


@pytest.mark.parametrize("step", [2, 5, 11])
@pytest.mark.parametrize(
    "more", [{}, {"fit__average": 0.9, "fit__l1": 0.01}, {"split__refit": True}]
)
def test_a_run_stopped_in_any_phase_ends_with_the_same_bits(
    first: Path, tmp_path: Path, step: int, more: dict[str, Any]
) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"], each=20, seed=1)
    knobs = {"transfer__head_alone": 0.33, "transfer__unfreeze": 0.33, "fit__epochs": 6}
    task, recipe = tuned(first, data, **knobs, **more, fit__checkpoint_seconds=1e-9)
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    play(task, recipe, whole)
    drop_at(task, recipe, run, step)
    go_on(task, run)
    assert_same_end(run, whole)


def test_scoring_does_not_change_a_training_with_frozen_blocks(first: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"], seed=1)
    task, recipe = tuned(first, data, fit__epochs=4, freeze=2)
    once, often = new_run(tmp_path, recipe, "once"), new_run(tmp_path, recipe, "often")
    play(task, recipe, once)

    def score(network: nn.Module, examples: Any, facts: Any) -> Any:
        task.score(network, examples, facts)
        torch.rand(13)
        return task.score(network, examples, facts)

    play(replace(task, score=score), recipe, often)
    assert_same_end(often, once)


# --- Heads ----------------------------------------------------------------------------------------


def head_after(first: Path, data: Path, **knobs: Any) -> tuple[Tensor, str]:
    """The head's weights before the first step, and what was said."""
    task, recipe = tuned(first, data, fit__epochs=2, **knobs)
    with ExitStack() as stack:
        parts = assemble(task, recipe, None, stack, threads=1)
        return parts.learner.network.state_dict()["1.output.weight"], " ".join(parts.notes)


def test_a_head_is_kept_if_the_weights_know_all_classes_by_name(
    first: Path, tmp_path: Path
) -> None:
    old = weights(Run(first), "model.safetensors")["1.output.weight"]
    same, said = head_after(first, pictures(tmp_path / "same.npz", "abcd", seed=1))
    assert torch.equal(same, old) and "head is kept" in said
    fewer, said = head_after(first, pictures(tmp_path / "fewer.npz", "bd", seed=1))
    assert torch.equal(fewer, old[[1, 3]]) and "by name" in said
    new, said = head_after(first, tmp_path / "same.npz", transfer__head="new")
    assert not torch.equal(new, old) and "begins anew" in said
    other, said = head_after(first, pictures(tmp_path / "other.npz", "abxy", seed=1))
    assert not set(map(tuple, other.tolist())) & set(map(tuple, old.tolist()))
    assert "new: output" in said


def test_grey_weights_read_colour_images_as_grey(first: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "colour.npz", ["x", "y"], channels=3)
    assert "read in grey" in head_after(first, data)[1]
    run = glassnet.finetune(first, data, runs=tmp_path, show=False, **TUNED, **{"fit.epochs": 2})
    assert run.facts.channels == 1
    assert run.predict(np.zeros((8, 8, 3), dtype=np.uint8))[0].answer in ("x", "y")
    assert run.facts.mean == Run(first).read_json("facts.json")["mean"]


# --- As a user ------------------------------------------------------------------------------------


def test_finetune_is_train_with_weights_and_shows_what_learns_when(
    cli: Any, first: Path, tmp_path: Path
) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"], seed=1)
    flags = ["--fit.epochs", "3", "--freeze", "1", "--doctor", "skip", "--json"]
    code, out, _ = cli("finetune", first, data, *flags, "--dry-run")
    rows = json.loads(out)["layers"]
    assert code == 0 and [row["block"] for row in rows][::3] == ["stem.0", "output"]
    assert [row["learns from epoch"] for row in rows] == ["never", "1.6", "1.6", "1"]
    one, other = (
        Path(json.loads(cli(*words, *flags, "--split.test", "0")[1])["run"])
        for words in (("finetune", first, data), ("train", data, "--weights", first))
    )
    assert same_bits(weights(Run(one)), weights(Run(other)))
    assert "When each block learns" in (one / "report.html").read_text(encoding="utf-8")
    assert cli("evaluate", one)[0] == 0
    again = glassnet.load(one).finetune(data, runs=tmp_path, show=False, epochs=2, **TUNED)
    assert again.recipe.weights == str(one.resolve())


def test_the_gradient_of_a_frozen_body_is_not_computed(first: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"], seed=1)
    task, recipe = tuned(first, data, freeze="all", fit__epochs=2)
    with ExitStack() as stack:
        learner = assemble(task, recipe, None, stack, threads=1).learner
        learner.update(Batch(torch.zeros(4, 1, 8, 8).byte(), torch.tensor([0, 1, 0, 1])), 0)
        given = {n for n, w in learner.network.named_parameters() if w.grad is not None}
    assert given == {"1.output.weight", "1.output.bias"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--freeze", "stage.0.0"], ["stage.0.0", "stages.0.0", "output is the head"]),
        (["--freeze", "7"], ["7 blocks", "3 below the head"]),
        (["--head-alone", "0.5", "--unfreeze", "0.5"], ["head_alone=0.5", "unfreeze=0.5"]),
        (["--layer-decay", "1.5"], ["transfer.layer_decay", "1.5"]),
    ],
)
def test_impossible_transfers_are_refused(
    cli: Any, first: Path, tmp_path: Path, flags: list[str], words: list[str]
) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"])
    code, _, err = cli("finetune", first, data, "--doctor", "skip", *flags)
    assert code == 2 and all(word in err for word in words), err


def test_weights_that_are_none_for_images_are_refused(cli: Any, tmp_path: Path) -> None:
    data = pictures(tmp_path / "new.npz", ["x", "y"])
    rows = table(tmp_path / "rows.csv")
    other = glassnet.train(
        rows, target="y", runs=tmp_path, show=False, epochs=1, network="mlp", doctor="skip"
    )
    code, _, err = cli("finetune", other.path, data)
    assert code == 2 and "table-classification" in err
    code, _, err = cli("finetune", tmp_path, data)
    assert code == 2 and str(tmp_path) in err
    code, _, err = cli("finetune", other.path, rows, "--target", "y")
    assert code == 2 and "table-classification takes no first weights" in err
    code, _, err = cli("train", data, "--freeze", "all")
    assert code == 2 and "transfer.freeze" in err and "weights" in err


def test_a_run_is_not_measured_on_data_of_other_classes(
    cli: Any, first: Path, tmp_path: Path
) -> None:
    data = pictures(tmp_path / "other.npz", ["a", "b", "zebra"])
    code, _, err = cli("evaluate", first, "--data", data)
    assert code == 2 and "c, d" in err and "zebra" in err


def test_few_rows_of_each_class_are_drawn_and_more_hold_the_fewer(tmp_path: Path) -> None:
    data = pictures(tmp_path / "new.npz", "abc", each=15)
    parts = {}
    for number in (None, 2, 5, 99):
        task, recipe = catalog.resolve(str(data), {"split.per_class": number})
        source = task.source(recipe)
        parts[number] = divide(source, recipe.split)
        strata = torch.tensor(source.strata)
        counts = strata[parts[number].splits.train].bincount()
        every = strata[parts[None].splits.train].bincount()
        assert torch.equal(counts, every.clamp(max=number or 99))
        assert torch.equal(parts[number].splits.validation, parts[None].splits.validation)
    few, more = (set(parts[number].splits.train.tolist()) for number in (2, 5))
    assert few < more
    with pytest.raises(UserError, match=r"per_class=2 contradicts split\.mode=redrawn"):
        catalog.resolve(str(data), {"split.per_class": 2, "split.mode": "redrawn"})
    rows = table(tmp_path / "rows.csv", kind="number")
    task, recipe = catalog.resolve(str(rows), {"split.per_class": 2, "target": "y", **REGRESSION})
    with pytest.raises(UserError, match="belong to classes"):
        divide(task.source(recipe), recipe.split)


REGRESSION = {"task": "table-regression", "split.refit": False}
