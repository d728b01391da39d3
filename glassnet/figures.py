"""Figures and documents as plain data, and the one page that draws them.

A figure says what is to be seen, never how: the same value is drawn by the same renderer (the
bundle in ``glassnet/web``, built from ``web/``) in a report, in a notebook and in the studio. Every
value here is frozen, comparable and survives a round trip through JSON. NaN and infinities become
None when a figure is made, and are drawn as gaps.

To add a kind of figure: a dataclass here with its name in ``Figure``, the same interface in
``web/src/types.ts`` (a test compares them), and one file in ``web/src`` named in ``render.ts``.

>>> figure = Bars("Accuracy", [Bar("forest", 0.93, low=0.91, high=0.95)])
>>> from_json(figure.to_json()) == figure
True
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    Self,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from glassnet.errors import UserError

Number: TypeAlias = float | None
"""None stands for a value that is missing or not finite; it is drawn as a gap."""
Numbers: TypeAlias = Sequence[Number]
Cell: TypeAlias = str | float | None


class Piece:
    """What all parts of a figure or a document share: frozen fields and their JSON."""

    def __post_init__(self) -> None:
        """Turn lists and arrays into tuples, and NaN and infinities into None."""
        for name in _names(self):
            object.__setattr__(self, name, _plain(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """Return dictionaries, lists, strings, numbers and None only; ``kind`` comes first."""
        encoded: dict[str, Any] = _encode(self)
        return encoded

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the value whose ``to_json`` is ``data``."""
        decoded: Self = _decode(data, cls)
        return decoded

    def _repr_html_(self) -> str:
        return notebook(self)


# --- Figures --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series(Piece):
    """One curve or cloud of points: ``y`` over ``x``, of one length.

    ``low`` and ``high``, of that length too, are the ends of an interval around ``y``, in its unit.
    ``joined`` draws a curve in a figure whose mode is points.
    """

    name: str
    x: Numbers
    y: Numbers
    _: KW_ONLY
    low: Numbers | None = None
    high: Numbers | None = None
    dashed: bool = False
    joined: bool = False


@dataclass(frozen=True)
class Ground(Piece):
    """Colour below points or behind curves: a matrix of cells between ``x`` and ``y`` (low, high),
    lowest row first.

    ``series`` has the number of the series whose colour a cell takes, ``strength`` how much of it,
    from 0 to 1: the classes that a network answers in a plane, and how sure it is.
    """

    x: Numbers
    y: Numbers
    series: Sequence[Sequence[int]]
    strength: Sequence[Numbers]


@dataclass(frozen=True)
class Mark(Piece):
    """A vertical line at ``x`` with a short text, such as the best epoch."""

    x: float
    text: str


@dataclass(frozen=True)
class Lines(Piece):
    """Curves over one pair of axes, or with ``mode="points"`` a scatter of thousands of points.

    ``diagonal`` draws y = x and gives both axes the same range: predicted versus true.
    """

    kind: ClassVar[Literal["lines"]] = "lines"
    title: str
    series: Sequence[Series]
    _: KW_ONLY
    x_label: str = ""
    y_label: str = ""
    x_log: bool = False
    y_log: bool = False
    mode: Literal["lines", "points"] = "lines"
    diagonal: bool = False
    marks: Sequence[Mark] = ()
    grounds: Sequence[Ground] = ()
    note: str = ""


@dataclass(frozen=True)
class Grid(Piece):
    """A matrix as coloured cells: a confusion matrix, an attention map, a filter.

    ``values`` has one sequence per row. Negative values give a scale with two colours around zero.
    ``normalize="rows"`` colours by the share of the row; if the rows and the columns then have the
    same labels, it is a confusion matrix, and the cells off the diagonal have a colour of their
    own. ``format`` is ``"d"``, ``".2f"`` or ``".0%"`` (any number of digits); empty: by magnitude.
    """

    kind: ClassVar[Literal["grid"]] = "grid"
    title: str
    values: Sequence[Numbers]
    _: KW_ONLY
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    row_title: str = ""
    column_title: str = ""
    format: str = ""
    normalize: Literal["rows"] | None = None
    note: str = ""


@dataclass(frozen=True)
class Picture(Piece):
    """``source`` is a data URI (see ``png``); pages load nothing from anywhere else."""

    source: str
    caption: str = ""
    note: str = ""


