"""Rare classes and dear mistakes: weights, losses, thresholds, and what reports say first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as known
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor
from trainings import assert_same_end, drop_at, go_on, new_run, play, recipe_for, weights
from trainings import glassnet as command

import glassnet
from glassnet import balance, catalog, curves, decisions, losses, metrics, tilt
from glassnet.decisions import Decision, Stakes
from glassnet.errors import UserError
from glassnet.networks._posterior import Posterior
from glassnet.networks.tabm import TabM
from glassnet.run import Run
from glassnet.task import Outcome

QUICK: dict[str, Any] = {"epochs": 4, "threads": 1, "show": False, "network.hidden": [16]}
COSTS = {"bad": {"good": 30}, "good": {"bad": 1}}


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Breast cancer, of which one in thirteen is malignant."""
    return write(tmp_path_factory.mktemp("rare") / "cancer.csv", malignant=30)


def write(path: Path, malignant: int) -> Path:
    frame = pl.from_pandas(load_breast_cancer(as_frame=True).frame)
    names = pl.col("target").replace_strict({0: "bad", 1: "good"}, return_dtype=pl.String)
    frame = frame.with_columns(names)
    good, bad = (frame.filter(pl.col("target") == name) for name in ("good", "bad"))
    pl.concat([good, bad[:malignant]]).write_csv(path)
    return path


@pytest.fixture(scope="module")
def cheap(rare: Path) -> Path:
    """A run that was trained with costs."""
    knobs = {**QUICK, "network": "mlp"}  # it learns enough in these few epochs
    found = glassnet.train(rare, target="target", costs=COSTS, runs=rare.parent / "runs", **knobs)
    return found.path


@pytest.fixture
def run(cheap: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(cheap, tmp_path / "run"))


# --- Losses ---------------------------------------------------------------------------------------


def logits_and_targets(num: int = 60, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num, classes, generator=generator, dtype=torch.float64) * 2
    targets = torch.randint(classes, (num,), generator=generator)
    return logits.requires_grad_(), targets


def test_a_class_of_weight_three_is_learned_like_rows_that_stand_there_three_times() -> None:
    logits, targets = logits_and_targets(classes=2)
    counts = torch.bincount(targets).tolist()
    given = balance.class_weights({"b": 3.0}, ["a", "b"], counts)
    assert given is not None
    weighted = losses.by_class(losses.cross_entropy(), given)(logits, targets).mean()
    repeated = torch.cat([torch.arange(60), *[(targets == 1).nonzero().flatten()] * 2])
    plain = losses.cross_entropy()(logits[repeated], targets[repeated]).mean()
    assert weighted.item() == pytest.approx(plain.item(), rel=1e-6)
    slopes = [torch.autograd.grad(loss, logits)[0] for loss in (weighted, plain)]
    assert torch.allclose(*slopes, atol=1e-8)


def test_balanced_classes_weigh_the_same_together_and_one_per_example_on_average() -> None:
    counts = [900, 90, 10]
    found = balance.class_weights("balanced", ["a", "b", "c"], counts)
    assert found == pytest.approx([1000 / (3 * n) for n in counts])


def test_the_focal_loss_is_that_of_the_paper() -> None:
    logits, targets = logits_and_targets()
    p = logits.softmax(1)[torch.arange(60), targets]
    for gamma in (0.5, 2.0, 5.0):
        expected = -((1 - p) ** gamma) * p.log()
        assert torch.allclose(losses.focal(gamma)(logits, targets), expected, atol=1e-9)
    plain = losses.cross_entropy()(logits, targets)
    assert torch.allclose(losses.focal(0.0)(logits, targets), plain)


