"""Decoded images: in memory, packed on the disk or streamed, always the same bits."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_fixtures import as_bytes, class_folders, everything, picture, save, told, write
from trainings import assert_same_end, finished, go_on, new_run, play

from glassnet.data import keeping, layouts, packed, pixels, shelf, stream, tars
from glassnet.data.images import open_images
from glassnet.errors import UserError

PLACES = ("memory", "disk", "stream")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test; no set is so small that it would not be streamed."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr(stream, "SMALL", 0)
    return folder / "glassnet" / "packed"


def pets(root: Path, count: int = 12) -> Path:
    """Pictures of several sizes, with a damaged one and an animation among them."""
    for number in range(count):
        size = {"height": 20 + number % 3, "width": 24 + number % 5}
        save(root / "cat" / f"{number}.jpg", picture(number, **size))
        save(root / "dog" / f"{number}.png", picture(100 + number, **size))
    good = as_bytes(picture(7, 40, 40))
    write(root / "cat" / "cut.png", good[: len(good) // 2])
    frames = [picture(n, 20, 24, mode="P") for n in (1, 2)]
    save(root / "dog" / "moving.gif", frames[0], save_all=True, append_images=frames[1:])
    return root


def batches(source: Any, rows: torch.Tensor | None = None) -> tuple[Any, list[Any]]:
    """The facts, and all that an epoch of a shuffled order delivers."""
    rows = everything(source) if rows is None else rows
    facts = source.facts(rows)
    examples = source.examples(rows, facts)
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(1))
    return facts, list(examples.batches(order.split(5)))


def assert_same(one: tuple[Any, list[Any]], other: tuple[Any, list[Any]]) -> None:
    """Facts, and inputs and targets of all batches, are equal."""
    assert one[0] == other[0]
    for a, b in zip(one[1], other[1], strict=True):
        assert torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)


def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, to decode an image is an error."""

    def refuse(*_: Any) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(pixels, "decode", refuse)


def entry(cache: Path) -> Path:
    """The only entry with pixels."""
    return next(cache.glob("*/pixels")).parent


# --- The same bits --------------------------------------------------------------------------------


def test_memory_disk_and_stream_give_the_same_facts_batches_and_problems(tmp_path):
    pets(tmp_path)
    sources = [open_images(tmp_path, cache=place) for place in PLACES]
    found = [batches(source) for source in sources]
    assert sum(len(batch.targets) for batch in found[0][1]) == 25
    for source, other in zip(sources, found, strict=True):
        assert_same(found[0], other)
        assert told(source.problems, "cat/cut.png", "cut short", "left out")
        assert told(source.problems, "animations", "dog/moving.gif with 2")
        assert len(source.problems) == 2


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_archives_are_streamed_too(tmp_path, suffix):
    import shutil

    folder = class_folders(tmp_path / "pets" / "set")
    kind = {".zip": "zip", ".tar.gz": "gztar"}[suffix]
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, folder.parent)
    assert_same(
        batches(open_images(archive, cache="stream")), batches(open_images(folder, cache="memory"))
    )


def test_a_second_start_decodes_nothing_and_tells_the_same(tmp_path, monkeypatch):
    first = open_images(pets(tmp_path), cache="disk")
    expected = batches(first)
    no_decoding(monkeypatch)
    second = open_images(tmp_path, cache="disk")
    assert_same(expected, batches(second))
    assert second.problems == first.problems


def test_rows_that_nobody_asked_for_are_not_decoded_and_added_when_they_are(tmp_path, own_cache):
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test", count=3)
    source = open_images(tmp_path, cache="disk")
    is_test = torch.tensor([part == "test" for part in source.parts])
    facts, _ = batches(source, (~is_test).nonzero().flatten())
    index = packed.Index.load(entry(own_cache) / "index.npz", len(source))
    assert torch.equal(torch.from_numpy(index.here), ~is_test), "the test stays sealed"
    later = open_images(tmp_path, cache="disk")
    opened = later.examples(is_test.nonzero().flatten(), facts)
    same = open_images(tmp_path, cache="memory").examples(is_test.nonzero().flatten(), facts)
    assert torch.equal(opened.batch(torch.arange(6)).inputs, same.batch(torch.arange(6)).inputs)
    assert packed.Index.load(entry(own_cache) / "index.npz", len(source)).here.all()


