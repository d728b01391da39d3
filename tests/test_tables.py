import datetime
import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from data_fixtures import SHARED, everything, needs_shared, told, write

from glassnet.data.tables import TableFacts, open_table, read_raw
from glassnet.errors import UserError

HEADER = "size,colour,price,kind\n"


def rows(n=30, start=0):
    colours = ["red", "green", "blue"]
    return "".join(
        f"{n % 7 + 0.5},{colours[n % 3]},{n * n},{'ab'[n % 2]}\n" for n in range(start, start + n)
    )


def table(tmp_path, text=None, name="t.csv", target="kind", kind="categories", **more):
    path = write(tmp_path / name, HEADER + rows() if text is None else text)
    return open_table(path, target=target, kind=kind, **more)


def kinds(source):
    return {c.name: c.kind for c in source.facts(everything(source)).columns}


def encoded(source):
    facts = source.facts(everything(source))
    return facts, source.examples(everything(source), facts)


def names(facts):
    """The names of the slots; of a category, with its levels."""
    return [f"{s.name}: {'|'.join(s.levels)}" if s.levels else s.name for s in facts.slots]


def row_of(facts, vector):
    """Name of the slot -> its number, or the name of its level."""
    pairs = zip(facts.slots, vector.tolist(), strict=True)
    return {s.name: s.levels[int(v)] if s.levels else v for s, v in pairs}


def levels(facts, name):
    return next(s.levels for s in facts.slots if s.name == name)


def vectors(raw, facts):
    return read_raw(raw, facts)[1]


# --- Reading files --------------------------------------------------------------------------------


def test_a_csv_becomes_vectors_and_classes(tmp_path):
    source = table(tmp_path)
    facts, examples = encoded(source)
    assert len(source) == 30 and source.parts is None and source.strata == [0, 1] * 15
    assert kinds(source) == {"size": "number", "colour": "category", "price": "number"}
    assert names(facts) == ["size", "colour: blue|green|red|other", "price"]
    batch = examples.batch(torch.tensor([1, 0]))
    assert batch.inputs.shape == (2, 3) and batch.inputs.dtype == torch.float32
    assert batch.targets.tolist() == [1, 0] and batch.targets.dtype == torch.int64
    assert source.name(16) == "row 17"
    assert facts.classes == ["a", "b"] and facts.target.kind == "categories"


@pytest.mark.parametrize(
    ("separator", "name"), [(",", "a.csv"), (";", "a.csv"), ("\t", "a.tsv"), ("|", "a.txt")]
)
def test_the_separator_is_found(tmp_path, separator, name):
    text = (HEADER + rows()).replace(",", separator)
    source = table(tmp_path, text, name)
    plain = table(tmp_path, name="plain.csv")
    assert source.fingerprint == plain.fingerprint
    assert table(tmp_path, text, name, separator=separator).fingerprint == plain.fingerprint


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_with_and_without_mark(tmp_path, encoding):
    text = (HEADER + rows()).replace("red", "röt")
    source = table(tmp_path, text.encode(encoding))
    assert "röt" in levels(encoded(source)[0], "colour") and not source.problems


def test_western_text_is_read_and_that_is_said(tmp_path):
    source = table(tmp_path, (HEADER + rows()).replace("red", "röt").encode("cp1252"))
    assert "röt" in levels(encoded(source)[0], "colour")
    assert told(source.problems, "t.csv line 2", "Windows-1252", "save the file as UTF-8")


def test_gz_and_parquet_are_read(tmp_path):
    plain = table(tmp_path)
    packed = table(tmp_path, gzip.compress((HEADER + rows()).encode()), "t.csv.gz")
    assert packed.fingerprint == plain.fingerprint
    pl.read_csv(tmp_path / "t.csv").write_parquet(tmp_path / "t.parquet")
    parquet = open_table(tmp_path / "t.parquet", target="kind", kind="categories")
    assert torch.equal(encoded(parquet)[1].inputs, encoded(plain)[1].inputs)


