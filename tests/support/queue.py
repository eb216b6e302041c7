"""A queue service for tests: called as over the API, every reply and every message held against its schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import tcbox.services
from tcbox import clock as clocks
from tcbox import db, errors, events, ids
from tcbox.api import Reply
from tcbox.api.call import Call
from tcbox.api.dispatch import Dispatcher
from tcbox.api.schemas import SchemaSet
from tcbox.credentials import Success
from tcbox.credentials.identity import LazyScopes
from tcbox.events import bus as buses
from tcbox.scopes import ScopeSet
from tcbox.services.queue import store
from tcbox.services.queue.events import exchanges
from tcbox.services.queue.service import Service
from tests.support import outbox

SERVICES = Path(tcbox.services.__path__[0])
MIGRATIONS = [buses.migrations, store.migrations]
QUEUE = "proj/ci"
WORKER = {"workerGroup": "group", "workerId": "worker"}


class Bytes:
    """An artifact store that only keeps what it was asked for."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def put_url(self, key: str, *, content_type: str, content_length: int | None, expires_ms: int) -> str:
        return f"https://blobs.example/put/{key}?type={content_type}"

    def get_url(self, key: str, *, public: bool, expires_ms: int, content_type: str, filename: str) -> str:
        return f"https://blobs.example/get/{key}"

    async def delete(self, keys: Sequence[str]) -> None:
        self.deleted += keys


class Objects:
    """An object service that knows the uploads that were announced, and those that were finished."""

    def __init__(self) -> None:
        self.uploads: dict[str, Any] = {}
        self.finished: set[str] = set()

    async def call(self, service: str, method: str, /, *args: str, payload: Any = None, query: Any = None) -> Any:
        name = args[0]
        if method == "createUpload":
            if self.uploads.setdefault(name, payload)["uploadId"] != payload["uploadId"]:
                raise errors.RequestConflict("the object {name} has another upload", name=name)
            return {"uploadId": payload["uploadId"]}
        if name not in self.finished:
            raise errors.ResourceNotFound("no object {name}", name=name)
        if method == "startDownload":
            return {"method": "simple", "url": f"https://objects.example/{name}"}
        return {"projectId": "none", "expires": "2030-01-01T00:00:00.000Z"}


def _caller(scopes: Sequence[str]) -> Success:
    return Success("hawk", "tester", clocks.DAY * 100_000, LazyScopes(ScopeSet(scopes)))


