"""glassnet from Python: the same words as on the command line."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glassnet import catalog, evaluate, loop, owncode, progress
from glassnet import show as shows
from glassnet.data import memory, sources
from glassnet.errors import UserError
from glassnet.evaluate import Estimate, Evaluation, report
from glassnet.recipe import to_yaml
from glassnet.run import Run
from glassnet.task import Event, Finished, Look, Prediction, Source, Task
from glassnet.trained import Trained

Show = Callable[[Iterator[Event]], Iterator[Event]]


class TrainedRun:
    """A trained (or partly trained) run folder: evaluate it, predict with it, look at it."""

    def __init__(self, trained: Trained, source: Source[Any] | None = None) -> None:
        self._trained, self._source = trained, source

    def __repr__(self) -> str:
        scores = ", ".join(f"{k} {v.value:.4f}" for k, v in list(self.metrics.items())[:3])
        return f"<glassnet run {self.path}: {scores or 'not evaluated yet'}>"

    def _repr_html_(self) -> str:
        if not self.report.is_file():
            return f"<code>{html.escape(repr(self))}</code>"
        page = html.escape(self.report.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" width="100%" height="800" style="border:0"></iframe>'

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._trained.run.path

    @property
    def report(self) -> Path:
        """``report.html``, written when a training ends and by ``evaluate``."""
        return self.path / "report.html"

    @property
    def recipe(self) -> Any:
        """Every knob, resolved."""
        return self._trained.recipe

    @property
    def facts(self) -> Any:
        """What turns raw inputs into tensors and outputs into answers."""
        return self._trained.facts

    @property
    def network(self) -> Any:
        """The trained ``torch.nn.Module``, in evaluation mode."""
        return self._trained.network

    @property
    def metrics(self) -> dict[str, Estimate]:
        """The figures on the validation examples, with 95 % intervals; empty if not evaluated."""
        run = self._trained.run
        if not run.exists("evaluation.json"):
            return {}
        found = run.read_json("evaluation.json")["metrics"]
        return {name: Estimate(**values) for name, values in found.items()}

    @property
    def openings(self) -> int:
        """How often the sealed test was opened."""
        return len(self._trained.run.rows("test-openings.jsonl"))

    @property
    def status(self) -> str:
        """'new', 'training', 'interrupted', 'diverged' or 'finished'."""
        return str(self._trained.run.info["status"])

    def evaluate(self, test: bool = False, data: str | Path | None = None) -> Evaluation:
        """Measure the run on its validation examples, or open the sealed test (this is counted).

        ``data`` says where the data set is now, if it has moved. The report is written anew.
        """
        source = self._source if data is None else None
        source = source or self._trained.source(data)
        opened = evaluate.measure(self._trained, "test", source)[0] if test else None
        evaluation, review = evaluate.measure(self._trained, "validation", source)
        report.write(self._trained, evaluation, review)
        return opened or evaluation

    def predict(self, raw: Any) -> list[Prediction]:
        """Answer raw inputs: a path, a folder, an array, a list or a DataFrame."""
        return list(self._trained.task.predict(self.network, self.facts, raw))


def train(
    data: Any,
    *,
    task: str | None = None,
    network: Any = None,
    name: str | None = None,
    runs: str | Path = "runs",
    show: bool = True,
    **knobs: Any,
) -> TrainedRun:
    """Train a network and return the run.

    Args:
        data: A path, a name from ``glassnet datasets``, a recipe file, a DataFrame (with
            ``target=``), or a pair of arrays (inputs, targets).
        task: A name from ``glassnet tasks``; unset: the one that fits the data.
        network: A name from ``glassnet networks``, a dictionary with its options, or a Python file.
        name: Name of the run folder; unset: from data and network.
        runs: Folder for run folders.
        show: Whether to show progress.
        **knobs: Any knob of the recipe, by full name (``**{"fit.lr": 0.1}``), nested
            (``fit={"lr": 0.1}``) or short (``lr=0.1``, ``epochs=5``, ``batch_size=64``).

    Raises:
        UserError: If anything in the input is wrong; the message says what and what to do.
    """
    reference = data if isinstance(data, str | Path) else memory.store(data, Path(runs))
    own = {"target": memory.TARGET} if str(reference).endswith(".parquet") else {}
    if isinstance(data, tuple):
        knobs = {**own, **knobs}
    flags = {"task": task, "network": network, **knobs}
    given = {key: value for key, value in flags.items() if value is not None}
    with watcher(show) as watch:
        chosen, recipe = catalog.resolve(str(reference), given)
        return _or_interrupt(start(chosen, recipe, name, runs, watch))


def load(path: str | Path, trust_code: bool = False) -> TrainedRun:
    """Open a run folder, on any machine; the data set is not needed to predict.

    ``trust_code`` lets a run that was trained with a task or network file of the user's own run
    the copy of that program in its folder, where the original is not there.

    Raises:
        UserError: If there is no run folder, it is damaged, or a newer glassnet wrote it.
    """
    return TrainedRun(_open(path, trust_code))


def inspect(data: str | Path, target: str | None = None) -> Look:
    """Say what is in a data set, what is wrong with it, and which tasks fit (``details``)."""
    return sources.look(str(data), target=target)


def start(
    task: Task[Any, Any], recipe: Any, name: str | None, runs: str | Path, watch: Show
) -> TrainedRun:
    """Make a run folder and train in it."""
    source = task.source(recipe)
    name = name or f"{Path(recipe.data).name.split('.')[0]}-{Path(recipe.network.name).stem}"
    return go_on(Trained(create(recipe, name, runs), task), recipe, source, watch)


def create(recipe: Any, name: str, runs: str | Path, *, durable: bool = True) -> Run:
    """Make a run folder, with the user's own programs in it."""
    run = Run.create(runs, name, to_yaml(recipe), {"task": recipe.task}, durable=durable)
    owncode.keep(run, "task", recipe.task)
    owncode.keep(run, "network", recipe.network.name)
    return run


