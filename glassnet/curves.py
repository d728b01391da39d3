"""Figures of probabilities, and of how answers could be chosen by them."""

# Letters in tensor names: N examples, T thresholds.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from glassnet import balance, decisions, metrics
from glassnet.figures import Cell, Lines, Mark, Series, Table, short
from glassnet.task import Review

NUM_CLASSES = 8
"""Curves in one figure; of more classes, those of the rarest."""
NUM_POINTS = 400
"""Points of one curve in a page."""
ENOUGH = 100
"""Fewer examples say nothing about calibration."""
LEVELS = (0.99, 0.95, 0.9, 0.8, 0.7, 0.5)
"""Precisions of which the largest recall is told."""


def precision_recall(review: Review[Any]) -> Lines | None:
    """Draw precision over recall, with the base rate, and the point where the run works."""
    series: list[Series] = []
    marks: list[Mark] = []
    shown = _shown(review)
    for number in shown:
        truth, shares = _one_against_rest(review, number)
        precision, recall, _ = precision_and_recall(truth, shares)
        name, few = review.facts.classes[number], _few(len(recall))
        series.append(Series(f"'{name}'", recall[few].tolist(), precision[few].tolist()))
        if len(shown) == 1:
            base = float(truth.double().mean())
            label = f"by chance ({base:.1%} are '{name}')"
            series.append(Series(label, [0, 1], [base, base], dashed=True))
            marks = _working_point(review, number)
    if not series:
        return None
    return Lines(
        "Precision and recall",
        series,
        x_label="recall: share of these examples that is found",
        y_label="precision: share of what is found that is right",
        marks=marks,
        note="Read this figure first when a class is rare: accuracy and ROC hardly notice it. The "
        "marked recall is that of the answers this run gives.",
    )


def precision_levels(review: Review[Any]) -> Table | None:
    """For each precision that may be asked of a rare class: how much is found, from where on."""
    rows: list[list[Cell]] = []
    for number in balance.rare_classes(review.facts.class_counts)[:NUM_CLASSES]:
        truth, shares = _one_against_rest(review, number)
        if not truth.any() or truth.all():
            continue
        precision, recall, thresholds = precision_and_recall(truth, shares)
        for level in LEVELS:
            good = precision >= level
            best = int(torch.where(good, recall, -1.0).argmax())
            found = [precision, recall, thresholds] if good.any() else []
            cells: list[Cell] = [float(column[best]) for column in found]
            cells = cells or [None, None, None]
            rows.append([review.facts.classes[number], f"{level:.0%}", *cells])
    columns = ["class", "precision of at least", "precision", "recall", "from this probability on"]
    note = "Empty: no threshold reaches it. Each line is the best of many, so it flatters a little."
    return Table("Recall at a precision", columns, rows, note=note) if rows else None


def roc(review: Review[Any]) -> Lines | None:
    """Draw the share of these examples that is found over the share of others that is taken too."""
    series = []
    for number in _shown(review):
        truth, shares = _one_against_rest(review, number)
        hits, alarms = roc_points(truth, shares)
        few, area = _few(len(hits)), metrics.roc_area(truth, shares)
        label = f"'{review.facts.classes[number]}', area {area:.3f}"
        series.append(Series(label, alarms[few].tolist(), hits[few].tolist()))
    if not series:
        return None
    return Lines(
        "ROC",
        series,
        x_label="share of the other examples that is taken too",
        y_label="share of these examples that is found",
        diagonal=True,
        note="On the diagonal, the network tells nothing.",
    )


def costs(review: Review[Any]) -> Lines | None:
    """Draw the mean cost over the threshold, with the one that was chosen."""
    decision = review.decision
    if decision is None or decision.positive is None or decision.threshold is None:
        return None
    stakes = decisions.Stakes.of(decision.costs, decision.positive)
    truth, shares = _one_against_rest(review, decision.positive)
    mean, low, high = decisions.costs_at(shares, truth, stakes)
    mean, x = mean + _unavoidable(decision, truth), (low + high) / 2
    seen = x > min(stakes.theoretical, decision.threshold) / 100  # far below, nothing happens
    mean, x = mean[seen], x[seen]
    few, name = _few(len(mean)), decision.classes[decision.positive]
    return Lines(
        f"What each threshold costs, by the {decision.reason}",
        [Series("mean cost", x[few].tolist(), mean[few].tolist())],
        x_label=f"answer '{name}' from this probability on",
        y_label="mean cost per example",
        x_log=True,
        marks=[Mark(decision.threshold, f"chosen {short(decision.threshold)}")],
        note=_about_threshold(decision),
    )


def _about_threshold(decision: decisions.Decision) -> str:
    if not decision.examples:
        return "The threshold follows from the costs alone: no validation examples chose it."
    low, high, theoretical = decision.low or 0.0, decision.high or 0.0, decision.theoretical or 0.0
    return (
        f"Chosen on {decision.examples:,} validation examples, with the network's own "
        f"probabilities as a prior; {short(low)} to {short(high)} is where 95 % of the choices by "
        "other examples like these would lie. If every probability could be taken at its word, it "
        f"would be {short(theoretical)}."
    )


def _unavoidable(decision: decisions.Decision, truth: Tensor) -> float:
    """The mean cost of right answers."""
    assert decision.positive is not None
    yes, no = decision.positive, 1 - decision.positive
    share = float(truth.double().mean())
    return share * decision.costs[yes][yes] + (1 - share) * decision.costs[no][no]


