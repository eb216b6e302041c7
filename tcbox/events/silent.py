"""The bus as it is given to what only publishes: an API whose subscriptions run in another process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from tcbox.events.bus import Bus
from tcbox.events.event import Handler
from tcbox.events.outbox import Message
from tcbox.events.subscription import Subscription
from tcbox.events.topics import Binding


class Silent(Bus):
    """Publishes and reads as another bus of this process; delivers nothing to subscribers, and leaves their positions alone."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus._db, bus._clock)  # noqa: SLF001 - a bus itself
        self._tail = bus._tail  # noqa: SLF001
        self._other = bus

    def _published(self, messages: Sequence[Message]) -> None:
        self._other._published(messages)  # noqa: SLF001 - its readers hear at once, who are this one's too

    async def subscribe(
        self, name: str, bindings: Iterable[Binding], handler: Handler, *, durable: bool = True, prepare: Callable[[], Awaitable[object]] | None = None
    ) -> Subscription:
        """A subscription that gets nothing."""
        return Subscription(name, tuple(bindings), handler, durable, prepare)

    async def rebind(self, subscription: Subscription, bindings: Iterable[Binding]) -> None:
        """Note the bindings."""
        subscription.bindings = tuple(bindings)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """There is nothing to be ended."""

    async def forget(self, name: str) -> None:
        """That is for the process that runs the subscriptions to do."""
