"""One example, number by number: forward through a trained network, its loss, and backward.

All is computed in float64 on a copy of the network on the CPU, in the form that training
minimizes, except that nothing is left to chance: dropout is off, and batch normalization uses the
averages that it learned. Every gradient is checked against finite differences (``gradcheck``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from glassnet import figures
from glassnet.errors import UserError
from glassnet.explain import gradcheck, recorder, tracepage, tracetext
from glassnet.explain.example import Example, OneInput, Tap, member, require
from glassnet.explain.gradcheck import Check
from glassnet.explain.labelled import Labelled, symbol, without_batch
from glassnet.explain.recorder import Nudge, Step
from glassnet.losses import Loss
from glassnet.network import FRONT
from glassnet.task import CellShown, Source
from glassnet.trained import Trained

NUMBERS = 1024
"""A tensor of at most so many numbers is given number by number, a larger one by statistics."""
PARTS = ("validation", "train")


@dataclass(frozen=True)
class Trace:
    """What became of one example."""

    run: str
    task: str
    network: str
    part: str
    """'validation', 'train' or 'input'."""
    example: int
    """Its number within that part, from 1."""
    of: int
    name: str
    """How the user finds it: 'row 17', a file."""
    answer: Any
    """In the user's terms: a class, or a number in the unit of the target."""
    probabilities: Mapping[str, float]
    """Of the answer, by class; empty if the task has no classes."""
    target: Any
    """What was right, in the same terms; None if nobody said."""
    loss: float | None
    """Of this example; None without a target."""
    steps: Sequence[Labelled]
    check: Check | None
    """None without a loss."""
    notes: Sequence[str] = field(default_factory=tuple)
    """What one must know to read the numbers."""
    cells: Sequence[CellShown] = ()
    """Of the row of a table: what its cells say; else empty."""

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet trace --json`` prints it; numbers are float64, axes without the batch.

        ``steps`` are in the order in which they acted, number 0 is the input. Each has ``number``,
        ``name``, ``kind``, ``from`` (numbers of the steps that it read), ``labels``, ``value``,
        ``gradient`` (of the loss with respect to the value) and ``parameters``: name -> ``value``
        and ``gradient``. A tensor is ``shape``, ``statistics`` (mean, std, min, max, zeros: the
        share of numbers that are 0) and ``numbers``, nested as its shape, or null if there are
        more than 1,024. ``cells`` are those of the row of a table: ``column``, ``cell``, as read
        back from the numbers, and ``encoded``. ``check`` compares with finite differences;
        ``loss``, ``target``, ``gradient`` and ``check`` are null for an input whose target is not
        known.
        """
        plain = {name: getattr(self, name) for name in _PLAIN}
        steps = [_step_json(labelled) for labelled in self.steps]
        checked = None if self.check is None else self.check.to_json()
        cells = [asdict(cell) for cell in self.cells]
        return {
            **plain, "notes": list(self.notes), "cells": cells, "steps": steps, "check": checked,
        }  # fmt: skip

    @property
    def agrees(self) -> bool:
        """False if a gradient differs from what finite differences say."""
        return self.check is None or self.check.agrees

    @property
    def text(self) -> str:
        """For a terminal, in 100 columns."""
        return tracetext.write(self)

    @cached_property
    def document(self) -> figures.Document:
        """For a page: ``figures.page(trace.document)``."""
        return tracepage.document(self)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return figures.notebook(self.document)


_PLAIN = (
    "run", "task", "network", "part", "example", "of", "name", "answer", "probabilities",
    "target", "loss",
)  # fmt: skip


def trace_example(
    trained: Trained, example: int, part: str = "validation", source: Source[Any] | None = None
) -> Trace:
    """Trace an example of the run's own data; rows of the sealed test cannot be had.

    Args:
        trained: The run.
        example: Its number within the part, from 1.
        part: 'validation' or 'train'.
        source: The run's data set, if it is open already.

    Raises:
        UserError: If there is no such example, or the run has no weights yet.
    """
    if part not in PARTS:
        sealed = " The test is sealed: `glassnet evaluate --test` alone opens it, and counts." * (
            part == "test"
        )
        raise UserError(f"--part {part}: expected validation or train.{sealed}")
    one, position, of, notes = member(trained, part, example)
    # Read now: a run without weights fails before data are opened.
    network = one.validated if part == "validation" else one.network
    notes = notes + _about_refit(one, part)
    source = source or trained.source()
    row = getattr(one.run.splits(), part)[position : position + 1]
    examples = source.examples(row, one.facts)
    name = source.name(int(row))
    if not len(examples):
        reason = "; ".join(p.what for p in source.problems if p.where == name)
        raise UserError(f"Example {example} ({name}) could not be read: {reason}.")
    seen = Example(one, network, source, examples)
    answer, probabilities, target = seen.answer()
    return _trace(
        one, network, examples.batch(torch.zeros(1, dtype=torch.int64)), seen.loss(), notes,
        run=str(trained.run.path), part=part, example=example, of=of, name=name,
        answer=answer, probabilities=probabilities, target=target,
    )  # fmt: skip


def trace_input(trained: Trained, raw: Any, example: int = 1) -> Trace:
    """Trace one of the user's raw inputs forward; without a target there is nothing backward.

    Raises:
        UserError: If the input cannot be read, or does not hold so many examples.
    """
    folds = trained.run.folds()
    one = trained.fold(folds[0]) if folds else trained
    notes = [f"A k-fold run has {len(folds)} networks; this is the one of fold-0."] * bool(folds)
    notes += _about_refit(one, "input")
    tap = Tap(one.network)
    answers = [p for p in trained.predict(raw, tap) if "error" not in p.details]
    inputs = torch.cat(tap.seen) if tap.seen else torch.zeros(0)
    require(example, len(answers), "the input")
    given = answers[example - 1]
    batch = OneInput(inputs[example - 1 : example].cpu().clone())
    return _trace(
        one, one.network, batch, None, notes,
        run=str(trained.run.path), part="input", example=example, of=len(answers),
        name=given.input, answer=given.answer, target=None,
        probabilities=given.details.get("probabilities", {}),
    )  # fmt: skip


def _about_refit(trained: Trained, part: str) -> list[str]:
    """Which weights are shown, if the run has two kinds."""
    if not trained.run.exists("validated.safetensors"):
        return []
    if part == "validation":
        return [
            "The run was refit on training and validation rows. Shown are the weights from before "
            "(validated.safetensors), which have not seen this row; predict uses the later ones."
        ]
    return ["Shown are the weights of the refit (model.safetensors), which predict uses."]


# --- The network ----------------------------------------------------------------------------------


def _trace(
    trained: Trained,
    network: nn.Module,
    batch: Any,
    loss: Loss | None,
    notes: list[str],
    **about: Any,
) -> Trace:
    network = copy.deepcopy(network).cpu().double().requires_grad_()
    inputs = batch.inputs.cpu()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    targets = None if batch.targets is None else batch.targets.cpu()
    if targets is not None and targets.is_floating_point():
        targets = targets.double()
    with _in_float64():
        notes += _prepare(network, inputs)
        outputs, steps = _recorded(network, inputs)
        measured, checked = None, None
        if loss is not None and targets is not None:
            each = loss(outputs, targets)
            notes += _about_members(outputs, each)
            measured = float(each.mean().detach())
            each.mean().backward()
            checked = _check(network, inputs, targets, loss, steps, measured)
        else:
            notes.append("Without a target there is no loss, and nothing to send backward.")
    labelled = _labelled(steps, trained)
    cells = trained.task.input_cells(trained.facts, without_batch(steps[0].value).tolist())
    network_name = trained.recipe.network.name
    return Trace(
        task=trained.run.info["task"], network=network_name, loss=measured, steps=labelled,
        check=checked, notes=tuple(notes), cells=cells, **about,
    )  # fmt: skip


@contextmanager
def _in_float64() -> Iterator[None]:
    """What the network makes anew in its forward is float64 too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _prepare(network: nn.Module, inputs: Tensor) -> list[str]:
    """Choose the form of the network: that of training if nothing in it is left to chance."""
    for module in network.modules():
        if "inplace" in vars(module):
            vars(module)["inplace"] = False  # else the step before would lose its numbers
    plain, notes = _outputs(network.eval(), inputs), []
    network.train()
    for module in network.modules():
        if isinstance(module, _DropoutNd | _BatchNorm):
            module.eval()
    forms = [_outputs(network, inputs) for _ in range(3)]
    if any(not torch.equal(forms[0], form) for form in forms[1:]):
        network.eval()
        notes.append("The network draws random numbers in training; it is traced as it answers.")
    elif forms[0].shape != plain.shape or not torch.allclose(forms[0], plain):
        notes.append(
            "Traced in the form that training minimizes; the answer above is of the form that "
            "predicts, in which the network combines or corrects its outputs."
        )
    return notes


