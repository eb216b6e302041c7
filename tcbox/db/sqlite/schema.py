"""Migrations applied to SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from tcbox.db import text
from tcbox.db.errors import DatabaseError
from tcbox.db.migrations import LATER_COLUMNS, LEDGER, RECORD, Applied, Migration, Migrations, ahead, partings, plan, tell
from tcbox.db.sqlite import failures
from tcbox.db.sqlite.keeping import keep

_NORMAL = 1  # of synchronous: 0 is OFF, 2 is FULL


def migrate(connection: sqlite3.Connection, known: Sequence[Migrations], now: int, place: str) -> None:
    """Apply the steps that the database lacks, each in a transaction of its own.

    They do not wait for the disk one by one: in WAL mode a crash could take back the last ones, but never halves, and
    the first transaction after them brings all of them to the disk.

    A step that takes the database away from the code that has used it so far is preceded by a copy of it (see `keeping`).

    Raises MigrationError when it is newer than what this code can live with or differs from it, DatabaseError when a step fails.
    """
    (chosen,) = connection.execute("PRAGMA synchronous").fetchone()
    connection.execute(f"PRAGMA synchronous = {min(chosen, _NORMAL)}")
    try:
        _migrate(connection, known, now, place)
    finally:
        connection.execute(f"PRAGMA synchronous = {chosen}")


def missing(connection: sqlite3.Connection, known: Sequence[Migrations], place: str) -> list[Migration]:
    """The steps that the database lacks; raises as `migrate`."""
    return plan(known, _applied(connection, place), "sqlite", place)


def recorded(connection: sqlite3.Connection) -> list[Applied]:
    """What the list of migrations says, which must be there; on a connection that may only read, too."""
    found = connection.execute("SELECT * FROM tcbox_migrations")
    names = [column[0] for column in found.description]
    return [Applied.of(dict(zip(names, row, strict=True))) for row in found.fetchall()]


def _applied(connection: sqlite3.Connection, place: str) -> list[Applied]:
    try:
        connection.execute(LEDGER)
        return recorded(connection)
    except sqlite3.Error as error:
        raise failures.translated(error, "the list of migrations", place) from error


def _migrate(connection: sqlite3.Connection, known: Sequence[Migrations], now: int, place: str) -> None:
    applied = _applied(connection, place)
    lacking = plan(known, applied, "sqlite", place)
    tell(ahead(known, applied), place)
    if not lacking:
        return
    _widen(connection)
    parting = partings(lacking, applied)
    if parting:
        keep(connection, parting[0])
    for migration in lacking:
        try:
            _apply(connection, migration, now)
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise DatabaseError(f"the migration {migration} failed on {place}, which is as it was: {error}") from error


def _widen(connection: sqlite3.Connection) -> None:
    """Give the list of migrations the columns that those of the first databases lack."""
    there = {row[1] for row in connection.execute("PRAGMA table_info(tcbox_migrations)").fetchall()}
    for name, kind in LATER_COLUMNS.items():
        if name not in there:
            connection.execute(f"ALTER TABLE tcbox_migrations ADD COLUMN {name} {kind}")


def _apply(connection: sqlite3.Connection, migration: Migration, now: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements(migration.ddl("sqlite")):
        connection.execute(statement)
    connection.execute(f"INSERT INTO tcbox_migrations ({', '.join(RECORD)}) VALUES (?, ?, ?, ?, ?, ?, ?)", migration.record("sqlite", now))  # noqa: S608 - constants
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
