"""Series of measurements: how they are read, what is refused, and their nearest neighbours."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nan

from glassnet import api, catalog
from glassnet.data import series, seriesraw, sources
from glassnet.data.series import SeriesFacts, SeriesSource, open_series
from glassnet.data.seriestables import Columns
from glassnet.data.waves import as_ts
from glassnet.errors import UserError
from glassnet.signals.augmentation import changed, moved
from glassnet.signals.seen import sketch
from glassnet.signals.warping import nearest_warped, thinned, warped

UCR = Path(os.environ.get("GLASSNET_DATA", "/nowhere")) / "tsc_ucr"
torch.set_num_threads(1)
HEADER = "@timeStamps false\n@univariate false\n@classLabel true a b\n@data\n"
LINES = ("1,2,3:4,5,6:a", "1,2:3,4:b", "5,6,?:7,8,9:a", "2,2:3,4:b")


def ts(folder: Path, *lines: str, header: str = HEADER, name: str = "set.ts") -> Path:
    """A .ts file of these lines."""
    path = folder / name
    path.write_text(header + "\n".join(lines or LINES) + "\n", encoding="utf-8")
    return path


def facts_of(source: SeriesSource) -> SeriesFacts:
    """Learned from all rows."""
    return source.facts(torch.arange(len(source)))


# --- What is read ---------------------------------------------------------------------------------


def test_a_ts_file_has_channels_and_lengths_of_its_own_and_its_gaps_are_told(
    tmp_path: Path,
) -> None:
    source = open_series(ts(tmp_path))
    assert [one.shape for one in source.series] == [(3, 2), (2, 2), (3, 2), (2, 2)]
    assert source.classes == ["a", "b"] and list(source.strata) == [0, 1, 0, 1]
    assert source.parts is None and source.groups is None
    assert source.name(1) == "set.ts line 6"
    assert [problem.kind for problem in source.problems] == ["gaps"]
    batch = source.examples(torch.arange(4), facts_of(source)).batch(torch.arange(4))
    assert batch.inputs.shape == (4, 2, 3)
    assert batch.inputs[1, :, 2].isnan().all() and not batch.inputs[2].isnan().any()


def test_gaps_are_kept_as_gaps_if_asked_for(tmp_path: Path) -> None:
    source = open_series(ts(tmp_path), gaps="keep")
    batch = source.examples(torch.arange(4), facts_of(source)).batch(torch.tensor([2]))
    assert batch.inputs[0].isnan().tolist() == [[False, False, True], [False] * 3]


def test_scales_are_learned_from_the_rows_given_and_no_others(tmp_path: Path) -> None:
    source = open_series(ts(tmp_path))
    assert source.facts(torch.tensor([0])).means == [2.0, 5.0]
    facts = facts_of(source).model_copy(update={"scale": "each"})
    values, _ = series.encode(source.series[:1], facts)
    assert values.mean(0).abs().max() < 1e-6
    assert values.std(0, correction=0).tolist() == pytest.approx([1, 1])


def test_two_files_of_ucr_are_a_published_split(tmp_path: Path) -> None:
    (tmp_path / "Set_TRAIN.tsv").write_text("1\t0.5\t1\t2\n2\t3\t4\t5\n", encoding="utf-8")
    (tmp_path / "Set_TEST.tsv").write_text("1.0\t0.5\t1\tNaN\n", encoding="utf-8")
    source = open_series(tmp_path)
    assert source.parts == ["train", "train", "test"]
    assert source.classes == ["1", "2"] and [len(one) for one in source.series] == [3, 3, 2]
    assert sources.look(tmp_path).kind == "series"


def test_arff_and_arrays_hold_the_same_series(tmp_path: Path) -> None:
    attributes = "".join(f"@attribute att{n} numeric\n" for n in range(3))
    text = f"@relation s\n{attributes}@attribute target {{a,b}}\n@data\n1,2,3,a\n4,5,?,b\n"
    (tmp_path / "set.arff").write_text(text, encoding="utf-8")
    arrays = np.array([[[1.0, 2, 3]], [[4, 5, nan]]])
    np.savez(tmp_path / "set.npz", X=arrays, y=np.array(["a", "b"]))
    one, other = open_series(tmp_path / "set.arff"), open_series(tmp_path / "set.npz")
    for a, b in zip(one.series, other.series, strict=True):
        assert np.array_equal(a, b)
    assert one.fingerprint == other.fingerprint
    assert sources.look(tmp_path / "set.npz").kind == "series"


def test_rows_of_a_table_are_series_where_the_task_says_so(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("who,s1,s2,s3,label\nx,1,2,3,a\ny,4,5,,b\nx,1,1,1,a\n", encoding="utf-8")
    source = open_series(path, Columns(group="who"))
    assert [one[:, 0].tolist() for one in source.series] == [[1, 2, 3], [4, 5], [1, 1, 1]]
    assert source.groups == ["x", "y", "x"]
    assert "constant" in [problem.kind for problem in source.problems]
    assert sources.look(path).kind == "table"


def test_rows_of_a_long_table_are_put_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("id,t,v,y\n1,2,20,a\n1,1,10,a\n2,1,5,b\n2,2,6,b\n2,9,7,b\n", encoding="utf-8")
    source = open_series(path, Columns(target="y", series="id", time="t"))
    assert [one[:, 0].tolist() for one in source.series] == [[10, 20], [5, 6, 7]]
    told = " ".join(problem.what for problem in source.problems)
    assert "not in order of time (series 1)" in told and "unequal time (series 2)" in told


def recordings(folder: Path) -> Path:
    """Two recordings of each of two classes, with a column of time and two channels."""
    for number, label in enumerate(("run", "walk", "run", "walk")):
        path = folder / "rec" / label / f"{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{step / 10},{step * number},{step % 2}" for step in range(4 + number)]
        path.write_text("time,x,y\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder / "rec"


def test_recordings_in_class_folders_are_series_of_their_columns(tmp_path: Path) -> None:
    folder = recordings(tmp_path)
    assert sources.look(folder).kind == "series"
    source = open_series(folder)
    assert source.found.channels == ["x", "y"] and source.classes == ["run", "walk"]
    assert sorted(len(one) for one in source.series) == [4, 5, 6, 7]
    facts = facts_of(source)
    named, _ = seriesraw.read_raw(folder / "run" / "2.csv", facts)
    assert [(name, one.shape) for name, one in named] == [("2.csv", (6, 2))]
    assert len(seriesraw.read_raw(folder, facts)[0]) == 4


def test_of_several_sets_in_a_folder_the_one_of_its_name_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "Some"
    folder.mkdir()
    for name in ("Some_TRAIN", "Some_TEST", "Some_eq_TRAIN", "Some_eq_TEST"):
        ts(folder, header=f"% a remark\n{HEADER}", name=f"{name}.ts")
    assert len(open_series(folder)) == 8
    folder.rename(tmp_path / "other")
    with pytest.raises(UserError, match="several sets of series: some, some_eq"):
        open_series(tmp_path / "other")


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "lines", "told"),
    [
        ("@univariate true\n", ["1,2:a", "@data"], "before the first series"),
        ("", [""], "no line '@data'"),
        (HEADER, [""], "no series behind @data"),
        (HEADER, ["1,2:3,4:a", "1,2:b"], "line 6: expected 2 channels, parted by ':', found 1"),
        (HEADER, ["1,2:3,4:a", "1,2:3:b"], "as many steps each, found 2, 1"),
        (HEADER, ["1,2:3,4"], "promises a label"),
        (HEADER, ["1,2:3,4:c"], "'c' is none of @classLabel's: a, b"),
        (HEADER, ["1,two:3,4:a"], "value 2: expected a number, or ? for a missing one"),
        (HEADER, ["1,2:a", "3,4:a"], "all 2 series are of the class 'a'"),
        (HEADER, ["1,2:?", "3,4:?"], "the label is missing in all 2 series"),
        (HEADER.replace("false", "true", 1), ["(0,1):a"], "time stamps"),
        (HEADER.replace("false", "maybe", 1), ["1:a"], "expected true or false"),
        (HEADER.replace("@data", "@dimensions x\n@data"), ["1:a"], "expected a whole number"),
        (HEADER.replace("@data", "@targetLabel true\n@data"), ["1:a"], "are numbers"),
        (
            HEADER.replace("@data", "@equalLength true\n@seriesLength 3\n@data"),
            ["1,2,3:a", "1,2:b"],
            "@equalLength true with 3 steps, found 2",
        ),
    ],
)
def test_a_damaged_ts_file_is_refused_by_naming_the_line(
    tmp_path: Path, header: str, lines: Sequence[str], told: str
) -> None:
    path = tmp_path / "set.ts"
    path.write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"set\.ts") as error:
        open_series(path)
    assert told in str(error.value)


def test_a_class_that_only_the_test_has_is_refused(tmp_path: Path) -> None:
    ts(tmp_path, "1,2:a", "2,1:a", name="S_TRAIN.ts")
    ts(tmp_path, "1,2:a", "2,1:b", name="S_TEST.ts")
    with pytest.raises(UserError, match="the train part has no series of the class 'b'"):
        open_series(tmp_path)


def test_series_without_a_number_or_a_label_are_left_out_and_named(tmp_path: Path) -> None:
    source = open_series(ts(tmp_path, "1,2:a", "?,?:a", "2,3:?", "1,4:b"))
    assert len(source) == 2
    told = [problem.what for problem in source.problems]
    assert "1 of 4 series have no label (set.ts line 7)" in told
    assert "1 of 4 series hold no number (set.ts line 6)" in told


@pytest.mark.parametrize(
    ("text", "columns", "told"),
    [
        ("a,b\n1,2\n", {}, "name the column of the labels by --target"),
        ("id,t,v,y\n1,1,2,a\n1,1,3,a\n", {"series": "id", "time": "t"}, "have the same time"),
        ("id,t,v,y\n1,1,2,a\n1,2,3,b\n", {"series": "id"}, "has several labels"),
        ("id,t,v,y\n1,x,2,a\n1,y,3,a\n", {"series": "id", "time": "t"}, "neither numbers nor"),
        ("id,v,y\n1,2,a\n", {"series": "who"}, "who"),
        ("s1,s2,y\nx,z,a\nu,w,b\n", {}, "no column holds the numbers"),
    ],
)
def test_a_table_that_makes_no_series_is_refused(
    tmp_path: Path, text: str, columns: dict[str, str], told: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=told):
        open_series(path, Columns(**columns))  # type: ignore[arg-type]


def test_a_recording_with_other_channels_is_refused(tmp_path: Path) -> None:
    folder = recordings(tmp_path)
    (folder / "walk" / "9.csv").write_text("time,x\n1,2\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"9\.csv lacks the channel 'y'"):
        open_series(folder)


def test_arrays_are_never_unpickled(tmp_path: Path) -> None:
    ragged = np.array([np.zeros(3), np.zeros(4)], dtype=object)
    np.savez(tmp_path / "set.npz", X=ragged, y=np.array([0, 1]))
    with pytest.raises(UserError, match="not unpickled") as error:
        open_series(tmp_path / "set.npz")
    assert "cannot be read" not in str(error.value)
    np.savez(tmp_path / "set.npz", X=np.zeros((3, 4)), y=np.array([0, 1]))
    with pytest.raises(UserError, match="a label for each of the 3 series"):
        open_series(tmp_path / "set.npz")


def test_a_raw_series_may_be_an_array_or_a_list_and_needs_the_channels(tmp_path: Path) -> None:
    facts = facts_of(open_series(ts(tmp_path)))
    one = [[1.0, 2, 3], [4, 5, 6]]
    for raw, shapes in (
        (one, [(3, 2)]),
        (np.zeros((5, 2, 7)), [(7, 2)] * 5),
        ([np.zeros((2, 3)), np.zeros((2, 9))], [(3, 2), (9, 2)]),
    ):
        named, _ = seriesraw.read_raw(raw, facts)
        assert [values.shape for _, values in named] == shapes
    with pytest.raises(UserError, match="has 3 channels, expected 2"):
        seriesraw.read_raw(np.zeros((1, 3, 4)), facts)
    for wrong in ("nowhere.csv", np.zeros((0, 2, 2)), {"a": 1}):
        with pytest.raises(UserError):
            seriesraw.read_raw(wrong, facts)


# --- Nearest neighbours, augmentation, figures ----------------------------------------------------


def by_definition(one: Tensor, other: Tensor, band: int) -> float:
    """Dynamic time warping of (C, T) and (C, S), cell by cell."""
    n, m = one.shape[1], other.shape[1]
    table = [[math.inf] * (m + 1) for _ in range(n + 1)]
    table[0][0] = 0.0
    for i in range(n):
        for j in range(m):
            if abs(i - j) <= band:
                best = min(table[i][j], table[i][j + 1], table[i + 1][j])
                table[i + 1][j + 1] = float((one[:, i] - other[:, j]).square().sum()) + best
    return table[n][m]


@pytest.mark.parametrize("channels", [1, 3])
def test_warping_agrees_with_its_definition(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = [(12, 5, 1), (15, 9, 3, 1)]
    asked, known = (torch.randn(len(of), channels, max(of), generator=generator) for of in lengths)
    for signals, of in ((asked, lengths[0]), (known, lengths[1])):
        for number, length in enumerate(of):
            signals[number, :, length:] = nan
    found = warped(asked, known)
    for i, n in enumerate(lengths[0]):
        for j, m in enumerate(lengths[1]):
            expected = by_definition(asked[i, :, :n], known[j, :, :m], 99)
            assert float(found[i, j]) == pytest.approx(expected, abs=1e-4)
    same = torch.randn(2, channels, 12, generator=generator)
    for band in (0, 1, 3):
        assert float(warped(same[:1], same[1:], band)[0, 0]) == pytest.approx(
            by_definition(same[0], same[1], band), abs=1e-4
        )


def test_thinned_signals_are_means_of_steps_that_are_there() -> None:
    signal = torch.tensor([[[1.0, 3, 5, nan, nan]]])
    assert thinned(signal, 2).tolist()[0][0][:2] == [2, 5]


@pytest.mark.skipif(not UCR.is_dir(), reason="needs $GLASSNET_DATA/tsc_ucr")
@pytest.mark.parametrize(("name", "share"), [("GunPoint", 0.907), ("ItalyPowerDemand", 0.950)])
def test_the_nearest_neighbours_reach_their_published_accuracy(name: str, share: float) -> None:
    source = open_series(UCR / name)
    parts = np.array(source.parts)
    train, test = (torch.from_numpy(np.flatnonzero(parts == part)) for part in ("train", "test"))
    facts = source.facts(train)
    known, asked = source.examples(train, facts), source.examples(test, facts)
    outcome = nearest_warped(None, known, asked, facts)
    right = (outcome.outputs.argmax(1) == outcome.targets).double().mean()
    assert float(right) == pytest.approx(share, abs=0.001)


def test_augmentation_keeps_the_lengths_and_a_batch_of_constants() -> None:
    torch.manual_seed(0)
    batch = torch.randn(3, 2, 20)
    batch[1, :, 11:] = nan
    change = changed(0.1, 0.2, 0.1, 0.3)
    assert change is not None and changed(0, 0, 0, 0) is None
    assert torch.equal(change(batch, 0).isnan(), batch.isnan())
    flat = torch.full((2, 1, 9), 4.0)
    assert torch.equal(moved(flat, 0.5, 0.5), flat)
    assert torch.allclose(moved(batch, 0, 0), batch, equal_nan=True)


def test_a_sketch_draws_gaps_and_constants() -> None:
    drawn = sketch(np.array([[1, np.nan, 3.0], [2, 2, 2]], np.float32))
    assert drawn.shape[2] == 3 and (drawn < 255).any()
    assert (sketch(np.full((1, 3), np.nan, np.float32)) == 255).all()
    assert (sketch(np.ones((1, 1), np.float32)) < 255).any()


# --- The task -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_tmp")
@pytest.mark.parametrize("network", ["rocket", "gru"])
def test_waves_of_unequal_length_are_told_apart(tmp_path: Path, network: str) -> None:
    path = tmp_path / "waves.ts"
    path.write_text(as_ts(), encoding="utf-8")
    slim: dict[str, Any] = {
        "rocket": {"features": 1000},
        "gru": {"hidden": 16, "width": 16},
    }
    knobs = {f"network.{key}": value for key, value in slim[network].items()}
    flags = {"network": network, **knobs, "fit.threads": 1, "fit.epochs": 12, "fit.lr": 0.005}
    task, recipe = catalog.resolve(str(path), flags | {"split.refit": False, "warp": 0.1})
    run = api.start(task, recipe, network, tmp_path, iter)
    assert run.evaluate().metrics["accuracy"].value > 0.6


# --- What spoils answers quietly --------------------------------------------------------------


def test_an_infinite_measurement_is_missing_and_spoils_no_scale(tmp_path: Path) -> None:
    lines = ["@", "@classLabel true a b", "@data", "1,2,inf:a", "2,3,4:b", "1,1e999,3:a", "2,3,5:b"]
    (tmp_path / "x.ts").write_text("\n".join(lines), "utf-8")
    source = open_series(tmp_path / "x.ts")
    facts = source.facts(torch.arange(4))
    assert np.isfinite([*facts.means, *facts.deviations]).all()
    values = np.array([[1.0, 2.0, np.inf], [2.0, 3.0, 4.0]])
    np.savez(tmp_path / "x.npz", X=values, y=np.array([0, 1]))
    assert not any(np.isinf(one).any() for one in open_series(tmp_path / "x.npz").series)
    assert not any(np.isinf(one).any() for _, one in seriesraw.read_raw(values, facts)[0])


@pytest.mark.parametrize("suffix", ["csv", "parquet", "folder"])
def test_a_column_of_groups_is_no_step_of_what_is_answered(tmp_path: Path, suffix: str) -> None:
    steps = {f"step {n}": [0.1 * n, 0.2, 0.3, 0.4 + n] for n in range(5)}
    table = pl.DataFrame({"person": [1, 1, 2, 2], **steps, "label": ["a", "b"] * 2})
    table.write_csv(tmp_path / "train.csv")
    source = open_series(tmp_path / "train.csv", Columns(target="label", group="person"))
    facts = source.facts(torch.arange(4))
    place = tmp_path / f"new.{suffix}"
    if suffix == "folder":
        place.mkdir()
        table.drop("label").write_csv(place / "new.csv")
    else:
        (table.write_csv if suffix == "csv" else table.write_parquet)(place)
    assert [len(one) for _, one in seriesraw.read_raw(str(place), facts)[0]] == [facts.longest] * 4


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(50), b"npy"])
def test_a_file_that_is_no_npz_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    if content == b"npy":
        with path.open("wb") as file:
            np.save(file, np.zeros((3, 4)))
    with pytest.raises(UserError, match=r"x\.npz cannot be read"):
        open_series(path)
