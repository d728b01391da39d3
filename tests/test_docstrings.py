"""Examples in docstrings are run: one that is wrong misleads worse than none."""

import doctest
import importlib
from pathlib import Path

import pytest

import glassnet

ROOT = Path(glassnet.__file__).parent
MODULES = sorted(
    ".".join(("glassnet", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if "    >>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_say_what_it_does(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed
