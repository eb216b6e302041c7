"""Migrations applied to PostgreSQL, by one process at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from tcbox.db.errors import DatabaseError
from tcbox.db.migrations import LATER_COLUMNS, LEDGER, RECORD, Applied, Migration, Migrations, ahead, plan, tell

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

# The advisory lock that whoever migrates holds: "tcbox" in ASCII.
LOCK = 0x7463626F78


async def migrate(connection: PoolConnectionProxy, known: Sequence[Migrations], now: int, place: str) -> None:
    """Apply the steps that the database lacks, each in a transaction of its own.

    Raises MigrationError when it is newer than what this code can live with or differs from it, DatabaseError when a step fails.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute(LEDGER)
        applied = await _applied(connection)
        lacking = plan(known, applied, "postgres", place)
        tell(ahead(known, applied), place)
        if lacking:
            await _widen(connection)
        for migration in lacking:
            await _apply(connection, migration, now, place)
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def missing(connection: PoolConnectionProxy, known: Sequence[Migrations], place: str) -> list[Migration]:
    """The steps that the database lacks; raises as `migrate`."""
    try:
        applied = await _applied(connection)
    except asyncpg.UndefinedTableError:
        applied = []
    return plan(known, applied, "postgres", place)


async def _applied(connection: PoolConnectionProxy) -> list[Applied]:
    return [Applied.of(row) for row in await connection.fetch("SELECT * FROM tcbox_migrations")]


async def _widen(connection: PoolConnectionProxy) -> None:
    """Give the list of migrations the columns that those of the first databases lack; others wait only when there are some."""
    there = {row["attname"] for row in await connection.fetch("SELECT attname FROM pg_attribute WHERE attrelid = 'tcbox_migrations'::regclass")}
    for name, kind in LATER_COLUMNS.items():
        if name not in there:
            await connection.execute(f"ALTER TABLE tcbox_migrations ADD COLUMN {name} {kind}")


async def _apply(connection: PoolConnectionProxy, migration: Migration, now: int, place: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.ddl("postgres"))
            await connection.execute(
                f"INSERT INTO tcbox_migrations ({', '.join(RECORD)}) VALUES ($1, $2, $3, $4, $5, $6, $7)",  # noqa: S608 - constants
                *migration.record("postgres", now),
            )
    except asyncpg.PostgresError as error:
        raise DatabaseError(f"the migration {migration} failed on {place}, which is as it was: {error}") from error
