"""Data that exist in memory only are stored beside the runs, so that these can be resumed."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from glassnet.errors import UserError


def store(data: Any, folder: Path) -> Path:
    """Write a DataFrame, or a pair (inputs, targets) of arrays, below ``folder``; return the file.

    The name is the content's hash: the same data are stored once.
    """
    if isinstance(data, tuple) and len(data) == 2:
        return _write(_arrays(*data), folder, ".npz")
    if hasattr(data, "to_dict") or hasattr(data, "columns"):
        return _write(_frame(data), folder, ".parquet")
    raise UserError(
        f"data must be a path, a name, a DataFrame, or a pair (inputs, targets) of arrays; "
        f"found {type(data).__name__}."
    )


def _arrays(inputs: Any, targets: Any) -> bytes:
    import numpy as np

    x, y = np.asarray(inputs), np.asarray(targets)
    if len(x) != len(y):
        raise UserError(f"inputs and targets differ in length: {len(x)} and {len(y)}.")
    if x.ndim == 2:
        import polars as pl

        columns = {f"column_{i + 1}": x[:, i] for i in range(x.shape[1])}
        return _frame(pl.DataFrame({**columns, "target": y}))
    file = io.BytesIO()
    np.savez_compressed(file, x=x, y=y)
    return file.getvalue()


def _frame(frame: Any) -> bytes:
    from glassnet.data import tablefiles

    file = io.BytesIO()
    tablefiles.as_frame(frame).write_parquet(file)
    return file.getvalue()


def _write(content: bytes, folder: Path, suffix: str) -> Path:
    suffix = ".parquet" if content[:4] == b"PAR1" else suffix
    path = folder / "data" / f"{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(content)
    return path
