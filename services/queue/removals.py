"""Workers that are gone: what they were running is retried at once, rather than when their claims end.

Source: the worker manager's messages `worker-stopped` and `worker-removed`.
"""

from __future__ import annotations

from tcbox import db, log
from tcbox.events import Binding, Event
from tcbox.services.queue import status as statuses
from tcbox.services.queue import store, transitions
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.store import sql

BINDINGS = tuple(Binding(f"exchange/taskcluster-worker-manager/v1/{exchange}") for exchange in ("worker-stopped", "worker-removed"))
"""What to subscribe to."""

STEP = 1000


class Removals:
    """Ends the runs of workers that are gone."""

    def __init__(self, database: db.Database, changes: Changes) -> None:
        self._db = database
        self._changes = changes
        self._log = log.get("queue")

    async def handle(self, event: Event) -> None:
        """A message that a worker has stopped, or was removed."""
        payload = event.payload
        await self.worker_removed(payload["workerPoolId"], payload["workerGroup"], payload["workerId"], payload.get("reason"))

    async def worker_removed(self, worker_pool_id: str, worker_group: str, worker_id: str, reason: str | None = None) -> int:
        """End what this worker was running as `worker-shutdown`; how many runs that were."""
        ended = 0
        for task_id, run_id in await self._runs(worker_pool_id, worker_group, worker_id):
            ended += await self._end(task_id, run_id)
        if ended:
            self._log.info(
                "worker %s/%s is gone (%s): %d runs ended", worker_group, worker_id, reason or "unknown", ended,
                extra={"workerPoolId": worker_pool_id},
            )  # fmt: skip
        return ended

    async def _runs(self, task_queue_id: str, worker_group: str, worker_id: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        taken_until = after = 0
        while True:
            rows = await self._db.all(sql.claimed_statuses, task_queue_id=task_queue_id, taken_until=taken_until, after=after, limit=STEP)
            for row in rows:
                status = statuses.decode(row["status"])
                run = status.runs[-1]
                if (run.worker_group, run.worker_id) == (worker_group, worker_id):
                    found.append((status.task_id, run.run_id))
            if len(rows) < STEP:
                return found
            taken_until, after = rows[-1]["taken_until"], rows[-1]["id"]

    async def _end(self, task_id: str, run_id: int) -> int:
        async def end(tx: db.Tx) -> int:
            row = await tx.one(sql.lock_task, task_id=task_id)
            if row is None:
                return 0
            task = store.task(row)
            change = transitions.resolve(task.status, run_id, tx.now, "exception", "worker-shutdown")
            if change is None:
                return 0
            await self._changes.apply(tx, task, change)
            return 1

        return await self._db.transaction(end)
