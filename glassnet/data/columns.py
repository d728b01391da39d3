"""A column of a table -> slots of the row that a network reads; one path for training and use.

- number: minus the median, by the interquartile range, then x / sqrt(1 + (x/3)^2), which keeps
  the middle and bends the tails (RealMLP; Holzmüller, Grinsztajn and Steinwart 2024); missing
  becomes the median; the edges of its bins are there for networks that spread numbers out
- boolean: -1 and 1; missing becomes 0
- category: the position of its level; all rare and unseen ones are 'other', missing is a level
- text: one slot for each frequent word, 1 if it is there, and one for the length
- date: days as a number; month, weekday and time of day as points on circles
- and, where training has missing cells, one slot that says so
"""

# Letters: N rows, S slots of a column.

from __future__ import annotations

import math
import re
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from glassnet.data import cells
from glassnet.data.order import natural
from glassnet.task import Problem

FEW_LEVELS = 50
"""Texts with at most so many different values are categories, whatever they look like."""
MAX_LEVELS = 10_000
"""Levels of a category that are told apart; the rest is 'other'."""
MAX_BINS = 48
"""Bins of a number (Gorishniy, Kotelnikov and Babenko 2025, TabM's default)."""
ROWS_PER_BIN = 64
"""At least so many rows for each of them, on average: fewer only invite overfitting."""
MAX_WORDS = 100
"""Words of a text that get a slot of their own."""
ENOUGH_ROWS = 20
"""Fewer rows say nothing about whether a column is an identifier."""

_ID_NAME = re.compile(
    r"(?i:^(id|idx|index|key|row|nr|number|unnamed.*)$|(^|[_\W])(id|uuid|guid)$)|[a-z]I[dD]$"
)

Kind = Literal["number", "boolean", "category", "text", "date", "ignored"]
Array = NDArray[Any]


class Slot(BaseModel):
    """One number of an encoded row."""

    model_config = ConfigDict(frozen=True)

    name: str
    levels: list[str] = []
    """Of a category: the names of the levels; the slot holds the position of one."""
    edges: list[float] = []
    """Of a number: ascending edges of bins with about equally many training rows."""
    centre: float = 0.0
    scale: float = 0.0
    """Of a column of numbers, in its unit; 0 for all that is no plain number."""

    @property
    def size(self) -> int:
        """Number of levels of a category, else 0."""
        return len(self.levels)


