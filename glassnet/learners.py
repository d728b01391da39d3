"""The stock learner: one network, one loss, one optimizer; and the matching way of scoring.

Special learners (two optimizers, a world to act in) live in their task's file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from glassnet import device, optimizers, schedules
from glassnet.averaging import Average
from glassnet.errors import Diverged, UserError
from glassnet.health import Health
from glassnet.losses import Loss
from glassnet.mixing import Mixing, of_both
from glassnet.network import find, schema
from glassnet.optimizers import AdamW
from glassnet.recipe import Fit, Recipe, Split
from glassnet.task import Batch, Examples, Outcome, Stateful
from glassnet.transfer import Layers

Rec = TypeVar("Rec", bound=Recipe)
SCORING_BATCH = 512


class Supervised:
    """Minimize a loss over batches of inputs and targets."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        fit: Fit,
        num_examples: int,
        *,
        augment: Callable[[Batch, int], Batch] | None = None,
        mix: Mixing | None = None,
        counts: Mapping[str, Loss] | None = None,
        layers: Callable[[int], Layers] | None = None,
    ) -> None:
        """``augment`` takes a batch and the number of the epoch, from 0.

        ``counts`` are further curves: outputs and targets -> one value for each example.

        ``layers`` says, from the number of steps in an epoch, which layers learn when; unset: all.
        """
        assert fit.lr is not None, "fit.lr is filled before a learner is made"
        self.trained, self.fit, self.augment, self.mix = network, fit, augment, mix
        self.loss = loss
        self.counts = dict(counts or {})
        self.average = None if fit.average is None else Average(network, fit.average)
        self.network = network if self.average is None else self.average.network
        self.peak_lr = fit.lr
        self.steps_per_epoch = fit.steps_per_epoch(num_examples)
        self.num_steps = fit.num_steps(num_examples)
        self.layers = None if layers is None else layers(self.steps_per_epoch)
        shares = None if self.layers is None else self.layers.shares
        self.optimizer = optimizers.build(fit.optimizer, network, fit.lr, fit.l1, shares)
        self.health = Health(network, self.num_steps)
        self.pieces = Pieces(fit.accumulate)
        self.where = next(network.parameters()).device
        half = fit.precision != "float32"
        self.arithmetic = partial(device.autocast, fit, self.where) if half else nullcontext
        self.scaler = torch.amp.GradScaler(self.where.type) if fit.precision == "float16" else None
        self.parts: dict[str, Stateful] = {
            "network": network,
            "optimizer": self.optimizer,
            "pieces": self.pieces,
        }
        if self.scaler is not None:
            self.parts["scaler"] = self.scaler
        if self.average is not None:
            self.parts["average"] = self.average.network

    def update(self, batch: Batch, step: int, /) -> Mapping[str, Tensor | float]:
        """One optimizer step on one batch, computed in one or several pieces."""
        self.optimizer.lr = lr = self.lr(step)
        self.optimizer.zero_grad()
        if self.layers is not None:
            self.layers.set(step)
        if self.augment is not None:
            batch = self.augment(batch, step // self.steps_per_epoch)
        targets = batch.targets  # of one parent each; those of mixed examples have an axis more
        if self.mix is not None:
            batch = self.mix(batch)
        losses: list[Tensor] = []
        counted: dict[str, Tensor | float] = dict.fromkeys(self.counts, 0.0)
        for piece, share in self.pieces.cut(batch):
            with self.arithmetic():
                outputs = self.trained(piece.inputs)
                each = self._of_batch(self.loss)(outputs, piece.targets)
            loss = weighted_mean(each, piece.weights)
            if share != 1:
                loss = loss * share
            # Reading the loss is free on a CPU and a stall on a GPU, where the loop looks later.
            if self.where.type == "cpu" and not math.isfinite(loss.item()):
                raise Diverged(culprit(self.trained, piece.inputs))
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            losses.append(loss.detach())
            for name, count in self.counts.items():
                counted[name] += (
                    self._of_batch(count)(outputs.detach(), piece.targets).mean() * share
                )
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)  # type: ignore[arg-type]
        layers: dict[str, float] = {}
        if self.health.is_due(step):
            layers = self.health.measure(self._step, num_outputs(outputs, targets))
        else:
            self._step()
        if self.average is not None:
            self.average.follow(step)
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        return {"loss": loss, "lr": lr, **counted, **layers}

    def _of_batch(self, loss: Loss) -> Loss:
        """A mixed example has two targets."""
        return loss if self.mix is None else of_both(loss)

    def _step(self) -> None:
        if self.fit.clip is not None:
            self.optimizer.clip(self.fit.clip)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)  # type: ignore[arg-type]
            self.scaler.update()

    def lr(self, step: int) -> float:
        """The learning rate of a step: a pure function, so there is nothing to restore."""
        alone = 0 if self.layers is None else self.layers.head_steps
        if step < alone:  # what joins the head then begins with the schedule's small first steps
            return self.peak_lr
        rest = self.num_steps - alone
        factor = schedules.factor(self.fit.schedule, step - alone, self.steps_per_epoch, rest)
        return self.peak_lr * factor

    def shrink(self) -> str:
        """Halve what is computed at once; the batch that an optimizer step sees stays the same."""
        if self.pieces.number >= (self.fit.batch_size or 1):
            raise UserError(
                f"Out of memory on {self.where} with a single example. Use a smaller network or "
                "input (--size for images), --fit.precision bfloat16, or --fit.device cpu."
            )
        self.pieces.number *= 2
        return (
            f"out of memory on {self.where}: each batch is now computed in {self.pieces.number} "
            "pieces whose gradients are added (batch normalization sees the pieces)"
        )


