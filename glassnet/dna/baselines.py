"""Plain methods beside the networks: logistic regression on k-mers, and on letters by place."""

# Letters in names: N sequences, C letters, T places, F features.

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassnet.dna import regression
from glassnet.dna.regression import Array
from glassnet.networks._series import present
from glassnet.networks._words import word_counts
from glassnet.task import Batch, Examples, Outcome

AT_ONCE = 256


def kmers(recipe: Any, known: Examples[Batch], asked: Examples[Batch], facts: Any) -> Outcome:
    """Logistic regression on the frequencies of words of 1 to 4 letters (1 and 2 of proteins)."""
    longest = 4 if facts.alphabet == "dna" else 2

    def features(signals_BCT: Tensor) -> Tensor:
        return word_counts(signals_BCT.nan_to_num(0.0), present(signals_BCT), longest)

    return _regression(features, known, asked, len(facts.classes))


def places(recipe: Any, known: Examples[Batch], asked: Examples[Batch], facts: Any) -> Outcome:
    """Logistic regression on the letter at each place; a sequence is cut or filled up."""

    def features(signals_BCT: Tensor) -> Tensor:
        missing = facts.most - signals_BCT.shape[2]
        whole = torch.nn.functional.pad(signals_BCT.nan_to_num(0.0), (0, max(0, missing)))
        return whole[:, :, : facts.most].flatten(1)

    return _regression(features, known, asked, len(facts.classes))


def _regression(
    features: Any, known: Examples[Batch], asked: Examples[Batch], num_classes: int
) -> Outcome:
    x, y = _read(features, known)
    new, targets = _read(features, asked)
    logits = torch.full((len(new), num_classes), -30.0)
    found = regression.fitted(x, y)
    if found is None:
        logits[:, int(y[0])] = 0.0
        return Outcome(logits, torch.from_numpy(targets))
    model, _ = found
    shares = torch.from_numpy(model.predict_log_proba(new)).float().clamp(min=-30.0)
    logits[:, torch.from_numpy(model.classes_)] = shares
    return Outcome(logits, torch.from_numpy(targets))


def _read(features: Any, examples: Examples[Batch]) -> tuple[Array, NDArray[np.int64]]:
    """Features (N, F) and classes (N,) of all examples."""
    where = examples.rows.device
    indices = torch.arange(len(examples), device=where).split(AT_ONCE)
    found, targets = [], []
    for batch in examples.batches(indices):
        found.append(features(batch.inputs).cpu().double())
        targets.append(batch.targets.cpu())
    return torch.cat(found).numpy(), torch.cat(targets).numpy()
