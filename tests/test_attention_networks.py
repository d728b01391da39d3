"""Attention and the networks made of it: against their formulas, torch, and transformers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
import torch.overrides
from torch import Tensor, nn

from glassnet import blueprint, cost
from glassnet.errors import UserError
from glassnet.network import build_network
from glassnet.networks._attention import (
    Attend,
    Block,
    CrossAttention,
    SelfAttention,
    angles,
    turned,
    waves,
)
from glassnet.networks._sequences import chosen, make_explicit
from glassnet.networks.gpt import GPT
from glassnet.networks.textcnn import TextCNN
from glassnet.networks.transformer import Transformer
from glassnet.recipe import NetworkKnobs

torch.set_num_threads(1)

POSITIONS = ["sinusoidal", "learned", "rotary", "none"]
NORMS = ["before", "after"]
WORDS = 30
SMALL: dict[str, Any] = {"num_layers": 2, "num_heads": 2, "width": 16}
both = pytest.mark.parametrize("norm", NORMS)
all_positions = pytest.mark.parametrize("positions", POSITIONS)


def tokens(*shape: int, seed: int = 0) -> Tensor:
    """Random tokens without padding."""
    return torch.randint(4, WORDS, shape, generator=torch.Generator().manual_seed(seed))


def close(one: Tensor, other: Tensor) -> None:
    """Require equality but for rounding."""
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def gpt(length: int = 12, **knobs: Any) -> GPT:
    """A small one, in evaluation mode."""
    torch.manual_seed(0)
    network = GPT((length,), WORDS, vocabulary=WORDS, **{**SMALL, **knobs}).eval()
    enlarge(network)
    return network


def transformer(reads: Any = "pairs", **knobs: Any) -> Transformer:
    """A small one, in evaluation mode."""
    torch.manual_seed(0)
    outputs = WORDS if reads == "pairs" else 3
    network = Transformer((12,), outputs, vocabulary=WORDS, reads=reads, **{**SMALL, **knobs})
    return network.eval()


def enlarge(network: nn.Module) -> None:
    """Weights that are far from zero, so that no part of a network is too faint to be seen."""
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2)


def num_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


# --- Attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize("explicit", [False, True], ids=["fused", "explicit"])
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_attention_within_a_text_equals_torchs(explicit: bool, causal: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = SelfAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.in_proj_weight.data = ours.query_key_value.weight.data
    theirs.in_proj_bias.data = ours.query_key_value.bias.data
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    make_explicit(ours, explicit)
    x, there = torch.randn(4, 7, 12), torch.ones(4, 7, dtype=torch.bool)
    there[0, 3:], there[1, 6:] = False, False
    if causal:
        found, _ = ours(x, causal=True)
        hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
        expected, _ = theirs(x, x, x, attn_mask=hidden, need_weights=False)
    else:
        found, _ = ours(x, seen=there[:, None, None])
        expected, _ = theirs(x, x, x, key_padding_mask=~there, need_weights=False)
    close(found, expected)


@pytest.mark.parametrize("explicit", [False, True], ids=["fused", "explicit"])
def test_attention_across_texts_equals_torchs(explicit: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = CrossAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.in_proj_weight.data = torch.cat((ours.query.weight, ours.key_value.weight)).detach()
    theirs.in_proj_bias.data = torch.cat((ours.query.bias, ours.key_value.bias)).detach()
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    make_explicit(ours, explicit)
    x, source, there = torch.randn(4, 5, 12), torch.randn(4, 8, 12), torch.ones(4, 8).bool()
    there[2, 5:] = False
    expected, _ = theirs(x, source, source, key_padding_mask=~there, need_weights=False)
    close(ours(x, ours.read(source), there[:, None, None]), expected)


def test_shares_seen_by_a_hook_sum_to_one_and_are_softmax_of_queries_times_keys() -> None:
    attend, seen = Attend(), []
    attend.explicit = True
    attend.shares.register_forward_hook(lambda _, __, shares: seen.append(shares))
    q, k, v = torch.randn(3, 2, 4, 5, 6)
    taken = attend(q, k, v, causal=True)
    (shares,) = seen
    assert shares.shape == (2, 4, 5, 5)
    close(shares.sum(-1), torch.ones(2, 4, 5))
    assert torch.equal(shares, shares.tril()), "no token asks a later one"
    first = (q[0, 0, 2] @ k[0, 0, :3].T / math.sqrt(6)).softmax(0)
    close(shares[0, 0, 2, :3], first)
    close(taken, shares @ v)


def test_dropout_of_shares_acts_in_training_only() -> None:
    q, k, v = torch.randn(3, 2, 2, 5, 4)
    for explicit in (False, True):
        attend = Attend(dropout=0.5)
        attend.explicit = explicit
        assert not torch.equal(attend(q, k, v), attend(q, k, v))
        attend.eval()
        assert torch.equal(attend(q, k, v), attend(q, k, v))


@pytest.mark.parametrize("reads", ["tokens", "pairs", "stream"])
def test_explicit_networks_answer_the_same_and_show_every_share(reads: str) -> None:
    network: nn.Module = gpt() if reads == "stream" else transformer(reads)
    given = tokens(3, 2, 9) if reads == "pairs" else tokens(3, 9)
    given[0, ..., 6:] = given[2] = 0
    if reads == "stream":
        given = tokens(3, 9)
    fused, names = network(given), []
    for name, module in network.named_modules():
        if name.endswith(".shares"):
            module.register_forward_hook(
                lambda _, __, shares, name=name: names.append((name, shares.shape))
            )
    make_explicit(network)
    close(network(given), fused)
    assert len(names) == {"tokens": 2, "pairs": 6, "stream": 2}[reads]
    assert {shape for _, shape in names} == {(3, 2, 9, 9)}
    make_explicit(network, False)
    assert torch.equal(network(given), fused)


# --- Positions ------------------------------------------------------------------------------------


def test_waves_are_those_of_the_papers_formula() -> None:
    found = waves(torch.arange(50), 8)
    for place, i in itertools.product((0, 1, 7, 49), range(4)):
        angle = place / 10_000 ** (2 * i / 8)
        close(found[place, 2 * i], torch.tensor(math.sin(angle)))
        close(found[place, 2 * i + 1], torch.tensor(math.cos(angle)))
    assert waves(torch.arange(3), 7).shape == (3, 7)


def test_the_product_of_two_waves_depends_on_their_distance_alone() -> None:
    found = waves(torch.arange(40).double(), 16).double()
    products = found @ found.T
    for distance in (0, 1, 9):
        line = products.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), atol=1e-5, rtol=0)


def test_rotary_positions_turn_each_pair_by_its_angle() -> None:
    x = torch.randn(1, 1, 6, 8)
    found = turned(x, angles(torch.arange(6), 8))
    pairs = torch.complex(x[..., :4], x[..., 4:])
    frequency = 10_000 ** (-torch.arange(0, 8, 2) / 8)
    turn = torch.polar(torch.ones(6, 4), torch.arange(6)[:, None] * frequency)
    expected = pairs * turn
    close(found, torch.cat((expected.real, expected.imag), -1))
    close(found.norm(dim=-1), x.norm(dim=-1))


def test_products_of_rotated_queries_and_keys_depend_on_their_distance_alone() -> None:
    query, key = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 30, 8)
    turns = angles(torch.arange(30), 8)
    products = (turned(query, turns) @ turned(key, turns).mT)[0, 0]
    for distance in (-5, 0, 3):
        line = products.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), atol=1e-4, rtol=0)
    assert products[0].std() > 0.01


def test_only_networks_with_positions_know_the_order_of_words() -> None:
    given = tokens(2, 9)
    for positions in POSITIONS:
        network = transformer("tokens", positions=positions)
        same = torch.allclose(network(given), network(given.flip(1)), atol=1e-5)
        assert same == (positions == "none"), positions


# --- Reading on -----------------------------------------------------------------------------------


@all_positions
@both
def test_gpt_reads_in_pieces_as_it_reads_at_once(positions: str, norm: str) -> None:
    network, given = gpt(positions=positions, norm=norm), tokens(3, 12)
    state, pieces = None, []
    for piece in given.split([5, 1, 1, 3, 2], 1):
        logits, state = network.follow(piece, state)
        pieces.append(logits)
    close(torch.cat(pieces, 1), network(given))


@all_positions
def test_no_answer_of_gpt_depends_on_later_tokens(positions: str) -> None:
    network, given = gpt(positions=positions), tokens(2, 12)
    changed = given.clone()
    changed[:, 7:] = tokens(2, 5, seed=1)
    close(network(given)[:, :7], network(changed)[:, :7])
    assert not torch.allclose(network(given)[:, 7:], network(changed)[:, 7:])


def test_gpt_refuses_more_tokens_than_its_context() -> None:
    network = gpt(length=8)
    _, state = network.follow(tokens(1, 8))
    with pytest.raises(ValueError, match="9 tokens are more than the context of 8"):
        network.follow(tokens(1, 1), state)
    assert gpt(length=8, context=20).context == 20


def test_a_transformer_with_learned_positions_refuses_more_tokens_than_it_has_places() -> None:
    network = transformer("tokens", positions="learned")
    assert network.context == 12
    with pytest.raises(ValueError, match="13 tokens are more than the 12 places"):
        network(tokens(1, 13))
    assert transformer("tokens").context is None
    assert transformer("tokens")(tokens(1, 40)).isfinite().all()


@all_positions
@both
def test_a_translation_is_written_token_by_token_as_it_is_read_at_once(
    positions: str, norm: str
) -> None:
    network, pair = transformer(positions=positions, norm=norm), tokens(4, 2, 10)
    pair[0, 0, 6:] = pair[1, 0] = pair[2, 1, 5:] = 0
    expected = network(pair)
    assert expected.isfinite().all()
    memory, state, pieces = network.read(pair[:, 0]), None, []
    for token in pair[:, 1].split(1, 1):
        logits, state = network.follow(token, memory, state)
        pieces.append(logits)
    close(torch.cat(pieces, 1), expected)


def test_some_of_the_examples_can_be_chosen_while_writing() -> None:
    network, pair, index = transformer(), tokens(3, 2, 10), torch.tensor([2, 0, 0, 1])
    pair[1, 0, 4:] = 0
    memory = network.read(pair[:, 0])
    _, state = network.follow(pair[:, 1, :6], memory)
    rest, _ = network.follow(pair[index, 1, 6:], chosen(memory, index), chosen(state, index))
    close(rest, network(pair)[index, 6:])


# --- Padding --------------------------------------------------------------------------------------


@all_positions
@both
def test_no_answer_to_a_text_depends_on_padding(positions: str, norm: str) -> None:
    network, given = transformer("tokens", positions=positions, norm=norm), tokens(4, 7)
    given[0, 3:] = given[1, 1:] = given[2] = 0
    alone = network(given)
    assert alone.isfinite().all()
    close(network(nn.functional.pad(given, (0, 5))), alone)
    close(network(given[:1, :3]), alone[:1])


@all_positions
def test_no_translation_depends_on_padding(positions: str) -> None:
    network, pair = transformer(positions=positions), tokens(3, 2, 7)
    pair[0, 0, 3:] = pair[1, 0] = pair[2, 1, 4:] = 0
    close(network(nn.functional.pad(pair, (0, 5)))[:, :7], network(pair))


def test_an_empty_text_gives_finite_gradients() -> None:
    for network, given in (
        (transformer("tokens"), torch.zeros(2, 5, dtype=torch.long)),
        (transformer("pairs"), torch.zeros(2, 2, 5, dtype=torch.long)),
        (textcnn(), torch.zeros(2, 5, dtype=torch.long)),
    ):
        torch.autograd.backward(network(given).logsumexp(-1).sum())
        gradients = [w.grad for w in network.parameters() if w.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)


# --- Sizes and references -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_layers", "num_heads", "width", "expected"),
    [
        (12, 12, 768, 124_439_808),
        (24, 16, 1024, 354_823_168),
        (36, 20, 1280, 774_030_080),
        (48, 25, 1600, 1_557_611_200),
    ],
)
def test_gpt_has_the_parameters_of_gpt_2(
    num_layers: int, num_heads: int, width: int, expected: int
) -> None:
    knobs = {"num_layers": num_layers, "num_heads": num_heads, "width": width}
    with torch.device("meta"), Undrawn():
        network = GPT((1024,), 50_257, vocabulary=50_257, **knobs)  # type: ignore[arg-type]
    assert num_parameters(network) == expected


class Undrawn(torch.overrides.TorchFunctionMode):
    """Draws no first weights: they would not be kept, and take time."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return function(*args, **(kwargs or {}))