def of_inputs(change: Callable[[Tensor, int], Tensor]) -> Callable[[Batch, int], Batch]:
    """Change the inputs of a batch alone: what is expected stays."""
    return lambda batch, epoch: replace(batch, inputs=change(batch.inputs, epoch))


def num_outputs(outputs: Tensor, targets: Tensor) -> int:
    """Outputs of one example: of classes the last axis; of numbers as many as there are targets.

    The outputs of regression (B,), or (B, M) with members, have no axis of their own.
    """
    if targets.is_floating_point():
        return math.prod(targets.shape[1:])
    return outputs.shape[-1]


class Pieces:
    """In how many pieces a batch is computed; a state, since it grows on lack of memory."""

    def __init__(self, number: int) -> None:
        self.number = number

    def cut(self, batch: Batch) -> Iterator[tuple[Batch, Tensor | float]]:
        """Cut a batch into pieces of nearly equal size, each with its share of the weight."""
        if self.number == 1:  # the usual case, in which even a view of the whole would cost 3 %
            yield batch, 1.0
            return
        number = min(self.number, len(batch.inputs))
        weights = (
            batch.targets.new_ones(len(batch.inputs)) if batch.weights is None else batch.weights
        )
        total = weights.sum().clamp(min=1e-12)  # as in ``weighted_mean``
        cuts = (column.tensor_split(number) for column in (batch.inputs, batch.targets, weights))
        for x, y, w in zip(*cuts, strict=True):
            yield Batch(x, y, None if batch.weights is None else w), w.sum() / total

    def state_dict(self) -> Mapping[str, Any]:
        """The number."""
        return {"number": self.number}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Restore the number."""
        self.number = state["number"]


def weighted_mean(each: Tensor, weights: Tensor | None) -> Tensor:
    """Average the losses of the examples (and of the members, if there are several)."""
    if weights is None:
        return each.mean()
    if not each.ndim:
        raise UserError("This task's loss is one number for a batch, so rows cannot have weights.")
    share = weights / weights.sum().clamp(min=1e-12)  # a batch may hold rows of no weight only
    while each.ndim > weights.ndim:
        each = each.mean(-1)
    return (each * share).sum()


def culprit(network: nn.Module, inputs: Tensor) -> str:
    """Name the first layer whose weights or outputs are not finite."""
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, _: Any, output: Any) -> None:
            bad = [n for n, p in layer.named_parameters(recurse=False) if not p.isfinite().all()]
            if not found and bad:
                found.append(f"the {bad[0]} of layer '{name}' ({type(layer).__name__})")
            elif not found and isinstance(output, Tensor) and not output.isfinite().all():
                found.append(f"the output of layer '{name}' ({type(layer).__name__})")

        return hook

    leaves = [(n, m) for n, m in network.named_modules() if not list(m.children())]
    handles = [layer.register_forward_hook(look(name)) for name, layer in leaves]
    with torch.no_grad():
        network(inputs)
    for handle in handles:
        handle.remove()
    return found[0] if found else "the loss itself; all layers are finite"


def score(
    network: nn.Module,
    examples: Examples[Batch],
    _facts: Any = None,
    indices: Sequence[Tensor] | None = None,
) -> Outcome:
    """Answer all examples in evaluation mode, without gradients.

    ``indices`` are the batches in which they are answered; unset: as they come.
    """
    outputs, targets = [], []
    where = examples.rows.device
    given = torch.arange(len(examples), device=where).split(SCORING_BATCH)
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for batch in examples.batches(indices or given):
            outputs.append(network(batch.inputs).float().cpu())
            targets.append(batch.targets.cpu())
    network.train(was_training)
    outcome = Outcome(torch.cat(outputs), torch.cat(targets))
    return outcome if indices is None else outcome[torch.cat(list(indices)).argsort().cpu()]


def answer(network: nn.Module, inputs: Tensor) -> Tensor:
    """Raw outputs for encoded inputs, in batches of the size used in training's scoring."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(piece).float() for piece in inputs.split(SCORING_BATCH)])


