"""The renderer in a real browser: what the reader sees, hears, clicks and prints."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_figures import HOSTILE, document

from glassnet.figures import (
    Bar,
    Bars,
    Code,
    Document,
    Fact,
    Facts,
    Frame,
    Grid,
    Ground,
    Lines,
    Logo,
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
    Track,
    notebook,
    page,
    png,
    wav,
)

ROOT = Path(__file__).parent.parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def missing(what: str) -> None:
    """In CI nothing may be skipped in silence."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is needed in CI")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        missing("chromium (apt-get install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright (pip install playwright)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a document or HTML from a file, offline; complaints of the browser fail the test."""
    complaints: list[str] = []
    requests: list[str] = []
    context = browser.new_context(offline=True)
    context.set_default_timeout(10_000)

    def opened(what: Document | str, scheme: str = "light", width: int = 1200) -> Any:
        file = tmp_path / "report.html"
        file.write_text(what if isinstance(what, str) else page(what), "utf-8")
        tab = context.new_page()
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda asked: requests.append(asked.url))
        tab.goto(file.as_uri())
        return tab

    yield opened
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "about:"))] == []


def section(*blocks: Any) -> Document:
    return Document("Test", sections=[Section("", blocks=blocks)])


def test_every_kind_is_drawn_offline_from_a_file(show: Any) -> None:
    tab = show(document())
    for kind in ["lines", "grid", "images", "table", "bars", "steps", "tokens", "logo", "sounds"]:
        assert tab.locator(f"figure.{kind}").count() == 1
    tab.locator("figure.lines svg[role=img]").wait_for()
    assert tab.locator("h1").inner_text() == "Report"
    assert tab.locator("dl.headline dd").first.inner_text() == "0.9"
    assert tab.locator("pre").inner_text() == "glassnet train"
    assert tab.title() == "Report"


def test_empty_and_single_values_are_drawn(show: Any) -> None:
    nothing = [Series("none", [], []), Series("gap", [1], [None])]
    tab = show(
        section(
            Lines("Empty", []),
            Lines("Gaps", nothing),
            Lines("Log", [Series("zero", [0, 1], [0, -1])], x_log=True, y_log=True),
            Lines("One", [Series("one", [3], [7])]),
            Grid("Empty", []),
            Grid("Gap", [[None]]),
            Bars("Empty", []),
            Bars("Zero", [Bar("a", 0)]),
            Table("Empty", ["a"], []),
            Facts([Fact("", None)]),
            Code(""),
        )
    )
    tab.locator("figure.bars svg[role=img]").last.wait_for()
    assert "NaN" not in tab.content().split("</script>")[-1]


def walk(count: int = 3) -> Document:
    frames = [
        Frame(f"step {i}", f"cell {i} is read", [Shown(marked=[(0, i)]), Shown([[i]])])
        for i in range(count)
    ]
    return section(Steps("Walk", [Grid("row", [list(range(count))]), Grid("out", [[9]])], frames))


def test_a_reader_steps_by_buttons_and_by_keys_and_hears_each_step(show: Any) -> None:
    tab = show(walk())
    sentence = tab.locator(".player .sentence")
    assert sentence.inner_text().split() == ["step", "0", "cell", "0", "is", "read"]
    assert tab.get_by_label("One step back").is_disabled()
    tab.get_by_label("One step on").click()
    assert "cell 1" in sentence.inner_text()
    assert sentence.get_attribute("aria-live") == "polite"
    slider = tab.get_by_label("Step of Walk")
    slider.press("ArrowRight")
    assert "cell 2" in sentence.inner_text()
    assert slider.get_attribute("aria-valuetext") == "3 of 3: step 2"
    assert tab.get_by_label("One step on").is_disabled()
    slider.press("Home")
    assert "cell 0" in sentence.inner_text()
    first = tab.locator(".player .panel svg").first
    assert first.locator("path.marked").get_attribute("d").startswith("M1 1")
    assert [t.inner_text() for t in tab.locator(".player h3").all()] == ["row", "out"]


def test_steps_play_and_pause_but_not_for_those_who_want_no_motion(show: Any) -> None:
    tab = show(walk())
    tab.get_by_label("Play", exact=True).click()
    tab.get_by_text("cell 1 is read").wait_for()
    assert tab.locator(".player .sentence").get_attribute("aria-live") == "off"
    tab.get_by_label("Pause").click()
    assert tab.get_by_label("Play", exact=True).is_visible()
    tab.emulate_media(reduced_motion="reduce")
    tab.get_by_label("Play", exact=True).wait_for(state="hidden")