class Column(BaseModel):
    """How one column becomes slots."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    reason: str = ""
    """Why the column is ignored."""
    notation: str = "point"
    """How text says numbers: 'point' 1.5, 'comma' 1,5 or 'thousands' 1,000.5."""
    unit: str = ""
    """What text puts before|after numbers, such as '$|' or '|kg'; '|' for odd spelling alone."""
    format: str = ""
    """In which order text says dates; empty for columns that are dates already."""
    centre: float = 0.0
    scale: float = 1.0
    edges: list[float] = []
    """Of the bins of the slot that holds a number."""
    levels: list[str] = []
    words: list[str] = []
    missing: bool = False
    """Whether training has missing cells."""
    clock: bool = False
    """Whether the dates have a time of day."""

    @property
    def slots(self) -> list[Slot]:
        """The slots that the column fills."""
        flag = [Slot(name=f"{self.name} missing")] if self.missing else []
        number = Slot(name=_NUMBER_SLOT.get(self.kind, "{}").format(self.name), edges=self.edges)
        match self.kind:
            case "ignored":
                return []
            case "number":
                scale = {"centre": self.centre, "scale": self.scale}
                return [number.model_copy(update=scale), *flag]
            case "boolean":
                return [Slot(name=f"{self.name}={self.levels[-1]}"), *flag]
            case "category":
                return [Slot(name=self.name, levels=[*self.levels, *self.specials])]
            case "text":
                return [*(Slot(name=f"{self.name}: {word}") for word in self.words), number, *flag]
            case "date":
                circles = [Slot(name=f"{self.name}: {part}") for part in _circles(self.clock)]
                return [number, *circles, *flag]

    @property
    def specials(self) -> list[str]:
        """The levels of a category beside those with a name of their own."""
        return ["other", "missing"] if self.missing else ["other"]


_NUMBER_SLOT = {"text": "{}: length", "date": "{}: day"}


# --- Learning -------------------------------------------------------------------------------------


def learn_column(column: pl.Series, separator: str = ",", *, chosen: bool = False) -> Column:
    """Find a column's type, scale, levels and words.

    ``chosen``: somebody chose the column as a feature, so that numbers are no identifier.
    """
    name, present = column.name, column.drop_nulls()
    if present.dtype.is_nested() or present.dtype in (pl.Object, pl.Binary):
        return _ignored(name, f"holds {present.dtype}, no single values")
    if not len(present):
        return _ignored(name, "has no value in any training row")
    missing = column.null_count() > 0
    if present.n_unique() == 1 and not missing:
        return _ignored(name, f"is {str(present[0])!r} in every training row")
    if not (chosen and present.dtype.is_numeric()) and (reason := _identifier(present)):
        return _ignored(name, reason)
    if present.dtype == pl.Boolean or cells.is_boolean(present):
        return Column(name=name, kind="boolean", levels=_yes_and_no(present), missing=missing)
    notation, unit, numbers = cells.read_numbers(column, separator)
    if notation:
        return _learn_number(name, numbers, notation, unit)
    format, dates = cells.read_dates(column)
    if format is not None:
        return _learn_date(name, dates, format)
    return _learn_text(name, cells.as_text(present), missing)


def _ignored(name: str, reason: str) -> Column:
    return Column(name=name, kind="ignored", reason=reason)


def _learn_number(name: str, numbers: pl.Series, notation: str, unit: str) -> Column:
    finite = cells.finite(numbers)
    values = finite.drop_nulls().to_numpy().astype(np.float64)
    if not len(values) or values.min() == values.max() and not finite.null_count():
        return _ignored(name, "has no two different finite values in the training rows")
    return Column(
        name=name, kind="number", notation=notation, unit=unit, missing=finite.null_count() > 0,
        **_scale(values),
    )  # fmt: skip


def _learn_date(name: str, dates: pl.Series, format: str) -> Column:
    days = cells.days(dates).drop_nulls().to_numpy()
    clock = bool((days % 1 != 0).any())
    return Column(
        name=name, kind="date", format=format, clock=clock, missing=dates.null_count() > 0,
        **_scale(days),
    )  # fmt: skip


def _scale(values: Array) -> dict[str, Any]:
    """Median, spread, and the edges of bins on that scale."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    # A column that is mostly one value has no interquartile range; RealMLP takes half its range.
    spread = high - low if high > low else (values.max() - values.min()) / 2
    scale = {"centre": float(middle), "scale": float(spread) if spread > 0 else 1.0}
    return {**scale, "edges": _edges(_bent(values, **scale))}


