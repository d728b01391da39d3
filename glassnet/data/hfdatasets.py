"""A data set of the Hugging Face library ``datasets``, as its ``save_to_disk`` writes it.

One folder for each split, or a single one: ``state.json`` names files of Arrow's stream format,
``dataset_info.json`` says what the columns are. The library itself is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from glassnet.data.frames import plain
from glassnet.data.rawtable import Read
from glassnet.errors import UserError

SPLITS, STATE, ABOUT = "dataset_dict.json", "state.json", "dataset_info.json"


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote this folder."""
    return (folder / SPLITS).is_file() or (
        (folder / STATE).is_file() and (folder / ABOUT).is_file()
    )


def readers(folder: Path) -> dict[str, Callable[[], Read]]:
    """Each split by its name; a data set without splits has one, called 'train'.

    Classes stand in the columns by their names; -1, the library's sign of no label, is missing.
    """
    if not (folder / SPLITS).is_file():
        return {"train": partial(_read, folder, folder.name)}
    names = _json(folder / SPLITS).get("splits")
    if not isinstance(names, list) or not names:
        raise UserError(f"{folder / SPLITS} names no splits. Save the data set again.")
    return {str(name): partial(_read, folder / str(name), str(name)) for name in names}


def _read(folder: Path, name: str) -> Read:
    files = [str(entry.get("filename")) for entry in _json(folder / STATE).get("_data_files", [])]
    if not files:
        raise UserError(f"{folder / STATE} names no files of data. Save the data set again.")
    frame = pl.concat([_shard(folder / file) for file in files], how="vertical_relaxed")
    frame = frame.with_columns(_named(frame, _json(folder / ABOUT).get("features") or {}))
    return Read(plain(frame), [(name, "train", frame.height)], about=f"{folder} (datasets)")


def _shard(path: Path) -> pl.DataFrame:
    try:
        return pl.read_ipc_stream(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as an Arrow stream ({error}). Save the data set again by "
            "`save_to_disk`."
        ) from error


def _named(frame: pl.DataFrame, features: dict[str, Any]) -> list[pl.Series]:
    """Columns of class numbers as class names."""
    named = []
    for column, feature in features.items():
        if not (isinstance(feature, dict) and feature.get("_type") == "ClassLabel"):
            continue
        if column in frame.columns and (names := feature.get("names")):
            positions = {number: str(name) for number, name in enumerate(names)}
            named.append(
                frame[column].replace_strict(positions, default=None, return_dtype=pl.String)
            )
    return named


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}). A data set that `save_to_disk` wrote has it; save "
            "it again."
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds a {type(found).__name__}, expected an object.")
    return found
