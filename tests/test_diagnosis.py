"""A diagnosis names the disease that real data were given; its advice can be taken."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from trainings import same_bits, table, weights

import glassnet
from glassnet import catalog, listing
from glassnet.api import TrainedRun
from glassnet.diagnosis import Diagnosis, advice, curve, references, verdict
from glassnet.diagnosis.curve import Curve, Point
from glassnet.diagnosis.references import LINEAR, TREE, TRIVIAL, Conflicts, Drift
from glassnet.diagnosis.verdict import Finding, Gap, Level, Measured, judge_all, state
from glassnet.errors import UserError
from glassnet.evaluate.intervals import Estimate
from glassnet.metrics import CLASSIFICATION, REGRESSION

PIXELS, DIGITS = load_digits(return_X_y=True)
ODD = DIGITS % 2
SMALL = {"name": "mlp", "hidden": [16]}


def train(data: Any, folder: Path, **knobs: Any) -> TrainedRun:
    known = {"network": SMALL, "epochs": 6, "threads": 1, "show": False, "runs": folder}
    return glassnet.train(data, **{**known, **knobs})


def names(found: Diagnosis) -> list[str]:
    return [finding.name for finding in found.findings]


def quickly(run: TrainedRun, **options: Any) -> Diagnosis:
    return run.diagnose(**{"minutes": 0, "show": False, **options})


# --- Diseases, given to real data -----------------------------------------------------------------


def test_a_network_that_learned_too_little_has_high_bias(tmp_path: Path) -> None:
    rows = slice(0, 800)
    data = PIXELS[rows], ODD[rows].astype(str)
    found = quickly(train(data, tmp_path, network="perceptron", epochs=1, lr=1e-4))
    assert names(found)[0] == "high bias"
    assert found.findings[0].certainty == "clear"
    assert "high variance" not in names(found)
    assert found.advice[0].command is not None
    assert "--fit.epochs 3" in found.advice[0].command


def test_a_network_that_learned_by_heart_has_high_variance(tmp_path: Path) -> None:
    noisy = PIXELS + np.random.default_rng(0).normal(0, 5, PIXELS.shape)
    data = noisy[:400], ODD[:400].astype(str)
    split = {"validation": 0.6, "test": 0.1}
    wide = {"name": "mlp", "hidden": [200]}
    found = quickly(train(data, tmp_path, network=wide, epochs=40, optimizer="adam", split=split))
    assert "high variance" in names(found)
    assert "high bias" not in names(found)
    assert any("weight decay" in item.what for item in found.advice)


def test_flipped_labels_are_noise(tmp_path: Path) -> None:
    flipped = np.random.default_rng(0).random(len(ODD)) < 0.3
    data = PIXELS, np.where(flipped, 1 - ODD, ODD).astype(str)
    found = quickly(train(data, tmp_path))
    assert "noise" in names(found)
    assert "high bias" not in names(found)


def test_contradicting_rows_are_noise_for_certain(tmp_path: Path) -> None:
    few = np.repeat(PIXELS[:60], 8, axis=0)
    answers = np.repeat(ODD[:60], 8)
    answers[::4] = 1 - answers[::4]
    found = quickly(train((few, answers.astype(str)), tmp_path))
    assert found.measured.conflicts is not None
    assert found.measured.conflicts.wrong > 50
    noise = next(f for f in found.findings if f.name == "noise")
    assert noise.certainty == "clear"


def test_shifted_columns_are_a_data_mismatch_and_are_named(tmp_path: Path) -> None:
    bunch = load_breast_cancer()
    columns = {name: bunch.data[:, i] for i, name in enumerate(bunch.feature_names)}
    frame = pl.DataFrame({**columns, "y": bunch.target.astype(str)}).sample(
        fraction=1, shuffle=True, seed=0
    )
    shifted = [pl.col(name) * 1.6 + 1 for name in ("mean radius", "mean area", "worst radius")]
    (tmp_path / "data").mkdir()
    frame[:350].write_csv(tmp_path / "data" / "train.csv")
    frame[350:].with_columns(shifted).write_csv(tmp_path / "data" / "validation.csv")
    found = quickly(train(tmp_path / "data", tmp_path, target="y"))
    assert names(found)[0] == "data mismatch"
    assert "mean radius" in found.findings[0].evidence
    assert found.measured.drift is not None
    assert found.measured.drift.auc.low > 0.9


def test_healthy_data_are_left_in_peace_and_the_run_is_only_added_to(tmp_path: Path) -> None:
    run = train("breast-cancer", tmp_path, epochs=15)
    before = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    kept = weights(run._trained.run, "model.safetensors")
    found = run.diagnose(minutes=1, seeds=1, show=False)
    assert set(names(found)) <= {"nothing stands out", "cannot be told"}
    after = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    assert after.keys() - before.keys() == {"diagnosis.json", "diagnosis.html"}
    assert all(after[name] == before[name] for name in before)
    assert same_bits(kept, weights(run._trained.run, "model.safetensors"))
    assert "test-openings.jsonl" not in after
    assert found.measured.curve is not None
    sizes = found.measured.curve.sizes()
    assert len(sizes) >= 2
    assert json.loads((run.path / "diagnosis.json").read_text()) == json.loads(
        json.dumps(found.to_json())
    )


def test_few_validation_rows_cannot_tell(tmp_path: Path) -> None:
    data = table(tmp_path / "t.csv", 60)
    found = quickly(train(data, tmp_path, target="y", epochs=20))
    assert "cannot be told" in names(found)
    assert "validation rows" in found.findings[-1].evidence
    assert any("--split.mode kfold" in (item.command or "") for item in found.advice)


# --- All kinds of runs ----------------------------------------------------------------------------


def test_a_regression_is_diagnosed_in_its_own_unit(tmp_path: Path) -> None:
    data = table(tmp_path / "t.csv", 300, kind="number")
    found = quickly(train(data, tmp_path, target="y", epochs=30), reachable=0.3)
    assert found.measured.metric.name == "rmse"
    assert found.measured.reachable == 0.3
    linear = found.measured.reference(LINEAR)
    assert linear is not None
    assert 0.25 < linear.estimate.value < 0.4  # the noise in the table has 0.3
    assert found.measured.conflicts is None


def test_pictures_have_weak_references_and_it_is_said(tmp_path: Path) -> None:
    pictures = (PIXELS[:300].reshape(-1, 8, 8) * 15).astype(np.uint8)
    run = train((pictures, DIGITS[:300]), tmp_path, network="perceptron", epochs=3)
    found = quickly(run)
    assert found.measured.weak_references
    assert "weak" in (run.path / "diagnosis.html").read_text()


def test_in_a_k_fold_run_every_row_is_answered_by_the_network_that_did_not_see_it(
    tmp_path: Path,
) -> None:
    data = table(tmp_path / "t.csv", 100)
    split = {"mode": "kfold", "folds": 3, "test": 0.1}
    found = quickly(train(data, tmp_path, target="y", split=split))
    assert found.measured.validation.examples == 90
    assert found.measured.training.examples == 180
    assert all(level.examples == 90 for level in found.measured.references)


def test_redrawn_validation_is_replaced_by_a_fixed_one(tmp_path: Path) -> None:
    data = table(tmp_path / "t.csv", 150)
    run = train(data, tmp_path, target="y", split={"mode": "redrawn"})
    found = quickly(run)
    assert any("redrew" in note for note in found.measured.notes)
    assert found.run == run.path


def test_the_learning_curve_never_sees_the_sealed_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(table(tmp_path / "t.csv", 200), tmp_path, target="y")
    source, sealed = run._trained.source(), set(run._trained.run.splits().test.tolist())
    seen: set[int] = set()
    original = source.examples

    def watched(rows: Any, facts: Any) -> Any:
        seen.update(rows.tolist())
        return original(rows, facts)

    monkeypatch.setattr(source, "examples", watched)
    found = curve.draw(run._trained, source, (0.5,), 2, 1)
    assert [(p.rows, p.seed) for p in found.points] == [(64, 0), (64, 1), (128, 1)]
    assert seen
    assert not seen & sealed


def test_without_time_the_curve_says_what_it_left_out(tmp_path: Path) -> None:
    run = train(table(tmp_path / "t.csv", 200), tmp_path, target="y")
    found = curve.draw(run._trained, run._trained.source(), (0.5, 0.2), 1, 1e-6)
    assert not found.points
    assert len(found.skipped) == 2


def test_epochs_that_a_person_set_grow_so_that_the_steps_stay_the_same(tmp_path: Path) -> None:
    run = train(table(tmp_path / "t.csv", 400), tmp_path, target="y", epochs=5, batch_size=16)
    whole = run.recipe.fit.num_steps(256)
    fewer = curve._refitted(run._trained, 64).fit
    assert fewer.epochs == 20
    assert fewer.num_steps(64) == whole


# --- The rules ------------------------------------------------------------------------------------


def level(value: float, spread: float = 0.02, name: str = "x") -> Level:
    return Level(name, Estimate(value, value - spread, value + spread), 500)


def measured(**changes: Any) -> Measured:
    """A healthy classification: half of the rows are of one class, 0.95 is reached."""
    values: dict[str, Any] = {
        "metric": CLASSIFICATION[0],
        "second": CLASSIFICATION[1],
        "training": level(0.96),
        "validation": level(0.95),
        "references": [level(0.5, name=TRIVIAL), level(0.9, name=LINEAR), level(0.94, name=TREE)],
        "behind": {TRIVIAL: Gap(-0.45, -0.5, -0.4), LINEAR: Gap(-0.05, -0.07, -0.03),
                   TREE: Gap(-0.01, -0.03, 0.01)},
        "second_levels": [],
        "reachable": None,
        "drift": Drift(Estimate(0.5, 0.45, 0.55), []),
        "conflicts": Conflicts(0, 0, 1000),
        "num_training": 1000,
        "last_best": 0.7,
        "weak_references": False,
    }  # fmt: skip
    return Measured(**{**values, **changes})


def points(errors: dict[int, float], unseen: float | None = None) -> Curve:
    """Two trainings on each size, a little apart."""
    made = [
        Point(
            rows=rows,
            seed=seed,
            training=level(0.97).estimate,
            validation=level(1 - error * (1 + 0.02 * seed)).estimate,
            unseen=level(1 - error if unseen is None else unseen).estimate,
            seconds=1.0,
        )
        for seed in (0, 1)
        for rows, error in errors.items()
    ]
    return Curve(made, 1000)


def found(**changes: Any) -> list[str]:
    return [finding.name for finding in judge_all(measured(**changes))]


def test_three_answers_there_not_there_and_not_to_be_told() -> None:
    assert state(Gap(0.2, 0.1, 0.3), 0.1) == "there"
    assert state(Gap(0.02, -0.02, 0.06), 0.1) == "not there"
    assert state(Gap(0.05, 0.01, 0.12), 0.1) == "not there"  # small, and known to be
    assert state(Gap(0.05, -0.05, 0.15), 0.1) == "not to be told"


def test_a_healthy_run_has_nothing() -> None:
    assert found() == ["nothing stands out"]


def test_the_user_s_figure_replaces_the_reference_models() -> None:
    assert found(reachable=0.96) == ["nothing stands out"]
    assert found(training=level(0.88), validation=level(0.87), reachable=0.99)[0] == "high bias"


def test_left_out_training_rows_part_mismatch_from_variance() -> None:
    apart = Drift(Estimate(0.9, 0.85, 0.95), [("age", 0.9)])
    errors = {400: 0.2, 700: 0.2}
    both = {"validation": level(0.8), "training": level(0.97), "drift": apart}
    assert found(**both, curve=points(errors, unseen=0.96)) == ["data mismatch"]
    assert found(**both, curve=points(errors, unseen=0.8)) == ["data mismatch", "high variance"]
    unseen_only = found(validation=level(0.8), training=level(0.95), curve=points(errors, 0.96))
    assert unseen_only[0] == "data mismatch"  # inputs look alike, but answers are harder


def test_a_flat_curve_at_which_all_models_stop_is_noise_and_a_rising_one_is_not() -> None:
    poor = {
        "training": level(0.71),
        "validation": level(0.7),
        "references": [level(0.5, name=TRIVIAL), level(0.7, name=LINEAR), level(0.69, name=TREE)],
        "behind": {n: Gap(0.0, -0.02, 0.02) for n in (TRIVIAL, LINEAR, TREE)},
    }
    flat, rising = {200: 0.301, 400: 0.30, 700: 0.299}, {200: 0.6, 400: 0.45, 700: 0.36}
    noise = judge_all(measured(**poor, curve=points(flat)))
    assert [(f.name, f.certainty) for f in noise] == [("noise", "likely")]
    assert "noise" not in found(**poor, curve=points(rising))
    assert verdict.curve_state(measured(**poor, curve=points(rising))) == "rising"


def test_a_tree_that_is_surely_better_is_told() -> None:
    behind = {TRIVIAL: Gap(-0.4, -0.5, -0.3), LINEAR: Gap(-0.05, -0.07, -0.03),
              TREE: Gap(0.04, 0.03, 0.05)}  # fmt: skip
    assert found(behind=behind) == ["behind a tree model"]


def test_errors_of_a_regression_are_what_they_are() -> None:
    others = [level(20, name=TRIVIAL), level(9, name=LINEAR), level(9, name=TREE)]
    own = {"training": level(5, 0.2), "validation": level(9, 0.2)}
    m = measured(metric=REGRESSION[0], references=others, **own)
    assert m.unit == 20
    assert [f.name for f in judge_all(m)] == ["high variance"]


def test_what_the_doctor_found_is_said_first_and_no_rows_are_asked_for_in_vain() -> None:
    perfect = {"training": level(1.0, 0), "validation": level(1.0, 0)}
    m = measured(**perfect, doubts=["column 'told': explains 100.0%"], curve=points({200: 0.3}))
    first = judge_all(m)[0]
    assert first.name == "data in doubt"
    assert "Perfect (accuracy 1.0000)" in first.evidence
    assert "'told'" in first.evidence
    assert verdict.curve_state(m) == "flat"


def test_a_gap_of_nothing_is_no_negative_zero() -> None:
    assert verdict._gap(Gap(-1e-12, -1e-12, 1e-12)) == "nothing"
    assert verdict._gap(Gap(0.2, 0.1, 0.3)).startswith("0.2")


def test_the_weights_of_rows_are_no_column_to_the_doctor(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", 200)
    frame = pl.read_csv(tmp_path / "t.csv")
    told = (pl.col("y") == frame["y"][0]).cast(pl.Float64) + 1  # would be a leak, were it an input
    frame.with_columns(w=told).write_csv(tmp_path / "t.csv")
    run = train(tmp_path / "t.csv", tmp_path, target="y", weights="w", epochs=1)
    assert "'w'" not in (run.path / "doctor.json").read_text()


def test_a_leaking_column_is_named_before_all_figures(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", 200)
    frame = pl.read_csv(tmp_path / "t.csv")
    frame.with_columns(told=pl.col("y")).write_csv(tmp_path / "t.csv")
    run = train(tmp_path / "t.csv", tmp_path, target="y", epochs=20)
    found = quickly(run)
    assert names(found)[0] == "data in doubt"
    assert "told" in found.findings[0].evidence
    assert found.advice[0].command is not None
    assert found.advice[0].command.startswith("glassnet inspect")
    assert "open" not in " ".join(item.what.lower() for item in found.advice)


# --- Advice ---------------------------------------------------------------------------------------

ALL = ("data in doubt", "high bias", "high variance", "data mismatch", "noise",
       "behind a tree model", "nothing stands out", "cannot be told")  # fmt: skip


def recipes(folder: Path) -> list[Any]:
    """A recipe of each task with each network that takes its inputs."""
    classes = table(folder / "c.csv", 30)
    numbers = table(folder / "n.csv", 30, kind="number")
    made = []
    for name in listing.names("networks"):
        made.append(catalog.resolve("digits", {"network": name}))
        made.append(catalog.resolve(str(classes), {"target": "y", "network": name}))
        made.append(catalog.resolve(str(numbers), {"target": "y", "network": name}))
    made.append(catalog.resolve("digits", {"fit.optimizer": "sgd", "augment.shift": 0}))
    return [task.fill(recipe, 100) for task, recipe in made]


def test_every_command_of_every_advice_can_be_typed(tmp_path: Path) -> None:
    """No advice names a knob or a command that is not there."""
    from glassnet.cli import build_parser, parse_flags, split_words
    from glassnet.recipe import to_yaml

    _, verbs = build_parser()
    seen = set()
    for number, recipe in enumerate(recipes(tmp_path)):
        run = tmp_path / f"run{number}"
        run.mkdir()
        (run / "recipe.yaml").write_text(to_yaml(recipe))
        for name in ALL:
            finding = Finding(name, "clear", "")  # type: ignore[arg-type]
            for item in advice.advise([finding], measured(last_best=0.5), recipe, run):
                if item.command is None:
                    continue
                words = shlex.split(item.command.replace("VALUE", "0.9"))[1:]
                own, flags = split_words(words, verbs[words[0]])
                verbs[words[0]].parse_args(own[1:])
                seen.add(words[0])
                if flags:
                    catalog.resolve(words[1], parse_flags(flags))
    assert seen == {"train", "lr", "compare-optimizers", "inspect", "diagnose", "evaluate"}


# --- The command ----------------------------------------------------------------------------------


def test_the_command_prints_levels_verdict_and_advice(cli: Any, tmp_path: Path) -> None:
    run = train(table(tmp_path / "t.csv", 100), tmp_path, target="y")
    code, out, _ = cli("diagnose", run.path, "--minutes", "0")
    assert code == 0
    assert "boosted trees" in out
    assert "What to try next, in order" in out
    assert (run.path / "diagnosis.html").is_file()
    code, out, _ = cli("diagnose", run.path, "--minutes", "0", "--json", "-o", "mine.html")
    assert code == 0
    assert json.loads(out)["page"] == "mine.html"
    assert Path("mine.html").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--reachable", "95"), "between 0 and 1"),
        (("--minutes", "-1"), "--minutes must be 0"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--reachable", "much"), "invalid float value"),
    ],
)
def test_bad_numbers_are_refused(
    cli: Any, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    run = train(table(tmp_path / "t.csv", 60), tmp_path, target="y", epochs=1)
    code, _, err = cli("diagnose", run.path, *words)
    assert code == 2
    assert told in err


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    run = train(table(tmp_path / "t.csv", 60), tmp_path, target="y", epochs=1)
    run._trained.run.update_info(status="interrupted")
    with pytest.raises(UserError, match="not finished"):
        quickly(run)


def test_the_columns_that_tell_parts_apart_are_those_that_differ() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 5)).astype(np.float32)
    y = np.repeat([0, 1], 200)
    x[y == 1, 3] += 2
    assert [name for name, _ in references._telling(x, y, None)] == ["input 4"]
