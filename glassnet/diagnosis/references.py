"""What simple and strong models of another kind make of the same encoded rows.

They are trained on the run's training rows and measured on its validation rows, by the task's own
metrics. For pictures they see a few averaged pixels, which is weak, and is said so.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from glassnet.data.tables import TableFacts
from glassnet.evaluate.intervals import Estimate, bootstrap
from glassnet.metrics import roc_area
from glassnet.task import Examples, Outcome

MAX_ROWS = 20_000
"""Training rows for the reference models, at most."""
MAX_PICTURES = 4_000
SIDE = 8
"""Pixels to which pictures are averaged on each side."""
MAX_DRIFT_ROWS = 2_000
"""Of each part, for telling the parts apart."""
MOST_LEVELS = 255
"""Levels of a category that boosted trees tell apart without an order (scikit-learn's limit)."""
ONE_HOT = 100
"""Levels of a category that linear models tell apart; the rare ones are one."""

Array = NDArray[Any]
Levels = Mapping[int, int]
Model = Callable[[Array, Array, Levels], Any]


@dataclass(frozen=True)
class Member:
    """A network with the rows that it was trained on (a sample, if many) and validated on."""

    train: Examples[Any]
    answers: Outcome
    """To ``train``, by the network; its targets are in the unit of the metrics."""
    rest: Examples[Any]
    validation: Outcome
    """The answers to ``rest``."""
    facts: Any

    @cached_property
    def is_picture(self) -> bool:
        """Whether inputs have more axes than one."""
        return bool(self.train.batch(self.train.rows.new_zeros(1)).inputs.ndim > 2)

    @cached_property
    def features(self) -> tuple[Array, Array]:
        """Inputs as rows of numbers, float32: of training, of validation."""
        most = MAX_PICTURES if self.is_picture else MAX_ROWS
        return _features(self.train, most), _features(self.rest, len(self.rest))

    @property
    def levels(self) -> dict[int, int]:
        """Input -> number of its levels, for inputs that hold the position of a level."""
        slots = self.facts.slots if isinstance(self.facts, TableFacts) else []
        return {i: slot.size for i, slot in enumerate(slots) if slot.size}

    @property
    def is_classification(self) -> bool:
        """Whether outputs are one number per class."""
        return self.answers.outputs.ndim == 2 and not self.answers.targets.is_floating_point()

    @property
    def is_regression(self) -> bool:
        """Whether an output is one number."""
        return self.answers.outputs.ndim == 1 and self.answers.targets.is_floating_point()


def answer_all(members: list[Member]) -> dict[str, Outcome]:
    """Name -> the answers to all validation rows; empty for answers that are no class or number."""
    first = members[0]
    if not (first.is_classification or first.is_regression):
        return {}
    models = _CLASSIFIERS if first.is_classification else _REGRESSORS
    found = {}
    for name, model in models.items():
        parts = [_answer(model, member) for member in members]
        targets = torch.cat([member.validation.targets for member in members])
        found[name] = Outcome(torch.cat(parts), targets)
    return found


def _answer(model: Model, member: Member) -> torch.Tensor:
    """Train on the training rows, and answer the validation rows as the network would."""
    train, rest = member.features
    targets = member.answers.targets[: len(train)].numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a linear model that has not converged is good enough
        fitted = model(train, targets, member.levels)
        if member.is_regression:
            return torch.from_numpy(np.asarray(fitted.predict(rest), np.float64))
        shares = np.full((len(rest), member.answers.outputs.shape[1]), 1e-6)
        shares[:, fitted.classes_.astype(int)] = fitted.predict_proba(rest)
    return torch.from_numpy(np.log(np.clip(shares, 1e-6, 1)))


def _majority(x: Array, y: Array, _: Levels) -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior").fit(x, y)


def _mean(x: Array, y: Array, _: Levels) -> Any:
    from sklearn.dummy import DummyRegressor

    return DummyRegressor().fit(x, y)


def _logistic(x: Array, y: Array, levels: Levels) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if len(np.unique(y)) < 2:
        return _majority(x, y, levels)
    return make_pipeline(_spread(x, levels), LogisticRegression(max_iter=300)).fit(x, y)


def _ridge(x: Array, y: Array, levels: Levels) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    return make_pipeline(_spread(x, levels), Ridge()).fit(x, y)


def _tree_classifier(x: Array, y: Array, levels: Levels) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    if len(np.unique(y)) < 2:
        return _majority(x, y, levels)
    return HistGradientBoostingClassifier(random_state=0, categorical_features=_few(levels)).fit(
        x, y
    )


def _tree_regressor(x: Array, y: Array, levels: Levels) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=0, categorical_features=_few(levels)).fit(
        x, y
    )


