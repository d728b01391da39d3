"""First weights from elsewhere: what fits is laid in, what does not is named."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_fixtures import picture, save
from hub_server import Hub, serving
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import glassnet
from glassnet import (
    blocks,
    cards,
    catalog,
    matching,
    network,
    progress,
    published,
    weightfiles,
    weights,
)
from glassnet.data.imagefacts import ImageFacts
from glassnet.data.rawimages import to_tensor
from glassnet.errors import UserError
from glassnet.networks._standardize import Standardize
from glassnet.recipe import NetworkKnobs
from glassnet.run import Run

Cli = Callable[..., tuple[int, str, str]]
CLASSES = ["cat", "dog", "fish"]
QUICK = ("--fit.epochs", "1", "--fit.threads", "1", "--size", "32", "--resize", "32")


def built(knobs: dict[str, Any], num_outputs: int = 3, side: int = 64) -> nn.Module:
    """A network of ours with random weights, ready to answer."""
    settled = network.resolved(NetworkKnobs(**knobs))
    return scrambled(network.build_network(settled, (3, side, side), num_outputs))


def scrambled(model: nn.Module) -> nn.Module:
    """Give every number, also the statistics of batch normalization, a value that matters."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                spread = tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.2
                centre = 1.0 if tensor.ndim == 1 and "bias" not in name else 0.0
                tensor.copy_(centre + spread * torch.rand(tensor.shape, generator=random))
    return model.eval()


SMALL_RESNET = {"name": "resnet", "depth": 18, "stem": "photo", "width": 4}