@pytest.mark.parametrize(("count", "printed"), [(3, 3), (40, 12)])
def test_paper_shows_the_steps_one_after_another(show: Any, count: int, printed: int) -> None:
    tab = show(walk(count))
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    assert tab.locator(".printed").count() == printed
    assert f"cell {count - 1} is read" in tab.locator(".printed").last.inner_text()
    assert tab.locator(".player").is_hidden()
    left = tab.get_by_text(f"{count - printed} of {count} steps")
    assert left.count() == (1 if count > printed else 0)
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator(".sheet").count() == 0


def test_points_lie_on_coloured_ground_and_lines_go_through_them(show: Any) -> None:
    cloud = Series("points", [0.2, 0.8], [0.5, 0.5])
    line = Series("line", [0, 1], [0, 1], joined=True)
    ground = Ground([0, 1], [0, 2], [[0, 1], [1, 0]], [[0.1, 0.2], [0.3, None]])
    tab = show(section(Lines("Plane", [cloud, line], mode="points", grounds=[ground])))
    plot = tab.locator("figure.lines .plot svg")
    plot.locator("image.ground").wait_for()
    assert plot.locator("path.cloud.clear").count() == 1
    assert plot.locator("path.curve").count() == 1
    box = plot.locator("image.ground").bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1)


@pytest.mark.parametrize("text", HOSTILE[:5])
def test_hostile_names_are_shown_as_text(show: Any, text: str) -> None:
    tab = show(
        Document(
            text,
            text,
            [
                Section(
                    text,
                    text,
                    [
                        Grid(text, [[1, 2], [3, 4]], row_labels=[text, "b"], row_title=text),
                        Table(text, [text], [[text]], note=text),
                        Bars(text, [Bar(text, 1)], x_label=text),
                        Lines(text, [Series(text, [1, 2], [1, 2])], x_label=text, y_label=text),
                        Code(text, text),
                        Facts([Fact(text, text, text)]),
                    ],
                )
            ],
        )
    )
    tab.locator("figure.lines svg[role=img]").hover()
    assert tab.locator("h1").text_content() == text
    assert tab.locator("td").first.text_content() == text
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("main img, main script, body > img").count() == 0


def test_a_table_sorts_by_click_and_by_keyboard(show: Any) -> None:
    tab = show(section(Table("T", ["name", "n"], [["b", 9], ["a", None], ["c10", 10], ["c9", 1]])))

    def column(i: int) -> list[str]:
        return tab.locator(f"tbody td:nth-child({i})").all_inner_texts()

    tab.get_by_role("button", name="n", exact=True).click()
    assert column(2) == ["10", "9", "1", "–"]
    tab.keyboard.press("Enter")
    assert column(2) == ["1", "9", "10", "–"]
    assert tab.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    tab.get_by_role("button", name="name").click()
    assert column(1) == ["a", "b", "c9", "c10"]
    assert tab.locator("td.number").count() == 4


def test_a_long_table_is_unfolded_on_demand(show: Any) -> None:
    tab = show(section(Table("T", ["n"], [[i] for i in range(500)])))
    assert tab.locator("tbody tr").count() == 30
    tab.get_by_role("button", name="Show all 500 rows").click()
    assert tab.locator("tbody tr").count() == 500


def test_the_arrow_keys_and_the_pointer_read_values(show: Any) -> None:
    tab = show(
        section(Lines("L", [Series("loss", [1, 2, 3], [0.5, 0.25, 0.125])], x_label="epoch"))
    )
    plot, readout = tab.locator("svg[role=img]"), tab.get_by_role("status")
    plot.focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert readout.inner_text().split() == ["epoch", "2", "loss", "0.25"]
    tab.keyboard.press("Escape")
    assert readout.is_hidden()
    plot.hover(position={"x": 5, "y": 100})
    assert readout.inner_text().split() == ["epoch", "1", "loss", "0.5"]


def test_a_confusion_matrix_reads_out_its_cells(show: Any) -> None:
    names = ["cat", "dog"]
    matrix = Grid("G", [[3, 1], [0, 4]], row_labels=names, column_labels=names, normalize="rows")
    tab = show(section(matrix))
    tab.locator("svg[role=img]").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    said = tab.get_by_role("status").inner_text()
    assert "25.0 %" in said and "cat" in said and "dog" in said


def test_two_hundred_classes_stay_usable(show: Any) -> None:
    names = [f"class {i}" for i in range(200)]
    values = [[float(i == j) for j in range(200)] for i in range(200)]
    tab = show(section(Grid("G", values, row_labels=names, column_labels=names, normalize="rows")))
    tab.locator("svg[role=img] image").wait_for()
    assert tab.locator("svg *").count() < 1000


