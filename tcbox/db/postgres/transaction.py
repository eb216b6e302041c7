"""One attempt at a transaction function on PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from tcbox.db.errors import DatabaseError
from tcbox.db.interface import Row
from tcbox.db.postgres.statements import Runner
from tcbox.db.queries import Query

T = TypeVar("T")


class PostgresTx:
    """The transaction as its function sees it."""

    __slots__ = ("_runner", "callbacks", "failure", "now")

    def __init__(self, runner: Runner, now: int) -> None:
        self.now = now
        self.callbacks: list[Callable[[], None]] = []
        self.failure: Exception | None = None
        self._runner = runner

    async def execute(self, query: Query, /, **params: Any) -> int:
        """Run a statement; the number of rows that it changed."""
        return await self._guarded(query, self._runner.execute(query, params))

    async def one(self, query: Query, /, **params: Any) -> Row | None:
        """The first row, or None."""
        row: Row | None = await self._guarded(query, self._runner.first(query, params))
        return row

    async def all(self, query: Query, /, **params: Any) -> list[Row]:
        """All rows."""
        return await self._guarded(query, self._runner.every(query, params))

    async def value(self, query: Query, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        row = await self.one(query, **params)
        return None if row is None else row[0]

    async def many(self, query: Query, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Run a statement once for each set of parameters."""
        await self._guarded(query, self._runner.many(query, rows))

    def after_commit(self, callback: Callable[[], None], /) -> None:
        """Call this after the commit."""
        self.callbacks.append(callback)

    async def _guarded(self, query: Query, statement: Awaitable[T]) -> T:
        if self.failure is not None:
            _discard(statement)
            raise DatabaseError(
                f"{query.name} cannot run, for an earlier statement of this transaction failed: let that error out of the transaction's function"
            ) from self.failure
        try:
            return await statement
        except Exception as error:
            self.failure = error
            raise


def _discard(statement: Any) -> None:
    statement.close()
