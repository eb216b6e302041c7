"""The outbox and what empties it: messages are written with the change they announce, then delivered in order.

A message stands in the table `events` under a growing id for as long as `retention` says, so that a reader can
resume after any id. Each durable subscriber has a position of its own that outlives the process: after a crash it
sees again what it had not finished, so delivery is at least once. Of several processes that subscribe under one name,
one delivers, by a lease; when it ends, another goes on from the position within seconds.

No message is seen before all with smaller ids are there: on PostgreSQL, where transactions end in any order, an id
begins with the transaction's, and a message is held back while a transaction with a smaller one is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.events.event import Event, Handler
from tcbox.events.exchanges import Exchange
from tcbox.events.handing import hand_over
from tcbox.events.lease import Lease, LeaseLost
from tcbox.events.subscription import Far, Subscription
from tcbox.events.tail import BATCH, PUBLISHED, Tail, sql
from tcbox.events.topics import Binding

migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "events")

RETENTION = 1 * clocks.HOUR
KEPT_UNSEEN = 30 * clocks.DAY
OWN = "exchange/taskcluster-"
"""How the names of the instance's own exchanges begin."""
BEAT, PATIENCE = 1.5, 6.0
"""Seconds between two signs of life of whoever delivers to a subscription, and without one until another process does."""
_EXPIRED_AT_ONCE = 2000
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


