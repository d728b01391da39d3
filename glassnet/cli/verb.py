"""What a command is, and the arguments that several of them take."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Options = argparse.Namespace
Argument = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Verb:
    """One command."""

    name: str
    help: str
    act: Callable[[Options], int]
    arguments: tuple[Argument, ...] = ()
    takes_knobs: bool = False
    more_help: Callable[[], str] | None = None


def say(options: Options, answer: dict[str, Any], text: str) -> int:
    """Print the answer as JSON or as text."""
    out = json.dumps(answer, ensure_ascii=False) if options.json else text
    sys.stdout.write(out.rstrip("\n") + "\n")
    return 0


RUN: Argument = (("run",), {"metavar": "RUN", "help": "a run folder, such as runs/digits-convnet"})
DATA: Argument = (
    ("data",),
    {
        "metavar": "DATA",
        "help": "a path, a name from `glassnet datasets`, a recipe file, a sheet as "
        "book.xlsx#Sheet2, or a database as sqlite:///shop.db#TABLE-OR-SELECT",
    },
)
MOVED: Argument = (("--data",), {"help": "where the data set is now, if it has moved"})
TRUST: Argument = (
    ("--trust-code",),
    {"action": "store_true", "help": "run the task or network program that a copied run holds"},
)
