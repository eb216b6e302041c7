"""What is done to workers: each change of state with its message, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from tcbox import clock as clocks
from tcbox import db, errors
from tcbox.events import Bus
from tcbox.services.worker_manager import events, model, store
from tcbox.services.worker_manager.model import Key, Worker
from tcbox.services.worker_manager.store import sql

SOON, LATER = 7 * clocks.DAY, 8 * clocks.DAY
"""A machine that is there is not forgotten: a worker that expires within the one is kept for the other."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where a list by time goes on: before a worker that was made then."""

    created: int = store.LATEST
    worker_group: str = store.LAST
    worker_id: str = store.LAST


class Workers:
    """The workers of an instance."""

    def __init__(self, database: db.Database, bus: Bus) -> None:
        self._db = database
        self._bus = bus

    async def find(self, worker_pool_id: str, worker_group: str, worker_id: str) -> Worker | None:
        """One worker; None when there is none."""
        row = await self._db.point(sql.get_worker, worker_pool_id=worker_pool_id, worker_group=worker_group, worker_id=worker_id)
        return None if row is None else store.worker(row)

    async def get(self, worker_pool_id: str, worker_group: str, worker_id: str) -> Worker:
        """One worker. Raises ResourceNotFound."""
        found = await self.find(worker_pool_id, worker_group, worker_id)
        if found is None:
            raise absent((worker_pool_id, worker_group, worker_id))
        return found

    async def latest(self, worker_pool_id: str, before: Page, limit: int, *, state: str = "", launch_config_id: str = "") -> list[Worker]:
        """A pool's workers, the latest first."""
        return self._made(await self._db.all(
            sql.list_workers, worker_pool_id=worker_pool_id, created=before.created, worker_group=before.worker_group, worker_id=before.worker_id,
            state=state, launch_config_id=launch_config_id, limit=limit,
        ))  # fmt: skip

    async def of_group(self, worker_pool_id: str, worker_group: str, after: str, limit: int) -> list[Worker]:
        """The workers of one group of a pool by id, after one."""
        return self._made(await self._db.all(sql.list_group, worker_pool_id=worker_pool_id, worker_group=worker_group, after=after, limit=limit))

    async def by_name(self, worker_pool_id: str, after: tuple[str, str], limit: int) -> list[Worker]:
        """A pool's workers by group and id, after one."""
        return self._made(await self._db.all(sql.list_by_name, worker_pool_id=worker_pool_id, after_group=after[0], after_id=after[1], limit=limit))

    async def live(self) -> AsyncIterator[list[Worker]]:
        """All workers that have not stopped and whose machines are looked after here, in pages by name."""
        after = ("", "", "")
        while True:
            rows = await self._db.all(sql.live_workers, after_pool=after[0], after_group=after[1], after_id=after[2], limit=store.STEP)
            if found := self._made(rows):
                yield found
                after = found[-1].key
            if len(rows) < store.STEP:
                return

    async def live_of(self, worker_pool_id: str) -> list[Worker]:
        """All workers of a pool that have not stopped."""
        found: list[Worker] = []
        while True:
            after = (found[-1].worker_group, found[-1].worker_id) if found else ("", "")
            rows = await self._db.all(sql.live_workers_of, worker_pool_id=worker_pool_id, after_group=after[0], after_id=after[1], limit=store.STEP)
            found += self._made(rows)
            if len(rows) < store.STEP:
                return found

    async def has_live(self, provider_id: str, worker_group: str, worker_id: str) -> bool:
        """Whether a provider has a worker of this group and id, in whatever pool, that has not stopped."""
        return await self._db.one(sql.has_live_machine, provider_id=provider_id, worker_group=worker_group, worker_id=worker_id) is not None

    async def create(self, key: Key, provider_id: str, *, capacity: int, expires: int, static_secret: bytes) -> tuple[Worker, bool]:
        """A worker that is made by hand and may register at once, and whether it is new."""

        async def create(tx: db.Tx) -> tuple[Worker, bool]:
            added = await tx.execute(
                sql.add_worker, worker_pool_id=key[0], worker_group=key[1], worker_id=key[2], provider_id=provider_id, launch_config_id=None,
                state=model.RUNNING, capacity=capacity, now=tx.now, expires=expires, terminate_after=None, reregistration_timeout=None,
                queue_inactivity_timeout=None, static_secret=static_secret, provider_data="{}", worker_config=None,
            )  # fmt: skip
            made = await _read(tx, key)
            if added:
                await self._bus.publish_all(tx, [events.worker(events.worker_requested, made, tx.now)])
            return made, added > 0

        return await self._db.transaction(create)

    async def change(self, worker: Worker, *, capacity: int, expires: int, static_secret: bytes | None) -> Worker:
        """A worker that was made by hand, as it is to be. Raises ResourceNotFound when it is gone."""

        async def change(tx: db.Tx) -> Worker:
            changed = await tx.execute(
                sql.change_worker, expires=expires, capacity=capacity, static_secret=static_secret or worker.static_secret, now=tx.now, **store.where(worker)
            )
            if not changed:
                raise absent(worker.key)
            return await _read(tx, worker.key)

        return await self._db.transaction(change)

    async def register(self, worker: Worker, state: str, secret: bytes, terminate_after: int | None) -> bool:
        """A worker has proved who it is; whether it was in the state in which it may register."""

        async def register(tx: db.Tx) -> bool:
            done = await tx.execute(sql.register_worker, secret=secret, terminate_after=terminate_after, now=tx.now, state=state, **store.where(worker))
            if done:
                await self._bus.publish_all(tx, [events.worker(events.worker_running, worker, tx.now)])
            return done > 0

        return await self._db.transaction(register)

    async def reregister(self, worker: Worker, known: bytes, secret: bytes, terminate_after: int) -> bool:
        """A worker has come again with the secret from the last time; False when another was faster, or it may not any more."""

        async def reregister(tx: db.Tx) -> int:
            return await tx.execute(sql.reregister_worker, known=known, secret=secret, terminate_after=terminate_after, now=tx.now, **store.where(worker))

        return await self._db.transaction(reregister) > 0

    async def begin_removal(self, worker: Worker, reason: str) -> bool:
        """A worker's machine is to go; False when it was going already."""

        async def begin(tx: db.Tx) -> bool:
            begun = await tx.execute(sql.begin_removal, now=tx.now, **store.where(worker))
            if begun:
                await self._bus.publish_all(tx, [events.worker(events.worker_removed, worker, tx.now, reason)])
            return begun > 0

        return await self._db.transaction(begin)

    async def stop(self, worker: Worker, *, removed: str | None = None) -> bool:
        """A worker has stopped; False when it had already.

        Args:
            removed: the reason why it was removed at once, to be announced too.
        """

        async def stop(tx: db.Tx) -> bool:
            stopped = await tx.execute(sql.stop_worker, now=tx.now, **store.where(worker))
            if stopped:
                messages = [events.worker(events.worker_removed, worker, tx.now, removed)] if removed else []
                await self._bus.publish_all(tx, [*messages, events.worker(events.worker_stopped, worker, tx.now)])
            return stopped > 0

        return await self._db.transaction(stop)

    async def checked(self, seen: Sequence[tuple[Worker, str]]) -> None:
        """Note that workers' machines are there, each with what its provider keeps of it."""

        async def note(tx: db.Tx) -> None:
            rows = [{"now": tx.now, "soon": tx.now + SOON, "later": tx.now + LATER, "provider_data": data, **store.where(worker)} for worker, data in seen]
            await tx.many(sql.check_worker, rows)

        if seen:
            await self._db.transaction(note)

    async def decide(self, decided: Sequence[tuple[Worker, bool, str]]) -> None:
        """Note of workers whether they should end, and why, where that is new."""
        rows = [
            {"terminate": int(terminate), "reason": reason, **store.where(worker)}
            for worker, terminate, reason in decided
            if (worker.terminate, worker.reason) != (terminate, reason)
        ]

        async def note(tx: db.Tx) -> None:
            await tx.many(sql.decide_worker, rows)

        if rows:
            await self._db.transaction(note)

    async def expire(self, keep: Callable[[Worker], bool]) -> None:
        """Forget workers that have expired; one that had not stopped is announced as removed.

        Args:
            keep: whether a worker must not be forgotten yet, for its machine may still be there.
        """
        after = (0, "", "", "")

        async def some(tx: db.Tx) -> list[Worker]:
            rows = await tx.all(
                sql.expired_workers, now=tx.now, limit=store.STEP, expires=after[0], after_pool=after[1], after_group=after[2], after_id=after[3]
            )
            found = self._made(rows)
            for worker in found:
                if keep(worker) or not await tx.execute(sql.remove_expired_worker, now=tx.now, **store.where(worker)):
                    continue
                if worker.state != model.STOPPED:
                    removed = events.worker(events.worker_removed, worker, tx.now, "it has expired")
                    await self._bus.publish_all(tx, [removed, events.worker(events.worker_stopped, worker, tx.now)])
            return found

        while len(found := await self._db.transaction(some)) == store.STEP:
            after = (found[-1].expires, *found[-1].key)

    @staticmethod
    def _made(rows: Sequence[db.Row]) -> list[Worker]:
        return [store.worker(row) for row in rows]


async def _read(tx: db.Tx, key: Key) -> Worker:
    row = await tx.one(sql.get_worker, worker_pool_id=key[0], worker_group=key[1], worker_id=key[2])
    if row is None:
        raise absent(key)
    return store.worker(row)


def absent(key: Key) -> errors.ResourceNotFound:
    """The refusal of what needs a worker that is not there."""
    return errors.ResourceNotFound(
        "Worker not found: there is no {workerGroup}/{workerId} in {workerPoolId}. listWorkersForWorkerPool shows those there are.",
        workerPoolId=key[0], workerGroup=key[1], workerId=key[2],
    )  # fmt: skip
