"""The networks for photographs: published counts and maps, agreement with other code."""

import importlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet import blueprint, network, optimizers
from glassnet.errors import UserError
from glassnet.recipe import NetworkKnobs

torch.set_num_threads(1)

PUBLISHED = {
    "alexnet": 62_378_344,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "hgnetv2_b0": 5_996_550,
    "hgnetv2_b1": 6_343_158,
    "hgnetv2_b2": 11_221_356,
    "hgnetv2_b3": 16_292_216,
    "hgnetv2_b4": 19_796_680,
}
"""Parameters for 1000 classes, as torchvision and timm count them."""


def draw(name: str, *args: Any, **knobs: Any) -> blueprint.Blueprint:
    """A network on paper."""
    return blueprint.draw(NetworkKnobs(name=name, **knobs), *args)


def build(name: str, shape: tuple[int, ...], num_outputs: int, **knobs: Any) -> Any:
    """A network in evaluation, all of whose numbers are drawn, those of normalizations too."""
    built = network.build_network(NetworkKnobs(name=name, **knobs), shape, num_outputs)
    generator = torch.Generator().manual_seed(1)
    for key, tensor in built.state_dict().items():
        if key.endswith("running_var") or tensor.dim() == 1:
            tensor.uniform_(0.5, 1.0, generator=generator)
        elif tensor.dim() > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
    return built.eval()