@dataclass(frozen=True)
class Images(Piece):
    """A gallery. ``pixelated`` enlarges small pictures by whole factors, with crisp pixels.

    ``wide`` gives each picture a line of its own, for strips of several images.
    """

    kind: ClassVar[Literal["images"]] = "images"
    title: str
    items: Sequence[Picture]
    _: KW_ONLY
    pixelated: bool = False
    wide: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table(Piece):
    """Rows of cells, one per column; the reader sorts by a click on a column's name."""

    kind: ClassVar[Literal["table"]] = "table"
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    _: KW_ONLY
    note: str = ""


@dataclass(frozen=True)
class Bar(Piece):
    """One value with, if given, the ends of its interval in the same unit."""

    label: str
    value: Number
    _: KW_ONLY
    low: Number = None
    high: Number = None


@dataclass(frozen=True)
class Bars(Piece):
    """Horizontal bars from zero, in the given order, with whiskers where intervals are given."""

    kind: ClassVar[Literal["bars"]] = "bars"
    title: str
    items: Sequence[Bar]
    _: KW_ONLY
    x_label: str = ""
    note: str = ""


@dataclass(frozen=True)
class Shown(Piece):
    """One panel within one frame of ``Steps``.

    ``values`` stand in for the panel's own, with the same rows and columns; None: as they are.
    ``marked`` and ``chosen`` are cells (row, column), from 0: what the frame is about gets one
    outline around all of it, and of it the cell that decides gets a second one.
    """

    values: Sequence[Numbers] | None = None
    _: KW_ONLY
    marked: Sequence[Sequence[int]] = ()
    chosen: Sequence[Sequence[int]] = ()


@dataclass(frozen=True)
class Frame(Piece):
    """One step: its name, a sentence that says what happens, and what each panel shows of it."""

    label: str
    text: str
    panels: Sequence[Shown]


@dataclass(frozen=True)
class Steps(Piece):
    """Matrices side by side that change from frame to frame; the reader steps, slides or plays.

    A convolution window by window, a recurrent network over time, attention word by word. Every
    frame has one ``Shown`` for each panel, in their order. A panel keeps its colours in all
    frames. On paper up to twelve frames stand one after another.
    """

    kind: ClassVar[Literal["steps"]] = "steps"
    title: str
    panels: Sequence[Grid]
    frames: Sequence[Frame]
    _: KW_ONLY
    note: str = ""


@dataclass(frozen=True)
class Token(Piece):
    """A piece of a text as it is written, with what is known about it.

    ``value`` colours its ground; ``under`` stands below it in small type; ``said`` is shown where
    the reader points at it, a line each, in which a tab parts a name from its value.
    """

    text: str
    value: Number = None
    _: KW_ONLY
    under: str = ""
    said: str = ""


@dataclass(frozen=True)
class Tokens(Piece):
    """A text whose tokens have a colour each: what speaks for an answer, how surprising a word is.

    Blue is positive, orange negative; full strength is the largest size of the values, or
    ``scale``, so that several texts can have one scale. ``value_label`` says what the values are.
    ``spaced`` puts a space between tokens, for words; else the tokens hold their own spaces. The
    text wraps, and a line feed within a token begins a new line.
    """

    kind: ClassVar[Literal["tokens"]] = "tokens"
    title: str
    items: Sequence[Token]
    _: KW_ONLY
    value_label: str = ""
    scale: Number = None
    spaced: bool = True
    note: str = ""


@dataclass(frozen=True)
class Logo(Piece):
    """A sequence logo: at every position the letters of an alphabet, as high as they count.

    ``heights`` has one sequence per position with a number for each letter of ``alphabet``: bits of
    information, or what a letter adds to an answer. Letters stand upon each other, the highest on
    top; negative ones hang below the axis. A long sequence continues in further lines, all of one
    scale. ``first`` is the number of the first position.
    """

    kind: ClassVar[Literal["logo"]] = "logo"
    title: str
    alphabet: Sequence[str]
    heights: Sequence[Numbers]
    _: KW_ONLY
    x_label: str = "position"
    y_label: str = "bits"
    first: int = 1
    note: str = ""