def resume(
    path: str | Path,
    *,
    show: bool = True,
    trust_code: bool = False,
    data: str | Path | None = None,
) -> TrainedRun:
    """Continue an interrupted run to the same weights as if it had never been stopped.

    ``data`` says where the data set is now, if it has moved; ``trust_code`` as for ``load``.
    """
    with watcher(show) as watch:
        return _or_interrupt(go_on_with(path, watch, trust_code, data))


def go_on_with(
    path: str | Path, watch: Show, trust_code: bool, data: str | Path | None
) -> TrainedRun:
    """Open a run and train to the end."""
    trained = _open(path, trust_code)
    return go_on(trained, trained.recipe, trained.source(data), watch)


def go_on(trained: Trained, recipe: Any, source: Source[Any], watch: Show) -> TrainedRun:
    """Train to the end, then measure and report."""
    finish(watch(loop.train(trained.task, recipe, trained.run, source)), trained, source)
    return TrainedRun(trained, source)


def finish(
    events: Iterator[Event], trained: Trained, source: Source[Any], *, report_too: bool = True
) -> None:
    """Follow a training to its end; then measure and report, unless nobody will read it."""
    run = trained.run
    try:
        for event in events:
            if report_too and isinstance(event, Finished) and run.info["status"] == "finished":
                evaluation, review = evaluate.measure(trained, "validation", source)
                report.write(trained, evaluation, review)
    except UserError:
        if run.info["status"] == "new":  # it never began: no data, no device, no such network
            run.update_info(status="failed")
        raise


def _or_interrupt(run: TrainedRun) -> TrainedRun:
    """A script that was interrupted must not go on as if the training had ended."""
    if run.status == "interrupted":
        raise KeyboardInterrupt(
            f"stopped; glassnet.resume({str(run.path)!r}) continues exactly here"
        )
    return run


def _open(path: str | Path, trust_code: bool) -> Trained:
    run = Run.open(path)
    name = owncode.find(run, "task", str(run.info["task"]), trust_code)
    try:
        return Trained(run, catalog.task(name), trust_code)
    except UserError as error:
        raise UserError(f"{path} was made by the task {name!r}. {error}") from None


@contextmanager
def watcher(visible: bool) -> Iterator[Show]:
    """What shows the events: the terminal's or notebook's progress bar, or nothing."""
    if not visible:
        yield iter
        return
    with progress.listening(shows.Waiting()):
        yield shows.progress
