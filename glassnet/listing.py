"""Folders as catalogues: what a folder of Python files offers, without importing it.

A task, network or data set exists because its file exists. Names are file stems with ``-`` for
``_``; summaries are the first line of the module docstring, read as text, so that listing costs
no import of torch.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from glassnet.errors import UserError, nearest

ROOT = Path(__file__).parent


def names(folder: str, suffix: str = ".py") -> list[str]:
    """List the entries of ``glassnet/<folder>`` in alphabetical order."""
    files = (ROOT / folder).glob(f"[!_]*{suffix}")
    return sorted(file.stem.replace("_", "-") for file in files)


def file(folder: str, name: str, suffix: str = ".py") -> Path:
    """Return the file of an entry; raise UserError with the nearest name if there is none."""
    found = ROOT / folder / f"{name.replace('-', '_')}{suffix}"
    if not found.is_file():
        found = ROOT / folder / f"{name}{suffix}"
    if not found.is_file():
        raise unknown(folder, name, suffix)
    return found


def unknown(folder: str, name: str, suffix: str = ".py") -> UserError:
    """Say that there is no such entry, with the nearest name that there is."""
    known = names(folder, suffix)
    kind = folder.rstrip("s")
    return UserError(
        f"There is no {kind} {name!r}.{nearest(name, known)} Known {folder}: "
        f"{', '.join(known)}. A file of your own can be given by its path, ending in {suffix}."
    )


def family(folder: str, name: str) -> tuple[str, str]:
    """Part the usual name of a variant into its family's and the rest, empty if it has a file.

    >>> [family("networks", name) for name in ("resnet50", "hgnetv2_b2", "hgnetv2", "my_net.py")]
    [('resnet', '50'), ('hgnetv2', 'b2'), ('hgnetv2', ''), ('my_net.py', '')]
    """
    known = names(folder)
    parts = re.fullmatch(r"(.+?)(?:-(\w+)|-?(\d+))", name.replace("_", "-"))
    if name.replace("_", "-") in known or parts is None or parts[1] not in known:
        return name, ""
    return parts[1], parts[2] or parts[3]


def docstring(path: Path) -> str:
    """Return the module docstring of a Python file without importing it."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def summary(path: Path) -> str:
    """Return the first line of a file's docstring."""
    return docstring(path).partition("\n")[0]


def about(folder: str, name: str, suffix: str = ".py") -> str:
    """Return an entry's summary: a docstring's first line, or a YAML file's ``summary``."""
    path = file(folder, name, suffix)
    if suffix == ".py":
        return summary(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    found = next((line for line in lines if line.startswith("summary:")), "")
    return found.removeprefix("summary:").strip().strip("\"'")


def constant(folder: str, name: str, constant: str, default: Any) -> Any:
    """Return a literal that a Python file assigns at its top level, without importing it."""
    path = Path(name).expanduser() if name.endswith(".py") else file(folder, name)
    if not path.is_file():
        return default
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [constant]:
            return ast.literal_eval(node.value)
    return default


def load(folder: str, name: str, value: str) -> object:
    """Return the object called ``value`` (such as ``TASK``) from an entry or a user's own file."""
    module = _import_path(Path(name)) if name.endswith(".py") else _import_entry(folder, name)
    if not hasattr(module, value):
        raise UserError(
            f"{module.__file__} must end with `{value} = …`, but defines no {value}. "
            f"See any file in {ROOT / folder}."
        )
    return getattr(module, value)


def _import_entry(folder: str, name: str) -> ModuleType:
    return importlib.import_module(f"glassnet.{folder}.{file(folder, name).stem}")


def _import_path(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    name = f"glassnet_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their annotations up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path} could not be imported: {type(error).__name__}: {error}") from error
    return module
