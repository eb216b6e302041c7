"""Work that needs GitHub: written down first, then done, tried again where GitHub fails, with each installation apart.

Work of one lane is done in order, and the same work that is asked for again before it was begun is done once. What an
installation may not do just now waits, and no other installation waits for it. Several processes may do this on one
database: who takes work on holds it for as long as they say so every few seconds, and then somebody else may do it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.db import DatabaseError
from tcbox.runtime.alarm import Alarm
from tcbox.services.github.hub import Limited, Refused
from tcbox.services.github.store import sql

PARALLEL = 4
"""Jobs of one installation that are under way at once."""
MOST = 64
"""Jobs under way at once."""
LEASE = 12 * clocks.SECOND
RENEWAL = 3 * clocks.SECOND
"""How often who works on something says so; after a lease without that, somebody else takes it on."""
TIME = 240.0
"""Seconds for one try of a job."""
POLL = 5 * clocks.SECOND
_ADDED = "github.jobs"
"""The topic of hints between processes: that there is more work."""
PATIENCE = 1 * clocks.DAY
"""For how long work is tried."""
FIRST_PAUSE, LONGEST_PAUSE = 5 * clocks.SECOND, 1 * clocks.HOUR
_LOST = (404, 410, 422, 451)
"""Statuses of GitHub's that another try would not change."""
_log = log.get("github")


class Job(NamedTuple):
    """Work that is asked for.

    Attributes:
        kind: which handler does it.
        key: what it is about.
        lane: work of one lane is done in order.
        attempts: how often it was tried in vain.
    """

    kind: str
    key: str
    lane: str
    installation_id: int
    payload: dict[str, Any]
    attempts: int = 0


class _Taken(NamedTuple):
    id: int
    event: int
    attempts: int
    created: int
    job: Job


Handler = Callable[[Job], Awaitable[None]]


