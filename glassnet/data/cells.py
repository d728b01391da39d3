"""What cells say: numbers in several notations, dates, yes and no, words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import polars as pl

READABLE = 0.99
"""Share of the cells that must read as numbers (dates) for a column to be one of them."""
MOSTLY = 0.9
"""The same for numbers of which there are many, if the other cells are a few words."""

_DATES = [
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%Y %H:%M",
    "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d-%m-%Y", "%d %b %Y", "%H:%M:%S",
]  # fmt: skip
YES = ("true", "yes", "y", "t")
NO = ("false", "no", "n", "f")
_NOTHING = pl.Series([None], dtype=pl.Float64)
_WITH_UNIT = re.compile(r"^([^\d+\-.,\s]*)\s*([+-]?[\d.,]*\d[\d.,]*)\s*([^\d\s]{0,5})$")
_CURRENCY = re.compile(r"^(.?[$€£¥₹₩]|[A-Z]{3}|Rs\.?)$")


# --- Numbers --------------------------------------------------------------------------------------


def read_numbers(column: pl.Series, separator: str) -> tuple[str, str, pl.Series]:
    """The notation in which nearly all cells are numbers ('' if none), their unit, the numbers."""
    if column.dtype.is_numeric():
        return "point", "", column.cast(pl.Float64)
    if column.dtype == pl.String:
        order = ["point", "thousands", "comma"]
        if separator != ",":
            order = ["point", "comma", "thousands"]
        for unit in dict.fromkeys(["", _unit(column.drop_nulls())]):
            for notation in order:
                found = numbers(column, notation, unit)
                if _are_numbers(column, found):
                    return notation, unit, found
    return "", "", pl.Series(column.name, [None] * len(column), dtype=pl.Float64)


def numbers(column: pl.Series, notation: str, unit: str = "") -> pl.Series:
    """Read every cell in this notation; what is no number becomes null."""
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False)
    if unit:
        before, after = unit.split("#")
        column = column.str.strip_prefix(before).str.strip_suffix(after).str.strip_chars()
    if notation == "comma":  # 1.234,5
        plain = column.str.contains(r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d+)?([eE][+-]?\d+)?$")
        column = column.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    elif notation == "thousands":  # 1,234.5
        plain = column.str.contains(r"^[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d*)?([eE][+-]?\d+)?$")
        column = column.str.replace_all(",", "", literal=True)
    else:
        return column.cast(pl.Float64, strict=False)
    return column.cast(pl.Float64, strict=False).zip_with(plain.fill_null(False), _NOTHING)


def finite(values: pl.Series) -> pl.Series:
    """NaN and infinities become null."""
    values = values.cast(pl.Float64)
    return values.zip_with(values.is_finite().fill_null(False), _NOTHING)


def _are_numbers(column: pl.Series, found: pl.Series) -> bool:
    """Nearly all cells are; or most, very different ones, beside a few words such as 'unknown'."""
    present = len(column) - column.null_count()
    odd = column.filter(found.is_null() & column.is_not_null())
    if not present or len(odd) > (1 - MOSTLY) * present:
        return False
    if len(odd) <= (1 - READABLE) * present:
        return True
    return odd.n_unique() <= 5 and found.n_unique() > 20


def _unit(present: pl.Series) -> str:
    """What stands before or after most numbers, as '$#', '#kg' or '#%'; '' if nothing does."""
    found: Counter[str] = Counter()
    for cell in present.head(500):
        match = _WITH_UNIT.match(cell)
        if match is not None and (not match[1] or _CURRENCY.match(match[1])):
            found[f"{match[1]}#{match[3]}"] += 1
    unit, count = found.most_common(1)[0] if found else ("#", 0)
    return unit if unit != "#" and count > 0.5 * min(len(present), 500) else ""


# --- Dates ----------------------------------------------------------------------------------------


def read_dates(column: pl.Series) -> tuple[str | None, pl.Series]:
    """The format in which nearly all cells are dates ('' for columns of dates), and the dates."""
    if column.dtype.is_temporal():
        return "", column
    if column.dtype == pl.String:
        present = column.drop_nulls()
        head = present.head(100)
        for format in _DATES:
            if dates(head, format).null_count() <= 1 and len(head) > 1:
                found = dates(column, format)
                lost = found.null_count() - column.null_count()
                if lost <= (1 - READABLE) * len(present):
                    return format, found
    return None, column


def dates(column: pl.Series, format: str) -> pl.Series:
    """Read every cell in this format; what is no date becomes null."""
    if column.dtype != pl.String:
        return column
    if format == "%H:%M:%S":
        column, format = "1970-01-01 " + column, "%Y-%m-%d %H:%M:%S"
    if "%H" in format:
        return column.str.to_datetime(format, strict=False, time_unit="us")
    return column.str.to_date(format, strict=False)


def days(dates: pl.Series) -> pl.Series:
    """Days since 1970 with their fraction."""
    if dates.dtype == pl.Time:
        return dates.cast(pl.Int64) / 86_400e9
    if dates.dtype == pl.Duration:
        return dates.dt.total_microseconds() / 86_400e6
    return dates.cast(pl.Datetime("us")).cast(pl.Int64) / 86_400e6


# --- Texts ----------------------------------------------------------------------------------------


def as_text(column: pl.Series) -> pl.Series:
    """Values as their names; whole numbers without '.0', so that 1.0 and 1 are one class."""
    if column.dtype.is_float() and (column.drop_nulls().floor() == column.drop_nulls()).all():
        column = column.cast(pl.Int64, strict=False)
    if column.dtype == pl.Boolean:
        return column.cast(pl.String).str.to_lowercase()
    return column.cast(pl.String)


def is_boolean(present: pl.Series) -> bool:
    """Whether texts say yes and no."""
    if present.dtype != pl.String or present.head(1000).n_unique() > 2:
        return False
    values = set(present.unique().str.to_lowercase().to_list())
    return values in [{yes, no} for yes, no in zip(YES, NO, strict=True)]


def words(texts: pl.Series) -> pl.Series:
    """The words of each text, as lists: runs of letters or of digits, in lower case."""
    return texts.str.to_lowercase().str.extract_all(r"\p{L}+|\d+")


def frequent_words(texts: pl.Series, most: int, least_rows: int) -> list[str]:
    """The words that occur in the most rows, but neither in too few nor in nearly all."""
    rows = words(texts).list.unique().explode(empty_as_null=True).drop_nulls()
    counts = rows.value_counts().rows()
    fit = [(-n, word) for word, n in counts if least_rows <= n <= 0.98 * len(texts)]
    return [word for _, word in sorted(fit)[:most]]


def is_wordy(texts: pl.Series) -> bool:
    """Whether most texts have several words, with a space between them."""
    spaced = texts.head(1000).str.strip_chars().str.contains(r"\S\s+\S")
    return bool(np.mean(spaced.to_numpy()) > 0.5)
