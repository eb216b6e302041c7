"""The outbox and what empties it: messages are written with the change they announce, then delivered in order.

A message stands in the table `events` under a growing id for as long as `retention` says, so that a reader can
resume after any id. Each durable subscriber has a position of its own that outlives the process: after a crash it
sees again what it had not finished, so delivery is at least once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.events.exchanges import Exchange
from tcbox.events.topics import Binding

sql = db.load(Path(__file__).parent / "sql", "events")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "events")

BATCH = 500
RETENTION = 1 * clocks.HOUR
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Event:
    """A delivered message."""

    id: int
    exchange: str
    routing_key: str
    cc: tuple[str, ...]
    payload: Any
    time: int


Handler = Callable[[Event], Awaitable[None]]


@dataclass(eq=False)
class Subscription:
    """Who gets which messages, and how far it has come."""

    name: str
    bindings: tuple[Binding, ...]
    handler: Handler
    durable: bool
    position: int = 0
    saved: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def takes(self, event: Event) -> bool:
        """Whether one of the bindings takes the message."""
        keys = (event.routing_key, *(f"route.{route}" for route in event.cc))
        return any(binding.takes(event.exchange, keys) for binding in self.bindings)


class Bus:
    """Publishes into the outbox, and delivers from it to subscribers in this process."""

    def __init__(self, database: db.Database, clock: clocks.Clock, *, retention: int = RETENTION) -> None:
        self._db = database
        self._clock = clock
        self._retention = retention
        self._log = log.get("events")
        self._subscriptions: dict[str, Subscription] = {}
        self._wakers: set[asyncio.Event] = set()
        self._closing = False

    async def publish(self, tx: db.Tx, exchange: Exchange, message: Any, *, routes: Iterable[str] = (), **key: Any) -> None:
        """Write a message into the outbox, in the transaction whose change it announces.

        Args:
            message: what the exchange's schema describes; encoded at once.
            routes: custom routes; subscribers bind to them as `route.<route>`.
            key: the values of the routing key's words.
        """
        routes = list(routes)
        await tx.execute(
            sql.add_event,
            exchange=exchange.address,
            routing_key=exchange.routing_key(key),
            cc=_encode(routes).decode() if routes else "[]",
            payload=_encode(message).decode(),
            created=tx.now,
        )
        tx.after_commit(self._wake)

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()

    async def read(self, after: int, limit: int = BATCH) -> list[Event]:
        """The messages that follow an id, in order."""
        return [_event(row) for row in await self._db.all(sql.events_after, after=after, limit=limit)]

    async def last_id(self) -> int:
        """The newest message's id, 0 before the first."""
        return int(await self._db.value(sql.last_event) or 0)

    async def subscribe(self, name: str, bindings: Iterable[Binding], handler: Handler, *, durable: bool = True) -> Subscription:
        """Deliver matching messages to the handler, one after another, until `unsubscribe`.

        A handler that raises gets the same message again, with growing pauses. A durable subscriber goes on where
        it stood when the process ended; a new one starts with what is published from now on.
        """
        subscription = Subscription(name, tuple(bindings), handler, durable)
        stored = await self._db.value(sql.get_position, name=name) if durable else None
        subscription.position = subscription.saved = int(stored) if stored is not None else await self.last_id()
        if durable and stored is None:
            await self._save(subscription)
        self._subscriptions[name] = subscription
        subscription.task = asyncio.create_task(self._deliver(subscription), name=f"events:{name}")
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop delivering; a durable subscriber's position is kept."""
        self._subscriptions.pop(subscription.name, None)
        if subscription.task is not None:
            subscription.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await subscription.task
        if subscription.durable and subscription.position != subscription.saved:
            await self._save(subscription)

    async def close(self) -> None:
        """Stop all deliveries."""
        for subscription in list(self._subscriptions.values()):
            await self.unsubscribe(subscription)

    async def follow(self, after: int) -> Any:
        """All messages after an id, as they come: an asynchronous generator of batches without an end."""
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            while True:
                waker.clear()
                batch = await self.read(after)
                if batch:
                    after = batch[-1].id
                    yield batch
                if len(batch) < BATCH:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(waker.wait(), 1.0)
        finally:
            self._wakers.discard(waker)

    async def _deliver(self, subscription: Subscription) -> None:
        async for batch in self.follow(subscription.position):
            for event in batch:
                if subscription.takes(event):
                    await self._hand_over(subscription, event)
                subscription.position = event.id
            if subscription.durable:
                await self._save(subscription)

    async def _hand_over(self, subscription: Subscription, event: Event) -> None:
        pause = 1.0
        while True:
            try:
                await subscription.handler(event)
                return
            except Exception:
                self._log.exception("subscriber %s failed on event %s of %s; trying again in %.0f s", subscription.name, event.id, event.exchange, pause)
                await self._clock.sleep(pause * clocks.SECOND)
                pause = min(pause * 2, 60.0)

    async def _save(self, subscription: Subscription) -> None:
        async def save(tx: db.Tx) -> None:
            await tx.execute(sql.save_position, name=subscription.name, position=subscription.position)

        await self._db.transaction(save)
        subscription.saved = subscription.position

    async def expire(self) -> int:
        """Remove messages older than the retention that every durable subscriber has seen; gives how many."""
        positions = [s.position for s in self._subscriptions.values() if s.durable]
        before = self._clock.now() - self._retention
        until = min(positions, default=None)
        removed = 0
        while True:

            async def step(tx: db.Tx) -> int:
                return await tx.execute(sql.expire_events, before=before, until=2**62 if until is None else until, limit=2000)

            count = await self._db.transaction(step)
            removed += count
            if count < 2000:
                return removed
            await asyncio.sleep(0)


def _event(row: db.Row) -> Event:
    return Event(
        id=row["id"], exchange=row["exchange"], routing_key=row["routing_key"], time=row["created"],
        cc=tuple(msgspec.json.decode(row["cc"])), payload=msgspec.json.decode(row["payload"]),
    )  # fmt: skip
