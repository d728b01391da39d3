"""The bricks: perceptron, dense networks, activations, first weights, and problems in the plane."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trainings import assert_same_end, finished, go_on, new_run, play

import glassnet
from glassnet import catalog, findings, linear, losses, plane, separable, showcase
from glassnet.data import shapes
from glassnet.errors import UserError
from glassnet.figures import Lines, from_json
from glassnet.learners import Supervised
from glassnet.loop import shuffled
from glassnet.network import build_network
from glassnet.networks._activations import ABOUT
from glassnet.networks.mlp import MLP, Initialization
from glassnet.networks.perceptron import Perceptron
from glassnet.optimizers import SGD
from glassnet.recipe import Fit, NetworkKnobs
from glassnet.run import Run
from glassnet.schedules import Constant
from glassnet.separable import Crossing, Plane
from glassnet.task import Batch, Ended, Saved, Started

pytestmark = pytest.mark.usefixtures("in_tmp")


def train(data: str, **knobs: Any) -> Any:
    """A quiet training on one thread."""
    return glassnet.train(data, show=False, threads=1, **knobs)


# --- The perceptron's rule ------------------------------------------------------------------------


def rule(weights: Tensor, row: Tensor, is_second: bool) -> bool:
    """Rosenblatt's rule by hand: at a mistake, add the row with its sign; return whether it was."""
    sign = 1.0 if is_second else -1.0
    mistaken = sign * float(weights @ row) <= 0
    if mistaken:
        weights += sign * row
    return mistaken


def learner_by_rule(network: nn.Module, num: int) -> Supervised:
    """What `--loss perceptron` makes."""
    fit = Fit(batch_size=1, lr=1.0, epochs=1, optimizer=SGD(), schedule=Constant())
    return Supervised(network, losses.perceptron, fit, num, counts={"mistakes": losses.mistakes})


@pytest.mark.parametrize("name", ["blobs", "xor"])
def test_each_step_is_the_perceptron_rule_written_by_hand(name: str) -> None:
    points, classes = points_of(name)
    network = Perceptron((2,), 2)
    learner, by_hand = learner_by_rule(network, len(points)), torch.zeros(3)
    for step in range(2 * len(points)):
        row = step % len(points)
        batch = Batch(points[row : row + 1], classes[row : row + 1])
        values = learner.update(batch, step)
        mistaken = rule(by_hand, torch.cat([points[row], torch.ones(1)]), bool(classes[row]))
        first, second = torch.cat(
            [network.linear.weight, network.linear.bias[:, None]], dim=1
        ).detach()
        assert torch.equal(second, by_hand)
        assert torch.equal(first, -by_hand)
        assert bool(values["mistakes"]) == mistaken


def test_a_whole_training_makes_the_mistakes_of_the_rule_by_hand_within_novikoffs_bound() -> None:
    run = train("blobs", loss="perceptron", epochs=2)
    (text,) = run.findings
    counted = re.search(r"(\d+) in all \(Novikoff's bound for these rows: (\d+)\)", text)
    assert counted is not None
    examples = run._trained.examples("train", run._trained.source())
    weights, made = torch.zeros(3), 0
    for epoch in range(2):
        for i in shuffled(torch.arange(len(examples)), 0, epoch).tolist():
            row = torch.cat([examples.inputs[i], torch.ones(1)])
            made += rule(weights, row, bool(examples.targets[i]))
    assert int(counted[1]) == made <= int(counted[2])
    assert run.metrics["accuracy"].value == 1


def test_of_several_classes_only_the_right_one_and_the_answer_move() -> None:
    network = Perceptron((3,), 4)
    nn.init.normal_(network.linear.weight, generator=torch.Generator().manual_seed(0))
    row, before = torch.tensor([[1.0, -2.0, 0.5]]), network.linear.weight.detach().clone()
    answer = int(network(row).argmax())
    right = (answer + 1) % 4
    learner_by_rule(network, 1).update(Batch(row, torch.tensor([right])), 0)
    moved = network.linear.weight.detach() - before
    torch.testing.assert_close(moved[right], row[0])
    torch.testing.assert_close(moved[answer], -row[0])
    assert int((moved != 0).any(dim=1).sum()) == 2
    steady = network.linear.weight.detach().clone()
    learner_by_rule(network, 1).update(Batch(row, network(row).argmax(1)), 0)
    assert torch.equal(network.linear.weight, steady)


