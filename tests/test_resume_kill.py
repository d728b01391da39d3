"""Real processes, killed with SIGKILL at random moments, end with the same weights bit for bit."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from trainings import glassnet, same_bits, weights

from glassnet.run import Run

ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1"}
ALWAYS = ("--fit.device", "cpu", "--fit.checkpoint_seconds", "0.15")
KILLS = 20
NEEDED_IN_TRAINING = 12


@dataclass(frozen=True)
class Case:
    """A training, and how often it is killed."""

    name: str
    words: tuple[str, ...]
    kills: int


SMALL_TABLE = Case(
    "small table, mlp", ("breast-cancer", "--fit.epochs", "300", "--fit.patience", "290"), 7
)
IMAGES = Case(
    "images, convolutional network with augmentation",
    ("digits", "--network", "lenet", "--fit.epochs", "50", "--fit.batch_size", "32"),
    6,
)
LARGE = Case(
    "25 MB of images, more than is rearranged once an epoch, and validation rows redrawn",
    ("LARGE", "--network", "perceptron", "--fit.epochs", "10", "--fit.batch_size", "32",
     "--fit.accumulate", "2", "--split.mode", "redrawn"),
    7,
)  # fmt: skip
CASES = (SMALL_TABLE, IMAGES, LARGE)


def start(folder: Path, *words: str | Path) -> subprocess.Popen[str]:
    """Begin a command in a process and a session of its own."""
    log = (folder / "log").open("w", encoding="utf-8")
    command = [sys.executable, "-m", "glassnet", *map(str, words)]
    with log:
        return subprocess.Popen(
            command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=log, text=True
        )


def train_words(case: Case, data: Path) -> list[str]:
    """The command that begins the training."""
    words = [str(data) if word == "LARGE" else word for word in case.words]
    return ["train", *words, *ALWAYS, "--name", "run"]


def log(folder: Path) -> str:
    """What the last process said."""
    return (folder / "log").read_text(encoding="utf-8")


def wait_for(folder: Path, text: str, process: subprocess.Popen[str], seconds: float = 60) -> None:
    """Wait until a process says something."""
    end = time.monotonic() + seconds
    while text not in log(folder):
        assert process.poll() is None, log(folder)
        assert time.monotonic() < end, log(folder)
        time.sleep(0.01)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "large.npz"
    random_numbers = np.random.default_rng(0)
    y = np.arange(6_000) % 3
    x = random_numbers.integers(0, 200, (6_000, 64, 64), dtype=np.uint8) + 20 * y[:, None, None]
    np.savez(path, x=x.astype(np.uint8), y=y)
    return path


@dataclass(frozen=True)
class Durations:
    """How long start-up and training of one process take."""

    startup: float
    training: float


def uninterrupted(case: Case, data: Path, folder: Path) -> tuple[Run, Durations]:
    """Train without any interruption, and measure how long what takes."""
    folder.mkdir()
    began = time.monotonic()
    process = start(folder, *train_words(case, data))
    wait_for(folder, "training in", process)
    startup = time.monotonic() - began
    wait_for(folder, "after step", process)
    training = time.monotonic() - began - startup
    assert process.wait(60) == 0, log(folder)
    return Run(folder / "runs" / "run"), Durations(startup, training)


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds after the process or (``training``) its training began."""

    training: bool
    seconds: float


def moments_to_kill(case: Case, whole: Durations) -> Iterator[Moment]:
    """One in five within the start-up, the others anywhere in training, saving included.

    A training is killed several times on its way, so that late parts are reached, too.
    """
    draw = random.Random(case.name)
    for number in range(10**6):
        training = number % 5 != 2
        length = whole.training * 0.4 if training else whole.startup
        yield Moment(training, draw.uniform(0, length))


