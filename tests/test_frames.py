"""Tables in memory, and files that know their types."""

import bz2
import datetime as dt
import lzma
import zipfile
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
import torch
from data_fixtures import everything, told

from glassnet.data import memory, sources, tablefiles
from glassnet.data.frames import as_frame
from glassnet.data.tables import open_table, read_raw
from glassnet.errors import UserError

pandas = pytest.importorskip("pandas")
DAYS = [dt.datetime(2024, 1, day, 23) for day in range(1, 5)]


def typed(rows=40):
    return pl.DataFrame(
        {
            "size": [k % 7 + 0.5 for k in range(rows)],
            "colour": [["red", "green", None][k % 3] for k in range(rows)],
            "big": [k % 5 > 1 for k in range(rows)],
            "day": [dt.date(2024, 1, k % 28 + 1) for k in range(rows)],
            "y": ["ab"[k % 2] for k in range(rows)],
        }
    )


# --- pandas ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 2, None, 4], "Int64", [1, 2, None, 4]),
        ([1, 2, 3, 4], "uint8", [1, 2, 3, 4]),
        ([1.5, None, 3, 4], "float64", [1.5, None, 3, 4]),
        ([1.5, None, 3, 4], "Float32", [1.5, None, 3, 4]),
        ([1.5, 2, 3, 4], "float16", [1.5, 2, 3, 4]),
        ([True, False, None, True], "boolean", [True, False, None, True]),
        ([True, False, True, True], "bool", [True, False, True, True]),
        (["a", None, "b", "c"], "string", ["a", None, "b", "c"]),
        (["a", None, "b", "c"], "object", ["a", None, "b", "c"]),
        (["a", None, "b", "a"], "category", ["a", None, "b", "a"]),
        ([3, 1, None, 1], "category", [3, 1, None, 1]),
        ([1, "2", None, 3.5], "object", ["1", "2", None, "3.5"]),
        ([True, "yes", None, 1], "object", ["true", "yes", None, "1"]),
        ([Decimal("1.5"), None, Decimal(2), Decimal(3)], "object", [1.5, None, 2, 3]),
        ([DAYS[0], None, *DAYS[2:]], "datetime64[ns]", [DAYS[0], None, *DAYS[2:]]),
        ([0, 0, 1, 0], "Sparse[int]", [0, 0, 1, 0]),
    ],
)
def test_columns_of_pandas_of_every_type_are_read(values, dtype, expected):
    column = pandas.Series(values, dtype=dtype)
    found = as_frame(pandas.DataFrame({"x": column}))["x"]
    assert found.to_list() == expected


def test_dates_with_zones_periods_and_spans_of_time_are_read():
    index = pandas.DatetimeIndex(DAYS, tz="America/New_York")
    frame = pandas.DataFrame(
        {
            "zoned": index,
            "zoned objects": index.astype(object),
            "period": pandas.period_range("2024-01", periods=4, freq="M"),
            "span": pandas.to_timedelta([1, 2, 3, 4], unit="h"),
            "date": [day.date() for day in DAYS],
        }
    )
    found = as_frame(frame)
    assert found["zoned"].to_list() == DAYS  # the time on the clocks there
    assert found["period"].to_list() == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert found["span"].to_list()[0] == dt.timedelta(hours=1)
    assert found["date"].dtype == pl.Date
    zoned = pl.DataFrame({"x": DAYS}).with_columns(pl.col("x").dt.replace_time_zone("Asia/Tokyo"))
    assert as_frame(zoned)["x"].to_list() == DAYS


def test_odd_names_of_columns_are_made_different_and_that_is_said():
    frame = pandas.DataFrame([[1, 2, 3, 4]], columns=["a", "a", 7, ("b", 1)])
    with pytest.warns(UserWarning, match="column 'a': occurs twice; now called 'a_2'"):
        assert as_frame(frame).columns == ["a", "a_2", "7", "b_1"]
    levels = pandas.DataFrame([[1, 2]], columns=pandas.MultiIndex.from_tuples([("x", "u"), "xv"]))
    assert as_frame(levels).columns == ["x_u", "x_v"]