def test_each_member_of_a_network_has_the_perceptron_loss_of_its_own() -> None:
    scores_BMC, targets = torch.randn(5, 3, 4), torch.tensor([0, 1, 2, 3, 0])
    together = losses.perceptron(scores_BMC, targets)
    alone = torch.stack([losses.perceptron(scores_BMC[:, m], targets) for m in range(3)], dim=1)
    assert torch.equal(together, alone)


def test_the_loss_brings_its_rule_and_gives_way_to_what_is_said() -> None:
    _, recipe = catalog.resolve("xor", {"loss": "perceptron"})
    fit = recipe.fit
    assert (recipe.network.name, fit.optimizer, fit.schedule) == ("perceptron", SGD(), Constant())
    assert (fit.batch_size, fit.lr, fit.epochs) == (1, 1.0, 30)
    _, recipe = catalog.resolve("xor", {"loss": "perceptron", "fit.epochs": 3, "lr": 0.5})
    assert (recipe.fit.epochs, recipe.fit.lr, recipe.fit.batch_size) == (3, 0.5, 1)
    _, recipe = catalog.resolve("xor", {"loss": "perceptron", "fit.optimizer": "adam"})
    assert (recipe.fit.optimizer.name, recipe.fit.lr) == ("adam", None)
    _, recipe = catalog.resolve("xor", {"loss": "perceptron", "network": "mlp"})
    assert (recipe.network.name, recipe.fit.batch_size) == ("mlp", None)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"loss": "perceptron", "label_smoothing": 0.1}, "label_smoothing=0.1 contradicts loss=p"),
        ({"loss": "percepton"}, r"loss: .*'percepton'"),
        ({"network": "mlp", "network.initialization": "her"}, r"network\.initialization.*'her'"),
        (
            {"network": "mlp", "network.residual": True, "network.hidden": [8, 4]},
            r"hidden is \[8, 4\], so nothing could be added",
        ),
    ],
)
def test_knobs_that_cannot_be_are_refused_by_name(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task, recipe = catalog.resolve("xor", knobs)
        source = task.source(recipe)
        task.network(recipe, source.facts(torch.arange(len(source))))


# --- Can a line separate them? --------------------------------------------------------------------


def test_xor_is_told_to_be_inseparable_with_a_point_that_lies_in_both_classes() -> None:
    first = np.array([[-1.0, -1.0], [1.0, 1.0]])
    second = np.array([[-1.0, 1.0], [1.0, -1.0]])
    proof = separable.decide(first, second)
    assert isinstance(proof, Crossing)
    for rows, shares in ((first, proof.first), (second, proof.second)):
        assert sum(shares.values()) == pytest.approx(1)
        average = sum(share * rows[row] for row, share in shares.items())
        assert average == pytest.approx(np.zeros(2))


@pytest.mark.parametrize("knobs", [{"loss": "perceptron"}, {"network": "perceptron"}])
def test_a_run_on_xor_says_so_with_rows_that_prove_it(knobs: dict[str, Any]) -> None:
    run = train("xor", epochs=3, **knobs)
    (text,) = run.findings
    assert "no line separates these data" in text
    assert "--network mlp" in text
    table = Path(run.recipe.data if Path(run.recipe.data).exists() else located("xor"))
    rows = [line.split(",") for line in table.read_text().splitlines()]
    named = re.findall(r"of class '(\w+)' \(([^)]*)\)", text)
    assert {name for name, _ in named} == {"same", "different"}
    for name, shares in named:
        for number in re.findall(r"row (\d+)", shares):
            assert rows[int(number)][2] == name
    assert "o line separates" in run.report.read_text()


def located(name: str) -> Path:
    from glassnet.data import sources

    return sources.locate(name)


def test_the_line_of_the_logistic_form_is_told_to_be_found() -> None:
    run = train("wine", network="perceptron", epochs=60, lr=0.1)
    assert run.findings == ["a hyperplane separates the 114 training rows, and training found one"]


def test_classes_of_which_two_cross_are_named() -> None:
    (text,) = train("iris", network="perceptron", epochs=10).findings
    assert "no hyperplane separates" in text
    assert {"'versicolor'", "'virginica'"} <= set(re.findall(r"'\w+'", text))


@pytest.mark.parametrize("seed", range(10))
def test_every_verdict_is_right_where_the_truth_is_known(seed: int) -> None:
    draw = np.random.default_rng(seed)
    points, normal = draw.normal(size=(80, 3)), draw.normal(size=3)
    side = points @ normal > 0.3
    assert isinstance(separable.decide(points[~side], points[side]), Plane)
    middle = points[side].mean(0)  # of the other class, in the midst of this one
    assert isinstance(
        separable.decide(np.concatenate([points[~side], [middle]]), points[side]), Crossing
    )


def test_equal_rows_of_two_classes_cannot_be_separated() -> None:
    row = np.array([[3.0, 4.0]])
    proof = separable.decide(row, np.concatenate([row, row + 1]))
    assert isinstance(proof, Crossing)
    assert proof.first == {0: 1.0}
    assert proof.second == {0: 1.0}


def test_the_distance_is_that_of_the_nearest_row_to_a_plane_between() -> None:
    proof = separable.decide(np.array([[-1.0, 0]]), np.array([[2.0, 0], [5.0, 1]]))
    assert isinstance(proof, Plane)
    assert 0 < proof.distance <= 1.5


def test_novikoffs_bound_where_it_can_be_had_by_hand() -> None:
    # The rows (-1, 1) and (1, 1), signed: the largest margin is 1, R^2 = 2.
    assert separable.most_mistakes(np.array([[-1.0]]), np.array([[1.0]])) == pytest.approx(2)
    assert separable.most_mistakes(np.array([[1.0]]), np.array([[1.0]])) is None


def ended(network: nn.Module, points: Tensor, classes: Tensor) -> Ended[Any]:
    """The end of a training, without the training."""
    from glassnet.data.examples import TensorExamples

    examples = TensorExamples(torch.arange(len(points)), points, classes)
    facts = SimpleNamespace(classes=["left", "right"])
    return Ended(network, 7, lambda: examples, len(points), facts, lambda i: f"row {i}", [])


def test_what_could_not_be_decided_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separable, "_solve", lambda *_, **__: None)
    text = findings.separability(ended(Perceptron((2,), 2), *points_of("xor")))
    assert text is not None and "could not be decided" in text