class Bus:
    """Publishes into the outbox, and delivers from it to subscribers in this process.

    Args:
        retention: for how long, in ms, a message is kept that every durable subscriber has seen.
        kept_unseen: for how long, in ms, one is kept that a durable subscriber has not seen, be it because the
            subscriber's service does not run.
    """

    def __init__(self, database: db.Database, clock: clocks.Clock, *, retention: int = RETENTION, kept_unseen: int = KEPT_UNSEEN) -> None:
        self._db = database
        self._clock = clock
        self._retention = retention
        self._kept_unseen = kept_unseen
        self._log = log.get("events")
        self._tail = Tail(database)
        self._bound = Tail(database, self._keyed)
        self._subscriptions: dict[str, Subscription] = {}
        self._far: Far | None = None

    async def reach(self, far: Far | None) -> None:
        """Give it a way to the exchanges of other systems; without one, bindings to these have no effect."""
        self._far = far
        for subscription in list(self._subscriptions.values()):
            if subscription.active:
                await self._subscribe_far(subscription)

    def without_effect(self, bindings: Iterable[Binding]) -> list[Binding]:
        """Those of the bindings that bring nothing: to exchanges of other systems, while there is no AMQP server."""
        return [binding for binding in bindings if foreign(binding.exchange)] if self._far is None else []

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
        tx.after_commit(self._published)

    def _published(self) -> None:
        self._tail.wake()
        self._bound.wake()
        self._db.signal(PUBLISHED, "")

    async def read(self, after: int, limit: int = BATCH) -> list[Event]:
        """The messages that follow an id, in order."""
        return [_event(row) for row in await self._tail.read(after, limit)]

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

    async def subscribe(
        self, name: str, bindings: Iterable[Binding], handler: Handler, *, durable: bool = True, prepare: Callable[[], Awaitable[object]] | None = None
    ) -> Subscription:
        """Deliver matching messages to the handler, one after another, until `unsubscribe`.

        A handler that raises gets the same message again, with growing pauses. A durable subscriber goes on where
        it stood when the process ended; a new one starts with what is published from now on. Of several processes
        with a durable subscription of one name, one at a time delivers.

        Messages of the instance's own exchanges come from the outbox. Those of other systems' come from the AMQP server,
        by a queue of the subscription's name, in which they wait while the process does not run; without such a server
        these bindings have no effect, which the log says.

        Args:
            prepare: is awaited when another process delivered until now, before this one does; it may `rebind`.

        Raises ValueError when there is a subscription of this name already.
        """
        if name in self._subscriptions:
            raise ValueError(f"there is a subscription {name} already: unsubscribe it first, or choose another name")
        subscription = Subscription(name, tuple(bindings), handler, durable, prepare)
        if durable and self._db.shared:
            subscription.lease = Lease(self._db, f"subscription {name}", beat=BEAT, patience=PATIENCE)
        else:
            subscription.active = True
            await self._subscribe_far(subscription)
        await self._begin(subscription)
        self._subscriptions[name] = subscription
        subscription.task = asyncio.create_task(self._deliver(subscription), name=f"events:{name}")
        return subscription

    async def _begin(self, subscription: Subscription) -> None:
        """Find where to go on, or note where a new one begins."""
        stored = await self._position(subscription)
        newest = await self.last_id() if stored is None else stored
        if stored is None and subscription.durable:

            async def begin(tx: db.Tx) -> int:
                await tx.execute(sql.begin_position, name=subscription.name, position=newest)
                return int(await tx.value(sql.get_position, name=subscription.name))  # another process may have been faster

            newest = await self._db.transaction(begin)
        subscription.position = subscription.saved = newest

    async def _position(self, subscription: Subscription) -> int | None:
        return await self._number(sql.get_position, name=subscription.name) if subscription.durable else None

    async def _number(self, query: db.Query, **params: str) -> int | None:
        """The one number that a look-up gives, or None."""
        row = await self._db.point(query, **params)
        return None if row is None or row[0] is None else int(row[0])

    async def rebind(self, subscription: Subscription, bindings: Iterable[Binding]) -> None:
        """Change which messages a subscription gets, from the one on that follows the one it is handling."""
        before, subscription.bindings = subscription.bindings, tuple(bindings)
        if subscription.active and [b for b in before if foreign(b.exchange)] != [b for b in subscription.bindings if foreign(b.exchange)]:
            await self._subscribe_far(subscription)

    async def _subscribe_far(self, subscription: Subscription) -> None:
        """Have the AMQP server's side be as the bindings are now."""
        async with subscription.arranging:
            far = [binding for binding in subscription.bindings if foreign(binding.exchange)]
            if self._far is not None and far:
                await self._far.subscribe(subscription.name, far, subscription.handler, durable=subscription.durable)
            elif self._far is not None:
                await self._far.unsubscribe(subscription.name)
                if subscription.durable and await self._db.value(sql.get_queue, name=subscription.name) is not None:
                    await self._forget_queue(subscription.name)
        for binding in self.without_effect(far):
            self._log.warning(
                "the binding of %s to %s has no effect: events of other systems need an AMQP server, and `events` in the configuration names none",
                subscription.name, binding.exchange,
            )  # fmt: skip

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop delivering; a durable subscriber's position is kept."""
        self._subscriptions.pop(subscription.name, None)
        if self._far is not None and subscription.active:
            await self._far.unsubscribe(subscription.name)
        if subscription.task is not None:
            subscription.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await subscription.task
        if subscription.lease is None:
            await self._save_rest(subscription)

    async def forget(self, name: str) -> None:
        """Give up a durable subscriber, which must not run: messages are no longer kept for it, here or on an AMQP server."""

        async def remove(tx: db.Tx) -> None:
            await tx.execute(sql.remove_position, name=name)

        await self._db.transaction(remove)
        await self._forget_queue(name)

    async def _forget_queue(self, name: str) -> None:
        async def forget(tx: db.Tx) -> None:
            await tx.execute(sql.forget_queue, name=name)

        await self._db.transaction(forget)
        if self._far is not None:
            self._far.forgotten()

    async def close(self) -> None:
        """Stop all deliveries; what is then left of the positions is saved."""
        self._tail.close()
        self._bound.close()
        for subscription in list(self._subscriptions.values()):
            await self.unsubscribe(subscription)

    async def follow(self, after: int) -> AsyncGenerator[list[Event], None]:
        """All messages after an id, as they come: an asynchronous generator of batches without an end."""
        async with contextlib.aclosing(self._tail.follow(after)) as batches:
            async for rows in batches:
                yield [_event(row) for row in rows]

    async def _deliver(self, subscription: Subscription) -> None:
        """Deliver for as long as the subscription lasts, whatever happens to the database."""
        lost = False
        while True:
            try:
                await (self._deliver_all(subscription) if subscription.lease is None else self._deliver_in_turn(subscription, subscription.lease))
            except LeaseLost:
                self._log.info("another process delivers to %s now", subscription.name)
            except errors.Unavailable as error:
                self._log.log(10 if lost else 30, "messages for %s cannot be read; trying again each second: %s", subscription.name, error)
                lost = True
                await self._clock.sleep(clocks.SECOND)
                continue
            except Exception:
                self._log.exception("messages for %s cannot be read; trying again in 1 s", subscription.name)
                await self._clock.sleep(clocks.SECOND)
            lost = False

    async def _deliver_in_turn(self, subscription: Subscription, lease: Lease) -> None:
        """Deliver from the time on when no other process does, until one does; raises LeaseLost then."""
        await lease.acquire()
        try:
            await self._begin(subscription)
            if subscription.prepare is not None:
                await subscription.prepare()
            subscription.active = True
            await self._subscribe_far(subscription)
            await _first_to_end(self._deliver_all(subscription), lease.keep())
        finally:
            if subscription.active:
                subscription.active = False
                if self._far is not None:
                    await self._far.unsubscribe(subscription.name)
            with contextlib.suppress(Exception):  # a lease that cannot be given back runs out; what was not saved is delivered again
                if lease.held:
                    await self._save_rest(subscription)
                await lease.release()

    async def _deliver_all(self, subscription: Subscription) -> None:
        while True:
            await self._deliver_bound(subscription, subscription.bindings)

    async def _deliver_bound(self, subscription: Subscription, bindings: Sequence[Binding]) -> None:
        """Deliver until it is bound otherwise: what was read before may lack what it then wants."""
        unsaved = 0
        async with contextlib.aclosing(self._bound.follow(subscription.position)) as batches:
            async for rows in batches:
                taken = 0
                for row in rows:
                    if subscription.bindings is not bindings:
                        break
                    if subscription.takes(row):
                        await hand_over(subscription.handler, _event(row), name=subscription.name, clock=self._clock, log=self._log)
                        subscription.position = row["id"]
                        taken += 1
                else:
                    subscription.position = rows[-1]["id"]
                unsaved += len(rows)
                if subscription.durable and (taken or unsaved >= BATCH):
                    await self._save(subscription)
                    unsaved = 0
                if subscription.bindings is not bindings:
                    return

    def _keyed(self) -> str:
        """The exchanges, as a JSON list, whose messages somebody may want that have no custom routes."""
        bindings = [binding for subscription in self._subscriptions.values() for binding in subscription.bindings]
        return _encode(sorted({binding.exchange for binding in bindings if not binding.routed})).decode()

    async def _save(self, subscription: Subscription) -> None:
        position, lease = subscription.position, subscription.lease

        async def save(tx: db.Tx) -> None:
            if lease is not None:
                await lease.confirm(tx)
            await tx.execute(sql.save_position, name=subscription.name, position=position)

        await self._db.transaction(save)
        subscription.saved = position

    async def _save_rest(self, subscription: Subscription) -> None:
        if subscription.durable and subscription.position != subscription.saved:
            await self._save(subscription)

    async def expire(self) -> int:
        """Remove messages past the retention that every durable subscriber has seen, and much older ones; gives how many."""
        for subscription in list(self._subscriptions.values()):
            if subscription.active:
                with contextlib.suppress(LeaseLost):
                    await self._save_rest(subscription)
        now, removed = self._clock.now(), 0
        while True:
            count = await self._db.transaction(lambda tx: self._expire_some(tx, now))
            removed += count
            if count < _EXPIRED_AT_ONCE:
                return removed
            await asyncio.sleep(0)

    async def _expire_some(self, tx: db.Tx, now: int) -> int:
        slowest = await tx.value(sql.slowest_position)
        which = {
            "before": now - self._retention, "until": 2**62 if slowest is None else slowest,
            "abandoned": now - self._kept_unseen, "limit": _EXPIRED_AT_ONCE,
        }  # fmt: skip
        newest = await tx.value(sql.last_expired, **which)
        if newest is None:
            return 0
        await tx.execute(sql.save_removed, id=newest)
        return await tx.execute(sql.expire_events, **which)


async def _first_to_end(*works: Coroutine[Any, Any, object]) -> None:
    """Run works side by side until the first ends, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    raise next(outcome for outcome in outcomes if isinstance(outcome, Exception))


def foreign(exchange: str) -> bool:
    """Whether an exchange is another system's, since it has not the name of one of Taskcluster's services."""
    return not exchange.startswith(OWN)


def _cc(routes: Sequence[str]) -> str:
    return _encode(routes).decode() if routes else "[]"


def _event(row: db.Row) -> Event:
    return Event(
        id=row["id"], exchange=row["exchange"], routing_key=row["routing_key"], time=row["created"],
        cc=tuple(msgspec.json.decode(row["cc"])), payload=msgspec.json.decode(row["payload"]),
    )  # fmt: skip
