"""A hooks service for tests: called as over the API, its tasks created by a real queue with the scopes of real roles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import db, errors, events
from tcbox.credentials import LazyScopes, Success
from tcbox.credentials.sealed import Sealer
from tcbox.events import Exchange, Exchanges, Key
from tcbox.events import bus as buses
from tcbox.scopes import Roles, ScopeSet
from tcbox.services.hooks import store
from tcbox.services.hooks.events import exchanges
from tcbox.services.hooks.sandbox import Sandbox
from tcbox.services.hooks.service import Service
from tcbox.services.queue import store as queue_store
from tests.support import outbox
from tests.support import queue as queue_support
from tests.support.service import Answered, Caller
from tests.support.waiting import eventually

MIGRATIONS = [buses.migrations, queue_store.migrations, store.migrations]
SEALER = Sealer(bytes(range(32)))
OWN = ("assume:hook-id:*", "notify:email:*", "queue:create-task:*", "queue:status:*")
METADATA = {"name": "n", "description": "d", "owner": "owner@example.com"}
EMPTY = {"type": "object", "additionalProperties": False}
TASK = {
    "taskQueueId": "proj/ci",
    "payload": {"command": ["true"]},
    "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
    "created": {"$fromNow": "0 seconds"},
    "deadline": {"$fromNow": "1 hour"},
    "expires": {"$fromNow": "1 day"},
}
NEWS = Exchanges("news", title="News", description="News of a service that is none of this instance's own.")
NEWS_KEYS = (Key("word", "A word.", required=True),)
NEWS_SAID = NEWS.declare("said", name="said", title="Said", description="Something was said.", schema="said-message", keys=NEWS_KEYS)


def task(**changes: Any) -> dict[str, Any]:
    """A template of a task that is accepted."""
    return {**TASK, **changes}


def hook(**changes: Any) -> dict[str, Any]:
    """A hook's definition that is accepted."""
    return {"metadata": METADATA, "task": TASK, **changes}


class Others:
    """The other services, called as the hooks service, with the scopes of roles that a test may change."""

    def __init__(self, queue: queue_support.Queue, roles: dict[str, list[str]], scopes: Sequence[str] = OWN) -> None:
        self.queue = queue
        self.roles = roles
        self.scopes = scopes
        self.mails: list[dict[str, Any]] = []
        self.notify: errors.ApiError | None = None
        self.before: list[errors.ApiError] = []
        self.after: list[BaseException] = []
        self.calls: list[str] = []

    def limited(self, scopes: Sequence[str]) -> Limited:
        return Limited(self, scopes)

    async def call(self, service: str, method: str, /, *args: str, payload: Any = None, query: Any = None) -> Any:
        return await self.limited(self.scopes).call(service, method, *args, payload=payload, query=query)


class Limited:
    """The same with a part of the scopes. `before` and `after` fail a call of createTask ahead of it, or when it is done."""

    def __init__(self, others: Others, scopes: Sequence[str]) -> None:
        self._others = others
        self._scopes = scopes

    async def call(self, service: str, method: str, /, *args: str, payload: Any = None, query: Any = None) -> Any:
        others = self._others
        if service == "notify":
            if others.notify is not None:
                raise others.notify
            others.mails.append(payload)
            return None
        roles = Roles(others.roles)
        who = Success("hawk", "static/taskcluster/hooks", clocks.DAY * 100_000, LazyScopes(ScopeSet(self._scopes), lambda given: ScopeSet(roles.expand(given))))
        if method == "createTask":
            others.calls.append(args[0])
            if others.before:
                raise others.before.pop(0)
        declared = others.queue.service.api.methods[method]
        params = dict(zip(declared.params, args, strict=True))
        reply = await others.queue.dispatcher.invoke(method, params, query or {}, payload, who)
        if method == "createTask" and others.after:
            raise others.after.pop(0)
        return reply


