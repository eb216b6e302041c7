"""The database: whole, no newer than this program, its log short; or, on PostgreSQL, reachable."""

from __future__ import annotations

import functools
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tcbox.cli.checkup.finding import Finding, Patient, ok, wrong
from tcbox.config.values import sqlite_path

if TYPE_CHECKING:
    from tcbox.db.migrations import Applied

_PATIENCE = 20.0
_LONG_LOG = 64 << 20


def database(patient: Patient) -> Iterator[Finding]:
    """All of it."""
    chosen = str(patient.settings.database)
    if chosen.startswith("postgres"):
        yield from _server(chosen)
        return
    path = sqlite_path(chosen) if chosen else patient.folder.database
    if not path.exists():
        if chosen or any(patient.folder.keys.glob("*.key")):
            yield wrong("database", f"{path} is not there, though an instance has run here: restore it from a backup; the next start makes an empty one")
        else:
            yield ok("database", "none yet")
        return
    yield from _writable(path)
    yield from _file(path, patient)


def _writable(path: Path) -> Iterator[Finding]:
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm"), Path(f"{path}.lock")):
        if each.exists() and not os.access(each, os.W_OK):
            yield wrong("database", f"{each} cannot be written to: an instance does not start on it", f"chmod u+w {each}", functools.partial(each.chmod, 0o600))


def _server(url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    address = (parts.hostname or "localhost", parts.port or 5432)
    try:
        socket.create_connection(address, timeout=3).close()
    except OSError as error:
        message = f"PostgreSQL at {address[0]}:{address[1]} cannot be reached: {error.strerror or error}"
        yield wrong("database", message, f"pg_isready -h {address[0]} -p {address[1]}")
    else:
        yield ok("database", f"PostgreSQL at {address[0]}:{address[1]} takes connections")


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)


def _file(path: Path, patient: Patient) -> Iterator[Finding]:
    restore = "restore the file from a backup, or save what can be read: "
    try:
        with closing(open_readonly(path)) as connection:
            faults = _faults(connection)
            applied = _applied(connection)
    except sqlite3.Error as error:
        yield wrong("database", f"{path} cannot be read: {error}; {restore}", f"sqlite3 {path} .recover | sqlite3 recovered.db")
        return
    if faults:
        yield wrong("database", f"{path} is damaged: {'; '.join(faults[:3])}; {restore}", f"sqlite3 {path} .recover | sqlite3 recovered.db")
        return
    yield from _schema(applied, path)
    yield ok("database", f"{path}, {path.stat().st_size / (1 << 20):.1f} MiB{'' if faults is not None else ', too large to be checked whole in 20 s'}")
    yield from _log(path, patient)


def _faults(connection: sqlite3.Connection) -> list[str] | None:
    """What the engine's own check says; None when it did not come to its end in time."""
    until = time.monotonic() + _PATIENCE
    connection.set_progress_handler(lambda: int(time.monotonic() > until), 100_000)
    try:
        return [row[0] for row in connection.execute("PRAGMA quick_check(5)") if row[0] != "ok"]
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return None
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _applied(connection: sqlite3.Connection) -> list[Applied]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tcbox_migrations'").fetchone():
        return []
    from tcbox.db.sqlite import schema

    return schema.recorded(connection)


def _schema(applied: list[Applied], path: Path) -> Iterator[Finding]:
    """Whether this program can use the schema, and what of it is newer."""
    from tcbox.box import services
    from tcbox.db.errors import MigrationError
    from tcbox.db.migrations import ahead, plan
    from tcbox.events import bus

    known = [bus.migrations, *map(services.migrations, services.NAMES)]
    try:
        plan(known, applied, "sqlite", str(path))
    except MigrationError as error:
        yield wrong("schema", str(error))
    else:
        newer = ahead(known, applied)
        if newer:
            yield ok("schema", f"newer than this release, which can live with it: {', '.join(map(str, newer))}")


def _log(path: Path, patient: Patient) -> Iterator[Finding]:
    log = Path(f"{path}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size <= _LONG_LOG:
        return
    message = f"{log} has {size >> 20} MiB, and should stay under {_LONG_LOG >> 20}"
    if patient.running is not None:
        yield wrong("log", f"{message}: something has read the database for long", f"tcbox down {patient.flag} && tcbox up --detach {patient.flag}")
    else:
        yield wrong("log", message, f"sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'", lambda: _cut(path))


def _cut(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise OSError(str(error)) from error