def test_a_line_that_was_not_found_yet_is_told_to_exist() -> None:
    text = findings.separability(ended(Perceptron((2,), 2), *points_of("blobs")))
    assert text is not None and "a line can separate the classes" in text


def test_only_networks_that_are_linear_are_judged_by_lines() -> None:
    points, classes = points_of("xor")
    bent = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    assert findings.separability(ended(bent, points, classes)) is None
    assert findings.separability(ended(MLP((2,), 2), points, classes)) is None
    straight = MLP((2,), 2, hidden=(), initialization="zeros")
    assert "no line" in str(findings.separability(ended(straight, points, classes)))


# --- Dense networks -------------------------------------------------------------------------------


def test_two_hidden_layers_solve_the_spirals_with_every_default() -> None:
    run = train("spirals", network="mlp")
    assert run.findings == []
    assert run.evaluate(test=True).metrics["accuracy"].value >= 0.95


@pytest.mark.parametrize(("name", "epochs"), [("xor", 20), ("circles", 40)])
def test_one_hidden_layer_solves_what_no_line_can(name: str, epochs: int) -> None:
    run = train(name, network={"name": "mlp", "hidden": [64]}, epochs=epochs)
    assert run.evaluate(test=True).metrics["accuracy"].value >= 0.95


STATISTICS: dict[str, Callable[[int, int], float]] = {
    "zeros": lambda inputs, outputs: 0.0,
    "normal": lambda inputs, outputs: 0.01,
    "xavier": lambda inputs, outputs: math.sqrt(2 / (inputs + outputs)),
    "he": lambda inputs, outputs: math.sqrt(2 / inputs),
    "orthogonal": lambda inputs, outputs: math.sqrt(2 / max(inputs, outputs)),
    "auto": lambda inputs, outputs: math.sqrt(2 / inputs),
}


