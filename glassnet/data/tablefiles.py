"""Tables as they are published -> a polars frame; which cell means what is decided in ``tables``.

Text files and spreadsheets are read as text, so that a number that looks odd in row 10,001 is still
there to be reported. Parquet, Arrow, JSON lines, databases and frames keep their types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import polars as pl

from glassnet.data import database, hfdatasets, memory, sheets, textfiles
from glassnet.data.compressed import unpacked
from glassnet.data.frames import as_frame as as_frame
from glassnet.data.frames import plain
from glassnet.data.parts import part_of
from glassnet.data.rawtable import Known as Known
from glassnet.data.rawtable import Read as Read
from glassnet.data.rawtable import missing_to_null as missing_to_null
from glassnet.errors import UserError
from glassnet.references import exists, is_database, split
from glassnet.task import Problem

TEXT = (".csv", ".tsv", ".tab", ".txt", ".data", ".test")
PACKED = (".gz", ".bz2", ".xz", ".zip")
"""What may follow the suffix of a text file or of JSON lines."""
PARQUET, ARROW = (".parquet", ".pq"), (".arrow", ".feather", ".ipc")
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*TEXT, *PARQUET, *ARROW, *JSON_LINES, *sheets.SUFFIXES)


def is_table(path: Path) -> bool:
    """Whether the suffix, without .gz and the like, is one of a table."""
    return _suffix(path) in SUFFIXES and path.name != textfiles.SIDECAR


def table_files(folder: Path) -> list[Path]:
    """The tables of a folder, in alphabetical order."""
    if not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if file.is_file() and is_table(file))
    return sorted(file for file in files if not file.name.startswith((".", "~$")))


def read(reference: str | Path, target: str | None = None, separator: str | None = None) -> Read:
    """Read a file, a table of a database, or the parts of a table from a folder or a workbook."""
    if is_database(reference):
        return database.read(str(reference), target)
    path, part = split(reference)
    if path.is_dir() and hfdatasets.is_saved(path):
        return _read_splits(path, target)
    if path.is_dir():
        return _read_folder(path, target, separator)
    if path.suffix.lower() in sheets.SUFFIXES and not part and path.is_file():
        return _read_book(path, target)
    return read_file(reference, separator, target=target)


def read_file(
    reference: str | Path,
    separator: str | None = None,
    known: Known | None = None,
    target: str | None = None,
) -> Read:
    """Read one file, one sheet of a workbook, or one table of a database."""
    if is_database(reference):
        return database.read(str(reference), target)
    path, part = split(reference)
    if not exists(path) or path.is_dir():
        raise UserError(
            f"{reference} {'is a folder' if path.is_dir() else 'does not exist'}. Give a table "
            f"({', '.join(SUFFIXES)}, or the URL of a database)."
        )
    suffix = _suffix(path)
    if part and suffix not in sheets.SUFFIXES:
        raise UserError(f"{path} has no sheets, so that #{part} means nothing. Leave it out.")
    try:
        if suffix in sheets.SUFFIXES:
            return sheets.Book(path).chosen(target, part, known)
        if suffix in PARQUET:
            return _read_typed(path, "Parquet", pl.read_parquet)
        if suffix in ARROW:
            return _read_typed(path, "Arrow", _read_arrow)
        data = unpacked(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Check its rights.") from error
    if suffix in JSON_LINES:
        return _read_json_lines(path, data)
    return textfiles.read(path, data, separator, known)


def _suffix(path: Path) -> str:
    """The suffix that says what the file holds, not how it is packed."""
    name = path.name.lower()
    for packed in PACKED:
        plain_name = name.removesuffix(packed)
        if plain_name != name and plain_name.endswith((*TEXT, *JSON_LINES)):
            return Path(plain_name).suffix
    return Path(name).suffix


# --- Folders and workbooks ------------------------------------------------------------------------


def _read_folder(folder: Path, target: str | None, separator: str | None) -> Read:
    files = table_files(folder)
    if len(files) == 1:
        return read(files[0], target, separator)
    if sum(part_of(file.name) == "train" for file in files) != 1:
        raise UserError(
            f"{folder} holds {len(files)} tables"
            f"{': ' if files else ''}{', '.join(file.name for file in files[:10])}. Give one of "
            "them by its path, or name them train.csv and test.csv."
        )
    readers = {f.name: partial(read_file, f, separator, target=target) for f in files}
    return _joined(folder, readers, target)


def _read_splits(folder: Path, target: str | None) -> Read:
    """The splits of a data set that the library ``datasets`` saved."""
    readers = hfdatasets.readers(folder)
    if len(readers) == 1:
        return next(iter(readers.values()))()
    if sum(part_of(name) == "train" for name in readers) != 1:
        raise UserError(
            f"{folder} has the splits {', '.join(readers)}. Expected one whose name says train; "
            "or give the folder of one of them."
        )
    return _joined(folder, readers, target)


def _read_book(path: Path, target: str | None) -> Read:
    """One sheet, or the sheets that are called train and test (and validation)."""
    book = sheets.Book(path)
    parts = [part_of(name) for name in book.names]
    if parts.count("train") == 1 and set(parts) & {"validation", "test"}:
        return _joined(path, {name: partial(book.read, name) for name in book.names}, target)
    return book.chosen(target)


def _joined(where: Path, readers: Mapping[str, Callable[[], Read]], target: str | None) -> Read:
    """The train part with the other parts below it."""
    parts = {part_of(name): name for name in reversed(list(readers))}
    whole = readers[parts["train"]]()
    whole.files = [(parts["train"], "train", whole.frame.height)]
    if target is not None and target not in whole.frame.columns:
        return whole  # the source refuses it, naming the nearest column
    for part in ("validation", "test"):
        if part in parts:
            _append(whole, readers[parts[part]](), where, parts[part], target)
    used = {parts.get(part) for part in ("train", "validation", "test")}
    if left := [name for name in readers if name not in used]:
        belong = "belong to no part" if len(left) > 1 else "belongs to no part"
        whole.problems.append(Problem(str(where), f"{', '.join(left)} {belong}", "left out"))
    return whole


def _append(whole: Read, more: Read, where: Path, name: str, target: str | None) -> None:
    """Add a further part below the train part; it must have the same columns."""
    columns = whole.frame.columns
    if not more.header and len(columns) == more.frame.width:
        more.frame.columns = columns
    lacking = [column for column in columns if column not in more.frame.columns]
    whole.problems += more.problems
    if target in lacking or (target is None and len(lacking) == 1):
        whole.unlabelled.append(name)
        whole.problems.append(
            Problem(
                str(where / name),
                f"has no column {target or lacking[0]!r}, so that its {more.frame.height} rows "
                "have no answers",
                "not used; the test rows are drawn from the train part. It can be given to "
                "`glassnet predict`",
            )
        )
        return
    if lacking:
        raise UserError(
            f"{where / name} lacks the columns {', '.join(lacking[:10])} of the train part. All "
            f"parts need the same columns; it has {', '.join(more.frame.columns[:20])}."
        )
    whole.frame = _below(whole.frame, more.frame.select(columns))
    whole.files.append((name, part_of(name) or "train", more.frame.height))


def _below(top: pl.DataFrame, bottom: pl.DataFrame) -> pl.DataFrame:
    """Both as one frame; columns of types that do not mix, such as text and dates, as text."""
    unlike = [
        name for name in top.columns
        if top[name].dtype != bottom[name].dtype
        and not (top[name].dtype.is_numeric() and bottom[name].dtype.is_numeric())
        and not top[name].dtype.is_nested() and not bottom[name].dtype.is_nested()
    ]  # fmt: skip
    frames = [frame.with_columns(pl.col(unlike).cast(pl.String)) for frame in (top, bottom)]
    return pl.concat(frames, how="vertical_relaxed")


# --- Files that know their types ------------------------------------------------------------------


def _read_typed(path: Path, form: str, reader: Callable[[Path], pl.DataFrame]) -> Read:
    try:
        frame = plain(reader(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path} cannot be read as {form} ({error}). Export it again.") from error
    about = memory.origin(path) if form == "Parquet" else ""
    return Read(frame, [(path.name, "train", frame.height)], about=about)


def _read_arrow(path: Path) -> pl.DataFrame:
    """A file of Arrow's, or a stream, which has the same suffixes."""
    try:
        return pl.read_ipc(path)
    except pl.exceptions.PolarsError:
        return pl.read_ipc_stream(path)


def _read_json_lines(path: Path, data: bytes) -> Read:
    try:
        frame = plain(pl.read_ndjson(data, infer_schema_length=None))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as JSON lines ({error}). Expected one object in each line, "
            'such as {"size": 1.5, "colour": "red"}.'
        ) from error
    return Read(frame, [(path.name, "train", frame.height)])
