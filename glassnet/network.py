"""From a network's name and options to the network: its constructor is the schema of its knobs."""

from __future__ import annotations

import inspect
import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from torch import nn

from glassnet import listing
from glassnet.errors import UserError
from glassnet.recipe import NetworkKnobs, build


def build_network(knobs: NetworkKnobs, input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """Build the network that a recipe names, for inputs of this shape (without the batch)."""
    constructor = find(knobs.name)
    options = build(schema(constructor), knobs.options, "network.")
    try:
        return constructor(input_shape, num_outputs, **dict(options))
    except ValueError as error:
        raise UserError(f"network {knobs.name}: {error}") from None


def find(name: str) -> type[nn.Module]:
    """Return the class of a network, by name or by the path of a user's own file."""
    found = listing.load("networks", name, "NETWORK")
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise UserError(f"network {name}: NETWORK must be a class of torch.nn.Module's kind.")
    return found


def schema(constructor: type[nn.Module]) -> type[BaseModel]:
    """Read the knobs of a network from its constructor's keyword-only arguments."""
    hints = typing.get_type_hints(constructor.__init__, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if p.default is p.empty else p.default)
        for name, p in inspect.signature(constructor.__init__).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(constructor.__name__, __config__=config, **fields)