@dataclass(frozen=True)
class Span(Piece):
    """A letter, a word or a phrase of a recording, from ``begin`` to ``end`` in seconds.

    ``value`` colours its ground: blue is positive, orange negative.
    """

    text: str
    begin: float
    end: float
    _: KW_ONLY
    value: Number = None
    said: str = ""


@dataclass(frozen=True)
class Track(Piece):
    """Spans that stand in one line above a recording, such as its words."""

    name: str
    spans: Sequence[Span]


@dataclass(frozen=True)
class Tick(Piece):
    """A place along an axis, from 0 (its low end) to 1, and its text, such as ``"2 kHz"``."""

    at: float
    text: str


@dataclass(frozen=True)
class Strip(Piece):
    """A picture over the whole time of a recording: a spectrogram, or what in it counts.

    ``source`` is a data URI (see ``png``), its first row the highest frequency; a transparent one
    shows the paper. It is stretched to the length of the time axis.
    """

    source: str
    label: str
    _: KW_ONLY
    ticks: Sequence[Tick] = ()


@dataclass(frozen=True)
class Recording(Piece):
    """One recording: ``source`` is a data URI (see ``wav``), empty for one not to be heard.

    ``wave`` holds the least and the greatest sample in each of many equal pieces of the time.
    """

    source: str
    seconds: float
    _: KW_ONLY
    caption: str = ""
    note: str = ""
    wave: Sequence[Numbers] = ()
    strips: Sequence[Strip] = ()
    tracks: Sequence[Track] = ()


@dataclass(frozen=True)
class Sounds(Piece):
    """Recordings to be heard, each with pictures over its time, aligned with letters and words.

    ``scale`` is the value of a span that gets full colour; None: the largest of each recording.
    """

    kind: ClassVar[Literal["sounds"]] = "sounds"
    title: str
    items: Sequence[Recording]
    _: KW_ONLY
    value_label: str = ""
    scale: Number = None
    note: str = ""


Figure: TypeAlias = Lines | Grid | Images | Table | Bars | Steps | Tokens | Logo | Sounds


# --- Documents ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact(Piece):
    """A name, its value, and small print such as ``"95 % interval 0.961 to 0.979"``."""

    label: str
    value: Cell
    note: str = ""


@dataclass(frozen=True)
class Facts(Piece):
    """A compact list of names and values; ``headline`` sets the values in large type."""

    kind: ClassVar[Literal["facts"]] = "facts"
    items: Sequence[Fact]
    _: KW_ONLY
    headline: bool = False


@dataclass(frozen=True)
class Code(Piece):
    """Text in a fixed-width face, shown as it is."""

    kind: ClassVar[Literal["code"]] = "code"
    text: str
    language: str = ""


Block: TypeAlias = (
    Lines | Grid | Images | Table | Bars | Steps | Tokens | Logo | Sounds | Facts | Code
)


@dataclass(frozen=True)
class Section(Piece):
    """A heading, plain text (an empty line begins a paragraph), and what is to be seen."""

    title: str
    text: str = ""
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Document(Piece):
    """A report: sections under one title."""

    kind: ClassVar[Literal["document"]] = "document"
    title: str
    subtitle: str = ""
    sections: Sequence[Section] = ()


def from_json(data: Mapping[str, Any]) -> Block | Document:
    """Return the figure, block or document whose ``to_json`` is ``data``."""
    decoded: Block | Document = _decode(data, Block | Document)
    return decoded


# --- Pages ----------------------------------------------------------------------------------------


def page(document: Document) -> str:
    """Return one HTML file that holds all it needs and may not reach any network."""
    return _html(document, "page")


def notebook(value: Piece) -> str:
    """Return HTML for ``_repr_html_``: a frame of its own, so that outputs never meet."""
    document = value if isinstance(value, Document) else Document("", sections=[_section(value)])
    return (
        f'<iframe srcdoc="{html.escape(_html(document, "notebook"))}" title="glassnet figure" '
        'width="100%" height="320" style="border:0;width:100%;display:block"></iframe>'
    )


