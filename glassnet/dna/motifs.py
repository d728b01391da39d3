"""What the first filters of a network look for: motifs, as letters at each place of a window.

A filter's motif is read from data, as Alipanahi et al. (2015, DeepBind, supplement 10.2) do: of
each sequence the window that excites the filter most, if it excites it enough; these windows laid
upon each other say how often each letter stands at each place. Enough is what tells most about the
class (the split of the largest information gain). A network that knows places answers by them: its
windows are taken from around the place where the filter tells most. Information content in bits
(Schneider and Stephens 1990, "Sequence logos", Nucleic Acids Research 18), against the letters'
background, with pseudo-counts.

How much a filter matters is found by knocking it out: its answer is set to its mean over the
sequences, and the log loss of the network grows by so much.
"""

# Letters in tensor names: B examples, C letters, T places, F filters, W places of a window, K
# classes, N windows.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.networks._series import present
from glassnet.task import Batch, Examples

PSEUDO = 0.5
"""Pseudo-count of each window's place, shared among the letters as in the background."""
AROUND = 3
"""Letters to either side of its place by which a motif may be shifted."""
SPLITS = 24
"""Thresholds that are tried for a filter."""
SAME = 0.8
"""Cosine of two logos from which on they are one motif."""
LEAST = 10
"""Windows from which on a motif is worth showing."""
MOST = 2000
"""Sequences that are looked at."""
KNOCKED = 64
"""Filters whose knock-out is measured; those that answer most differently to the classes."""
IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "AG": "R", "CT": "Y", "CG": "S", "AT": "W", "GT": "K",
    "AC": "M", "CGT": "B", "AGT": "D", "ACT": "H", "ACG": "V", "ACGT": "N",
}  # fmt: skip


@dataclass(frozen=True)
class Motif:
    """What one filter found."""

    filter: int
    matrix: list[list[float]]
    """Probability of each letter at each place of the window, (W, C)."""
    bits: list[list[float]]
    """The height of each letter: its probability times the information of the place; (W, C)."""
    sites: int
    """Windows that it was read from, of different sequences."""
    consensus: str
    """IUPAC letters of nucleotides, without the places that say nothing at either end."""
    first: int
    """The place of the window, from 0, at which the consensus begins."""
    enriched: int
    """The class whose sequences excite the filter most often."""
    shares: list[float]
    """Share of the sequences of each class that excite it, (K,)."""
    places: list[int]
    """Where the consensus begins in each of the sequences, from 0."""
    bits_told: float
    """What one learns about the class from whether the motif is there, in bits per sequence."""
    matters: float
    """By how much the log loss grows without the filter, in nats per sequence."""


def find(network: nn.Module, examples: Examples[Batch], facts: Any, most: int = 8) -> list[Motif]:
    """Motifs of filters that matter, those that tell most about the class first; [] without any.

    Only networks whose first layer is a convolution over letters, called ``first``, have motifs. Of
    the networks of several folds the first is looked at.
    """
    folds = getattr(network, "members", None)
    network = folds[0] if isinstance(folds, nn.ModuleList) else network
    first = first_filters(network)
    if first is None:
        return []
    signals, targets = _looked_at(examples)
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        best_BF, where_BF, means_F = _excited(network, first, signals, targets)
        chosen = _telling(best_BF, targets)
        growth = _knocked_out(network, first, signals, targets, chosen, means_F)
    network.train(was_training)
    read: list[Motif] = []
    for index, matters in zip(chosen.tolist(), growth.tolist(), strict=True):
        of_filter = best_BF[:, index], where_BF[:, index]
        motif = _motif(first, index, signals, targets, of_filter, facts, matters)
        read += [motif] if motif is not None and matters > 0 else []
    found: list[Motif] = []
    for motif in sorted(read, key=lambda motif: -motif.bits_told):
        if len(found) < most and not any(alike(motif, other) for other in found):
            found.append(motif)
    return found


def first_filters(network: nn.Module) -> nn.Conv1d | None:
    """The convolution that reads the letters."""
    for part in network.modules():
        first = getattr(part, "first", None)
        if isinstance(first, nn.Conv1d) and getattr(part, "kmer", 1) == 1:
            return first
    return None


