"""What a race of optimizers came to: figures with their noise, as a page and as JSON."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any

from glassnet import schedules
from glassnet.figures import Cell, Document, Fact, Facts, Lines, Section, Series, Table, short
from glassnet.optimizer_race import Comparison, Entry, Trial


@dataclass(frozen=True)
class Row:
    """One optimizer or schedule in figures. Scores are of the lap that a run would keep."""

    name: str
    lr: float | None
    """The best of those tried; None if none was."""
    score: float | None
    """Median over the seeds of the compared metric on the validation part."""
    low: float | None
    """Lowest and highest of the seeds."""
    high: float | None
    headline: float | None
    """Median of the task's first metric."""
    seconds_per_step: float | None
    trainings: int
    diverged: int
    """How many of the trainings in the race."""
    behind: float | None
    """Mean over the seeds of how much worse than the first one of its group; 0 for the first."""
    behind_low: float | None
    """95 % interval of that (Student's t on the differences, seed by seed)."""
    behind_high: float | None

    @property
    def verdict(self) -> str:
        """How it compares with the first one of its group, in words."""
        if self.diverged:
            return f"{self.diverged} of {self.trainings} trainings diverged"
        if self.score is None:
            return "not finished"
        if self.behind == 0:
            return "first"
        if self.behind_low is None:
            return "one seed: cannot be told"
        return "worse" if self.behind_low > 0 else "within the noise of the seeds"


def rows(found: Comparison, group: dict[str, Entry]) -> list[Row]:
    """The group in figures, best first; those that diverged last."""
    sign = 1.0 if found.metric.better == "lower" else -1.0
    scores = {name: _scores(found, entry) for name, entry in group.items()}
    medians = {name: _median(list(s.values())) for name, s in scores.items()}
    finished = {name: m for name, m in medians.items() if m is not None and not _sick(group[name])}
    best = min(finished, key=lambda name: sign * finished[name], default=None)
    made = [_row(found, name, group[name], scores, best, sign) for name in group]
    return sorted(made, key=lambda r: (r.score is None, sign * (r.score or 0.0)))


def to_json(found: Comparison) -> dict[str, Any]:
    """All figures, and every training with its curves."""
    return {
        "metric": found.metric.name,
        "steps": found.steps,
        "laps": found.laps,
        "seeds": found.seeds,
        "interrupted": found.interrupted,
        **{
            title: [
                {**asdict(row), "verdict": row.verdict, **_details(group[row.name])}
                for row in rows(found, group)
            ]
            for title, group in groups(found).items()
        },
    }


def document(found: Comparison) -> Document:
    """The page."""
    recipe = found.recipe
    optimizers, plans = groups(found).values()
    sections = [
        _headline(found),
        _section(found, "Optimizers", optimizers, _with_schedule(found)),
        _section(found, "Schedules", plans, f"All with {_own_optimizer(found)}."),
        Section("The learning rate over the race", "", [_plans(found)]),
        Section("The search for each rate", _SEARCH, _searches(found)),
        Section("How it was measured", how(found)),
    ]
    title = f"Optimizers compared: {recipe.network.name} on {recipe.data}"
    return Document(title, f"{recipe.task}, {found.steps} steps of each", sections)


_SEARCH = (
    "Each optimizer and each schedule got its own rate: downhill in steps of √10 from the task's "
    "default, on a seed that the race did not use. A curve that ends at its lowest point might go "
    "on; --rates lets the search go further."
)


# --- Figures --------------------------------------------------------------------------------------


def _headline(found: Comparison) -> Section:
    facts = []
    for title, group in groups(found).items():
        made = rows(found, group)
        first = made[0]
        if first.score is None:
            continue
        equal = [r.name for r in made[1:] if r.verdict == "within the noise of the seeds"]
        surely = all(r.verdict == "worse" for r in made[1:])
        note = f"not told apart from it: {', '.join(equal)}" if equal else "by too few trainings"
        note = "ahead of all others" if surely else note
        facts.append(Fact(f"first of the {title.lower()}", first.name, note))
    words = (
        "Interrupted: what had been done by then is shown.\n\n" if found.interrupted else ""
    ) + (
        f"“Not told apart” means that the 95 % interval of the difference over {len(found.seeds)} "
        "seeds holds zero. The more seeds (--seeds), the smaller the differences that can be seen."
        " The order on another data set, or in a longer training, may be another."
    )
    return Section("What came out", words, [Facts(facts, headline=True)])


