"""Plain methods beside the networks: logistic regression on k-mers, and on letters by place."""

# Letters in names: N sequences, C letters, T places, F features.

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassnet.networks._series import present
from glassnet.networks._words import word_counts
from glassnet.task import Batch, Examples, Outcome

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""scikit-learn's C, of which cross-validation on the training sequences takes one."""
AT_ONCE = 256
Array = NDArray[np.float64]


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
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = _read(features, known)
    new, targets = _read(features, asked)
    logits = torch.full((len(new), num_classes), -30.0)
    counts = np.bincount(y, minlength=num_classes)
    if (counts > 0).sum() < 2:
        logits[:, int(counts.argmax())] = 0.0
        return Outcome(logits, torch.from_numpy(targets))
    model: Any = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    folds = int(min(3, counts[counts > 0].min()))
    if folds >= 2:
        grid = {"logisticregression__C": STRENGTHS}
        parts = StratifiedKFold(folds, shuffle=True, random_state=0)
        model = GridSearchCV(model, grid, cv=parts, scoring="neg_log_loss")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    found = torch.from_numpy(model.predict_log_proba(new)).float().clamp(min=-30.0)
    logits[:, torch.from_numpy(model.classes_)] = found
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
