"""What runs the tasks: this process claims them one by one and gives each to a worker of its payload's kind.

So the pools of production need not be there, tasks of anybody else are left alone, and a queue's name says nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.client.http import Http
from tcbox.run import kinds
from tcbox.run.graph import Node
from tcbox.run.leading import Lead
from tcbox.workers import claims, outcomes
from tcbox.workers import run as workers
from tcbox.workers.claims import Performer
from tcbox.workers.lifecycle import OnFailure
from tcbox.workers.runs import Run
from tcbox.workers.settings import Kind, WorkerSettings

_LOG = log.get("run")
_GROUP = "tcbox-run"
_WATCH_MS = 1_000


class Hands:
    """Runs tasks, so many at once.

    Args:
        http: calls the instance as its owner.
        folder: for tasks' folders and caches.
        label: marks what is made in Docker.
        env: variables that each task is given, unless it sets them itself.
        keep_caches: whether later runs find the caches.
        fresh: whether caches of earlier runs are thrown away.
    """

    def __init__(
        self, http: Http, folder: Path, *, label: str, capacity: int, docker_url: str, env: Mapping[str, str],
        keep_caches: bool, fresh: bool, nudge: Callable[[], None], on_failure: OnFailure | None,
    ) -> None:  # fmt: skip
        self._http, self._folder, self._label, self._capacity, self._docker_url = http, folder, label, capacity, docker_url
        self.env = dict(env)
        self.lead: Lead | None = None
        """How tasks are led to the work tree."""
        self._keep_caches, self._fresh, self._nudge, self._on_failure = keep_caches, fresh, nudge, on_failure
        self._clock = clocks.SystemClock()
        self._stack = AsyncExitStack()
        self._performers: dict[str, asyncio.Future[Performer]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self.lacking: dict[str, str] = {}
        """Kinds that turned out not to work here, and why."""

    def prepared(self, task: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """A task as it is run here, and what of it is left out."""
        return kinds.prepared(task, self.env, self.lead)

    @property
    def free(self) -> bool:
        """Whether another task may begin."""
        return len(self._tasks) < self._capacity

    def busy(self, task_id: str) -> bool:
        """Whether a task is in hand."""
        return task_id in self._tasks

    @property
    def idle(self) -> bool:
        """Whether none is."""
        return not self._tasks

    def begin(self, node: Node, kind: str) -> None:
        """Claim a pending task, and run it."""
        task = asyncio.create_task(self._see_through(node, kind), name=f"task {node.task_id}")
        self._tasks[node.task_id] = task
        task.add_done_callback(lambda done: self._over(node, done))

    def _over(self, node: Node, done: asyncio.Task[None]) -> None:
        del self._tasks[node.task_id]
        if not done.cancelled() and done.exception() is not None:
            _LOG.error("a task could not be run", extra={"task": node.task_id}, exc_info=done.exception())
        self._nudge()

    async def _see_through(self, node: Node, kind: str) -> None:
        try:
            performer = await self._performer(kind)
        except errors.TcboxError as error:
            self.lacking[kind] = str(error)
            return
        payload = {"workerGroup": _GROUP, "workerId": kind}
        try:
            claim = await self._http.call("queue", "claimTask", node.task_id, str(node.run), payload=payload)
        except errors.ApiError as error:
            if error.status not in (403, 404, 409):
                raise
            await asyncio.sleep(0.2)  # somebody else has it, or it was resolved; the queue tells at the next look
            return
        task, left_out = self.prepared(claim["task"])
        run = Run({**claim, "task": task}, self._http, self._clock)
        self._runs[node.task_id] = run
        for each in left_out:
            _LOG.info("a task runs without what it asks for", extra={"task": node.task_id, "what": each})
        self._nudge()
        try:
            await claims.see_through(run, performer, watch_ms=_WATCH_MS)
        finally:
            del self._runs[node.task_id]

    async def _performer(self, kind: str) -> Performer:
        """The worker of a kind, made for the first task that needs it."""
        if kind not in self._performers:
            self._performers[kind] = asyncio.ensure_future(self._make("docker" if kind == kinds.DOCKER else "host"))
        try:
            performer = await asyncio.shield(self._performers[kind])
            await performer.ready()
        except errors.TcboxError:
            self._performers.pop(kind, None)
            raise
        return performer

    async def _make(self, kind: Kind) -> Performer:
        folder = self._folder / kind
        if self._fresh:
            await asyncio.to_thread(shutil.rmtree, folder / "caches", ignore_errors=True)
        settings = WorkerSettings(
            kind=kind, folder=folder, worker_group=_GROUP, worker_id=kind, instance=self._label, capacity=self._capacity, watch_ms=_WATCH_MS,
            docker_url=self._docker_url, keep_caches=self._keep_caches, root_url=self._http.root_url,
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        performer = await workers.make(settings, self._http, self._clock, self._stack, on_failure=self._on_failure)
        if self._fresh and kind == "docker":
            from tcbox.workers.docker.worker import Docker

            assert isinstance(performer, Docker)
            await performer.caches.forget()
        return performer

    async def drop(self) -> None:
        """End what runs now; the workers stay."""
        for run in list(self._runs.values()):
            run.abort(outcomes.shutdown())
        for task_id, task in list(self._tasks.items()):
            if task_id not in self._runs:
                task.cancel()
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def close(self) -> None:
        """End what runs, and clean up."""
        with contextlib.suppress(errors.ApiError):
            await self.drop()
        await self._stack.aclose()
