"""Series in time: calendars, parts in order of time, intervals, and bad input."""

from __future__ import annotations

import datetime as dt
import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from trainings import glassnet

from glassnet import api, catalog
from glassnet.data import (
    sources,
    timeline,
    timelinecalendar,
    timelinefiles,
    timelineseasons,
    timelinestamps,
)
from glassnet.data.timelinefiles import Layout
from glassnet.data.timelineplan import Wishes
from glassnet.errors import UserError
from glassnet.forecasts import baselines, intervals, metrics, scoring
from glassnet.recipe import Split
from glassnet.splits import divide
from glassnet.task import Outcome

DATA = os.environ.get("GLASSNET_DATA", "")
DAY = dt.date(2021, 3, 1)


def daily(path: Path, steps: int = 300, start: dt.date = DAY) -> Path:
    """A week's season on a trend, a row for each day."""
    days = [start + dt.timedelta(step) for step in range(steps)]
    values = [10 + step / 50 + 3 * math.sin(step * 2 * math.pi / 7) for step in range(steps)]
    pl.DataFrame({"date": days, "x": values}).write_csv(path)
    return path


@pytest.mark.parametrize(
    ("stamps", "name", "following"),
    [
        (["1949-01", "1949-02", "1949-03", "1949-04"], "monthly", "1949-05"),
        (["31.01.2020", "29.02.2020", "31.03.2020", "30.04.2020"], "monthly", "2020-05-31"),
        (["1990Q1", "1990Q2", "1990Q3", "1990Q4"], "quarterly", "1991-01"),
        (["1871", "1872", "1873", "1874"], "yearly", "1875"),
        (["19580329", "19580405", "19580412", "19580426"], "weekly", "1958-05-03"),
        (["2020-01-01 00:00", "2020-01-01 00:15", "2020-01-01 00:30"], "every 15 minutes",
         "2020-01-01 00:45"),
        (["1577836800", "1577840400", "1577844000"], "hourly", "2020-01-01 03:00"),
        (["2020-03-01T10:00:00+01:00", "2020-03-01T11:00:00+01:00", "2020-03-01T12:00:00+01:00"],
         "hourly", "2020-03-01 13:00"),
        (["Jan-1-1995", "Feb-1-1995", "Mar-1-1995"], "monthly", "1995-04-01"),
        (["Jan-98", "Feb-98", "Mar-98"], "monthly", "1998-04"),
        (["Jan 1995", "Feb 1995", "Mar 1995"], "monthly", "1995-04"),
        (["1995M01", "1995M02", "1995M03"], "monthly", "1995-04"),
        (["2020W52", "2020W53", "2021W01"], "weekly", "2021-01-11"),
        (["2021-W05-1", "2021-W06-1", "2021-W07-1"], "weekly", "2021-02-22"),
        (["2021-05-01 00:00:00+00:00", "2021-05-02 00:00:00+00:00", "2021-05-03 00:00:00+00:00"],
         "daily", "2021-05-04"),
        (["2021-05-01 00:00:00 UTC", "2021-05-01 01:00:00 UTC", "2021-05-01 02:00:00 UTC"],
         "hourly", "2021-05-01 03:00"),
        (["Fri 01 Jan 2021", "Sat 02 Jan 2021", "Sun 03 Jan 2021"], "daily", "2021-01-04"),
        (["1577836800000", "1577840400000", "1577844000000"], "hourly", "2020-01-01 03:00"),
    ],
)  # fmt: skip
def test_time_stamps_are_read_as_people_write_them(
    stamps: list[str], name: str, following: str
) -> None:
    read = timelinestamps.read(pl.Series("year", stamps), timely=True)
    assert read is not None
    calendar = timelinecalendar.find(read)
    assert calendar is not None
    assert calendar.name == name
    steps, exact = calendar.steps(read.values)
    assert exact.all()
    assert calendar.written(np.array([steps.max() + 1])) == [following]


def test_working_days_have_no_weekend() -> None:
    days = [DAY + dt.timedelta(n) for n in range(60)]
    working = pl.Series("date", [day for day in days if day.weekday() < 5])
    read = timelinestamps.read(working)
    assert read is not None
    calendar = timelinecalendar.find(read)
    assert calendar is not None
    assert calendar.name == "on working days"
    steps, _ = calendar.steps(read.values)
    assert np.diff(steps).tolist() == [1] * (len(steps) - 1)
    assert (calendar.values(steps) == read.values).all()


