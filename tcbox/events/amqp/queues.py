"""Queues of this instance's own on the AMQP server, for what others announce there.

A durable subscription has a queue `queue/<user>/<name>` there, which gathers messages while the instance is away. What
each queue is bound to stands in the database too, for the server does not tell: a binding that is not wanted any more
is taken back, and the queue of a subscription that was given up is deleted, even when the server was away just then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import msgspec

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.events.amqp.link import Link, until_lost, words
from tcbox.events.event import Event, Handler
from tcbox.events.handing import hand_over
from tcbox.events.tail import sql
from tcbox.events.topics import Binding
from tcbox.runtime.ending import together, watched

if TYPE_CHECKING:
    from aiormq.abc import AbstractConnection, DeliveredMessage
    from aiormq.channel import Channel

KEPT = 1000
"""Messages that a queue keeps while the instance is away; of more, the oldest go."""
_ARGUMENTS: dict[str, Any] = {"x-queue-type": "quorum", "x-max-length": KEPT}
_AGAIN = 60.0  # seconds until what could not be bound is tried again
_ROUTE = "route."


@dataclass(eq=False)
class Queue:
    """One subscription's queue.

    Attributes:
        changes: how often its bindings were changed.
        bound: the value of `changes` whose bindings the server has; -1 before it has any.
        unbound: why, by exchange, it is not bound to what it should be.
        broken: why it could not be set up; empty when it was.
    """

    name: str
    bindings: tuple[Binding, ...]
    handler: Handler
    durable: bool
    changes: int = 0
    bound: int = -1
    unbound: dict[str, str] = field(default_factory=dict)
    broken: str = ""
    channel: Channel | None = None
    tag: str = ""
    handling: set[asyncio.Task[None]] = field(default_factory=set)


class Queues:
    """All subscriptions to exchanges of others."""

    def __init__(self, database: db.Database, link: Link, clock: clocks.Clock) -> None:
        self.link = link
        self._db = database
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._log = log.get("events")

    async def start(self) -> None:
        """Begin; a connection is made when there is something to do with it."""
        self._task = watched(asyncio.create_task(self._run(), name="events:queues"), self._log)

    async def stop(self) -> None:
        """End; what was not handled stays in its queue."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def subscribe(self, name: str, bindings: Sequence[Binding], handler: Handler, *, durable: bool) -> None:
        """Have messages that these bindings take handed over, one after another; set up as soon as the server answers.

        One that is there already is bound anew.
        """
        there = self._queues.get(name)
        if there is not None:
            there.bindings, there.handler, there.changes = tuple(bindings), handler, there.changes + 1
            self._changed.set()
            return
        if durable:
            bound = await self._db.value(sql.get_queue, name=name)

            async def save(tx: db.Tx) -> None:
                await tx.execute(sql.save_queue, name=name, bound=bound or "[]")

            await self._db.transaction(save)
        self._queues[name] = Queue(name, tuple(bindings), handler, durable)
        self._changed.set()

    async def unsubscribe(self, name: str) -> None:
        """Hand over nothing more; a durable queue goes on to gather messages."""
        queue = self._queues.pop(name, None)
        if queue is not None:
            await self._close(queue)
            for task in queue.handling - {asyncio.current_task()}:
                task.cancel()

    def forgotten(self) -> None:
        """Told that the database says of a queue that it is to be deleted."""
        self._changed.set()

    def faults(self) -> list[str]:
        """What does not work, in words."""
        if self._queues and not self.link.works:
            return [f"{self.link.address.place}: {self.link.why}; events of other systems do not arrive"] if self.link.why else []
        broken = [f"the queue {queue.name} is not set up: {queue.broken}" for queue in self._queues.values() if queue.broken]
        return broken + [f"{queue.name} is not bound to {exchange}: {why}" for queue in self._queues.values() for exchange, why in queue.unbound.items()]

    async def _run(self) -> None:
        while True:
            try:
                await self._something_to_do()
                async with self.link.connection() as connection:
                    await together(self._serve(connection), until_lost(connection))
            except Exception as error:
                self.link.has_failed(error)
            finally:
                for queue in self._queues.values():
                    queue.channel = None
            if not self._idle:
                await self.link.pause()

    @property
    def _idle(self) -> bool:
        return not self._queues and not self._changed.is_set()

    async def _something_to_do(self) -> None:
        while True:
            self._changed.clear()
            if await self._db.all(sql.forgotten_queues) or self._queues:
                return
            await self._changed.wait()

    async def _serve(self, connection: AbstractConnection) -> None:
        """Keep all queues as they should be while the connection lasts; returns when there is nothing to do."""
        self.link.has_begun()
        while True:
            self._changed.clear()
            await self._delete_forgotten(connection)
            for queue in list(self._queues.values()):
                if self._queues.get(queue.name) is queue and not self._consumes(queue):
                    await self._set_up(connection, queue)
            if not self._queues:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN):
                    await self._changed.wait()

    @staticmethod
    def _consumes(queue: Queue) -> bool:
        channel = queue.channel
        return channel is not None and not channel.is_closed and queue.tag in channel.consumers and queue.bound == queue.changes and not queue.unbound

    async def _delete_forgotten(self, connection: AbstractConnection) -> None:
        for row in await self._db.all(sql.forgotten_queues):
            name = row["name"]
            if name not in self._queues:
                async with _channel(connection) as channel:
                    await channel.queue_delete(self.link.address.queue(name))

                async def remove(tx: db.Tx, name: str = name) -> None:
                    await tx.execute(sql.remove_queue, name=name)

                await self._db.transaction(remove)

    async def _set_up(self, connection: AbstractConnection, queue: Queue) -> None:
        from aiormq.exceptions import AMQPChannelError

        full = self.link.address.queue(queue.name)
        before = queue.broken
        try:
            if queue.channel is None or queue.channel.is_closed or queue.tag not in queue.channel.consumers:
                await self._close(queue)
                channel = cast("Channel", await connection.channel(publisher_confirms=False))
                await channel.basic_qos(prefetch_count=1)
                await channel.queue_declare(
                    full, durable=queue.durable, exclusive=not queue.durable, auto_delete=not queue.durable, arguments=_ARGUMENTS if queue.durable else None,
                )  # fmt: skip
                await self._bind(connection, queue, full)
                consuming = await channel.basic_consume(full, lambda message: self._take(queue, message))
                queue.channel, queue.tag = channel, consuming.consumer_tag or ""
            else:
                await self._bind(connection, queue, full)
            queue.broken = ""
        except AMQPChannelError as error:
            queue.broken = words(error)
            if queue.broken != before:
                self._log.error("the queue %s cannot be set up: %s; trying again", full, queue.broken)

    async def _bind(self, connection: AbstractConnection, queue: Queue, full: str) -> None:
        """Bind a queue to what it should be, and to nothing else."""
        from aiormq.exceptions import AMQPChannelError

        changes = queue.changes
        wanted = {(binding.exchange, binding.pattern) for binding in queue.bindings}
        bound: set[tuple[str, str]] = set()
        if queue.durable:
            bound = {(exchange, pattern) for exchange, pattern in msgspec.json.decode(await self._db.value(sql.get_queue, name=queue.name) or "[]")}
            await self._save(queue.name, _encode(bound | wanted))
        async with _channel(connection) as channel:
            for exchange, pattern in sorted(bound - wanted):
                await channel.queue_unbind(full, exchange, pattern)
        unbound: dict[str, str] = {}
        for exchange, pattern in sorted(wanted):
            try:
                async with _channel(connection) as channel:
                    await channel.queue_bind(full, exchange, pattern)
            except AMQPChannelError as error:
                unbound[exchange] = words(error)
                if exchange not in queue.unbound:
                    self._log.warning("%s cannot be bound to %s: %s; trying again each minute", full, exchange, unbound[exchange])
        if queue.durable:
            await self._save(queue.name, _encode(wanted))
        queue.bound, queue.unbound = changes, unbound

    async def _save(self, name: str, bound: str) -> None:
        async def save(tx: db.Tx) -> None:
            await tx.execute(sql.bind_queue, name=name, bound=bound)

        await self._db.transaction(save)

    async def _take(self, queue: Queue, message: DeliveredMessage) -> None:
        """Hand one message over, again until that succeeds, then confirm it."""
        task = asyncio.current_task()
        assert task is not None
        queue.handling.add(task)
        try:
            event = self._event(message)
            if event is None:
                self._log.warning("a message of %s is passed over: its body is no JSON", message.exchange, extra={"queue": queue.name})
            else:
                await hand_over(queue.handler, event, name=queue.name, clock=self._clock, log=self._log)
            assert message.delivery_tag is not None
            with contextlib.suppress(Exception):  # on a channel that has gone meanwhile, where it is delivered again
                await message.channel.basic_ack(message.delivery_tag)
        finally:
            queue.handling.discard(task)

    def _event(self, message: DeliveredMessage) -> Event | None:
        try:
            payload = msgspec.json.decode(message.body)
        except (ValueError, RecursionError):
            return None
        cc = (message.header.properties.headers or {}).get("CC")
        keys = [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in cc] if isinstance(cc, list) else []
        return Event(
            id=0, exchange=str(message.exchange), routing_key=str(message.routing_key), payload=payload, time=self._clock.now(),
            cc=tuple(key.removeprefix(_ROUTE) for key in keys if key.startswith(_ROUTE)),
        )  # fmt: skip

    async def _close(self, queue: Queue) -> None:
        channel, queue.channel = queue.channel, None
        if channel is not None and not channel.is_closed:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await channel.close()


@contextlib.asynccontextmanager
async def _channel(connection: AbstractConnection) -> AsyncIterator[Channel]:
    """A channel for what may be refused, since a refusal closes it."""
    channel = cast("Channel", await connection.channel(publisher_confirms=False))
    try:
        yield channel
    finally:
        if not channel.is_closed:
            await channel.close()


def _encode(bindings: set[tuple[str, str]]) -> str:
    return msgspec.json.encode(sorted(bindings)).decode()