def test_a_scatter_of_many_points_is_light(show: Any) -> None:
    xs = [i / 100 for i in range(5000)]
    tab = show(section(Lines("S", [Series("s", xs, xs)], mode="points", diagonal=True)))
    tab.locator("svg[role=img]").wait_for()
    assert tab.locator("svg *").count() < 100
    tab.locator("svg[role=img]").hover()
    assert tab.get_by_role("status").is_visible()


def test_a_long_curve_is_thinned_but_keeps_its_peak(show: Any) -> None:
    ys = [0.0] * 50_000
    ys[31_415] = 5.0
    tab = show(section(Lines("L", [Series("s", list(range(50_000)), ys)])))
    path = tab.locator("path.curve").get_attribute("d")
    assert len(path) < 60_000
    heights = {pair.split(" ")[1] for pair in path[1:].split("L")}
    assert len(heights) == 2


def test_small_pictures_are_enlarged_by_whole_factors(show: Any) -> None:
    tab = show(document())
    tab.wait_for_function("document.querySelector('img').style.width === '112px'")
    assert tab.locator("img").evaluate("e => getComputedStyle(e).imageRendering") == "pixelated"


@pytest.mark.parametrize("width", [320, 420, 800])
def test_no_page_scrolls_sideways(show: Any, width: int) -> None:
    tab = show(document(), width=width)
    tab.locator("figure.bars svg[role=img]").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


# --- Seeing ---------------------------------------------------------------------------------------

CONTRASTS = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > 0) return colour;
    }
  };
  const texts = [...document.querySelectorAll(
    "h1, h2, p, dt, dd, td, th button, b, small, figcaption, a, summary, code, .language, "
    + "svg text:not(.cell)")].filter((e) => e.textContent && !e.closest("noscript"));
  return texts.map((e) => {
    const style = getComputedStyle(e);
    const colour = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(colour), light(behind(e))].sort();
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent];
  });
}"""

CELLS = """() => [...document.querySelectorAll("svg text.cell")].map((text) => {
  const rect = text.previousElementSibling;
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number).slice(0, 3);
  const part = Number(getComputedStyle(rect).fillOpacity);
  const paper = numbers(getComputedStyle(document.documentElement).backgroundColor);
  const over = numbers(getComputedStyle(rect).fill);
  const mixed = over.map((v, i) => v * part + paper[i] * (1 - part));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light(mixed), light(numbers(getComputedStyle(text).fill))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(show: Any, scheme: str) -> None:
    curves = [Series(f"curve {i}", [1, 2], [i, i + 1]) for i in range(6)]
    tab = show(document([*document().sections[0].blocks, Lines("Six", curves)]), scheme=scheme)
    tab.locator("figure.lines svg[role=img]").last.wait_for()
    measured = tab.evaluate(CONTRASTS)
    assert len(measured) > 40
    assert [(text, ratio) for ratio, text in measured if ratio < 4.5] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_in_every_shade_of_cell_has_enough_contrast(show: Any, scheme: str) -> None:
    values = [[row * 10 + column - 50 for column in range(10)] for row in range(11)]
    tab = show(section(Grid("Shades", values, format="d")), scheme=scheme)
    tab.locator("svg text.cell").first.wait_for()
    for event in ["none", "beforeprint", "afterprint"]:
        tab.evaluate("name => dispatchEvent(new Event(name))", event)
        measured = tab.evaluate(CELLS)
        assert len(measured) == 110
        assert min(measured) >= 4.5


def test_the_scheme_can_change_while_the_page_is_open(show: Any) -> None:
    tab = show(document())
    shade = "getComputedStyle(document.documentElement).backgroundColor"
    before = tab.evaluate(shade)
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate(shade) != before
    tab.emulate_media(color_scheme="dark", media="print")
    assert tab.evaluate(shade) == before


def test_every_plot_has_a_spoken_name_and_a_place_in_the_tab_order(show: Any) -> None:
    tab = show(document())
    tab.locator("figure.lines svg[role=img]").wait_for()
    names = tab.locator("svg[role=img]").evaluate_all("all => all.map((e) => e.ariaLabel)")
    assert all(len(name) > 10 for name in names)
    plots = 1 + 1 + 2 + 1  # the curves, the grid, the panels of the steps, the logo
    assert tab.locator("svg[role=img][tabindex='0']").count() == plots
    assert all(tab.locator("img").evaluate_all("all => all.map((e) => e.alt)"))


def test_without_scripts_the_page_says_why_it_is_empty(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(document()), "utf-8")
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(file.as_uri())
    assert "Scripts are switched off" in tab.locator("body").inner_text()
    context.close()


def test_a_notebook_can_hold_several_outputs(show: Any) -> None:
    blocks = document().sections[0].blocks
    tab = show("<!doctype html><body>" + notebook(blocks[0]) + notebook(blocks[3]))
    first, second = tab.frame_locator("iframe").nth(0), tab.frame_locator("iframe").nth(1)
    first.locator("svg[role=img]").wait_for()
    second.locator("table").wait_for()
    inside = second.locator("main").evaluate("e => e.getBoundingClientRect().height")
    outside = tab.locator("iframe").nth(1).bounding_box()["height"]
    assert inside <= outside <= inside + 4


# --- The bundle -----------------------------------------------------------------------------------


def test_the_bundle_is_small() -> None:
    assert (ROOT / "glassnet/web/glassnet.js").stat().st_size < 40_000


def test_data_never_become_markup() -> None:
    for file in (ROOT / "web/src").glob("*.ts"):
        text = file.read_text("utf-8")
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ]:
            assert forbidden not in text, f"{file.name} uses {forbidden}"


