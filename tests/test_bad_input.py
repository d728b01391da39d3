"""Whatever a person gets wrong has one clear message, exit code 2, and costs nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_fixtures import class_folders, picture, save
from trainings import same_bits, table, weights

import glassnet
from glassnet.run import Run

Cli = Callable[..., tuple[int, str, str]]
QUICK = ("--fit.epochs", "2", "--fit.threads", "1", "--network", "mlp")


@pytest.fixture
def refused(cli: Cli) -> Callable[..., str]:
    """Run a command that must be refused, in both forms; return the message."""

    def call(*words: str | Path) -> str:
        code, out, err = cli(*words)
        assert code == 2, (code, out, err)
        assert "Traceback" not in err
        assert out == ""
        said = err[err.rindex("glassnet: ") :].removeprefix("glassnet: ").rstrip("\n")
        code, out, err = cli(*words, "--json")
        assert code == 2
        answer = json.loads(out)
        assert list(answer) == ["error"]
        assert out.count("\n") == 1
        assert _same(answer["error"], said)
        return said

    return call


def _same(one: str, other: str) -> bool:
    """Whether two messages agree but for the number of a run folder."""
    return re.sub(r"-\d+\b", "", one) == re.sub(r"-\d+\b", "", other)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    data = table(folder / "data.csv")
    knobs: dict[str, Any] = {
        "epochs": 2,
        "threads": 1,
        "show": False,
        "target": "y",
        "network": "mlp",
    }
    return glassnet.train(data, name="run", runs=folder, **knobs).path


@pytest.fixture
def run(trained: Path, in_tmp: Path) -> Path:
    """A copy of a trained run in the working folder, and its data beside it."""
    shutil.copy(trained.parent / "data.csv", in_tmp)
    shutil.copytree(trained, in_tmp / "run")
    return Path("run")


# --- What was typed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ("trian digits", r"There is no command 'trian'\. Did you mean 'train'\?"),
        ("train", r"arguments are required: DATA.*glassnet train --help"),
        ("train nowhere/photos", r"no file or folder 'nowhere/photos'"),
        ("train digit", r"'digit'.* Did you mean 'digits'\?"),
        ("train iris --fit.epoch 3", r"Unknown knob 'fit\.epoch'.*Did you mean 'fit\.epochs'"),
        ("train iris --fit.epochs", r"--fit\.epochs needs a value"),
        ("train iris --fit.epochs abc", r"fit\.epochs: .*integer.*'abc'"),
        ("train iris --fit.lr -1", r"fit\.lr: .*greater than 0, found -1"),
        ("train iris --fit.lr=0", r"fit\.lr: .*greater than 0, found 0"),
        ("train iris --fit.batch_size 0", r"fit\.batch_size: .*found 0"),
        ("train iris --fit.patience 3 --split.mode redrawn", r"fit\.patience contradicts split\."),
        ("train iris --split.fold 2", r"split\.fold=2 contradicts split\.mode=fixed"),
        ("train iris --split.mode kfold --split.folds 500", r"split\.folds=500 needs"),
        ("train iris --network mpl", r"no network 'mpl'\. Did you mean 'mlp'\?"),
        ("train iris --network.hiden 3", r"network\.hiden.*Did you mean 'network\.hidden'"),
        ("train iris --network lenet", r"lenet"),
        ("train digits --network.width no", r"network\.width"),
        ("train iris --task tabel-classification", r"Did you mean 'table-classification'"),
        ("train iris --task image-classification", r"iris"),
        ("train iris --task mine.py", r"no file .*mine\.py"),
        ("train iris --network mine.py", r"no file .*mine\.py"),
        ("train iris --target spezies", r"spezies.*species"),
        ("train iris extra", r"Unrecognized arguments: extra"),
        ("train iris --fit.optimizer adamm", r"fit\.optimizer"),
        ("train iris --fit.optimizer sgd --fit.optimizer.nesterov true", r"momentum"),
        ("train iris --fit.precision float16 --fit.device cpu", r"float16 contradicts .*cpu"),
        ("train iris --fit.device cuda:99", r"fit\.device=cuda:99: this machine has no such"),
        ("train iris --fit.device gpu", r"fit\.device: .*'gpu'"),
        ("evaluate runs/none", r"no run folder runs/none"),
        ("evaluate iris --tset", r"Unrecognized arguments: --tset"),
        ("predict runs/none x", r"no run folder runs/none"),
        ("resume .", r"is no run folder: it holds no run\.json"),
        ("networks lenett", r"no network 'lenett'\. Did you mean 'lenet'"),
        ("networks resnet20", r"'resnet20': depth of resnet is one of 18, 34, 50, 101, 152"),
        ("networks alexnet --input 3x28x28", r"at least 63×63 pixels, found 28×28; use convnet"),
        ("networks alexnet --input 3x28", r"\(channels, height, width\), found \(3, 28\)"),
        ("networks alexnet --input large", r"--input large: expected channels x height x width"),
        ("networks vgg16 --classes 0", r"--classes 0: expected 1 or more"),
        ("networks vgg16 --network.deptj 3", r"'network\.deptj'\. Did you mean 'network\.depth'"),
        ("networks vgg --network.depth 12", r"network\.depth: .*11, 13, 16 or 19, found 12"),
        ("networks vgg16 --depth 11", r"--depth.* set by --network\.depth"),
        ("networks --input 3x28x28", r"Name a network, as in"),
        ("train digits --network alexnet", r"at least 63×63 pixels, found 8×8; .*--size 64"),
        ("train digits --network resnet99", r"depth of resnet is one of 18"),
        ("tasks nothing", r"no task 'nothing'"),
        ("datasets mnits", r"no dataset 'mnits'\. Did you mean 'mnist'"),
        ("recipes nothing", r"no recipe 'nothing'"),
        ("inspect nowhere", r"no file or folder 'nowhere'"),
        ("lr nowhere", r"no file or folder 'nowhere'"),
        ("train digits --dry-run --fit.lr x", r"fit\.lr: .*'x'"),
    ],
)
def test_what_was_typed_wrongly_is_explained(
    refused: Callable[..., str], words: str, pattern: str
) -> None:
    said = refused(*words.split())
    assert re.search(pattern, said, re.S), said
    assert not list(Path().glob("runs/*/checkpoint")), "nothing was trained"


# --- Data -----------------------------------------------------------------------------------------


def test_an_empty_folder(refused: Callable[..., str], in_tmp: Path) -> None:
    (in_tmp / "photos").mkdir()
    said = refused("train", "photos")
    assert re.search(r"photos.*(holds|found).*nothing", said, re.S)


def test_a_folder_with_one_class(refused: Callable[..., str], in_tmp: Path) -> None:
    for number in range(10):
        save(in_tmp / "photos" / "cat" / f"{number}.png", picture(number))
    assert re.search(r"class", refused("train", "photos", *QUICK))


def test_images_none_of_which_can_be_read(refused: Callable[..., str], in_tmp: Path) -> None:
    for label in ("cat", "dog"):
        for number in range(10):
            path = in_tmp / "photos" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("I am no image")
    assert "photos" in refused("train", "photos", *QUICK)


def test_one_unreadable_image_among_good_ones_is_named_and_left_out(cli: Cli, in_tmp: Path) -> None:
    class_folders(in_tmp / "photos", 10)
    (in_tmp / "photos" / "cat" / "3.png").write_text("I am no image")
    code, out, err = cli("train", "photos", *QUICK, "--json", "--split.test", "0.2")
    assert code == 0, err
    assert "3.png" in err or "3.png" in (Path(json.loads(out)["run"]) / "run.json").read_text()


def write_table(path: Path, answers: list[str]) -> Path:
    """A CSV with a number and these answers."""
    rows = [f"{(number * 37) % 101 / 10},{answer}" for number, answer in enumerate(answers)]
    path.write_text("size,y\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("answers", "flags", "pattern"),
    [
        (["a"] * 50, (), r"'y' is 'a' in every row"),
        (["1.5"] * 50, ("--task", "table-regression"), r"'y' is '1.5' in every row"),
        ([f"name{i}" for i in range(50)], (), r"y"),
        ([""] * 50, (), r"y"),
        (["a", "b"] * 25, ("--task", "table-regression"), r"y.*number"),
    ],
    ids=["constant", "constant number", "all distinct", "missing everywhere", "no number"],
)
def test_a_target_from_which_nothing_can_be_learned(
    refused: Callable[..., str], in_tmp: Path, answers: list[str], flags: Any, pattern: str
) -> None:
    write_table(in_tmp / "x.csv", answers)
    said = refused("train", "x.csv", "--target", "y", *QUICK, *flags)
    assert re.search(pattern, said, re.S), said


def test_a_target_that_is_not_named_or_not_there(refused: Callable[..., str], in_tmp: Path) -> None:
    table(in_tmp / "x.csv")
    said = refused("train", "x.csv")
    assert "--target" in said
    assert "width, height, colour, y" in said
    said = refused("train", "x.csv", "--target", "colr")
    assert "'colr'" in said
    assert "colour" in said


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_a_table_with_hardly_a_row(cli: Cli, in_tmp: Path, rows: int) -> None:
    write_table(in_tmp / "x.csv", ["a", "b", "a"][:rows])
    code, _, err = cli("train", "x.csv", "--target", "y", *QUICK, "--task", "table-classification")
    assert code in (0, 2), err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("data: [1, 2", r"not a readable YAML file"),
        ("- one\n- two\n", r"must hold knobs"),
        ("fit: {epochs: 3}\n", r"lacks `data:`"),
        ("data: 3\n", r"`data:` must be a path or a name, found 3"),
    ],
)
def test_a_broken_recipe_file(
    refused: Callable[..., str], in_tmp: Path, text: str, pattern: str
) -> None:
    (in_tmp / "recipe.yaml").write_text(text)
    said = refused("train", "recipe.yaml")
    assert re.search(pattern, said), said
    assert "recipe.yaml" in said


def test_a_recipe_file_that_is_not_there(refused: Callable[..., str]) -> None:
    assert "nothing.yaml" in refused("train", "nothing.yaml")


@pytest.mark.parametrize("text", ["import nothing_of_this_name", "x = 3", "TASK = 3", "def ("])
def test_a_task_file_that_is_none(refused: Callable[..., str], in_tmp: Path, text: str) -> None:
    (in_tmp / "mine.py").write_text(text + "\n")
    assert "mine.py" in refused("train", "iris", "--task", "mine.py")


# --- Training -------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_is_located(refused: Callable[..., str]) -> None:
    flags = ("--fit.optimizer", "sgd", "--fit.lr", "1e30", "--fit.schedule", "constant")
    said = refused("train", "iris", *QUICK, *flags)
    pattern = (
        r"NaN or infinite at step \d+ \(epoch \d+, batch \d+ of 6\): first not finite is .*layer"
    )
    assert re.search(pattern, said), said
    assert "--fit.lr" in said


def test_a_file_in_place_of_the_folder_for_runs(refused: Callable[..., str], in_tmp: Path) -> None:
    (in_tmp / "runs").write_text("I am a file")
    assert re.search(r"runs/iris-mlp could not be made", refused("train", "iris", *QUICK))


def full_disk(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """From now on, files with ``what`` in their path do not fit on the disk."""
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        if what in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("what", ["recipe.yaml", "checkpoint", "model.safetensors", "report.html"])
def test_a_full_disk(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    full_disk(monkeypatch, what)
    said = refused("train", "iris", *QUICK)
    assert "The disk is full" in said
    assert what in said


def test_a_run_folder_that_cannot_be_written(
    refused: Callable[..., str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        if "run" in Path(target).parts:
            raise OSError(errno.EROFS, "Read-only file system")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    assert re.search(r"could not be written: Read-only file system", refused("resume", run))
    assert re.search(r"could not be written: Read-only file system", refused("evaluate", run))
    monkeypatch.undo()


# --- Run folders ----------------------------------------------------------------------------------


def test_a_run_folder_from_a_newer_version(refused: Callable[..., str], run: Path) -> None:
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "format": 99, "glassnet": "9.0"}))
    for words in (("evaluate", run), ("predict", run, "data.csv"), ("resume", run)):
        said = refused(*words)
        assert re.search(r"run format 99, written by glassnet 9\.0.*Upgrade", said), said


@pytest.mark.parametrize("name", ["recipe.yaml", "facts.json", "model.safetensors"])
def test_a_run_folder_that_lacks_a_file(refused: Callable[..., str], run: Path, name: str) -> None:
    (run / name).unlink()
    assert name in refused("predict", run, "data.csv")


@pytest.mark.parametrize("name", ["recipe.yaml", "facts.json", "run.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\x00\xfe", b"{}"])
def test_a_run_folder_with_a_damaged_file(
    refused: Callable[..., str], run: Path, name: str, content: bytes
) -> None:
    (run / name).write_bytes(content)
    said = refused("predict", run, "data.csv")
    assert name in said or str(run) in said


def test_tampered_weights(refused: Callable[..., str], run: Path) -> None:
    path = run / "model.safetensors"
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[-20] ^= 0x40
    for bad in (bytes(flipped), good[:-50], good[: len(good) // 2], os.urandom(2000)):
        path.write_bytes(bad)
        said = refused("predict", run, "data.csv")
        assert re.search(r"model\.safetensors is damaged", said), said
        assert "model.safetensors is damaged" in refused("evaluate", run)


def test_weights_of_another_network(refused: Callable[..., str], run: Path) -> None:
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace("name: mlp", "name: perceptron"))
    said = refused("predict", run, "data.csv")
    assert re.search(r"model\.safetensors|recipe\.yaml|network", said)


def test_all_checkpoints_damaged_starts_anew_and_says_so(cli: Cli, run: Path) -> None:
    before = weights(Run(run))
    for path in (run / "checkpoint").iterdir():
        path.write_bytes(b"garbage")
    code, _, err = cli("resume", run)
    assert code == 0
    assert "is damaged" in err
    assert same_bits(weights(Run(run)), before)


# --- Afterwards -----------------------------------------------------------------------------------


def test_predicting_without_a_column_names_it(
    refused: Callable[..., str], run: Path, in_tmp: Path
) -> None:
    (in_tmp / "new.csv").write_text("width,heigth\n1,2\n")
    said = refused("predict", run, "new.csv")
    assert "'height'" in said
    assert "'colour'" in said


def test_predicting_what_is_not_there(refused: Callable[..., str], run: Path) -> None:
    assert "nothing.csv" in refused("predict", run, "nothing.csv")


def test_predicting_an_empty_table(cli: Cli, run: Path, in_tmp: Path) -> None:
    (in_tmp / "new.csv").write_text("width,height,colour\n")
    code, out, err = cli("predict", run, "new.csv", "--json")
    assert code in (0, 2), err
    assert list(json.loads(out)) in (["predictions"], ["error"])


@pytest.mark.parametrize(
    ("output", "pattern"),
    [
        ("answers.txt", r"answers\.txt.*\.csv or \.json"),
        ("nowhere/answers.csv", r"nowhere/answers\.csv: there is no folder"),
        ("folder.csv", r"folder\.csv could not be written: Is a directory"),
    ],
)
def test_answers_that_cannot_be_written(
    refused: Callable[..., str], run: Path, in_tmp: Path, output: str, pattern: str
) -> None:
    (in_tmp / "folder.csv").mkdir()
    said = refused("predict", run, "data.csv", "-o", output)
    assert re.search(pattern, said), said


def test_evaluating_after_the_data_changed_or_moved(
    cli: Cli, refused: Callable[..., str], in_tmp: Path
) -> None:
    table(in_tmp / "here.csv")
    words = ("train", "here.csv", "--target", "y", "--name", "moved", *QUICK)
    assert cli(*words)[0] == 0
    (in_tmp / "here.csv").rename("there.csv")
    said = refused("evaluate", "runs/moved")
    assert "here.csv" in said
    assert "--data" in said
    code, out, _ = cli("evaluate", "runs/moved", "--data", "there.csv", "--json")
    assert code == 0
    assert json.loads(out)["split"] == "validation"
    table(in_tmp / "here.csv", seed=9)
    assert re.search(r"is not what .* was trained on", refused("evaluate", "runs/moved"))
    assert re.search(r"is not what .* was trained on", refused("resume", "runs/moved"))


def test_the_test_of_a_run_that_has_none(cli: Cli, refused: Callable[..., str]) -> None:
    assert cli("train", "iris", *QUICK, "--split.test", "0", "--name", "whole")[0] == 0
    assert "split.test was 0" in refused("evaluate", "runs/whole", "--test")


def test_a_plot_that_cannot_be_written(refused: Callable[..., str]) -> None:
    said = refused("lr", "iris", "--fit.threads", "1", "-o", "nowhere/lr.html")
    assert "nowhere/lr.html" in said
