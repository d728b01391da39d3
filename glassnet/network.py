"""From a network's name and options to the network: its constructor is the schema of its knobs."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, create_model
from torch import nn

from glassnet import listing
from glassnet.errors import UserError
from glassnet.networks._columns import (
    Flat,
    NamedSlot,
    PiecewiseLinear,
    Slot,
    names_of_flat,
    names_of_piecewise,
)
from glassnet.recipe import NetworkKnobs, build

GIVEN = ("slots", "vocabulary", "reads", "variables", "horizon")
"""Arguments of a network's constructor that the data and the task say: no knobs."""
FRONT = (Flat, PiecewiseLinear)
"""Layers that spread out the row of a table: one step of a trace, however they are computed."""


def build_network(
    knobs: NetworkKnobs,
    input_shape: tuple[int, ...],
    num_outputs: int,
    slots: Sequence[Slot] | None = None,
    *,
    reads: str = "numbers",
    vocabulary: int | None = None,
    variables: int | None = None,
    horizon: int | None = None,
) -> nn.Module:
    """Build the network that a recipe names, for inputs of this shape (without the batch).

    ``slots`` says what the numbers of a compact row of a table are. A network whose constructor
    has an argument of this name reads such rows itself; any other gets them spread out.

    ``reads`` is what the task feeds it: 'numbers' (images, rows of a table), 'tokens' (texts with
    one answer each), 'stream' (an answer for each token), 'pairs' (a text and its translation),
    'signals' (one answer each), 'frames' (an answer for each stretch of a signal), 'forecast' (what
    comes next). ``vocabulary`` is the number of different tokens, ``variables`` and ``horizon`` are
    what is forecast and how far. See ``networks/_sequences.py`` and ``networks/_series.py``.

    Raises:
        UserError: If the network cannot be built for these data, or reads something else.
    """
    knobs = named(knobs)
    constructor: Callable[..., nn.Module] = find(knobs.name)
    _require(knobs.name, reads)
    takes = inspect.signature(constructor).parameters
    given = {"reads": reads, "vocabulary": vocabulary, "variables": variables, "horizon": horizon}
    constructor = partial(constructor, **{k: v for k, v in given.items() if k in takes})
    options = dict(build(schema(find(knobs.name)), knobs.options, "network."))
    front: list[Flat] = []
    if slots is not None and "slots" in takes:
        constructor = partial(constructor, slots=slots)
    elif slots is not None and any(slot.size for slot in slots):
        front = [Flat(slots)]
        input_shape = (front[0].num_outputs,)
    try:
        network = constructor(input_shape, num_outputs, **options)
    except ValueError as error:
        raise UserError(f"The network does not fit the data: {error}.") from None
    if knobs.name.endswith(".py") and reads == "numbers":
        _try(network, knobs.name, input_shape, num_outputs)
    return nn.Sequential(*front, network) if front else network


def reads(name: str) -> tuple[str, ...]:
    """What a network can be fed, such as numbers or tokens; read from its file's text."""
    found: tuple[str, ...] = listing.constant(
        "networks", listing.family("networks", name)[0], "READS", ("numbers",)
    )
    return found


def _require(name: str, fed: str) -> None:
    """Refuse a network that reads something else, and name those that fit."""
    if fed in reads(name):
        return
    fitting = [other for other in listing.names("networks") if fed in reads(other)]
    raise UserError(
        f"network {name} reads {' or '.join(reads(name))}, and this task feeds {fed}. Networks for "
        f"it: {', '.join(fitting)}. `glassnet tasks` lists tasks that feed other things."
    )


def _try(network: nn.Module, name: str, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Refuse a network of the user's own that cannot answer, before anything is trained."""
    network.eval()
    try:
        with torch.no_grad():
            found = tuple(network(torch.zeros(2, *input_shape)).shape)
    except Exception as error:
        raise UserError(
            f"{name}: its network fails on inputs of shape (2, {', '.join(map(str, input_shape))})"
            f": {type(error).__name__}: {error}"
        ) from error
    network.train()
    if found != (2, num_outputs):
        raise UserError(
            f"{name}: its network must answer two examples with outputs of shape "
            f"(2, {num_outputs}), found {found}."
        )


def names_of_row(slots: Sequence[NamedSlot], width: int) -> list[str]:
    """Names of the numbers of a row of a table, compact or spread out; none for another width."""
    for names in ([s.name for s in slots], names_of_flat(slots), names_of_piecewise(slots)):
        if len(names) == width:
            return names
    return []


def resolved(knobs: NetworkKnobs) -> NetworkKnobs:
    """Return the knobs with every default of the constructor written out."""
    knobs = named(knobs)
    options = build(schema(find(knobs.name)), knobs.options, "network.")
    return NetworkKnobs(name=knobs.name, **options.model_dump(mode="json"))


def named(knobs: NetworkKnobs) -> NetworkKnobs:
    """Turn the usual name of a variant into its family's and a knob: ``resnet50`` is depth 50.

    What follows the name of a family sets its knob ``depth`` if it is a number, else ``size``.
    """
    family, rest = listing.family("networks", knobs.name)
    if not rest:
        return knobs
    knob, value = ("depth", int(rest)) if rest.isdigit() else ("size", rest)
    field = schema(find(family)).model_fields.get(knob)
    if field is None:
        raise listing.unknown("networks", knobs.name)
    choices = typing.get_args(field.annotation)
    if value not in choices:
        known = ", ".join(map(str, choices))
        raise UserError(
            f"There is no network {knobs.name!r}: {knob} of {family} is one of {known}."
        )
    if knobs.options.get(knob, value) != value:
        raise UserError(
            f"network {knobs.name!r} contradicts network.{knob}={knobs.options[knob]}; "
            "give one of them."
        )
    return NetworkKnobs(name=family, **{**knobs.options, knob: value})


def find(name: str) -> type[nn.Module]:
    """Return the class of a network, by name or by the path of a user's own file."""
    found = listing.load("networks", listing.family("networks", name)[0], "NETWORK")
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise UserError(f"network {name}: NETWORK must be a class of torch.nn.Module's kind.")
    return found


def schema(constructor: type[nn.Module]) -> type[BaseModel]:
    """Read the knobs of a network from its constructor's keyword-only arguments."""
    hints = typing.get_type_hints(constructor.__init__, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if p.default is p.empty else p.default)
        for name, p in inspect.signature(constructor.__init__).parameters.items()
        if p.kind is p.KEYWORD_ONLY and name not in GIVEN
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(constructor.__name__, __config__=config, **fields)
