"""Rare classes and dear mistakes: the knobs that tell of them, in the user's names for the classes.

Class weights act while the network learns, costs when it answers. Both are given by class: as YAML,
``costs: {bad: {good: 50}}``; as a flag, ``--costs "bad: {good: 50}, good: {bad: 1}"``; in Python
``costs={"bad": {"good": 50}}``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, PlainValidator

from glassnet.errors import UserError, nearest

RARE = 0.2
"""A class is rare if it has less than this share of an equal share: of two classes, below 10 %."""
HONEST = ("cross_entropy", "focal")
"""Losses after which probabilities can be corrected for class weights."""


def rare_classes(counts: Sequence[float]) -> list[int]:
    """The numbers of the rare classes, the rarest first.

    >>> rare_classes([970, 30]), rare_classes([100] * 10), rare_classes([])
    ([1], [], [])
    """
    limit = RARE * sum(counts) / len(counts) if counts else 0.0
    order = sorted(range(len(counts)), key=lambda c: counts[c])
    return [c for c in order if counts[c] < limit]


def class_weights(
    asked: str | Mapping[str, float] | None, classes: Sequence[str], counts: Sequence[float]
) -> list[float] | None:
    """The weight of each class, of mean 1 over the training examples; None if none were asked for.

    "balanced" gives each class n / (K n_c), so that all weigh the same together (He and Garcia
    2009, "Learning from Imbalanced Data"). ``counts`` are the training examples of each class.

    >>> class_weights("balanced", ["no", "yes"], [75, 25])
    [0.6666666666666667, 2.0]
    """
    if asked is None:
        return None
    if isinstance(asked, str):
        weights = [1 / count if count else 0.0 for count in counts]
        weights = [w or max(weights) for w in weights]  # a class never seen counts as the rarest
    else:
        given = by_class(asked, classes, "class_weights")
        weights = [given.get(c, 1.0) for c in range(len(classes))]
    mean = sum(w * n for w, n in zip(weights, counts, strict=True)) / sum(counts)
    return [w / mean for w in weights]


def cost_matrix(
    asked: Mapping[str, Any] | None, classes: Sequence[str]
) -> list[list[float]] | None:
    """[true class][answer] -> what it costs; None if no costs were given.

    A mistake that is not named costs 1, a right answer 0. A number instead of a mapping is the
    cost of all wrong answers for examples of that class.

    >>> cost_matrix({"bad": 50.0}, ["bad", "good"])
    [[0.0, 50.0], [1.0, 0.0]]
    """
    if asked is None:
        return None
    num = len(classes)
    matrix = [[float(answer != truth) for answer in range(num)] for truth in range(num)]
    for truth, row in by_class(asked, classes, "costs").items():
        if isinstance(row, Mapping):
            for answer, cost in by_class(row, classes, f"costs.{classes[truth]}").items():
                matrix[truth][answer] = cost
        else:
            matrix[truth] = [0.0 if answer == truth else row for answer in range(num)]
    _refuse_dear_truth(matrix, classes)
    return matrix


def by_class(given: Mapping[str, Any], classes: Sequence[str], knob: str) -> dict[int, Any]:
    """Turn names of classes into their numbers; YAML's 1 and true are the classes '1' and 'yes'."""
    found: dict[int, Any] = {}
    for name, value in given.items():
        number = _number(name, classes)
        if number is None:
            known = ", ".join(classes[:12]) + (", …" if len(classes) > 12 else "")
            raise UserError(
                f"{knob} names the class {name!r}, but the target has: {known}."
                f"{nearest(name, classes)}"
            )
        if number in found:
            raise UserError(f"{knob} names the class {classes[number]!r} twice; name it once.")
        found[number] = value
    return found


def _number(name: str, classes: Sequence[str]) -> int | None:
    if name in classes:
        return list(classes).index(name)
    alike = [number for number, known in enumerate(classes) if _read(known) == _read(name)]
    return alike[0] if len(alike) == 1 else None


def _read(name: str) -> Any:
    """A name as YAML understands it; a pair, since True equals 1."""
    try:
        value = yaml.safe_load(name)
    except yaml.YAMLError:
        return name
    return (isinstance(value, bool), value)


