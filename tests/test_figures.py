"""Figures and documents are plain data: they survive JSON, and no text in them can act."""

import json
import math
import re
import subprocess
import sys
import types
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassnet import figures
from glassnet.errors import UserError
from glassnet.figures import (
    Bar,
    Bars,
    Block,
    Code,
    Document,
    Fact,
    Facts,
    Figure,
    Frame,
    Grid,
    Images,
    Lines,
    Logo,
    Mark,
    Picture,
    Piece,
    Recording,
    Section,
    Series,
    Shown,
    Sounds,
    Span,
    Steps,
    Strip,
    Table,
    Tick,
    Token,
    Tokens,
    Track,
    from_json,
    notebook,
    page,
    png,
    wav,
)

WEB = Path(__file__).parent.parent / "web" / "src"
HOSTILE = [
    "</script><script>window.hacked=1</script>",
    "</script x",
    "<!--<script x",
    "<img src=x onerror=window.hacked=1>",
    "]]>&lt;&amp;'\"`${1}",
    "name\u2028with\u2029separators\u202e",
    "photo-\udce9.jpg",  # what os.fsdecode makes of a file name that is not UTF-8
]


def one_of_each() -> list[Block]:
    pixels = np.zeros((8, 8), np.uint8)
    return [
        Lines(
            "Loss",
            [
                Series("train", [1, 2, 3], [3.0, math.nan, 1.0]),
                Series("held out", [1, 2], [3.0, 2.0], low=[2, 1], high=[4, math.inf], dashed=True),
            ],
            x_label="epoch",
            y_label="loss",
            x_log=True,
            y_log=True,
            mode="points",
            diagonal=True,
            marks=[Mark(2, "best")],
            note="n = 2",
        ),
        Grid(
            "Confusion",
            [[5, 1], [math.nan, 4]],
            row_labels=["cat", "dog"],
            column_labels=["cat", "dog"],
            row_title="true",
            column_title="predicted",
            format="d",
            normalize="rows",
            note="n = 10",
        ),
        Images("Worst", [Picture(png(pixels), "cat", "0.9")], pixelated=True, note="two"),
        Table("Runs", ["run", "score"], [["b", 0.5], ["a", None], ["c", 12]], note="sorted"),
        Steps(
            "Two steps",
            [Grid("numbers", [[1, 2], [3, 4]]), Grid("answer", [[7, 9]])],
            [
                Frame("first", "1 + 2 + 4 = 7", [Shown(marked=[(0, 0)]), Shown([[7, None]])]),
                Frame("second", "all", [Shown(chosen=[(1, 1)]), Shown()]),
            ],
            note="n = 4",
        ),
        Tokens(
            "Why positive",
            [
                Token("not", -0.4),
                Token("bad", 1.5, under="8 %", said="rank 3"),
                Token("?", math.nan),
            ],
            value_label="evidence",
            scale=2.0,
            note="n = 3",
        ),
        Logo(
            "Motif",
            list("ACGT"),
            [[0.1, 0, 1.5, 0], [-0.5, math.nan, 0, 0.2]],
            first=-1,
            note="n = 5",
        ),
        Sounds(
            "Heard",
            [
                Recording(
                    wav(np.zeros(80, np.int16), 8000),
                    0.01,
                    caption="seven",
                    note="silence",
                    wave=[[-1, -2], [1, 2]],
                    strips=[Strip(png(pixels), "spectrogram", ticks=[Tick(0.5, "1 kHz")])],
                    tracks=[Track("letters", [Span("s", 0, 0.01, value=0.5, said="sure")])],
                )
            ],
            value_label="evidence",
            scale=1,
        ),
        Bars("Recall", [Bar("cat", 0.9, low=0.8, high=1), Bar("dog", None)], x_label="share"),
        Facts([Fact("accuracy", 0.9, "95 % interval 0.8 to 1"), Fact("n", "10")], headline=True),
        Code("glassnet train", "shell"),
    ]


def document(blocks: Sequence[Block] | None = None) -> Document:
    blocks = one_of_each() if blocks is None else blocks
    return Document("Report", "of a run", [Section("First", "One.\n\nTwo.", blocks)])