def test_missing_repeated_and_shuffled_stamps_are_told_and_mended(tmp_path: Path) -> None:
    frame = pl.read_csv(daily(tmp_path / "a.csv", 40))
    rows = pl.concat([frame[20:], frame[:10], frame[12:20], frame[5:6]])
    found = timelinefiles.read(rows, Layout())
    told = " | ".join(problem.what for problem in found.problems)
    assert "earlier than the one before" in told
    assert "1 time stamps occur more than once (2021-03-06)" in told
    assert "2 of 40 steps (daily) have no row (2021-03-11)" in told
    values = found.series[0].values[:, 0]
    assert np.isnan(values).nonzero()[0].tolist() == [10, 11]
    assert np.allclose(np.delete(values, [10, 11]), np.delete(frame["x"].to_numpy(), [10, 11]))


def test_uneven_stamps_are_rows_and_told_or_averaged_on_request() -> None:
    hours = [0.0, 0.2, 3.1, 3.3, 9.0, 9.9, 20.5, 31.0]
    moments = [dt.datetime(2020, 1, 1) + dt.timedelta(hours=hour) for hour in hours]
    frame = pl.DataFrame({"when": moments, "x": [float(n) for n in range(8)]})
    rows = timelinefiles.read(frame, Layout())
    assert rows.calendar.unit == "rows"
    assert "not even" in rows.problems[0].what
    even = timelinefiles.read(frame, Layout(frequency="day")).series[0].values[:, 0]
    assert even.tolist() == [3.0, 7.0]


def test_dates_that_can_be_meant_in_two_ways_are_told() -> None:
    months = [f"01/{month:02d}/{year}" for year in (1995, 1996) for month in range(1, 13)]
    found = timelinefiles.read(pl.DataFrame({"when": months, "x": range(24)}), Layout())
    assert found.calendar.name == "monthly"
    (told,) = found.problems
    assert told.what == "each date could be day-month-year or month-day-year"
    assert told.remedy.startswith("read as day-month-year")
    days = [f"{(DAY + dt.timedelta(n)):%d/%m/%Y}" for n in range(40)]
    assert not timelinefiles.read(pl.DataFrame({"when": days, "x": range(40)}), Layout()).problems


@pytest.mark.parametrize(
    ("columns", "time", "calendar"),
    [
        ({"Year": [2020] * 3, "Month": [2, 2, 3], "Day": [28, 29, 1]}, "Year+Month+Day", "daily"),
        ({"YEAR": [1999] * 3 + [2000], "MO": [10, 11, 12, 1]}, "YEAR+MO", "monthly"),
        ({"year": [2000] * 3, "month": ["Jan", "Feb", "Mar"]}, "year+month", "monthly"),
        ({"year": [2020] * 3, "doy": [59, 60, 61]}, "year+doy", "daily"),
    ],
)
def test_stamps_in_several_columns_are_joined(
    columns: dict[str, list[object]], time: str, calendar: str
) -> None:
    frame = pl.DataFrame({**columns, "x": [float(n) for n in range(len(columns.popitem()[1]))]})
    found = timelinefiles.read(frame, Layout())
    assert (found.time, found.calendar.name, found.columns) == (time, calendar, ["x"])


def test_a_calendar_with_a_column_for_each_month_is_one_monthly_series() -> None:
    names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    years = {name: [n + 0.5, n + 12.5] for n, name in enumerate(names)}
    frame = pl.DataFrame({"Year": [2001, 2002], **years, "Mean": [6.0, 18.0]})
    found = timelinefiles.read(frame, Layout())
    assert found.calendar.name == "monthly"
    assert found.columns == ["value"]
    assert found.series[0].values[:, 0].tolist() == [n + 0.5 for n in range(24)]
    (told,) = found.problems
    assert "Mean is not read" in told.remedy and "--time Year" in told.remedy
    assert timelinefiles.read(frame, Layout(time="Year")).columns == [*names, "Mean"]