def _few(levels: Levels) -> list[int] | None:
    """The categories that trees can take as such; the others keep the order of their levels."""
    return [i for i, size in levels.items() if size <= MOST_LEVELS] or None


def _spread(x: Array, levels: Levels) -> Any:
    """Scale the numbers; categories become one-hot."""
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    plain = [i for i in range(x.shape[1]) if i not in levels]
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=ONE_HOT, sparse_output=False
    )
    return make_column_transformer((StandardScaler(), plain), (one_hot, list(levels)))


TRIVIAL, LINEAR, TREE = "always the same answer", "linear model", "boosted trees"
_CLASSIFIERS = {TRIVIAL: _majority, LINEAR: _logistic, TREE: _tree_classifier}
_REGRESSORS = {TRIVIAL: _mean, LINEAR: _ridge, TREE: _tree_regressor}


# --- Do training and validation come from the same place? ----------------------------------------


@dataclass(frozen=True)
class Drift:
    """How well a tree model tells training rows from validation rows, by their inputs alone."""

    auc: Estimate
    """0.5: not at all; 1: always."""
    columns: list[tuple[str, float]]
    """The inputs that tell the most, each with its own area under the curve."""


def drift(member: Member) -> Drift | None:
    """Try to tell the parts apart, cross-validated; None if there are too few rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_predict

    train, rest = member.features
    num = min(len(train), len(rest), MAX_DRIFT_ROWS)
    if num < 20:
        return None
    draw = np.random.default_rng(0)
    some = [part[draw.permutation(len(part))[:num]] for part in (train, rest)]
    x, y = np.concatenate(some), np.repeat([0, 1], num)
    x = x[:, np.isnan(x).mean(0) < 0.5]  # the future of a series is not there
    few = _few(member.levels)
    model = HistGradientBoostingClassifier(random_state=0, max_iter=50, categorical_features=few)
    shares = cross_val_predict(model, x, y, cv=3, method="predict_proba")[:, 1]
    outcome = Outcome(torch.from_numpy(shares), torch.from_numpy(y))
    area = _area(outcome)
    auc = Estimate(area, *bootstrap(_area, outcome, 300))
    return Drift(auc, _telling(x, y, member.facts) if not member.is_picture else [])


def _area(outcome: Outcome) -> float:
    return roc_area(outcome.targets == 1, outcome.outputs)


def _telling(x: Array, y: Array, facts: Any) -> list[tuple[str, float]]:
    """The three columns that tell the parts apart best, if they tell anything."""
    known = [slot.name for slot in facts.slots] if isinstance(facts, TableFacts) else []
    names = known if len(known) == x.shape[1] else [f"input {i + 1}" for i in range(x.shape[1])]
    truth = torch.from_numpy(y == 1)
    areas = [roc_area(truth, torch.from_numpy(np.nan_to_num(x[:, i]))) for i in range(x.shape[1])]
    noise = 3 * np.sqrt((2 * len(y) / 2 + 1) / (12 * (len(y) / 2) ** 2))  # of a rank sum
    order = sorted(range(len(areas)), key=lambda i: -abs(areas[i] - 0.5))
    return [(names[i], areas[i]) for i in order[:3] if abs(areas[i] - 0.5) > noise]


# --- Do labels contradict each other? -------------------------------------------------------------


@dataclass(frozen=True)
class Conflicts:
    """Training rows that contradict their equals."""

    rows: int
    """Rows that have an equal row with another answer."""
    wrong: int
    """Of those, how many any model must get wrong: all but the most frequent answer."""
    of: int
    """Rows that were looked at."""


def conflicts(member: Member) -> Conflicts | None:
    """Compare the classes of training rows with equal inputs; None for numbers as answers."""
    if not member.is_classification:
        return None
    train, _ = member.features
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, target in zip(train, member.answers.targets.tolist(), strict=False):
        groups[row.tobytes()].append(target)
    torn = [group for group in groups.values() if len(set(group)) > 1]
    wrong = sum(len(group) - max(map(group.count, set(group))) for group in torn)
    return Conflicts(sum(map(len, torn)), wrong, len(train))


def _features(examples: Examples[Any], most: int) -> Array:
    """Inputs as rows of numbers; pictures as averages over ``SIDE`` × ``SIDE`` fields."""
    where = examples.rows.device
    indices = torch.arange(min(most, len(examples)), device=where).split(512)
    rows = []
    for batch in examples.batches(indices):
        inputs = batch.inputs.float()
        if inputs.ndim == 4 and min(inputs.shape[-2:]) > SIDE:
            inputs = nn.functional.adaptive_avg_pool2d(inputs, SIDE)
        rows.append(inputs.flatten(1).cpu().numpy())
    return np.concatenate(rows).astype(np.float32)
