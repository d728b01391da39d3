"""A race of optimizers is fair, says what is noise, and draws what it has when it is stopped."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
from trainings import table

import glassnet
from glassnet import catalog, figures, optimizer_page, optimizer_race, schedules
from glassnet.errors import UserError
from glassnet.optimizer_race import Comparison, Entry, Track, Trial, rates_around, scaled
from glassnet.optimizers import SGD, AdamW
from glassnet.schedules import Constant, Cosine, Exponential, Step
from glassnet.splits import divide
from glassnet.task import Metric

QUICK: dict[str, Any] = {"target": "y", "fit.threads": 1, "network.hidden": [8], "fit.epochs": 20}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("race") / "t.csv", 150)


@pytest.fixture(scope="module")
def race(data: Path) -> Comparison:
    task, recipe = catalog.resolve(str(data), QUICK)
    return optimizer_race.run(task, recipe, steps=50, seeds=2, rates=2)


def test_every_optimizer_and_every_schedule_takes_part_with_every_seed(race: Comparison) -> None:
    assert list(race.optimizers) == list(optimizer_race.OPTIMIZERS)
    assert set(race.schedules) == {
        "constant", "warm-up, then constant", "step", "exponential", "cosine", "one-cycle",
    }  # fmt: skip
    for entry in race.entries:
        assert [trial.seed for trial in entry.raced] == [0, 1]
        assert len({trial.lr for trial in entry.raced}) == 1
        assert 1 <= len(entry.tried) <= 2
        for trial in entry.raced:
            assert len(trial.losses) == len(trial.scores) == race.laps == 25
            assert trial.step_seconds > 0


def test_the_recipe_s_own_pair_stands_in_both_groups_and_is_trained_once(race: Comparison) -> None:
    assert race.optimizers["adamw"] is race.own is race.schedules["one-cycle"]
    assert len(race.entries) == 12


def test_the_rates_are_chosen_on_a_seed_that_the_race_does_not_use(race: Comparison) -> None:
    for entry in race.entries:
        assert {trial.seed for trial in entry.tried}.isdisjoint(race.seeds)
        scores = [trial.score(race.metric, "best") for trial in entry.tried]
        assert scores[0] == min(scores, key=lambda s: float("inf") if s is None else s)


def test_the_same_seed_gives_the_same_first_weights_and_batches(data: Path) -> None:
    task, recipe = catalog.resolve(str(data), QUICK)
    from contextlib import ExitStack

    with ExitStack() as stack:
        track = Track(task, optimizer_race.assemble(task, recipe, None, stack))
        track.measure_out(10)
        knobs = (SGD(), Constant(), 0.01, 3)
        one, other = track.trial(*knobs), track.trial(*knobs)
        still = track.trial(AdamW(), Constant(), 1e-12, 3)
    assert one.losses == other.losses
    assert one.scores == other.scores
    assert still.losses[0] == pytest.approx(one.losses[0], rel=1e-6)  # one step a lap: first loss


def test_a_rate_at_which_the_loss_explodes_is_told_and_loses(data: Path) -> None:
    flags = {**QUICK, "fit.optimizer": "sgd", "fit.lr": 1e30}
    task, recipe = catalog.resolve(str(data), flags)
    found = optimizer_race.run(task, recipe, steps=10, seeds=1, rates=1)
    made = {row.name: row for row in optimizer_page.rows(found, found.optimizers)}
    assert made["sgd"].score is None
    assert made["sgd"].verdict == "1 of 1 trainings diverged"
    assert optimizer_page.rows(found, found.optimizers)[-1].name == "sgd"
    page = figures.page(optimizer_page.document(found))
    assert "diverged" in page


def trial(seed: int, score: float) -> Trial:
    return Trial(0.1, seed, [1.0], [{"log_loss": score, "accuracy": 0.5}], 0.001)


def verdicts(race: Comparison, *groups: list[float]) -> dict[str, str]:
    entries = {
        name: Entry(SGD(), Constant(), [trial(9, 1.0)], [trial(i, s) for i, s in enumerate(scores)])
        for name, scores in zip("abc", groups, strict=False)
    }
    return {row.name: row.verdict for row in optimizer_page.rows(race, entries)}


def test_differences_within_the_noise_of_the_seeds_are_told_from_others(race: Comparison) -> None:
    found = verdicts(race, [0.10, 0.20, 0.30], [0.09, 0.22, 0.31], [0.50, 0.61, 0.71])
    assert found == {"a": "first", "b": "within the noise of the seeds", "c": "worse"}


def test_one_seed_cannot_tell_a_difference(race: Comparison) -> None:
    assert verdicts(race, [0.1], [0.2]) == {"a": "first", "b": "one seed: cannot be told"}


def test_the_search_for_a_rate_walks_downhill_and_stops_between_worse_neighbours() -> None:
    costs = {-1: 2.0, 0: 3.0, -2: 1.0, -3: 1.5, 1: 4.0}
    tried = list(rates_around(1.0, lambda rate: costs[round(2 * math.log10(rate))], 9))
    assert [round(2 * math.log10(rate)) for rate in tried] == [0, -1, 1, -2, -3]


def test_a_schedule_stretched_to_another_length_has_the_same_shape() -> None:
    for schedule in (Step(step_size=10), Exponential(), Cosine(warmup=10), Constant(warmup=20)):
        short = scaled(schedule, 100, 50)
        for share in (0.05, 0.25, 0.55, 0.85):
            long_one = schedules.factor(schedule, round(share * 1000), 10, 1000)
            assert schedules.factor(short, round(share * 1000), 20, 1000) == pytest.approx(
                long_one, rel=0.08
            )


def test_the_score_is_that_of_the_weights_that_a_run_would_keep() -> None:
    lower = Metric("x", lambda _: 0.0, better="lower")
    made = Trial(0.1, 0, [1, 1, 1], [{"x": 3.0}, {"x": 1.0}, {"x": 2.0}], 0.1)
    assert made.score(lower, "best") == 1.0
    assert made.score(lower, "last") == 2.0


def test_an_interrupt_keeps_what_is_done(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, recipe = catalog.resolve(str(data), QUICK)
    original, calls = Track.trial, []

    def counted(self: Track, *args: Any) -> Trial:
        calls.append(args)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        return original(self, *args)

    monkeypatch.setattr(Track, "trial", counted)
    found = optimizer_race.run(task, recipe, steps=10, seeds=2, rates=1)
    assert found.interrupted
    assert sum(len(entry.tried) for entry in found.entries) == 3
    page = figures.page(optimizer_page.document(found))
    assert "Interrupted" in page
    assert json.dumps(optimizer_page.to_json(found), allow_nan=False)


def test_the_command_writes_a_page_and_json_and_leaves_no_run(cli: Any, data: Path) -> None:
    words = ("--steps", "10", "--seeds", "1", "--rates", "1", "--target", "y", "--fit.threads", "1")
    code, out, _ = cli("compare-optimizers", data, *words, "--json")
    answer = json.loads(out)
    assert code == 0
    assert Path(answer["page"]).read_text().count("Optimizers compared")
    assert len(answer["optimizers"]) == 7
    assert not Path("runs").exists()
    code, out, _ = cli("compare-optimizers", data, *words, "-o", "mine.html")
    assert code == 0
    assert Path("mine.html").exists()
    assert "nothing" not in out
    assert "muon" in out


def test_the_sealed_test_is_not_looked_at(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, recipe = catalog.resolve(str(data), QUICK)
    source = task.source(recipe)
    sealed = set(divide(source, recipe.split).splits.test.tolist())
    seen: set[int] = set()
    original = type(source).examples

    def watched(self: Any, rows: Any, facts: Any) -> Any:
        seen.update(rows.tolist())
        return original(self, rows, facts)

    monkeypatch.setattr(type(source), "examples", watched)
    optimizer_race.run(task, recipe, steps=10, seeds=1, rates=1)
    assert seen
    assert not seen & sealed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--steps", "3"), "--steps must be at least 10, found 3"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--rates", "0"), "--rates must be at least 1"),
        (("--minutes", "-1"), "--minutes must be above 0"),
        (("--steps", "many"), "invalid int value"),
        (("-o", "no/such/folder/x.html"), "could not be written"),
    ],
)
def test_bad_numbers_are_refused(cli: Any, data: Path, words: tuple[str, ...], told: str) -> None:
    code, _, err = cli("compare-optimizers", data, "--target", "y", *words)
    assert code == 2
    assert told in err


def test_python_has_the_same_function(data: Path, in_tmp: Path) -> None:
    found = glassnet.compare_optimizers(
        data, target="y", steps=10, seeds=1, rates=1, threads=1, show=False
    )
    assert found.steps == 10
    with pytest.raises(UserError, match="at least 10"):
        glassnet.compare_optimizers(data, target="y", steps=1, show=False)
