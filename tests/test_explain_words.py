"""Looking inside networks that read words: what is said of them must be true of them."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassnet import fading
from glassnet.data.tokens import PAD, Vocabulary, learn
from glassnet.errors import UserError
from glassnet.explain import asked, attribution, gates, heads, vanishing, wordtrust
from glassnet.explain.read import Given, Reading, classified, continued, translated
from glassnet.explain.strip import strip
from glassnet.explain.tokens import Question, embedding, names
from glassnet.figures import Grid, Token, Tokens, from_json, page
from glassnet.network import build_network
from glassnet.recipe import NetworkKnobs
from glassnet.words import nexttoken
from glassnet.words.inner import explicitly, recorded

NOTHING = "the film was seen by people who went to town one day and came back home"
FILLER = NOTHING.split()
PLANTED = {"wonderful": 1, "dreadful": 0}
CLASSES = ["bad", "good"]
ONE_ANSWER = ["rnn", "lstm", "gru", "textcnn", "transformer"]
RECURRENT = ["rnn", "lstm", "gru"]
SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"num_layers": 2, "num_heads": 2, "width": 32, "dropout": 0.0},
    "gpt": {"num_layers": 2, "num_heads": 2, "width": 32},
    "textcnn": {"width": 32},
    **{name: {"width": 24, "hidden": 24, "dropout": 0.0, "pooling": "max"} for name in RECURRENT},
}


def build(name: str, reads: str, vocabulary: int, outputs: int, longest: int = 16) -> nn.Module:
    torch.manual_seed(0)
    return build_network(
        NetworkKnobs(name=name, **SMALL[name]),
        (longest,),
        outputs,
        reads=reads,
        vocabulary=vocabulary,
    )


def sentence(word: str, length: int, place: int, generator: torch.Generator) -> list[str]:
    picks = torch.randint(len(FILLER), (length,), generator=generator).tolist()
    words = [FILLER[pick] for pick in picks]
    words[place] = word
    return words


@cache
def words() -> Vocabulary:
    return learn([" ".join([*FILLER, *PLANTED])] * 2, "words")


@cache
def trained(name: str) -> nn.Module:
    """A network that tells texts apart by one word of them, trained in a second or two."""
    network = build(name, "tokens", len(words()), 2).train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    generator = torch.Generator().manual_seed(1)
    for _ in range(60):
        texts, targets = [], []
        for _ in range(32):
            word = list(PLANTED)[int(torch.randint(2, (), generator=generator))]
            place = int(torch.randint(10, (), generator=generator))
            texts.append(" ".join(sentence(word, 10, place, generator)))
            targets.append(PLANTED[word])
        tokens_BT = torch.tensor([one.tolist() for one in words().encode(texts)])
        loss = nn.functional.cross_entropy(network(tokens_BT), torch.tensor(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
    return network.eval()


def given(text: str, truth: str | None = None) -> Given:
    tokens_T = torch.from_numpy(words().encode([text])[0]).long()
    return Given(text, tokens_T, names(words(), tokens_T.tolist(), text), truth)


TEXT = "the film was seen by wonderful people who came back home"


# --- Attribution ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ONE_ANSWER)
def test_integrated_gradients_add_up_to_the_whole_change(name: str) -> None:
    question, one = Question(trained(name), 1), given(TEXT)
    found = attribution.integrated_gradients(question, one.tokens)
    whole = float(question.log_odds(one.tokens[None]).detach())
    layer = embedding(question.network, one.tokens[None])
    handle = layer.register_forward_hook(lambda _m, _i, output: torch.zeros_like(output))
    nothing = float(question.log_odds(one.tokens[None]).detach())
    handle.remove()
    assert found.change == pytest.approx(whole - nothing, abs=1e-4)
    assert found.total == pytest.approx(found.change, abs=0.02 * max(1, abs(whole - nothing)))
    assert found.complete


@pytest.mark.parametrize("method", attribution.METHODS)
@pytest.mark.parametrize("name", ONE_ANSWER)
def test_the_planted_word_is_found(name: str, method: str) -> None:
    one, way = given(TEXT), attribution.METHODS[method].method
    values = way(Question(trained(name), 1), one.tokens).values
    found = one.names[max(range(len(values)), key=values.__getitem__)]
    # The slope at the text itself may point elsewhere, where a network is sure of its answer.
    assert found == "wonderful" or method == "gradient_times_input"
    against = way(Question(trained(name), 0), one.tokens).values
    assert values == pytest.approx([-value for value in against], abs=1e-4)


def test_occlusion_is_what_the_network_says_without_the_word() -> None:
    question, one = Question(trained("lstm"), 1), given("a wonderful day")
    found = attribution.occlusion(question, one.tokens).values
    for place in range(len(one.tokens)):
        rest = torch.cat([one.tokens[:place], one.tokens[place + 1 :]])
        with torch.no_grad():
            lost = question.log_odds(one.tokens[None]) - question.log_odds(rest[None])
        assert found[place] == pytest.approx(float(lost), abs=1e-5)


@pytest.mark.parametrize("name", ONE_ANSWER)
def test_a_text_of_one_word_is_explained(name: str) -> None:
    one = given("wonderful")
    for way in attribution.METHODS.values():
        (value,) = way.method(Question(trained(name), 1), one.tokens).values
        assert math.isfinite(value)


def test_the_checks_pass_a_good_method_and_fail_one_that_ignores_the_network() -> None:
    texts = [TEXT, TEXT.replace("wonderful", "dreadful")]
    asked = [(Question(trained("lstm"), 1 - n), given(t).tokens) for n, t in enumerate(texts)]
    good = wordtrust.check("occlusion", attribution.occlusion, asked)
    assert good is not None and good.finds and good.follows
    assert good.score[0] > 0.9 > good.score[1] and good.as_costly < 0.05
    fixed = torch.randn(len(asked[0][1]), generator=torch.Generator().manual_seed(3))
    fixed[5] = -9  # the word that counts is called the least important

    def stubborn(_question: Question, _tokens: Tensor) -> attribution.Attribution:
        return attribution.Attribution("stubborn", fixed.tolist())

    bad = wordtrust.check("stubborn", stubborn, asked)
    assert bad is not None and not bad.finds and not bad.follows
    assert bad.like_new_head == bad.like_new_network == pytest.approx(1)
    assert "not to be trusted" in bad.text


# --- Gates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECURRENT)
def test_the_hidden_states_are_those_of_torchs_fused_form(name: str) -> None:
    network, one = trained(name), given(TEXT)
    found = {layer.name: layer for layer in gates.layers(network, one.tokens)}
    assert len(found) == 2
    with torch.no_grad():
        x_1TD = network.embed(one.tokens[None])  # type: ignore[operator]
        for layer_name, layer in found.items():
            fused = network.get_submodule(layer_name).fused
            read = x_1TD.flip(1) if layer.backwards else x_1TD
            hidden_TH = fused(read)[0][0]
            expected = hidden_TH.flip(0) if layer.backwards else hidden_TH
            torch.testing.assert_close(layer.hidden_TH, expected, atol=1e-5, rtol=1e-4)
    assert not any(m.explicit for m in network.modules() if "explicit" in dir(m))


def test_the_gates_of_an_lstm_equal_its_equations() -> None:
    network, one = trained("lstm"), given(TEXT)
    layer = next(la for la in gates.layers(network, one.tokens) if not la.backwards)
    weights = network.get_submodule(layer.name).fused
    with torch.no_grad():
        x_TD = network.embed(one.tokens[None])[0]  # type: ignore[operator]
        h_H = c_H = torch.zeros(24)
        for t, x_D in enumerate(x_TD):
            sums = weights.weight_ih_l0 @ x_D + weights.bias_ih_l0
            sums = sums + weights.weight_hh_l0 @ h_H + weights.bias_hh_l0
            i, f, g, o = sums.chunk(4)
            c_H = f.sigmoid() * c_H + i.sigmoid() * g.tanh()
            h_H = o.sigmoid() * c_H.tanh()
            values = {"input_gate": i.sigmoid(), "forget_gate": f.sigmoid(), "candidate": g.tanh(),
                      "output_gate": o.sigmoid(), "cell": c_H, "hidden": h_H}  # fmt: skip
            assert set(values) == set(layer.parts)
            for part, value in values.items():
                torch.testing.assert_close(layer.parts[part][t], value, atol=1e-5, rtol=1e-4)


def test_the_planted_word_changes_the_hidden_state_most() -> None:
    one = given(TEXT)
    layer = gates.layers(trained("lstm"), one.tokens)[0]
    assert max(range(len(layer.changes)), key=layer.changes.__getitem__) in (5, 0)
    figure = gates.change(layer, one.names, True)
    assert [item.text for item in figure.items] == list(one.names)
    grids = gates.grids(layer, one.names)
    assert all(len(grid.values[0]) == len(one.names) for grid in grids)


# --- The vanishing gradient -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_vanishes_far_sooner_in_an_rnn_than_in_an_lstm(seed: int) -> None:
    tokens_BT = torch.randint(4, 20, (4, 101), generator=torch.Generator().manual_seed(seed))
    left = {}
    for name in ("rnn", "lstm"):
        torch.manual_seed(seed)
        network = build_network(
            NetworkKnobs(name=name, width=32, hidden=32), (101,), 20, reads="stream", vocabulary=20
        ).eval()
        found = {one.state: one for one in vanishing.faded(network, tokens_BT, stream=True)}
        assert all(len(one.left) == 100 and one.left[0] == 1 for one in found.values())
        left[name] = found["hidden"].left[-1]
    assert left["rnn"] < 1e-12 < left["lstm"] * 1e-1
    assert left["rnn"] < 1e-6 * left["lstm"]


def test_what_is_left_of_a_gradient_is_the_product_of_the_steps() -> None:
    """For a hidden state, by the definition: the chain rule written out with torch's fused form."""
    torch.manual_seed(0)
    network = build("rnn", "stream", 12, 12).eval()
    tokens_T = torch.randint(4, 12, (9,))
    (found,) = vanishing.faded(network, tokens_T, stream=True)
    fused = network.get_submodule("recurrent.layers.0.forwards").fused
    x_TD = network.embed(tokens_T[None, :-1])[0]  # type: ignore[operator]
    states = [fused(x_TD[None, : t + 1])[0][0, -1].detach().requires_grad_() for t in range(8)]
    sizes = []
    for t, state_H in enumerate(states):
        h_H = state_H
        if t < 7:
            h_H = fused(x_TD[None, t + 1 :].detach(), h_H[None, None])[0][0, -1]
        loss = nn.functional.cross_entropy(network.output(h_H), tokens_T[-1])  # type: ignore[operator]
        sizes.append(float(torch.autograd.grad(loss, state_H)[0].norm()))
    expected = [size / sizes[-1] for size in reversed(sizes)]
    assert list(found.left) == pytest.approx(expected, rel=1e-3)


