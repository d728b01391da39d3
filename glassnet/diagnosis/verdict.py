"""What the measurements mean. All rules and thresholds of a diagnosis stand here, in the open.

Figures become *errors* first (1 - accuracy; rmse as it is), and differences of errors are compared
with the error of always giving the same answer. A difference is

- **there**, if its 95 % interval lies above 0 and its value is at least the threshold;
- **not there**, if its interval ends below the threshold, or its value lies below it and its
  interval above 0: small, and known to be;
- **not to be told** otherwise: there are too few examples, as there always are below 20.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from glassnet.diagnosis.curve import Curve, Point
from glassnet.diagnosis.references import LINEAR, TREE, TRIVIAL, Conflicts, Drift
from glassnet.evaluate.intervals import Estimate
from glassnet.figures import short
from glassnet.task import Metric

GAP = 0.10
"""A difference of errors that counts, as a share of the error of always the same answer."""
BEHIND = 0.05
"""The same for being behind a reference model on the same rows, where chance is smaller."""
MUCH_ERROR = 0.50
"""Error of the best model, as such a share, from which one asks what the rest is made of."""
TELLS_APART = 0.60
"""Area under the ROC curve from which training and validation rows are of different kinds."""
FLAT = 0.05
"""Share of the error that twice the rows must take away for a learning curve to be rising."""
LARGE = 0.35
"""Trainings on at least this share of the rows are taken to tell validation rows from others."""
CONFLICTING = 0.01
"""Share of the rows that any model must get wrong, since equal rows contradict them, from which
labels are noisy for certain …"""
CONFLICTING_ERROR = 0.2
"""… if that makes up this share of the validation error too."""
FEW_ROWS = 20
"""Validation rows below which no difference is taken to be there: the rows chose the best epoch as
well, which an interval for so few of them does not know."""

Name = Literal[
    "data in doubt", "high bias", "high variance", "data mismatch", "noise", "behind a tree model",
    "nothing stands out", "cannot be told",
]  # fmt: skip
State = Literal["there", "not there", "not to be told"]


@dataclass(frozen=True)
class Gap:
    """A difference and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Level:
    """One figure of quality, and on how many examples it rests."""

    name: str
    estimate: Estimate
    examples: int


@dataclass(frozen=True)
class Finding:
    """One thing that was found, how sure that is, and on what it rests."""

    name: Name
    certainty: Literal["clear", "likely", "unsure"]
    evidence: str


