"""One statement on a SQLite connection: parameters checked, failure put into words, cost counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, TypeVar

from tcbox.db.errors import DatabaseError
from tcbox.db.queries import Query
from tcbox.db.sqlite import failures
from tcbox.db.stats import Stats

T = TypeVar("T")

first = sqlite3.Cursor.fetchone
every = sqlite3.Cursor.fetchall


def changed(cursor: sqlite3.Cursor) -> int:
    """How many rows a statement changed."""
    return max(cursor.rowcount, 0)


class Runner:
    """A connection with what every statement on it needs."""

    __slots__ = ("connection", "place", "stats")

    def __init__(self, connection: sqlite3.Connection, stats: Stats, place: str) -> None:
        self.connection = connection
        self.stats = stats
        self.place = place

    def run(self, query: Query, params: dict[str, Any], take: Callable[[sqlite3.Cursor], T]) -> T:
        """What `take` makes of the statement's cursor; the cursor ends with it, so that no snapshot stays open."""
        started = perf_counter()
        if len(params) != query.arity:
            raise misfit(query, params)
        try:
            result = take(self.connection.execute(query.sqlite_numbered, query.pick(params)))
        except (sqlite3.Error, OverflowError, KeyError) as error:
            raise failed(error, query, params, self.place) from error
        stat = self.stats[query.name]
        stat.calls += 1
        stat.seconds += perf_counter() - started
        return result

    def many(self, query: Query, rows: Sequence[Mapping[str, Any]]) -> None:
        """The statement once for each set of parameters."""
        started = perf_counter()
        names = frozenset(query.params)
        for params in rows:
            if params.keys() != names:
                raise misfit(query, params)
        try:
            self.connection.executemany(query.sqlite_numbered, map(query.pick, rows))
        except (sqlite3.Error, OverflowError) as error:
            raise failures.translated(error, query, self.place) from error
        stat = self.stats[query.name]
        stat.calls += 1
        stat.seconds += perf_counter() - started


def misfit(query: Query, params: Mapping[str, Any]) -> DatabaseError:
    """The refusal of parameters that are too many or too few; SQLite itself would ignore one too many."""
    return DatabaseError(f"{query.name} was called with other parameters than it has: {query.misfit(params)}")


def failed(error: Exception, query: Query, params: Mapping[str, Any], place: str) -> Exception:
    """The error that the caller of a statement sees."""
    return misfit(query, params) if query.misfit(params) else failures.translated(error, query, place)
