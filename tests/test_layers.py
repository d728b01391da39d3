"""Who may import whom (design.md): read from the files, not from what happens to be loaded."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

import glassnet

ROOT = Path(glassnet.__file__).parent

ROOMS = {
    # The words that everybody speaks; they know no data, no network and no task.
    "vocabulary": {
        "__init__", "errors", "version", "listing", "figures", "task", "recipe", "knobs",
        "optimizers", "schedules", "progress", "balance", "references", "jsonfile",
    },
    # What a training is written with and into.
    "ground": {"run", "owncode", "device", "journal", "eventfile", "splits", "linear"},
    "networks": {"networks"},
    # What tasks are put together from.
    "stock": {
        "learners", "losses", "mixing", "averaging", "health", "metrics", "views", "network",
        "cost", "decisions", "tilt", "curves", "readings",
        "findings", "separable", "plane", "blueprint", "augmented", "weights", "weightfiles",
        "published", "cards", "hub", "transfer", "blocks", "imaging", "matching",
        "words", "speech", "signals", "forecasts", "dna",
    },
    "data": {"data"},
    "tasks": {"tasks"},
    "catalog": {"catalog"},
    "loop": {"loop"},
    "after": {"trained", "evaluate", "explain"},
    "tools": {
        "dryrun", "rangetest", "goals", "checkup", "show", "showcase", "optimizer_race",
        "optimizer_page", "diagnosis", "inspection", "convolving", "fading",
    },
    "api": {"api", "estimators"},
    "cli": {"cli", "__main__"},
}  # fmt: skip

MAY_IMPORT = {
    "vocabulary": {"vocabulary"},
    "ground": {"vocabulary", "ground"},
    "stock": {"vocabulary", "ground", "stock", "networks"},
    "networks": {"networks"},
    "data": {"vocabulary", "data"},
    "tasks": {"vocabulary", "ground", "stock", "networks", "data"},
    "catalog": {"vocabulary", "stock", "data"},
    "loop": {"vocabulary", "ground"},
    "after": {"vocabulary", "ground", "stock", "after"},
    "tools": {
        "vocabulary", "ground", "stock", "networks", "data", "catalog", "loop", "after", "api",
        "tools",
    },
    "api": {"vocabulary", "ground", "stock", "data", "catalog", "loop", "after", "tools", "api"},
    "cli": {
        "vocabulary", "ground", "stock", "data", "catalog", "loop", "after", "tools", "api", "cli",
    },
}  # fmt: skip

EXCEPTIONS = {
    "glassnet/__init__.py": {"api"},  # the package hands out the Python API when it is first used
}

# What a command such as `glassnet --help` reads must not load any of these.
HEAVY = {
    "torch", "numpy", "scipy", "sklearn", "polars", "pandas", "PIL", "simplejpeg", "rich",
    "safetensors", "tensorboardX", "filelock", "torchvision", "matplotlib", "transformers",
    "fastexcel", "sqlalchemy", "huggingface_hub", "tqdm", "tokenizers", "sacrebleu", "datasets",
    "soundfile", "jiwer",
}  # fmt: skip
LIGHT = [
    "__init__", "__main__", "errors", "progress", "version", "listing", "figures", "task", "recipe",
    "knobs", "optimizers", "schedules", "references", "run", "cli/__init__", "cli/verbs",
    "cli/verb", "cli/training", "cli/after", "cli/seeing", "cli/catalogue", "cli/writing",
    "cli/text", "data/sources", "data/datasets", "data/parts", "catalog", "show",
]  # fmt: skip
MAY_NETWORKS_IMPORT = {"torch", "pydantic", "glassnet"}
WRAPPED = {
    "backbone.py": {"transformers"},
    "_transformers.py": {"transformers"},
}  # what it exists for

FILES = sorted(path for path in ROOT.rglob("*.py"))


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in FILES}


def room_of(module: str) -> str:
    """The room of a module of ours."""
    words = module.split(".")
    first = words[1] if len(words) > 1 else "__init__"
    found = [room for room, names in ROOMS.items() if first in names]
    assert len(found) == 1, f"{module} belongs to no room: add it to ROOMS in {__file__}"
    return found[0]


@cache
def imports(path: Path, *, top_level_only: bool = False) -> frozenset[str]:
    """The dotted names that a file imports; what is for type checkers alone is passed over."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
            continue
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide where things come from"
            found |= set(_from(node))
        waiting.extend(ast.iter_child_nodes(node))
    return frozenset(found)


