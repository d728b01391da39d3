"""Spreadsheets (.xlsx, .xlsm, .xlsb, .xls, .ods) -> a table of text, read as a CSV is.

Cells come as text, so that a number in one row and a word in the next are both there to be
reported; dates as 2024-01-31, formulas by their last result, errors such as #N/A as missing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from glassnet.data import textfiles
from glassnet.data.rawtable import Known, Read, chosen
from glassnet.errors import UserError
from glassnet.task import Problem

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")

_HEAD = 100
"""Rows that show where the table begins."""
_MIDNIGHT = " 00:00:00"


class Book:
    """The sheets of one file that hold anything."""

    def __init__(self, path: Path) -> None:
        self.path, self._reader = path, _opened(path)
        self._cells: dict[str, pl.DataFrame] = {}
        self._hidden: set[str] = set()
        self.all_names: list[str] = list(self._reader.sheet_names)

    @property
    def names(self) -> list[str]:
        """Names of the sheets that are seen and have cells, in the order of the book."""
        filled = [name for name in self.all_names if self.cells(name).height]
        return [name for name in filled if name not in self._hidden] or filled

    def cells(self, sheet: str) -> pl.DataFrame:
        """All cells as text, without the rows and columns that are empty."""
        if sheet not in self._cells:
            loaded = _explained(self.path, lambda: _load(self._reader, sheet))
            if loaded.visible != "visible":
                self._hidden.add(sheet)
            self._cells[sheet] = _cells(loaded.to_polars())
        return self._cells[sheet]

    def read(self, sheet: str, known: Known | None = None) -> Read:
        """Read one sheet."""
        where, cells = Path(f"{self.path}#{sheet}"), self.cells(sheet)
        if not cells.height:
            raise UserError(f"{where} is empty. Expected a table with a header and rows.")
        problems: list[Problem] = []
        top = _top(cells.head(_HEAD))
        if top:
            rows = f"{top} rows stand" if top > 1 else "a row stands"
            what = f"{rows} above the table, such as {_first(cells)!r}"
            problems.append(Problem(str(where), what, "passed over"))
        cells = _without_empty_columns(cells[top:])
        head = [[cell or "" for cell in row] for row in cells.head(_HEAD).rows()]
        names, header = textfiles.column_names(where, head, known, problems)
        frame = pl.DataFrame([_without_midnight(column) for column in cells[int(header) :]])
        frame.columns = names
        about = f"sheet {sheet!r}" if len(self.all_names) > 1 else ""
        files = [(self.path.name, "train", frame.height)]
        return Read(frame, files, "\t", header, problems, about=about)

    def chosen(self, target: str | None, sheet: str = "", known: Known | None = None) -> Read:
        """Read the sheet that is named, the only one, or the one that has the target."""
        names = self.all_names if sheet else self.names

        def has(name: str, wanted: str) -> bool:
            return wanted in self.read(name).frame.columns

        return self.read(chosen(str(self.path), "sheet", names, sheet, target, has), known)


def _opened(path: Path) -> Any:
    import fastexcel

    return _explained(path, lambda: fastexcel.read_excel(path))


def _load(reader: Any, sheet: str) -> Any:
    return reader.load_sheet(sheet, header_row=None, dtypes="string")


def _cells(cells: pl.DataFrame) -> pl.DataFrame:
    if not cells.width:
        return cells
    cells = cells.with_columns(pl.all().str.strip_chars().replace("", None))
    return _without_empty_columns(cells.filter(~pl.all_horizontal(pl.all().is_null())))


def _explained(path: Path, act: Callable[[], Any]) -> Any:
    import fastexcel

    try:
        return act()
    except (fastexcel.FastExcelError, OSError) as error:
        why = str(error).split("\n")[0]
        raise UserError(
            f"{path} cannot be read as a spreadsheet ({why}). Save it again as .xlsx without a "
            "password, or as CSV."
        ) from error


def _without_empty_columns(cells: pl.DataFrame) -> pl.DataFrame:
    return cells.select(column for column in cells if column.null_count() < len(column))


def _top(head: pl.DataFrame) -> int:
    """The first row that fills at least half as many cells as most rows do: titles fill fewer."""
    filled = [sum(cell is not None for cell in row) for row in head.rows()]
    usual = sorted(filled)[len(filled) // 2]
    return next(row for row, count in enumerate(filled) if 2 * count > usual)


def _first(cells: pl.DataFrame) -> str:
    return str(next(cell for cell in cells.row(0) if cell is not None))


def _without_midnight(column: pl.Series) -> pl.Series:
    """Days as days: a sheet keeps every date with a time."""
    present = column.drop_nulls()
    dated = present.str.contains(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
    if not len(present) or not present.filter(dated).str.ends_with(_MIDNIGHT).all():
        return column
    return column.str.strip_suffix(_MIDNIGHT) if dated.any() else column
