"""Records every step of a network's forward pass: what went in, what came out, which weights acted.

A step is a call of a module without parts (a dense layer, an activation), or a function that the
network calls between them (the sum of a residual connection, a mean, `relu` as a function), so that
nothing is hidden. What only gives the same numbers another shape is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from glassnet.network import FRONT


@dataclass
class Step:
    """One step of the forward pass; number 0 is the input."""

    number: int
    name: str
    """Where it stands in the network: 'hidden.0.dense', or 'stages.0.0: add' for a function."""
    kind: str
    """'Linear', 'ReLU', … or the function's name."""
    sources: tuple[int, ...]
    """Numbers of the steps that it reads."""
    value: Tensor
    """(1, …), a copy."""
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)
    """By their full names; those of a module that is called twice stand at its first call."""
    module: nn.Module | None = None
    gradient: Tensor | None = None
    """Of the loss with respect to ``value``; None before backward, or if no way leads there."""


@dataclass(frozen=True)
class Nudge:
    """A small change of one number of one step's value."""

    step: int
    place: int
    """In the flattened value."""
    by: float


def run(
    network: nn.Module, inputs: Tensor, nudge: Nudge | None = None
) -> tuple[Tensor, list[Step]]:
    """Pass ``inputs`` (1, …) through the network; return outputs and steps.

    The steps' gradients are filled in by a later ``backward`` from the outputs.
    """
    recorder = Recorder(network, nudge)
    with recorder.watching():
        outputs = network(recorder.begin(inputs))
    return outputs, recorder.steps


