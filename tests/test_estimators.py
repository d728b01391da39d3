"""glassnet in scikit-learn's hands: its own checks, pipelines, searches, ensembles, weights."""

from __future__ import annotations

import io
import pickle
import signal
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import BaggingRegressor, StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import glassnet
from glassnet import GlassnetClassifier, GlassnetRegressor

QUICK: dict[str, Any] = {
    "network": {"name": "mlp", "hidden": [32]},
    "epochs": 25,
    "lr": 0.01,
    "batch_size": 32,
    "random_state": 0,
}
SMALL = {**QUICK, "network": {"name": "tabm", "hidden": [16], "members": 2}}
"""The default network, which is trained a second time on all rows."""
CHECKED: dict[str, Any] = {**SMALL, "epochs": 10, "lr": 0.03}  # 115 fits

OWN = """
from torch import nn
class Mine(nn.Sequential):
    def __init__(self, input_shape, num_outputs, *, width: int = 8):
        super().__init__(nn.Linear(input_shape[0], width), nn.Tanh(), nn.Linear(width, num_outputs))
NETWORK = Mine
"""


@pytest.fixture
def iris() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return X, y


def mixed(num: int = 120) -> tuple[pd.DataFrame, pd.Series]:
    """A frame of every kind of column, with missing cells; half of the columns say the class."""
    rng = np.random.default_rng(0)
    answer = rng.integers(0, 2, num)
    frame = pd.DataFrame(
        {
            "size": answer * 2.0 + rng.normal(size=num),
            "colour": np.where(answer == 1, "red", rng.choice(["green", "blue"], num)),
            "shape": pd.Categorical(rng.choice(["round", "flat"], num)),
            "bought": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, num), "D"),
            "new": rng.integers(0, 2, num).astype(bool),
            "count": rng.integers(0, 9, num),
        }
    )
    frame.loc[::7, "size"] = np.nan
    frame.loc[3::11, "colour"] = None
    frame.loc[5::13, "bought"] = pd.NaT
    return frame, pd.Series(np.where(answer == 1, "yes", "no"), name="sold")


# --- scikit-learn's own checks --------------------------------------------------------------------


@parametrize_with_checks([GlassnetClassifier(**CHECKED), GlassnetRegressor(**CHECKED)])
def test_passes_what_scikit_learn_asks_of_its_own(
    estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else one of the checks is skipped
    check(estimator)


# --- In scikit-learn's tools ----------------------------------------------------------------------


def test_works_in_a_pipeline_with_a_column_transformer() -> None:
    X, y = mixed()
    encode = ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["colour"])],
        remainder="drop",
    )
    pipeline = make_pipeline(encode, StandardScaler(), GlassnetClassifier(**QUICK))
    assert pipeline.fit(X, y).score(X, y) > 0.8
    assert pipeline.predict_proba(X).shape == (len(X), 2)


def test_a_grid_search_varies_knobs_networks_and_full_names(iris: Any) -> None:
    grid = {
        "lr": np.array([1e-5, 0.01]),
        "network": ["perceptron", {"name": "mlp", "hidden": [16]}],
        "knobs": [{"fit.clip": 1.0}],
    }
    search = GridSearchCV(GlassnetClassifier(**{**QUICK, "epochs": 10}), grid, cv=2).fit(*iris)
    assert search.best_params_["lr"] == 0.01
    assert search.best_estimator_.recipe_.fit.clip == 1.0
    assert search.best_score_ > 0.7


def test_a_search_in_threads_finds_what_it_finds_alone(iris: Any) -> None:
    grid = {"lr": [1e-5, 0.01]}
    model = GlassnetClassifier(**{**SMALL, "epochs": 3})
    alone = GridSearchCV(model, grid, cv=2).fit(*iris).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend="threading"):
        search = GridSearchCV(model, grid, cv=2, n_jobs=2).fit(*iris)
    assert np.array_equal(alone, search.cv_results_["mean_test_score"])


def test_cross_validation_of_raw_columns_reaches_what_a_network_can(iris: Any) -> None:
    X, y = load_breast_cancer(return_X_y=True)  # of units between 0.001 and 1000
    assert cross_val_score(GlassnetClassifier(**QUICK), X, y, cv=3).mean() > 0.93
    X, y = load_diabetes(return_X_y=True)
    assert cross_val_score(GlassnetRegressor(**QUICK), X, y, cv=3).mean() > 0.4


