"""A github service for tests, with GitHub simulated, and a queue and an auth service behind it that are real."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

import tcbox.services
from tcbox import clock as clocks
from tcbox import db, errors, events
from tcbox.api import wire
from tcbox.api.dispatch import Dispatcher
from tcbox.api.schemas import SchemaSet
from tcbox.client.local import Local
from tcbox.credentials import Success
from tcbox.credentials.identity import LazyScopes
from tcbox.credentials.sealed import Sealer
from tcbox.box.identity import SERVICE_SCOPES
from tcbox.events import bus as buses
from tcbox.scopes import ScopeSet
from tcbox.services.auth import store as auth_store
from tcbox.services.auth.service import Service as AuthService
from tcbox.services.github import samples, store
from tcbox.services.github.service import Options, Service
from tcbox.services.queue import store as queue_store
from tcbox.services.queue.service import Service as QueueService
from tcbox.vendors.github import App
from tests.simulators import tokens
from tests.simulators.github_api import GithubApi, Repository, deliver
from tests.simulators.serving import served
from tests.support import databases, outbox
from tests.support.queue import Bytes, Objects
from tests.support.service import Answered

SERVICES = Path(tcbox.services.__path__[0])
MIGRATIONS = [buses.migrations, auth_store.migrations, queue_store.migrations, store.migrations]
ROOT_URL = "https://tc.example.com"
SECRETS = ("abc123", "def456")
INSTALLATION = 5808
PEM, PUBLIC = tokens.key_pair()
JOBS = db.Query("jobs", "All jobs.", "SELECT id, event, due FROM github_jobs ORDER BY id", "SELECT id, event, due FROM github_jobs ORDER BY id", ())
WORKER = {"workerGroup": "group", "workerId": "worker"}


class Artifacts(Bytes):
    """Where artifacts of the storage type `s3` are, as a web server of the test's own has them."""

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self.content: dict[str, bytes] = {}

    def get_url(self, key: str, **more: Any) -> str:
        return f"{self.url}/blobs/{key}"


