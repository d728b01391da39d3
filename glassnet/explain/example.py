"""Which example is to be traced, what the run answered to it, and by which loss it is measured."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import UserError
from glassnet.learners import Supervised
from glassnet.losses import Loss
from glassnet.metrics import answered
from glassnet.task import Data, Examples, Source
from glassnet.trained import Trained


@dataclass(frozen=True)
class OneInput:
    """A batch of one raw input, (1, …), whose target nobody said."""

    inputs: Tensor
    targets: Tensor | None = None


def member(trained: Trained, part: str, example: int) -> tuple[Trained, int, int, list[str]]:
    """The network that answers for this example, and the example's position in its part."""
    folds = trained.run.folds()
    members = [trained.fold(fold) for fold in folds] or [trained]
    if part == "train":
        members = members[:1]
    sizes = [len(getattr(member.run.splits(), part)) for member in members]
    require(example, sum(sizes), f"the {part} part")
    position, number = example - 1, 0
    while position >= sizes[number]:
        position, number = position - sizes[number], number + 1
    notes = []
    if folds:
        seen = "was not trained on it" if part == "validation" else "was trained on it"
        notes.append(
            f"A k-fold run has {len(folds)} networks; this is the one of "
            f"{folds[number].path.name}, which {seen}."
        )
    return members[number], position, sum(sizes), notes


def one_network(trained: Trained) -> tuple[Trained, list[str]]:
    """The run, or one fold of a k-fold run, with a note that says so.

    It is the first one; where folds follow each other in time the last, which answers for the run.
    """
    folds = trained.run.folds()
    if not folds:
        return trained, []
    fold = folds[-1 if trained.recipe.split.mode == "rolling" else 0]
    note = f"A k-fold run has {len(folds)} networks; this is the one of {fold.path.name}."
    return trained.fold(fold), [note]


def require(example: int, of: int, where: str) -> None:
    """Refuse the number of an example that is not there."""
    if not 1 <= example <= of:
        raise UserError(
            f"--example {example}: {where} has {of:,} examples, numbered from 1 to {of:,}."
        )


@dataclass(frozen=True)
class Example:
    """One example of the run's data, as the task sees it."""

    trained: Trained
    network: nn.Module
    """The one of the run's networks that is shown: with or without the refit's weights."""
    source: Source[Any]
    examples: Examples[Any]

    def answer(self) -> tuple[Any, dict[str, float], Any]:
        """Answer, probabilities and target, in the user's terms."""
        one = self.trained
        there = self.examples.to(next(self.network.parameters()).device)
        outcome = one.task.score(self.network, there, one.facts)
        if one.decision is not None:
            outcome = one.decision.apply(outcome)
        classes = one.task.output_names(one.facts)
        outputs, target = outcome.outputs[0], outcome.targets[0]
        if len(classes) > 1 and outputs.shape == (len(classes),) and not target.ndim:
            shares = outputs.double().softmax(0).tolist()
            probabilities = dict(zip(classes, shares, strict=True))
            return classes[int(answered(outcome)[0])], probabilities, classes[int(target)]
        return outputs.tolist(), {}, target.tolist()

    def loss(self) -> Loss:
        """The loss that the run's learner minimizes."""
        one = self.trained
        data = Data(
            pool=_Pool(one, self.source),
            positions=_positions(one),
            facts=one.facts,
            splits=one.run.splits(),
            fingerprint=self.source.fingerprint,
        )
        learner = one.task.learner(one.recipe, copy.deepcopy(self.network), data)
        if not isinstance(learner, Supervised):
            raise UserError(
                f"The task {one.recipe.task!r} learns by a {type(learner).__name__} of its own, "
                "which has no loss of a single example; trace a raw input forward by --input."
            )
        return learner.loss


class _Pool:
    """Training and validation examples, encoded only if the learner looks at them at once."""

    def __init__(self, trained: Trained, source: Source[Any]) -> None:
        self.trained, self.source = trained, source

    @cached_property
    def whole(self) -> Examples[Any]:
        splits = self.trained.run.splits()
        rows = torch.cat([splits.train, splits.validation])
        return self.source.examples(rows, self.trained.facts)

    @property
    def rows(self) -> Tensor:
        """The rows of the source."""
        return self.whole.rows

    def __len__(self) -> int:
        return len(self.whole)

    def batch(self, index: Tensor, /) -> Any:
        """Return the examples at ``index``."""
        return self.whole.batch(index)

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Any]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return self.whole.batches(indices, first)

    def to(self, device: Any, /) -> Examples[Any]:
        """Return the same examples on ``device``."""
        return self.whole.to(device)


def _positions(trained: Trained) -> Callable[[int], tuple[Tensor, Tensor]]:
    splits = trained.run.splits()
    count = len(splits.train)
    both = torch.arange(count + len(splits.validation))
    return lambda epoch: (both[:count], both[count:])


class Tap(nn.Module):
    """A network that keeps what it is given: so raw inputs are read on the one path for them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seen: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """As the network."""
        self.seen.append(inputs)
        return self.network(inputs)  # type: ignore[no-any-return]