def test_calibrates_stacks_and_bags(iris: Any) -> None:
    X, y = iris
    quick = GlassnetClassifier(**QUICK)
    assert CalibratedClassifierCV(quick, cv=2).fit(X, y).score(X, y) > 0.8
    line = LogisticRegression(max_iter=1000)
    stack = StackingClassifier([("net", quick), ("line", line)], line, cv=2)
    assert stack.fit(X, y).score(X, y) > 0.9
    X, y = load_diabetes(return_X_y=True)
    assert BaggingRegressor(GlassnetRegressor(**QUICK), 2, random_state=0).fit(X, y).score(X, y) > 0


def test_permutation_importance_finds_the_column_that_matters() -> None:
    X, y = mixed()
    model = GlassnetClassifier(**QUICK).fit(X, y)
    found = permutation_importance(model, X, y, n_repeats=3, random_state=0).importances_mean
    assert X.columns[found.argmax()] in ("size", "colour")


# --- What may be given ----------------------------------------------------------------------------


def test_reads_texts_categories_dates_booleans_and_missing_cells() -> None:
    X, y = mixed()
    model = GlassnetClassifier(**QUICK).fit(X, y)
    assert model.score(X, y) > 0.85
    assert list(model.feature_names_in_) == list(X.columns)
    kinds = {column.name: column.kind for column in model.facts_.columns}
    assert kinds["colour"] == kinds["shape"] == "category"
    assert (kinds["size"], kinds["bought"], kinds["new"]) == ("number", "date", "boolean")
    unseen = X.head(3).assign(colour=["violet", None, "red"])
    with pytest.warns(UserWarning, match="violet"):
        assert set(model.predict(unseen)) <= {"yes", "no"}


def test_pandas_polars_and_arrays_of_objects_answer_alike() -> None:
    X, y = mixed()
    X = X.drop(columns=["bought", "shape"])
    model = GlassnetClassifier(**QUICK).fit(X, y)
    expected = model.predict_proba(X)
    columns = {name: X[name].replace({np.nan: None}).to_list() for name in X}
    frame = pl.DataFrame(columns)
    polars = GlassnetClassifier(**QUICK).fit(frame, y.to_list())
    assert np.array_equal(expected, polars.predict_proba(frame))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert np.array_equal(expected, model.predict_proba(X.to_numpy()))


def test_pandas_own_nullable_and_zoned_types_are_read() -> None:
    X, y = mixed(60)
    odd = pd.DataFrame(
        {
            "whole": pd.array([None, *range(59)], dtype="Int64"),
            "float": X["size"].astype("Float64"),
            "flag": X["new"].astype("boolean").where(X["count"] > 2),
            "when": X["bought"].dt.tz_localize("Europe/Berlin"),
            "mixed": [1, "a", None, 2.5] * 15,
            7: X["count"].astype("int8"),
        }
    )
    odd.columns = odd.columns.astype(str)
    model = GlassnetClassifier(**QUICK).fit(odd, y)
    kinds = {column.name: column.kind for column in model.facts_.columns}
    assert (kinds["whole"], kinds["float"], kinds["flag"]) == ("number", "number", "boolean")
    assert (kinds["when"], kinds["mixed"], kinds["7"]) == ("date", "category", "number")
    assert model.predict(odd).shape == (60,)


def test_classes_of_any_kind_come_back_as_they_were(iris: Any) -> None:
    X, y = iris
    for classes in (["", "?", " a"], [2.0, -1.0, 10.0], ["week 10", "week 2", "week 1"]):
        labels = np.array(classes)[y]
        model = GlassnetClassifier(**QUICK).fit(X, labels)
        assert np.array_equal(model.classes_, np.unique(labels))
        assert (model.predict(X) == labels).mean() > 0.9
        found = model.classes_[model.predict_proba(X).argmax(1)]
        assert np.array_equal(found, model.predict(X))
    flags = GlassnetClassifier(**QUICK).fit(X, y == 0)
    assert flags.predict(X).dtype == bool
    assert flags.score(X, y == 0) == 1


@pytest.mark.parametrize("rows", [2, 3, 10])
def test_learns_from_a_handful_of_rows_and_says_that_none_was_set_aside(rows: int) -> None:
    X = np.arange(rows)[:, None]
    y = (X[:, 0] >= rows / 2).astype(int)
    model = GlassnetClassifier(**{**QUICK, "epochs": 60}).fit(X, y)
    assert model.score(X, y) == 1
    assert "none can be spared" in model.problems_[0]
    assert GlassnetRegressor(**{**QUICK, "epochs": 200}).fit(X, X[:, 0]).score(X, X[:, 0]) > 0.5