@pytest.fixture
def resnet_file(tmp_path: Path) -> Path:
    """ResNet-18 with narrow layers, as torchvision names them, for 3 classes."""
    path = tmp_path / "narrow18.safetensors"
    save_file(built(SMALL_RESNET).state_dict(), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of small pictures."""
    for label, name in enumerate(CLASSES):
        for number in range(12):
            image = picture(100 * label + number, 40, 48)
            save(tmp_path / "photos" / name / f"{number}.png", image)
    return tmp_path / "photos"


# --- Reading files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap", ["plain", "state_dict", "model", "module", "_orig_mod.module", "old"]
)
def test_a_file_of_torch_is_read_in_every_usual_form(tmp_path: Path, wrap: str) -> None:
    state: dict[str, Any] = {"a.weight": torch.ones(2, 3).half(), "a.count": torch.tensor(3)}
    content: Any = state
    if wrap in ("state_dict", "model"):
        content = {wrap: state, "epoch": 3, "optimizer": {"lr": [0.1]}}
    if "module" in wrap:
        content = {f"{wrap}.{name}": tensor for name, tensor in state.items()}
    path = tmp_path / "a.pth"
    torch.save(content, path, _use_new_zipfile_serialization=wrap != "old")
    found = weightfiles.tensors(path)
    assert weightfiles.shapes(path) == {"a.weight": (2, 3), "a.count": ()}
    assert found["a.weight"].dtype == torch.float32
    assert found["a.weight"].equal(torch.ones(2, 3))
    assert found["a.count"].dtype == torch.int64


def test_a_file_in_parts_is_read_as_one(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.ones(3)}, tmp_path / "model-2.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    parts = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    index.write_text(json.dumps({"weight_map": parts}))
    assert weightfiles.shapes(weightfiles.in_folder(tmp_path)) == {"a": (2,), "b": (3,)}
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(UserError, match=r"lists model-2\.safetensors, which are not beside it"):
        weightfiles.tensors(index)


class Harmful:
    """Would run a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def test_a_pickle_that_asks_for_code_is_refused_and_does_nothing(in_tmp: Path) -> None:
    torch.save({"w": torch.ones(1), "x": Harmful()}, in_tmp / "evil.pth")
    with pytest.raises(UserError, match=r"asks for \w+\.system of Python.*safetensors"):
        weightfiles.tensors(in_tmp / "evil.pth")
    (in_tmp / "evil.pt").write_bytes(pickle.dumps({"x": Harmful()}))
    with pytest.raises(UserError, match="evil.pt"):
        weightfiles.tensors(in_tmp / "evil.pt")
    torch.save(nn.Linear(2, 2), in_tmp / "whole.pth")
    with pytest.raises(UserError, match=r"asks for torch\.nn\.modules\.linear\.Linear"):
        weightfiles.tensors(in_tmp / "whole.pth")
    assert not (in_tmp / "harmed").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("kept", [0, 7, 100, -20])
def test_a_damaged_file_is_told_as_such(tmp_path: Path, name: str, kept: int) -> None:
    path = tmp_path / name
    if name == "a.pth":
        torch.save({"w": torch.ones(100)}, path)
    else:
        save_file({"w": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"a\.\w+ is .*Fetch it again"):
        weightfiles.tensors(path)


# --- Recognizing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_a_resnet_is_recognized_by_its_names_at_every_depth(depth: int) -> None:
    with torch.device("meta"):
        own = network.find("resnet")((3, 64, 64), 10, depth=depth).state_dict()  # type: ignore[call-arg]
    found = published.recognize({name: tuple(tensor.shape) for name, tensor in own.items()})
    assert found is not None
    assert found.network == {"name": "resnet", "depth": depth, "stem": "photo", "width": 64}


@pytest.mark.parametrize("size", ["b0", "b1", "b2", "b3", "b4"])
def test_hgnetv2_is_recognized_by_its_names_at_every_size(size: str) -> None:
    with torch.device("meta"):
        own = network.find("hgnetv2")((3, 64, 64), 10, size=size).state_dict()  # type: ignore[call-arg]
    found = published.recognize({name: tuple(tensor.shape) for name, tensor in own.items()})
    assert found is not None
    assert found.network == {"name": "hgnetv2", "size": size, "features": 2048}


def test_a_resnet_of_transformers_gives_the_same_answers_as_ours(tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 32, 64], depths=[2, 2, 2, 2], layer_type="basic",
        id2label=dict(enumerate(CLASSES)), label2id={c: n for n, c in enumerate(CLASSES)},
    )  # fmt: skip
    theirs = scrambled(ResNetForImageClassification(config))
    theirs.save_pretrained(tmp_path)
    assert weights.about(str(tmp_path))["network"] == {**SMALL_RESNET, "width": 8}
    ours, inputs = built({**SMALL_RESNET, "width": 8}), torch.randn(2, 3, 64, 64)
    match = matching.put(ours, weights.read(str(tmp_path)), CLASSES)
    assert not match.head
    torch.testing.assert_close(ours(inputs), theirs(inputs).logits, rtol=1e-4, atol=1e-4)
    # Asked for by name, the library's own network is built instead, and answers the same.
    knobs = weights.about(str(tmp_path), "backbone")["network"]
    wrapped = built(dict(knobs))
    matching.put(wrapped, weights.read(str(tmp_path)), CLASSES)
    torch.testing.assert_close(wrapped(inputs), theirs(inputs).logits, rtol=1e-4, atol=1e-4)


def vgg_of_torchvision(widths: tuple[int, ...], *, norm: bool) -> nn.Sequential:
    """VGG-11 written as a list, which numbers its layers as torchvision does."""
    layers: list[nn.Module] = []
    c_in = 3
    for group, (width, count) in enumerate(zip(widths, (1, 1, 2, 2, 2), strict=True)):
        del group
        for _ in range(count):
            layers.append(nn.Conv2d(c_in, width, 3, padding=1))
            layers.extend([nn.BatchNorm2d(width)] if norm else [])
            layers.append(nn.ReLU())
            c_in = width
        layers.append(nn.MaxPool2d(2))
    dense = [nn.Linear(widths[-1] * 49, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 16),
             nn.ReLU(), nn.Dropout(), nn.Linear(16, 3)]  # fmt: skip
    whole = nn.Sequential()
    whole.add_module("features", nn.Sequential(*layers))
    whole.add_module("avgpool", nn.AdaptiveAvgPool2d(7))
    whole.add_module("flatten", nn.Flatten())
    whole.add_module("classifier", nn.Sequential(*dense))
    return whole


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("whose", ["torchvision", "timm"])
def test_vgg_gives_the_same_answers_as_the_list_of_torchvision(
    tmp_path: Path, norm: bool, whose: str
) -> None:
    theirs = scrambled(vgg_of_torchvision((4, 6, 8, 8, 8), norm=norm))
    state = theirs.state_dict()
    if whose == "timm":  # dense layers are convolutions over the whole map there
        state["pre_logits.fc1.weight"] = state.pop("classifier.0.weight").reshape(16, 8, 7, 7)
        state["pre_logits.fc1.bias"] = state.pop("classifier.0.bias")
        state["pre_logits.fc2.weight"] = state.pop("classifier.3.weight")[:, :, None, None].clone()
        state["pre_logits.fc2.bias"] = state.pop("classifier.3.bias")
        state["head.fc.weight"] = state.pop("classifier.6.weight")
        state["head.fc.bias"] = state.pop("classifier.6.bias")
    save_file(state, tmp_path / "vgg.safetensors")
    knobs = weights.about(str(tmp_path / "vgg.safetensors"))
    assert knobs["network"] == {
        "name": "vgg", "depth": 11, "norm": "batch" if norm else "none",
        "channels": [4, 6, 8, 8, 8], "dense": 16, "map_side": 7,
    }  # fmt: skip
    assert knobs["size"] == 224
    ours, inputs = built(dict(knobs["network"])), torch.randn(2, 3, 64, 64)
    read = replace(weights.read(str(tmp_path / "vgg.safetensors")), classes=CLASSES)
    matching.put(ours, read, CLASSES)
    torch.testing.assert_close(ours(inputs), theirs(inputs), rtol=1e-4, atol=1e-5)


def test_alexnet_is_recognized_in_the_narrow_form_that_is_shared(tmp_path: Path) -> None:
    own = {"name": "alexnet", "channels": [4, 6, 8, 8, 8], "dense": 16, "map_side": 6}
    ours = built(own)
    names = published._ALEXNET
    state = {
        f"{theirs}.{kind}": ours.state_dict()[f"{name}.{kind}"]
        for theirs, name in names.items()
        for kind in ("weight", "bias")
    }
    save_file(state, tmp_path / "a.safetensors")
    assert weights.about(str(tmp_path / "a.safetensors"))["network"] == own
    other = built(own)
    with torch.no_grad():
        other.get_parameter("features.conv1.weight").zero_()
    read = replace(weights.read(str(tmp_path / "a.safetensors")), classes=CLASSES)
    assert len(matching.put(other, read, CLASSES).matched) == 16
    inputs = torch.randn(2, 3, 64, 64)
    assert other(inputs).equal(ours(inputs))


# --- Fitting --------------------------------------------------------------------------------------


def test_other_classes_give_a_new_last_layer_and_the_same_ones_keep_it(resnet_file: Path) -> None:
    read = replace(weights.read(str(resnet_file)), classes=CLASSES)
    old, inputs = built(SMALL_RESNET), torch.randn(2, 3, 64, 64)
    fresh = built(SMALL_RESNET)
    with torch.no_grad():
        fresh.get_parameter("fc.weight").zero_()
        fresh.get_parameter("conv1.weight").zero_()
    kept = matching.put(fresh, read, ["cow", "dog", "eel"])
    assert kept.head == ["fc.weight", "fc.bias"]
    assert "new: fc.weight, fc.bias" in kept.sentence
    assert "3 classes, of which 1 are among your 3" in kept.sentence
    assert not fresh.get_parameter("fc.weight").any()
    assert not matching.put(fresh, read, CLASSES).head
    assert fresh(inputs).equal(old(inputs))


def test_the_same_classes_in_another_order_keep_their_outputs(resnet_file: Path) -> None:
    read = replace(weights.read(str(resnet_file)), classes=CLASSES)
    old, new, inputs = built(SMALL_RESNET), built(SMALL_RESNET), torch.randn(2, 3, 64, 64)
    match = matching.put(new, read, ["fish", "cat", "dog"])
    assert not match.head
    assert "all (fish, cat, dog) are known by name" in match.sentence
    assert new(inputs).equal(old(inputs)[:, [2, 0, 1]])


def test_a_head_is_kept_only_if_each_class_is_one_output(resnet_file: Path) -> None:
    read = weights.read(str(resnet_file))
    own = built(SMALL_RESNET, num_outputs=2)
    double = matching.put(own, replace(read, classes=["crane", "dog", "crane"]), ["crane", "dog"])
    assert double.head and "not by one output for each name" in double.sentence
    lying = matching.put(own, replace(read, classes=[*CLASSES, "cow"]), ["cow", "dog"])
    assert lying.head and "not by one output for each name" in lying.sentence
    kept = matching.put(own, replace(read, classes=CLASSES), ["fish", "cat"])
    assert not kept.head and "of the 3 classes" in kept.sentence
    anew = matching.put(own, replace(read, classes=CLASSES), ["fish", "cat"], new_head=True)
    assert anew.sentence.count("anew") == 1 and "nobody says" not in anew.sentence


def test_wrong_weights_name_the_layers_and_the_network_that_they_are_for(resnet_file: Path) -> None:
    deeper = built({**SMALL_RESNET, "depth": 50})
    with pytest.raises(UserError) as error:
        matching.put(deeper, weights.read(str(resnet_file)), CLASSES)
    said = str(error.value)
    assert "layer1.0.conv1.weight: expected 4 x 4 x 1 x 1, found 4 x 4 x 3 x 3" in said
    assert "look like resnet (depth 18, stem photo, width 4)" in said
    assert "--network.depth 18" in said


def test_weights_with_more_layers_than_the_network_are_refused(tmp_path: Path) -> None:
    state = built(SMALL_RESNET).state_dict()
    state["layer1.0.se.fc1.weight"] = torch.ones(4, 4)
    save_file(state, tmp_path / "se.safetensors")
    with pytest.raises(UserError, match=r"1 have no place in it: layer1\.0\.se\.fc1\.weight"):
        matching.put(built(SMALL_RESNET), weights.read(str(tmp_path / "se.safetensors")), CLASSES)


def test_foreign_names_are_matched_by_order_only_if_all_shapes_agree(tmp_path: Path) -> None:
    own = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    names = ("hidden.w", "hidden.b", "out.w", "out.b")
    values = [torch.rand_like(tensor) for tensor in own.state_dict().values()]
    save_file(dict(zip(("a", "b", "c", "d"), values, strict=True)), tmp_path / "m.safetensors")
    match = matching.put(own, weights.read(str(tmp_path / "m.safetensors")), CLASSES)
    assert "laid in by order" in match.sentence
    assert own.state_dict()["0.weight"].equal(values[0])
    save_file(dict(zip(names, values[1:], strict=False)), tmp_path / "n.safetensors")
    with pytest.raises(UserError, match="do not fit the network"):
        matching.put(own, weights.read(str(tmp_path / "n.safetensors")), CLASSES)


# --- Preparation of the inputs --------------------------------------------------------------------


def of_pillow(image: Image.Image, size: int, resize: int, how: Image.Resampling) -> Any:
    """What torchvision and timm do to a photograph, with Pillow alone."""
    w, h = image.size
    short = min(w, h)
    image = image.resize((int(resize * w / short), int(resize * h / short)), how)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return np.array(image.crop((left, top, left + size, top + size))).astype(int)


@pytest.mark.parametrize(("size", "resize"), [(64, 73), (64, 67), (64, 64)])
@pytest.mark.parametrize("shape", [(150, 201), (203, 150), (160, 160), (50, 91)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_published_preparation_agrees_with_pillow_to_one_level(
    tmp_path: Path, size: int, resize: int, shape: tuple[int, int], interpolation: Any
) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(noisy), quality=95)
    facts = ImageFacts(
        channels=3, height=size, width=size, stored=(resize, resize), fit="resize_first",
        interpolation=interpolation, mean=[0, 0, 0], std=[1 / 255] * 3, classes=[],
    )  # fmt: skip
    stored = to_tensor(path, facts)
    found = Standardize(facts.mean, facts.std, size, size)(stored[None])[0].permute(1, 2, 0)
    wanted = of_pillow(Image.open(path), size, resize, Image.Resampling[interpolation.upper()])
    assert np.abs(found.numpy().round() - wanted).max() <= 1


def test_the_descriptions_of_timm_and_transformers_become_knobs(tmp_path: Path) -> None:
    told = {"input_size": [3, 224, 224], "crop_pct": 0.95, "interpolation": "bicubic",
            "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}  # fmt: skip
    timm = {"architecture": "resnet18", "pretrained_cfg": told, "label_names": CLASSES}
    (tmp_path / "config.json").write_text(json.dumps(timm))
    card = cards.read(tmp_path)
    assert card.classes == CLASSES
    assert (card.knobs["size"], card.knobs["resize"]) == (224, 235)
    assert card.knobs["preprocessing"] == {
        "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2], "channels": 3,
        "interpolation": "bicubic", "fit": "resize_first",
    }  # fmt: skip
    config = {"model_type": "vit", "image_size": 224, "id2label": {"0": "LABEL_0"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    prepared = {"size": {"height": 224, "width": 224}, "resample": 2, "image_mean": [0.5] * 3,
                "image_std": [0.5] * 3}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepared))
    card = cards.read(tmp_path)
    assert (card.knobs["size"], card.knobs["resize"], card.classes) == (224, None, [])
    assert card.knobs["preprocessing"]["fit"] == "squash"
    prepared |= {"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepared))
    assert cards.read(tmp_path).knobs["resize"] == 256
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        cards.read(tmp_path)
    for wrong in ({"pretrained_cfg": "a1_in1k"}, {"model_type": "vit", "id2label": {"cat": 0}}):
        (tmp_path / "config.json").write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=r"config\.json is not as timm or transformers writes"):
            cards.read(tmp_path)


# --- By the command line --------------------------------------------------------------------------


def test_a_training_begins_from_a_file_and_needs_it_never_again(
    cli: Cli, resnet_file: Path, photos: Path
) -> None:
    code, out, err = cli("train", photos, "--weights", resnet_file.name, *QUICK, "--name", "a")
    assert code == 0, err
    assert f"of {resnet_file} are the first weights; new: fc.weight, fc.bias" in out + err
    recipe = (Path("runs/a/recipe.yaml")).read_text()
    assert f"weights: {resnet_file}" in recipe
    facts = Run.open("runs/a").read_json("facts.json")
    assert facts["mean"] == cards.IMAGENET["preprocessing"]["mean"]
    resnet_file.unlink()
    assert cli("predict", "runs/a", photos / "cat" / "0.png")[0] == 0
    assert cli("resume", "runs/a")[0] == 0


def test_the_usual_name_of_a_variant_keeps_what_its_weights_imply(tmp_path: Path) -> None:
    knobs = {"name": "vgg", "depth": 11, "channels": [4] * 5, "dense": 8, "map_side": 7}
    theirs = built(knobs)
    numbers = [0, 3, 6, 8, 11, 13, 16, 18]
    ours = [name for name, tensor in theirs.state_dict().items() if tensor.ndim == 4]
    names = {
        name.rpartition(".")[0]: f"features.{n}" for name, n in zip(ours, numbers, strict=True)
    }
    names |= {
        f"classifier.{fc}": f"classifier.{n}"
        for fc, n in zip(("fc6", "fc7", "fc8"), (0, 3, 6), strict=True)
    }
    state = {
        f"{names[n.rpartition('.')[0]]}.{n.rpartition('.')[2]}": t
        for n, t in theirs.state_dict().items()
    }
    save_file(state, tmp_path / "vgg.safetensors")
    for name, cat in enumerate(CLASSES):
        save(tmp_path / "photos" / cat / "0.png", picture(name, 40, 48))
    flags = {"weights": str(tmp_path / "vgg.safetensors"), "network": "vgg11", "size": 64}
    recipe = catalog.resolve(str(tmp_path / "photos"), flags)[1]
    assert (recipe.network.usual, recipe.network.options["map_side"]) == ("vgg11", 7)


def test_a_run_is_first_weights_for_another(cli: Cli, photos: Path) -> None:
    first = ("--network", "lenet", "--fit.lr", "1e-9")
    assert cli("train", photos, *first, *QUICK, "--name", "a")[0] == 0
    code, out, err = cli(
        "train", photos, "--weights", "runs/a", "--fit.lr", "1e-9", *QUICK[:4], "--name", "b"
    )
    assert code == 0, err
    assert "10 tensors" in out + err
    one, other = (Run.open(f"runs/{name}").read_tensors("model.safetensors")[0] for name in "ab")
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("nowhere.pth", "There are no weights nowhere.pth"),
        ("photos", "must hold a run"),
        ("photos/cat/0.png", "is no file of weights: its name must end in .safetensors"),
    ],
)
def test_weights_that_are_none_are_refused(cli: Cli, photos: Path, origin: str, said: str) -> None:
    code, _, err = cli("train", photos, "--weights", origin, *QUICK)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_a_network_that_does_not_suit_the_file_is_refused(
    cli: Cli, resnet_file: Path, photos: Path
) -> None:
    wrong = ("--network", "resnet", "--network.depth", "34")
    code, _, err = cli("train", photos, "--weights", resnet_file, *wrong, *QUICK)
    assert code == 2
    assert "do not fit the network" in err
    assert "layer1.2.conv1.weight: expected 4 x 4 x 3 x 3, found none" in err
    code, _, err = cli("train", photos, "--weights", resnet_file, "--network", "lenet", *QUICK)
    assert code == 2
    assert "C1.weight: expected 6 x 3 x 5 x 5, found none" in err


# --- The Hub --------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub on this machine, and an empty cache."""
    from huggingface_hub import constants

    with serving() as served:
        template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield served


@pytest.fixture
def small_timm(hub: Hub, resnet_file: Path) -> str:
    """A repository of timm's form."""
    told = {"input_size": [3, 64, 64], "crop_pct": 0.875, "interpolation": "bicubic",
            "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}  # fmt: skip
    config = {"architecture": "resnet18", "pretrained_cfg": told, "label_names": CLASSES}
    hub.repositories["timm/narrow18"] = {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": resnet_file.read_bytes(),
    }
    return "timm/narrow18"


def test_a_name_of_the_hub_brings_all_and_is_bound_to_its_commit(
    hub: Hub, small_timm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    heard: list[tuple[str, int, int]] = []
    with progress.listening(lambda *news: heard.append(news)):
        settled = weights.settled(small_timm)
    assert settled == f"{small_timm}@{hub.commit(small_timm)}"
    size = len(hub.repositories[small_timm]["model.safetensors"])
    assert heard[-1] == (f"fetching {small_timm}", size, size)
    asked = len(hub.asked)
    knobs, read = weights.about(settled), weights.read(settled)
    assert len(hub.asked) == asked, "what is in the cache is not asked for again"
    assert knobs["network"] == SMALL_RESNET
    assert (knobs["size"], knobs["resize"]) == (64, 73)
    assert read.classes == CLASSES
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert weights.settled(small_timm) == settled


def test_a_hub_out_of_reach_says_what_to_do_and_what_was_fetched_is_used(
    hub: Hub, small_timm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    settled = weights.settled(small_timm)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert weights.settled(small_timm) == settled
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9\) cannot be reached .*refused") as error:
        weights.settled("timm/other")
    assert f"copy its folder models--timm--other into {tmp_path / 'cache'}" in str(error.value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set, and the cache lacks it"):
        weights.settled("timm/other")


def test_what_the_hub_refuses_is_told_in_words(hub: Hub, small_timm: str) -> None:
    with pytest.raises(UserError, match="nor a public model of this name"):
        weights.settled("timm/resnet81")
    with pytest.raises(UserError, match="no branch, tag or commit 'v9'"):
        weights.settled(f"{small_timm}@v9")
    hub.gated.add(small_timm)
    with pytest.raises(UserError, match="accept its terms"):
        weights.settled(small_timm)
    hub.repositories["a/flax"] = {"config.json": b"{}", "flax_model.msgpack": b""}
    with pytest.raises(UserError, match=r"no weights of torch at all"):
        weights.settled("a/flax")
    timm = hub.repositories[small_timm]
    other = timm["config.json"].replace(b"resnet18", b"resnetaa18")
    hub.repositories["timm/resnetaa18"] = {**timm, "config.json": other}
    with pytest.raises(UserError, match="resnetaa18, which is none of ours"):
        weights.about("timm/resnetaa18")


def test_a_vision_transformer_of_the_hub_is_trained_and_predicts_without_it(
    hub: Hub, cli: Cli, photos: Path, tmp_path: Path
) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, num_labels=7,
    )  # fmt: skip
    theirs = ViTForImageClassification(config)
    theirs.save_pretrained(tmp_path / "vit")
    prepared = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3,
                "image_std": [0.5] * 3, "resample": 2}  # fmt: skip
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(prepared))
    files = {path.name: path.read_bytes() for path in (tmp_path / "vit").iterdir()}
    hub.repositories["google/tiny-vit"] = files
    knobs = ("--fit.epochs", "1", "--fit.threads", "1", "--fit.optimizer", "adamw")
    code, out, err = cli("train", photos, "--weights", "google/tiny-vit", *knobs, "--name", "v")
    assert code == 0, err
    assert "new: model.classifier.weight, model.classifier.bias" in out + err
    hub.repositories.clear()
    code, out, _ = cli("predict", "runs/v", photos / "cat" / "0.png")
    assert code == 0
    folder = ("--weights", tmp_path / "vit", "--name", "w")
    assert cli("train", photos, *folder, *knobs)[0] == 0
    code, _, err = cli("train", photos, *folder, *knobs, "--size", "48")
    assert code == 2
    assert "of the kind vit, made for images of 32, cannot read images of 3 x 48 x 48" in err


# --- Networks of the transformers library ---------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "vit": {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 32},
    "swin": {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1],
             "num_heads": [1, 2], "window_size": 4},
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    "mobilenet_v2": {"image_size": 32, "depth_multiplier": 0.25},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_transformers_give_as_many_answers_as_classes(kind: str) -> None:
    knobs = {"name": "backbone", "config": {"model_type": kind, **KINDS[kind]}}
    model = network.build_network(network.resolved(NetworkKnobs(**knobs)), (3, 32, 32), 5)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    state: dict[str, Tensor] = {f"{n}": t for n, t in scrambled(model).state_dict().items()}
    head = blocks.head(model)
    assert state[head[0]].shape[0] == 5


def test_without_the_library_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"vit.a": torch.ones(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install 'glassnet\[transformers\]'"):
        weights.read(str(tmp_path))
    knobs = NetworkKnobs(**weights.about(str(tmp_path))["network"])
    with pytest.raises(UserError, match=r"pip install 'glassnet\[transformers\]'"):
        network.build_network(knobs, (3, 32, 32), 5)


def test_a_kind_that_is_none_is_refused() -> None:
    knobs = NetworkKnobs(**{"name": "backbone", "config": {"model_type": "vitt"}})
    with pytest.raises(UserError, match="builds no image classifier .*vitt"):
        network.build_network(knobs, (3, 32, 32), 5)


def test_the_python_api_takes_weights_as_well(photos: Path, resnet_file: Path) -> None:
    run = glassnet.train(
        str(photos), weights=resnet_file, size=32, resize=32, epochs=1, threads=1, show=False,
        runs=resnet_file.parent / "runs",
    )  # fmt: skip
    assert run.recipe.weights == str(resnet_file)
    with pytest.raises(UserError, match="There are no weights"):
        glassnet.train(str(photos), weights="nowhere.pth", show=False)
