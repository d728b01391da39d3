"""Tracing one example: the numbers are those of the books, and finite differences agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trainings import QUICK, new_run, play, recipe_for, table

import glassnet
from glassnet import figures, listing
from glassnet.explain import gradcheck, recorder
from glassnet.explain.trace import Trace, trace_example
from glassnet.networks._sequences import Explicit
from glassnet.run import Run
from glassnet.trained import Trained

pytestmark = pytest.mark.usefixtures("in_tmp")
Cli = Callable[..., tuple[int, str, str]]
SHORT: dict[str, Any] = {"epochs": 2, "threads": 1, "show": False}
IMAGES = {
    "convnet": 8, "lenet": 8, "alexnet": 63, "vgg": 32, "resnet": 16, "hgnetv2": 32,
    "airbench": 8, "backbone": 16,
}  # fmt: skip
"""Networks that take images alone, and the pixels a side that they are shown here."""
SMALLER: dict[str, Any] = {
    "convnet": {"channels": [4, 8]},
    "alexnet": {"channels": [4, 5, 6, 5, 4], "dense": 6},
    "vgg": {"depth": 11, "channels": [4, 4, 5, 6, 6], "dense": 6, "norm": "batch"},
    "resnet": {"width": 4},
    "hgnetv2": {"width": 0.1, "features": 8},
    "airbench": {"channels": [4, 5, 6], "first_channels": 4},
    "textcnn": {"width": 8, "filters": 4},
    "transformer": {"width": 8, "num_layers": 1, "num_heads": 2},
    "gpt": {"width": 8, "num_layers": 1, "num_heads": 2},
    **{
        n: {"width": 6, "hidden": 6} for n in ("rnn", "lstm", "gru", "seq2seq", "seq2seq_attention")
    },
}
TEXTS = {"tokens": "brackets", "stream": "counting", "pairs": "numbers-de-en"}
"""By what a network reads, the set that it is shown."""
READERS = [
    (name, reads)
    for name in listing.names("networks")
    for reads in listing.constant("networks", name, "READS", ("numbers",))
    if name != "encoder"  # whose layers are those of transformers; see test_pretrained_words.py
    if reads not in ("signals", "frames", "forecast")  # see the test of SEQUENCES
]
SEQUENCES = {
    "fcn": ("waves", {"filters": [8, 8, 8]}),
    "lstm": ("waves", {"width": 8, "hidden": 8}),
    "dnacnn": ("planted-motifs", {"filters": 8, "members": 2}),
    "dlinear": ("tides", {}),
}
"""Networks of numbers over time, one of each kind: built-in data and knobs that make it small."""


def trained(reference: str | Path, **knobs: Any) -> glassnet.api.TrainedRun:
    return glassnet.train(reference, **{**SHORT, **knobs})


def small(kind: str = "class", **knobs: Any) -> glassnet.api.TrainedRun:
    """A dense network with three hidden units on a table of four columns."""
    network = {"name": "mlp", "hidden": [3]}
    path = table(Path("data.csv"), kind=kind)
    return trained(path, target="y", network=network, **knobs)


def images() -> Path:
    """A few of the digits: what is traced is one of them, and training takes no time."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = (bunch.images[:200] / 16 * 255).astype(np.uint8)
    np.savez("digits.npz", x=pixels, y=bunch.target[:200])
    return Path("digits.npz")


