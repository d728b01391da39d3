"""The training loop: a generator of events.

``train`` yields what happens; whoever consumes the events decides what to show. It knows neither
networks nor losses: a learner turns one batch into one change of the weights. Everything that a
resume needs is in the learner's ``parts`` and in ``Progress``, so that a run that was stopped
anywhere, by any means, ends with the same weights, bit for bit, as one that never was.
"""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic

import torch
from torch import Tensor

from glassnet import device, linear
from glassnet.errors import Diverged, UserError
from glassnet.journal import Journal
from glassnet.recipe import read_yaml, to_yaml
from glassnet.run import Run
from glassnet.splits import divide
from glassnet.task import (
    B,
    Data,
    Event,
    Finished,
    Learner,
    R,
    Refitting,
    Saved,
    Scores,
    Source,
    Started,
    Step,
    Subset,
    Task,
    Validated,
    Warned,
)


def train(
    task: Task[R, B], recipe: R, run: Run, source: Source[B] | None = None
) -> Iterator[Event]:
    """Train from the start, or from the last checkpoint in ``run``, to the end.

    ``source`` is the recipe's data set, if it is open already.

    An interrupt (SIGINT, SIGTERM) ends the training after the current step with a checkpoint.
    Consumers must not draw from torch's global random generator between two events.
    """
    if recipe.split.has_folds and recipe.split.fold is None:
        source = task.source(recipe) if source is None else source
        with run.locked():
            yield from _train_folds(task, recipe, run, source)
        return
    began = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(run.locked())
        training, warnings = _prepare(task, recipe, run, source, stack)
        stack.callback(training.journal.close)
        stop = stack.enter_context(stop_on_signal())
        yield from map(Warned, warnings)
        now = training.now
        yield Started(run.path, now.step, training.num_steps, training.steps_per_epoch)
        yield from training.go(stop)
        yield Finished(
            run.path,
            now.step,
            training.scores,
            now.ended if training.is_over else "interrupted",
            time.monotonic() - began,
        )


@dataclass
class Progress:
    """Where a training stands. Together with the learner's parts, it is the checkpoint."""

    step: int = 0
    best_epoch: int = -1
    """-1: none yet, or the weights of before the first step."""
    best_scores: Scores = field(default_factory=dict)
    last_epoch: int = -1
    last_scores: Scores = field(default_factory=dict)
    improved_epoch: int = -1
    """When the score was last better than any before; an equal one is kept, but no progress."""
    ended: str = ""
    """Why the training is over: all epochs done, or no better score for a while."""
    first_steps: int = 0
    """Steps of the training that was validated, once it is over and a refit has begun."""
    refitted: bool = False


