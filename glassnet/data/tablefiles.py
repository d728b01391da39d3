"""Tables as they are published -> a polars frame; which cell means what is decided in ``tables``.

Text files are read as text throughout (delimiter, encoding, quotes and header are found out by
looking), so that a number that looks odd in row 10,001 is still there to be reported. Parquet
files and frames keep their types.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from glassnet.data.archives import gunzipped
from glassnet.data.parts import part_of
from glassnet.errors import UserError
from glassnet.task import Problem

MISSING = ("", "?", "na", "n/a", "nan", "null", "none", "nil", "#n/a", "<na>", "nat", "-")
"""Cells that mean 'missing', in lower case."""
MISSING_ANSWERS = ("", "?", "nan", "null", "#n/a", "<na>", "nat")
"""The same for the target, of which 'none' or 'NA' may well be a class."""
SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".data", ".test", ".parquet", ".pq")
SIDECAR = "columns.txt"
"""Column names, one per line, for files without a header in the same folder."""
SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma"}
"""In the order in which they are preferred: a comma may also be a decimal sign."""

_CHUNK = 50_000


@dataclass
class Read:
    """A table, as far as it can be read without knowing its target."""

    frame: pl.DataFrame
    files: list[tuple[str, str, int]]
    """Name, part and number of rows of each file, in the order of the rows."""
    separator: str = ","
    header: bool = True
    problems: list[Problem] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    """Files of the folder that lack the target and are not part of ``frame``."""


@dataclass(frozen=True)
class Known:
    """What prediction knows of a table in advance: its columns in order, and the target."""

    columns: Sequence[str]
    target: str


def is_table(path: Path) -> bool:
    """Whether the suffix, without .gz, is one of a table."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES) and path.name != SIDECAR


def table_files(folder: Path) -> list[Path]:
    """The tables of a folder, in alphabetical order."""
    if not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if file.is_file() and is_table(file))
    return sorted(file for file in files if not file.name.startswith("."))


def read(path: Path, target: str | None = None, separator: str | None = None) -> Read:
    """Read a file, or the parts of a table from a folder."""
    if path.is_dir():
        return _read_folder(path, target, separator)
    if not path.is_file():
        raise UserError(f"{path} does not exist. Check the spelling, or see `glassnet datasets`.")
    return read_file(path, separator)


