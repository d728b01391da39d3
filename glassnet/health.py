"""Is every layer learning? Three figures per layer, taken at a few steps of every training.

- ``gradient_norm``: Euclidean norm of the loss's gradient by the layer's weights, before clipping.
- ``update_ratio``: ‖ΔW‖ / ‖W‖, the true change of the weights in this step (momentum, weight
  decay and all) over their size. About 1e-3 is usual (Karpathy, notes of Stanford's CS231n,
  "Neural Networks Part 3", section "Ratio of weights:updates").
- ``dead``: the share of units (channels of a convolution) that no example of the batch taught
  anything. A unit is taught through the gradient of its own weights: with ReLU that is zero if the
  unit answers 0 to every example (Lu et al. 2020, "Dying ReLU and Initialization"), with a sigmoid
  or tanh if it is saturated on every example, and with any function if no later layer listens to
  the unit. Less than ``LEAST`` of what the most-taught unit of the layer gets counts as nothing:
  float32 cannot tell it from zero. In a small batch a unit may rest by chance.

Read from gradients, the figures are right for functions called in ``forward`` and for modules, for
members that share weights (dead in all of them), and cost no hook. Which steps are looked at is a
function of the step alone, so that a resumed training looks at the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

LEAST = 1e-7
UNITS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose weight has one row for each unit."""

FEW, SPACING, MANY = 20, 100, 200
"""Looks at a short training; steps between two looks; looks at a long training, at least."""


class Health:
    """Looks at the layers of one network while it is trained."""

    def __init__(self, network: nn.Module, num_steps: int) -> None:
        self.weights = dict(_weights(network))
        modules = network.named_modules()
        self.units = [name for name, layer in modules if isinstance(layer, UNITS)]
        self.every = spacing(num_steps)

    def is_due(self, step: int) -> bool:
        """Whether to look at this step (counted from 0)."""
        return (step + 1) % self.every == 0

    def measure(self, change: Callable[[], None], num_outputs: int) -> dict[str, float]:
        """Let ``change`` turn the gradients into new weights, and say what it did to each layer.

        The gradients are there, unscaled. Returns ``"figure/layer"`` -> value; the device is read
        once. The output layer, which is the last one if it has ``num_outputs`` units, has no dead
        units: a class that a batch lacks is not taught much, and that is as it should be.
        """
        live = {n: w for n, w in self.weights.items() if w.grad is not None}
        if not live:
            change()
            return {}
        weights = [weight.detach() for weight in live.values()]
        grads = [w.grad for w in live.values() if w.grad is not None]
        hidden = [name for name in self.units if name in live]
        if hidden and len(live[hidden[-1]]) == num_outputs:
            hidden.pop()
        with torch.no_grad():
            dead = [dead_share(grad) for n, grad in zip(live, grads, strict=True) if n in hidden]
            norms = torch._foreach_norm(grads)
            moves, sizes = [w.clone() for w in weights], torch._foreach_norm(weights)
            change()
            torch._foreach_sub_(moves, weights)
            ratios = torch._foreach_div(torch._foreach_norm(moves), sizes)
            found = torch.stack([*norms, *ratios, *dead]).tolist()  # the one look at the device
        names = [f"gradient_norm/{n}" for n in live] + [f"update_ratio/{n}" for n in live]
        names += [f"dead/{n}" for n in live if n in hidden]
        return dict(zip(names, found, strict=True))


def dead_share(grad: Tensor) -> Tensor:
    """Share of the rows of a weight's gradient (units, …) that are nothing beside the largest."""
    each = torch.linalg.vector_norm(grad.flatten(1), ord=torch.inf, dim=1)
    share: Tensor = (each <= LEAST * each.amax()).to(each.dtype).mean()
    return share


def spacing(num_steps: int) -> int:
    """Steps from one look to the next, so that looking costs about one step in a hundred.

    >>> [spacing(steps) for steps in (5, 200, 1_000, 9_999, 100_000)]
    [1, 10, 50, 100, 500]
    """
    return min(max(1, num_steps // FEW), max(SPACING, num_steps // MANY))


def _weights(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Parameter]]:
    """All that multiplies inputs, by the name of its layer; scales have one axis.

    Biases are left out by name: those of members have two axes, and beginning at 0 they have no
    size of which a step could be a share.
    What a module holds itself comes after what its parts hold: the heads of an ensemble are last.
    """
    for name, part in network.named_children():
        yield from _weights(part, f"{prefix}{name}.")
    for name, weight in network.named_parameters(recurse=False):
        if weight.ndim >= 2 and name != "bias":
            yield f"{prefix}{name}".removesuffix(".weight"), weight