def test_the_focal_loss_has_a_finite_slope_where_the_answer_is_certain() -> None:
    logits = torch.tensor([[80.0, -80.0], [0.0, 0.0], [-80.0, 80.0]], requires_grad=True)
    losses.focal(0.5)(logits, torch.zeros(3, dtype=torch.int64)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", [losses.focal(2.0), losses.by_class(losses.focal(2.0), [1, 2, 3])])
def test_each_member_of_a_network_has_its_own_loss(loss: losses.Loss) -> None:
    logits, targets = logits_and_targets()
    members = torch.stack([logits, logits * 2, -logits], 1)
    each = loss(members, targets)
    assert each.shape == (60, 3)
    assert torch.allclose(each[:, 1], loss(logits * 2, targets))


@given(st.integers(2, 6), st.floats(0.5, 5), st.integers(0, 10**6), st.floats(0.3, 4))
@settings(deadline=None, max_examples=60)
def test_probabilities_are_those_for_which_the_tilted_loss_has_asked(
    classes: int, gamma: float, seed: int, spread: float
) -> None:
    """At its minimum the expected loss, with the probabilities that come out, has no slope."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(classes, generator=generator, dtype=torch.float64) * spread
    weigh = (torch.rand(classes, generator=generator, dtype=torch.float64) + 0.1).tolist()
    posterior = Posterior(weigh, gamma).double().eval()
    honest = posterior(logits[None])[0].softmax(0).double()
    logits = logits.clone().requires_grad_()
    tilted = losses.by_class(losses.focal(gamma), weigh)
    expected = (tilted(logits.expand(classes, -1), torch.arange(classes)) * honest).sum()
    (slope,) = torch.autograd.grad(expected, logits)
    assert slope.abs().max() < 2e-6


def test_certain_answers_stay_finite_and_keep_their_order_when_the_focal_loss_is_undone() -> None:
    logits = torch.linspace(-90, 90, 181)[:, None] * torch.tensor([1.0, -1.0])
    shares = Posterior([1.0, 1.0], 2.0).eval()(logits)
    assert shares.isfinite().all()
    assert ((shares[:, 0] - shares[:, 1]).diff() > 0).all()


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_label_smoothing_and_class_weights_leave_the_smoothed_probabilities(loss: str) -> None:
    """Of 70, 20 and 10 in a hundred, smoothed by 0.3, whatever the weights are."""
    truth = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    smoothing = 0.3 if loss == "cross_entropy" else 0.0
    facts = SimpleNamespace(classes=list("abc"), class_counts=[70, 20, 10])
    knobs = SimpleNamespace(costs=None, class_weights="balanced", loss=loss, focal_gamma=2.0)
    knobs.label_smoothing = smoothing
    plain = losses.cross_entropy(smoothing) if loss == "cross_entropy" else losses.focal(2.0)
    minimized = tilt.tilted(plain, knobs, facts)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def slope() -> Tensor:
        search.zero_grad()
        expected = (minimized(logits.expand(3, -1), torch.arange(3)) * truth).sum()
        expected.backward()  # type: ignore[no-untyped-call]
        return expected

    search.step(slope)  # type: ignore[no-untyped-call]
    found = tilt.levelled(torch.nn.Identity(), knobs, facts).eval()(logits.detach()[None])
    wanted = (1 - smoothing) * truth + smoothing / 3
    assert torch.allclose(found[0].softmax(0).double(), wanted, atol=1e-4)


def test_the_common_answer_of_members_is_corrected_as_a_whole() -> None:
    facts = SimpleNamespace(classes=list("ab"), class_counts=[90, 10])
    knobs = SimpleNamespace(class_weights="balanced", loss="cross_entropy")
    network = TabM((3,), 2, members=4)
    torch.nn.init.normal_(network.output.weight)
    levelled, inputs = tilt.levelled(network, knobs, facts), torch.randn(5, 3)
    assert levelled(inputs).shape == (5, 4, 2)
    tilted = network.eval()(inputs).exp() / torch.tensor([1 / 90, 1 / 10])
    honest = tilted / tilted.sum(1, keepdim=True)
    assert torch.allclose(levelled.eval()(inputs).softmax(1), honest, atol=1e-6)


def test_class_weights_do_not_count_twice_where_nothing_is_corrected() -> None:
    facts = SimpleNamespace(classes=list("ab"), class_counts=[90, 10])
    knobs = SimpleNamespace(costs=None, class_weights="balanced", loss="perceptron")
    assert decisions.decide(knobs, facts, None) is None


def test_while_training_the_loss_sees_the_logits_as_they_are() -> None:
    logits = torch.randn(4, 3)
    assert torch.equal(Posterior([1.0, 5.0, 1.0], 2.0).train()(logits), logits)


# --- Thresholds -----------------------------------------------------------------------------------


def cost_of(shares: Tensor, truth: Tensor, threshold: float, stakes: Stakes) -> float:
    yes = shares >= threshold
    missed = (truth * (~yes)).sum() * stakes.missed
    return float((missed + ((1 - truth) * yes).sum() * stakes.alarm) / len(shares))


cases = st.tuples(st.integers(3, 80), st.integers(0, 10**6), st.floats(0.1, 60), st.booleans())


def case(values: tuple[int, int, float, bool]) -> tuple[Tensor, Tensor, Stakes]:
    num, seed, missed, coarse = values
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(num, generator=generator, dtype=torch.float64)
    truth = torch.rand(num, generator=generator, dtype=torch.float64) < shares**2
    return (shares * 8).round() / 8 if coarse else shares, truth, Stakes(missed=missed, alarm=1.0)


@given(cases)
@settings(deadline=None, max_examples=60)
def test_the_cost_of_each_threshold_is_what_brute_force_finds(values: Any) -> None:
    shares, truth, stakes = case(values)
    found, low, high = decisions.costs_at(shares, truth, stakes)
    assert len(found) == len(shares.unique()) + 1
    for cost, above, upto in zip(found.tolist(), low.tolist(), high.tolist(), strict=True):
        for threshold in ((above + upto) / 2, upto):
            expected = cost_of(shares, truth.double(), threshold, stakes)
            assert cost == pytest.approx(expected, abs=1e-9)


@given(cases)
@settings(deadline=None, max_examples=60)
def test_no_other_threshold_costs_less(values: Any) -> None:
    shares, truth, stakes = case(values)
    chosen = decisions.best_threshold(shares, truth, stakes)
    few = min(int(truth.sum()), int((~truth).sum()))
    trust = decisions.PRIOR / (decisions.PRIOR + few)
    mixed = (1 - trust) * truth.double() + trust * shares
    least = cost_of(shares, mixed, chosen, stakes)
    others = [0.0, 1.1, *((a + b) / 2 for a, b in zip(shares, shares.sort().values, strict=True))]
    for other in [*others, *shares.tolist()]:
        assert least <= cost_of(shares, mixed, float(other), stakes) + 1e-9


def test_many_examples_overrule_probabilities_that_are_wrong() -> None:
    torch.manual_seed(0)
    honest = torch.rand(40_000, dtype=torch.float64)
    truth = torch.rand(40_000, dtype=torch.float64) < honest
    wrong = honest**3  # far too small
    stakes = Stakes(missed=4.0, alarm=1.0)
    assert stakes.theoretical == 0.2
    chosen = decisions.best_threshold(wrong, truth, stakes)
    least, naive = (cost_of(wrong, truth.double(), t, stakes) for t in (0.2**3, 0.2))
    assert cost_of(wrong, truth.double(), chosen, stakes) < 1.02 * least
    assert naive > 1.2 * least


def test_few_examples_leave_the_threshold_that_follows_from_the_costs() -> None:
    shares = torch.tensor([0.01, 0.2, 0.6, 0.9], dtype=torch.float64)
    truth = torch.tensor([True, False, False, True])
    assert decisions.best_threshold(shares, truth, Stakes(missed=3.0, alarm=1.0)) == 0.25


def test_of_several_classes_the_answer_costs_least_as_brute_force_finds() -> None:
    logits, _ = logits_and_targets(classes=4)
    matrix = (torch.rand(4, 4, dtype=torch.float64) * 9).fill_diagonal_(0).tolist()
    decision = Decision(reason="costs", classes=list("abcd"), costs=matrix)
    shares = logits.detach().softmax(1).tolist()
    expected = [
        min(range(4), key=lambda a: sum(row[t] * matrix[t][a] for t in range(4))) for row in shares
    ]
    assert decision.answers(logits.detach()).tolist() == expected


def test_equal_costs_answer_with_the_most_probable_class() -> None:
    logits, _ = logits_and_targets(classes=4)
    matrix = balance.cost_matrix({"a": 1.0}, list("abcd"))
    assert matrix is not None
    decision = Decision(reason="costs", classes=list("abcd"), costs=matrix)
    assert torch.equal(decision.answers(logits.detach()), logits.argmax(1))


def test_class_weights_answer_as_the_weighted_network_would_without_correction() -> None:
    logits, _ = logits_and_targets(classes=3)
    facts = SimpleNamespace(classes=list("abc"), class_counts=[80, 15, 5])
    knobs = SimpleNamespace(costs=None, class_weights="balanced", loss="cross_entropy")
    network = tilt.levelled(torch.nn.Identity(), knobs, facts).eval()
    decision = decisions.decide(knobs, facts, None)
    assert decision is not None
    assert torch.equal(decision.answers(network(logits.detach())), logits.argmax(1))


# --- Runs -----------------------------------------------------------------------------------------


def test_answers_follow_the_threshold_in_another_process_without_the_data(
    run: Path, rare: Path, tmp_path: Path
) -> None:
    new = shutil.copy(rare, tmp_path / "new.csv")
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace(str(rare), "/gone/cancer.csv"))
    done = command("predict", run, new, "-o", "answers.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = json.loads((tmp_path / "answers.json").read_text())
    threshold = json.loads((run / "decision.json").read_text())["decision"]["threshold"]
    assert threshold < 0.3
    for answer in answers:
        bad = answer["details"]["probabilities"]["bad"] >= threshold
        assert answer["answer"] == ("bad" if bad else "good")
        assert answer["details"]["rule"].startswith("bad from a probability of")
    likely = [max(a["details"]["probabilities"].items(), key=lambda i: i[1])[0] for a in answers]
    assert likely != [a["answer"] for a in answers], "the threshold must matter here"


def test_the_cost_is_measured_beside_that_of_the_most_probable_class(run: Path) -> None:
    found = glassnet.load(run).evaluate(test=True)
    names = list(found.metrics)
    assert names[:3] == ["mean_cost", "mean_cost_of_most_probable", "average_precision"]
    assert found.metrics["mean_cost"].value <= found.metrics["mean_cost_of_most_probable"].value
    assert any("chosen on" in note for note in found.notes)


def test_the_test_rows_do_not_choose_the_threshold(run: Path) -> None:
    before = (run / "decision.json").read_text()
    glassnet.load(run).evaluate(test=True)
    assert (run / "decision.json").read_text() == before


def test_other_costs_change_the_answers_and_nothing_that_was_learned(run: Path, rare: Path) -> None:
    kept = weights(Run(run), "model.safetensors")
    found = glassnet.load(run)
    first = [p.answer for p in found.predict(rare)]
    found.decide({"bad": 10_000})
    second = [p.answer for p in glassnet.load(run).predict(rare)]
    assert second.count("bad") > first.count("bad")
    assert list(glassnet.load(run).evaluate().metrics)[0] == "mean_cost", "it stays so"
    found.decide(None)
    third = glassnet.load(run).predict(rare)
    assert all("rule" not in p.details for p in third)
    assert all(torch.equal(a, kept[n]) for n, a in weights(Run(run), "model.safetensors").items())


def test_the_command_line_decides_too(cli: Any, run: Path) -> None:
    code, out, err = cli("decide", run, "--costs", "bad: 99, good: {bad: 2}")
    assert code == 0, err
    assert "By the costs, the answer is 'bad' from a probability of" in out
    code, out, err = cli("decide", run, "--costs", "bat: 99")
    assert code == 2
    assert "names the class 'bat', but the target has: bad, good. Did you mean 'bad'?" in err


def test_precision_and_recall_come_first_where_a_class_is_rare(rare: Path, tmp_path: Path) -> None:
    found = glassnet.train(rare, target="target", runs=tmp_path, **QUICK)
    first = [
        name for name in found.metrics if name != "rare_precision"
    ]  # nothing, if never answered
    assert first[:3] == ["average_precision", "rare_recall", "accuracy"]
    assert "always answering 'good' would be right in 92." in found.notes[0]
    assert titles(found)[:2] == ["Precision and recall", "Recall at a precision"]


def test_accuracy_comes_first_where_no_class_is_rare(tmp_path: Path) -> None:
    data = write(tmp_path / "cancer.csv", malignant=212)
    found = glassnet.train(data, target="target", runs=tmp_path, **QUICK)
    assert list(found.metrics)[0] == "accuracy"
    assert not found.notes
    order = titles(found)
    assert order.index("Confusion matrix") < order.index("Precision and recall")
    assert "Recall at a precision" not in order


def titles(run: Any) -> list[str]:
    """The titles of a report's figures, in order."""
    page = run.report.read_text(encoding="utf-8")
    data = page.split('id="glassnet">')[1].split("</script>")[0]
    blocks = [b for s in json.loads(data)["sections"] for b in s["blocks"]]
    return [block["title"] for block in blocks if "title" in block]


@pytest.mark.parametrize("knobs", [{"class_weights": "balanced"}, {"loss": "focal"}],
                         ids=["weights", "focal"])  # fmt: skip
def test_a_run_that_was_dropped_goes_on_to_the_same_weights(
    rare: Path, tmp_path: Path, knobs: dict[str, Any]
) -> None:
    task, recipe = recipe_for(rare, target="target", **knobs)
    whole, part = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe, "part")
    play(task, recipe, whole)
    drop_at(task, recipe, part, 20)
    go_on(task, part)
    assert_same_end(part, whole)


