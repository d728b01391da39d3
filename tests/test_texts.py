"""Texts: what is read, what is learned of them, and what is said of bad ones."""

from __future__ import annotations

import json
import random
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from trainings import glassnet

from glassnet import api, catalog, inspection
from glassnet.data import brackets, sources, tablefiles, texts, tokens
from glassnet.errors import UserError
from glassnet.tasks.text_classification import TASK
from glassnet.words import textual

GOOD = ["a fine film", "good and warm", "what a good story", "fine acting , good jokes"]
BAD = ["a bad film", "dull and bad", "what a dull story", "bad acting , dull jokes"]
ROWS = [(text, "pos") for text in GOOD] + [(text, "neg") for text in BAD]
NOUNS = ["film", "story", "joke", "scene", "actor", "song", "end", "start", "cut", "plot", "cast"]
MANY = [
    (f"{how} {noun} and {'good' if how in 'fine great' else 'poor'} {other}",
     "pos" if how in "fine great" else "neg")
    for how in ("fine", "bad", "great", "dull") for noun in NOUNS for other in NOUNS[:3]
]  # fmt: skip
QUICK: dict[str, Any] = {"fit.epochs": 3, "fit.threads": 1, "network.width": 8,
                         "network.filters": 8, "doctor": "skip"}  # fmt: skip


def tsv(path: Path, rows: Any = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8")
    return path


def tree(folder: Path, rows: Any = ROWS, parts: tuple[str, ...] = ("train", "test")) -> Path:
    for part in parts or ("",):
        for number, (text, label) in enumerate(rows):
            file = folder / part / label / f"{number}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return folder


def saved(folder: Path, rows: Any = ROWS) -> Path:
    """What the library ``datasets`` writes by ``DatasetDict.save_to_disk``."""
    names = ["neg", "pos"]
    about = {"features": {"text": {"dtype": "string", "_type": "Value"},
                          "label": {"names": names, "_type": "ClassLabel"}}}  # fmt: skip
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        frame = pl.DataFrame(
            {"text": [t for t, _ in rows], "label": [names.index(c) for _, c in rows]}
        )
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
        frame.write_ipc_stream(folder / split / "data-00000-of-00001.arrow")
        (folder / split / "state.json").write_text(json.dumps(state))
        (folder / split / "dataset_info.json").write_text(json.dumps(about))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return folder


# --- What is read ---------------------------------------------------------------------------------


def test_a_folder_of_tables_without_headers_is_one_set_with_its_own_parts(tmp_path: Path) -> None:
    for part in ("train", "dev", "test"):
        tsv(tmp_path / "sst" / f"{part}.tsv")
    source = texts.open_texts(tmp_path / "sst")
    assert source.texts[:8] == [text for text, _ in ROWS]
    assert source.classes == ["neg", "pos"]
    assert source.parts == ["train"] * 8 + ["validation"] * 8 + ["test"] * 8
    assert source.name(16) == "test.tsv row 1"


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "jsonl", "xlsx"])
def test_every_kind_of_table_gives_the_same_texts(tmp_path: Path, form: str) -> None:
    frame = pl.DataFrame(ROWS * 3, schema=["review", "verdict"], orient="row")
    path = tmp_path / f"reviews.{form}"
    writers: dict[str, Any] = {
        "csv": frame.write_csv, "tsv": lambda p: frame.write_csv(p, separator="\t"),
        "parquet": frame.write_parquet, "jsonl": frame.write_ndjson,
    }  # fmt: skip
    if form == "xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in [frame.columns, *frame.rows()]:
            book.active.append(list(row))
        book.save(path)
    else:
        writers[form](path)
    source = texts.open_texts(path, target="verdict")
    assert source.texts == [text for text, _ in ROWS * 3]
    assert source.strata == [1, 1, 1, 1, 0, 0, 0, 0] * 3


def test_class_folders_below_train_and_test_are_read_as_aclimdb_has_them(tmp_path: Path) -> None:
    folder = tree(tmp_path / "aclImdb")
    (folder / "train" / "unsup").mkdir()
    (folder / "train" / "unsup" / "0.txt").write_text("nobody knows")
    (folder / "train" / "urls_pos.txt").write_text("http://somewhere")
    (folder / "imdb.vocab").write_text("the")
    source = texts.open_texts(folder)
    assert len(source) == 16
    assert source.classes == ["neg", "pos"]
    assert source.parts is not None
    assert source.parts.count("test") == 8
    assert source.name(0).endswith("train/neg/4.txt")
    assert any("without labels" in problem.what for problem in source.problems)