def test_an_index_with_a_name_or_dates_is_a_column():
    plain = pandas.DataFrame({"x": [1, 2, 3, 4]})
    assert as_frame(plain.iloc[[2, 0]]).columns == ["x"]
    assert as_frame(plain.set_index(pandas.Index(list("abcd")))).columns == ["x"]
    named = as_frame(plain.set_index(pandas.Index(list("abcd"), name="shop")))
    assert named.to_dict(as_series=False) == {"shop": list("abcd"), "x": [1, 2, 3, 4]}
    assert as_frame(plain.set_index(pandas.DatetimeIndex(DAYS)))["index"].to_list() == DAYS
    clash = plain.set_index(pandas.Index([1, 2, 3, 4], name="x"))
    with pytest.warns(UserWarning, match="'x_2'"):
        assert as_frame(clash).columns == ["x", "x_2"]


def test_a_frame_of_pandas_trains_like_its_csv(tmp_path):
    frame = typed()
    frame.write_csv(tmp_path / "t.csv")
    text = open_table(tmp_path / "t.csv", target="y", kind="categories")
    facts = text.facts(everything(text))
    other = pandas.DataFrame(frame.to_dict(as_series=False))
    other["colour"] = other["colour"].astype("category")
    assert torch.equal(read_raw(other, facts)[1], text.examples(everything(text), facts).inputs)


# --- Arrow, NumPy ---------------------------------------------------------------------------------


def test_tables_of_arrow_are_read():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"x": [1, None], "y": ["a", "b"], "z": DAYS[:2]})
    assert as_frame(table).to_dict(as_series=False) == {
        "x": [1, None], "y": ["a", "b"], "z": DAYS[:2],
    }  # fmt: skip
    assert as_frame(table.to_batches()[0]).shape == (2, 3)
    text = pandas.Series(["a", None], dtype="string[pyarrow]")
    stamp = pandas.Series(DAYS[:2], dtype="timestamp[us][pyarrow]")
    found = as_frame(pandas.DataFrame({"a": text, "b": stamp}))
    assert found.rows() == [("a", DAYS[0]), (None, DAYS[1])]


def test_arrays_of_numpy_with_fields_or_two_axes_are_read():
    fields = np.array([(1, 2.5, "a"), (3, 4.5, "b")], [("n", "i4"), ("x", "f8"), ("s", "U3")])
    assert as_frame(fields).to_dict(as_series=False) == {
        "n": [1, 3], "x": [2.5, 4.5], "s": ["a", "b"],
    }  # fmt: skip
    assert as_frame(np.eye(2)).columns == ["column_1", "column_2"]
    mixed = np.array([[1, "a"], [2.5, None]], dtype=object)
    assert as_frame(mixed).rows() == [(1.0, "a"), (2.5, None)]


def test_a_pair_of_a_frame_and_answers_keeps_names_and_types(tmp_path):
    frame = typed()
    inputs, answers = frame.drop("y"), frame["y"]
    for x, y in (
        (inputs, answers),
        (pandas.DataFrame(inputs.to_dict(as_series=False)), pandas.Series(answers.to_list())),
        (inputs, answers.to_list()),
    ):
        stored = pl.read_parquet(memory.store((x, y), tmp_path))
        assert stored.rename({memory.TARGET: "y"}).equals(frame)
    with pytest.raises(UserError, match="inputs and targets differ in length: 40 and 39"):
        memory.store((inputs, answers[1:]), tmp_path)
    with pytest.raises(UserError, match="inputs have a column 'target'.*Rename it"):
        memory.store((inputs.rename({"size": "target"}), answers), tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        {"x": [1, 2], "y": [1]},
        np.zeros(3),
        np.zeros((2, 2, 2)),
        object(),
        [],
    ],
)
def test_what_is_no_table_is_explained(data):
    with pytest.raises(UserError, match="make no table|cannot be made of|no column|Give a file"):
        as_frame(data)


# --- Files ----------------------------------------------------------------------------------------