def test_gpt_answers_as_the_gpt2_of_transformers_with_the_same_weights() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=WORDS, n_positions=20, n_embd=16, n_layer=2, n_head=2,
        bos_token_id=0, eos_token_id=0, attn_implementation="eager",
    )  # fmt: skip
    theirs, ours = transformers.GPT2LMHeadModel(config).eval(), gpt(20, activation="gelu_tanh")
    enlarge(theirs)
    weights = theirs.state_dict()
    for name, weight in ours.state_dict().items():
        weight.copy_(as_ours(weights, name))
    given = tokens(3, 20)
    close(ours(given), theirs(given).logits)


def as_ours(weights: dict[str, Tensor], name: str) -> Tensor:
    """The weight of GPT-2 that ours calls by this name; its matrices are (in, out)."""
    theirs = "transformer." + name
    for one, other in (
        ("embedding.tokens", "wte"), ("embedding.places", "wpe"), (".norm.", ".ln_f."),
        ("blocks", "h"), ("within_norm", "ln_1"), ("dense_norm", "ln_2"),
        ("within.query_key_value", "attn.c_attn"), ("within.output", "attn.c_proj"),
        ("dense.0", "mlp.c_fc"), ("dense.2", "mlp.c_proj"),
    ):  # fmt: skip
        theirs = theirs.replace(one, other)
    weight = weights[theirs]
    return weight.T if ".c_" in theirs and weight.ndim == 2 else weight


