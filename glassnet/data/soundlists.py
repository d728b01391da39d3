"""Lists of recordings: a path and a label or a transcript in each row.

CSV, TSV (Common Voice's ``clips/`` with ``train.tsv``, ``dev.tsv``, ``test.tsv``), JSON lines
(NeMo's and DeepSpeech's ``audio_filepath`` and ``text``), and bars without a header (LJSpeech).
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glassnet.data.archives import Folder
from glassnet.data.members import is_litter
from glassnet.data.parts import part_of
from glassnet.data.recordings import Found, is_sound
from glassnet.data.textfolders import decoded, lines
from glassnet.errors import UserError, nearest
from glassnet.task import Problem

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".psv")
LABELS = ("label", "class", "category", "command", "word", "target", "emotion", "genre", "labels")
TEXTS = ("text", "transcript", "transcription", "sentence", "normalized_text", "utterance")
SPEAKERS = ("speaker", "speaker_id", "client_id", "spk", "spk_id", "actor")
PARTS = ("part", "split", "subset", "set")
HEAD = 1 << 18
"""Bytes in which the first rows are looked for."""
SAMPLED = 200
"""Rows by which the column of the paths is found."""
ENOUGH = 0.5
"""Share of the cells of a column of paths that lead to a sound."""


class Listed:
    """The sounds that a list names, wherever they lie."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = dict(paths)
        self.problems: list[Problem] = []
        self.sizes: Mapping[str, int] = {
            name: path.stat().st_size for name, path in self.paths.items()
        }

    def read(self, name: str) -> bytes:
        """Return the content of one file."""
        return self.paths[name].read_bytes()

    def stamp(self) -> str:
        """When each file was written last."""
        return ",".join(str(path.stat().st_mtime_ns) for path in self.paths.values())


def below(path: Path, files: Folder) -> list[Path]:
    """The lists of recordings in a folder: tables of which a column leads to sounds."""
    tables = [name for name in files.sizes if name.lower().endswith(SUFFIXES)]
    near = [path / name for name in tables if name.count("/") < 3]
    where = _Places(path, files)
    return [table for table in near if _path_column(_head(table), table, where) is not None]


def of_file(path: Path, target: str | None, text: str | None) -> Found:
    """Read one list that was named itself; sounds lie beside it, below it, or where it says."""
    if not path.exists():
        raise UserError(f"{path} does not exist. Give a folder, an archive or a list of sounds.")
    if not path.name.lower().endswith(SUFFIXES):
        raise UserError(
            f"{path} is a single file, but a set of recordings was expected: a folder, an "
            f"archive, or a list ({', '.join(SUFFIXES)})."
        )
    return of_folder(path.parent, Folder(path.parent), [path], target, text)


def of_folder(
    path: Path,
    files: Folder,
    lists: Sequence[Path],
    target: str | None,
    text: str | None,
) -> Found:
    """Read the lists of a folder, those of train, validation and test if there are such."""
    where = _Places(path, files)
    chosen = _chosen(path, lists)
    rows: list[dict[str, str]] = []
    found: dict[str, Path] = {}
    names: list[str] = []
    parts: list[str] = []
    missing: list[str] = []
    problems: list[Problem] = []
    for table in chosen:
        read = _rows(table, problems)
        column = _path_column(read, table, where)
        if column is None:
            raise UserError(
                f"{table}: no column leads to sounds (columns: {', '.join(read[0]) if read else ''}"
                "). Expected paths as seen from the list, or names of files below its folder."
            )
        for row in read:
            place = where.find(table, row[column])
            if place is None:
                missing.append(row[column])
                continue
            name = where.name(place)
            found[name] = place
            names.append(name)
            rows.append({key: value for key, value in row.items() if key != column})
            parts.append(part_of(table.name) or "train")
    columns = dict.fromkeys(key for row in rows for key in row)
    fields = {key: [row.get(key, "") for row in rows] for key in columns}
    label, words = _meant(lists[0], fields, target, text)
    result = Found(Listed(found), names, fields=fields, form="a list of sounds")
    result.labels = fields[label] if label else None
    result.transcripts = fields[words] if words else None
    result.speakers = next((fields[c] for c in fields if c.lower() in SPEAKERS), None)
    result.parts = parts if len(set(parts)) > 1 else _said_parts(fields, problems)
    result.problems = problems + _partners(chosen, missing, sorted(where.sounds - set(names)))
    return result


