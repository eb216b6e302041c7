"""What a database is to the rest of tcbox: named statements, transactions, and reads outside them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from tcbox.db.migrations import Migrations
    from tcbox.db.queries import Query
    from tcbox.db.stats import Stats

T = TypeVar("T")
Listener = Callable[[str | None], None]
"""Is told the text of a signal; None when some may have been missed."""


class Row(Protocol):
    """One row of a result: columns by name or by position."""

    def __getitem__(self, key: Any, /) -> Any:
        """The value of a column, by its name or its position from 0."""
        ...


class Tx(Protocol):
    """A transaction, as its function sees it.

    Implementers must let each statement see what the earlier ones of the same transaction changed, and must refuse
    every further statement once one has failed, so that both engines behave alike.
    """

    @property
    def now(self) -> int:
        """The clock's time at the transaction's start, in milliseconds; the same all through it."""
        ...

    async def execute(self, query: Query, /, **params: Any) -> int:
        """Run a statement; the number of rows that it changed."""
        ...

    async def one(self, query: Query, /, **params: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def all(self, query: Query, /, **params: Any) -> list[Row]:
        """All rows; give the statement a LIMIT."""
        ...

    async def value(self, query: Query, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        ...

    async def many(self, query: Query, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Run a statement once for each set of parameters."""
        ...

    def after_commit(self, callback: Callable[[], None], /) -> None:
        """Call this on the event loop after the commit and before the caller is answered; never if rolled back."""
        ...


class Database(Protocol):
    """A database that services share, each with its own tables.

    Implementers must answer the caller of `transaction` only after the commit that holds its changes is durable, and
    must let every read begun after that answer see them.
    """

    engine: str
    shared: bool
    """Whether other processes may use it at the same time."""
    stats: Stats

    async def start(self, migrations: Sequence[Migrations]) -> None:
        """Open the database and bring its schema up to date.

        Raises DataFolderLocked, MigrationError, or errors.Unavailable when no server answers.
        """
        ...

    async def migrate(self, migrations: Sequence[Migrations]) -> None:
        """Bring the schema of these services up to date, in a database that has been started."""
        ...

    async def lacks(self, migrations: Sequence[Migrations]) -> list[str]:
        """The steps of these services that the schema of a started database lacks, in words; raises as `start`."""
        ...

    async def close(self) -> None:
        """Finish the transactions under way and close; may be called twice."""
        ...

    async def transaction(self, fn: Callable[[Tx], Awaitable[T]], *, bulk: bool = False, queued: bool = False) -> T:
        """Run `fn` in one transaction: all of its changes are kept, or, when it raises, none.

        `fn` must await nothing but its transaction, and must change nothing outside it, for it may run more than once.
        `bulk` says that it takes long (more than some 10 ms): other callers then wait, but the event loop does not.
        `queued` says that its last statement changes a row that many others change at the same time. On PostgreSQL it then runs at
        READ COMMITTED and waits for that row's lock, where at REPEATABLE READ it may have to run again; so its statements see
        no common state. What it publishes must not follow from what it waited for, since messages get their ids before.
        """
        ...

    async def point(self, query: Query, /, **params: Any) -> Row | None:
        """The first row of a bounded look-up by key; on SQLite it never suspends, so keep it to a few pages."""
        ...

    async def one(self, query: Query, /, **params: Any) -> Row | None:
        """The first row, read outside a transaction, or None."""
        ...

    async def all(self, query: Query, /, **params: Any) -> list[Row]:
        """All rows, read outside a transaction; give the statement a LIMIT."""
        ...

    async def value(self, query: Query, /, **params: Any) -> Any:
        """The first column of the first row, read outside a transaction, or None."""
        ...

    def signal(self, topic: str, text: str, /) -> None:
        """Give the other processes on this database a hint, soon, once for several of the same text; it may be lost."""
        ...

    def listen(self, topic: str, listener: Listener, /) -> Callable[[], None]:
        """Hear such hints from other processes, on the event loop; gives what ends that."""
        ...

    async def ping(self) -> None:
        """Return when the database answers; raises errors.Unavailable or DatabaseError when it does not."""
        ...
