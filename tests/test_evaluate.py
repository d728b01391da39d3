"""Figures of quality agree with known libraries', and their intervals hold what they say."""

from __future__ import annotations

import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as known
from trainings import table

import glassnet
from glassnet import evaluate, metrics
from glassnet.errors import UserError
from glassnet.evaluate import paired
from glassnet.evaluate.intervals import Estimate, bootstrap, estimates, wilson
from glassnet.run import Run
from glassnet.task import Metric, Outcome

QUICK: dict[str, Any] = {"epochs": 2, "threads": 1, "show": False}


# --- Intervals ------------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.data())
@settings(deadline=None)
def test_the_interval_of_a_share_is_wilson_s(num: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, num))
    expected = stats.binomtest(hits, num).proportion_ci(0.95, method="wilson")
    low, high = wilson(hits / num, num)
    assert low == pytest.approx(expected.low, abs=1e-6)
    assert high == pytest.approx(expected.high, abs=1e-6)
    assert 0 <= low <= hits / num + 1e-12
    assert hits / num - 1e-12 <= high <= 1


def mean(outcome: Outcome) -> float:
    return float(outcome.outputs.mean())


def test_the_bootstrap_of_a_mean_agrees_with_its_standard_error() -> None:
    torch.manual_seed(0)
    values = torch.randn(400, dtype=torch.float64)
    low, high = bootstrap(mean, Outcome(values, values), 1000)
    half = 1.96 * float(values.std()) / 20
    assert low == pytest.approx(float(values.mean()) - half, abs=0.15 * half)
    assert high == pytest.approx(float(values.mean()) + half, abs=0.15 * half)


def shares(*right: bool) -> Outcome:
    """Answers to examples, right or wrong."""
    return Outcome(torch.tensor(right, dtype=torch.float64), torch.zeros(len(right)))


RIGHT = Metric("accuracy", mean, proportion=True)


def test_a_method_is_better_only_if_its_lead_on_the_same_examples_is_beyond_chance() -> None:
    torch.manual_seed(0)
    hard = torch.rand(300) < 0.5
    own, one_more, another = hard.clone(), hard.clone(), hard.clone()
    one_more[hard.logical_not().nonzero()[:1]] = True
    another[hard.logical_not().nonzero()[:30]] = True
    others = {"one more": shares(*one_more), "another": shares(*another), "half": shares(*~hard)}
    plain = {name: estimates((RIGHT,), outcome) for name, outcome in others.items()}
    figures = estimates((RIGHT,), shares(*own))
    # Beside each other, the intervals of the two figures say nothing: they overlap.
    assert plain["another"]["accuracy"].low < figures["accuracy"].high
    gains = paired.differences([RIGHT], shares(*own), others)
    better, equal = paired.told([RIGHT], figures, plain, gains)
    assert "Plainer methods are better" in better and "another (0.1000 better" in better
    assert "As good as the network" in equal and "one more (0.0033 better" in equal
    assert "one more" not in better and "another" not in equal


def test_a_handful_of_examples_tells_nothing_apart() -> None:
    own, other = shares(*[False] * 5), shares(*[True] * 5)
    assert paired.difference(RIGHT, own, other) is None
    (note,) = paired.told(
        [RIGHT], {"accuracy": Estimate(0, 0, 1)}, {"a": {"accuracy": Estimate(1, 0, 1)}}, {}
    )
    assert "cannot be told" in note


def test_what_the_network_beats_beyond_chance_is_not_worth_a_note() -> None:
    own, other = shares(*[True] * 50), shares(*[True, False] * 25)
    gains = paired.differences([RIGHT], own, {"a": other})
    assert gains["a"].low > 0
    figures = {"accuracy": Estimate(1, 1, 1)}
    assert not list(paired.told([RIGHT], figures, {"a": figures}, gains))


