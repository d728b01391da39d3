"""How the layers learned: the curves of ``health``, and plain words about what is unhealthy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from glassnet.figures import Cell, Lines, Section, Series, Table
from glassnet.run import Run

USUAL_RATIO = 1e-3
SLOWEST_RATIO, FASTEST_RATIO = 1e-5, 0.05
MOST_DEAD = 0.5
STEEPEST = 1e-3
"""Gradient of the first layer over that of the last one, below which (or above whose inverse) the
first layers are taught too little (too much)."""
LEAST_DRAWN = 1e-6
DRAWN = 5
"""Layers in one figure: more curves could not be told apart by their colours."""

Values = Sequence[float | None]


@dataclass(frozen=True)
class History:
    """What was seen of one layer, look by look."""

    layer: str
    steps: Sequence[int]
    gradients: Values
    ratios: Values
    dead: Values
    """Empty for the output layer and for layers without units."""


def section(runs: Sequence[Run]) -> Section | None:
    """Draw the layers of a run (of the first fold, if there are several); None in old runs."""
    layers = histories(runs[0].rows())
    if not layers:
        return None
    text = "\n\n".join(remarks(layers) or [_HEALTHY])
    if not _with_dead(layers):
        text += " No unit was dead at any look."
    if len(runs) > 1:
        text += f"\n\nThese are the layers of {runs[0].path.name}; the other folds look alike."
    return Section("How the layers learned", text, _figures(layers))


def histories(rows: Sequence[Mapping[str, Any]]) -> list[History]:
    """Gather the figures of each layer from rows of ``metrics.jsonl``."""
    looks = [row for row in rows if "layers" in row]
    steps = [row["step"] for row in looks]
    # The last look first: a layer that was frozen at first is missing from the earlier ones.
    names = dict.fromkeys(name for row in looks[::-1] for name in row["layers"]["gradient_norm"])

    def values(figure: str, layer: str) -> Values:
        found = [row["layers"].get(figure, {}).get(layer) for row in looks]
        return found if any(value is not None for value in found) else []

    figures = ("gradient_norm", "update_ratio", "dead")
    return [History(name, steps, *(values(figure, name) for figure in figures)) for name in names]


def remarks(layers: Sequence[History]) -> list[str]:
    """Say what is unhealthy, and what to try; nothing if all is well."""
    found = [_dead(layers), _slope(layers), _fast(layers), _slow(layers)]
    return [remark for remark in found if remark]


_HEALTHY = (
    "All layers look healthy: every one of them was taught, and moved by a sensible share of its "
    "size at each step."
)


def _dead(layers: Sequence[History]) -> str:
    shares = {la.layer: median(late) for la in layers if (late := _late(la.dead))}
    bad = {name: share for name, share in shares.items() if share > MOST_DEAD}
    if not bad:
        return ""
    listed = ", ".join(f"{share:.0%} of {name}" for name, share in bad.items())
    return (
        f"Dead units: in the last quarter of the training, {listed} learned nothing. Such units "
        "are lost: the network is narrower than it looks. Try a smaller --fit.lr, --fit.clip 1, "
        "another --network.activation (leaky_relu and elu do not die) or a --network.normalization."
        " Where all-zero first weights were asked for, they are the reason."
    )


def _slope(layers: Sequence[History]) -> str:
    pairs = zip(layers[0].gradients, layers[-1].gradients, strict=True)
    slopes = [first / last for first, last in pairs if first is not None and last]
    if len(layers) < 2 or not slopes:
        return ""
    first, last, early = layers[0].layer, layers[-1].layer, median(_early(slopes))
    if early < STEEPEST:
        return (
            f"Vanishing gradient: in the first quarter of the training, the gradient of {first} "
            f"was {early:.1g} of that of {last}, so the first layers began to learn late or not at "
            "all. Try relu in place of sigmoid or tanh, a --network.normalization, fewer layers, "
            "or a network with residual connections."
        )
    if early > 1 / STEEPEST:
        return (
            f"Exploding gradient: in the first quarter of the training, the gradient of {first} "
            f"was {early:.1g} times that of {last}. Try --fit.clip 1, a --network.normalization, "
            "or a smaller --fit.lr."
        )
    return ""


def _fast(layers: Sequence[History]) -> str:
    usual = {la.layer: median(known) for la in layers if (known := _known(la.ratios))}
    bad = {name: ratio for name, ratio in usual.items() if ratio > FASTEST_RATIO}
    return bad and _moved(bad, "Restless", "Try a smaller --fit.lr, or --fit.clip 1.") or ""


def _slow(layers: Sequence[History]) -> str:
    # Of the fast steps: a schedule ends with slow ones, and that is no illness.
    fast = {la.layer: quantiles(k, n=10)[-1] for la in layers if len(k := _known(la.ratios)) > 1}
    bad = {name: ratio for name, ratio in fast.items() if ratio < SLOWEST_RATIO}
    return bad and _moved(bad, "Nearly still", "Try a larger --fit.lr (see glassnet lr).") or ""


def _moved(layers: Mapping[str, float], how: str, remedy: str) -> str:
    listed = ", ".join(f"{name} by {ratio:.1g}" for name, ratio in layers.items())
    return f"{how}: a step changed {listed} of its size; about {USUAL_RATIO:g} is usual. {remedy}"


def _figures(layers: Sequence[History]) -> list[Lines | Table]:
    some = _spread(layers)
    few = "" if len(some) == len(layers) else f" {len(some)} of {len(layers)} layers are drawn."
    steps = [layers[0].steps[0], layers[0].steps[-1]]
    usual = Series("usual", steps, [USUAL_RATIO, USUAL_RATIO], dashed=True)
    ratios = [Series(la.layer, la.steps, _drawn(la.ratios)) for la in some]
    gradients = [Series(la.layer, la.steps, _drawn(la.gradients)) for la in some]
    dead = [Series(la.layer, la.steps, la.dead) for la in _spread(_with_dead(layers))]
    figures: list[Lines | Table] = [
        Lines(
            "Update-to-weight ratio",
            [*ratios, usual],
            x_label="step",
            y_label="‖ΔW‖ / ‖W‖",
            y_log=True,
            note="By what share of its size a step changed the weights of a layer. Around one in a "
            "thousand is healthy, ten times more or less is no worry, and a falling learning rate "
            "takes it to nothing in the end (below a millionth, it is not drawn)." + few,
        ),
        Lines(
            "Gradient norm",
            gradients,
            x_label="step",
            y_label="gradient norm",
            y_log=True,
            note="How strongly the loss asks each layer to change, before clipping. Healthy curves "
            "lie within a few powers of ten of each other; a first layer far below the last one "
            "learns late." + few,
        ),
    ]
    if dead:
        note = (
            "Units (channels of a convolution) that no example of the batch taught anything: they "
            "answered 0 to all (ReLU), were saturated (sigmoid, tanh), or nothing listened to them."
            " In small batches some rest by chance; a curve that rises and stays is a loss."
        )
        figures.append(
            Lines("Dead units", dead, x_label="step", y_label="share of the units", note=note)
        )
    return [*figures, _table(layers)] if few else figures


def _table(layers: Sequence[History]) -> Table:
    rows: list[list[Cell]] = [
        [
            la.layer,
            _middle(la.gradients),
            _middle(la.ratios),
            median(late) if (late := _late(la.dead)) else None,
        ]
        for la in layers
    ]
    columns = ["layer", "gradient norm, median", "update ratio, median", "dead at the end"]
    return Table("All layers", columns, rows)


def _with_dead(layers: Sequence[History]) -> list[History]:
    return [la for la in layers if any(_known(la.dead))]


def _spread(layers: Sequence[History]) -> list[History]:
    """At most ``DRAWN`` layers, evenly spread, the first and the last among them."""
    if len(layers) <= DRAWN:
        return list(layers)
    return [layers[round(i * (len(layers) - 1) / (DRAWN - 1))] for i in range(DRAWN)]


def _drawn(values: Values) -> Values:
    """Without what would stretch a logarithmic axis into nothingness."""
    return [value if value is not None and value >= LEAST_DRAWN else None for value in values]


def _known(values: Values) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _middle(values: Values) -> float | None:
    return median(known) if (known := _known(values)) else None


def _early(values: Values) -> list[float]:
    known = _known(values)
    return known[: math.ceil(len(known) / 4)]


def _late(values: Values) -> list[float]:
    known = _known(values)
    return known[-math.ceil(len(known) / 4) :] if known else []