@pytest.mark.parametrize("initialization", get_args(Initialization))
def test_first_weights_have_the_spread_of_their_table(initialization: Initialization) -> None:
    torch.manual_seed(0)
    network = MLP((300,), 3, hidden=(400, 200), initialization=initialization)
    sizes = [(300, 400), (400, 200)]
    for layer, (inputs, outputs) in zip(network.hidden, sizes, strict=True):
        dense = layer.get_submodule("dense")
        assert isinstance(dense, nn.Linear)
        expected = STATISTICS[initialization](inputs, outputs)
        weight = dense.weight.detach()
        assert float(weight.std()) == pytest.approx(expected, rel=0.03)
        assert abs(float(weight.mean())) <= 0.02 * expected
        assert not dense.bias.any()


def test_orthogonal_first_weights_are_orthogonal() -> None:
    network = MLP((30,), 3, hidden=(50,), activation="tanh", initialization="orthogonal")
    weight = network.hidden[0].get_submodule("dense").get_parameter("weight")
    torch.testing.assert_close(weight.T @ weight, torch.eye(30), atol=1e-5, rtol=0)


def test_he_keeps_the_size_of_signals_through_ten_layers_and_normal_lets_them_fade() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(64, 100)
    ends = {}
    for initialization in ("he", "normal"):
        network = MLP((100,), 2, hidden=(100,) * 10, initialization=initialization)  # type: ignore[arg-type]
        signal = inputs
        for layer in network.hidden:
            signal = layer(signal)
        ends[initialization] = float(signal.detach().square().mean().sqrt())
    assert 0.2 < ends["he"] < 5
    assert ends["normal"] < 1e-6


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_all_zero_first_weights_are_allowed_and_the_run_proves_what_they_do(
    activation: str,
) -> None:
    options = {"hidden": [8, 6], "initialization": "zeros", "activation": activation}
    run = train("xor", network={"name": "mlp", **options}, epochs=3)
    (text,) = run.findings
    assert "all 8 units of hidden.0.dense and all 6 units of hidden.1.dense" in text
    measured = re.search(r"identical after 60 steps \(largest difference .*?: ([\de.-]+)", text)
    assert measured is not None and float(measured[1]) < 1e-6
    weights = run.network.hidden[0].dense.weight
    torch.testing.assert_close(weights, weights[:1].expand_as(weights), atol=1e-6, rtol=0)
    assert "still identical" in run.report.read_text()


def test_units_that_differ_are_not_told_to_be_identical() -> None:
    network = MLP((2,), 2, hidden=(8,))
    assert findings.identical_units(ended(network, *points_of("xor"))) is None
    twins = MLP((2,), 2, hidden=(8, 8))
    nn.init.constant_(twins.hidden[1].get_submodule("dense").get_parameter("weight"), 0.3)
    text = findings.identical_units(ended(twins, *points_of("xor")))
    assert text is not None and text.startswith("all 8 units of hidden.1.dense are")


def test_identical_filters_of_a_convolution_are_found_too() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(network[0].weight)
    nn.init.zeros_(network[0].bias)
    found = findings.identical_units(ended(network, *points_of("xor")))
    assert found is not None and found.startswith("all 4 units of 0 are still identical")


def test_a_residual_layer_adds_its_input_to_its_output() -> None:
    network = MLP((3,), 2, hidden=(5, 5, 4, 4), residual=True).eval()
    rows = torch.randn(6, 3)
    signal = network.hidden[0](rows)
    for layer, adds in zip(network.hidden[1:], [True, False, True], strict=True):
        signal = signal + layer(signal) if adds else layer(signal)
    torch.testing.assert_close(network(rows), network.output(signal))


def test_the_input_of_the_network_is_not_added_even_where_its_width_is_the_layers() -> None:
    torch.manual_seed(0)
    network = MLP((5,), 2, hidden=(5, 5), residual=True).eval()
    rows = torch.randn(6, 5)
    first = network.hidden[0](rows)
    torch.testing.assert_close(network(rows), network.output(first + network.hidden[1](first)))


