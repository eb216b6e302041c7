"""One statement on a PostgreSQL connection: parameters put in order, failure put into words, cost counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tcbox.db.errors import DatabaseError
from tcbox.db.postgres import failures
from tcbox.db.queries import Query
from tcbox.db.stats import Stats

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy


class Runner:
    """A connection with what every statement on it needs."""

    __slots__ = ("_connection", "_place", "_stats")

    def __init__(self, connection: PoolConnectionProxy, stats: Stats, place: str) -> None:
        self._connection = connection
        self._stats = stats
        self._place = place

    async def execute(self, query: Query, params: dict[str, Any]) -> int:
        """Run a statement; how many rows it changed, from the command's tag (`UPDATE 3`)."""
        tag: str = await self._run(query, self._connection.execute, query.postgres, *arguments(query, params))
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() and not tag.startswith("SELECT") else 0

    async def first(self, query: Query, params: dict[str, Any]) -> Any:
        """The first row, or None."""
        return await self._run(query, self._connection.fetchrow, query.postgres, *arguments(query, params))

    async def every(self, query: Query, params: dict[str, Any]) -> list[Any]:
        """All rows."""
        rows: list[Any] = await self._run(query, self._connection.fetch, query.postgres, *arguments(query, params))
        return rows

    async def many(self, query: Query, rows: Sequence[Mapping[str, Any]]) -> None:
        """The statement once for each set of parameters."""
        sets = [arguments(query, params) for params in rows]
        await self._run(query, self._connection.executemany, query.postgres, sets)

    async def _run(self, query: Query, call: Any, *args: Any) -> Any:
        started = perf_counter()
        with failures.translated(query, self._place):
            result = await call(*args)
        stat = self._stats[query.name]
        stat.calls += 1
        stat.seconds += perf_counter() - started
        return result


def arguments(query: Query, params: Mapping[str, Any]) -> list[Any]:
    """The parameters in the order of the statement's `$1`, `$2`, …"""
    try:
        values = [params[name] for name in query.params]
    except KeyError:
        values = []
    if len(values) != query.arity or len(params) != query.arity:
        raise DatabaseError(f"{query.name} was called with other parameters than it has: {query.misfit(params)}")
    return values
