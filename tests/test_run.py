"""The run folder: files that appear whole or not at all, and checkpoints that survive damage."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trainings import same_bits

from glassnet.errors import UserError
from glassnet.run import FORMAT, Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, "run", "data: x\n", {"task": "t"})


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Switches: from now on (or no more) the disk is full."""
    real = os.replace

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    return lambda full: monkeypatch.setattr(os, "replace", refuse if full else real)


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    names = [Run.create(tmp_path, "a b/c", "", {}).path.name for _ in range(3)]
    assert names == ["a-b-c", "a-b-c-2", "a-b-c-3"]


@pytest.mark.parametrize("name", ["..", "", "/", "../../etc"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    path = Run.create(tmp_path / "runs", name, "", {}).path
    assert path.parent == tmp_path / "runs"
    assert path.name not in ("", ".", "..")


# --- Files ----------------------------------------------------------------------------------------


def test_a_file_that_could_not_be_written_leaves_the_old_one_and_no_rest(
    run: Run, full_disk: Any
) -> None:
    run.write_text("a.txt", "old")
    full_disk(True)
    with pytest.raises(UserError, match=r"disk is full: .*a\.txt.*glassnet resume"):
        run.write_text("a.txt", "new")
    assert (run.path / "a.txt").read_text() == "old"
    assert not list(run.path.rglob("*.tmp"))


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("I am a file")
    with pytest.raises(UserError, match=r"runs/x could not be made"):
        Run.create(tmp_path / "runs", "x", "", {})


def test_nan_becomes_null_since_json_has_none(run: Run) -> None:
    run.write_json("a.json", {"x": math.nan, "y": [math.inf, {"z": -math.inf}], "w": 1.5})
    text = (run.path / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"x": None, "y": [None, {"z": None}],
                                                            "w": 1.5}  # fmt: skip


def test_a_last_line_cut_short_by_a_crash_is_passed_over(run: Run) -> None:
    run.append("metrics.jsonl", {"step": 1}, {"step": 2})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "tra')
    assert [row["step"] for row in run.rows()] == [1, 2]
    run.cut_rows(1)
    run.append("metrics.jsonl", {"step": 2})
    assert (run.path / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'


# --- Opening --------------------------------------------------------------------------------------


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no run folder"):
        Run.open(tmp_path / "none")
    with pytest.raises(UserError, match=r"is no run folder: it holds no run\.json"):
        Run.open(tmp_path)


@pytest.mark.parametrize("found", [FORMAT + 1, 99, "x", None])
def test_a_newer_or_unknown_format_is_refused(run: Run, found: Any) -> None:
    run.update_info(format=found, glassnet="9.9")
    with pytest.raises(UserError, match=r"written by glassnet 9\.9.*Upgrade glassnet"):
        Run.open(run.path)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", '{"a": '])
def test_a_damaged_run_json_is_named(run: Run, text: str) -> None:
    (run.path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        Run.open(run.path)


# --- Tensors --------------------------------------------------------------------------------------

DTYPES = [torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 1)], ids=str)
def test_tensors_of_every_kind_survive(run: Run, dtype: Any, shape: tuple[int, ...]) -> None:
    tensor = torch.ones(shape).to(dtype)
    run.write_tensors("a.safetensors", {"x": tensor}, {"n": 1})
    tensors, extra = run.read_tensors("a.safetensors")
    assert same_bits(tensors, {"x": tensor})
    assert extra == {"n": 1}


def test_views_of_one_buffer_and_tensors_in_another_order_survive(run: Run) -> None:
    base = torch.arange(24.0).view(2, 3, 4)
    image = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    tensors = {"base": base, "part": base[0], "turned": base.transpose(0, 2), "image": image}
    run.write_tensors("a.safetensors", tensors)
    found, _ = run.read_tensors("a.safetensors")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("place", ["tensors", "metadata", "end", "start", "everything", "nothing"])
def test_tampered_weights_are_noticed(run: Run, place: str) -> None:
    path = run.write_tensors("a.safetensors", {"x": torch.rand(100)}, {"epoch": 3})
    content = bytearray(path.read_bytes())
    if place == "tensors":
        content[-37] ^= 1
    elif place == "metadata":
        content = bytearray(content.replace(b"epoch", b"epoxh"))
    elif place == "end":
        content = content[:-10]
    elif place == "start":
        content[0] ^= 0xFF
    else:
        content = bytearray(os.urandom(500) if place == "everything" else b"")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.safetensors is damaged"):
        run.read_tensors("a.safetensors")


def test_missing_weights_say_how_to_get_them(run: Run) -> None:
    with pytest.raises(UserError, match=r"model\.safetensors is missing.*glassnet resume"):
        run.read_tensors("model.safetensors")


# --- Checkpoints ----------------------------------------------------------------------------------

leaves = (
    st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.booleans()
    | st.none()
    | st.lists(st.floats(-1, 1, width=32), max_size=3).map(torch.tensor)
)
states = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=12,
)


def alike(one: Any, other: Any) -> bool:
    """Whether two states are equal, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and same_bits({"": one}, {"": other})
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and bool(one == other)


@given(states)
@settings(deadline=None, max_examples=60)
def test_any_nesting_of_state_survives_a_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, state: Any
) -> None:
    run = Run(tmp_path_factory.mktemp("run"))
    run.save_checkpoint(1, state)
    assert alike(run.load_checkpoint()[0], state)


def test_names_that_look_like_paths_do_not_collide(run: Run) -> None:
    state = {"a": {"b": torch.zeros(1)}, "a/b": torch.ones(1), "": torch.full((1,), 2.0),
             "value": torch.full((1,), 3.0)}  # fmt: skip
    run.save_checkpoint(1, state)
    assert alike(run.load_checkpoint()[0], state)


def test_the_newest_and_one_older_checkpoint_are_kept(run: Run) -> None:
    for step in (5, 50, 500, 5000):
        run.save_checkpoint(step, {"step": step})
    assert run.load_checkpoint() == ({"step": 5000}, [])
    names = sorted(path.name for path in (run.path / "checkpoint").iterdir())
    assert names == ["step-000000500.safetensors", "step-000005000.safetensors"]


@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "cut"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    run: Run, damage: bytes | None
) -> None:
    run.save_checkpoint(1, {"x": torch.zeros(9)})
    newest = run.save_checkpoint(2, {"x": torch.ones(9)})
    newest.write_bytes(newest.read_bytes()[:-4] if damage is None else damage)
    state, damages = run.load_checkpoint()
    assert torch.equal(state["x"], torch.zeros(9))
    assert len(damages) == 1
    assert newest.name in damages[0]


def test_a_full_disk_costs_no_older_checkpoint(run: Run, full_disk: Any) -> None:
    for step in (1, 2):
        run.save_checkpoint(step, {"step": step})
    full_disk(True)
    with pytest.raises(UserError, match="The disk is full"):
        run.save_checkpoint(3, {"step": 3})
    assert len(list((run.path / "checkpoint").iterdir())) == 2
    assert run.load_checkpoint() == ({"step": 2}, [])
    full_disk(False)
    run.save_checkpoint(3, {"step": 3})
    assert run.load_checkpoint() == ({"step": 3}, [])


# --- The lock -------------------------------------------------------------------------------------


def lock(run: Run) -> None:
    """Lock and unlock."""
    with Run(run.path).locked():
        pass


def test_a_run_is_locked_once_and_free_afterwards(run: Run) -> None:
    with run.locked(), pytest.raises(UserError, match="is being trained by another process"):
        lock(run)
    lock(run)


def test_a_lock_is_freed_when_the_training_fails(run: Run) -> None:
    with pytest.raises(RuntimeError), run.locked():
        raise RuntimeError
    lock(run)


def test_what_a_killed_process_left_half_written_is_removed(run: Run) -> None:
    (run.path / "checkpoint").mkdir()
    rests = [".model.safetensors.123.tmp", "checkpoint/.step-000000001.safetensors.123.tmp"]
    for rest in rests:
        (run.path / rest).write_bytes(b"half")
    (run.path / "notes.tmp").write_text("the user's own")
    with run.locked():
        assert not any((run.path / rest).exists() for rest in rests)
    assert (run.path / "notes.tmp").exists()
