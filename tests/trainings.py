"""Small real trainings for the tests of the loop and of everything that comes after it."""

from __future__ import annotations

import csv
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from glassnet import catalog, loop
from glassnet.recipe import to_yaml
from glassnet.run import Run
from glassnet.task import Event, Finished, Step
from glassnet.trained import Trained

QUICK: dict[str, Any] = {
    "fit.epochs": 3,
    "fit.threads": 1,
    "network": "mlp",
    "network.hidden": [16],
}


def table(path: Path, rows: int = 120, *, kind: str = "class", seed: int = 0) -> Path:
    """A CSV with two numbers, a category, and a column ``y`` that follows from them."""
    draw = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["width", "height", "colour", "y"])
        for _ in range(rows):
            width, height = draw.gauss(0, 1), draw.gauss(5, 2)
            colour = draw.choice(["red", "green", "blue"])
            value = width + (height - 5) / 2 + (colour == "red") + draw.gauss(0, 0.3)
            answer = ("high" if value > 0.3 else "low") if kind == "class" else f"{value:.4f}"
            writer.writerow([f"{width:.4f}", f"{height:.4f}", colour, answer])
    return path


def recipe_for(reference: str | Path, **knobs: Any) -> tuple[Any, Any]:
    """A task and its recipe for quick training; knobs with ``__`` for the dot."""
    short = {"epochs": "fit.epochs", "lr": "fit.lr", "network": "network"}
    named = {short.get(key, key.replace("__", ".")): value for key, value in knobs.items()}
    return catalog.resolve(str(reference), {**QUICK, **named})


def new_run(folder: Path, recipe: Any, name: str = "run") -> Run:
    """An empty run folder."""
    return Run.create(folder, name, to_yaml(recipe), {"task": recipe.task})


def play(
    task: Any, recipe: Any, run: Run, source: Any = None, *, ask_to_stop_at: int | None = None
) -> list[Event]:
    """Train, and interrupt (as Ctrl-C does) after a step if one is named."""
    events = []
    for event in loop.train(task, recipe, run, source):
        events.append(event)
        if isinstance(event, Step) and event.step == ask_to_stop_at:
            signal.raise_signal(signal.SIGINT)
    return events


def drop_at(task: Any, recipe: Any, run: Run, step: int) -> None:
    """Train, and let go of the training after a step, without a word to it."""
    with closing(_closable(loop.train(task, recipe, run))) as events:
        for event in events:
            if isinstance(event, Step) and event.step == step:
                return


def _closable(events: Iterator[Event]) -> Any:
    return events


def go_on(task: Any, run: Run) -> list[Event]:
    """Continue a run from nothing but its folder."""
    return play(task, Trained(Run(run.path), task).recipe, Run(run.path))


def finished(events: list[Event]) -> Finished:
    """The last event, which must be the end."""
    assert isinstance(events[-1], Finished)
    return events[-1]


