"""What can go wrong with a database, in words that hold for every engine."""

from __future__ import annotations

from tcbox import errors


class DatabaseError(errors.InternalServerError):
    """The database refused a statement; the log has the statement's name and the reason."""


class UniqueViolation(DatabaseError):
    """A row with this key is there already."""


class DiskFull(DatabaseError):
    """The disk that holds the database is full: free some space; nothing that was answered is lost."""

    code, status = "ServiceUnavailable", 503
    headers = {"retry-after": "5"}


class ForeignAwait(DatabaseError):
    """A transaction function awaited something other than its transaction."""


class DataFolderLocked(errors.TcboxError):
    """Another process has the database open."""


class MigrationError(errors.TcboxError):
    """The database's schema and this release of tcbox do not fit together."""


class QueryError(errors.TcboxError):
    """A file of named statements or migrations is not well-formed."""