def read_file(path: Path, separator: str | None = None, known: Known | None = None) -> Read:
    """Read one CSV, TSV or Parquet file."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Check its rights.") from error
    problems: list[Problem] = []
    text = _decoded(path, gunzipped(data, str(path)), problems)
    return _read_text(path, text, separator, known, problems)


def as_frame(data: Any) -> pl.DataFrame:
    """Turn a polars or pandas frame, one row as a dict, a dict of lists or a list of rows."""
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    pandas = sys.modules.get("pandas")  # who gives a frame of pandas has imported it
    if pandas and isinstance(data, pandas.DataFrame):
        return _from_pandas(data)
    try:
        if isinstance(data, Mapping):
            single = not any(isinstance(value, list | tuple | pl.Series) for value in data.values())
            data = {key: [value] if single else value for key, value in data.items()}
            return pl.DataFrame(data, strict=False)
        if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
            return pl.DataFrame(list(data), strict=False, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"These rows make no table ({error}). Give as many values in every column."
        ) from error
    raise UserError(
        f"A table cannot be made of a {type(data).__name__}. Give a file, a polars or pandas "
        "frame, one row as a dict, or a list of such rows."
    )


def missing_to_null(frame: pl.DataFrame, target: str | None = None) -> pl.DataFrame:
    """Strip the text cells, and make those null that mean 'missing'."""
    columns = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(
        _missing_to_null(name, MISSING_ANSWERS if name == target else MISSING) for name in columns
    )


def _missing_to_null(name: str, tokens: Sequence[str]) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text.str.to_lowercase().is_in(tokens)).then(None).otherwise(text).alias(name)


# --- Folders --------------------------------------------------------------------------------------


def _read_folder(folder: Path, target: str | None, separator: str | None) -> Read:
    files = table_files(folder)
    if len(files) == 1:
        return read_file(files[0], separator)
    parts = {part_of(file.name): file for file in files}
    if "train" not in parts or len([f for f in files if part_of(f.name) == "train"]) > 1:
        raise UserError(
            f"{folder} holds {len(files)} tables"
            f"{': ' if files else ''}{', '.join(file.name for file in files[:10])}. Give one of "
            "them by its path, or name them train.csv and test.csv."
        )
    whole = read_file(parts["train"], separator)
    whole.files = [(parts["train"].name, "train", whole.frame.height)]
    if target is not None and target not in whole.frame.columns:
        return whole  # the source refuses it, naming the nearest column
    for part in ("validation", "test"):
        if part in parts:
            _append(whole, read_file(parts[part], separator), parts[part], part, target)
    if left := [file.name for file in files if part_of(file.name) is None]:
        whole.problems.append(
            Problem(str(folder), f"{', '.join(left)} belong to no part", "left out")
        )
    return whole


def _append(whole: Read, more: Read, path: Path, part: str, target: str | None) -> None:
    """Add a further part below the train part; it must have the same columns."""
    columns = whole.frame.columns
    if not more.header and len(columns) == more.frame.width:
        more.frame.columns = columns
    lacking = [name for name in columns if name not in more.frame.columns]
    whole.problems += more.problems
    if target in lacking or (target is None and len(lacking) == 1):
        whole.unlabelled.append(path.name)
        name = target or lacking[0]
        whole.problems.append(
            Problem(
                str(path),
                f"has no column {name!r}, so that its {more.frame.height} rows have no answers",
                "not used; the test rows are drawn from the train part. It can be given to "
                "`glassnet predict`",
            )
        )
        return
    if lacking:
        raise UserError(
            f"{path} lacks the columns {', '.join(lacking[:10])} of the train part. All parts "
            f"need the same columns; it has {', '.join(more.frame.columns[:20])}."
        )
    whole.frame = pl.concat([whole.frame, more.frame.select(columns)], how="vertical_relaxed")
    whole.files.append((path.name, part, more.frame.height))


# --- Single files ---------------------------------------------------------------------------------


def _read_parquet(path: Path) -> Read:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet ({error}). Export it again.") from error
    return Read(frame, [(path.name, "train", frame.height)])


def _from_pandas(data: Any) -> pl.DataFrame:
    """Column by column through numpy, so that pyarrow is not needed."""
    columns = {}
    for name in data.columns:
        column = data[name]
        if not isinstance(column.dtype, np.dtype) or column.dtype == object:  # pandas' own types
            values = column.astype(object).where(column.notna(), None)
            columns[str(name)] = pl.Series(str(name), values.tolist(), strict=False)
        else:
            columns[str(name)] = pl.Series(str(name), column.to_numpy())
    return pl.DataFrame(columns)


def _decoded(path: Path, data: bytes, problems: list[Problem]) -> str:
    """Bytes to text: by byte order mark, else UTF-8, else Windows' Western encoding."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:4096]:
        raise UserError(
            f"{path} is no text file (it holds zero bytes). Expected CSV, TSV or Parquet; a "
            "spreadsheet must be saved as CSV first."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    problems.append(
        Problem(
            f"{path} line {line}",
            "is not UTF-8; the file was read as Windows-1252 (Western European)",
            "if letters look wrong, save the file as UTF-8",
        )
    )
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _read_text(
    path: Path, text: str, separator: str | None, known: Known | None, problems: list[Problem]
) -> Read:
    text = text.lstrip("\r\n")
    if not text.strip():
        raise UserError(f"{path} is empty. Expected a table with a header and rows.")
    sample = text[:200_000].splitlines()[:500]
    separator = separator or _separator(sample)
    quote = _quote(sample, separator)
    head = [row for _, row in _rows(path, "\n".join(sample), separator, quote)]
    if not head:
        raise UserError(f"{path} holds blank cells only. Expected a table with a header and rows.")
    width = Counter(len(row) for row in head).most_common(1)[0][0]
    names, header = _names(path, [row for row in head if len(row) == width], known, problems)
    frame = _frame(path, text, (separator, quote), width, header, problems)
    frame.columns = names
    return Read(frame, [(path.name, "train", frame.height)], separator, header, problems)


def _rows(path: Path, text: str, separator: str, quote: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of all rows that are not blank."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, quotechar=quote, skipinitialspace=True
    )
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(
                f"{path} line {reader.line_num}: {error}. A quote may have been opened and never "
                "closed, or a cell is longer than that; mend that line."
            ) from error
        if len(row) > 1 or (row and row[0].strip()):
            yield reader.line_num, row


def _separator(sample: Sequence[str]) -> str:
    best, best_share = ",", 0.0
    for separator in SEPARATORS:
        widths = _widths(sample, separator)
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        share = count / sum(widths.values()) if width > 1 else 0.0
        if share > best_share + 0.1:  # a later one must be clearly better
            best, best_share = separator, share
    return best


def _widths(sample: Sequence[str], separator: str) -> Counter[int]:
    """How many rows have how many cells; none if a cell is too long for csv to read."""
    try:
        rows = csv.reader(sample, delimiter=separator, skipinitialspace=True)
        return Counter(len(row) for row in rows if row)
    except csv.Error:
        return Counter()


def _quote(sample: Sequence[str], separator: str) -> str:
    """Single quotes count as quotes where they enclose whole cells and double quotes do not."""
    s = re.escape(separator)
    single = re.compile(rf"(^|{s})\s*'[^']*'\s*($|{s})")
    double = re.compile(rf'(^|{s})\s*"')
    if any(double.search(line) for line in sample):
        return '"'
    return "'" if sum(1 for line in sample if single.search(line)) > len(sample) / 10 else '"'


def _names(
    path: Path, rows: Sequence[Sequence[str]], known: Known | None, problems: list[Problem]
) -> tuple[list[str], bool]:
    """The columns' names, and whether they come from the first row."""
    first = [cell.strip() for cell in rows[0]]
    given = _given_names(path, first, known)
    if given is not None:
        header = len(set(first) & set(given)) * 2 >= len(first)
        return (_unique(path, first, problems), True) if header else (given, False)
    if _has_header(rows):
        return _unique(path, first, problems), True
    names = [f"column_{number}" for number in range(1, len(first) + 1)]
    problems.append(
        Problem(
            str(path),
            f"its first row looks like data, so the columns are called column_1 … {names[-1]}",
            f"put a header into the file, or the names into {SIDECAR} beside it, one per line",
        )
    )
    return names, False


def _given_names(path: Path, first: Sequence[str], known: Known | None) -> list[str] | None:
    """Names from the file beside the table, or those that training has seen, if they fit."""
    if known is not None:
        without = [name for name in known.columns if name != known.target]
        fitting = (names for names in (list(known.columns), without) if len(names) == len(first))
        return next(fitting, None)
    beside = path.parent / SIDECAR
    if not beside.is_file():
        return None
    lines = beside.read_text(encoding="utf-8").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if len(names) != len(first):
        raise UserError(
            f"{beside} names {len(names)} columns, but {path} has {len(first)}. "
            "Give one name per line for every column."
        )
    return names


def _unique(path: Path, names: Sequence[str], problems: list[Problem]) -> list[str]:
    """Name the nameless columns, and tell apart those of one name."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        plain = name or f"column_{number}"
        again = plain
        count = 2
        while again in found:
            again, count = f"{plain}_{count}", count + 1
        if again != plain:
            problems.append(
                Problem(f"{path}: column {plain!r}", "occurs twice", f"now called {again!r}")
            )
        found.append(again)
    return found


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Judge by the columns that hold numbers below: a header has words there, data has numbers."""
    first, body = rows[0], rows[1:]
    if not body:
        return not any(_is_number(cell) for cell in first)
    columns = list(zip(*body, strict=True))
    numeric = [k for k, column in enumerate(columns) if _mostly_numbers(column)]
    if numeric:
        return any(_is_word(first[k]) for k in numeric) or _counts_up(first)
    return not any(cell in column for cell, column in zip(first, columns, strict=True) if cell)


def _mostly_numbers(column: Sequence[str]) -> bool:
    cells = [cell for cell in column if cell.strip().lower() not in MISSING]
    return bool(cells) and sum(map(_is_number, cells)) >= 0.9 * len(cells)


def _is_word(cell: str) -> bool:
    return cell.strip().lower() not in MISSING and not _is_number(cell)


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?\s*", cell))


def _counts_up(cells: Sequence[str]) -> bool:
    """Names such as 0, 1, 2 … that pandas writes, or years."""
    numbers = [int(cell) for cell in cells if cell.strip().isdigit()]
    steps = {b - a for a, b in zip(numbers, numbers[1:], strict=False)}
    return len(numbers) > 2 and steps == {1}


def _frame(
    path: Path,
    text: str,
    dialect: tuple[str, str],
    width: int,
    header: bool,
    problems: list[Problem],
) -> pl.DataFrame:
    """All rows of the right width as text; the others are reported."""
    schema = {f"column_{number}": pl.String for number in range(width)}
    chunks = [pl.DataFrame(schema=schema)]
    rows: list[list[str]] = []
    wrong: list[tuple[int, int]] = []
    count = 0
    for line, row in _rows(path, text, *dialect):
        if len(row) != width:
            wrong.append((line, len(row)))
        elif header:
            header = False  # the first row of the right width
        else:
            rows.append(row)
            count += 1
            if len(rows) == _CHUNK:
                chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
                rows = []
    chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
    _report_wrong(path, wrong, count, width, problems)
    return pl.concat(chunks)


def _report_wrong(
    path: Path,
    wrong: Sequence[tuple[int, int]],
    count: int,
    width: int,
    problems: list[Problem],
) -> None:
    if len(wrong) > count:
        raise UserError(
            f"{path}: {len(wrong)} of {len(wrong) + count} rows have another number of fields than "
            f"{width}. Give the separator, or quote the cells that contain it."
        )
    if wrong:
        lines = ", ".join(f"{line} ({fields})" for line, fields in wrong[:10])
        problems.append(
            Problem(
                f"{path} line {wrong[0][0]}",
                f"{len(wrong)} rows do not have {width} fields; lines (fields): {lines}",
                "left out; quote the cells that contain the separator",
            )
        )
