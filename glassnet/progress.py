"""How far long work has come, told to whoever listens: a download, the decoding of images.

``tell("decoding images", done, total)`` costs nothing if nobody listens. A training tells by its
events; this is for work before the first event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is."""

_listeners: list[Listener] = []


def tell(what: str, done: int, total: int) -> None:
    """Tell the innermost listener, if there is one."""
    if _listeners:
        _listeners[-1](what, done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear of everything that happens inside."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
