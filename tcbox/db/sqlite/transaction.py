"""One transaction function on SQLite: what it is given, and how it is run to its end without an event loop."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from tcbox.db.errors import DatabaseError, ForeignAwait
from tcbox.db.interface import Row, Tx
from tcbox.db.queries import Query
from tcbox.db.sqlite import statements
from tcbox.db.sqlite.statements import Runner

T = TypeVar("T")


class SqliteTx:
    """The transaction as its function sees it; its methods never suspend."""

    __slots__ = ("_runner", "callbacks", "failure", "now")

    def __init__(self, runner: Runner, now: int) -> None:
        self.now = now
        self.callbacks: list[Callable[[], None]] = []
        self.failure: Exception | None = None
        self._runner = runner

    async def execute(self, query: Query, /, **params: Any) -> int:
        """Run a statement; the number of rows that it changed."""
        return self._run(query, params, statements.changed)

    async def one(self, query: Query, /, **params: Any) -> Row | None:
        """The first row, or None."""
        row: Row | None = self._run(query, params, statements.first)
        return row

    async def all(self, query: Query, /, **params: Any) -> list[Row]:
        """All rows."""
        return self._run(query, params, statements.every)

    async def value(self, query: Query, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        row = self._run(query, params, statements.first)
        return None if row is None else row[0]

    async def many(self, query: Query, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Run a statement once for each set of parameters."""
        self._refuse_if_failed(query)
        try:
            self._runner.many(query, rows)
        except DatabaseError as error:
            self.failure = error
            raise

    def after_commit(self, callback: Callable[[], None], /) -> None:
        """Call this after the commit."""
        self.callbacks.append(callback)

    def _run(self, query: Query, params: dict[str, Any], take: Callable[[sqlite3.Cursor], T]) -> T:
        if self.failure is not None:
            self._refuse_if_failed(query)
        try:
            return self._runner.run(query, params, take)
        except Exception as error:
            self.failure = error
            raise

    def _refuse_if_failed(self, query: Query) -> None:
        if self.failure is not None:
            raise DatabaseError(
                f"{query.name} cannot run, for an earlier statement of this transaction failed: let that error out of the transaction's function"
            ) from self.failure


def drive(fn: Callable[[Tx], Awaitable[T]], tx: SqliteTx) -> T:
    """What the function returns, run to its end here and now.

    Raises what it raises, the failure of a statement that it swallowed, and ForeignAwait when it awaits anything else.
    """
    coroutine: Any = fn(tx)
    steps = coroutine if hasattr(coroutine, "send") else coroutine.__await__()
    try:
        steps.send(None)
    except StopIteration as end:
        if tx.failure is not None:
            raise tx.failure from None
        result: T = end.value
        return result
    except RuntimeError as error:
        if "running event loop" in str(error):  # what asyncio says to a bulk transaction, in the writer's thread
            raise _foreign(fn) from error
        raise
    refusal = _foreign(fn)
    try:
        steps.throw(refusal)  # at the place of the foreign await, so that the traceback shows it
    except StopIteration:
        pass
    finally:
        steps.close()
    raise refusal


def _foreign(fn: object) -> ForeignAwait:
    name = getattr(fn, "__qualname__", repr(fn))
    return ForeignAwait(
        f"the transaction function {name} awaited something other than its transaction: do that before or after `database.transaction`, and hand its outcome in"
    )