def test_the_lock_names_no_private_registry() -> None:
    lock = json.loads((ROOT / "web/package-lock.json").read_text("utf-8"))
    addresses = [package.get("resolved", "") for package in lock["packages"].values()]
    assert {a for a in addresses if not a.startswith("https://registry.npmjs.org/")} <= {""}


def test_the_committed_bundle_is_what_the_sources_give(tmp_path: Path) -> None:
    """Also type-checks: a build fails where the sources do not fit ``types.ts``."""
    modules = ROOT / "web/node_modules"
    if not shutil.which("npm") or not modules.exists():
        missing("the web tools (cd web && npm ci)")
    web = tmp_path / "web"
    shutil.copytree(ROOT / "web", web, ignore=shutil.ignore_patterns("node_modules"))
    (web / "node_modules").symlink_to(modules)
    subprocess.run(["npm", "run", "build"], cwd=web, check=True, capture_output=True)
    for name in ["glassnet.js", "glassnet.css"]:
        built = (tmp_path / "glassnet/web" / name).read_bytes()
        assert built == (ROOT / "glassnet/web" / name).read_bytes(), f"{name}: npm run build"


def test_a_recording_can_be_heard_and_a_click_into_its_picture_seeks(show: Any) -> None:
    samples = (np.sin(np.arange(8000) / 5) * 20000).astype(np.int16)
    strip = Strip(png(np.zeros((8, 40), np.uint8)), "spectrogram", ticks=[Tick(0.5, "1 kHz")])
    words = Track("words", [Span("seven", 0.1, 0.9, value=0.8)])
    heard = Recording(wav(samples, 8000), 1.0, caption="7.wav", strips=[strip], tracks=[words])
    tab = show(section(Sounds("Heard", [heard])))
    audio = tab.locator("audio")
    tab.wait_for_function("document.querySelector('audio').readyState >= 1")
    assert abs(audio.evaluate("a => a.duration") - 1) < 0.01
    picture = tab.locator("figure.sounds svg")
    assert "seven" in (picture.get_attribute("aria-label") or "")
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] / 2, "y": 40})
    assert 0.3 < audio.evaluate("a => a.currentTime") < 0.7


def test_letters_of_a_logo_are_as_high_as_they_count_and_are_read_off_by_keys(show: Any) -> None:
    tab = show(section(Logo("Motif", list("ACGT"), [[2, 0, 0, 0], [0, 0, -1, 0.5]])))
    letters = tab.locator("figure.logo text.stacked")
    letters.first.wait_for()
    heights = letters.evaluate_all("all => all.map((e) => e.getBoundingClientRect().height)")
    texts = letters.evaluate_all("all => all.map((e) => e.textContent)")
    assert sorted(texts) == ["A", "G", "T"]
    by = dict(zip(texts, heights, strict=True))
    assert by["A"] > 1.5 * by["G"] > 1.5 * by["T"]
    tab.locator("figure.logo svg").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert "position 2" in tab.locator(".readout").inner_text()


def test_colour_behind_curves_is_as_wide_as_the_curves(show: Any) -> None:
    ground = Ground((0, 2), (-1, 1), [[0, 1, 0]], [[0.2, 0.7, 0]])
    tab = show(section(Lines("Evidence", [Series("a", [0, 1, 2], [0, 1, -1])], grounds=[ground])))
    svg = tab.locator("figure.lines svg[role=img]")
    box = svg.bounding_box()
    assert box["width"] > 1.5 * box["height"]
    assert tab.locator("figure.lines image.ground").count() == 1