def _section(found: Comparison, title: str, group: dict[str, Entry], words: str) -> Section:
    metric = found.metric.name.replace("_", " ")
    made = rows(found, group)
    shown = {row.name: group[row.name] for row in made if group[row.name].trials}
    note = (
        f"{metric}: median of the seeds (lowest to highest), on the validation part, of the lap "
        "that a run would keep; behind: mean difference to the first, with its 95 % interval"
    )
    blocks: list[Any] = [
        Table(title, columns(found), cells(made), note=note),
        _curves(found, shown, "Training loss", "step"),
        _curves(found, shown, f"Validation {metric}", "step"),
        _curves(found, shown, "Training loss", "seconds"),
        _curves(found, shown, f"Validation {metric}", "seconds"),
    ]
    band = "Lines are medians over the seeds; bands reach from the lowest to the highest."
    return Section(title, f"{words} {band}", blocks)


def _curves(found: Comparison, group: dict[str, Entry], title: str, axis: str) -> Lines:
    """Median and band of each entry, against steps or against seconds."""
    loss = title == "Training loss"
    series = []
    for name, entry in group.items():
        # A training that ran away would stretch the axis; it is drawn if there is nothing else.
        sound = [t for t in entry.trials if t.diverged is None] or entry.trials
        curves = [t.losses if loss else [s[found.metric.name] for s in t.scores] for t in sound]
        laps = min(len(curve) for curve in curves)
        each_lap = [[curve[lap] for curve in curves] for lap in range(laps)]
        per_lap = found.steps // found.laps * (1 if axis == "step" else _step_seconds(entry))
        x = [(lap + 1) * per_lap for lap in range(laps)]
        y = [_middle(values) for values in each_lap]
        several = len(curves) > 1
        low = [min(values) for values in each_lap] if several else None
        high = [max(values) for values in each_lap] if several else None
        bad = sum(t.diverged is not None for t in entry.trials)
        ended = f" ({bad} diverged)" if bad else ""
        series.append(Series(f"{name}{ended}", x, y, low=low, high=high, dashed=_sick(entry)))
    known = [v for s in series for v in s.y if v is not None and v > 0]
    wide = bool(known) and max(known) > 3 * min(known)
    label = "loss" if loss else found.metric.name
    return Lines(title, series, x_label=axis, y_label=label, y_log=wide)


