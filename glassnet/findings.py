"""What is noteworthy about a training that has ended, with its proof: one sentence each.

Findings look at the weights and at the training examples, never at the knobs: they hold for a
user's own network as well.
"""

# Letters in tensor names: B examples, D inputs, C classes, U units.

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from glassnet import linear, losses, separable
from glassnet.learners import SCORING_BATCH
from glassnet.separable import Crossing, Plane
from glassnet.task import Batch, Ended

MAX_ROWS = 4000
"""Rows of a linear program about separability; all wrongly answered ones come first."""
ROWS_NAMED = 4
ROUNDING = 1e-5
"""Relative difference between units that rounding makes: not all are summed up in one order."""


def identical_units(ended: Ended[Any]) -> str | None:
    """Say whether units of a hidden layer are all the same one, as after all-zero first weights."""
    found: list[str] = []
    largest = 0.0
    for name, layer in _weighted(ended.network)[:-1]:
        weights_UD = layer.weight.detach().flatten(1)
        if layer.bias is not None:
            weights_UD = torch.cat([weights_UD, layer.bias.detach()[:, None]], dim=1)
        difference = float((weights_UD - weights_UD[0]).abs().max())
        if len(weights_UD) > 1 and difference <= ROUNDING * float(weights_UD.abs().max()):
            found.append(f"all {len(weights_UD)} units of {name}")
            largest = max(largest, difference)
    if not found:
        return None
    rounding = ", by rounding" if largest else ""
    return (
        f"{' and '.join(found)} are still identical after {ended.step:,} steps (largest difference "
        f"between their weights: {largest:.1g}{rounding}): they began equal, so that every step "
        "changed them equally, and such a layer can do no more than one unit. First weights must "
        "differ: --network.initialization auto"
    )


def separability(ended: Ended[Batch]) -> str | None:
    """Of a linear network, say whether a hyperplane can separate the classes at all."""
    layer = linear.only_layer(ended.network)
    if layer is None:
        return None
    examples = ended.examples()
    rows = examples.rows.cpu()
    seen_BD, scores_BC, targets_B = _answers(ended.network, layer, examples)
    if scores_BC.shape != (len(rows), len(ended.facts.classes)):
        return None  # something that is not linear follows the layer
    wrong_B = losses.mistakes(scores_BC, targets_B) > 0
    kind = "line" if seen_BD.shape[1] == 2 else "hyperplane"
    if not wrong_B.any():
        return _separated(ended, kind, seen_BD, targets_B)
    found = _proof(seen_BD, targets_B, wrong_B)
    mistakes = f"{int(wrong_B.sum()):,} of {len(rows):,} training rows are answered wrongly"
    if found is None:
        return (
            f"{mistakes}, and it could not be decided in {separable.SECONDS:g} s for each pair of "
            f"classes whether a {kind} can separate them; compare with --network mlp"
        )
    (one, other), proof, number = found
    first, second = (f"{ended.facts.classes[c]!r}" for c in (one, other))
    if isinstance(proof, Plane):
        each = "the classes" if len(ended.facts.classes) == 2 else "any two of the classes"
        return (
            f"a {kind} can separate {each} in the training rows (one of {first} and {second} has "
            f"its nearest row {proof.distance:.2g} away), yet {mistakes}: train longer "
            "(--fit.epochs) or with another --fit.lr"
        )
    parts = [
        _average(ended, rows[number[0]], proof.first, first),
        _average(ended, rows[number[1]], proof.second, second),
    ]
    where = f" ({', '.join(f'{x:.3g}' for x in proof.point)})" if len(proof.point) == 2 else ""
    return (
        f"no {kind} separates these data ({mistakes}). Proof: one and the same point{where} lies "
        f"among rows of both classes; it is the average {parts[0]} and the average {parts[1]}, "
        f"equal within {proof.difference:.1g}, so that every {kind} has a row on its wrong side. "
        "A hidden layer can bend it: --network mlp"
    )


