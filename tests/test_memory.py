from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glassnet.data import memory
from glassnet.errors import UserError

FRAME = pl.DataFrame({"x": [1.5, 2.5], "y": ["a", "b"]})


def test_frames_and_arrays_are_stored_once_and_whole(tmp_path):
    path = memory.store(FRAME, tmp_path)
    assert pl.read_parquet(path).equals(FRAME)
    assert memory.store(FRAME.clone(), tmp_path) == path
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    images = memory.store((np.zeros((2, 4, 4), np.uint8), [0, 1]), tmp_path)
    assert np.load(images)["x"].shape == (2, 4, 4)
    rows = memory.store((np.eye(2), [0, 1]), tmp_path)
    assert pl.read_parquet(rows).columns == ["column_1", "column_2", memory.TARGET]


def test_frames_of_pandas_are_stored(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = memory.store(pandas.DataFrame(FRAME.to_dict(as_series=False)), tmp_path)
    assert pl.read_parquet(path).equals(FRAME)
    with pytest.raises(UserError, match="data must be a path.*found Series"):
        memory.store(pandas.Series([1, 2]), tmp_path)


def test_a_disk_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    whole = Path.write_bytes

    def half(path, content):
        whole(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        with pytest.raises(UserError, match=rf"{tmp_path}.*parquet \(No space left on device\)"):
            memory.store(FRAME, tmp_path)
    assert not list((tmp_path / "data").iterdir())
    assert pl.read_parquet(memory.store(FRAME, tmp_path)).equals(FRAME)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UserError, match="could not be stored as .*data"):
        memory.store(FRAME, tmp_path)


@pytest.mark.parametrize("data", [7, np.zeros(3), None, ["abc"]])
def test_other_things_are_refused(tmp_path, data):
    with pytest.raises(UserError, match="data must be a path, a name.*; found "):
        memory.store(data, tmp_path)
