"""Which figures of a classification come first, and what one must know to read them."""

from __future__ import annotations

from functools import partial
from typing import Any

from glassnet import balance, metrics
from glassnet.decisions import Decision
from glassnet.figures import short
from glassnet.task import Metric, Outcome, Reading


def classification(facts: Any, decision: Decision | None) -> Reading:
    """Costs first, then precision and recall where a class is rare, then the usual figures."""
    rare = balance.rare_classes(facts.class_counts)
    own = [*_of_costs(decision), *_of_rare(rare)]
    names = {metric.name for metric in own}
    usual = [m for m in metrics.CLASSIFICATION if m.name not in names]
    notes = [*_about_rare(rare, facts), *_about_decision(decision)]
    first = ["costs"] if decision is not None and decision.reason == "costs" else []
    first += ["precision_recall", "precision_levels"] if rare else []
    return Reading((*own, *usual), tuple(notes), tuple(first))


def _of_costs(decision: Decision | None) -> list[Metric]:
    if decision is None or decision.reason != "costs":
        return []

    def default(outcome: Outcome) -> float:
        return decision.mean_cost(outcome.outputs.argmax(1), outcome.targets)

    def chosen(outcome: Outcome) -> float:
        return decision.mean_cost(metrics.answered(outcome), outcome.targets)

    return [
        Metric("mean_cost", chosen, better="lower"),
        Metric("mean_cost_of_most_probable", default, better="lower"),
    ]


def _of_rare(rare: list[int]) -> list[Metric]:
    """Of the rare class, or the mean over the rare classes."""
    if not rare:
        return []
    return [
        Metric("average_precision", partial(metrics.average_precision_of, rare), costly=True),
        Metric("rare_precision", partial(metrics.precision_of, rare)),
        Metric("rare_recall", partial(metrics.recall_of, rare)),
    ]


def _about_rare(rare: list[int], facts: Any) -> list[str]:
    if not rare:
        return []
    total, most = sum(facts.class_counts), max(facts.class_counts)
    names = ", ".join(
        f"{facts.classes[c]!r} ({facts.class_counts[c] / total:.2%} of the training examples)"
        for c in rare[:5]
    )
    more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
    one = len(rare) == 1
    common = facts.classes[facts.class_counts.index(most)]
    return [
        f"{'This class is' if one else 'These classes are'} rare: {names}{more}. So read precision "
        "and recall first; average precision, rare precision and rare recall tell of "
        f"{'it' if one else 'them, on average,'} alone. Accuracy says little: always answering "
        f"{common!r} would be right in {most / total:.2%}."
    ]


def _about_decision(decision: Decision | None) -> list[str]:
    if decision is None:
        return []
    if decision.positive is None or decision.threshold is None:
        return [f"Answers are those of least expected cost, by the {decision.reason}."]
    name = decision.classes[decision.positive]
    text = f"By the {decision.reason}, the answer is {name!r} from a probability of "
    text += short(decision.threshold)
    if decision.low is None or decision.high is None:
        return [f"{text} on."]
    return [
        f"{text} (95 % interval {short(decision.low)} to {short(decision.high)}) on, chosen on "
        f"{decision.examples:,} validation examples; 0.5 would be the most probable class."
    ]
