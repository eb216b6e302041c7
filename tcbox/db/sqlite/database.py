"""A database in one SQLite file, or in memory for tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tcbox.clock import Clock
from tcbox.db.errors import DatabaseError
from tcbox.db.interface import Listener, Row, Tx
from tcbox.db.migrations import Migrations
from tcbox.db.queries import Query
from tcbox.db.sqlite import failures, schema, statements, template, wal
from tcbox.db.sqlite.lock import FileLock
from tcbox.db.sqlite.readers import Readers
from tcbox.db.sqlite.statements import Runner
from tcbox.db.sqlite.writer import Writer
from tcbox.db.stats import Stats

T = TypeVar("T")

_COMMON = ("foreign_keys = ON", "temp_store = MEMORY")
_WRITER = (
    f"page_size = {wal.PAGE}",
    "journal_mode = WAL",
    "busy_timeout = 0",
    f"journal_size_limit = {64 * wal.MIB}",
    "cache_size = -16384",
)
_DURABLE = ("synchronous = FULL", "wal_autocheckpoint = 0")
_FLEETING = ("synchronous = OFF",)  # and SQLite's own checkpoints, which then wait for nothing
_READER = ("busy_timeout = 5000", "query_only = ON", "wal_autocheckpoint = 0")


class SqliteDatabase:
    """SQLite: one writer with group commit, look-ups by key on the event loop's thread, longer reads in others.

    `path` None keeps everything in memory, on one connection. Unless it is `durable`, nothing waits for the disk, and no thread
    of its own is begun.
    """

    engine = "sqlite"
    shared = False

    def __init__(self, path: Path | None, clock: Clock, *, durable: bool = True) -> None:
        self.stats = Stats()
        self.path = path
        self._clock = clock
        self._durable = durable
        self._place = "the database in memory" if path is None else str(path)
        self._lock = FileLock(path) if path else None
        self._stack = contextlib.AsyncExitStack()
        self._writer: Writer | None = None
        self._points: Runner | None = None
        self._readers: Readers | None = None

    async def start(self, migrations: Sequence[Migrations] = ()) -> None:
        """Open the file, made when it is not there, and bring the schema of these services up to date.

        Raises DataFolderLocked, MigrationError, or DatabaseError when the file cannot be opened or is no database.
        """
        if self._writer is not None:
            raise DatabaseError(f"{self._place} is open already: close it before it is started again")
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack, migrations)
            self._stack = stack.pop_all()

    async def migrate(self, migrations: Sequence[Migrations]) -> None:
        """Bring the schema of these services up to date; nobody else writes meanwhile."""
        await self._running().exclusively(lambda connection: schema.migrate(connection, migrations, self._clock.now(), self._place))

    async def lacks(self, migrations: Sequence[Migrations]) -> list[str]:
        """The steps that the schema lacks; see the protocol."""
        found: list[str] = []
        await self._running().exclusively(lambda connection: found.extend(map(str, schema.missing(connection, migrations, self._place))))
        return found

    async def close(self) -> None:
        """Finish the transactions under way and close; may be called twice."""
        self._writer = self._points = self._readers = None
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        await stack.aclose()

    async def transaction(self, fn: Callable[[Tx], Awaitable[T]], *, bulk: bool = False, queued: bool = False) -> T:
        """Run `fn` in one transaction; see the protocol. `queued` makes no difference: one runs at a time."""
        writer = self._writer
        if writer is None:
            raise failures.closed(self._place)
        result: T = await writer.submit(fn, bulk=bulk)
        return result

    async def point(self, query: Query, /, **params: Any) -> Row | None:
        """The first row of a look-up by key, read here and now."""
        runner = self._points
        if runner is None:
            raise failures.closed(self._place)
        row: Row | None = runner.run(query, params, statements.first)
        return row

    async def one(self, query: Query, /, **params: Any) -> Row | None:
        """The first row, or None."""
        rows = await self.all(query, **params)
        return rows[0] if rows else None

    async def value(self, query: Query, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        rows = await self.all(query, **params)
        return rows[0][0] if rows else None

    async def all(self, query: Query, /, **params: Any) -> list[Row]:
        """All rows."""
        if self._readers is not None:
            return await self._readers.all(query, params)
        if self._points is None:
            raise failures.closed(self._place)
        return list(self._points.run(query, params, statements.every))

    def signal(self, topic: str, text: str, /) -> None:
        """There are no other processes: the file is locked."""

    def listen(self, topic: str, listener: Listener, /) -> Callable[[], None]:
        """There is nobody to be heard."""
        return lambda: None

    async def ping(self) -> None:
        """Return when the database answers."""
        if self._points is None:
            raise failures.closed(self._place)
        try:
            self._points.connection.execute("SELECT 1 FROM tcbox_migrations LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise failures.translated(error, "ping", self._place) from error

    def _running(self) -> Writer:
        if self._writer is None:
            raise failures.closed(self._place)
        return self._writer

    async def _open(self, stack: contextlib.AsyncExitStack, migrations: Sequence[Migrations]) -> None:
        now = self._clock.now()
        if self.path is None or self._lock is None:
            connection = self._connect(_COMMON)
            stack.callback(connection.close)
            schema.migrate(connection, migrations, now, self._place)
            writer = Writer(Runner(connection, self.stats, self._place), self._clock, None)
            stack.push_async_callback(writer.close)
            self._points, self._writer = Runner(connection, self.stats, self._place), writer
            return
        _make_folder(self.path.parent)
        _refuse_read_only(self.path)
        self._lock.acquire()
        stack.callback(self._lock.release)
        log = readers = None
        if self._durable:
            log = wal.WriteAheadLog(self.path, lambda: self._connect(("busy_timeout = 0", "synchronous = FULL")))
            stack.callback(log.release)
        connection = await asyncio.to_thread(self._open_writer, migrations, now)
        stack.callback(connection.close)
        points = self._connect((*_COMMON, *_READER, "cache_size = -8192"))
        stack.callback(points.close)
        if log is not None:
            log.start()
            stack.callback(log.close)
            readers = Readers(lambda: self._connect((*_COMMON, *_READER, "cache_size = -4096")), self.stats, self._place)
            stack.push_async_callback(readers.close)
        writer = Writer(Runner(connection, self.stats, self._place), self._clock, log)
        stack.push_async_callback(writer.close)
        self._points, self._readers, self._writer = Runner(points, self.stats, self._place), readers, writer

    def _open_writer(self, migrations: Sequence[Migrations], now: int) -> sqlite3.Connection:
        if not self._durable and self.path is not None and not self.path.exists():
            template.write(self.path, migrations, now, self._place)
        connection = self._connect((*(_DURABLE if self._durable else _FLEETING), *_WRITER, *_COMMON))
        try:
            schema.migrate(connection, migrations, now, self._place)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, pragmas: Sequence[str]) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(str(self.path or ":memory:"), isolation_level=None, check_same_thread=False, cached_statements=1024)
            connection.row_factory = sqlite3.Row
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").fetchall()
        except sqlite3.Error as error:
            raise DatabaseError(
                f"{self._place} cannot be opened as a SQLite database ({error}): check that the path is right, that "
                "its folder may be written to, and that the file is tcbox's"
            ) from error
        return connection


def _refuse_read_only(path: Path) -> None:
    if path.exists() and not os.access(path, os.W_OK):
        raise DatabaseError(f"the database {path} may only be read: make it yours, or let yourself write to it (chmod u+w {path})")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"the folder {folder} for the database cannot be made ({error}): choose another data folder, or make it") from error
