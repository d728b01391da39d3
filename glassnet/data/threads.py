"""Work spread over threads, for decoders that release the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

X = TypeVar("X")
Y = TypeVar("Y")

GRAIN = 32
"""Items per task: handing over one item costs 50 µs, decoding a small image not much more."""
CHUNK = 1024
"""Items whose results may wait in memory, and after which progress is told."""


def in_threads(
    work: Callable[[X], Y],
    items: Sequence[X],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Y]:
    """Do the work for all items; results come in the order of the items."""

    def portion(start: int) -> list[Y]:
        return [work(item) for item in items[start : min(start + GRAIN, len(items))]]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(items), CHUNK):
            last = min(first + CHUNK, len(items))
            for results in pool.map(portion, range(first, last, GRAIN)):
                yield from results
            if progress:
                progress(last, len(items))