def image(*shape: int) -> Tensor:
    """A batch of images of noise."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


# --- Counts and maps ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_parameters_are_the_published_ones_and_stand_in_the_header(name: str) -> None:
    drawn = draw(name)
    assert (drawn.input_shape, drawn.num_outputs) == ((3, 224, 224), 1000)
    assert drawn.parameters == PUBLISHED[name]
    assert drawn.parameters == sum(layer.parameters for layer in drawn.layers)
    text = importlib.import_module(f"glassnet.networks.{drawn.network['name']}").__doc__
    assert text is not None
    assert f"{drawn.parameters:,}" in text


def test_batch_normalization_adds_two_numbers_for_each_channel_of_vgg() -> None:
    assert draw("vgg16", norm="batch").parameters == 138_365_992


def test_the_narrow_alexnet_has_the_count_of_torchvisions_weights() -> None:
    assert draw("alexnet", channels=[64, 192, 384, 256, 256]).parameters == 61_100_840


def test_alexnet_has_the_maps_and_the_parameters_of_the_text_books_layer_by_layer() -> None:
    found = {
        la.name.split(".")[-1]: (la.output_shape, la.parameters) for la in draw("alexnet").layers
    }
    expected = {
        "conv1": ((96, 55, 55), 34_944),
        "pool1": ((96, 27, 27), 0),
        "conv2": ((256, 27, 27), 614_656),
        "pool2": ((256, 13, 13), 0),
        "conv3": ((384, 13, 13), 885_120),
        "conv4": ((384, 13, 13), 1_327_488),
        "conv5": ((256, 13, 13), 884_992),
        "pool5": ((256, 6, 6), 0),
        "fc6": ((4096,), 37_752_832),
        "fc7": ((4096,), 16_781_312),
        "fc8": ((1000,), 4_097_000),
    }
    assert {name: found[name] for name in expected} == expected
    assert list(found)[:3] == ["conv1", "relu1", "pool1"], "activations have rows as well"
    assert {"drop6", "drop7"} <= set(found), "dropout in the first two dense layers"


@pytest.mark.parametrize(
    ("name", "side", "last", "shape"),
    [
        ("alexnet", 63, "pool5", (256, 1, 1)),
        ("alexnet", 64, "pool5", (256, 1, 1)),
        ("alexnet", 256, "pool5", (256, 7, 7)),
        ("alexnet", 256, "avgpool", (256, 6, 6)),
        ("vgg11", 32, "pool5", (512, 1, 1)),
        ("vgg11", 256, "avgpool", (512, 7, 7)),
        ("resnet18", 32, "layer4.1.relu", (512, 4, 4)),
        ("resnet18", 64, "layer4.1.relu", (512, 2, 2)),
        ("resnet50", 224, "layer4.2.relu", (2048, 7, 7)),
    ],
)
def test_the_last_map_of_an_image_of_another_size(
    name: str, side: int, last: str, shape: tuple[int, ...]
) -> None:
    shapes = {
        la.name.removeprefix("features."): la.output_shape
        for la in draw(name, (3, side, side), 10).layers
    }
    assert shapes[last] == shape


def test_a_blueprint_is_that_of_the_network_that_is_built() -> None:
    from glassnet import cost

    built = network.build_network(NetworkKnobs(name="hgnetv2-b0"), (3, 64, 64), 10)
    layers = cost.layers(built, torch.zeros(1, 3, 64, 64))
    assert draw("hgnetv2-b0", (3, 64, 64), 10).layers == [
        la for la in layers if la.kind != "Identity"
    ]


def test_the_flops_are_twice_the_published_multiplications() -> None:
    assert draw("alexnet").flops / 2 == pytest.approx(1.14e9, rel=0.01)
    assert draw("vgg16").flops / 2 == pytest.approx(15.47e9, rel=0.01)
    assert draw("resnet50").flops / 2 == pytest.approx(4.09e9, rel=0.01)


# --- Agreement with references --------------------------------------------------------------------


def alexnet_reference(weights: dict[str, Tensor], x: Tensor, norm: bool = False) -> Tensor:
    """AlexNet from a state dict with torchvision's names, written from the paper's text."""

    def normalized(a: Tensor) -> Tensor:  # section 3.3, with sums over channels i - 2 … i + 2
        padded = F.pad(a**2, (0, 0, 0, 0, 2, 2))
        sums = sum(padded[:, shift : shift + a.shape[1]] for shift in range(5))
        return a / (2 + 1e-4 * sums) ** 0.75

    def conv(x: Tensor, number: int, **how: int) -> Tensor:
        name = f"features.{number}"
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **how).relu()

    def dense(x: Tensor, number: int) -> Tensor:
        name = f"classifier.{number}"
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = conv(x, 0, stride=4, padding=2)
    x = F.max_pool2d(normalized(x) if norm else x, 3, 2)
    x = conv(x, 3, padding=2)
    x = F.max_pool2d(normalized(x) if norm else x, 3, 2)
    x = conv(conv(conv(x, 6, padding=1), 8, padding=1), 10, padding=1)
    x = F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2), 6).flatten(1)
    return dense(dense(dense(x, 1).relu(), 4).relu(), 6)


def vgg_reference(weights: dict[str, Tensor], x: Tensor, plan: str) -> Tensor:
    """VGG from a state dict with torchvision's names; M is pooling, C a convolution, N a norm."""
    for place, letter in enumerate(plan):
        w = {key: weights.get(f"features.{place}.{key}") for key in
             ("weight", "bias", "running_mean", "running_var")}  # fmt: skip
        if letter == "M":
            x = F.max_pool2d(x, 2, 2)
        elif letter == "C":
            assert w["weight"] is not None
            x = F.conv2d(x, w["weight"], w["bias"], padding=1)
        elif letter == "N":
            x = F.batch_norm(x, w["running_mean"], w["running_var"], w["weight"], w["bias"])
        else:
            x = x.relu()
    x = F.adaptive_avg_pool2d(x, 7).flatten(1)
    for number in (0, 3, 6):
        x = F.linear(
            x, weights[f"classifier.{number}.weight"], weights[f"classifier.{number}.bias"]
        )
        x = x if number == 6 else x.relu()
    return x


