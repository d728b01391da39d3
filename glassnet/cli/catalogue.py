"""Commands that list what there is: tasks, networks, data sets, recipes, this installation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from glassnet.cli.verb import Options, Verb, say
from glassnet.errors import UserError


def tasks(options: Options) -> int:
    """List the tasks, or show the knobs of one."""
    return _entries(options, "tasks", _task_knobs)


def networks(options: Options) -> int:
    """List the networks, or show one, layer by layer, for inputs of any shape."""
    if options.name is None:
        if any((options.input, options.classes, options.reads, options.vocabulary, options.knobs)):
            raise UserError("Name a network, as in `glassnet networks resnet50 --input 3x64x64`.")
        return _entries(options, "networks", lambda name: "")
    from glassnet import blueprint, listing, network
    from glassnet.cli.text import knob_help, layer_table
    from glassnet.recipe import NetworkKnobs

    for flag, value in (("classes", options.classes), ("vocabulary", options.vocabulary)):
        if value is not None and value < 1:
            raise UserError(f"--{flag} {value}: expected 1 or more.")
    shape = blueprint.parse_shape(options.input) if options.input else None
    knobs = NetworkKnobs(name=options.name, **_network_knobs(options.knobs))
    drawn = blueprint.draw(knobs, shape, options.classes, options.reads, options.vocabulary)
    name = str(drawn.network["name"])
    path = Path(name) if name.endswith(".py") else listing.file("networks", name)
    of_name = knob_help(network.schema(network.find(name)), "network.")
    page = f"{listing.docstring(path)}\n\n{of_name}\n\n{layer_table(drawn)}".strip()
    answer = {"name": options.name, "file": str(path), "text": page, **drawn.to_json()}
    return say(options, answer, page)


def _network_knobs(flags: dict[str, Any]) -> dict[str, Any]:
    """Turn ``--network.depth 50`` into ``{"depth": 50}``."""
    from glassnet.recipe import parse_value

    for flag in flags:
        if not flag.startswith("network."):
            raise UserError(
                f"Unknown flag --{flag}. `glassnet networks --help` lists all; a knob of the "
                f"network is set by --network.{flag}."
            )
    return {flag.removeprefix("network."): parse_value(text) for flag, text in flags.items()}


def datasets(options: Options) -> int:
    """List the named data sets, or show one."""
    return _entries(options, "datasets", lambda name: "", ".yaml")


def recipes(options: Options) -> int:
    """List the verified recipes, show one, or check what they promise."""
    if options.name == "check":
        from glassnet import goals
        from glassnet.cli.text import checks

        results = goals.check(options.names)
        say(options, {"checks": [vars(r) for r in results]}, checks(results))
        return 0 if all(r.reached for r in results) else 1
    if options.names:
        raise UserError(f"{options.names[0]!r} is not understood; one name at a time.")
    return _entries(options, "recipes", lambda name: "", ".yaml")


def check(options: Options) -> int:
    """Check this installation and its catalogue."""
    from glassnet import checkup
    from glassnet.cli.text import table

    rows = [checkup.clear_cache()] if options.clear_cache else checkup.run()
    answer = {"checks": [vars(row) for row in rows]}
    say(options, answer, table(["", "check", "found"], [[r.mark, r.name, r.found] for r in rows]))
    return 0 if all(row.good for row in rows) else 1


def _entries(options: Options, folder: str, more: Callable[[str], str], suffix: str = ".py") -> int:
    from glassnet import listing
    from glassnet.cli.text import table

    name = getattr(options, "name", None)
    if name is None:
        rows = [
            [entry, listing.about(folder, entry, suffix)] for entry in listing.names(folder, suffix)
        ]
        return say(options, {folder: dict(rows)}, table(["name", ""], rows))
    path = Path(name) if name.endswith(".py") else listing.file(folder, name, suffix)
    text = listing.docstring(path) if suffix == ".py" else path.read_text(encoding="utf-8")
    page = f"{text.rstrip()}\n\n{more(name)}".rstrip()
    return say(options, {"name": name, "file": str(path), "text": page}, page)


def _task_knobs(name: str) -> str:
    from glassnet import catalog
    from glassnet.cli.text import knob_help

    return knob_help(catalog.task(name).recipe)


VERBS = (
    *(
        Verb(name, help, act, ((("name",), {"nargs": "?", "metavar": "NAME", "help": "show one"}),))
        for name, help, act in (
            ("tasks", "List tasks, or show one with its knobs.", tasks),
            ("datasets", "List named data sets, or show one.", datasets),
        )
    ),
    Verb(
        "networks",
        "List networks, or show one with its knobs and all its layers.",
        networks,
        (
            (("name",), {"nargs": "?", "metavar": "NAME", "help": "show one, such as resnet50"}),
            (
                ("--input",),
                {
                    "metavar": "SHAPE",
                    "help": "channels x height x width of an image, as 3x224x224, or the number "
                    "of columns of a table, or of tokens of a text (default: the paper's)",
                },
            ),
            (
                ("--reads",),
                {
                    "choices": ("tokens", "stream", "pairs", "signals", "frames"),
                    "help": "of a network for texts: one answer for a text, one for each token, or "
                    "a translation; for sequences of numbers: one answer, or one for each stretch "
                    "(default: the first that it can)",
                },
            ),
            (
                ("--vocabulary",),
                {"type": int, "metavar": "N", "help": "of a network for texts: different tokens"},
            ),
            (
                ("--classes",),
                {"type": int, "metavar": "N", "help": "outputs (default: the paper's)"},
            ),
        ),
        takes_knobs=True,
        more_help=lambda: "--network.KNOB sets any knob of the network: --network.depth 50",
    ),
    Verb(
        "recipes",
        "List verified recipes, show one, or `recipes check [NAME …]` what they promise.",
        recipes,
        (
            (("name",), {"nargs": "?", "metavar": "NAME", "help": "show one, or `check`"}),
            (("names",), {"nargs": "*", "metavar": "NAME", "help": "after `check`: which"}),
        ),
    ),
    Verb(
        "check",
        "Check this installation: devices, packages, cache, catalogue.",
        check,
        (
            (
                ("--clear-cache",),
                {"action": "store_true", "help": "remove decoded images that no run uses now"},
            ),
        ),
    ),
)