def filler(
    lr: Mapping[str, float], batch_size: Callable[[int], int], epochs: Callable[[int], int]
) -> Callable[[Rec, int], Rec]:
    """Return the function that sets a task's unset knobs.

    ``lr`` is by name of the optimizer; ``batch_size`` and ``epochs`` are functions of the number
    of training examples. The evidence for each task's values is in docs/log.md.
    """

    def fill(recipe: Rec, num_examples: int) -> Rec:
        fit = recipe.fit
        values = {
            "batch_size": fit.batch_size or batch_size(num_examples),
            "lr": fit.lr or lr[fit.optimizer.name],
            "epochs": fit.epochs or epochs(num_examples),
        }
        return recipe.model_copy(update={"fit": fit.model_copy(update=values)})

    return fill


def between(low: int, value: float, high: int) -> int:
    """Round, and keep within limits.

    >>> between(3, 9.1, 200)
    9
    """
    return round(min(high, max(low, value)))


_fill_plain = filler(
    lr={"muon": 3e-3, "adamw": 3e-3, "adam": 3e-3, "rmsprop": 1e-3, "sgd": 0.05},
    batch_size=lambda n: 2 ** between(4, math.log2(n / 20), 7),
    epochs=lambda n: between(20, 400_000 / n, 100),
)
_fill_members = filler(
    lr={"muon": 1e-3, "adamw": 1e-3, "adam": 1e-3, "rmsprop": 5e-4, "sgd": 0.02},
    batch_size=lambda n: 2 ** between(5, math.log2(n / 8), 8),
    epochs=lambda n: between(5, 800_000 / n, 100),
)
FIT_FOR_TABLES = Fit(optimizer=AdamW(weight_decay=1.0))
"""For members that share weights: a strong pull to zero keeps them from learning rows by heart."""
SPLIT_FOR_TABLES = Split(refit=True)


def fill_for_tables(recipe: Rec, num_examples: int) -> Rec:
    """Set the unset knobs: a network of members takes larger batches and smaller steps."""
    fill = _fill_members if _has_members(recipe.network.name) else _fill_plain
    return fill(recipe, num_examples)


def implied_for_tables(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A network without members is trained as textbooks do: once, with little decay."""
    given = values.get("network", {})
    name = given if isinstance(given, str) else given.get("name")
    if name is None or _has_members(name):
        return {}
    return {"fit": Fit().model_dump(), "split": Split().model_dump()}


def _has_members(name: str) -> bool:
    return "members" in schema(find(name)).model_fields
