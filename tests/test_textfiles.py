"""Two readers of one text: polars for regular files, Python's csv for all; they must agree."""

import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data import textfiles
from glassnet.data.tablefiles import read_file
from glassnet.errors import UserError

PATH = Path("t.csv")
PIECES = ["a", "1", ",", ",", "\n", "\n", '"', '""', "'", " ", ";", "\r", "\r\n", "ä", "\t", "\x1c"]
CELLS = st.one_of(
    st.sampled_from(["", "a", "1.5", " b", "c ", '"q"', '"a, b"', '"say ""hi"""', '5" pipe', '""']),
    st.text("ab, \"'", max_size=5),
)


def by_csv(text, dialect, width):
    try:
        problems = []
        return textfiles.careful(PATH, text, dialect, width, problems), problems
    except UserError as error:
        return None, [error]


def assert_agree(text, dialect, width):
    quick = textfiles.regular(text.encode(), dialect, width)
    if quick is not None:
        slow, problems = by_csv(text, dialect, width)
        assert not problems and quick.equals(slow)
    return quick


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.integers(1, 3))
def test_what_polars_reads_of_any_text_is_what_csv_reads(text, width):
    assert_agree(text, (",", '"'), width)
    assert_agree(text, (",", "'"), width)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8))
def test_what_polars_reads_of_odd_cells_is_what_csv_reads(rows):
    for separator in (",", "|", "\t", ";"):
        assert_agree("\n".join(separator.join(row) for row in rows), (separator, '"'), 3)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "a,b\r\n1,2\r\n",
        "a, b\n 1,  2\n",
        'a,"b, c"\n1,"say ""hi"""\n',
        "a,\n,2\n\n\n",
        "ä,ö\n€,\U0001f600\n",
    ],
)
def test_regular_text_is_read_at_once(text):
    assert assert_agree(text, (",", '"'), 2) is not None


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1\n",
        "a,b\n1,2,3\n",
        'a,b\n1,"two\nlines"\n',
        'a,b\n1, "2"\n',
        'a,b\n1,5" pipe\n',
        'a,b\n1,"2" x\n',
        "a,b\n\n1,2\n",
        "a,b\r1,2\r",
        'a,b\n1,"never closed\n',
    ],
)
def test_all_other_text_is_left_to_csv(text):
    assert textfiles.regular(text.encode(), (",", '"'), 2) is None


def test_cells_over_several_lines_are_kept_whole(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,note\n" + '1,"two\nlines, one cell"\n' * 30)
    read = read_file(path)
    assert read.frame.height == 30 and not read.problems
    assert read.frame["note"].unique().to_list() == ["two\nlines, one cell"]


def test_a_wrong_row_far_below_is_still_named_by_its_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "1,2\n" * 5000 + "1,2,3\n" + "1,2\n" * 10)
    read = read_file(path)
    assert read.frame.height == 5010
    assert "5002 (3)" in read.problems[0].what and read.problems[0].where.endswith("line 5002")


def test_a_large_regular_file_is_read_several_times_as_fast(tmp_path):
    rows = "".join(f"{n}.5,word {n % 7},{n % 3},x\n" for n in range(40_000))

    def seconds(read):
        began = time.process_time()
        frame = read()
        return time.process_time() - began, frame

    slow, one = seconds(lambda: textfiles.careful(PATH, rows, (",", '"'), 4, []))
    quick, other = seconds(lambda: textfiles.regular(rows.encode(), (",", '"'), 4))
    assert one.equals(other) and quick < slow
    assert other.schema == dict.fromkeys(other.columns, pl.String)
