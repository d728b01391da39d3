"""Optimizers: their knobs, and one object that applies any of them to any network.

The arithmetic is torch's: the same fused kernels that ``torch.optim`` calls with ``fused=True``,
called directly. A small step with Adam is 1.6 times as fast for it, and a process starts 0.7 s
sooner (``docs/log.md``): the first ``torch.optim`` object imports torch's compiler.
The tests compare every rule with its original in ``torch.optim``.

Reading this file does not import torch: the command line and the forms need the knobs alone.
The learning rate is no knob here; it is ``fit.lr`` times ``schedules.factor``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from glassnet.errors import UserError, nearest
from glassnet.knobs import Knobs

if TYPE_CHECKING:
    from torch import Tensor, nn

    Tensors = list[Tensor]
    Memory = list[Tensors]  # one list per slot of a rule, in step with the weights

# --- Knobs ----------------------------------------------------------------------------------------

Share = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[
    tuple[Share, Share],
    Field(
        description="How much of the running mean of the gradients, and of their squares, is kept "
        "at each optimizer step. Lower the second to 0.95–0.99 when the loss jumps."
    ),
]
Eps = Annotated[
    float,
    Field(
        gt=0,
        description="Added to the denominator, so that tiny gradients are not blown up. "
        "Raise to 1e-5 or above when training in half precision is unstable.",
    ),
]
Amsgrad = Annotated[
    bool,
    Field(description="Divide by the largest running mean of squares so far, not by the current."),
]
Momentum = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of the previous update that is kept at each optimizer step. "
        "0 turns it off; 0.9 is the usual value, 0.95–0.99 for small or noisy batches.",
    ),
]
Nesterov = Annotated[
    bool, Field(description="Look ahead along the momentum first; needs momentum above 0.")
]
L2 = Annotated[
    float,
    Field(
        ge=0,
        description="Weight decay as an L2 penalty: this times the weight is added to the "
        "gradient. 0 turns it off; 1e-4 to 5e-4 are usual. Biases and normalizations are spared.",
    ),
]
Decay = Annotated[
    float,
    Field(
        ge=0,
        description="Weight decay (L2) apart from the gradient: each optimizer step takes lr times "
        "this off every weight, in proportion. 0 turns it off; raise to 0.05–0.3 against "
        "overfitting. Biases and normalizations are spared.",
    ),
]


class SGD(Knobs):
    """Stochastic gradient descent with momentum: often the best for image networks, if tuned."""

    name: Literal["sgd"] = "sgd"
    momentum: Momentum = 0.0
    nesterov: Nesterov = False
    weight_decay: L2 = 0.0

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise UserError("nesterov: true needs momentum above 0; set momentum, e.g. to 0.9")
        return self


class RMSprop(Knobs):
    """Divides each gradient by the root of its running mean square; common for DQN and RNNs."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Annotated[
        Share,
        Field(description="How much of the running mean of squares is kept at each step."),
    ] = 0.99
    eps: Eps = 1e-8
    momentum: Momentum = 0.0
    centered: Annotated[
        bool, Field(description="Divide by the estimated variance instead of the mean square.")
    ] = False
    weight_decay: L2 = 0.0


class Adam(Knobs):
    """Kingma and Ba, 2015: a step size for each weight; a safe first choice."""

    name: Literal["adam"] = "adam"
    betas: Betas = (0.9, 0.999)
    eps: Eps = 1e-8
    amsgrad: Amsgrad = False
    weight_decay: L2 = 0.0


class AdamW(Knobs):
    """Loshchilov and Hutter, 2019: Adam with weight decay kept apart; for Transformers and most."""

    name: Literal["adamw"] = "adamw"
    betas: Betas = (0.9, 0.999)
    eps: Eps = 1e-8
    amsgrad: Amsgrad = False
    weight_decay: Decay = 0.01


