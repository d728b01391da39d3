"""glassnet from Python: the same words as on the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from trainings import assert_same_end, same_bits, table, weights

import glassnet
from glassnet.run import Run

pytestmark = pytest.mark.usefixtures("in_tmp")
QUICK: dict[str, Any] = {"epochs": 2, "threads": 1, "show": False}


def frame() -> pl.DataFrame:
    return pl.read_csv(table(Path("made.csv")))


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, glassnet; assert not {'torch', 'numpy', 'polars'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_knobs_may_be_short_full_or_nested() -> None:
    runs = [
        glassnet.train("iris", lr=0.01, **QUICK),
        glassnet.train("iris", **{"fit.lr": 0.01}, **QUICK),
        glassnet.train("iris", fit={"lr": 0.01, "epochs": 2, "threads": 1}, show=False),
    ]
    assert runs[0].recipe.fit == runs[1].recipe.fit == runs[2].recipe.fit
    first = weights(Run(runs[0].path))
    assert all(same_bits(weights(Run(run.path)), first) for run in runs)
    assert [run.path.name for run in runs] == ["iris-tabm", "iris-tabm-2", "iris-tabm-3"]


def test_a_network_may_be_a_name_or_a_dictionary() -> None:
    run = glassnet.train("iris", network={"name": "mlp", "hidden": [7]}, **QUICK)
    assert any(7 in tensor.shape for tensor in weights(Run(run.path)).values())
    assert glassnet.train("iris", network="perceptron", **QUICK).recipe.network.name == "perceptron"


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_training_from_a_data_frame_equals_training_from_the_file(library: str) -> None:
    data = frame() if library == "polars" else pd.read_csv(table(Path("made.csv")))
    run = glassnet.train(data, target="y", **QUICK)
    from_file = glassnet.train("made.csv", target="y", **QUICK)
    assert same_bits(weights(Run(run.path)), weights(Run(from_file.path)))
    answers = [p.answer for p in run.predict(data)]
    assert answers == [p.answer for p in from_file.predict("made.csv")]
    assert glassnet.load(run.path).evaluate().metrics == run.evaluate().metrics


def test_a_pandas_frame_with_an_index_of_its_own_trains() -> None:
    data = pd.read_csv(table(Path("made.csv")))
    data.index = pd.Index([f"id{i}" for i in range(len(data))])
    data["colour"] = data["colour"].astype("category")
    run = glassnet.train(data, target="y", **QUICK)
    assert len(run.predict(data[:3])) == 3


def test_training_from_arrays_of_pictures() -> None:
    digits = load_digits()
    x = (digits.images * 15).astype(np.uint8)
    run = glassnet.train((x, digits.target), network="lenet", epochs=3, threads=1, show=False)
    answers = run.predict(x[:4])
    assert [answer.answer for answer in run.predict(x[0])] == [answers[0].answer]
    assert run.metrics["accuracy"].value > 0.3


def test_training_from_arrays_of_numbers() -> None:
    inputs, targets = load_diabetes(return_X_y=True)
    run = glassnet.train((inputs, targets), target="target", **QUICK)
    assert run.recipe.task == "table-regression"
    assert run.metrics["rmse"].value > 0


def test_tensors_are_arrays() -> None:
    inputs, targets = torch.randn(80, 3), torch.arange(80) % 2
    run = glassnet.train((inputs, targets), target="target", **QUICK)
    assert run.recipe.task == "table-classification"


def test_data_of_no_known_kind_are_refused() -> None:
    with pytest.raises(glassnet.UserError, match="found int"):
        glassnet.train(3, **QUICK)
    with pytest.raises(glassnet.UserError, match="differ in length: 3 and 4"):
        glassnet.train((np.zeros((3, 2)), np.zeros(4)), **QUICK)


def test_a_frame_without_a_target_says_which_columns_there_are() -> None:
    with pytest.raises(glassnet.UserError, match="width, height, colour, y"):
        glassnet.train(frame(), **QUICK)


def test_one_row_or_a_list_of_rows_is_answered() -> None:
    run = glassnet.train(frame(), target="y", **QUICK)
    rows = frame().drop("y")[:3].to_dicts()
    many = run.predict(rows)
    (one,) = run.predict(rows[0])
    assert one.answer == many[0].answer
    assert [p.answer for p in many] == [p.answer for p in run.predict(frame()[:3])]


def test_a_loaded_run_answers_as_the_fresh_one_even_when_it_was_moved() -> None:
    fresh = glassnet.train(frame(), target="y", **QUICK)
    expected = fresh.predict(frame()), fresh.recipe, fresh.facts
    shutil.move(fresh.path, "moved")
    shutil.rmtree("runs")
    loaded = glassnet.load("moved")
    assert (loaded.predict(frame()), loaded.recipe, loaded.facts) == expected
    assert "accuracy" in repr(loaded)
    assert not loaded.network.training


def test_a_run_shows_itself_in_a_notebook() -> None:
    html = glassnet.train("iris", **QUICK)._repr_html_()
    assert html.startswith("<iframe")
    assert "How good it is" in html


def test_inspecting_says_what_is_there() -> None:
    look = glassnet.inspect("iris")
    assert look.kind == "table"
    assert ("Rows", "150") in look.summary


def test_progress_is_shown_on_standard_error_only(capsys: pytest.CaptureFixture[str]) -> None:
    glassnet.train("iris", epochs=2, threads=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 2/2" in err


def test_a_process_of_its_own_trains_to_the_same_weights() -> None:
    here = glassnet.train("iris", name="here", **QUICK)
    code = "import glassnet; glassnet.train('iris', name='there', epochs=2, threads=1, show=False)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert_same_end(Run("runs/there"), Run(here.path))


def test_training_may_happen_in_a_thread() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(glassnet.train, "iris", **QUICK).result()
    assert run.metrics
