"""Plain methods to compare with: a line on the mean spectrum, and the nearest sound by warping.

Dynamic time warping of cepstra is how spoken words were recognized before there were models of them
(Sakoe and Chiba 1978; cepstra after Davis and Mermelstein 1980).
"""

# Letters in tensor names: N examples, M bands, U frames.

from __future__ import annotations

import math

import torch
from torch import Tensor

from glassnet.networks._series import lengths, mean_over_time, present
from glassnet.networks._sound import LogMel
from glassnet.signals import warping
from glassnet.task import Batch, Examples, Outcome

PIECE = 128
"""Sounds that are looked at together."""
THIRDS = 3
CEPSTRA = 13
"""Numbers that describe the shape of a spectrum."""
MOST = 4e9
"""Squared differences that the nearest neighbour may cost: about half a minute on one core."""
COARSEST = 6
"""Frames that are averaged, at most, to save time; then fewer sounds are compared with."""


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


def nearest(
    known: Examples[Batch], asked: Examples[Batch], num_classes: int, first: LogMel
) -> Outcome:
    """The class of the nearest known sound, by dynamic time warping of cepstra.

    Frames are averaged, and then known sounds left out evenly, where it would take too long.
    """
    known_KCT, labels_K = cepstra(known, first)
    asked_ACT, targets = cepstra(asked, first)
    cells = float(len(asked_ACT)) * asked_ACT.shape[2] * known_KCT.shape[2] * CEPSTRA
    every = min(COARSEST, max(2, math.ceil(math.sqrt(cells * len(known_KCT) / MOST))))
    least = min(len(known_KCT), 10 * num_classes)
    number = max(least, min(len(known_KCT), int(MOST * every**2 / cells)))
    some = torch.linspace(0, len(known_KCT) - 1, number).round().long()
    known_KCT = warping.thinned(known_KCT[some], every)
    asked_ACT = warping.thinned(asked_ACT, every)
    distance_AK = warping.warped(asked_ACT, known_KCT)
    steps_AK = lengths(present(asked_ACT))[:, None] + lengths(present(known_KCT))
    chosen = labels_K[some][(distance_AK / steps_AK.clamp(min=1)).argmin(1)]
    shares = torch.full((len(chosen), num_classes), (1 - warping.SURE) / max(1, num_classes - 1))
    shares[torch.arange(len(chosen)), chosen] = warping.SURE
    return Outcome(shares.log(), targets, notes=_saved(every, number, len(labels_K)))


def _saved(every: int, compared: int, known: int) -> tuple[str, ...]:
    """What was left out to save time."""
    fewer = f", with {compared:,} of the {known:,} known sounds" if compared < known else ""
    return (f"it compared the means of {every} frames each{fewer}, to save time",)


def cepstra(examples: Examples[Batch], first: LogMel) -> tuple[Tensor, Tensor]:
    """Cepstra (N, 13, U), ending in NaN, and targets (N,): the cosine transform of log-mel."""
    bands = torch.arange(first.mels) + 0.5
    turns_CM = torch.cos(torch.arange(CEPSTRA)[:, None] * bands * math.pi / first.mels)
    pieces, targets = [], []
    where = examples.rows.device
    first = first.to(where)
    for batch in examples.batches(torch.arange(len(examples), device=where).split(PIECE)):
        pieces.append(turns_CM @ first(batch.inputs).cpu())
        targets.append(batch.targets.cpu())
    longest = max(piece.shape[2] for piece in pieces)
    padded = [
        torch.nn.functional.pad(piece, (0, longest - piece.shape[2]), value=torch.nan)
        for piece in pieces
    ]
    return torch.cat(padded), torch.cat(targets)
