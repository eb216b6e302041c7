"""Hooks that messages fire: one durable subscription for all of them, whose bindings are theirs.

The subscription also hears of hooks as they change, in the order of the messages, so that every process knows the
bindings of a hook before it sees a message that came after them. A message is passed on before the subscription's
place moves on, and what a message makes of a hook has a task id made from the message, so that neither a crash nor a
second process loses a firing or has it twice.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Any

from tcbox import db, events, ids, log
from tcbox.events import Binding, Event
from tcbox.events.subscription import Subscription
from tcbox.runtime.alarm import Alarm
from tcbox.sandbox import Fault
from tcbox.services.hooks import events as exchanges
from tcbox.services.hooks import firing, model
from tcbox.services.hooks.model import Name
from tcbox.services.hooks.sandbox import Sandbox
from tcbox.services.hooks.store import Store, sql

SUBSCRIPTION = "hooks/messages"
_OWN = tuple(Binding(exchange.address) for exchange in exchanges.exchanges.entries.values())
_BATCH = 500
_TOLD_EVERY = 100
"""Of messages that a hook does not take, the first is told in the log, and then one of so many."""

_log = log.get("hooks")


class Messages:
    """Has hooks fire when messages come.

    Args:
        firings: is called when there are firings to be carried out.
    """

    def __init__(self, *, database: db.Database, bus: events.Bus, store: Store, sandbox: Sandbox, firings: Alarm) -> None:
        self._db = database
        self._bus = bus
        self._store = store
        self._sandbox = sandbox
        self._firings = firings
        self._subscription: Subscription | None = None
        self._bound: dict[Name, list[Binding]] = {}
        self._by_exchange: dict[str, list[tuple[Binding, Name]]] = {}
        self._discarded: dict[Name, int] = {}

    async def start(self, stack: AsyncExitStack) -> None:
        """Begin to listen, from where the last process left off."""
        await self._load()
        self._subscription = await self._bus.subscribe(SUBSCRIPTION, self._bindings(), self.handle, prepare=self._take_over)
        stack.push_async_callback(self._bus.unsubscribe, self._subscription)

    async def _take_over(self) -> None:
        """Learn how hooks are now: while another process had the messages, this one did not hear of changes."""
        await self._load()
        if self._subscription is not None:
            await self._bus.rebind(self._subscription, self._bindings())

    async def _load(self) -> None:
        self._bound = {}
        last = Name("", "")
        while True:
            rows = await self._db.all(sql.list_bound, after_group_id=last.group, after_id=last.id, limit=_BATCH)
            for row in rows:
                last = Name(row["hook_group_id"], row["hook_id"])
                self._bound[last] = model.bindings(row["bindings"])
            if len(rows) < _BATCH:
                break
        self._arrange()

    def _arrange(self) -> None:
        found: defaultdict[str, list[tuple[Binding, Name]]] = defaultdict(list)
        for name, bound in self._bound.items():
            for binding in bound:
                found[binding.exchange].append((binding, name))
        self._by_exchange = dict(found)

    def _bindings(self) -> tuple[Binding, ...]:
        return (*_OWN, *dict.fromkeys(binding for bound in self._bound.values() for binding in bound))

    async def handle(self, event: Event) -> None:
        """Take one message: news of a hook, or what some hooks wait for."""
        if event.exchange.startswith(model.OWN):
            await self._changed(Name(event.payload["hookGroupId"], event.payload["hookId"]))
            return
        keys = [event.routing_key, *(f"route.{route}" for route in event.cc)]
        taking = dict.fromkeys(name for binding, name in self._by_exchange.get(event.exchange, ()) if binding.takes(event.exchange, keys))
        for name in taking:
            await self._fire(name, event)

    async def _changed(self, name: Name) -> None:
        hook = await self._store.get(name)
        bound = [] if hook is None else model.bindings(hook.definition.bindings)
        if bound != self._bound.get(name, []):
            if bound:
                self._bound[name] = bound
            else:
                del self._bound[name]
            self._arrange()
            assert self._subscription is not None
            await self._bus.rebind(self._subscription, self._bindings())
        self._discarded.pop(name, None)

    async def _fire(self, name: Name, event: Event) -> None:
        hook = await self._store.get(name)
        if hook is None or event.time < hook.bound:
            return
        try:
            payload = await self._sandbox.accept(hook.definition.trigger_schema, event.payload)
        except Fault as fault:
            self._discard(name, event, fault)
            return
        # a message of another system has no number here: it may fire a hook again when it is delivered again
        task_id = hook.task_id(f"message/{event.id}") if event.id else ids.slugid()
        context: dict[str, Any] = {"payload": payload}
        made = firing.decided(hook, model.MESSAGE, context, task_id, event.time, due=0)

        async def note(tx: db.Tx) -> None:
            if await tx.one(sql.get_fire, **made.key) is None:
                await firing.add(tx, made)

        await self._db.transaction(note)
        self._firings.ring()

    def _discard(self, name: Name, event: Event, fault: Fault) -> None:
        count = self._discarded[name] = self._discarded.get(name, 0) + 1
        if count % _TOLD_EVERY == 1:
            fields = {**name.words, "exchange": event.exchange, "routingKey": event.routing_key, "discarded": count}
            _log.warning("a message does not fire a hook, since its triggerSchema does not take it: %s", fault, extra=fields)