def test_the_numbers_of_rows_that_a_program_wrote_are_not_forecast(tmp_path: Path) -> None:
    frame = pl.read_csv(daily(tmp_path / "a.csv"))
    with_numbers = frame.insert_column(0, pl.Series("", range(len(frame))))
    with_numbers.write_csv(tmp_path / "b.csv")
    assert sources.look(tmp_path / "b.csv").details["variables"] == ["x"]


def test_a_short_series_among_many_is_left_out_and_shortens_no_forecast(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    lengths = [40] * 12 + [6]
    rows = [":".join([f"T{n}", "2000-01-01 00-00-00", ",".join(map(str, draw.normal(size=size)))])
            for n, size in enumerate(lengths)]  # fmt: skip
    head = ["@attribute series_name string", "@attribute start_timestamp date",
            "@frequency yearly", "@horizon 4", "@data"]  # fmt: skip
    path = tmp_path / "a.tsf"
    path.write_text("\n".join([*head, *rows]))
    assert sources.look(path).kind == "timeline"
    source = timeline.open_timeline(path, Wishes())
    assert source.plan.horizon == 4
    assert any("too few steps" in problem.what for problem in source.problems)


def test_seasons_are_found_where_they_are_and_not_in_a_random_walk() -> None:
    calendar = timelinecalendar.Calendar(unit="seconds", count=3600, origin=0)
    time, draw = np.arange(2000), np.random.default_rng(0)
    waves = np.sin(time * 2 * np.pi / 24) + 0.5 * np.sin(time * 2 * np.pi / 168)
    assert (
        timelineseasons.find([waves[:, None] + draw.normal(0, 0.3, (2000, 1))], calendar)[0] == 24
    )
    assert timelineseasons.find([draw.normal(0, 1, (2000, 1)).cumsum(0)], calendar) == []


def test_no_target_of_a_part_is_a_target_of_another(tmp_path: Path) -> None:
    source = timeline.open_timeline(daily(tmp_path / "a.csv"), Wishes(horizon=7, context=20))
    begins, ends = source.spans
    parts = np.array(source.parts)
    last = {part: int(ends[torch.from_numpy(parts == part)].max()) for part in set(parts)}
    first = {part: int(begins[torch.from_numpy(parts == part)].min()) for part in set(parts)}
    assert last["train"] <= first["validation"]
    assert last["validation"] <= first["test"]


def test_facts_know_the_training_rows_only(tmp_path: Path) -> None:
    frame = pl.read_csv(daily(tmp_path / "a.csv"))
    other = frame.with_columns(x=pl.when(pl.int_range(300) < 192).then("x").otherwise(1e6))
    wishes = Wishes(horizon=7, context=20)
    facts = []
    for one in (frame, other):
        source = timeline.open_timeline(one, wishes)
        facts.append(
            source.facts(torch.tensor([p == "train" for p in source.parts]).nonzero()[:, 0])
        )
    assert facts[0] == facts[1]


def test_rolling_trains_on_what_came_before_each_block(tmp_path: Path) -> None:
    wishes = Wishes(horizon=7, context=20, cut=False)
    source = timeline.open_timeline(daily(tmp_path / "a.csv"), wishes)
    begins, ends = source.spans
    seen = []
    for fold in (1, 2, 3):
        splits = divide(source, Split(mode="rolling", folds=3, fold=fold)).splits
        assert int(ends[splits.train].max()) <= int(begins[splits.validation].min())
        seen.append(len(splits.train))
    assert seen == sorted(seen)
    with pytest.raises(UserError, match=r"rolling needs rows with an order in time"):
        divide(sources_table(tmp_path), Split(mode="rolling"))


def sources_table(folder: Path) -> timeline.TimelineSource:
    """A table without time."""
    from glassnet.data import tables

    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"a": draw.normal(size=50), "y": draw.normal(size=50)})
    return tables.open_table(frame, target="y", kind="numbers")  # type: ignore[return-value]


