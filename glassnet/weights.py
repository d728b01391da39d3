"""First weights from elsewhere: those of another run, of a file, or of the Hugging Face Hub.

``settled`` makes what a user typed good for any folder and any day, ``about`` tells cheaply which
network weights fit and how its inputs were prepared, ``read`` brings the tensors, ``put`` lays them
into a network and says what matched. Nothing of this is needed by a run that has begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from glassnet import cards, hub, published, weightfiles
from glassnet.cards import Card
from glassnet.errors import UserError
from glassnet.published import Recognized
from glassnet.recipe import read_yaml
from glassnet.run import Run

COUNTER = "num_batches_tracked"
"""A counter that batch normalization keeps and does not need; many files leave it out."""


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


@dataclass(frozen=True)
class Match:
    """What became of the tensors."""

    origin: str
    matched: Sequence[str]
    head: Sequence[str]
    """Parameters of the last layer, which begins anew because it answers other classes."""
    unused: Sequence[str] = ()
    """Tensors of the file that the network has no place for."""
    notes: Sequence[str] = ()
    """What else a person should know, half a sentence each."""

    @property
    def sentence(self) -> str:
        """For people."""
        said = [f"{len(self.matched)} tensors of {self.origin} are the first weights"]
        if self.head:
            said.append(f"new: {', '.join(self.head)}")
        if self.unused:
            said.append(f"not used: {_some(self.unused)}")
        return "; ".join([*said, *self.notes])


def settled(origin: str) -> str:
    """The same from any folder and on any day: an absolute path, or a name with its commit."""
    path = Path(origin).expanduser()
    if path.exists():
        return str(path.resolve())
    if hub.is_name(origin):
        return hub.pinned(origin)
    raise UserError(
        f"There are no weights {origin}: give a run folder, a file ending in "
        f"{', '.join(weightfiles.SUFFIXES)}, a folder with config.json and model.safetensors, or "
        "a name on the Hugging Face Hub such as timm/resnet18.a1_in1k."
    )


def about(origin: str, network: str | None = None) -> Mapping[str, Any]:
    """Defaults that go with weights, without reading the tensors themselves.

    ``network`` is the name that the user asked for, if any.
    """
    place = _place(origin)
    if isinstance(place, Run):
        return _of_run(place)
    found = _Published.at(place)
    if network == BACKBONE and found.card.config is not None:
        return {**found.prepared, "network": _backbone(found.card)}
    return found.knobs


def read(origin: str) -> Weights:
    """Bring weights from where the user says they are."""
    place = _place(origin)
    if isinstance(place, Run):
        tensors, _ = place.read_tensors("model.safetensors")
        classes = place.read_json("facts.json").get("classes", [])
        # A run's network stands behind the layer that standardizes, and perhaps before another one.
        bare = {n.removeprefix("0.").removeprefix("1."): tensor for n, tensor in tensors.items()}
        return Weights(origin, _of_run(place), classes, bare)
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


def put(network: nn.Module, weights: Weights, classes: Sequence[str]) -> Match:
    """Lay weights into a network; the last layer begins anew unless it answers the same classes.

    Classes in another order are put in order: the rows of the last layer are moved.

    Raises:
        UserError: If anything but the last layer does not fit; names the layers.
    """
    own = network.state_dict()
    head = _last_layer(network)
    named, notes = _best_named(own, weights)
    known = {**named}
    if sorted(weights.classes) == sorted(classes) and classes:
        if list(weights.classes) != list(classes):
            rows = [list(weights.classes).index(name) for name in classes]
            known |= {name: named[name][rows] for name in head if name in named}
            notes.append("its classes are the same in another order: their outputs were moved")
        head = []
    else:
        notes.append(_other_classes(weights.classes, classes))
    fitting = {
        name: tensor
        for name, tensor in known.items()
        if name not in head and name in own and own[name].shape == tensor.shape
    }
    wanted = [name for name in own if name not in head and not name.endswith(COUNTER)]
    unused = [n for n in known if n not in own and not n.endswith(COUNTER)]
    if any(name not in fitting for name in wanted) or (weights.whose and unused):
        raise _unfit(own, known, wanted, unused, weights)
    network.load_state_dict(fitting, strict=False)
    return Match(weights.origin, sorted(fitting), head, unused, notes)


# --- Where weights are ----------------------------------------------------------------------------


def _place(origin: str) -> Run | Path:
    """The run, or the file of weights; what is on the Hub is fetched."""
    path = Path(origin).expanduser()
    if not path.exists():
        path = Path(settled(origin)) if not hub.is_name(origin) else hub.folder(origin)
    run = path if path.is_dir() else path.parent
    if (run / "run.json").is_file():
        return Run.open(run)
    return weightfiles.in_folder(path) if path.is_dir() else path


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


def _of_run(run: Run) -> Mapping[str, Any]:
    recipe, facts = read_yaml(run.path / "recipe.yaml"), run.read_json("facts.json")
    if facts.get("kind") != "images":
        raise UserError(
            f"{run.path} is a run of the task {recipe['task']}, which does not look at images: its "
            "weights cannot begin with them. Give a run that was trained on images."
        )
    # A run of an older version does not know all of them.
    told = ("mean", "std", "channels", "interpolation", "fit")
    stored = facts.get("stored")
    return {
        "network": recipe["network"],
        "size": min(facts["height"], facts["width"]),
        "resize": min(stored) if stored else None,
        "preprocessing": {key: facts[key] for key in told if key in facts},
    }


# --- How they fit ---------------------------------------------------------------------------------


def _best_named(
    own: Mapping[str, Tensor], weights: Weights
) -> tuple[Mapping[str, Tensor], list[str]]:
    """The tensors under the names that the network knows most of; else by order, which is told."""
    wrapped = {f"model.{name}": tensor for name, tensor in weights.raw.items()}
    ways = [way for way in (weights.tensors, weights.raw, wrapped) if way]
    best = max(ways, key=lambda way: len(own.keys() & way.keys()))
    if own.keys() & best.keys():
        return best, []
    theirs = {n: t for n, t in weights.tensors.items() if not n.endswith(COUNTER)}
    ours = {n: t for n, t in own.items() if not n.endswith(COUNTER)}
    pairs = list(zip(ours.items(), theirs.values(), strict=False))
    if len(ours) == len(theirs) and all(o.shape == t.shape for (_, o), t in pairs[:-2]):
        note = "not one name agrees: they were laid in by order, in which all shapes agree"
        return {name: tensor for (name, _), tensor in pairs}, [note]
    return best, []


def _other_classes(theirs: Sequence[str], ours: Sequence[str]) -> str:
    if not theirs:
        return "nobody says which classes they answer"
    common = len(set(theirs) & set(ours))
    return f"they answer {len(theirs)} classes, of which {common} are among your {len(ours)}"


def _unfit(
    own: Mapping[str, Tensor],
    known: Mapping[str, Tensor],
    wanted: Sequence[str],
    unused: Sequence[str],
    weights: Weights,
) -> UserError:
    """Name the first layers that do not fit, and the network that would."""
    wrong = [
        f"{name}: expected {_size(own[name])}, found "
        + (_size(known[name]) if name in known else "none")
        for name in wanted
        if name not in known or known[name].shape != own[name].shape
    ]
    said = f"The weights {weights.origin} do not fit the network. "
    if wrong:
        said += f"{len(wrong)} of {len(wanted)} tensors differ: {_some(wrong, '; ')}. "
    if unused:
        said += f"{len(unused)} have no place in it: {_some(unused)}. "
    network = dict(weights.knobs.get("network", {}))
    if not weights.whose:
        return UserError(said + "Choose the network that they were made for by --network.")
    name = network.pop("name")
    flags = " ".join(f"--network.{k} {_flag(v)}" for k, v in network.items())
    return UserError(
        f"{said}They look like {name} ({', '.join(f'{k} {_flag(v)}' for k, v in network.items())}),"
        f" as {weights.whose} names it. Leave --network out, or ask for it by --network {name} "
        f"{flags}, with images of the size that they were made for."
    )


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _flag(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(names) - 3} more" if len(names) > 3 else ""
    return between.join(names[:3]) + more


def _last_layer(network: nn.Module) -> list[str]:
    """Names of the parameters of the layer that gives the outputs: the last dense one."""
    name, layer = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
    return [f"{name}.{parameter}" for parameter, _ in layer.named_parameters()]
