"""Published weights for texts: they answer as where they were published, and learn on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hub_server import Hub, serving
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from word_models import (
    ENCODERS,
    LABELS,
    ODD,
    TEXTS,
    save_encoder,
    save_gpt2,
    tokenizer_for,
    with_transformers,
    word_pieces,
    write_csv,
)

import glassnet
from glassnet import blocks, transfer
from glassnet.data import tokenizerfiles
from glassnet.data.ragged import gathered, joined
from glassnet.data.tokens import Vocabulary, learn
from glassnet.errors import UserError
from glassnet.network import build_network, resolved
from glassnet.recipe import Fit, NetworkKnobs, Transfer, merge
from glassnet.words import wording, wordweights

Cli = Callable[..., tuple[int, str, str]]
CLASSES = ["bad", "good"]
LONGEST = 38


def batch_of(vocabulary: Vocabulary, texts: list[str], longest: int = LONGEST) -> Tensor:
    """Texts as a network is fed them."""
    found = [vocabulary.framed(tokens, longest) for tokens in vocabulary.encode(texts)]
    tokens, starts = joined(found)
    return gathered(tokens, starts, torch.arange(len(texts)), vocabulary.pad)


def recipe_of(folder: Path | str, reads: str = "tokens", **values: Any) -> Any:
    """What a task's recipe has of it, with what the weights imply."""
    given = {"weights": str(folder), **values}
    known = merge(wording.implied(given, reads), given)
    network = known["network"]
    knobs = NetworkKnobs(**({"name": network} if isinstance(network, str) else network))
    given_transfer = Transfer(**known.get("transfer", {}))
    return SimpleNamespace(weights=str(folder), network=resolved(knobs), transfer=given_transfer,
                           fit=Fit(epochs=2), longest=known.get("longest"))  # fmt: skip


def data_of(vocabulary: Vocabulary, classes: list[str] | None = None) -> Any:
    """What a training would receive, as far as first weights look at it."""
    facts = SimpleNamespace(vocabulary=vocabulary, classes=classes)
    tokens = torch.tensor(vocabulary.encode([TEXTS[0]])[0])
    return SimpleNamespace(facts=facts, pool=SimpleNamespace(tokens=tokens))


def begun(
    folder: Path | str, classes: list[str] = CLASSES, **values: Any
) -> tuple[nn.Module, Vocabulary, list[str]]:
    """A classifier that begins with these weights, ready to answer; and what was told."""
    recipe = recipe_of(folder, **values)
    vocabulary = tokenizerfiles.read(wording.folder(recipe) or Path())
    network = build_network(recipe.network, (LONGEST,), len(classes), reads="tokens",
                            vocabulary=len(vocabulary))  # fmt: skip
    told = wording.start(recipe, network, data_of(vocabulary, classes), "tokens")
    return network.eval(), vocabulary, told


# --- Tokenizers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize("form", ["tokenizer.json", "lists"])
def test_a_published_tokenizer_gives_the_tokens_that_transformers_gives(
    tmp_path: Path, kind: str, form: str
) -> None:
    from transformers import BertTokenizer, GPT2Tokenizer, RobertaTokenizer

    tokenizer_for(kind, tmp_path, form)
    vocabulary = tokenizerfiles.read(tmp_path)
    kinds = {"bert": BertTokenizer, "roberta": RobertaTokenizer, "gpt2": GPT2Tokenizer}
    theirs = kinds[kind].from_pretrained(tmp_path, local_files_only=True)
    for text, tokens in zip([*TEXTS, *ODD], vocabulary.encode([*TEXTS, *ODD]), strict=True):
        assert tokens.tolist() == theirs(text, add_special_tokens=False)["input_ids"], text
        framed = vocabulary.framed(tokens, 12).tolist()
        assert framed == theirs(text, truncation=True, max_length=12)["input_ids"], text
    assert len(vocabulary) == max(theirs.get_vocab().values()) + 1
    if kind != "gpt2":
        assert vocabulary.pad == theirs.pad_token_id
    assert Vocabulary.model_validate_json(vocabulary.model_dump_json()) == vocabulary
    if kind != "bert":  # byte pairs come back as they were
        assert vocabulary.decode(vocabulary.encode([ODD[2]])[0].tolist()) == ODD[2]


