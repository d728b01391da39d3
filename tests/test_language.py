"""Running text: its parts, blocks and cache; what is learned of it; and writing."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import assert_same_end, go_on, new_run, play

from glassnet import api, catalog, inspection, loop
from glassnet.data import corpus, counting, documents, prompts, running, shelf, sources, tokencache
from glassnet.data.stretches import NOT_COUNTED, as_streams
from glassnet.errors import UserError
from glassnet.network import build_network
from glassnet.recipe import NetworkKnobs, Split
from glassnet.splits import divide
from glassnet.words import language, sampling
from glassnet.words.sampling import Sampling, continued, probabilities

pytestmark = pytest.mark.usefixtures("in_tmp")

PROSE = "".join(f"Line {n} of the tale: {'la ' * (n % 7)}\n\n" for n in range(400))
NAMES = "".join(f"name{n}\n" for n in range(300))


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def opened(path: Path, **knobs: Any) -> tuple[corpus.Corpus, Any]:
    source = corpus.open_corpus(path, **{"context": 16, **knobs})
    return source, divide(source, Split(test=0.1, validation=0.1))


def text_of(examples: Any, facts: Any) -> str:
    """All that is to be predicted, in order."""
    targets = torch.cat(
        [examples.batch(torch.tensor([n])).targets[0] for n in range(len(examples))]
    )
    return str(facts.vocabulary.decode(targets[targets != NOT_COUNTED].tolist()))


# --- The source -----------------------------------------------------------------------------------


def test_one_text_is_cut_in_order_by_the_shares() -> None:
    source, data = opened(write(Path("a.txt"), PROSE))
    assert source.parts == sorted(source.parts, key=["train", "validation", "test"].index)
    cuts = [int(len(PROSE) * 0.9 * 0.9), int(len(PROSE) * 0.9)]
    pieces = PROSE[: cuts[0]], PROSE[cuts[0] : cuts[1]], PROSE[cuts[1] :]
    for rows, piece in zip(vars(data.splits).values(), pieces, strict=True):
        # The first character of a part has nothing before it to be predicted from.
        assert text_of(source.examples(rows, data.facts), data.facts) == piece[1:]


def test_a_cut_never_divides_a_character() -> None:
    source, data = opened(write(Path("a.txt"), "äöü€𝄞\n" * 500), lines="file")
    texts = [t for piece in source._read(np.arange(len(source)), "") for t in piece]
    assert "".join(texts) == "äöü€𝄞\n" * 500
    assert data.facts.vocabulary.model == "".join(sorted("äöü€𝄞\n"))


def test_many_documents_are_drawn_at_random_and_stay_whole() -> None:
    source, data = opened(write(Path("names.txt"), NAMES))
    assert source.lines == "line" and len(source) == 300
    assert source.parts != sorted(source.parts)
    assert 25 <= source.parts.count("test") <= 35
    train = text_of(source.examples(data.splits.train, data.facts), data.facts)
    lines = NAMES.splitlines()
    assert train == "".join(lines[row] for row in data.splits.train.tolist())
    other = corpus.open_corpus(Path("names.txt"), context=16, seed=1)
    assert other.parts != source.parts


@pytest.mark.parametrize("seed", range(30))
def test_every_part_has_documents_of_its_own_however_unequal_they_are(seed: int) -> None:
    for number in range(12):
        size = 400 if number == 3 else 3  # one of them is most of the text
        write(Path(f"books/{number}.txt"), f"Book {number}. \n" + "It rains, it pours. \n" * size)
    source = corpus.open_corpus(Path("books"), context=16, seed=seed)
    splits = divide(source, Split(test=0.1, validation=0.1)).splits
    books = [{source.where.file[row] for row in rows.tolist()} for rows in vars(splits).values()]
    assert all(books)
    assert sum(map(len, books)) == len(set.union(*books)) == 12


@pytest.mark.usefixtures("small_pieces")
def test_files_of_equal_size_are_not_taken_for_each_other_in_the_cache() -> None:
    for number, letters in enumerate(("abcd", "efgh")):
        write(Path(f"two/{number}.txt"), "".join(f"{letters} \n" for _ in range(600)))
    source = corpus.open_corpus(Path("two"), context=16, cache="disk")
    rows = [np.flatnonzero(source.where.file == number) for number in (0, 1)]
    facts = source.facts(torch.arange(len(source)))
    told = [text_of(source.examples(torch.from_numpy(part), facts), facts) for part in rows]
    assert "abcd" in told[0] and "efgh" in told[1] and "abcd" not in told[1]


def test_a_folder_of_programs_has_a_document_in_each_file() -> None:
    for number in range(12):
        write(Path("code") / f"m{number}" / "a.py", f"def f{number}():\n    return {number}\n" * 9)
    write(Path("code/.git/b.py"), "x" * 1000)
    write(Path("code/picture.bin"), b"\xff\x00")
    source, _ = opened(Path("code"))
    assert source.lines == "file" and len(source.texts) == 12
    assert {"train", "validation", "test"} == set(source.parts)
    look = sources.look("code")
    assert look.kind == "corpus" and look.details["files"] == 12


def test_packed_and_plain_text_give_the_same_blocks() -> None:
    plain, data = opened(write(Path("a.txt"), PROSE))
    packed, other = opened(write(Path("b.txt.gz"), gzip.compress(PROSE.encode())))
    assert torch.equal(data.pool.tokens, other.pool.tokens)
    assert torch.equal(data.pool.starts, other.pool.starts)
    assert data.facts == other.facts


def test_marks_before_the_text_and_line_ends_of_windows_are_no_text() -> None:
    text = b"\xef\xbb\xbf" + PROSE.replace("\n", "\r\n").encode()
    _, data = opened(write(Path("a.txt"), text))
    assert set(data.facts.vocabulary.model) == set(PROSE)


def test_the_vocabulary_is_learned_from_training_rows_only() -> None:
    _, data = opened(write(Path("a.txt"), "abc\n\n" * 300 + "xyz\n\n" * 50))
    assert data.facts.vocabulary.model == "\nabc"


@pytest.mark.parametrize("units", ["characters", "bytes", "subwords"])
def test_each_token_is_predicted_once(units: Any) -> None:
    source, data = opened(write(Path("a.txt"), PROSE), units=units)
    examples = source.examples(data.splits.validation, data.facts)
    targets = sum(
        int((examples.batch(torch.tensor([n])).targets != NOT_COUNTED).sum())
        for n in range(len(examples))
    )
    assert targets == len(examples.tokens) - 1


# --- Blocks ---------------------------------------------------------------------------------------


def test_a_block_moved_back_never_reaches_another_part() -> None:
    _, data = opened(write(Path("a.txt"), PROSE))
    train, validation = data.positions(0)
    for positions in (train, validation):
        first = int(data.pool.firsts[positions].min())
        last = int(data.pool.ends[positions].max())
        for back in (0, 1, 15):
            block = data.pool.batch(positions).moved_back(back)
            assert int(block.starts.min()) >= first
            assert int(block.starts.max()) + 16 < last
    assert int(data.pool.ends[train].max()) == int(data.pool.firsts[validation].min())


def test_over_epochs_all_cuts_of_the_text_are_seen() -> None:
    task, recipe = catalog.resolve(str(write(Path("a.txt"), PROSE)), {"context": 8})
    data = divide(task.source(recipe), recipe.split)
    recipe = task.fill(recipe, len(data.positions(0)[0]))
    learner = task.learner(recipe, task.network(recipe, data.facts), data)
    torch.manual_seed(0)
    positions = data.positions(0)[0]
    seen = torch.cat(
        [learner.augment(data.pool.batch(positions), epoch).starts for epoch in range(100)]
    )
    # Of 100 draws among 8 places, one is missed with probability 2e-6.
    assert len(seen.unique()) > 0.99 * (int(data.pool.starts[positions].max()) - 8)


def test_a_smaller_epoch_is_spread_over_the_whole_text() -> None:
    path = write(Path("a.txt"), PROSE)
    _, data = opened(path)
    for blocks in (100, 83, 7):
        _, small = opened(path, per_epoch=16 * blocks)
        train, _ = small.positions(0)
        assert len(train) == blocks
        gaps = small.pool.starts[train].diff()
        assert gaps.max() - gaps.min() <= 1 and gaps.max() <= small.pool.spacing
    _, small = opened(path, per_epoch=1600)
    train, _ = small.positions(0)
    assert (
        int(small.pool.starts[train].max()) > 0.95 * int(data.pool.starts[train[0] :].max()) * 0.85
    )
    assert len(small.positions(0)[1]) == len(data.positions(0)[1])


def test_a_part_shorter_than_a_block_is_padded_and_not_counted() -> None:
    source, data = opened(write(Path("a.txt"), PROSE), context=3000)
    examples = source.examples(data.splits.test, data.facts)
    block = examples.batch(torch.tensor([0]))
    text = PROSE[int(len(PROSE) * 0.9) :]
    assert len(examples) == 1 and len(text) < 3000
    assert (block.targets != NOT_COUNTED).sum() == len(text) - 1
    assert (block.inputs[0, len(text) :] == 0).all()


def test_streams_follow_the_text() -> None:
    order = torch.randperm(103, generator=torch.Generator().manual_seed(3))
    batches = as_streams(order, 11)
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(103))
    for before, after in zip(batches[:-1], batches[1:], strict=True):
        assert torch.equal((before[: len(after)] + 1) % 103, after)


# --- The cache ------------------------------------------------------------------------------------


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A text of some kilobytes is large, and is read in pieces of some hundred bytes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(documents, "PIECE", 700)
    monkeypatch.setattr(corpus, "LARGE", 1000)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("text", [PROSE, NAMES])
def test_a_large_text_is_tokenized_once_piece_by_piece_into_a_mapped_file(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(Path("a.txt"), text)
    _, memory = opened(path, cache="memory")
    lengths = []
    encode = type(memory.facts.vocabulary).encode

    def spy(self: Any, texts: Any) -> Any:
        lengths.append(sum(map(len, texts)))
        return encode(self, texts)

    monkeypatch.setattr(type(memory.facts.vocabulary), "encode", spy)
    _, disk = opened(path)
    assert len(lengths) > 3 and max(lengths) < 1000
    assert torch.equal(disk.pool.tokens, memory.pool.tokens)
    assert torch.equal(disk.pool.starts, memory.pool.starts)
    (entry,) = shelf.entries()
    assert (entry.path / "tokens").stat().st_size == 2 * len(memory.pool.tokens)
    lengths.clear()
    opened(path)
    assert not lengths


@pytest.mark.usefixtures("small_pieces")
def test_a_damaged_entry_is_made_again_and_told() -> None:
    path = write(Path("a.txt"), PROSE)
    _, data = opened(path)
    expected = data.pool.tokens.clone()
    (entry,) = shelf.entries()
    spoilt = bytearray((entry.path / "tokens").read_bytes())
    spoilt[100] ^= 1
    (entry.path / "tokens").write_bytes(spoilt)
    with pytest.warns(UserWarning, match="differs from its checksum.*tokenized again"):
        _, again = opened(path)
    assert torch.equal(again.pool.tokens, expected)


@pytest.mark.usefixtures("small_pieces")
def test_a_full_cache_is_told_where_the_disk_was_asked_for(monkeypatch: Any) -> None:
    monkeypatch.setenv(shelf.VARIABLE, "0")
    path = write(Path("a.txt"), PROSE)
    with pytest.raises(UserError, match="have no place.*GLASSNET_CACHE_GB"):
        opened(path, cache="disk")
    _, data = opened(path)
    assert len(data.pool)


@pytest.mark.usefixtures("small_pieces")
def test_a_killed_tokenizing_leaves_nothing_that_looks_finished(monkeypatch: Any) -> None:
    path = write(Path("a.txt"), PROSE)
    saved = tokencache.np.savez

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tokencache.np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        opened(path)
    monkeypatch.setattr(tokencache.np, "savez", saved)
    _, data = opened(path)
    _, memory = opened(path, cache="memory")
    assert torch.equal(data.pool.tokens, memory.pool.tokens)


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "knobs", "message"),
    [
        (b"", {}, r"a\.txt is empty"),
        (b"good\n" * 50 + b"caf\xe9 bar", {}, r"byte 253 \(line 51\) is e9.*LATIN1"),
        (b"good\n" * 500 + "äöü".encode()[:-1], {}, r"byte 2,504 \(line 501\) is c3"),
        (b"ab\0cd" * 50, {}, r"byte 2 \(line 1\) is 00"),
        ("words\n".encode("utf-16"), {}, "UTF-16"),
        (b"short", {"context": 64}, r"has 4 characters.*block is 65.*smaller --context"),
        (b"some words\n\n" * 99, {"units": "subwords", "vocabulary": 5000},
         r"vocabulary=5,000 is larger than the training text.*962 bytes"),
        (PROSE.encode(), {"vocabulary": 500}, "vocabulary=500 contradicts units=characters"),
        (PROSE.encode(), {"split.mode": "kfold"}, "split.mode=kfold.*not independent"),
        (PROSE.encode(), {"carry": True}, "carry: true is for recurrent networks, and gpt"),
        (PROSE.encode(), {"carry": True, "network": "lstm", "per_epoch": 640},
         "carry: true contradicts per_epoch=640"),
        (PROSE.encode(), {"network.context": 8}, "network.context=8 is less than context=64"),
        (PROSE.encode(), {"network": "mlp"}, "mlp reads numbers.*gpt"),
    ],
)  # fmt: skip
def test_bad_texts_and_knobs_are_refused(content: bytes, knobs: Any, message: str) -> None:
    path = write(Path("a.txt"), content)
    flags = {"task": "language-modelling", "context": 64, "epochs": 1, **knobs}
    with pytest.raises(UserError, match=message):
        task, recipe = catalog.resolve(str(path), flags)
        play(task, recipe, new_run(Path("runs"), recipe))


def test_undecodable_bytes_are_found_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PIECE", 5)
    write(Path("a.txt"), "aaaa€bbbb".encode() + b"\xe2\x82" + b"cccc")
    with pytest.raises(UserError, match=r"byte 11 \(line 1\) is e2 82"):
        documents.scan(Path("a.txt"), None)


def test_an_empty_folder_and_a_cut_archive_are_refused() -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError, match="holds no texts"):
        documents.scan(Path("empty"), None)
    write(Path("a.txt.gz"), gzip.compress(PROSE.encode())[:100])
    with pytest.raises(UserError, match=r"a\.txt\.gz (is cut short|cannot be read)"):
        documents.scan(Path("a.txt.gz"), None)
    with pytest.raises(UserError, match=r"a\.txt\.gz (is cut short|cannot be read)"):
        sources.look("a.txt.gz")


def test_a_text_of_one_character_only_is_learned() -> None:
    run = api.train(write(Path("a.txt"), "a" * 4000), context=16, epochs=1, show=False,
                    network={"name": "gpt", "width": 8, "num_layers": 1})  # fmt: skip
    assert "".join(run.generate("aa", tokens=5)) == "aaaaa"


# --- Sampling -------------------------------------------------------------------------------------

LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, [0.5, 0.3, 0.15, 0.05]),
        ({"temperature": 0.0}, [1, 0, 0, 0]),
        ({"temperature": 0.5}, [0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365]),
        ({"top_k": 2}, [0.625, 0.375, 0, 0]),
        ({"top_k": 9}, [0.5, 0.3, 0.15, 0.05]),
        ({"top_p": 0.8}, [0.625, 0.375, 0, 0]),
        ({"top_p": 0.81}, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]),
        ({"top_p": 0.1}, [1, 0, 0, 0]),
        ({"top_p": 1.0}, [0.5, 0.3, 0.15, 0.05]),
        ({"top_k": 3, "top_p": 0.6}, [0.625, 0.375, 0, 0]),
    ],
)
def test_probabilities_are_those_of_the_definition(how: Any, expected: list[float]) -> None:
    order = torch.tensor([2, 0, 3, 1])
    found = probabilities(LOGITS[order], Sampling(**{"temperature": 1.0, **how}))
    assert found.tolist() == pytest.approx(torch.tensor(expected)[order].tolist(), abs=1e-6)


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    draw = torch.Generator().manual_seed(0)
    shares = probabilities(LOGITS, Sampling(temperature=1.0))
    counts = torch.bincount(torch.tensor([sampling.drawn(shares, draw) for _ in range(4000)]))
    assert (counts / 4000 - shares).abs().max() < 0.03  # four standard deviations


def random_network(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    knobs = NetworkKnobs(name=name, **options)
    return build_network(knobs, (12,), 30, reads="stream", vocabulary=30).eval()


@pytest.mark.parametrize("name", ["gpt", "lstm", "gru", "rnn"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_cached_writing_equals_writing_without_a_cache(name: str, temperature: float) -> None:
    network, how = random_network(name), Sampling(tokens=40, temperature=temperature)
    fast = list(continued(network, [5, 6, 7], how, never=[0, 1]))
    slow = list(continued(network, [5, 6, 7], how, never=[0, 1], cached=False))
    assert fast == slow and len(fast) == 40 and not {0, 1} & set(fast)


def test_the_same_seed_writes_the_same_text_and_leaves_no_trace() -> None:
    network = random_network("gpt")
    state = torch.get_rng_state()
    one, same, other = (
        list(continued(network, [5], Sampling(tokens=30, temperature=1, seed=seed)))
        for seed in (1, 1, 2)
    )
    assert one == same != other
    assert torch.equal(torch.get_rng_state(), state)


def test_a_prompt_longer_than_the_context_is_continued_from_its_end() -> None:
    network, how = random_network("gpt"), Sampling(tokens=5, temperature=0)
    long = list(range(4, 30))
    assert list(continued(network, long, how)) == list(continued(network, long[-12:], how))


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", -1), ("top_k", 0), ("top_p", 0), ("top_p", 1.1),
                        ("tokens", 0), ("seed", -1)]
)  # fmt: skip
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"--{name.replace('_', '-')}: expected.*found {value}"):
        Sampling(**{name: value})  # type: ignore[arg-type]


# --- Learning -------------------------------------------------------------------------------------


def test_the_score_is_the_mean_over_all_tokens_and_holds_no_logits() -> None:
    source, data = opened(write(Path("a.txt"), PROSE), units="bytes")
    size = len(data.facts.vocabulary)
    torch.manual_seed(0)
    network = build_network(NetworkKnobs(name="gpt", width=16), (16,), size, reads="stream",
                            vocabulary=size)  # fmt: skip
    examples = source.examples(data.splits.validation, data.facts)
    outcome = language.score(network, examples, data.facts)
    assert outcome.outputs.shape == (len(examples), 4)
    block = examples.batch(torch.arange(len(examples)))
    with torch.no_grad():
        expected = nn.functional.cross_entropy(
            network(block.inputs).flatten(0, 1), block.targets.flatten()
        )
    assert language.loss(outcome) == pytest.approx(float(expected), rel=1e-5)
    # A byte is a token here.
    assert language.bits_per_byte(outcome) == pytest.approx(float(expected) / np.log(2), rel=1e-5)


def test_bits_per_byte_count_the_bytes_of_the_text() -> None:
    text = "äöü€ und Straße\n\n" * 200
    for units in ("characters", "subwords", "bytes"):
        source, data = opened(write(Path("a.txt"), text), units=units)
        examples = source.examples(data.splits.train, data.facts)
        tokens = examples.tokens[1:].tolist()
        found = sum(data.facts.vocabulary.sizes[token] for token in tokens)
        first = data.facts.vocabulary.sizes[int(examples.tokens[0])]
        cut = int(len(text.encode()) * 0.9 * 0.9)
        assert cut - first <= found <= cut - first + 3  # moved behind a character


QUICK = {"context": 16, "epochs": 3, "batch_size": 16, "lr": 1e-2, "fit.threads": 1}
SMALL = {"name": "lstm", "hidden": 16, "dropout": 0.0}


def carried_recipe(**knobs: Any) -> tuple[Any, Any]:
    path = write(Path("count.txt"), counting.text())
    return catalog.resolve(str(path), {**QUICK, "network": SMALL, **knobs})


@pytest.mark.parametrize(
    ("network", "lr"),
    [({"name": "gpt"}, 3e-3), ({"name": "gpt", "width": 384}, 1e-3),
     ({"name": "lstm", "hidden": 512}, 8e-4)],
)  # fmt: skip
def test_wide_networks_take_smaller_steps_unless_told(network: Any, lr: float) -> None:
    task, recipe = carried_recipe(network=network, lr=None)
    assert task.fill(recipe, 1000).fit.lr == lr
    task, recipe = carried_recipe(network=network, lr=0.5)
    assert task.fill(recipe, 1000).fit.lr == 0.5


def test_a_carried_state_is_resumed_bit_for_bit() -> None:
    task, recipe = carried_recipe()
    whole, stopped = (new_run(Path("runs"), recipe, name) for name in ("whole", "stopped"))
    play(task, recipe, whole)
    step = 20  # in the middle of an epoch
    play(task, recipe, stopped, ask_to_stop_at=step)
    go_on(task, stopped)
    assert_same_end(stopped, whole)


def test_a_batch_goes_on_where_the_one_before_ended_and_pieces_change_nothing() -> None:
    task, recipe = carried_recipe(optimizer="sgd", lr=0.1)  # Adam makes roundings large
    data = divide(task.source(recipe), recipe.split)
    recipe = task.fill(recipe, len(data.positions(0)[0]))
    fit = recipe.fit
    states = []
    for pieces in (1, 3):
        torch.manual_seed(0)
        network = task.network(recipe, data.facts)
        cut = recipe.model_copy(update={"fit": fit.model_copy(update={"accumulate": pieces})})
        learner = task.learner(cut, network, data)
        order = loop.shuffled(data.positions(0)[0], 0, 0)
        batches = task.cut(recipe, data.pool, order, fit.steps_per_epoch(len(order)))
        for step, index in enumerate(batches[:4]):
            learner.update(data.pool.batch(index), step)
        states.append(learner.parts["carried"].state_dict()["state"])
    flat = [torch.cat([part.flatten() for layer in state for part in layer]) for state in states]
    assert torch.allclose(*flat, atol=1e-5)
    assert flat[0].abs().max() > 0


@pytest.mark.parametrize("network", [SMALL, {"name": "gpt", "width": 16, "num_layers": 1}])
def test_what_is_carried_is_what_reading_all_at_once_would_give(network: Any) -> None:
    net = random_network(network["name"])
    tokens = torch.randint(4, 30, (2, 12), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = net(tokens)
        first, state = net.follow(tokens[:, :5], None)
        second, _ = net.follow(tokens[:, 5:], state)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-5)


def test_blocks_are_independent_where_nothing_is_carried() -> None:
    task, recipe = carried_recipe(carry=False)
    data = divide(task.source(recipe), recipe.split)
    recipe = task.fill(recipe, len(data.positions(0)[0]))
    learner = task.learner(recipe, task.network(recipe, data.facts), data)
    assert "carried" not in learner.parts
    order = torch.randperm(20)
    assert torch.equal(torch.cat(list(task.cut(recipe, data.pool, order, 4))), order)


# --- The command line -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> api.TrainedRun:
    """A run that can count a little."""
    folder = tmp_path_factory.mktemp("counting")
    path = write(folder / "count.txt", counting.text())
    return api.train(path, context=32, epochs=4, batch_size=16, lr=5e-3, runs=folder, show=False,
                     network={"name": "gpt", "width": 32, "num_layers": 2},
                     **{"fit.threads": 1})  # fmt: skip


def test_it_learns_to_count(trained: api.TrainedRun) -> None:
    found = trained.evaluate()
    assert found.metrics["loss"].value < 1.6  # 2.6 by the frequencies of the letters alone
    assert found.metrics["loss"].low < found.metrics["loss"].value < found.metrics["loss"].high
    assert found.metrics["perplexity"].value == pytest.approx(
        np.exp(found.metrics["loss"].value), rel=1e-6
    )
    assert set("".join(trained.generate("two hundred and ", tokens=100))) <= set(counting.text())


def test_generate_streams_and_says_all_as_json(cli: Any, trained: api.TrainedRun) -> None:
    words = ("generate", trained.path, "two hundred", "--tokens", "20", "--seed", "5")
    code, out, _ = cli(*words)
    assert code == 0 and out.startswith("two hundred") and len(out) == len("two hundred") + 21
    code, said, _ = cli(*words, "--samples", "2", "--json")
    answer = json.loads(said)
    assert answer["prompt"] + answer["samples"][0]["text"] + "\n" == out
    assert [one["seed"] for one in answer["samples"]] == [5, 6]


def test_bad_prompts_are_named(cli: Any, trained: api.TrainedRun) -> None:
    code, _, err = cli("generate", trained.path, "zwölf €")
    assert code == 2 and "'ö', '€'" in err and "Traceback" not in err
    code, _, err = cli("generate", trained.path, "one", "--top-p", "3")
    assert code == 2 and "--top-p: expected above 0 and at most 1, found 3.0" in err
    with pytest.warns(UserWarning, match="has 380 tokens, and the network reads 32.*its end"):
        text = "".join(trained.generate("one, " * 76, tokens=5))
    assert len(text) == 5
    assert "".join(trained.generate("", tokens=5))
    with pytest.raises(UserError, match=r"no file prompts\.txt"):
        trained.predict("prompts.txt")


def test_a_run_that_writes_nothing_says_so(cli: Any) -> None:
    run = api.train("iris", epochs=1, show=False)
    code, _, err = cli("generate", run.path, "a")
    assert code == 2 and "writes no texts" in err


def test_inspect_takes_lines_of_running_text_for_no_rows(cli: Any) -> None:
    write(Path("poem.txt"), "Chorus:\nAll the day long.\n\n" * 9)
    code, out, err = cli("inspect", "poem.txt")
    assert code == 0 and "running text" in out and "repeat" not in out + err
    code, _, err = cli("inspect", "poem.txt", "--fix", "out.txt")
    assert code == 2 and "running text is not repaired" in err


def test_half_a_character_is_never_shown() -> None:
    source, data = opened(write(Path("a.txt"), "äöü€𝄞\n\n" * 200), units="bytes")
    tokens = data.facts.vocabulary.encode(["€𝄞ä"])[0].tolist()
    assert list(prompts.texts_of(tokens, data.facts)) == ["€", "𝄞", "ä"]
    assert "".join(prompts.texts_of(tokens[:-1], data.facts)).startswith("€𝄞")
    assert len(source)


def test_a_document_ends_where_the_network_says_so() -> None:
    _, data = opened(write(Path("names.txt"), NAMES))
    tokens = data.facts.vocabulary.encode(["name"])[0].tolist()
    end = data.facts.vocabulary.end
    assert "".join(prompts.texts_of([*tokens, end, *tokens], data.facts)) == "name"


def test_the_report_shows_what_it_writes(trained: api.TrainedRun) -> None:
    page = trained.report.read_text(encoding="utf-8")
    for part in ("What it writes", "Worst predicted stretches", "A passage, token by token"):
        assert part in page


def test_a_passage_shows_the_text_as_it_stands_coloured_by_surprise(
    trained: api.TrainedRun,
) -> None:
    page = trained.report.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="glassnet">(.*?)</script>', page, re.S)
    assert found is not None
    blocks = [b for s in json.loads(found[1])["sections"] for b in s["blocks"]]
    (shown,) = [b for b in blocks if b.get("title", "").startswith("A passage")]
    assert "".join(item["text"] for item in shown["items"]) in counting.text()
    first, *others = shown["items"]
    assert first.get("value") is None and all(item["value"] >= 0 for item in others)
    assert all("probability" in item["said"] for item in others)


def test_the_customary_split_of_a_set_goes_with_it() -> None:
    entry = sources.named("tiny-shakespeare")
    assert entry is not None and entry.knobs == {"split.test": 0, "split.validation": 0.1}


def test_running_text_is_not_examined_as_a_table() -> None:
    write(Path("names.txt"), "\n".join(f"name{number}" for number in range(200)))
    look = inspection.inspect("names.txt")
    assert look.kind == "corpus"
    assert not look.problems


def test_look_knows_text_from_tables() -> None:
    assert running.look(write(Path("t.txt"), "a\tb\n1\t2\n3\t4\n5\t6\n"), None) is None
    assert running.look(write(Path("a.csv"), PROSE), None) is None
    found = running.look(write(Path("a.md"), PROSE), None)
    assert found is not None and re.search("cut in order", str(found.summary))