class World:
    """GitHub, the service, and what it needs; messages of both services are held against their schemas.

    Attributes:
        repo: `octo/hello.world`, on which the app is installed.
    """

    def __init__(self, database: db.Database, clock: clocks.VirtualClock, url: str, hub: GithubApi, bytes_: Artifacts, **options: Any) -> None:
        self.clock = clock
        self.database = database
        self.hub = hub
        self.bytes = bytes_
        self.bus = events.Bus(database, clock)
        self.schemas = SchemaSet({name: SERVICES / name / "schemas" for name in ("github", "queue", "auth")})
        self.auth = AuthService(database=database, bus=self.bus, sealer=Sealer(bytes(range(32))), clock=clock)
        self.queue = QueueService(
            database=database, bus=self.bus, clock=clock, caller=Objects(), client_id="static/taskcluster/queue", access_token="t" * 44, artifact_store=bytes_,
        )  # fmt: skip
        self.dispatchers: dict[str, Dispatcher] = {}
        self.caller = self.client(*SERVICE_SCOPES["github"])
        self.root = self.client("*")
        chosen = {"app": App("4711", PEM), "webhook_secrets": SECRETS, "url": url, **options}
        self.service = Service(
            database=database, bus=self.bus, clock=clock, caller=self.caller, validator=lambda name: self.schemas.validator("github", name),
            root_url=ROOT_URL, options=Options(**chosen),
        )  # fmt: skip
        self.service.hub._pause = 1
        self.repo: Repository = hub.install("octo", INSTALLATION, "hello.world")[0] if "octo/hello.world" not in hub.repos else hub.repos["octo/hello.world"]
        self.scopes: tuple[str, ...] = ("*",)
        self._read = 0

    def client(self, *scopes: str) -> Local:
        caller = Success("hawk", "tester", clocks.DAY * 100_000, LazyScopes(ScopeSet(scopes), lambda held: self.auth.directory.expand(held)))
        return Local(self.dispatchers.get, lambda: caller)

    async def start(self, stack: AsyncExitStack) -> None:
        for service in (self.auth, self.queue, self.service):
            await service.start(stack)
            monitoring = service.monitoring(lambda: 1.0, list)
            handlers = service.api.bind(monitoring, *service.families())
            self.dispatchers[service.name] = Dispatcher(service.api, handlers, self.schemas, self, clock=self.clock, check_replies=True)

    def authenticate(self, request: Any) -> Success:
        return Success("hawk", "tester", clocks.DAY * 100_000, LazyScopes(ScopeSet(self.scopes)))

    # -- calling the service

    async def call(self, name: str, *args: str, payload: Any = None, query: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Answered:
        """Call a method by its published name; bytes as payload are sent as they are."""
        method = self.service.api.methods[name]
        path = method.route
        for parameter, value in zip(method.params, args, strict=True):
            path = path.replace(f"<{parameter}>", quote(value, safe=""))
        body = payload if isinstance(payload, bytes) else b"" if payload is None else msgspec.json.encode(payload)
        asked = urlencode(query or {})
        sent = {"host": "localhost", "content-type": "application/json", **(headers or {})}
        request = wire.Request(method.verb.upper(), f"/api/github/v1{path}?{asked}", sent, body, request_id="r1")
        dispatcher = self.dispatchers["github"]
        match = dispatcher.match(request.method, path)
        assert match is not None, path
        answer = await dispatcher.answer(request, match, asked)
        return Answered(answer.status, answer.body, dict(answer.headers or {}))

    async def webhook(self, event: str, body: dict[str, Any], *, delivery: str | None = None, secret: str = SECRETS[0], algorithm: str = "sha256") -> Answered:
        """Deliver a webhook."""
        raw, headers = deliver(secret, event, body, delivery or str(uuid.uuid4()), algorithm=algorithm)
        return await self.call("githubWebHookConsumer", payload=raw, headers=headers)

    async def deliver(self, event: str, body: dict[str, Any], *, delivery: str | None = None) -> str:
        """Deliver a webhook that must be taken, and have all that follows from it done; the delivery's id."""
        delivery = delivery or str(uuid.uuid4())
        answer = await self.webhook(event, body, delivery=delivery)
        assert answer.status == 204, (answer.status, answer.raw)
        await self.settle()
        return delivery

    # -- events

    def push(self, text: str | None, branch: str = "main", **changes: Any) -> dict[str, Any]:
        """A push of a commit with this file."""
        body = samples.event("github-push", None, "octo", "hello.world", {"branch": branch})
        body.pop("branch")
        sha = self.repo.commit(text, branch)
        return {**body, "after": sha, "installation": {"id": INSTALLATION}, **changes}

    def pull(self, text: str | None, *, number: int = 1, action: str = "opened", opener: str = "octo-dev", head: str | None = None) -> dict[str, Any]:
        """A pull request with this file; `head` is the owner of the commits."""
        body = samples.event("github-pull-request", action, "octo", "hello.world", {})
        pull = body["pull_request"]
        pull["head"]["sha"] = self.repo.commit(text, None)
        pull["user"] = {**pull["user"], "login": opener}
        pull["head"]["user"] = {**pull["user"], "login": head or opener}
        body["number"] = pull["number"] = number
        self.repo.pulls[number] = pull
        return {**body, "installation": {"id": INSTALLATION}}

    def comment(self, words: str, *, author: str = "octo-dev", number: int = 1, action: str = "created") -> dict[str, Any]:
        """A comment on a pull request."""
        body = samples.event("github-issue-comment", action, "octo", "hello.world", {})
        body.pop("pull_request")
        body["comment"] |= {"body": words, "user": {"login": author}}
        body["issue"]["number"] = number
        return {**body, "installation": {"id": INSTALLATION}}

    # -- what follows

    async def settle(self, turns: int = 60) -> None:
        """Have all messages delivered and all work done that can be done now."""
        quiet = 0
        while quiet < 2:
            last = await outbox.newest(self.bus)
            for subscription in list(self.bus._subscriptions.values()):
                for _ in range(2000):
                    if subscription.position >= last:
                        break
                    await asyncio.sleep(0.005)
                assert subscription.position >= last, subscription.name
            self.service.jobs._alarm.ring()
            before = await self.waiting()
            await self._turn()
            await self.service.jobs.idle()
            quiet = quiet + 1 if await outbox.newest(self.bus) == last and await self.waiting() == before else 0
            turns -= 1
            assert turns, "never settles"

    async def _turn(self) -> None:
        """One turn of the loop, without the sleep at its end."""

        async def at_once(until: int) -> None:
            return

        jobs = self.service.jobs
        alarm = jobs._alarm
        sleep, alarm.sleep = alarm.sleep, at_once  # type: ignore[method-assign]
        try:
            await jobs.turn()
        finally:
            alarm.sleep = sleep  # type: ignore[method-assign]

    async def waiting(self) -> list[tuple[Any, ...]]:
        """The work that waits."""
        return [(row["id"], row["event"], row["due"]) for row in await self.database.all(JOBS)]

    async def messages(self, service: str = "github") -> list[events.Event]:
        """A service's messages since the last look, each held against its schema."""
        found = await outbox.read(self.bus, self._read)
        self._read = found[-1].id if found else self._read
        told = [event for event in found if event.exchange.startswith(f"exchange/taskcluster-{service}/")]
        exchanges = {"github": self.service.exchanges, "queue": self.queue.exchanges}[service]
        for event in told:
            entry = exchanges.entries[event.exchange.rpartition("/")[2]]
            faults = self.schemas.validator(service, entry.schema).check(event.payload)
            assert not faults, (event.exchange, faults)
        return told

    # -- the instance

    async def grant(self, role: str, *scopes: str) -> None:
        """Give scopes to a role, and take others from it."""
        with contextlib.suppress(errors.ResourceNotFound):
            await self.root.call("auth", "deleteRole", role)
        await self.root.call("auth", "createRole", role, payload={"description": "", "scopes": list(scopes)})

    async def group(self, task_group_id: str) -> list[dict[str, Any]]:
        """The tasks of a group."""
        return (await self.root.call("queue", "listTaskGroup", task_group_id))["tasks"]

    async def builds(self) -> list[dict[str, Any]]:
        """All builds."""
        return (await self.call("builds")).body["builds"]

    async def claim(self, task_id: str, run: int = 0) -> None:
        """Have a task run."""
        await self.root.call("queue", "claimTask", task_id, str(run), payload=WORKER)

    async def artifact(self, task_id: str, name: str, content: str | bytes, run: int = 0, **more: Any) -> None:
        """Give a running task an artifact."""
        raw = content.encode() if isinstance(content, str) else content
        payload = {"storageType": "s3", "expires": clocks.to_wire(self.clock.now() + clocks.HOUR), "contentType": "text/plain", **more}
        await self.root.call("queue", "createArtifact", task_id, str(run), name, payload=payload)
        self.bytes.content[f"{task_id}/{run}/{name}"] = raw

    async def end(self, task_id: str, how: str = "reportCompleted", run: int = 0, reason: str | None = None) -> None:
        """Have a running task end."""
        await self.root.call("queue", how, task_id, str(run), payload={"reason": reason} if reason else None)


@asynccontextmanager
async def alone(folder: Path, clock: clocks.VirtualClock, **options: Any) -> AsyncIterator[World]:
    """The service on a SQLite database of its own."""
    database = db.connect(await databases.fresh("sqlite", MIGRATIONS, folder), clock=clock)
    await database.start(MIGRATIONS)
    try:
        async with running(database, clock, **options) as world:
            yield world
    finally:
        await database.close()


@asynccontextmanager
async def running(database: db.Database, clock: clocks.VirtualClock, **options: Any) -> AsyncIterator[World]:
    """The service on a migrated database (`MIGRATIONS`)."""
    hub, stored = GithubApi("4711", PUBLIC), Artifacts()
    hub.now = lambda: clock.now() / 1000

    async def blob(request: web.Request) -> web.Response:
        content = stored.content.get(request.match_info["key"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    hub.app.router.add_get("/blobs/{key:.*}", blob)
    async with AsyncExitStack() as stack:
        url = stored.url = await stack.enter_async_context(served(hub.app))
        world = World(database, clock, url, hub, stored, **options)
        await world.start(stack)
        yield world
    await world.bus.close()
