"""Spreadsheets as people make them, written by XlsxWriter and openpyxl."""

import datetime as dt
import zipfile

import polars as pl
import pytest
import torch
from data_fixtures import everything, told

from glassnet.data import sources, tablefiles
from glassnet.data.tables import open_table, read_raw
from glassnet.errors import UserError

openpyxl = pytest.importorskip("openpyxl")

HEADER = ["size", "when", "colour", "paid"]


def rows(n=30):
    day = dt.datetime(2024, 1, 1)
    colours = ["red", "green", None]
    return [
        [k % 7 + 0.5, day + dt.timedelta(days=k % 28), colours[k % 3], ["yes", "no"][k % 2]]
        for k in range(n)
    ]


def book(path, **sheets):
    """Write sheets of rows; ``None`` is an empty cell."""
    whole = openpyxl.Workbook()
    whole.remove(whole.active)
    for name, lines in sheets.items():
        sheet = whole.create_sheet(name)
        for line in lines:
            sheet.append(line)
    whole.save(path)
    return path


def kinds(source):
    return {column.name: column.kind for column in source.facts(everything(source)).columns}


def test_a_workbook_is_read_like_a_csv(tmp_path):
    path = book(tmp_path / "t.xlsx", Data=[HEADER, *rows()])
    source = open_table(path, target="paid", kind="categories")
    assert len(source) == 30 and not source.problems
    assert kinds(source) == {"size": "number", "when": "date", "colour": "category"}
    assert source.frame["when"][0] == "2024-01-01"  # a day, though a sheet keeps the time too
    text = tmp_path / "t.csv"
    text.write_text("size,when,colour,paid\n" + "".join(
        f"{a},{b:%Y-%m-%d},{c or ''},{d}\n" for a, b, c, d in rows()
    ))  # fmt: skip
    plain = open_table(text, target="paid", kind="categories")
    assert source.fingerprint == plain.fingerprint
    facts = plain.facts(everything(plain))
    assert torch.equal(read_raw(path, facts)[1], read_raw(text, facts)[1])


def test_titles_and_empty_rows_and_columns_around_the_table_are_passed_over(tmp_path):
    lines = [
        [None], ["Orders of 2024"], [None, "for internal use"], [],
        [None, *HEADER], *([None, *row, None] for row in rows()), [None], [" "],
    ]  # fmt: skip
    path = book(tmp_path / "t.xlsx", Data=lines)
    source = open_table(path, target="paid", kind="categories")
    assert len(source) == 30 and source.frame.columns == HEADER
    assert told(source.problems, "t.xlsx#Data", "2 rows stand above", "'Orders of 2024'", "passed")


def test_formula_errors_and_empty_cells_are_missing_and_numbers_as_text_are_numbers(tmp_path):
    xlsxwriter = pytest.importorskip("xlsxwriter")
    with xlsxwriter.Workbook(tmp_path / "t.xlsx") as whole:
        sheet = whole.add_worksheet()
        sheet.write_row(0, 0, ["x", "text number", "y"])
        for k in range(30):
            sheet.write_row(k + 1, 0, [k % 9 + 0.5, str(k % 8), "ab"[k % 2]])
        sheet.write_formula(3, 0, "=1/0", None, "#DIV/0!")
        sheet.write_formula(4, 0, "=NA()", None, "#N/A")
        sheet.write_string(5, 0, "#N/A")
    source = open_table(tmp_path / "t.xlsx", target="y", kind="categories")
    assert kinds(source) == {"x": "number", "text number": "number"}
    assert source.frame["x"].null_count() == 3


def test_merged_cells_leave_a_name_or_a_gap(tmp_path):
    path = book(tmp_path / "t.xlsx", Data=[["size", "where", None, "y"], *(
        [k % 7, "here", k % 5, "ab"[k % 2]] for k in range(30)
    )])  # fmt: skip
    whole = openpyxl.load_workbook(path)
    whole["Data"].merge_cells("B1:C1")
    whole["Data"].merge_cells("A2:A4")
    whole.save(path)
    source = open_table(path, target="y", kind="categories")
    assert source.frame.columns == ["size", "where", "column_3", "y"]
    assert source.frame["size"].null_count() == 2


def test_numbers_and_words_in_one_column_are_all_kept(tmp_path):
    path = book(tmp_path / "t.xlsx", Data=[["x", "y"], *(
        [[1, "1,5", True, 2.25, "n.a."][k % 5], "ab"[k % 2]] for k in range(30)
    )])  # fmt: skip
    assert tablefiles.read(path).frame["x"][:5].to_list() == ["1", "1,5", "true", "2.25", "n.a."]


def test_the_sheet_is_the_one_named_or_the_one_with_the_target(tmp_path):
    notes = [["author", "date"], ["me", "today"], ["you", "tomorrow"]]
    more = [[*HEADER[:3], "late"], *rows(20)]
    path = book(tmp_path / "t.xlsx", Notes=notes, Orders=[HEADER, *rows()], More=more, Blank=[])
    assert len(open_table(path, target="paid", kind="categories")) == 30
    assert len(open_table(f"{path}#More", target="late", kind="categories")) == 20
    found = sources.look(f"{path}#Orders", target="paid")
    assert ("Read from", "sheet 'Orders'") in found.summary and found.details["num_rows"] == 30
    with pytest.raises(UserError, match=r"t.xlsx holds 3 sheets: Notes, Orders, More.*t.xlsx#Note"):
        sources.look(path)
    with pytest.raises(UserError, match="3 sheets, of which 0 have a column 'pad'.*Notes, Orders"):
        open_table(path, target="pad", kind="categories")
    with pytest.raises(UserError, match="no sheet 'orders'. Did you mean 'Orders'.*Blank"):
        open_table(f"{path}#orders", target="paid", kind="categories")
    with pytest.raises(UserError, match="t.xlsx#Blank is empty"):
        open_table(f"{path}#Blank", target="paid", kind="categories")


