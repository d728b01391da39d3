"""What every network that reads tokens promises; and what the recurrent ones promise besides."""

import ast
import importlib
import inspect
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import Tensor, nn

import glassnet.networks
from glassnet import listing
from glassnet.errors import UserError
from glassnet.network import GIVEN, build_network
from glassnet.networks._recurrent import Layers, RecurrentLayer, turned
from glassnet.networks._sequences import PAD, Explicit, chosen, make_explicit, present
from glassnet.recipe import NetworkKnobs

torch.set_num_threads(1)

FOLDER = Path(glassnet.networks.__file__).parent
WAYS = ("tokens", "stream", "pairs")
CASES = [
    (name, reads)
    for name in sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    for reads in listing.constant("networks", name, "READS", ("numbers",))
    if reads in WAYS
]
"""Every network that reads tokens, with each way in which it does."""
NAMES = sorted({name for name, _ in CASES})
STREAMS = [name for name, reads in CASES if reads == "stream"]
PAIRS = [name for name, reads in CASES if reads == "pairs"]
RECURRENT = {"rnn": 1, "gru": 3, "lstm": 4}
"""Networks, with the number of products that each makes of an input."""
LONGEST, VOCABULARY, CLASSES = 24, 40, 3
SLIM = {"width": 16, "hidden": 12, "filters": 8}

every_case = pytest.mark.parametrize(("name", "reads"), CASES)
a_length = st.integers(0, 9)


def build(name: str, reads: str, seed: int = 0, **knobs: Any) -> Any:
    """Return a slim network whose first weights follow from the seed, in training mode."""
    torch.manual_seed(seed)
    constructor = importlib.import_module(f"glassnet.networks.{name}").NETWORK
    takes = inspect.signature(constructor).parameters
    given = {"reads": reads, "vocabulary": VOCABULARY, **SLIM, **knobs}
    num_outputs = CLASSES if reads == "tokens" else VOCABULARY
    options = {key: value for key, value in given.items() if key in takes}
    return constructor((LONGEST,), num_outputs, **options)


def judge(name: str, reads: str, seed: int = 0, **knobs: Any) -> Any:
    """The same in evaluation mode, with answers far enough apart to be told from each other."""
    network = build(name, reads, seed, **knobs).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network