# --- Reading --------------------------------------------------------------------------------------


def _rows(path: Path, problems: list[Problem]) -> list[dict[str, str]]:
    """All rows of a list as text; columns of one without a header are named by their numbers."""
    try:
        return _parsed(path, decoded(path.read_bytes(), str(path), problems), problems)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Check its rights.") from None


def _head(path: Path) -> list[dict[str, str]]:
    """The first rows; none if it is no list. Of JSON and UTF-16 all, which cannot be cut."""
    try:
        with path.open("rb") as file:
            data = file.read(HEAD)
            if data.lstrip()[:1] == b"[" or data[:1] in (b"\xff", b"\xfe"):
                data += file.read()
            elif len(data) == HEAD:
                data = data[: data.rfind(b"\n") + 1] or data
        text = decoded(data, str(path), [])
        if path.suffix.lower() != ".json":
            text = "\n".join(lines(text)[:SAMPLED])
        return _parsed(path, text, [])
    except (OSError, UserError):
        return []  # told when it is read as a whole


def _parsed(path: Path, text: str, problems: list[Problem]) -> list[dict[str, str]]:
    if path.suffix.lower() in (".jsonl", ".json"):
        return _of_json(path, text)
    first = text.partition("\n")[0]
    separator = max("\t|;,", key=first.count)
    quoting: Any = csv.QUOTE_MINIMAL if separator in ",;" else csv.QUOTE_NONE  # TSV: bare quotes
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
    try:
        table = list(reader)
    except csv.Error as error:
        raise UserError(
            f"{path} line {reader.line_num}: {error}. Look for a quote that is never closed."
        ) from None
    table = [row for row in table if any(cell.strip() for cell in row)]
    if not table:
        return []
    header = [cell.strip() for cell in table[0]]
    usual = {*LABELS, *TEXTS, *SPEAKERS, *_PATHS}
    bare = separator == "|" and not any(cell.lower() in usual for cell in header)
    if bare or any(is_sound(cell) for cell in header):
        header = [f"column {n}" for n in range(1, len(header) + 1)]
        table.insert(0, header)
    if twice := sorted(name for name, times in Counter(header).items() if times > 1 and name):
        what = f"has several columns {', '.join(map(repr, twice[:5]))}"
        problems.append(Problem(str(path), what, "the first of each is read; rename the others"))
    return [_row(header, row) for row in table[1:]]