def test_all_members_of_a_gz_are_read(tmp_path):
    parts = [(HEADER + rows(40)).encode(), rows(40, 40).encode()]
    source = table(tmp_path, b"".join(map(gzip.compress, parts)), "t.csv.gz")
    assert len(source) == 80 and not source.problems


def test_quotes_of_both_kinds_and_spaces_after_commas(tmp_path):
    text = "".join(f"{n}.5, 'a, {n % 2}', '{-1 if n % 2 else 1}'\n" for n in range(30))
    source = table(tmp_path, "x, note, y\n" + text, target="y")
    assert source.target.classes == ["-1", "1"]
    assert "a, 0" in levels(encoded(source)[0], "note")
    double = "".join(f'{n}.5, "a, ""{n % 2}""", "{n % 2}"\n' for n in range(30))
    source = table(tmp_path, "x, note, y\n" + double, target="y")
    assert 'a, "1"' in levels(encoded(source)[0], "note")


def test_decimal_commas_and_thousands_are_numbers(tmp_path):
    text = "x;z;y\n" + "".join(f"{n},25;1.{n:03},5;{'ab'[n % 2]}\n" for n in range(30))
    source = table(tmp_path, text, target="y")
    facts, examples = encoded(source)
    assert [c.notation for c in facts.columns] == ["comma", "comma"]
    assert facts.columns[0].centre == 14.75 and facts.columns[1].centre == 1015.0
    text = "x,y\n" + "".join(f'"1,{n * 7:03}",{"ab"[n % 2]}\n' for n in range(30))
    facts, _ = encoded(table(tmp_path, text, target="y"))
    assert facts.columns[0].notation == "thousands" and facts.columns[0].centre == 1101.5


@pytest.mark.parametrize("token", ["", "?", "NA", "nan", "null", "N/A", "None", " "])
def test_missing_values_get_a_slot_and_the_median(tmp_path, token):
    text = HEADER + rows() + f"{token},{token},3,a\n"
    facts, examples = encoded(table(tmp_path, text))
    last = row_of(facts, examples.inputs[-1])
    assert last["size"] == 0 and last["size missing"] == 1
    assert last["colour"] == "missing"
    assert row_of(facts, examples.inputs[0])["size missing"] == 0


def test_files_without_a_header_get_names(tmp_path):
    source = table(tmp_path, rows(), target="column_4")
    assert len(source) == 30
    assert told(source.problems, "t.csv", "column_1 … column_4", "columns.txt")
    write(tmp_path / "columns.txt", "size\ncolour\nprice\nkind\n")
    source = table(tmp_path, rows())
    assert len(source) == 30 and not source.problems
    write(tmp_path / "columns.txt", "size\ncolour\n")
    with pytest.raises(UserError, match="columns.txt names 2 columns, but .*t.csv has 4"):
        table(tmp_path, rows())


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\nx,y\nz,w\nu,v\n", True),
        ("x,y\nx,w\nz,y\nu,y\n", False),
        ("0,1,2\n.5,.2,.1\n.5,.2,.3\n", True),
        ("5,1,2\n.5,.2,.1\n.5,.2,.3\n", False),
        ("id,2019,2020\n1,7,8\n2,5,4\n", True),
        ("?,1.5,a\n3,2.5,a\n4,2.5,b\n", False),
    ],
)
def test_a_header_is_told_from_data(tmp_path, text, header):
    from glassnet.data.tablefiles import read_file

    assert read_file(write(tmp_path / "t.csv", text)).header is header


def test_rows_of_the_wrong_width_are_reported_by_line_and_left_out(tmp_path):
    text = HEADER + rows(10) + "1,2\n" + rows(10, 10) + "1,red,3,a,extra\n\n" + rows(10, 20)
    source = table(tmp_path, text)
    assert len(source) == 30
    assert told(source.problems, "t.csv line 12", "2 rows", "12 (2), 23 (5)", "left out")
    with pytest.raises(UserError, match="31 of 61 rows have another number of fields than 4"):
        table(tmp_path, HEADER + rows() + "1,2\n" * 31 + "")


