"""What glassnet knows: tasks, networks, recipes and data sets, found by listing their folders.

Also the way from what a person typed to a task and its complete recipe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassnet import listing, references
from glassnet.data import sources
from glassnet.errors import UserError
from glassnet.recipe import NetworkKnobs, Recipe, build, merge, nested, read_yaml
from glassnet.task import Look, Task

SHOWN = 20
"""Columns that an error names."""


def task(name: str) -> Task[Any, Any]:
    """Load a task by its name, or from a user's own file."""
    found = listing.load("tasks", name, "TASK")
    if not isinstance(found, Task):
        raise UserError(f"task {name}: TASK must be a glassnet.task.Task, found {type(found)}.")
    return found


def recipe(name: str) -> dict[str, Any]:
    """Read a verified recipe of the catalogue."""
    return read_yaml(listing.file("recipes", name, ".yaml"))


def resolve(
    reference: str,
    flags: Mapping[str, Any],
    copies: Path | None = None,
    weights: str | None = None,
) -> tuple[Task[Any, Any], Recipe]:
    """Turn a recipe file, a recipe's name or a data set, and changes of knobs, into a recipe.

    ``flags`` has full or short names of knobs: ``{"fit.lr": 0.1}`` or ``{"lr": 0.1}``. Below
    ``copies`` the rows of a database are kept for the run, which then needs no database.
    ``weights`` are what a fine-tuning starts from.
    """
    values = _values(reference)
    if "data" in flags:
        values["data"] = flags["data"]
    values["data"] = references.hidden(str(values["data"]))
    if copies is not None:
        target = flags.get("target") or values.get("target")
        target = None if target is None else str(target)
        values["data"] = sources.frozen(values["data"], copies, target)
    flags = {key: value for key, value in flags.items() if key != "data"}
    name = (
        flags.get("task") or values.get("task") or fitting_task(values["data"], {**values, **flags})
    )
    chosen = task(str(name))
    if weights is not None:
        if "transfer" not in chosen.recipe.model_fields and "task" not in flags:
            name = _task_of_run(weights) or name  # of a run that learned, say, from texts
            chosen = task(str(name))
        if "transfer" not in chosen.recipe.model_fields:  # there, `weights` may be a column
            raise UserError(f"The task {name} takes no first weights, so it cannot be fine-tuned.")
        flags = {**flags, "weights": weights}
    entry = sources.named(values["data"])
    known = {"target": entry.target} if entry and entry.target else {}
    hints = {k: v for k, v in known.items() if k in chosen.recipe.model_fields}
    own = nested({k: v for k, v in flags.items() if v is not None}, chosen.recipe)
    customary = {k: v for k, v in (entry.knobs if entry else {}).items()
                 if k.partition(".")[0] in chosen.recipe.model_fields}  # fmt: skip
    hints = merge(nested(customary, chosen.recipe), hints)
    values = merge(merge(hints, values), merge(own, {"task": name}))
    values = _by_family({**values, **chosen.bound(values)})
    from glassnet import network

    values = merge(chosen.implied(values), values)
    recipe = build(chosen.recipe, _with_paths(values))
    return chosen, recipe.model_copy(update={"network": network.resolved(recipe.network)})


def _task_of_run(weights: str) -> str | None:
    """The task that a run folder was made by; None if these weights are no run."""
    path = Path(weights).expanduser() / "run.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["task"]) if path.is_file() else None


def _by_family(values: dict[str, Any]) -> dict[str, Any]:
    """Name a network's variant by its family, so that what first weights imply of it is kept."""
    from glassnet import network

    asked = values.get("network")
    knobs = {"name": asked} if isinstance(asked, str) else asked
    if not (isinstance(knobs, Mapping) and isinstance(knobs.get("name"), str)):
        return values  # knobs of the network that is implied; or a mistake, which is told later
    found = network.named(NetworkKnobs.model_validate(knobs))
    return {**values, "network": {"name": found.name, **found.options}}


def fitting_task(data: str, flags: Mapping[str, Any]) -> str:
    """Choose the task that fits the data; UserError if none does or several do."""
    target = flags.get("target")
    look = sources.look(data, target=None if target is None else str(target))
    fitting = tasks_for(look)
    if len(fitting) == 1:
        return next(iter(fitting))
    if not fitting:
        raise UserError(
            f"No task fits {data} ({look.kind}). {wanted(look)}`glassnet tasks` lists them all; "
            "`glassnet inspect` shows what was found."
        )
    reasons = "; ".join(f"{name}: {why}" for name, why in fitting.items())
    raise UserError(f"Several tasks fit {data}: {reasons}. Choose one by --task.")


def tasks_for(look: Look) -> dict[str, str]:
    """The tasks that fit what was found, with the reason."""
    reasons = {name: task(name).fits(look) for name in listing.names("tasks")}
    return {name: why for name, why in reasons.items() if why is not None}


def wanted(look: Look) -> str:
    """What a person has to add so that a task fits."""
    if look.kind != "table" or "target" in look.details:
        return ""
    names = [column["name"] for column in look.details["columns"]]
    shown = names if len(names) <= SHOWN else [*names[: SHOWN // 2], "…", *names[-SHOWN // 2 :]]
    return (
        f"Name the column to predict by --target; the columns are: {', '.join(shown)}. If they "
        "mean something else, such as the steps of a signal in each row, what was measured over "
        "time, or texts beside their translations, name the task by --task: "
        f"{', '.join(listing.names('tasks'))}. "
    )


def _values(reference: str) -> dict[str, Any]:
    if references.is_url(reference):
        return {"data": reference}
    path = Path(reference).expanduser()
    if path.suffix in (".yaml", ".yml"):
        values = read_yaml(path)
        if "data" not in values:
            raise UserError(f"{path} lacks `data:`, a path or a name from `glassnet datasets`.")
        if not isinstance(values["data"], str):
            raise UserError(f"{path}: `data:` must be a path or a name, found {values['data']!r}.")
        beside = path.parent / str(values["data"])
        there, _ = references.split(values["data"])
        if not references.exists(there) and references.exists(references.split(beside)[0]):
            values["data"] = str(beside)
        return values
    if not references.exists(path) and reference in listing.names("recipes", ".yaml"):
        return recipe(reference)
    return {"data": reference}


def _with_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Make the paths of data and of the user's own files absolute: a run is resumed anywhere."""
    network = values.get("network")
    if isinstance(network, dict) and str(network.get("name")).endswith(".py"):
        network = {**network, "name": references.absolute(network["name"])}
    elif isinstance(network, str) and network.endswith(".py"):
        network = references.absolute(network)
    own = {"network": network} if network is not None else {}
    if str(values["task"]).endswith(".py"):  # else a folder of the task's name would be taken
        own["task"] = references.absolute(values["task"])
    return {**values, **own, "data": references.absolute(values["data"])}
