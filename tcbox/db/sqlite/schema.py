"""Migrations applied to SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from tcbox.db import text
from tcbox.db.errors import DatabaseError
from tcbox.db.migrations import LEDGER, Applied, Migration, Migrations, plan
from tcbox.db.sqlite import failures


def migrate(connection: sqlite3.Connection, known: Sequence[Migrations], now: int, place: str) -> None:
    """Apply the steps that the database lacks, each in a transaction of its own.

    They do not wait for the disk one by one: in WAL mode a crash could take back the last ones, but never halves, and
    the first transaction after them brings all of them to the disk.

    Raises MigrationError when it is newer than what is known or differs from it, DatabaseError when a step fails.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        _migrate(connection, known, now, place)
    finally:
        connection.execute("PRAGMA synchronous = FULL")


def missing(connection: sqlite3.Connection, known: Sequence[Migrations], place: str) -> list[Migration]:
    """The steps that the database lacks; raises as `migrate`."""
    try:
        connection.execute(LEDGER)
        rows = connection.execute("SELECT service, number, name, checksum FROM tcbox_migrations").fetchall()
        return plan(known, [Applied(*row) for row in rows], "sqlite", place)
    except sqlite3.Error as error:
        raise failures.translated(error, "the list of migrations", place) from error


def _migrate(connection: sqlite3.Connection, known: Sequence[Migrations], now: int, place: str) -> None:
    for migration in missing(connection, known, place):
        try:
            _apply(connection, migration, now)
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise DatabaseError(f"the migration {migration} failed on {place}, which is as it was: {error}") from error


def _apply(connection: sqlite3.Connection, migration: Migration, now: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements(migration.ddl["sqlite"]):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO tcbox_migrations (service, number, name, checksum, applied) VALUES (?, ?, ?, ?, ?)",
        (migration.service, migration.number, migration.name, migration.checksums["sqlite"], now),
    )
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one; a trigger's body belongs to its statement."""
    rest = text.without_comments(script)
    statement = ""
    for part in rest.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""
    if statement.strip(" \n\t;"):
        yield statement
