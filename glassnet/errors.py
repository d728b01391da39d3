"""The one error that a person is meant to read.

Everything that a user can get wrong (a path, a knob, a file, a column) raises ``UserError``; the
command line prints its message and exits with 2. Any other exception is a defect of glassnet.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input. The message names the file or field, what was expected and found, what to do."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'epochs'?"`` for the known name nearest to ``name``, or an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


class Diverged(UserError):
    """The loss is not a number any more."""
