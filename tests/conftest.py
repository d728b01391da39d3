"""What all tests share: one thread each, and the options of the contract suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from glassnet import listing

torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("glassnet", "the contract of tasks (tests/test_contract_tasks.py)")
    group.addoption("--task", help="check this task only: a name, or a Python file of your own")
    group.addoption("--data", help="with this data set: a path, a name or a recipe file")
    group.addoption(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="and this knob, such as target=price; may be repeated",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the contract on every file of the folder, or on the one that was asked for."""
    if "task_name" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--task")
        names = [here(asked)] if asked else listing.names("tasks")
        ids = [Path(name).stem for name in names]
        metafunc.parametrize("task_name", names, scope="module", ids=ids)


def here(reference: str) -> str:
    """A path that exists, made absolute; anything else as it is."""
    path = Path(reference).expanduser()
    return str(path.resolve()) if path.exists() else reference


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, so that nothing is written beside the code."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command line in this process: words -> exit code, standard output, standard error."""
    from glassnet.cli import main

    def call(*words: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as error:  # argparse's --help and --version
            code = int(error.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call
