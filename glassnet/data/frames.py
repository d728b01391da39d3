"""Tables in memory (polars, pandas, Arrow, numpy, dicts, rows) -> a polars frame of plain types.

pandas goes column by column through numpy, so that pyarrow is not needed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from glassnet.errors import UserError
from glassnet.progress import warn
from glassnet.task import Problem


def as_frame(data: Any) -> pl.DataFrame:
    """Turn a polars, pandas or Arrow table, one row as a dict, a dict of lists, or rows.

    Of a pandas frame the index counts as columns where it has a name or holds dates. A NumPy array
    needs two axes (its columns are called column_1 …) or named fields.
    """
    try:
        frame = _as_frame(data)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"These rows make no table ({error}). Give as many values in every column."
        ) from error
    if frame is None:
        raise UserError(
            f"A table cannot be made of a {type(data).__name__}. Give a file, a polars, pandas or "
            "Arrow table, one row as a dict, or a list of such rows."
        )
    return plain(frame)


def is_frame(data: Any) -> bool:
    """Whether data are a table of a library, whose columns have names and types."""
    return isinstance(data, pl.DataFrame | pl.LazyFrame) or _is_pandas(data) or _is_arrow(data)


def _is_pandas(data: Any) -> bool:
    return _is_of("pandas", "DataFrame", data)


def _is_arrow(data: Any) -> bool:
    return _is_of("pyarrow", "Table", data) or _is_of("pyarrow", "RecordBatch", data)


def _as_frame(data: Any) -> pl.DataFrame | None:
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if _is_pandas(data):
        return _from_pandas(data)
    if _is_arrow(data):
        return _from_arrow(data)
    if _is_of("numpy", "ndarray", data):
        return _from_numpy(data)
    if isinstance(data, Mapping):
        single = not any(isinstance(value, list | tuple | pl.Series) for value in data.values())
        data = {key: [value] if single else value for key, value in data.items()}
        return pl.DataFrame(data, strict=False)
    if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
        return pl.DataFrame(list(data), strict=False, infer_schema_length=None)
    return None


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The same with fewer types: categories and single objects as text, the time on local clocks.

    Lists, structures and bytes stay as they are, and are told to be of no use later.
    """
    return frame.with_columns(_plain(column) for column in frame)


def _plain(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return column.dt.replace_time_zone(None)  # people think of the time on their clocks
    if isinstance(dtype, pl.Decimal) or dtype in (pl.Int128, pl.Float16):
        return column.cast(pl.Float64)
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null):
        return column.cast(pl.String)
    if dtype == pl.Object:
        values = [None if value is None else str(value) for value in column]
        return pl.Series(column.name, values, dtype=pl.String)
    return column


def _is_of(package: str, name: str, data: Any) -> bool:
    """Whether data are of a class of a package; who gives such data has imported it."""
    module = sys.modules.get(package)
    return module is not None and isinstance(data, getattr(module, name))


def unique_names(names: Sequence[Any]) -> list[str]:
    """Names as text, all different; what had to be changed is told as a warning."""
    found: list[str] = []
    for name in names:
        text = "_".join(map(str, name)) if isinstance(name, tuple) else str(name)
        again, count = text, 2
        while again in found:
            again, count = f"{text}_{count}", count + 1
        if again != text:
            warn([Problem(f"column {text!r}", "occurs twice", f"now called {again!r}")])
        found.append(again)
    return found


# --- pandas, Arrow, NumPy -------------------------------------------------------------------------


def _from_pandas(data: Any) -> pl.DataFrame:
    levels = [
        (name if name is not None else "index", data.index.get_level_values(number))
        for number, name in enumerate(data.index.names)
        if name is not None or data.index.get_level_values(number).dtype.kind == "M"
    ]
    columns = [*levels, *((name, data.iloc[:, k]) for k, name in enumerate(data.columns))]
    names = unique_names([name for name, _ in columns])
    return pl.DataFrame(
        [_from_pandas_column(n, c) for n, (_, c) in zip(names, columns, strict=True)]
    )


def _from_pandas_column(name: str, column: Any) -> pl.Series:
    """A Series or an Index of any type."""
    dtype, kind = column.dtype, str(column.dtype)
    missing = column.isna()
    if kind.startswith(("datetime64", "timestamp")) and dtype.kind == "M":
        zone = str(dtype).find(",") > 0 or "tz=" in kind
        bare = (column.dt if _is_series(column) else column).tz_localize(None) if zone else column
        return pl.Series(name, bare.to_numpy(dtype="datetime64[us]"))
    if kind.startswith(("period", "interval")):
        column = column.astype(str)
    elif kind.startswith("Sparse"):
        column = column.astype(dtype.subtype)
    elif dtype.kind in "iufbm" and not missing.any() and kind == kind.lower():
        values = column.to_numpy()
        return pl.Series(name, values.astype("float32") if kind == "float16" else values)
    elif dtype.kind == "f" and kind == kind.lower():
        return pl.Series(name, column.to_numpy(dtype="float64")).fill_nan(None)
    objects = column.astype(object)
    values = [None if gone else value for value, gone in zip(objects, missing, strict=True)]
    return pl.Series(name, values, strict=False)


def _is_series(column: Any) -> bool:
    return _is_of("pandas", "Series", column)


def _from_arrow(data: Any) -> pl.DataFrame:
    names = unique_names(data.schema.names)
    frame = pl.from_arrow(data.rename_columns(names))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _from_numpy(data: Any) -> pl.DataFrame | None:
    if data.dtype.names:
        return pl.DataFrame({name: data[name].ravel() for name in data.dtype.names})
    if data.ndim != 2:
        return None
    columns = {f"column_{number + 1}": data[:, number] for number in range(data.shape[1])}
    if data.dtype == object:
        return pl.DataFrame(
            [pl.Series(name, column.tolist(), strict=False) for name, column in columns.items()]
        )
    return pl.DataFrame(columns)