class Muon(Knobs):
    """Jordan et al., 2024: orthogonal updates for the hidden matrices, AdamW for all the rest.

    Ours differs from ``torch.optim.Muon`` in two ways. The update is scaled by 0.2·√max(rows,
    columns) (Liu et al., 2025, arXiv 2502.16982, section 2.2; torch's default is
    √max(1, rows/columns)), so that one ``fit.lr`` serves Muon and AdamW. And the kernel of a
    convolution takes part as a matrix of (out, in · height · width), as in Jordan's own code.

    A matrix with more than 2048 rows and columns is left to AdamW. For the 4096 × 4096 of AlexNet's
    second dense layer one update is 2 · 10¹² operations, 160 times those of the layer itself
    with a batch of 128, from which its gradient has 128 directions at most.
    """

    name: Literal["muon"] = "muon"
    momentum: Momentum = 0.95
    nesterov: Nesterov = True
    ns_steps: Annotated[
        int,
        Field(ge=1, le=20, description="Newton–Schulz iterations; more is slower, hardly better."),
    ] = 5
    weight_decay: Decay = 0.1
    betas: Annotated[Betas, Field(description="AdamW's betas, for all but hidden matrices.")] = (
        0.9,
        0.999,
    )
    eps: Annotated[Eps, Field(description="AdamW's eps, for all but hidden matrices.")] = 1e-8


OptimizerKnobs = Annotated[SGD | RMSprop | Adam | AdamW | Muon, Field(discriminator="name")]

# --- The optimizer --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """One way to change weights, and the names of the tensors that it remembers for each weight."""

    slots: tuple[str, ...]
    update: Callable[[Tensors, Tensors, Memory, float, float], None]
    """Change weights and memory in place: (weights, grads, memory, learning rate, decay)."""


@dataclass(frozen=True)
class Group:
    """Weights that share a rule, a weight decay and a learning rate, by name."""

    rule: Rule
    weight_decay: float
    weights: Mapping[str, nn.Parameter]
    share: float = 1.0
    """Of the optimizer's learning rate."""