@pytest.mark.parametrize("activation", [name for name in ABOUT if name != "sigmoid"])
def test_residual_layers_let_a_deep_network_learn(activation: str) -> None:
    points, classes = points_of("circles")
    torch.manual_seed(0)
    options = {"hidden": [16] * 8, "residual": True, "activation": activation}
    network = build_network(NetworkKnobs(name="mlp", **options), (2,), 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(points), classes))
        optimizer.step()
    assert float((network(points).argmax(1) == classes).float().mean()) > 0.95


# --- Activations ----------------------------------------------------------------------------------


def test_every_activation_is_drawn_with_the_derivative_that_finite_differences_give() -> None:
    shown = {one.name: one for one in showcase.activations()}
    assert shown.keys() == {*ABOUT, "softmax"}
    for one in shown.values():
        z, a, slope = (np.array(v) for v in (one.z, one.a, one.derivative))
        differences = (a[2:] - a[:-2]) / (z[2:] - z[:-2])
        smooth = np.abs(z[1:-1]) > 0.06  # relu and its kin have a kink at 0
        assert slope[1:-1][smooth] == pytest.approx(differences[smooth], abs=2e-3), one.name
    assert max(shown["sigmoid"].derivative) == pytest.approx(0.25)
    assert max(shown["tanh"].derivative) == pytest.approx(1)


def test_the_activations_can_be_had_as_a_page_as_json_and_in_python(cli: Any) -> None:
    code, out, _ = cli("activations", "-o", "page.html")
    assert code == 0
    assert "sigmoid: a = 1 / (1 + exp(−z)); steepest 0.2500" in out
    assert "leaky_relu" in Path("page.html").read_text()
    code, out, _ = cli("activations", "--json")
    assert [a["name"] for a in json.loads(out)["activations"]] == [*ABOUT, "softmax"]
    document = glassnet.activations()
    assert from_json(document.to_json()) == document
    code, _, err = cli("activations", "-o", "nowhere/page.html")
    assert (code, "could not be written" in err) == (2, True)


def test_the_page_of_the_mlp_says_when_to_use_what(cli: Any) -> None:
    code, out, _ = cli("networks", "mlp")
    assert code == 0
    for word in ("activation:", "initialization:", "normalization:", "residual:", "dropout:",
                 "glassnet activations", "--network.initialization"):  # fmt: skip
        assert word in out


# --- The plane ------------------------------------------------------------------------------------


def points_of(name: str) -> tuple[Tensor, Tensor]:
    """The points (N, 2) and the classes of a problem, as tensors."""
    points, classes = shapes.SHAPES[name](np.random.default_rng(0))
    return torch.tensor(points, dtype=torch.float32), torch.tensor(classes, dtype=torch.int64)


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_the_problems_of_the_plane_are_the_same_every_time_and_balanced(name: str) -> None:
    text = shapes.as_csv(name)
    assert text == shapes.as_csv(name)
    answers = [line.rsplit(",", 1)[1] for line in text.splitlines()[1:]]
    assert sorted(map(answers.count, set(answers))) == [250, 250]


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_a_line_separates_the_blobs_and_no_other(name: str) -> None:
    points, classes = points_of(name)
    proof = separable.decide(*(points[classes == c].double().numpy() for c in (0, 1)))
    assert isinstance(proof, Plane if name == "blobs" else Crossing)


def figures_of(run: Any) -> dict[str, Any]:
    """All figures of a report, by title."""
    page = run.report.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="glassnet">(.*?)</script>', page, re.S)
    assert found is not None
    blocks = [b for s in json.loads(found[1])["sections"] for b in s["blocks"] if "title" in b]
    return {block["title"]: from_json(block) for block in blocks}


