"""From a database's URL to the engine that serves it."""

from __future__ import annotations

from urllib.parse import urlsplit

from tcbox import errors
from tcbox.clock import Clock
from tcbox.config.values import sqlite_path
from tcbox.db.interface import Database


def connect(url: str, *, clock: Clock, durable: bool = True) -> Database:
    """The database at a URL, not yet started.

    `sqlite:///absolute/path`, `sqlite://:memory:`, or `postgresql://user:password@host:port/name` with the options
    `schema` (the schema that holds the tables, made when it is missing), `pool` (connections at most, 10) and `lost_after`
    (seconds of silence after which a connection counts as lost, 10) beside those of libpq. Raises TcboxError when it has another form.

    Args:
        durable: whether what was answered must outlast a crash of the machine; SQLite then waits for the disk at each commit,
            and else does all its work on the event loop's thread. What was answered outlasts the end of the process in
            any case. PostgreSQL does as its server is set.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        from tcbox.db.sqlite.database import SqliteDatabase

        if rest == ":memory:":
            return SqliteDatabase(None, clock)
        if not rest.startswith("/"):
            raise errors.TcboxError(f"the database {url!r} has no absolute path: write three slashes, like sqlite:///srv/tcbox/tcbox.db")
        return SqliteDatabase(sqlite_path(url), clock, durable=durable)
    if scheme in ("postgresql", "postgres") and urlsplit(url).path.strip("/"):
        return _postgres(url, clock)
    shown = urlsplit(url)._replace(netloc="…").geturl() if "@" in url else url
    raise errors.TcboxError(f"the database {shown!r} has no form that is known here: write sqlite:///path/to/tcbox.db or postgresql://user:password@host/name")


def _postgres(url: str, clock: Clock) -> Database:
    try:
        from tcbox.db.postgres.database import PostgresDatabase
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise errors.TcboxError(
            "the database is PostgreSQL, and its driver asyncpg is not installed, which tcbox's extra `postgres` brings: pip install 'tcbox[postgres]'"
        ) from error
    return PostgresDatabase(url, clock)
