"""One process of several: some services, or halves of them, on a database that others use too."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.api.front import Front, Mounted
from tcbox.box import events, identity, landing, metrics, mounting, parts, seed, services, vendors
from tcbox.box.apart import Apart
from tcbox.box.parts import Part
from tcbox.box.services import Reachable, Shared
from tcbox.config import Settings, checks
from tcbox.config.instance import Instance
from tcbox.config.settings import Blobs
from tcbox.credentials.sealed import Sealer, from_text
from tcbox.events import Bus
from tcbox.events import bus as event_bus
from tcbox.events.silent import Silent
from tcbox.runtime import Registry, Supervisor, silence
from tcbox.runtime.slot import StartFailed
from tcbox.workers.livelog import LiveLogs

if TYPE_CHECKING:
    from aiohttp import web

    from tcbox.box.tracing import Tracing

T = TypeVar("T")
_COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PAUSE = 1.0  # seconds between two attempts at what is not there yet
_log = log.get("serve")


class Half(Reachable):
    """A service, or a half of one."""

    def __init__(self, shared: Shared, service: Any, part: Part) -> None:
        super().__init__(shared, service)
        self._part = part
        along: frozenset[str] = getattr(service, "with_api", frozenset())
        self.loops = [loop for loop in service.loops if (part.api if loop.name in along else part.loops)]

    def _open(self, stack: AsyncExitStack) -> None:
        if self._part.api:
            super()._open(stack)


class Process:
    """Serves parts.

    Args:
        env: variables, for a service's own token.
        migrate: bring the schema up to date; else wait until it is.

    Attributes:
        ready: whether requests should come.
    """

    def __init__(self, settings: Settings, served: Sequence[Part], env: Mapping[str, str], *, migrate: bool = True) -> None:
        self.settings = settings
        self.served = served
        self.ready = False
        self.leaving = False
        self.port = 0
        self.clock = clocks.SystemClock()
        self.registry = Registry()
        self.front = Front(self.clock)
        self.supervisor = Supervisor(self.clock, drain_seconds=settings.shutdown.drain_seconds)
        self.shared: Apart | None = None
        self._env = env
        self._migrate = migrate
        self._database: db.Database | None = None
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Listen, wait for what is needed, and serve.

        Raises TcboxError when something is in the way that waiting does not mend.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self.settings
        enabled = services.enabled(settings)
        events.server(settings)  # says what is missing before anything is opened
        self.front.known, self.front.off = {part.service for part in self.served if part.api}, services.switched_off(settings)
        mounting.monitoring(self.front, self.registry, heartbeat=self._heartbeat, lbheartbeat=self._lbheartbeat)
        self.port = await self.front.listen(settings.host, settings.port)
        database = self._database = db.connect(vendors.text(settings.database), clock=self.clock)
        self._stack.push_async_callback(database.close)
        await schema(database, [part.service for part in self.served], migrate=self._migrate, used=parts.tables(self.served))
        shared = self.shared = await self._share(database, enabled)
        metrics.show(self.registry, shared)
        self._add(shared, enabled)
        self._stack.push_async_callback(self.supervisor.stop)
        await waited_for(self.supervisor.start, "services")
        if any(part.service == "auth" for part in self.served):
            await waited_for(lambda: seed.plant(shared.running["auth"].roles, shared.root_client.client_id), "roles")
        self.ready = True

    async def _share(self, database: db.Database, enabled: list[str]) -> Apart:
        import aiohttp

        settings, folder = self.settings, Instance(self.settings.data)
        root_url = settings.root_url.rstrip("/")
        bus = Bus(database, self.clock)
        self._stack.push_async_callback(bus.close)
        given = settings.instance_key.reveal()
        key = identity.given_key(given) if given else b""  # whoever derives from it was checked to have it
        stored = {part.service for part in self.served} & set(parts.STORING)
        chosen = settings if stored else dataclasses.replace(settings, blobs=Blobs())
        place, signer = services.open_blobs(chosen, folder, root_url, key, self.clock)
        if stored:
            await place.start()
            self._stack.push_async_callback(place.close)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200, socket_factory=silence.sockets(settings.serve.lost_after_seconds)))
        self._stack.push_async_callback(session.close)
        sealing, tracing = settings.services.secrets.key, self._tracing()
        schemas = services.schemas(tuple(enabled))
        return Apart(
            settings=settings, folder=folder, clock=self.clock, database=database, bus=bus, key=key,
            root_client=identity.given_root(settings.root_access_token.reveal()),
            sealer=from_text(sealing.reveal(), "services.secrets.key") if sealing else cast("Sealer", None),  # whoever uses it was checked to have it
            schemas=schemas, front=self.front, root_url=root_url, meter=metrics.Meter(self.registry), registry=self.registry,
            supervisor=self.supervisor, blobs=place, signer=signer, live_logs=LiveLogs(url="", mounted=False),
            local_url=(settings.serve.services_url or root_url).rstrip("/"), apart=True, session=session,
            tracing=tracing, token="" if settings.instance_key else parts.own_token(settings, self._env),
            answering=frozenset(part.service for part in self.served if part.api),
        )  # fmt: skip

    def _tracing(self) -> Tracing | None:
        """Where spans go, if the environment says so."""
        if not any(self._env.get(name) for name in _COLLECTORS):
            return None
        try:
            from tcbox.box.tracing import Tracing
        except ModuleNotFoundError as error:
            raise errors.TcboxError(
                f"the environment names an OpenTelemetry collector, and {error.name} is missing, which the extra `otel` brings: pip install 'tcbox[otel]', "
                f"or take {' and '.join(_COLLECTORS)} out of the environment"
            ) from error
        made = Tracing(f"tcbox {', '.join(part.service for part in self.served)}", self._env)
        self._stack.push_async_callback(made.close)
        return made

    def _add(self, shared: Apart, enabled: list[str]) -> None:
        served = {part.service: part for part in self.served}
        front = served.get(parts.front(enabled))
        for name in enabled if front is not None else served:
            services.declare(shared, name)
        answers, works = front is not None and front.api, front is not None and front.loops
        page = landing.handler(lambda: self._described(enabled))
        receives = "hooks" in served and served["hooks"].loops
        if answers or works or receives:
            self.supervisor.add(events.NAME, lambda: events.Events(shared, page, streams=answers, relays=works, receives=receives))
        self._mount_pages(shared, page if answers else None)
        for part in self.served:
            self.supervisor.add(part.service, self._factory(shared, part), requires=[name for name in checks.REQUIRES[part.service] if name in served])

    def _factory(self, shared: Apart, part: Part) -> Callable[[], Half]:
        make = import_module(f"tcbox.box.making.{services.package(part.service)}").make
        own: Shared = shared if part.loops else dataclasses.replace(shared, bus=Silent(shared.bus))
        return lambda: Half(own, make(own), part)

    def _described(self, enabled: list[str]) -> dict[str, Any]:
        return {
            "rootUrl": self.settings.root_url, "services": enabled, "switchedOff": services.switched_off(self.settings),
            "notes": checks.notes(self.settings), "events": events.described(self.settings),
        }  # fmt: skip

    # -- pages

    def _mount_pages(self, shared: Apart, page: Mounted | None) -> None:
        mounting.descriptions(shared)
        if page is not None:
            self.front.mount("/", page)
        if shared.answering & set(parts.STORING):
            mounting.blobs(shared)

    async def _lbheartbeat(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whether requests should come."""
        state = "leaving" if self.leaving else "ready" if self.ready else "starting"
        return metrics.answer({"state": state}, 200 if state == "ready" else 503)

    async def _heartbeat(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whether all is well, loops and database included."""
        faults = {name: faults for name in self.supervisor if (faults := self.supervisor.faults(name))}
        if not self.ready or self.leaving:
            faults["process"] = ["is leaving" if self.leaving else "is starting"]
        if self._database is not None:
            try:
                await self._database.ping()
            except Exception as error:
                faults["database"] = [str(error)]
        return metrics.answer({"healthy": not faults, "faults": faults}, 503 if faults else 200)

    # -- the end

    async def stop(self) -> None:
        """Be no longer ready, and give notice; then begin nothing new, finish what is under way, and close."""
        drain = self.settings.shutdown.drain_seconds
        if self.ready and not self.leaving:
            self.leaving = self.front.leaving = True
            await asyncio.sleep(self.settings.serve.notice_seconds)
        self.leaving = True
        await self.supervisor.drain()
        await self.front.close(drain)
        await self._stack.aclose()


async def schema(database: db.Database, names: Sequence[str], *, migrate: bool, used: Sequence[str] = ()) -> None:
    """Open a database, waiting for it, and bring the schema of some services up to date, or wait until it is.

    Args:
        names: those services.
        used: services whose tables must be there too, in whatever release.

    Raises MigrationError when it is a newer release's.
    """
    wanted = [event_bus.migrations, *(services.migrations(name) for name in dict.fromkeys([*names, *(used if migrate else ())]))]
    await waited_for(lambda: database.start(wanted if migrate else ()), "the database")
    others = [services.migrations(name) for name in used if name not in names]
    told = False
    while not migrate and (lacks := await waited_for(lambda: _lacking(database, wanted, others), "the database")):
        if not told:
            _log.info("waiting for the schema, which lacks %s: tcbox migrate brings it up to date", ", ".join(lacks))
        told = True
        await asyncio.sleep(_PAUSE)


async def _lacking(database: db.Database, wanted: Sequence[db.Migrations], others: Sequence[db.Migrations]) -> list[str]:
    """What is missing of a schema; of services that are only used, it is their first step at most."""
    found = await database.lacks(wanted)
    for each in others:
        with contextlib.suppress(db.MigrationError):  # a newer release's is there
            found += set(await database.lacks([each])) & {str(each.steps[0])}
    return found


async def waited_for(make: Callable[[], Awaitable[T]], what: str) -> T:
    """What a call gives, made again each second for as long as a server that it needs does not answer."""
    told = ""
    while True:
        try:
            return await make()
        except (errors.Unavailable, StartFailed) as error:
            reason = error if isinstance(error, errors.Unavailable) else error.__cause__
            if not isinstance(reason, errors.Unavailable):
                raise
            if str(reason) != told:
                _log.warning("%s cannot be started yet; trying again each second: %s", what, reason)
            told = str(reason)
        await asyncio.sleep(_PAUSE)
