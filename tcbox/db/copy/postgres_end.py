"""A PostgreSQL database as one side of a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from tcbox import errors
from tcbox.db.copy.ends import LEDGER_TABLE, Key, Row, Table
from tcbox.db.postgres import address

_TABLES = """
SELECT c.oid, c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname
"""
_COLUMNS = """
SELECT a.attname, coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0) AS place
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
"""
_IDENTITIES = """
SELECT a.attname FROM pg_attribute a WHERE a.attrelid = $1::regclass AND a.attidentity <> '' AND NOT a.attisdropped
"""
_OTHERS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'tcbox%'
"""


class PostgresEnd:
    """A connection of its own, on which tcbox's schema comes first."""

    engine = "postgres"

    def __init__(self, connection: asyncpg.Connection, place: str) -> None:
        self._connection = connection
        self.place = place

    @classmethod
    async def open(cls, url: str) -> PostgresEnd:
        """Connect. Raises TcboxError when that fails."""
        parsed = address.parse(url)
        settings = {"application_name": "copying tcbox"}
        if parsed.schema:
            settings["search_path"] = parsed.schema
        try:
            return cls(await asyncpg.connect(parsed.dsn, server_settings=settings, timeout=10, command_timeout=3600), parsed.place)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise errors.TcboxError(
                f"the database {parsed.place} cannot be opened ({error or type(error).__name__}): check server, user and password"
            ) from error

    async def steps(self) -> list[tuple[str, int, str]]:
        """See the protocol."""
        if await self._connection.fetchval("SELECT to_regclass($1)", LEDGER_TABLE) is None:
            raise errors.TcboxError(f"the database {self.place} has no tables of tcbox's")
        return await self._all(f"SELECT service, number, name FROM {LEDGER_TABLE} ORDER BY service, number")  # noqa: S608 - a constant

    async def tables(self) -> list[Table]:
        """See the protocol."""
        return [await self._table(oid, name) for oid, name in await self._all(_TABLES) if name != LEDGER_TABLE]

    async def _table(self, oid: int, name: str) -> Table:
        described = await self._all(_COLUMNS, oid)
        keys = [column for column, place in sorted(described, key=lambda row: row[1]) if place]
        return Table(name, (*keys, *sorted(column for column, place in described if not place)), len(keys))

    async def users(self) -> str:
        """See the protocol."""
        count = await self._connection.fetchval(_OTHERS)
        return f"an instance of tcbox, by {count} connections" if count else ""

    async def stretch(self, table: Table, after: Key | None, until: Key | None, limit: int) -> list[Row]:
        """See the protocol."""
        keys = _listed(table.columns[: table.keys])
        limits: list[str] = []
        params: list[Any] = []
        for sign, key in ((">", after), ("<=", until)):
            if key is not None:
                holes = ", ".join(f"${len(params) + place}" for place in range(1, table.keys + 1))
                limits.append(f"({keys}) {sign} ({holes})")
                params += key
        where = f"WHERE {' AND '.join(limits)} " if limits else ""
        statement = f'SELECT {_listed(table.columns)} FROM "{table.name}" {where}ORDER BY {keys} LIMIT {limit}'  # noqa: S608 - names are the schema's
        return await self._all(statement, *params)

    async def replace(self, table: Table, gone: Sequence[Key], rows: Sequence[Row]) -> None:
        """See the protocol."""
        matched = " AND ".join(f'"{name}" = ${place}' for place, name in enumerate(table.columns[: table.keys], 1))
        removed = [*gone, *(table.key(row) for row in rows)]
        async with self._connection.transaction():
            await self._connection.executemany(f'DELETE FROM "{table.name}" WHERE {matched}', removed)  # noqa: S608 - names are the schema's
            await self._write(table, rows)

    async def append(self, table: Table, rows: Sequence[Row]) -> None:
        """See the protocol."""
        async with self._connection.transaction():
            await self._write(table, rows)

    async def _write(self, table: Table, rows: Sequence[Row]) -> None:
        try:
            await self._connection.copy_records_to_table(table.name, records=rows, columns=list(table.columns))
        except (asyncpg.PostgresError, asyncpg.DataError, ValueError) as error:
            raise errors.TcboxError(f"rows of {table.name} cannot be written to {self.place}: {error}") from error

    async def finish(self, tables: Sequence[Table]) -> None:
        """See the protocol."""
        for table in tables:
            for (column,) in await self._all(_IDENTITIES, table.name):
                highest = await self.highest(table.name, column)
                if highest:
                    await self._connection.execute("SELECT setval(pg_get_serial_sequence($1, $2), $3)", table.name, column, highest)
        await self._connection.execute("ANALYZE")

    async def highest(self, table: str, column: str) -> int:
        """See the protocol."""
        return int(await self._connection.fetchval(f'SELECT max("{column}") FROM "{table}"') or 0)  # noqa: S608 - names are the schema's

    async def largest_event(self) -> int | None:
        """See the protocol: an event's id begins with its transaction's (tcbox/events)."""
        return int(await self._connection.fetchval("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) << 20"))

    async def close(self) -> None:
        """See the protocol."""
        await self._connection.close()

    async def _all(self, statement: str, *params: Any) -> list[Row]:
        try:
            return [tuple(row) for row in await self._connection.fetch(statement, *params)]
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise errors.TcboxError(f"the database {self.place} cannot be copied: {error}") from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