def png(array: Any) -> str:
    """Return the PNG data URI of a uint8 array: (H, W), or (H, W, C) with 1, 3 or 4 channels."""
    from PIL import Image

    pixels = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def wav(samples: Any, rate: int) -> str:
    """Return the WAV data URI of one channel of sound: (T,), int16, or floats from -1 to 1."""
    import wave

    import numpy as np

    found = np.asarray(samples)
    if found.dtype != np.int16:
        found = (np.nan_to_num(found).clip(-1, 1) * 32767).astype(np.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(found.astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()


def short(value: float) -> str:
    """Write a figure as people read it: four decimals, fewer for large numbers.

    >>> [short(value) for value in (0.98765, 1234.567, 1234567.8)]
    ['0.9877', '1,234.6', '1,234,568']
    """
    if abs(value) < 10:
        return f"{value:z.4f}"  # z: no -0.0000
    return f"{value:,.5g}" if abs(value) < 1e5 else f"{value:,.0f}"


def _section(value: Piece) -> Section:
    if isinstance(value, Section):
        return value
    if isinstance(value, get_args(Block)):
        return Section("", blocks=[value])
    return Section("", blocks=[Code(json.dumps(value.to_json(), indent=2), "json")])


_PAGE = """\
<!doctype html>
<html lang="en" class="{place}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript><p>This page holds its figures as data, and a small script within this same file draws
them. Scripts are switched off here. Nothing is ever loaded from a network.</p></noscript>
<script type="application/json" id="glassnet">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def _html(document: Document, place: Literal["page", "notebook"]) -> str:
    script, style = _bundle()
    return _PAGE.format(
        place=place,
        policy=_policy(script, style),
        title=html.escape(_writable(document.title) or "glassnet"),
        style=style,
        data=_script_data(document),
        script=script,
    )


@cache
def _bundle() -> tuple[str, str]:
    folder = Path(__file__).parent / "web"
    script = (folder / "glassnet.js").read_text("utf-8")
    return script, (folder / "glassnet.css").read_text("utf-8")


def _policy(script: str, style: str) -> str:
    """Only this very script and style sheet may act, and only data may be pictures or sound."""
    return (
        f"default-src 'none'; script-src '{_sha256(script)}'; style-src '{_sha256(style)}'; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _script_data(document: Document) -> str:
    # Without "<" neither "</script>" nor "<!--" can end or derail the element that holds the data.
    # ASCII only, because file names may hold lone surrogates, which cannot be written as UTF-8.
    text = json.dumps(document.to_json(), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


# --- JSON -----------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return ``value`` in tuples, strings, finite numbers and None; arrays may come as they are."""
    if isinstance(value, float):
        # The call also strips subclasses such as numpy.float64.
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str | bool | int | Piece) or value is None:
        return value
    if hasattr(value, "tolist"):  # arrays and scalars of numpy and torch, without importing either
        return _plain(value.tolist())
    return tuple(_plain(item) for item in value)


def _encode(value: Any) -> Any:
    if isinstance(value, Piece):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return kind | {name: _encode(getattr(value, name)) for name in _names(value)}
    return [_encode(item) for item in value] if isinstance(value, tuple) else value


def _decode(data: Any, expected: Any) -> Any:
    if get_origin(expected) in (Union, UnionType):
        return _decode_union(data, [c for c in get_args(expected) if is_dataclass(c)], expected)
    if is_dataclass(expected) and isinstance(expected, type):
        return _decode_piece(data, expected)
    if get_origin(expected) is Sequence:
        return [_decode(item, get_args(expected)[0]) for item in data]
    return data


def _decode_union(data: Any, classes: list[Any], expected: Any) -> Any:
    if not classes:
        sequences = [option for option in get_args(expected) if get_origin(option) is Sequence]
        return _decode(data, sequences[0]) if sequences and data is not None else data
    kinds = {cls.kind: cls for cls in classes}
    if data.get("kind") not in kinds:
        found = data.get("kind")
        raise UserError(f"kind of figure: expected one of {sorted(kinds)}, found {found!r}")
    return _decode_piece(data, kinds[data["kind"]])


def _decode_piece(data: Mapping[str, Any], cls: Any) -> Any:
    expected, found = getattr(cls, "kind", None), data.get("kind")
    if found != expected:
        raise UserError(f"kind of {cls.__name__}: expected {expected!r}, found {found!r}")
    hints = get_type_hints(cls)
    return cls(**{k: _decode(v, hints[k]) for k, v in data.items() if k != "kind"})


def _names(value: Any) -> list[str]:
    return [field.name for field in fields(value)]
