"""Images that neither memory nor disk can hold: worker processes decode the next batches.

Every worker is a process of its own that answers a list of names with their pixels. It is started
as a plain command, not by ``multiprocessing``, which would run a user's script a second time; it
sleeps unless it is asked, and ends when the pipe to it does, however its parent ended. The order
of the batches is the caller's, whoever decodes what, so that nothing depends on the workers.

Before the first batch every image has been decoded once, to learn the mean and to know which ones
cannot be read; what came of it is kept on the disk.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pickle
import queue
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassnet.data import shelf
from glassnet.data.examples import SMALL, in_slices
from glassnet.data.packed import Decode, Index, Shape, changed, count_levels, key_of
from glassnet.errors import UserError
from glassnet.task import Batch, Problem

PIECE = 32
"""Images that a worker decodes at a time: a batch is spread over all workers."""
AHEAD = 3
"""Batches that are decoded before they are asked for, beside the current one."""


Read = Callable[[str], Tensor | Problem]
"""Decodes the file of a name."""


class Streamed:
    """The rows of a source in one form, decoded whenever they are asked for."""

    def __init__(
        self,
        key: str,
        names: Sequence[str],
        shape: Shape,
        decode: Decode,
        read: Read,
    ) -> None:
        self.names, self.shape, self.decode = names, shape, decode
        self.row_bytes = shape[0] * shape[1] * shape[2]
        self.index, self.damage = Index(len(names)), ""
        self.read = read
        self._path: Path | None = None
        with contextlib.suppress(OSError):  # without a place on the disk it is learned anew
            folder, used = shelf.hold(f"{key}-stream")
            weakref.finalize(self, used.close)
            self._path = folder / "index.npz"
            with contextlib.suppress(ValueError):
                self.index = Index.load(self._path, len(names))

    def fill(self, rows: Sequence[int]) -> None:
        """Decode once what was never decoded, to know whether that is possible."""
        missing = self.index.missing(rows)
        good: list[int] = []

        def images() -> Iterator[Tensor]:
            for row, found, frames in self.decode(missing):
                self.index.note(row, found, frames)
                if not isinstance(found, Problem):
                    good.append(row)
                    yield found[None]

        if missing:
            counted = count_levels(images(), self.shape[0])
            self.index.levels[key_of(torch.tensor(good))] = counted.tolist()
            self._save()

    def take(self, rows: Tensor) -> Tensor:
        """These rows, uint8 (B, C, H, W)."""
        return next(self.ahead([rows]))

    def levels(self, rows: Tensor) -> Tensor:
        """How often each channel has each of the 256 levels in these rows; int64 (C, 256)."""
        key = key_of(rows)
        if key not in self.index.levels:
            pieces = self.ahead(rows.split(1024))
            self.index.levels[key] = count_levels(pieces, self.shape[0]).tolist()
            self._save()
        return torch.tensor(self.index.levels[key])

    def ahead(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """The rows of each batch; the next batches are decoded meanwhile."""
        names = ([self.names[row] for row in rows.tolist()] for rows in batches)
        return crew().decode(self.read, self.shape, names)

    def examples(self, rows: Tensor, targets: Tensor) -> StreamedExamples:
        """Examples that are decoded ahead."""
        return StreamedExamples(rows, targets, self)

    def _save(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                self.index.save(self._path)


@dataclass(frozen=True)
class StreamedExamples:
    """Images that are decoded as they are needed, with labels in memory."""

    rows: Tensor
    """int64 (N,)"""
    targets: Tensor
    images: Streamed

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor, /) -> Batch:
        """Return the examples at the positions ``index``."""
        inputs = self.images.take(self.rows[index].cpu())
        return Batch(inputs.to(self.rows.device), self.targets[index])

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Batch]:
        """Yield the batch at each index; the next ones are decoded meanwhile."""
        if len(self) * self.images.row_bytes <= SMALL:
            return in_slices(self, 0, indices, first)
        return self._ahead(indices[first:])

    def to(self, device: Any, /) -> StreamedExamples:
        """Put the labels on a device; images follow batch by batch."""
        return StreamedExamples(self.rows.to(device), self.targets.to(device), self.images)

    def _ahead(self, indices: Sequence[Tensor]) -> Iterator[Batch]:
        rows = [self.rows[index].cpu() for index in indices]
        for index, inputs in zip(indices, self.images.ahead(rows), strict=True):
            yield Batch(inputs.to(self.rows.device), self.targets[index])


class Crew:
    """Worker processes; one crew for all that a process streams."""

    def __init__(self) -> None:
        self.workers: list[_Worker] = []
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._start()

    def decode(self, read: Read, shape: Shape, wanted: Iterable[Sequence[str]]) -> Iterator[Tensor]:
        """For each list of names the images, uint8 (B, C, H, W); some lists ahead."""
        waiting: deque[tuple[Tensor, list[Future[None]]]] = deque()
        try:
            for names in wanted:
                whole = torch.empty((len(names), *shape), dtype=torch.uint8)
                waiting.append((whole, self._begin(read, names, whole)))
                if len(waiting) > AHEAD:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:  # the caller has enough, or a file was changed
            for _, futures in waiting:
                for future in futures:
                    future.cancel()

    def _begin(self, read: Read, names: Sequence[str], whole: Tensor) -> list[Future[None]]:
        """Let the workers fill ``whole``; a thread waits for each of them."""
        if any(worker.process.poll() is not None for worker in self.workers):
            self._start()
        starts = range(0, len(names), PIECE)
        return [
            self._threads.submit(self._ask, read, names[start : start + PIECE], whole[start:])
            for start in starts
        ]

    def _start(self) -> None:
        _end(self.workers)
        number = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
        self.workers = [_Worker() for _ in range(number or 1)]
        atexit.register(_end, self.workers)
        self._idle = queue.SimpleQueue()
        for worker in self.workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(len(self.workers))

    def _ask(self, read: Read, names: Sequence[str], place: Tensor) -> None:
        worker = self._idle.get()
        try:
            worker.decode(read, names, place[: len(names)])
        finally:
            self._idle.put(worker)


class _Worker:
    """A process that decodes what it is told to."""

    def __init__(self) -> None:
        self._read: Read | None = None
        code = "from glassnet.data.stream import work; work()"
        paths = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the training, which then ends its workers
        )  # fmt: skip

    def decode(self, read: Read, names: Sequence[str], place: Tensor) -> None:
        """Fill ``place`` (B, C, H, W) with the images of these names."""
        try:
            if read is not self._read:
                self._say(read)
                self._read = read
            self._say(names)
            answers = self.process.stdout
            assert answers is not None
            problem = pickle.load(answers)
            left = memoryview(place.numpy().reshape(-1))  # type: ignore[arg-type]
            while problem is None and left:
                got = answers.readinto(left)  # type: ignore[attr-defined]
                if not got:
                    raise EOFError
                left = left[got:]
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            code = self.process.wait()
            raise UserError(
                f"A worker process that decodes images ended by itself (exit code {code}); the "
                "system may have run out of memory. Resume the run, or train with --cache disk."
            ) from error
        if problem is not None:
            raise changed(problem)

    def _say(self, words: Any) -> None:
        asked = self.process.stdin
        assert asked is not None
        pickle.dump(words, asked)
        asked.flush()


@functools.cache
def crew() -> Crew:
    """The crew of this process, started when it is first needed."""
    return Crew()


def work() -> None:
    """What a worker process does: read names, answer with pixels, until nobody asks any more."""
    torch.set_num_threads(1)
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints must not get among the pixels
    with contextlib.suppress(EOFError, BrokenPipeError):
        read: Read = pickle.load(asked)
        while True:
            said = pickle.load(asked)
            if callable(said):
                read = said
                continue
            found = [read(name) for name in said]
            problem = next((each for each in found if isinstance(each, Problem)), None)
            pickle.dump(problem, answers)
            if problem is None:
                answers.write(torch.stack(found).numpy().data)  # type: ignore[arg-type]
            answers.flush()


def _finished(whole: Tensor, futures: Sequence[Future[None]]) -> Tensor:
    for future in futures:
        future.result()
    return whole


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        for pipe in (worker.process.stdin, worker.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        worker.process.wait()