def test_a_quote_that_never_closes_is_explained(tmp_path):
    with pytest.raises(UserError, match="t.csv"):
        table(tmp_path, HEADER + rows() + '1,"red' + "x,1,a\n" * 60_000)


def test_a_line_may_be_longer_than_a_cell(tmp_path):
    wide = ",".join(f"column with a long name {n}" for n in range(6000))
    text = f"{wide},y\n" + "".join("0," * 6000 + f"{'ab'[n % 2]}\n" for n in range(4))
    assert table(tmp_path, text, target="y").frame.width == 6001


def test_repeated_and_empty_column_names_are_told_apart(tmp_path):
    text = "x,x,,y\n" + "".join(f"{n}.5,{n % 4},{n % 3},{'ab'[n % 2]}\n" for n in range(30))
    source = table(tmp_path, text, target="y")
    assert list(kinds(source)) == ["x", "x_2", "column_3"]
    assert told(source.problems, "column 'x'", "occurs twice", "'x_2'")


def test_a_folder_with_train_and_test_has_parts(tmp_path):
    write(tmp_path / "my-train.csv.gz", gzip.compress((HEADER + rows(20)).encode()))
    write(tmp_path / "my-test.csv", HEADER + rows(10, 20))
    source = open_table(tmp_path, target="kind", kind="categories")
    assert source.parts == ["train"] * 20 + ["test"] * 10
    assert source.name(20) == "my-test.csv row 1"


def test_a_test_file_without_answers_is_not_used(tmp_path):
    write(tmp_path / "train.csv", HEADER + rows())
    write(tmp_path / "test.csv", "size,colour,price\n1,red,2\n2,blue,3\n")
    source = open_table(tmp_path, target="kind", kind="categories")
    assert len(source) == 30 and source.parts is None
    assert told(source.problems, "test.csv", "no column 'kind'", "not used")


def test_parts_must_have_the_same_columns(tmp_path):
    write(tmp_path / "train.csv", HEADER + rows())
    write(tmp_path / "test.csv", "size,hue,kind\n1,red,a\n2,blue,b\n")
    with pytest.raises(UserError, match="test.csv lacks the columns colour, price"):
        open_table(tmp_path, target="kind", kind="categories")


def test_a_folder_with_several_tables_is_refused_with_their_names(tmp_path):
    for name in ("one.csv", "two.csv"):
        write(tmp_path / name, HEADER + rows())
    with pytest.raises(UserError, match=r"2 tables: one.csv, two.csv.*train.csv and test.csv"):
        open_table(tmp_path, target="kind", kind="categories")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "t.csv is empty"),
        (HEADER, "t.csv holds no rows"),
        ('""\n', "t.csv holds blank cells only"),
        (HEADER + f"1,{'x' * 200_000},2,a\n", "t.csv line 2: field larger.*a cell is longer"),
        (b"PK\x03\x04\0\0\0\0", "t.csv is no text file.*known by their suffix"),
        (b"\x1f\x8b\x08broken", "t.csv is (damaged|cut short).*again"),
    ],
)
def test_files_that_are_no_tables_are_explained(tmp_path, content, words):
    with pytest.raises(UserError, match=words):
        table(tmp_path, content)


def test_a_broken_parquet_and_a_missing_file_are_explained(tmp_path):
    with pytest.raises(UserError, match="t.parquet cannot be read as Parquet"):
        table(tmp_path, "text", "t.parquet")
    with pytest.raises(UserError, match="nowhere.csv does not exist"):
        open_table(tmp_path / "nowhere.csv", target="y", kind="numbers")


# --- The target -----------------------------------------------------------------------------------


def test_an_unknown_target_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="no column 'kin'.*Did you mean 'kind'.*size, colour"):
        table(tmp_path, target="kin")


