"""What SQLite's errors mean to a caller."""

from __future__ import annotations

import sqlite3

from tcbox import errors
from tcbox.db.errors import DatabaseError, DiskFull, UniqueViolation
from tcbox.db.queries import Query

_UNIQUE = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}
_FATAL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_BUSY}


def code(error: BaseException | None) -> int:
    """SQLite's extended result code, 0 when there is none."""
    return getattr(error, "sqlite_errorcode", 0) or 0


def fatal(error: BaseException | None) -> bool:
    """Whether the whole batch of transactions is lost, not just the statement."""
    return code(error) & 0xFF in _FATAL


def closed(place: str) -> errors.Unavailable:
    """The refusal of whatever is asked of the database at `place` before it is open or after it was closed."""
    return errors.Unavailable(f"{place} is not open: tcbox is starting or stopping; try again")


def translated(error: Exception, what: Query | str, place: str) -> errors.ApiError:
    """The error that a caller sees, for a statement or for a step such as `commit`, on the database at `place`."""
    name = what if isinstance(what, str) else what.name
    primary = code(error) & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull(
            f"the disk that holds {place} is full: free some space; what was answered before is safe, and tcbox goes on by itself as soon as there is room"
        )
    if primary == sqlite3.SQLITE_IOERR:
        return DatabaseError(
            f"the disk that holds {place} failed at {name} ({error}): check its health, its space and its quota; what was answered before is safe"
        )
    if primary == sqlite3.SQLITE_BUSY:
        return errors.Unavailable(f"another program keeps {place} locked ({name} waited in vain): close the program that writes to it")
    if code(error) in _UNIQUE:
        return UniqueViolation(f"{name}: a row with this key is there already ({error})")
    return DatabaseError(f"{name} failed on {place}: {error}")
