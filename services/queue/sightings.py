"""Who was seen when: workers and task queues, and what each worker claimed lately.

Written outside the way of a claim: a worker or task queue when it is first seen and then every so often, and the
claimed tasks a moment later, by the `sightings` loop or when somebody asks.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.queue.store import sql

RECENT = 20
"""Tasks that are remembered for each worker."""

WORKER_LIFE = 1 * clocks.DAY
TASK_QUEUE_LIFE = 5 * clocks.DAY
NEVER = 3650 * clocks.DAY
"""How far back the end of quarantine lies for a worker that never was in it."""

Key = tuple[str, str, str]
_encode = msgspec.json.Encoder().encode


class Sightings:
    """Keeps the records of workers and task queues.

    Args:
        frequency: how often what is seen all the time is written, in ms.
    """

    def __init__(self, database: db.Database, clock: clocks.Clock, *, frequency: int = 30 * clocks.MINUTE) -> None:
        self._db = database
        self._clock = clock
        self._frequency = frequency
        self._next: dict[tuple[str, ...], int] = {}
        self._claimed: defaultdict[Key, list[dict[str, object]]] = defaultdict(list)

    async def worker(self, task_queue_id: str, worker_group: str, worker_id: str) -> None:
        """A worker has called; written when it is the first time, or long since the last."""
        now = self._clock.now()
        key = (task_queue_id, worker_group, worker_id)
        if now < self._next.get(key, 0):
            return
        self._next[key] = now + self._frequency
        await self.declare(task_queue_id, worker_group, worker_id, now + WORKER_LIFE)

    async def task_queue(self, task_queue_id: str) -> None:
        """A task queue is in use; written when it is the first time, or long since the last."""
        now = self._clock.now()
        if now < self._next.get((task_queue_id,), 0):
            return
        self._next[(task_queue_id,)] = now + self._frequency

        async def see(tx: db.Tx) -> None:
            await tx.execute(sql.see_task_queue, task_queue_id=task_queue_id, expires=now + TASK_QUEUE_LIFE, now=tx.now)

        await self._db.transaction(see)

    async def declare(self, task_queue_id: str, worker_group: str, worker_id: str, expires: int) -> None:
        """Write a worker and its task queue, not to expire before a time."""

        async def see(tx: db.Tx) -> None:
            await tx.execute(sql.see_task_queue, task_queue_id=task_queue_id, expires=expires, now=tx.now)
            await tx.execute(
                sql.see_worker, task_queue_id=task_queue_id, worker_group=worker_group, worker_id=worker_id,
                expires=expires, now=tx.now, quarantine_until=tx.now - NEVER,
            )  # fmt: skip

        await self._db.transaction(see)

    def claimed(self, task_queue_id: str, worker_group: str, worker_id: str, task_id: str, run_id: int) -> None:
        """A worker has claimed a run."""
        recent = self._claimed[task_queue_id, worker_group, worker_id]
        recent.append({"taskId": task_id, "runId": run_id})
        if len(recent) > RECENT:
            del recent[0]

    async def flush(self) -> None:
        """Write what workers have claimed since the last time."""
        if not self._claimed:
            return
        claimed, self._claimed = self._claimed, defaultdict(list)
        keys = sorted(claimed)
        for start in range(0, len(keys), 100):
            await self._write({key: claimed[key] for key in keys[start : start + 100]})
        now = self._clock.now()
        if len(self._next) > 10_000:
            self._next = {key: due for key, due in self._next.items() if due > now}

    async def _write(self, claimed: dict[Key, list[dict[str, object]]]) -> None:
        async def write(tx: db.Tx) -> None:
            for (task_queue_id, worker_group, worker_id), runs in claimed.items():
                key = {"task_queue_id": task_queue_id, "worker_group": worker_group, "worker_id": worker_id}
                stored = await tx.value(sql.get_recent_tasks, **key)
                if stored is not None:
                    recent = [*msgspec.json.decode(stored), *runs][-RECENT:]
                    await tx.execute(sql.save_recent_tasks, recent_tasks=_encode(recent).decode(), **key)

        await self._db.transaction(write)