def test_classes_of_a_single_row_are_learned() -> None:
    X = np.arange(30.0)[:, None]
    lonely = np.r_[np.zeros(28, int), 1, 2]
    assert GlassnetClassifier(**QUICK).fit(X, lonely).predict_proba(X).shape == (30, 3)
    with pytest.warns(UserWarning, match="could represent a regression"):
        everyone = GlassnetClassifier(**QUICK).fit(X, np.arange(30))
    assert everyone.predict_proba(X).shape == (30, 30)


def test_a_constant_number_is_answered_with_it() -> None:
    X = np.random.default_rng(0).normal(size=(40, 2))
    assert GlassnetRegressor(**QUICK).fit(X, np.full(40, 7.0)).predict(X) == pytest.approx(7, abs=1)


@pytest.mark.parametrize("network", ["mlp", "tabm"])
def test_an_answer_does_not_depend_on_the_company_of_a_row(network: str) -> None:
    X, y = load_diabetes(return_X_y=True)
    model = GlassnetRegressor(**{**QUICK, "network": network, "epochs": 1}).fit(X, y)
    alone = np.concatenate([model.predict(row[None]) for row in X[:30]])
    assert np.array_equal(alone, model.predict(X)[:30])
    many = np.tile(X, (3, 1))[:1025]  # one more than two batches
    assert model.predict(many)[-1] == model.predict(many[-1:])[0]


# --- Weights --------------------------------------------------------------------------------------


def test_whole_weights_are_repeated_rows_and_zero_leaves_out(iris: Any) -> None:
    X, y = iris
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = GlassnetClassifier(**QUICK).fit(X, y, sample_weight=weights)
    repeated = GlassnetClassifier(**QUICK).fit(X.repeat(weights, 0), y.repeat(weights))
    assert np.array_equal(weighted.predict_proba(X), repeated.predict_proba(X))


def test_the_order_of_the_rows_changes_nothing(iris: Any) -> None:
    X, y = iris
    order = np.random.default_rng(0).permutation(len(X))
    weights = np.random.default_rng(1).random(len(X))
    one = GlassnetClassifier(**QUICK).fit(X, y, weights)
    other = GlassnetClassifier(**QUICK).fit(X[order], y[order], weights[order])
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_heavy_rows_win() -> None:
    X = np.tile(np.array([[0.0], [1.0]]), (50, 1))
    y = np.repeat([0.0, 10.0], 50)
    for weights, level in ((np.where(y > 0, 0.9, 0.1), 9), (np.where(y > 0, 0.1, 0.9), 1)):
        model = GlassnetRegressor(**QUICK).fit(X, y, sample_weight=weights)
        assert model.predict(X) == pytest.approx(level, abs=1)
    huge = GlassnetRegressor(**QUICK).fit(X, y, sample_weight=np.where(y > 0, 9e6, 1e6))
    assert huge.predict(X) == pytest.approx(9, abs=1)  # too large to be repetitions


def test_weights_that_are_none_are_refused(iris: Any) -> None:
    X, y = iris
    for weights, message in ((-np.ones(150), "[Nn]egative"), (np.ones(3), "150")):
        with pytest.raises(ValueError, match=message):
            GlassnetClassifier(**QUICK).fit(X, y, sample_weight=weights)
    with pytest.raises(ValueError, match="1 class"):
        GlassnetClassifier(**QUICK).fit(X, y, sample_weight=(y == 1).astype(float))


# --- Class weights, costs, a second training ------------------------------------------------------


def rare(num: int = 400) -> tuple[Any, Any]:
    """One column that tells a little about a class of one row in ten."""
    rng = np.random.default_rng(0)
    y = (rng.random(num) < 0.1).astype(int)
    return rng.normal(size=(num, 1)) + 1.2 * y[:, None], y


def test_class_weights_move_the_answers_and_leave_the_probabilities_honest() -> None:
    X, y = rare()
    plain = GlassnetClassifier(**SMALL).fit(X, y)
    assert np.array_equal(plain.predict(X), plain.predict_proba(X).argmax(1))
    assert plain.decision_ is None
    for class_weight in ("balanced", {1: 9}, {0: 1.0, 1: 9.0, 2: 5.0}):
        model = GlassnetClassifier(**SMALL, class_weight=class_weight).fit(X, y)
        assert recall_score(y, model.predict(X)) > recall_score(y, plain.predict(X)) + 0.3
        shares = model.predict_proba(X)[:, 1]
        assert shares.mean() == pytest.approx(y.mean(), abs=0.04)
        assert np.array_equal(model.predict(X), shares >= model.decision_.threshold)