def _outputs(network: nn.Module, inputs: Tensor) -> Tensor:
    try:
        with torch.no_grad():
            outputs = network(inputs)
    except RuntimeError as error:
        raise UserError(f"The network cannot be computed in float64: {error}") from None
    if not isinstance(outputs, Tensor):
        raise UserError(f"The network answers with {type(outputs).__name__}, not with one tensor.")
    return outputs


def _recorded(network: nn.Module, inputs: Tensor) -> tuple[Tensor, list[Step]]:
    network.zero_grad()
    return recorder.run(network, inputs)


def _about_members(outputs: Tensor, each: Tensor) -> list[str]:
    if each.numel() < 2:
        return []
    low, high = float(each.min().detach()), float(each.max().detach())
    return [
        f"{each.numel()} losses of one example, by members or outputs, from {low:.4g} to "
        f"{high:.4g}: the loss is their mean. Outputs have the shape {tuple(outputs.shape[1:])}."
    ]


def _check(
    network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss, steps: list[Step], now: float
) -> Check:
    def loss_with(nudge: Nudge | None) -> float:
        if nudge is None:
            with torch.no_grad():
                return float(loss(network(inputs), targets).mean())
        return float(loss(recorder.run(network, inputs, nudge)[0], targets).mean().detach())

    largest = float(steps[-1].value.abs().max())
    return gradcheck.check(gradcheck.subjects(steps, loss_with), now, max(abs(now), largest))


