"""The outbox: messages are written with the change they announce, and read in their order under growing ids.

A message stands in the table `events` for as long as the bus keeps it, so that a reader can resume after any id.

No message is seen before all with smaller ids are there: on PostgreSQL, where transactions end in any order, an id
begins with the transaction's, and a message is held back while a transaction with a smaller one is under way.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tcbox import db
from tcbox.events.event import Event
from tcbox.events.exchanges import Exchange
from tcbox.events.tail import BATCH, PUBLISHED, Tail, sql

_encode = msgspec.json.Encoder().encode


class Message(msgspec.Struct, frozen=True):
    """A message to be published.

    Attributes:
        key: the values of the routing key's words.
        payload: what the exchange's schema describes, as JSON text.
        routes: custom routes; subscribers bind to them as `route.<route>`.
    """

    exchange: Exchange
    key: Mapping[str, Any]
    payload: str
    routes: Sequence[str] = ()


class Outbox:
    """Writes messages, and reads those that are there."""

    def __init__(self, database: db.Database) -> None:
        self._db = database
        self._tail = Tail(database)

    async def publish(self, tx: db.Tx, exchange: Exchange, message: Any, *, routes: Iterable[str] = (), **key: Any) -> None:
        """Write a message into the outbox, in the transaction whose change it announces.

        Args:
            message: what the exchange's schema describes; encoded at once.
            routes: custom routes; subscribers bind to them as `route.<route>`.
            key: the values of the routing key's words.
        """
        await self.publish_all(tx, (Message(exchange, key, _encode(message).decode(), list(routes)),))

    async def publish_all(self, tx: db.Tx, messages: Sequence[Message]) -> None:
        """Write messages into the outbox, in their order, in the transaction whose change they announce."""
        if len(messages) == 2:  # as of most changes that are announced more than once, so these have a statement
            one, two = messages
            await tx.execute(
                sql.add_two_events, created=tx.now,
                exchange_1=one.exchange.address, routing_key_1=one.exchange.routing_key(one.key), cc_1=_cc(one.routes), payload_1=one.payload,
                exchange_2=two.exchange.address, routing_key_2=two.exchange.routing_key(two.key), cc_2=_cc(two.routes), payload_2=two.payload,
            )  # fmt: skip
        else:
            for message in messages:
                await tx.execute(
                    sql.add_event, created=tx.now, exchange=message.exchange.address, routing_key=message.exchange.routing_key(message.key),
                    cc=_cc(message.routes), payload=message.payload,
                )  # fmt: skip
        tx.after_commit(lambda: self._published(messages))

    def _published(self, messages: Sequence[Message]) -> None:
        self._tail.wake()
        self._db.signal(PUBLISHED, "")

    async def read(self, after: int, limit: int = BATCH) -> list[Event]:
        """The messages that follow an id, in order."""
        return [decoded(row) for row in await self._tail.read(after, limit)]

    def rows(self, after: int) -> AsyncGenerator[Sequence[db.Row], None]:
        """All messages after an id, as they stand in the outbox, in batches that are never empty; without an end."""
        return self._tail.follow(after)

    async def read_rows(self, after: int, limit: int = BATCH) -> Sequence[db.Row]:
        """The messages that follow an id, as they stand in the outbox, in order."""
        return await self._tail.read(after, limit)

    async def removed(self) -> int:
        """The id of the newest message that was removed, 0 when none was."""
        return await self._number(sql.get_removed) or 0

    async def first_id(self) -> int:
        """The id of the oldest message that is kept, 0 when none is."""
        return await self._number(sql.first_event) or 0

    async def last_id(self) -> int:
        """The id of the newest message that can be read, 0 before the first."""
        return await self._number(sql.last_event) or 0

    async def follow(self, after: int) -> AsyncGenerator[list[Event], None]:
        """All messages after an id, as they come: an asynchronous generator of batches without an end."""
        async with contextlib.aclosing(self._tail.follow(after)) as batches:
            async for rows in batches:
                yield [decoded(row) for row in rows]

    async def _number(self, query: db.Query, **params: str) -> int | None:
        """The one number that a look-up gives, or None."""
        row = await self._db.point(query, **params)
        return None if row is None or row[0] is None else int(row[0])


def _cc(routes: Sequence[str]) -> str:
    return _encode(routes).decode() if routes else "[]"


def decoded(row: db.Row) -> Event:
    """A message as it stands in the outbox."""
    return Event(
        id=row["id"], exchange=row["exchange"], routing_key=row["routing_key"], time=row["created"],
        cc=tuple(msgspec.json.decode(row["cc"])), payload=msgspec.json.decode(row["payload"]),
    )  # fmt: skip
