"""What is written beside published weights: how their inputs are prepared, what they answer.

``config.json`` of timm or of the transformers library, and ``preprocessor_config.json`` of the
latter. Of weights without any of them, the preparation is that of ImageNet's models in torchvision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from glassnet import jsonfile
from glassnet.errors import UserError

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
TOKENIZER = "tokenizer_config.json"

IMAGENET: dict[str, Any] = {
    "size": 224,
    "resize": 256,
    "preprocessing": {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "channels": 3,
        "interpolation": "bilinear",
        "fit": "resize_first",
    },
}
"""What torchvision's models were published with (2016), and most of those that follow them."""

_RESAMPLING = {2: "bilinear", 3: "bicubic", "bilinear": "bilinear", "bicubic": "bicubic"}
"""Pillow's numbers."""
_NOISE = ("id2label", "label2id", "_name_or_path", "architectures", "dtype", "torch_dtype",
          "num_labels", "problem_type", "return_dict", "output_hidden_states")  # fmt: skip
"""Of a configuration of transformers: what says nothing about the network."""


@dataclass(frozen=True)
class Card:
    """What is known about weights besides their names and shapes."""

    classes: list[str] = field(default_factory=list)
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """size, resize and preprocessing, as a recipe has them; empty if nobody says."""
    architecture: str = ""
    """timm's name of the network."""
    config: Mapping[str, Any] | None = None
    """A configuration of the transformers library, from which it builds its network."""
    made_for: str = ""
    """The class of transformers that wrote them, such as BertForSequenceClassification."""
    longest: int | None = None
    """Tokens that its tokenizer gives at most."""


def read(folder: Path) -> Card:
    """Read what lies beside weights.

    Raises:
        UserError: If it is damaged, or not as timm and transformers write it.
    """
    config, processor = jsonfile.read(folder / CONFIG), jsonfile.read(folder / PROCESSOR)
    try:
        if "pretrained_cfg" in config:
            return _of_timm(config)
        if "model_type" in config:
            found = _of_transformers(config, processor)
            return replace(found, longest=_longest(jsonfile.read(folder / TOKENIZER)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(
            f"{folder / CONFIG} is not as timm or transformers writes it "
            f"({type(error).__name__}: {error}). Fetch it again; or give the file of weights "
            "alone, from a folder without it, with --network, --size and --preprocessing."
        ) from None
    return Card()


def _of_timm(config: Mapping[str, Any]) -> Card:
    told = {**config["pretrained_cfg"], **config.get("pretrained_cfg_overlay", {})}
    channels, side = told["input_size"][0], told["input_size"][-1]
    scaled = math.floor(side / told.get("crop_pct", 0.875))
    squash = told.get("crop_mode") == "squash"
    knobs = {
        "size": side,
        "resize": scaled if scaled > side and not squash else None,
        "preprocessing": {
            "mean": list(told["mean"]),
            "std": list(told["std"]),
            "channels": channels,
            "interpolation": _RESAMPLING.get(told.get("interpolation"), "bilinear"),
            "fit": "squash" if squash else "resize_first",
        },
    }
    names = config.get("label_names") or told.get("label_names") or []
    described = config.get("label_descriptions") or told.get("label_descriptions") or {}
    return Card(
        classes=[str(described.get(name, name)) for name in names],
        knobs=knobs,
        architecture=str(config.get("architecture", "")),
    )


def _of_transformers(config: Mapping[str, Any], processor: Mapping[str, Any]) -> Card:
    labels = config.get("id2label") or {}
    numbers = sorted(labels, key=int)
    classes = [str(labels[number]) for number in numbers]
    if classes == [f"LABEL_{number}" for number in numbers]:  # what it writes if nobody named them
        classes = []
    plain = {key: value for key, value in config.items() if key not in _NOISE}
    made_for = str((config.get("architectures") or [""])[0])
    knobs = _prepared(config, processor)
    return Card(classes=classes, knobs=knobs, config=plain, made_for=made_for)


def _longest(tokenizer: Mapping[str, Any]) -> int | None:
    """Where nobody knows, the library writes a number of thirty digits."""
    found = tokenizer.get("model_max_length")
    return found if isinstance(found, int) and found < 10**6 else None


def _prepared(config: Mapping[str, Any], processor: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the words of ``preprocessor_config.json`` into knobs."""
    asked, crop = processor.get("size"), processor.get("crop_size")
    own = config.get("image_size")
    asked = {"shortest_edge": asked} if isinstance(asked, int) and crop else asked
    asked = {"height": asked, "width": asked} if isinstance(asked, int) else asked or {}
    crop = crop if isinstance(crop, int) else (crop or {}).get("height")
    side = asked.get("shortest_edge") or asked.get("height") or (own if isinstance(own, int) else 0)
    if not side:
        return {}
    fit, size, resize = "squash" if "height" in asked else "resize_first", side, None
    # ConvNeXt's own rule, which ResNet's checkpoints follow: below 384, the middle is cropped.
    share = processor.get("crop_pct")
    if "shortest_edge" in asked and share is not None:
        fit, resize = ("squash", None) if side >= 384 else (fit, int(side / share))
    elif processor.get("do_center_crop", crop is not None) and crop and crop < side:
        size, resize = crop, side
        fit = "resize_first"
    prepared: dict[str, Any] = {"channels": config.get("num_channels", 3), "fit": fit}
    prepared["interpolation"] = _RESAMPLING.get(processor.get("resample", 2), "bilinear")
    if processor.get("do_normalize", True) and "image_mean" in processor:
        prepared |= {"mean": processor["image_mean"], "std": processor["image_std"]}
    elif processor:
        prepared |= {"mean": [0.0] * prepared["channels"], "std": [1.0] * prepared["channels"]}
    return {"size": size, "resize": resize, "preprocessing": prepared}
