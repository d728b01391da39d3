"""Whether a network of DNA knows places: asked of the recipe, told by the training sequences."""

from __future__ import annotations

from typing import Any

from torch import nn

from glassnet.errors import UserError
from glassnet.network import find, schema
from glassnet.recipe import NetworkKnobs


def with_places(knobs: NetworkKnobs, facts: Any) -> NetworkKnobs:
    """The knobs, with ``places`` as the training sequences say where it was left open.

    Raises:
        UserError: If places were asked for, and the sequences have several lengths.
    """
    if "places" not in schema(find(knobs.name)).model_fields:
        return knobs
    asked = knobs.options.get("places")
    if asked and facts.shortest != facts.most:
        raise UserError(
            "network.places=true needs sequences of one length, found "
            f"{facts.shortest:,} to {facts.most:,} letters. Cut them to one length, or unset it."
        )
    if asked is not None:
        return knobs
    return NetworkKnobs(name=knobs.name, **{**knobs.options, "places": facts.aligned})


def knows_places(network: nn.Module) -> bool:
    """Whether it can answer sequences of one length only."""
    return any(getattr(part, "places", False) is True for part in network.modules())
