"""Texts in two languages as they are published -> lists of texts, part by part.

Known are files of one sentence a line, one file for each language (``train.en`` and ``train.de``,
also packed), two columns of a table, and JSON lines, also with the pair under ``translation``.
Lines end at a line feed alone: what else Python takes for the end of a line stands within
sentences, and a file that is cut there is out of step with the other language.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from glassnet.data.compressed import unpacked
from glassnet.data.parts import ORDER, part_of
from glassnet.errors import UserError, nearest

_CODES = """
aa ab af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv
dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie
ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv
mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm
rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts
tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"""
CODES = frozenset(_CODES.split())
"""Languages by ISO 639-1; files may also end in others, if the knobs name them."""
_WORDS = "source target src tgt trg english german french spanish italian dutch chinese russian"
HEADER_WORDS = CODES | frozenset(_WORDS.split())
"""What the first line of a table of tabs holds if it names the columns."""
NESTED = "translation"
"""The field of JSON lines and Parquet files under which Hugging Face's sets keep a pair."""
TABS, JSON_LINES = (".tsv", ".tab", ".txt"), (".jsonl", ".ndjson")
_PACKED = r"(?:\.txt)?(?:\.gz|\.bz2|\.xz)?"


@dataclass(frozen=True)
class Column:
    """The texts of one language in one part."""

    name: str
    """The file, and the column if it has several."""
    texts: list[str]


@dataclass(frozen=True)
class Part:
    """One file, or one set of files that belong together, and how to read one language of it."""

    part: str
    """'train', 'validation', 'test'."""
    name: str
    languages: tuple[str, ...]
    read: Callable[[str], Column]
    first: int = 1
    """The number of its first text, for people: a table of tabs begins with a header."""
    unit: str = "line"


def find(path: Path, asked: Sequence[str] = (), test_part: str | None = None) -> list[Part]:
    """The parts that a path holds: at most one each of train, validation and test.

    Args:
        path: A folder, or one file.
        asked: The languages that the knobs name.
        test_part: Which of several test parts; unset: the first by alphabet.

    Raises:
        UserError: If nothing there is text in two languages, or it is not clear what is what.
    """
    found = _parts(path, asked)
    if not found:
        listed = path.parent if path.is_file() else path
        names = sorted(file.name for file in listed.iterdir() if file.name[0] != ".")[:12]
        raise UserError(
            f"{path} holds no text in two languages. Expected files of one sentence a line such "
            f"as train.en and train.de (also .gz), a table of two columns (.tsv, .csv, .parquet), "
            f"or JSON lines; found: {', '.join(names) or 'nothing'}."
        )
    chosen = {part.part: part for part in reversed(found)}
    tests = [part.name for part in found if part.part == "test"]
    if test_part is not None:
        if test_part not in tests:
            raise UserError(
                f"test_part={test_part}: {path} has no test part of that name."
                f"{nearest(test_part, tests)} It has: {', '.join(tests) or 'none'}."
            )
        chosen["test"] = next(part for part in found if part.name == test_part)
    training = [part.name for part in found if part.part == "train"]
    if len(training) != 1:
        raise UserError(
            f"{path} holds {len(training)} sets of texts for training"
            f"{': ' if training else ''}{', '.join(training)}. Name the files train.en and "
            "train.de (and val.en, test.en …), or give one of the files by its path."
        )
    return sorted(chosen.values(), key=lambda part: ORDER[part.part])


def others(path: Path, chosen: Sequence[Part], asked: Sequence[str] = ()) -> list[str]:
    """The parts that are there and were not chosen."""
    names = [part.name for part in chosen]
    return [part.name for part in _parts(path, asked) if part.name not in names]


def is_table(path: Path) -> bool:
    """Whether the file has columns."""
    from glassnet.data import tablefiles

    return path.is_file() and (plain_suffix(path) in TABS or tablefiles.is_table(path))


def _parts(path: Path, asked: Sequence[str]) -> list[Part]:
    if path.is_dir():
        lines = line_files(path, asked)
        tables = [file for file in sorted(path.iterdir()) if is_table(file)]
        return lines or [part for file in tables if (part := _table(file, len(tables) == 1))]
    if beside := line_files(path.parent, asked, only=path):
        return beside
    table = _table(path, alone=True) if is_table(path) else None
    return [] if table is None else [table]


# --- One file for each language -------------------------------------------------------------------


def _pattern(asked: Sequence[str]) -> re.Pattern[str]:
    """Of a file's name: what it is called, and its language."""
    code = r"[a-z]{2}(?:[-_][A-Za-z]{2,4})?"
    languages = "|".join([code, *map(re.escape, asked)])
    return re.compile(rf"(?:(?P<stem>.+?)\.)?(?P<language>{languages}){_PACKED}")