def _plans(found: Comparison) -> Lines:
    """Each schedule at its own rate, over the steps."""
    series = []
    per_lap = found.steps // found.laps
    steps = list(range(0, found.steps, max(1, found.steps // 400)))
    for name, entry in found.schedules.items():
        if entry.tried:
            factors = [schedules.factor(entry.schedule, s, per_lap, found.steps) for s in steps]
            lr = entry.tried[0].lr
            series.append(Series(name, [float(s) for s in steps], [lr * f for f in factors]))
    return Lines("Learning rate", series, x_label="step", y_label="lr")


def _searches(found: Comparison) -> list[Lines]:
    """One figure for optimizers, one for schedules."""
    return [_search(found, title, group) for title, group in groups(found).items()]


def _search(found: Comparison, title: str, group: dict[str, Entry]) -> Lines:
    series = []
    for name, entry in group.items():
        tried = sorted(entry.tried, key=lambda trial: trial.lr)
        scores = [trial.score(found.metric, found.recipe.fit.keep) for trial in tried]
        if tried:
            series.append(Series(name, [trial.lr for trial in tried], scores))
    return Lines(
        f"Validation {found.metric.name.replace('_', ' ')} at each rate: {title}",
        series,
        x_label="learning rate",
        y_label=found.metric.name,
        x_log=True,
        note="a gap: the loss was not finite any more",
    )


# --- Figures as text ------------------------------------------------------------------------------


def columns(found: Comparison) -> list[str]:
    """Names of the columns of a table of rows."""
    names = [found.metric.name, "lowest to highest"]
    first = [] if found.headline is found.metric else [found.headline.name]
    return ["name", "lr", *names, *first, "ms per step", "behind the first", ""]


def cells(made: list[Row]) -> list[list[Cell]]:
    """Rows as people read them."""
    same = all(row.headline is None for row in made)
    return [
        [
            row.name,
            "" if row.lr is None else f"{row.lr:.2g}",
            "" if row.score is None else short(row.score),
            "" if row.low is None or row.high is None else f"{short(row.low)} to {short(row.high)}",
            *([] if same else ["" if row.headline is None else short(row.headline)]),
            "" if row.seconds_per_step is None else f"{1000 * row.seconds_per_step:.2f}",
            _behind(row),
            row.verdict,
        ]
        for row in made
    ]


def _behind(row: Row) -> str:
    if row.behind is None or row.behind == 0:
        return ""
    if row.behind_low is None or row.behind_high is None:
        return short(row.behind)
    return f"{short(row.behind)} ({short(row.behind_low)} to {short(row.behind_high)})"


def _with_schedule(found: Comparison) -> str:
    return f"All with the recipe's schedule, {found.own.schedule.name}."


def _own_optimizer(found: Comparison) -> str:
    return f"the recipe's optimizer, {found.own.optimizer.name}"


def how(found: Comparison) -> str:
    """On what the figures rest."""
    fit = found.recipe.fit
    epochs = found.steps / found.steps_per_epoch
    whole = fit.epochs * found.steps_per_epoch
    length = f"a whole training of this recipe takes {whole:,}"
    return (
        f"{found.steps:,} steps of {fit.batch_size} examples each ({epochs:.1f} epochs; {length}), "
        f"seeds {', '.join(map(str, found.seeds))}. All trainings of one seed began with the same "
        "weights and saw the same batches. Rates were chosen on the same validation part on which "
        "the figures are measured; the sealed test was not touched. Seconds are steps times the "
        "median time of one, without validation. Step, exponential and warm-up were stretched to "
        "the length of this race."
    )


# --- Helpers --------------------------------------------------------------------------------------


def _row(
    found: Comparison,
    name: str,
    entry: Entry,
    scores: dict[str, dict[int, float]],
    best: str | None,
    sign: float,
) -> Row:
    own = scores[name]
    alive = not _sick(entry) and bool(own)
    values = list(own.values())
    behind: tuple[float | None, float | None, float | None] = (None, None, None)
    if alive and best is not None:
        first = scores[best]
        pairs = [sign * (own[seed] - first[seed]) for seed in own if seed in first]
        behind = (0.0, 0.0, 0.0) if name == best else _interval(pairs)
    heads = [s for t in entry.trials if (s := t.score(found.headline, found.recipe.fit.keep))
             is not None]  # fmt: skip
    show_head = alive and found.headline is not found.metric
    return Row(
        name=name,
        lr=entry.tried[0].lr if entry.tried else None,
        score=_median(values) if alive else None,
        low=min(values) if alive else None,
        high=max(values) if alive else None,
        headline=_median(heads) if show_head else None,
        seconds_per_step=_step_seconds(entry) if entry.trials else None,
        trainings=len(entry.trials),
        diverged=sum(trial.diverged is not None for trial in entry.trials),
        behind=behind[0],
        behind_low=behind[1],
        behind_high=behind[2],
    )


def _scores(found: Comparison, entry: Entry) -> dict[int, float]:
    """Seed -> the compared figure, for the trainings that did not diverge."""
    pairs = [(t.seed, t.score(found.metric, found.recipe.fit.keep)) for t in entry.trials]
    return {seed: score for seed, score in pairs if score is not None}


def _sick(entry: Entry) -> bool:
    """Whether at least half of the trainings diverged: no middle can be given then."""
    bad = sum(trial.diverged is not None for trial in entry.trials)
    return bad > 0 and 2 * bad >= len(entry.trials)


def _interval(values: list[float]) -> tuple[float | None, float | None, float | None]:
    """Mean and its 95 % interval by Student's t; no interval from one value."""
    from scipy import stats

    num = len(values)
    if not num:
        return None, None, None
    mean = math.fsum(values) / num
    if num == 1:
        return mean, None, None
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (num - 1) / num)
    half = float(stats.t.ppf(0.975, num - 1)) * spread
    return mean, mean - half, mean + half


def groups(found: Comparison) -> dict[str, dict[str, Entry]]:
    """Optimizers and schedules, by title."""
    return {"optimizers": found.optimizers, "schedules": found.schedules}


def _details(entry: Entry) -> dict[str, Any]:
    return {
        "optimizer": entry.optimizer.model_dump(),
        "schedule": entry.schedule.model_dump(),
        "search": [_plain(trial) for trial in entry.tried],
        "race": [_plain(trial) for trial in entry.raced],
    }


def _plain(trial: Trial) -> dict[str, Any]:
    finite = [value if math.isfinite(value) else None for value in trial.losses]
    return {**asdict(trial), "losses": finite, "step_seconds": _or_none(trial.step_seconds)}


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _step_seconds(entry: Entry) -> float:
    times = [t.step_seconds for t in entry.trials if math.isfinite(t.step_seconds)]
    return _middle(times) if times else math.nan


def _median(values: list[float]) -> float | None:
    return _middle(values) if values else None


def _middle(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return sum(itertools.islice(ordered, half - 1, half + 1)) / 2