def test_arrays_are_packed_if_that_is_asked_for_and_never_streamed(tmp_path):
    x = np.random.default_rng(0).integers(0, 60_000, (12, 9, 9), dtype=np.uint16)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(12) % 2)
    found = [batches(open_images(tmp_path / "a.npz", cache=p)) for p in ("memory", "disk")]
    assert_same(*found)
    with pytest.raises(UserError, match=r"a\.npz is an array.*cannot be streamed.*--cache memory"):
        batches(open_images(tmp_path / "a.npz", cache="stream"))


def test_small_sets_stay_in_memory_and_large_ones_are_packed(tmp_path, own_cache, monkeypatch):
    class_folders(tmp_path)
    batches(open_images(tmp_path))
    assert not own_cache.exists()
    monkeypatch.setattr(keeping, "MANY", 8)
    batches(open_images(tmp_path))
    assert entry(own_cache)


# --- What changes, and what is damaged ------------------------------------------------------------


def test_a_changed_image_is_decoded_again(tmp_path, own_cache):
    class_folders(tmp_path)
    batches(open_images(tmp_path, cache="disk"))
    save(tmp_path / "cat" / "0.png", picture(999))
    changed = batches(open_images(tmp_path, cache="disk"))
    assert_same(changed, batches(open_images(tmp_path, cache="memory")))
    assert len(list(own_cache.glob("*/pixels"))) == 2


def test_so_is_one_whose_content_the_fingerprint_does_not_look_at(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "HASHED_WHOLE", 0)
    monkeypatch.setattr(layouts, "HASHED_SAMPLE", 1)
    for row in range(4):
        for name in ("cat", "dog"):
            save(tmp_path / name / f"{row}.bmp", picture(row))
    first = open_images(tmp_path, cache="disk")
    batches(first)
    file = save(tmp_path / "dog" / "3.bmp", picture(999))  # of the same size
    os.utime(file, ns=(1, time.time_ns() + 10**9))
    source = open_images(tmp_path, cache="disk")
    assert source.fingerprint == first.fingerprint
    assert_same(batches(source), batches(open_images(tmp_path, cache="memory")))


def test_a_flipped_bit_is_found_told_and_mended(tmp_path, own_cache):
    class_folders(tmp_path)
    expected = batches(open_images(tmp_path, cache="disk"))
    path = entry(own_cache) / "pixels"
    held = path.read_bytes()
    path.write_bytes(held[:1000] + bytes([held[1000] ^ 4]) + held[1001:])
    (entry(own_cache) / "index.npz").touch()
    with pytest.warns(UserWarning, match=r"cache .*1 images differ .* cat/2.png; decoded again"):
        mended = batches(open_images(tmp_path, cache="disk"))
    assert_same(expected, mended)
    assert path.read_bytes() == held


def test_a_damaged_row_that_a_batch_holds_twice_is_mended_in_both_places(tmp_path, own_cache):
    class_folders(tmp_path)
    source = open_images(tmp_path, cache="disk")
    rows = everything(source)
    whole = source.examples(rows, source.facts(rows)).batch(rows).inputs
    facts = source.facts(rows)
    with (entry(own_cache) / "pixels").open("r+b") as file:
        file.write(bytes([7, 8]))
    again = open_images(tmp_path, cache="disk").examples(rows, facts)
    with pytest.warns(UserWarning, match="1 images differ from their checksums"):
        twice = again.batch(torch.tensor([0, 1, 0])).inputs
    assert twice.equal(whole[[0, 1, 0]])


def test_what_a_killed_removal_left_is_swept(own_cache):
    left = shelf.folder() / ".old-abc" / "it"
    left.mkdir(parents=True)
    (left / "pixels").write_bytes(bytes(1000))
    assert shelf.clear() == (0, 0)
    assert not left.parent.exists()