def test_a_list_of_words_in_capitals_keeps_them_though_nobody_says_so(tmp_path: Path) -> None:
    word_pieces(tmp_path, "vocab.txt")
    assert len(tokenizerfiles.read(tmp_path).encode(["FILM"])[0]) == 1
    with (tmp_path / "vocab.txt").open("a") as file:
        file.write("Film\n")
    vocabulary = tokenizerfiles.read(tmp_path)
    assert vocabulary.encode(["FILM"])[0].tolist() == [vocabulary.unknown]


def test_a_folder_without_tokenizer_or_with_a_damaged_one_is_told(tmp_path: Path) -> None:
    save_encoder(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", ')
    with pytest.raises(UserError, match=r"tokenizer\.json is damaged.*Fetch it again"):
        tokenizerfiles.read(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"holds no tokenizer.*expected one of tokenizer\.json"):
        tokenizerfiles.read(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\nfilm\n")
    with pytest.raises(UserError, match=r"vocab\.txt lacks the (unk|cls) token"):
        tokenizerfiles.read(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "spiece.model").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"is a model of sentencepiece.*pip install"):
        tokenizerfiles.read(tmp_path)


# --- Encoders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_a_published_classifier_answers_as_transformers_does(tmp_path: Path, kind: str) -> None:
    names = {"id2label": dict(enumerate(CLASSES)), "label2id": {"bad": 0, "good": 1}}
    theirs = save_encoder(tmp_path, kind, "AutoModelForSequenceClassification", **names)
    own, vocabulary, told = begun(tmp_path)
    texts = [*TEXTS[::5], *ODD]
    with torch.no_grad():
        answers = own(batch_of(vocabulary, texts))
        expected = theirs(**with_transformers(tmp_path, texts, LONGEST)).logits
    torch.testing.assert_close(answers, expected, rtol=1e-4, atol=1e-4)
    assert "all (bad, good) are known by name" in told[0]


@pytest.mark.parametrize("kind", list(ENCODERS))
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_an_encoder_reads_a_text_as_transformers_does(
    tmp_path: Path, kind: str, pooling: str
) -> None:
    from transformers import AutoModel

    save_encoder(tmp_path, kind)
    theirs = AutoModel.from_pretrained(tmp_path).eval()
    own, vocabulary, told = begun(tmp_path, network={"pooling": pooling})
    texts = [*TEXTS[::5], *ODD]
    read = with_transformers(tmp_path, texts, LONGEST)
    with torch.no_grad():
        answers = own(batch_of(vocabulary, texts))
        features = theirs(**read).last_hidden_state
        mask = read["attention_mask"][:, :, None]
        mean = (features * mask).sum(1) / mask.sum(1)
        expected = own.head(mean if pooling == "mean" else features[:, 0])  # type: ignore[operator]
    torch.testing.assert_close(answers, expected, rtol=1e-4, atol=1e-4)
    assert "new: head.weight, head.bias" in told[0]


def test_padding_changes_no_answer_and_an_empty_text_has_one(tmp_path: Path) -> None:
    save_encoder(tmp_path, "roberta")
    own, vocabulary, _ = begun(tmp_path)
    together = batch_of(vocabulary, [*TEXTS[:3], *ODD])
    with torch.no_grad():
        answers = own(together)
        for text, answer in zip([*TEXTS[:3], *ODD], answers, strict=True):
            alone = own(batch_of(vocabulary, [text]))[0]
            torch.testing.assert_close(alone, answer, rtol=1e-4, atol=1e-5)
        nothing = torch.full((1, 4), vocabulary.pad)
        assert own(nothing).isfinite().all()


def test_a_network_that_takes_padding_for_text_is_refused() -> None:
    config = {"model_type": "fnet", "hidden_size": 16, "num_hidden_layers": 1,
              "intermediate_size": 16}  # fmt: skip
    with pytest.raises(UserError, match=r"fnet takes the padding .* for text"):
        build_network(NetworkKnobs(name="encoder", config=config), (8,), 2, reads="tokens",
                      vocabulary=20)  # fmt: skip


def test_an_encoder_learns_from_scratch_what_speaks_for_a_class() -> None:
    vocabulary = learn(TEXTS, "words", lowercase=True)
    torch.manual_seed(0)
    own = build_network(resolved(NetworkKnobs(name="encoder")), (20,), 2, reads="tokens",
                        vocabulary=len(vocabulary))  # fmt: skip
    assert fitted(own, vocabulary, steps=30) == 1.0


def fitted(own: nn.Module, vocabulary: Vocabulary, steps: int, lr: float = 3e-3) -> float:
    """Train on the few texts; the share of them that is answered right."""
    inputs = batch_of(vocabulary, TEXTS, 20)
    targets = torch.tensor([CLASSES.index(label) for label in LABELS])
    rule = torch.optim.Adam(own.parameters(), lr)
    own.train()
    for _ in range(steps):
        rule.zero_grad()
        nn.functional.cross_entropy(own(inputs), targets).backward()
        rule.step()
    with torch.no_grad():
        return float((own.eval()(inputs).argmax(1) == targets).float().mean())


def test_all_layers_of_an_encoder_are_blocks_the_new_head_is_the_last(tmp_path: Path) -> None:
    save_encoder(tmp_path, "distilbert")
    own, _, _ = begun(tmp_path)
    names = [block.name for block in blocks.blocks(own)]
    assert names == ["model.embeddings", "model.transformer.layer.0", "model.transformer.layer.1",
                     "head"]  # fmt: skip
    recipe = recipe_of(tmp_path, transfer={"freeze": "all"})
    table = wording.layers(recipe, own)
    assert table is not None and [row[3] for row in table.rows] == ["never"] * 3 + ["1"]
    follow = wording.following(recipe, own)
    assert follow is not None
    follow(5).set(0)
    assert [n for n, w in own.named_parameters() if w.requires_grad] == ["head.weight", "head.bias"]


def test_weights_of_another_network_name_the_layers(tmp_path: Path) -> None:
    save_encoder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(UserError, match=r"model\.encoder\.layer\.2\S*: expected .*, found none"):
        begun(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 24}))
    with pytest.raises(UserError, match=r"expected 24 x 16, found 32 x 16"):
        begun(tmp_path)
    with pytest.raises(UserError, match="do not fit the network"):
        begun(tmp_path, network={"name": "lstm"})