def test_a_packed_folder_is_read_as_the_folder_is(tmp_path: Path) -> None:
    folder = tree(tmp_path / "aclImdb")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as tar:
        tar.add(folder, "aclImdb")
    packed = texts.open_texts(tmp_path / "packed.tar.gz")
    assert packed.fingerprint == texts.open_texts(folder).fingerprint
    assert sources.look(tmp_path / "packed.tar.gz").kind == "texts"


def test_a_saved_hugging_face_data_set_is_read_with_the_names_of_its_classes(
    tmp_path: Path,
) -> None:
    source = texts.open_texts(saved(tmp_path / "saved"), target="label")
    assert source.texts[0] == "a fine film"
    assert source.classes == ["neg", "pos"]
    assert source.parts is not None
    assert source.parts.count("test") == 8
    assert sources.look(tmp_path / "saved").kind == "texts"


def test_a_saved_split_without_labels_is_left_out(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved")
    frame = pl.DataFrame({"text": GOOD, "label": [-1] * 4})
    frame.write_ipc_stream(folder / "test" / "data-00000-of-00001.arrow")
    source = texts.open_texts(folder, target="label")
    assert len(source) == 8
    assert any("4 of 12 texts have no label" in problem.what for problem in source.problems)


def test_quotes_that_open_and_never_close_do_not_swallow_rows(tmp_path: Path) -> None:
    rows = [('"fine film', "pos"), ("an actor 5'10\" tall", "neg"), *ROWS]
    read = tablefiles.read(tsv(tmp_path / "train.tsv", rows)).frame
    assert read.rows() == rows


def test_words_that_mean_missing_elsewhere_are_texts_here(tmp_path: Path) -> None:
    rows = [*ROWS, ("none", "neg"), ("?", "neg"), ("null", "pos")]
    assert texts.open_texts(tsv(tmp_path / "a.tsv", rows)).texts[-3:] == ["none", "?", "null"]


# --- Which task -----------------------------------------------------------------------------------


def test_a_table_with_one_column_of_texts_is_for_this_task_alone(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS * 4, schema=["review", "verdict"], orient="row")
    frame.write_csv(tmp_path / "a.csv")
    assert list(catalog.tasks_for(sources.look(tmp_path / "a.csv", "verdict"))) == [
        "text-classification"
    ]
    ages = pl.Series("age", [20.5 + number % 7 for number in range(32)])
    frame.with_columns(ages).write_csv(tmp_path / "b.csv")
    look = sources.look(tmp_path / "b.csv", "verdict")
    assert list(catalog.tasks_for(look)) == ["table-classification"]
    source = texts.open_texts(tmp_path / "b.csv", target="verdict")
    assert source.texts[0] == "a fine film"


def test_several_columns_of_texts_are_named_and_one_must_be_chosen(tmp_path: Path) -> None:
    rows = [(text, text[::-1], label) for text, label in ROWS * 4]
    pl.DataFrame(rows, schema=["title", "body", "y"], orient="row").write_csv(tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"several columns hold texts: title, body.*--text"):
        texts.open_texts(tmp_path / "a.csv", target="y")
    source = texts.open_texts(tmp_path / "a.csv", target="y", text="body")
    assert source.texts[0] == "mlif enif a"


# --- What is learned ------------------------------------------------------------------------------


def test_facts_come_from_the_given_rows_only(tmp_path: Path) -> None:
    source = texts.open_texts(tsv(tmp_path / "a.tsv", [*ROWS * 2, ("zebra zebra", "pos")]))
    facts = source.facts(torch.arange(16))
    words = [facts.vocabulary.token(number) for number in range(len(facts.vocabulary))]
    assert "film" in words
    assert "zebra" not in words
    assert facts.class_counts == [8, 8]
    assert facts.longest == 10


def test_texts_whose_words_do_not_repeat_are_read_by_their_characters(tmp_path: Path) -> None:
    draw = random.Random(0)
    names = ["".join(draw.choices("abcdef", k=7)) for _ in range(40)]
    chinese = ["这部电影很好看", "故事太差了", "演员非常好", "剧情很差"] * 5
    clauses = [
        "这里的服务很好，菜也很好吃，我们很满意。",
        "等了很久，服务员真的令人失望！不会再来。",
    ] * 10
    for number, lines in enumerate((names, chinese, clauses)):
        rows = [(line, "ab"[k % 2]) for k, line in enumerate(lines)]
        source = texts.open_texts(tsv(tmp_path / f"{number}.tsv", rows))
        assert source.facts(torch.arange(len(source))).vocabulary.unit == "characters"


@pytest.mark.parametrize("unit", ["words", "subwords", "characters", "bytes"])
def test_a_text_that_holds_the_name_of_a_special_token_is_read_as_it_stands(unit: Any) -> None:
    known = tokens.learn(["a </s> b <pad> c"] * 3, unit, size=300)
    found = known.encode(["a </s> b <pad> c"])[0]
    assert not set(found.tolist()) & {known.pad, known.unknown, known.begin, known.end}
    if unit != "words":
        assert known.decode(found.tolist()) == "a </s> b <pad> c"


@pytest.mark.parametrize("unit", ["words", "subwords", "characters", "bytes"])
def test_halves_of_characters_are_made_one_or_replaced(unit: Any) -> None:
    known = tokens.learn(["ab \ud83d\ude00", "ab \ud83d"] * 3, unit, size=300)
    same = ["ab \ud83d\ude00", "ab \U0001f600", "ab \ud83d", "ab \ufffd"]
    one, two, three, four = (found.tolist() for found in known.encode(same))
    assert one == two != three == four


def test_longer_texts_are_cut_and_it_is_told_how_many(tmp_path: Path) -> None:
    source = texts.open_texts(tsv(tmp_path / "a.tsv"), longest=3, units="words")
    facts = source.facts(torch.arange(8))
    examples = source.examples(torch.arange(8), facts)
    assert int(examples.lengths.max()) == 3
    assert any("4 of 8 are longer than 3 words" in p.what for p in source.problems)


def test_a_larger_vocabulary_than_the_text_has_is_told(tmp_path: Path) -> None:
    source = texts.open_texts(tsv(tmp_path / "a.tsv"), vocabulary=1000, units="words")
    facts = source.facts(torch.arange(8))
    (problem,) = [p for p in source.problems if p.where.endswith(": vocabulary")]
    assert f"has {len(facts.vocabulary)} words, not 1,000" in problem.what


def test_hidden_words_are_unknown_and_padding_stays() -> None:
    inputs_BT = torch.tensor([[5] * 900 + [tokens.PAD] * 100])
    found_BT = textual.hidden(inputs_BT, 0, share=0.3)
    assert found_BT[0, 900:].eq(tokens.PAD).all()
    assert 0.2 < float(found_BT[0, :900].eq(tokens.UNKNOWN).float().mean()) < 0.4


# --- Bad input ------------------------------------------------------------------------------------


def test_empty_texts_and_missing_labels_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [*ROWS, ("", "pos"), ("no label", ""), ("fine", "pos")]
    source = texts.open_texts(tsv(tmp_path / "a.tsv", rows))
    assert len(source) == 9
    told = [p.what for p in source.problems]
    assert "1 of 11 texts are empty (row 9)" in told
    assert "1 of 11 texts have no label (row 10)" in told
    assert source.name(8) == "row 11"


def test_bytes_that_are_not_utf8_are_named_by_file_and_line(tmp_path: Path) -> None:
    path = tsv(tmp_path / "a.tsv")
    path.write_bytes(path.read_bytes() + "caf\xe9 noir\tpos\n".encode("latin-1"))
    source = texts.open_texts(path)
    assert source.texts[-1] == "café noir"
    assert any(p.where == f"{path} line 9" for p in source.problems)
    folder = tree(tmp_path / "t", parts=())
    (folder / "pos" / "0.txt").write_bytes(b"good\ncaf\xe9")
    source = texts.open_texts(folder)
    (problem,) = source.problems
    assert problem.where.endswith("pos/0.txt line 2")
    assert "0xe9" in problem.what


def test_a_file_that_is_no_text_is_left_out_unless_most_are(tmp_path: Path) -> None:
    folder = tree(tmp_path / "t", parts=())
    (folder / "pos" / "0.txt").write_bytes(b"\x00\x01\x02" * 50)
    source = texts.open_texts(folder)
    assert len(source) == 7
    assert any("zero bytes" in p.what and "0.txt" in p.where for p in source.problems)
    for file in folder.rglob("*.txt"):
        file.write_bytes(b"\x00\x01")
    with pytest.raises(UserError, match="8 of 8 files cannot be read as texts"):
        texts.open_texts(folder)


@pytest.mark.parametrize(
    ("rows", "knobs", "message"),
    [
        ([(text, "pos") for text in GOOD], {}, "column of the labels by --target"),
        ([(text, "pos") for text in GOOD], {"target": "column_2"}, "'pos' for every text"),
        (ROWS, {"target": "rating"}, "has no column 'rating'"),
        (ROWS, {"text": "review"}, "has no column 'review' to be the text"),
        (ROWS, {"target": "column_2", "text": "column_2"}, "both 'column_2'"),
        ([("", "pos"), ("", "neg"), ("", "pos")], {"target": "column_2", "text": "column_1"},
         "the text is missing in every row"),
        ([], {}, "is empty"),
        ([(f"{n}", "ab"[n % 2]) for n in range(30)], {}, "no column of texts"),
        ([(text, f"id {n}") for n, (text, _) in enumerate(ROWS * 3)], {"target": "column_2"},
         "24 different values"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused(
    tmp_path: Path, rows: Any, knobs: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        texts.open_texts(tsv(tmp_path / "a.tsv", rows), **knobs)  # type: ignore[arg-type]


def test_a_folder_with_one_class_or_a_class_that_is_only_tested_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match="'pos' for every text"):
        texts.open_texts(tree(tmp_path / "one", ROWS[:4]))
    folder = tree(tmp_path / "two")
    for file in (folder / "train" / "neg").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="train part has no text of the class 'neg'"):
        texts.open_texts(folder)


def test_a_column_called_label_with_one_class_is_told_as_such(tmp_path: Path) -> None:
    pl.DataFrame({"text": GOOD * 10, "label": ["pos"] * 40}).write_csv(tmp_path / "t.csv")
    with pytest.raises(UserError, match="the target 'label' is 'pos' for every text"):
        texts.open_texts(tmp_path / "t.csv")


def test_words_that_never_repeat_cannot_be_units(tmp_path: Path) -> None:
    rows = [(f"w{n} v{n} u{n}", "ab"[n % 2]) for n in range(12)]
    source = texts.open_texts(tsv(tmp_path / "a.tsv", rows), units="words")
    with pytest.raises(UserError, match="no word occurs twice"):
        source.facts(torch.arange(12))


# --- The doctor -----------------------------------------------------------------------------------


def test_the_doctor_finds_copies_conflicts_and_broken_letters(tmp_path: Path) -> None:
    extra = [("A  fine film", "neg"), ("a fine film", "pos"), ("cafÃ© noir", "pos")]
    for part, rows in (("train", [*ROWS, *extra]), ("dev", ROWS[1:]), ("test", [*ROWS[:2], (
        "фильм очень плохой", "neg")])):  # fmt: skip
        tsv(tmp_path / "d" / f"{part}.tsv", rows)
    found = {p.kind: p for p in inspection.inspect(tmp_path / "d").problems}
    assert {"duplicates", "copies across parts", "label conflicts", "wrong encoding",
            "unknown characters", "class balance"} <= found.keys()  # fmt: skip
    assert "train.tsv row 9 'neg'" in found["label conflicts"].items[0]
    assert found["wrong encoding"].items == ("train.tsv row 11",)
    assert "test part" in found["unknown characters"].where


# --- Training and answering -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> api.TrainedRun:
    folder = tmp_path_factory.mktemp("texts")
    path = tsv(folder / "reviews.tsv", MANY)
    task, recipe = catalog.resolve(
        str(path), {**QUICK, "network": "textcnn", "fit.epochs": 20, "fit.lr": 0.02}
    )
    return api.start(task, recipe, "run", folder, iter)


def test_answers_are_the_same_for_a_text_a_list_a_file_a_table_and_a_folder(
    run: api.TrainedRun, tmp_path: Path
) -> None:
    lines = ["a fine story and good plot", "dull story and poor cast"]
    (tmp_path / "new.txt").write_text("\n".join(lines) + "\n")
    pl.DataFrame({"column_1": lines}).write_csv(tmp_path / "new.csv")
    (tmp_path / "f").mkdir()
    for number, line in enumerate(lines):
        (tmp_path / "f" / f"{number}.txt").write_text(line)
    expected = [run.predict(line)[0] for line in lines]
    assert [p.answer for p in expected] == ["pos", "neg"]
    frame = pl.DataFrame({"column_1": lines})
    for raw in (lines, tmp_path / "new.txt", tmp_path / "new.csv", tmp_path / "f", frame):
        found = run.predict(raw)
        assert [p.answer for p in found] == ["pos", "neg"]
        for one, other in zip(found, expected, strict=True):
            shares = zip(*(p.details["probabilities"].values() for p in (one, other)), strict=True)
            assert all(np.isclose(a, b, atol=1e-6) for a, b in shares)


def test_an_empty_line_is_told_and_the_others_are_answered(
    run: api.TrainedRun, tmp_path: Path
) -> None:
    (tmp_path / "new.txt").write_text("fine story and good plot\n\ndull story and poor cast\n")
    first, second, third = run.predict(tmp_path / "new.txt")
    assert (first.answer, third.answer) == ("pos", "neg")
    assert second.answer is None
    assert second.details == {"error": "is empty"}
    assert second.input == "line 2"


def test_texts_of_unknown_words_are_answered_with_a_warning(run: api.TrainedRun) -> None:
    with pytest.warns(UserWarning, match="words of 1 texts are unknown"):
        (answer,) = run.predict(["Ωμέγα ☃ 电影"])
    assert answer.answer in ("pos", "neg")


def test_a_path_that_is_not_there_is_no_text(run: api.TrainedRun) -> None:
    with pytest.raises(UserError, match="no file or folder 'revews.csv'"):
        run.predict("revews.csv")
    with pytest.raises(UserError, match=r"found a list of int"):
        run.predict([1, 2])
    assert run.predict("")[0].details == {"error": "is empty"}


def test_the_report_shows_mistaken_texts_and_what_the_vocabulary_knows(
    run: api.TrainedRun,
) -> None:
    page = run.report.read_text(encoding="utf-8")
    assert "How texts are read" in page
    assert "of them unknown" in page


def test_files_are_answered_as_files_after_training_on_files(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", MANY)
    task, recipe = catalog.resolve(str(folder), {**QUICK, "network": "textcnn"})
    run = api.start(task, recipe, "run", tmp_path, iter)
    (tmp_path / "new.txt").write_text("fine\nand good\n")
    assert len(run.predict(tmp_path / "new.txt")) == 1


def test_batches_hold_texts_of_like_lengths_and_all_of_them() -> None:
    recipe = catalog.resolve("brackets", QUICK)[1]
    source = TASK.source(recipe)
    rows = torch.arange(len(source))
    examples = source.examples(rows, source.facts(rows))
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    batches = TASK.cut(recipe, examples, order, 25)
    assert torch.equal(torch.cat(list(batches)).sort().values, rows)
    spans = [int(np.ptp(examples.lengths[batch].numpy())) for batch in batches]
    assert np.mean(spans) < 4
    sizes = [int(examples.lengths[batch].sum()) for batch in batches]
    assert max(sizes) < 1.3 * min(sizes)


def test_half_of_the_brackets_are_balanced() -> None:
    lines = [line.rpartition(",") for line in brackets.as_csv().splitlines()[1:]]
    assert len({text for text, *_ in lines}) == len(lines) == brackets.NUM_TEXTS
    for text, _, label in lines:
        assert brackets.is_balanced(text.split()) == (label == "balanced")
    assert sum(label == "balanced" for *_, label in lines) == len(lines) // 2


def test_the_command_line_trains_predicts_and_refuses(tmp_path: Path) -> None:
    tsv(tmp_path / "reviews.tsv", MANY)
    knobs = ["--fit.epochs", "1", "--fit.threads", "1", "--network.width", "8"]
    done = glassnet("train", "reviews.tsv", *knobs, "--name", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = glassnet("predict", "runs/r", "a fine film", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["predictions"][0]["answer"] in ("pos", "neg")
    done = glassnet("train", "reviews.tsv", "--text", "body", cwd=tmp_path)
    assert done.returncode == 2
    assert "no column 'body'" in done.stderr
    done = glassnet("train", "reviews.tsv", "--network", "mlp", cwd=tmp_path)
    assert done.returncode == 2
    assert "textcnn" in done.stderr
