"""TensorBoard's event file of a run, by tensorboardX's protocol buffers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from glassnet.run import Run


class EventFile:
    """A new event file, from which TensorBoard reads curves.

    Each process that trains a run opens one of its own; its first event makes TensorBoard forget
    what earlier files hold from ``step`` on, since a resumed training writes that again.
    """

    def __init__(self, run: Run, step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        self.run = run
        # The library's own names have seconds, and a second file of a second would erase the first.
        with run.writing("events.out.tfevents"):
            self._writer: Any = EventsWriter(str(run.path / "events"), f".{time.time_ns()}")
        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each of several curves."""
        from tensorboardX.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step, summary=Summary(value=points))

    def flush(self) -> None:
        """Put everything on disk."""
        with self.run.writing("events.out.tfevents"):
            self._writer.flush()

    def close(self) -> None:
        """Let the file go."""
        with self.run.writing("events.out.tfevents"):
            self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        with self.run.writing("events.out.tfevents"):
            self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