def test_class_weights_go_by_the_classes_whatever_their_order_and_type(iris: Any) -> None:
    X, y = iris
    for classes in (["week 10", "week 2", "week 1"], [10.0, 2.0, -1.0]):
        labels = np.array(classes)[y]
        model = GlassnetClassifier(**SMALL, class_weight={labels[60]: 1000}).fit(X, labels)
        flowers = model.predict(X)[50:]
        assert (flowers == labels[60]).mean() > 0.9
        assert (
            model.predict_proba(X)[50:].argmax(1) != np.argmax(model.classes_ == labels[60])
        ).any()
        again = pickle.loads(pickle.dumps(model))
        assert np.array_equal(again.predict(X)[50:], flowers)
    flags = GlassnetClassifier(**SMALL, class_weight={True: 2.0}).fit(X, y == 0)
    assert flags.recipe_.class_weights == {"False": 1.0, "True": 2.0}


def test_balanced_classes_count_the_weights_of_their_rows() -> None:
    X, y = rare()
    weights = np.where(y == 1, 0.9, 0.1)  # both classes weigh nearly the same
    model = GlassnetClassifier(**SMALL, class_weight="balanced").fit(X, y, sample_weight=weights)
    found = model.recipe_.class_weights
    assert found["1"] / found["0"] == pytest.approx(0.1 * (y == 0).sum() / 0.9 / (y == 1).sum())
    whole = np.where(y == 1, 9, 1)
    repeated = GlassnetClassifier(**SMALL, class_weight="balanced").fit(X, y, sample_weight=whole)
    assert repeated.facts_.class_counts[1] > repeated.facts_.class_counts[0] * 0.8


def test_class_weights_that_are_none_are_refused(iris: Any) -> None:
    for wrong, message in (
        ("balance", "class_weights.*balanced"),
        ({0: 0}, "above 0"),
        ({0: 1, 7: 2}, "classes, .1, 2., are not in class_weight"),
        ([1, 2, 3], "class_weights"),
    ):
        with pytest.raises(ValueError, match=message):
            GlassnetClassifier(**SMALL, class_weight=wrong).fit(*iris)


@pytest.mark.parametrize("split", ["fixed", "kfold"])
def test_costs_choose_a_threshold_on_the_validation_rows(split: str) -> None:
    X, y = rare()
    knobs = {"costs": {"1": {"0": 9}}, "split.mode": split, "split.folds": 2}
    model = GlassnetClassifier(**SMALL, knobs=knobs).fit(X, y)
    assert model.decision_.reason == "costs"
    assert model.decision_.examples == (80 if split == "fixed" else 400)
    assert np.array_equal(
        model.predict(X), model.predict_proba(X)[:, 1] >= model.decision_.threshold
    )
    with pytest.raises(ValueError, match="costs names the class '3'"):
        GlassnetClassifier(**SMALL, knobs={"costs": {3: 9}}).fit(X, y)


def test_the_weights_of_the_second_training_answer(in_tmp: Path, iris: Any) -> None:
    X, y = iris
    model = GlassnetClassifier(**{**SMALL, "epochs": 5}, runs="kept").fit(X, y)
    assert model.recipe_.split.refit
    first = load_file(Path(model.run_) / "validated.safetensors")
    last = load_file(Path(model.run_) / "model.safetensors")
    found = model.network_.state_dict()
    assert all(torch.equal(weight, last[name]) for name, weight in found.items())
    assert not all(torch.equal(weight, first[name]) for name, weight in found.items())
    assert model.n_iter_ == len(model.history_) == 5


def test_no_second_training_where_rows_would_count_twice(iris: Any) -> None:
    X, y = iris
    quick = {**SMALL, "epochs": 2}
    few = GlassnetClassifier(**quick, knobs={"split.refit": True}).fit(X[::10], y[::10])
    assert not few.recipe_.split.refit
    weighed = GlassnetClassifier(**quick).fit(X, y, sample_weight=np.linspace(0.1, 1, 150))
    assert not weighed.recipe_.split.refit
    assert "not learned from" in weighed.problems_[0]
    lonely = GlassnetClassifier(**quick).fit(X[:101], y[:101])  # one row of the third class
    assert lonely.recipe_.split.refit
    counted = GlassnetClassifier(**quick).fit(X, y, sample_weight=np.arange(150) % 3)
    assert counted.recipe_.split.refit