@pytest.fixture(scope="module")
def hits() -> Iterator[list[bool]]:
    """For each kill, whether it hit a training under way; judged when all cases are done."""
    found: list[bool] = []
    yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_killed_training_resumes_to_the_same_weights(
    case: Case, data: Path, tmp_path: Path, hits: list[bool]
) -> None:
    whole, durations = uninterrupted(case, data, tmp_path / "whole")
    pending = moments_to_kill(case, durations)
    kills, attempt = 0, 0
    while kills < case.kills:
        attempt += 1
        folder = tmp_path / f"attempt-{attempt}"
        folder.mkdir()
        kills += kill_until_done(case, data, folder, pending, case.kills - kills, hits)
        run = Run(folder / "runs" / "run")
        for name in ("last.safetensors", "model.safetensors"):
            assert same_bits(weights(run, name), weights(whole, name)), f"{name} after {kills}"
        metrics = "metrics.jsonl"
        assert (run.path / metrics).read_text() == (whole.path / metrics).read_text()
        assert run.info["scores"] == whole.info["scores"]
        assert (run.path / "report.html").exists()
        leftovers = [path.name for path in run.path.rglob("*.tmp")]
        assert not leftovers, "what a killed process left half-written is removed"


def kill_until_done(
    case: Case, data: Path, folder: Path, pending: Iterator[Moment], most: int, hits: list[bool]
) -> int:
    """Train, kill, resume, kill … and at last let it finish; return the number of kills."""
    kills = 0
    while True:
        begun = (folder / "runs" / "run" / "run.json").exists()
        if not begun:  # nothing was begun, or nothing that could be gone on with
            shutil.rmtree(folder / "runs", ignore_errors=True)
        words = ["resume", "runs/run"] if begun else train_words(case, data)
        process = start(folder, *words)
        if kills == most or not kill(process, folder, next(pending)):
            assert process.wait(120) == 0, log(folder)
            return kills
        kills += 1
        said = log(folder)
        hits.append("training in" in said and "after step" not in said)


def kill(process: subprocess.Popen[str], folder: Path, moment: Moment) -> bool:
    """Send SIGKILL at a moment; False if the process was faster."""
    if moment.training:
        wait_for(folder, "training in", process)
    try:
        process.wait(moment.seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(10) == -signal.SIGKILL
    return False


def test_enough_of_the_kills_hit_a_training_under_way(hits: list[bool]) -> None:
    if not hits:
        pytest.skip("the kills were not selected")
    sys.stderr.write(f"\n{len(hits)} kills, {sum(hits)} of them while weights were changing\n")
    if len(hits) == KILLS:
        assert sum(hits) >= NEEDED_IN_TRAINING


# --- Signals, and two at once ---------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupt_ends_with_130_and_a_run_that_can_be_resumed(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path, *train_words(SMALL_TABLE, tmp_path))
    wait_for(tmp_path, "epoch 3/", process)
    process.send_signal(number)
    assert process.wait(30) == 130
    assert "Traceback" not in log(tmp_path)
    run = Run(tmp_path / "runs" / "run")
    assert run.info["status"] == "interrupted"
    done = glassnet("resume", "runs/run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"from step {run.rows()[0]['step']}" not in done.stderr
    assert ", from step " in done.stderr
    assert run.info["status"] == "finished"


def test_a_second_process_on_the_same_run_is_refused(tmp_path: Path) -> None:
    process = start(tmp_path, *train_words(SMALL_TABLE, tmp_path), "--fit.epochs", "5000")
    try:
        wait_for(tmp_path, "epoch 1/", process)
        second = glassnet("resume", "runs/run", cwd=tmp_path)
        assert second.returncode == 2
        assert "runs/run is being trained by another process" in second.stderr
        assert "Traceback" not in second.stderr
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(10)
    run = Run(tmp_path / "runs" / "run")
    assert run.load_checkpoint()[1] == [], "the second process damaged nothing"


def test_a_run_killed_before_its_first_checkpoint_is_resumed_from_the_start(
    tmp_path: Path,
) -> None:
    words = train_words(SMALL_TABLE, tmp_path)
    words[words.index("0.15")] = "600"
    process = start(tmp_path, *words)
    wait_for(tmp_path, "epoch 2/", process)
    process.kill()
    process.wait(10)
    run = Run(tmp_path / "runs" / "run")
    assert not list((run.path / "checkpoint").glob("*"))
    done = glassnet("resume", "runs/run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert run.info["status"] == "finished"
    assert [row["epoch"] for row in run.rows() if "validation" in row] == list(range(300))
