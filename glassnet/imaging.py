"""What every task that looks at images is put together from: knobs, network, first weights.

A recipe has these knobs under these names: ``network``, ``fit``, ``size``, ``resize``, ``cache``,
``weights``, ``transfer``, ``tta`` (and ``preprocessing``, of the data). The functions read them
there; the facts are those of images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from glassnet import matching, transfer, weights
from glassnet.figures import Table
from glassnet.network import build_network
from glassnet.networks._standardize import Standardize, behind
from glassnet.networks._views import Views
from glassnet.transfer import Layers

# --- Knobs ----------------------------------------------------------------------------------------

Size = Annotated[
    int | None,
    Field(
        ge=1,
        le=2048,
        description="Shorter side, in pixels, that all images are given. Unset: their own size "
        "if it is one and small, else the median, 128 at most. Time grows with its square.",
    ),
]

Resize = Annotated[
    int | None,
    Field(
        ge=1,
        le=2048,
        description="Shorter side, in pixels, in which images are stored, if larger than `size`: "
        "training crops `size` out of them at random, answers are given for the middle. 8/7 of "
        "`size` is usual for photographs: 224 of 256 has 33 × 33 places, mirrored 2,178 views "
        "(AlexNet's paper counts 32 × 32 × 2 = 2,048). Unset: no larger than `size`.",
    ),
]

Cache = Annotated[
    Literal["auto", "memory", "disk", "stream"],
    Field(
        description="Where decoded images are kept. disk: packed in ~/.cache/glassnet, for all "
        "runs; its limit is GLASSNET_CACHE_GB, by default 20. memory: in this process. stream: "
        "nowhere; worker processes decode them anew at each epoch, the slowest. auto: memory if "
        "decoding takes about a second, else disk if it fits, else memory, else stream. The "
        "trained weights are the same.",
    ),
]

FirstWeights = Annotated[
    str | None,
    Field(
        description="First weights: a run folder, a .safetensors or .pth file, or a name on the "
        "Hugging Face Hub. They bring network, size and preprocessing; the last layer begins anew "
        "unless they know all of your classes by name. Unset: random ones.",
    ),
]


# --- Network --------------------------------------------------------------------------------------


def network(
    recipe: Any,
    facts: Any,
    num_outputs: int,
    level: Callable[[nn.Module], nn.Module] = lambda network: network,
) -> nn.Module:
    """The chosen network, behind the layer that turns bytes into standardized floats.

    ``level`` puts behind it what makes honest answers of its outputs; views of an image are
    averaged last.
    """
    chosen = build_network(recipe.network, facts.input_shape, num_outputs)
    front = Standardize(facts.mean, facts.std, facts.height, facts.width)
    whole = level(nn.Sequential(front, chosen))
    return whole if recipe.tta == "none" else Views(whole, recipe.tta, facts.height, facts.width)


# --- First weights --------------------------------------------------------------------------------


def bound(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bind first weights to a place or a commit: the recipe tells a run in full."""
    origin = values.get("weights")
    return {"weights": weights.settled(str(origin))} if origin else {}


def implied(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """First weights bring the network that they are for, and how its inputs were prepared."""
    if not values.get("weights"):
        return {}
    asked = values.get("network")
    name = asked.get("name") if isinstance(asked, Mapping) else asked
    return weights.about(str(values["weights"]), name)


def start(recipe: Any, network: nn.Module, facts: Any) -> list[str]:
    """Lay the chosen first weights into the network, and tell what became of them."""
    if recipe.weights is None:
        return []
    found = weights.read(recipe.weights)
    new_head = recipe.transfer.head == "new"
    told = [matching.put(behind(network), found, facts.classes, new_head=new_head).sentence]
    if recipe.preprocessing.channels is not None:
        colour = "grey" if facts.channels == 1 else "colour"
        told.append(f"all images are read in {colour}, as the first weights ask")
    return told


def layers(recipe: Any, network: nn.Module) -> Table | None:
    """When each block learns, if the first weights come from elsewhere."""
    if recipe.weights is None:
        return None
    return transfer.table(recipe.transfer, recipe.fit, behind(network))


def following(recipe: Any, network: nn.Module) -> Callable[[int], Layers] | None:
    """What a learner asks: steps in an epoch -> which block learns when; None: all, always."""
    return transfer.following(recipe, network, behind(network))