# --- Seeds, pickles, runs -------------------------------------------------------------------------


def test_a_seed_gives_the_same_weights_and_no_seed_follows_numpys() -> None:
    X, y = load_diabetes(return_X_y=True)

    def answers(state: Any) -> Any:
        return (
            GlassnetRegressor(**{**QUICK, "random_state": state, "epochs": 2}).fit(X, y).predict(X)
        )

    assert np.array_equal(answers(3), answers(3))
    assert not np.array_equal(answers(3), answers(4))
    np.random.seed(0)  # noqa: NPY002
    first, second = answers(None), answers(None)
    np.random.seed(0)  # noqa: NPY002
    assert np.array_equal(first, answers(None))
    assert not np.array_equal(first, second)
    assert np.array_equal(answers(np.random.RandomState(0)), answers(np.random.RandomState(0)))


@pytest.mark.parametrize("runs", [None, "kept"])
def test_fitting_leaves_torchs_random_numbers_and_threads_alone(
    iris: Any, in_tmp: Path, runs: str | None
) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    model = GlassnetClassifier(**QUICK, runs=runs, class_weight="balanced").fit(*iris)
    pickle.loads(pickle.dumps(model)).predict(iris[0])
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()


def test_an_interrupt_ends_the_script_and_leaves_nothing(
    iris: Any, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(in_tmp))
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        GlassnetClassifier(**{**QUICK, "epochs": 100_000}).fit(*iris)
    assert not list(in_tmp.iterdir())


def test_tells_what_it_does_if_it_is_asked_to(iris: Any, capsys: Any) -> None:
    X = pd.DataFrame({"length": iris[0][:, 2], "always": 1.0})
    quiet = GlassnetClassifier(**QUICK).fit(X, iris[1])
    assert quiet.problems_ == ["column 'always': is '1.0' in every training row; not used"]
    assert capsys.readouterr() == ("", "")
    GlassnetClassifier(**QUICK, verbose=True).fit(X, iris[1])
    assert "epoch 25/25" in (told := capsys.readouterr().err)
    assert "'always'" in told


@pytest.mark.parametrize("split", ["fixed", "kfold"])
def test_pickle_and_joblib_keep_the_answers(iris: Any, split: str) -> None:
    X, y = iris
    model = GlassnetClassifier(**{**QUICK, "epochs": 4}, knobs={"split.mode": split}).fit(X, y)
    expected = model.predict_proba(X)
    assert np.array_equal(expected, pickle.loads(pickle.dumps(model)).predict_proba(X))
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    assert np.array_equal(expected, joblib.load(file).predict_proba(X))
    assert model.n_iter_ == len(model.history_) == (4 if split == "fixed" else 20)


def test_a_network_of_ones_own_is_trained_and_pickled(
    iris: Any, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_tmp))
    Path("mine.py").write_text(OWN, encoding="utf-8")
    model = GlassnetClassifier(**{**QUICK, "network": "mine.py", "epochs": 3}).fit(*iris)
    expected = model.predict_proba(iris[0])
    assert np.array_equal(expected, pickle.loads(pickle.dumps(model)).predict_proba(iris[0]))


def test_nothing_is_left_behind_unless_it_is_asked_for(
    iris: Any, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(in_tmp))
    GlassnetClassifier(**QUICK).fit(*iris)
    assert not list(in_tmp.iterdir())


def test_a_kept_run_is_a_run_like_any_other(in_tmp: Path) -> None:
    X, y = mixed()
    model = GlassnetClassifier(**QUICK, runs="kept").fit(X, y)
    run = glassnet.load(model.run_)
    assert run.report.is_file()
    assert run.facts.target.name == "sold"
    found = [prediction.details["probabilities"]["yes"] for prediction in run.predict(X)]
    assert found == pytest.approx(model.predict_proba(X)[:, 1], abs=1e-6)
    before = run.metrics["accuracy"]
    assert run.evaluate().metrics["accuracy"] == before
    quiet = GlassnetClassifier(**QUICK).fit(X, y)
    assert np.array_equal(model.predict_proba(X), quiet.predict_proba(X))