def _from(node: ast.ImportFrom) -> list[str]:
    """``from glassnet import loop`` names a module, ``from glassnet.loop import train`` its own."""
    assert node.module is not None
    full = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else node.module for name in full]


def ours(names: frozenset[str]) -> set[str]:
    """Those of the imported modules that are glassnet's."""
    return {name for name in names if name.split(".")[0] == "glassnet"}


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 40
    assert set(MAY_IMPORT) == set(ROOMS)


@pytest.mark.parametrize("module", MODULES)
def test_only_allowed_arrows_between_rooms(module: str) -> None:
    path = MODULES[module]
    here = room_of(module)
    allowed = MAY_IMPORT[here] | EXCEPTIONS.get(str(path.relative_to(ROOT.parent)), set())
    wrong = {name for name in ours(imports(path)) if room_of(name) not in allowed}
    assert not wrong, f"{module} ({here}) imports {wrong}, but may import {allowed} only"


@pytest.mark.parametrize("path", sorted((ROOT / "tasks").glob("[!_]*.py")), ids=lambda p: p.stem)
def test_no_task_imports_another_task(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith("glassnet.tasks")}


@pytest.mark.parametrize("path", sorted((ROOT / "networks").glob("*.py")), ids=lambda p: p.stem)
def test_networks_are_plain_torch(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    foreign = roots - MAY_NETWORKS_IMPORT - WRAPPED.get(path.name, set())
    foreign -= sys.stdlib_module_names
    assert not foreign, f"{path.name} imports {foreign}"


def test_nothing_names_a_task_or_a_network_but_its_own_file_and_its_defaults() -> None:
    names = {f"glassnet.{folder}.{path.stem}" for folder in ("tasks", "networks")
             for path in (ROOT / folder).glob("[!_]*.py")}  # fmt: skip
    for path in FILES:
        found = imports(path) & names
        if path.parent.name != "networks":
            assert not found, f"{path} imports {found}; the folders are the catalogue"


@pytest.mark.parametrize("name", LIGHT)
def test_what_the_help_reads_imports_nothing_heavy(name: str) -> None:
    loaded = imports(ROOT / f"{name}.py", top_level_only=True)
    heavy = {module.split(".")[0] for module in loaded} & HEAVY
    assert not heavy, f"{name}.py imports {heavy} at the top; import it where it is used"
    light = {module_of(ROOT / f"{other}.py") for other in LIGHT} | {"glassnet.data"}
    assert ours(loaded) <= light, f"{name}.py imports {ours(loaded) - light}, which may be heavy"


def test_no_module_imports_itself_by_way_of_others() -> None:
    arrows = {
        module: ours(imports(path, top_level_only=True)) & MODULES.keys() - {module}
        for module, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join([*way, module])}"
        if module not in done:
            for other in sorted(arrows[module]):
                visit(other, (*way, module))
            done.add(module)

    for module in arrows:
        visit(module, ())


def test_imports_hidden_in_functions_are_not_there_to_break_a_circle() -> None:
    """An import within a function saves time; it must not hide that the structure is wrong."""
    arrows = {module: ours(imports(path)) & MODULES.keys() for module, path in MODULES.items()}
    order = list(ROOMS)
    for module, others in arrows.items():
        for other in others - {"glassnet"}:
            if module == "glassnet":
                continue
            assert order.index(room_of(other)) <= order.index(room_of(module)) or (
                room_of(module) == "tools"
            ), f"{module} imports {other}, which stands above it"
