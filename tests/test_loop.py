"""The loop: what it yields, when it stops, what it keeps, and that a resume changes nothing."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from trainings import (
    assert_same_end,
    drop_at,
    finished,
    go_on,
    new_run,
    play,
    recipe_for,
    same_bits,
    table,
    weights,
)

from glassnet import learners
from glassnet.api import resume
from glassnet.errors import UserError
from glassnet.loop import SaveClock, shuffled, train
from glassnet.run import Run
from glassnet.task import Metric, Saved, Started, Step, Validated, Warned

OPTIMIZERS = ["sgd", "rmsprop", "adam", "adamw", "muon"]
SCHEDULES = ["constant", "step", "exponential", "cosine", "one-cycle"]


@pytest.fixture
def iris() -> tuple[Any, Any]:
    return recipe_for("iris")


def trained(folder: Path, name: str = "run", **knobs: Any) -> Run:
    """A finished training on iris."""
    task, recipe = recipe_for("iris", **knobs)
    run = new_run(folder, recipe, name)
    finished(play(task, recipe, run))
    return run


# --- What is trained how --------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_optimizer_and_schedule_trains(tmp_path: Path, optimizer: str, schedule: str) -> None:
    lr = 0.1 if optimizer == "sgd" else 0.02
    run = trained(tmp_path, fit__optimizer=optimizer, fit__schedule=schedule, lr=lr, epochs=8)
    losses = [row["epoch_loss"] for row in run.rows() if "epoch_loss" in row]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_resumes_exactly(tmp_path: Path, optimizer: str) -> None:
    knobs = {"fit__optimizer": optimizer, "fit__schedule": "cosine", "fit__clip": 0.5}
    if optimizer in ("sgd", "rmsprop"):
        knobs["fit__optimizer__momentum"] = 0.9
    whole = trained(tmp_path, "whole", **knobs)
    task, recipe = recipe_for("iris", **knobs)
    run = new_run(tmp_path, recipe)
    play(task, recipe, run, ask_to_stop_at=8)
    go_on(task, run)
    assert_same_end(run, whole)


def test_clipping_bounds_the_gradient_and_so_the_first_step(tmp_path: Path) -> None:
    knobs = {"fit__optimizer": "sgd", "fit__schedule": "constant", "epochs": 1, "lr": 1.0}
    task, recipe = recipe_for("iris", fit__clip=1e-4, fit__batch_size=100, **knobs)
    learner: Any = None

    def keep(*words: Any) -> Any:
        nonlocal learner
        learner = task.learner(*words)
        before.update({k: v.clone() for k, v in learner.network.state_dict().items()})
        return learner

    before: dict[str, Any] = {}
    play(replace(task, learner=keep), recipe, new_run(tmp_path, recipe))
    moves = [v - before[k] for k, v in learner.network.state_dict().items()]
    norm = torch.cat([move.flatten() for move in moves]).norm()
    assert float(norm) == pytest.approx(1e-4, rel=1e-2)


def test_pieces_of_a_batch_add_up_to_the_batch(tmp_path: Path) -> None:
    one = trained(tmp_path, "one", fit__optimizer="sgd", lr=0.05)
    pieces = trained(tmp_path, "pieces", fit__optimizer="sgd", lr=0.05, fit__accumulate=3)
    for name, tensor in weights(one).items():
        assert torch.allclose(tensor, weights(pieces)[name], atol=1e-5), name


def test_bfloat16_trains_and_resumes(tmp_path: Path) -> None:
    knobs = {"fit__precision": "bfloat16", "epochs": 4}
    whole = trained(tmp_path, "whole", **knobs)
    task, recipe = recipe_for("iris", **knobs)
    run = new_run(tmp_path, recipe)
    play(task, recipe, run, ask_to_stop_at=5)
    go_on(task, run)
    assert_same_end(run, whole)
    assert all(t.dtype == torch.float32 for t in weights(run).values() if t.is_floating_point())


# --- When it ends ---------------------------------------------------------------------------------


def scripted(scores: list[float], better: str = "higher") -> Any:
    """A task whose validation scores follow a script, and its recipe."""
    task, recipe = recipe_for("iris", epochs=len(scores), fit__patience=2)
    script = iter(scores)
    metric = Metric("scripted", lambda _: next(script), better=better)
    return replace(task, metrics=(metric,), chosen_by=()), recipe


@pytest.mark.parametrize(
    ("scores", "better", "epochs", "best"),
    [
        ([1, 2, 3, 2, 2, 9], "higher", 5, 2),
        ([3, 2, 1, 2, 2, 0], "lower", 5, 2),
        ([1, 2, 3, 4, 5, 6], "higher", 6, 5),
        ([5, 5, 5, 5, 5, 5], "higher", 3, 2),
        ([float("nan"), 1, 0, 0, 9, 9], "higher", 4, 1),
        ([1, float("nan"), float("nan"), 9], "higher", 3, 0),
    ],
)
def test_patience_ends_a_training_that_gets_no_better(
    tmp_path: Path, scores: list[float], better: str, epochs: int, best: int
) -> None:
    task, recipe = scripted(scores, better)
    events = play(task, recipe, new_run(tmp_path, recipe))
    validated = [e for e in events if isinstance(e, Validated)]
    assert len(validated) == epochs
    assert max(e.epoch for e in validated if e.best) == best
    early = "no better validation score for 2 epochs"
    assert finished(events).reason == (early if epochs < len(scores) else "all epochs done")


def test_best_and_last_weights_are_both_kept_and_the_recipe_says_which_answer(
    tmp_path: Path,
) -> None:
    scores = [1.0, 5.0, 2.0, 2.0]
    runs = {}
    for keep in ("best", "last"):
        task, recipe = scripted(scores)
        fit = recipe.fit.model_copy(update={"keep": keep, "patience": None})
        recipe = recipe.model_copy(update={"fit": fit})
        runs[keep] = new_run(tmp_path, recipe, keep)
        play(task, recipe, runs[keep])
    model = "model.safetensors"
    assert same_bits(weights(runs["last"]), weights(runs["best"]))
    assert same_bits(weights(runs["last"], model), weights(runs["last"]))
    assert not same_bits(weights(runs["best"], model), weights(runs["best"]))


def test_the_best_weights_of_before_a_stop_are_still_the_best_after_it(tmp_path: Path) -> None:
    runs = [new_run(tmp_path, scripted([0.0])[1], name) for name in ("whole", "run")]
    for run, stop in zip(runs, (None, 15), strict=True):
        task, recipe = scripted([1.0, 5.0, 2.0, 2.0])
        events = play(task, recipe, run, ask_to_stop_at=stop)
        if stop is not None:
            events = play(task, recipe, run)
    assert finished(events).scores == {"scripted": 5.0}
    assert_same_end(runs[1], runs[0])
    assert not same_bits(weights(run, "model.safetensors"), weights(run))


def test_an_early_end_is_an_end_after_a_resume_too(tmp_path: Path) -> None:
    task, recipe = recipe_for("iris", epochs=40, fit__patience=1, lr=0.05)
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    events = play(task, recipe, whole)
    assert "no better" in finished(events).reason
    play(task, recipe, run, ask_to_stop_at=finished(events).step - 3)
    again = go_on(task, run)
    assert finished(again).reason == finished(events).reason
    assert_same_end(run, whole)
    assert not [e for e in go_on(task, run) if isinstance(e, Step)], "a finished run is finished"
    assert_same_end(run, whole)


def test_a_second_interrupt_is_not_waited_for(tmp_path: Path, iris: tuple[Any, Any]) -> None:
    import signal

    task, recipe = iris
    run = new_run(tmp_path, recipe)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where CI starts us with "&"
    with pytest.raises(KeyboardInterrupt):
        for event in train(task, recipe, run):
            if isinstance(event, Step) and event.step == 5:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
    whole = new_run(tmp_path, recipe, "whole")
    play(task, recipe, whole)
    go_on(task, run)
    assert_same_end(run, whole)


def test_signals_are_as_they_were_after_a_training(tmp_path: Path, iris: tuple[Any, Any]) -> None:
    import signal

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    play(*iris, new_run(tmp_path, iris[1]))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_training_leaves_torch_as_it_was(tmp_path: Path, iris: tuple[Any, Any]) -> None:
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    play(*iris, new_run(tmp_path, iris[1]))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


# --- Exact resume ---------------------------------------------------------------------------------


def test_every_single_step_is_a_place_to_stop(tmp_path: Path, iris: tuple[Any, Any]) -> None:
    task, recipe = iris
    whole = new_run(tmp_path, recipe, "whole")
    total = finished(play(task, recipe, whole)).step
    for step in range(1, total + 1):
        run = new_run(tmp_path, recipe)
        play(task, recipe, run, ask_to_stop_at=step)
        go_on(task, run)
        assert_same_end(run, whole)


def test_a_run_that_was_killed_before_it_knew_its_data_is_resumed(tmp_path: Path) -> None:
    whole = trained(tmp_path, "whole")
    task, recipe = recipe_for("iris")
    run = new_run(tmp_path, recipe)
    resume(run.path, show=False)
    assert_same_end(run, whole)


def test_stopping_at_every_step_of_one_run_changes_nothing(
    tmp_path: Path, iris: tuple[Any, Any]
) -> None:
    task, recipe = iris
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    total = finished(play(task, recipe, whole)).step
    for step in range(1, total):
        play(task, recipe, run, ask_to_stop_at=step)
    go_on(task, run)
    assert_same_end(run, whole)


@pytest.mark.parametrize("mode", ["redrawn", "kfold"])
def test_other_ways_of_validation_resume_exactly(tmp_path: Path, mode: str) -> None:
    task, recipe = recipe_for("iris", split__mode=mode, split__folds=3)
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    play(task, recipe, whole)
    stops = [9, 3, 11] if mode == "redrawn" else [4, 5, 6]
    for stop in stops:
        last = play(task, recipe, run, ask_to_stop_at=stop)[-1]
        assert last.step >= stop  # type: ignore[union-attr]
        if mode == "redrawn":
            break
    go_on(task, run)
    for one, other in zip(run.folds() or [run], whole.folds() or [whole], strict=True):
        assert_same_end(one, other)
    assert run.info["scores"] == whole.info["scores"]


def test_augmented_images_resume_exactly(tmp_path: Path) -> None:
    knobs: dict[str, Any] = {"network": "lenet", "epochs": 2, "augment__flip": True}
    from glassnet import catalog

    flags = {"fit.threads": 1, **{k.replace("__", "."): v for k, v in knobs.items()}}
    task, recipe = catalog.resolve("digits", flags)
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    play(task, recipe, whole)
    play(task, recipe, run, ask_to_stop_at=13)
    go_on(task, run)
    assert_same_end(run, whole)


def test_a_cut_newest_checkpoint_falls_back_visibly_to_the_one_before(
    tmp_path: Path, iris: tuple[Any, Any]
) -> None:
    task, recipe = iris
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    play(task, recipe, whole)
    play(task, recipe, run, ask_to_stop_at=4)
    play(task, recipe, run, ask_to_stop_at=9)
    newest = sorted((run.path / "checkpoint").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    events = go_on(task, run)
    warned = [e.message for e in events if isinstance(e, Warned)]
    assert any(newest.name in message and "damaged" in message for message in warned)
    assert next(e.step for e in events if isinstance(e, Started)) == 4
    assert_same_end(run, whole)


def test_a_disk_that_is_full_while_saving_costs_only_the_time_since_the_last_checkpoint(
    tmp_path: Path, iris: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, recipe = iris
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    play(task, recipe, whole)
    play(task, recipe, run, ask_to_stop_at=6)
    kept = sorted((run.path / "checkpoint").iterdir())
    real = os.replace

    def full(source: Any, target: Any) -> None:
        if "checkpoint" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"The disk is full.*Nothing that was stored before"):
        go_on(task, run)
    monkeypatch.undo()
    assert sorted((run.path / "checkpoint").iterdir()) == kept
    assert next(e.step for e in go_on(task, run) if isinstance(e, Started)) == 6
    assert_same_end(run, whole)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        task, recipe = recipe_for("iris", network__hidden=[64], epochs=6)
        whole, run = new_run(tmp_path, recipe, "whole"), new_run(disk, recipe)
        play(task, recipe, whole)
        play(task, recipe, run, ask_to_stop_at=7)
        ballast = disk / "ballast"
        with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(UserError, match="The disk is full"):
            go_on(task, run)
        ballast.unlink()
        assert run.load_checkpoint()[0]["now"]["step"] == 7
        go_on(task, run)
        assert_same_end(run, whole)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_data_that_changed_in_between_are_refused(tmp_path: Path) -> None:
    data = table(tmp_path / "x.csv")
    task, recipe = recipe_for(data, target="y")
    run = new_run(tmp_path, recipe)
    play(task, recipe, run, ask_to_stop_at=3)
    table(data, seed=1)
    with pytest.raises(UserError, match="cannot go on: its data, splits, facts changed"):
        go_on(task, run)


# --- Order, saving, curves ------------------------------------------------------------------------


def test_the_order_is_a_function_of_seed_and_epoch_and_of_nothing_else() -> None:
    positions = torch.arange(100)
    first = shuffled(positions, 3, 4)
    torch.rand(5)
    assert torch.equal(shuffled(positions, 3, 4), first)
    assert sorted(first.tolist()) == list(range(100))
    others = [shuffled(positions, 3, 5), shuffled(positions, 4, 4)]
    assert not any(torch.equal(first, other) for other in others)


def test_saving_costs_about_a_hundredth_of_the_time_unless_that_takes_too_long() -> None:
    clock = SaveClock(60)
    clock.last -= 0.9
    assert not clock.is_due()
    clock.last -= 0.2
    assert clock.is_due()
    clock.cost, clock.longest = 1.0, 600
    assert not clock.is_due()
    clock.last -= 99
    assert clock.is_due()
    clock.cost, clock.longest = 100.0, 10
    assert clock.is_due()


def test_checkpoints_are_written_at_most_so_many_seconds_apart(tmp_path: Path) -> None:
    task, recipe = recipe_for("iris", epochs=30, fit__checkpoint_seconds=0.01)
    events = play(task, recipe, new_run(tmp_path, recipe))
    assert len([e for e in events if isinstance(e, Saved)]) >= 2


def test_the_curves_hold_each_epoch_once_after_any_number_of_stops(tmp_path: Path) -> None:
    task, recipe = recipe_for("iris", epochs=6)
    run = new_run(tmp_path, recipe)
    play(task, recipe, run, ask_to_stop_at=9)
    drop_at(task, recipe, run, 28)
    go_on(task, run)
    epochs = [row["epoch"] for row in run.rows() if "validation" in row]
    assert epochs == list(range(6))
    rows = [row for row in run.rows() if "train" in row]
    assert all(row["train"].keys() == {"loss", "lr"} for row in rows)


def records(path: Path) -> Iterator[bytes]:
    """The records of a TensorBoard event file: length, checksum, content, checksum."""
    masked_crc32c = pytest.importorskip("tensorboardX.record_writer").masked_crc32c
    content, place = path.read_bytes(), 0
    while place < len(content):
        length, check = struct.unpack_from("<QI", content, place)
        assert check == masked_crc32c(content[place : place + 8])
        record = content[place + 12 : place + 12 + length]
        place += 12 + length
        assert struct.unpack_from("<I", content, place)[0] == masked_crc32c(record)
        place += 4
        yield record


def scalars(run: Run) -> dict[str, dict[int, float]]:
    """What TensorBoard would show: later event files purge what they write again."""
    Event = pytest.importorskip("tensorboardX.proto.event_pb2").Event
    found: dict[str, dict[int, float]] = {}
    files = sorted(run.path.glob("events.out.tfevents*"))
    for file in files:
        for record in records(file):
            event = Event.FromString(record)
            if event.HasField("session_log") and event.session_log.status == 1:
                for values in found.values():
                    for step in [s for s in values if s >= event.step]:
                        del values[step]
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_tensorboard_shows_the_same_curves_as_the_run_folder_after_a_resume(tmp_path: Path) -> None:
    task, recipe = recipe_for("iris", epochs=6)
    run = new_run(tmp_path, recipe)
    play(task, recipe, run, ask_to_stop_at=9)
    drop_at(task, recipe, run, 28)
    go_on(task, run)
    expected: dict[str, dict[int, float]] = {}
    for row in run.rows():
        for part in ("train", "validation"):
            for name, value in row.get(part, {}).items():
                expected.setdefault(f"{part}/{name}", {})[row["step"]] = pytest.approx(value)
        for figure, layers in row.get("layers", {}).items():
            for layer, value in layers.items():
                expected.setdefault(f"{figure}/{layer}", {})[row["step"]] = pytest.approx(value)
    assert scalars(run) == expected
    assert len(expected["validation/accuracy"]) == 6


def test_a_batch_that_runs_out_of_memory_is_computed_in_pieces_and_resumes_so(
    tmp_path: Path, iris: tuple[Any, Any]
) -> None:
    task, recipe = iris

    def loss(outputs: Any, targets: Any) -> Any:
        """The loss on a device that holds ten examples at once."""
        if len(outputs) > 10:
            raise torch.OutOfMemoryError
        return torch.nn.functional.cross_entropy(outputs, targets)

    def learner(recipe: Any, network: Any, data: Any) -> Any:
        return learners.Supervised(network, loss, recipe.fit, len(data.positions(0)[0]))

    task = replace(task, learner=learner)
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    events = play(task, recipe, whole)
    warned = [e.message for e in events if isinstance(e, Warned)]
    assert len(warned) == 1
    assert re.search(r"out of memory on cpu: each batch is now computed in 2 pieces", warned[0])
    play(task, recipe, run, ask_to_stop_at=7)
    resumed = go_on(task, run)
    assert not [e for e in resumed if isinstance(e, Warned)], "it remembers the pieces"
    assert_same_end(run, whole)


def test_a_process_of_its_own_gives_the_same_weights(tmp_path: Path) -> None:
    task, recipe = recipe_for("iris")
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    play(task, recipe, whole)
    play(task, recipe, run, ask_to_stop_at=8)
    words = [sys.executable, "-m", "glassnet", "resume", str(run.path)]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    assert_same_end(run, whole)


def test_a_device_too_small_for_one_example_ends_the_training(
    tmp_path: Path, iris: tuple[Any, Any]
) -> None:
    task, recipe = iris

    def loss(outputs: Any, targets: Any) -> Any:
        raise torch.OutOfMemoryError

    def learner(recipe: Any, network: Any, data: Any) -> Any:
        return learners.Supervised(network, loss, recipe.fit, len(data.positions(0)[0]))

    with pytest.raises(UserError, match="Out of memory on cpu with a single example"):
        play(replace(task, learner=learner), recipe, new_run(tmp_path, recipe))


def test_a_recipe_or_splits_that_were_changed_stop_a_resume(
    tmp_path: Path, iris: tuple[Any, Any]
) -> None:
    task, recipe = iris
    run = new_run(tmp_path, recipe)
    play(task, recipe, run, ask_to_stop_at=3)
    path = run.path / "recipe.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("epochs: ", "epochs: 1"), encoding="utf-8")
    with pytest.raises(UserError, match=r"its recipe\.yaml changed since it began"):
        go_on(task, run)
    path.write_text(text, encoding="utf-8")
    splits = {name: rows.flip(0) for name, rows in vars(run.splits()).items()}
    run.write_tensors("splits.safetensors", splits)
    with pytest.raises(UserError, match="its splits changed since it began"):
        go_on(task, run)


def test_a_resume_takes_the_number_of_threads_that_the_run_began_with(
    tmp_path: Path, iris: tuple[Any, Any]
) -> None:
    task, recipe = iris
    run = new_run(tmp_path, recipe)
    play(task, recipe, run, ask_to_stop_at=3)
    run.write_json("environment.json", {**run.read_json("environment.json"), "threads": 2})
    seen = {
        torch.get_num_threads() for event in train(task, recipe, run) if isinstance(event, Step)
    }
    assert seen == {2}


def test_a_loss_that_nobody_looked_at_stops_the_run_at_the_end_of_the_epoch(
    tmp_path: Path, iris: tuple[Any, Any]
) -> None:
    """As on a GPU, where the learner does not read the loss at each step."""
    task, recipe = iris

    class Blind(learners.Supervised):
        def update(self, batch: Any, step: int, /) -> Any:
            return {**super().update(batch, step), "loss": torch.tensor(float("nan"))}

    def learner(recipe: Any, network: Any, data: Any) -> Any:
        loss = torch.nn.CrossEntropyLoss()
        return Blind(network, loss, recipe.fit, len(data.positions(0)[0]))

    run = new_run(tmp_path, recipe)
    with pytest.raises(UserError, match=r"NaN or infinite at step .*Kept in .*: no weights yet"):
        play(replace(task, learner=learner), recipe, run)
    assert run.info["status"] == "diverged"