class Queue:
    """The service with a dispatcher, a clock that can be moved, and all messages since it began."""

    def __init__(self, database: db.Database, clock: clocks.VirtualClock, **settings: Any) -> None:
        self.database = database
        self.clock = clock
        self.bus = events.Bus(database, clock)
        self.bytes = Bytes()
        self.objects = Objects()
        self.service = Service(
            database=database,
            bus=self.bus,
            clock=clock,
            caller=self.objects,
            client_id="static/taskcluster/queue",
            access_token="t" * 44,
            artifact_store=self.bytes,
            **settings,
        )
        self.schemas = SchemaSet({"queue": SERVICES / "queue" / "schemas"})
        monitoring = self.service.monitoring(lambda: 1.0, list)
        handlers = self.service.api.bind(*self.service.families(), monitoring)
        self.dispatcher = Dispatcher(self.service.api, handlers, self.schemas, authenticator=None, clock=clock)  # type: ignore[arg-type]
        self._handlers = handlers
        self._read = 0

    async def reply(self, name: str, *args: str, scopes: Sequence[str] = ("*",)) -> Reply:
        """What a method that reads replies with, status and headers included."""
        method = self.service.api.methods[name]
        call = Call(method, {}, {}, identity=_caller(scopes))
        result = await self._handlers[name](call, *args)
        assert isinstance(result, Reply)
        assert call.authorized
        return result

    async def call(self, name: str, *args: str, payload: Any = None, query: Any = None, scopes: Sequence[str] = ("*",)) -> Any:
        """The method's reply as its caller would see it, held against its schema."""
        method = self.service.api.methods[name]
        params = dict(zip(method.params, args, strict=True))
        document = await self.dispatcher.invoke(name, params, query or {}, payload, _caller(scopes))
        if method.output is not None and document:
            faults = self.schemas.validator("queue", method.output).check(document)
            assert not faults, (name, faults)
        return document

    async def refused(self, name: str, *args: str, **keywords: Any) -> errors.ApiError:
        """The error that the method answers with."""
        try:
            reply = await self.call(name, *args, **keywords)
        except errors.ApiError as error:
            return error
        raise AssertionError(f"{name} was not refused: {reply}")

    async def events(self) -> list[events.Event]:
        """The messages since the last time, each held against its schema."""
        found = await outbox.read(self.bus, self._read)
        self._read = found[-1].id if found else self._read
        for event in found:
            exchange = exchanges.entries[event.exchange.rpartition("/")[2]]
            faults = self.schemas.validator("queue", exchange.schema).check(event.payload)
            assert not faults, (event.exchange, faults)
        return found

    async def exchanges(self) -> list[str]:
        """The exchanges of the messages since the last time."""
        return [event.exchange.rpartition("/")[2] for event in await self.events()]

    async def announced(self) -> list[str]:
        """The same without `task-`."""
        return [name.removeprefix("task-") for name in await self.exchanges()]

    def definition(self, **changes: Any) -> dict[str, Any]:
        """A task definition that is accepted."""
        now = self.clock.now()
        return {
            "taskQueueId": QUEUE,
            "schedulerId": "sched",
            "created": clocks.to_wire(now),
            "deadline": clocks.to_wire(now + clocks.DAY),
            "expires": clocks.to_wire(now + 2 * clocks.DAY),
            "payload": {"command": ["true"]},
            "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
            **changes,
        }

    async def create(self, task_id: str | None = None, **changes: Any) -> str:
        """Create a task; its taskId."""
        task_id = task_id or ids.slugid()
        await self.call("createTask", task_id, payload=self.definition(**changes))
        return task_id

    async def claim(self, tasks: int = 1, queue: str = QUEUE, **worker: str) -> list[dict[str, Any]]:
        """Claim work."""
        reply = await self.call("claimWork", queue, payload={**WORKER, **worker, "tasks": tasks})
        found: list[dict[str, Any]] = reply["tasks"]
        return found

    async def claim_now(self, tasks: int = 1, **worker: str) -> list[dict[str, Any]]:
        """Claim work if there is any; an empty list at once if not."""
        reply = asyncio.create_task(self.claim(tasks, **worker))
        while not reply.done():
            if self.service.waiters.waiting():
                self.service.waiters.send_home()
            await asyncio.sleep(0.002)
        return await reply

    async def run(self, task_id: str, end: str = "reportCompleted", reason: str | None = None) -> dict[str, Any]:
        """Claim the pending run of a task and report its end; its status then."""
        status = await self.status(task_id)
        run_id = str(len(status["runs"]) - 1)
        await self.call("claimTask", task_id, run_id, payload=WORKER)
        payload = {"reason": reason} if reason else None
        reply = await self.call(end, task_id, run_id, payload=payload)
        found: dict[str, Any] = reply["status"]
        return found

    async def status(self, task_id: str) -> dict[str, Any]:
        """A task's status."""
        found: dict[str, Any] = (await self.call("status", task_id))["status"]
        return found

    async def state(self, task_id: str) -> str:
        """A task's state."""
        found: str = (await self.status(task_id))["state"]
        return found


@asynccontextmanager
async def started(database: db.Database, clock: clocks.VirtualClock, **settings: Any) -> AsyncIterator[Queue]:
    """A queue that has started, without its loops."""
    queue = Queue(database, clock, **settings)
    async with AsyncExitStack() as stack:
        await queue.service.start(stack)
        yield queue
    await queue.bus.close()


@pytest.fixture
def clock() -> clocks.VirtualClock:
    """A clock that the test moves."""
    return clocks.VirtualClock()


@pytest_asyncio.fixture
async def queue(database: db.Database, clock: clocks.VirtualClock) -> AsyncIterator[Queue]:
    """A queue on each engine."""
    async with started(database, clock) as made:
        yield made
