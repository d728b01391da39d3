"""Logistic regression of a strength that cross-validation takes: a baseline, and where to begin.

Of a network without places every second member begins with the regression on words if words tell
much (STRONG), so that it is not behind a plain method where how often words stand there is all
there is to know. Else, and in the other half, the linear part begins at zero: a regression that
fits its own training sequences hides from the filters what they could learn. The answer is the mean
of all members. (With places all begin at zero; see docs/log.md.)
"""

# Letters in names: N sequences, F features, M members, O outputs.

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from glassnet.networks._series import present
from glassnet.networks._strands import BothStrands, reverse_complement
from glassnet.networks._words import LinearWords
from glassnet.task import Data

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""scikit-learn's C, of which cross-validation on the training sequences takes one."""
STRONG = 0.1
"""The strength from which on members begin with the regression."""
CHOOSING, FITTING = 3000, 20_000
"""Sequences at most by which the strength is chosen, and that the regression then learns from."""
AT_ONCE = 256
Array = NDArray[np.float64]


def start(_recipe: Any, network: nn.Module, data: Data[Any]) -> Sequence[str]:
    """``Task.start`` of DNA: fill half of the linear parts of a network without places."""
    part = next((one for one in network.modules() if isinstance(one, LinearWords)), None)
    if part is None or part.places or part.members < 2:
        return ()
    positions = data.positions(0)[0]
    pool: Any = data.pool
    positions = positions[:: -(-len(positions) // FITTING)].to(pool.rows.device)
    both = any(isinstance(one, BothStrands) for one in network.modules())
    x_NF, y_N = [], []
    for index in positions.split(AT_ONCE):
        batch = pool.batch(index)
        strands = [batch.inputs, reverse_complement(batch.inputs)] if both else [batch.inputs]
        for signals_BCT in strands:
            letters_BCT = signals_BCT.nan_to_num(0.0)
            x_NF.append(part.counted(letters_BCT, present(signals_BCT)).double().cpu().numpy())
            y_N.append(batch.targets.cpu().numpy())
    found = fitted(np.concatenate(x_NF), np.concatenate(y_N))
    if found is None:
        return ()
    model, strength = found
    if strength < STRONG:
        return ()
    _fill(part, model)
    told = f"of strength C={strength:g} by cross-validation"
    return (f"half of the members begin with the logistic regression on words, {told}",)


def fitted(x: Array, y: NDArray[np.int64]) -> tuple[Any, float] | None:
    """Standardized features (N, F) and classes (N,) -> the model and its strength C.

    None with fewer than two classes. Equal rows count once where the strength is chosen.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(y)) < 2:
        return None
    model: Any = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    once = np.unique([hash(row.tobytes()) for row in x], return_index=True)[1]
    once = np.sort(once)[:: -(-len(once) // CHOOSING)]
    counts = np.bincount(y[once])
    folds = int(min(3, counts[counts > 0].min()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if folds >= 2 and (counts > 0).sum() >= 2:
            parts = StratifiedKFold(folds, shuffle=True, random_state=0)
            grid = {"logisticregression__C": STRENGTHS}
            search = GridSearchCV(model, grid, cv=parts, scoring="neg_log_loss", refit=False)
            model.set_params(**search.fit(x[once], y[once]).best_params_)
        model.fit(x, y)
    return model, float(model.get_params()["logisticregression__C"])


def _fill(part: LinearWords, model: Any) -> None:
    """Give the regression's weights to every second member; a class it does not know keeps 0."""
    scaler, regression = model[0], model[1]
    weight_OF = regression.coef_ / scaler.scale_
    bias_O = regression.intercept_ - weight_OF @ scaler.mean_
    if len(weight_OF) == 1:  # of two classes: the odds of the second
        weight_OF = np.concatenate([-weight_OF, weight_OF]) / 2
        bias_O = np.concatenate([-bias_O, bias_O]) / 2
    with torch.no_grad():
        where = torch.from_numpy(regression.classes_).to(part.weight.device)
        weight_FO = torch.from_numpy(weight_OF.T).to(part.weight)
        part.weight[::2, :, where] = weight_FO
        part.bias[::2, :, where] = torch.from_numpy(bias_O).to(part.bias)
