"""Reads that may take long: on a few connections with a thread each, so that the event loop goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tcbox.db.interface import Row
from tcbox.db.queries import Query
from tcbox.db.sqlite import statements
from tcbox.db.stats import Stats

if TYPE_CHECKING:
    import aiosqlite

COUNT = 2


class Readers:
    """Connections that are opened when they are first needed, and handed from read to read."""

    def __init__(self, path: Path, stats: Stats, pragmas: Sequence[str]) -> None:
        self._path = path
        self._stats = stats
        self._pragmas = pragmas
        self._free: list[aiosqlite.Connection] = []
        self._all: list[aiosqlite.Connection] = []
        self._places = asyncio.Semaphore(COUNT)

    async def all(self, query: Query, params: dict[str, Any]) -> list[Row]:
        """All rows of a statement."""
        if len(params) != query.arity:
            raise statements.misfit(query, params)
        async with self._places:
            connection = self._free.pop() if self._free else await self._open()
            started = perf_counter()
            try:
                rows = await connection.execute_fetchall(query.sqlite, params)
            except (sqlite3.Error, OverflowError) as error:
                raise statements.failed(error, query, params, str(self._path)) from error
            finally:
                self._free.append(connection)
                stat = self._stats[query.name]
                stat.calls += 1
                stat.seconds += perf_counter() - started
        return list(rows)

    async def close(self) -> None:
        """Close every connection, after the reads on it."""
        connections, self._all = self._all, []
        for connection in connections:
            await connection.close()

    async def _open(self) -> aiosqlite.Connection:
        import aiosqlite

        connection = await aiosqlite.connect(self._path, isolation_level=None, cached_statements=256)
        self._all.append(connection)
        connection.row_factory = sqlite3.Row
        for pragma in self._pragmas:
            await connection.execute_fetchall(f"PRAGMA {pragma}")
        return connection