def test_a_window_hides_the_future_but_for_what_is_known(tmp_path: Path) -> None:
    frame = pl.read_csv(daily(tmp_path / "a.csv")).with_columns(
        promo=pl.int_range(300) % 5, other=pl.int_range(300) % 3
    )
    wishes = Wishes(target=("x",), known=("promo",), past=("other",), horizon=7, context=20)
    source = timeline.open_timeline(frame, wishes)
    facts = source.facts(torch.arange(100))
    batch = source.examples(torch.arange(3), facts).batch(torch.tensor([0]))
    assert facts.channels[:3] == ["x", "other", "promo"]
    hidden = batch.inputs[0, :, -7:].isnan()
    assert hidden[:2].all()
    assert not hidden[2:].any()
    assert not batch.targets.isnan().any()


def outcome(num: int, horizon: int, noise: torch.Tensor) -> Outcome:
    """Forecasts of zero with intervals of ± 1 for this noise (num + horizon,)."""
    y = noise.unfold(0, horizon, 1)[:num, None]
    outputs = torch.tensor([-1.0, -0.4, 0.0, 0.4, 1.0]).expand(num, 1, horizon, 5)
    scale = torch.tensor([0.0, 1.0, 1.0]).expand(num, 1, horizon, 3)
    moments = torch.stack([torch.zeros(num), torch.arange(num)], 1).long()
    return Outcome(outputs, torch.cat([y[..., None], scale], 3), moments=moments)


def covered(found: Outcome) -> float:
    metric = next(m for m in metrics.FORECASTS if m.name == "coverage_90")
    return metric.compute(found)


def test_intervals_hold_what_they_promise_even_when_the_series_changes() -> None:
    torch.manual_seed(0)
    quiet, loud = torch.randn(606) * 2, torch.randn(1206) * 5
    calibration = intervals.calibrate(outcome(600, 6, quiet))
    assert 0.88 < covered(calibration.apply(outcome(600, 6, torch.randn(606) * 2))) < 0.93
    drifted = outcome(1200, 6, loud)
    assert covered(drifted) < 0.2
    assert 0.87 < covered(calibration.apply(drifted)) < 0.92


def test_no_interval_knows_what_comes_after_its_forecast() -> None:
    torch.manual_seed(0)
    noise = torch.randn(126)
    changed = noise.clone()
    changed[60:] *= 100
    calibration = intervals.calibrate(outcome(120, 6, torch.randn(126)))
    one, other = (calibration.apply(outcome(120, 6, n)).outputs for n in (noise, changed))
    assert torch.equal(one[:61], other[:61])  # window 60 begins with step 60
    assert not torch.equal(one[62:], other[62:])


def test_plain_forecasts_by_hand() -> None:
    past = torch.tensor([[[1.0, 2.0, 3.0, 4.0, torch.nan, 6.0]]])
    assert baselines.naive(past, 2).tolist() == [[[6.0, 6.0]]]
    assert baselines.seasonal(past, 4, 3).tolist() == [[[4.0, 2.0, 6.0, 4.0]]]
    assert baselines.drift(past, 2).tolist() == [[[7.0, 8.0]]]


def test_errors_count_what_was_measured_only() -> None:
    found = outcome(20, 2, torch.ones(22))
    found.targets[3, 0, 1, 0] = torch.nan
    values = {m.name: m.compute(found) for m in metrics.FORECASTS}
    assert values["mse"] == values["mae"] == values["mase"] == values["coverage_90"] == 1
    again = {m.name: m.compute(metrics.blocks(found)) for m in metrics.FORECASTS}
    assert again == pytest.approx(values)
    loss = scoring.loss("squared")(found.outputs, found.targets[..., 0])
    assert loss.isfinite().all()


