"""Where the requests are kept."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tcbox import clock as clocks
from tcbox import db

sql = db.load(Path(__file__).parent / "sql", "purge-cache")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "purge-cache")

LIFE = 1 * clocks.DAY
"""For how long, in ms, a request is shown."""
_PAGE = 1000
_BATCH = 500


class Request(NamedTuple):
    """Caches of this name in this pool that were made before that time, in ms, are to be thrown away."""

    worker_pool_id: str
    cache_name: str
    before: int


class Store:
    """The requests of an instance."""

    def __init__(self, database: db.Database) -> None:
        self._database = database

    async def request(self, worker_pool_id: str, cache_name: str) -> None:
        """Request that caches be thrown away that were made until now; a later request for the same ones has a later time."""

        async def request(tx: db.Tx) -> None:
            await tx.execute(sql.put_request, worker_pool_id=worker_pool_id, cache_name=cache_name, before=tx.now, expires=tx.now + LIFE)

        await self._database.transaction(request)

    async def all(self, worker_pool_id: str, cache_name: str, now: int, limit: int) -> list[Request]:
        """So many requests that have not expired, in order, after one."""
        rows = await self._database.all(sql.list_requests, worker_pool_id=worker_pool_id, cache_name=cache_name, now=now, limit=limit)
        return list(map(_request, rows))

    async def of_pool(self, worker_pool_id: str, since: int, now: int) -> list[Request]:
        """All requests for a pool, since a time in ms, that have not expired."""
        found: list[Request] = []
        first = ""
        while True:
            rows = await self._database.all(sql.pool_requests, worker_pool_id=worker_pool_id, since=since, first=first, now=now, limit=_PAGE)
            found += map(_request, rows)
            if len(rows) < _PAGE:
                return found
            first = rows[-1]["cache_name"] + "\1"  # the first name after it, as there is none with a NUL

    async def expire(self) -> int:
        """Forget the requests that have expired, in batches; gives how many."""
        total = 0
        while count := await self._database.transaction(lambda tx: tx.execute(sql.expire_requests, now=tx.now, limit=_BATCH)):
            total += count
        return total


def _request(row: db.Row) -> Request:
    return Request(row["worker_pool_id"], row["cache_name"], row["before"])