def _looked_at(examples: Examples[Batch]) -> tuple[list[Tensor], Tensor]:
    """Signals of each example (C, T) without padding, and classes; spread over the set."""
    step = max(1, len(examples) // MOST)
    positions = torch.arange(0, len(examples), step, device=examples.rows.device)
    signals, targets = [], []
    for position in positions:  # one by one: a batch of several folds must not mix them
        batch = examples.batch(position[None])
        signals.append(batch.inputs[0][:, present(batch.inputs)[0]])
        targets.append(batch.targets)
    return signals, torch.cat(targets).cpu()


def _padded(signals: Sequence[Tensor]) -> list[Tensor]:
    """Batches (B, C, T) of neighbours, filled up with NaN."""
    return [
        nn.utils.rnn.pad_sequence(
            [one.T for one in signals[at : at + 256]], batch_first=True, padding_value=torch.nan
        ).transpose(1, 2)
        for at in range(0, len(signals), 256)
    ]


def _excited(
    network: nn.Module, first: nn.Conv1d, signals: Sequence[Tensor], targets: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The strongest answer of each filter to each sequence (B, F), its place, and means (F,)."""
    knows_places = any(getattr(part, "places", False) is True for part in network.modules())
    best, where, means = [], [], []
    for batch in _padded(signals):
        answers_BFT = first(batch.nan_to_num(0.0)).relu()
        here_BT = present(batch)
        counted = here_BT[:, None].to(answers_BFT.dtype)
        means.append(((answers_BFT * counted).sum(2) / counted.sum(2).clamp(min=1)).cpu())
        answers_BFT = answers_BFT.masked_fill(~here_BT[:, None], -1.0)
        width = 2 * AROUND + 1 if knows_places else answers_BFT.shape[2]
        top = nn.functional.max_pool1d(
            answers_BFT, width, 1, AROUND if knows_places else 0, return_indices=True
        )
        best.append(top[0].cpu())
        where.append(top[1].cpu())
    best_BFT, where_BFT = torch.cat(best), torch.cat(where)
    at_1F1 = _apart(best_BFT, targets).argmax(1)[None, :, None].expand(len(best_BFT), -1, -1)
    best_BF = best_BFT.gather(2, at_1F1)[..., 0]
    return best_BF, where_BFT.gather(2, at_1F1)[..., 0], torch.cat(means).mean(0)


def _apart(answers: Tensor, targets: Tensor) -> Tensor:
    """How far apart the classes are, in standard deviations; of (B, …) the rest."""
    means = torch.stack([answers[targets == k].mean(0) for k in targets.unique()])
    return (means.amax(0) - means.amin(0)) / answers.std(0).clamp(min=1e-3)


def _telling(best_BF: Tensor, targets: Tensor) -> Tensor:
    """The filters whose strongest answers differ most between the classes, by number."""
    order = _apart(best_BF, targets).argsort(descending=True)
    return order[best_BF.amax(0)[order] > 0][:KNOCKED]


def _knocked_out(
    network: nn.Module, first: nn.Conv1d, signals: Sequence[Tensor], targets: Tensor,
    chosen: Tensor, means_F: Tensor,
) -> Tensor:  # fmt: skip
    """By how much the log loss grows when each of the filters answers its mean."""
    batches = _padded(signals)
    whole = _loss(network, batches, targets)
    growth = []
    for index in chosen.tolist():

        def silence(_: nn.Module, __: Any, answers: Tensor, index: int = index) -> Tensor:
            answers = answers.clone()
            answers[:, index] = float(means_F[index])
            return answers

        handle = first.register_forward_hook(silence)
        growth.append(_loss(network, batches, targets) - whole)
        handle.remove()
    return torch.tensor(growth)


def _loss(network: nn.Module, batches: Sequence[Tensor], targets: Tensor) -> float:
    outputs = torch.cat([network(batch).float().cpu() for batch in batches])
    return float(nn.functional.cross_entropy(outputs, targets))


def _motif(
    first: nn.Conv1d, index: int, signals: Sequence[Tensor], targets: Tensor,
    of_filter: tuple[Tensor, Tensor], facts: Any, matters: float,
) -> Motif | None:  # fmt: skip
    best_B, where_B = of_filter
    split = _best_split(best_B, targets)
    if split is None:
        return None
    told, excited = split
    width = first.kernel_size[0]
    rows = excited.nonzero().flatten().tolist()
    # As padding="same" puts a window around its place.
    starts = [int(where_B[row]) - (width - 1) // 2 for row in rows]
    counts_WC = torch.zeros(width, len(facts.letters), dtype=torch.float64)
    for row, start in zip(rows, starts, strict=True):
        signal = signals[row].cpu()
        low, high = max(0, start), min(signal.shape[1], start + width)
        counts_WC[low - start : high - start] += signal[:, low:high].T
    background_C = torch.tensor(facts.frequencies, dtype=torch.float64).clamp(min=1e-3)
    matrix_WC, bits_WC = heights(counts_WC, background_C / background_C.sum())
    consensus, begin = spelled(matrix_WC, bits_WC, facts.letters)
    if not consensus:
        return None
    shares = [
        float(excited[targets == k].float().mean()) if (targets == k).any() else 0.0
        for k in range(len(facts.classes))
    ]
    return Motif(
        index, matrix_WC.tolist(), bits_WC.tolist(), len(starts), consensus, begin,
        shares.index(max(shares)), shares, [start + begin for start in starts], told, matters,
    )  # fmt: skip


def _best_split(best_B: Tensor, targets: Tensor) -> tuple[float, Tensor] | None:
    """The information gain of the best threshold, bits, and who reaches it; None if too few do."""
    found = None
    levels = best_B[best_B > 0].double().quantile(torch.linspace(0, 0.98, SPLITS).double())
    for level in levels.unique().tolist():
        excited = best_B >= level
        if int(excited.sum()) < min(LEAST, len(best_B) // 4):
            continue
        gain = _gain(excited, targets)
        if found is None or gain > found[0]:
            found = gain, excited
    return found


def _gain(excited: Tensor, targets: Tensor) -> float:
    """What whether a sequence is excited tells about its class, in bits."""
    joint = torch.stack(
        [torch.stack([(excited == side)[targets == k].sum() for k in targets.unique()])
         for side in (True, False)]
    ).double() / len(targets)  # fmt: skip
    chance = joint.sum(0, keepdim=True) * joint.sum(1, keepdim=True)
    return float(torch.where(joint > 0, joint * (joint / chance).log2(), 0.0).sum())


def heights(counts_WC: Tensor, background_C: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of the letters at each place, and their heights in bits, both (W, C).

    The information of a place is its relative entropy to the background; each letter has its share.
    """
    smoothed = counts_WC + PSEUDO * background_C * len(background_C)
    matrix_WC = smoothed / smoothed.sum(1, keepdim=True)
    information_W1 = (matrix_WC * (matrix_WC / background_C).log2()).sum(1, keepdim=True)
    return matrix_WC, matrix_WC * information_W1.clamp(min=0)


def spelled(
    matrix_WC: Tensor, bits_WC: Tensor, letters: str, least: float = 0.25
) -> tuple[str, int]:
    """The consensus without places of fewer than ``least`` bits at its ends, and where it begins.

    A letter stands for itself from half of the probability and twice the next one's; then the two
    that have three quarters (Cavener 1987); then N (X for amino acids).
    """
    telling = (bits_WC.sum(1) >= least).nonzero().flatten().tolist()
    if not telling:
        return "", 0
    first, last = telling[0], telling[-1]
    found = []
    for row in matrix_WC[first : last + 1]:
        order = row.argsort(descending=True).tolist()
        top = [float(row[place]) for place in order[:3]]
        if top[0] >= 0.5 and top[0] >= 2 * top[1]:
            found.append(letters[order[0]])
        elif len(letters) == 4 and top[0] + top[1] >= 0.75:
            found.append(IUPAC["".join(sorted(letters[place] for place in order[:2]))])
        else:
            found.append("N" if len(letters) == 4 else "X")
    word, unknown = "".join(found), "N" if len(letters) == 4 else "X"
    return word.strip(unknown), first + len(word) - len(word.lstrip(unknown))


def alike(one: Motif, other: Motif) -> bool:
    """Whether two motifs are the same, perhaps shifted by up to half a window."""
    a_WC, b_WC = torch.tensor(one.bits), torch.tensor(other.bits)
    size = float(a_WC.norm() * b_WC.norm())
    width = len(a_WC)
    shifts = range(-(width // 2), width // 2 + 1)
    shared = [
        float((a_WC[max(0, s) : width + min(0, s)] * b_WC[max(0, -s) : width - max(0, s)]).sum())
        for s in shifts
    ]
    return max(shared) >= SAME * size