# --- Attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "reads"), [("transformer", "tokens"), ("gpt", "stream")])
def test_rows_of_attention_sum_to_one_and_padding_gets_nothing(name: str, reads: str) -> None:
    network = build(name, reads, 30, 30).eval()
    tokens_BT = torch.tensor([[5, 6, 7, 8, PAD, PAD]])
    found = heads.attention(network, tokens_BT)
    assert len(found) == 2
    for one in found:
        assert one.shares_HTS.shape == (2, 6, 6)
        torch.testing.assert_close(one.shares_HTS.sum(2), torch.ones(2, 6))
        assert float(one.shares_HTS[:, :4, 4:].abs().max()) == 0
        if name == "gpt":
            assert float(one.shares_HTS.triu(1).abs().max()) == 0
        assert all(0 <= bits <= math.log2(6) + 1e-5 for bits in one.entropy)


def test_padding_changes_nothing_that_is_said() -> None:
    network, one = trained("transformer"), given(TEXT)
    longer = torch.cat([one.tokens, torch.zeros(3, dtype=torch.int64)])
    plain, padded = (heads.attention(network, tokens[None]) for tokens in (one.tokens, longer))
    for a, b in zip(plain, padded, strict=True):
        size = len(one.tokens)
        torch.testing.assert_close(a.shares_HTS, b.shares_HTS[:, :size, :size], atol=1e-5, rtol=0)
    question = Question(network, 1)
    torch.testing.assert_close(
        question.log_odds(one.tokens[None]), question.log_odds(longer[None]), atol=1e-4, rtol=0
    )