def test_rows_without_an_answer_are_left_out(tmp_path):
    source = table(tmp_path, HEADER + "1,red,2,\n" + rows())
    assert len(source) == 30 and source.name(0) == "row 2"
    assert told(source.problems, "column 'kind'", "missing in 1 rows (1)", "left out")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda n: "same", "categories", "'same' in every row.*another target"),
        (
            lambda n: f"name{n}",
            "categories",
            "30 different values.*--task table-regression.*identifier",
        ),
        (lambda n: n * 1.5, "categories", "30 different values.*regression"),
        (lambda n: "ab"[n % 2], "numbers", "must hold numbers.*'a', 'b'.*classification"),
        (lambda n: "", "categories", "missing in every row"),
        (lambda n: 7, "numbers", "'7' in every row"),
    ],
)
def test_unfit_targets_are_refused(tmp_path, answer, kind, words):
    text = "x,y\n" + "".join(f"{n % 9}.5,{answer(n)}\n" for n in range(30))
    with pytest.raises(UserError, match=words):
        table(tmp_path, text, target="y", kind=kind)


def test_a_class_with_one_row_is_kept_and_reported(tmp_path):
    source = table(tmp_path, HEADER + rows() + "1,red,2,rare\n")
    assert source.target.classes == ["a", "b", "rare"] and source.strata[-1] == 2
    assert told(source.problems, "column 'kind'", "'rare' has one row only", "add rows")


def test_classes_stand_in_natural_order_or_as_asked(tmp_path):
    def classes(words, **more):
        text = "x,y\n" + "".join(f"{n % 7}.5,{words[n % len(words)]}\n" for n in range(60))
        source = table(tmp_path, text, target="y", **more)
        facts, examples = encoded(source)
        assert [facts.classes[k] for k in examples.targets[: len(words)]] == words
        return facts.classes

    assert classes(["10", "week 10", "9", "b", "week 2"]) == ["9", "10", "b", "week 2", "week 10"]
    sizes = ["high", "low", "middle"]
    assert classes(sizes) == sizes
    assert classes(sizes, classes=["low", "middle", "high"]) == ["low", "middle", "high"]
    for wrong in (["low", "high"], ["low", "low", "high", "middle"], ["low", "high", "tall"]):
        with pytest.raises(UserError, match="each class of the target 'y' once.*high, low, middle"):
            classes(sizes, classes=wrong)
    with pytest.raises(UserError, match="classes can only be given for a target of categories"):
        table(tmp_path, target="price", kind="numbers", classes=["1"])


def test_none_may_be_a_class(tmp_path):
    source = table(tmp_path, (HEADER + rows()).replace(",a\n", ",None\n"))
    assert source.target.classes == ["None", "b"] and len(source) == 30


def test_the_target_of_a_regression_is_standardized_by_the_training_rows(tmp_path):
    source = table(tmp_path, target="price", kind="numbers")
    facts = source.facts(torch.arange(20))
    examples = source.examples(everything(source), facts)
    values = np.arange(20.0) ** 2
    assert facts.target.mean == values.mean() and facts.target.std == values.std()
    assert examples.targets.dtype == torch.float32 and source.strata is None
    assert examples.targets[:20].mean().abs() < 1e-6
    again = examples.targets.double() * facts.target.std + facts.target.mean
    assert again.tolist() == pytest.approx([n * n for n in range(30)], abs=1e-3)


def test_a_few_odd_answers_of_a_regression_are_left_out(tmp_path):
    text = "x,y\n" + "".join(f"{n % 9}.5,{n}\n" for n in range(200)) + "1,inf\n"
    source = table(tmp_path, text, target="y", kind="numbers")
    assert len(source) == 200 and told(source.problems, "column 'y'", "'inf'", "missing")


# --- Types of columns -----------------------------------------------------------------------------