def test_a_vocabulary_larger_than_the_embedding_is_refused(tmp_path: Path) -> None:
    save_encoder(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {f"new{n}": len(content["model"]["vocab"]) + n for n in range(5)}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"vocab_size \d+, and the vocabulary has \d+ tokens"):
        begun(tmp_path)


def test_a_decoder_cannot_classify_and_an_encoder_cannot_continue(tmp_path: Path) -> None:
    save_gpt2(tmp_path / "gpt2")
    with pytest.raises(UserError, match=r"gpt2 is a decoder, made to write texts.*distilbert"):
        recipe_of(tmp_path / "gpt2")
    save_encoder(tmp_path / "bert")
    with pytest.raises(UserError, match=r"an encoder: .* cannot continue one.*gpt2"):
        recipe_of(tmp_path / "bert", "stream")


def test_how_long_a_text_may_be_comes_from_the_configuration(tmp_path: Path) -> None:
    save_encoder(tmp_path / "bert")
    assert recipe_of(tmp_path / "bert").longest == 40
    save_encoder(tmp_path / "roberta", "roberta")  # it counts from behind the padding's number
    recipe = recipe_of(tmp_path / "roberta")
    assert recipe.longest == 40
    with pytest.raises(UserError, match=r"reads 40 tokens at most.*may have 41"):
        build_network(recipe.network, (41,), 2, reads="tokens", vocabulary=50)


