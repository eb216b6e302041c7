"""The notify service, put together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import db
from tcbox.client import Caller
from tcbox.events import Binding, Bus
from tcbox.runtime import Health, Registry
from tcbox.services.notify import declarations, events, routes, store
from tcbox.services.notify.api.denylist import Denylist
from tcbox.services.notify.api.sending import Sending
from tcbox.services.notify.channels import Channel
from tcbox.services.notify.handler import Handler
from tcbox.services.notify.meter import Meter, Troubles
from tcbox.services.notify.model import Limits
from tcbox.services.notify.outbox import Missing, Outbox
from tcbox.services.notify.sandbox import Sandbox

SUBSCRIPTION = "notify/tasks"
BINDINGS = [Binding(f"exchange/taskcluster-queue/v1/task-{step}", "route.notify.#") for step in routes.STEPS]
IGNORED = frozenset(("canceled", "deadline-exceeded"))


class Service:
    """Notify.

    Args:
        caller: calls the queue, which may run or not.
        channels: by kind of address; what is missing instead, where nothing is configured.
        root_url: under which the instance's pages are found.
        sandbox: where messages are made; the service ends it.
        ignored: reasons of an exception for which nobody is told.
        registry, health: where counts and faults are shown.
    """

    name = "notify"
    requires: tuple[str, ...] = ("auth",)
    api = declarations.api
    exchanges = events.exchanges
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self,
        *,
        database: db.Database,
        bus: Bus,
        clock: clocks.Clock,
        caller: Caller,
        channels: Mapping[str, Channel | Missing],
        root_url: str,
        sandbox: Sandbox | None = None,
        limits: Limits | None = None,
        ignored: frozenset[str] = IGNORED,
        registry: Registry | None = None,
        health: Health | None = None,
    ) -> None:
        limits = limits or Limits()
        self._sandbox = sandbox or Sandbox()
        self._bus = bus
        self.store = store.Store(database, limits)
        self.meter = Meter(registry)
        self.troubles = Troubles(self.meter, health)
        self.outbox = Outbox(
            database=database, bus=bus, clock=clock, store=self.store, channels=channels, limits=limits, meter=self.meter, troubles=self.troubles,
        )  # fmt: skip
        self._handler = Handler(caller=caller, outbox=self.outbox, sandbox=self._sandbox, root_url=root_url, ignored=ignored)
        self.loops = self.outbox.loops

    async def start(self, stack: AsyncExitStack) -> None:
        """Begin to listen to tasks."""
        stack.push_async_callback(self._sandbox.close)
        stack.push_async_callback(self.outbox.close)
        self.outbox.start(stack)
        stack.callback(self.troubles.clear)
        subscription = await self._bus.subscribe(SUBSCRIPTION, BINDINGS, self._handler.handle)
        stack.push_async_callback(self._bus.unsubscribe, subscription)

    def families(self) -> list[object]:
        """What answers the API."""
        return [Sending(self.outbox), Denylist(self.store)]
