"""First weights from elsewhere: those of another run, of a file, or of the Hugging Face Hub.

``about`` tells cheaply which network weights fit and how its inputs were prepared, ``read`` brings
the tensors, ``put`` lays them into a network and says what matched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from glassnet.errors import UserError
from glassnet.recipe import read_yaml
from glassnet.run import Run


@dataclass(frozen=True)
class Weights:
    """Tensors under the names of our own network, and what goes with them."""

    origin: str
    """As the user named it: a run folder, a file, a name on the Hub."""
    knobs: Mapping[str, Any]
    """Defaults that go with them, as a recipe has them: network, size, resize, preprocessing."""
    classes: Sequence[str]
    """What its outputs mean, in order; empty if nobody knows."""
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Match:
    """What became of the tensors."""

    origin: str
    matched: Sequence[str]
    head: Sequence[str]
    """Parameters of the last layer, which begins anew because it answers other classes."""

    @property
    def sentence(self) -> str:
        """For people."""
        kept = f"{len(self.matched)} tensors of {self.origin} are the first weights"
        return f"{kept}; new: {', '.join(self.head)}" if self.head else kept


def about(origin: str) -> Mapping[str, Any]:
    """Defaults that go with weights, without reading the tensors themselves."""
    return _of_run(origin)


def read(origin: str) -> Weights:
    """Bring weights from where the user says they are."""
    run = Run.open(Path(origin).expanduser())
    tensors, _ = run.read_tensors("model.safetensors")
    classes = run.read_json("facts.json").get("classes", [])
    # A run's network stands behind the layer that standardizes, and perhaps before another one.
    bare = {name.removeprefix("0.").removeprefix("1."): tensor for name, tensor in tensors.items()}
    return Weights(origin, _of_run(origin), classes, bare)


def put(network: nn.Module, weights: Weights, classes: Sequence[str]) -> Match:
    """Lay weights into a network; the last layer begins anew unless it answers the same classes.

    Raises:
        UserError: If anything but the last layer does not fit; names the layers.
    """
    own = network.state_dict()
    head = [] if list(weights.classes) == list(classes) else _last_layer(network)
    fitting = {
        name: tensor
        for name, tensor in weights.tensors.items()
        if name not in head and name in own and own[name].shape == tensor.shape
    }
    if wrong := [name for name in own if name not in head and name not in fitting]:
        raise UserError(
            f"The weights {weights.origin} do not fit the network: {', '.join(wrong[:5])} "
            f"({len(wrong)} of {len(own)} tensors) are missing or have another shape."
        )
    network.load_state_dict(fitting, strict=False)
    return Match(weights.origin, sorted(fitting), head)


def _of_run(origin: str) -> Mapping[str, Any]:
    run = Run.open(Path(origin).expanduser())
    recipe, facts = read_yaml(run.path / "recipe.yaml"), run.read_json("facts.json")
    if facts.get("kind") != "images":
        raise UserError(
            f"{run.path} is a run of the task {recipe['task']}, which does not look at images: its "
            "weights cannot begin with them. Give a run that was trained on images."
        )
    learned = {key: facts[key] for key in ("mean", "std", "channels", "interpolation")}
    return {
        "network": recipe["network"],
        "size": min(facts["height"], facts["width"]),
        "resize": min(facts["stored"]) if facts["stored"] else None,
        "preprocessing": learned,
    }


def _last_layer(network: nn.Module) -> list[str]:
    """Names of the parameters of the layer that gives the outputs: the last dense one."""
    name, layer = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
    return [f"{name}.{parameter}" for parameter, _ in layer.named_parameters()]
