"""Files .tsf of the Monash archive (Godahewa and others, 2021): a series in each line."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from glassnet.errors import UserError

STEPS = {
    "yearly": "1y", "quarterly": "1q", "monthly": "1mo", "weekly": "1w", "daily": "1d",
    "hourly": "1h", "half_hourly": "30m", "30_minutes": "30m", "10_minutes": "10m",
    "15_minutes": "15m", "minutely": "1m", "4_seconds": "4s",
}  # fmt: skip


def frames(path: Path) -> list[tuple[str, pl.DataFrame]]:
    """Name, stamps (column ``time``) and values (column ``value``) of every series."""
    names: list[str] = []
    frequency, in_data = "", False
    found: list[tuple[str, pl.DataFrame]] = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Check its rights.") from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if in_data:
            found.append(_series(path, number, line, names, frequency))
        elif words[0].lower() in ("@attribute", "@frequency") and len(words) < 2:
            raise UserError(f"{path} line {number}: expected a word behind {words[0]}.")
        elif words[0].lower() == "@attribute":
            names.append(words[1].lower())
        elif words[0].lower() == "@frequency":
            frequency = words[1].lower()
        in_data = in_data or words[0].lower() == "@data"
    if not found:
        raise UserError(f"{path} holds no series. Expected a line @data, and one for each below.")
    return found


def horizon(path: Path) -> int | None:
    """The steps ahead that the file's makers forecast, if it says so."""
    head = path.read_text(encoding="utf-8", errors="replace").partition("@data")[0]
    found = re.search(r"(?im)^@horizon\s+(\d+)\s*$", head)
    return int(found[1]) or None if found else None


def _series(
    path: Path, number: int, line: str, names: list[str], frequency: str
) -> tuple[str, pl.DataFrame]:
    *about, values = line.split(":")
    if len(about) != len(names):
        raise UserError(
            f"{path} line {number}: expected {len(names)} attributes and the values with a colon "
            f"between them, found {len(about)}."
        )
    known = dict(zip(names, about, strict=True))
    cells = [cell.strip() for cell in values.split(",")]
    try:
        numbers = [None if cell == "?" else float(cell) for cell in cells]
    except ValueError as error:
        raise UserError(f"{path} line {number}: {error}. Values are numbers, or ?.") from None
    frame = pl.DataFrame({"value": numbers}, schema={"value": pl.Float64})
    start = known.get("start_timestamp", "")
    moment = re.sub(r"[ T](\d\d)-(\d\d)-(\d\d)$", r" \1:\2:\3", start)
    if start and frequency in STEPS:
        count, unit = re.fullmatch(r"(\d+)(\w+)", STEPS[frequency]).groups()  # type: ignore[union-attr]
        later = pl.Series([f"{int(count) * step}{unit}" for step in range(len(numbers))])
        first = pl.lit(moment).str.to_datetime(strict=False, time_unit="us")
        stamps = pl.select(time=first.dt.offset_by(pl.lit(later)))["time"]
        if not stamps.null_count():
            frame = frame.insert_column(0, stamps)
    return known.get("series_name", str(number)), frame