def test_the_base_transformer_of_2017_has_as_many_parameters_as_its_formula_says() -> None:
    V, D, F, N = 37_000, 512, 2048, 6
    attention, dense, norm = 4 * (D * D + D), 2 * D * F + F + D, 2 * D
    expected = V * D + N * (attention + dense + 2 * norm) + N * (2 * attention + dense + 3 * norm)
    assert expected == 63_082_496
    sizes: dict[str, Any] = {"num_layers": N, "num_heads": 8, "width": D, "norm": "after"}
    with torch.device("meta"), Undrawn():
        network = Transformer((100,), V, vocabulary=V, reads="pairs", **sizes)
    assert num_parameters(network) == expected
    assert abs(expected / 65e6 - 1) < 0.05, "table 3 of the paper"


@both
def test_the_encoder_and_the_decoder_equal_torchs(norm: str) -> None:
    network, pair = transformer(norm=norm, hidden=24), tokens(3, 2, 9)
    pair[1, 0, 5:] = 0
    options: dict[str, Any] = {
        "dim_feedforward": 24, "dropout": 0.0, "batch_first": True, "norm_first": norm == "before"
    }  # fmt: skip
    layers = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    encoder, decoder = ([layer(16, 2, **options) for _ in range(2)] for layer in layers)
    for one, other in zip([*network.encoder, *network.decoder], encoder + decoder, strict=True):
        copy(one, other)
    source, target = (network.embedding(side)[0] for side in pair.unbind(1))
    padding = pair[:, 0] == 0
    hidden = torch.ones(9, 9, dtype=torch.bool).triu(1)
    for layer in encoder:
        source = layer(source, src_key_padding_mask=padding)
    source = network.encoder_norm(source)
    for layer in decoder:
        target = layer(target, source, tgt_mask=hidden, memory_key_padding_mask=padding)
    features = network.decoder_norm(target)
    close(network(pair), features @ network.embedding.tokens.weight.T)


