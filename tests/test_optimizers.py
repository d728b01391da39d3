"""Optimizers against their originals in ``torch.optim``, and everything that a network may be."""

import copy
import subprocess
import sys

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from glassnet.errors import UserError
from glassnet.optimizers import SGD, Adam, AdamW, Muon, OptimizerKnobs, RMSprop, build

LR = 0.01


def dense():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def convolutional():
    torch.manual_seed(0)
    # No bias before a batch norm: its true gradient is 0, and Adam blows up the rounding (1e-8).
    first = nn.Conv2d(3, 8, 3, bias=False)
    body = [first, nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU()]
    head = [nn.Flatten(), nn.Linear(24, 3)]
    return nn.Sequential(nn.Unflatten(1, (3, 6, 6)), *body, *head)


NETWORKS = {"dense": (dense, 12), "convolutional": (convolutional, 108)}


def train(network, optimizer, steps, width, start=0, clip=None):
    for step in range(start, start + steps):
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(16, width, generator=generator)
        targets = torch.randint(3, (16,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), targets).backward()
        if clip is not None:
            clip(optimizer)
        optimizer.step()


def split(network):
    """Parameter groups for torch: decay for what has two axes or more, none for the rest."""
    matrices = [w for w in network.parameters() if w.ndim > 1]
    vectors = [w for w in network.parameters() if w.ndim <= 1]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]


def assert_equal(one, other, tolerance=0.0):
    theirs = other.state_dict()
    for name, mine in one.state_dict().items():
        torch.testing.assert_close(mine, theirs[name], rtol=tolerance, atol=tolerance, msg=name)


# The knobs, the original, and whether it shares our kernel (then equal to the last bit).
ORIGINALS = [
    (SGD(), torch.optim.SGD, True),
    (SGD(momentum=0.9), torch.optim.SGD, True),
    (SGD(momentum=0.9, nesterov=True, weight_decay=0.1), torch.optim.SGD, True),
    (RMSprop(), torch.optim.RMSprop, False),
    (RMSprop(momentum=0.5, centered=True, weight_decay=0.1), torch.optim.RMSprop, False),
    (Adam(), torch.optim.Adam, True),
    (Adam(betas=(0.8, 0.95), eps=1e-6, amsgrad=True, weight_decay=0.1), torch.optim.Adam, True),
    (AdamW(), torch.optim.AdamW, True),
    (AdamW(amsgrad=True, weight_decay=0.3), torch.optim.AdamW, True),
]
ALL = [knobs for knobs, *_ in ORIGINALS] + [Muon()]


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(("knobs", "original", "has_kernel"), ORIGINALS, ids=str)
def test_fifty_steps_equal_torchs(kind, knobs, original, has_kernel):
    make, width = NETWORKS[kind]
    mine, theirs = make(), make()
    options = knobs.model_dump(exclude={"name"})
    train(mine, build(knobs, mine, LR), 50, width)
    fused = {"fused": True} if has_kernel else {"foreach": True}
    train(theirs, original(split(theirs), lr=LR, **options, **fused), 50, width)
    assert_equal(mine, theirs)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(("knobs", "original", "has_kernel"), ORIGINALS, ids=str)
def test_fifty_steps_are_within_rounding_of_torchs_plain_loop(kind, knobs, original, has_kernel):
    make, width = NETWORKS[kind]
    mine, theirs = make(), make()
    options = knobs.model_dump(exclude={"name"})
    train(mine, build(knobs, mine, 1e-3), 50, width)
    train(theirs, original(split(theirs), lr=1e-3, **options, foreach=False), 50, width)
    assert_equal(mine, theirs, tolerance=1e-6)


def counters(optimizer):
    """The tensors that count steps, each once."""
    return {id(memory[0]) for memory in optimizer._memory.values()}


