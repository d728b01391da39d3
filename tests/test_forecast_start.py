"""The weights that a forecast begins with are an answer, and a candidate."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from trainings import assert_same_end, drop_at, glassnet, go_on, new_run, play, same_bits, weights

from glassnet import catalog
from glassnet.run import Run
from glassnet.task import Refitting, Validated, Warned
from glassnet.trained import Trained

FIRST = dt.date(2021, 3, 1)


def wave(path: Path, steps: int = 120) -> Path:
    """A week's season that a regression continues without an error: each step away only harms."""
    days = [FIRST + dt.timedelta(step) for step in range(steps)]
    values = [10 + 3 * math.sin(step * 2 * math.pi / 7) for step in range(steps)]
    pl.DataFrame({"date": days, "x": values}).write_csv(path)
    return path


def harmful(folder: Path, **knobs: Any) -> tuple[Any, Any]:
    """A task and a recipe whose every step makes the forecast worse."""
    flags = {"fit.epochs": 3, "fit.lr": 0.1, "fit.threads": 1, "horizon": 5, **knobs}
    return catalog.resolve(str(wave(folder / "wave.csv")), flags)


def test_weights_that_no_epoch_betters_are_kept_and_it_is_told(tmp_path: Path) -> None:
    task, recipe = harmful(tmp_path)
    run = new_run(tmp_path, recipe)
    events = play(task, recipe, run)
    start, *epochs = [event for event in events if isinstance(event, Validated)]
    assert (start.epoch, start.step, math.isnan(start.train_loss)) == (-1, 0, True)
    assert all(epoch.scores["mse"] > start.scores["mse"] for epoch in epochs)
    assert run.info["scores"] == start.scores
    assert not same_bits(weights(run, "model.safetensors"), weights(run))
    assert any("than the beginning" in e.message for e in events if isinstance(e, Warned))
    first = run.rows()[0]
    assert first == {"step": 0, "epoch": -1, "validation": start.scores}


def test_a_task_whose_first_weights_answer_nothing_does_not_score_them(tmp_path: Path) -> None:
    task, recipe = catalog.resolve("iris", {"fit.epochs": 1, "fit.threads": 1})
    events = play(task, recipe, new_run(tmp_path, recipe))
    assert [event.epoch for event in events if isinstance(event, Validated)] == [0]


def test_the_last_weights_are_kept_where_they_were_asked_for(tmp_path: Path) -> None:
    task, recipe = harmful(tmp_path, **{"fit.keep": "last"})
    run = new_run(tmp_path, recipe)
    play(task, recipe, run)
    assert same_bits(weights(run, "model.safetensors"), weights(run))


@pytest.mark.parametrize("refit", [False, True])
def test_a_run_that_keeps_its_beginning_resumes_bit_for_bit(tmp_path: Path, refit: bool) -> None:
    knobs = {"split.refit": refit, "fit.checkpoint_seconds": 1e-9}
    task, recipe = harmful(tmp_path, **knobs)
    whole = new_run(tmp_path, recipe, "whole")
    events = play(task, recipe, whole)
    last = max(row["step"] for row in whole.rows())
    for step in (1, 2, last - 1, last):
        for way in (drop_at, stop_at):
            run = new_run(tmp_path, recipe, f"{way.__name__}-{step}")
            way(task, recipe, run, step)
            go_on(task, run)
            assert_same_end(run, whole)
    if refit:
        (begun,) = [event for event in events if isinstance(event, Refitting)]
        assert begun.epochs == 0
        assert not same_bits(weights(whole, "validated.safetensors"), weights(whole))
        assert Trained(whole, task).network is not None


def stop_at(task: Any, recipe: Any, run: Run, step: int) -> None:
    """Interrupt as Ctrl-C does."""
    play(task, recipe, run, ask_to_stop_at=step)


def test_a_run_that_keeps_its_beginning_is_reported_and_answers(tmp_path: Path) -> None:
    data = wave(tmp_path / "wave.csv")
    words = ("train", data, "--fit.epochs", "2", "--fit.lr", "0.1", "--fit.threads", "1")
    done = glassnet(*words, "--split.refit", "true", "--horizon", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "before the first step" in done.stderr
    run = next((tmp_path / "runs").iterdir())
    assert (run / "report.html").exists()
    asked = glassnet("predict", run, data, cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
