"""What PostgreSQL's errors mean to a caller."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import asyncpg

from tcbox import errors
from tcbox.db.errors import DatabaseError, DiskFull, UniqueViolation
from tcbox.db.queries import Query

# What a transaction raises that only has to be run again: it got in another's way, or the schema changed beneath it.
RETRIED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.InvalidCachedStatementError)
LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,
)
ANY = (asyncpg.PostgresError, *LOST)


@contextlib.contextmanager
def translated(what: Query | str, place: str) -> Iterator[None]:
    """Raise the driver's errors as tcbox's; leave those alone for which a transaction is run again."""
    name = what if isinstance(what, str) else what.name
    try:
        yield
    except RETRIED:
        raise
    except asyncpg.UniqueViolationError as error:
        raise UniqueViolation(f"{name}: a row with this key is there already ({error})") from error
    except asyncpg.DiskFullError as error:
        raise DiskFull(f"the disk that holds {place} is full: free some space on the database server; what was answered before is safe") from error
    except (asyncpg.DataError, asyncpg.InterfaceError) as error:
        if not _is_lost(error):
            raise DatabaseError(f"{name} was called with a value that does not fit on {place}: {error}") from error
        raise _unavailable(place, error) from error
    except LOST as error:
        raise _unavailable(place, error) from error
    except asyncpg.PostgresError as error:
        raise DatabaseError(f"{name} failed on {place}: {error}") from error


def _is_lost(error: Exception) -> bool:
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, (asyncpg.DataError, ValueError))


def _unavailable(place: str, error: Exception) -> errors.Unavailable:
    reason = str(error) or type(error).__name__
    return errors.Unavailable(
        f"the database {place} does not answer ({reason}): check that the server runs, that it may be reached from "
        "here, and that user and password are right; tcbox goes on by itself when it is back"
    )