@pytest.mark.parametrize("knobs", [Adam(), AdamW(amsgrad=True)], ids=str)
def test_weights_share_a_counter_as_long_as_they_are_changed_together(knobs):
    mine, theirs = dense(), dense()
    ours = build(knobs, mine, LR)
    original = torch.optim.Adam if isinstance(knobs, Adam) else torch.optim.AdamW
    options = knobs.model_dump(exclude={"name"})
    other = original(split(theirs), lr=LR, fused=True, **options)
    # All weights; without the first layer; all again; the state stored and loaded; all.
    for round_, frozen in enumerate([False, True, False, False]):
        for network, optimizer in ((mine, ours), (theirs, other)):
            network[0].requires_grad_(not frozen)
            train(network, optimizer, 3, 12, start=3 * round_)
        if round_ == 0:
            groups = len(ours._groups)  # one, or with weight decay two
            assert len(counters(ours)) == groups
        if round_ == 2:
            state = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
            assert {float(t) for n, t in state.items() if n.endswith(".step")} == {6.0, 9.0}
            ours = build(knobs, mine, LR)
            ours.load_state_dict(state)
            assert len(counters(ours)) == 2 * groups
    assert_equal(mine, theirs)


class Both:
    """Two optimizers of torch that step together."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def zero_grad(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()


def test_muon_equals_torchs_on_the_hidden_matrix_and_adamw_on_the_rest():
    mine, theirs = dense(), dense()
    train(mine, build(Muon(), mine, LR), 50, 12)
    hidden = theirs[2].weight
    rest = [w for w in theirs.parameters() if w is not hidden]
    groups = [
        {"params": [w for w in rest if w.ndim > 1]},
        {"params": [w for w in rest if w.ndim == 1], "weight_decay": 0.0},
    ]
    muon = torch.optim.Muon([hidden], lr=LR, adjust_lr_fn="match_rms_adamw")
    train(theirs, Both(muon, torch.optim.AdamW(groups, LR, weight_decay=0.1, fused=True)), 50, 12)
    assert_equal(mine, theirs)


class Talker(nn.Module):
    """Word vectors tied to the output layer, as in most language models."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(12, 12)
        self.inner = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12))
        self.logits = nn.Linear(12, 12, bias=False)
        self.logits.weight = self.words.weight

    def forward(self, inputs):
        return self.logits(self.inner(self.words(inputs.abs().long()).mean(1)))


def test_muon_leaves_first_and_last_layer_embeddings_and_vectors_to_adamw():
    def under_muon(network):
        optimizer = build(Muon(), network, LR)
        groups = [g for g in optimizer._groups if g.rule.slots == ("momentum_buffer",)]
        return [name for group in groups for name in group.weights]

    assert under_muon(dense()) == ["2.weight"]
    assert under_muon(convolutional()) == ["4.weight"]
    assert under_muon(Talker()) == ["inner.0.weight", "inner.2.weight"]


@pytest.mark.parametrize("knobs", ALL, ids=str)
def test_tied_weights_are_changed_once_and_stay_tied(knobs):
    network = Talker()
    optimizer = build(knobs, network, LR)
    train(network, optimizer, 3, 12)
    assert network.logits.weight is network.words.weight
    assert not any(name.startswith("logits") for name in optimizer.state_dict())


