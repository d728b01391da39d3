"""What every reader of tables gives: a frame, where its rows come from, and what was odd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from glassnet.errors import UserError, nearest
from glassnet.task import Problem

MISSING = ("", "?", "na", "n/a", "nan", "null", "none", "nil", "#n/a", "<na>", "nat", "-")
"""Cells that mean 'missing', in lower case."""
MISSING_ANSWERS = ("", "?", "nan", "null", "#n/a", "<na>", "nat")
"""The same for the target, of which 'none' or 'NA' may well be a class."""


@dataclass
class Read:
    """A table, as far as it can be read without knowing its target."""

    frame: pl.DataFrame
    files: list[tuple[str, str, int]]
    """Name, part and number of rows of each file, in the order of the rows."""
    separator: str = ","
    header: bool = True
    problems: list[Problem] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    """Files of the folder that lack the target and are not part of ``frame``."""
    about: str = ""
    """Which part of the file or database this is, such as a sheet or a query."""


@dataclass(frozen=True)
class Known:
    """What prediction knows of a table in advance: its columns in order, and the target."""

    columns: Sequence[str]
    target: str


def missing_to_null(frame: pl.DataFrame, target: str | None = None) -> pl.DataFrame:
    """Strip the text cells, and make those null that mean 'missing'."""
    columns = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(
        _missing_to_null(name, MISSING_ANSWERS if name == target else MISSING) for name in columns
    )


def _missing_to_null(name: str, tokens: Sequence[str]) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text.str.to_lowercase().is_in(tokens)).then(None).otherwise(text).alias(name)


def chosen(
    where: str,
    kind: str,
    names: Sequence[str],
    name: str,
    target: str | None,
    has: Callable[[str, str], bool],
) -> str:
    """The sheet (or table) that is named, the only one, or the only one that has the target."""
    listed = ", ".join(names[:20]) or "none"
    if name:
        if name in names:
            return name
        raise UserError(f"{where} has no {kind} {name!r}.{nearest(name, names)} It has: {listed}.")
    if not names:
        raise UserError(f"{where} holds no {kind} with rows. Expected a table of data.")
    fitting = list(names) if len(names) == 1 or target is None else []
    fitting = fitting or [one for one in names if has(one, str(target))]
    if len(fitting) == 1:
        return fitting[0]
    having = f", of which {len(fitting)} have a column {target!r}" if target is not None else ""
    raise UserError(
        f"{where} holds {len(names)} {kind}s{having}: {listed}. Say which one behind a #, such as "
        f"{where}#{(fitting or list(names))[0]}."
    )