@pytest.mark.parametrize(
    ("rows", "wishes", "message"),
    [
        ({"date": [DAY] * 30, "x": [1.0] * 30}, {}, r"is the same at every step"),
        ({"x": [5.0] * 100}, {}, r"is the same at every step"),
        ({"x": list(range(50))}, {"horizon": 40}, r"there are 50 steps .*horizon=40"),
        ({"x": list(range(50))}, {"target": ("y",)}, r"no column of numbers 'y'"),
        ({"x": list(range(50))}, {"parts": (40, 20, 10)}, r"at most 50 steps .*40 \+ 20 \+ 10"),
        ({"x": list(range(50))}, {"frequency": "hour", "time": "z"}, r"no column 'z'"),
        ({"when": ["soon"] * 20, "x": list(range(20))}, {"time": "when"}, r"must hold time stamps"),
    ],
)
def test_what_cannot_be_forecast_is_refused_with_the_numbers(
    rows: dict[str, list[object]], wishes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        source = timeline.open_timeline(pl.DataFrame(rows), Wishes(**wishes))  # type: ignore[arg-type]
        source.facts(torch.arange(len(source)))


def test_a_table_over_time_is_forecast_and_other_tables_are_not(tmp_path: Path) -> None:
    assert sources.look(daily(tmp_path / "a.csv")).kind == "timeline"
    assert sources.look(daily(tmp_path / "a.csv"), target="x").kind == "timeline"
    draw = np.random.default_rng(0)
    orders = {"date": [DAY + dt.timedelta(int(d)) for d in draw.integers(0, 90, 300)],
              "amount": draw.normal(size=300)}  # fmt: skip
    pl.DataFrame(orders).write_csv(tmp_path / "orders.csv")
    assert sources.look(tmp_path / "orders.csv").kind == "table"
    (told,) = [p for p in sources.look(tmp_path / "orders.csv").problems if "--task" in p.remedy]
    assert "time stamps in 300 rows" in told.what
    uneven = [dt.datetime(2021, 1, 1) + dt.timedelta(hours=n + float(draw.random()))
              for n in range(60)]  # fmt: skip
    pl.DataFrame({"when": uneven, "x": draw.normal(size=60)}).write_csv(tmp_path / "log.csv")
    assert sources.look(tmp_path / "log.csv").kind == "timeline"
    twice = pl.read_csv(tmp_path / "a.csv")
    pl.concat([twice, twice[7:9]]).sort("date").write_csv(tmp_path / "twice.csv")
    look = sources.look(tmp_path / "twice.csv")
    assert look.kind == "timeline"
    assert any("occur more than once" in problem.what for problem in look.problems)
    task, _ = catalog.resolve(str(tmp_path / "a.csv"), {"target": "x", "task": "table-regression"})
    assert task.recipe.__name__ == "TableRegression"


def test_a_history_is_continued_with_stamps_and_intervals(tmp_path: Path) -> None:
    data = daily(tmp_path / "a.csv")
    words = ("train", data, "--fit.epochs", "1", "--fit.threads", "1", "--horizon", "3")
    assert glassnet(*words, cwd=tmp_path).returncode == 0
    run = next((tmp_path / "runs").iterdir())
    history = daily(tmp_path / "h.csv", 100)
    asked = glassnet("predict", run, history, "-o", "out.csv", cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    rows = pl.read_csv(tmp_path / "out.csv")
    assert rows["date"].to_list() == ["2021-06-09", "2021-06-10", "2021-06-11"]
    truth = [10 + step / 50 + 3 * math.sin(step * 2 * math.pi / 7) for step in range(100, 103)]
    assert rows["x"].to_list() == pytest.approx(truth, abs=0.5)
    assert (rows["x_low"] <= rows["x"]).all()
    assert (rows["x"] <= rows["x_high"]).all()
    (answer,) = api.load(run).predict(pl.read_csv(history))
    assert [row["x"] for row in answer.answer] == pytest.approx(rows["x"].to_list())
    refused = glassnet("predict", run, tmp_path / "none.csv", cwd=tmp_path)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


@pytest.mark.skipif(not DATA, reason="needs GLASSNET_DATA")
def test_etth1_is_parted_as_published() -> None:
    wishes = Wishes(horizon=96, context=336, parts=(8640, 2880, 2880))
    source = timeline.open_timeline(Path(DATA) / "ts_etth1" / "ETTh1.csv", wishes)
    parts = np.array(source.parts)
    assert [int((parts == part).sum()) for part in ("train", "validation", "test")] == [
        8640 - 336 - 96 + 1, 2785, 2785,
    ]  # fmt: skip
    facts = source.facts(torch.from_numpy(parts == "train").nonzero()[:, 0])
    column = pl.read_csv(Path(DATA) / "ts_etth1" / "ETTh1.csv")["OT"][:8640].to_numpy()
    scale = next(iter(facts.scales.values()))[facts.target.index("OT")]
    assert (scale.mean, scale.std) == pytest.approx((column.mean(), column.std()))
    assert facts.seasons == [24, 168]
