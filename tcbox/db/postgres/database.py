"""A database on a PostgreSQL server, reached through a bounded pool of connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from tcbox import errors, log
from tcbox.clock import Clock
from tcbox.db.errors import DatabaseError
from tcbox.db.interface import Listener, Row, Tx
from tcbox.db.migrations import Migrations
from tcbox.db.postgres import address, failures, schema
from tcbox.db.postgres.signals import Signals
from tcbox.db.postgres.statements import Runner
from tcbox.db.postgres.transaction import PostgresTx
from tcbox.db.queries import Query
from tcbox.db.stats import Stats
from tcbox.runtime import silence

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")

ATTEMPTS = 8
# Transactions that get in each other's way queue for a turn from this attempt on, and from that one have the database to
# themselves: those that come anew wait meanwhile, so that nobody is overtaken for ever.
QUEUE_FROM, ALONE_FROM = 3, 5
CONNECT_SECONDS, PING_SECONDS = 10.0, 5.0
_LOST_AFTER = "SET tcp_keepalives_idle = {}; SET tcp_keepalives_interval = {}; SET tcp_keepalives_count = {}; SET tcp_user_timeout = {}"


class PostgresDatabase:
    """PostgreSQL: transactions at isolation level REPEATABLE READ, run again when two get in each other's way; READ COMMITTED where
    they are to wait for each other instead.
    """

    engine = "postgres"
    shared = True

    def __init__(self, url: str, clock: Clock) -> None:
        self.stats = Stats()
        self._address = address.parse(url)
        self._clock = clock
        self._pool: asyncpg.Pool | None = None
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._signals = Signals(f"tcbox {self._address.schema or ''}".rstrip(), self._notify, self._listening)

    async def start(self, migrations: Sequence[Migrations] = ()) -> None:
        """Connect, and bring the schema of these services up to date.

        Raises errors.Unavailable when no server answers, MigrationError when the data is a newer release's.
        """
        if self._pool is not None:
            raise DatabaseError(f"{self._address.place} is open already: close it before it is started again")
        settings = {"application_name": "tcbox"}
        if self._address.schema:
            settings["search_path"] = self._address.schema
        with failures.translated("connect", self._address.place):
            self._pool = await asyncpg.create_pool(
                self._address.dsn,
                min_size=1,
                max_size=self._address.pool,
                timeout=CONNECT_SECONDS,
                statement_cache_size=1024,
                server_settings=settings,
                init=self._prepare,
                reset=_leave_as_it_is,
            )
        try:
            await self.migrate(migrations)
        except BaseException:
            await self.close()
            raise

    async def migrate(self, migrations: Sequence[Migrations]) -> None:
        """Bring the schema of these services up to date; other processes that want to wait meanwhile."""
        async with self._connection() as connection:
            with failures.translated("migrate", self._address.place):
                if self._address.schema:
                    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._address.schema}"')
                await schema.migrate(connection, migrations, self._clock.now(), self._address.place)

    async def lacks(self, migrations: Sequence[Migrations]) -> list[str]:
        """The steps that the schema lacks; see the protocol."""
        async with self._connection() as connection:
            with failures.translated("migrations", self._address.place):
                return [str(step) for step in await schema.missing(connection, migrations, self._address.place)]

    async def close(self) -> None:
        """Let the statements under way finish and close; may be called twice."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        await self._signals.close()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                while self._under_way:
                    self._quiet.clear()
                    await self._quiet.wait()
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def transaction(self, fn: Callable[[Tx], Awaitable[T]], *, bulk: bool = False, queued: bool = False) -> T:
        """Run `fn` in one transaction; see the protocol. `bulk` makes no difference here."""
        async with self._use() as pool:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    result, callbacks = await self._attempt(pool, fn, _begin(attempt, queued=queued))
                except failures.RETRIED as error:
                    if attempt == ATTEMPTS:
                        raise errors.Unavailable(f"other transactions got in the way of this one {ATTEMPTS} times ({error}): try again") from error
                    await asyncio.sleep(random.uniform(0.0, min(0.002 * 2**attempt, 0.1)))  # spreads them
                else:
                    _call(callbacks)
                    return result
        raise AssertionError("unreachable")

    async def point(self, query: Query, /, **params: Any) -> Row | None:
        """The first row of a look-up by key, or None."""
        return await self.one(query, **params)

    async def one(self, query: Query, /, **params: Any) -> Row | None:
        """The first row, or None."""
        async with self._connection() as connection:
            row: Row | None = await self._runner(connection).first(query, params)
        return row

    async def value(self, query: Query, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        row = await self.one(query, **params)
        return None if row is None else row[0]

    async def all(self, query: Query, /, **params: Any) -> list[Row]:
        """All rows."""
        async with self._connection() as connection:
            rows: list[Row] = await self._runner(connection).every(query, params)
        return rows

    def signal(self, topic: str, text: str, /) -> None:
        """Give the other processes on this database a hint; see the protocol."""
        if self._pool is not None:
            self._signals.signal(topic, text)

    def listen(self, topic: str, listener: Listener, /) -> Callable[[], None]:
        """Hear such hints from other processes; see the protocol."""
        return self._signals.listen(topic, listener)

    async def _notify(self, channel: str, payload: str) -> None:
        async with self._connection() as connection:
            await connection.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def _listening(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._address.dsn, timeout=CONNECT_SECONDS, server_settings={"application_name": "tcbox listening"})
        try:
            await self._watched(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        """Make a new connection of the pool ready; sums of integers come as Python integers then, as they do from SQLite."""
        await self._watched(connection)
        await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=_number, format="text")

    async def _watched(self, connection: asyncpg.Connection) -> None:
        """Have both sides let go of a connection when the other one is silent, so that no dead session keeps a lock.

        Source: PostgreSQL's documentation of `tcp_keepalives_idle` and `tcp_user_timeout`, which sockets of the same machine ignore.
        """
        seconds = self._address.lost_after
        silence.watch(connection._transport.get_extra_info("socket"), seconds)  # noqa: SLF001 - the driver has no other way to its socket
        await connection.execute(_LOST_AFTER.format(*silence.timing(seconds), silence.PROBES, seconds * 1000))

    async def ping(self) -> None:
        """Return when the server answers, within some seconds."""
        with failures.translated("ping", self._address.place):
            async with asyncio.timeout(PING_SECONDS), self._connection() as connection:
                await connection.execute("SELECT 1")

    async def _attempt(self, pool: asyncpg.Pool, fn: Callable[[Tx], Awaitable[T]], begin: str) -> tuple[T, list[Callable[[], None]]]:
        place = self._address.place
        async with self._acquired(pool) as connection:
            tx = PostgresTx(self._runner(connection), self._clock.now())
            try:
                with failures.translated("begin", place):
                    await connection.execute(begin)
                result = await fn(tx)
                if tx.failure is not None:
                    raise tx.failure
            except BaseException:
                with contextlib.suppress(*failures.ANY):
                    await connection.execute("ROLLBACK")
                raise
            with failures.translated("commit", place):
                await connection.execute("COMMIT")
        return result, tx.callbacks

    def _runner(self, connection: PoolConnectionProxy) -> Runner:
        return Runner(connection, self.stats, self._address.place)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnectionProxy]:
        async with self._use() as pool, self._acquired(pool) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _use(self) -> AsyncIterator[asyncpg.Pool]:
        """The pool, which `close` leaves open until this use of it has ended."""
        if asyncio.current_task() is None:
            await asyncio.sleep(0)  # a coroutine stepped without a task goes on in one, which asyncpg's time-outs need
        pool = self._pool
        if pool is None:
            raise errors.Unavailable(f"the database {self._address.place} is not open: tcbox is starting or stopping; try again")
        self._under_way += 1
        try:
            yield pool
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    @contextlib.asynccontextmanager
    async def _acquired(self, pool: asyncpg.Pool) -> AsyncIterator[PoolConnectionProxy]:
        with failures.translated("connect", self._address.place):
            connection = await pool.acquire()
        try:
            yield connection
        finally:
            try:
                await pool.release(connection, timeout=CONNECT_SECONDS)
            except failures.ANY:
                log.get("db").debug("a connection to %s was lost; the pool opens another", self._address.place)


def _begin(attempt: int, *, queued: bool) -> str:
    """How an attempt begins, in one round trip; LOCK takes no snapshot, so what is read then is of after its turn came."""
    level = "READ COMMITTED" if queued else "REPEATABLE READ"
    return f"BEGIN ISOLATION LEVEL {level}; LOCK TABLE tcbox_migrations IN {_lock(attempt)} MODE"


def _lock(attempt: int) -> str:
    """In which mode an attempt locks: shared by all at first, then one at a time among those that queue, then alone."""
    return "ROW SHARE" if attempt < QUEUE_FROM else "SHARE ROW EXCLUSIVE" if attempt < ALONE_FROM else "EXCLUSIVE"


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """Nothing has been changed in the session that had to be reset, which would cost each use a round trip."""


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdecimal() else float(Decimal(text))


def _call(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.get("db").exception("a callback after a commit failed")
