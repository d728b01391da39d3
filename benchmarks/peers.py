"""One training by one peer, in a process of its own; prints one line of JSON.

    python peers.py WORK PEER FOLDER THREADS

Every peer trains the same network on the same rows with Adam at the same rate, in the same batch
size, and scores the validation rows after each epoch (accuracy and log loss). Checkpoints, logs
and progress bars of the peers are off; glassnet's are as they come.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from works import LR, WORKS, Work, build, knobs

SCORED_AT_ONCE = 512  # rows; as glassnet does
Mark = Callable[[float], None]
"""To be called with the validation accuracy at the end of each epoch."""


def main() -> None:
    """Train, and print the times at which epochs ended."""
    warnings.simplefilter("ignore")
    work, peer, folder, threads = WORKS[sys.argv[1]], sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    ends: list[float] = []
    used: list[float] = []
    accuracies: list[float] = []

    def mark(accuracy: float) -> None:
        ends.append(time.monotonic())
        used.append(time.process_time())
        accuracies.append(accuracy)

    facts = PEERS[peer](work, folder, None if threads == "default" else int(threads), mark)
    print(
        json.dumps(
            {
                "ends": ends,
                "used": used[-1] - used[0],
                "accuracy": accuracies[-1],
                "memory": _peak_memory(workers=2 if peer == "dataloader-2" else 0),
                **(facts or {}),
            }
        )
    )


# --- Ours -----------------------------------------------------------------------------------------


def glassnet(
    work: Work, folder: Path, threads: int | None, mark: Mark, **more: Any
) -> dict[str, Any]:
    """The whole of `glassnet train`, with its run folder, checkpoints, metrics and report."""
    from glassnet import api, catalog
    from glassnet.task import Event, Finished, Validated

    task, recipe = catalog.resolve(
        str(folder / work.file), {**knobs(work), "threads": threads, **more}
    )

    def watch(events: Any) -> Any:
        scores: dict[str, float] = {}
        event: Event
        for event in events:
            if isinstance(event, Validated):
                scores = event.scores
                if event.epoch + 1 < work.epochs:
                    mark(scores["accuracy"])
            elif isinstance(event, Finished):  # the last epoch ends when all is on the disk
                mark(scores["accuracy"])
            yield event

    run = api.start(task, recipe, None, folder / "runs", watch)
    return {"threads": json.loads((run.path / "environment.json").read_text())["threads"]}


def glassnet_bfloat16(work: Work, folder: Path, threads: int | None, mark: Mark) -> dict[str, Any]:
    """The same in bfloat16."""
    return glassnet(work, folder, threads, mark, precision="bfloat16")


# --- Bare loops -----------------------------------------------------------------------------------


def bare(work: Work, folder: Path, threads: int | None, mark: Mark) -> None:
    """A loop as a good practitioner writes it: tensors in memory, one permutation an epoch."""
    import torch

    tensors, network = _ready(work, folder, threads)
    x, y = tensors["x"], tensors["y"]
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    loss_of = torch.nn.CrossEntropyLoss()
    for _ in range(work.epochs):
        network.train()
        order = torch.randperm(len(x))
        for start in range(0, len(x), work.batch_size):
            index = order[start : start + work.batch_size]
            optimizer.zero_grad()
            loss = loss_of(network(x[index]), y[index])
            loss.backward()
            optimizer.step()
        mark(_score(network, tensors))


def bare_tuned(work: Work, folder: Path, threads: int | None, mark: Mark) -> None:
    """The same with all that is known: fused Adam, channels-last, slices of a permuted copy."""
    import torch

    tensors, network = _ready(work, folder, threads)
    x, y = tensors["x"], tensors["y"]
    if x.ndim == 4:
        network = network.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR, fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    for _ in range(work.epochs):
        network.train()
        for index in torch.randperm(len(x)).split(work.batch_size):
            optimizer.zero_grad()
            loss = loss_of(network(x.index_select(0, index)), y.index_select(0, index))
            loss.backward()
            optimizer.step()
        mark(_score(network, tensors))


def dataloader(work: Work, folder: Path, threads: int | None, mark: Mark, workers: int = 0) -> None:
    """A loop over torch's DataLoader."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    tensors, network = _ready(work, folder, threads)
    rows = TensorDataset(tensors["x"], tensors["y"])
    batches = DataLoader(
        rows, work.batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    loss_of = torch.nn.CrossEntropyLoss()
    for _ in range(work.epochs):
        network.train()
        for x, y in batches:
            optimizer.zero_grad()
            loss = loss_of(network(x), y)
            loss.backward()
            optimizer.step()
        mark(_score(network, tensors))


def dataloader_2(work: Work, folder: Path, threads: int | None, mark: Mark) -> None:
    """The same with two worker processes."""
    dataloader(work, folder, threads, mark, workers=2)


# --- Frameworks -----------------------------------------------------------------------------------


def lightning(work: Work, folder: Path, threads: int | None, mark: Mark) -> None:
    """Lightning's Trainer."""
    import logging

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    import lightning as L
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    tensors, network = _ready(work, folder, threads)
    loss_of = torch.nn.CrossEntropyLoss()

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: Any, _: int) -> Any:
            return loss_of(self.network(batch[0]), batch[1])

        def validation_step(self, batch: Any, _: int) -> None:
            outputs = self.network(batch[0])
            self.log("loss", loss_of(outputs, batch[1]))
            self.log("accuracy", (outputs.argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=LR)

    class Clock(L.Callback):
        def on_train_epoch_end(self, trainer: Any, _: Any) -> None:
            mark(float(trainer.callback_metrics["accuracy"]))

    trainer = L.Trainer(
        max_epochs=work.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[Clock()],
    )
    trainer.fit(
        Module(),
        DataLoader(TensorDataset(tensors["x"], tensors["y"]), work.batch_size, shuffle=True),
        DataLoader(TensorDataset(tensors["x_validation"], tensors["y_validation"]), SCORED_AT_ONCE),
    )


def skorch(work: Work, folder: Path, threads: int | None, mark: Mark) -> None:
    """The NeuralNetClassifier of skorch."""
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    tensors, network = _ready(work, folder, threads)

    class Clock(Callback):
        def on_epoch_end(self, net: Any, **_: Any) -> None:
            mark(net.history[-1, "valid_acc"])

    classifier = NeuralNetClassifier(
        network,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LR,
        max_epochs=work.epochs,
        batch_size=work.batch_size,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=SCORED_AT_ONCE,
        train_split=predefined_split(Dataset(tensors["x_validation"], tensors["y_validation"])),
        callbacks=[("clock", Clock())],
        verbose=0,
    )
    classifier.fit(tensors["x"], tensors["y"])


def keras_jax(work: Work, folder: Path, threads: int | None, mark: Mark) -> None:
    """Keras 3 on JAX, for the dense network only."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    import torch

    tensors = {name: t.numpy() for name, t in torch.load(folder / f"{work.name}.pt").items()}
    hidden = [
        keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")
        for width in work.network["hidden"]
    ]
    model = keras.Sequential([*hidden, keras.layers.Dense(int(tensors["y"].max()) + 1)])
    model.compile(
        optimizer=keras.optimizers.Adam(LR),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, _: int, logs: Any = None) -> None:
            mark(float(logs["val_accuracy"]))

    model.fit(
        tensors["x"],
        tensors["y"],
        batch_size=work.batch_size,
        epochs=work.epochs,
        validation_data=(tensors["x_validation"], tensors["y_validation"]),
        validation_batch_size=SCORED_AT_ONCE,
        callbacks=[Clock()],
        verbose=0,
    )


PEERS: dict[str, Callable[..., dict[str, Any] | None]] = {
    "glassnet": glassnet,
    "glassnet-bfloat16": glassnet_bfloat16,
    "bare": bare,
    "bare-tuned": bare_tuned,
    "dataloader": dataloader,
    "dataloader-2": dataloader_2,
    "lightning": lightning,
    "skorch": skorch,
    "keras-jax": keras_jax,
}

# --- Helpers --------------------------------------------------------------------------------------


def _ready(work: Work, folder: Path, threads: int | None) -> tuple[dict[str, Any], Any]:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    tensors = torch.load(folder / f"{work.name}.pt")
    torch.manual_seed(0)
    return tensors, build(work, tensors)


def _score(network: Any, tensors: dict[str, Any]) -> float:
    """Accuracy; the log loss is computed too, since everybody looks at it after each epoch."""
    import torch

    network.eval()
    with torch.inference_mode():
        pieces = tensors["x_validation"].split(SCORED_AT_ONCE)
        outputs = torch.cat([network(piece) for piece in pieces])
    y = tensors["y_validation"]
    float(torch.nn.functional.cross_entropy(outputs, y))
    return float((outputs.argmax(1) == y).float().mean())


def _peak_memory(workers: int) -> float:
    """Megabytes; workers are added whole, with the pages that they share."""
    # Not ru_maxrss, which a process inherits from its parent.
    with open("/proc/self/status", encoding="utf-8") as file:
        own = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    return (own + workers * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


if __name__ == "__main__":
    main()