def renamed(built: nn.Module, features: list[int], classifier: list[int]) -> dict[str, Tensor]:
    """The weights of ours under torchvision's names: the layers come in the same order."""
    layers = [(name, m) for name, m in built.named_modules() if list(m.parameters(recurse=False))]
    names = [f"features.{n}" for n in features] + [f"classifier.{n}" for n in classifier]
    return {
        f"{new}.{key}": tensor
        for new, (_, layer) in zip(names, layers, strict=True)
        for key, tensor in layer.state_dict().items()
    }


@pytest.mark.parametrize("side", [80, 224])
@pytest.mark.parametrize("norm", [False, True])
def test_alexnet_equals_its_reference(side: int, norm: bool) -> None:
    knobs = {"channels": [6, 8, 10, 8, 6], "dense": 16, "map_side": 6, "response_norm": norm}
    built = build("alexnet", (3, side, side), 5, **knobs)
    weights = renamed(built, [0, 3, 6, 8, 10], [1, 4, 6])
    x = 30 * image(2, 3, side, side)  # large enough that normalization matters
    expected = alexnet_reference(weights, x, norm)
    torch.testing.assert_close(built(x), expected, rtol=1e-5, atol=1e-4)
    assert not norm or not torch.allclose(built(x), alexnet_reference(weights, x), rtol=0.01)


@pytest.mark.parametrize(
    ("depth", "counts"),
    [(11, (1, 1, 2, 2, 2)), (13, (2,) * 5), (16, (2, 2, 3, 3, 3)), (19, (2, 2, 4, 4, 4))],
)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_vgg_equals_its_reference(depth: int, counts: tuple[int, ...], norm: str) -> None:
    knobs = {"channels": [4, 6, 8, 8, 8], "dense": 16, "norm": norm, "map_side": 7}
    built = build(f"vgg{depth}", (3, 64, 96), 5, **knobs)
    plan = "".join(("CNR" if norm == "batch" else "CR") * count + "M" for count in counts)
    places = [place for place, letter in enumerate(plan) if letter in "CN"]
    weights = renamed(built, places, [0, 3, 6])
    x = image(2, 3, 64, 96)
    torch.testing.assert_close(built(x), vgg_reference(weights, x, plan))


@pytest.mark.parametrize("depth", [18, 50])
def test_resnet_equals_that_of_transformers(depth: int) -> None:
    transformers = pytest.importorskip("transformers")
    blocks = {18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}[depth]
    basic = depth < 50
    config = transformers.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16 * 2**i * (1 if basic else 4) for i in range(4)],
        depths=blocks,
        layer_type="basic" if basic else "bottleneck",
        num_labels=5,
    )
    theirs = transformers.ResNetForImageClassification(config).eval()
    ours = build(f"resnet{depth}", (3, 96, 64), 5, width=16)
    theirs.load_state_dict(in_order_of(theirs, ours))
    x = image(2, 3, 96, 64)
    torch.testing.assert_close(ours(x), theirs(x).logits, rtol=1e-5, atol=1e-5)


def test_hgnetv2_equals_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.HGNetV2Config(
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, 64, 256, 512],
        stage_mid_channels=[16, 32, 64, 128],
        stage_out_channels=[64, 256, 512, 1024],
        stage_num_blocks=[1, 1, 2, 1],
        stage_numb_of_layers=[3, 3, 3, 3],
        use_learnable_affine_block=True,
        hidden_sizes=[64, 256, 512, 1024],
        depths=[1, 1, 2, 1],
    )
    theirs = transformers.HGNetV2Backbone(config).eval()
    ours = build("hgnetv2-b0", (3, 96, 64), 5)
    body = nn.Sequential(ours.stem, ours.stages)
    theirs.load_state_dict(in_order_of(theirs, body))
    x = image(2, 3, 96, 64)
    torch.testing.assert_close(body(x), theirs(x).feature_maps[-1], rtol=1e-4, atol=1e-4)