class Optimizer:
    """Changes the weights of one network. Set ``lr`` freely before any ``step()``.

    A weight without a gradient (frozen, or unused in this batch) is left alone, without decay, as
    in torch; it may be unfrozen at any time. Move the network to its device and memory format
    *before* building the optimizer: what it remembers is laid out in memory as the weights are.
    ``torch.amp.GradScaler`` accepts this object in ``unscale_`` and ``step``; bfloat16 needs none.
    """

    def __init__(self, groups: list[Group], lr: float, l1: float = 0.0) -> None:
        self.lr, self.l1 = lr, l1
        self._groups = groups
        self._weights = [weight for group in groups for weight in group.weights.values()]
        self._memory: dict[str, list[Tensor]] = {}  # by weight, in the order of its rule's slots
        self._known = [0] * len(groups)  # how many weights of each group have a memory

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The weights in the shape that ``torch.amp.GradScaler.unscale_`` asks for."""
        return [{"params": self._weights}]

    def zero_grad(self) -> None:
        """Forget the gradients; backward then hands its own tensors over instead of adding."""
        for weight in self._weights:
            weight.grad = None

    def step(self) -> None:
        """Change the weights once, by their gradients."""
        import torch

        with torch.no_grad():
            for number, group in enumerate(self._groups):
                self._update(number, group)

    def _update(self, number: int, group: Group) -> None:
        live = {n: w for n, w in group.weights.items() if w.grad is not None}
        if not live:
            return
        if new := live.keys() - self._memory.keys():
            self._known[number] += len(new)
            self._memory |= {n: [_blank(slot, live[n]) for slot in group.rule.slots] for n in new}
            self._share_counters(group)
        if len(live) < self._known[number]:
            self._part_counters(group)
        memory = [list(slot) for slot in zip(*map(self._memory.__getitem__, live), strict=True)]
        grads = [w.grad for w in live.values() if w.grad is not None]
        lr = self.lr * group.share
        group.rule.update([*live.values()], grads, memory, lr, group.weight_decay)
        if self.l1:
            shrink([w for w in live.values() if w.ndim >= 2], lr * self.l1)

    def _share_counters(self, group: Group) -> None:
        """Let weights that were changed equally often share one counter.

        Adding 1 to each of six counters took a fiftieth of a small training step.
        """
        if "step" in group.rule.slots:
            place = group.rule.slots.index("step")
            shared: dict[float, Tensor] = {}
            for name in group.weights.keys() & self._memory.keys():
                memory = self._memory[name]
                memory[place] = shared.setdefault(memory[place].item(), memory[place])

    def _part_counters(self, group: Group) -> None:
        """Some weights with a counter have no gradient now: each counts for itself from here on."""
        if "step" in group.rule.slots:
            place = group.rule.slots.index("step")
            for name in group.weights.keys() & self._memory.keys():
                self._memory[name][place] = self._memory[name][place].clone()

    def gradient_norm(self) -> Tensor:
        """Euclidean norm of all gradients together; not finite if any gradient is not."""
        import torch

        grads = [w.grad for w in self._weights if w.grad is not None]
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        return norm

    def clip(self, max_norm: float) -> Tensor:
        """Shorten the gradients to ``max_norm`` in all, and return their norm before that.

        Equal to ``torch.nn.utils.clip_grad_norm_``, which takes 57 µs for 6 small tensors where
        this takes 32 (CPU, n = 7, the machine in ``docs/log.md``).
        """
        import torch

        grads = [w.grad for w in self._weights if w.grad is not None]
        norm = self.gradient_norm()
        # No "if norm > max_norm": on a GPU that would wait for all the work that is queued there.
        torch._foreach_mul_(grads, (max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def state_dict(self) -> dict[str, Tensor]:
        """All that a resume needs, as ``{"<weight>.<slot>": tensor}``; clone it to keep it."""
        # safetensors refuses channels-last tensors, hence contiguous(): it copies only those. It
        # refuses shared ones too, and one counter may be shared by all weights.
        return {
            f"{name}.{slot}": tensor.clone() if slot == "step" else tensor.contiguous()
            for group in self._groups
            for name in group.weights.keys() & self._memory.keys()
            for slot, tensor in zip(group.rule.slots, self._memory[name], strict=True)
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a ``state_dict()``: the next steps are equal to the last bit."""
        slots = {name: g.rule.slots for g in self._groups for name in g.weights}
        keys = {name: [f"{name}.{slot}" for slot in slots[name]] for name in slots}
        saved = {name for name in keys if any(key in state for key in keys[name])}
        _check_keys(expected={key for name in saved for key in keys[name]}, found=set(state))
        weights = {name: w for g in self._groups for name, w in g.weights.items()}
        self._memory = {
            # Copied into a blank one, which has the layout, the device and the type of the weight.
            name: [
                _blank(slot, weights[name]).copy_(state[key])
                for slot, key in zip(slots[name], keys[name], strict=True)
            ]
            for name in saved
        }
        self._known = [len(group.weights.keys() & saved) for group in self._groups]
        for group in self._groups:
            self._share_counters(group)


def _check_keys(expected: set[str], found: set[str]) -> None:
    for key in sorted(expected ^ found):
        problem = "is missing" if key in expected else "belongs to no weight of this network"
        raise UserError(
            f"optimizer state: {key!r} {problem}; the checkpoint was written with another network "
            f"or optimizer than this recipe's.{nearest(key, expected - found)}"
        )


def _blank(slot: str, weight: Tensor) -> Tensor:
    import torch

    if slot == "step":
        return torch.zeros((), device=weight.device)
    # In the memory format of the weight (channels-last!): fused kernels walk through raw memory.
    return torch.zeros_like(weight)


# --- Building -------------------------------------------------------------------------------------


