"""A subscription as the bus keeps it, and what reaches the exchanges of other systems."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from tcbox import db
from tcbox.events.event import Handler
from tcbox.events.lease import Lease
from tcbox.events.topics import Binding


class Far(Protocol):
    """Where exchanges of other systems are reached.

    Implementers must set a subscription up as soon as they can, and must not wait for it.
    """

    async def subscribe(self, name: str, bindings: Sequence[Binding], handler: Handler, *, durable: bool) -> None:
        """Have messages that these bindings take handed over, one after another; a subscription that is there is bound anew."""
        ...

    async def unsubscribe(self, name: str) -> None:
        """Hand over nothing more; does nothing when there is no such subscription."""
        ...

    def forgotten(self) -> None:
        """Told that the database says of a queue that it is to be deleted."""
        ...


@dataclass(eq=False)
class Subscription:
    """Who gets which messages, and how far it has come.

    Attributes:
        prepare: is awaited before this process begins to deliver.
        lease: decides which process delivers; None when it can only be this one.
        active: whether it is this one.
    """

    name: str
    bindings: tuple[Binding, ...]
    handler: Handler
    durable: bool
    prepare: Callable[[], Awaitable[object]] | None = None
    lease: Lease | None = None
    active: bool = False
    position: int = 0
    saved: int = 0
    task: asyncio.Task[None] | None = None
    arranging: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: tuple[Binding, ...] = ()
    _by_exchange: dict[str, list[Binding]] = field(default_factory=dict)

    def takes(self, row: db.Row) -> bool:
        """Whether one of the bindings takes the message."""
        if self._known is not self.bindings:
            self._known, self._by_exchange = self.bindings, {}
            for binding in self.bindings:
                self._by_exchange.setdefault(binding.exchange, []).append(binding)
        exchange = row["exchange"]
        candidates = self._by_exchange.get(exchange)
        if candidates is None:
            return False
        routes = row["cc"]
        keys = [row["routing_key"]] if routes == "[]" else [row["routing_key"], *(f"route.{route}" for route in msgspec.json.decode(routes))]
        return any(binding.takes(exchange, keys) for binding in candidates)
