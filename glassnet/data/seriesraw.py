"""What people give to be answered -> named series: a file, a folder, arrays, a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from glassnet import references
from glassnet.data import serieslayouts, seriestables, tablefiles
from glassnet.data.rawtable import Read
from glassnet.data.series import SeriesFacts, is_constant
from glassnet.data.seriesfiles import Recorded, Values, ended, finite
from glassnet.data.seriestables import SUFFIXES, Columns
from glassnet.errors import UserError
from glassnet.task import Problem

Named = list[tuple[str, Values]]


def read_raw(raw: Any, facts: SeriesFacts) -> tuple[Named, list[Problem]]:
    """Read series without labels; labels that are there are not looked at.

    A path is read as in training; a CSV file is one recording where training read those. An array
    is (steps,), (channels, steps) or (series, channels, steps); of one channel, an array of two
    axes is (series, steps). A list holds several of these.

    Raises:
        UserError: If it has other channels than the training had.
    """
    if isinstance(raw, str | Path):
        found = _of_path(raw, facts)
    elif isinstance(raw, pl.DataFrame):
        found = _of_frame(raw, facts)
    elif isinstance(raw, Sequence) and raw and not _is_numbers(raw):
        pieces = [read_raw(one, facts) for one in raw]
        named = [pair for piece, _ in pieces for pair in piece]
        if all(len(piece) == 1 for piece, _ in pieces) and not isinstance(raw[0], str | Path):
            named = [(f"series {n}", one) for n, (_, one) in enumerate(named, 1)]
        return named, [problem for _, problems in pieces for problem in problems]
    else:
        found = _of_array(raw, facts)
    _refuse_other_channels(found, facts)
    named = [(name, ended(one)) for name, one in zip(found.names, found.series, strict=True)]
    return named, [*found.problems, *_odd(named)]


def _is_numbers(raw: Sequence[Any]) -> bool:
    """Whether nested lists are one array of numbers."""
    while isinstance(raw, Sequence) and not isinstance(raw, str) and raw:
        if len({len(one) for one in raw if isinstance(one, Sequence)}) > 1:
            return False
        raw = raw[0]
    return isinstance(raw, int | float)


def _of_path(raw: str | Path, facts: SeriesFacts) -> Recorded:
    path, _ = references.split(raw)
    if not references.exists(path):
        raise UserError(f"There is no file or folder {str(raw)!r}. Check the spelling.")
    columns = _columns(facts)
    if path.is_dir() and not serieslayouts.files_of(path) and not facts.series:
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if _of_recordings(facts) and files:
            return _recordings(path, files, columns)
    if path.is_file() and path.suffix.lower() in SUFFIXES and not serieslayouts.files_of(path):
        if _of_recordings(facts):
            return _recordings(path.parent, [path], columns)
        return _of_frame(tablefiles.read_file(path).frame, facts)
    return serieslayouts.find(path, columns, labelled=False)


def _of_recordings(facts: SeriesFacts) -> bool:
    """Whether training read a file for each series."""
    return facts.one == "file"


def _recordings(folder: Path, files: Sequence[Path], columns: Columns) -> Recorded:
    found = Recorded([], [], [], list(columns.channels or ()))
    for file in files:
        seriestables.read_recording(file, columns, found)
        found.names.append(str(file.relative_to(folder)))
    return found


def _columns(facts: SeriesFacts) -> Columns:
    named = facts.series or facts.one == "file"
    return Columns(
        target=facts.target or None,
        series=facts.series or None,
        time=facts.time or None,
        group=facts.group or None,
        channels=tuple(facts.channels) if named else None,
    )


def _of_frame(frame: pl.DataFrame, facts: SeriesFacts) -> Recorded:
    columns = _columns(facts)
    kept = [name for name in frame.columns if name != facts.group]
    if facts.target not in kept:
        columns = Columns(series=columns.series, time=columns.time, channels=columns.channels)
    read = Read(frame.select(kept), [("", "train", frame.height)])
    if facts.series:
        return seriestables.of_long(read, "the table", columns, labelled=False)
    return seriestables.of_wide(read, "the table", columns, labelled=False)


def _of_array(raw: Any, facts: SeriesFacts) -> Recorded:
    try:
        values = np.asarray(raw, np.float64)
    except (TypeError, ValueError):
        raise UserError(
            "Expected series to answer: a file, an array of numbers (steps,), (channels, steps) "
            f"or (series, channels, steps), or a list of such; found {type(raw).__name__}."
        ) from None
    count = len(facts.channels)
    if values.ndim == 1:
        values = values[None, None]
    elif values.ndim == 2:
        values = values[:, None] if count == 1 else values[None]
    if values.ndim != 3 or not values.size:
        raise UserError(
            "Expected an array (steps,), (channels, steps) or (series, channels, steps), found one "
            f"of shape {np.asarray(raw).shape}."
        )
    names = [f"series {number + 1}" for number in range(len(values))]
    channels = facts.channels if values.shape[1] == count else [""] * values.shape[1]
    return Recorded([finite(one.T) for one in values], [None] * len(values), names, channels)


def _refuse_other_channels(found: Recorded, facts: SeriesFacts) -> None:
    for name, one in zip(found.names, found.series, strict=True):
        if one.shape[1] != len(facts.channels):
            shown = ", ".join(facts.channels[:10]) + " …" * (len(facts.channels) > 10)
            raise UserError(
                f"{name} has {one.shape[1]} channels, expected {len(facts.channels)} ({shown}), as "
                "in training."
            )


def _odd(named: Named) -> list[Problem]:
    told = (
        ([n for n, one in named if np.isnan(one).all()], "hold no number", "their answer is void"),
        ([n for n, one in named if is_constant(one) and not np.isnan(one).all()], "are constant",
         "check the sensor: their answer means little"),
    )  # fmt: skip
    return [
        Problem("these series", f"{len(names)} of {len(named)} {what} ({', '.join(names[:10])})",
                remedy, items=tuple(names))
        for names, what, remedy in told if names
    ]  # fmt: skip
