"""Translation: pairs of texts as people have them, beam search, BLEU and chrF, bad input."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch
from torch import Tensor, nn
from trainings import go_on, new_run, play

from glassnet import api, catalog
from glassnet.data import numerals, pairs, ragged, sources
from glassnet.data.tokens import BEGIN, END, PAD
from glassnet.errors import UserError
from glassnet.task import Batch, Outcome, Subset
from glassnet.words import translated, writing

ENGLISH = ["A dog runs.", "Two men are eating.", "A girl sits on a bench."]
GERMAN = ["Ein Hund rennt.", "Zwei Männer essen.", "Ein Mädchen sitzt auf einer Bank."]
SMALL = {
    "network": "transformer",
    "network.num_layers": 1,
    "network.width": 32,
    "network.num_heads": 2,
    "fit.threads": 1,
    "vocabulary": 300,
}


def lines(folder: Path, **texts: Sequence[str]) -> Path:
    """Files called part_language, one text a line."""
    folder.mkdir(exist_ok=True)
    for name, own in texts.items():
        (folder / name.replace("__", ".")).write_text("\n".join(own) + "\n", encoding="utf-8")
    return folder


def numbers(folder: Path) -> Path:
    """The first numbers, in parts."""
    folder.mkdir(exist_ok=True)
    for part, chosen in {
        "train": range(0, 120),
        "val": range(120, 140),
        "test": range(140, 160),
    }.items():
        for language, words in {"en": numerals.english, "de": numerals.german}.items():
            text = "".join(f"{words(number)}\n" for number in chosen)
            (folder / f"{part}.{language}").write_text(text, encoding="utf-8")
    return folder


# --- Reading --------------------------------------------------------------------------------------


def texts_of(path: Path, **knobs: Any) -> list[tuple[str, str]]:
    return pairs.open_pairs(path, **{"source": "en", "target": "de", **knobs}).texts


def test_all_forms_of_the_same_pairs_are_read_alike(tmp_path: Path) -> None:
    expected = list(zip(ENGLISH, GERMAN, strict=True))
    folder = lines(tmp_path / "plain", train__en=ENGLISH, train__de=GERMAN)
    packed = tmp_path / "packed"
    packed.mkdir()
    for file in folder.iterdir():
        (packed / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    table = [f"{a}\t{b}" for a, b in expected]
    rows = [{"en": a, "de": b} for a, b in expected]
    nested = [{"id": str(n), "translation": row} for n, row in enumerate(rows)]
    lines(
        tmp_path / "tables",
        a__tsv=["en\tde", *table],
        b__jsonl=[json.dumps(row) for row in rows],
        c__jsonl=[json.dumps(row, ensure_ascii=False) for row in nested],
        d__csv=["en,de", *(f'"{a}","{b}"' for a, b in expected)],
    )
    import polars as pl

    pl.DataFrame(nested).write_parquet(tmp_path / "tables" / "e.parquet")
    forms = [folder, folder / "train.en", packed, *sorted((tmp_path / "tables").iterdir())]
    for form in forms:
        assert texts_of(form) == expected, form
        assert texts_of(form, source="de", target="en") == [(b, a) for a, b in expected]


def test_a_table_of_tabs_without_names_has_numbered_columns(tmp_path: Path) -> None:
    rows = ['Go.\tGeh!\tby "A', 'Hi.\tHallo!\tby "B']
    path = lines(tmp_path / "ell", deu__txt=rows) / "deu.txt"
    assert texts_of(path, source="1", target="2") == [("Go.", "Geh!"), ("Hi.", "Hallo!")]
    with pytest.raises(UserError, match=r"target=de: .* has no such language.* It has: 1, 2, 3"):
        texts_of(path, source="1", target="de")


def test_odd_ends_of_lines_within_a_sentence_do_not_part_it(tmp_path: Path) -> None:
    folder = lines(tmp_path / "odd", train__en=["a\u2028b", "c\x0bd"], train__de=["e", "f"])
    assert texts_of(folder) == [("a\u2028b", "e"), ("c\x0bd", "f")]


def test_parts_are_told_by_name_and_the_test_may_be_chosen(tmp_path: Path) -> None:
    folder = lines(
        tmp_path / "parts", train__en=ENGLISH, train__de=GERMAN, val__en=["x"], val__de=["y"],
        test_2016__en=["a"], test_2016__de=["b"], test_2017__en=["c"], test_2017__de=["d"],
    )  # fmt: skip
    source = pairs.open_pairs(folder, source="en", target="de")
    assert list(source.parts or []) == ["train"] * 3 + ["validation", "test"]
    assert source.texts[-1] == ("a", "b")
    assert source.name(4) == "test_2016 line 1"
    assert "test_2017 is not used" in source.problems[0].what
    assert texts_of(folder, test_part="test_2017")[-1] == ("c", "d")
    with pytest.raises(UserError, match=r"test_part=test_2018.*It has: test_2016, test_2017"):
        texts_of(folder, test_part="test_2018")


def test_the_vocabulary_is_learned_from_training_rows_of_both_languages(tmp_path: Path) -> None:
    source = pairs.open_pairs(numbers(tmp_path / "n"), source="en", target="de", unit="characters")
    facts = source.facts(torch.arange(0, 13))
    seen = {sign for pair in source.texts[:13] for text in pair for sign in text}
    assert set(facts.vocabulary.model) == seen


def test_a_batch_holds_what_comes_next_at_every_place(tmp_path: Path) -> None:
    source = pairs.open_pairs(numbers(tmp_path / "n"), source="en", target="de", unit="characters")
    facts = source.facts(torch.arange(120))
    examples = source.examples(torch.arange(120), facts)
    batch = examples.batch(torch.tensor([3, 21, 100]))
    for row, (one, other) in enumerate(source.texts[n] for n in (3, 21, 100)):
        read, so_far, following = (
            [token for token in tokens.tolist() if token != PAD]
            for tokens in (batch.inputs[row, 0], batch.inputs[row, 1], batch.targets[row])
        )
        assert read == [*facts.vocabulary.encode([one])[0], END]
        assert so_far == [BEGIN, *facts.vocabulary.encode([other])[0]]
        assert following == [*facts.vocabulary.encode([other])[0], END]
        assert batch.weights is not None
        assert batch.weights[row] == len(following)


def test_batches_of_an_epoch_hold_every_pair_once_and_about_as_many_tokens(tmp_path: Path) -> None:
    source = pairs.open_pairs(numbers(tmp_path / "n"), source="en", target="de", unit="characters")
    examples = source.examples(torch.arange(120), source.facts(torch.arange(120)))
    task = catalog.task("translation")
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    cut = task.cut(None, examples, order, 10)
    assert torch.cat(list(cut)).sort().values.tolist() == list(range(120))
    sizes = [int(examples.lengths[piece].sum()) for piece in cut]
    assert max(sizes) < 1.5 * min(sizes)


# --- Loss -----------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_real_tokens_however_the_batch_is_cut() -> None:
    from glassnet.learners import Pieces, weighted_mean

    torch.manual_seed(0)
    logits, targets = torch.randn(4, 5, 7), torch.randint(4, 7, (4, 5))
    targets[0, 2:], targets[2, 4:] = PAD, PAD
    batch = Batch(logits, targets, (targets != PAD).sum(1).float())
    loss = translated.per_token(0.1)
    expected = nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, label_smoothing=0.1
    )
    for number in (1, 2, 3):
        found = sum(
            weighted_mean(loss(piece.inputs, piece.targets), piece.weights) * share
            for piece, share in Pieces(number).cut(batch)
        )
        torch.testing.assert_close(found, expected)


# --- Beam search ----------------------------------------------------------------------------------

NUM_TOKENS, BEGINS, ENDS = 6, 2, 3


class Toy(nn.Module):
    """Foretells from the two last tokens and the source, by a fixed random table."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        table = 2 * torch.randn(NUM_TOKENS, NUM_TOKENS, NUM_TOKENS, NUM_TOKENS, generator=draw)
        self.table = nn.Parameter(table, requires_grad=False)

    def read(self, source_BS: Tensor) -> dict[str, Tensor]:
        return {"first": source_BS[:, 0]}

    def follow(self, tokens_BT: Tensor, memory: Any, state: Any) -> tuple[Tensor, Any]:
        logits = []
        before = torch.zeros_like(tokens_BT[:, 0]) if state is None else state["before"]
        for last in tokens_BT.unbind(1):
            logits.append(self.table[memory["first"], before, last])
            before = last
        return torch.stack(logits, 1), {"before": before}


