"""Show a training while it runs: a bar and a line per epoch, on standard error or in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import monotonic

from glassnet.task import Event, Finished, Refitting, Saved, Started, Step, Validated, Warned


def progress(events: Iterator[Event]) -> Iterator[Event]:
    """Pass the events on, and show them at most ten times a second."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("step {task.completed:.0f}/{task.total:.0f}  loss {task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=10,
        transient=True,
        disable=not (console.is_terminal or console.is_jupyter),
    )
    screen = Screen(bar)
    with bar:
        for event in events:
            screen.show(event)
            yield event


QUIET = 30.0
"""Seconds after which a log, which shows no bar, hears where a long epoch stands."""


class Waiting:
    """Shows work before the first event, if it takes longer than a second."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.shown = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Hear how far the work has come."""
        now = monotonic()
        if not done:
            self.began[what] = now  # the same work may be done again later
        began = self.began.setdefault(what, now)
        pause = 0.5 if sys.stderr.isatty() else 10  # seconds; a log keeps every line
        if now - began < 1 or (now - self.shown < pause and done < total):
            return
        self.shown = now
        left = (now - began) * (total - done) / max(1, done)
        end = "\n" if done >= total or not sys.stderr.isatty() else "\r"
        sys.stderr.write(f"{what}: {done / max(1, total):4.0%}, {left:.0f} s left   {end}")
        sys.stderr.flush()


class Screen:
    """Turns events into a bar and lines of text."""

    def __init__(self, bar: object) -> None:
        from rich.progress import Progress

        assert isinstance(bar, Progress)
        self.bar, self.line = bar, bar.add_task("preparing", total=1, loss="")
        self.num_epochs, self.num_steps, self.began = 0, 0, 0.0
        self.said = monotonic()

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Step):
            if monotonic() - self.began > 0.1:  # reading a loss may wait for the device: seldom
                self.began = monotonic()
                loss = f"{float(event.values['loss']):.4f}"
                self.bar.update(self.line, completed=event.step, loss=loss)
                if self.bar.disable and self.began - self.said > QUIET:
                    self.say(f"step {event.step}/{self.num_steps}  loss {loss}")
        elif isinstance(event, Started):
            self.num_epochs = event.num_steps // event.steps_per_epoch
            self.num_steps = event.num_steps
            where = f", from step {event.step}" if event.step else ""
            self.say(f"training in {event.run}: {event.num_steps} steps{where}")
            self.bar.update(self.line, total=event.num_steps, completed=event.step)
        elif isinstance(event, Validated):
            scores = "  ".join(f"{k.replace('_', ' ')} {v:.4f}" for k, v in event.scores.items())
            best = "  best so far" if event.best else ""
            epoch = f"epoch {event.epoch + 1}/{self.num_epochs}"
            self.bar.update(self.line, description=epoch, completed=event.step)
            begun = event.epoch >= 0
            loss = f"training loss {event.train_loss:.4f}" if begun else "before the first step"
            self.say(f"{epoch}  {loss}  validation {scores}{best if begun else ''}")
        elif isinstance(event, Refitting):
            self.num_steps = event.num_steps
            self.bar.update(self.line, description="refit", total=event.num_steps)
            way = f"{event.epochs} epochs" if event.epochs else "the beginning, solved anew"
            self.say(f"refit: {way} on training and validation rows together")
        elif isinstance(event, Warned):
            self.say(f"note: {event.message}")
        elif isinstance(event, Finished):
            self.say(f"{event.reason} after step {event.step}, {event.seconds:.1f} s")
        else:
            assert isinstance(event, Saved)  # not worth a line

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.said = monotonic()
        if self.bar.disable:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        else:
            self.bar.console.print(text, markup=False)