def test_examples_that_hang_together_are_drawn_together() -> None:
    def blocks(outcome: Outcome) -> Outcome:
        means = outcome.outputs.unflatten(0, (-1, 50)).mean(1)
        return Outcome(means, means)

    torch.manual_seed(0)
    # Ten stretches of fifty examples that are all alike: ten examples, not five hundred.
    lead = torch.randn(10, dtype=torch.float64).repeat_interleave(50) + 0.3
    own, other = Outcome(lead, lead), Outcome(0 * lead, lead)
    alone = paired.difference(Metric("mean", mean), own, other)
    together = paired.difference(Metric("mean", mean, blocks=blocks), own, other)
    assert alone is not None and together is not None
    assert together.high - together.low > 4 * (alone.high - alone.low)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(1)
    covered = 0
    for _ in range(200):
        values = torch.randn(60, generator=generator, dtype=torch.float64)
        low, high = bootstrap(mean, Outcome(values, values), 300)
        covered += low <= 0 <= high
    assert 0.89 <= covered / 200 <= 0.985


def test_the_same_answers_give_the_same_interval_and_leave_torch_s_random_state_alone() -> None:
    values = torch.randn(50)
    before = torch.get_rng_state()
    one = bootstrap(mean, Outcome(values, values), 50)
    assert one == bootstrap(mean, Outcome(values, values), 50)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_metric_without_a_value_is_left_out() -> None:
    nothing = Metric("nothing", lambda _: math.nan)
    something = Metric("something", lambda _: 0.5, proportion=True)
    found = estimates((nothing, something), Outcome(torch.zeros(4), torch.zeros(4)))
    assert list(found) == ["something"]


# --- Metrics, compared with scikit-learn ----------------------------------------------------------

shapes = st.tuples(st.integers(2, 7), st.integers(10, 60), st.integers(0, 10**6), st.booleans())


def answers(shape: tuple[int, int, int, bool]) -> Outcome:
    """Logits and classes; coarse ones are full of ties."""
    classes, num, seed, coarse = shape
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num, classes, generator=generator)
    logits = (logits * 2).round() / 2 if coarse else logits
    return Outcome(logits, torch.randint(classes, (num,), generator=generator))


def shares_of(outcome: Outcome) -> Any:
    return outcome.outputs.double().softmax(1).numpy()


