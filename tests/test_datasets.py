import gzip
import hashlib
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml
from data_fixtures import (
    SHARED,
    class_folders,
    everything,
    needs_shared,
    picture,
    save,
    told,
    write,
)

from glassnet import listing
from glassnet.data import datasets, sources
from glassnet.data.images import open_images
from glassnet.data.tables import open_table
from glassnet.errors import UserError

PAYLOAD = "x,y\n" + "".join(f"{n}.5,{'ab'[n % 2]}\n" for n in range(4000))


class Server(http.server.BaseHTTPRequestHandler):
    """Serves PAYLOAD; can cut the answer short, spoil it, or ignore ranges."""

    cuts: list = []
    spoiled = 0
    ranges = True
    seen: list = []

    def do_GET(self):
        data = PAYLOAD.encode()
        cls = type(self)
        cls.seen.append((self.path, self.headers.get("Range")))
        if not self.path.endswith(".csv"):
            return self.send_error(404)
        start = 0
        if self.ranges and (asked := self.headers.get("Range")):
            start = int(re.search(r"\d+", asked)[0])
            if start >= len(data):
                return self.send_error(416)
        if cls.spoiled:
            cls.spoiled -= 1
            data = data.replace(b"a", b"c")
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        stop = cls.cuts.pop(0) if cls.cuts else len(data)
        self.wfile.write(data[start:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """The address of a server of our own, and its knobs."""
    knobs = type("Knobs", (Server,), {"cuts": [], "seen": []})
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), knobs)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}", knobs
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GLASSNET_DATA", raising=False)
    monkeypatch.setattr(datasets, "_wait", lambda seconds: None)
    return tmp_path / "cache" / "glassnet"


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """A catalogue of our own with the set 'letters'."""

    def make(**changes):
        plain = {
            "summary": "letters", "kind": "table", "licence": "l", "homepage": "h",
            "target": "y", "mirror": "letters_folder",
            "files": [{
                "name": "letters.csv", "urls": [changes.pop("url", "http://127.0.0.1:9/x.csv")],
                "sha256": hashlib.sha256(PAYLOAD.encode()).hexdigest(),
                "unpacked": hashlib.sha256(PAYLOAD.encode()).hexdigest(), "size": len(PAYLOAD),
            }],
        }  # fmt: skip
        write(tmp_path / "g" / "datasets" / "letters.yaml", yaml.safe_dump({**plain, **changes}))
        monkeypatch.setattr(listing, "ROOT", tmp_path / "g")

    return make


# --- Downloading ----------------------------------------------------------------------------------


def test_a_set_is_downloaded_once_with_progress(server, catalogue, cache):
    url, knobs = server
    catalogue(url=f"{url}/a.csv")
    seen = []
    path = datasets.fetch("letters", progress=lambda *numbers: seen.append(numbers))
    assert path == cache / "letters" / "letters.csv" and path.read_text() == PAYLOAD
    assert seen[-1] == (len(PAYLOAD), len(PAYLOAD))
    assert datasets.fetch("letters") == path and len(knobs.seen) == 1
    assert [file.name for file in path.parent.iterdir() if file.name[0] != "."] == ["letters.csv"]


def test_a_broken_connection_is_resumed_where_it_ended(server, catalogue):
    url, knobs = server
    knobs.cuts = [1000, 5000]
    catalogue(url=f"{url}/a.csv")
    assert datasets.fetch("letters").read_text() == PAYLOAD
    assert [asked for _, asked in knobs.seen] == [None, "bytes=1000-", "bytes=5000-"]


def test_a_server_without_ranges_sends_all_again(server, catalogue):
    url, knobs = server
    knobs.cuts, knobs.ranges = [1000], False
    catalogue(url=f"{url}/a.csv")
    assert datasets.fetch("letters").read_text() == PAYLOAD


@pytest.mark.parametrize("left", [b"rubbish", b"rubbish" * 9000])
def test_what_an_earlier_attempt_left_is_used_or_thrown_away(server, catalogue, cache, left):
    url, _ = server
    catalogue(url=f"{url}/a.csv")
    write(cache / "letters" / "letters.csv.part", left)
    assert datasets.fetch("letters").read_text() == PAYLOAD


def test_a_wrong_checksum_is_never_accepted(server, catalogue, cache):
    url, knobs = server
    knobs.spoiled = 9
    catalogue(url=f"{url}/a.csv")
    with pytest.raises(
        UserError, match=r"letters.csv could not.*\n.*checksum is wrong(.|\n)*GLASS"
    ):
        datasets.fetch("letters")
    assert not (cache / "letters" / "letters.csv").exists()
    knobs.spoiled = 0
    assert datasets.fetch("letters").read_text() == PAYLOAD


