"""What cells say: numbers in several notations, dates, yes and no, words."""

from __future__ import annotations

import numpy as np
import polars as pl

READABLE = 0.99
"""Share of the cells that must read as numbers (dates) for a column to be one of them."""
MOSTLY = 0.8
"""The same for columns of many different numbers (dates): the other cells count as missing."""
MANY = 20

DATES = {
    "year-month-day": (
        "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d",
        "%Y/%m/%d %H:%M",
    ),
    "day-month-year": (
        "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d-%m-%Y", "%d %b %Y",
        "%d-%b-%Y", "%d %B %Y", "%d.%m.%y",
    ),
    "month-day-year": ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%b %d, %Y", "%B %d, %Y", "%m/%d/%y"),
    "year-month": ("%Y-%m", "%Y/%m"),
    "clock": ("%H:%M:%S", "%H:%M"),
}  # fmt: skip
"""How dates are written, by the order of their parts; a column may mix what is in one order."""
_WITH_DAYS = ("year-month-day", "day-month-year", "month-day-year")
_CERTAIN = (*DATES["year-month-day"], "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
"""Ways that can be meant in one order only, and so may stand in any column."""
YES = ("true", "yes", "y", "t", "on")
NO = ("false", "no", "n", "f", "off")
_NOTHING = pl.Series([None], dtype=pl.Float64)
_AFFIXED = (
    r"^(?P<sign>[+-]?)"
    r"(?P<before>(?:[A-Z]{0,2}\p{Sc}|USD|EUR|GBP|CHF|JPY|INR|AUD|CAD|SEK|NOK|DKK|PLN)?)\s?"
    r"(?P<minus>[+-]?)"
    r"(?P<number>(?:\d{1,3}(?:[ ']\d{3})+|[\d.,]*\d)[\d.,]*(?:[eE][+-]?\d+)?)"
    r"\s?(?P<after>[^\d\s.,+()'-][^\d\s]{0,9})?$"
)


# --- Numbers --------------------------------------------------------------------------------------


def read_numbers(column: pl.Series, separator: str) -> tuple[str, str, pl.Series]:
    """The notation in which nearly all cells are numbers ('' if none), their unit, the numbers."""
    if column.dtype.is_numeric():
        return "point", "", column.cast(pl.Float64)
    if column.dtype == pl.String:
        for unit in ("", _unit(column)):  # most columns never pay for the second
            for notation in _notations(separator):
                found = numbers(column, notation, unit)
                if _are_most(column, found):
                    return notation, unit, found
    return "", "", pl.Series(column.name, [None] * len(column), dtype=pl.Float64)


def _notations(separator: str) -> tuple[str, ...]:
    """A comma that separates cells is hardly a decimal sign within them."""
    return ("point", "thousands", "comma") if separator == "," else ("point", "comma", "thousands")


def numbers(column: pl.Series, notation: str, unit: str = "") -> pl.Series:
    """Read every cell in this notation; what is no number becomes null."""
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False)
    if unit:
        column = _bare(column, unit)
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


def _are_most(column: pl.Series, found: pl.Series) -> bool:
    """Nearly all cells could be read; or most, to many different values beside a few words."""
    present = len(column) - column.null_count()
    read = len(found) - found.null_count()
    if read >= READABLE * present:
        return present > 0
    return read >= MOSTLY * present and found.n_unique() > MANY


def _unit(column: pl.Series) -> str:
    """What most numbers carry, as '$|' or '|kg'; '|' if nothing."""
    parts = _parts(column)
    units = (parts["before"].fill_null("") + "|" + parts["after"].fill_null("")).rename("unit")
    some = units.filter((units != "|") & parts["number"].is_not_null())
    return str(some.value_counts(sort=True)["unit"][0]) if len(some) else "|"


def _bare(column: pl.Series, unit: str) -> pl.Series:
    """Numbers without their unit, with an ASCII sign; a cell with another unit stays as it is."""
    parts = _parts(column)
    found = parts["before"].fill_null("") + "|" + parts["after"].fill_null("")
    digits = parts["number"].str.replace_all("[ ']", "")
    bare = parts["sign"].fill_null("") + parts["minus"].fill_null("") + digits
    return bare.zip_with(((found == unit) | (found == "|")).fill_null(False), column)


def _parts(column: pl.Series) -> pl.DataFrame:
    """Sign, currency, number and unit: of '−1 200 kg', of '(1,200)' as accountants write it."""
    text = column.str.replace_all("[\u2212\u2012\u2013]", "-")
    text = text.str.replace_all("[\u00a0\u2009\u202f]", " ").str.replace(r"^\((.*)\)$", "-$1")
    return text.str.extract_groups(_AFFIXED).struct.unnest()


# --- Dates ----------------------------------------------------------------------------------------


def read_dates(column: pl.Series) -> tuple[str | None, pl.Series]:
    """The order in which nearly all cells are dates ('' for columns of dates), and the dates."""
    if column.dtype.is_temporal():
        return "", column
    if column.dtype == pl.String:
        head = column.drop_nulls().head(100)
        likely = [order for order in DATES if dates(head, order).null_count() <= 0.3 * len(head)]
        if likely and len(head) > 1:
            order = min(likely, key=lambda order: dates(column, order).null_count())
            found = dates(column, order)
            if _are_most(column, found):
                return order, found
    return None, column


def dates(column: pl.Series, order: str) -> pl.Series:
    """Read every cell as a date written in this order; what is none becomes null."""
    if column.dtype != pl.String:
        return column
    found = pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us"))
    others = _CERTAIN if order in _WITH_DAYS else ()
    for format in dict.fromkeys((*DATES[order], *others)):
        if not found.null_count() - column.null_count():
            break
        found = found.zip_with(found.is_not_null(), _as_dates(column, format))
    return found


def _as_dates(column: pl.Series, format: str) -> pl.Series:
    if format.startswith("%H"):
        column, format = "1970-01-01 " + column, f"%Y-%m-%d {format}"
    if "%d" not in format:
        column, format = column + "-01", f"{format}-%d"
    if "%H" in format:
        return column.str.to_datetime(format, strict=False, time_unit="us")
    return column.str.to_date(format, strict=False).cast(pl.Datetime("us"))


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
    """Whether texts say yes and no, in one or several ways ('y', 'YES', 'true')."""
    if present.dtype != pl.String or present.head(1000).n_unique() > 12:
        return False
    values = set(present.str.to_lowercase().unique().to_list())
    yes, no = values & {*YES, "1"}, values & {*NO, "0"}
    return bool(yes and no) and values == yes | no and values != {"0", "1"}


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
