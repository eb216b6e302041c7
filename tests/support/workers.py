"""A worker of this process beside a queue, for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from tcbox import clock as clocks
from tcbox.client.http import Credentials, Http
from tcbox.workers.run import run
from tcbox.workers.settings import WorkerSettings

from tests.support.fake_queue import FakeQueue, Task
from tests.support.waiting import eventually


def gated(folder: Path | str, *names: str) -> str:
    """A script that says each name, and after each waits until there is a file of that name in the folder; "" is a container's root."""
    return "; ".join(f"echo {name}; until test -e '{folder}/{name}'; do sleep 0.05; done" for name in names)


async def says(task: Task, words: str, seconds: float = 60) -> None:
    """Return once a line of a task's live log is these words."""
    async with asyncio.timeout(seconds):
        await eventually(lambda: "public/logs/live.log" in task.artifacts, seconds)
        lines = []
        async with aiohttp.ClientSession() as session, session.get(task.artifacts["public/logs/live.log"]["url"]) as reply:
            async for line in reply.content:
                if line.strip() == words.encode():
                    return
                lines.append(line)
    raise AssertionError(f"the log ended without the line {words}: {b''.join(lines)!r}")


class Running:
    """A fake queue with a worker on it."""

    def __init__(self, queue: FakeQueue, settings: WorkerSettings, stop: asyncio.Event, worker: asyncio.Task[None]) -> None:
        self.queue, self.settings, self.stop, self.worker = queue, settings, stop, worker

    def add(self, payload: dict[str, Any], **more: Any) -> Task:
        """Add a task to the worker's queue."""
        return self.queue.add(payload, more.pop("queue", self.settings.task_queues[0]), **more)

    async def end(self, task: Task, seconds: float = 30) -> Task:
        """Wait for a task's end."""
        await asyncio.wait_for(task.ended.wait(), seconds)
        return task

    async def do(self, payload: dict[str, Any], **more: Any) -> Task:
        """Add a task and wait for its end."""
        return await self.end(self.add(payload, **more))


@contextlib.asynccontextmanager
async def running(folder: Path, kind: str, **more: Any) -> AsyncIterator[Running]:
    """A worker that serves a queue of its own until the block ends."""
    queue = FakeQueue(more.pop("claim_ms", 20 * clocks.MINUTE))
    server = await queue.start()
    settings = replace(WorkerSettings(kind=kind, task_queue_id=f"local/{kind}", folder=folder, grace_ms=0, watch_ms=200), **more)
    stop = asyncio.Event()
    async with aiohttp.ClientSession() as session:
        clock = clocks.SystemClock()
        http = Http(queue.root_url, Credentials("worker", "secret"), session=session, clock=clock, retries=1)
        worker = asyncio.create_task(run(settings, http=http, clock=clock, stop=stop))
        here = Running(queue, settings, stop, worker)
        try:
            yield here
        finally:
            stop.set()
            await asyncio.wait_for(worker, 30)
            await server.cleanup()