def files(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def numbers(trace: Trace, kind: str) -> list[dict[str, Any]]:
    return [step for step in trace.to_json()["steps"] if step["kind"] == kind]


def array(tensor: dict[str, Any]) -> Any:
    return np.array(tensor["numbers"])


# --- Right numbers --------------------------------------------------------------------------------


def test_the_numbers_of_two_layers_are_those_of_a_computation_by_hand() -> None:
    found = small().trace(3)
    (hidden, output), (relu,) = numbers(found, "Linear"), numbers(found, "ReLU")
    x = array(found.to_json()["steps"][hidden["from"][0]]["value"])
    (W1, b1), (W2, b2) = (
        [array(part["value"]) for part in layer["parameters"].values()]
        for layer in (hidden, output)
    )
    z1 = W1 @ x + b1
    a1 = np.maximum(z1, 0)
    z2 = W2 @ a1 + b2
    shares = np.exp(z2) / np.exp(z2).sum()
    wanted = np.array([float(label == found.target) for label in output["labels"]])
    d2 = shares - wanted
    d1 = (W2.T @ d2) * (z1 > 0)
    assert found.loss == pytest.approx(-np.log(shares @ wanted), rel=1e-12)
    for ours, by_hand in (
        (hidden["value"], z1), (relu["value"], a1), (output["value"], z2),
        (output["gradient"], d2), (hidden["gradient"], d1), (relu["gradient"], W2.T @ d2),
        (output["parameters"]["1.output.weight"]["gradient"], np.outer(d2, a1)),
        (output["parameters"]["1.output.bias"]["gradient"], d2),
        (hidden["parameters"]["1.hidden.0.dense.weight"]["gradient"], np.outer(d1, x)),
        (hidden["parameters"]["1.hidden.0.dense.bias"]["gradient"], d1),
    ):  # fmt: skip
        np.testing.assert_allclose(array(ours), by_hand, rtol=1e-12, atol=1e-15)


def test_inputs_carry_the_names_of_columns_and_outputs_those_of_classes() -> None:
    steps = small().trace(1).to_json()["steps"]
    assert steps[0]["labels"] == ["width", "height", "colour"]
    assert steps[1]["labels"][:3] == ["width", "height", "colour=blue"]
    assert steps[-1]["labels"] == ["high", "low"]


def test_a_trace_agrees_with_what_the_run_answers() -> None:
    run = small()
    source = Trained(Run(run.path), run._trained.task).source()
    rows = Run(run.path).splits().validation
    for number in (1, 2, len(rows)):
        found = run.trace(number)
        assert found.name == source.name(int(rows[number - 1]))
        row = int(found.name.removeprefix("row ")) - 1
        there = run.predict(Path("data.csv"))[row]
        assert found.answer == there.answer
        assert found.probabilities == pytest.approx(there.details["probabilities"], abs=1e-6)


def test_a_regression_is_told_in_the_unit_of_its_target() -> None:
    run = small("number")
    found = run.trace(2)
    row = int(found.name.removeprefix("row ")) - 1
    target = float(Path("data.csv").read_text().splitlines()[row + 1].rsplit(",", 1)[1])
    assert found.target == pytest.approx(target, rel=1e-5)
    scale = run.facts.target.std
    assert found.loss == pytest.approx(((found.answer - target) / scale) ** 2, rel=1e-4)
    assert found.agrees
    assert "L = " in str(found.document)


def test_the_row_of_a_table_is_told_first_and_its_spread_out_numbers_carry_names() -> None:
    path = table(Path("data.csv"), kind="class")
    run = trained(path, target="y")
    found = run.trace(2)
    line = path.read_text().splitlines()
    row = dict(zip(line[0].split(","), line[int(found.name[4:])].split(","), strict=True))
    for cell in found.cells:
        if cell.cell[0].isdigit() or cell.cell[0] == "-":
            assert float(cell.cell) == pytest.approx(float(row[cell.column]), rel=1e-4)
        else:
            assert cell.cell == row[cell.column]
    first, spread, scaled = found.to_json()["steps"][:3]
    assert (spread["kind"], scaled["kind"]) == ("PiecewiseLinear", "Scale")
    assert first["labels"][0] == "width"
    assert spread["labels"] == scaled["labels"]
    assert "colour=blue" in spread["labels"]
    assert len(spread["labels"]) == len(spread["value"]["numbers"])
    assert found.text.index("ROW") < found.text.index("FORWARD")
    assert max(map(len, found.text.splitlines())) <= 100
    assert [section.title for section in found.document.sections][1] == "The row"


def test_cells_are_read_back_from_what_encoding_made_of_them() -> None:
    import polars as pl

    from glassnet.data.columns import encode, learn_column
    from glassnet.data.decode import decode

    series = [
        pl.Series("size", [1.5, None, 7.25, 1000.0] * 10),
        pl.Series("ok", ["no", "yes", "yes", None] * 10),
        pl.Series("town", ["Ulm", "Bonn", None, "Kiel"] * 10),
        pl.Series("day", ["2024-02-29", "2024-03-01", "2020-12-24", None] * 10),
    ]
    columns = [learn_column(one) for one in series]
    row = np.concatenate([encode(s, c, []) for s, c in zip(series, columns, strict=True)], axis=1)
    told = [[shown.cell for shown in decode(one, columns)] for one in row[:4].tolist()]
    assert told[0] == ["1.5", "no", "Ulm", "2024-02-29"]
    assert told[1] == ["missing", "yes", "Bonn", "2024-03-01"]
    assert told[2] == ["7.25", "yes", "missing", "2020-12-24"]
    assert told[3][1:] == ["missing", "Kiel", "missing"]
    assert float(told[3][0]) == pytest.approx(1000, rel=1e-2)


# --- The check ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "reads"), READERS)
def test_every_layer_and_weight_of_every_network_is_there_and_agrees(name: str, reads: str) -> None:
    knobs = {"name": name, **SMALLER.get(name.replace("-", "_"), {})}
    if name in IMAGES:
        run = trained(images(), network=knobs, epochs=1, size=IMAGES[name])
    elif reads in TEXTS:
        few = {"vocabulary": 300} if reads == "pairs" else {}
        run = trained(TEXTS[reads], network=knobs, epochs=1, doctor="skip", **few)
    else:
        run = trained("iris", network=knobs, epochs=1)
    found = run.trace(2)
    network = run.network
    leaves = {n for n, m in network.named_modules() if not list(m.children())}
    shown = {step.step.name.split(" (")[0] for step in found.steps}
    inside = {n for n in leaves for s in shown if n.startswith(f"{s}.")}
    assert {n for n in leaves if called(network, n, found)} <= shown | inside
    with_gradient = {n for step in found.steps for n in step.step.parameters}
    assert with_gradient == dict(network.named_parameters()).keys()
    assert found.check is not None
    assert found.agrees
    assert found.check.compared + found.check.kinks == found.check.of or found.check.compared > 50
    assert found.check.largest_deviation < (1e-5 if reads == "numbers" else 1e-3)


@pytest.mark.parametrize("name", SEQUENCES)
def test_traces_of_networks_that_read_numbers_over_time_agree(name: str) -> None:
    data, knobs = SEQUENCES[name]
    found = trained(data, network={"name": name, **knobs}, epochs=1, doctor="skip").trace(2)
    assert found.check is not None
    assert found.agrees
    assert found.check.compared > 50


def called(network: nn.Module, name: str, found: Trace) -> bool:
    """Whether a module acts at all when an example passes; an empty list of modules does not.

    Nor does, in a network that reads texts, all that only some knobs need, and has no weights.
    """
    module = network.get_submodule(name)
    if any(isinstance(part, Explicit) for part in network.modules()):
        return bool(list(module.parameters()))
    return not isinstance(module, nn.ModuleList | nn.ModuleDict)


class Wrong(torch.autograd.Function):
    """Twice the gradient that it should be."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        return x * 1

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * gradient


class Mistaken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return Wrong.apply(self.dense(x))  # type: ignore[no-any-return, no-untyped-call]


def checked(network: nn.Module, inputs: Tensor) -> gradcheck.Check:
    network = network.double().train()

    def loss(nudge: recorder.Nudge | None = None) -> float:
        return float(recorder.run(network, inputs, nudge)[0].square().sum().detach())

    outputs, steps = recorder.run(network, inputs)
    total = outputs.square().sum()
    total.backward()
    return gradcheck.check(gradcheck.subjects(steps, loss), float(total.detach()), 1.0)


def test_a_wrong_gradient_is_found_and_named() -> None:
    found = checked(Mistaken(), torch.randn(1, 3, dtype=torch.float64))
    assert not found.agrees
    assert found.largest_deviation == pytest.approx(0.5, rel=0.01)
    assert found.backpropagated == pytest.approx(2 * found.measured, rel=1e-3)
    assert "dense" in found.at or "input" in found.at


def test_numbers_on_a_kink_are_counted_and_not_held_against_the_gradient() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.init.zeros_(network[0].weight)  # type: ignore[arg-type]
    nn.init.zeros_(network[0].bias)  # type: ignore[arg-type]
    found = checked(network, torch.randn(1, 3, dtype=torch.float64))
    assert found.agrees
    assert found.kinks >= 12
    assert found.compared + found.kinks == found.of


def test_functions_between_modules_and_both_ways_of_a_residual_connection_are_seen() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.skip = nn.Linear(3, 3), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            change = self.dense(x)
            change.add_(1.0)  # in place: the step before must keep its numbers
            change = change.tanh()
            return (self.skip(x) + change).mean(1, keepdim=True)

    network, inputs = Residual(), torch.randn(1, 3, dtype=torch.float64)
    assert checked(network, inputs).agrees
    _, steps = recorder.run(network, inputs)
    assert [s.kind for s in steps][:4] == ["input", "Linear", "add", "tanh"]
    assert [s.kind for s in steps][-2:] == ["add", "mean"]
    torch.testing.assert_close(steps[1].value, network.dense(inputs).detach())
    torch.testing.assert_close(steps[2].value, network.dense(inputs).detach() + 1)
    assert set(steps[-2].sources) >= {s.number for s in steps if s.kind == "Identity"}


# --- Text, JSON, page -----------------------------------------------------------------------------


def test_the_command_prints_text_json_and_a_page(cli: Cli) -> None:
    run = small()
    code, out, err = cli("trace", run.path, "--example", "3", "-o", "trace.html")
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 100
    assert all(word in out for word in ("FORWARD", "LOSS", "BACKWARD", "they agree", "width"))
    assert "trace.html" in out
    page = Path("trace.html").read_text()
    assert "What each input adds to z" in page
    code, out, _ = cli("trace", run.path, "--example", "3", "--json")
    answer = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    assert answer["check"]["agrees"]
    assert answer["page"] is None
    assert answer["steps"] == run.trace(3).to_json()["steps"]


def test_a_gradient_that_disagrees_ends_with_code_1(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small()
    wrong = gradcheck._Found(0.5, measured=1.0)
    monkeypatch.setattr(gradcheck, "_measure", lambda *_: wrong)
    code, out, _ = cli("trace", run.path)
    assert code == 1
    assert "THEY DO NOT AGREE" in out


def test_a_large_network_is_told_by_statistics() -> None:
    run = trained(images(), network={"name": "convnet"}, epochs=1)
    found = run.trace(1)
    assert len(json.dumps(found.to_json())) < 1_000_000
    assert len(figures.page(found.document)) < 2_000_000
    assert len(found.text) < 40_000
    convolution = numbers(found, "Conv2d")[1]
    assert convolution["value"]["numbers"] is None
    assert convolution["value"]["statistics"]["std"] > 0


def test_a_trace_shows_itself_in_a_notebook() -> None:
    assert "<iframe" in small().trace(1)._repr_html_()


# --- Which example --------------------------------------------------------------------------------


def test_tracing_changes_nothing_in_the_run() -> None:
    run = small()
    before = files(run.path)
    run.trace(1)
    run.trace(1, part="train")
    run.trace(1, input=Path("data.csv"))
    assert files(run.path) == before
    assert run.openings == 0
    assert not run.network.training
    assert all(p.grad is None and p.dtype == torch.float32 for p in run.network.parameters())


def test_a_raw_input_goes_forward_only(cli: Cli) -> None:
    run = small()
    found = run.trace(5, input=Path("data.csv"))
    assert (found.name, found.loss, found.check, found.target) == ("row 5", None, None, None)
    assert found.answer == run.predict(Path("data.csv"))[4].answer
    assert "BACKWARD" not in found.text
    assert all(step["gradient"] is None for step in found.to_json()["steps"])
    assert cli("trace", run.path, "--input", "data.csv", "--example", "5")[0] == 0


def test_an_example_of_a_k_fold_run_is_traced_by_the_network_that_never_saw_it() -> None:
    run = small(**{"split.mode": "kfold", "split.folds": 3})
    folds = Run(run.path).folds()
    sizes = [len(fold.splits().validation) for fold in folds]
    found = run.trace(sizes[0] + 1)
    assert any(f"{folds[1].path.name}, which was not trained on it" in note for note in found.notes)
    assert found.of == sum(sizes)


def test_dropout_is_off_and_members_of_training_are_told() -> None:
    Path("members.py").write_text(MEMBERS)
    run = trained(table(Path("data.csv")), target="y", network="members.py")
    found = run.trace(1)
    assert found.agrees
    assert any("3 losses of one example" in note for note in found.notes)
    assert any("form that training minimizes" in note for note in found.notes)
    assert found.to_json() | {"check": 0} == run.trace(1).to_json() | {"check": 0}


MEMBERS = '''
"""Three members."""
import math
from torch import nn

class Members(nn.Module):
    def __init__(self, input_shape, num_outputs):
        super().__init__()
        size = math.prod(input_shape)
        self.members = nn.ModuleList(nn.Linear(size, num_outputs) for _ in range(3))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        import torch
        outputs = torch.stack([m(self.dropout(x)) for m in self.members], 1)
        return outputs if self.training else outputs.mean(1)

NETWORK = Members
'''


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--example", "0"], "numbered from 1 to"),
        (["--example", "1000"], "numbered from 1 to"),
        (["--example", "three"], "invalid int value"),
        (["--part", "test"], "sealed"),
        (["--part", "tset"], "expected validation or train"),
        (["--input", "nowhere.csv"], "does not exist"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["-o", "no/such/folder.html"], "could not be written"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(cli: Cli, words: list[str], expected: str) -> None:
    run = small()
    code, _, err = cli("trace", run.path, *words)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err
    assert run.openings == 0


def test_a_run_that_is_no_run_or_has_no_weights_yet_is_refused(cli: Cli) -> None:
    code, _, err = cli("trace", "runs/nothing")
    assert (code, "There is no run folder" in err) == (2, True)
    task, recipe = recipe_for(table(Path("data.csv")), target="y", **QUICK)
    run = new_run(Path("runs"), recipe)
    code, _, err = cli("trace", run.path)
    assert (code, "resume" in err) == (2, True)
    play(task, recipe, run, ask_to_stop_at=1)
    code, _, err = cli("trace", run.path)
    assert code in (0, 2), err


def test_a_moved_data_set_is_found_by_saying_where(cli: Cli) -> None:
    run = small()
    Path("data.csv").rename("moved.csv")
    code, _, err = cli("trace", run.path)
    assert (code, "--data" in err) == (2, True)
    assert cli("trace", run.path, "--data", "moved.csv")[0] == 0


def test_a_learner_without_a_loss_of_one_example_is_named() -> None:
    run = small()
    from dataclasses import replace

    class Actor:
        pass

    task = replace(run._trained.task, learner=lambda *_: Actor())
    with pytest.raises(glassnet.UserError, match="learns by a Actor of its own"):
        trace_example(Trained(Run(run.path), task), 1)


def test_a_validation_example_of_a_refit_run_is_traced_with_weights_that_never_saw_it() -> None:
    run = trained(table(Path("data.csv"), kind="class"), target="y")
    subject = Trained(Run(run.path), run._trained.task)
    assert (run.path / "validated.safetensors").exists()
    traced = trace_example(subject, 1)
    source = subject.source()
    example = source.examples(subject.run.splits().validation[:1], subject.facts)
    outcomes = {
        name: subject.task.score(network, example, subject.facts).outputs[0].double().softmax(0)
        for name, network in (("honest", subject.validated), ("refit", subject.network))
    }
    shown = torch.tensor(list(traced.probabilities.values()), dtype=torch.float64)
    assert torch.allclose(shown, outcomes["honest"].cpu())
    assert not torch.allclose(shown, outcomes["refit"].cpu())
    assert any("validated.safetensors" in note for note in traced.notes)
    later = trace_example(subject, 1, "train")
    assert any("model.safetensors" in note for note in later.notes)
