"""Data that are in no file are stored beside the runs, so that these can be resumed.

Frames and arrays, and what a database answers: a run needs the same rows again, bit for bit.
"""

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
ORIGIN = "glassnet.origin"
"""The key in a Parquet file under which it says where its rows are from."""


def store(data: Any, folder: Path) -> Path:
    """Write a DataFrame, or a pair (inputs, targets) of arrays, below ``folder``; return the file.

    The name is the content's hash: the same data are stored once.
    """
    if isinstance(data, tuple) and len(data) == 2:
        return _write(_arrays(*data), folder, ".npz")
    from glassnet.data import frames

    try:
        frame = frames.as_frame(data)
    except UserError as error:
        raise UserError(
            "data must be a path, a name, a DataFrame, or a pair (inputs, targets) of arrays; "
            f"found {type(data).__name__}. {error}"
        ) from error
    return _write(_parquet(frame), folder, ".parquet")


def store_rows(frame: pl.DataFrame, folder: Path, name: str, origin: str) -> Path:
    """Write the rows that a database gave below ``folder``, for the user's eyes only.

    ``origin`` says where they are from, without a password; it stays in the file.
    """
    return _write(_parquet(frame, {ORIGIN: origin}), folder, ".parquet", f"{name}-", 0o600)


def origin(path: Path) -> str:
    """Where the rows of a Parquet file of ours are from; '' for other files."""
    import polars as pl

    return pl.read_parquet_metadata(path).get(ORIGIN, "")


def _arrays(inputs: Any, targets: Any) -> bytes:
    import numpy as np

    from glassnet.data import frames

    if len(inputs) != len(targets):
        raise UserError(f"inputs and targets differ in length: {len(inputs)} and {len(targets)}.")
    if frames.is_frame(inputs) or np.ndim(inputs) == 2:
        return _parquet(_with_target(inputs, targets))
    x, y = np.asarray(inputs), np.asarray(targets)
    file = io.BytesIO()
    np.savez_compressed(file, x=x, y=y)
    return file.getvalue()


def _with_target(inputs: Any, targets: Any) -> pl.DataFrame:
    """The columns of a frame (with their types) or an array of two axes, and the targets."""
    import numpy as np
    import polars as pl

    from glassnet.data import frames

    frame = frames.as_frame(inputs if frames.is_frame(inputs) else np.asarray(inputs))
    answers = np.asarray(targets)
    if TARGET in frame.columns:
        raise UserError(
            f"The inputs have a column {TARGET!r}, as the targets would be called. Rename it, or "
            "give one frame with both, and target=."
        )
    values = answers.tolist() if answers.dtype == object else answers
    return frame.with_columns(pl.Series(TARGET, values, strict=False))


def _parquet(frame: pl.DataFrame, metadata: dict[str, str] | None = None) -> bytes:
    import polars as pl

    file = io.BytesIO()
    try:
        frame.write_parquet(file, metadata=metadata)
    except pl.exceptions.PolarsError as error:
        raise UserError(f"These data cannot be stored as a table: {error}.") from error
    return file.getvalue()


def _write(
    content: bytes, folder: Path, suffix: str, name: str = "", mode: int | None = None
) -> Path:
    suffix = ".parquet" if content[:4] == b"PAR1" else suffix
    path = folder / "data" / f"{name}{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
    beside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            beside.touch(0o666 if mode is None else mode)
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
