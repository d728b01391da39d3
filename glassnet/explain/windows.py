"""Convolution and pooling one window at a time, as plain data that text and pages can show.

The arithmetic is written out here, window by window, and the result is compared with torch's own
(``conv2d``, ``conv1d``, ``max_pool2d``, …): ``Walk.check`` holds the largest difference. A signal
is an image of height 1.

>>> cross = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
>>> walk = convolve([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0],
...                  [0, 1, 1, 0, 0]], cross)
>>> walk.output
(((4.0, 3.0, 4.0), (2.0, 4.0, 3.0), (2.0, 3.0, 4.0)),)
>>> walk.windows[0].total, walk.check.agrees
(4.0, True)
"""

# Letters in tensor names: C channels, H height and W width of the input, Y rows and X columns of
# the output, K rows and L columns of the kernel or window.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from glassnet.errors import UserError
from glassnet.explain.ways import Kind, Pooling, Way, maps, numbers, pair

Matrix: TypeAlias = tuple[tuple[float, ...], ...]
Maps: TypeAlias = tuple[Matrix, ...]
"""Channels of rows of numbers; padding of maximum pooling is minus infinity."""

ALL = 100
"""Up to so many windows are all shown; of more, some are chosen."""
FIRST, STRONGEST, WEAKEST = 12, 6, 6
TOLERANCE = 1e-4
"""Of the largest output, for what a network computed in float32; 1e-9 for our own float64."""


@dataclass(frozen=True)
class Window:
    """One window: where it lies, what is under it, and what becomes of it."""

    number: int
    """From 1, row by row (of pooling, channel by channel)."""
    channel: int
    """Of the output, from 0: that of a pooled map; 0 for a filter."""
    place: tuple[int, int]
    """Row and column in the output, from 0."""
    cells: tuple[tuple[tuple[int, int], ...], ...]
    """For each row of the window the cells (row, column) of the input, from 0; those in the padding
    lie below 0 or beyond the end."""
    numbers: Maps
    """Under the window, (channels, K, L)."""
    products: Maps
    """Of the numbers with the kernel; of pooling what is added up (L2: the squares), else empty."""
    total: float
    """The sum of the products, with the bias; of a maximum, the maximum itself."""
    value: float
    """What the output gets: the total, its mean (average), or its root (L2)."""
    winner: tuple[int, int] | None
    """Of a maximum: the cell of the input that won, the first one among equals."""
    why: str
    """Why it is among the windows that are shown: 'all', 'first', 'strongest' or 'weakest'."""


@dataclass(frozen=True)
class Check:
    """Our sums beside torch's own operation, or beside what the network's layer answered."""

    by: str
    largest_difference: float
    agrees: bool