def test_weights_in_parts_and_as_a_pickle_are_read_and_harmful_ones_refused(tmp_path: Path) -> None:
    theirs = save_encoder(tmp_path, auto="AutoModel")
    first = begun(tmp_path)[0].state_dict()
    (tmp_path / "model.safetensors").unlink()
    theirs.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    again = begun(tmp_path)[0].state_dict()
    for path in tmp_path.glob("model*"):
        path.unlink()
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    pickled = begun(tmp_path)[0].state_dict()
    for name, tensor in first.items():
        if not name.startswith("head"):
            assert tensor.equal(again[name]) and tensor.equal(pickled[name])
    torch.save(nn.Linear(2, 2), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"asks for torch\.nn\.modules\.linear\.Linear"):
        begun(tmp_path)


# --- GPT-2 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("old", [False, True])
def test_gpt2_says_what_comes_next_as_transformers_does(
    tmp_path: Path, heads: int, old: bool
) -> None:
    theirs = save_gpt2(tmp_path, heads=heads)
    if old:  # as openai-community/gpt2 is written: no prefix, and masks among the weights
        path = tmp_path / "model.safetensors"
        state = {n.removeprefix("transformer."): t for n, t in load_file(path).items()}
        masks = {f"h.{n}.attn.bias": torch.ones(1, 1, 32, 32) for n in range(2)}
        save_file({**state, **masks}, path)
    own, vocabulary = wording.published(str(tmp_path), tokenizerfiles.read)
    tokens = torch.tensor(vocabulary.encode([TEXTS[3]])[0][None, :20].astype("int64"))
    with torch.no_grad():
        expected = theirs(input_ids=tokens).logits
        torch.testing.assert_close(own(tokens), expected, rtol=1e-4, atol=1e-4)
        first, state = own.follow(tokens[:, :7], None)  # type: ignore[operator]
        rest, _ = own.follow(tokens[:, 7:], state)  # type: ignore[operator]
    torch.testing.assert_close(torch.cat([first, rest], 1), expected, rtol=1e-4, atol=1e-4)
    greedy = theirs.generate(tokens[:, :5], max_new_tokens=8, do_sample=False, pad_token_id=0)
    assert written(own, tokens[:, :5], 8).equal(greedy)


def written(own: Any, tokens: Tensor, number: int) -> Tensor:
    """The most probable continuation."""
    with torch.no_grad():
        for _ in range(number):
            tokens = torch.cat([tokens, own(tokens)[:, -1:].argmax(-1)], 1)
    return tokens


def test_a_gpt2_learns_on_with_its_own_vocabulary(tmp_path: Path) -> None:
    save_gpt2(tmp_path, spare=3)
    recipe = recipe_of(tmp_path, "stream")
    assert recipe.network.name == "gpt"
    wanted = {"num_layers": 2, "num_heads": 2, "width": 16, "context": 32, "dropout": 0.1,
              "activation": "gelu_tanh"}  # fmt: skip
    assert wanted.items() <= recipe.network.options.items()
    assert recipe.transfer.head_alone == 0
    vocabulary = tokenizerfiles.read(tmp_path)
    own = build_network(recipe.network, (16,), len(vocabulary), reads="stream",
                        vocabulary=len(vocabulary))  # fmt: skip
    told = wording.start(recipe, own, data_of(vocabulary), "stream")
    assert "rows of tokens that their tokenizer never gives are left out" in told[0]
    follow = wording.following(recipe, own)
    assert follow is not None
    follow(10).set(0)
    assert all(weight.requires_grad for weight in own.parameters())
    assert transfer.table(recipe.transfer, recipe.fit, own).rows[0][0] == "embedding"