@given(shapes)
@settings(deadline=None, max_examples=40)
def test_metrics_of_classes_agree_with_scikit_learn(shape: tuple[int, int, int, bool]) -> None:
    outcome = answers(shape)
    truth, shares = outcome.targets.numpy(), shares_of(outcome)
    predicted, labels = outcome.outputs.argmax(1).numpy(), range(shape[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about classes that are not there
        expected = {
            "accuracy": known.accuracy_score(truth, predicted),
            "log_loss": known.log_loss(truth, shares, labels=list(labels)),
            "balanced_accuracy": known.balanced_accuracy_score(truth, predicted),
            "macro_f1": known.f1_score(truth, predicted, average="macro"),
        }
    found = {m.name: m.compute(outcome) for m in metrics.CLASSIFICATION}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


@given(shapes)
@settings(deadline=None, max_examples=40)
def test_areas_agree_with_scikit_learn_with_ties_too(shape: tuple[int, int, int, bool]) -> None:
    outcome = answers(shape)
    shares = shares_of(outcome)
    classes = range(shape[0]) if shape[0] > 2 else [1]
    roc, precision_recall = [], []
    for label in classes:
        truth = (outcome.targets == label).numpy()
        if truth.any() and not truth.all():
            roc.append(known.roc_auc_score(truth, shares[:, label]))
            precision_recall.append(known.average_precision_score(truth, shares[:, label]))
    if roc:
        assert metrics.roc_auc(outcome) == pytest.approx(np.mean(roc))
        assert metrics.average_precision(outcome) == pytest.approx(np.mean(precision_recall))


@given(shapes)
@settings(deadline=None, max_examples=30)
def test_top_five_agrees_with_scikit_learn(shape: tuple[int, int, int, bool]) -> None:
    outcome = answers((shape[0] + 4, shape[1], shape[2], False))
    labels = list(range(shape[0] + 4))
    expected = known.top_k_accuracy_score(
        outcome.targets.numpy(), outcome.outputs.numpy(), k=5, labels=labels
    )
    assert metrics.top5(outcome) == pytest.approx(expected)


@given(st.integers(2, 60), st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_metrics_of_numbers_agree_with_scikit_learn(num: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    outcome = Outcome(*torch.randn(2, num, generator=generator, dtype=torch.float64))
    truth, found = outcome.targets.numpy(), outcome.outputs.numpy()
    assert metrics.rmse(outcome) == pytest.approx(known.root_mean_squared_error(truth, found))
    assert metrics.mae(outcome) == pytest.approx(known.mean_absolute_error(truth, found))
    assert metrics.r2(outcome) == pytest.approx(known.r2_score(truth, found))


@pytest.mark.parametrize("metric", metrics.CLASSIFICATION, ids=lambda m: m.name)
def test_perfect_answers_are_perfect_by_every_metric(metric: Metric) -> None:
    targets = torch.arange(7).repeat(5)
    outcome = Outcome(torch.nn.functional.one_hot(targets).float() * 100, targets)
    assert metric.compute(outcome) == pytest.approx(1.0 if metric.better == "higher" else 0.0)


# --- Evaluating a run -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    data = table(folder / "data.csv")
    return glassnet.train(data, target="y", runs=folder / "runs", **QUICK).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run beside a copy of its data."""
    shutil.copy(trained.parent.parent / "data.csv", tmp_path / "data.csv")
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_every_figure_lies_within_its_interval(run: Path) -> None:
    found = glassnet.load(run).evaluate()
    assert found.examples == len(Run(run).splits().validation)
    assert {"accuracy", "log_loss", "roc_auc"} <= found.metrics.keys()
    for name, estimate in found.metrics.items():
        assert estimate.low <= estimate.value <= estimate.high, name


def test_evaluating_again_gives_the_same_figures(run: Path) -> None:
    assert glassnet.load(run).evaluate() == glassnet.load(run).evaluate()


def test_data_that_have_moved_are_named_by_the_caller(run: Path, tmp_path: Path) -> None:
    moved = glassnet.load(run).evaluate(data=tmp_path / "data.csv")
    assert moved == glassnet.load(run).evaluate()


def test_data_that_have_changed_are_refused(run: Path, tmp_path: Path) -> None:
    with (tmp_path / "data.csv").open("a") as file:
        file.write("1,2,red,high\n")
    with pytest.raises(UserError, match=r"is not what .* was trained on.*other rows"):
        glassnet.load(run).evaluate(data=tmp_path / "data.csv")


def test_a_run_without_test_rows_has_nothing_to_open(tmp_path: Path) -> None:
    run = glassnet.train(
        table(tmp_path / "x.csv"), target="y", runs=tmp_path, **{"split.test": 0}, **QUICK
    )
    with pytest.raises(UserError, match=r"has no test rows: split\.test was 0"):
        run.evaluate(test=True)
    assert not (run.path / "test-openings.jsonl").exists()


def test_an_opening_is_noted_before_anything_is_seen_even_if_it_then_fails(run: Path) -> None:
    loaded = glassnet.load(run)
    (run / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(UserError, match="damaged"):
        loaded.evaluate(test=True)
    assert len(Run(run).rows("test-openings.jsonl")) == 1


def test_the_report_can_be_written_when_an_opening_was_noted_and_no_more(run: Path) -> None:
    Run(run).append("test-openings.jsonl", {"opened": "2026-01-01T00:00:00+00:00"})
    loaded = glassnet.load(run)
    loaded.evaluate()
    assert "2026-01-01" in loaded.report.read_text(encoding="utf-8")


def test_the_answers_of_folds_are_each_given_by_the_network_that_never_saw_the_row(
    tmp_path: Path,
) -> None:
    data = table(tmp_path / "x.csv", 60)
    knobs = {"split.mode": "kfold", "split.folds": 3, **QUICK}
    run = glassnet.train(data, target="y", runs=tmp_path, **knobs)
    trained = run._trained
    review = evaluate.look(trained, "validation", trained.source())
    assert len(review.outcome.targets) == 48
    whole = [evaluate.Trained(fold, trained.task) for fold in trained.run.folds()]
    parts = [trained.task.score(t.network, t.examples("validation", t.source()), t.facts)
             for t in whole]  # fmt: skip
    assert torch.equal(review.outcome.outputs, torch.cat([part.outputs for part in parts]))
    names = [review.name(i) for i in range(48)]
    assert len(set(names)) == 48
    assert torch.equal(review.examples.batch(torch.tensor([47])).targets,
                       review.outcome.targets[47:])  # fmt: skip