def _refuse_dear_truth(matrix: list[list[float]], classes: Sequence[str]) -> None:
    for truth, row in enumerate(matrix):
        for answer, cost in enumerate(row):
            if cost < row[truth]:
                raise UserError(
                    f"costs: for an example of {classes[truth]!r} the right answer costs "
                    f"{row[truth]:g}, more than the wrong answer {classes[answer]!r}, {cost:g}. "
                    "The outer name is the true class, the inner one the answer; a right answer "
                    "must not cost more than a wrong one."
                )


def refuse_contradictions(recipe: Any) -> Any:
    """Refuse, as a validator of a classification's recipe, what cannot be meant together."""
    if recipe.loss == "focal" and recipe.label_smoothing:
        raise ValueError(
            f"label_smoothing={recipe.label_smoothing} contradicts loss=focal, whose probabilities "
            "can be corrected only if the labels are sharp; unset one of them"
        )
    return recipe


# --- Knobs ----------------------------------------------------------------------------------------


def _joined(value: Any, form: str) -> Any:
    """A mapping; a flag's ``a: 1, b: 2`` arrives as a list of mappings, or not read at all."""
    if isinstance(value, str) and ":" in value:
        with suppress(yaml.YAMLError):
            value = yaml.safe_load(f"{{{value}}}")
    parts = value if isinstance(value, list | tuple) else [value]
    if not parts or not all(isinstance(part, Mapping) for part in parts):
        raise ValueError(f"expected {form}")
    names = [_name(name) for part in parts for name in part]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"the class {twice!r} is named twice")
    return {_name(name): item for part in parts for name, item in part.items()}


def _name(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _read_weights(value: Any) -> Any:
    if value is None or value == "balanced":
        return value
    given = _joined(value, "balanced, or a weight for each class such as {bad: 5, good: 1}")
    for name, weight in given.items():
        if not _is_number(weight) or weight <= 0:
            raise ValueError(f"the weight of the class {name!r} must be a number above 0")
    return {name: float(weight) for name, weight in given.items()}


def _read_costs(value: Any) -> Any:
    if value is None:
        return None
    form = "costs by true class and answer such as {bad: {good: 50}, good: {bad: 1}}"
    costs: dict[str, Any] = {}
    for truth, row in _joined(value, form).items():
        costs[truth] = float(row) if _is_number(row) else _joined(row, form)
        for answer, cost in costs[truth].items() if isinstance(costs[truth], dict) else ():
            if not _is_number(cost):
                raise ValueError(f"the cost of answering {answer!r} for {truth!r} must be a number")
            costs[truth][answer] = float(cost)
    return costs


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


ClassWeights = Annotated[
    str | dict[str, float] | None,
    PlainValidator(_read_weights),
    Field(
        description="How much each class counts while learning: balanced (all classes the same "
        "together), or by name, as {bad: 5}; others count 1. Answers then favour these classes; "
        "probabilities are corrected, so that they stay honest. Set it if a rare class is hardly "
        "ever answered; if you know what mistakes cost, `costs` says it better.",
    ),
]

Costs = Annotated[
    dict[str, float | dict[str, float]] | None,
    PlainValidator(_read_costs),
    Field(
        description="What mistakes cost, as {true class: {answer: cost}}: {bad: {good: 50}, good: "
        "{bad: 1}}, or {bad: 50} for all wrong answers about a class. Unnamed mistakes cost 1. "
        "Answers are then those of least cost: of two classes by a threshold chosen on validation, "
        "of more by the probabilities. Learning stays the same; `glassnet decide` sets it later.",
    ),
]

ClassLoss = Annotated[
    Literal["cross_entropy", "focal"],
    Field(
        description="What is minimized. cross_entropy asks for honest probabilities. focal counts "
        "examples that are easy already little; try it if a rare class is drowned by easy ones.",
    ),
]

FocalGamma = Annotated[
    float,
    Field(
        ge=0,
        le=10,
        description="With loss focal: how little easy examples count; 0 is cross-entropy, 2 the "
        "value of the paper (Lin et al. 2017).",
    ),
]
