"""Everything that depends on the machine: device, precision, threads, determinism.

The step is written once; this file is the only one that asks what it runs on.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch

from glassnet.errors import UserError
from glassnet.version import __version__

if TYPE_CHECKING:
    from glassnet.recipe import Fit
    from glassnet.task import Examples

B = TypeVar("B")

SMALL_WORK = 1e7
"""Multiply-adds of one forward pass of one batch, below which a second thread costs more than it
brings (measured: docs/log.md)."""


def choose(name: str) -> torch.device:
    """Turn ``fit.device`` into a device that is really there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        raise UserError(f"fit.device={name}: this machine has no such device; use auto or cpu.")
    return device


def here(name: str) -> torch.device:
    """The device that was asked for in training, or the best one of a machine that lacks it."""
    try:
        return choose(name)
    except UserError:
        return choose("auto")


def check_precision(fit: Fit, device: torch.device) -> None:
    """Refuse the one combination that torch computes wrongly or not at all."""
    if fit.precision == "float16" and device.type != "cuda":
        raise UserError(
            f"fit.precision=float16 contradicts fit.device={device.type}: float16 needs CUDA; "
            "use bfloat16 or float32."
        )


def autocast(fit: Fit, device: torch.device) -> AbstractContextManager[object]:
    """The arithmetic of forward passes."""
    dtype = getattr(torch, fit.precision)
    return torch.autocast(device.type, dtype=dtype, enabled=fit.precision != "float32")


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Compute with this many CPU threads (None: as many as before), and put it back."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Choose kernels that give the same sum every time: exact resume rests on it."""
    if device.type == "cpu":  # CPU kernels are deterministic for a given number of threads
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warned)


def place(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Move a network to its device; 2-D convolutions are 1.15–1.9 times faster channels-last."""
    if any(isinstance(module, torch.nn.Conv2d) for module in network.modules()):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)


def move(examples: Examples[B], device: torch.device) -> Examples[B]:
    """Put all examples on the device, where a batch is a slice."""
    try:
        return examples.to(device)
    except torch.OutOfMemoryError:
        raise UserError(
            f"The {len(examples):,} examples do not fit into the memory of {device}. Use smaller "
            "inputs (--size for images), or --fit.device cpu."
        ) from None


def good_threads(fit: Fit, network: torch.nn.Module, device: torch.device) -> int | None:
    """One thread if a batch is too little work to share, else None (all).

    Not a timing: another number of threads may add in another order. The number is written into
    ``environment.json``, and a resumed run uses that one.
    """
    if fit.threads is not None or device.type != "cpu":
        return fit.threads
    has_only_dense = all(p.dim() <= 2 for p in network.parameters())
    work = (fit.batch_size or 1) * sum(p.numel() for p in network.parameters())
    return 1 if has_only_dense and work < SMALL_WORK else None


def state_before_running_out(device: torch.device) -> dict[str, torch.Tensor]:
    """The random state to go back to if a step runs out of memory; a CPU does not come back."""
    return {} if device.type == "cpu" else random_state(device)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The state of torch's random generators, as tensors."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Put a state from ``random_state`` back."""
    if "cpu" in state:
        torch.set_rng_state(state["cpu"])
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    if "mps" in state and device.type == "mps":
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def forked_random(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside leaves no trace outside: looking changes nothing."""
    state = random_state(device)
    try:
        yield
    finally:
        restore_random_state(state, device)


def describe() -> dict[str, str | int | None]:
    """What ``environment.json`` says of the machine."""
    return {
        "glassnet": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
