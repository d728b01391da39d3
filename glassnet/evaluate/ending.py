"""What there is to say when a training has ended: the findings, kept with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from glassnet import findings
from glassnet.run import Run
from glassnet.task import Ended, Examples, Source
from glassnet.trained import Trained

MAX_ROWS = 10_000
"""Training rows that findings look at."""


def conclude(trained: Trained, source: Source[Any]) -> list[str]:
    """Look at a finished training; write the findings into ``run.json`` and return them."""
    folds = trained.run.folds()
    if folds:
        found = [
            f"{fold.path.name}: {sentence}"
            for fold in folds
            for sentence in _findings(trained.fold(fold), fold, source)
        ]
    else:
        found = _findings(trained, trained.run, source)
    trained.run.update_info(findings=found)
    return found


def _findings(trained: Trained, run: Run, source: Source[Any]) -> list[str]:
    network = deepcopy(trained.network)
    network.load_state_dict(run.read_tensors("last.safetensors")[0])
    rows, history, step = run.splits().train, run.rows(), int(run.info["step"])
    if run.exists("validated.safetensors"):
        rows = torch.cat([rows, run.splits().validation])
        history, step = _of_refit(history, step)
    examples = partial(_examples, trained, rows, source)
    ended = Ended(network, step, examples, len(rows), trained.facts, source.name, history)
    looks = [findings.identical_units, *trained.task.findings]
    return [sentence for look in looks if (sentence := look(ended)) is not None]


def _of_refit(history: Sequence[Mapping[str, Any]], step: int) -> tuple[list[dict[str, Any]], int]:
    """The rows of the refit as those of a training of its own, and how many steps it had.

    The weights of the last step are those of the refit: what was seen before it began is of others.
    """
    begun = max(row["step"] for row in history if "validation" in row)
    later = [row for row in history if "refit" in row]
    rows = [{**row, "step": row["step"] - begun, "train": row["refit"]} for row in later]
    return rows, step - begun


def _examples(trained: Trained, rows: Tensor, source: Source[Any]) -> Examples[Any]:
    some = rows[:: -(-len(rows) // MAX_ROWS)]
    return source.examples(some, trained.facts).to(next(trained.network.parameters()).device)