class Audit:
    """Remembers what was recorded."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str]] = []

    async def record(self, tx: db.Tx, entity_type: str, entity_id: str, action: str, by: str) -> None:
        assert tx.now
        self.entries.append((entity_type, entity_id, action, by))


class Hooks:
    """The service with a queue beside it, a clock that can be moved, and all messages since it began."""

    def __init__(self, database: db.Database, clock: clocks.VirtualClock, **settings: Any) -> None:
        self.database = database
        self.clock = clock
        self.queue = queue_support.Queue(database, clock)
        self.bus: events.Bus = self.queue.bus
        self.others = Others(self.queue, {"hook-id:*": ["queue:create-task:*", "queue:scheduler-id:*"]})
        self.audit = Audit()
        self.sandbox = Sandbox()
        self.service = Service(
            database=database, bus=self.bus, sealer=SEALER, clock=clock, caller=self.others, root_url="http://localhost", audit=self.audit,
            sandbox=self.sandbox, **settings,
        )  # fmt: skip
        self.caller = Caller(self.service, clock)
        self._read = 0

    async def __call__(self, name: str, *args: str, payload: Any = None, **query: str) -> Answered:
        return await self.caller(name, *args, payload=payload, **query)

    async def create(self, group: str = "g", hook_id: str = "h", **changes: Any) -> Any:
        """Make a hook; the reply's body."""
        answer = await self("createHook", group, hook_id, payload=hook(**changes))
        assert answer.status == 200, answer.body
        return answer.body

    async def settle(self) -> None:
        """Do all that the loops would do now."""
        while await self.service.work.advance() or await self.service.work.carry_out():
            pass

    async def fires(self, group: str = "g", hook_id: str = "h") -> list[dict[str, Any]]:
        """What came of a hook's firings, the latest first."""
        answer = await self("listLastFires", group, hook_id)
        found: list[dict[str, Any]] = answer.body["lastFires"] if answer.status == 200 else []
        return found

    async def task(self, task_id: str) -> dict[str, Any]:
        """A task's definition."""
        found: dict[str, Any] = await self.queue.call("task", task_id)
        return found

    async def tasks(self) -> list[str]:
        """The tasks that the queue has announced, in order."""
        return [event.routing_key.split(".")[1] for event in await outbox.read(self.bus) if event.exchange.endswith("/task-defined")]

    async def announced(self) -> list[tuple[str, Any]]:
        """The service's own messages since the last time, each held against its schema."""
        found = await outbox.read(self.bus, self._read)
        self._read = found[-1].id if found else self._read
        own = [event for event in found if event.exchange.startswith("exchange/taskcluster-hooks/")]
        for event in own:
            exchange = exchanges.entries[event.exchange.rpartition("/")[2]]
            assert not self.caller.dispatcher._schemas.validator("hooks", exchange.schema).check(event.payload)
            assert event.routing_key == ""
        return [(event.exchange.rpartition("/")[2], event.payload) for event in own]

    async def publish(self, payload: Any, word: str = "hello", routes: Sequence[str] = (), exchange: Exchange = NEWS_SAID) -> None:
        """Publish a message as another service would."""

        async def say(tx: db.Tx) -> None:
            await self.bus.publish(tx, exchange, payload, routes=routes, word=word)

        await self.database.transaction(say)

    async def delivered(self) -> None:
        """Return when the service has seen all messages that there are now."""
        last = await outbox.newest(self.bus)
        subscription = self.service.messages._subscription
        assert subscription is not None
        await eventually(lambda: subscription.position >= last)


@asynccontextmanager
async def started(database: db.Database, clock: clocks.VirtualClock, **settings: Any) -> AsyncIterator[Hooks]:
    """A hooks service that has started, without its loops."""
    made = Hooks(database, clock, **settings)
    async with AsyncExitStack() as stack:
        await made.queue.service.start(stack)
        await made.service.start(stack)
        yield made
    await made.bus.close()


@pytest.fixture
def clock() -> clocks.VirtualClock:
    """A clock that the test alone moves."""
    return clocks.VirtualClock(still=True)


@pytest_asyncio.fixture
async def hooks(database: db.Database, clock: clocks.VirtualClock) -> AsyncIterator[Hooks]:
    """A hooks service on each engine."""
    async with started(database, clock) as made:
        yield made