class Recorder(TorchFunctionMode):
    """Listens to modules by hooks, and to functions by torch's own override of functions."""

    def __init__(self, network: nn.Module, nudge: Nudge | None = None) -> None:
        super().__init__()
        self.network, self.nudge = network, nudge
        self.steps: list[Step] = []
        self.names = {id(p): name for name, p in network.named_parameters()}
        self.path: list[str] = []
        self.in_leaf = 0
        self.calls: dict[str, int] = {}
        # A tensor's identity -> the tensor, kept alive so that no other takes its identity, and
        # the steps that it holds the numbers of.
        self.holds: dict[int, tuple[Tensor, tuple[int, ...]]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to all that happens inside."""
        with ExitStack() as stack:
            for name, module in self.network.named_modules():
                leaf = _is_step(name, module)
                enter, leave = partial(self._enter, name, leaf), partial(self._leave, name, leaf)
                stack.callback(module.register_forward_pre_hook(enter).remove)
                stack.callback(module.register_forward_hook(leave).remove)
            stack.enter_context(self)
            yield

    def begin(self, inputs: Tensor) -> Tensor:
        """Make the input step 0."""
        with torch._C.DisableTorchFunction():
            value = inputs.clone()
            if value.is_floating_point():
                value.requires_grad_()
            return self._record("input", "input", (), value, {}, None)

    # --- Modules ----------------------------------------------------------------------------------

    def _enter(self, name: str, leaf: bool, _module: nn.Module, _inputs: Any) -> None:
        self.path.append(name)
        self.in_leaf += leaf

    def _leave(self, name: str, leaf: bool, module: nn.Module, inputs: Any, output: Any) -> Any:
        self.path.pop()
        self.in_leaf -= leaf
        if not leaf or self.in_leaf:
            return None
        with torch._C.DisableTorchFunction():
            note = partial(self._after_module, name, module, inputs)
            return _each_tensor(note, output)

    def _after_module(self, name: str, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        sources = self._sources(inputs)
        if output.requires_grad and any(output is tensor for tensor in _tensors(inputs)):
            output = output.view_as(output)  # else its gradient would be that of all ways onward
        if output.is_floating_point() and not output.requires_grad:
            # Bytes became numbers here: from now on there is a gradient. The sum makes a tensor
            # that, unlike a first one, may be changed in place.
            output = output + torch.zeros((), dtype=output.dtype, requires_grad=True)
        own = self._fresh(list(module.parameters()))
        return self._record(name or type(module).__name__, type(module).__name__, sources, output,
                            own, module)  # fmt: skip

    # --- Functions --------------------------------------------------------------------------------

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, and record it if it stands between the modules."""
        output = func(*args, **(kwargs or {}))
        if self.in_leaf or not self.steps:
            return output
        inputs = [*args, *(kwargs or {}).values()]
        return _each_tensor(partial(self._after_function, func, inputs), output)

    def _after_function(self, func: Any, inputs: list[Any], output: Tensor) -> Tensor:
        sources = self._sources(inputs)
        acts = output.is_floating_point() and output.requires_grad
        same = any(_same_numbers(output, tensor) for tensor in _tensors(inputs))
        if not acts or (same and not _is_in_place(func)):
            self.holds[id(output)] = (output, sources)
            return output
        kind = func.__name__.strip("_")
        where = self.path[-1] if self.path else ""
        name = f"{where}: {kind}" if where else kind
        own = self._fresh([t for t in _tensors(inputs) if id(t) in self.names])
        return self._record(name, kind, sources, output, own, None, _is_in_place(func))

    # --- Both -------------------------------------------------------------------------------------

    def _record(
        self, name: str, kind: str, sources: tuple[int, ...], output: Tensor,
        parameters: dict[str, nn.Parameter], module: nn.Module | None, in_place: bool = False,
    ) -> Tensor:  # fmt: skip
        number = len(self.steps)
        if self.nudge is not None and self.nudge.step == number:
            change = torch.zeros_like(output).flatten()
            change[self.nudge.place] = self.nudge.by
            # A function that changes its argument is called for that, not for what it returns.
            if in_place:
                output.data += change.view_as(output)
            else:
                output = output + change.view_as(output)
        self.calls[name] = self.calls.get(name, 0) + 1
        shown = name if self.calls[name] == 1 else f"{name} ({self.calls[name]})"
        # A copy: the network may change the tensor itself in place.
        value = output.detach().clone()
        step = Step(number, shown, kind, sources, value, parameters, module)
        self.steps.append(step)
        if output.requires_grad:
            output.register_hook(partial(_keep, step))
        self.holds[id(output)] = (output, (number,))
        return output

    def _sources(self, inputs: Any) -> tuple[int, ...]:
        held = (self.holds.get(id(tensor)) for tensor in _tensors(inputs))
        return tuple(dict.fromkeys(n for found in held if found is not None for n in found[1]))

    def _fresh(self, tensors: list[Any]) -> dict[str, nn.Parameter]:
        """Those parameters that have not been seen yet."""
        return {self.names.pop(id(t)): t for t in tensors if id(t) in self.names}


def _is_step(name: str, module: nn.Module) -> bool:
    """A module without parts, or one without weights that is more than a row of modules."""
    if isinstance(module, FRONT) or not list(module.children()):
        return True
    return bool(name) and not (
        isinstance(module, nn.Sequential) or any(True for _ in module.parameters())
    )


def _keep(step: Step, gradient: Tensor) -> None:
    step.gradient = gradient.detach().clone()


def _same_numbers(one: Tensor, other: Tensor) -> bool:
    """Whether one is the other in another shape."""
    return one.numel() == other.numel() and one.data_ptr() == other.data_ptr()


def _is_in_place(func: Any) -> bool:
    """`add_` and `+=` change their argument."""
    name = func.__name__
    return name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return [tensor for value in values for tensor in _tensors(value)]
    return []


def _each_tensor(change: Callable[[Tensor], Tensor], values: Any) -> Any:
    """Apply ``change`` to every tensor of a nesting; anything else stays as it is."""
    if isinstance(values, Tensor):
        return change(values)
    if type(values) in (list, tuple):
        return type(values)(_each_tensor(change, value) for value in values)
    return values
