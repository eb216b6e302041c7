"""Errors of pools: written and announced in one transaction, whatever becomes of the mail about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, ids, log
from tcbox.events import Bus
from tcbox.services.worker_manager import events, store
from tcbox.services.worker_manager.model import Pool, PoolError
from tcbox.services.worker_manager.providers.interface import Trouble
from tcbox.services.worker_manager.store import sql

OTHER = "other"
"""What errors without a code are counted under."""


class Reports:
    """The errors of all pools.

    Args:
        retention: ms for which they are kept.
    """

    def __init__(self, database: db.Database, bus: Bus, clock: clocks.Clock, *, retention: int) -> None:
        self._db = database
        self._bus = bus
        self._clock = clock
        self._retention = retention
        self._log = log.get("worker-manager")

    async def add(self, pool: Pool, trouble: Trouble, *, launch_config_id: str | None = None, mail: bool = True, once_in: int = 0) -> PoolError | None:
        """Report an error of a pool.

        Args:
            mail: whether the owner is told by mail too, if the pool wants that, and was not told the same in the last day.
            once_in: ms within which the same is not reported again; None is given then.
        """

        async def add(tx: db.Tx) -> PoolError | None:
            return await self.write(tx, pool, trouble, launch_config_id=launch_config_id, mail=mail, once_in=once_in)

        found = await self._db.transaction(add)
        if found is not None:
            self._log.warning(
                "worker pool %s: %s",
                pool.worker_pool_id,
                trouble.title,
                extra={"kind": trouble.kind, "errorId": found.error_id, "description": trouble.description},
            )
        return found

    async def write(
        self, tx: db.Tx, pool: Pool, trouble: Trouble, *, launch_config_id: str | None = None, mail: bool = True, once_in: int = 0
    ) -> PoolError | None:  # fmt: skip
        """The same, in a transaction that changes something else too."""
        extra = msgspec.json.encode(trouble.extra).decode()
        digest = hashlib.sha256(f"{trouble.kind}\0{trouble.title}\0{trouble.description}\0{extra}".encode()).hexdigest()
        name = {"worker_pool_id": pool.worker_pool_id}
        last = await tx.value(sql.same_error, digest=digest, since=tx.now - max(clocks.DAY, once_in), **name)
        if last is not None and last > tx.now - once_in:
            return None
        made = PoolError(
            pool.worker_pool_id, ids.slugid(), tx.now, trouble.kind[:128], trouble.title[:128], trouble.description[:10240], extra, launch_config_id
        )
        await tx.execute(
            sql.add_error, error_id=made.error_id, now=tx.now, kind=made.kind, title=made.title, code=_code(trouble.extra), launch_config_id=launch_config_id,
            digest=digest, mail_at=tx.now if mail and pool.email_on_error and last is None else None, description=made.description, extra=extra, **name,
        )  # fmt: skip
        await self._bus.publish_all(tx, [events.error(pool, made)])
        return made

    async def page(self, worker_pool_id: str, launch_config_id: str, before: tuple[int, str], limit: int) -> list[PoolError]:
        """A pool's errors, the latest first, before one."""
        rows = await self._db.all(
            sql.list_errors, worker_pool_id=worker_pool_id, launch_config_id=launch_config_id, reported=before[0], error_id=before[1], limit=limit
        )
        return [store.error(row) for row in rows]

    async def get(self, worker_pool_id: str, error_id: str) -> PoolError | None:
        """One error of a pool."""
        row = await self._db.point(sql.get_error, worker_pool_id=worker_pool_id, error_id=error_id)
        return None if row is None else store.error(row)

    async def counts(self, worker_pool_id: str, since: int) -> list[db.Row]:
        """How many errors there were since a time, by pool, launch configuration, title, code and hour; of all pools for an empty name."""
        if worker_pool_id:
            return await self._db.all(sql.count_errors_of_pool, worker_pool_id=worker_pool_id, since=since)
        return await self._db.all(sql.count_errors, since=since)

    async def expire(self) -> None:
        """Forget errors that are past their time."""
        before = self._clock.now() - self._retention

        async def some(tx: db.Tx) -> int:
            rows = await tx.all(sql.expire_errors, before=before, limit=store.STEP)
            await tx.many(sql.remove_error, [{"worker_pool_id": row["worker_pool_id"], "error_id": row["error_id"]} for row in rows])
            return len(rows)

        while await self._db.transaction(some) == store.STEP:
            pass


def _code(extra: Mapping[str, Any]) -> str:
    code = extra.get("code", OTHER)
    return code if isinstance(code, str) else msgspec.json.encode(code).decode()
