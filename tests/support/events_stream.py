"""`/events` as a program beside the test follows it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.waiting import until


@contextlib.contextmanager
def running(*command: Any, **kwargs: Any) -> Iterator[list[str]]:
    """A command whose lines gather in a list; ended at the end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: [lines.append(line) for line in process.stdout], daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait(10)
        reader.join(10)
        process.stdout.close()


@contextlib.contextmanager
def following(root_url: str, binding: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What came so far of a binding, once the stream is open; it can be asked after the end too."""
    with running("curl", "-sN", f"{root_url}/events?binding={binding}") as lines:
        until(lambda: "event: ready\n" in lines)
        yield lambda: [event for event in (json.loads(line[6:]) for line in list(lines) if line.startswith("data: {")) if "exchange" in event]