def test_a_flipped_bit_in_rows_whose_levels_are_known_is_found_in_the_first_epoch(
    tmp_path, own_cache
):
    class_folders(tmp_path)
    source = open_images(tmp_path, cache="disk")
    expected = batches(source)
    again = open_images(tmp_path, cache="disk")
    examples = again.examples(everything(again), again.facts(everything(again)))
    path = entry(own_cache) / "pixels"
    with path.open("r+b") as file:
        file.seek(2500)
        file.write(b"\x55\xaa")
    with pytest.warns(UserWarning, match="differ from their checksums"):
        found = examples.batch(torch.arange(8))
    first = torch.cat([batch.inputs for batch in expected[1]])
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found.inputs[order], first)


@pytest.mark.parametrize("what", ["cut pixels", "no pixels", "cut index", "garbled index"])
def test_a_damaged_entry_is_told_and_built_anew(tmp_path, own_cache, what):
    class_folders(tmp_path)
    expected = batches(open_images(tmp_path, cache="disk"))
    pixels_, index = entry(own_cache) / "pixels", entry(own_cache) / "index.npz"
    if what == "cut pixels":
        os.truncate(pixels_, 700)
    elif what == "no pixels":
        pixels_.unlink()
    elif what == "cut index":
        os.truncate(index, 300)
    else:
        content = bytearray(index.read_bytes())
        content[100] ^= 255
        index.write_bytes(content)
    source = open_images(tmp_path, cache="disk")
    assert_same(expected, batches(source))
    assert told(source.problems, "cache ", "was damaged", "built anew")
    sound = open_images(tmp_path, cache="disk")
    batches(sound)
    assert sound.problems == []


BUILD = """
import sys, torch
from glassnet.data import packed
from glassnet.data.images import open_images
if sys.argv[2] == "die":
    write, left = packed._write_at, [5]
    def some(*what):
        left[0] -= 1
        if not left[0]: import os; os.kill(os.getpid(), 9)
        write(*what)
    packed._write_at, packed.SAVED_EVERY = some, 0
if __name__ == "__main__":
    source = open_images(sys.argv[1], cache=sys.argv[2] if sys.argv[2] == "stream" else "disk")
    rows = torch.arange(len(source))
    facts = source.facts(rows)
    batches = source.examples(rows, facts).batches(rows.split(4))
    print(next(batches).inputs.sum().item(), flush=True)
    if sys.argv[2] == "stream": import time; time.sleep(60)
"""