def _edges(values: Array) -> list[float]:
    """Quantiles, each distinct value once; a value that fills a bin alone counts as one bin only.

    Else a column of nearly all zeros, such as a capital gain, would spend its bins on the zero.
    """
    distinct, counts = np.unique(values.astype(np.float32), return_counts=True)
    bins = min(MAX_BINS, len(values) // ROWS_PER_BIN, len(distinct) - 1)
    if bins < 2:
        return []
    ranks = np.cumsum(np.minimum(counts, math.ceil(len(values) / bins)))
    places = np.searchsorted(ranks, np.linspace(0, ranks[-1], bins + 1))
    edges: list[float] = np.unique(distinct[np.append(places, [0, len(distinct) - 1])]).tolist()
    return edges


def _learn_text(name: str, present: pl.Series, missing: bool) -> Column:
    """A category if its values repeat; a text if its words do; else nothing can be learned."""
    num, distinct = len(present), present.n_unique()
    repeats = 2 if not cells.is_wordy(present) else 5
    if distinct <= FEW_LEVELS or num >= repeats * distinct:
        return _learn_category(name, present, missing)
    words = _words(present)
    if not words:
        return _learn_category(name, present, missing)
    lengths = present.str.len_chars().to_numpy().astype(np.float64)
    scale = _scale(lengths)
    return Column(name=name, kind="text", words=words, missing=missing, **scale)


def _words(present: pl.Series) -> list[str]:
    """Words that enough rows have for something to be learned from them."""
    most = min(MAX_WORDS, len(present) // 20)
    return cells.frequent_words(present, most, max(5, len(present) // 100))


def _learn_category(name: str, present: pl.Series, missing: bool) -> Column:
    """Levels by frequency, those that occur once are 'other', which so gets learned as well."""
    counts = present.value_counts(sort=True).rows()
    often = sorted((-count, natural(level), level) for level, count in counts if count > 1)
    levels = sorted((level for *_, level in often[:MAX_LEVELS]), key=natural)
    return Column(name=name, kind="category", levels=levels, missing=missing)


def _identifier(present: pl.Series) -> str:
    """Why a column is taken for an identifier: its values say which row it is, nothing else."""
    n = len(present)
    head = present.head(1000)  # most columns show at once that they are none
    if n < ENOUGH_ROWS or head.n_unique() < len(head) or present.n_unique() < n:
        return ""
    notation, unit, numbers = cells.read_numbers(present, ",")
    if unit:
        return ""  # an amount, such as $1,200
    if not notation:
        dated = present.dtype.is_temporal() or cells.read_dates(present)[0] is not None
        spoken = present.dtype == pl.String and cells.is_wordy(present) and _words(present)
        return "" if dated or spoken else "is different in every row, like an identifier"
    if numbers.dtype.is_float() and not (numbers.floor() == numbers).all():
        return ""
    low, high = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
    if _ID_NAME.search(present.name):
        return "is named like an identifier and different in every row"
    counts = high - low + 1 <= 2 * n and 0 <= low <= 1 + 0.05 * n
    return "counts the rows, like an identifier" if counts else ""


def _yes_and_no(present: pl.Series) -> list[str]:
    """How no and yes are written, each by its most frequent spelling."""
    counts = cells.as_text(present).value_counts(sort=True).rows()
    says_yes = {level: level.lower() in (*cells.YES, "1") for level, _ in counts}
    return [
        next((level for level, _ in counts if says_yes[level] == yes), str(yes).lower())
        for yes in (False, True)
    ]


# --- Encoding -------------------------------------------------------------------------------------


def encode(column: pl.Series, facts: Column, problems: list[Problem]) -> Array:
    """One column as float32 (N, S)."""
    match facts.kind:
        case "category":
            return _encode_category(column, facts, problems)
        case "number":
            gone, block = _encode_number(column, facts, problems)
        case "date":
            gone, block = _encode_date(column, facts, problems)
        case "boolean":
            gone, block = _encode_boolean(column)
        case _:
            gone, block = _encode_text(column, facts)
    block[gone] = 0
    if facts.missing:
        block = np.concatenate([block, gone[:, None]], axis=1)
    return block.astype(np.float32)


def _encode_number(
    column: pl.Series, facts: Column, problems: list[Problem]
) -> tuple[Array, Array]:
    numbers = cells.numbers(column, _notation(column, facts, problems), facts.unit)
    finite = cells.finite(numbers)
    odd = column.filter(
        finite.is_null() & column.is_not_null() & ~numbers.is_nan().fill_null(False)
    )
    if len(odd):
        problems.append(
            Problem(
                f"column {column.name!r}",
                f"{len(odd)} cells are no finite numbers, such as {str(odd[0])!r}",
                "treated as missing; mend them if they should count",
            )
        )
    return _on_scale(finite, facts)


def _notation(column: pl.Series, facts: Column, problems: list[Problem]) -> str:
    """Training's notation, unless other cells than training's read better in another one."""
    if column.dtype != pl.String:
        return facts.notation
    options = [facts.notation, "point", "comma", "thousands"]

    def unread(notation: str) -> int:
        return cells.numbers(column, notation, facts.unit).null_count()

    best = min(options, key=unread)
    if best != facts.notation:
        what = f"has numbers with decimal {best}, training had decimal {facts.notation}"
        problems.append(Problem(f"column {column.name!r}", what, f"read with decimal {best}"))
    return best


def _on_scale(values: pl.Series, facts: Column) -> tuple[Array, Array]:
    """Which cells are missing, and the slot of the number (N, 1)."""
    x = values.fill_null(facts.centre).to_numpy().astype(np.float64)
    return values.is_null().to_numpy(), _bent(x, facts.centre, facts.scale)[:, None]


def _bent(values: Array, centre: float, scale: float) -> Array:
    x = (values - centre) / scale
    x = np.clip(x, -1e100, 1e100)  # the square of a larger one would overflow
    bent: Array = x / np.sqrt(1 + (x / 3) ** 2)
    return bent


def _encode_date(column: pl.Series, facts: Column, problems: list[Problem]) -> tuple[Array, Array]:
    dates = cells.dates(column, facts.format or "year-month-day")
    if not dates.dtype.is_temporal():
        dates = pl.Series(column.name, [None] * len(column), dtype=pl.Datetime)
    lost = dates.null_count() - column.null_count()
    if lost:
        format, others = cells.read_dates(column)
        if format is not None and others.null_count() - column.null_count() < lost:
            dates = others
            remedy = f"read as {format}"
        else:
            remedy = "treated as missing; mend them if they should count"
        what = f"{lost} cells are no dates written as in training ({facts.format or 'dates'})"
        problems.append(Problem(f"column {column.name!r}", what, remedy))
    days = cells.days(dates)
    gone, day = _on_scale(days, facts)
    whole = days.fill_null(0).to_numpy()
    stamps = whole.astype("datetime64[D]")
    month = (stamps.astype("datetime64[M]").astype(int) % 12) / 12
    weekday = ((np.floor(whole) + 3) % 7) / 7  # 1970-01-01 was a Thursday
    circles = [month, weekday] + ([whole % 1] if facts.clock else [])
    waves = [wave(2 * math.pi * circle) for circle in circles for wave in (np.sin, np.cos)]
    return gone, np.concatenate([day, np.stack(waves, axis=1)], axis=1)


def _circles(clock: bool) -> list[str]:
    names = ["month", "weekday"] + (["time"] if clock else [])
    return [f"{circle} {wave}" for circle in names for wave in ("sin", "cos")]


def _encode_boolean(column: pl.Series) -> tuple[Array, Array]:
    """-1 and 1 by meaning, so that True may be given where training had 'yes'."""
    text = cells.as_text(column).str.to_lowercase()
    yes = text.is_in((*cells.YES, "1")).fill_null(False).to_numpy()
    no = text.is_in((*cells.NO, "0")).fill_null(False).to_numpy()
    return ~(yes | no), (yes.astype(float) - no.astype(float))[:, None]


def _encode_text(column: pl.Series, facts: Column) -> tuple[Array, Array]:
    text = cells.as_text(column)
    found = cells.words(text.fill_null(""))
    flags = [found.list.contains(word).to_numpy().astype(np.float64) for word in facts.words]
    gone, length = _on_scale(text.str.len_chars(), facts)
    return gone, np.concatenate([*(flag[:, None] for flag in flags), length], axis=1)


def _encode_category(column: pl.Series, facts: Column, problems: list[Problem]) -> Array:
    text = cells.as_text(column)
    position = {level: number for number, level in enumerate(facts.levels)}
    other = len(facts.levels)
    places = np.array([position.get(value, other) for value in text], np.float32)
    unseen = text.filter(pl.Series(places == other) & text.is_not_null()).unique().sort()
    if len(unseen) and len(facts.levels) <= FEW_LEVELS:
        some = ", ".join(unseen.head(5).to_list())
        what = f"has {len(unseen)} levels that training had not or hardly: {some}"
        problems.append(Problem(f"column {column.name!r}", what, "they count as 'other'"))
    if facts.missing:
        places[text.is_null().to_numpy()] = other + 1
    return places[:, None]