# --- Names ----------------------------------------------------------------------------------------


def _labelled(steps: Sequence[Step], trained: Trained) -> list[Labelled]:
    """Name the numbers: the inputs' by the data, the outputs' by the classes, units by number."""
    outputs = tuple(trained.task.output_names(trained.facts))
    with_weights = [step.number for step in steps if step.parameters]
    first, last = min(with_weights, default=0), max(with_weights, default=0)
    spread = max((s.number for s in steps if isinstance(s.module, FRONT)), default=0)
    found: list[Labelled] = []
    for step in steps:
        width = step.value.numel()
        names: Sequence[str] = ()
        before = found[step.sources[0]] if step.sources else None
        if step.number < first or isinstance(step.module, FRONT):
            names = trained.task.input_names(trained.facts, width)
        elif step.number >= last and width == len(outputs):
            names = outputs
        elif before is not None and _scales(step) and before.step.number <= spread:
            names = before.labels
        flat = without_batch(step.value).ndim <= 1
        letter = symbol(step)
        units = (f"{letter}{i}" for i in range(1, width + 1))
        found.append(Labelled(step, (tuple(names) or tuple(units)) if flat else (), before))
    return found


def _scales(step: Step) -> bool:
    """Whether each number has a weight of its own, so that it keeps its meaning."""
    width = step.value.numel()
    return all(p.ndim == 1 and len(p) == width for p in step.parameters.values())


# --- JSON -----------------------------------------------------------------------------------------


def _step_json(labelled: Labelled) -> dict[str, Any]:
    step = labelled.step
    parameters = {
        name: {"value": _tensor_json(p.detach()), "gradient": _tensor_json(p.grad)}
        for name, p in step.parameters.items()
    }
    return {
        "number": step.number,
        "name": step.name,
        "kind": step.kind,
        "from": list(step.sources),
        "labels": list(labelled.labels) if len(labelled.labels) <= NUMBERS else [],
        "value": _tensor_json(labelled.value),
        "gradient": _tensor_json(labelled.gradient),
        "parameters": parameters,
    }


def _tensor_json(tensor: Tensor | None) -> dict[str, Any] | None:
    if tensor is None:
        return None
    small = tensor.numel() <= NUMBERS
    return {
        "shape": list(tensor.shape),
        "statistics": statistics(tensor),
        "numbers": tensor.tolist() if small else None,
    }


def statistics(tensor: Tensor) -> dict[str, float]:
    """Mean, standard deviation, extremes, and the share of numbers that are 0."""
    numbers = tensor.double()
    if not numbers.numel():
        return {}
    found: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": torch.mean, "std": partial(torch.std, correction=0), "min": torch.min,
        "max": torch.max, "zeros": lambda t: (t == 0).double().mean(),
    }  # fmt: skip
    return {name: float(compute(numbers)) for name, compute in found.items()}