def copy(ours: Block, theirs: Any) -> None:
    """Give a layer of torch's transformer the weights of a block of ours."""
    theirs.self_attn.in_proj_weight.data = ours.within.query_key_value.weight.data
    theirs.self_attn.in_proj_bias.data = ours.within.query_key_value.bias.data
    theirs.self_attn.out_proj.load_state_dict(ours.within.output.state_dict())
    theirs.norm1.load_state_dict(ours.within_norm.state_dict())
    last = theirs.norm2
    if isinstance(theirs, nn.TransformerDecoderLayer):
        across, last = ours.across, theirs.norm3
        parts = (across.query, across.key_value)
        both_parts = theirs.multihead_attn
        both_parts.in_proj_weight.data = torch.cat([part.weight.data for part in parts])
        both_parts.in_proj_bias.data = torch.cat([part.bias.data for part in parts])
        both_parts.out_proj.load_state_dict(across.output.state_dict())
        theirs.norm2.load_state_dict(ours.across_norm.state_dict())
    last.load_state_dict(ours.dense_norm.state_dict())
    theirs.linear1.load_state_dict(ours.dense[0].state_dict())
    theirs.linear2.load_state_dict(ours.dense[2].state_dict())


# --- Convolution over words -----------------------------------------------------------------------


def textcnn(**knobs: Any) -> TextCNN:
    """A small one, in evaluation mode."""
    torch.manual_seed(0)
    sizes = {"width": 6, "filters": 4, **knobs}
    return TextCNN((12,), 3, vocabulary=WORDS, **sizes).eval()


