"""Who does a piece of work, when several processes run the same loops on one database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tcbox import clock as clocks
from tcbox import db, ids
from tcbox.services.worker_manager.store import sql

SPAN = 5 * clocks.MINUTE
"""After which a lease is free again, in ms, should its holder have died."""


class Lease:
    """A lease that is held. Every transaction that must not happen twice asks `check` first."""

    def __init__(self, database: db.Database, name: str, holder: str) -> None:
        self._db = database
        self._name = name
        self._holder = holder

    async def check(self, tx: db.Tx) -> bool:
        """Whether it is still held, and will be until the transaction ends."""
        return await tx.one(sql.holds_lease, name=self._name, holder=self._holder, now=tx.now) is not None

    async def prolong(self) -> bool:
        """Hold it for a full span from now; whether it could be."""
        name, holder = self._name, self._holder

        async def take(tx: db.Tx) -> int:
            return await tx.execute(sql.take_lease, name=name, holder=holder, now=tx.now, until=tx.now + SPAN)

        return await self._db.transaction(take) > 0

    async def end(self) -> None:
        """Give it back."""
        await self._db.transaction(lambda tx: tx.execute(sql.end_lease, name=self._name, holder=self._holder))


class Leases:
    """Takes leases in the name of this process."""

    def __init__(self, database: db.Database) -> None:
        self._db = database
        self._holder = ids.slugid()

    @asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[Lease | None]:
        """Hold a lease within the block; None when another process does."""
        lease = Lease(self._db, name, self._holder)
        if not await lease.prolong():
            yield None
            return
        try:
            yield lease
        finally:
            await lease.end()

    async def expire(self, now: int) -> None:
        """Forget what those left behind who have died."""
        await self._db.transaction(lambda tx: tx.execute(sql.expire_leases, before=now - clocks.HOUR))
