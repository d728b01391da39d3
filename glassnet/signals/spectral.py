"""A plain method to compare with: logistic regression on means and deviations of log-mel bands."""

# Letters in tensor names: N examples, M bands, U frames.

from __future__ import annotations

import torch
from torch import Tensor

from glassnet.networks._series import mean_over_time, present
from glassnet.networks._sound import LogMel
from glassnet.task import Batch, Examples, Outcome

PIECE = 128
"""Sounds that are looked at together."""
THIRDS = 3


def logistic(
    known: Examples[Batch], asked: Examples[Batch], num_classes: int, first: LogMel
) -> Outcome:
    """Log-probabilities (N, classes) from each band's mean, deviation and mean by thirds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, targets = summary(known, first)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, C=0.1))
    model.fit(features.numpy(), targets.numpy())
    others, truths = summary(asked, first)
    outputs = torch.full((len(others), num_classes), -30.0)
    found = torch.from_numpy(model.predict_log_proba(others.numpy())).float()
    outputs[:, torch.from_numpy(model.classes_)] = found.clamp(min=-30)
    return Outcome(outputs, truths)


def summary(examples: Examples[Batch], first: LogMel) -> tuple[Tensor, Tensor]:
    """Features (N, 5 M) and targets (N,) of all examples, on the CPU."""
    features, targets = [], []
    where = examples.rows.device
    first = first.to(where)
    for batch in examples.batches(torch.arange(len(examples), device=where).split(PIECE)):
        features.append(_summary(first(batch.inputs)).cpu())
        targets.append(batch.targets.cpu())
    return torch.cat(features), torch.cat(targets)


def _summary(mels_NMU: Tensor) -> Tensor:
    """Mean and deviation of each band, and its mean in each third of the sound: (N, 5 M)."""
    there_NU = present(mels_NMU)
    plain_NMU = mels_NMU.nan_to_num(0.0)
    mean_NM = mean_over_time(plain_NMU, there_NU)
    square_NM = mean_over_time((plain_NMU - mean_NM[:, :, None]).square(), there_NU)
    place_NU = (there_NU.cumsum(1) - 1) * THIRDS // there_NU.sum(1, keepdim=True).clamp(min=1)
    thirds = [mean_over_time(plain_NMU, there_NU & (place_NU == n)) for n in range(THIRDS)]
    return torch.cat([mean_NM, square_NM.sqrt(), *thirds], 1)
