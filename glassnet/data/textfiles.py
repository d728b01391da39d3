"""Text files with separators (CSV, TSV …) -> a polars frame of text.

Everything is read as text (separator, encoding, quotes and header are found out by looking), so
that a number that looks odd in row 10,001 is still there to be reported. Two readers give equal
frames: polars reads files in which every line is one row of the right width; Python's csv, six
times slower, reads all others, and knows the numbers of the lines that are wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from glassnet.data.rawtable import MISSING, Known, Read
from glassnet.errors import UserError
from glassnet.progress import tell
from glassnet.task import Problem

SIDECAR = "columns.txt"
"""Column names, one per line, for files without a header in the same folder."""
SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma"}
"""In the order in which they are preferred: a comma may also be a decimal sign."""

_CHUNK = 50_000
_SAMPLE = 200_000
_UNUSED = "\x1f"
"""A sign that text does not hold: as separator it leaves lines whole."""
_ODD = (b"\x1c", b"\x1d", b"\x1e", b"\x1f")
"""Blank to Python alone."""


def read(path: Path, data: bytes, separator: str | None, known: Known | None) -> Read:
    """Read the content of a text file; ``path`` is for messages, and for names beside it."""
    problems: list[Problem] = []
    data = _as_utf8(path, data, problems).lstrip(b"\r\n")
    if not data.strip():
        raise UserError(f"{path} is empty. Expected a table with a header and rows.")
    sample = data[:_SAMPLE].decode("utf-8", "ignore").splitlines()[:500]
    separator = separator or _separator(sample)
    quote = _quote(sample, separator)
    head = [row for _, row in _rows(path, "\n".join(sample), separator, quote)]
    if not head:
        raise UserError(f"{path} holds blank cells only. Expected a table with a header and rows.")
    width = Counter(len(row) for row in head).most_common(1)[0][0]
    names, header = column_names(path, [row for row in head if len(row) == width], known, problems)
    frame = regular(data, (separator, quote), width)
    if frame is None and separator == "\t":  # texts have quotes of their own, never closed
        frame = regular(data, (separator, _UNUSED), width)
    if frame is None:
        frame = careful(path, data.decode(), (separator, quote), width, problems, header)
    frame = frame.slice(int(header))
    frame.columns = names
    return Read(frame, [(path.name, "train", frame.height)], separator, header, problems)


# --- All rows at once -----------------------------------------------------------------------------


def regular(data: bytes, dialect: tuple[str, str], width: int) -> pl.DataFrame | None:
    """All rows as text, if each line is one row that polars reads as Python's csv does."""
    if b"\r" in data:
        if data.count(b"\r") != data.count(b"\r\n"):
            return None
        data = data.replace(b"\r\n", b"\n")
    if any(sign in data for sign in _ODD) or len(dialect[0].encode()) > 1:
        return None
    data = data.rstrip(b"\n")
    lines = _text_columns(data, (_UNUSED, None), 1)
    lines = None if lines is None else lines.filter(pl.first().str.strip_chars() != "")
    if lines is None or not lines.height or not _all_regular(lines.to_series(), dialect, width):
        return None
    num_rows, quoted = lines.height, dialect[1].encode() in data
    del lines
    frame = _text_columns(data, (dialect[0], dialect[1] if quoted else None), width)
    if frame is None or frame.height != num_rows:
        return None
    starts = (dialect[0].encode() + b" ", b"\n ")
    if not quoted and (data[:1] == b" " or any(start in data for start in starts)):
        return frame.with_columns(pl.all().str.strip_chars_start(" "))
    return frame


def _all_regular(lines: pl.Series, dialect: tuple[str, str], width: int) -> bool:
    """Whether no row has another width, goes over several lines, or is quoted oddly."""
    separator, quote = dialect
    if lines.str.len_bytes().max() > csv.field_size_limit():  # type: ignore[operator]
        return False
    with_quotes = lines.str.contains(quote, literal=True)
    plain, quoted = lines.filter(~with_quotes), lines.filter(with_quotes)
    if (plain.str.count_matches(separator, literal=True) != width - 1).any():
        return False
    if not len(quoted):
        return True
    s, q = (rf"\x{ord(sign):02x}" for sign in dialect)
    spaces = rf"(^|{s}) "  # Python's csv passes over them, polars does not
    if width == 1 or plain.str.contains(spaces).any():
        return False
    cell = rf"(?:{q}(?:[^{q}]|{q}{q})*{q}|[^{q}{s} ][^{q}{s}]*|)"
    bare = quoted.str.replace_all(rf"{q}[^{q}]*{q}", "")
    return bool(
        (bare.str.count_matches(separator, literal=True) == width - 1).all()
        and quoted.str.contains(rf"^{cell}(?:{s}{cell})*$").all()
    )


def _text_columns(data: bytes, dialect: tuple[str, str | None], width: int) -> pl.DataFrame | None:
    """What polars reads; None if it cannot."""
    schema = {f"column_{number}": pl.String for number in range(1, width + 1)}
    try:
        frame = pl.read_csv(
            data, has_header=False, schema=schema, separator=dialect[0], quote_char=dialect[1]
        )
        return frame.with_columns(column.fill_null("") for column in frame if column.null_count())
    except pl.exceptions.PolarsError:
        return None


# --- Row by row -----------------------------------------------------------------------------------


def careful(
    path: Path,
    text: str,
    dialect: tuple[str, str],
    width: int,
    problems: list[Problem],
    header: bool = False,
) -> pl.DataFrame:
    """All rows of the right width as text, the header too; the others are reported."""
    schema = {f"column_{number}": pl.String for number in range(1, width + 1)}
    chunks = [pl.DataFrame(schema=schema)]
    rows: list[list[str]] = []
    wrong: list[tuple[int, int]] = []
    count, total = 0, text.count("\n") + 1
    for line, row in _rows(path, text, *dialect):
        if len(row) != width:
            wrong.append((line, len(row)))
            continue
        rows.append(row)
        count += 1
        if len(rows) == _CHUNK:
            tell(f"reading {path.name}", line, total)
            chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
            rows = []
    chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
    _report_wrong(path, wrong, count - header, width, problems)
    return pl.concat(chunks)


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
                kind="rejected rows",
                items=tuple(f"{path.name} line {n}: {fields} fields" for n, fields in wrong),
                fix="left out",
            )
        )


# --- Encoding, separator, quotes, names ----------------------------------------------------------


def _as_utf8(path: Path, data: bytes, problems: list[Problem]) -> bytes:
    """By byte order mark, else UTF-8, else from Windows' Western encoding."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").encode()
    if b"\0" in data[:4096]:
        raise UserError(
            f"{path} is no text file (it holds zero bytes). Expected CSV or TSV; "
            "spreadsheets, Parquet and Arrow files are known by their suffix."
        )
    try:
        data.decode("utf-8")
        return data.removeprefix(codecs.BOM_UTF8)
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
        return data.decode("cp1252").encode()
    except UnicodeDecodeError:
        return data.decode("latin-1").encode()


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


def column_names(
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