def every_text(network: Toy, source: int, longest: int, rules: writing.Rules) -> tuple[float, Any]:
    """The best of all texts there are, by their score."""
    kept = [t for t in range(NUM_TOKENS) if t not in rules.never and t != rules.end]
    best: tuple[float, Any] = (-math.inf, None)
    memory = network.read(torch.tensor([[source]]))
    hidden = torch.zeros(NUM_TOKENS)
    hidden[list(rules.never)] = -math.inf
    for length in range(longest):
        for text in itertools.product(kept, repeat=length):
            logits, _ = network.follow(torch.tensor([[rules.begin, *text]]), memory, None)
            log_p = (logits[0] + hidden).log_softmax(-1)
            total = sum(float(log_p[n, token]) for n, token in enumerate((*text, rules.end)))
            best = max(best, (total / rules.penalty(length + 1), text))
    return best


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 2.0])
def test_a_beam_as_wide_as_there_are_texts_finds_the_best_of_all(length_penalty: float) -> None:
    rules = writing.Rules(BEGINS, ENDS, (0, 1, 2), beam=40, length_penalty=length_penalty)
    for seed in range(5):
        network = Toy(seed).eval()
        found = writing.search(network, torch.tensor([[0], [1], [4]]), [4, 3, 4], rules)
        for source, longest, written in zip((0, 1, 4), (4, 3, 4), found, strict=True):
            score, text = every_text(network, source, longest, rules)
            assert written.tokens == text
            assert written.score == pytest.approx(score, abs=1e-5)