def test_a_translation_shows_where_each_written_word_looked() -> None:
    network = build("transformer", "pairs", 30, 30).eval()
    source = Given("source", torch.tensor([5, 6, 7, 3]), ["a", "b", "c", "</s>"])
    target = Given("target", torch.tensor([2, 9, 10, 11, 12]), ["w", "x", "y", "z", "</s>"])
    found = translated(network, [(source, target)], name="transformer", spaced=True)
    assert found.attention
    for one in found.attention:
        assert "across" in one.layer and one.shares_HTS.shape == (2, 5, 4)
        torch.testing.assert_close(one.shares_HTS.sum(2), torch.ones(2, 5))
    grids = [b for s in found.document.sections for b in s.blocks if isinstance(b, Grid)]
    assert grids[0].column_labels == tuple(source.names) and grids[0].row_labels == tuple(
        target.names
    )
    assert found.text and page(found.document)


# --- What was expected ----------------------------------------------------------------------------


@cache
def model(name: str) -> nn.Module:
    """A language model of the alphabet, over and over."""
    network = build(name, "stream", 30, 30, 12).train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(80):
        first_B1 = torch.randint(26, (16, 1), generator=generator)
        tokens_BT = (first_B1 + torch.arange(13)) % 26 + 4
        logits = network(tokens_BT[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens_BT[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def letters() -> Vocabulary:
    return learn(["abcdefghijklmnopqrstuvwxyz"], "characters")


def spelled(text: str) -> Given:
    tokens_T = torch.from_numpy(letters().encode([text])[0]).long()
    return Given(text, tokens_T, names(letters(), tokens_T.tolist(), text))


@pytest.mark.parametrize("name", ["lstm", "gpt"])
def test_probabilities_ranks_and_bits_are_those_of_the_network(name: str) -> None:
    network, one = model(name), spelled("abcdxfg")
    logits_TV = nexttoken.logits(network, one.tokens, None)
    found = nexttoken.expected(logits_TV, one.tokens, one.names, letters().token)
    shares_TV = network(one.tokens[None])[0].detach().softmax(1)
    assert found[0].probability is None and len(found) == 7
    for t in range(1, 7):
        share = float(shares_TV[t - 1, one.tokens[t]])
        assert found[t].probability == pytest.approx(share, rel=1e-3, abs=1e-9)
        assert found[t].bits == pytest.approx(-math.log2(share), abs=1e-2)
        everything = nexttoken.after(logits_TV[:t], letters().token, 30)
        assert sum(p for _, p in everything) == pytest.approx(1)
    assert found[4].rank and found[4].rank > 1 and found[4].instead[0][0] == "e"
    assert found[3].rank == 1
    assert max(found[1:], key=lambda e: e.bits or 0).token in "xf"


def test_a_text_longer_than_the_context_is_read_in_stretches() -> None:
    network, one = model("gpt"), spelled("abcdefghijklmnopqrstuvwxyzabcd")
    logits_TV = nexttoken.logits(network, one.tokens, 12)
    assert len(logits_TV) == 30
    assert (logits_TV[:-1].argmax(1) == one.tokens[1:]).float().mean() > 0.9
    torch.testing.assert_close(logits_TV[:12], network(one.tokens[None, :12])[0])
    torch.testing.assert_close(logits_TV[-1], network(one.tokens[None, -12:])[0, -1])


@pytest.mark.parametrize("name", ["lstm", "gpt"])
def test_a_language_model_is_explained_as_a_whole(name: str) -> None:
    found = continued(
        model(name), [spelled("defghij")], letters().token, name=name, spaced=False, context=None
    )
    one = found.texts[0]
    assert one.answer == one.about == "k" and one.probabilities["k"] > 0.5
    ig = next(e for e in one.evidence if e.method == "integrated_gradients")
    assert ig.complete
    assert bool(found.memory) == (name == "lstm") and bool(found.attention) == (name == "gpt")
    assert {s.title for s in found.document.sections} > {"What it expected"}
    whole = page(found.document)
    assert from_json(found.document.to_json()) == found.document and len(whole) > 1000
    assert "surprise" in found.text


# --- The whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ONE_ANSWER)
def test_a_classifier_is_explained_as_a_whole(name: str) -> None:
    found = explained(name, TEXT, TEXT.replace("wonderful", "dreadful"))
    first, second = found.texts
    assert (first.answer, second.answer) == ("good", "bad")
    assert sum(first.probabilities.values()) == pytest.approx(1)
    assert len(found.checks) == 3
    assert all(one.as_costly < 0.1 for one in found.checks if one.method != "gradient_times_input")
    assert bool(found.memory) == bool(found.faded) == (name in RECURRENT)
    assert bool(found.attention) == (name == "transformer")
    assert found.to_json()["texts"][0]["evidence"][0]["complete"] is True
    assert all(len(line) <= 100 for line in found.text.splitlines())
    assert "wonderful" in found.text and page(found.document)


def explained(name: str, *texts: str, **options: Any) -> Reading:
    return classified(
        trained(name), [given(text) for text in texts], CLASSES, name=name, spaced=True, **options
    )


def test_looking_changes_nothing() -> None:
    network = trained("lstm")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    explained("lstm", TEXT)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None or not p.grad.isnan().any() for p in network.parameters())
    assert not network.training
    with explicitly(network):
        pass
    assert not any(getattr(module, "explicit", False) for module in network.modules())


MISTAKES: list[tuple[Callable[[], Any], str]] = [
    (lambda: explained("lstm", "   "), "has no token"),
    (lambda: explained("lstm"), "no text to explain"),
    (lambda: explained("lstm", TEXT, about="goood"), "--class goood.*Did you mean 'good'"),
    (lambda: explained("lstm", TEXT, methods=["gradcam"]), "--method gradcam.*integrated_gr"),
    (lambda: explained("textcnn", TEXT, layer="encoder.0"), "no gates and no attention"),
    (lambda: explained("transformer", TEXT, layer="encoder.7"), "Layers: encoder.0.within"),
    (lambda: heads.attention(trained("lstm"), given(TEXT).tokens[None]), "no attention that"),
    (lambda: gates.layers(trained("transformer"), given(TEXT).tokens), "no recurrent layer"),
]


@pytest.mark.parametrize(("act", "words_of_it"), MISTAKES)
def test_what_cannot_be_explained_is_said(act: Callable[[], Any], words_of_it: str) -> None:
    with pytest.raises(UserError, match=words_of_it):
        act()


# --- Names and figures ----------------------------------------------------------------------------


def test_unknown_words_are_shown_as_they_were_written() -> None:
    one = given("the extraordinary film, was wonderful")
    assert list(one.names) == ["the", "extraordinary", "film", ",", "was", "wonderful"]
    assert int(one.tokens[1]) == words().unknown == int(one.tokens[3])


def test_sub_words_are_shown_in_letters_and_not_in_signs_for_bytes() -> None:
    vocabulary = learn(["größere Häuser und größere Gärten"] * 3, "subwords", size=300)
    tokens = vocabulary.encode(["größere Gärten"])[0].tolist()
    shown = names(vocabulary, tokens)
    assert "".join(shown) == "größere Gärten"


def test_a_strip_fits_a_terminal_and_keeps_every_token() -> None:
    items = [Token(word, 0.1 * n - 1) for n, word in enumerate(FILLER * 4)]
    told = strip(Tokens("t", items))
    assert max(map(len, told.splitlines())) <= 98
    assert [w for line in told.splitlines()[::2] for w in line.split()] == FILLER * 4
    assert "−1.0" in told and "+0.5" in told
    assert "tokens more" in strip(Tokens("t", items), most=10)


def test_recording_leaves_no_hooks_behind() -> None:
    network = trained("lstm")
    recorded(network, lambda: network(given(TEXT).tokens[None]))
    assert not any(module._forward_hooks for module in network.modules())


# --- From a run -----------------------------------------------------------------------------------


class Run:
    """What ``explain.asked`` needs of a run, without training one on disk."""

    def __init__(self, network: nn.Module, facts: Any, answer: Callable[[str], str]) -> None:
        self.network, self.facts, self.answer = network, facts, answer
        self.run = SimpleNamespace(path="runs/toy", folds=list)
        self.recipe = SimpleNamespace(network=SimpleNamespace(name="toy"))

    def predict(self, raw: list[str]) -> list[Any]:
        with torch.inference_mode():
            for text in raw:
                tokens_BT = torch.from_numpy(self.facts.vocabulary.encode([text])[0]).long()[None]
                if tokens_BT.numel():
                    self.network(torch.nn.functional.pad(tokens_BT, (0, 2)))
        return [SimpleNamespace(answer=self.answer(text), details={}) for text in raw]


def classifier() -> Any:
    facts = SimpleNamespace(vocabulary=words(), classes=CLASSES)
    return Run(trained("lstm"), facts, lambda text: "good" if "wonderful" in text else "bad")


def test_a_run_explains_a_typed_text_and_those_of_a_file(tmp_path: Path) -> None:
    found = asked.texts(classifier(), TEXT)
    assert found.run == "runs/toy" and list(found.texts[0].tokens) == TEXT.split()
    file = tmp_path / "texts.txt"
    file.write_text(f"{TEXT}\n\na dreadful day came\n", "utf-8")
    assert [one.answer for one in asked.texts(classifier(), str(file)).texts] == ["good", "bad"]


def test_a_run_of_a_language_model_explains_the_next_token() -> None:
    facts = SimpleNamespace(vocabulary=letters())
    run: Any = Run(model("gpt"), facts, str)
    found = asked.texts(run, "abcdefghijklmnopqrst", about="v").texts[0]
    assert found.answer == "u" and found.about == "v" and len(found.expected) == 20
    with pytest.raises(UserError, match="expected one token of the vocabulary.*found 2: 'x', 'y'"):
        asked.texts(run, "abc", about="xy")
    with pytest.raises(UserError, match="it is unknown"):
        asked.texts(run, "abc", about="Ω")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("", "is empty; expected"),
        ("  \n", "is empty; expected"),
        ([TEXT, ""], "is empty; expected"),
        ("missing.txt", "There is no file"),
        (3, "Expected a text, a list of texts"),
        ([], "no text to explain"),
    ],
)
def test_raw_inputs_that_are_no_texts_are_said(raw: Any, said: str, in_tmp: Path) -> None:
    with pytest.raises(UserError, match=said):
        asked.texts(classifier(), raw)


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes("größer".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.txt cannot be read as UTF-8 text"):
        asked.texts(classifier(), file)


# --- The demonstration ----------------------------------------------------------------------------


def test_gradients_are_compared_without_a_run(cli: Any, in_tmp: Path) -> None:
    code, out, err = cli("gradients", "--length", "40", "--steps", "0", "--seeds", "2")
    assert code == 0, err
    assert "lstm" in out and (in_tmp / "gradients.html").is_file()
    found = fading.compare(("rnn", "lstm"), length=40, steps=0, seeds=1)
    left = {one.network: one.first[0].left[-1] for one in found.measured}
    assert left["rnn"] < 1e-2 * left["lstm"]


def test_a_short_training_opens_the_way_through_the_cell() -> None:
    found = fading.compare(("lstm",), length=12, steps=150, seeds=1)
    (one,) = found.measured
    assert one.right[12] > 0.9
    assert one.trained[-1].state == "cell" and one.trained[-1].left[-1] > 0.2
    assert one.trained[-1].left[-1] > one.first[-1].left[-1]
    assert page(found.document) and found.to_json()["measured"][0]["right"]


@pytest.mark.parametrize(
    ("words_of_it", "said"),
    [
        (("--length", "1"), "--length 1: expected a whole number from 2"),
        (("--networks", "convnet"), "expected recurrent networks"),
        (("--networks", "gpt"), "expected recurrent networks"),
        (("--networks", "lstn"), "lstn"),
    ],
)
def test_what_cannot_be_compared_is_said(cli: Any, words_of_it: Any, said: str) -> None:
    code, _, err = cli("gradients", "--steps", "0", *words_of_it)
    assert code == 2 and said in err and "Traceback" not in err
