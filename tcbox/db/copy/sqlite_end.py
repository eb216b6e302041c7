"""A SQLite file as one side of a copy."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tcbox import errors
from tcbox.db.copy.ends import LEDGER_TABLE, Key, Row, Table
from tcbox.db.errors import DataFolderLocked
from tcbox.db.sqlite.lock import FileLock

T = TypeVar("T")


class SqliteEnd:
    """Reads beside a running instance; writes only when there is none."""

    engine = "sqlite"

    def __init__(self, path: Path, *, write: bool) -> None:
        if not path.exists():
            raise errors.TcboxError(f"there is no database {path}: give the data folder of an instance, or sqlite:///path/to/tcbox.db")
        self.place = str(path)
        self._lock = FileLock(path)
        self._locked = True
        self._held = ""
        try:
            if write or self._lock.path.exists():  # what is read, and no tcbox has ever had open, is left without one
                self._lock.acquire()
        except DataFolderLocked as error:
            self._locked = False
            self._held = str(error)
            if write:
                raise
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={'rw' if write else 'ro'}", uri=True, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA busy_timeout = 30000")
        self._guard = asyncio.Lock()

    async def steps(self) -> list[tuple[str, int, str]]:
        """See the protocol."""
        if not await self._all("SELECT 1 FROM sqlite_master WHERE name = ?", (LEDGER_TABLE,)):
            raise errors.TcboxError(f"{self.place} has no tables of tcbox's")
        return await self._all(f"SELECT service, number, name FROM {LEDGER_TABLE} ORDER BY service, number")  # noqa: S608 - a constant

    async def tables(self) -> list[Table]:
        """See the protocol."""
        names = await self._all("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
        return [await self._table(name) for (name,) in names if name != LEDGER_TABLE]

    async def _table(self, name: str) -> Table:
        described = await self._all(f'PRAGMA table_info("{name}")')
        keys = [row[1] for row in sorted((row for row in described if row[5]), key=lambda row: row[5])]
        return Table(name, (*keys, *sorted(row[1] for row in described if not row[5])), len(keys))

    async def users(self) -> str:
        """See the protocol."""
        return "" if self._locked else self._held.partition(" has the data")[0]

    async def stretch(self, table: Table, after: Key | None, until: Key | None, limit: int) -> list[Row]:
        """See the protocol."""
        keys, holes = _listed(table.columns[: table.keys]), ", ".join("?" * table.keys)
        limits = [f"({keys}) {sign} ({holes})" for sign, key in ((">", after), ("<=", until)) if key is not None]
        where = f"WHERE {' AND '.join(limits)} " if limits else ""
        statement = f'SELECT {_listed(table.columns)} FROM "{table.name}" {where}ORDER BY {keys} LIMIT {limit}'  # noqa: S608 - names are the schema's
        return await self._all(statement, (*(after or ()), *(until or ())))

    async def replace(self, table: Table, gone: Sequence[Key], rows: Sequence[Row]) -> None:
        """See the protocol."""
        holes = ", ".join("?" * len(table.columns))
        matched = " AND ".join(f'"{name}" = ?' for name in table.columns[: table.keys])

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(f'DELETE FROM "{table.name}" WHERE {matched}', gone)  # noqa: S608 - names are the schema's
                connection.executemany(f'INSERT OR REPLACE INTO "{table.name}" ({_listed(table.columns)}) VALUES ({holes})', rows)  # noqa: S608
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

        await self._in_thread(work)

    async def append(self, table: Table, rows: Sequence[Row]) -> None:
        """See the protocol."""
        await self.replace(table, (), rows)

    async def finish(self, tables: Sequence[Table]) -> None:
        """See the protocol; ids go on by themselves."""
        await self._in_thread(lambda connection: connection.execute("PRAGMA optimize").fetchall())

    async def highest(self, table: str, column: str) -> int:
        """See the protocol."""
        found = await self._all(f'SELECT max("{column}") FROM "{table}"')  # noqa: S608 - names are the schema's
        return int(found[0][0] or 0)

    async def largest_event(self) -> int | None:
        """See the protocol."""
        return None

    async def close(self) -> None:
        """See the protocol."""
        self._connection.close()
        self._lock.release()

    async def _all(self, statement: str, params: Sequence[Any] = ()) -> list[Row]:
        return await self._in_thread(lambda connection: connection.execute(statement, params).fetchall())

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._guard:
            try:
                return await asyncio.to_thread(work, self._connection)
            except sqlite3.Error as error:
                raise errors.TcboxError(f"{self.place} cannot be copied: {error}") from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