def test_a_beam_of_one_takes_the_most_probable_token_each_time() -> None:
    rules = writing.Rules(BEGINS, ENDS, (0, 1, 2), beam=1)
    for seed in range(20):
        network = Toy(seed).eval()
        (written,) = writing.search(network, torch.tensor([[4]]), [6], rules)
        tokens = [BEGINS]
        while tokens[-1] != ENDS and len(tokens) < 6:
            logits, _ = network.follow(
                torch.tensor([tokens]), network.read(torch.tensor([[4]])), None
            )
            logits[..., :3] = -math.inf
            tokens.append(int(logits[0, -1].argmax()))
        assert list(written.tokens) == [token for token in tokens[1:] if token != ENDS]


@pytest.mark.parametrize("beam", [1, 3])
def test_a_source_is_translated_alone_as_among_others(beam: int) -> None:
    rules = writing.Rules(BEGINS, ENDS, (0, 1, 2), beam=beam)
    network = Toy(7)
    given = [[4, 4, 4], [5], [1, 1], [4], [5, 5, 5, 5]]
    together = writing.write(network, given, lambda n: n + 3, rules)
    for one, expected in zip(given, together, strict=True):
        assert writing.write(network, [one], lambda n: n + 3, rules) == [expected]


@pytest.mark.parametrize("name", ["transformer", "seq2seq", "seq2seq-attention"])
def test_translations_are_as_probable_as_they_say(name: str) -> None:
    from glassnet.network import build_network
    from glassnet.recipe import NetworkKnobs

    torch.manual_seed(0)
    knobs = NetworkKnobs(name=name)
    network = build_network(knobs, (20,), 30, reads="pairs", vocabulary=30).eval()
    rules = writing.Rules(BEGIN, END, (PAD, BEGIN), beam=3)
    for given in ([5, 6, 7, END], [9, END]):
        (written,) = writing.write(network, [given], lambda n: 6, rules)
        text = [BEGIN, *written.tokens]
        width = max(len(given), len(text))
        pair = torch.tensor([[[*r, *[PAD] * (width - len(r))] for r in (given, text)]])
        logits = network(pair)[0, : len(text)].detach()
        logits[:, [PAD, BEGIN]] = -math.inf
        log_p = logits.log_softmax(-1)
        total = sum(float(log_p[n, t]) for n, t in enumerate((*written.tokens, END)))
        assert written.log_probability == pytest.approx(total, abs=1e-4)
        assert written.score == pytest.approx(total / rules.penalty(len(text)), abs=1e-4)


# --- BLEU and chrF --------------------------------------------------------------------------------

OURS = [
    "Ein Hund läuft.",
    "",
    "Zwei Männer essen, und trinken!",
    "Ein Mädchen auf der Bank sitzt",
    "x",
]
REFERENCES = [
    "Ein Hund rennt.",
    "Nichts.",
    "Zwei Männer essen.",
    "Ein Mädchen sitzt auf der Bank.",
    "y",
]


