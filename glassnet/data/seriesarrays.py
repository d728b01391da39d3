"""Series in arrays: .npz with X (series, channels, steps) or (series, steps), and y."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glassnet.data.seriesfiles import MISSING, UNIVARIATE, Recorded, as_whole, ended, finite
from glassnet.errors import UserError

LABELS = ("y", "labels", "label", "target", "targets", "Y")
BROKEN = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What comes of a file that is no .npz, or a damaged one."""
SERIES = ("X", "x", "series", "signals", "data")


def read_npz(path: Path) -> Recorded:
    """Read X (N, C, T) or (N, T), and y (N,) if it is there; NaN behind the end of a short one.

    X_train, y_train, X_test, y_test are a split. Nothing is unpickled.
    """
    try:
        with opened(path) as arrays:
            held = {name: _array(path, arrays, name) for name in arrays.files}
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{path} cannot be read as .npz ({error}).") from None
    pieces = list(_pieces(held))
    if not pieces:
        raise UserError(
            f"{path}: expected arrays X (series, channels, steps) or (series, steps), and y; "
            f"found {', '.join(held) or 'nothing'}."
        )
    found = Recorded([], [], [], [], form="series of arrays")
    for part, values, labels in pieces:
        _append_arrays(path, part, values, labels, found)
    if len({one.shape[1] for one in found.series}) > 1:
        raise UserError(f"{path}: the arrays of series differ in their number of channels.")
    if len(pieces) == 1:
        found.parts = []
        found.names = [f"series {number + 1}" for number in range(len(found.series))]
    return found


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The arrays of an .npz file, which nothing is unpickled of; ``BROKEN`` if it is none."""
    with path.open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("it holds one array without a name, as .npy does")
        yield arrays


def _array(path: Path, arrays: Any, name: str) -> Any:
    try:
        return arrays[name]
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise
        raise UserError(
            f"{path}: the array {name} holds Python objects, which are not unpickled: that would "
            "run whatever code the file brings. Save one array of numbers (series, channels, "
            "steps), short series filled up with NaN."
        ) from None


def _pieces(held: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Part, series and labels of each pair of arrays."""
    for part, words in (("train", ("_train", "_TRAIN")), ("validation", ("_val", "_validation")),
                        ("test", ("_test", "_TEST")), ("train", ("",))):  # fmt: skip
        for word in words:
            values = next((held[name + word] for name in SERIES if name + word in held), None)
            if values is not None:
                labels = next((held[name + word] for name in LABELS if name + word in held), None)
                yield part, values, labels


def _append_arrays(path: Path, part: str, values: Any, labels: Any, found: Recorded) -> None:
    if values.dtype.kind not in "fiub" or values.ndim not in (2, 3):
        raise UserError(
            f"{path}: expected an array of numbers (series, channels, steps) or (series, steps), "
            f"found {values.dtype} of shape {values.shape}."
        )
    if labels is not None and (labels.ndim != 1 or len(labels) != len(values)):
        raise UserError(
            f"{path}: expected a label for each of the {len(values)} series, found an array of "
            f"shape {labels.shape}."
        )
    stacked = values[:, None] if values.ndim == 2 else values
    found.series += [ended(finite(one.T.astype(np.float64))) for one in stacked]
    found.labels += [None] * len(values) if labels is None else [_label(one) for one in labels]
    found.names += [f"{part + ' ' if part else ''}series {n + 1}" for n in range(len(values))]
    found.parts += [part] * len(values)
    count = stacked.shape[1]
    found.channels = list(UNIVARIATE) if count == 1 else [f"channel {n + 1}" for n in range(count)]


def _label(value: Any) -> str | None:
    text = value.decode() if isinstance(value, bytes) else str(value)
    return None if text.lower() in MISSING else as_whole(text)