@dataclass(frozen=True)
class Measured:
    """All that the rules look at."""

    metric: Metric
    second: Metric
    training: Level
    validation: Level
    references: list[Level]
    """Of models of another kind, on the validation rows: always the same answer, linear, tree."""
    behind: dict[str, Gap]
    """Reference -> how much larger the network's error is, on the same rows."""
    second_levels: list[Level]
    reachable: float | None
    """The user's figure."""
    drift: Drift | None
    conflicts: Conflicts | None
    num_training: int
    last_best: float | None
    weak_references: bool
    curve: Curve | None = None
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """What the data doctor found before the training that puts the figures themselves in doubt."""

    def error(self, value: float) -> float:
        """A figure of the first metric as an error: 0 is perfect."""
        return 1 - value if self.metric.better == "higher" else value

    def error_of(self, estimate: Estimate) -> Estimate:
        """The same for an estimate; low stays below high."""
        ends = sorted(self.error(end) for end in (estimate.low, estimate.high))
        return Estimate(self.error(estimate.value), ends[0], ends[1])

    @property
    def unit(self) -> float:
        """The error of always the same answer; of the network, if that is not known."""
        trivial = self.reference(TRIVIAL)
        known = trivial or self.validation
        return max(self.error(known.estimate.value), 1e-12)

    def reference(self, name: str) -> Level | None:
        """A reference model by its name."""
        return next((level for level in self.references if level.name == name), None)

    @property
    def best_reference(self) -> Level | None:
        """The better of the linear and the tree model."""
        real = [level for level in self.references if level.name != TRIVIAL]
        return min(real, key=lambda level: self.error(level.estimate.value), default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain figures."""
        curve = None if self.curve is None else asdict(self.curve)
        return {
            "metric": self.metric.name,
            "training": asdict(self.training),
            "validation": asdict(self.validation),
            "references": [asdict(level) for level in self.references],
            "behind": {name: asdict(gap) for name, gap in self.behind.items()},
            "second_metric": {
                "name": self.second.name,
                "levels": [asdict(level) for level in self.second_levels],
            },
            "reachable": self.reachable,
            "drift": None if self.drift is None else asdict(self.drift),
            "conflicts": None if self.conflicts is None else asdict(self.conflicts),
            "curve": curve,
            "slope": None if (found := slope(self)) is None else asdict(found),
            "notes": self.notes,
            "doubts": self.doubts,
        }


def state(gap: Gap, least: float) -> State:
    """Whether a difference is there."""
    if gap.low > 0:
        return "there" if gap.value >= least else "not there"
    return "not there" if gap.high < least else "not to be told"


def judge_all(m: Measured) -> list[Finding]:
    """Name what was found, the gravest first."""
    bias, variance = (_told(m, gap) for gap in (bias_gap(m), variance_gap(m)))
    mismatch = _mismatch(m)
    noise = _noise(m, bias)
    found = [
        *([_doubt(m)] if m.doubts else []),
        *([_bias(m)] if bias == "there" else []),
        *([mismatch] if mismatch else []),
        *([noise] if noise and noise.certainty == "clear" else []),
        *([_variance(m, noise)] if variance == "there" else []),
        *([noise] if noise and noise.certainty != "clear" else []),
    ]
    if not {"high bias", "high variance"} & {f.name for f in found} and _behind_tree(m):
        found.append(_tree_ahead(m))
    undecided = [
        *(["bias"] if bias == "not to be told" else []),
        *(["variance"] if variance == "not to be told" else []),
    ]
    if undecided and not found:
        found.append(_perhaps_nothing(m))
    if undecided:
        found.append(_undecided(m, undecided))
    return found or [_nothing(m)]


# --- The rules ------------------------------------------------------------------------------------


def _told(m: Measured, gap: Gap) -> State:
    """Whether a gap between training and validation is there, if there are rows to tell it."""
    found = state(gap, GAP * m.unit)
    return "not to be told" if found == "there" and m.validation.examples < FEW_ROWS else found


def variance_gap(m: Measured) -> Gap:
    """How much larger the error is on rows that were not trained on.

    If validation rows are of another kind, the left-out training rows tell it instead.
    """
    points = _large_points(m)
    if points and m.drift is not None and m.drift.auc.low >= TELLS_APART:
        unseen = _mean([m.error_of(p.unseen) for p in points if p.unseen is not None])
        return difference(unseen, _mean([m.error_of(p.training) for p in points]))
    return difference(m.error_of(m.validation.estimate), m.error_of(m.training.estimate))


def bias_gap(m: Measured) -> Gap:
    """How much larger the error is on the rows trained on than what can be reached."""
    training = m.error_of(m.training.estimate)
    if m.reachable is not None:
        level = m.error(m.reachable)
        return difference(training, Estimate(level, level, level))
    best = m.best_reference
    if best is None:
        return Gap(0.0, 0.0, 0.0)  # nothing to compare with: a note says so
    return difference(training, m.error_of(best.estimate))


def mismatch_gap(m: Measured) -> Gap | None:
    """How much larger the error is on validation rows than on training rows that were left out."""
    points = _large_points(m)
    if not points:
        return None
    unseen = _mean([m.error_of(p.unseen) for p in points if p.unseen is not None])
    return difference(_mean([m.error_of(p.validation) for p in points]), unseen)


def _large_points(m: Measured) -> list[Point]:
    """Trainings on many rows, but not on all."""
    if m.curve is None:
        return []
    least = LARGE * m.curve.full_rows
    return [p for p in m.curve.points if p.unseen is not None and p.rows >= least]


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of estimates on about the same rows: its interval is as wide as theirs."""
    columns = zip(*((e.value, e.low, e.high) for e in estimates), strict=True)
    return Estimate(*(math.fsum(column) / len(estimates) for column in columns))


def slope(m: Measured) -> Gap | None:
    """Exponent of the learning curve, error ~ rows^slope, with its interval; None if unknown.

    A straight line through the logarithms, over the sizes from a fifth of the rows on.
    """
    from scipy import stats

    points = [p for p in (m.curve.points if m.curve else []) if p.rows >= m.curve.full_rows / 5]  # type: ignore[union-attr]
    if m.curve is None or len({p.rows for p in points}) < 2 or len(points) < 3:
        return None
    least = 0.5 / m.validation.examples if m.metric.proportion else 1e-12
    pairs = [(math.log(p.rows), math.log(max(least, m.error(p.validation.value)))) for p in points]
    own = math.log(max(least, m.error(m.validation.estimate.value)))
    pairs.append((math.log(m.curve.full_rows), own))
    fit = stats.linregress(*zip(*pairs, strict=True))
    half = float(stats.t.ppf(0.975, len(pairs) - 2)) * float(fit.stderr)
    return Gap(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half)


def curve_state(m: Measured) -> Literal["rising", "flat", "unknown"]:
    """Whether more rows would help: what twice the rows take away from the error."""
    found = slope(m)
    if is_perfect(m):
        return "flat"  # nothing is left to take away
    if found is None:
        return "unknown"
    flat = math.log2(1 - FLAT)
    if found.high < 0 and found.value <= flat:
        return "rising"
    return "flat" if found.value > flat and found.low > 2 * flat else "unknown"


def is_perfect(m: Measured) -> bool:
    """Whether the validation figure cannot become better, as far as it is shown."""
    return short(m.error(m.validation.estimate.value)) == short(0.0)


def _doubt(m: Measured) -> Finding:
    """Serious findings of the data doctor: no figure means what it says before they are mended."""
    score = f"{m.metric.name.replace('_', ' ')} {_figure(m.validation)}"
    told = f"Perfect ({score})" if is_perfect(m) else f"Validation shows {score}"
    return Finding(
        "data in doubt",
        "clear",
        f"{told}, maybe because of what the data doctor found: {'; '.join(m.doubts)}. If it is so, "
        "no figure here holds in use.",
    )


def _bias(m: Measured) -> Finding:
    gap, best = bias_gap(m), m.best_reference
    named = (
        f"what you say can be reached ({short(m.reachable)})"
        if m.reachable is not None
        else f"what the {best.name if best else ''} reached on the validation rows "
        f"({_figure(best)})"
    )
    text = f"Even on the rows that it was trained on, the network ({_figure(m.training)}) is worse"
    return Finding("high bias", "clear", f"{text} than {named}: by {_gap(gap)}.")


def _variance(m: Measured, noise: Finding | None) -> Finding:
    text = (
        f"On the rows that it was trained on the network reaches {_figure(m.training)}, on "
        f"validation rows {_figure(m.validation)}; its error on rows that it did not see is larger "
        f"by {_gap(variance_gap(m))}."
    )
    trend = {
        "rising": " The learning curve still rises: more rows would help.",
        "flat": " The learning curve is flat, so that more rows of this kind would help little.",
        "unknown": "",
    }[curve_state(m)]
    if noise is not None:
        trend += " A part of it is noise that was learned by heart."
    return Finding("high variance", "likely" if noise else "clear", text + trend)


def _mismatch(m: Measured) -> Finding | None:
    """Inputs that can be told apart, or validation rows that are harder than unseen others."""
    gap = mismatch_gap(m)
    worse = gap is not None and state(gap, GAP * m.unit) == "there"
    apart = m.drift is not None and m.drift.auc.low >= TELLS_APART
    if not (worse or apart):
        return None
    text = []
    if apart and m.drift is not None:
        auc = m.drift.auc
        told = ", ".join(f"{name} ({area:.2f})" for name, area in m.drift.columns)
        text.append(
            "By their inputs alone, training rows and validation rows can be told apart: area "
            f"under the ROC curve {auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f}; 0.5 would be "
            f"chance).{' Most telling: ' + told + '.' if told else ''}"
        )
    if gap is not None and worse:
        text.append(
            "A network that had not seen either answers left-out training rows better than "
            f"validation rows, by {_gap(gap)}."
        )
    elif gap is not None and apart:
        text.append("That the validation rows are harder for the network was not seen.")
    return Finding("data mismatch", "clear" if worse else "likely", " ".join(text))


def _noise(m: Measured, bias: State) -> Finding | None:
    """Contradicting labels; or much error left that no model and no more rows take away."""
    torn, error = m.conflicts, m.error(m.validation.estimate.value)
    if torn and torn.wrong >= max(CONFLICTING, CONFLICTING_ERROR * error) * torn.of:
        return Finding(
            "noise",
            "clear",
            f"{torn.rows:,} of {torn.of:,} training rows have the same inputs as a row of another "
            f"class; any model must get at least {torn.wrong:,} of them wrong.",
        )
    best, trend = m.best_reference, curve_state(m)
    if best is None or m.weak_references or bias == "there" or trend == "rising":
        return None
    least = min(error, m.error(best.estimate.value))  # what no model gets below
    met = m.reachable is not None and least <= m.error(m.reachable)
    if met or least < MUCH_ERROR * m.unit:
        return None
    if -m.behind[best.name].value > 2 * GAP * m.unit:
        return None  # the network is far ahead of the others: they are no witnesses
    text = (
        f"No model gets far: network {_figure(m.validation)}, linear model "
        f"{_figure(m.reference(LINEAR))}, boosted trees {_figure(m.reference(TREE))}"
    )
    flat = "; and more rows do not help" if trend == "flat" else ""
    rest = ". The rest is noise in the answers, or knowledge that these inputs do not hold."
    level = state(m.behind[best.name], BEHIND * m.unit) != "there" and trend == "flat"
    return Finding("noise", "likely" if level else "unsure", text + flat + rest)


def _behind_tree(m: Measured) -> bool:
    return TREE in m.behind and state(m.behind[TREE], BEHIND * m.unit) == "there"


def _tree_ahead(m: Measured) -> Finding:
    text = (
        f"On the same validation rows boosted trees reach {_figure(m.reference(TREE))}, the "
        f"network {_figure(m.validation)}: worse by {_gap(m.behind[TREE])}."
    )
    return Finding("behind a tree model", "clear", text)


def _undecided(m: Measured, names: Sequence[str]) -> Finding:
    gaps = {"bias": bias_gap(m), "variance": variance_gap(m)}
    told = "; ".join(f"{name}: a gap of {_gap(gaps[name])}" for name in names)
    text = (
        f"Whether there is high {' or '.join(names)} cannot be told with "
        f"{m.validation.examples:,} validation rows ({told}; a gap counts from "
        f"{short(GAP * m.unit)})."
    )
    return Finding("cannot be told", "unsure", text)


def _perhaps_nothing(m: Measured) -> Finding:
    text = (
        f"Training ({_figure(m.training)}) and validation ({_figure(m.validation)}) show nothing "
        "wrong, as far as so few rows can show it."
    )
    return Finding("nothing stands out", "unsure", text)


def _nothing(m: Measured) -> Finding:
    text = (
        f"Training ({_figure(m.training)}) and validation ({_figure(m.validation)}) lie close "
        "together"
    )
    if m.reachable is None and m.best_reference is None:
        return Finding("nothing stands out", "unsure", f"{text}; bias could not be judged.")
    weak = m.weak_references and m.reachable is None
    than = "than what you say can be reached" if m.reachable is not None else "than other models"
    text += f", and the network is not worse {than}."
    if weak:
        text += " (For pictures those are weak; --reachable says what could be reached.)"
    return Finding("nothing stands out", "likely" if weak else "clear", text)


# --- Helpers --------------------------------------------------------------------------------------


def difference(one: Estimate, other: Estimate) -> Gap:
    """One error minus another of independent examples, with its interval.

    Zou and Donner (2008), "Construction of confidence limits about effect measures": the distances
    of the ends from the values add up as squares do.
    """
    value = one.value - other.value
    low = math.hypot(one.value - one.low, other.high - other.value)
    high = math.hypot(one.high - one.value, other.value - other.low)
    return Gap(value, value - low, value + high)


def _figure(level: Level | None) -> str:
    return "unknown" if level is None else short(level.estimate.value)


def _gap(gap: Gap) -> str:
    told = [short(value) for value in (gap.value, gap.low, gap.high)]
    return "nothing" if set(told) == {short(0.0)} else "{} ({} to {})".format(*told)
