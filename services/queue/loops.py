"""What the queue does by itself: satisfies dependencies, ends claims, enforces deadlines, removes what has expired.

Each loop takes bounded steps until nothing is due, then sleeps until the next thing is, at most ten seconds; should
the process end in between, the next one finds the same work in the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.services.queue import status as statuses
from tcbox.services.queue import store, transitions
from tcbox.services.queue.alarms import Alarm, Alarms
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.sightings import Sightings
from tcbox.services.queue.status import Status
from tcbox.services.queue.store import sql
from tcbox.services.queue.waiters import Waiters

if TYPE_CHECKING:
    from tcbox.services.queue.artifact_store import ArtifactStore

STEP = 100
"""Rows that one transaction of a loop deals with."""

LONGEST = 10 * clocks.SECOND


class Loops:
    """The bodies of the queue's loops; each looks once for all that is due, then waits for what comes next.

    Args:
        deadline_delay: how long after its deadline a task is resolved, in ms.
        expiration_delay: how long after they expire things are removed, in ms.
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
        artifact_store: ArtifactStore | None,
        deadline_delay: int,
        expiration_delay: int,
    ) -> None:
        self._db = database
        self._clock = clock
        self._changes = changes
        self._waiters = waiters
        self._sightings = sightings
        self._alarms = alarms
        self._artifacts = artifact_store
        self._deadline_delay = deadline_delay
        self._expiration_delay = expiration_delay
        self._log = log.get("queue")

    async def dependencies(self) -> None:
        """Look after the dependents of tasks that have too many for the transaction of their resolution."""
        await self._rounds(self._alarms.dependencies, self.satisfy_dependents, None)

    async def claims(self) -> None:
        """End claims that workers have not renewed."""
        await self._rounds(self._alarms.claims, self.expire_claims, self._next_claim)

    async def deadlines(self) -> None:
        """Resolve tasks whose deadline has passed."""
        await self._rounds(self._alarms.deadlines, self.enforce_deadlines, self._next_deadline)

    async def expiry(self) -> None:
        """Remove tasks, artifacts, groups, workers and task queues that have expired."""
        await self._rounds(self._alarms.expiry, self.expire, self._next_expiry)

    async def sightings(self) -> None:
        """Write what workers have claimed lately."""
        await self._sightings.flush()

    async def pending(self) -> None:
        """Wake those who wait for tasks that another process has made pending."""
        for task_queue_id, waiting in self._waiters.waiting().items():
            found = int(await self._db.value(sql.some_pending, task_queue_id=task_queue_id, limit=waiting) or 0)
            if found:
                self._waiters.wake(task_queue_id, found, tell=False)

    async def satisfy_dependents(self) -> int:
        """One step of `dependencies`; how many dependents it looked after."""

        async def step(tx: db.Tx) -> int:
            resolution = await tx.one(sql.next_resolution)
            if resolution is None:
                return 0
            required_id, completed = resolution["required_id"], resolution["completed"]
            rows = await tx.all(sql.waiting_dependents, required_id=required_id, completed=completed, limit=STEP)
            if len(rows) < STEP:
                await tx.execute(sql.end_resolution, required_id=required_id)
            required = resolution["status"]  # none when the task has been removed since
            late = required is not None and statuses.decode(required).late
            await self._changes.satisfy(tx, required_id, [row[0] for row in rows], late=late)
            return max(1, len(rows))

        return await self._db.transaction(step, bulk=True)

    async def expire_claims(self) -> int:
        """One step of `claims`; how many claims it ended."""

        async def step(tx: db.Tx) -> int:
            return await self._change(tx, await tx.all(sql.expired_claims, now=tx.now, limit=STEP), transitions.expire_claim)

        return await self._db.transaction(step, bulk=True)

    async def enforce_deadlines(self) -> int:
        """One step of `deadlines`; how many tasks it resolved."""

        async def step(tx: db.Tx) -> int:
            before = tx.now - self._deadline_delay
            return await self._change(tx, await tx.all(sql.past_deadline, before=before, limit=STEP), transitions.exceed_deadline)

        return await self._db.transaction(step, bulk=True)

    async def _change(self, tx: db.Tx, rows: Iterable[db.Row], rule: Callable[[Status, int], transitions.Change | None]) -> int:
        """Change those of some tasks that the rule still changes; how many were looked at."""
        due = store.tasks(rows)
        for task in due:
            change = rule(task.status, tx.now)
            if change is not None:
                await self._changes.apply(tx, task, change)
        return len(due)

    async def expire(self) -> int:
        """One step of `expiry`; how many things it removed."""
        return await self._expire_artifacts() + await self._expire_records()

    async def _expire_artifacts(self) -> int:
        before = self._clock.now() - self._expiration_delay
        rows = await self._db.all(sql.expired_artifacts, before=before, limit=STEP)
        keys = [msgspec.json.decode(row["details"])["key"] for row in rows if row["storage_type"] == "s3"]
        if keys and self._artifacts is not None:
            await self._artifacts.delete(keys)
        gone = [{"task_id": row["task_id"], "run_id": row["run_id"], "name": row["name"], "before": before} for row in rows]

        async def forget(tx: db.Tx) -> None:
            await tx.many(sql.delete_artifact, gone)

        if gone:
            await self._db.transaction(forget, bulk=True)
        return len(gone)

    async def _expire_records(self) -> int:
        async def step(tx: db.Tx) -> int:
            before = tx.now - self._expiration_delay
            ids = [{"id": row["id"]} for row in await tx.all(sql.expired_tasks, now=tx.now, limit=STEP)]
            if ids:
                for statement in (sql.delete_dependents, sql.delete_definition, sql.delete_task):
                    await tx.many(statement, ids)
            removed = len(ids) + await tx.execute(sql.expire_groups, before=before, limit=STEP)
            removed += await tx.execute(sql.expire_workers, before=before)
            return removed + await tx.execute(sql.expire_task_queues, before=before)

        return await self._db.transaction(step, bulk=True)

    async def _rounds(self, alarm: Alarm, step: Callable[[], Awaitable[int]], following: Callable[[], Awaitable[int | None]] | None) -> None:
        alarm.reset()
        while await step():
            pass
        due = await following() if following is not None else None
        latest = self._clock.now() + LONGEST
        await alarm.sleep(latest if due is None else min(latest, due))

    async def _next_claim(self) -> int | None:
        value: int | None = await self._db.value(sql.next_claim_end, now=self._clock.now())
        return value

    async def _next_deadline(self) -> int | None:
        value: int | None = await self._db.value(sql.next_deadline)
        return None if value is None else value + self._deadline_delay + 1

    async def _next_expiry(self) -> int | None:
        value: int | None = await self._db.value(sql.next_expiry, delay=self._expiration_delay + 1)
        return value
