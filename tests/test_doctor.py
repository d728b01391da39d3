"""The data doctor: planted faults are found, sound data are left in peace, originals untouched."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from data_fixtures import class_folders, picture, save, told
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

import glassnet
from glassnet import UserError, inspection
from glassnet.data import doctor
from glassnet.data.doctor import drift, labels, near
from glassnet.data.images import open_images
from glassnet.data.tables import open_table
from glassnet.task import Look, Problem

Cli = Any


def cancer(rows: int = 569) -> pl.DataFrame:
    """Real measurements with two classes."""
    data = load_breast_cancer()
    frame = pl.DataFrame({n.replace(" ", "_"): data.data[:rows, k] for k, n in NAMES})
    return frame.with_columns(pl.Series("kind", ["benign" if t else "malign" for t in data.target]))


NAMES = list(enumerate(load_breast_cancer().feature_names[:8]))


def of(found: Any, kind: str) -> list[Problem]:
    """The findings of one kind."""
    problems = found.problems if isinstance(found, Look) else found
    return [problem for problem in problems if problem.kind == kind]


def look_at(frame: pl.DataFrame, path: Path, target: str | None = "kind") -> Look:
    """Inspect a frame as a file."""
    frame.write_csv(path)
    return glassnet.inspect(path, target, effort="quick", show=False)


# --- Tables ---------------------------------------------------------------------------------------


def test_sound_tables_are_left_in_peace(tmp_path: Path) -> None:
    found = look_at(cancer(), tmp_path / "t.csv")
    told = [p for p in found.problems if p.level != "note"]
    # Some of these tumours are hard, and a few look so much like the others that it is said.
    assert {p.kind for p in told} <= {"suspicious labels"}
    assert sum(len(p.items) for p in told) < 0.02 * 569


def test_repeated_rows_are_named_with_their_twins(tmp_path: Path) -> None:
    frame = cancer()
    found = look_at(pl.concat([frame, frame[[3, 5]]]), tmp_path / "t.csv")
    (problem,) = of(found, "duplicates")
    assert problem.items == ("row 570 = row 4", "row 571 = row 6") and "2 of 571" in problem.what


def test_copies_in_training_of_rows_that_measure_are_serious(tmp_path: Path) -> None:
    frame = cancer()
    frame[:400].write_csv(tmp_path / "train.csv")
    frame[380:].write_csv(tmp_path / "test.csv")
    found = glassnet.inspect(tmp_path, "kind", effort="quick", show=False)
    (problem,) = [p for p in of(found, "copies across parts") if "test part" in p.where]
    # Of 20 copies, some were drawn for validation.
    assert problem.level == "serious" and 12 <= len(problem.items) <= 20
    assert problem.items[0] == "test.csv row 1 = train.csv row 381"


def test_rows_that_few_values_make_equal_are_a_note_and_stay(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pl.DataFrame({c: random.integers(0, 3, 500) for c in ("a", "b", "kind")})
    found = look_at(frame, tmp_path / "t.csv")
    (problem,) = of(found, "duplicates")
    assert problem.level == "note" and "chance explains it" in problem.what and not problem.fix
    inspection.fix(found, "kind", tmp_path / "mended.csv")
    assert pl.read_csv(tmp_path / "mended.csv").height == 500


def test_nearly_equal_rows_are_found_and_ordinary_neighbours_are_not(tmp_path: Path) -> None:
    frame = cancer()
    close = frame[:10].with_columns((pl.col("mean_area") * 1.0002).alias("mean_area"))
    (problem,) = of(look_at(pl.concat([frame, close]), tmp_path / "t.csv"), "near duplicates")
    pairs = {tuple(sorted(pair)) for pair in problem.rows}
    assert pairs == {(k, 569 + k) for k in range(10)} and "mean_area" in problem.items[0]


def test_equal_rows_with_other_labels_bound_the_accuracy(tmp_path: Path) -> None:
    frame = cancer()
    other = frame[:6].with_columns(pl.lit("neither").alias("kind"))
    frame.write_csv(tmp_path / "train.csv")
    source = open_table(pl.concat([frame, other]), target="kind", kind="categories")
    (problem,) = of(doctor.examine(source, np.zeros(575, np.int8), "quick"), "label conflicts")
    assert "6 groups of equals" in problem.what and f"{1 - 6 / 575:.2%}" in problem.what
    assert "row 1 'malign' = row 570 'neither'" in problem.items


def test_labels_of_the_sealed_test_are_not_looked_at() -> None:
    frame = cancer()
    source = open_table(frame, target="kind", kind="categories")
    parts = np.zeros(569, np.int8)
    parts[100:200] = doctor.sheet.TEST
    table = doctor.sheet.of_source(source, parts, False)
    table.answers[100:200] = 1 - table.answers[100:200]  # type: ignore[index]
    assert all(not 100 <= row < 200 for p in labels.check(table, 4000, 3) for (row,) in p.rows)


def test_flipped_labels_are_among_the_suspicious() -> None:
    data = load_iris(as_frame=True).frame
    frame = pl.DataFrame({c: data[c].to_numpy() for c in data})
    flipped = [3, 20, 41, 60]
    kinds = frame["target"].to_numpy().copy()
    kinds[flipped] = 2 - kinds[flipped] // 2
    frame = frame.with_columns(pl.Series("target", kinds).cast(pl.String))
    source = open_table(frame, target="target", kind="categories")
    (problem,) = of(doctor.examine(source, np.zeros(150, np.int8), "quick"), "suspicious labels")
    assert {3, 20, 41} <= {row for (row,) in problem.rows} and "suggested" in problem.items[0]
    assert len(problem.rows) < 15


def test_an_answer_in_another_unit_stands_out() -> None:
    frame = cancer().drop("kind")
    area = frame["mean_area"].to_numpy().copy()
    area[17] *= 1000
    source = open_table(
        frame.with_columns(pl.Series("mean_area", area)), target="mean_area", kind="numbers"
    )
    (problem,) = of(doctor.examine(source, np.zeros(569, np.int8), "quick"), "suspicious labels")
    assert problem.rows[0] == (17,) and problem.items[0].startswith("row 18: given")


def test_suspicion_follows_confident_learning() -> None:
    p = np.array([[0.98, 0.02], [0.97, 0.03], [0.03, 0.97], [0.01, 0.99], [0.99, 0.01]])
    worst, suggested = labels.suspects(p, np.array([0, 0, 1, 1, 1]))
    assert worst.tolist() == [4] and suggested.tolist() == [0]
    assert labels.expected(np.array([[0.96, 0.04], [0.5, 0.5]])) == pytest.approx(0.04)


def test_leaks_constants_identifiers_and_sums_are_named(tmp_path: Path) -> None:
    frame = cancer().with_columns(
        pl.Series("after", [0 if k == "benign" else 7 for k in cancer()["kind"]]),
        pl.lit("same").alias("always"),
        pl.Series("record_id", range(1000, 1569)),
    )
    found = look_at(frame, tmp_path / "t.csv")
    (leak,) = of(found, "leaking columns")
    assert leak.where == "column 'after'" and leak.level == "serious" and "100.0%" in leak.what
    assert of(found, "constant columns")[0].items == ("always",)
    assert of(found, "identifier columns")[0].items == ("record_id",)
    total = (
        cancer()
        .drop("kind")
        .with_columns((pl.col("mean_area") + pl.col("mean_radius")).alias("total"))
    )
    problems = of(look_at(total, tmp_path / "sum.csv", "total"), "leaking columns")
    assert told(problems, "'mean_radius', 'mean_area'", "add up")


def test_parts_that_were_drawn_alike_do_not_drift_and_others_do() -> None:
    random = np.random.default_rng(0)
    x, new = random.normal(size=(1200, 3)), np.arange(1200) >= 800
    names, none = ["a", "b", "c"], np.zeros(3, bool)
    assert not list(drift.compare("t", 2, x, none, names, new, 3))
    x[new, 1] += 1.0
    (problem,) = drift.compare("t", 2, x, none, names, new, 3)
    assert problem.level == "warning" and [i.split(":")[0] for i in problem.items] == ["b"]


def test_groups_that_parts_tear_apart_are_named(tmp_path: Path) -> None:
    patients = [f"P{k // 4:04d}" for k in range(569)]
    frame = cancer().with_columns(pl.Series("patient", patients))
    (problem,) = of(look_at(frame, tmp_path / "t.csv"), "groups across parts")
    assert problem.where == "column 'patient'" and "143 values" in problem.what
    # Amounts that repeat name nothing, whatever their column is called.
    counts = np.random.default_rng(0).integers(0, 100, 569)
    frame = cancer().with_columns(pl.Series("households", counts))
    assert not of(look_at(frame, tmp_path / "u.csv"), "groups across parts")


def test_the_order_of_neighbours_is_that_of_an_exhaustive_search() -> None:
    x = np.random.default_rng(0).normal(size=(3000, 6)).astype(np.float32)
    distance, which = near.neighbours(x, 4, "")
    distances = np.linalg.norm(x[:50, None] - x, axis=2)
    distances[np.arange(50), np.arange(50)] = np.inf
    assert (which[:50] == distances.argsort(axis=1)[:, :4]).all()
    assert np.allclose(distance[:50], np.sort(distances, axis=1)[:, :4], atol=1e-5)


ODD = {
    "one class with one row": {"a": [1.5, 2, 3, 4, 5, 6] * 6, "kind": ["x", "y", "z"] + ["x"] * 33},
    "nothing but texts": {"a": [f"some words {k}" for k in range(40)], "kind": ["x", "y"] * 20,
                          "b": ["u", "v", "w", None] * 10},
    "missing everywhere": {"a": [None, 1.0] * 20, "b": [None] * 40,
                           "kind": ["x", "y", "y", "x"] * 10},
    "infinite": {"a": [float("inf"), float("-inf"), 1.0, 2.0] * 10, "kind": ["x", "y"] * 20,
                 "b": list(range(0, 400, 10))},
    "dates": {"a": [f"2024-01-{1 + k % 28:02d}" for k in range(80)], "kind": ["x", "y"] * 40},
}  # fmt: skip


@pytest.mark.parametrize("frame", ODD.values(), ids=ODD.keys())
def test_odd_tables_are_examined_without_complaint(frame: Any, tmp_path: Path) -> None:
    found = look_at(pl.DataFrame(frame, strict=False), tmp_path / "t.csv")
    assert json.dumps([vars(p) for p in found.problems])


def test_every_rejected_row_is_listed(tmp_path: Path) -> None:
    rows = [f"{k % 7},{k % 3},{'x' if k % 2 else 'y'}" for k in range(60)]
    rows[10], rows[30], rows[40] = "1,2", "1,2,x,4", "3,1,"
    (tmp_path / "t.csv").write_text("a,b,kind\n" + "\n".join(rows) + "\n")
    found = glassnet.inspect(tmp_path / "t.csv", "kind", effort="quick", show=False)
    items = [item for problem in of(found, "rejected rows") for item in problem.items]
    assert items == ["t.csv line 12: 2 fields", "t.csv line 32: 4 fields", "row 39"]


# --- Repairs --------------------------------------------------------------------------------------


def test_a_repaired_copy_is_written_and_the_original_stays(tmp_path: Path) -> None:
    frame = cancer().with_columns(pl.lit(1).alias("always"))
    frame = pl.concat([frame, frame[[3, 5]]])
    kinds = frame["kind"].to_list()
    kinds[7], kinds[8], kinds[9] = "Malign ", None, "MALIGN"
    path, out = tmp_path / "t.csv", tmp_path / "mended.csv"
    frame.with_columns(pl.Series("kind", kinds)).write_csv(path)
    before = path.read_bytes()
    glassnet.inspect(path, "kind", fix=out, effort="quick", show=False)
    assert path.read_bytes() == before
    mended = pl.read_csv(out)
    assert mended.height == 568 and set(mended["kind"]) == {"benign", "malign"}
    assert mended.columns == cancer().columns
    with (tmp_path / "mended.repairs.csv").open() as file:
        log = list(csv.DictReader(file))
    assert {"where": "row 570", "what": "copy of row 4", "done": "row dropped"} in log
    assert {"where": "row 9", "what": "no answer", "done": "row dropped"} in log
    assert len([line for line in log if "'malign'" in line["done"]]) == 2


def test_of_copies_across_parts_the_one_in_training_goes(tmp_path: Path) -> None:
    folder, out = tmp_path / "parts", tmp_path / "mended"
    folder.mkdir()
    frame = cancer()
    frame[:400].write_csv(folder / "train.csv")
    frame[380:].write_csv(folder / "test.csv")
    look = glassnet.inspect(folder, "kind", fix=out, effort="quick", show=False)
    assert look.kind == "table"
    assert pl.read_csv(out / "train.csv").height == 380
    assert pl.read_csv(out / "test.csv").height == 189


def test_nothing_is_ever_overwritten(cli: Cli, in_tmp: Path) -> None:
    cancer().write_csv("t.csv")
    Path("there.csv").write_text("mine")
    code, _, error = cli("inspect", "t.csv", "--target", "kind", "--fix", "there.csv")
    assert code == 2 and "ever overwritten" in error and Path("there.csv").read_text() == "mine"
    code, _, error = cli("inspect", "t.csv", "--target", "kind", "--fix", "out.parquet")
    assert code == 2 and ".csv" in error
    code, _, error = cli("inspect", "t.csv", "--target", "kind", "--fix", "no/out.csv")
    assert code == 2 and "no folder" in error


# --- Images ---------------------------------------------------------------------------------------


def examined(root: Path) -> list[Problem]:
    """The findings in a folder of images."""
    return list(glassnet.inspect(root, effort="quick", show=False).problems)


def test_images_that_are_odd_or_repeated_are_named(tmp_path: Path) -> None:
    class_folders(tmp_path / "set", 20)
    root = tmp_path / "set"
    (root / "cat" / "copy.png").write_bytes((root / "cat" / "3.png").read_bytes())
    (root / "dog" / "torn.png").write_bytes((root / "cat" / "4.png").read_bytes())
    save(root / "dog" / "blank.png", picture(1).point(lambda _: 200))
    (root / "dog" / "broken.png").write_bytes((root / "dog" / "1.png").read_bytes()[:60])
    picture(77).save(root / "dog" / "odd.jpg", "PNG")
    found = examined(root)
    assert told(of(found, "duplicates"), "cat/3.png = ") or told(of(found, "duplicates"), "copy")
    assert told(of(found, "blank images"), "dog/blank.png")
    assert told(of(found, "unreadable images"), "dog/broken.png", "cut short")
    assert told(of(found, "misnamed images"), "dog/odd.jpg")
    assert not of(found, "near duplicates")


def digits(root: Path, change: dict[int, str] | None = None) -> Path:
    """Handwritten digits 0 to 3 as files; ``change`` puts some into another class."""
    data = load_digits(n_class=4)
    for k, (image, label) in enumerate(zip(data.images[:400], data.target[:400], strict=True)):
        from PIL import Image

        pixels = Image.fromarray((image * 15).astype(np.uint8))
        save(root / (change or {}).get(k, str(label)) / f"{k}.png", pixels)
    return root


def test_mislabelled_and_nearly_equal_digits_are_found(tmp_path: Path) -> None:
    data = load_digits(n_class=4)
    wrong = {k: str((data.target[k] + 1) % 4) for k in (11, 42, 105, 200)}
    source = open_images(digits(tmp_path, wrong))
    parts = np.zeros(len(source), np.int8)
    assert not of(doctor.examine(source, parts, "quick"), "near duplicates")
    (problem,) = of(doctor.examine(source, parts, "quick"), "suspicious labels")
    names = {source.name(row).rpartition("/")[2] for (row,) in problem.rows}
    assert len(names & {"11.png", "42.png", "105.png", "200.png"}) >= 3 and len(names) <= 8


def test_nearly_equal_images_are_found(tmp_path: Path) -> None:
    from PIL import Image

    digits(tmp_path)
    for k in (7, 8, 9):
        file = next(tmp_path.glob(f"*/{k}.png"))
        image = np.array(Image.open(file)).astype(int)
        lighter = np.clip(image + 6, 0, 255).astype(np.uint8)
        save(file.with_name(f"again-{k}.png"), Image.fromarray(lighter))
    source = open_images(tmp_path)
    found = doctor.examine(source, np.zeros(len(source), np.int8), "quick")
    (problem,) = of(found, "near duplicates")
    assert {"7", "8", "9"} == {item.split("again-")[1].split(".")[0] for item in problem.items}


def test_a_repaired_set_of_images_lacks_what_was_broken(tmp_path: Path) -> None:
    root, out = class_folders(tmp_path / "set", 12), tmp_path / "mended"
    (root / "cat" / "z.png").write_bytes((root / "cat" / "3.png").read_bytes())
    (root / "dog" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    glassnet.inspect(root, fix=out, effort="quick", show=False)
    assert len(list(out.glob("*/*.png"))) == 24 and len(list(root.glob("*/*.png"))) == 26
    assert "dog/broken.png" in (tmp_path / "mended.repairs.csv").read_text()


# --- Before a training ----------------------------------------------------------------------------


def test_a_training_says_in_short_what_was_found_and_keeps_it_all(cli: Cli, in_tmp: Path) -> None:
    frame = cancer()
    pl.concat([frame, frame[:40]]).write_csv("t.csv")
    words = ["train", "t.csv", "--target", "kind", "--fit.epochs", "1", "--fit.threads", "1"]
    code, _, error = cli(*words, "--name", "first")
    assert (
        code == 0
        and "40 of 609" in error
        and "glassnet inspect t.csv" in error.replace(f"{in_tmp}/", "")
    )
    kept = json.loads(Path("runs/first/doctor.json").read_text())
    assert kept["effort"] == "quick" and len(of_json(kept, "duplicates")["items"]) == 40
    assert json.loads(Path("runs/first/run.json").read_text())["doctor"]["duplicates"] == 1
    assert "What the data doctor found" in Path("runs/first/report.html").read_text()
    code, _, error = cli(*words, "--name", "second", "--doctor", "skip")
    assert code == 0 and "40 of 609" not in error
    assert not Path("runs/second/doctor.json").exists()


def of_json(kept: dict[str, Any], kind: str) -> dict[str, Any]:
    """The first finding of a kind in doctor.json."""
    return next(p for p in kept["problems"] if p["kind"] == kind)


def test_inspect_prints_pages_and_json(cli: Cli, in_tmp: Path) -> None:
    frame = cancer()
    pl.concat([frame, frame[:40]]).write_csv("t.csv")
    words = ["inspect", "t.csv", "--target", "kind"]
    code, out, _ = cli(*words, "-o", "page.html")
    assert code == 0 and "… 40 in all" in out and "page.html" in out
    assert "Examination of t.csv" in Path("page.html").read_text()
    code, out, _ = cli(*words, "--json", "--fix", "mended.csv")
    answer = json.loads(out)
    assert answer["fix"]["done"] and len(of_json(answer, "duplicates")["items"]) == 40


def test_a_fix_that_cannot_be_is_a_user_error(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "set", 6)
    with pytest.raises(UserError, match="ever overwritten"):
        glassnet.inspect(root, fix=root, effort="quick", show=False)


def test_slices_of_one_patient_are_told_by_their_names(tmp_path: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for patient in range(20):
        base = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        calm = np.array(base.resize((40, 40))).astype(int)
        for part in range(4):
            noisy = np.clip(calm + random.normal(0, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
            name = f"patient{patient:02d}_slice{part}.png"
            save(tmp_path / ("ill" if patient % 2 else "well") / name, Image.fromarray(noisy))
    (problem,) = of(examined(tmp_path), "groups across parts")
    assert "20 groups" in problem.what and problem.level == "warning"
    assert not of(examined(digits(tmp_path / "digits")), "groups across parts")


def test_rows_that_are_equal_but_for_their_names_are_found(tmp_path: Path) -> None:
    frame = pl.concat([cancer(), cancer()[:30]])
    names = [f"sample of tissue {k:x}" for k in range(599)]
    frame = frame.with_columns(pl.Series("label_on_tube", names))
    found = look_at(frame, tmp_path / "t.csv")
    assert not of(found, "duplicates") and of(found, "copies across parts")
