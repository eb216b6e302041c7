"""How events reach those outside: the stream at `/events`, and the AMQP server that the configuration names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from tcbox import clock as clocks
from tcbox.api.streams import PREFIX, Streams
from tcbox.box.vendors import text
from tcbox.events import hub as hubs
from tcbox.events.amqp import address, relay
from tcbox.runtime import LoopSpec, Registry

if TYPE_CHECKING:
    from aiohttp import web

    from tcbox.api.front import Mounted
    from tcbox.box.services import Shared
    from tcbox.config import Settings
    from tcbox.events.amqp.queues import Queues

NAME = "events"
"""The part's name in `tcbox status`, in the log and for `tcbox restart`."""
_EXPIRY = 10 * clocks.MINUTE


def server(settings: Settings) -> address.Address | None:
    """The AMQP server of the configuration; None when events stay here.

    Raises TcboxError when there is one, and its client library is missing.
    """
    chosen = text(settings.events)
    if chosen in ("", "local"):
        return None
    address.require()
    return address.parse(chosen)


def described(settings: Settings) -> str:
    """How events travel, for the banner."""
    place = server(settings)
    return "in this process, and at /events" if place is None else f"{place.place}, and at /events"


class Events:
    """The part of an instance that lets events out.

    Args:
        page: answers browsers that open `/events` to read it.
        streams, relays, receives: whether this process has the stream, publishes to the AMQP server and forgets old
            events, and has messages of other systems delivered.
    """

    name = NAME
    requires = ()

    def __init__(self, shared: Shared, page: Mounted, *, streams: bool = True, relays: bool = True, receives: bool = True) -> None:
        self.relay: relay.Relay | None = None
        self.queues: Queues | None = None
        self.streams: Streams | None = None
        self.loops = [LoopSpec("expire", _EXPIRY, shared.bus.expire)] if relays else []
        self._streaming, self._relaying, self._receiving = streams, relays, receives
        self._shared = shared
        self._page = page
        self._hub = hubs.Hub(shared.bus, hubs.encoded)

    async def start(self, stack: AsyncExitStack) -> None:
        """Let events out; an AMQP server that does not answer is waited for meanwhile."""
        shared = self._shared
        shared.events = self
        if self._streaming:
            self.streams = Streams(shared.bus, self._hub, shared, shared.clock, self._exchanges)
            shared.front.mount(PREFIX, self._handle)
            stack.callback(shared.front.unmount, PREFIX)
            stack.callback(self._hub.end)
        place = server(shared.settings)
        if place is not None:
            await self._connect(place, stack)
        elif self._relaying:
            await shared.bus.forget(relay.NAME)  # else messages would be kept for a relay that does not run
        if place is None or not self._receiving:
            await shared.bus.reach(None)

    async def _connect(self, place: address.Address, stack: AsyncExitStack) -> None:
        from tcbox.events.amqp.link import Link

        shared, health = self._shared, self._shared.supervisor.health(NAME)
        checks: list[tuple[str, Callable[[], str | None]]] = []
        if self._receiving:
            from tcbox.events.amqp.queues import Queues

            self.queues = Queues(shared.database, Link(place, "events of other systems"), shared.clock)
            await self.queues.start()
            stack.push_async_callback(self.queues.stop)
            await shared.bus.reach(self.queues)
            checks.append(("receiving", self._not_received))
        if self._relaying:
            self.relay = relay.Relay(shared.bus, shared.database, Link(place, "events of this instance"), self._exchanges)
            await self.relay.start()
            stack.push_async_callback(self.relay.stop)
            checks.append(("publishing", self.relay.fault))
        for part, check in checks:
            health.watch(part, check)
            stack.callback(health.unwatch, part)

    def drain(self) -> None:
        """End the streams, whose clients come back."""
        self._hub.end()

    def _not_received(self) -> str | None:
        return "; ".join(self.queues.faults()) or None if self.queues is not None else None

    def _exchanges(self) -> Iterable[str]:
        return [entry.address for declared in self._shared.exchanges.values() for entry in declared.entries.values()]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self.streams is not None
        wants_page = request.method in ("GET", "HEAD") and "text/html" in request.headers.get("Accept", "")
        return await (self._page(request) if wants_page else self.streams.handle(request))


def show(registry: Registry, shared: Shared) -> None:
    """Have the registry show how events get out."""

    def number(find: Callable[[Events], float | None]) -> Callable[[], list[tuple[tuple[str, ...], float]]]:
        def samples() -> list[tuple[tuple[str, ...], float]]:
            value = find(shared.events) if shared.events is not None else None
            return [] if value is None else [((), value)]

        return samples

    for name, help_, kind, find in (
        ("tcbox_event_streams", "Open streams of events.", "gauge", lambda events: events.streams and events.streams.open),
        ("tcbox_event_streams_cut_total", "Streams of events cut off since nobody read them.", "counter", lambda events: events.streams and events.streams.cut),
        ("tcbox_amqp_connected", "Whether events go to the AMQP server: 1 or 0.", "gauge", lambda events: events.relay and float(events.relay.link.works)),
        ("tcbox_amqp_waiting", "Events not yet published to the AMQP server.", "gauge", lambda events: events.relay and events.relay.waiting),
        ("tcbox_amqp_waiting_since_milliseconds", "When the first of them was announced; 0: none.", "gauge",
            lambda events: events.relay and events.relay.oldest),
        ("tcbox_amqp_refused_total", "Events given up since the AMQP server refused them.", "counter", lambda events: events.relay and events.relay.refused),
    ):  # fmt: skip
        registry.computed(name, help_, (), number(find), kind)

    def published() -> list[tuple[tuple[str, ...], float]]:
        made = shared.events.relay if shared.events is not None else None
        return [] if made is None else [((exchange,), count) for exchange, count in made.published.items()]

    registry.computed("tcbox_amqp_published_total", "Events that the AMQP server has confirmed.", ("exchange",), published, "counter")