def _separated(ended: Ended[Batch], kind: str, seen_BD: Tensor, targets_B: Tensor) -> str:
    text = f"a {kind} separates the {len(targets_B):,} training rows, and training found one"
    counted = [row for row in ended.history if "mistakes" in row.get("train", {})]
    if not counted:
        return text
    steps = [0, *(row["step"] for row in counted)]
    sizes = [b - a for a, b in itertools.pairwise(steps)]
    made = [row["train"]["mistakes"] * n for row, n in zip(counted, sizes, strict=True)]
    last = max((row["step"] for row, n in zip(counted, made, strict=True) if n > 0), default=0)
    text += f": the perceptron rule has converged, with no mistake after step {last:,}"
    epoch_ends = [row["step"] for row in ended.history if row.get("epoch") == 0]
    if max(epoch_ends, default=0) != ended.num_examples or len(ended.facts.classes) != 2:
        return text  # the bound is for two classes, and for a step for each row
    text += f" and {round(math.fsum(made)):,} in all"
    bound = separable.most_mistakes(*_of_two(seen_BD, targets_B, 0, 1))
    if bound is None or len(targets_B) < ended.num_examples:
        return text
    return f"{text} (Novikoff's bound for these rows: {bound:,.0f})"


def _average(ended: Ended[Batch], rows: Tensor, shares: dict[int, float], name: str) -> str:
    """Name the rows of which a point is the average."""
    some = sorted(shares, key=lambda i: -shares[i])[:ROWS_NAMED]
    named = ", ".join(f"{shares[i]:.0%} {ended.name(int(rows[i]))}" for i in some)
    more = f" and {len(shares) - len(some)} more" if len(shares) > len(some) else ""
    return f"of class {name} ({named}{more})"


Found = tuple[tuple[int, int], Crossing | Plane, tuple[Tensor, Tensor]]


def _proof(seen_BD: Tensor, targets_B: Tensor, wrong_B: Tensor) -> Found | None:
    """The first pair of classes that no hyperplane separates, else one that a hyperplane does.

    With it, the positions of the rows of both classes that were looked at. None if undecided.
    """
    wrong_of = torch.bincount(targets_B[wrong_B], minlength=int(targets_B.max()) + 1)
    order = wrong_of.argsort(descending=True, stable=True).tolist()
    order = [c for c in order if (targets_B == c).any()]
    separated: Found | None = None
    for one, other in itertools.combinations(order, 2):
        places = tuple(_some((targets_B == c).nonzero().flatten(), wrong_B) for c in (one, other))
        proof = separable.decide(*(seen_BD[p].double().numpy() for p in places))
        pair = (one, other), proof, places
        if isinstance(proof, Crossing):
            return pair  # type: ignore[return-value]
        if proof is None:
            return None
        if sum(map(len, places)) < int(torch.isin(targets_B, torch.tensor([one, other])).sum()):
            return None  # a hyperplane between some of the rows proves nothing about all
        separated = separated or pair  # type: ignore[assignment]
    return separated


def _some(places: Tensor, wrong_B: Tensor) -> Tensor:
    """At most half of ``MAX_ROWS`` places, wrongly answered rows first."""
    return places[wrong_B[places].long().argsort(descending=True, stable=True)][: MAX_ROWS // 2]


def _of_two(seen_BD: Tensor, targets_B: Tensor, one: int, other: int) -> tuple[Any, Any]:
    first, second = (seen_BD[targets_B == c].double().numpy() for c in (one, other))
    return first, second


def _answers(network: nn.Module, layer: nn.Linear, examples: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What the layer saw (B, D), what it answered (B, C), and what is right (B,)."""
    seen: list[Tensor] = []
    scores: list[Tensor] = []
    targets: list[Tensor] = []

    def keep(_: nn.Module, inputs: Any, outputs: Tensor) -> None:
        seen.append(inputs[0].float().cpu())
        scores.append(outputs.float().cpu())

    handle = layer.register_forward_hook(keep)
    with torch.inference_mode():
        for index in torch.arange(len(examples), device=examples.rows.device).split(SCORING_BATCH):
            batch = examples.batch(index)
            answered = network(batch.inputs).float().cpu()
            if not torch.equal(answered, scores[-1]):
                scores[-1] = answered[:, :0]  # changed after the layer: not a linear network
            targets.append(batch.targets.cpu())
    handle.remove()
    return torch.cat(seen), torch.cat(scores), torch.cat(targets)


def _weighted(network: nn.Module) -> list[tuple[str, Any]]:
    """Layers whose units each have a row of weights of their own, in order."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = [(name, m) for name, m in network.named_modules() if isinstance(m, kinds)]
    return [(name, m) for name, m in layers if isinstance(m, nn.Linear) or m.groups == 1]
