"""What scikit-learn's ``fit`` and ``predict`` are given -> columns, or its own errors."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from glassnet.data import tablefiles
from glassnet.data.columns import Array
from glassnet.data.declared import free_name
from glassnet.data.memory import TARGET
from glassnet.errors import UserError

_MISSING = ("NoneType", "NAType", "NaTType")


def given(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any
) -> tuple[pl.DataFrame, Array, Array | None]:
    """What ``fit`` was given, checked: features, answers, weights."""
    if y is None:
        name = type(estimator).__name__
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    features = frame(estimator, X, reset=True)
    plain = np.asarray(y)
    if plain.dtype == object and any(type(cell).__name__ in _MISSING for cell in plain.flat):
        raise ValueError("Input y contains NaN: some answers are missing. Leave those rows out.")
    answers = column_or_1d(plain, warn=True)
    assert_all_finite(answers, input_name="y")
    check_consistent_length(answers, np.empty(features.height))
    if sample_weight is None:
        return features, answers, None
    rows = np.empty((features.height, 0))
    weights = _check_sample_weight(
        sample_weight,
        rows,
        dtype=np.float64,
        ensure_non_negative=True,
        allow_all_zero_weights=False,
    )
    return features, answers, weights


def frame(estimator: BaseEstimator, X: Any, *, reset: bool) -> pl.DataFrame:
    """X as a polars frame, checked as scikit-learn does; ``reset`` when fitting.

    The same cells are the same frame, whatever held them: NaN is missing, categories are texts.
    """
    found = _columns(estimator, X, reset)
    return found.with_columns(
        pl.selectors.float().fill_nan(None), pl.col(pl.Categorical).cast(pl.String)
    )


def _columns(estimator: BaseEstimator, X: Any, reset: bool) -> pl.DataFrame:
    least = 2 if reset else 1
    if not _is_frame(X):
        array = validate_data(
            estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan",
            ensure_min_samples=least,
        )  # fmt: skip
        names = [f"x{number}" for number in range(array.shape[1])]
        return pl.DataFrame([_series(n, array[:, i]) for i, n in enumerate(names)])
    names = [str(name) for name in X.columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"X has {names.count(twice[0])} columns called {twice[0]!r}; rename them.")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    found = tablefiles.as_frame(X)
    if found.height < least:
        raise ValueError(
            f"Found array with {found.height} sample(s) (shape={found.shape}) while a minimum of "
            f"{least} is required by {type(estimator).__name__}."
        )
    for column in found.select(pl.selectors.float()):
        if column.is_infinite().any():
            raise ValueError(f"Input X contains infinity in the column {column.name!r}.")
    return found


def _is_frame(X: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return isinstance(X, pl.DataFrame) or bool(pandas and isinstance(X, pandas.DataFrame))


def _series(name: str, column: Array) -> pl.Series:
    """One column of an array; of objects, numbers if they all are, else texts."""
    if column.dtype == object:
        try:
            column = column.astype(np.float64)
        except (TypeError, ValueError):
            return pl.Series(name, [str(cell) for cell in column])
    if column.dtype.kind == "f" and column.dtype.itemsize not in (4, 8):
        column = column.astype(np.float64)
    return pl.Series(name, column.astype(str) if column.dtype.kind in "SU" else column)


def target_name(y: Any, features: pl.DataFrame) -> str:
    """The name of y, or 'target', so that no column is called the same."""
    name = getattr(y, "name", None)
    return free_name(name if isinstance(name, str) and name else TARGET, features.columns)


def class_weights(asked: Any, classes: Array, labels: Array, weights: Array | None) -> Any:
    """scikit-learn's ``class_weight`` for the knob ``class_weights``: by the names of the classes.

    "balanced" stays what it is, unless the weights of the rows must be counted too. What is no
    class weight at all is returned as it is: the knob says what it should be.

    >>> class_weights({0: 1, 5: 3}, np.array([0, 5]), np.array([0, 5, 5]), None)
    {'0': 1.0, '5': 3.0}
    """
    if isinstance(asked, dict):
        found = compute_class_weight(asked, classes=classes, y=classes)
    elif isinstance(asked, str) and asked == "balanced" and weights is not None:
        found = 1 / np.array([weights[labels == label].sum() for label in classes])
    else:
        return asked
    return {str(label): float(w) for label, w in zip(classes.tolist(), found, strict=True)}
