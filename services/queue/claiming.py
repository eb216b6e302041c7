"""Handing pending tasks to workers, each run to one worker only."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, log, runtime
from tcbox.services.queue import replies, store, transitions
from tcbox.services.queue.alarms import Alarms
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.run_credentials import RunCredentials
from tcbox.services.queue.sightings import Sightings
from tcbox.services.queue.status import Status
from tcbox.services.queue.store import sql
from tcbox.services.queue.waiters import Waiters

PATIENCE = 20 * clocks.SECOND
"""How long a worker's call waits for work, in ms."""

Claimed = tuple[Status, str]
"""A task's status after its claim, and its definition as JSON."""


class _Scopes(msgspec.Struct):
    scopes: list[str]


_scopes = msgspec.json.Decoder(_Scopes).decode
_log = log.get("queue")


class Claiming:
    """Claims tasks for workers.

    Args:
        claim_timeout: for how long a claim holds, in ms.
    """

    def __init__(
        self,
        *,
        database: db.Database,
        clock: clocks.Clock,
        changes: Changes,
        waiters: Waiters,
        sightings: Sightings,
        alarms: Alarms,
        credentials: RunCredentials,
        claim_timeout: int,
    ) -> None:
        self._db = database
        self._clock = clock
        self._changes = changes
        self._waiters = waiters
        self._sightings = sightings
        self._alarms = alarms
        self._credentials = credentials
        self.claim_timeout = claim_timeout

    async def work(self, task_queue_id: str, worker_group: str, worker_id: str, count: int) -> list[dict[str, Any]]:
        """Claim up to `count` tasks, waiting until there is one; an empty list when none comes, or on the way down.

        A worker in quarantine waits for nothing, so that it does not ask all the time.
        """
        until = self._clock.now() + PATIENCE
        place, again = self._waiters.place(), False
        while not self._waiters.draining:
            seen = self._waiters.hint(task_queue_id)
            claimed = await self._claim(task_queue_id, worker_group, worker_id, count)
            if claimed is None:
                if again:  # it was woken for a task that is for another worker
                    self._waiters.wake(task_queue_id)
                await self._waiters.rest(until)
                break
            if claimed:
                for status, _ in claimed:
                    self._sightings.claimed(task_queue_id, worker_group, worker_id, status.task_id, status.last_run_id)
                return [self.document(status, definition) for status, definition in claimed]
            if not await self._waiters.wait(task_queue_id, seen, until, place) or self._clock.now() >= until:
                break
            again = True
        return []

    async def quarantine(self, task_queue_id: str, worker_group: str, worker_id: str) -> int | None:
        """Until when a worker is not to get any work, in ms since the epoch; None when it may have some."""
        row = await self._db.point(sql.get_quarantine, task_queue_id=task_queue_id, worker_group=worker_group, worker_id=worker_id)
        until = 0 if row is None else int(row[0])
        return until if until > self._clock.now() else None

    def document(self, status: Status, definition: str) -> dict[str, Any]:
        """What a worker is told of a run that it has claimed."""
        run = status.runs[-1]
        return {
            "status": status,
            "runId": run.run_id,
            "workerGroup": run.worker_group,
            "workerId": run.worker_id,
            "takenUntil": run.taken_until,
            "task": replies.stored(definition),
            "credentials": self.credentials(status, definition),
        }

    def credentials(self, status: Status, definition: str) -> dict[str, str]:
        """The credentials for the task's running run."""
        run = status.runs[-1]
        return self._credentials.for_run(
            f"{status.task_id}/{run.run_id}", f"{run.worker_group}/{run.worker_id}",
            clocks.from_wire(run.taken_until or ""), _scopes(definition).scopes,
        )  # fmt: skip

    async def _claim(self, task_queue_id: str, worker_group: str, worker_id: str, count: int) -> list[Claimed] | None:
        """What a worker claims now; None when it is in quarantine."""
        worker = {"task_queue_id": task_queue_id, "worker_group": worker_group, "worker_id": worker_id}
        taken: list[Claimed] = []

        async def claim(tx: db.Tx) -> list[Claimed] | None:
            taken.clear()
            rows = await tx.all(sql.next_pending, **worker, now=tx.now, limit=count)
            if not rows and (await tx.value(sql.get_quarantine, **worker) or 0) > tx.now:
                return None
            for row in rows:
                task = store.task(row)
                change = transitions.claim(task.status, task.status.last_run_id, tx.now, tx.now + self.claim_timeout, (worker_group, worker_id))
                if change is not None:
                    await self._changes.apply(tx, task, change)
                    taken.append((change.after, row["definition"]))
            return taken

        try:
            claimed = await self._db.transaction(claim)
        except asyncio.CancelledError:
            if taken:
                await runtime.shielded(self._give_back([status for status, _ in taken], worker_group, worker_id))
            raise
        if claimed:
            self._alarms.claims.no_later_than(self._clock.now() + self.claim_timeout)
        return claimed

    async def _give_back(self, claimed: list[Status], worker_group: str, worker_id: str) -> None:
        """Make the tasks pending again that a worker was given, if their claim was kept, when it had gone already."""

        async def give_back(tx: db.Tx) -> None:
            for status in claimed:
                row = await tx.one(sql.lock_task, task_id=status.task_id)
                task = store.task(row) if row is not None else None
                if task is None or task.status.runs[-1] != status.runs[-1]:
                    continue
                change = transitions.give_back(task.status, status.last_run_id, tx.now)
                if change is not None:
                    await self._changes.apply(tx, task, change)

        await self._db.transaction(give_back)
        _log.info("a worker went away when it was given work", extra={"workerGroup": worker_group, "workerId": worker_id, "runs": len(claimed)})
