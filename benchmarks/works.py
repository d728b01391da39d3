"""The three works of the benchmark: data, network, batch size; the same for every peer.

The rows are divided and encoded by glassnet once, and stored as tensors for the peers, which get
them ready: standardized floats in memory. glassnet itself starts from the file, as a user would.
"""

from __future__ import annotations

import gzip
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
LR = 1e-3


@dataclass(frozen=True)
class Work:
    """One training to be timed."""

    name: str
    title: str
    network: dict[str, Any]
    batch_size: int
    epochs: int
    file: str
    write: Callable[[Path], None]
    """Write the data set into that file."""
    knobs: dict[str, Any] = field(default_factory=dict)
    """Of glassnet's recipe, beside those that all works share."""


def table(path: Path) -> None:
    """12,500 made-up rows of 20 numbers in 3 classes."""
    import polars as pl
    from sklearn.datasets import make_classification

    x, y = make_classification(12_500, 20, n_informative=10, n_classes=3, random_state=0)
    columns = {f"x{i}": x[:, i].astype("float32") for i in range(x.shape[1])}
    pl.DataFrame({**columns, "target": [f"class {c}" for c in y]}).write_parquet(path)


def fashion(path: Path) -> None:
    """The first 15,000 training images of Fashion-MNIST."""
    data = Path(os.environ.get("GLASSNET_DATA", HERE / "../../shared/data"))
    images, labels = (
        np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8)
        for file in sorted((data / "image_fashion_mnist").rglob("train-*ubyte.gz"))
    )
    x = images[16:].reshape(-1, 28, 28)[:15_000]
    np.savez(path, x=x, y=labels[8:][:15_000])


def photos(path: Path) -> None:
    """1,280 made-up images of 3×64×64: stripes of a slope that is the class, in noise."""
    random = np.random.default_rng(0)
    y = random.permutation(np.arange(1280) % 4)
    rows, columns = np.mgrid[:64, :64]
    angle = y * np.pi / 4
    phase = rows * np.sin(angle)[:, None, None] + columns * np.cos(angle)[:, None, None]
    noise = random.normal(0, 40, (1280, 64, 64, 3))
    x = 128 + 60 * np.sin(phase + random.uniform(0, 6, (1280, 1, 1)))[..., None] + noise
    np.savez(path, x=x.clip(0, 255).astype("uint8"), y=y)


PLAIN = {"augment.shift": 0.0}
WORKS = {
    work.name: work
    for work in (
        Work(
            "table",
            "table MLP 20-100-100-3, batch 256",
            {"name": "mlp", "hidden": [100, 100]},
            batch_size=256,
            epochs=41,
            file="table.parquet",
            write=table,
            knobs={"target": "target"},
        ),
        Work(
            "lenet",
            "LeNet-5, Fashion-MNIST, batch 128",
            {"name": "lenet"},
            batch_size=128,
            epochs=3,
            file="fashion.npz",
            write=fashion,
            knobs=PLAIN,
        ),
        Work(
            "resnet",
            "ResNet-18, 3×64×64, batch 32",
            {"name": "resnet", "depth": 18},
            batch_size=32,
            epochs=3,
            file="photos.npz",
            write=photos,
            knobs=PLAIN,
        ),
    )
}


def knobs(work: Work) -> dict[str, Any]:
    """The knobs of glassnet that make its training the same as the peers'."""
    return {
        "network": work.network,
        "batch_size": work.batch_size,
        "epochs": work.epochs,
        "lr": LR,
        "optimizer": "adam",
        "schedule": "constant",
        "keep": "last",
        "split.test": 0.0,
        **work.knobs,
    }


def prepare(work: Work, folder: Path) -> dict[str, Any]:
    """Write the data set and the peers' tensors; return what the table needs to know."""
    from contextlib import ExitStack

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from glassnet import catalog
    from glassnet.loop import assemble
    from glassnet.networks._standardize import Standardize

    work.write(folder / work.file)
    task, recipe = catalog.resolve(str(folder / work.file), knobs(work))
    peak = {threads: matrix_peak(threads) for threads in (1, os.cpu_count() or 1)}
    with ExitStack() as stack:
        data = assemble(task, recipe, None, stack).data
        threads = torch.get_num_threads()
    train, validation = (data.pool.batch(part) for part in data.positions(0))
    is_image = train.inputs.ndim == 4
    facts = data.facts
    ready = (
        Standardize(facts.mean, facts.std, facts.height, facts.width)
        if is_image
        else torch.nn.Identity()
    )
    tensors = {
        "x": ready(train.inputs).contiguous(),
        "y": train.targets,
        "x_validation": ready(validation.inputs).contiguous(),
        "y_validation": validation.targets,
    }
    torch.save(tensors, folder / f"{work.name}.pt")
    network = build(work, tensors)
    with FlopCounterMode(display=False) as counter:
        network(tensors["x"][: work.batch_size]).sum().backward()
    rows = len(tensors["x"])
    return {
        "title": work.title,
        "threads": threads,
        "rows": rows,
        "steps": -(-rows // work.batch_size),
        "flops": counter.get_total_flops(),
        "peak": peak,
    }


def matrix_peak(threads: int) -> float:
    """Operations per second of a float32 matrix product: the best of a second."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    best, began = math.inf, time.perf_counter()
    while time.perf_counter() - began < 1:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    torch.set_num_threads(before)
    return float(2 * 1024**3 / best)


def build(work: Work, tensors: dict[str, Any]) -> Any:
    """The network, of glassnet's own class, for standardized floats."""
    from glassnet.network import build_network
    from glassnet.recipe import NetworkKnobs

    num_classes = int(tensors["y"].max()) + 1
    return build_network(NetworkKnobs(**work.network), tuple(tensors["x"].shape[1:]), num_classes)