def test_failures_name_the_file_the_address_and_a_way_out(server, catalogue):
    url, knobs = server
    catalogue(url=f"{url}/gone")
    with pytest.raises(
        UserError, match=r"letters.csv.*\n.*/gone: the server answers 404(.|\n)*try"
    ):
        datasets.fetch("letters")
    assert len(knobs.seen) == 1, "what is not there is not asked for again"
    catalogue(url="http://127.0.0.1:9/a.csv")
    with pytest.raises(UserError, match=r"127.0.0.1:9(.|\n)*4 attempts(.|\n)*set\s+GLASSNET_DATA"):
        datasets.fetch("letters")
    knobs.cuts = [10] * 9
    catalogue(url=f"{url}/a.csv")
    with pytest.raises(UserError, match="the connection ended after 10 of"):
        datasets.fetch("letters")


def test_a_full_disk_is_explained_before_and_during_the_download(
    server, catalogue, cache, monkeypatch
):
    url, _ = server
    catalogue(url=f"{url}/a.csv")
    usage = type("Usage", (), {"free": 10})
    with monkeypatch.context() as patch:
        patch.setattr(datasets.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(
            UserError, match="letters.csv needs .* only 10 are free.*XDG_CACHE_HOME"
        ):
            datasets.fetch("letters")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(datasets, "_stream", full)
        with pytest.raises(UserError, match="letters could not be written.*No space.*XDG_CACHE"):
            datasets.fetch("letters")


def test_a_cache_that_cannot_be_written_is_explained(catalogue, tmp_path, monkeypatch):
    catalogue()
    monkeypatch.setenv("XDG_CACHE_HOME", str(write(tmp_path / "file", "x")))
    with pytest.raises(UserError, match="letters could not be written.*XDG_CACHE_HOME"):
        datasets.fetch("letters")


# --- Mirrors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_a_mirror_on_disk_is_linked_packed_or_not(catalogue, tmp_path, monkeypatch, packed):
    catalogue()
    data = PAYLOAD.encode()
    file = tmp_path / "mirror" / "letters_folder" / ("letters.csv" + ".gz" * packed)
    write(file, gzip.compress(data) if packed else data)
    monkeypatch.setenv("GLASSNET_DATA", str(tmp_path / "mirror"))
    path = datasets.fetch("letters")
    assert path.resolve() == file
    assert len(open_table(path, target="y", kind="categories")) == 4000
    assert datasets.fetch("letters") == path
    file.unlink()
    with pytest.raises(UserError, match="letters.csv could not be downloaded"):
        datasets.fetch("letters", mirror="")


def test_a_mirror_with_another_content_is_refused(catalogue, tmp_path):
    catalogue()
    write(tmp_path / "mirror" / "letters_folder" / "letters.csv", "other")
    with pytest.raises(UserError, match="letters.csv differs from the published.*Replace it"):
        datasets.fetch("letters", mirror=str(tmp_path / "mirror"))
    with pytest.raises(UserError, match="no folder.*letters_folder/"):
        datasets.fetch("letters", mirror=str(tmp_path / "nowhere"))


def test_a_mirror_on_the_web_comes_first(server, catalogue):
    url, knobs = server
    catalogue()
    assert datasets.fetch("letters", mirror=url + "/base/").read_text() == PAYLOAD
    assert knobs.seen[0][0] == "/base/letters_folder/letters.csv"


# --- The catalogue --------------------------------------------------------------------------------


def test_every_entry_is_complete():
    for name in datasets.names():
        entry = datasets.describe(name)
        assert entry.summary and entry.licence and entry.homepage.startswith("http"), name
        kinds = (
            "images",
            "table",
            "texts",
            "corpus",
            "pairs",
            "dna",
            "sounds",
            "timeline",
            "series",
        )
        assert entry.kind in kinds, name
        assert bool(entry.target) == (entry.kind in ("table", "texts", "pairs", "dna")), name
        assert entry.builtin or entry.files, name
        for item in entry.files:
            assert item.size and item.urls and (item.sha256 or item.unpacked or item.contents), name


def test_a_folder_of_a_mirror_stands_for_the_archive_with_the_same_sounds(
    tmp_path, catalogue, cache
):
    import wave

    from glassnet.data import recordings
    from glassnet.data.archives import open_files

    folder = tmp_path / "mirror" / "letters_folder" / "letters"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        with wave.open(str(folder / name / "1.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(range(200)))
    contents = recordings.fingerprint(open_files(folder))
    item = {"name": "letters.zip", "urls": ["http://localhost:1/x"], "size": 1}
    catalogue(files=[{**item, "contents": contents}], open="")
    found = datasets.fetch("letters", mirror=str(tmp_path / "mirror"))
    assert (found / "a" / "1.wav").is_file()
    (folder / "a" / "1.wav").write_bytes(b"other")
    found.unlink()
    with pytest.raises(UserError, match="differs from the published letters.zip"):
        datasets.fetch("letters", mirror=str(tmp_path / "mirror"))


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from glassnet.data import datasets, sources;"
        "[datasets.describe(n) for n in datasets.names()];"
        "heavy = {'torch', 'polars', 'sklearn', 'PIL', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="'digit'.*Did you mean 'digits'.*mnist"):
        sources.locate("digit")
    write(tmp_path / "prices.csv", "x")
    with pytest.raises(UserError, match="Did you mean 'prices.csv'"):
        sources.locate(str(tmp_path / "price.csv"))
    assert sources.locate(str(tmp_path / "prices.csv")) == tmp_path / "prices.csv"


@pytest.mark.parametrize(
    ("name", "count", "classes"),
    [
        ("digits", 1797, 10),
        ("iris", 150, 3),
        ("wine", 178, 3),
        ("xor", 500, 2),
        ("breast-cancer", 569, 2),
    ],
)
def test_the_sets_of_scikit_learn_need_no_network(name, count, classes):
    path, entry = sources.locate(name), sources.named(name)
    source = (
        open_images(path)
        if entry.kind == "images"
        else open_table(path, target=entry.target, kind="categories")
    )
    assert len(source) == count
    facts = source.facts(everything(source))
    assert len(facts.classes) == classes
    assert sources.locate(name) == path
    if name == "digits":
        x = source.examples(torch.tensor([0]), facts).inputs
        assert (x[0, 0] / (255 / 16)).round().int()[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    if name == "iris":
        assert facts.classes == ["setosa", "versicolor", "virginica"]
        assert facts.slots[0].name == "sepal_length_cm"


def test_diabetes_is_a_regression():
    source = open_table(sources.locate("diabetes"), target="progression", kind="numbers")
    facts = source.facts(everything(source))
    assert len(source) == 442 and facts.target.mean == pytest.approx(152.13, abs=0.01)
    assert len(facts.slots) == 10


# --- Looking --------------------------------------------------------------------------------------


def test_a_look_at_images_tells_classes_parts_sizes_and_modes(tmp_path):
    class_folders(tmp_path / "train")
    save(class_folders(tmp_path / "test", count=1) / "cat" / "9.png", picture(1, 5, 7, "L"))
    write(tmp_path / "test" / "dog" / "bad.png", "text")
    write(tmp_path / "test" / "dog" / "a.txt", "text")
    look = sources.look(tmp_path)
    assert look.kind == "images" and look.details["num_rows"] == 12
    assert look.details["classes"] == {"cat": 6, "dog": 6}
    assert look.details["classes_per_part"]["test"] == {"cat": 2, "dog": 2}
    assert look.details["sizes"] == {"10 x 12": 10, "7 x 5": 1}
    assert look.details["modes"] == {"RGB": 10, "L": 1}
    assert told(look.problems, "bad.png", "text file") and told(look.problems, ".txt")
    assert told(look.problems, "class 'cat'", "only 6 examples", "add examples")


def test_a_look_at_a_table_tells_types_missing_and_the_target(tmp_path):
    text = "id,name,same,size,kind\n" + "".join(
        f"{n},name {n},1,{'' if n % 9 == 0 else n % 5},{'ab'[n % 12 == 0]}\n" for n in range(1, 61)
    )
    path = write(tmp_path / "t.csv", text)
    look = sources.look(path, target="kind")
    columns = {column["name"]: column for column in look.details["columns"]}
    assert look.kind == "table" and look.details["num_rows"] == 60
    assert columns["size"]["type"] == "number" and columns["size"]["missing"] == 6
    assert columns["size"]["distinct"] == 5 and columns["size"]["examples"] == ["1", "2", "3"]
    assert look.details["target"]["classes"] == {"a": 55, "b": 5}
    assert look.details["target"]["kind"] == "categories"
    for name in ("id", "name", "same"):
        assert told(look.problems, f"column {name!r}", "not be used")
    assert told(look.problems, "class 'b'", "only 5 examples")
    with pytest.raises(UserError, match="no column 'kin'.*Did you mean 'kind'"):
        sources.look(path, target="kin")
    assert "target" not in sources.look(path).details


def test_repeated_rows_are_reported(tmp_path):
    path = write(tmp_path / "t.csv", "x,y\n" + "1,2\n3,4\n" * 10)
    assert told(sources.look(path).problems, "18 of 20 rows repeat", "training and test")


def test_what_is_neither_table_nor_images_is_refused(tmp_path):
    with pytest.raises(UserError, match="found: nothing(.|\n)*cat/1.png(.|\n)*train.csv"):
        sources.look(tmp_path)
    with pytest.raises(UserError, match="a.docx is neither a table .*.csv.* nor .*images"):
        sources.look(write(tmp_path / "a.docx", "x"))


@needs_shared
@pytest.mark.parametrize("name", datasets.names())
def test_every_set_of_the_mirror_opens(name):
    entry = datasets.describe(name)
    if not entry.builtin and not (Path(SHARED) / entry.mirror).is_dir():
        pytest.skip(f"the mirror has no {entry.mirror}")
    path = sources.locate(name, mirror=SHARED)
    look = sources.look(name, mirror=SHARED)
    assert look.kind == entry.kind and look.path == path
    if entry.kind == "table":
        kind = look.details["target"]["kind"]
        numbers = ("toyota-corolla", "california-housing", "diabetes")
        assert kind == ("numbers" if name in numbers else "categories")
        assert len(open_table(path, target=entry.target, kind=kind)) > 100
    if name == "toyota-corolla":
        classic = Path(SHARED) / "tabular_toyota_corolla" / "ToyotaCorolla.csv"
        assert path.read_bytes() == classic.read_bytes()
    if name == "fashion-mnist":
        assert "Ankle boot" in look.details["classes"]
