"""How far long work has come, told to whoever listens: a download, the decoding of images.

``tell("decoding images", done, total)`` costs nothing if nobody listens. A training tells by its
events; this is for work before the first event.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from glassnet.task import Problem

Listener = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is."""

_listeners: list[Listener] = []


def tell(what: str, done: int, total: int) -> None:
    """Tell the innermost listener, if there is one."""
    if _listeners:
        _listeners[-1](what, done, total)


def warn(problems: Sequence[Problem]) -> None:
    """Tell what was wrong with raw inputs as Python warnings; the command line prints them."""
    for problem in problems:
        warnings.warn(f"{problem.where}: {problem.what}; {problem.remedy}", stacklevel=3)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear of everything that happens inside."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
