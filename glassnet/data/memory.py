"""Data that exist in memory only are stored beside the runs, so that these can be resumed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassnet.errors import UserError

if TYPE_CHECKING:
    import polars as pl

TARGET = "target"
"""The column that holds the targets of a pair of arrays."""


def store(data: Any, folder: Path) -> Path:
    """Write a DataFrame, or a pair (inputs, targets) of arrays, below ``folder``; return the file.

    The name is the content's hash: the same data are stored once.
    """
    if isinstance(data, tuple) and len(data) == 2:
        return _write(_arrays(*data), folder, ".npz")
    from glassnet.data import tablefiles

    try:
        frame = tablefiles.as_frame(data)
    except UserError as error:
        raise UserError(
            "data must be a path, a name, a DataFrame, or a pair (inputs, targets) of arrays; "
            f"found {type(data).__name__}. {error}"
        ) from error
    return _write(_parquet(frame), folder, ".parquet")


def _arrays(inputs: Any, targets: Any) -> bytes:
    import numpy as np

    x, y = np.asarray(inputs), np.asarray(targets)
    if len(x) != len(y):
        raise UserError(f"inputs and targets differ in length: {len(x)} and {len(y)}.")
    if x.ndim == 2:
        import polars as pl

        columns = {f"column_{i + 1}": x[:, i] for i in range(x.shape[1])}
        return _parquet(pl.DataFrame({**columns, TARGET: y}))
    file = io.BytesIO()
    np.savez_compressed(file, x=x, y=y)
    return file.getvalue()


def _parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def _write(content: bytes, folder: Path, suffix: str) -> Path:
    suffix = ".parquet" if content[:4] == b"PAR1" else suffix
    path = folder / "data" / f"{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
    beside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            beside.write_bytes(content)
            beside.replace(path)  # whole or not at all: a file of this name is trusted
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UserError(
            f"The data could not be stored as {path} ({error.strerror}). Free some space or give "
            "yourself the right to write there, or choose another folder for the runs."
        ) from error
    return path