def test_weights_move_the_answers_and_the_probabilities_stay_honest(
    rare: Path, tmp_path: Path
) -> None:
    found = glassnet.train(
        rare, target="target", class_weights={"bad": 40}, network="perceptron", epochs=30,
        threads=1, show=False, runs=tmp_path,
    )  # fmt: skip
    predictions = found.predict(rare)
    shares = [p.details["probabilities"]["bad"] for p in predictions]
    answers = [p.answer for p in predictions]
    assert np.mean(shares) == pytest.approx(30 / 387, abs=0.04)
    assert answers.count("bad") >= 30


def test_a_decision_of_an_interrupted_run_is_made_anew_when_it_has_gone_on(
    run: Path,
) -> None:
    stale = json.loads((run / "decision.json").read_text())
    (run / "decision.json").write_text(json.dumps({**stale, "step": 1}))
    trained = glassnet.load(run)._trained
    assert not trained.is_decided
    assert trained.decision is not None
    assert trained.decision.threshold == pytest.approx(1 / 31)
    glassnet.load(run).evaluate()
    assert json.loads((run / "decision.json").read_text()) == stale


def test_folds_decide_together_by_the_answers_to_rows_that_they_did_not_see(
    rare: Path, tmp_path: Path
) -> None:
    knobs = {"split.mode": "kfold", "split.folds": 2, "costs": COSTS}
    found = glassnet.train(rare, target="target", runs=tmp_path, **{**QUICK, **knobs})
    decision = found._trained.decision
    assert decision is not None
    assert decision.examples == 310
    assert found.predict(rare)[0].details["rule"]


