"""What a network costs: layers, parameters, FLOPs, memory, and time from timing the real step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from glassnet.task import B, Data, Learner


@dataclass(frozen=True)
class Layer:
    """One layer of a built network, as seen while one example passes through it."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    """Without the batch axis."""
    parameters: int
    flops: int
    """Additions and multiplications for one example, forward."""


@dataclass(frozen=True)
class Cost:
    """What a training asks of the machine."""

    parameters: int
    flops_per_example: int
    """Forward only; forward and backward together take about three times as many."""
    memory_bytes: int
    """Weights, gradients, optimizer, one batch's activations, and the data in memory."""
    seconds_per_step: float
    seconds: float
    """Of all epochs, without validation."""


def layers(network: nn.Module, inputs: Tensor) -> list[Layer]:
    """List the layers in the order in which they act on ``inputs`` (one example).

    One that acts several times, as on several views of an image, is listed once with all its FLOPs;
    one that consists of others only if it computes something itself, as attention does.
    """
    found: dict[str, Layer] = {}
    counter = Flops()  # type: ignore[no-untyped-call]
    # FLOPs of the layers within each layer that acts now, the outermost first.
    inside: list[int] = [0]
    before: list[int] = []

    def enter(*_: Any) -> None:
        before.append(counter.total)
        inside.append(0)

    def leave(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, _: Any, output: Any) -> None:
            total = counter.total - before.pop()
            flops = total - inside.pop()
            inside[-1] += total
            if next(layer.children(), None) is not None and not flops:
                return  # all is done by the layers within it
            first = output[0] if isinstance(output, tuple) else output
            shape = tuple(first.shape[1:]) if isinstance(first, Tensor) else ()
            size = sum(p.numel() for p in layer.parameters(recurse=False))
            if name in found:
                flops += found[name].flops
            found[name] = Layer(name, type(layer).__name__, shape, size, flops)

        return hook

    handles = [m.register_forward_pre_hook(enter) for m in network.modules()]
    handles += [m.register_forward_hook(leave(n)) for n, m in network.named_modules()]
    was_training = network.training
    network.eval()
    with torch.no_grad(), counter:
        network(inputs)
    network.train(was_training)
    for handle in handles:
        handle.remove()
    return list(found.values())


def _attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    flops: int = sdpa_flop_count(q.shape, k.shape, v.shape)
    return flops


def _recurrent(inputs: Tensor, of_input: Tensor, of_past: Tensor, *_: Any, **__: Any) -> int:
    steps = inputs.shape[0] * inputs.shape[1]
    return 2 * steps * (of_input.numel() + of_past.numel())


FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    # What a CPU has kernels for, and torch's table lacks.
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
}
"""What an operation costs, by its arguments."""


class Flops(TorchDispatchMode):
    """Counts additions and multiplications, by ``FORMULAS``.

    torch's ``FlopCounterMode`` counts the same, but its first use imports the compiler: 0.7 s and
    70 MB, for every report.
    """

    total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch's hook: keep __torch_dispatch__ as it is, without the compiler

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run one operation, and add what it cost."""
        output = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=output)
        return output


def measure(learner: Learner[B], data: Data[B], batch_size: int, num_steps: int) -> Cost:
    """Time the real step on the real data. The learner is used up: its weights have changed."""
    positions, _ = data.positions(0)
    index = positions[:batch_size].to(data.pool.rows.device)
    batch: Any = data.pool.batch(index)
    network = learner.network.train()
    late = num_steps // 2  # a head may learn alone at first, which costs less
    activations = _activations(learner, batch, late)
    parameters = sum(p.numel() for p in network.parameters())
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    state = learner.parts["optimizer"].state_dict() if "optimizer" in learner.parts else {}
    memory = 2 * weights + _bytes(state) + activations + _bytes(vars(data.pool))
    seconds = _time(lambda n: learner.update(data.pool.batch(index), late + n), index.device)
    flops = sum(layer.flops for layer in layers(network, batch.inputs[:1]))
    return Cost(parameters, flops, memory, seconds, seconds * num_steps)


def _activations(learner: Learner[Any], batch: Any, step: int) -> int:
    """Bytes that autograd keeps from forward for backward."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        learner.update(batch, step)
    networks = [part for part in learner.parts.values() if isinstance(part, nn.Module)]
    own = {p.untyped_storage().data_ptr() for network in networks for p in network.parameters()}
    return sum(size for place, size in kept.items() if place not in own)


def _time(step: Callable[[int], object], device: torch.device) -> float:
    """Median seconds of a step, over half a second of steps after a warm-up of two."""
    times: list[float] = []
    for number in range(1000):
        began = time.perf_counter()
        step(number)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
        if number >= 2 and sum(times[2:]) > 0.5:
            break
    return sorted(times[2:])[len(times[2:]) // 2]


def _bytes(tensors: Any) -> int:
    values = tensors.values() if isinstance(tensors, dict) else []
    return sum(t.numel() * t.element_size() for t in values if isinstance(t, Tensor))
