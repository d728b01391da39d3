"""Text files in which series are published: .ts (sktime, aeon), the tables of UCR, .arff.

Each reader gives ``Recorded``: nothing is learned, no series is left out, and what is missing is
NaN. Values are separated by commas; ``?`` and ``NaN`` are missing measurements.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glassnet.errors import UserError
from glassnet.task import Problem

Values = NDArray[np.float64]
"""One series, (steps, channels)."""
COMMENTS = "#%"
MISSING = {"?", "nan", "na", ""}
UNIVARIATE = ("values",)


@dataclass
class Recorded:
    """Series with their labels, one by one."""

    series: list[Values]
    labels: list[str | None]
    names: list[str]
    """How a person finds each."""
    channels: list[str]
    parts: list[str] = field(default_factory=list)
    """'train', 'validation' or 'test' of each; empty: the data bring no split."""
    groups: list[str] | None = None
    one: Literal["row", "file"] = "row"
    """What one series is here: a row or line of something, or a file."""
    form: str = "series"
    target: str = ""
    """The column of the labels; empty where no column has a name."""
    problems: list[Problem] = field(default_factory=list)


def text_of(path: Path) -> str:
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return path.read_text(encoding="latin-1")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None


# --- .ts ------------------------------------------------------------------------------------------


def read_ts(path: Path) -> Recorded:
    """Read a .ts file: a header of lines with @, then one line for each series.

    Channels are parted by ':', and the last part is the label where ``@classLabel true`` says so.

    Raises:
        UserError: Naming the line, if the header or a series is damaged, or if values come with
            time stamps.
    """
    lines = [(n, line.strip()) for n, line in enumerate(text_of(path).splitlines(), 1)]
    told = [(number, line) for number, line in lines if line and line[0] not in COMMENTS]
    begin = next((i for i, (_, line) in enumerate(told) if line.lower() == "@data"), None)
    if begin is None:
        raise UserError(
            f"{path} has no line '@data', behind which the series of a .ts file stand. Expected "
            "a header such as @univariate true, @classLabel true a b, then @data."
        )
    header = _header(path, told[:begin])
    found = Recorded([], [], [], [], form="series of a .ts file")
    for number, line in told[begin + 1 :]:
        _read_line(path, number, line, header, found)
    if not found.series:
        raise UserError(f"{path} holds no series behind @data.")
    _check_lengths(path, header, found)
    count = found.series[0].shape[1]
    found.channels = list(UNIVARIATE) if count == 1 else [f"channel {n + 1}" for n in range(count)]
    return found


@dataclass(frozen=True)
class Header:
    """What the header of a .ts file says."""

    labelled: bool
    classes: tuple[str, ...]
    dimensions: int | None
    equal: bool
    length: int | None


def _header(path: Path, lines: Sequence[tuple[int, str]]) -> Header:
    fields: dict[str, list[str]] = {}
    for number, line in lines:
        if not line.startswith("@"):
            raise UserError(
                f"{path} line {number}: expected a line of the header, beginning with @, or @data "
                f"before the first series; found {line[:60]!r}."
            )
        name, *values = line[1:].replace(":", " ").split() or [""]
        fields[name.lower()] = values
    if _flag(path, fields, "timestamps"):
        raise UserError(
            f"{path}: its values come with time stamps (@timeStamps true), which are not read "
            "here. Write values at equal steps, or a CSV file with a row for each measurement: "
            "columns for series, time, values and label."
        )
    if _flag(path, fields, "targetlabel"):
        raise UserError(
            f"{path}: its targets are numbers (@targetLabel true), not classes. Classification "
            "of series needs @classLabel true and the names of the classes."
        )
    dimensions = _count(path, fields, "dimensions") or _count(path, fields, "dimension")
    if dimensions is None and _flag(path, fields, "univariate"):
        dimensions = 1
    classes = tuple(fields.get("classlabel", [])[1:])
    return Header(
        labelled=_flag(path, fields, "classlabel"),
        classes=classes,
        dimensions=dimensions,
        equal=_flag(path, fields, "equallength"),
        length=_count(path, fields, "serieslength"),
    )


def _flag(path: Path, fields: dict[str, list[str]], name: str) -> bool:
    if name not in fields:
        return False
    word = fields[name][0].lower() if fields[name] else ""
    if word not in ("true", "false"):
        raise UserError(f"{path}: @{name} says {word or 'nothing'!r}, expected true or false.")
    return word == "true"


def _count(path: Path, fields: dict[str, list[str]], name: str) -> int | None:
    if name not in fields:
        return None
    word = fields[name][0] if fields[name] else ""
    if not word.isdigit() or word == "0":
        raise UserError(f"{path}: @{name} says {word or 'nothing'!r}, expected a whole number.")
    return int(word)


def _read_line(path: Path, number: int, line: str, header: Header, found: Recorded) -> None:
    where = f"{path} line {number}"
    parts = line.split(":")
    label = parts.pop().strip() if header.labelled else None
    if label is not None and ("," in label or not parts):
        raise UserError(
            f"{where}: the header promises a label (@classLabel true), which stands behind the "
            f"last ':'; found {label[:40]!r}."
        )
    if label is not None and header.classes and label not in header.classes:
        label = _same_number(label, header.classes) or label
        if label.lower() not in MISSING and label not in header.classes:
            raise UserError(
                f"{where}: the label {label!r} is none of @classLabel's: "
                f"{', '.join(header.classes[:20])}."
            )
    expected = header.dimensions or (found.series[0].shape[1] if found.series else len(parts))
    if len(parts) != expected:
        raise UserError(
            f"{where}: expected {expected} channel{'s' * (expected != 1)}, parted by ':', found "
            f"{len(parts)}."
        )
    channels = [numbers(part.split(","), where) for part in parts]
    if len({len(channel) for channel in channels}) > 1:
        steps = ", ".join(str(len(channel)) for channel in channels)
        raise UserError(
            f"{where}: the channels of one series must have as many steps each, found {steps}. "
            "Write ? for what was not measured."
        )
    found.series.append(np.stack(channels, 1))
    found.labels.append(None if label is None or label.lower() in MISSING else label)
    found.names.append(f"{path.name} line {number}")


def _same_number(label: str, classes: Sequence[str]) -> str | None:
    """1.0 is the class 1."""
    try:
        value = float(label)
        return next((name for name in classes if float(name) == value), None)
    except ValueError:
        return None


def _check_lengths(path: Path, header: Header, found: Recorded) -> None:
    """Refuse unequal lengths where the header allows none."""
    wanted = header.length if header.length is not None else len(found.series[0])
    if not header.equal:
        return
    for name, series in zip(found.names, found.series, strict=True):
        if len(series) != wanted:
            raise UserError(
                f"{name}: the header says @equalLength true with {wanted} steps, found "
                f"{len(series)}. Say @equalLength false if lengths differ, or repair the series."
            )


def numbers(cells: Sequence[str], where: str) -> Values:
    """Cells of text as numbers, NaN where one is missing or infinite."""
    try:
        return finite(np.array(cells, np.float64))
    except ValueError:
        values = np.full(len(cells), np.nan)  # one of them is no plain number: which one?
    for place, cell in enumerate(cells):
        word = cell.strip()
        if word.lower() in MISSING:
            continue
        try:
            values[place] = float(word)
        except ValueError:
            more = "; time stamps are not read" if "(" in word else ""
            raise UserError(
                f"{where}, value {place + 1}: expected a number, or ? for a missing one, found "
                f"{word[:30]!r}{more}."
            ) from None
    return finite(values)


def finite(values: Values) -> Values:
    """The same with NaN for what is infinite: one such number would spoil the scale of all."""
    return np.where(np.isfinite(values), values, np.nan)


# --- UCR's tables, .arff --------------------------------------------------------------------------


def read_ucr(path: Path) -> Recorded:
    """Read a table of the UCR archive: no header, a series in each row, its label first."""
    found = Recorded(
        [], [], [], list(UNIVARIATE), form="series, label first, as UCR publishes them"
    )
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        label, *cells = re.split(r"[\t,;]|\s+", line.strip())
        values = numbers([cell for cell in cells if cell], f"{path} line {number}")
        if not len(values):
            raise UserError(f"{path} line {number}: expected a label and values, found {line!r}.")
        # Labels are numbers there, written as 1, 1.0 or 1.0000000e+00.
        found.labels.append(None if label.lower() in MISSING else as_whole(label))
        found.series.append(values[:, None])
        found.names.append(f"{path.name} line {number}")
    if not found.series:
        raise UserError(f"{path} holds no series.")
    return found


def as_whole(label: str) -> str:
    """1.0 is the class 1; a label that is no whole number stays as it is."""
    try:
        value = float(label)
    except ValueError:
        return label
    return str(int(value)) if value.is_integer() else label


def read_arff(path: Path) -> Recorded:
    """Read an .arff file of series of one channel: an attribute for each step, the class last."""
    text = text_of(path)
    if "relational" in text[:20_000].lower():
        raise UserError(
            f"{path}: series of several channels in .arff (relational) are not read. The same set "
            "is published as .ts; take that."
        )
    head, sign, body = re.split(r"^@data[^\n]*(\n|$)", text, maxsplit=1, flags=re.I | re.M) if (
        re.search(r"^@data", text, re.I | re.M)
    ) else (text, "", "")  # fmt: skip
    if not sign:
        raise UserError(f"{path} has no line '@data', behind which the series of .arff stand.")
    names = re.findall(r"^@attribute\s+('[^']*'|\"[^\"]*\"|\S+)", head, re.I | re.M)
    found = Recorded([], [], [], list(UNIVARIATE), form="series of an .arff file")
    for number, line in enumerate(
        body.splitlines(), text.count("\n", 0, len(text) - len(body)) + 1
    ):
        if not line.strip() or line.startswith("%"):
            continue
        *cells, label = line.strip().split(",")
        if len(cells) + 1 != len(names):
            raise UserError(
                f"{path} line {number}: expected {len(names)} values, as many as attributes, found "
                f"{len(cells) + 1}."
            )
        label = label.strip().strip("'\"")
        found.labels.append(None if label.lower() in MISSING else label)
        found.series.append(numbers(cells, f"{path} line {number}")[:, None])
        found.names.append(f"{path.name} line {number}")
    if not found.series:
        raise UserError(f"{path} holds no series behind @data.")
    return found


def ended(series: Values) -> Values:
    """A series without the NaN that fill it up behind its end."""
    measured = np.flatnonzero(~np.isnan(series).all(1))
    return series[: measured[-1] + 1] if len(measured) else series[:1]
