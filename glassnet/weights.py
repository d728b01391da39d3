"""First weights from elsewhere: those of another run, of a file, or of the Hugging Face Hub.

``settled`` makes what a user typed good for any folder and any day, ``about`` tells cheaply which
network weights fit and how its inputs were prepared, ``read`` brings the tensors, and
``matching.put`` lays them into a network. A run that has a checkpoint needs nothing of this any
more; but a second training begins from them once more: a refit, and each fold of a k-fold run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from glassnet import cards, hub, published, weightfiles
from glassnet.cards import Card
from glassnet.errors import UserError, nearest
from glassnet.published import Recognized
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
    whose: str = ""
    """Who wrote the names, if they were recognized as another's names of one of our networks."""
    raw: Mapping[str, Tensor] = field(default_factory=dict)
    """The tensors under the names of the file, if others."""


def settled(origin: str) -> str:
    """The same from any folder and on any day: an absolute path, or a name with its commit."""
    path = Path(origin).expanduser()
    if path.exists():
        return str(path.resolve())
    beside = path.parent.iterdir() if path.parent != Path(".") and path.parent.is_dir() else ()
    if meant := nearest(str(path), map(str, beside)):  # else a slip of the pen asks the Hub
        raise UserError(f"There are no weights {path}.{meant}")
    if hub.is_name(origin):
        return hub.pinned(origin)
    raise UserError(
        f"There are no weights {origin}: give a run folder, a file ending in "
        f"{', '.join(weightfiles.SUFFIXES)}, a folder with config.json and model.safetensors, or "
        "a name on the Hugging Face Hub such as timm/resnet18.a1_in1k (images) or "
        "distilbert/distilbert-base-uncased (texts)."
    )


def about(origin: str, network: str | None = None) -> Mapping[str, Any]:
    """Defaults that go with weights, without reading the tensors themselves.

    ``network`` is the name that the user asked for, if any.
    """
    place = _place(origin)
    if isinstance(place, _OfRun):
        return place.knobs
    found = _Published.at(place)
    if network == BACKBONE and found.card.config is not None:
        return {**found.prepared, "network": _backbone(found.card)}
    return found.knobs


def read(origin: str) -> Weights:
    """Bring weights from where the user says they are."""
    place = _place(origin)
    if isinstance(place, _OfRun):
        tensors, _ = place.run.read_tensors(place.file)
        # A run's network stands behind the layer that standardizes, so that it is 1; what stands
        # around both, for class weights or several views, says 0 once more each.
        bare = {re.sub(r"^(0\.)*1\.", "", name): tensor for name, tensor in tensors.items()}
        return Weights(origin, place.knobs, place.facts.get("classes", []), bare)
    found = _Published.at(place)
    if found.recognized is None and found.card.config is not None:
        raw = _through_transformers(place.parent)
        return Weights(origin, found.knobs, found.card.classes, raw)
    raw = weightfiles.tensors(place)
    if found.recognized is None:
        return Weights(origin, found.knobs, found.card.classes, raw)
    ours = found.recognized.renamed(raw)
    whose = found.recognized.whose
    return Weights(origin, found.knobs, found.card.classes, ours, whose, raw)


# --- Where weights are ----------------------------------------------------------------------------


def _place(origin: str) -> _OfRun | Path:
    """The run, or the file of weights; what is on the Hub is fetched."""
    path = Path(origin).expanduser()
    if not path.exists():
        path = Path(settled(origin)) if not hub.is_name(origin) else hub.folder(origin)
    if (path / "run.json").is_file():
        return _OfRun(Run.open(path), "model.safetensors")
    if path.suffix == ".safetensors" and (path.parent / "run.json").is_file():
        return _OfRun(Run.open(path.parent), path.name)
    return weightfiles.in_folder(path) if path.is_dir() else path


@dataclass(frozen=True)
class _OfRun:
    """Weights that a run of ours found, with what its folder says of them."""

    run: Run
    file: str

    @property
    def facts(self) -> Mapping[str, Any]:
        """How its inputs are prepared, and the classes."""
        facts = self.run.facts_of_one()
        if facts.get("kind") != "images":
            raise UserError(
                f"{self.run.path} is a run of the task {self.run.info['task']}, which does not "
                "look at images: its weights cannot begin with them. Give a run that was trained "
                "on images."
            )
        return facts

    @property
    def knobs(self) -> Mapping[str, Any]:
        """network, size, resize and preprocessing."""
        facts = self.facts
        # A run of an older version does not know all of them.
        told = ("mean", "std", "channels", "interpolation", "fit")
        stored = facts.get("stored")
        return {
            "network": read_yaml(self.run.path / "recipe.yaml")["network"],
            "size": min(facts["height"], facts["width"]),
            "resize": min(stored) if stored else None,
            "preprocessing": {key: facts[key] for key in told if key in facts},
        }


@dataclass(frozen=True)
class _Published:
    """A file of weights that was not made by a run, with what is written beside it."""

    card: Card
    recognized: Recognized | None
    shapes: weightfiles.Shapes

    @classmethod
    def at(cls, path: Path) -> _Published:
        card, shapes = cards.read(path.parent), weightfiles.shapes(path)
        found = published.recognize(shapes, card.architecture, card.config)
        if found is None and card.architecture:
            raise UserError(
                f"{path.parent} holds timm's network {card.architecture}, which is none of ours "
                f"({published.KNOWN}). If the transformers library has it, take its weights."
            )
        return cls(card, found, shapes)

    @property
    def prepared(self) -> Mapping[str, Any]:
        """size, resize and preprocessing; ImageNet's, if nothing else is said."""
        if self.card.knobs or self.recognized is None:
            return self.card.knobs
        usual = self.recognized.is_for_imagenet(self.shapes)
        return cards.IMAGENET if usual else {}

    @property
    def knobs(self) -> Mapping[str, Any]:
        """The same, with the network."""
        if self.recognized is not None:
            return {**self.prepared, "network": self.recognized.network}
        if self.card.config is not None:
            return {**self.prepared, "network": _backbone(self.card)}
        return self.prepared


BACKBONE = "backbone"


def _backbone(card: Card) -> dict[str, Any]:
    return {"name": BACKBONE, "config": dict(card.config or {})}


def _through_transformers(folder: Path) -> dict[str, Tensor]:
    """Read weights by the library that wrote them: it knows how its names changed over the years.

    It runs no code of the repository.
    """
    try:
        from transformers import AutoModelForImageClassification
    except ImportError as error:
        raise UserError(
            f"{folder} holds a network of the transformers library, which is not installed: "
            f"pip install 'glassnet[transformers]' ({error})"
        ) from None
    try:
        model = AutoModelForImageClassification.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError) as error:
        text = str(error).strip().splitlines()[0]
        raise UserError(
            f"{folder}: the transformers library cannot make an image classifier of it: {text}"
        ) from None
    return {f"model.{name}": tensor.float() for name, tensor in model.state_dict().items()}