def _row(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    row: dict[str, str] = {}
    for name, cell in itertools.zip_longest(header, cells[: len(header)], fillvalue=""):
        row.setdefault(name, cell.strip())
    return row


_PATHS = (
    "path", "file", "filename", "file_name", "audio", "audio_filepath", "wav", "wav_filename",
    "clip", "audio_path", "filepath", "slice_file_name", "fname", "sound", "name", "id",
)  # fmt: skip


def _of_json(path: Path, text: str) -> list[dict[str, str]]:
    """A JSON object in each line, or one list of objects; [] if it is something else."""
    try:
        if text.lstrip().startswith("["):
            found: Any = json.loads(text)
        else:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError:
        return []
    rows = [row for row in found if isinstance(row, dict)]
    return [{str(k): "" if v is None else str(v).strip() for k, v in row.items()} for row in rows]


class _Places:
    """Where the sounds of a folder lie, to be found by whatever a list calls them."""

    def __init__(self, path: Path, files: Folder) -> None:
        self.path = path
        self.sounds = {name for name in files.sizes if is_sound(name) and not is_litter(name)}
        self.by_base: dict[str, str] = {}
        for name in sorted(self.sounds, reverse=True):
            base = name.rpartition("/")[2]
            self.by_base[base] = self.by_base[base[: base.rfind(".")]] = name

    def find(self, table: Path, cell: str) -> Path | None:
        """The file that a cell leads to: as a path, or by its name alone."""
        if not cell or len(cell) > 4096 or "\0" in cell:
            return None
        base = cell.replace("\\", "/").rpartition("/")[2]
        for start in (table.parent, self.path):
            with contextlib.suppress(OSError):  # a name that no disk takes, a folder that is closed
                if is_sound(cell) and (start / cell).is_file():
                    return start / cell
        name = self.by_base.get(base)
        return self.path / name if name else None

    def name(self, place: Path) -> str:
        """How a person finds it: from the folder on, if it lies in it."""
        try:
            return place.relative_to(self.path).as_posix()
        except ValueError:
            return str(place)


def _path_column(rows: Sequence[Mapping[str, str]], table: Path, where: _Places) -> str | None:
    """The column whose cells lead to sounds most often, at least at every other row."""
    some = rows[:SAMPLED]
    if not some:
        return None
    hits = {
        column: sum(where.find(table, row.get(column, "")) is not None for row in some)
        for column in some[0]
    }
    best = max(hits, key=lambda column: hits[column])
    wordy = [c for c in some[0] if sum(is_sound(row.get(c, "")) for row in some) > len(some) / 2]
    if hits[best] >= ENOUGH * len(some):
        return best
    return wordy[0] if wordy and hits[wordy[0]] else None


def _chosen(path: Path, lists: Sequence[Path]) -> list[Path]:
    """Those of the parts where there are such; else the only one."""
    parts = {part_of(table.name) for table in lists}
    if "train" in parts:
        return sorted((t for t in lists if part_of(t.name)), key=lambda t: t.name)
    if len(lists) > 1:
        names = ", ".join(str(table.relative_to(path)) for table in lists[:8])
        raise UserError(
            f"{path} has several lists of sounds: {names}. Name one of them as the data, or call "
            "them train, dev and test."
        )
    return list(lists)


def _meant(
    table: Path, fields: Mapping[str, Sequence[str]], target: str | None, text: str | None
) -> tuple[str | None, str | None]:
    """The columns of the labels and of the transcripts."""
    for asked, knob in ((target, "target"), (text, "text")):
        if asked is not None and asked not in fields:
            raise UserError(
                f"{table} has no column {asked!r} for {knob}.{nearest(asked, list(fields))} "
                f"Columns: {', '.join(fields)}."
            )
    lower = {column.lower(): column for column in reversed(list(fields))}
    label = target or next((lower[name] for name in LABELS if name in lower), None)
    words = text or next((lower[name] for name in TEXTS if name in lower), None)
    bare = [column for column in fields if column.startswith("column ")]
    if bare and not (label or words):  # without a header: what comes last is what is said
        words = bare[-1]
    if label is None and words is None and len(fields) == 1:
        label = next(iter(fields))
    return label, words


def _said_parts(fields: Mapping[str, Sequence[str]], problems: list[Problem]) -> list[str] | None:
    for column in fields:
        if column.lower() in PARTS:
            found = [part_of(value) for value in fields[column]]
            if all(found) and len(set(found)) > 1:
                return [str(part) for part in found]
            if any(found) and not all(found):
                other = next(v for v, part in zip(fields[column], found, strict=True) if not part)
                what = (
                    f"{found.count(None):,} rows say neither train, validation nor test: {other!r}"
                )
                remedy = "the parts of the list are not used; write one in every row"
                problems.append(Problem(f"column {column}", what, remedy))
    return None


def _partners(chosen: Sequence[Path], missing: list[str], mute: list[str]) -> list[Problem]:
    problems = []
    if missing:
        problems.append(
            Problem(
                str(chosen[0]),
                f"{len(missing):,} rows name a sound that is not there, such as {missing[0]}",
                "left out; fetch the sounds, or remove the rows",
                kind="unmatched sounds", items=tuple(missing),
            )
        )  # fmt: skip
    if mute:
        problems.append(
            Problem(
                mute[0] + (" …" if len(mute) > 1 else ""),
                f"{len(mute):,} sounds stand in no row of {', '.join(t.name for t in chosen)}",
                "left out; add rows for them if they belong to the set",
                kind="unmatched sounds", level="note", items=tuple(mute),
            )
        )  # fmt: skip
    return problems
