"""What those who look inside networks that read tokens need of them: explicit layers, padding.

A thin door between ``networks/`` and ``explain/``, which knows no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.networks._sequences import PAD, Explicit, make_explicit, present

__all__ = ["PAD", "differentiable", "explicitly", "inner_parts", "listening", "present", "recorded"]


@contextmanager
def explicitly(network: nn.Module) -> Iterator[None]:
    """Let all layers that can compute step by step what is usually fused do so, inside."""
    before = [(m, m.explicit) for m in network.modules() if isinstance(m, Explicit)]
    make_explicit(network)
    try:
        yield
    finally:
        for module, explicit in before:
            module.explicit = explicit


def inner_parts(network: nn.Module) -> dict[str, dict[str, nn.Module]]:
    """Layer -> name -> the submodule through which an inner value passes, such as a gate."""
    found = {}
    for name, layer in network.named_modules():
        if isinstance(layer, Explicit):
            parts = {n: m for n, m in layer.named_children() if not list(m.parameters())}
            if parts:
                found[name] = parts
    return found


def recorded(network: nn.Module, ask: Callable[[], Any]) -> dict[str, dict[str, list[Tensor]]]:
    """Layer -> part -> what it gave, in the order in which it was called, while ``ask`` ran.

    Parts that were not called are left out. Gradients are kept if they are enabled.
    """
    found: dict[str, dict[str, list[Tensor]]] = {}
    parts = inner_parts(network)
    modules = [((la, p), m) for la, inside in parts.items() for p, m in inside.items()]

    def note(place: tuple[str, str], _module: nn.Module, output: Any) -> None:
        found.setdefault(place[0], {}).setdefault(place[1], []).append(output)

    with explicitly(network), listening(modules, note):
        ask()
    return found


@contextmanager
def listening(modules: Any, note: Callable[..., Any]) -> Iterator[None]:
    """Call ``note(name, module, output)`` after each of the modules; what it returns goes on."""

    def hook(name: Any, module: nn.Module, _inputs: Any, output: Any) -> Any:
        return note(name, module, output)

    handles = [m.register_forward_hook(partial(hook, name)) for name, m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def differentiable() -> Iterator[None]:
    """Torch's own kernels inside: cuDNN differentiates recurrent layers in training mode only."""
    with torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
        yield