def test_a_gpt2_that_computes_otherwise_or_has_too_few_rows_is_refused(tmp_path: Path) -> None:
    save_gpt2(tmp_path / "relu", activation_function="relu")
    with pytest.raises(UserError, match=r"kind gpt2, or computes it in a way of its own"):
        recipe_of(tmp_path / "relu", "stream")
    save_gpt2(tmp_path / "few", spare=-4)
    recipe = recipe_of(tmp_path / "few", "stream")
    vocabulary = tokenizerfiles.read(tmp_path / "few")
    own = build_network(recipe.network, (16,), len(vocabulary), reads="stream",
                        vocabulary=len(vocabulary))  # fmt: skip
    sizes = rf"embedding\.tokens\.weight: expected {len(vocabulary)} x 16, found "
    with pytest.raises(UserError, match=sizes):
        wording.start(recipe, own, data_of(vocabulary), "stream")


# --- The Hub, and whole runs ----------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub on this machine, with an empty cache."""
    from huggingface_hub import constants

    with serving() as served:
        template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield served


def publish(hub: Hub, name: str, folder: Path) -> None:
    """Put a folder on the Hub, and away from here."""
    hub.repositories[name] = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)


def novel(path: Path) -> Path:
    """A running text."""
    path.write_text("\n\n".join(f"Day {n}. {text}\nSo it was." for n, text in enumerate(TEXTS * 9)))
    return path


QUICK = ("--fit.threads", "1", "--doctor", "skip")
LEARN = ("--fit.epochs", "12", "--fit.lr", "0.01", "--transfer.head_alone", "0",
         "--transfer.layer_decay", "1", *QUICK)  # fmt: skip