def test_a_kept_run_of_weighed_rows_names_their_column(in_tmp: Path) -> None:
    X, y = mixed()
    X = X.rename(columns={"count": "sample_weight"})
    weights = np.linspace(0.5, 1.5, len(X))
    model = GlassnetClassifier(**SMALL, runs="kept", class_weight="balanced").fit(X, y, weights)
    run = glassnet.load(model.run_)
    assert run.recipe.weights == "sample_weight_"
    assert [prediction.answer for prediction in run.predict(X)] == model.predict(X).tolist()
    stored = pl.read_parquet(run.recipe.data)
    assert stored["sample_weight"].max() > 2
    assert stored["sample_weight_"].mean() == pytest.approx(1, abs=0.2)


def test_a_class_that_a_file_cannot_hold_cannot_be_kept(iris: Any, in_tmp: Path) -> None:
    X, y = iris
    with pytest.raises(ValueError, match="cannot be kept.*runs=None"):
        GlassnetClassifier(**QUICK, runs="kept").fit(X, np.array(["?", "a", "b"])[y])


@pytest.mark.parametrize("asked", [QUICK, {**SMALL, "class_weight": "balanced"}])
def test_the_result_is_that_of_glassnet_train(
    in_tmp: Path, iris: Any, asked: dict[str, Any]
) -> None:
    frame = pl.DataFrame(iris[0], schema=["a", "b", "c", "d"])
    table = frame.with_columns(kind=pl.Series(np.array(["x", "y", "z"])[iris[1]]))
    table = table.sort(table.columns)  # the order that the estimator puts any rows into
    knobs = {name: asked[name] for name in ("network", "epochs", "lr", "batch_size")}
    knobs["class_weights"] = asked.get("class_weight")
    run = glassnet.train(
        table, target="kind", show=False, fit={"seed": 7}, split={"seed": 7, "test": 0}, **knobs
    )
    model = GlassnetClassifier(**{**asked, "random_state": 7}).fit(frame, iris[1])
    weights, ours = run.network.state_dict(), model.network_.state_dict()
    assert all(torch.equal(weight, ours[name]) for name, weight in weights.items())
    assert model.history_[-1]["epoch"] == 25
    assert "accuracy" in model.history_[-1]


# --- Bad input ------------------------------------------------------------------------------------


def test_names_what_is_wrong(iris: Any) -> None:
    X, y = iris
    model = GlassnetClassifier(**QUICK)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ValueError, match="nothing to learn"):
        model.fit(X, np.ones(150))
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit(X, X[:, 0])
    for missing in (None, pd.NA, np.nan):
        with pytest.raises(ValueError, match="contains NaN"):
            model.fit(X, pd.Series([missing, *y[1:].astype(str)], dtype=object))
    with pytest.raises(ValueError, match="infinity"):
        model.fit(np.where(X > 7, np.inf, X), y)
    with pytest.raises(ValueError, match="infinity in the column 'a'"):
        model.fit(pd.DataFrame({"a": [np.inf, 1.0], "b": [1, 2]}), [0, 1])
    with pytest.raises(ValueError, match="no column to learn from.*every training row"):
        model.fit(np.ones((30, 2)), np.arange(30) % 2)
    with pytest.raises(ValueError, match="2 columns called 'a'"):
        model.fit(pd.DataFrame(X[:, :2], columns=["a", "a"]), y)
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(pd.DataFrame({"a": []}), [])
    with pytest.raises(ValueError, match="1d array"):
        GlassnetRegressor().fit(X, X[:, :2])


def test_a_knob_that_is_wrong_is_named(iris: Any) -> None:
    for wrong, message in (
        ({"epochs": 0}, "fit.epochs"),
        ({"lr": "fast"}, "fit.lr"),
        ({"network": "mpl"}, "Did you mean 'mlp'"),
        ({"knobs": {"epochz": 3}}, "Did you mean 'fit.epochs'"),
        ({"knobs": {"fit.seed": -1}}, "fit.seed"),
        ({"validation_fraction": 1.5}, "split.validation"),
        ({"knobs": {"doctor": "full"}}, "no data doctor"),
        ({"knobs": "fast"}, "knobs must be a dictionary"),
    ):
        with pytest.raises(glassnet.UserError, match=message):
            GlassnetClassifier(**wrong).fit(*iris)


def test_columns_must_be_those_of_training() -> None:
    X, y = mixed()
    model = GlassnetClassifier(**QUICK).fit(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X.rename(columns={"size": "length"}))
    with (
        pytest.warns(UserWarning, match="feature names"),
        pytest.raises(ValueError, match="X has 1"),
    ):
        model.predict(X.to_numpy()[:, :1])


def test_clones_share_nothing_but_their_knobs(iris: Any) -> None:
    model = GlassnetClassifier(**QUICK).fit(*iris)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(iris[0])
