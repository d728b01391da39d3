"""How first weights fit a network: what is laid in, what begins anew, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from glassnet import blocks
from glassnet.errors import UserError
from glassnet.weights import Weights

COUNTER = "num_batches_tracked"
"""A counter that batch normalization keeps and does not need; many files leave it out."""


@dataclass(frozen=True)
class Match:
    """What became of the tensors."""

    origin: str
    matched: Sequence[str]
    head: Sequence[str]
    """Parameters of the last block, if it begins anew, mostly because it answers other classes."""
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


OF_IMAGES = ", and images of the size that they were made for by --size"


def put(
    network: nn.Module,
    weights: Weights,
    classes: Sequence[str],
    *,
    new_head: bool = False,
    advice: str = OF_IMAGES,
) -> Match:
    """Lay weights into a network; the head begins anew unless all classes are known by name.

    If only some are, none is kept: outputs that have learned are far larger than those that have
    not, and would win every example at first. With ``new_head`` none is kept either. ``advice`` is
    what else an error says that the user could choose.

    Raises:
        UserError: If anything but the head does not fit; names the layers.
    """
    own = network.state_dict()
    head = blocks.head(network)
    named, notes = _best_named(own, weights)
    outputs = {name: own[name] for name in head}
    kept = {} if new_head else _known_outputs(outputs, named, weights.classes, classes)
    known = {**named, **kept}
    if kept:
        head = []
        notes.append(_same_classes(weights.classes, classes))
    elif new_head:
        notes.append("the head begins anew, as transfer.head=new asks")
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
        raise _unfit(own, known, wanted, unused, weights, advice)
    network.load_state_dict(fitting, strict=False)
    return Match(weights.origin, sorted(fitting), head, unused, notes)


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


def _known_outputs(
    own: Mapping[str, Tensor],
    named: Mapping[str, Tensor],
    theirs: Sequence[str],
    ours: Sequence[str],
) -> dict[str, Tensor]:
    """The head's tensors for our classes, or nothing: unless they are known by name, all of them.

    A name that stands for two classes, as "crane" does among those of ImageNet, is not known.
    """
    head = {name: named[name] for name in own if name in named}
    if len(head) < len(own) or not ours or any(theirs.count(name) != 1 for name in ours):
        return {}
    if list(theirs) != list(ours):
        if any(len(tensor) != len(theirs) for tensor in head.values()):  # rows that are no outputs
            return {}
        rows = [theirs.index(name) for name in ours]
        head = {name: tensor[rows] for name, tensor in head.items()}
    return head if all(head[name].shape == own[name].shape for name in own) else {}


def _same_classes(theirs: Sequence[str], ours: Sequence[str]) -> str:
    known = f"the {len(ours)} of your data" if len(ours) < len(theirs) else "all"
    names = ", ".join(ours[:4]) + (", …" if len(ours) > 4 else "")
    return (
        f"of the {len(theirs)} classes that they answer {known} ({names}) are known by name, so "
        "the head is kept; if these are other classes of the same names, set --transfer.head new"
    )


def _other_classes(theirs: Sequence[str], ours: Sequence[str]) -> str:
    if not theirs:
        return "nobody says which classes they answer"
    if set(ours) <= set(theirs):
        return "they know your classes by name, but not by one output for each name"
    common = len(set(theirs) & set(ours))
    return f"they answer {len(theirs)} classes, of which {common} are among your {len(ours)}"


def put_whole(network: nn.Module, weights: Weights) -> Match:
    """Lay weights into a network that answers what they answered: nothing begins anew.

    Raises:
        UserError: If anything does not fit; names the layers.
    """
    own, known = network.state_dict(), weights.tensors
    unused = [name for name in known if name not in own]
    if unused or any(name not in known or known[name].shape != own[name].shape for name in own):
        raise _unfit(own, known, list(own), unused, weights, "")
    network.load_state_dict(known)
    return Match(weights.origin, sorted(known), [])


def _unfit(
    own: Mapping[str, Tensor],
    known: Mapping[str, Tensor],
    wanted: Sequence[str],
    unused: Sequence[str],
    weights: Weights,
    advice: str,
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
        return UserError(
            f"{said}They are not those of any network known here, or not all of them. Choose the "
            f"network that they were made for by --network{advice}."
        )
    name = network.pop("name")
    flags = " ".join(f"--network.{k} {_flag(v)}" for k, v in network.items())
    return UserError(
        f"{said}They look like {name} ({', '.join(f'{k} {_flag(v)}' for k, v in network.items())}),"
        f" as {weights.whose} names it. Leave --network out, or ask for it by --network {name} "
        f"{flags}{advice.replace(' by --size', '')}."
    )


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _flag(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(names) - 3} more" if len(names) > 3 else ""
    return between.join(names[:3]) + more
