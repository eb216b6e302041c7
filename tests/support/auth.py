"""An auth service for tests, behind real HTTP: every reply and every message held against its schema."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import taskcluster
import taskcluster.aio

import tcbox.services
from tcbox import clock as clocks
from tcbox import db, events
from tcbox.api.dispatch import Dispatcher
from tcbox.api.front import Front
from tcbox.api.references import References
from tcbox.api.schemas import SchemaSet
from tcbox.credentials.sealed import Sealer
from tcbox.events import bus as buses
from tcbox.services.auth import store
from tcbox.services.auth.events import exchanges
from tcbox.services.auth.service import Service
from tcbox.services.auth.static import StaticClient
from tests.support import outbox

SERVICES = Path(tcbox.services.__path__[0])
MIGRATIONS = [buses.migrations, store.migrations]
ROOT = StaticClient("static/taskcluster/root", "r" * 44, ("*",), "for tests")
SEALER = Sealer(bytes(range(32)))


class Auth:
    """The service, on a port of its own, with a clock that can be moved and all messages since it began."""

    def __init__(self, database: db.Database, clock: clocks.VirtualClock, session: aiohttp.ClientSession, **settings: Any) -> None:
        self.database = database
        self.clock = clock
        self.bus = events.Bus(database, clock)
        settings.setdefault("static_clients", [ROOT])
        self.service = Service(database=database, bus=self.bus, sealer=SEALER, clock=clock, **settings)
        self.schemas = SchemaSet.load({"auth": SERVICES / "auth" / "schemas"})
        self.session = session
        self.root_url = ""
        self._seen = 0

    async def start(self, stack: AsyncExitStack) -> None:
        await self.service.start(stack)
        api = self.service.api
        monitoring = self.service.monitoring(lambda: 1.0, lambda: [])
        front = Front(self.clock)
        front.known = {"auth"}
        front.services["auth"] = Dispatcher(
            api, api.bind(monitoring, *self.service.families()), self.schemas, self.service.directory,
            clock=self.clock, check_replies=True,
        )  # fmt: skip
        front.mount("/references/", References({"auth": api}, {"auth": exchanges}, self.schemas).handle)
        port = await front.listen("127.0.0.1", 0)
        stack.push_async_callback(front.close, 0.5)
        self.root_url = f"http://127.0.0.1:{port}"

    def options(self, credentials: dict[str, str] | None = None, scopes: Sequence[str] | None = None) -> dict[str, Any]:
        made: dict[str, Any] = {"rootUrl": self.root_url, "maxRetries": 0}
        made["credentials"] = credentials or {}
        if scopes is not None:
            made["authorizedScopes"] = list(scopes)
        return made

    @property
    def root(self) -> taskcluster.aio.Auth:
        """The published client library, as the owner."""
        return self.client({"clientId": ROOT.client_id, "accessToken": ROOT.access_token})

    def client(self, credentials: dict[str, str] | None = None, scopes: Sequence[str] | None = None) -> taskcluster.aio.Auth:
        return taskcluster.aio.Auth(self.options(credentials, scopes), session=self.session)

    def having(self, *scopes: str) -> taskcluster.aio.Auth:
        """The owner, restricted to these scopes."""
        return self.client({"clientId": ROOT.client_id, "accessToken": ROOT.access_token}, scopes)

    async def messages(self) -> list[tuple[str, Any]]:
        """What was announced since the last look: exchange and payload, each held against its schema."""
        found = await outbox.read(self.bus, self._seen)
        self._seen = found[-1].id if found else self._seen
        told = []
        for event in found:
            kind = event.exchange.rpartition("/")[2]
            assert event.exchange == f"exchange/taskcluster-auth/v1/{kind}"
            assert not self.schemas.validator("auth", exchanges.entries[kind].schema).check(event.payload)
            assert event.routing_key == ""
            told.append((kind, event.payload))
        return told


@asynccontextmanager
async def running(database: db.Database, clock: clocks.VirtualClock, **settings: Any) -> AsyncIterator[Auth]:
    """The service on a migrated database (`MIGRATIONS`); another one on the same database is another process of it."""
    for name in [name for name in os.environ if name.startswith("TASKCLUSTER_")]:
        del os.environ[name]
    async with AsyncExitStack() as stack:
        # the client library signs by the same clock, also when it is moved
        stack.enter_context(mock.patch("mohawk.base.utc_now", lambda offset_in_seconds=0.0: clock.now() // 1000))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        auth = Auth(database, clock, session, **settings)
        await auth.start(stack)
        yield auth


async def refused(awaitable: Any, status: int, code: str) -> str:
    """The message of the error that this call must be answered with."""
    try:
        answer = await awaitable
    except (taskcluster.exceptions.TaskclusterRestFailure, taskcluster.exceptions.TaskclusterAuthFailure) as error:
        assert (error.status_code, error.body["code"]) == (status, code), error.body
        return str(error.body["message"])
    except aiohttp.ClientResponseError as error:  # all that the library tells of a 5xx
        assert (error.status, status >= 500) == (status, True)
        return ""
    raise AssertionError(f"{code} was expected, and this came: {answer}")
