"""How others name the parameters of our networks, and how to tell from names which network it is.

One row of ``SPELLINGS`` for each way of writing one network. A file is recognized by the names and
shapes in it alone, so that it needs no description beside it.

To add one: name a parameter that only this spelling has, write what turns its names into ours, and
what the shapes say about the knobs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from glassnet.weightfiles import Shapes

Names = Mapping[str, str]
"""A tensor's name in the file -> in our network."""
Knobs = dict[str, Any]


@dataclass(frozen=True)
class Spelling:
    """One way of writing the parameters of one of our networks."""

    whose: str
    mark: str
    """A name that only this spelling has."""
    names: Callable[[Shapes], Names]
    knobs: Callable[[Shapes], Knobs | None]
    """Names of ours, with shapes -> knobs of the network; None if it is none of its depths."""
    architectures: str = ""
    """What timm calls those that compute the same; others have the same names, and do not."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What a configuration of transformers must say, or leave to its default, to be the same."""
    told: Mapping[str, str] = field(default_factory=dict)
    """What of that configuration sets a knob of ours: its key -> the knob."""
    shaped: Callable[[str, Tensor], Tensor] = lambda name, tensor: (
        tensor.flatten(1) if _is_dense(name, tensor) else tensor
    )
    """Our name, their tensor -> in our shape."""


