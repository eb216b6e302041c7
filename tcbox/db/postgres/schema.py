"""Migrations applied to PostgreSQL, by one process at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from tcbox.db.errors import DatabaseError
from tcbox.db.migrations import LEDGER, Applied, Migration, Migrations, plan

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

# The advisory lock that whoever migrates holds: "tcbox" in ASCII.
LOCK = 0x7463626F78


async def migrate(connection: PoolConnectionProxy, known: Sequence[Migrations], now: int, place: str) -> None:
    """Apply the steps that the database lacks, each in a transaction of its own.

    Raises MigrationError when it is newer than what is known or differs from it, DatabaseError when a step fails.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute(LEDGER)
        rows = await connection.fetch("SELECT service, number, name, checksum FROM tcbox_migrations")
        for migration in plan(known, [Applied(*row) for row in rows], "postgres", place):
            await _apply(connection, migration, now, place)
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def missing(connection: PoolConnectionProxy, known: Sequence[Migrations], place: str) -> list[Migration]:
    """The steps that the database lacks; raises as `migrate`."""
    try:
        rows = await connection.fetch("SELECT service, number, name, checksum FROM tcbox_migrations")
    except asyncpg.UndefinedTableError:
        rows = []
    return plan(known, [Applied(*row) for row in rows], "postgres", place)


async def _apply(connection: PoolConnectionProxy, migration: Migration, now: int, place: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.ddl["postgres"])
            await connection.execute(
                "INSERT INTO tcbox_migrations (service, number, name, checksum, applied) VALUES ($1, $2, $3, $4, $5)",
                *(migration.service, migration.number, migration.name, migration.checksums["postgres"], now),
            )
    except asyncpg.PostgresError as error:
        raise DatabaseError(f"the migration {migration} failed on {place}, which is as it was: {error}") from error