def build(
    knobs: OptimizerKnobs,
    network: nn.Module,
    lr: float,
    l1: float = 0.0,
    shares: Mapping[str, float] | None = None,
) -> Optimizer:
    """Return the optimizer of all parameters of ``network``; a tied one is changed once.

    ``shares`` of the learning rate, by the name of the weight; 1 for those that it does not name.
    """
    weights = dict(network.named_parameters())
    shares = shares or {}
    if not isinstance(knobs, Muon):
        return Optimizer(_groups(_rule(knobs), knobs.weight_decay, weights, shares), lr, l1)
    hidden = _hidden_matrices(network)
    matrices = {name: w for name, w in weights.items() if id(w) in hidden}
    others = {name: w for name, w in weights.items() if id(w) not in hidden}
    adamw = _adam(AdamW(betas=knobs.betas, eps=knobs.eps))
    groups = _groups(_muon(knobs), knobs.weight_decay, matrices, shares)
    return Optimizer(groups + _groups(adamw, knobs.weight_decay, others, shares), lr, l1)


def _groups(
    rule: Rule,
    weight_decay: float,
    weights: Mapping[str, nn.Parameter],
    shares: Mapping[str, float],
) -> list[Group]:
    """Weights that one kernel can change: it takes one decay, rate, device and type at a time.

    Decay is for what multiplies inputs. A bias or the scale of a normalization (all of them
    one-dimensional) does not make a network more complex by being large, and pulling it to zero
    hurts (He et al., 2019, "Bag of Tricks", section 3.1; so do Goyal et al., 2017, and nanoGPT).
    """
    groups: dict[Any, dict[str, nn.Parameter]] = {}
    for name, weight in weights.items():
        decay = weight_decay if weight.ndim >= 2 else 0.0
        key = (decay, shares.get(name, 1.0), weight.device, weight.dtype)
        groups.setdefault(key, {})[name] = weight
    return [Group(rule, decay, members, share) for (decay, share, *_), members in groups.items()]


def _hidden_matrices(network: nn.Module) -> set[int]:
    """Identities of the weights that Muon takes: matrices and kernels between first and last layer.

    Jordan's post leaves "the input and output layers", embeddings and all vectors to AdamW; we
    leave it what is too large as well.
    """
    from torch import nn

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention, nn.Embedding)
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    embeddings = [layer for layer in layers if isinstance(layer, nn.Embedding)]
    spared = {id(w) for layer in layers[:1] + layers[-1:] + embeddings for w in _own(layer)}
    matrices = [w for layer in layers for w in _own(layer) if w.ndim >= 2]
    return {id(w) for w in matrices if min(w.shape[0], w[0].numel()) <= LARGEST_SIDE} - spared


LARGEST_SIDE = 2048
"""Rows or columns that a matrix has at most, whichever are fewer, for Muon to take it."""


def _own(layer: nn.Module) -> list[nn.Parameter]:
    return list(layer.parameters(recurse=False))


def shrink(weights: Tensors, threshold: float) -> None:
    """Bring every weight nearer to zero by ``threshold``, and to zero what is that near already.

    The proximal step of an L1 penalty: soft thresholding (Parikh and Boyd 2014, "Proximal
    Algorithms"). Adding the sign of a weight to its gradient would make weights tremble about zero
    and never be zero. It comes after the optimizer's step, and is the same for every weight, as
    AdamW's decay is: not divided by the root of the running squares.
    Biases and normalizations are spared as they are by weight decay.
    """
    from torch.nn import functional

    for weight in weights:
        weight.copy_(functional.softshrink(weight, threshold))


# --- The rules ------------------------------------------------------------------------------------


def _rule(knobs: SGD | RMSprop | Adam | AdamW) -> Rule:
    match knobs:
        case SGD():
            return _sgd(knobs)
        case RMSprop():
            return _rmsprop(knobs)
        case _:
            return _adam(knobs)