def test_files_of_arrow_and_json_lines_are_read(tmp_path):
    frame = typed()
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ipc(tmp_path / "t.arrow")
    frame.write_ipc(tmp_path / "t.feather")
    frame.write_ipc_stream(tmp_path / "stream.arrow")
    frame.write_ndjson(tmp_path / "t.jsonl")
    whole = open_table(tmp_path / "t.parquet", target="y", kind="categories")
    facts = whole.facts(everything(whole))
    for name in ("t.arrow", "t.feather", "stream.arrow", "t.jsonl"):
        path = tmp_path / name
        source = open_table(path, target="y", kind="categories")
        assert source.fingerprint == whole.fingerprint, name
        assert torch.equal(read_raw(str(path), facts)[1], read_raw(frame, facts)[1])
        assert sources.look(path, target="y").details["num_rows"] == 40
        path.unlink()


def test_packed_text_is_read_whatever_packed_it(tmp_path):
    text = "x,y\n" + "".join(f"{k % 7}.5,{'ab'[k % 2]}\n" for k in range(30))
    (tmp_path / "t.csv.bz2").write_bytes(bz2.compress(text.encode()))
    (tmp_path / "t.csv.xz").write_bytes(lzma.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as packed:
        packed.writestr("inside.csv", text)
    for name in ("t.csv.bz2", "t.csv.xz", "t.csv.zip"):
        assert sources.kind_of(tmp_path / name) == "table"
        assert tablefiles.read(tmp_path / name).frame.shape == (30, 2), name
    (tmp_path / "cut.csv.bz2").write_bytes(bz2.compress(text.encode())[:-8])
    with pytest.raises(UserError, match="cut.csv.bz2 is cut short"):
        tablefiles.read(tmp_path / "cut.csv.bz2")
    with zipfile.ZipFile(tmp_path / "two.csv.zip", "w") as packed:
        packed.writestr("a.csv", text)
        packed.writestr("b.csv", text)
    with pytest.raises(UserError, match="two.csv.zip holds 2 files"):
        tablefiles.read(tmp_path / "two.csv.zip")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t.parquet", "t.parquet cannot be read as Parquet"),
        ("t.arrow", "t.arrow cannot be read as Arrow"),
        ("t.feather", "t.feather cannot be read as Arrow"),
        ("t.jsonl", "t.jsonl cannot be read as JSON lines.*one object in each line"),
        ("t.csv.xz", "blank|no rows|empty|damaged|header"),
    ],
)
def test_damaged_files_are_explained(tmp_path, name, words):
    for content in (b"", b"no such thing", b"\xfd7zXZ\0broken"):
        if name == "t.jsonl" and content.startswith(b"\xfd"):
            continue  # taken for a packed file
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=words):
            open_table(tmp_path / name, target="y", kind="categories")
            raise UserError("no rows")  # 'no such thing' is a table of text without rows


def test_parts_of_unlike_types_are_put_together_as_text(tmp_path):
    typed(20).write_csv(tmp_path / "train.csv")
    typed(10).write_parquet(tmp_path / "test.parquet")
    source = open_table(tmp_path, target="y", kind="categories")
    assert source.parts == ["train"] * 20 + ["test"] * 10
    kinds = {column.name: column.kind for column in source.facts(everything(source)).columns}
    assert kinds == {"size": "number", "colour": "category", "big": "boolean", "day": "date"}


def test_files_of_no_part_are_named(tmp_path):
    for name in ("train", "test", "more", "other"):
        typed(20).write_csv(tmp_path / f"{name}.csv")
    source = open_table(tmp_path, target="y", kind="categories")
    assert told(source.problems, "", "more.csv, other.csv belong to no part", "left out")


def test_a_web_address_is_refused_with_what_to_do():
    with pytest.raises(UserError, match="https://host/t.csv is on the web. Download the file"):
        sources.look("https://host/t.csv")


def test_dates_learned_from_a_typed_column_may_be_given_as_text():
    source = open_table(typed(), target="y", kind="categories")
    facts = source.facts(everything(source))
    row = {"size": 1.5, "colour": "red", "big": True, "day": dt.date(2024, 1, 5)}
    plain = read_raw(row, facts)[1]
    assert torch.equal(read_raw({**row, "day": "2024-01-05"}, facts)[1], plain)
    for nonsense in ("soon", 7):
        _, inputs, problems = read_raw({**row, "day": nonsense}, facts)
        assert inputs.isfinite().all() and told(problems, "column 'day'", "1 cells are no dates")