def test_images_know_costs_and_weights_too(tmp_path: Path) -> None:
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) * 16).clip(0, 255).astype(np.uint8)[:300]
    found = glassnet.train(
        (images, labels[:300]), costs={8: {3: 50}}, class_weights="balanced", network="lenet",
        epochs=1, threads=1, show=False, runs=tmp_path,
    )  # fmt: skip
    assert list(found.metrics)[0] == "mean_cost"
    assert found.predict(images[:3])[0].details["rule"] == "least expected cost (costs)"


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"class_weights": {"bat": 3}}, "class_weights names the class 'bat'.*mean 'bad'"),
        ({"class_weights": {"bad": -3}}, "weight of the class 'bad' must be a number above 0"),
        ({"class_weights": {"bad": 0}}, "must be a number above 0"),
        ({"class_weights": {"bad": "much"}}, "must be a number above 0"),
        ({"class_weights": "fair"}, "class_weights: expected balanced, or a weight for each"),
        ({"costs": {"bat": 3}}, "costs names the class 'bat'.*mean 'bad'"),
        ({"costs": {"bad": {"god": 3}}}, "costs.bad names the class 'god'.*mean 'good'"),
        ({"costs": {"bad": {"bad": 3}}}, "the right answer costs 3, more than the wrong answer"),
        ({"costs": {"bad": {"good": "dear"}}}, "cost of answering 'good' for 'bad' must be a numb"),
        ({"costs": 50}, "costs: expected costs by true class and answer such as"),
        ({"costs": [{"bad": 1}, {"bad": 2}]}, "the class 'bad' is named twice"),
        ({"loss": "focal", "label_smoothing": 0.1}, "label_smoothing=0.1 contradicts loss=focal"),
        ({"focal_gamma": -1}, "focal_gamma: Input should be greater than or equal to 0"),
    ],
)
def test_bad_knobs_are_named_before_anything_is_trained(
    rare: Path, tmp_path: Path, knobs: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        glassnet.train(rare, target="target", runs=tmp_path, **{**QUICK, **knobs})


def test_numbers_have_no_costs(rare: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Unknown knob 'costs'"):
        glassnet.train(rare, target="mean radius", costs={"bad": 3}, runs=tmp_path, **QUICK)
    run = glassnet.train(rare, target="mean radius", runs=tmp_path, **QUICK)
    with pytest.raises(UserError, match="has no classes to decide between"):
        run.decide({"bad": 3})


def test_flags_yaml_and_python_say_the_same_costs(rare: Path) -> None:
    flag = {"costs": "bad: {good: 30}, good: {bad: 1}", "target": "target"}
    _, typed = catalog.resolve(str(rare), flag)
    _, given = catalog.resolve(str(rare), {"costs": COSTS, "target": "target"})
    _, dotted = catalog.resolve(
        str(rare), {"costs.bad.good": 30, "costs.good.bad": 1, "target": "target"}
    )
    assert typed.costs == given.costs == dotted.costs


@pytest.mark.parametrize(
    ("classes", "name"),
    [(["0", "1"], "1"), (["no", "yes"], "true"), (["No", "Yes"], "True"), (["0.0", "1.0"], "1.0")],
)
def test_classes_are_found_by_what_yaml_makes_of_their_names(classes: list[str], name: str) -> None:
    assert balance.by_class({name: 3.0}, classes, "costs") == {1: 3.0}


# --- Figures --------------------------------------------------------------------------------------


@given(st.integers(5, 80), st.integers(0, 10**6), st.booleans())
@settings(deadline=None, max_examples=40)
def test_curves_agree_with_scikit_learn(num: int, seed: int, coarse: bool) -> None:
    shares, truth, _ = case((num, seed, 1.0, coarse))
    truth[0], truth[1] = True, False
    found = curves.precision_and_recall(truth, shares)
    precision, recall, thresholds = known.precision_recall_curve(truth, shares)
    ours = [column.flip(0).numpy() for column in found]
    for mine, theirs in zip(ours, (precision[:-1], recall[:-1], thresholds), strict=True):
        assert mine == pytest.approx(theirs)
    hits, alarms = curves.roc_points(truth, shares)
    alarms_known, hits_known, _ = known.roc_curve(truth, shares, drop_intermediate=False)
    assert hits.numpy() == pytest.approx(hits_known)
    assert alarms.numpy() == pytest.approx(alarms_known)


def test_groups_for_calibration_hold_every_example_once_in_order() -> None:
    shares = torch.rand(500, dtype=torch.float64) ** 6
    groups = curves.equally_telling(shares)
    assert torch.cat(groups).sort().values.tolist() == list(range(500))
    tells = torch.tensor([float((shares[g] * (1 - shares[g])).sum()) for g in groups])
    assert tells.max() < 2 * tells.min() + 0.5


def test_figures_of_rare_classes_agree_with_scikit_learn() -> None:
    logits, targets = logits_and_targets(200)
    outcome = Outcome(logits.detach(), targets, logits.detach().argmin(1))
    truth, answers = targets.numpy(), logits.detach().argmin(1).numpy()
    expected = known.precision_score(truth, answers, labels=[0, 2], average="macro")
    assert metrics.precision_of([0, 2], outcome) == pytest.approx(expected)
    expected = known.recall_score(truth, answers, labels=[0, 2], average="macro")
    assert metrics.recall_of([0, 2], outcome) == pytest.approx(expected)
    assert metrics.accuracy(outcome) == pytest.approx((truth == answers).mean())


def test_a_class_is_rare_below_a_fifth_of_an_equal_share() -> None:
    assert balance.rare_classes([901, 99]) == [1]
    assert balance.rare_classes([899, 101]) == []
    assert balance.rare_classes([10] * 100) == []
    assert balance.rare_classes([3, 1000, 1, 1000]) == [2, 0]