class Training(Generic[R, B]):
    """One training under way."""

    def __init__(self, task: Task[R, B], parts: Assembly[R, B], run: Run) -> None:
        self.task, self.run = task, run
        self.recipe, self.data, self.learner = parts.recipe, parts.data, parts.learner
        self.where = parts.where
        self.now = Progress()
        self._measure_steps()
        self.best: dict[str, Tensor] = {}
        self.journal = Journal(run, self.steps_per_epoch, linear.line(self.learner.network))
        self.clock = SaveClock(self.recipe.fit.checkpoint_seconds)
        # Redrawn validation rows were trained on before: their best score is the luckiest draw.
        self.keeps_best = self.recipe.fit.keep == "best" and self.recipe.split.mode != "redrawn"

    @property
    def scores(self) -> Scores:
        """The validation scores of the weights that are kept."""
        return self.now.best_scores if self.keeps_best else self.now.last_scores

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.now.ended) and (self.now.refitted or not self.recipe.split.refits)

    def go(self, stop: threading.Event) -> Iterator[Event]:
        """Run epoch after epoch until all are done, or ``stop`` is set."""
        while not (self.is_over or stop.is_set()):
            if self._start_is_asked:
                yield self._validate(-1, self.data.positions(0)[1])
            if self.now.ended and not self.now.first_steps:
                yield self.save()  # whatever happens to the refit, there is a network
                yield self._begin_refit()
                continue  # which is over if it has no epoch
            epoch = (self.now.step - self.now.first_steps) // self.steps_per_epoch
            yield from self._epoch(epoch, stop)
        yield self.save()
        if self.is_over and self._keeps_start:
            yield Warned(
                "no epoch was better on the validation rows than the beginning, whose weights are "
                "kept"
            )
        status = "finished" if self.is_over else "interrupted"
        self.run.update_info(status=status, step=self.now.step, scores=self.scores)

    def save(self) -> Saved:
        """Write the journal, the best weights so far, and then the checkpoint that needs them."""
        self._require_finite(self.journal.newest_loss())
        with self.clock.saving():
            self.journal.flush()
            self._write_kept()
            if self.is_over:
                self.run.write_tensors("last.safetensors", self._weights())
            path = self.run.save_checkpoint(self.now.step, self._state())
        return Saved(self.now.step, path)

    def _write_kept(self) -> None:
        if self.best and not self.now.first_steps:
            kept = self.best if self.keeps_best else self._weights()
            self.run.write_tensors("model.safetensors", kept)
        elif self.now.refitted:
            self.run.write_tensors("model.safetensors", self._weights())

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to the state of a checkpoint."""
        self.now = Progress(**state["now"])
        self.best = state["best"]
        if self.now.first_steps:
            self._start_anew(fresh=False)
        self.journal.load_state_dict(state["journal"])
        for name, part in self.learner.parts.items():
            part.load_state_dict(state["parts"][name])
        device.restore_random_state(state["random"], self.where)

    def _epoch(self, epoch: int, stop: threading.Event) -> Iterator[Event]:
        """The rest of an epoch, from where ``now.step`` stands."""
        train_positions, validation_positions = self.data.positions(epoch)
        done = (self.now.step - self.now.first_steps) % self.steps_per_epoch
        indices = self._batches(train_positions, epoch)
        self.learner.network.train()
        for batch in self.data.pool.batches(indices, done):
            yield from self._update(batch, epoch)
            done += 1
            if done == self.steps_per_epoch and self.now.first_steps:
                self._end_of_refitting_epoch(epoch)
            elif done == self.steps_per_epoch:
                yield self._validate(epoch, validation_positions)
            if self.clock.is_due() and not self.is_over:
                yield self.save()
            if stop.is_set():
                return

    def _batches(self, positions: Tensor, epoch: int) -> Sequence[Tensor]:
        order = shuffled(positions, self.recipe.fit.seed, epoch).to(self.where)
        return self.task.cut(self.recipe, self.data.pool, order, self.steps_per_epoch)

    def _update(self, batch: B, epoch: int) -> Iterator[Event]:
        """One change of the weights, in smaller pieces if the device's memory is too small."""
        step = self.now.step - self.now.first_steps
        random_state = device.state_before_running_out(self.where)
        while True:
            try:
                values = self.learner.update(batch, step)
                break
            except torch.OutOfMemoryError:
                device.restore_random_state(random_state, self.where)
                yield Warned(self.learner.shrink())
            except Diverged as error:
                raise self._diverged(step, str(error)) from None
        self.now.step += 1
        self.journal.add(self.now.step, epoch, values)
        if self.journal.is_due() or (step + 1) % self.steps_per_epoch == 0:
            self._require_finite(self.journal.log())
        yield Step(self.now.step, epoch, values)

    def _validate(self, epoch: int, positions: Tensor) -> Validated:
        """Score the end of an epoch, keep the best weights, and decide whether to go on."""
        examples = Subset(self.data.pool, positions.to(self.where))
        with device.forked_random(self.where):
            outcome = self.task.score(self.learner.network, examples, self.data.facts)
        scores = {m.name: m.compute(outcome) for m in self.task.metrics if not m.costly}
        best, improved = self._compare(scores)
        self.now.last_epoch, self.now.last_scores = epoch, scores
        if improved:
            self.now.improved_epoch = epoch
        if best:
            self.now.best_epoch, self.now.best_scores = epoch, scores
            self.best = {name: tensor.clone() for name, tensor in self._weights().items()}
        train_loss = self.journal.end_epoch(self.now.step, epoch, scores)
        patience = self.recipe.fit.patience
        if self.now.step >= self.num_steps:
            self.now.ended = "all epochs done"
        elif patience is not None and epoch - self.now.improved_epoch >= patience:
            self.now.ended = f"no better validation score for {patience} epochs"
        return Validated(self.now.step, epoch, scores, train_loss, best)

    @property
    def _start_is_asked(self) -> bool:
        """Whether the weights before the first step are a candidate, and not scored yet."""
        return self.task.start_answers and self.keeps_best and not (self.now.step or self.best)

    @property
    def _keeps_start(self) -> bool:
        return self.keeps_best and bool(self.best) and self.now.best_epoch < 0

    def _begin_refit(self) -> Refitting:
        """Keep the validated weights apart, and begin anew with all rows but the test's."""
        kept = self.best if self.keeps_best else self._weights()
        self.run.write_tensors("validated.safetensors", kept)
        self.now.first_steps = self.now.step
        self._start_anew(fresh=True)
        self.now.refitted = not self._refit_epochs
        return Refitting(self.now.step, self.now.step + self.num_steps, self._refit_epochs)

    @property
    def _refit_epochs(self) -> int:
        """As many as gave the weights that were kept; none if those are of before the first."""
        return self.now.best_epoch + 1 if self.keeps_best else self.now.last_epoch + 1

    def _start_anew(self, *, fresh: bool) -> None:
        """A new network, and a learner that plans the same schedule over more rows."""
        everything = torch.arange(len(self.data.pool))
        self.data = replace(self.data, positions=lambda _: (everything, everything[:0]))
        torch.manual_seed(self.recipe.fit.seed)
        network = device.place(self.task.network(self.recipe, self.data.facts), self.where)
        if fresh:
            self.task.start(self.recipe, network, self.data)
        self.learner = self.task.learner(self.recipe, network, self.data)
        self._measure_steps()
        self.num_steps = self.steps_per_epoch * self._refit_epochs
        self.journal.part = "refit"

    def _measure_steps(self) -> None:
        fit, num_examples = self.recipe.fit, len(self.data.positions(0)[0])
        self.steps_per_epoch = fit.steps_per_epoch(num_examples)
        self.num_steps = fit.num_steps(num_examples)

    def _end_of_refitting_epoch(self, epoch: int) -> None:
        self.journal.end_epoch(self.now.step, epoch, None)
        self.now.refitted = epoch + 1 == self._refit_epochs

    def _compare(self, scores: Scores) -> tuple[bool, bool]:
        """Whether the scores are at least as good as the best so far, and whether better.

        The first metric of ``Task.chosen_by`` decides, and where it is equal the next one.
        """
        by_name = {metric.name: metric for metric in self.task.metrics}
        for metric in [by_name[name] for name in self.task.chosen_by] or self.task.metrics[:2]:
            new = scores.get(metric.name, math.nan)
            old = self.now.best_scores.get(metric.name, math.nan)
            if math.isnan(old):
                return True, True
            gain = new - old if metric.better == "higher" else old - new
            if gain != 0:
                return gain > 0, gain > 0
        return True, False

    def _weights(self) -> dict[str, Tensor]:
        return dict(self.learner.network.state_dict())

    def _state(self) -> dict[str, Any]:
        return {
            "now": asdict(self.now),
            "best": self.best,
            "journal": self.journal.state_dict(),
            "parts": {name: part.state_dict() for name, part in self.learner.parts.items()},
            "random": device.random_state(self.where),
        }

    def _require_finite(self, loss: float) -> None:
        """Stop a training whose losses were not looked at one by one, as on a GPU."""
        if not math.isfinite(loss):
            named = self.learner.network.named_parameters()
            sick = [name for name, weights in named if not weights.isfinite().all()]
            raise self._diverged(
                self.now.step - self.now.first_steps - 1, sick[0] if sick else "the loss alone"
            )

    def _diverged(self, step: int, where: str) -> UserError:
        """Keep what can be kept, and say what happened."""
        self._write_kept()
        self.run.update_info(status="diverged", step=step, scores=self.scores)
        of = "the beginning" if self._keeps_start else f"epoch {self.now.best_epoch + 1}"
        kept = f"the weights of {of}" if self.best else "no weights yet"
        batch = step % self.steps_per_epoch + 1
        return UserError(
            f"The loss became NaN or infinite at step {step + 1} (epoch "
            f"{step // self.steps_per_epoch + 1}, batch {batch} of {self.steps_per_epoch}): first "
            f"not finite is {where}. Try a smaller --fit.lr (`glassnet lr` draws a range), or "
            f"--fit.clip 1.{f' Kept in {self.run.path}: {kept}.' if self.run.durable else ''}"
        )


