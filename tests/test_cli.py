"""The command line: what it prints for people, and one JSON object for programs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trainings import same_bits, table, weights

from glassnet import listing
from glassnet.cli import main, parse_flags
from glassnet.cli.verbs import VERBS
from glassnet.run import Run
from glassnet.version import __version__

Cli = Callable[..., tuple[int, str, str]]
QUICK = ("--fit.epochs", "2", "--fit.threads", "1")
NAMES = [verb.name for verb in VERBS]


def answer(cli: Cli, *words: str | Path, code: int = 0) -> dict[str, Any]:
    """The one JSON object that a command prints with ``--json``."""
    found, out, err = cli(*words, "--json")
    assert found == code, err
    assert out.count("\n") == 1
    parsed = json.loads(out, parse_constant=pytest.fail)
    assert isinstance(parsed, dict)
    return parsed


@pytest.fixture
def run(cli: Cli) -> str:
    """A trained run on a small table."""
    table(Path("data.csv"))
    words = ("train", "data.csv", "--target", "y", "--name", "small", *QUICK)
    assert cli(*words)[0] == 0
    return "runs/small"


# --- Help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_the_help_names_every_command(cli: Cli, words: tuple[str, ...]) -> None:
    code, out, _ = cli(*words)
    assert code == 0
    assert all(name in out for name in NAMES)
    assert out.index("--fit.batch_size") < out.index("--fit.lr") < out.index("--fit.epochs")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_help(cli: Cli, name: str) -> None:
    for flag in ("--help", "-h"):
        code, out, err = cli(name, flag)
        assert code == 0, err
        assert f"usage: glassnet {name}" in out
        assert "--json" in out


def test_the_help_of_training_begins_with_the_three_knobs_and_has_them_all(cli: Cli) -> None:
    _, out, _ = cli("train", "--help")
    places = [out.index(f"--fit.{name} ") for name in ("batch_size", "lr", "epochs", "seed")]
    assert places == sorted(places)
    assert "--split.mode" in out


def test_the_version_is_told(cli: Cli) -> None:
    code, out, _ = cli("--version")
    assert (code, out) == (0, f"glassnet {__version__}\n")


WITHOUT_TORCH = ["--help", "--version", "train --help", "runs", "tasks", "networks", "datasets",
                 "recipes", "runs --json", "trian"]  # fmt: skip


def test_what_only_lists_does_not_load_torch(in_tmp: Path) -> None:
    code = (
        "import sys\nfrom glassnet.cli import main\n"
        f"for words in {WITHOUT_TORCH!r}:\n"
        "    try:\n        main(words.split())\n    except SystemExit:\n        pass\n"
        "    heavy = {'torch', 'numpy', 'polars', 'sklearn', 'rich', 'PIL'} & set(sys.modules)\n"
        "    assert not heavy, (words, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_module_and_the_script_are_the_same(in_tmp: Path) -> None:
    script = Path(sys.executable).with_name("glassnet")
    for command in ([sys.executable, "-m", "glassnet"], [str(script)]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True)
        assert done.stdout == f"glassnet {__version__}\n"


def test_a_reader_that_goes_away_is_no_error(in_tmp: Path) -> None:
    command = f"{sys.executable} -m glassnet train --help | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


# --- Flags ----------------------------------------------------------------------------------------


def test_flags_may_be_written_with_a_blank_or_an_equals_sign() -> None:
    words = ["--fit.lr", "0.1", "--network=mlp", "--name-of=a=b", "--x", "-1"]
    expected = {"fit.lr": "0.1", "network": "mlp", "name_of": "a=b", "x": "-1"}
    assert parse_flags(words) == expected


def test_flags_may_stand_before_the_data(in_tmp: Path) -> None:
    assert main(["train", "--epochs", "1", "--name", "x", "iris"]) == 0
    assert Run("runs/x").info["status"] == "finished"


# --- Training -------------------------------------------------------------------------------------


def test_training_ends_with_run_and_metrics(cli: Cli) -> None:
    found = answer(cli, "train", "iris", *QUICK)
    assert Path(found["run"]).is_dir()
    assert found["status"] == "finished"
    assert found["metrics"]["accuracy"].keys() == {"value", "low", "high"}
    assert (Path(found["run"]) / "report.html").is_file()


def test_training_tells_people_where_the_report_is(cli: Cli) -> None:
    code, out, err = cli("train", "iris", *QUICK, "--name", "mine", "--runs", "elsewhere")
    assert code == 0
    assert "elsewhere/mine/report.html" in out
    assert "accuracy" in out
    assert "epoch 2/2" in err


def test_a_dry_run_prints_the_recipe_and_its_cost_and_trains_nothing(
    cli: Cli, in_tmp: Path
) -> None:
    found = answer(cli, "train", "iris", "--dry-run", *QUICK)
    assert found["recipe"]["fit"]["epochs"] == 2
    assert found["recipe"]["fit"]["batch_size"] is not None
    assert found["cost"]["parameters"] > 0
    assert found["cost"]["flops_per_example"] > 0
    assert found["cost"]["seconds"] > 0
    assert found["cost"]["memory_bytes"] > 0
    code, out, _ = cli("train", "iris", "--dry-run", *QUICK)
    assert code == 0
    assert "estimated time" in out
    assert not (in_tmp / "runs").exists()


def test_what_a_dry_run_prints_is_a_recipe(cli: Cli, in_tmp: Path) -> None:
    _, out, _ = cli("train", "iris", "--dry-run", *QUICK)
    (in_tmp / "mine.yaml").write_text(out.partition("\n\n")[0] + "\n")
    found = answer(cli, "train", "mine.yaml", "--fit.seed", "3")
    assert "seed: 3" in (Path(found["run"]) / "recipe.yaml").read_text()


def test_a_run_that_is_finished_may_be_resumed_and_stays_as_it_is(cli: Cli, run: str) -> None:
    before = weights(Run(run))
    assert answer(cli, "resume", run)["status"] == "finished"
    assert same_bits(weights(Run(run)), before)


def test_a_user_s_own_task_and_network_work_and_resume_from_anywhere(
    cli: Cli, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name in (("tasks", "table_classification"), ("networks", "perceptron")):
        text = (listing.ROOT / folder / f"{name}.py").read_text(encoding="utf-8")
        (in_tmp / f"my_{name}.py").write_text(text, encoding="utf-8")
    own = ("--task", "my_table_classification.py", "--network", "my_perceptron.py")
    found = answer(cli, "train", "iris", *own, "--name", "own", *QUICK)
    (in_tmp / "deep").mkdir()
    monkeypatch.chdir(in_tmp / "deep")
    path = str(in_tmp / found["run"])
    assert answer(cli, "resume", path)["status"] == "finished"
    assert answer(cli, "evaluate", path)["split"] == "validation"


def test_the_range_test_suggests_a_rate_and_draws_it(cli: Cli, in_tmp: Path) -> None:
    found = answer(cli, "lr", "iris", "--fit.threads", "1", "-o", "plot.html")
    assert 1e-6 < found["suggestion"] < 10
    assert len(found["lr"]) == len(found["loss"]) > 10
    assert found["lr"] == sorted(found["lr"])
    assert found["plot"] == "plot.html"
    assert (in_tmp / "plot.html").read_text().startswith("<!doctype html>")


# --- Afterwards -----------------------------------------------------------------------------------


def test_evaluating_gives_figures_with_intervals(cli: Cli, run: str) -> None:
    found = answer(cli, "evaluate", run)
    own = {"run", "split", "examples", "metrics", "notes"}
    assert found.keys() == own | {"baselines", "gains"}
    assert (found["run"], found["split"]) == (run, "validation")
    assert found["metrics"]["accuracy"].keys() == {"value", "low", "high"}
    code, out, _ = cli("evaluate", run)
    assert code == 0
    assert "95 % interval" in out


def test_opening_the_test_is_said(cli: Cli, run: str) -> None:
    assert answer(cli, "evaluate", run, "--test")["split"] == "test"
    _, out, _ = cli("evaluate", run, "--test")
    assert "The sealed test has now been opened 2 times." in out
    lines = (Path(run) / "test-openings.jsonl").read_text().splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"opened", "glassnet"}] * 2


def test_predictions_as_json_and_as_files(cli: Cli, run: str, in_tmp: Path) -> None:
    found = answer(cli, "predict", run, "data.csv")
    assert found.keys() == {"predictions"}
    assert len(found["predictions"]) == 120
    first = found["predictions"][0]
    assert first["input"] == "row 1"
    assert first["answer"] in ("high", "low")
    assert sum(first["details"]["probabilities"].values()) == pytest.approx(1)
    code, out, _ = cli("predict", run, "data.csv", "-o", "answers.csv")
    assert code == 0
    assert "120 in all" in out
    with (in_tmp / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["answer"] for row in rows] == [p["answer"] for p in found["predictions"]]
    assert rows[0].keys() == {"input", "answer", "probability high", "probability low"}
    assert cli("predict", run, "data.csv", "-o", "answers.json")[0] == 0
    assert json.loads((in_tmp / "answers.json").read_text()) == found["predictions"]


def test_inspecting_says_what_fits(cli: Cli) -> None:
    table(Path("data.csv"))
    found = answer(cli, "inspect", "data.csv", "--target", "y")
    assert found["kind"] == "table"
    assert found["tasks"] == {"table-classification": "the target is a category"}
    assert answer(cli, "inspect", "data.csv")["tasks"] == {}
    code, out, _ = cli("inspect", "data.csv")
    assert code == 0
    assert "--target" in out


def test_runs_are_listed_with_their_first_metric(cli: Cli, run: str) -> None:
    (found,) = answer(cli, "runs")["runs"]
    assert found["run"] == run
    assert found["status"] == "finished"
    assert found["metric"] == "accuracy"
    assert answer(cli, "runs", "nowhere") == {"runs": []}
    _, out, _ = cli("runs")
    assert run in out


@pytest.mark.parametrize("folder", ["tasks", "networks", "datasets", "recipes"])
def test_the_catalogue_is_what_its_folders_hold(cli: Cli, folder: str) -> None:
    suffix = ".py" if folder in ("tasks", "networks") else ".yaml"
    entries = listing.names(folder, suffix)
    found = answer(cli, folder)[folder]
    assert list(found) == entries
    assert all(len(summary) > 10 for summary in found.values())
    for name in entries:
        shown = answer(cli, folder, name)
        assert shown["name"] == name
        assert Path(shown["file"]).is_file()
        code, out, _ = cli(folder, name)
        assert code == 0
        assert out.strip() == shown["text"].strip()


def test_a_network_is_shown_with_its_knobs_and_layers(cli: Cli) -> None:
    _, out, _ = cli("networks", "mlp")
    assert "--network.hidden" in out
    assert "parameters" in out


def test_a_network_is_shown_for_any_input_and_any_knobs(cli: Cli) -> None:
    found = answer(cli, "networks", "resnet50", "--input", "3x64x64", "--classes", "10")
    assert found["network"]["depth"] == 50
    assert (found["input_shape"], found["num_outputs"]) == ([3, 64, 64], 10)
    assert found["layers"][0] == {
        "name": "conv1", "kind": "Conv2d", "output_shape": [64, 32, 32], "parameters": 9408,
        "flops": 2 * 9408 * 32 * 32,
    }  # fmt: skip
    assert found["parameters"] == sum(la["parameters"] for la in found["layers"]) == 23_528_522
    assert found["flops"] == sum(la["flops"] for la in found["layers"])
    assert "23,528,522 parameters (94.1 MB)" in found["text"]
    narrow = answer(cli, "networks", "resnet", "--network.depth", "50", "--network.width=8")
    assert narrow["parameters"] < found["parameters"] / 10


OWN_NETWORK = '''"""Own: one layer, which looks at its numbers."""
from torch import nn

class Own(nn.Module):
    def __init__(self, input_shape, num_outputs):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], num_outputs)

    def forward(self, inputs):
        assert bool((inputs == inputs).all())
        return self.layer(inputs)

NETWORK = Own
'''


def test_a_network_of_ones_own_is_shown_as_well(cli: Cli) -> None:
    Path("own.py").write_text(OWN_NETWORK)
    found = answer(cli, "networks", "own.py", "--input", "6", "--classes", "3")
    assert [layer["output_shape"] for layer in found["layers"]] == [[3]]
    assert found["parameters"] == 21


def test_a_recipe_names_family_and_depth_of_a_network_called_as_usual(cli: Cli) -> None:
    words = ("digits", "--dry-run", "--network", "resnet18", "--network.width", "4")
    found = answer(cli, "train", *words)["recipe"]["network"]
    assert (found["name"], found["depth"], found["width"]) == ("resnet", 18, 4)


def test_a_task_is_shown_with_its_knobs(cli: Cli) -> None:
    _, out, _ = cli("tasks", "table-classification")
    assert "--label_smoothing" in out
    assert "--fit.lr" in out


def test_an_installation_can_be_checked(cli: Cli) -> None:
    code, out, err = cli("check", "--json")
    checks = json.loads(out)["checks"]
    assert {row["name"] for row in checks} >= {"versions", "device", "tasks", "networks"}
    assert (code == 0) == all(row["good"] for row in checks), err