def test_an_encoder_of_the_hub_learns_and_then_answers_without_the_hub(
    cli: Cli, hub: Hub, tmp_path: Path
) -> None:
    save_encoder(tmp_path / "made", "distilbert")
    publish(hub, "distilbert/distilbert-base-uncased", tmp_path / "made")
    table = write_csv(tmp_path / "reviews.csv", TEXTS * 6, LABELS * 6)
    words = ("finetune", "distilbert-base-uncased", table, "--target", "label", *LEARN)
    code, _, err = cli(*words, "--name", "a")
    assert code == 0, err
    assert "new: head.weight, head.bias" in err
    run = glassnet.load("runs/a")
    commit = hub.commit("distilbert/distilbert-base-uncased")
    assert run.recipe.weights == f"distilbert/distilbert-base-uncased@{commit}"
    assert run.metrics["accuracy"].value > 0.9
    asked = [*TEXTS[:4], "film", "The film was great, great and lovely"]
    here = [prediction.details for prediction in run.predict(asked)]
    shutil.rmtree(tmp_path / "cache")
    program = (
        "import glassnet, json, sys; run = glassnet.load('runs/a'); "
        "print(json.dumps([p.details for p in run.predict(json.load(sys.stdin))]))"
    )
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "nothing"), "OMP_NUM_THREADS": "1"}
    there = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(asked), text=True,
        capture_output=True, env={**os.environ, **offline}, check=False,
    )  # fmt: skip
    assert there.returncode == 0, there.stderr
    for one, other in zip(here, json.loads(there.stdout), strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


def test_a_hub_out_of_reach_and_a_repository_without_tokenizer_are_told(
    cli: Cli, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    save_encoder(tmp_path / "made")
    table = write_csv(tmp_path / "reviews.csv")
    (tmp_path / "made" / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    publish(hub, "me/bert", tmp_path / "made")
    code, _, err = cli("finetune", "me/bert", table, "--target", "label", *LEARN)
    assert code == 2 and "holds no tokenizer" in err
    # Other programs keep weights alone in the cache: what is missing beside them is fetched.
    commit = hub.commit("me/bert")
    hub.repositories["me/bert"]["tokenizer.json"] = (tmp_path / "tokenizer.json").read_bytes()
    monkeypatch.setattr(Hub, "commit", lambda *_: commit)
    assert (wordweights.folder(f"me/bert@{commit}") / "tokenizer.json").is_file()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    code, _, err = cli("finetune", "roberta-base", table, "--target", "label")
    assert code == 2 and "FacebookAI/roberta-base" in err and "cannot be reached" in err


def test_a_run_of_texts_gives_its_vocabulary_and_what_it_knows(cli: Cli, tmp_path: Path) -> None:
    table, text = write_csv(tmp_path / "a.csv", TEXTS * 6, LABELS * 6), novel(tmp_path / "n.txt")
    once = ("--fit.epochs", "1", *QUICK)
    small = ("--network", "lstm", "--network.width", "8", "--network.hidden", "8")
    assert cli("train", table, "--target", "label", *small, *once, "--name", "c")[0] == 0
    assert cli("train", text, *small, *once, "--name", "l")[0] == 0
    known = {name: glassnet.load(f"runs/{name}").facts.vocabulary for name in ("c", "l")}
    for origin, data, told in [
        ("c", table, "all (bad, good) are known by name, so the head is kept"),
        ("l", table, "new: output.weight, output.bias"),
        ("c", text, "they answer classes, so the head begins anew"),
        ("l", text, "7 tensors of"),
    ]:
        words = ("--target", "label") if data == table else ()
        code, _, err = cli("finetune", f"runs/{origin}", data, *words, *once, "--name", "n")
        assert code == 0, err
        assert told in err
        assert glassnet.load("runs/n").facts.vocabulary == known[origin]
        shutil.rmtree("runs/n")
    code, _, err = cli("finetune", "runs/c", table, "--target", "label", "--units", "characters")
    assert code == 2 and "units=characters contradicts weights=" in err
    code, _, err = cli("train", table, "--target", "label", "--transfer.freeze", "all")
    assert code == 2 and "transfer.freeze=all contradicts weights" in err


def test_texts_that_the_vocabulary_does_not_know_are_told(cli: Cli, tmp_path: Path) -> None:
    save_encoder(tmp_path / "bert")
    other = [text.replace("film", "映画").replace("story", "物語") for text in TEXTS]
    table = write_csv(tmp_path / "films.csv", other * 3, LABELS * 3)
    code, _, err = cli("finetune", tmp_path / "bert", table, "--target", "label", "--fit.epochs",
                       "1", *QUICK)  # fmt: skip
    assert code == 0 and "does not know" in err, err


def test_a_gpt2_learns_on_and_writes_and_writes_without_learning(cli: Cli, tmp_path: Path) -> None:
    save_gpt2(tmp_path / "gpt2")
    text = novel(tmp_path / "novel.txt")
    code, _, err = cli("finetune", tmp_path / "gpt2", text, "--context", "16", "--fit.lr", "0.01",
                       "--fit.epochs", "2", *QUICK, "--name", "g")  # fmt: skip
    assert code == 0, err
    assert "28 tensors" in err
    run = glassnet.load("runs/g")
    assert run.recipe.network.options["context"] == 32
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["epoch_loss"] for row in rows if "epoch_loss" in row]
    assert losses[-1] < losses[0] - 0.3
    assert "".join(run.generate("The film", tokens=5))
    code, out, err = cli("generate", tmp_path / "gpt2", "The film", "--tokens", "6")
    assert code == 0 and out.startswith("The film") and len(out) > len("The film\n"), err
    save_encoder(tmp_path / "bert")
    code, _, err = cli("generate", tmp_path / "bert", "The film")
    assert code == 2 and "cannot continue" in err
    code, _, err = cli("generate", "runs/typo", "The film")
    assert code == 2 and "runs/typo" in err


def test_names_without_an_owner_are_those_that_everybody_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert wordweights._with_owner("gpt2") == "openai-community/gpt2"
    assert wordweights._with_owner("bert-base-cased@v1") == "google-bert/bert-base-cased@v1"
    assert wordweights._with_owner("me/gpt2") == "me/gpt2"
    (tmp_path / "gpt2").mkdir()
    assert wordweights._with_owner("gpt2") == "gpt2"