def column(tmp_path, cell, n=60, name="x"):
    text = f"{name},y\n" + "".join(f"{cell(k)},{'ab'[k % 2]}\n" for k in range(n))
    source = table(tmp_path, text, target="y")
    return source, source.facts(everything(source)).columns[0]


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (lambda n: n % 3, "number"),
        (lambda n: f"{n}e-3", "number"),
        (lambda n: ["yes", "No"][n % 2], "boolean"),
        (lambda n: ["TRUE", "FALSE"][n % 2], "boolean"),
        (lambda n: f"level {n % 5}", "category"),
        (lambda n: f"2024-01-{n % 28 + 1:02}", "date"),
        (lambda n: f"{n % 28 + 1:02}.03.2024", "date"),
        (lambda n: f"2024-01-{n % 28 + 1:02} 1{n % 10}:30:00", "date"),
        (lambda n: f"1{n % 10}:{n:02}:00", "date"),
    ],
)
def test_types_are_inferred(tmp_path, cell, kind):
    source, found = column(tmp_path, cell)
    assert found.kind == kind
    facts, examples = encoded(source)
    assert examples.inputs.shape[1] == len(facts.slots) and examples.inputs.isfinite().all()
    assert examples.inputs.std(0).max() > 0.1


@pytest.mark.parametrize(
    ("cell", "kind", "reads"),
    [
        (lambda n: f"{n * 37 % 400 / 10}" if n % 10 else ["n.k.", "<0.5"][n % 20 > 0], "number", 0),
        (lambda n: f"{n} kg", "number", 3),
        (lambda n: f"{n}kg" if n % 2 else str(n), "number", 3),
        (lambda n: f'"${n * 1000 + 7:,}"', "number", 3007),
        (lambda n: f'"€ {n},50"', "number", None),
        (lambda n: f"{n}%", "number", 3),
        (lambda n: f'"({n * 1000 + 7:,})"', "number", -3007),
        (lambda n: f"{n % 9} {n % 1000:03}", "number", 3003),
        (lambda n: f"\N{MINUS SIGN}{n}", "number", -3),
        (lambda n: ["Yes", "YES", "y", "no", "N", "n"][n % 6], "boolean", None),
        (lambda n: ["on", "off"][n % 2], "boolean", None),
        (lambda n: f"2024-01-{n % 28 + 1:02}" + " 10:00:00" * (n % 5 == 0), "date", None),
        (lambda n: f"2024-01-{n % 28 + 1:02}" if n % 40 else "unknown", "date", None),
        (lambda n: f'"Jan {n % 28 + 1}, 2024"', "date", None),
        (lambda n: f"20{n % 20 + 1:02}-{n % 12 + 1:02}", "date", None),
        (lambda n: ["yes", "no", "maybe"][n % 3], "category", None),
        (lambda n: f"{n % 9 * 10}-{n % 9 * 10 + 10}", "category", None),
        (lambda n: ["1", "2", "3", "A"][n % 4], "category", None),
    ],
)
def test_mixed_spellings_are_read(tmp_path, cell, kind, reads):
    source, found = column(tmp_path, cell, n=400)
    assert found.kind == kind, found
    if reads:
        facts, examples = encoded(source)
        bent = examples.inputs[3, 0].double()
        scaled = bent / (1 - (bent / 3) ** 2).sqrt()
        assert float(scaled) * found.scale + found.centre == pytest.approx(
            reads, rel=1e-3, abs=0.01
        )


def test_another_unit_than_that_of_training_is_not_converted(tmp_path):
    source, _ = column(tmp_path, lambda n: f"{n} kg", n=400)
    facts, _ = encoded(source)
    _, _, problems = read_raw([{"x": "12 g"}], facts)
    assert told(problems, "column 'x'", "'12 g'", "missing")
    same = [vectors({"x": x}, facts).tolist() for x in ("12 kg", "12kg", "12", 12)]
    assert all(one == same[0] for one in same)


@pytest.mark.parametrize(
    ("name", "cell", "reason"),
    [
        ("x", lambda n: f"name {n}", "identifier"),
        ("x", lambda n: n + 1, "counts the rows"),
        ("customer_id", lambda n: 7919 * n % 10007, "named like an identifier"),
        ("x", lambda n: "same", "'same' in every training row"),
        ("x", lambda n: "", "no value in any"),
    ],
)
def test_identifiers_and_constants_are_ignored_and_reported(tmp_path, name, cell, reason):
    text = f"{name},z,y\n" + "".join(f"{cell(k)},{k % 7},{'ab'[k % 2]}\n" for k in range(60))
    source = table(tmp_path, text, target="y")
    facts = source.facts(everything(source))
    assert facts.columns[0].kind == "ignored" and names(facts) == ["z"]
    assert told(source.problems, f"column '{name}'", reason, "not used")
    source.facts(everything(source))
    assert len([p for p in source.problems if name in p.where]) == 1