def build(path: Path, how: str = "live") -> subprocess.Popen[str]:
    """Open and decode in a process of its own."""
    command = [sys.executable, "-c", BUILD, str(path), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_may_build_and_one_may_be_killed(tmp_path, own_cache):
    class_folders(tmp_path, count=60)
    killed = build(tmp_path, "die")
    assert killed.communicate(timeout=60)[0] == "" and killed.returncode == -signal.SIGKILL
    assert 0 < packed.Index.load(entry(own_cache) / "index.npz", 120).here.sum() < 5
    both = [build(tmp_path), build(tmp_path)]
    said = [process.communicate(timeout=60)[0] for process in both]
    source = open_images(tmp_path, cache="disk")
    facts, _ = batches(source)
    first = source.examples(everything(source), facts).batch(torch.arange(4)).inputs.sum().item()
    assert said == [f"{first}\n"] * 2
    assert source.problems == []
    assert_same(batches(source), batches(open_images(tmp_path, cache="memory")))


# --- Room -----------------------------------------------------------------------------------------


def test_the_least_recently_used_entry_goes_first_and_none_in_use(tmp_path, own_cache, monkeypatch):
    sets = [class_folders(tmp_path / name, count=50 + i) for i, name in enumerate("abcd")]
    size = 101 * 3 * 12 * 10
    in_use = open_images(sets[0], cache="disk")
    batches(in_use)
    for age, folder in enumerate(sets[1:3]):
        batches(open_images(folder, cache="disk"))
        newest = max(own_cache.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest / "used", (age + 1, age + 1))
    names = {path.parent.name for path in own_cache.glob("*/pixels")}
    oldest = next(e.path.name for e in shelf.entries() if e.used == 1)
    taken = sum(e.size for e in shelf.entries())
    monkeypatch.setenv(shelf.VARIABLE, str((taken + size / 2) / 1e9))
    batches(open_images(sets[3], cache="disk"))
    left = {path.parent.name for path in own_cache.glob("*/pixels")}
    assert names - left == {oldest}, "the first set is older, but in use"
    assert len(left) == 3
    assert shelf.clear()[1] == 1
    assert len(shelf.entries()) == 1
    del in_use
    assert shelf.clear()[1] == 0 and shelf.entries() == []


def test_a_set_beyond_the_limit_is_kept_in_memory_or_streamed(tmp_path, own_cache, monkeypatch):
    monkeypatch.setenv(shelf.VARIABLE, "0.000001")
    class_folders(tmp_path)
    source = open_images(tmp_path, cache="disk")
    expected = batches(source)
    assert told(source.problems, "exceed the cache's limit", "kept in memory", shelf.VARIABLE)
    assert sum(e.size for e in shelf.entries()) < 20_000
    monkeypatch.setattr(keeping, "memory", lambda: 1000.0)
    source = open_images(tmp_path)
    assert_same(expected, batches(source))
    assert told(source.problems, "exceed the cache's limit", "decoded anew at each epoch")


@pytest.mark.parametrize("said", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number_is_refused(tmp_path, monkeypatch, said):
    monkeypatch.setenv(shelf.VARIABLE, said)
    with pytest.raises(UserError, match=f"GLASSNET_CACHE_GB says '{said}'; expected a number"):
        batches(open_images(class_folders(tmp_path), cache="disk"))


def test_a_full_disk_is_told_and_does_without(tmp_path, own_cache, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class_folders(tmp_path)
    monkeypatch.setattr(packed, "_write_at", full)
    source = open_images(tmp_path, cache="disk")
    assert_same(batches(source), batches(open_images(tmp_path, cache="memory")))
    assert told(source.problems, "cache", "No space left on device", "kept in memory")
    assert len(source.problems) == 1


def test_a_cache_that_cannot_be_written_is_told_and_done_without(tmp_path, own_cache):
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("I am a file")
    class_folders(tmp_path)
    source = open_images(tmp_path, cache="disk")
    assert_same(batches(source), batches(open_images(tmp_path, cache="memory")))
    assert told(source.problems, "cannot take the decoded images", "kept in memory")
    assert_same(batches(source), batches(open_images(tmp_path, cache="stream")))


def test_check_shows_and_empties_the_cache(cli, tmp_path, own_cache):
    batches(open_images(class_folders(tmp_path / "set"), cache="disk"))
    code, out, _ = cli("check")
    assert code == 0 and f"{own_cache}: 0.00 GB in 1 entries; limit" in out
    code, out, _ = cli("check", "--clear-cache")
    assert code == 0 and "freed" in out and not list(own_cache.glob("*/pixels"))
    code, out, _ = cli("check", "--clear-cache")
    assert code == 0 and "0.00 GB freed" in out


# --- Unpacked archives ----------------------------------------------------------------------------


def test_a_packed_archive_is_unpacked_once_and_anew_if_it_or_its_copy_changed(
    tmp_path, own_cache, monkeypatch
):
    import shutil

    monkeypatch.setattr(tars, "KEPT", 0)
    folder = class_folders(tmp_path / "pets")
    archive = Path(shutil.make_archive(str(tmp_path / "set"), "gztar", folder))
    expected = {n: tars.Tar(archive).read(n) for n in tars.Tar(archive).sizes}
    assert len(expected) == 8
    with monkeypatch.context() as patch:
        patch.setattr(tars, "_unpack", lambda *_: pytest.fail("it was unpacked again"))
        again = tars.Tar(archive)
        assert {name: again.read(name) for name in again.sizes} == expected
    copy = next(own_cache.glob("*/plain.tar"))
    content = bytearray(copy.read_bytes())
    content[-2000] ^= 1
    copy.write_bytes(content)
    with pytest.warns(UserWarning, match=r"plain.tar: the unpacked archive was damaged"):
        again = tars.Tar(archive)
    assert {name: again.read(name) for name in again.sizes} == expected
    save(folder / "cat" / "9.png", picture(9))
    shutil.make_archive(str(tmp_path / "set"), "gztar", folder)
    assert len(tars.Tar(archive).sizes) == 9
    monkeypatch.setenv(shelf.VARIABLE, "0")
    assert len(tars.Tar(archive).sizes) == 9


# --- Streaming ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["stream", "disk"])
def test_an_interrupted_run_ends_with_the_same_bits_as_one_in_memory(tmp_path, place):
    data = pets(tmp_path / "data", 40)
    knobs = {"network": "lenet", "epochs": 2, "fit.batch_size": 16, "fit.device": "cpu"}
    knobs |= {"size": 16, "fit.threads": 1}
    runs = []
    for name in ("memory", place):
        asked = {**knobs, "cache": name}
        task, recipe = recipe_for_images(data, asked)
        run = new_run(tmp_path / "runs", recipe, name)
        stop = None if name == "memory" else 3
        play(task, recipe, run, ask_to_stop_at=stop)
        runs.append((task, run))
    assert runs[1][1].info["status"] == "interrupted"
    finished(go_on(*runs[1]))
    assert_same_end(runs[1][1], runs[0][1])


def recipe_for_images(data: Path, knobs: dict[str, Any]) -> tuple[Any, Any]:
    """A task and a recipe for images."""
    from glassnet import catalog

    epochs = {"fit.epochs": knobs.pop("epochs")}
    return catalog.resolve(str(data), {**knobs, **epochs})


def test_an_image_that_changes_under_a_stream_is_named(tmp_path):
    class_folders(tmp_path, count=8)
    source = open_images(tmp_path, cache="stream")
    examples = source.examples(everything(source), source.facts(everything(source)))
    write(tmp_path / "dog" / "3.png", b"")
    with pytest.raises(UserError, match=r"dog/3.png could be read before.*is empty.*resume"):
        list(examples.batches(torch.arange(16).split(4)))
    save(tmp_path / "dog" / "3.png", picture(103))
    assert sum(len(b.targets) for b in examples.batches(torch.arange(16).split(4))) == 16


def test_a_worker_that_dies_is_told(tmp_path, monkeypatch):
    class_folders(tmp_path, count=8)
    source = open_images(tmp_path, cache="stream")
    examples = source.examples(everything(source), source.facts(everything(source)))
    list(examples.batches(torch.arange(16).split(4)))
    killed = stream.crew().workers
    for worker in killed:
        worker.process.kill()
        worker.process.wait()
        monkeypatch.setattr(worker.process, "poll", lambda: None)  # as if it died a moment later
    with pytest.raises(UserError, match=r"ended by itself \(exit code -9\).*--cache disk"):
        list(examples.batches(torch.arange(16).split(4)))
    monkeypatch.undo()
    monkeypatch.setattr(stream, "SMALL", 0)
    assert len(list(examples.batches(torch.arange(16).split(4)))) == 4, "with new workers"


def test_a_stream_that_is_left_half_way_can_begin_again(tmp_path):
    source = open_images(class_folders(tmp_path, count=30), cache="stream")
    rows = everything(source)
    examples = source.examples(rows, source.facts(rows))
    expected = list(examples.batches(rows.split(3)))
    for stop in (1, 2, 5):
        half = examples.batches(rows.split(3))
        for _ in range(stop):
            next(half)
        del half
        from_there = list(examples.batches(rows.split(3), stop))
        for a, b in zip(from_there, expected[stop:], strict=True):
            assert torch.equal(a.inputs, b.inputs)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_they_work_for(tmp_path, how):
    class_folders(tmp_path)
    code = BUILD.replace(
        "import sys, torch", "import sys, torch; from glassnet.data import stream; stream.SMALL = 0"
    )
    # A shell's background jobs ignore SIGINT, and so would what they start.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", heard + code, str(tmp_path), "stream"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        assert process.stdout is not None and process.stdout.readline()
        workers = children(process.pid)
        assert workers
        process.send_signal(how)
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers):
        assert time.monotonic() < end, "workers go on without their parent"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_what_a_worker_is_told_is_small(tmp_path):
    source = open_images(class_folders(tmp_path, count=50), cache="stream")
    assert len(pickle.dumps(source.layout.store.files)) < 500, "names follow batch by batch"
