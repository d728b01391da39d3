"""The curves of a run: training losses and validation scores, as JSON lines and for TensorBoard.

Rows are gathered in memory and written now and then, so that a step of half a millisecond is not
slowed down by the wish to see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from glassnet.eventfile import EventFile
from glassnet.run import Run
from glassnet.task import Scores

if TYPE_CHECKING:
    from torch import Tensor

ROWS_PER_EPOCH = 20
LEAST_STEPS = 50
"""Steps between two rows, at least; reading a loss from a GPU at each step would stall it."""


class Journal:
    """Collects the values of each step, and turns them into rows of ``metrics.jsonl``."""

    def __init__(
        self, run: Run, steps_per_epoch: int, line: Callable[[], list[float]] | None = None
    ) -> None:
        """``line`` reads where the line of a linear network is (``linear.line``)."""
        self.run, self.line = run, line
        self.every = max(LEAST_STEPS, math.ceil(steps_per_epoch / ROWS_PER_EPOCH))
        self.rows: list[dict[str, Any]] = []
        self.steps: list[Mapping[str, Tensor | float]] = []
        self.step = self.epoch = 0
        self.part = "train"
        """Under which name the values of steps are written."""
        self.epoch_sum, self.epoch_steps = 0.0, 0
        self._events: EventFile | None = None

    def add(self, step: int, epoch: int, values: Mapping[str, Tensor | float]) -> None:
        """Remember the values of one step."""
        self.step, self.epoch = step, epoch
        self.steps.append(values)
        # At steps 1, 2, 4, 8, …, and not in a refit: it has another network, and repeats the way.
        if self.line is not None and self.part == "train" and step.bit_count() == 1:
            self.rows.append({"step": step, "epoch": epoch, "line": self.line()})

    def is_due(self) -> bool:
        """Whether enough steps have come together for a row."""
        return len(self.steps) >= self.every

    def newest_loss(self) -> float:
        """The loss of the last step, if no row holds it yet, else 0."""
        return float(self.steps[-1]["loss"]) if self.steps else 0.0

    def log(self) -> float:
        """Make a row of the steps since the last one; return their mean loss."""
        names = dict.fromkeys(name for values in self.steps for name in values)
        means = {n: _mean([values[n] for values in self.steps if n in values]) for n in names}
        self.epoch_sum += means["loss"] * len(self.steps)
        self.epoch_steps += len(self.steps)
        self.steps.clear()
        self.rows.append({"step": self.step, "epoch": self.epoch, **_grouped(means, self.part)})
        return means["loss"]

    def end_epoch(self, step: int, epoch: int, scores: Scores | None) -> float:
        """Make a row of the validation scores, if any; return the epoch's mean training loss.

        Before the first step there is none: it is NaN, and not in the row.
        """
        loss = self.epoch_sum / self.epoch_steps if self.epoch_steps else math.nan
        self.epoch_sum, self.epoch_steps = 0.0, 0
        if scores is not None:
            row: dict[str, Any] = {"step": step, "epoch": epoch, "validation": dict(scores)}
            if not math.isnan(loss):
                row["epoch_loss"] = loss
            if self.line is not None:
                row["line"] = self.line()
            self.rows.append(row)
        return loss

    def flush(self) -> None:
        """Write the rows to ``metrics.jsonl`` and to TensorBoard's event file."""
        if not self.rows:
            return
        self.run.append("metrics.jsonl", *self.rows)
        if self.run.durable:  # else nobody will look
            self._write_events()
        self.rows.clear()

    def close(self) -> None:
        """Write what is left, and let the event file go."""
        self.flush()
        if self._events is not None:
            self._events.close()

    def _write_events(self) -> None:
        if self._events is None:
            self._events = EventFile(self.run, self.rows[0]["step"])
        for row in self.rows:
            self._events.scalars(row["step"], dict(_curves(row)))
        self._events.flush()

    def state_dict(self) -> dict[str, Any]:
        """The steps that no row holds yet."""
        steps = [{name: float(value) for name, value in values.items()} for values in self.steps]
        return {"steps": steps, "epoch_sum": self.epoch_sum, "epoch_steps": self.epoch_steps}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Go back to a checkpoint."""
        self.steps = list(state["steps"])
        self.epoch_sum, self.epoch_steps = state["epoch_sum"], state["epoch_steps"]


def _grouped(means: Mapping[str, float], part: str) -> dict[str, dict[str, Any]]:
    """Part 'loss' from the figures of single layers, such as 'dead/hidden.0'."""
    groups: dict[str, dict[str, Any]] = {part: {}}
    for name, value in means.items():
        figure, slash, layer = name.partition("/")
        if slash and part == "train":  # a refit repeats what the training showed
            groups.setdefault("layers", {}).setdefault(figure, {})[layer] = value
        elif not slash:
            groups[part][name] = value
    return groups


def _curves(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The figures of a row under TensorBoard's names."""
    for part in ("train", "refit", "validation"):
        for name, value in row.get(part, {}).items():
            yield f"{part}/{name}", value
    for figure, layers in row.get("layers", {}).items():
        for layer, value in layers.items():
            yield f"{figure}/{layer}", value


def _mean(values: list[Tensor | float]) -> float:
    return math.fsum(float(value) for value in values) / len(values)
