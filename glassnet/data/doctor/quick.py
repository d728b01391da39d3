"""The quick models behind the checks: their answers are for rows that they did not see.

Gradient-boosted trees (scikit-learn) take any column as it is. All is seeded and runs on one
thread: two threads on a busy machine wait for each other more than they help.

Legend: N rows, C columns, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def folds(answers: Array, count: int, is_class: bool) -> list[tuple[Array, Array]]:
    """Train and test positions; classes in their shares, as far as they have so many rows."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if is_class and np.bincount(answers).max() >= count:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than folds
            splitter = StratifiedKFold(count, shuffle=True, random_state=0)
            return list(splitter.split(answers, answers))
    return list(KFold(count, shuffle=True, random_state=0).split(answers))


def probabilities(x: Array, is_category: Array, y: Array, num_classes: int, count: int) -> Array:
    """Out-of-fold probabilities (N, K) of boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    found = np.zeros((len(y), num_classes))
    with threadpool_limits(1):
        for train, test in folds(y, count, True):
            rounds = 60 if num_classes <= 3 else max(15, 150 // num_classes)
            model = HistGradientBoostingClassifier(
                max_iter=rounds, learning_rate=0.1, max_leaf_nodes=15, early_stopping=False,
                categorical_features=_usable(is_category), random_state=0,
            )  # fmt: skip
            if len(np.unique(y[train])) < 2:
                found[test, y[train][0]] = 1
                continue
            model.fit(x[train], y[train])
            found[np.ix_(test, model.classes_)] = model.predict_proba(x[test])
    return found


def numbers(x: Array, is_category: Array, y: Array, count: int) -> Array:
    """Out-of-fold answers (N,) of boosted trees."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    found = np.zeros(len(y))
    with threadpool_limits(1):
        for train, test in folds(y, count, False):
            model = HistGradientBoostingRegressor(
                max_iter=120, learning_rate=0.1, max_leaf_nodes=15, early_stopping=False,
                categorical_features=_usable(is_category), random_state=0,
            )  # fmt: skip
            found[test] = model.fit(x[train], y[train]).predict(x[test])
    return found


def _usable(is_category: Array) -> Array | None:
    return is_category if is_category.any() else None


def auc(score: Array, positive: Array) -> tuple[float, float]:
    """Area under the ROC curve and its standard error (Hanley and McNeil 1982)."""
    from scipy.stats import rankdata

    n1, n0 = int(positive.sum()), int((~positive).sum())
    a = float((rankdata(score)[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    spread = a * (1 - a) + (n1 - 1) * (q1 - a * a) + (n0 - 1) * (q2 - a * a)
    return a, float(np.sqrt(max(spread, 0) / (n1 * n0)))


def explained(x: Array, is_category: bool, y: Array, num_classes: int, count: int = 3) -> float:
    """How much of the target a single column (N,) explains in rows that it was not learned from.

    1 is all, 0 no more than knowing no column: for classes the share of errors that are avoided
    against always saying the commonest, for numbers R². A small tree; missing is a value as well.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    cells = _for_tree(x)
    answers = np.empty(len(y), np.int64 if num_classes else np.float64)
    for train, test in folds(y, count, bool(num_classes)):
        kind = DecisionTreeClassifier if num_classes else DecisionTreeRegressor
        tree = kind(max_leaf_nodes=64, min_samples_leaf=3, random_state=0)
        block = _target_coded(x, y, train, num_classes) if is_category else cells
        answers[test] = tree.fit(block[train], y[train]).predict(block[test])
    if num_classes:
        base = 1 - np.bincount(y).max() / len(y)
        return 1 - float((answers != y).mean()) / base if base > 0 else 0.0
    total = ((y - y.mean()) ** 2).sum()
    return 1 - float(((answers - y) ** 2).sum() / total) if total > 0 else 0.0


def _for_tree(x: Array) -> Array:
    gone = np.isnan(x)
    return np.column_stack([np.where(gone, 0, x), gone])


def _target_coded(x: Array, y: Array, train: Array, num_classes: int) -> Array:
    """A category as the mean answer, or the share of each class, of its rows in ``train``."""
    _, level = np.unique(np.where(np.isnan(x), -1, x), return_inverse=True)
    answers = np.eye(num_classes)[y] if num_classes else y[:, None]
    sums, prior = np.zeros((level.max() + 1, answers.shape[1])), answers[train].mean(axis=0)
    np.add.at(sums, level[train], answers[train])
    sizes = np.bincount(level[train], minlength=len(sums))[:, None]
    return ((sums + prior) / (sizes + 1))[level]  # type: ignore[no-any-return]