def calibration(review: Review[Any]) -> Lines | None:
    """Compare probabilities with how often they came true."""
    targets, shares = review.outcome.targets, review.outcome.outputs.double().softmax(1)
    if len(targets) < ENOUGH:
        return None
    two = shares.shape[1] == 2
    number = decisions.positive_class(review.facts.class_counts) if two else -1
    said = shares[:, number] if two else shares.max(1).values
    came = (targets == number) if two else (shares.argmax(1) == targets)
    groups = equally_telling(said)
    x = [float(said[g].mean()) for g in groups]
    y = [float(came[g].double().mean()) for g in groups]
    name = f"of '{review.facts.classes[number]}'" if two else "of the most probable class"
    return Lines(
        "Calibration",
        [Series(f"{len(groups)} groups of examples, by probability", x, y)],
        x_label=f"probability {name}",
        y_label="how often it was so",
        mode="points",
        diagonal=True,
        note=_about_calibration(said, came, groups),
    )


def _about_calibration(said: Tensor, came: Tensor, groups: Sequence[Tensor]) -> str:
    generator = torch.Generator().manual_seed(0)
    perfect = [
        calibration_error(said, torch.rand(len(said), generator=generator) < said, groups)
        for _ in range(50)
    ]
    sizes = sorted(len(group) for group in groups)
    return (
        "On the diagonal, probabilities can be taken at their word. Mean distance from it: "
        f"{calibration_error(said, came, groups):.3f}; perfect probabilities would show "
        f"{sum(perfect) / len(perfect):.3f} here, by chance. {len(said):,} examples, "
        f"{sizes[0]:,} to {sizes[-1]:,} in a group; in groups nobody is sure about, fewer are "
        "enough."
    )


# --- Points of curves -----------------------------------------------------------------------------


def precision_and_recall(truth: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Precision, recall and threshold, (T,) each, the highest threshold first."""
    members, others = metrics.at_each_share(truth, shares)
    found, taken = members.cumsum(0), (members + others).cumsum(0)
    return found / taken, found / members.sum(), shares.unique().flip(0)


def roc_points(truth: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of members and of others that are taken, from none to all, (T + 1,) each."""
    members, others = metrics.at_each_share(truth, shares)
    zero = members.new_zeros(1)
    hits = torch.cat([zero, members.cumsum(0) / members.sum()])
    return hits, torch.cat([zero, others.cumsum(0) / others.sum()])


def equally_telling(shares: Tensor, num: int = 10) -> list[Tensor]:
    """Groups of positions by rising probability, each with a like sum of p (1 - p).

    So each group says as much about the others' frequency; of equal numbers of examples nine in ten
    groups of a rare class would lie at zero.
    """
    order = shares.argsort()
    telling = (shares * (1 - shares))[order].cumsum(0)
    group = (telling / telling[-1].clamp(min=1e-12) * num).ceil().clamp(1, num).long()
    return [order[group == g] for g in range(1, num + 1) if (group == g).any()]


def calibration_error(said: Tensor, came: Tensor, groups: Sequence[Tensor]) -> float:
    """Mean distance, over the examples, of a group's frequency from its mean probability.

    Naeini et al. (2015), "Obtaining Well Calibrated Probabilities Using Bayesian Binning".
    """
    gaps = [(said[g].mean() - came[g].double().mean()).abs() * len(g) for g in groups]
    return float(sum(gaps)) / len(said)


# --- Helpers --------------------------------------------------------------------------------------


def _shown(review: Review[Any]) -> list[int]:
    """Of two classes the one to look for, of more the rarest; only those with examples here."""
    classes, counts = review.facts.classes, review.facts.class_counts
    if len(classes) == 2:
        wanted = [decisions.positive_class(counts)]
    else:
        rarest = sorted(range(len(classes)), key=lambda c: counts[c] if counts else 0)
        wanted = sorted(rarest[:NUM_CLASSES])
    targets = review.outcome.targets
    return [c for c in wanted if 0 < int((targets == c).sum()) < len(targets)]


def _one_against_rest(review: Review[Any], number: int) -> tuple[Tensor, Tensor]:
    """Whether each example is of the class, and its probability to be."""
    return review.outcome.targets == number, review.outcome.outputs.double().softmax(1)[:, number]


def _working_point(review: Review[Any], number: int) -> list[Mark]:
    answers = metrics.answered(review.outcome) == number
    truth = review.outcome.targets == number
    right = int((answers & truth).sum())
    if not right:
        return [Mark(0.0, "never answered rightly")]
    recall, precision = right / int(truth.sum()), right / int(answers.sum())
    decision = review.decision
    threshold = 0.5 if decision is None or decision.threshold is None else decision.threshold
    return [Mark(recall, f"threshold {short(threshold)}: precision {precision:.0%}")]


def _few(num: int) -> Tensor:
    """At most some hundred of ``num`` positions, with both ends."""
    return torch.linspace(0, num - 1, min(num, NUM_POINTS)).round().long()


OF_PROBABILITIES = {
    "calibration": calibration,
    "precision_recall": precision_recall,
    "precision_levels": precision_levels,
    "roc": roc,
}
"""Views of every task that answers with probabilities of classes, in the order of its report."""
