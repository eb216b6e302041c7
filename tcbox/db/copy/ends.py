"""What is copied from and to: the tables of a database, and their rows in the order of their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tcbox import errors
from tcbox.config.values import sqlite_path

Row = tuple[Any, ...]
Key = tuple[Any, ...]
LEDGER_TABLE = "tcbox_migrations"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns in the order in which rows have them, the first `keys` of which are its primary key."""

    name: str
    columns: tuple[str, ...]
    keys: int

    def key(self, row: Row) -> Key:
        """A row's key."""
        return row[: self.keys]


class End(Protocol):
    """One side of a copy.

    Implementers must sort texts by their bytes, and must give and take numbers, texts and bytes as Python has them, so that
    rows of both engines can be compared.
    """

    engine: str
    place: str

    async def steps(self) -> list[tuple[str, int, str]]:
        """The migrations that have been applied: service, number, name."""
        ...

    async def tables(self) -> list[Table]:
        """All tables of tcbox's but the list of migrations, by name."""
        ...

    async def users(self) -> str:
        """Who else has the database open, in words; empty when nobody has."""
        ...

    async def stretch(self, table: Table, after: Key | None, until: Key | None, limit: int) -> list[Row]:
        """So many rows with keys after one, and up to another where it is given, in order."""
        ...

    async def replace(self, table: Table, gone: Sequence[Key], rows: Sequence[Row]) -> None:
        """Remove the rows with these keys, then write these, in one transaction."""
        ...

    async def append(self, table: Table, rows: Sequence[Row]) -> None:
        """Write rows with keys that are not there yet, in one transaction."""
        ...

    async def finish(self, tables: Sequence[Table]) -> None:
        """After all has been written: see to it that what is made next gets new ids, and that statistics are fresh."""
        ...

    async def highest(self, table: str, column: str) -> int:
        """The largest number in a column; 0 when there is none."""
        ...

    async def largest_event(self) -> int | None:
        """Above which id the next event's will be; None when ids may be of any size."""
        ...

    async def close(self) -> None:
        """Let go of the database."""
        ...


async def open_end(url: str, *, write: bool) -> End:
    """One side of a copy, by the database's URL; the other program on it is left alone.

    Raises TcboxError when it is no database of tcbox's, or cannot be opened.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/"):
        from tcbox.db.copy.sqlite_end import SqliteEnd

        return SqliteEnd(sqlite_path(url), write=write)
    if scheme in ("postgresql", "postgres"):
        try:
            from tcbox.db.copy.postgres_end import PostgresEnd
        except ModuleNotFoundError as error:
            raise errors.TcboxError(
                "PostgreSQL's driver asyncpg is not installed, which tcbox's extra `postgres` brings: pip install 'tcbox[postgres]'"
            ) from error
        return await PostgresEnd.open(url)
    raise errors.TcboxError(f"{scheme or url!r} is no database that can be copied: give postgresql://user:password@host/name, or an instance's data folder")