def shuffled(positions: Tensor, seed: int, epoch: int) -> Tensor:
    """Shuffle; a pure function of seed and epoch, so that any step can be gone back to."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return positions[torch.randperm(len(positions), generator=generator)]


class SaveClock:
    """When to save: as often as costs a hundredth of the time, and every few minutes."""

    def __init__(self, longest: float) -> None:
        self.longest, self.cost, self.last = longest, 0.0, time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to save."""
        wait = min(self.longest, max(1.0, 100 * self.cost))
        return time.monotonic() - self.last > wait

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure what saving costs."""
        began = time.monotonic()
        yield
        self.last = time.monotonic()
        self.cost = self.last - began


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into an event; the second interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: Any) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Assembly(Generic[R, B]):
    """All that a training is made of, on its device."""

    recipe: R
    """Every knob is set."""
    data: Data[B]
    learner: Learner[B]
    where: torch.device
    notes: Sequence[str]
    """What the user should know about the first weights."""


def assemble(
    task: Task[R, B],
    recipe: R,
    source: Source[B] | None,
    stack: ExitStack,
    threads: int | None = None,
    *,
    fresh: bool = True,
) -> Assembly[R, B]:
    """Open the data, build network and learner; ``stack`` undoes what concerns the process.

    A network that is not ``fresh`` keeps its own first weights: a checkpoint's will follow.
    """
    where = device.choose(recipe.fit.device)
    device.check_precision(recipe.fit, where)
    data = divide(task.source(recipe) if source is None else source, recipe.split)
    recipe = task.fill(recipe, len(data.positions(0)[0]))
    data = replace(data, pool=device.move(data.pool, where))
    stack.enter_context(device.deterministic(where))
    stack.enter_context(device.forked_random(where))
    torch.manual_seed(recipe.fit.seed)
    network = device.place(task.network(recipe, data.facts), where)
    threads = threads or device.good_threads(recipe.fit, network, where)
    stack.enter_context(device.threads(threads))
    notes = task.start(recipe, network, data) if fresh else ()
    return Assembly(recipe, data, task.learner(recipe, network, data), where, notes)


def _prepare(
    task: Task[R, B], recipe: R, run: Run, source: Source[B] | None, stack: ExitStack
) -> tuple[Training[R, B], list[str]]:
    """Make everything ready, and go back to the last checkpoint if there is one."""
    # Written last of what describes a run: if it is there, the run began, and must stay the same.
    began = run.read_json("environment.json") if run.exists("environment.json") else {}
    state, damages = run.load_checkpoint()
    parts = assemble(task, recipe, source, stack, began.get("threads"), fresh=state is None)
    if began:
        _check_same(run, parts)
    else:
        _describe(run, parts)
    training = Training(task, parts, run)
    warnings = _other_machine(began, parts.where) if began else []
    warnings += [_REDRAWN] if parts.recipe.split.mode == "redrawn" else []
    warnings += [f"{p.where}: {p.what}; {p.remedy}" for p in parts.data.problems]
    held = len(parts.data.positions(0)[1])
    warnings += [_few(parts.recipe, held)] if held < FEW_ROWS and not began else []
    warnings += [*parts.notes, *damages]
    if state is not None:
        training.restore(state)
    run.cut_rows(-1 if state is None else training.now.step)  # step 0 may have a row
    return training, warnings


FEW_ROWS = 20
_REDRAWN = (
    "validation rows are redrawn at each epoch, so all of them are trained on sooner or later: "
    "validation figures flatter; trust the sealed test"
)


def _few(recipe: Any, held: int) -> str:
    """Warn of a small validation part; not every task lets its rows take turns."""
    if recipe.split.mode == "kfold":
        return f"this fold has {held} examples only; read the figures of all folds together"
    remedy = "add data"
    with suppress(ValueError):
        values = recipe.model_dump(mode="json")
        type(recipe).model_validate({**values, "split": {**values["split"], "mode": "kfold"}})
        remedy += ", or let all rows take turns by --split.mode kfold"
    return (
        f"validation has {held} examples only: its figures and their intervals say next to "
        f"nothing, and they choose the weights; {remedy}"
    )


def _check_same(run: Run, parts: Assembly[Any, Any]) -> None:
    """Refuse to go on with other data, splits, facts or knobs than those that a run began with."""
    info, data, before = run.info, parts.data, vars(run.splits())
    facts = data.facts.model_dump(mode="json")
    same = {
        "data": info["fingerprint"] == data.fingerprint,
        "splits": all(rows.equal(before[part]) for part, rows in vars(data.splits).items()),
        "facts": facts == run.read_json("facts.json"),
        "recipe.yaml": info["recipe"] == _digest(run),
    }
    if changed := [name for name, unchanged in same.items() if not unchanged]:
        raise UserError(
            f"{run.path} cannot go on: its {', '.join(changed)} changed since it began. Restore "
            f"what was, or start a new run: glassnet train {run.path}/recipe.yaml"
        )


def _digest(run: Run) -> str:
    return hashlib.sha256((run.path / "recipe.yaml").read_bytes()).hexdigest()


def _other_machine(began: dict[str, Any], where: torch.device) -> list[str]:
    """Say what may change the last bits of the weights."""
    now = {**device.describe(), "device": str(where)}
    names = [n for n in ("processor", "torch", "device") if str(began.get(n)) != str(now[n])]
    changes = [f"{name} was {began.get(name)}, is {now[name]}" for name in names]
    result = "the weights may differ in their last bits from those of a run never stopped"
    return [f"{'; '.join(changes)}: {result}"] if changes else []


def _describe(run: Run, parts: Assembly[Any, Any]) -> None:
    """Write down all that later tools need, before the first step."""
    data = parts.data
    run.write_text("recipe.yaml", to_yaml(parts.recipe))
    run.write_json("facts.json", data.facts.model_dump(mode="json"))
    run.write_tensors("splits.safetensors", vars(data.splits))
    run.update_info(
        fingerprint=data.fingerprint,
        recipe=_digest(run),
        status="training",
        problems=[vars(problem) for problem in data.problems],
    )
    threads = {"device": str(parts.where), "threads": torch.get_num_threads()}
    run.write_json("environment.json", {**device.describe(), **threads})


def _train_folds(task: Task[R, B], recipe: R, run: Run, source: Source[B]) -> Iterator[Event]:
    """Train one network for each fold, in a run folder of its own inside ``run``."""
    finished = []
    run.update_info(status="training")
    for fold in range(1, recipe.split.folds + 1):
        split = recipe.split.model_copy(update={"fold": fold})
        part = recipe.model_copy(update={"split": split})
        child = run.child(f"fold-{fold}", to_yaml(part))
        for event in train(task, part, child, source):
            yield event
            if isinstance(event, Finished):
                finished.append(event)
        if child.info["status"] != "finished":
            run.update_info(status="interrupted")
            return
    means = {
        name: sum(f.scores[name] for f in finished) / len(finished) for name in finished[0].scores
    }
    # In order of time, the last network knows most, and the run answers with it alone.
    last = recipe.split.folds if recipe.split.mode == "rolling" else 1
    first = run.child(f"fold-{last}", "")
    run.write_json("facts.json", first.read_json("facts.json"))
    run.write_text(
        "recipe.yaml",
        to_yaml(
            task.recipe.model_validate(
                {**read_yaml(first.path / "recipe.yaml"), "split": recipe.split.model_dump()}
            )
        ),
    )
    fingerprint = first.info["fingerprint"]
    run.update_info(status="finished", scores=means, fingerprint=fingerprint)
    seconds = sum(f.seconds for f in finished)
    yield Finished(run.path, sum(f.step for f in finished), means, "all folds done", seconds)
