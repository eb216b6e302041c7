"""What empties the outbox: its messages are delivered in order to whoever subscribes in this process.

A message is kept for as long as `retention` says. Each durable subscriber has a position of its own that outlives the process: after a crash it
sees again what it had not finished, so delivery is at least once. Of several processes that subscribe under one name,
one delivers, by a lease; when it ends, another goes on from the position within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.events.event import Handler
from tcbox.events.handing import hand_over
from tcbox.events.lease import Lease, LeaseLost
from tcbox.events.outbox import Message, Outbox, decoded
from tcbox.events.subscription import Far, Subscription
from tcbox.events.tail import BATCH, Tail, sql
from tcbox.events.topics import Binding
from tcbox.runtime.ending import together

migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "events")

RETENTION = 1 * clocks.HOUR
KEPT_UNSEEN = 30 * clocks.DAY
"""For how long a message is kept that a durable subscriber has not seen, be it because the subscriber's service does not run."""
OWN = "exchange/taskcluster-"
"""How the names of the instance's own exchanges begin."""
BEAT, PATIENCE = 1.5, 6.0
"""Seconds between two signs of life of whoever delivers to a subscription, and without one until another process does."""
_EXPIRED_AT_ONCE = 2000
_encode = msgspec.json.Encoder().encode


class Bus(Outbox):
    """Publishes into the outbox, and delivers from it to subscribers in this process.

    Args:
        retention: for how long, in ms, a message is kept that every durable subscriber has seen.
    """

    def __init__(self, database: db.Database, clock: clocks.Clock, *, retention: int = RETENTION) -> None:
        super().__init__(database)
        self._clock = clock
        self._retention = retention
        self._log = log.get("events")
        self._bound = Tail(database, self._keyed)
        self._subscriptions: dict[str, Subscription] = {}
        self._wanted: tuple[frozenset[str], str] | None = None
        self._far: Far | None = None

    def _published(self, messages: Sequence[Message]) -> None:
        super()._published(messages)
        wanted, _ = self._wants()
        if any(message.routes or message.exchange.address in wanted for message in messages):
            self._bound.wake()
        else:  # subscribers' positions go on all the same, so that what all have passed can be removed
            self._bound.wake_later()

    async def reach(self, far: Far | None) -> None:
        """Give it a way to the exchanges of other systems; without one, bindings to these have no effect."""
        self._far = far
        for subscription in list(self._subscriptions.values()):
            if subscription.active:
                await self._subscribe_far(subscription)

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
        self._wanted = None
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

    async def rebind(self, subscription: Subscription, bindings: Iterable[Binding]) -> None:
        """Change which messages a subscription gets, from the one on that follows the one it is handling."""
        before, subscription.bindings = subscription.bindings, tuple(bindings)
        self._wanted = None
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
        for binding in far if self._far is None else ():
            self._log.warning(
                "the binding of %s to %s has no effect: events of other systems need an AMQP server, and `events` in the configuration names none",
                subscription.name, binding.exchange,
            )  # fmt: skip

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop delivering; a durable subscriber's position is kept."""
        self._subscriptions.pop(subscription.name, None)
        self._wanted = None
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
            await together(self._deliver_all(subscription), lease.keep())
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
                        await hand_over(subscription.handler, decoded(row), name=subscription.name, clock=self._clock, log=self._log)
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
        return self._wants()[1]

    def _wants(self) -> tuple[frozenset[str], str]:
        """These exchanges, as a set and as a JSON list; kept until somebody subscribes, binds otherwise, or goes."""
        if self._wanted is None:
            bindings = [binding for subscription in self._subscriptions.values() for binding in subscription.bindings]
            exchanges = frozenset(binding.exchange for binding in bindings if not binding.routed)
            self._wanted = exchanges, _encode(sorted(exchanges)).decode()
        return self._wanted

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
            "abandoned": now - KEPT_UNSEEN, "limit": _EXPIRED_AT_ONCE,
        }  # fmt: skip
        newest = await tx.value(sql.last_expired, **which)
        if newest is None:
            return 0
        await tx.execute(sql.save_removed, id=newest)
        return await tx.execute(sql.expire_events, **which)


def foreign(exchange: str) -> bool:
    """Whether an exchange is another system's, since it has not the name of one of Taskcluster's services."""
    return not exchange.startswith(OWN)