class Jobs:
    """The work that waits, and who does it.

    Args:
        handlers: by kind; each must be able to do the same work twice.
    """

    def __init__(self, database: db.Database, clock: clocks.Clock, handlers: Mapping[str, Handler]) -> None:
        self._db = database
        self._clock = clock
        self._handlers = handlers
        self._workers: dict[int, set[asyncio.Task[None]]] = {}
        self._alarm = Alarm(clock, database, _ADDED)
        self._draining = False
        self._unlisten: Callable[[], None] = lambda: None
        self._faults: dict[int, tuple[str, int]] = {}

    @property
    def fault(self) -> str | None:
        """Why work fails just now, in words; None when none does."""
        since = self._clock.now() - 2 * LONGEST_PAUSE
        return next((told for told, when in self._faults.values() if when > since), None)

    async def add(self, job: Job, event: int) -> None:
        """Ask for work, on behalf of a message of this number."""

        async def add(tx: db.Tx) -> None:
            text = msgspec.json.encode(job.payload).decode()
            await tx.execute(sql.add_job, kind=job.kind, key=job.key, lane=job.lane, installation_id=job.installation_id, payload=text, event=event, now=tx.now)
            tx.after_commit(self._alarm.ring)

        await self._db.transaction(add)

    async def turn(self) -> None:
        """See that all work that is due is done by somebody; then sleep until there may be more."""
        self._alarm.reset()
        now = self._clock.now()
        soonest, after = now + POLL, -1
        while (row := await self._db.one(sql.next_installation, after=after)) is not None:
            after = int(row["installation_id"])
            if row["due"] <= now:
                self._employ(after)
            else:
                soonest = min(soonest, int(row["due"]))
        await self._alarm.sleep(soonest)

    async def start(self) -> None:
        """Begin, maybe anew."""
        self._draining = False
        self._unlisten = self._alarm.hear()

    async def stop(self) -> None:
        """Begin nothing more, and have others take on what is under way."""
        self._draining = True
        self._unlisten()
        workers = [worker for group in self._workers.values() for worker in group]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def idle(self) -> None:
        """Return when nothing is under way; for tests."""
        while self._workers:
            await asyncio.sleep(0.005)

    def _employ(self, installation_id: int) -> None:
        group = self._workers.setdefault(installation_id, set())
        if self._draining or len(group) >= PARALLEL or sum(map(len, self._workers.values())) >= MOST:
            if not group:
                del self._workers[installation_id]
            return
        worker = asyncio.create_task(self._work(installation_id), name=f"github jobs of {installation_id}")
        group.add(worker)
        worker.add_done_callback(lambda done: self._left(installation_id, done))

    def _left(self, installation_id: int, worker: asyncio.Task[None]) -> None:
        group = self._workers.get(installation_id, set())
        group.discard(worker)
        if not group:
            self._workers.pop(installation_id, None)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            _log.error("work for GitHub stopped", exc_info=error)

    async def _work(self, installation_id: int) -> None:
        while not self._draining and (taken := await self._take(installation_id)) is not None:
            self._employ(installation_id)
            await self._do(taken)

    async def _take(self, installation_id: int) -> _Taken | None:
        async def take(tx: db.Tx) -> _Taken | None:
            row = await tx.one(sql.due_job, installation_id=installation_id, now=tx.now)
            if row is None:
                return None
            await tx.execute(sql.lease_job, id=row["id"], until=tx.now + LEASE)
            job = Job(row["kind"], row["key"], row["lane"], int(row["installation_id"]), msgspec.json.decode(row["payload"]), int(row["attempts"]))
            return _Taken(int(row["id"]), int(row["event"]), int(row["attempts"]), int(row["created"]), job)

        return await self._db.transaction(take)

    async def _do(self, taken: _Taken) -> None:
        told = {"kind": taken.job.kind, "key": taken.job.key, "installationId": taken.job.installation_id}
        try:
            async with asyncio.timeout(TIME), self._held(taken):
                await self._handlers[taken.job.kind](taken.job)
        except asyncio.CancelledError:
            await self._put_off(taken, self._clock.now(), taken.attempts)
            raise
        except Limited as limit:
            _log.warning("GitHub asks to slow down", extra={**told, "until": clocks.to_wire(limit.until)})
            await self._put_off(taken, limit.until, taken.attempts)
            await self._wait(taken.job.installation_id, limit.until)
            return
        except Exception as error:
            if await self._failed(taken, error, told):
                return
        self._faults.pop(taken.id, None)
        await self._finish(taken)

    @asynccontextmanager
    async def _held(self, taken: _Taken) -> AsyncIterator[None]:
        """Hold work for as long as it is being done."""

        async def renew() -> None:
            while True:
                await self._clock.sleep(RENEWAL)
                await self._put_off(taken, self._clock.now() + LEASE, taken.attempts + 1)

        renewal = asyncio.create_task(renew(), name=f"github lease of {taken.job.kind} {taken.job.key}")
        try:
            yield
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError, DatabaseError):
                await renewal

    async def _failed(self, taken: _Taken, error: Exception, told: dict[str, Any]) -> bool:
        """Whether work is tried again after an error."""
        if isinstance(error, Refused) and error.status in _LOST:
            _log.warning("GitHub refuses: %s", error, extra={**told, "status": error.status})
            return False
        if not isinstance(error, Refused):  # which is a matter of one repository
            self._faults[taken.id] = (f"{taken.job.kind} {taken.job.key}: {str(error) or type(error).__name__}", self._clock.now())
        if self._clock.now() - taken.created > PATIENCE:
            _log.error("given up after a day of tries", extra=told, exc_info=error)
            return False
        pause = min(FIRST_PAUSE * 2 ** min(taken.attempts, 20), LONGEST_PAUSE)
        expected = isinstance(error, (Refused, TimeoutError)) or not taken.attempts
        _log.warning("failed, trying again in %d s: %s", pause // 1000, str(error) or type(error).__name__, extra=told, exc_info=None if expected else error)
        await self._put_off(taken, self._clock.now() + pause, taken.attempts + 1)
        return True

    async def _finish(self, taken: _Taken) -> None:
        async def finish(tx: db.Tx) -> None:
            if not await tx.execute(sql.finish_job, id=taken.id, event=taken.event):
                await tx.execute(sql.put_off_job, id=taken.id, due=tx.now, attempts=0)

        await self._db.transaction(finish)

    async def _put_off(self, taken: _Taken, due: int, attempts: int) -> None:
        async def put_off(tx: db.Tx) -> None:
            await tx.execute(sql.put_off_job, id=taken.id, due=due, attempts=attempts)

        await self._db.transaction(put_off)

    async def _wait(self, installation_id: int, until: int) -> None:
        async def wait(tx: db.Tx) -> None:
            await tx.execute(sql.put_off_installation, installation_id=installation_id, until=until)

        await self._db.transaction(wait)