@dataclass(frozen=True)
class Recognized:
    """What the names in a file say."""

    whose: str
    network: Mapping[str, Any]
    """Its knobs, with its name."""
    names: Names
    shaped: Callable[[str, Tensor], Tensor]

    def renamed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under our names, in our shapes; names that are nobody's stay as they are.

        Where ours is empty, it is nothing that has learned, and left out.
        """
        ours = {self.names.get(name, name): tensor for name, tensor in tensors.items()}
        return {name: self.shaped(name, tensor) for name, tensor in ours.items() if name}

    def is_for_imagenet(self, shapes: Shapes) -> bool:
        """Whether it reads colour photographs of a usual size, as far as shapes can say."""
        first = next(shape for shape in shapes.values() if len(shape) == 4)
        return first[1] == 3 and self.network.get("stem") != "small"


def recognize(
    shapes: Shapes,
    architecture: str = "",
    config: Mapping[str, Any] | None = None,
    spellings: Sequence[Spelling] = (),
) -> Recognized | None:
    """Say which of our networks a file's tensors belong to; None if to none.

    ``architecture`` is what timm calls it, ``config`` the configuration of transformers, if known.
    ``spellings`` are those to be tried; unset: those of images.
    """
    for spelling in spellings or SPELLINGS:
        if spelling.mark not in shapes:
            continue
        if architecture and not re.fullmatch(spelling.architectures, architecture):
            continue
        if any((config or {}).get(key, same) != same for key, same in spelling.config.items()):
            continue
        names = spelling.names(shapes)
        knobs = spelling.knobs({ours: shapes[theirs] for theirs, ours in names.items()})
        if knobs is not None:
            said = {ours: config[theirs] for theirs, ours in spelling.told.items()
                    if config and theirs in config}  # fmt: skip
            return Recognized(spelling.whose, {**knobs, **said}, names, spelling.shaped)
    return None


def by_rules(*rules: tuple[str, str]) -> Callable[[Shapes], Names]:
    """Names by regular expressions, the first that matches the whole name; others are dropped."""

    def names(shapes: Shapes) -> Names:
        found = {}
        for name in shapes:
            for pattern, ours in rules:
                if match := re.fullmatch(pattern, name):
                    found[name] = match.expand(ours)
                    break
        return found

    return names


# --- ResNet ---------------------------------------------------------------------------------------


BLOCKS: dict[tuple[int | bool, ...], int] = {
    (2, 2, 2, 2, False): 18,
    (3, 4, 6, 3, False): 34,
    (3, 4, 6, 3, True): 50,
    (3, 4, 23, 3, True): 101,
    (3, 8, 36, 3, True): 152,
}
"""Blocks of the four stages, and whether they are bottlenecks -> depth."""


def resnet(shapes: Shapes) -> Knobs | None:
    """Read depth, stem and width."""
    counts = tuple(_count(shapes, rf"layer{stage}\.(\d+)\..*") for stage in range(1, 5))
    depth = BLOCKS.get((*counts, "layer1.0.conv3.weight" in shapes))
    if depth is None or len(shapes.get("conv1.weight", ())) != 4:
        return None
    width, *_, side = shapes["conv1.weight"]
    return {
        "name": "resnet",
        "depth": depth,
        "stem": "small" if side == 3 else "photo",
        "width": width,
    }


_OF_RESNET = by_rules((r"((conv1|bn1|layer[1-4]|fc)\..*)", r"\1"))


def _resnet_of_transformers(shapes: Shapes) -> Names:
    """Stages and layers are counted from 0 there, and normalization is called so."""
    found = {}
    for name in shapes:
        ours = name.removeprefix("resnet.")
        ours = re.sub(r"^embedder\.embedder\.convolution\.", "conv1.", ours)
        ours = re.sub(r"^embedder\.embedder\.normalization\.", "bn1.", ours)
        ours = re.sub(r"^encoder\.stages\.(\d)\.layers\.", lambda m: f"layer{int(m[1]) + 1}.", ours)
        ours = re.sub(
            r"\.layer\.(\d)\.(convolution|normalization)\.",
            lambda m: f".{'conv' if m[2] == 'convolution' else 'bn'}{int(m[1]) + 1}.",
            ours,
        )
        ours = re.sub(r"\.shortcut\.convolution\.", ".downsample.0.", ours)
        ours = re.sub(r"\.shortcut\.normalization\.", ".downsample.1.", ours)
        found[name] = re.sub(r"^classifier\.1\.", "fc.", ours)
    return found


# --- VGG ------------------------------------------------------------------------------------------

GROUPS = {8: (1, 1, 2, 2, 2), 10: (2, 2, 2, 2, 2), 13: (2, 2, 3, 3, 3), 16: (2, 2, 4, 4, 4)}
"""Number of convolutions -> how many there are in each group."""

_DENSE_OF_VGG = {
    "classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8",
    "pre_logits.fc1": "fc6", "pre_logits.fc2": "fc7", "head.fc": "fc8",
}  # fmt: skip


def _vgg_names(shapes: Shapes) -> Names:
    """Layers of `features` are numbered through; ours say group and place in it."""
    numbers = sorted(int(n.split(".")[1]) for n in shapes if _is_convolution(n, shapes))
    groups = GROUPS.get(len(numbers), ())
    places = [(g, p) for g, count in enumerate(groups, 1) for p in range(1, count + 1)]
    found = {}
    for number, (group, place) in zip(numbers, places, strict=False):
        found[f"features.{number}"] = f"features.conv{group}_{place}"
        found[f"features.{number + 1}"] = f"features.norm{group}_{place}"  # with batch norm only
    found |= {theirs: f"classifier.{ours}" for theirs, ours in _DENSE_OF_VGG.items()}
    layers = {name: name.rpartition(".") for name in shapes}
    return {
        name: f"{found[layer]}.{parameter}"
        for name, (layer, _, parameter) in layers.items()
        if layer in found
    }


def vgg(shapes: Shapes) -> Knobs | None:
    """Read depth, norm and widths."""
    groups = [_count(shapes, rf"features\.conv{group}_(\d+)\..*") for group in range(1, 6)]
    depths: dict[tuple[int, ...], int] = {
        counts: convolutions + 3 for convolutions, counts in GROUPS.items()
    }
    depth = depths.get(tuple(groups))
    dense = shapes.get("classifier.fc6.weight")
    if depth is None or dense is None:
        return None
    channels = [shapes[f"features.conv{group}_1.weight"][0] for group in range(1, 6)]
    norm = "batch" if "features.norm1_1.weight" in shapes else "none"
    sides = _side(dense, channels[-1])
    return {"name": "vgg", "depth": depth, "norm": norm, "channels": channels,
            "dense": dense[0], "map_side": sides}  # fmt: skip


# --- AlexNet --------------------------------------------------------------------------------------

_ALEXNET = {
    "features.0": "features.conv1", "features.3": "features.conv2", "features.6": "features.conv3",
    "features.8": "features.conv4", "features.10": "features.conv5", "classifier.1":
    "classifier.fc6", "classifier.4": "classifier.fc7", "classifier.6": "classifier.fc8",
}  # fmt: skip

_alexnet_names = by_rules(
    *((rf"{re.escape(theirs)}\.(\w+)", rf"{ours}.\1") for theirs, ours in _ALEXNET.items())
)


def alexnet(shapes: Shapes) -> Knobs | None:
    """Read the widths, which are narrower in what is shared than in the paper."""
    layers = [shapes.get(f"features.conv{number}.weight", ()) for number in range(1, 6)]
    dense = shapes.get("classifier.fc6.weight")
    if dense is None or any(len(layer) != 4 for layer in layers) or layers[0][2] != 11:
        return None
    return {"name": "alexnet", "channels": [layer[0] for layer in layers], "dense": dense[0],
            "map_side": _side(dense, layers[-1][0])}  # fmt: skip


# --- HGNetV2 --------------------------------------------------------------------------------------

SIZES = {
    (16, 16, 3, True): "b0",
    (24, 32, 3, True): "b1",
    (24, 32, 4, True): "b2",
    (24, 32, 5, True): "b3",
    (32, 48, 6, False): "b4",
}
"""Channels within the stem and the first block, layers of a block, trained scales -> size."""


def hgnetv2(shapes: Shapes) -> Knobs | None:
    """Read size and number of features."""
    inner, last = "stages.0.blocks.0.layers.0.conv.weight", "head.last_conv.0.weight"
    if inner not in shapes or last not in shapes:
        return None
    layers = _count(shapes, r"stages\.0\.blocks\.0\.layers\.(\d+)\..*")
    affine = "stem.stem1.lab.scale" in shapes
    stem = shapes["stem.stem2a.conv.weight"][1]
    size = SIZES.get((stem, shapes[inner][0], layers, affine))
    return {"name": "hgnetv2", "size": size, "features": shapes[last][0]} if size else None


_OF_HGNETV2 = by_rules((r"((stem|stages|head)\..*)", r"\1"))


# --- The table ------------------------------------------------------------------------------------

SPELLINGS = (
    Spelling(
        "torchvision or timm",
        "layer1.0.conv1.weight",
        _OF_RESNET,
        resnet,
        architectures=r"(tv_|gluon_)?resnet(18|34|50|101|152)",
    ),
    Spelling(
        "transformers",
        "resnet.embedder.embedder.convolution.weight",
        _resnet_of_transformers,
        resnet,
        config={
            "hidden_act": "relu",
            "downsample_in_first_stage": False,
            "downsample_in_bottleneck": False,
        },
    ),
    Spelling(
        "timm", "pre_logits.fc1.weight", _vgg_names, vgg, architectures=r"vgg(11|13|16|19)(_bn)?"
    ),
    Spelling("torchvision", "classifier.3.weight", _vgg_names, vgg),
    Spelling("torchvision", "features.10.weight", _alexnet_names, alexnet),
    Spelling(
        "timm", "stem.stem2a.conv.weight", _OF_HGNETV2, hgnetv2, architectures=r"hgnetv2_b[0-4]"
    ),
)

KNOWN = "resnet, vgg, alexnet, hgnetv2"
"""The networks above, for people."""


def _count(shapes: Shapes, pattern: str) -> int:
    """How many different numbers a pattern finds in the names."""
    found = (re.fullmatch(pattern, name) for name in shapes)
    return len({match[1] for match in found if match})


def _side(dense: tuple[int, ...], channels: int) -> int:
    """Places a side of the map that a dense layer sees; timm writes it as a convolution."""
    inputs = 1
    for size in dense[1:]:
        inputs *= size
    return int((inputs // channels) ** 0.5)


def _is_convolution(name: str, shapes: Shapes) -> bool:
    return re.fullmatch(r"features\.\d+\.weight", name) is not None and len(shapes[name]) == 4


def _is_dense(name: str, tensor: Tensor) -> bool:
    """Whether a dense layer of ours is written as a convolution over the whole map."""
    return name.startswith("classifier.fc") and tensor.ndim == 4