def in_order_of(theirs: nn.Module, ours: nn.Module) -> dict[str, Tensor]:
    """Our tensors under their names: kind by kind (convolution, norm …) in order of use."""
    calls: dict[int, list[nn.Module]] = {}
    for number, module in enumerate((theirs, ours)):
        found = calls.setdefault(number, [])

        def note(layer: nn.Module, *_: Any, found: list[nn.Module] = found) -> None:
            found.append(layer)

        leaves = [m for m in module.modules() if m.state_dict() and not list(m.children())]
        handles = [leaf.register_forward_hook(note) for leaf in leaves]
        module(image(1, 3, 64, 64))
        for handle in handles:
            handle.remove()
    names = {module: name for name, module in theirs.named_modules()}
    return {
        f"{names[theirs_layer]}.{key}": tensor
        for theirs_layer, ours_layer in zip(calls[0], calls[1], strict=True)
        for key, tensor in ours_layer.state_dict().items()
    }


# --- First weights --------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [11, 16, 19])
def test_signals_of_a_plain_vgg_neither_vanish_nor_explode(depth: int) -> None:
    torch.manual_seed(0)
    knobs = NetworkKnobs(name=f"vgg{depth}", channels=[16, 32, 64, 64, 64], dense=64)
    built = network.build_network(knobs, (3, 64, 64), 10).eval()
    features: Any = built.get_submodule("features")
    assert 0.2 < features(image(8, 3, 64, 64)).std() < 5


def test_with_zero_init_every_block_passes_its_input_on() -> None:
    for depth in (18, 50):
        knobs = {"width": 8, "zero_init": True}
        built: Any = network.build_network(
            NetworkKnobs(name=f"resnet{depth}", **knobs), (3, 64, 64), 5
        )
        c_in = 8 if depth == 18 else 32
        x = image(2, c_in, 8, 8).relu()
        assert torch.equal(built.layer1[1](x), x)


def test_large_layers_are_drawn_once() -> None:
    from glassnet.networks._images import undrawn_linear

    layer = undrawn_linear(30, 20)
    assert layer.weight.shape == (20, 30)
    assert (layer.in_features, layer.out_features, layer.bias.shape) == (30, 20, (20,))


def test_muon_leaves_the_largest_matrices_to_adamw() -> None:
    sizes = [(2049, 2049), (2049, 2049), (2049, 9), (9, 2)]
    layers = nn.Sequential(*(nn.Linear(*size, bias=False) for size in sizes))
    state = optimizers.build(optimizers.Muon(), layers, 0.1)
    slots = {name: group.rule.slots for group in state._groups for name in group.weights}
    assert slots["1.weight"] == slots["0.weight"], "as the first layer: by AdamW"
    assert slots["2.weight"] == ("momentum_buffer",), "nine rows are not too large"


# --- Names ----------------------------------------------------------------------------------------


def test_a_variant_has_its_usual_name() -> None:
    assert network.resolved(NetworkKnobs(name="resnet50")).options["depth"] == 50
    assert network.resolved(NetworkKnobs(name="resnet-50")).name == "resnet"
    assert network.resolved(NetworkKnobs(name="hgnetv2_b3")).options["size"] == "b3"
    assert network.named(NetworkKnobs(name="resnet50", depth=50)).options == {"depth": 50}


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        ("resnet20", {}, r"'resnet20': depth of resnet is one of 18, 34, 50, 101, 152\."),
        ("hgnetv2-b9", {}, r"size of hgnetv2 is one of b0, b1, b2, b3, b4\."),
        ("lenet5", {}, r"no network 'lenet5'\. Did you mean 'lenet'"),
        ("resnet50", {"depth": 18}, r"'resnet50' contradicts network\.depth=18; give one"),
        ("resnet50", {"dept": 18}, r"Unknown knob 'network\.dept'\. Did you mean 'network\.depth'"),
    ],
)
def test_a_wrong_variant_is_told_what_there_is(
    name: str, knobs: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        network.resolved(NetworkKnobs(name=name, **knobs))