def _sgd(knobs: SGD) -> Rule:
    import torch

    def update(weights: Tensors, grads: Tensors, memory: Memory, lr: float, decay: float) -> None:
        torch._fused_sgd_(
            weights,
            grads,
            memory[0] if memory else [],
            lr=lr,
            weight_decay=decay,
            momentum=knobs.momentum,
            nesterov=knobs.nesterov,
            dampening=0.0,
            maximize=False,
            is_first_step=False,  # the memory starts at zero, which comes to the same
        )

    return Rule(("momentum_buffer",) if knobs.momentum else (), update)


def _adam(knobs: Adam | AdamW) -> Rule:
    import torch

    kernel = torch._fused_adamw_ if isinstance(knobs, AdamW) else torch._fused_adam_
    beta1, beta2 = knobs.betas

    def update(weights: Tensors, grads: Tensors, memory: Memory, lr: float, decay: float) -> None:
        steps, means, squares, *largest = memory
        torch._foreach_add_(list({id(step): step for step in steps}.values()), 1)
        kernel(
            weights,
            grads,
            means,
            squares,
            largest[0] if largest else [],
            steps,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=decay,
            eps=knobs.eps,
            amsgrad=knobs.amsgrad,
            maximize=False,
        )

    largest = ("max_exp_avg_sq",) if knobs.amsgrad else ()
    return Rule(("step", "exp_avg", "exp_avg_sq", *largest), update)


def _rmsprop(knobs: RMSprop) -> Rule:
    import torch

    slots = (
        ["square_avg"] + ["grad_avg"] * knobs.centered + ["momentum_buffer"] * (knobs.momentum > 0)
    )

    def update(weights: Tensors, grads: Tensors, memory: Memory, lr: float, decay: float) -> None:
        state = dict(zip(slots, memory, strict=True))
        squares = state["square_avg"]
        if decay:
            grads = list(torch._foreach_add(grads, weights, alpha=decay))
        torch._foreach_mul_(squares, knobs.alpha)
        torch._foreach_addcmul_(squares, grads, grads, value=1 - knobs.alpha)
        if knobs.centered:
            means = state["grad_avg"]
            torch._foreach_lerp_(means, grads, 1 - knobs.alpha)
            squares = list(torch._foreach_addcmul(squares, means, means, value=-1))
        scales = torch._foreach_sqrt(squares)
        torch._foreach_add_(scales, knobs.eps)
        if not knobs.momentum:
            torch._foreach_addcdiv_(weights, grads, scales, value=-lr)
            return
        torch._foreach_mul_(state["momentum_buffer"], knobs.momentum)
        torch._foreach_addcdiv_(state["momentum_buffer"], grads, scales)
        torch._foreach_add_(weights, state["momentum_buffer"], alpha=-lr)

    return Rule(tuple(slots), update)


def _muon(knobs: Muon) -> Rule:
    def update(weights: Tensors, grads: Tensors, memory: Memory, lr: float, decay: float) -> None:
        for weight, gradient, mean in zip(weights, grads, *memory, strict=True):
            mean.lerp_(gradient, 1 - knobs.momentum)
            ahead = gradient.lerp(mean, knobs.momentum) if knobs.nesterov else mean
            change = orthogonalize(ahead.flatten(1), knobs.ns_steps)
            weight.mul_(1 - lr * decay)
            weight.add_(change.reshape(weight.shape), alpha=-lr * (0.2 * sqrt(max(change.shape))))

    return Rule(("momentum_buffer",), update)


def orthogonalize(matrix: Tensor, steps: int) -> Tensor:
    """Bring all singular values of ``matrix`` near 1 (0.7–1.2) by Newton–Schulz, in bfloat16.

    The three numbers are Jordan's: they grow small singular values fastest and never settle.
    """
    import torch

    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix.bfloat16() if matrix.shape[0] <= matrix.shape[1] else matrix.bfloat16().T
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