def test_the_text_cnn_has_the_sizes_of_the_papers_sst_2() -> None:
    words = 16_185  # |V| of SST-2 in table 1
    network = TextCNN((53,), 2, vocabulary=words)
    assert num_parameters(network.filters) == 360_300
    assert num_parameters(network.output) == 602
    assert num_parameters(network) == 300 * words + 360_300 + 602
    assert [layer.kernel_size for layer in network.filters] == [(3,), (4,), (5,)]


@pytest.mark.parametrize("length", [1, 2, 5, 9])
def test_a_filters_answer_is_its_largest_over_all_windows_that_hold_a_word(length: int) -> None:
    network, given = textcnn(windows=(3, 5)), tokens(1, length)
    features: list[Tensor] = []
    network.dropout.register_forward_hook(lambda _, __, out: features.append(out[0]))
    network(given)
    expected: list[Tensor] = []
    for layer, window in zip(network.filters, (3, 5), strict=True):
        words = nn.functional.pad(network.embedding(given)[0], (0, 0, window - 1, window - 1))
        answers = [
            torch.einsum("td,cdt->c", words[at : at + window], layer.weight) + layer.bias
            for at in range(length + window - 1)
        ]
        expected.append(torch.stack(answers).amax(0).relu())
    close(features[0], torch.cat(expected))


def test_no_answer_of_the_text_cnn_depends_on_padding() -> None:
    network, given = textcnn(), tokens(4, 7)
    for layer in network.filters:
        nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    given[0, 1:] = given[1, 4:] = given[2] = 0
    alone = network(given)
    close(network(nn.functional.pad(given, (0, 6))), alone)
    close(network(given[:1, :1]), alone[:1])
    close(alone[2], network.output.bias)


# --- Knobs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reads", "knobs", "message"),
    [
        ("gpt", "stream", {"width": 10, "num_heads": 4}, "width 10 is no multiple of num_heads 4"),
        ("transformer", "pairs", {"width": 6, "num_heads": 2, "positions": "rotary"}, "is odd"),
        ("gpt", "pairs", {}, "gpt reads stream, and this task feeds pairs"),
        ("textcnn", "stream", {}, "textcnn reads tokens, and this task feeds stream"),
    ],
)
def test_knobs_that_do_not_fit_are_refused_in_words(
    name: str, reads: str, knobs: dict[str, Any], message: str
) -> None:

    with pytest.raises(UserError, match=message):
        build_network(NetworkKnobs(name=name, **knobs), (12,), WORDS, reads=reads, vocabulary=WORDS)


def test_tied_weights_need_as_many_outputs_as_tokens() -> None:
    with pytest.raises(ValueError, match=r"outputs \(5\) as tokens \(30\)"):
        GPT((12,), 5, vocabulary=WORDS)
    assert GPT((12,), 5, vocabulary=WORDS, tied=False)(tokens(1, 4)).shape == (1, 4, 5)


@pytest.mark.parametrize(
    ("name", "knobs"), [("gpt", {}), ("transformer", {"reads": "pairs"}), ("textcnn", {})]
)
def test_a_blueprint_of_a_network_for_texts_counts_what_a_real_one_does(
    name: str, knobs: dict[str, Any]
) -> None:
    drawn = blueprint.draw(NetworkKnobs(name=name), (16,), vocabulary=WORDS, **knobs)
    built = build_network(
        NetworkKnobs(name=name), (16,), drawn.num_outputs, reads=drawn.reads, vocabulary=WORDS
    )
    assert drawn.parameters == num_parameters(built)
    example = tokens(1, 2, 16) if drawn.reads == "pairs" else tokens(1, 16)
    assert drawn.flops == sum(layer.flops for layer in cost.layers(built, example))
    if name == "gpt":
        attention = 4 * 2 * 2 * 16 * 16 * 128  # layers, products, 2 for each multiply-add
        dense = 4 * 2 * 12 * 128 * 128 * 16 + 2 * 16 * 128 * WORDS
        assert drawn.flops == attention + dense


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"input_shape": (3, 5)}, "--input 3x5: network gpt reads texts"),
        ({"num_outputs": 4}, "--classes 4: network gpt answers with tokens; set --vocabulary"),
        ({"reads": "pairs"}, "network gpt reads stream, and this task feeds pairs"),
    ],
)
def test_a_blueprint_refuses_what_a_network_for_texts_does_not_read(
    flags: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        blueprint.draw(NetworkKnobs(name="gpt"), **flags)
