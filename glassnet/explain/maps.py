"""The maps of a network of convolutions: found by listening to its modules, never by their names.

A map is what a module gives once a convolution has acted: a tensor with the axes of the input,
(B, C, H, W) for images or (B, C, T) for signals, and more than one place. Works for any network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import UserError, nearest
from glassnet.words.inner import listening

Target = Callable[[Tensor], Tensor]
"""Outputs (B, …) -> the one number of each example, (B,), that is to be explained."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
NO_MAPS = (nn.Linear, nn.LayerNorm)
"""They work on the last axis: their channels stand elsewhere than a map's."""


@dataclass(frozen=True)
class Map:
    """Where a map comes from, and its size."""

    name: str
    """The module that gives it first."""
    kind: str
    shape: tuple[int, ...]
    """Channels, then the sides."""

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width, or the length."""
        return self.shape[1:]


def of_class(classes: Tensor) -> Target:
    """Explain the output (before softmax) of one class for each example; ``classes`` is (B,)."""
    return lambda outputs: outputs.gather(1, classes[:, None].to(outputs.device))[:, 0]


def convolutions(network: nn.Module) -> dict[str, nn.Conv1d | nn.Conv2d]:
    """All convolutions by name, in the order in which the network declares them."""
    return {n: m for n, m in network.named_modules() if isinstance(m, CONVOLUTIONS)}


def listed(network: nn.Module, inputs: Tensor) -> list[Map]:
    """Every map of the network in the order in which they are finished, each once.

    Raises:
        UserError: If the network has no convolution, or none that gives a map.
    """
    found = there(network, inputs)
    if not found:
        raise UserError(
            "This network has no convolution that gives a map, so there is no place in its inputs "
            "to point at. `glassnet trace` shows any network number by number."
        )
    return found


def there(network: nn.Module, inputs: Tensor) -> list[Map]:
    """The same; empty if there is none."""
    found: list[_Given] = []
    calls: Counter[str] = Counter()
    begun = False

    def note(name: str, module: nn.Module, output: Any) -> None:
        nonlocal begun
        begun = begun or isinstance(module, CONVOLUTIONS)
        calls[name] += 1
        if not begun or isinstance(module, NO_MAPS) or not _is_map(output, inputs):
            return
        # A container hands on what its last part gave; what changed in place meanwhile is new.
        same = (g for g in found if g.output is output and g.version == output._version)
        given = next(same, None)
        if given is None:
            given = _Given(output, output._version)
            found.append(given)
        given.givers.append((name, type(module).__name__))

    with torch.no_grad(), listening(network.named_modules(), note):
        network(inputs.float())
    # A module that acts twice gives two maps, of which its name would mean either.
    named = [(g, [one for one in g.givers if calls[one[0]] == 1]) for g in found]
    return [Map(*once[0], tuple(g.output.shape[1:])) for g, once in named if once]


@dataclass
class _Given:
    output: Tensor  # alive, so that no other takes its identity
    version: int
    givers: list[tuple[str, str]] = field(default_factory=list)
    """Names and kinds of the modules that gave it, the innermost first."""


def once(network: nn.Module, inputs: Tensor) -> nn.Module:
    """The network itself, or the one that it asks several times, as about views of an image."""
    children = list(network.children())
    calls = 0

    def note(_name: str, _module: nn.Module, _output: Any) -> None:
        nonlocal calls
        calls += 1

    if len(children) == 1:
        with torch.no_grad(), listening([("", children[0])], note):
            network(inputs)
    return children[0] if calls > 1 else network


def last(network: nn.Module, inputs: Tensor) -> Map:
    """The last map before the head: what Grad-CAM looks at."""
    return listed(network, inputs[:1])[-1]


def levels(maps: Sequence[Map], most: int = 4) -> list[Map]:
    """The first convolution and the last map of each size: early, middle and late ones."""
    by_size = {one.sides: one for one in maps}
    first = next(one for one in maps if one.kind.startswith("Conv"))
    chosen = [first, *(one for one in by_size.values() if one is not first)]
    if len(chosen) < 3:  # a network that keeps its size
        chosen = [first, *(one for one in maps if one is not first)]
    if len(chosen) <= most:
        return chosen
    places = [round(i * (len(chosen) - 1) / (most - 1)) for i in range(most)]
    return [chosen[place] for place in places]


def find(maps: Sequence[Map], name: str) -> Map:
    """The map of that name; what wraps the network (as the ``1.`` in ``1.stem``) may be left out.

    Raises:
        UserError: If there is none, with the names that there are.
    """
    known = {one.name: one for one in maps}
    ends = [one for one in maps if one.name.endswith(f".{name}")]
    if name in known or len(ends) == 1:
        return known[name] if name in known else ends[0]
    raise UserError(
        f"There is no layer {name!r} with a map.{nearest(name, list(known))} "
        f"Layers: {', '.join(known)}."
    )


def values(
    network: nn.Module, inputs: Tensor, names: Sequence[str], *, stop: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Pass float ``inputs`` through; return the outputs, and the maps of the modules ``names``.

    The maps are part of the graph, if one is made. ``stop`` ends after the last of them, which
    saves time; there are no outputs then (an empty tensor).
    """
    found: dict[str, Tensor] = {}

    def note(name: str, _module: nn.Module, output: Tensor) -> Tensor:
        found[name] = output
        if stop and len(found) == len(names):
            raise _Enough
        return output.clone()  # what changes its input in place must not change the map

    wanted = [(name, network.get_submodule(name)) for name in names]
    with listening(wanted, note):
        try:
            return network(inputs), found
        except _Enough:
            return inputs.new_empty(0), found


class _Enough(Exception):  # noqa: N818 (no error: the maps are there, the rest is not needed)
    pass


def _is_map(output: Any, inputs: Tensor) -> bool:
    return (
        isinstance(output, Tensor)
        and output.ndim == inputs.ndim
        and len(output) == len(inputs)
        and output.is_floating_point()
        and prod(output.shape[2:]) > 1
    )
