"""What there is to say when a training has ended: the findings, kept with the run."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

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
    rows = run.splits().train
    name, examples = source.name, partial(_examples, trained, run, source)
    step = int(run.info["step"])
    ended = Ended(network, step, examples, len(rows), trained.facts, name, run.rows())
    looks = [findings.identical_units, *trained.task.findings]
    return [sentence for look in looks if (sentence := look(ended)) is not None]


def _examples(trained: Trained, run: Run, source: Source[Any]) -> Examples[Any]:
    rows = run.splits().train
    some = rows[:: -(-len(rows) // MAX_ROWS)]
    return source.examples(some, trained.facts).to(next(trained.network.parameters()).device)
