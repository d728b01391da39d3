"""What people give to be answered -> named texts: a text, a list, a file, a folder, a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from glassnet import references
from glassnet.data import tablefiles, textlayouts
from glassnet.data.archives import open_files
from glassnet.data.order import natural
from glassnet.data.rawtable import Known
from glassnet.data.textfolders import SUFFIXES, decoded, lines
from glassnet.data.texts import TextFacts, Tokens
from glassnet.errors import UserError, nearest
from glassnet.task import Problem

STRANGE = 0.5
"""Share of unknown tokens above which an answer means little."""
Named = list[tuple[str, str | None]]
"""Name and text of each; None where it could not be read."""


def read_raw(raw: Any, facts: TextFacts) -> tuple[Named, list[Problem]]:
    """Read texts without labels.

    A string is the path of a file or folder if there is one, else the text itself. A .txt file is
    one text if the texts of the training were files, else it has a text in each line. In a folder
    each .txt file is one text.
    """
    problems: list[Problem] = []
    if isinstance(raw, str | Path):
        return _of_string(raw, facts, problems), problems
    is_list = isinstance(raw, Sequence) and not isinstance(raw, bytes)
    if is_list and raw and all(isinstance(one, str) for one in raw):
        return [(f"text {number}", one.strip()) for number, one in enumerate(raw, 1)], problems
    if is_list and raw and all(isinstance(one, Path) for one in raw):
        return [pair for one in raw for pair in _of_string(one, facts, problems)], problems
    if isinstance(raw, pl.Series):
        raw = pl.DataFrame({facts.text or "text": raw})
    if is_list and not (raw and isinstance(raw[0], Mapping)):
        kinds = ", ".join(sorted({type(one).__name__ for one in raw})) or "nothing"
        raise UserError(f"Expected texts to answer, found a list of {kinds}.")
    return _of_frame(tablefiles.as_frame(raw), facts), problems


def _of_string(raw: str | Path, facts: TextFacts, problems: list[Problem]) -> Named:
    is_blank = not str(raw).strip()  # else the folder that we are in
    if is_blank or (
        isinstance(raw, str) and re.search(r"\s", raw) and not references.exists(Path(raw))
    ):
        return [("text", str(raw).strip())]
    path, _ = references.split(raw)
    if not (references.exists(path) or references.is_database(raw)):
        if isinstance(raw, Path) or _looks_like_a_path(raw):
            raise UserError(
                f"There is no file or folder {str(raw)!r}, and by its form it is no text either. "
                "Check the spelling."
            )
        return [("text", raw.strip())]
    if path.is_dir():
        return _of_folder(path, problems)
    if path.suffix.lower() in SUFFIXES:
        return _of_file(path, facts, problems)
    read = tablefiles.read_file(raw, known=Known(facts.order, facts.target))
    problems += read.problems
    return _of_frame(read.frame, facts)


def _looks_like_a_path(text: str) -> bool:
    """Whether a string without a space ends as a file does, or has the form of a folder's path."""
    endings = (*SUFFIXES, *tablefiles.SUFFIXES)
    return not re.search(r"\s", text) and (
        text.lower().endswith(endings) or bool(re.match(r"^(\.{0,2}/|~)[\w.-]+", text))
    )


def _of_folder(folder: Path, problems: list[Problem]) -> Named:
    files = open_files(folder)
    names = sorted((n for n in files.sizes if n.lower().endswith(SUFFIXES)), key=natural)
    if not names:
        raise UserError(
            f"{folder} holds no texts ({', '.join(SUFFIXES)}). Give a folder of texts, a .txt "
            "file or a table."
        )
    return [(name, _one(folder / name, problems)) for name in names]


def _of_file(path: Path, facts: TextFacts, problems: list[Problem]) -> Named:
    text = _one(path, problems)
    if not text or facts.one == "file":
        return [(path.name, text)]
    return [(f"line {n}", line.strip()) for n, line in enumerate(lines(text), 1)]


def _one(path: Path, problems: list[Problem]) -> str | None:
    try:
        return decoded(path.read_bytes(), str(path), problems).strip()
    except OSError as error:
        problems.append(Problem(str(path), f"cannot be read ({error.strerror})", "check it"))
    except UserError as error:
        problems.append(Problem(str(path), str(error), "export it as text"))
    return None


def _of_frame(frame: pl.DataFrame, facts: TextFacts) -> Named:
    """The texts of a table: from the column that training had, or from the only one."""
    name = facts.text
    if name not in frame.columns and frame.width == 1:
        name = frame.columns[0]
    if name not in frame.columns:
        words = [column.name for column in frame if textlayouts.is_words(column)]
        if name or len(words) != 1:
            raise UserError(
                f"The column {name!r} of the texts is missing.{nearest(name, frame.columns)} "
                f"Found: {', '.join(frame.columns[:40]) or 'none'}."
                if name
                else f"Name one column of texts only; found: {', '.join(frame.columns[:40])}."
            )
        name = words[0]
    column = frame[name].cast(pl.String).fill_null("").str.strip_chars()
    return [(f"row {number}", text) for number, text in enumerate(column, 1)]


def mostly_unknown(
    encoded: Sequence[Tokens], named: Sequence[tuple[str, str]], facts: TextFacts
) -> list[Problem]:
    """Tell which texts hold little that training has seen: another language, or script."""
    unknown = facts.vocabulary.unknown
    if unknown is None:
        return []
    strange = [
        name
        for (name, _), found in zip(named, encoded, strict=True)
        if not len(found) or (found == unknown).mean() > STRANGE
    ]
    if not strange:
        return []
    what = f"more than half of the {facts.vocabulary.unit} of {len(strange):,} texts are unknown"
    named_few = ", ".join(strange[:5]) + " …" * (len(strange) > 5)
    return [
        Problem(
            named_few, what, "the answers mean little; training saw no texts like these",
            items=tuple(strange),
        )
    ]  # fmt: skip
