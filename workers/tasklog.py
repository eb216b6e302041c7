"""A task's log: a file that the task's processes and the worker both append to."""

from __future__ import annotations

import os
from pathlib import Path

from tcbox import clock as clocks
from tcbox import log as logs

_LOG = logs.get("workers")


class TaskLog:
    """The log of one run.

    The file is opened for appending only, so that processes may write to it directly, each line whole, without any
    of it passing through the worker.

    Attributes:
        finished: no more will be written; readers that follow the file stop at its end.
    """

    def __init__(self, path: Path, clock: clocks.Clock) -> None:
        self.path = path
        self.finished = False
        self._clock = clock
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """Append bytes as they are; nothing once the log is finished. What the disk has no room for is left out."""
        view = memoryview(data)
        try:
            while view and not self.finished:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            _LOG.warning("a task's log lacks what could not be written", extra={"path": str(self.path), "bytes": len(view), "error": str(error)})

    def say(self, message: str) -> None:
        """Append what the worker has to say, each line with the time."""
        self._lines(f"[taskcluster {clocks.to_wire(self._clock.now())}] ", message)

    def caution(self, message: str) -> None:
        """Append a warning."""
        self._lines(f"[taskcluster:warn {clocks.to_wire(self._clock.now())}] ", message)

    def fault(self, message: str) -> None:
        """Append what went wrong."""
        self._lines("[taskcluster:error] ", message)

    def finish(self) -> None:
        """Close the file; may be called twice."""
        if not self.finished:
            self.finished = True
            os.close(self._fd)

    def _lines(self, prefix: str, message: str) -> None:
        start = "" if self.finished or self._at_line_start() else "\n"
        self.write((start + "".join(f"{prefix}{line}\n" for line in message.split("\n"))).encode(errors="replace"))

    def _at_line_start(self) -> bool:
        size = os.fstat(self._fd).st_size
        return size == 0 or os.pread(self._fd, 1, size - 1) == b"\n"