def line_files(folder: Path, asked: Sequence[str], only: Path | None = None) -> list[Part]:
    """Files that differ in their language alone, by what they are called; or those of one file."""
    groups: dict[str, dict[str, Path]] = {}
    wanted = None
    for file in sorted(folder.iterdir()):
        match = _pattern(asked).fullmatch(file.name) if file.is_file() else None
        if match is None or (match["language"][:2] not in CODES and match["language"] not in asked):
            continue
        stem = match["stem"] or ""
        groups.setdefault(stem, {}).setdefault(match["language"], file)
        wanted = stem if file == only else wanted
    groups = {stem: files for stem, files in groups.items() if len(files) > 1}
    if only is not None:
        groups = {stem: files for stem, files in groups.items() if stem == wanted}
    alone = len(groups) == 1
    parts = {stem: "train" if alone else part_of(stem) or "train" for stem in groups}
    return [
        Part(parts[stem], stem, tuple(files), partial(_lines, files))
        for stem, files in groups.items()
    ]


def _lines(files: dict[str, Path], language: str) -> Column:
    path = files[language]
    text = decoded(path)
    lines = text.removesuffix("\n").split("\n") if text else []
    return Column(path.name, [line.strip() for line in lines])


def decoded(path: Path) -> str:
    """The text of a file, unpacked.

    Raises:
        UserError: If it cannot be read, or is not UTF-8; it names the line.
    """
    try:
        data = unpacked(path.read_bytes(), str(path)).removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Check its rights.") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} line {line} is not UTF-8 (byte {data[error.start]:#04x}). Save the file as "
            "UTF-8: another encoding that is only guessed would be learned as it is."
        ) from None


# --- Columns of a table ---------------------------------------------------------------------------


def _table(path: Path, alone: bool) -> Part | None:
    """A table of at least two columns; what they hold is read when it is needed."""
    suffix = plain_suffix(path)
    kind = "train" if alone else part_of(path.name) or "train"
    read = _tabs if suffix in TABS else _json_lines if suffix in JSON_LINES else _frame
    columns, first, unit = read(path)
    if len(columns) < 2:
        return None
    return Part(kind, path.name, tuple(columns), partial(_of_table, path, columns), first, unit)


def _of_table(path: Path, columns: dict[str, list[str]], name: str) -> Column:
    return Column(f"{path.name} column {name}", columns[name])


def plain_suffix(path: Path) -> str:
    """The suffix that says what a file holds, not how it is packed."""
    return Path(re.sub(r"\.(gz|bz2|xz|zip)$", "", path.name.lower())).suffix


def _tabs(path: Path) -> tuple[dict[str, list[str]], int, str]:
    """Lines that are cut at tabs and nowhere else: quotes belong to the sentences."""
    lines = decoded(path).removesuffix("\n").split("\n")
    rows = [[cell.strip() for cell in line.split("\t")] for line in lines]
    width = len(rows[0])
    if width < 2:
        return {}, 1, "line"
    wrong = [number for number, row in enumerate(rows, 1) if len(row) < 2 and row != [""]]
    if wrong:
        raise UserError(
            f"{path} line {wrong[0]} has no tab, where {width} columns are expected ({len(wrong)} "
            "such lines). Each line must hold a sentence, a tab and its translation."
        )
    header = sum(cell.lower() in HEADER_WORDS for cell in rows[0]) >= 2
    names = rows[0] if header else [str(number) for number in range(1, width + 1)]
    body = rows[1:] if header else rows
    filled = [[*row, *[""] * (width - len(row))] for row in body]
    columns = {name: [row[k] for row in filled] for k, name in enumerate(names)}
    return columns, 1 + header, "line"


def _json_lines(path: Path) -> tuple[dict[str, list[str]], int, str]:
    lines = decoded(path).removesuffix("\n").split("\n")
    rows = [_object(path, n, line) if line.strip() else {} for n, line in enumerate(lines, 1)]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [_text(row.get(name)) for row in rows] for name in names}
    return {name: texts for name, texts in columns.items() if any(texts)}, 1, "line"


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path} line {number} is no JSON ({error}). Mend that line.") from None
    found = found.get(NESTED, found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise UserError(
            f"{path} line {number}: expected an object with a text for each language, such as "
            f'{{"en": "…", "de": "…"}}, found {type(found).__name__}.'
        )
    return found


def _frame(path: Path) -> tuple[dict[str, list[str]], int, str]:
    import polars as pl

    from glassnet.data import tablefiles

    frame = tablefiles.read_file(path).frame
    if NESTED in frame.columns and isinstance(frame.schema[NESTED], pl.Struct):
        frame = frame.select(NESTED).unnest(NESTED)
    texts = frame.select(pl.col(pl.String)).with_columns(pl.all().str.strip_chars().fill_null(""))
    return {name: texts[name].to_list() for name in texts.columns}, 1, "row"
