"""``glassnet convolve``: from what a person types to a filter or a pooling window on its way."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from glassnet.errors import UserError, nearest
from glassnet.explain import layerwalk, ways, windows
from glassnet.explain.ways import Pooling
from glassnet.explain.windowviews import Walked
from glassnet.trained import Trained

EXAMPLE = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
"""The input of the worked example; with ``CROSS`` it gives [[4, 3, 4], [2, 4, 3], [2, 3, 4]]."""
CROSS = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
TO_POOL = [[1, 3, 2, 0, 5, 4], [4, 6, 5, 1, 0, 2], [0, 1, 3, 8, 7, 1],
           [2, 2, 7, 1, 3, 0], [9, 4, 0, 2, 6, 5], [3, 1, 2, 4, 1, 8]]  # fmt: skip
"""What pooling is shown on, if nothing else is given."""
NINTH = 1 / 9
KERNELS: dict[str, list[list[float]]] = {
    "cross": [[1, 0, 1], [0, 1, 0], [1, 0, 1]],
    "sobel-x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "sobel-y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "edge": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "blur": [[NINTH] * 3] * 3,
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
}
"""Kernels by name, for images."""
FOR_SIGNALS: dict[str, list[float]] = {
    "edge": [-1, 0, 1], "sharpen": [-1, 3, -1], "blur": [1 / 3] * 3, "identity": [0, 1, 0],
}  # fmt: skip
"""Kernels by name, for signals."""
LONGEST = 256
"""Pixels of the longer side; a larger image is made smaller, so that its page stays small."""


def convolve(
    input: Any = None,
    kernel: Any = None,
    *,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    pool: Pooling | None = None,
    window: int | Sequence[int] | None = None,
) -> Walked:
    """Step a kernel, or with ``pool`` a pooling window, over numbers or an image."""
    if pool is not None and kernel is not None:
        raise UserError(f"--kernel {kernel} contradicts --pool {pool}, which has none; choose one.")
    if pool is None and window is not None:
        raise UserError("--window is for --pool; the window of a convolution is its --kernel.")
    if pool is not None and pool not in get_args(Pooling):
        raise UserError(
            f"--pool {pool}: expected one of {', '.join(get_args(Pooling))}."
            f"{nearest(str(pool), get_args(Pooling))}"
        )
    default = EXAMPLE if pool is None else TO_POOL
    given, name, notes = _input(default if input is None else input)
    if pool is not None:
        walk = windows.pool(
            given, pool, window=2 if window is None else window, stride=stride, padding=padding,
            dilation=dilation,
        )  # fmt: skip
        return Walked(walk, name, tuple(notes))
    matrix, called = _kernel(kernel, ways.numbers(given, "input").ndim)
    walk = windows.convolve(
        given, matrix, stride=1 if stride is None else stride, padding=padding, dilation=dilation
    )
    if input is None and kernel is None:
        name = "the worked example"
    return Walked(walk, " with ".join(part for part in (name, called) if part), tuple(notes))


def convolve_run(trained: Trained, source: Any = None, **asked: Any) -> Walked:
    """Step one filter of a run over one of its examples, or over a new input."""
    return layerwalk.walk_layer(trained, source=source, **asked)


# --- Reading --------------------------------------------------------------------------------------


def _input(given: Any) -> tuple[Any, str, list[str]]:
    """Numbers, what to call them, and what was done to them."""
    if not isinstance(given, str | Path):
        return given, "", []
    if isinstance(given, str) and _is_inline(given):
        return parse(given, "input"), "", []
    path = Path(given)
    if not path.is_file():
        raise UserError(
            f"--input {given}: there is no such file. Expected a .csv, an image, or numbers such "
            "as 1,2,3 (a signal) or '1,0;0,1' (rows of an image)."
        )
    from glassnet.data.pixels import SUFFIXES

    if path.suffix.lower() in SUFFIXES:
        return _image(path)
    return _csv(path), path.name, []


def _image(path: Path) -> tuple[Any, str, list[str]]:
    """Grey levels from 0 to 255."""
    from glassnet.data import pixels

    data = path.read_bytes()
    try:
        shape = pixels.header(data)
        factor = min(1.0, LONGEST / max(shape.height, shape.width))
        height = max(1, round(shape.height * factor))
        width = max(1, round(shape.width * factor))
        image = pixels.decode(data, pixels.Geometry(channels=1, height=height, width=width))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    notes = ["The numbers are grey levels, from 0 (black) to 255 (white)."]
    if factor < 1:
        notes.append(
            f"The image of {shape.width}×{shape.height} pixels was made smaller: {width}×{height}."
        )
    return image[0].tolist(), path.name, notes


def _csv(path: Path) -> list[Any]:
    """Rows of numbers; one row is a signal."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: {error}.") from None
    rows = [
        [_number(cell, f"{path}, row {i}, column {j}") for j, cell in enumerate(line, 1)]
        for i, line in enumerate(lines, 1)
    ]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise UserError(
            f"{path}: expected rows of one length, found {sorted(lengths) or 'no row'}."
        )
    return rows[0] if len(rows) == 1 else rows


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{where}: expected a number, found {text!r}.") from None


def _is_inline(text: str) -> bool:
    return text.lstrip().startswith("[") or re.fullmatch(r"[\d\s.,;eE+-]+", text) is not None


def parse(text: str, name: str) -> Any:
    """Numbers as they are typed: ``1,0,-1``, ``1,0;0,1`` or ``[[1, 0], [0, 1]]``."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"--{name} {text}: not a list of numbers: {error}.") from None
    rows = [
        [_number(cell, f"--{name}") for cell in re.split(r"\s*,\s*|\s+", row.strip())]
        for row in text.strip().strip(";").split(";")
    ]
    return rows[0] if len(rows) == 1 and ";" not in text else rows


def _kernel(given: Any, axes: int) -> tuple[Any, str]:
    """The numbers of a kernel, and its name if it has one."""
    if given is None and axes == 1:
        return FOR_SIGNALS["edge"], "the kernel edge"
    if given is None:
        return CROSS, ""
    if not isinstance(given, str):
        return given, ""
    if _is_inline(given):
        return parse(given, "kernel"), ""
    named: dict[str, Any] = {**(FOR_SIGNALS if axes == 1 else KERNELS)}
    if given not in named:
        what = "signals" if axes == 1 else "images"
        raise UserError(
            f"--kernel {given}: there is no such kernel for {what}.{nearest(given, named)} There "
            f"are {', '.join(named)}; or give numbers, such as "
            f"{'1,0,-1' if axes == 1 else '1,0;0,1'}."
        )
    return named[given], f"the kernel {given}"
