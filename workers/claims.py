"""The claim loop: asks for work, runs it, says how it ended, and drains when asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.client.http import Http
from tcbox.workers import keeping, outcomes, queues
from tcbox.workers.ledger import Ledger
from tcbox.workers.outcomes import Outcome
from tcbox.workers.runs import Run
from tcbox.workers.settings import WorkerSettings

_LOG = log.get("workers")
_LONG_POLL_S = 90.0
_PAUSE_MS = 400.0
_LONGEST_PAUSE_MS = 2_000.0
_TELL_MS = clocks.MINUTE
_FIRST_BACKOFF_MS = 500
_MOST_BACKOFF_MS = 30_000
_REFUSED = (400, 401, 403)


class Performer(Protocol):
    """Runs claimed tasks, one call each, several at once.

    Implementers must return how the run ended and never raise for the task's sake, must end soon when the run is
    aborted, and must leave nothing of it behind but what `run.after` will remove.
    """

    async def ready(self) -> None:
        """Return when a task could be run now.

        Raises tcbox.errors.TcboxError when what runs tasks is gone; the worker then ends with that.
        """
        ...

    async def perform(self, run: Run) -> Outcome:
        """Run one task to its end."""
        ...


class Claims:
    """Claims and runs tasks until told to stop.

    Args:
        http: calls the instance with the worker's own credentials.
        demanding: whether to end when the instance refuses what is asked of it first, as it would again; else it is asked again.
    """

    def __init__(self, settings: WorkerSettings, http: Http, clock: clocks.Clock, performer: Performer, *, demanding: bool = False) -> None:
        self._settings, self._http, self._clock, self._performer = settings, http, clock, performer
        self._demanding = demanding
        self._runs: dict[asyncio.Task[None], Run] = {}
        self._freed = asyncio.Event()
        self._ledger = Ledger(settings.folder / "claims")
        self._finder = queues.Finder(http, clock, settings)

    async def serve(self, stop: asyncio.Event) -> None:
        """Hand back what an earlier worker left, and claim until `stop` is set.

        Then let what runs finish within the grace, and end the rest as worker-shutdown. Raises TcboxError when it is demanding,
        and the instance refuses it.
        """
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await self._until(stopping, self._ledger.hand_back(self._http, self._clock, self._settings))
            if self._settings.serve:
                await self._until(stopping, self._search())
            else:
                loops = [self._until(stopping, self._wait_on(queue)) for queue in self._settings.task_queues]
                await asyncio.gather(*loops)
            await self._drain()
        finally:
            stopping.cancel()
            await self._end(outcomes.shutdown())

    # -- claiming

    async def _until(self, stopping: asyncio.Future[Any], loop: Any) -> None:
        task = asyncio.ensure_future(loop)
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _wait_on(self, queue: str) -> None:
        backoff = _FIRST_BACKOFF_MS
        while True:
            await self._room()
            try:
                await self._claim(queue)
            except errors.ApiError as error:
                self._refuse_if_refused(f"claims of {queue}", error)
                _LOG.warning("cannot claim work, will try again", extra={"queue": queue, "error": str(error), "in_ms": backoff})
                await self._clock.sleep(backoff)
                backoff = min(backoff * 2, _MOST_BACKOFF_MS)
            else:
                self._demanding = False
                backoff = _FIRST_BACKOFF_MS

    def _refuse_if_refused(self, what: str, error: errors.ApiError) -> None:
        if self._demanding and error.status in _REFUSED:
            raise errors.TcboxError(f"{self._http.root_url} refuses {what}: {error}") from error

    async def _search(self) -> None:
        backoff, pause = _FIRST_BACKOFF_MS, _PAUSE_MS
        while True:
            await self._room()
            try:
                claimed = 0
                for queue in await self._finder.waiting():
                    if self._free:
                        claimed += await self._claim(queue)
            except errors.ApiError as error:
                self._refuse_if_refused("to be asked for work", error)
                _LOG.warning("cannot look for work, will try again", extra={"error": str(error), "in_ms": backoff})
                await self._clock.sleep(backoff)
                backoff = min(backoff * 2, _MOST_BACKOFF_MS)
            else:
                self._demanding = False
                backoff = _FIRST_BACKOFF_MS
                pause = _PAUSE_MS if claimed else min(pause * 1.2, _LONGEST_PAUSE_MS)
                if not claimed:
                    await self._clock.sleep(pause)

    @property
    def _free(self) -> int:
        return max(0, self._settings.capacity - len(self._runs))

    async def _room(self) -> None:
        while not self._free:
            self._freed.clear()
            await self._freed.wait()

    async def _claim(self, queue: str) -> int:
        await self._performer.ready()
        payload = {"workerGroup": self._settings.worker_group, "workerId": self._settings.worker_id, "tasks": min(self._free, 32)}
        reply = await self._http.call("queue", "claimWork", queue, payload=payload, timeout=_LONG_POLL_S)
        for claim in reply["tasks"]:
            self._begin(claim)
        return len(reply["tasks"])

    # -- running

    def _begin(self, claim: dict[str, Any]) -> None:
        run = Run(claim, self._http, self._clock)
        self._ledger.enter(run)
        task = asyncio.create_task(self._see_through(run), name=f"run {run.name}")
        self._runs[task] = run
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        run = self._runs.pop(task)
        self._freed.set()
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("a run could not be seen through", extra={"run": run.name}, exc_info=task.exception())

    async def _see_through(self, run: Run) -> None:
        if await see_through(run, self._performer, watch_ms=self._settings.watch_ms):
            self._ledger.strike(run)

    # -- draining

    async def _drain(self) -> None:
        if not self._runs:
            return
        _LOG.info("stopping: running tasks may finish first", extra={"tasks": len(self._runs), "within_ms": self._settings.grace_ms})
        grace = asyncio.ensure_future(self._clock.sleep(self._settings.grace_ms))
        while self._runs and not grace.done():
            await asyncio.wait({*self._runs, grace}, return_when=asyncio.FIRST_COMPLETED)
        grace.cancel()

    async def _end(self, outcome: Outcome) -> None:
        for run in self._runs.values():
            run.abort(outcome)
        if self._runs:
            await asyncio.wait(set(self._runs))


async def see_through(run: Run, performer: Performer, *, watch_ms: int) -> bool:
    """Run a claimed task to its end, its claim kept alive; gives whether the queue knows how it ended."""
    keeper = asyncio.create_task(keeping.keep(run, watch_ms), name=f"keep {run.name}")
    try:
        try:
            outcome = await performer.perform(run)
        except Exception as error:
            _LOG.exception("a worker failed to run a task", extra={"run": run.name})
            outcome = Outcome("exception", "internal-error", str(error))
        return await report(run, outcome)
    finally:
        keeper.cancel()
        await run.tidy()


async def report(run: Run, outcome: Outcome) -> bool:
    """Tell the queue how a run ended; gives whether it knows, after a minute of trying.

    Logs when the queue has resolved the run otherwise.
    """
    _LOG.info("a run ended", extra={"run": run.name, "state": outcome.state, "reason": outcome.reason or "-"})
    until = run.clock.now() + _TELL_MS
    while True:
        try:
            await _tell(run, outcome)
        except errors.Unavailable as error:
            _LOG.warning("cannot tell how a run ended", extra={"run": run.name, "state": outcome.state, "error": str(error)})
            if run.clock.now() >= until:
                return False
            await run.clock.sleep(_PAUSE_MS)
        except errors.ApiError as error:
            _LOG.warning("the queue did not take a run's end", extra={"run": run.name, "state": outcome.state, "error": str(error)})
            return True
        else:
            return True


async def _tell(run: Run, outcome: Outcome) -> None:
    if outcome.state == "completed":
        await run.call("reportCompleted")
    elif outcome.state == "failed":
        await run.call("reportFailed")
    elif outcome.state == "exception":
        await run.call("reportException", payload={"reason": outcome.reason})