@pytest.mark.parametrize("name", ["acid", "paid", "price_index"])
def test_names_that_only_sound_like_an_identifier_are_kept(tmp_path, name):
    assert column(tmp_path, lambda n: 7919 * n % 10007, name=name)[1].kind == "number"


def test_nothing_to_learn_from_is_refused(tmp_path):
    with pytest.raises(UserError, match="no column to learn from beside the target 'y'"):
        column(tmp_path, lambda n: "same")


def test_a_category_may_have_many_levels(tmp_path):
    source, found = column(tmp_path, lambda n: f"word{n % 200 if n % 2 else 0}", n=1000)
    assert found.kind == "category" and len(found.levels) == 101 and "word0" in found.levels


def test_texts_are_read_by_their_words(tmp_path):
    people = ["Mr. Owen Braund", "Mrs. Laina Futrelle", "Miss. Ida Moran"]
    source, found = column(tmp_path, lambda n: f"{people[n % 3]} {n}", n=300)
    assert found.kind == "text" and {"mr", "mrs", "miss", "ida"} <= set(found.words)
    facts, examples = encoded(source)
    assert row_of(facts, examples.inputs[0])["x: mr"] == 1
    assert row_of(facts, examples.inputs[1])["x: mr"] == 0
    new = row_of(facts, vectors({"x": "MISS!! Somebody"}, facts)[0])
    assert new["x: miss"] == 1 and sum(v for k, v in new.items() if k != "x: length") == 1


def test_heavy_tails_are_bent_and_infinity_is_missing(tmp_path):
    text = "x,y\n" + "".join(f"{n % 9},{'ab'[n % 2]}\n" for n in range(200)) + "1e300,a\ninf,b\n"
    source = table(tmp_path, text, target="y")
    facts, examples = encoded(source)
    assert names(facts) == ["x", "x missing"]
    assert examples.inputs[200, 0] == pytest.approx(3.0)
    assert examples.inputs[201].tolist() == [0, 1]
    assert told(source.problems, "column 'x'", "'inf'", "missing")


def test_a_few_odd_cells_do_not_make_numbers_text(tmp_path):
    text = "x,y\n" + "".join(f"{n % 9},{'ab'[n % 2]}\n" for n in range(200)) + "n/k,a\n"
    source = table(tmp_path, text, target="y")
    facts, examples = encoded(source)
    assert facts.columns[0].kind == "number"
    assert told(source.problems, "column 'x'", "'n/k'", "mend")


# --- One path for training and prediction ---------------------------------------------------------


def mixed(tmp_path):
    text = "size;when;ok;colour;kind\n" + "".join(
        f"{n},5;2024-0{n % 9 + 1}-11;{['yes', 'no'][n % 2]};{['red', 'blue'][n % 3 > 0]};{n % 2}\n"
        for n in range(40)
    )
    return table(tmp_path, text)


def test_prediction_equals_training_in_every_form(tmp_path):
    source = mixed(tmp_path)
    facts, examples = encoded(source)
    expected = examples.inputs
    frame = source.frame.drop("kind")
    assert torch.equal(vectors(frame, facts), expected)
    assert torch.equal(vectors(frame.to_dicts(), facts), expected)
    assert torch.equal(vectors(frame.to_dicts()[3], facts), expected[3:4])
    assert torch.equal(vectors(frame.to_dict(as_series=False), facts), expected)
    assert torch.equal(vectors(frame.select(frame.columns[::-1]), facts), expected)
    for separator in ",;":
        frame.write_csv(tmp_path / "new.csv", separator=separator)
        assert torch.equal(vectors(tmp_path / "new.csv", facts), expected)
    frame[:1].write_csv(tmp_path / "one.csv")
    assert torch.equal(vectors(tmp_path / "one.csv", facts), expected[:1])
    assert torch.equal(vectors(tmp_path / "t.csv", facts), expected), "with the target as well"


