"""Removes what a worker that was killed has left: task folders, and processes that outlived their keeper."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from tcbox import log
from tcbox.workers import lifecycle

_LOG = log.get("workers")
MARK = "TCBOX_TASK_FOLDER"
"""The environment variable by which processes of a task are known again."""


def clear(runs: Path) -> None:
    """Remove all that is below the folder of runs, and end the processes that belong to it; blocking.

    Nothing of the worker's own may run yet.
    """
    folders = sorted(runs.iterdir())
    if not folders:
        return
    ended = _end_marked(runs)
    for folder in folders:
        lifecycle.remove(folder)
    _LOG.info("removed what an earlier worker left", extra={"folders": len(folders), "processes": ended})


def _end_marked(runs: Path) -> int:
    if sys.platform != "linux":
        return 0
    mark = f"{MARK}={runs}{os.sep}".encode()
    ended = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                environment = Path("/proc", name, "environ").read_bytes()
                if environment.startswith(mark) or b"\0" + mark in environment:
                    os.kill(int(name), signal.SIGKILL)
                    ended += 1
    return ended
