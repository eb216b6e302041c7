"""Publishes the outbox to an AMQP server, in order, and at least once.

How far it has come stands in the database, and moves on only over what the server has confirmed. So whatever breaks
off, this process, the server, or the way between, what was not confirmed is sent again. Of several processes with the
same database, the one with the lease publishes. One that lost its lease without noticing sends at most what follows
the position that it still had: messages come twice then, but never one before another that was published earlier, the
first time that they come.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import msgspec

from tcbox import db, errors, log
from tcbox.events.amqp.link import LONGEST_PAUSE, Link, until_lost
from tcbox.events.lease import Lease, LeaseLost
from tcbox.events.outbox import Outbox
from tcbox.events.tail import sql
from tcbox.runtime.ending import together, watched

if TYPE_CHECKING:
    from aiormq.abc import AbstractConnection
    from aiormq.channel import Channel

NAME = "amqp"
"""Under which position and lease are kept."""
COUNTED = 100_000
"""Messages that wait are counted up to so many."""
_WINDOW = 200  # messages under way at once
_STALLED = 30.0  # seconds without a confirmation after which the server counts as stalled
_GIVE_UP = 300.0  # seconds for which a message that the server refuses is sent again
_FLUSH = 5.0  # seconds for the rest to be sent at the end
_LOOK = 2.0  # seconds at most between two looks whether the database is there again
_MEASURE = 5.0  # seconds between two looks at how many messages wait


async def begin(outbox: Outbox, database: db.Database) -> None:
    """Note where publishing begins, unless it has: what is announced from now on is published, whenever that starts."""
    position = await outbox.last_id()

    async def note(tx: db.Tx) -> None:
        await tx.execute(sql.begin_position, name=NAME, position=position)

    await database.transaction(note)


class Relay:
    """What publishes the outbox.

    Args:
        exchanges: the addresses of all exchanges that are to be there from the start.

    Attributes:
        published: how many messages the server has confirmed, by exchange.
        refused: how many were given up because the server refused them again and again.
        waiting: how many were not yet published when last counted.
        oldest: when the first of these was written, in ms since the epoch; 0 when none waits.
    """

    def __init__(self, outbox: Outbox, database: db.Database, link: Link, exchanges: Callable[[], Iterable[str]], *, lease: Lease | None = None) -> None:
        self.published: dict[str, int] = {}
        self.refused = 0
        self.waiting = 0
        self.oldest = 0
        self.link = link
        self.lease = lease or Lease(database, NAME)
        self._outbox = outbox
        self._db = database
        self._exchanges = exchanges
        self._declared: set[str] = set()
        self._sent_at: float | None = None  # when the messages under way were sent, by the loop's clock
        self._task: asyncio.Task[None] | None = None
        self._log = log.get("events")

    async def start(self) -> None:
        """Take note of where to begin, before anything is published, and begin."""
        await begin(self._outbox, self._db)
        self._task = watched(asyncio.create_task(together(self.run(), self._measure()), name="events:amqp"), self._log)

    async def stop(self) -> None:
        """Send what is left, if that is soon done, then end."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH):
                while self.link.works and self.lease.held and await self.position() < await self._outbox.last_id():
                    await asyncio.sleep(0.02)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def position(self) -> int:
        """The id of the newest message that the server has confirmed."""
        return int(await self._db.value(sql.get_position, name=NAME) or 0)

    def fault(self) -> str | None:
        """What is wrong, in words; None when nothing is, or when another process publishes."""
        if self.link.works:
            if self._sent_at is not None and asyncio.get_running_loop().time() - self._sent_at > _STALLED:
                return f"{self.link.address.place} confirms nothing for {_STALLED:.0f} s: it may be short of memory or disk space; {self._shown()}"
            return None
        if self.lease.other:  # what was in the way of this process matters no more
            return None
        return f"{self.link.address.place}: {self.link.why}; {self._shown()}" if self.link.why else None

    def _shown(self) -> str:
        count = f"{COUNTED} or more" if self.waiting >= COUNTED else str(self.waiting)
        return f"{count} {'event waits' if self.waiting == 1 else 'events wait'} to be published"

    async def run(self) -> None:
        """Publish for as long as the instance runs, whatever becomes of server and database."""
        while True:
            longest = LONGEST_PAUSE
            try:
                await self.lease.acquire()
                async with self.link.connection() as connection:
                    await together(self._publish_all(connection), self.lease.keep(), until_lost(connection))
            except LeaseLost:
                self._log.info("another process publishes the events now")
            except errors.Unavailable as error:  # the database's, and not the server's, who would be spared by long pauses
                self.link.has_failed(error)
                longest = _LOOK
            except Exception as error:
                self.link.has_failed(error)
            finally:
                self._sent_at = None
                with contextlib.suppress(Exception):  # a lease that cannot be given back runs out
                    await self.lease.release()
            await self.link.pause(longest=longest)

    async def _measure(self) -> None:
        while True:
            try:
                row = await self._db.one(sql.count_after, after=await self.position(), limit=COUNTED)
                self.waiting, self.oldest = (int(row["waiting"]), int(row["oldest"] or 0)) if row is not None else (0, 0)
            except Exception:
                self._log.debug("events that wait cannot be counted", exc_info=True)
            await asyncio.sleep(_MEASURE)

    async def _publish_all(self, connection: AbstractConnection) -> None:
        channel = cast("Channel", await connection.channel(publisher_confirms=True))
        self._declared.clear()
        for address in self._exchanges():
            await self._declare(channel, address)
        self.link.has_begun()
        async with contextlib.aclosing(self._outbox.rows(await self.position())) as batches:
            async for rows in batches:
                for first in range(0, len(rows), _WINDOW):
                    await self._publish(channel, rows[first : first + _WINDOW])

    async def _declare(self, channel: Channel, address: str) -> None:
        if address not in self._declared:
            await channel.exchange_declare(address, exchange_type="topic", durable=True)
            self._declared.add(address)

    async def _publish(self, channel: Channel, rows: Sequence[db.Row]) -> None:
        """Publish these in their order; returns when all are confirmed, and the position says so."""
        from aiormq.exceptions import DeliveryError

        loop = asyncio.get_running_loop()
        pause, since = 0.5, loop.time()
        while rows:
            for row in rows:
                await self._declare(channel, row["exchange"])
            self._sent_at = loop.time()
            # each task's first step puts its message into the channel, so they go in this order
            outcomes = await asyncio.gather(*[self._send(channel, row) for row in rows], return_exceptions=True)
            self._sent_at = None
            confirmed = next((at for at, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)), len(rows))
            if confirmed:
                await self._confirmed(rows[:confirmed])
                pause, since = 0.5, loop.time()
            rows = rows[confirmed:]
            if not rows:
                return
            error = outcomes[confirmed]
            if not isinstance(error, DeliveryError):
                assert isinstance(error, BaseException)
                raise error
            if loop.time() - since < _GIVE_UP:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 30.0)
                continue
            self._pass_over(rows[0], error)
            await self._confirmed(rows[:1])
            rows = rows[1:]

    def _pass_over(self, row: db.Row, error: BaseException) -> None:
        self.refused += 1
        self._log.error("event %s of %s is passed over: it cannot be published", row["id"], row["exchange"], exc_info=error)

    async def _send(self, channel: Channel, row: db.Row) -> None:
        from aiormq import spec

        routes = msgspec.json.decode(row["cc"])
        properties = spec.Basic.Properties(
            content_type="application/json", content_encoding="utf-8", delivery_mode=2, message_id=str(row["id"]),
            timestamp=datetime.fromtimestamp(row["created"] // 1000, UTC), headers={"CC": [f"route.{route}" for route in routes]} if routes else None,
        )  # fmt: skip
        try:
            await channel.basic_publish(row["payload"].encode(), exchange=row["exchange"], routing_key=row["routing_key"], properties=properties, wait=False)
        except (ValueError, TypeError) as error:  # such as a routing key longer than AMQP has room for
            self._pass_over(row, error)
        else:
            self.published[row["exchange"]] = self.published.get(row["exchange"], 0) + 1

    async def _confirmed(self, rows: Sequence[db.Row]) -> None:
        async def save(tx: db.Tx) -> None:
            await self.lease.confirm(tx)
            await tx.execute(sql.save_position, name=NAME, position=rows[-1]["id"])

        await self._db.transaction(save)