class Page(HTMLParser):
    """Collects the elements of a page and the text of its scripts, as a browser would."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"] and self.cdata_elem == "script":
            self.scripts.append(data)


def test_every_kind_survives_json() -> None:
    for block in one_of_each():
        assert from_json(json.loads(json.dumps(block.to_json(), allow_nan=False))) == block
    whole = document()
    assert Document.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    assert from_json(whole.to_json()) == whole


def test_the_sample_has_every_kind() -> None:
    assert {type(block) for block in one_of_each()} == set(get_args(Block))
    assert set(get_args(Figure)) < set(get_args(Block))


def test_nan_and_infinities_become_gaps() -> None:
    curve = Series("a", [1, 2, 3, 4], [1.0, math.nan, math.inf, -math.inf])
    assert curve.y == (1.0, None, None, None)
    assert Grid("g", [[math.nan, 1]]).to_json()["values"] == [[None, 1]]
    assert Bar("b", math.nan).value is None


def test_arrays_are_taken_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    from_numpy = Series("a", np.arange(2), np.array([0.5, np.nan], np.float32))
    from_torch = Series("a", torch.arange(2), torch.tensor([0.5, torch.nan]))
    assert from_numpy == from_torch == Series("a", (0, 1), (0.5, None))
    assert Table("t", ["x"], [[np.float64(1.5)], [np.int64(2)]]).rows == ((1.5,), (2,))
    assert {type(cell) for (cell,) in Table("t", ["x"], [[np.float32(1)]]).rows} == {float}


def test_figures_are_values() -> None:
    one, other = one_of_each(), one_of_each()
    assert one == other
    assert len({*one, *other}) == len(one)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UserError, match=r"expected one of .*'bars'.* found 'pie'"):
        from_json({"kind": "pie"})
    with pytest.raises(UserError, match="kind of Lines: expected 'lines', found 'grid'"):
        Lines.from_json({"kind": "grid"})


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_can_leave_the_data_element(text: str) -> None:
    blocks = [
        Grid(text, [[1]], row_labels=[text], column_labels=[text]),
        Table(text, [text], [[text]], note=text),
        Code(text, text),
    ]
    hostile = Document(text, text, [Section(text, text, blocks)])
    written = page(hostile).encode("utf-8").decode("utf-8")
    parsed, plain = Page(written), Page(page(document()))
    assert parsed.tags == plain.tags
    assert not set("<>&") & set(parsed.scripts[0])
    assert from_json(json.loads(parsed.scripts[0])) == hostile


@given(st.text())
def test_any_title_gives_a_page_with_the_same_elements(text: str) -> None:
    whole = Document(text, "", [Section(text, text, [Code(text)])])
    parsed = Page(page(whole))
    assert parsed.tags == Page(page(document([]))).tags
    assert from_json(json.loads(parsed.scripts[0])) == whole


def test_a_page_may_load_nothing() -> None:
    written = page(document())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', written)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", written)


def test_a_notebook_gets_one_frame_per_output() -> None:
    for value in [*one_of_each(), document(), document().sections[0], Mark(1, "</iframe>")]:
        assert Page(notebook(value)).tags == ["iframe"]
        assert value._repr_html_() == notebook(value)


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4)])
def test_png_keeps_every_pixel(shape: tuple[int, ...]) -> None:
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    head, data = png(array).split(",")
    assert head == "data:image/png;base64"
    assert (np.asarray(Image.open(BytesIO(b64decode(data)))) == array.squeeze()).all()


def test_the_import_is_light() -> None:
    heavy = "{'torch', 'numpy', 'PIL', 'pydantic'} & sys.modules.keys()"
    code = f"import sys, glassnet.figures; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- One schema in two languages ------------------------------------------------------------------


def test_types_ts_says_the_same_as_the_dataclasses() -> None:
    written = (WEB / "types.ts").read_text("utf-8")
    classes = [c for c in vars(figures).values() if is_dataclass(c) and isinstance(c, type)]
    for cls in classes:
        assert interface(cls) in written, f"web/src/types.ts should have:\n\n{interface(cls)}"
    assert written.count("interface ") == len([c for c in classes if c is not Piece])
    names = " | ".join(c.__name__ for c in get_args(Figure))
    assert f"export type Figure = {names};" in written


def interface(cls: type[Any]) -> str:
    hints = get_type_hints(cls)
    kind = [f'  kind: "{cls.kind}";'] if hasattr(cls, "kind") else []
    lines = kind + [f"  {field.name}: {typescript(hints[field.name])};" for field in fields(cls)]
    return "\n".join([f"export interface {cls.__name__} {{", *lines, "}\n"])


def typescript(hint: Any) -> str:
    plain = {str: "string", float: "number", int: "number", bool: "boolean", type(None): "null"}
    if hint in plain:
        return plain[hint]
    if get_origin(hint) in (Union, types.UnionType):
        if hint == Block:
            return "Block"
        return " | ".join(typescript(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " | ".join(json.dumps(option) for option in get_args(hint))
    if get_origin(hint) is Sequence:
        (item,) = get_args(hint)
        either = get_origin(item) in (Union, types.UnionType) and item != Block
        return f"({typescript(item)})[]" if either else f"{typescript(item)}[]"
    return str(hint.__name__)