@pytest.mark.parametrize("knobs", ALL, ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_resumed_training_is_equal_to_the_last_bit(tmp_path, kind, knobs):
    make, width = NETWORKS[kind]
    whole = make()
    train(whole, build(knobs, whole, LR), 20, width)

    first = make()
    optimizer = build(knobs, first, LR)
    train(first, optimizer, 8, width)
    save_file(optimizer.state_dict(), tmp_path / "optimizer.safetensors")
    save_file(first.state_dict(), tmp_path / "network.safetensors")

    second = make()
    second.load_state_dict(load_file(tmp_path / "network.safetensors"))
    optimizer = build(knobs, second, LR)
    optimizer.load_state_dict(load_file(tmp_path / "optimizer.safetensors"))
    train(second, optimizer, 12, width, start=8)
    assert_equal(second, whole)


# Centered RMSprop divides by a difference of near-equal numbers: there, two formats of torch's own
# differ by 1e-5 after 5 steps, from rounding in the convolutions.
STEADY = [knobs for knobs in ALL if not getattr(knobs, "centered", False)]


@pytest.mark.parametrize("knobs", STEADY, ids=str)
def test_channels_last_kernels_keep_their_format_and_their_state_fits_any_format(knobs):
    last, plain = convolutional().to(memory_format=torch.channels_last), convolutional()
    last_optimizer, plain_optimizer = build(knobs, last, 1e-3), build(knobs, plain, 1e-3)
    train(last, last_optimizer, 5, 108)
    train(plain, plain_optimizer, 5, 108)
    assert last[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert_equal(last, plain, tolerance=5e-5)
    # Equal by index, not merely by address: else a state would be scrambled in another format.
    assert_equal(last_optimizer, plain_optimizer, tolerance=1e-4)
    plain.load_state_dict(last.state_dict())
    plain_optimizer.load_state_dict(last_optimizer.state_dict())
    train(last, last_optimizer, 5, 108, start=5)
    train(plain, plain_optimizer, 5, 108, start=5)
    assert_equal(last, plain, tolerance=5e-5)


def test_a_copy_of_the_network_is_not_trained_along():
    network = convolutional()
    optimizer = build(AdamW(), network, LR)
    train(network, optimizer, 1, 108)
    twin, before = copy.deepcopy(network), copy.deepcopy(network)
    train(network, optimizer, 1, 108, start=1)
    assert_equal(twin, before)
    assert not torch.equal(network[1].weight, twin[1].weight)


@pytest.mark.parametrize("knobs", ALL, ids=str)
def test_frozen_layers_stay_and_can_be_unfrozen_later(knobs):
    network = dense()
    network[2].requires_grad_(False)
    before = copy.deepcopy(network)
    optimizer = build(knobs, network, LR)
    train(network, optimizer, 3, 12)
    assert torch.equal(network[2].weight, before[2].weight)
    assert not torch.equal(network[0].weight, before[0].weight)
    assert not any(name.startswith("2.") for name in optimizer.state_dict())
    network[2].requires_grad_(True)
    train(network, optimizer, 3, 12, start=3)
    assert not torch.equal(network[2].weight, before[2].weight)


def test_a_layer_unfrozen_late_counts_its_own_steps_as_in_torch():
    mine, theirs = dense(), dense()
    pairs = [(mine, build(Adam(), mine, LR)), (theirs, torch.optim.Adam(theirs.parameters(), LR))]
    for network, optimizer in pairs:
        network[2].requires_grad_(False)
        train(network, optimizer, 5, 12)
        network[2].requires_grad_(True)
        train(network, optimizer, 5, 12, start=5)
    assert_equal(mine, theirs, tolerance=1e-6)


def test_a_layer_that_is_unused_in_a_step_is_left_alone():
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    before = copy.deepcopy(network)
    optimizer = build(AdamW(weight_decay=0.5), network, LR)
    network[0](torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert_equal(network[1], before[1])
    assert not torch.equal(network[0].weight, before[0].weight)


def test_weight_decay_spares_biases_and_normalizations():
    network = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    before = copy.deepcopy(network)
    optimizer = build(AdamW(weight_decay=0.5), network, 0.1)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    torch.testing.assert_close(network[0].weight, before[0].weight * 0.95)
    assert torch.equal(network[0].bias, before[0].bias)
    assert_equal(network[1], before[1])


@pytest.mark.parametrize("max_norm", [0.05, 100.0])
def test_clipping_equals_torchs(max_norm):
    mine, theirs = dense(), dense()
    optimizer = build(SGD(), mine, LR)
    for network in (mine, theirs):
        network(torch.ones(4, 12)).square().sum().backward()
    before = optimizer.gradient_norm()
    expected = nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)
    assert torch.equal(optimizer.clip(max_norm), expected)
    assert torch.equal(before, expected)
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_the_gradient_norm_tells_of_one_bad_gradient():
    network = dense()
    optimizer = build(SGD(), network, LR)
    network(torch.ones(4, 12)).sum().backward()
    assert optimizer.gradient_norm().isfinite()
    network[0].bias.grad[3] = torch.nan
    assert not optimizer.gradient_norm().isfinite()


def test_the_learning_rate_may_change_at_every_step():
    mine, theirs = dense(), dense()
    ours, torchs = build(Adam(), mine, LR), torch.optim.Adam(theirs.parameters(), fused=True)
    for step in range(5):
        ours.lr = torchs.param_groups[0]["lr"] = LR / (step + 1)
        train(mine, ours, 1, 12, start=step)
        train(theirs, torchs, 1, 12, start=step)
    assert_equal(mine, theirs)


def test_names_shapes_and_buffers_of_the_network_stay_as_they_are():
    network, fresh = convolutional(), convolutional()
    optimizer = build(AdamW(), network, LR)
    shapes = {name: t.shape for name, t in network.state_dict().items()}
    assert shapes == {name: t.shape for name, t in fresh.state_dict().items()}
    optimizer.step()  # no gradients yet
    assert_equal(network, fresh)


def test_a_gradient_scaler_of_torch_accepts_it_and_skips_bad_steps():
    network, plain = dense(), dense()
    optimizer, reference = build(AdamW(), network, LR), build(AdamW(), plain, LR)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for infinite in (False, True, False):
        optimizer.zero_grad()
        reference.zero_grad()
        loss = network(torch.ones(4, 12)).square().mean() * (torch.inf if infinite else 1)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        if not infinite:
            plain(torch.ones(4, 12)).square().mean().backward()
            reference.step()
    assert_equal(network, plain)
    assert scaler.get_scale() == 512.0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: state.pop("0.bias.exp_avg"), "'0.bias.exp_avg' is missing"),
        (lambda state: state.update({"9.bias.step": torch.zeros(())}), "belongs to no weight"),
    ],
)
def test_a_state_of_another_network_or_optimizer_is_refused(spoil, message):
    network = dense()
    optimizer = build(Adam(), network, LR)
    train(network, optimizer, 1, 12)
    state = optimizer.state_dict()
    spoil(state)
    with pytest.raises(UserError, match=message):
        optimizer.load_state_dict(state)
    with pytest.raises(UserError, match="another network or optimizer"):
        build(SGD(momentum=0.9), network, LR).load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"name": "adamm"}, "adamm"),
        ({"name": "adam", "lr": 0.1}, "lr"),
        ({"name": "adam", "betas": [0.9, 1.0]}, "less than 1"),
        ({"name": "sgd", "nesterov": True}, "needs momentum"),
    ],
)
def test_a_bad_knob_is_refused(bad, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(OptimizerKnobs).validate_python(bad)


def test_knobs_survive_json_and_every_one_has_a_help_text():
    adapter = TypeAdapter(OptimizerKnobs)
    for knobs in ALL:
        assert adapter.validate_json(knobs.model_dump_json()) == knobs
        fields = type(knobs).model_fields.items()
        assert [name for name, field in fields if not field.description] == ["name"]


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import glassnet.optimizers", "torch"),
        (
            "import torch; from glassnet.optimizers import *; n = torch.nn.Linear(2, 2); "
            "o = build(AdamW(), n, .1); n(torch.ones(1, 2)).sum().backward(); o.clip(1.); o.step()",
            "torch._dynamo",
        ),
    ],
)
def test_the_start_is_not_burdened(code, unwanted):
    code += f"; import sys; sys.exit({unwanted!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