@dataclass(frozen=True)
class Walk:
    """A filter or a pooling window on its way over an input."""

    kind: Kind
    axes: int
    """2 for images, 1 for signals, whose maps have one row."""
    input: Maps
    kernel: Maps
    """(channels, K, L); empty for pooling."""
    bias: float
    size: tuple[int, int]
    """Of the window."""
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    output: Maps
    windows: tuple[Window, ...]
    """All of them up to 100; of more the first, the strongest and the weakest, in their order."""
    of: int
    """How many windows there are."""
    check: Check

    def to_json(self) -> dict[str, Any]:
        """Every field, nested as here; minus infinity, the padding of maximum pooling, as null."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain


def convolve(
    input: Any,
    kernel: Any,
    *,
    bias: float = 0.0,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    signal: bool | None = None,
    expected: Any = None,
) -> Walk:
    """Slide one filter over an input; networks call it convolution, and do not flip the kernel.

    Args:
        input: Numbers (H, W) or (C, H, W); of a signal (L,).
        kernel: Numbers (K, L) or (C, K, L) with the input's channels; of a signal (K,).
        bias: Added to every sum.
        stride: Cells from one window to the next, for both axes or (rows, columns).
        padding: Cells of zeros around the input.
        dilation: Cells from one number under the kernel to the next.
        signal: Whether the maps have one row, along which the kernel moves; None: if it has one
            axis. Input and kernel may then be (C, 1, L) and (C, 1, K).
        expected: What a layer of a network answered (Y, X), to compare with; else torch's conv2d.

    Raises:
        UserError: If the shapes do not fit, or the kernel is larger than the padded input.
    """
    kernel = numbers(kernel, "kernel")
    given = numbers(input, "input")
    axes = 1 if (kernel.ndim == 1 if signal is None else signal) else 2
    if signal is None and (kernel.ndim == 1) != (given.ndim == 1):
        raise UserError(
            f"--kernel: a kernel of shape {tuple(kernel.shape)} does not fit an input of shape "
            f"{tuple(given.shape)}. Give a kernel of one axis, such as 1,0,-1, for a signal, and "
            "of two, such as 1,0;0,1, for an image."
        )
    x_CHW = maps(given, axes)
    k_CKL = maps(kernel, axes)
    if len(k_CKL) != len(x_CHW):
        raise UserError(
            f"--kernel: expected {len(x_CHW)} channels, as the input has, found {len(k_CKL)}."
        )
    way = Way(axes, tuple(k_CKL.shape[1:]), stride, padding, dilation)
    patches_CYXKL = way.patches(x_CHW, 0.0)
    products_CYXKL = patches_CYXKL * k_CKL[:, None, None]
    totals_YX = products_CYXKL.sum((0, 3, 4)) + bias
    found = compare(totals_YX, expected, way.torchs_convolution(x_CHW, k_CKL, bias))
    return _walk("convolution", way, x_CHW, k_CKL, bias, totals_YX[None], found,
                 patches_CYXKL, products_CYXKL, totals_YX[None])  # fmt: skip


def pool(
    input: Any,
    kind: Pooling,
    *,
    window: int | Sequence[int] = 2,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    signal: bool | None = None,
    expected: Any = None,
) -> Walk:
    """Put one number in place of each window, in every channel by itself.

    Args:
        input: Numbers (H, W) or (C, H, W); of a signal (L,); with ``signal`` also (C, L).
        kind: 'max', 'average' (zeros of the padding count), or 'l2': the root of the sum of
            squares, without a division.
        window: Cells of a side, or (rows, columns).
        stride: Cells from one window to the next; None: the window, so that none overlap.
        padding: Cells around the input, at most half a window, as torch has it.
        dilation: Cells from one number to the next.
        signal: Whether the last axis alone is pooled; None: if the input has one axis.
        expected: What a layer of a network answered, to compare with; else torch's operation.

    Raises:
        UserError: If the shapes do not fit, or the window is larger than the padded input.
    """
    given = numbers(input, "input")
    axes = 1 if (given.ndim == 1 if signal is None else signal) else 2
    x_CHW = maps(given, axes)
    size = pair(window, axes, "window", 1, first=1)
    way = Way(axes, size, window if stride is None else stride, padding, dilation)
    if any(2 * p > k for p, k in zip(way.padding, size, strict=True)):
        raise UserError(
            f"--padding {max(way.padding)}: a pooling window of {way.shape(size)} takes at most "
            "half of its side, else windows would lie in the padding alone."
        )
    patches_CYXKL = way.patches(x_CHW, -torch.inf if kind == "max" else 0.0)
    if kind == "max":
        terms_CYXKL = patches_CYXKL[..., :0, :0]
        totals_CYX = patches_CYXKL.amax((3, 4))
        values_CYX = totals_CYX
    else:
        terms_CYXKL = patches_CYXKL**2 if kind == "l2" else patches_CYXKL
        totals_CYX = terms_CYXKL.sum((3, 4))
        values_CYX = totals_CYX.sqrt() if kind == "l2" else totals_CYX / (size[0] * size[1])
    found = compare(values_CYX, expected, way.torchs_pooling(kind, x_CHW))
    empty = x_CHW[:0]
    return _walk(
        kind, way, x_CHW, empty, 0.0, totals_CYX, found, patches_CYXKL, terms_CYXKL, values_CYX
    )


# --- Building -------------------------------------------------------------------------------------


def _walk(
    kind: Kind,
    way: Way,
    x_CHW: Tensor,
    k_CKL: Tensor,
    bias: float,
    totals: Tensor,
    check: Check,
    patches: Tensor,
    products: Tensor,
    output: Tensor,
) -> Walk:
    """Make a ``Window`` of each that is shown."""
    rows, columns = way.starts(0, x_CHW.shape[1]).tolist(), way.starts(1, x_CHW.shape[2]).tolist()
    across, down = len(columns), len(rows)
    windows = []
    for number, why in choose(output):
        channel, rest = divmod(number, across * down)
        y, x = divmod(rest, across)
        here = slice(channel, channel + 1) if kind != "convolution" else slice(None)
        under = patches[here, y, x]
        winner = None
        if kind == "max":
            k, m = divmod(int(under.flatten().argmax()), way.size[1])
            winner = (rows[y][k], columns[x][m])
        windows.append(
            Window(
                number=number + 1,
                channel=channel,
                place=(y, x),
                cells=tuple(tuple((row, column) for column in columns[x]) for row in rows[y]),
                numbers=frozen(under),
                products=frozen(products[here, y, x]) if products.numel() else (),
                total=float(totals[channel, y, x]),
                value=float(output[channel, y, x]),
                winner=winner,
                why=why,
            )
        )
    return Walk(
        kind=kind, axes=way.axes, input=frozen(x_CHW), kernel=frozen(k_CKL), bias=bias,
        size=way.size, stride=way.stride, padding=way.padding, dilation=way.dilation,
        output=frozen(output), windows=tuple(windows), of=output.numel(), check=check,
    )  # fmt: skip


def choose(output: Tensor) -> list[tuple[int, str]]:
    """Number (from 0) of each window that is shown, with the reason, in their order."""
    flat = output.flatten()
    if flat.numel() <= ALL:
        return [(number, "all") for number in range(flat.numel())]
    order = flat.argsort(descending=True, stable=True).tolist()
    # Of two reasons the rarer one is told.
    found = dict.fromkeys(range(min(FIRST, output.shape[-1])), "first")
    found |= dict.fromkeys(order[-WEAKEST:], "weakest")
    found |= dict.fromkeys(order[:STRONGEST], "strongest")
    return sorted(found.items())


def compare(ours: Tensor, layers: Any, torchs: tuple[str, Tensor]) -> Check:
    """Our numbers beside torch's, and beside those of a layer if they are given."""
    by, theirs = torchs
    tolerance = 1e-9
    if layers is not None:
        by, theirs, tolerance = "the network's own answer", numbers(layers, "answer"), TOLERANCE
    largest = float((ours - theirs.reshape(ours.shape)).abs().max())
    return Check(by, largest, largest <= tolerance * max(1.0, float(theirs.abs().max())))


def frozen(tensor: Tensor) -> Any:
    """Nested tuples of floats."""

    def freeze(value: Any) -> Any:
        return tuple(map(freeze, value)) if isinstance(value, list) else value

    return freeze(tensor.tolist())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if value == -torch.inf else value