def test_hidden_sheets_are_passed_over_unless_they_are_named(tmp_path):
    path = book(
        tmp_path / "t.xlsx", Lists=[["a", "b"], ["x", "y"], ["u", "v"]], Data=[HEADER, *rows()]
    )
    whole = openpyxl.load_workbook(path)
    whole["Lists"].sheet_state = "hidden"
    whole.save(path)
    assert tablefiles.read(path).frame.columns == HEADER
    assert tablefiles.read(f"{path}#Lists").frame.columns == ["a", "b"]


def test_sheets_called_train_and_test_are_parts(tmp_path):
    path = book(tmp_path / "t.xlsx", train=[HEADER, *rows(20)], test=[HEADER, *rows(10)])
    source = open_table(path, target="paid", kind="categories")
    assert source.parts == ["train"] * 20 + ["test"] * 10
    assert source.name(20) == "test row 1"
    book(tmp_path / "train.xlsx", Sheet1=[HEADER, *rows(20)])
    (tmp_path / "t.xlsx").unlink()
    book(tmp_path / "test.xlsx", Sheet1=[HEADER, *rows(10)])
    assert open_table(tmp_path, target="paid", kind="categories").parts == source.parts


def test_other_spreadsheets_are_read_too(tmp_path):
    path = book(tmp_path / "t.xlsx", Data=[HEADER, *rows()])
    path.rename(tmp_path / "t.xlsm")
    assert tablefiles.read(tmp_path / "t.xlsm").frame.height == 30
    lines = "".join(open_document_row(row) for row in [["x", "y"], [1.5, "a"], [2, "b"]])
    with zipfile.ZipFile(tmp_path / "t.ods", "w") as packed:
        packed.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        packed.writestr("META-INF/manifest.xml", MANIFEST)
        packed.writestr("content.xml", OPEN_DOCUMENT.format(lines))
    assert tablefiles.read(tmp_path / "t.ods").frame.rows() == [("1.5", "a"), ("2", "b")]


MANIFEST = (
    '<?xml version="1.0"?><manifest:manifest '
    'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
)
OPEN_DOCUMENT = (
    '<?xml version="1.0"?><office:document-content '
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:body>'
    '<office:spreadsheet><table:table table:name="Sheet1">{}</table:table>'
    "</office:spreadsheet></office:body></office:document-content>"
)


def open_document_row(cells):
    def cell(value):
        kind = "string" if isinstance(value, str) else "float"
        more = "" if isinstance(value, str) else f' office:value="{value}"'
        text = f"<text:p>{value}</text:p>"
        return f'<table:table-cell office:value-type="{kind}"{more}>{text}</table:table-cell>'

    return f"<table:table-row>{''.join(map(cell, cells))}</table:table-row>"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.xlsx", b"", "t.xlsx cannot be read as a spreadsheet"),
        ("t.xlsx", b"size,paid\n1,yes\n", "t.xlsx cannot be read as a spreadsheet.*as .xlsx"),
        ("t.xls", b"\xd0\xcf\x11\xe0 broken", "t.xls cannot be read as a spreadsheet"),
        ("t.ods", b"PK\x03\x04broken", "t.ods cannot be read as a spreadsheet"),
        ("t.csv", b"PK\x03\x04\0\0\0\0", "t.csv is no text file.*known by their suffix"),
    ],
)
def test_files_that_are_no_spreadsheets_are_explained(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        tablefiles.read(tmp_path / name)


def test_damaged_and_empty_books_are_explained(tmp_path):
    whole = book(tmp_path / "t.xlsx", Data=[HEADER, *rows()]).read_bytes()
    (tmp_path / "cut.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cut.xlsx cannot be read as a spreadsheet"):
        tablefiles.read(tmp_path / "cut.xlsx")
    with zipfile.ZipFile(tmp_path / "other.xlsx", "w") as other:
        other.writestr("a.txt", "no book")
    with pytest.raises(UserError, match="other.xlsx cannot be read as a spreadsheet"):
        tablefiles.read(tmp_path / "other.xlsx")
    with pytest.raises(UserError, match="none.xlsx holds no sheet with rows"):
        tablefiles.read(book(tmp_path / "none.xlsx", Data=[], More=[]))
    with pytest.raises(UserError, match="t.csv has no sheets, so that #Data means nothing"):
        (tmp_path / "t.csv").write_text("x,y\n1,2\n")
        tablefiles.read(f"{tmp_path}/t.csv#Data")


def test_a_file_whose_name_holds_a_hash_is_itself(tmp_path):
    path = tmp_path / "no#1.csv"
    pl.DataFrame({"x": [1, 2], "y": [3, 4]}).write_csv(path)
    assert tablefiles.read(path).frame.height == 2