def outcome_of(ours: Sequence[str], references: Sequence[str]) -> Outcome:
    judged = translated.statistics(ours, references, "de").float()
    outputs = torch.cat([torch.ones(len(judged), translated.FORCED), judged], 1)
    return Outcome(outputs, outputs[:, 1])


def test_bleu_and_chrf_from_sums_are_those_of_sacrebleu() -> None:
    outcome = outcome_of(OURS, REFERENCES)
    for index in ([0, 1, 2, 3, 4], [2, 3], [3, 3, 0], [1], [4]):
        ours, truth = [OURS[n] for n in index], [REFERENCES[n] for n in index]
        chosen = outcome[torch.tensor(index)]
        assert translated.bleu(chosen) == sacrebleu.corpus_bleu(ours, [truth]).score
        assert translated.chrf(chosen) == sacrebleu.corpus_chrf(ours, [truth]).score
    each = [sacrebleu.sentence_chrf(a, [b]).score for a, b in zip(OURS, REFERENCES, strict=True)]
    torch.testing.assert_close(translated.sentence_chrf(outcome), torch.tensor(each))


def test_without_translations_there_is_no_bleu() -> None:
    outcome = Outcome(torch.ones(3, translated.FORCED), torch.ones(3))
    assert math.isnan(translated.bleu(outcome))
    assert math.isnan(translated.chrf(outcome))
    assert translated.loss(outcome) == 1


def test_signatures_name_case_tokens_and_version() -> None:
    signatures = translated.signatures("de")
    assert "BLEU nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in signatures
    assert "chrF nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:" in signatures
    assert "tok:zh" in translated.signatures("zh")


# --- The whole way --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = numbers(tmp_path_factory.mktemp("data") / "n")
    knobs = {**SMALL, "fit.epochs": 40, "fit.batch_size": 16, "fit.lr": 4e-3}
    task, recipe = catalog.resolve(str(folder), {**knobs, "source": "en", "target": "de"})
    return api.start(task, recipe, "numbers", tmp_path_factory.mktemp("runs"), iter)


def test_a_small_set_is_found_to_be_translation_and_is_learned(run: Any) -> None:
    assert run.recipe.task == "translation"
    found = run.evaluate()
    assert found.metrics["accuracy"].value > 0.7
    assert found.metrics["bleu"].low <= found.metrics["bleu"].value <= found.metrics["bleu"].high
    assert found.metrics["chrf"].value > 50
    assert "tok:13a" in found.notes[0]


def test_the_report_has_translations_and_signatures(run: Any) -> None:
    page = run.report.read_text(encoding="utf-8")
    assert "tok:13a" in page
    assert "einhundert" in page


def test_one_string_a_list_and_a_file_are_translated_alike(run: Any, tmp_path: Path) -> None:
    sentences = ["twenty-one", "one hundred and three"]
    file = lines(tmp_path / "new", new__txt=[*sentences, ""]) / "new.txt"
    answers = [run.predict(sentence)[0] for sentence in sentences]
    assert [p.answer for p in run.predict(sentences)] == [p.answer for p in answers]
    from_file = run.predict(file)
    assert [p.answer for p in from_file] == [*(p.answer for p in answers), ""]
    assert [p.input for p in from_file] == [*sentences, ""]
    assert all(p.details["score"] <= 0 for p in answers)


def test_bleu_of_a_run_is_that_of_its_translations(run: Any) -> None:
    trained = run._trained
    source = trained.source()
    rows = trained.run.splits().validation.tolist()
    texts = [source.texts[row] for row in rows]
    ours = [p.answer for p in run.predict([one for one, _ in texts])]
    expected = sacrebleu.corpus_bleu(ours, [[reference for _, reference in texts]]).score
    assert run.evaluate().metrics["bleu"].value == expected


def test_a_half_done_training_goes_on_the_same(tmp_path: Path) -> None:
    folder = numbers(tmp_path / "n")
    knobs = {**SMALL, "fit.epochs": 2, "source": "en", "target": "de"}
    task, recipe = catalog.resolve(str(folder), knobs)
    whole, halted = new_run(tmp_path, recipe, "whole"), new_run(tmp_path, recipe, "halted")
    play(task, recipe, whole)
    play(task, recipe, halted, ask_to_stop_at=1)
    go_on(task, halted)
    assert (whole.path / "metrics.jsonl").read_bytes() == (
        halted.path / "metrics.jsonl"
    ).read_bytes()