def weights(run: Run, name: str = "last.safetensors") -> dict[str, Tensor]:
    """The tensors of one file of a run."""
    return run.read_tensors(name)[0]


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether names, types, shapes and every bit are equal."""
    return one.keys() == other.keys() and all(
        a.dtype == b.dtype
        and a.shape == b.shape
        and torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))
        for a, b in ((one[name], other[name]) for name in one)
    )


def assert_same_end(run: Run, whole: Run) -> None:
    """Whether a run ended as another did: weights, best weights, curves, scores."""
    for name in ("last.safetensors", "model.safetensors"):
        assert same_bits(weights(run, name), weights(whole, name)), f"{name} differs"
    metrics = "metrics.jsonl"
    assert (run.path / metrics).read_bytes() == (whole.path / metrics).read_bytes()
    assert run.info["scores"] == whole.info["scores"]
    assert run.info["status"] == whole.info["status"] == "finished"


def close_to(one: Any, other: Any, tolerance: float = 1e-5) -> bool:
    """Whether two answers agree, numbers within the tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            close_to(one[key], other[key], tolerance) for key in one
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            close_to(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    return bool(one == other)


def raw_inputs(path: Path, kind: str, folder: Path, count: int = 5) -> tuple[list[Any], Path]:
    """A few raw inputs of a data set: one by one for Python, and all in one path."""
    if kind == "table":
        return _raw_rows(path, folder, count)
    if kind == "images":
        return _raw_images(path, folder, count)
    if kind == "texts":
        return _raw_texts(path, folder, count)
    if kind == "dna":
        return _raw_dna(path, folder, count)
    if kind == "series":
        return _raw_series(path, folder, count)
    if kind == "sounds":
        return _raw_sounds(path, folder, count)
    if kind == "corpus":
        return _raw_prompts(path, folder, count)
    if kind == "pairs":
        return _raw_sentences(path, folder, count)
    if kind == "timeline":
        return _raw_histories(path, folder, count)
    raise AssertionError(
        f"tests/trainings.py does not know how to take single raw inputs out of {kind!r} data: "
        "add a function beside _raw_rows and _raw_images"
    )


def _raw_rows(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    from glassnet.data import tablefiles

    frame: pl.DataFrame = tablefiles.read(path).frame[:count]
    frame.write_csv(folder / "new.csv")
    return [frame[i : i + 1] for i in range(count)], folder / "new.csv"


def _raw_texts(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    from glassnet.data import textlayouts

    return _lines(textlayouts.find(path).texts[:count], folder)


def _raw_sounds(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    """The first recordings, as files in a folder of their own whose order is theirs."""
    from glassnet.data import soundlayouts

    found = soundlayouts.find(path)
    into = folder / "new"
    into.mkdir()
    for number, name in enumerate(found.names[:count]):
        (into / f"{number}{Path(name).suffix}").write_bytes(found.files.read(name))
    return sorted(into.iterdir()), into


def _raw_dna(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    from glassnet.data import dna

    sequences = dna.find(path).texts[:count]
    records = [f">s{number}\n{one}\n" for number, one in enumerate(sequences)]
    (folder / "new.fa").write_text("".join(records), encoding="utf-8")
    return list(sequences), folder / "new.fa"


def _raw_series(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    from glassnet.data import seriesfiles

    found = seriesfiles.read_ts(path).series[:count]
    lines = [":".join(",".join(map(str, channel)) for channel in one.T) for one in found]
    header = ["@timeStamps false", "@classLabel false", "@data"]
    (folder / "new.ts").write_text("\n".join([*header, *lines]) + "\n", encoding="utf-8")
    return [one.T for one in found], folder / "new.ts"


def _raw_sentences(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    from glassnet.data import pairs

    found = pairs.open_pairs(path, source="de", target="en").texts[:count]
    return _lines([source for source, _ in found], folder)


def _lines(texts: list[str], folder: Path) -> tuple[list[Any], Path]:
    (folder / "new.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return list(texts), folder / "new.txt"


def _raw_prompts(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    """The first words of some lines, to be continued."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line][:count]
    prompts = [" ".join(line.split()[:2]) for line in lines]
    (folder / "prompts.txt").write_text("\n".join(prompts), encoding="utf-8")
    return list(prompts), folder / "prompts.txt"


def _raw_histories(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    """The pasts of the first windows, each in a table of its own."""
    from glassnet.data import tablefiles, timeline
    from glassnet.data.timelineplan import Wishes

    plan = timeline.open_timeline(path, Wishes()).plan
    frame: pl.DataFrame = tablefiles.read(path).frame
    (folder / "new").mkdir()
    singles = []
    for number in range(count):
        singles.append(folder / "new" / f"{number}.csv")
        frame[number : number + plan.context].write_csv(singles[-1])
    return list(singles), folder / "new"


def _raw_images(path: Path, folder: Path, count: int) -> tuple[list[Any], Path]:
    import numpy as np
    from PIL import Image

    into = folder / "new"
    into.mkdir(parents=True)
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            pictures = [Image.fromarray(array) for array in arrays["x"][:count]]
    else:
        known = {".png", ".jpg", ".jpeg"}
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in known)
        pictures = [Image.open(file) for file in files[:count]]
    for number, picture in enumerate(pictures):
        picture.save(into / f"{number}.png")
        picture.close()
    singles = [into / f"{number}.png" for number in range(len(pictures))]
    return list(singles), into


def glassnet(*words: str | Path, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "glassnet", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )
