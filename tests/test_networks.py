"""What every file in ``networks/`` promises, and what the first networks promise besides."""

import ast
import importlib
import inspect
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

import glassnet.networks
from glassnet import listing, losses
from glassnet.network import GIVEN

torch.set_num_threads(1)

FOLDER = Path(glassnet.networks.__file__).parent
NAMES = [
    name
    for name in sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    if "numbers" in listing.constant("networks", name, "READS", ("numbers",))
]
"""Networks for images, signals and rows; those that read tokens have a file of their own."""
IMAGE_SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 31, 45), (3, 224, 224)]
NUM_OUTPUTS = 7
SLIM: dict[str, dict[str, Any]] = {
    "alexnet": {"dense": 32},
    "vgg": {"depth": 11, "channels": (8, 16, 32, 32, 32), "dense": 32},
    "resnet": {"width": 16},
    "hgnetv2": {"width": 0.25, "features": 16},
}
"""Knobs that spare memory, for the networks whose dense layers are large."""


def network_class(name: str) -> Any:
    """Return what the file ends with."""
    return importlib.import_module(f"glassnet.networks.{name}").NETWORK


def least_side(name: str) -> int:
    """Return how many pixels a side an image needs."""
    module = importlib.import_module(f"glassnet.networks.{name}")
    return int(vars(module).get("LEAST_SIDE", 1))


def enlarged(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of an image that is large enough for the network."""
    return shape[0], *(max(side, least_side(name)) for side in shape[1:])


def build(name: str, input_shape: tuple[int, ...], seed: int = 0, **knobs: Any) -> nn.Module:
    """Return a network whose first weights follow from the seed, slim if it would be large."""
    torch.manual_seed(seed)
    knobs = {**SLIM.get(name, {}), **knobs}
    network = network_class(name)(input_shape, NUM_OUTPUTS, **knobs)
    assert isinstance(network, nn.Module)
    return network


def num_parameters(network: nn.Module) -> int:
    """Count the numbers that training changes."""
    return sum(parameter.numel() for parameter in network.parameters())


def knobs_of(name: str) -> dict[str, inspect.Parameter]:
    """Return the keyword-only arguments of the constructor."""
    parameters = inspect.signature(network_class(name).__init__).parameters
    return {
        key: knob
        for key, knob in parameters.items()
        if knob.kind is knob.KEYWORD_ONLY and key not in GIVEN  # what the data say, no knob
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", IMAGE_SHAPES, ids=str)
def test_every_parameter_receives_a_gradient(name: str, shape: tuple[int, ...]) -> None:
    shape = enlarged(name, shape)
    network = build(name, shape)
    logits = network(torch.randn(3, *shape))
    assert logits.shape[0] == 3  # a network of several members has one axis more
    assert logits.shape[-1] == NUM_OUTPUTS
    torch.autograd.backward(losses.cross_entropy()(logits, torch.tensor([0, 1, 2])).mean())
    silent = silent_parameters(network)
    if silent:  # one scale before a batch normalization: undone in training, not in evaluation
        logits = network.eval()(torch.randn(3, *shape))
        torch.autograd.backward(losses.cross_entropy()(logits, torch.tensor([0, 1, 2])).mean())
        assert not silent_parameters(network)
        assert all(network.get_parameter(one).numel() == 1 for one in silent), silent


def silent_parameters(network: nn.Module) -> list[str]:
    """Names of the parameters whose gradient is zero; all must have one, and a finite one."""
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    return [name for name, g in gradients.items() if g is not None and not g.any()]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_loss_is_near_that_of_a_blind_guess(name: str) -> None:
    shape = enlarged(name, (3, 32, 32))
    network = build(name, shape)
    logits = network(torch.randn(64, *shape))
    loss = losses.cross_entropy()(logits, torch.arange(64) % NUM_OUTPUTS).mean()
    assert 0.8 < loss.item() / torch.tensor(float(NUM_OUTPUTS)).log() < 1.5


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_network(name: str) -> None:
    shape = enlarged(name, (1, 28, 28))
    inputs = torch.randn(2, *shape)
    first, second = build(name, shape, seed=5), build(name, shape, seed=5)
    assert torch.equal(first.eval()(inputs), second.eval()(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_judged_alone_not_by_its_neighbours(name: str) -> None:
    shape = enlarged(name, (1, 28, 28))
    network = build(name, shape).eval()
    inputs = torch.randn(5, *shape)
    torch.testing.assert_close(network(inputs)[2:3], network(inputs[2:3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_survive_a_state_dict(name: str) -> None:
    shape = enlarged(name, (1, 8, 8))
    old, new = build(name, shape, seed=1), build(name, shape, seed=2)
    new.load_state_dict(old.state_dict())
    inputs = torch.randn(2, *shape)
    assert torch.equal(old.eval()(inputs), new.eval()(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_the_memory_layout_does_not_change_the_answer(name: str) -> None:
    shape = enlarged(name, (3, 32, 32))
    network = build(name, shape).eval()
    inputs = torch.randn(2, *shape)
    expected = network(inputs)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = network(inputs.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_knob_has_a_help_text_and_a_valid_default(name: str) -> None:
    for knob_name, knob in knobs_of(name).items():
        field = knob.annotation.__metadata__[0]
        assert field.description.endswith("."), knob_name
        TypeAdapter(knob.annotation).validate_python(knob.default)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_says_what_it_is_and_when_to_use_it(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring is not None
    assert docstring.splitlines()[0].endswith(".")
    for part in ("Paper: ", "How ours differs", "When to use it: "):
        assert part in docstring
    assert text.rstrip().splitlines()[-1].startswith("NETWORK = ")


@pytest.mark.parametrize("name", NAMES)
def test_a_network_imports_torch_and_little_else(name: str) -> None:
    allowed = {"torch", "pydantic", "collections", "functools", "itertools", "math", "typing"}
    allowed |= {"transformers"} if name == "backbone" else set()  # what it exists for
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            assert module.split(".")[0] in allowed or module.startswith("glassnet.networks")


IMAGE_NETWORKS = [name for name in NAMES if least_side(name) > 1]


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_an_image_that_is_too_small_is_refused_with_the_least_size(name: str) -> None:
    least = least_side(name)
    build(name, (1, least, least))
    with pytest.raises(ValueError, match=rf"{name}: .*at least {least}×{least} pixels, found 9×4"):
        build(name, (1, 9, 4))


def test_airbench_refuses_a_strip_that_its_windows_do_not_fit_into() -> None:
    with pytest.raises(ValueError, match="airbench: .*16×16 pixels, found 8×256; use convnet"):
        build("airbench", (1, 8, 256))
    assert build("airbench", (1, 16, 256)).eval()(torch.zeros(1, 1, 16, 256)).shape == (1, 7)


def test_who_has_small_images_is_told_what_to_use() -> None:
    with pytest.raises(ValueError, match=r"63×63 pixels, found 28×28; use convnet, or --size 64$"):
        build("alexnet", (1, 28, 28))


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_what_is_not_an_image_is_refused_with_the_expected_axes(name: str) -> None:
    with pytest.raises(ValueError, match=r"\(channels, height, width\), found \("):
        build(name, (1, 1, 20, 20))


def test_the_perceptron_is_one_linear_layer() -> None:
    network = build("perceptron", (4, 5))
    assert num_parameters(network) == 4 * 5 * NUM_OUTPUTS + NUM_OUTPUTS
    network.load_state_dict(
        {"linear.weight": torch.ones(NUM_OUTPUTS, 20), "linear.bias": torch.arange(7.0)}
    )
    assert torch.equal(network(torch.ones(1, 4, 5)), 20 + torch.arange(7.0)[None])


@pytest.mark.parametrize("hidden", [(), (5,), (6, 5, 4, 3)])
def test_an_mlp_has_the_depth_and_the_widths_asked_for(hidden: tuple[int, ...]) -> None:
    dims = [2 * 3, *hidden, NUM_OUTPUTS]
    expected = sum((dim_in + 1) * dim_out for dim_in, dim_out in itertools.pairwise(dims))
    assert num_parameters(build("mlp", (2, 3), hidden=hidden)) == expected


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"])
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_a_two_layer_mlp_solves_xor(activation: str, normalization: str) -> None:
    network = build("mlp", (2,), hidden=(16,), activation=activation, normalization=normalization)
    inputs = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    targets = torch.tensor([0, 1, 1, 0])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(inputs), targets))
        optimizer.step()
    assert torch.equal(network(inputs).argmax(dim=1), targets)


def test_dropout_acts_in_training_only() -> None:
    network = build("mlp", (10,), hidden=(50,), dropout=0.5)
    inputs = torch.randn(4, 10)
    assert not torch.equal(network(inputs), network(inputs))
    network.eval()
    assert torch.equal(network(inputs), network(inputs))


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 28, 28), (1, 8, 8)], ids=str)
def test_lenet_has_the_61706_parameters_of_the_text_books(shape: tuple[int, ...]) -> None:
    lenet = network_class("lenet")
    assert num_parameters(lenet(shape, 10)) == 61_706


def test_lenets_maps_have_the_sides_of_the_papers_figure_2() -> None:
    network = build("lenet", (1, 28, 28))
    sides: dict[str, torch.Size] = {}

    def note(name: str, layer: nn.Module) -> None:
        layer.register_forward_hook(lambda _, __, maps: sides.update({name: maps.shape[1:]}))

    for name in ("C1", "C3", "C5", "F6"):
        note(name, network.get_submodule(name))
    network(torch.randn(1, 1, 28, 28))
    assert sides == {"C1": (6, 28, 28), "C3": (16, 10, 10), "C5": (120,), "F6": (84,)}


def test_lenet_sets_small_images_in_the_middle_of_32_by_32() -> None:
    network = build("lenet", (1, 28, 28)).eval()
    image = torch.randn(1, 1, 28, 28)
    framed = torch.zeros(1, 1, 32, 32)
    framed[:, :, 2:30, 2:30] = image
    large = build("lenet", (1, 32, 32)).eval()
    large.load_state_dict(network.state_dict())
    assert torch.equal(network(image), large(framed))


def multiplications(network: nn.Module, inputs: Tensor) -> int:
    """Count the multiplications of all convolutions for one image."""
    total = 0

    def count(layer: nn.Module, _: Any, maps: Tensor) -> None:
        nonlocal total
        total += maps[0, 0].numel() * layer.get_parameter("weight").numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    network(inputs)
    return total


def test_the_cost_of_the_convnet_stays_bounded_for_large_images() -> None:
    small, large = (
        multiplications(build("convnet", (3, side, side)), torch.randn(2, 3, side, side))
        for side in (32, 224)
    )
    assert large < 4 * small  # 49 times the pixels


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 8, 8), 308_074), ((1, 28, 28), 308_074), ((3, 32, 32), 308_650)],
    ids=str,
)
def test_the_convnet_has_the_parameters_that_its_header_says(
    shape: tuple[int, ...], expected: int
) -> None:
    assert num_parameters(network_class("convnet")(shape, 10)) == expected
    assert f"{expected:,}" in (FOLDER / "convnet.py").read_text()


@pytest.mark.parametrize("side", [8, 15, 16, 17, 28, 33, 64, 96, 224])
def test_the_convnets_stem_halves_an_image_until_it_fits(side: int) -> None:
    stem = build("convnet", (1, side, side), channels=(4,)).get_submodule("stem")
    side_after = stem(torch.randn(2, 1, side, side)).shape[-1]
    assert side_after <= 16
    assert side <= 16 or side_after > 8


@pytest.mark.parametrize(
    ("shape", "knobs", "expected"),
    [
        ((1, 28, 28), {}, 569_474),
        ((3, 32, 32), {}, 569_666),
        ((3, 64, 64), {}, 570_530),
        ((3, 32, 32), {"channels": (64, 256, 256)}, 1_972_802),
        ((3, 32, 32), {"channels": (128, 384, 512), "convs": 3}, 9_918_786),
    ],
    ids=str,
)
def test_airbench_has_the_parameters_and_multiplications_that_its_header_says(
    shape: tuple[int, ...], knobs: dict[str, Any], expected: int
) -> None:
    network = network_class("airbench")(shape, 10, **knobs)
    assert num_parameters(network) == expected
    millions = multiplications(network, torch.randn(2, *shape)) / 1e6
    line = next(
        line
        for line in (FOLDER / "airbench.py").read_text().splitlines()
        if f"{expected:,}" in line
    )
    assert f"{millions:.1f} million" in line


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 9, 30), (3, 33, 64), (3, 65, 40)], ids=str)
@pytest.mark.parametrize("num_blocks", [1, 3, 6])
def test_airbench_halves_the_map_in_every_block_but_never_to_nothing(
    shape: tuple[int, ...], num_blocks: int
) -> None:
    network = build("airbench", shape, channels=(4,) * num_blocks)
    side = max(network.get_submodule("first")(torch.randn(2, *shape)).shape[2:])
    assert side <= 32
    for block in network.get_submodule("blocks").children():
        block.register_forward_hook(lambda _, given, out: sides.append((given[0], out)))
    sides: list[tuple[Tensor, Tensor]] = []
    network(torch.randn(2, *shape))
    assert len(sides) == num_blocks
    for before, after in sides:
        for was, now in zip(before.shape[2:], after.shape[2:], strict=True):
            assert 1 <= now <= max(1, (was + 1) // 2)


def test_the_third_convolution_of_an_airbench_block_goes_past_the_ones_between() -> None:
    block = build("airbench", (1, 16, 16), channels=(4,), convs=3).get_submodule("blocks.0").eval()
    maps = torch.randn(2, 24, 15, 15)
    nn.init.zeros_(block.get_submodule("last.1").get_parameter("weight"))  # nothing is added
    first = nn.Sequential(*(block.get_submodule(name) for name in ("conv1", "pool", "norm1")))
    expected = nn.functional.gelu(nn.functional.gelu(first(maps)))
    torch.testing.assert_close(block(maps), expected)


# --- TabM -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slot:
    """A column of a compact row."""

    size: int = 0
    edges: tuple[float, ...] = ()


SLOTS = [Slot(edges=(-1.0, 0.0, 2.0)), Slot(size=3), Slot(), Slot(size=60)]
ROWS = torch.tensor([[-2.0, 0.0, 1.0, 59.0], [1.0, 2.0, -1.0, 0.0], [3.0, 1.0, 0.0, 7.0]])


def tabm(num_outputs: int = 2, **knobs: Any) -> Any:
    """A small one, for compact rows."""
    torch.manual_seed(0)
    return network_class("tabm")((4,), num_outputs, slots=SLOTS, hidden=(8,), **knobs)


def test_numbers_are_spread_over_their_bins_and_go_on_outside_of_them() -> None:
    spread = tabm().spread(ROWS)
    assert spread[:, :2].tolist() == [[-1.0, 0.0], [1.0, 0.5], [1.0, 1.5]]
    assert spread[:, 2:4].tolist() == [[-2.0, 1.0], [1.0, -1.0], [3.0, 0.0]]
    assert spread[:, 4:7].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert spread.shape == (3, 2 + 2 + 3 + 16), "60 levels are embedded, not one-hot"


def test_members_answer_apart_in_training_and_together_afterwards() -> None:
    network = tabm(members=5, dropout=0.0)
    nn.init.normal_(network.output.weight)
    apart, together = network.train()(ROWS), network.eval()(ROWS)
    assert apart.shape == (3, 5, 2)
    assert together.shape == (3, 2)
    assert apart.std(1).min() > 0, "the members differ from the first step on"
    torch.testing.assert_close(together.exp(), apart.softmax(-1).mean(1))
    torch.testing.assert_close(together.exp().sum(1), torch.ones(3))
    one = tabm(num_outputs=1, members=5, dropout=0.0)
    torch.testing.assert_close(one.eval()(ROWS), one.train()(ROWS).mean(1))


def test_each_member_has_a_loss_of_its_own() -> None:
    logits, targets = tabm(members=5).train()(ROWS), torch.tensor([0, 1, 1])
    each = losses.cross_entropy(0.1)(logits, targets)
    assert each.shape == (3, 5)
    plain = nn.functional.cross_entropy(
        logits[:, 2], targets, reduction="none", label_smoothing=0.1
    )
    torch.testing.assert_close(each[:, 2], plain)
