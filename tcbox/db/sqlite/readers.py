"""Reads that may take long: on a few connections with a thread each, so that the event loop goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tcbox.db.interface import Row
from tcbox.db.queries import Query
from tcbox.db.sqlite import failures, statements
from tcbox.db.stats import Stats

if TYPE_CHECKING:
    import aiosqlite

COUNT = 2


class Readers:
    """Connections that are opened, by `connect`, when they are first needed, and handed from read to read."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], stats: Stats, place: str) -> None:
        self._connect = connect
        self._stats = stats
        self._place = place
        self._free: list[aiosqlite.Connection] = []
        self._all: list[aiosqlite.Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(COUNT)
        self._open = True

    async def all(self, query: Query, params: dict[str, Any]) -> list[Row]:
        """All rows of a statement."""
        if len(params) != query.arity:
            raise statements.misfit(query, params)
        async with self._places:
            connection = await self._take()
            started = perf_counter()
            try:
                rows = await connection.execute_fetchall(query.sqlite, params)
            except (sqlite3.Error, OverflowError) as error:
                raise statements.failed(error, query, params, self._place) from error
            finally:
                self._free.append(connection)
                stat = self._stats[query.name]
                stat.calls += 1
                stat.seconds += perf_counter() - started
        return list(rows)

    async def close(self) -> None:
        """Close every connection, after the reads on it."""
        self._open = False
        await asyncio.gather(*self._opening, return_exceptions=True)  # whoever asked for it is told
        while self._all:
            await self._all.pop().close()

    async def _take(self) -> aiosqlite.Connection:
        while self._open and not self._free:
            opening = asyncio.create_task(self._connected())
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)
            await asyncio.shield(opening)  # it goes on without a read that was given up, so that `close` ends its thread
        if not self._open:
            raise failures.closed(self._place)
        return self._free.pop()

    async def _connected(self) -> None:
        import aiosqlite

        connection = await aiosqlite.Connection(self._connect, iter_chunk_size=64)
        self._all.append(connection)
        self._free.append(connection)
