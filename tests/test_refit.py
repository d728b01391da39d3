"""A second training, on training and validation rows together, after the first was judged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainings import assert_same_end, drop_at, go_on, new_run, play, recipe_for, same_bits, weights

from glassnet import evaluate
from glassnet.run import Run
from glassnet.task import Refitting, Saved, Step, Validated
from glassnet.trained import Trained

KNOBS = {"split__refit": True, "fit__checkpoint_seconds": 1e-9}


def test_the_refit_sees_all_rows_but_the_tests_and_ends_at_the_best_epoch(tmp_path: Path) -> None:
    task, recipe = recipe_for("iris", **KNOBS, epochs=6)
    run = new_run(tmp_path, recipe)
    events = play(task, recipe, run)
    (begun,) = [event for event in events if isinstance(event, Refitting)]
    best = [event for event in events if isinstance(event, Validated) and event.best][-1]
    assert begun.epochs == best.epoch + 1
    steps = [event for event in events if isinstance(event, Step)]
    assert steps[-1].step == begun.num_steps
    parts = vars(run.splits())
    all_rows = len(parts["train"]) + len(parts["validation"])
    filled = task.fill(recipe, len(parts["train"])).fit
    assert begun.num_steps - begun.step == begun.epochs * filled.steps_per_epoch(all_rows)
    rows = run.rows()
    assert [row for row in rows if "refit" in row] and not any(
        "validation" in row and row["step"] > begun.step for row in rows
    )


def test_figures_come_from_weights_that_never_saw_the_validation_rows(tmp_path: Path) -> None:
    task, recipe = recipe_for("iris", **KNOBS)
    once = recipe_for("iris", split__refit=False)[1]
    run, plain = new_run(tmp_path, recipe), new_run(tmp_path, once, "plain")
    play(task, recipe, run)
    play(task, once, plain)
    assert same_bits(weights(run, "validated.safetensors"), weights(plain, "model.safetensors"))
    assert not same_bits(weights(run, "model.safetensors"), weights(plain, "model.safetensors"))
    assert run.info["scores"] == plain.info["scores"]
    one, other = Trained(run, task), Trained(plain, task)
    measured = [evaluate.measure(t, "validation")[0].metrics for t in (one, other)]
    assert measured[0] == measured[1]
    answers = one.task.predict(one.network, one.facts, {c.name: 1.0 for c in one.facts.columns})
    assert len(answers) == 1


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_run_stopped_anywhere_ends_as_one_never_stopped(
    tmp_path: Path, interrupted: bool
) -> None:
    task, recipe = recipe_for("iris", **KNOBS)
    whole = new_run(tmp_path, recipe, "whole")
    events = play(task, recipe, whole)
    (begun,) = [event for event in events if isinstance(event, Refitting)]
    for step in (begun.step - 1, begun.step, begun.step + 1, begun.num_steps - 1):
        run = new_run(tmp_path, recipe, f"at-{step}")
        if interrupted:
            play(task, recipe, run, ask_to_stop_at=step)
        else:
            drop_at(task, recipe, run, step)
        go_on(task, run)
        assert_same_end(run, whole)
        assert same_bits(
            weights(run, "validated.safetensors"), weights(whole, "validated.safetensors")
        )


def test_a_run_that_was_stopped_during_its_refit_answers_with_the_validated_weights(
    tmp_path: Path,
) -> None:
    task, recipe = recipe_for("iris", **KNOBS)
    whole, run = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe)
    events = play(task, recipe, whole)
    (begun,) = [event for event in events if isinstance(event, Refitting)]
    play(task, recipe, run, ask_to_stop_at=begun.step + 1)
    assert run.info["status"] == "interrupted"
    assert same_bits(weights(run, "model.safetensors"), weights(whole, "validated.safetensors"))
    assert torch.isfinite(next(Trained(Run(run.path), task).network.parameters())).all()
    assert any(isinstance(event, Saved) for event in go_on(task, run))
