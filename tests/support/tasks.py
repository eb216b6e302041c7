"""Running tasks on an instance with the client from PyPI, and reading what they left."""

from __future__ import annotations

import gzip
import time
import urllib.request
from typing import Any

import taskcluster

from tests.support.box import Box

DONE = ("completed", "failed", "exception")


class Tasks:
    """Creates tasks on an instance and waits for them."""

    def __init__(self, box: Box) -> None:
        self.queue = taskcluster.Queue(box.options)

    def run(self, definition: dict[str, Any], seconds: float = 60) -> str:
        """Create a task and wait for its end; its taskId."""
        task_id = taskcluster.slugId()
        self.queue.createTask(task_id, definition)
        until = time.monotonic() + seconds
        while self.state(task_id) not in DONE:
            assert time.monotonic() < until, self.queue.status(task_id)
            time.sleep(0.05)
        return task_id

    def state(self, task_id: str) -> str:
        """A task's state."""
        found: str = self.queue.status(task_id)["status"]["state"]
        return found

    def read(self, task_id: str, name: str) -> bytes:
        """A public artifact of the latest run."""
        return fetch(self.queue.buildUrl("getLatestArtifact", task_id, name))

    def log(self, task_id: str) -> str:
        """The log of the latest run."""
        return self.read(task_id, "public/logs/live_backing.log").decode()


def fetch(url: str) -> bytes:
    """What is at a URL, redirects followed, its content decoded."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        body = reply.read()
        return gzip.decompress(body) if reply.headers.get("Content-Encoding") == "gzip" else body
