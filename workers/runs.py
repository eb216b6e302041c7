"""A run that this worker has claimed: what to run, with which credentials, and whether it is still ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from tcbox import clock as clocks
from tcbox.client.http import Credentials, Http
from tcbox.workers import outcomes
from tcbox.workers.outcomes import Outcome

T = TypeVar("T")


class Run:
    """One claimed run.

    Attributes:
        task: the task's definition.
        http: calls the instance with the run's temporary credentials; renewed by each reclaim.
        claimed_at, taken_until: when the present claim began and ends, in ms.
        on_adopt: is told of each reclaim, when it is set.
    """

    def __init__(self, claim: Mapping[str, Any], http: Http, clock: clocks.Clock) -> None:
        self.clock = clock
        self.task: dict[str, Any] = claim["task"]
        self.task_id: str = claim["status"]["taskId"]
        self.run_id: int = claim["runId"]
        self.task_group_id: str = claim["status"]["taskGroupId"]
        self._aborted: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._after: list[Callable[[], None]] = []
        self.on_adopt: Callable[[Run], None] | None = None
        self.http = http
        self.adopt(claim)

    def adopt(self, claim: Mapping[str, Any]) -> None:
        """Take over the credentials and the time limit of a claim or reclaim."""
        given = claim["credentials"]
        self.credentials = Credentials(given["clientId"], given["accessToken"], given.get("certificate"))
        self.http = self.http.using(self.credentials)
        self.claimed_at = self.clock.now()
        self.taken_until = clocks.from_wire(claim["takenUntil"])
        if self.on_adopt is not None:
            self.on_adopt(self)

    @property
    def name(self) -> str:
        """The run as it stands in logs and folder names, `<taskId>_<runId>`."""
        return f"{self.task_id}_{self.run_id}"

    @property
    def task_queue_id(self) -> str:
        """The queue that the task was claimed from, one of those that the worker serves."""
        named: str | None = self.task.get("taskQueueId")
        return named or f"{self.task['provisionerId']}/{self.task['workerType']}"

    @property
    def expires(self) -> str:
        """When the task expires, and so the latest that its artifacts may."""
        expires: str = self.task["expires"]
        return expires

    def after(self, work: Callable[[], None]) -> None:
        """Have blocking work done once the run's end has been reported: tidying that nobody should wait for."""
        self._after.append(work)

    async def tidy(self) -> None:
        """Do what is to be done after the run, in a thread."""
        work, self._after = self._after, []
        if work:
            await asyncio.to_thread(lambda: [each() for each in work])

    async def call(self, method: str, *args: str, payload: Any = None) -> Any:
        """Call a queue method that concerns this run, with the run's credentials."""
        return await self.http.call("queue", method, self.task_id, str(self.run_id), *args, payload=payload)

    @property
    def aborted(self) -> Outcome | None:
        """How the run was cut short, if it was."""
        return self._aborted.result() if self._aborted.done() else None

    def abort(self, outcome: Outcome) -> None:
        """Cut the run short; the first to say so decides how."""
        if not self._aborted.done():
            self._aborted.set_result(outcome)

    async def unless_aborted(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; when the run is cut short meanwhile the work is cancelled, and has cleaned up on return.

        Raises RunEnded when the run was cut short.
        """
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._aborted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        if self._aborted.done() and (task.cancelled() or task.exception() is not None):
            raise outcomes.RunEnded(self._aborted.result())
        return task.result()

    @contextlib.asynccontextmanager
    async def limited(self, seconds: int) -> AsyncIterator[None]:
        """Cut the run short as failed when what is inside takes longer."""
        timer = asyncio.ensure_future(self._expire(seconds))
        try:
            yield
        finally:
            timer.cancel()

    async def _expire(self, seconds: int) -> None:
        await self.clock.sleep(seconds * clocks.SECOND)
        self.abort(Outcome("failed", message=f"Task aborted: it ran longer than its maxRunTime of {seconds} seconds."))