def test_values_may_come_in_their_own_types(tmp_path):
    source = mixed(tmp_path)
    facts, examples = encoded(source)
    typed = {"size": 3.5, "when": datetime.date(2024, 4, 11), "ok": False, "colour": "red"}
    assert torch.equal(vectors(typed, facts), examples.inputs[3:4])
    nothing = dict.fromkeys(typed)
    empty = row_of(facts, vectors(nothing, facts)[0])
    assert empty.pop("colour") == "other" and not any(empty.values())
    assert len(source.examples(torch.arange(0), facts)) == 0


def test_columns_of_bytes_and_lists_are_ignored(tmp_path):
    n = 30
    frame = pl.DataFrame({
        "x": range(n), "bytes": [b"x"] * n, "list": [[1]] * n, "y": ["a", "b"] * (n // 2),
        "kind": pl.Series(["u", "v", "w"] * (n // 3), dtype=pl.Categorical),
    })  # fmt: skip
    source = open_table(frame.with_columns(pl.col("x") * 1.5), target="y", kind="categories")
    facts, _ = encoded(source)
    assert names(facts) == ["x", "kind: u|v|w|other"]


def test_numbers_may_come_as_numbers(tmp_path):
    source = table(tmp_path)
    facts, examples = encoded(source)
    typed = pl.read_csv(tmp_path / "t.csv")
    assert torch.equal(vectors(typed, facts), examples.inputs)
    row = {"size": 0.5, "colour": "red", "price": 0, "unknown": 1}
    assert torch.equal(vectors(row, facts), examples.inputs[:1])
    of_frame = open_table(typed, target="kind", kind="categories")
    assert torch.equal(encoded(of_frame)[1].inputs, examples.inputs)


def test_pandas_frames_are_accepted(tmp_path):
    pandas = pytest.importorskip("pandas")
    source = table(tmp_path)
    facts, examples = encoded(source)
    frame = pandas.read_csv(tmp_path / "t.csv")
    assert torch.equal(vectors(frame, facts), examples.inputs)
    assert open_table(frame, target="kind", kind="categories").target.classes == ["a", "b"]


def test_files_without_a_header_are_predicted_without_a_header(tmp_path):
    source = table(tmp_path, rows(), target="column_4")
    facts, examples = encoded(source)
    without = "".join(line.rpartition(",")[0] + "\n" for line in rows(3).splitlines())
    assert torch.equal(vectors(write(tmp_path / "n.csv", without), facts), examples.inputs[:3])
    assert torch.equal(vectors(write(tmp_path / "n.csv", rows(3)), facts), examples.inputs[:3])


def test_unseen_categories_are_other_and_missing_columns_are_named(tmp_path):
    source = table(tmp_path)
    facts, _ = encoded(source)
    row = {"size": 1, "colour": "pink", "price": 3}
    assert row_of(facts, vectors(row, facts)[0])["colour"] == "other"
    with pytest.raises(UserError, match="column 'colour' is missing.*'color'.*size, colour, price"):
        vectors({"size": 1, "color": "red", "price": 3}, facts)
    with pytest.raises(UserError, match="make no table.*as many values in every column"):
        vectors({"size": [1, 2], "colour": ["red"], "price": [3]}, facts)
    with pytest.raises(UserError, match="cannot be made of a int"):
        vectors(7, facts)
    found, inputs, problems = read_raw([{**row, "size": "big"}], facts)
    assert found == ["row 1"] and told(problems, "column 'size'", "'big'")


def test_facts_come_from_the_given_rows_only(tmp_path):
    source = table(tmp_path)
    changed = table(tmp_path, HEADER + rows(20) + "999,pink,-5,a\n" * 10, name="other.csv")
    train = torch.arange(20)
    assert source.facts(train) == changed.facts(train)
    assert source.fingerprint != changed.fingerprint


def test_rows_may_have_weights(tmp_path):
    text = "w,x,y\n" + "".join(f"{n % 3},{n}.5,{'ab'[n % 2]}\n" for n in range(30))
    source = table(tmp_path, text, target="y", weights="w")
    facts, examples = encoded(source)
    assert names(facts) == ["x"]
    assert examples.batch(torch.tensor([2, 0])).weights.tolist() == [2, 0]
    with pytest.raises(UserError, match="column 'w' must hold a weight .* row 1 has none"):
        table(
            tmp_path, text.replace("w,x", "w,x").replace("0,0.5", "-1,0.5"), target="y", weights="w"
        )
    with pytest.raises(UserError, match="no column 'v' to be the weight of each row"):
        table(tmp_path, text, target="y", weights="v")


def test_a_spike_does_not_take_all_bins(tmp_path):
    text = "x,y\n" + "".join(f"{n if n % 10 == 0 else 0},{'ab'[n % 2]}\n" for n in range(2000))
    facts, _ = encoded(table(tmp_path, text, target="y"))
    assert len(facts.columns[0].edges) > 20


def test_facts_survive_json(tmp_path):
    facts, _ = encoded(mixed(tmp_path))
    assert TableFacts.model_validate_json(facts.model_dump_json()) == facts


def test_the_fingerprint_does_not_depend_on_the_place(tmp_path):
    assert table(tmp_path / "a").fingerprint == table(tmp_path / "b").fingerprint
    assert table(tmp_path, HEADER + rows(31)).fingerprint != table(tmp_path).fingerprint


# --- Real sets ------------------------------------------------------------------------------------

REAL = [
    ("toyota_corolla/ToyotaCorolla.csv", "Price", "numbers", 1436),
    ("toyota_corolla/ToyotaCorolla_wide.csv", "price", "numbers", 1436),
    ("california_housing", "median_house_value", "numbers", 20640),
    ("titanic", "Survived", "categories", 891),
    ("mammography", "column_7", "categories", 11183),
    ("adult", "column_15", "categories", 48842),
]


@needs_shared
@pytest.mark.parametrize(("path", "target", "kind", "count"), REAL)
def test_published_tables_are_read_as_they_come(path, target, kind, count):
    source = open_table(Path(SHARED) / f"tabular_{path}", target=target, kind=kind)
    assert len(source) == count
    facts, examples = encoded(source)
    assert examples.inputs.isfinite().all() and examples.inputs.min() >= -3
    if "adult" in path:
        assert facts.classes == ["<=50K", ">50K"] and source.parts.count("test") == 16281
        assert np.bincount(source.strata).tolist()[1] == 7841 + 3846
        assert told(source.problems, "<=50K., >50K.", "dot was removed")
    if "mammography" in path:
        assert np.bincount(source.strata).tolist() == [10923, 260]


def test_a_misspelt_target_is_named_even_if_the_test_part_has_no_answers(tmp_path):
    (tmp_path / "train.csv").write_text("a,survived\n" + "1,yes\n2,no\n" * 20)
    (tmp_path / "test.csv").write_text("a\n1\n2\n")
    with pytest.raises(UserError, match="no column 'surv' .*Did you mean 'survived'"):
        open_table(tmp_path, target="surv", kind="categories")


def test_levels_that_are_too_rare_to_be_told_apart_are_reported(tmp_path):
    source, found = column(tmp_path, lambda n: f"z{n % 150 if n % 3 else n}", n=900)
    assert found.kind == "category"
    assert told(source.problems, "column 'x'", "values occur once", "'other'")


def test_dates_that_can_be_meant_in_one_way_only_stand_together(tmp_path):
    ways = ["2022-02-{:02}", "{:02}/12/2020", "Apr {:02}; 2020", "2020-01-{:02}T00:00:00"]
    source, found = column(tmp_path, lambda n: ways[n % 4].format(n % 28 + 1), n=200)
    assert found.kind != "date", "a semicolon is none of them"
    ways[2] = '"Apr {:02}, 2020"'
    source, found = column(tmp_path, lambda n: ways[n % 4].format(n % 28 + 1), n=200)
    assert found.kind == "date" and not found.missing