def texts(lengths: Sequence[int], reads: str, padding: int = 0, seed: int = 1) -> Tensor:
    """Random texts of these lengths, (B, T) or pairs (B, 2, T), and so many columns of padding."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(1, *lengths)
    shape = (len(lengths), 2, longest) if reads == "pairs" else (len(lengths), longest)
    tokens = torch.randint(4, VOCABULARY, shape, generator=generator)
    behind = torch.arange(longest) >= torch.tensor(lengths)[:, None]
    tokens = tokens.masked_fill(behind[:, None] if reads == "pairs" else behind, PAD)
    return nn.functional.pad(tokens, (0, padding), value=PAD)


def loss_of(network: nn.Module, inputs: Tensor, reads: str) -> Tensor:
    """Cross-entropy with random targets."""
    logits = network(inputs)
    last = logits if reads == "tokens" else logits.mT
    targets = torch.randint(logits.shape[-1], (len(inputs), *last.shape[2:]))
    return nn.functional.cross_entropy(last, targets)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


# --- The contract ---------------------------------------------------------------------------------


@every_case
def test_every_parameter_receives_a_gradient(name: str, reads: str) -> None:
    network = build(name, reads, dropout=0.0)
    torch.autograd.backward(loss_of(network, texts([9, 4, 7, 1], reads), reads))
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert not [key for key, found in gradients.items() if found is None or not found.any()]
    assert all(found is not None and found.isfinite().all() for found in gradients.values())


@every_case
def test_logits_have_the_shape_that_is_promised(name: str, reads: str) -> None:
    logits = build(name, reads)(texts([9, 4, 7], reads))
    assert logits.shape == ((3, CLASSES) if reads == "tokens" else (3, 9, VOCABULARY))


@every_case
def test_the_first_loss_is_near_that_of_a_blind_guess(name: str, reads: str) -> None:
    network = build(name, reads)
    loss = loss_of(network, texts([LONGEST] * 64, reads), reads)
    assert 0.8 < loss.item() / math.log(CLASSES if reads == "tokens" else VOCABULARY) < 1.3


@every_case
def test_the_same_seed_gives_the_same_network(name: str, reads: str) -> None:
    first, second, other = (build(name, reads, seed).eval() for seed in (5, 5, 6))
    inputs = texts([9, 4], reads)
    assert torch.equal(first(inputs), second(inputs))
    assert not torch.equal(first(inputs), other(inputs))


@every_case
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(a_length, min_size=1, max_size=4), padding=st.integers(0, 6))
def test_padding_never_changes_an_answer(
    name: str, reads: str, lengths: list[int], padding: int
) -> None:
    network = judge(name, reads)
    together = network(texts(lengths, reads, padding))
    for row, length in enumerate(lengths):
        alone = network(texts(lengths, reads)[row : row + 1, ..., : max(1, length)])[0]
        if reads == "tokens":
            assert_close(together[row], alone)
        else:
            assert_close(together[row, :length], alone[:length])


@every_case
def test_an_example_is_judged_alone_not_by_its_neighbours(name: str, reads: str) -> None:
    network, inputs = judge(name, reads), texts([9, 9, 9], reads)
    assert_close(network(inputs)[1:2], network(inputs[1:2]))


@every_case
def test_the_order_of_words_or_at_least_the_words_matter(name: str, reads: str) -> None:
    network, inputs = judge(name, reads), texts([9], reads)
    other = inputs.clone()
    other[..., 0] = inputs[..., 0] % (VOCABULARY - 4) + 4  # another token
    assert not torch.allclose(network(inputs), network(other), atol=1e-4)


@every_case
@pytest.mark.parametrize("lengths", [[1], [1, 0], [0, 5, 0], [0]], ids=str)
def test_a_text_of_one_token_and_an_empty_text_are_answered(
    name: str, reads: str, lengths: list[int]
) -> None:
    network, inputs = build(name, reads), texts(lengths, reads)
    assert network(inputs).isfinite().all()
    torch.autograd.backward(loss_of(network, inputs, reads))
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@every_case
def test_the_explicit_form_equals_the_fused_one(name: str, reads: str) -> None:
    network, inputs = judge(name, reads), texts([9, 3, 0, 7], reads)
    if not any(isinstance(module, Explicit) for module in network.modules()):
        pytest.skip(f"{name} has one form only")
    answers, gradients = [], []
    for explicit in (False, True):
        make_explicit(network, explicit)
        network.zero_grad()
        torch.manual_seed(3)
        torch.autograd.backward(loss_of(network, inputs, reads))
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
        answers.append(network(inputs))
    # Not beyond the end of a text, where nobody looks.
    there = present(inputs[:, -1] if reads == "pairs" else inputs)
    fused, stepwise = (a if reads == "tokens" else a[there] for a in answers)
    assert_close(stepwise, fused)
    if reads == "tokens" or name in RECURRENT or name.startswith("seq2seq"):
        for found, expected in zip(gradients[1], gradients[0], strict=True):
            assert_close(found, expected)


@every_case
def test_the_weights_survive_a_state_dict(name: str, reads: str) -> None:
    old, new = judge(name, reads, seed=1), judge(name, reads, seed=2)
    new.load_state_dict(old.state_dict())
    inputs = texts([9, 3], reads)
    assert torch.equal(old(inputs), new(inputs))


@every_case
def test_dropout_acts_in_training_only(name: str, reads: str) -> None:
    network, inputs = build(name, reads, dropout=0.5), texts([9, 3], reads)
    assert not torch.equal(network(inputs), network(inputs))
    network.eval()
    assert torch.equal(network(inputs), network(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_every_knob_has_a_help_text_and_a_valid_default(name: str) -> None:
    constructor = importlib.import_module(f"glassnet.networks.{name}").NETWORK
    for knob in inspect.signature(constructor).parameters.values():
        if knob.kind is knob.KEYWORD_ONLY and knob.name not in GIVEN:
            field = knob.annotation.__metadata__[0]
            assert field.description.endswith("."), knob.name
            TypeAdapter(knob.annotation).validate_python(knob.default)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_says_what_it_is_and_when_to_use_it(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring is not None
    assert docstring.splitlines()[0].endswith(".")
    assert "Paper: " in docstring or "Papers: " in docstring
    for part in ("How ours differs", "When to use it: "):
        assert part in docstring
    assert text.rstrip().splitlines()[-1].startswith("NETWORK = ")


# --- Streams and pairs ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=15, deadline=None)
@given(place=st.integers(1, LONGEST - 1))
def test_a_stream_is_answered_from_the_past_alone(name: str, place: int) -> None:
    network, tokens = judge(name, "stream"), texts([LONGEST, LONGEST], "stream")
    changed = tokens.clone()
    changed[:, place:] = texts([LONGEST, LONGEST], "stream", seed=2)[:, place:]
    assert_close(network(changed)[:, :place], network(tokens)[:, :place])


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, LONGEST - 1), unique=True, max_size=6).map(sorted))
def test_following_a_stream_in_any_pieces_equals_reading_it_at_once(
    name: str, cuts: list[int]
) -> None:
    network, tokens = judge(name, "stream"), texts([LONGEST, LONGEST], "stream")
    state, found = None, []
    for piece in tokens.tensor_split(cuts, 1):
        logits, state = network.follow(piece, state)
        found.append(logits)
    assert_close(torch.cat(found, 1), network(tokens))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_network_says_how_far_it_reads(name: str) -> None:
    context = build(name, "stream").context
    assert context is None or context >= LONGEST


@pytest.mark.parametrize("name", STREAMS)
def test_some_streams_can_be_chosen_to_go_on(name: str) -> None:
    network, tokens = judge(name, "stream"), texts([9, 9, 9], "stream")
    _, state = network.follow(tokens[:, :5], None)
    order = torch.tensor([2, 0])
    found, _ = network.follow(tokens[order, 5:], chosen(state, order))
    assert_close(found, network(tokens)[order, 5:])


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(a_length, min_size=1, max_size=4))
def test_writing_step_by_step_equals_reading_what_was_written(
    name: str, lengths: list[int]
) -> None:
    network, pairs = judge(name, "pairs"), texts(lengths, "pairs")
    pairs[:, 1] = texts([pairs.shape[2]] * len(lengths), "tokens")  # in beam search none is padding
    memory, state, found = network.read(pairs[:, 0]), None, []
    for place in range(pairs.shape[2]):
        logits, state = network.follow(pairs[:, 1, place : place + 1], memory, state)
        found.append(logits)
    assert_close(torch.cat(found, 1), network(pairs))


@pytest.mark.parametrize("name", PAIRS)
def test_beams_can_be_chosen_and_repeated_while_writing(name: str) -> None:
    network, pairs = judge(name, "pairs"), texts([9, 6, 9], "pairs")
    memory = network.read(pairs[:, 0])
    _, state = network.follow(pairs[:, 1, :4], memory, None)
    order = torch.tensor([2, 0, 0])
    written = pairs[order, 1, 4:]
    found, _ = network.follow(written, chosen(memory, order), chosen(state, order))
    assert_close(found, network(pairs)[order, 4:])


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_written_depends_on_the_source(name: str) -> None:
    network, pairs = judge(name, "pairs"), texts([9, 6], "pairs")
    other = pairs.clone()
    other[:, 0] = texts([9, 6], "tokens", seed=9)
    assert not torch.allclose(network(pairs), network(other), atol=1e-4)


# --- Recurrent networks ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "products"), RECURRENT.items())
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("reads", ["tokens", "stream"])
def test_a_recurrent_network_has_the_parameters_of_its_equations(
    name: str, products: int, num_layers: int, reads: str
) -> None:
    width, hidden, ways = 7, 5, 2 if reads == "tokens" else 1
    outputs = CLASSES if reads == "tokens" else VOCABULARY
    dims = [width, *[ways * hidden] * (num_layers - 1)]
    expected = VOCABULARY * width + (ways * hidden + 1) * outputs
    expected += sum(ways * products * hidden * (dim + hidden + 2) for dim in dims)
    network = build(name, reads, width=width, hidden=hidden, num_layers=num_layers)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def layers_of(network: nn.Module) -> list[RecurrentLayer]:
    return [module for module in network.modules() if isinstance(module, RecurrentLayer)]


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("knobs", [{"num_layers": 2}, {"bidirectional": False}], ids=str)
@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
def test_variants_are_as_blind_to_padding_and_as_explicit(
    name: str, knobs: dict[str, Any], pooling: str
) -> None:
    network = judge(name, "tokens", pooling=pooling, **knobs)
    expected = network(texts([5, 0, 9, 1], "tokens"))
    assert_close(network(texts([5, 0, 9, 1], "tokens", padding=7)), expected)
    make_explicit(network)
    assert_close(network(texts([5, 0, 9, 1], "tokens")), expected)


@pytest.mark.parametrize("width", [12, 16])
@pytest.mark.parametrize("name", RECURRENT)
def test_a_tied_output_layer_is_the_embedding(name: str, width: int) -> None:
    network = build(name, "stream", tied=True, width=width)
    assert network.output.weight is network.embedding.weight
    loss = loss_of(network, texts([LONGEST] * 16, "stream"), "stream")
    assert 0.8 < loss.item() / math.log(VOCABULARY) < 1.3
    torch.autograd.backward(loss)
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("rnn", ["hidden"]),
        ("gru", ["reset_gate", "update_gate", "candidate", "hidden"]),
        ("lstm", ["input_gate", "forget_gate", "candidate", "output_gate", "cell", "hidden"]),
    ],
)
def test_a_hook_sees_every_gate_and_state_at_each_step(name: str, seen: list[str]) -> None:
    network, tokens = judge(name, "stream"), texts([6, 6], "stream")
    make_explicit(network)
    (layer,) = layers_of(network)
    found: dict[str, list[Tensor]] = {}

    def keep(part: str) -> Callable[..., None]:
        return lambda _, __, value: found.setdefault(part, []).append(value)

    for part in seen:
        layer.get_submodule(part).register_forward_hook(keep(part))
    features, _ = network.recurrent(network.embed(tokens), torch.tensor([6, 6]))
    assert {part: len(values) for part, values in found.items()} == dict.fromkeys(seen, 6)
    assert torch.equal(torch.stack(found["hidden"], 1), features)
    gates = [torch.stack(values) for part, values in found.items() if part.endswith("gate")]
    assert all((gate > 0).all() and (gate < 1).all() for gate in gates)


def test_an_lstms_hidden_state_is_what_the_equations_say() -> None:
    (layer,) = layers_of(judge("lstm", "stream"))
    x, h, c = torch.randn(1, 16), torch.randn(1, 12), torch.randn(1, 12)
    weights = dict(layer.fused.named_parameters())
    w, u = weights["weight_ih_l0"].split(12), weights["weight_hh_l0"].split(12)
    b = (weights["bias_ih_l0"] + weights["bias_hh_l0"]).split(12)
    i, f, g, o = (x @ w[n].T + h @ u[n].T + b[n] for n in range(4))
    cell = f.sigmoid() * c + i.sigmoid() * g.tanh()
    found_h, found_c = layer.step(x, (h, c))
    assert_close(found_c, cell)
    assert_close(found_h, o.sigmoid() * cell.tanh())


def test_a_sequence_is_turned_round_within_its_own_length() -> None:
    assert turned(torch.tensor([3, 0]), 4).tolist() == [[2, 1, 0, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("name", RECURRENT)
def test_layers_read_signals_as_well(name: str) -> None:
    layer = type(layers_of(build(name, "tokens"))[0])
    layers = Layers(layer, 2, 8, 2, directions=("forwards", "backwards"))
    signal, lengths = torch.randn(3, 20, 2), torch.tensor([20, 11, 5])
    features, _ = layers(signal, lengths)
    alone, _ = layers(signal[1:2, :11], lengths[1:2])
    assert features.shape == (3, 20, 16)
    assert_close(features[1, :11], alone[0])


@pytest.mark.parametrize("name", RECURRENT)
def test_first_recurrent_weights_are_orthogonal_and_nothing_is_forgotten_early(name: str) -> None:
    for layer in layers_of(build(name, "tokens", initialization="orthogonal")):
        for gate in layer.fused.get_parameter("weight_hh_l0").split(12):
            assert_close(gate @ gate.T, torch.eye(12))
        biases = layer.fused.get_parameter("bias_ih_l0") + layer.fused.get_parameter("bias_hh_l0")
        expected = torch.zeros_like(biases)
        if name == "lstm":
            expected[12:24] = 1  # the forget gate is second
        assert torch.equal(biases, expected)
    for layer in layers_of(build(name, "tokens", initialization="torch")):
        assert layer.fused.get_parameter("weight_hh_l0").abs().max() <= 1 / math.sqrt(12)


@pytest.mark.parametrize("name", RECURRENT)
def test_first_embeddings_of_words_are_small_and_those_of_characters_are_not(name: str) -> None:
    module = importlib.import_module(f"glassnet.networks.{name}")
    for vocabulary, reads, expected in (
        (2000, "tokens", 0.1), (60, "tokens", 1.0), (2000, "stream", 0.1),
    ):  # fmt: skip
        outputs = vocabulary if reads == "stream" else 2
        network = module.NETWORK((9,), outputs, vocabulary=vocabulary, reads=reads)
        assert network.embedding.weight[1:].std().item() == pytest.approx(expected, rel=0.05)


def test_who_would_read_the_future_of_a_stream_is_told() -> None:
    with pytest.raises(ValueError, match="bidirectional reads what comes next"):
        build("lstm", "stream", bidirectional=True)


@pytest.mark.parametrize("name", RECURRENT)
def test_an_output_for_each_text_cannot_be_tied(name: str) -> None:
    with pytest.raises(ValueError, match=r"tied needs an output for each token .* 3 outputs"):
        build(name, "tokens", tied=True)


# --- Encoder and decoder --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["seq2seq", "seq2seq_attention"])
@pytest.mark.parametrize(
    "knobs", [{"num_layers": 2}, {"tied": False}, {"score": "additive"}], ids=str
)
def test_variants_of_the_decoder_keep_the_contract(name: str, knobs: dict[str, Any]) -> None:
    network, pairs = judge(name, "pairs", **knobs), texts([9, 0, 4], "pairs")
    expected = network(pairs)
    padded = network(texts([9, 0, 4], "pairs", padding=5))
    assert_close(padded[0, :9], expected[0])
    assert_close(padded[2, :4], expected[2, :4])
    make_explicit(network)
    assert_close(network(pairs)[0], expected[0])
    torch.autograd.backward(loss_of(network, pairs, "pairs"))
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("score", ["general", "additive"])
def test_shares_of_attention_sum_to_one_and_none_is_on_padding(score: str) -> None:
    network, pairs = judge("seq2seq_attention", "pairs", score=score), texts([9, 4, 0], "pairs")
    make_explicit(network)
    found: list[Tensor] = []
    network.attention.shares.register_forward_hook(lambda _, __, shares: found.append(shares))
    network(pairs)
    shares = torch.cat(found, 2)
    assert shares.shape == (3, 1, 9, 9)  # examples, heads, steps, tokens of the source
    assert_close(shares.sum(-1)[:2], torch.ones(2, 1, 9))
    assert not shares[1, ..., 4:].any()
    assert not shares[2].any()


def test_without_attention_the_source_is_one_vector_of_fixed_length() -> None:
    network = judge("seq2seq", "pairs")
    sizes = [
        [part.shape for state in network.read(texts([n], "tokens")) for part in state]
        for n in (1, 9)
    ]
    assert sizes[0] == sizes[1] == [(1, 12), (1, 12)]


@pytest.mark.parametrize("name", ["seq2seq", "seq2seq-attention"])
def test_a_network_for_pairs_refuses_another_task_by_naming_those_that_fit(name: str) -> None:
    with pytest.raises(UserError, match=r"reads pairs, and this task feeds tokens.*lstm"):
        build_network(NetworkKnobs(name=name), (10,), 2, reads="tokens", vocabulary=9)