def test_the_report_shows_the_line_move_and_end_where_the_weights_say() -> None:
    run = train("blobs", loss="perceptron", epochs=2, keep="last")
    drawn = figures_of(run)
    moving = drawn["The moving line"]
    assert isinstance(moving, Lines)
    lines = [one for one in moving.series if one.joined]
    assert [one.dashed for one in lines] == [True] * (len(lines) - 1) + [False]
    assert len({(one.x, one.y) for one in lines}) == len(lines) > 1
    read = linear.line(run.network)
    assert read is not None
    w1, w2, b = read()
    for x, y in zip(lines[-1].x, lines[-1].y, strict=True):
        assert w1 * x + w2 * y + b == pytest.approx(0, abs=1e-4)
    names = [one.name for one in moving.series if not one.joined]
    assert names == ["left", "right"]
    assert "What is answered where" in drawn


def test_the_colours_of_the_plane_are_the_networks_answers() -> None:
    run = train("circles", network="mlp", epochs=30)
    drawn = figures_of(run)
    assert "The moving line" not in drawn
    (ground,) = drawn["What is answered where"].grounds
    (left, right), (low, high) = ground.x, ground.y
    cells = plane.CELLS
    for row, column in itertools.product((0, cells // 2, cells - 1), repeat=2):
        x = left + (right - left) * column / (cells - 1)
        y = low + (high - low) * row / (cells - 1)
        answer = int(run.network.cpu()(torch.tensor([[x, y]])).argmax())
        assert ground.series[row][column] == answer


def test_the_colours_of_the_plane_follow_the_costs() -> None:
    run = train("circles", network="mlp", epochs=1, costs={"inner": {"outer": 10_000}})
    (ground,) = figures_of(run)["What is answered where"].grounds
    outputs = run.network.cpu()(torch.tensor([[ground.x[0], ground.y[0]]]))
    likely, answer = int(outputs.argmax()), ground.series[0][0]
    assert [run.facts.classes[c] for c in (likely, answer)] == ["outer", "inner"]


def test_a_line_that_is_refitted_moves_in_the_figure_as_it_did_before() -> None:
    refitted, once = (
        train("xor", loss="perceptron", epochs=3, split={"refit": refit}) for refit in (True, False)
    )
    drawn, alone = (figures_of(run)["The moving line"] for run in (refitted, once))
    assert drawn == alone


def test_what_is_found_after_a_refit_is_of_all_rows_that_it_saw() -> None:
    run = train("blobs", loss="perceptron", epochs=3, keep="last", split={"refit": True})
    splits = Run.open(run.path).splits()
    num = len(splits.train) + len(splits.validation)
    (text,) = run.findings
    assert f"separates the {num} training rows" in text and "Novikoff" in text
    rows = Run.open(run.path).rows()
    begun = max(row["step"] for row in rows if "validation" in row)
    sizes = itertools.pairwise([begun, *(row["step"] for row in rows if "refit" in row)])
    made = [row["refit"]["mistakes"] for row in rows if "refit" in row]
    total = sum(share * (b - a) for share, (a, b) in zip(made, sizes, strict=True))
    assert f"{round(total)} in all" in text


def test_more_than_two_inputs_have_no_plane() -> None:
    drawn = figures_of(train("iris", network="perceptron", epochs=2))
    assert not {"The moving line", "What is answered where"} & drawn.keys()


def test_a_line_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path) -> None:
    knobs = {"loss": "perceptron", "fit.epochs": 2, "fit.threads": 1}
    task, recipe = catalog.resolve("xor", knobs)
    whole, run = (new_run(tmp_path, recipe, name) for name in ("whole", "stopped"))
    play(task, recipe, whole)
    events = play(task, recipe, run, ask_to_stop_at=77)
    assert finished(events).reason == "interrupted"
    assert any(isinstance(event, Saved) for event in events)
    assert next(e.step for e in go_on(task, run) if isinstance(e, Started)) == 77
    assert_same_end(run, whole)
    steps = [row["step"] for row in whole.rows() if "line" in row]
    assert steps == [1, 2, 4, 8, 16, 32, 64, 128, 256, 320, 512, 640]


def test_each_fold_has_its_own_findings() -> None:
    run = train("xor", network="perceptron", epochs=2, split={"mode": "kfold", "folds": 2})
    assert [text.partition(":")[0] for text in run.findings] == ["fold-1", "fold-2"]