def test_a_part_of_the_examples_knows_its_texts(tmp_path: Path) -> None:
    source = pairs.open_pairs(numbers(tmp_path / "n"), source="en", target="de")
    examples = source.examples(torch.arange(50), source.facts(torch.arange(120)))
    some = Subset(examples, torch.tensor([7, 3]))
    assert pairs.texts_of(some) == [("seven", "sieben"), ("three", "drei")]
    assert ragged.lengths_of(some).tolist() == examples.lengths[[7, 3]].tolist()


def test_no_more_source_tokens_are_read_at_once_than_have_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "TOGETHER", 40)
    rules = writing.Rules(BEGINS, ENDS, (0, 1, 2), beam=2)
    network, sizes = Toy(1).eval(), list[int]()
    read = network.read

    def counted(source_BS: Tensor) -> Any:
        sizes.append(source_BS.numel() * rules.beam)
        return read(source_BS)

    monkeypatch.setattr(network, "read", counted)
    found = writing.write(network, [[4]] * 15 + [[4, 0, 1, 4] * 4], lambda n: 3, rules)
    assert max(sizes) <= 40
    assert len({written.tokens for written in found[:15]}) == 1


def test_a_table_of_numbers_under_names_of_languages_is_no_translation(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("id,to\n1,2\n2,3\n3,1\n")
    assert sources.look(tmp_path / "edges.csv").kind == "table"


def test_chinese_is_judged_by_its_signs_and_a_column_called_theirs_by_its_words() -> None:
    assert "tok:zh" in translated.signatures("zh_CN")
    assert "tok:char" in translated.signatures("ko")
    assert "tok:13a" in translated.signatures("theirs")


def test_texts_that_were_learned_and_are_asked_again_are_told(tmp_path: Path) -> None:
    folder = lines(tmp_path / "p", train__en=["a b", "c"], train__de=["x y", "z"],
                   test__en=["A  b", "d"], test__de=["x y z", "w"])  # fmt: skip
    found = pairs.open_pairs(folder, source="en", target="de").problems
    assert [(p.kind, p.items) for p in found] == [("copies across parts", ("test line 1",))]
    (tmp_path / "t.tsv").write_text("en\tde\na\tx\nb\ty\na\tz\n")
    found = pairs.open_pairs(tmp_path / "t.tsv", source="en", target="de").problems
    assert [(p.kind, p.items) for p in found] == [("duplicates", ("t.tsv line 4",))]


# --- Bad input ------------------------------------------------------------------------------------


def bad(folder: Path, **knobs: Any) -> Callable[[], Any]:
    return lambda: pairs.open_pairs(folder, **{"source": "en", "target": "de", **knobs})


def test_sides_out_of_step_are_refused_with_files_and_counts(tmp_path: Path) -> None:
    folder = lines(tmp_path / "x", train__en=ENGLISH, train__de=GERMAN[:2])
    with pytest.raises(UserError, match=r"train\.en has 3 lines and train\.de has 2.*out of step"):
        bad(folder)()


def test_empty_lines_are_reported_and_left_out(tmp_path: Path) -> None:
    folder = lines(
        tmp_path / "x", train__en=[*ENGLISH, "", "A cat."], train__de=[*GERMAN, "Ja", " "]
    )
    source = bad(folder)()
    assert len(source) == 3
    assert "2 pairs lack a text on one side or both: train line 4, train line 5" in (
        source.problems[0].what
    )


def test_undecodable_bytes_are_refused_with_file_and_line(tmp_path: Path) -> None:
    folder = lines(tmp_path / "x", train__en=ENGLISH, train__de=GERMAN)
    (folder / "train.de").write_bytes("Ein Hund.\nZwei Männer.\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"train\.de line 2 is not UTF-8 \(byte 0xe4\)"):
        bad(folder)()


def test_empty_files_are_refused(tmp_path: Path) -> None:
    folder = lines(tmp_path / "x", train__en=ENGLISH, train__de=GERMAN)
    for file in folder.iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match=r"train\.en and train\.de are empty"):
        bad(folder)()
    (folder / "train.en").write_text("\n\n")
    (folder / "train.de").write_text("\n\n")
    with pytest.raises(UserError, match="no pair with text on both sides"):
        bad(folder)()


def test_the_same_text_on_both_sides_is_refused(tmp_path: Path) -> None:
    folder = lines(tmp_path / "x", train__en=ENGLISH, train__de=ENGLISH)
    with pytest.raises(UserError, match="are the same, line by line"):
        bad(folder)()
    with pytest.raises(UserError, match="source and target are both 'en'"):
        bad(folder, target="en")()


def test_a_language_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    folder = lines(tmp_path / "x", train__en=ENGLISH, train__de=GERMAN, train__fr=["a", "b", "c"])
    with pytest.raises(UserError, match=r"target=cs: .* It has: de, en, fr"):
        bad(folder, target="cs")()
    with pytest.raises(UserError, match=r"has the languages de, en, fr. Say .*--source en"):
        bad(folder, target=None)()


def test_a_part_that_lacks_a_language_is_told(tmp_path: Path) -> None:
    folder = lines(
        tmp_path / "x", train__en=ENGLISH, train__de=GERMAN, val__en=["a"], val__fr=["b"]
    )
    with pytest.raises(
        UserError, match=r"val has no de, which the other parts have; it has en, fr"
    ):
        bad(folder)()


def test_a_line_without_a_tab_and_a_line_that_is_no_json_are_told(tmp_path: Path) -> None:
    folder = lines(tmp_path / "x", a__tsv=["en\tde", "a\tb", "c d"], b__jsonl=['{"en": "a"', ""])
    with pytest.raises(UserError, match=r"a\.tsv line 3 has no tab"):
        bad(folder / "a.tsv")()
    with pytest.raises(UserError, match=r"b\.jsonl line 1 is no JSON"):
        bad(folder / "b.jsonl")()


def test_a_folder_without_pairs_is_told_what_is_expected(tmp_path: Path) -> None:
    folder = lines(tmp_path / "x", notes__md=["hello"])
    with pytest.raises(UserError, match=r"no text in two languages.*train\.en.*found: notes\.md"):
        bad(folder)()


def test_a_vocabulary_larger_than_the_text_is_made_smaller_and_told(tmp_path: Path) -> None:
    source = bad(numbers(tmp_path / "n"), size=5000)()
    facts = source.facts(torch.arange(120))
    assert len(facts.vocabulary) < 5000
    assert "fewer than vocabulary=5,000" in source.problems[-1].what


def test_pairs_that_are_too_long_are_reported_and_left_out(tmp_path: Path) -> None:
    folder = lines(tmp_path / "x", train__en=[*ENGLISH, "a b " * 50], train__de=[*GERMAN, "c"])
    source = bad(folder, longest=40, unit="words", least=1)()
    examples = source.examples(torch.arange(4), source.facts(torch.arange(4)))
    assert examples.rows.tolist() == [0, 1, 2]
    assert [p.kind for p in source.problems][-1] == "long pairs"
    assert any(p.kind == "unequal pairs" for p in source.problems)


def test_unknown_characters_are_told_at_prediction(tmp_path: Path) -> None:
    folder = numbers(tmp_path / "n")
    knobs = {**SMALL, "fit.epochs": 1, "units": "characters", "source": "en", "target": "de"}
    task, recipe = catalog.resolve(str(folder), knobs)
    run = api.start(task, recipe, "few", tmp_path, iter)
    with pytest.warns(UserWarning, match="sentence 1: 2 characters in 1 texts were never seen"):
        assert len(run.predict("three 日本")) == 1
    with pytest.warns(UserWarning, match="longer than the 256 tokens"):
        run.predict("one hundred " * 50)
    for nothing in ("", "  ", [], ["", ""]):
        with pytest.raises(UserError):
            run.predict(nothing)
    with pytest.raises(UserError, match=r"There is no file"):
        run.predict("nowhere.txt")
    with pytest.raises(UserError, match="Give a sentence"):
        run.predict(3)


def test_named_sets_are_pairs_that_need_no_more_knobs() -> None:
    for name in ("numbers-de-en", "multi30k-en-de", "multi30k-de-en", "multi30k-en-fr"):
        entry = sources.named(name)
        assert entry is not None
        assert (entry.kind, len(entry.knobs["source"]), len(entry.target)) == ("pairs", 2, 2)
    assert numerals.german(721) == "siebenhunderteinundzwanzig"
    assert len(set(map(numerals.german, range(1000)))) == 1000
    recipe: Any = catalog.resolve("numbers-de-en", {})[1]
    assert (recipe.task, recipe.source, recipe.target) == ("translation", "de", "en")
