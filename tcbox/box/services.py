"""What the services of an instance share, and how each is made reachable while it runs.

A service's code is imported when it is made, so one that is switched off costs nothing.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox import blobs, db, errors
from tcbox import clock as clocks
from tcbox.api.declare import Api
from tcbox.api.dispatch import Dispatcher, Meter
from tcbox.api.front import Front, Mounted
from tcbox.api.schemas import SchemaSet
from tcbox.blobs import signing
from tcbox.box import identity
from tcbox.client import Caller, LimitableCaller
from tcbox.client.local import Local
from tcbox.config import Settings
from tcbox.config.checks import REQUIRES
from tcbox.config.instance import Instance
from tcbox.credentials import Failure, LazyScopes, SignedRequest, Success
from tcbox.credentials.sealed import Sealer
from tcbox.events import Bus, Exchanges
from tcbox.runtime import Registry, Supervisor
from tcbox.scopes import ScopeSet

if TYPE_CHECKING:
    from aiohttp import web

    from tcbox.box.events import Events
    from tcbox.services.auth.audit import Audit
    from tcbox.services.auth.directory import Directory
    from tcbox.services.auth.service import Service as AuthService
    from tcbox.workers.livelog import LiveLogs

NAMES = tuple(REQUIRES)
FOREVER = 2**52
UNSIGNED = SignedRequest("get", "/", "localhost", 80)
"""A request without credentials."""


@dataclass
class Shared:
    """What the services of one instance have in common.

    Attributes:
        apart: whether services run as processes of their own.
        local_url: by which this machine reaches the instance, whatever its root URL is.
        running: the services as they were last started, by name.
        apis, exchanges: the declarations of those that belong to the instance.
        events: what lets events out, as it was last started.
    """

    settings: Settings
    folder: Instance
    clock: clocks.Clock
    database: db.Database
    bus: Bus
    key: bytes
    root_client: identity.OwnClient
    sealer: Sealer
    schemas: SchemaSet
    front: Front
    root_url: str
    meter: Meter
    registry: Registry
    supervisor: Supervisor
    blobs: blobs.Blobs
    signer: signing.Signer
    local_url: str
    live_logs: LiveLogs
    ephemeral: bool = False
    apart: bool = False
    running: dict[str, Any] = field(default_factory=dict)
    apis: dict[str, Api] = field(default_factory=dict)
    exchanges: dict[str, Exchanges] = field(default_factory=dict)
    events: Events | None = None

    @property
    def directory(self) -> Directory:
        """All clients and roles, as the auth service that runs now knows them.

        While auth is made anew, as it was last known; raises Unavailable before its first start.
        """
        auth: AuthService | None = self.running.get("auth")
        if auth is None:
            raise errors.Unavailable("The auth service is not running just now: try again.")
        return auth.directory

    def authenticate(self, request: SignedRequest) -> Success | Failure | Awaitable[Success | Failure]:
        """Who signed a request; within one process told at once, without I/O."""
        return self.directory.authenticate(request)

    def dispatcher(self, api: Api, handlers: Mapping[str, Any]) -> Dispatcher:
        """What answers the calls of a service's methods."""
        return Dispatcher(api, handlers, self.schemas, self, clock=self.clock, meter=self.meter)

    @property
    def audit(self) -> Audit:
        """Where changes are recorded."""
        audit: Audit = self.running["auth"].audit
        return audit

    def own(self, service: str) -> identity.OwnClient:
        """A service's own client."""
        return identity.service_client(self.key, service)

    def caller(self, service: str) -> LimitableCaller:
        """Calls other services as this one."""
        return self.restricted(service, self.own(service).scopes)

    def restricted(self, service: str, scopes: Iterable[str]) -> LimitableCaller:
        """Calls other services in this one's name, with these scopes, and what everybody may."""

        def expand(given: Iterable[str]) -> ScopeSet:
            return self.directory.expand(given)  # looked up at each call: auth may have been started anew

        client_id, base = self.own(service).client_id, ScopeSet(scopes)  # expanded anew at each call: roles change
        return Local(self.front.services.get, lambda: Success("hawk", client_id, FOREVER, LazyScopes(base, expand)))

    def anonymous(self) -> Caller:
        """Calls other services as somebody without credentials."""
        return Local(self.front.services.get, lambda: self.authenticate(UNSIGNED))


def enabled(settings: Settings) -> list[str]:
    """The services that the settings have on, in the order of their start."""
    return [name for name in NAMES if name == "auth" or getattr(settings.services, package(name)).enabled]


def switched_off(settings: Settings) -> dict[str, str]:
    """The services that the settings have off, with the key that says so."""
    on = enabled(settings)
    return {name: f"services.{package(name)}.enabled" for name in NAMES if name not in on}


def package(name: str) -> str:
    """A service's name as Python and the settings spell it: purge_cache for purge-cache."""
    return name.replace("-", "_")


@functools.lru_cache(maxsize=8)
def schemas(names: tuple[str, ...]) -> SchemaSet:
    """The schemas of some services and of workers' payloads; once a process, so that each is compiled once, too."""
    return SchemaSet.load(schema_folders(list(names)))


def schema_folders(names: list[str]) -> dict[str, Path]:
    """Where the schemas of each service, and of workers' payloads, lie, by the name in their URLs."""
    from tcbox import services

    root = Path(services.__file__).parent
    workers = {"docker-worker": root.parent / "workers/docker/schemas", "generic-worker": root.parent / "workers/host/schemas"}
    return {**{name: root / package(name) / "schemas" for name in names}, **workers}


def migrations(name: str) -> db.Migrations:
    """A service's migrations."""
    found: db.Migrations = import_module(f"tcbox.services.{package(name)}.store").migrations
    return found


def open_blobs(settings: Settings, folder: Instance, root_url: str, key: bytes, clock: clocks.Clock) -> tuple[blobs.Blobs, signing.Signer]:
    """The place of artifacts' bytes, not yet started, and what signs the URLs of local ones."""
    from tcbox.blobs.connect import configured, connect

    signer = signing.Signer(hmac.digest(key, b"blobs", "sha256"))
    return connect(configured(settings.blobs, folder.blobs_url), root_url=root_url, signer=signer, clock=clock), signer


def blob_files(shared: Shared) -> Mounted | None:
    """What answers `/blobs/`; None when the bytes are elsewhere."""
    from tcbox.blobs.local import LocalBlobs

    if not isinstance(shared.blobs, LocalBlobs):
        return None
    place = shared.blobs
    made: list[Mounted] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if not made:
            from tcbox.blobs.http import BlobFiles

            made.append(BlobFiles(place, shared.signer, shared.clock).handle)
        return await made[0](request)

    return handle


def add(shared: Shared, name: str) -> None:
    """Have the supervisor start a service, by the factory for its name."""
    make = import_module(f"tcbox.box.making.{package(name)}").make
    declare(shared, name)
    shared.supervisor.add(name, lambda: Reachable(shared, make(shared)), requires=REQUIRES[name])


def declare(shared: Shared, name: str) -> None:
    """Note what a service declares."""
    module = import_module(f"tcbox.services.{package(name)}.service")
    shared.apis[name] = module.Service.api
    if module.Service.exchanges is not None:
        shared.exchanges[name] = module.Service.exchanges


class Reachable:
    """A service with its dispatcher at the front door for as long as it runs."""

    def __init__(self, shared: Shared, service: Any) -> None:
        self._shared = shared
        self._service = service
        self.name: str = service.name
        self.requires: tuple[str, ...] = service.requires
        self.loops = service.loops

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the service, then let requests in; the door is closed first when it stops."""
        await self._service.start(stack)
        self._shared.running[self.name] = self._service
        # not taken out when it stops: while auth is made anew, the others go on with what it knew
        self._open(stack)

    def _open(self, stack: AsyncExitStack) -> None:
        shared, service = self._shared, self._service
        monitoring = service.monitoring(lambda: shared.supervisor.uptime(self.name), lambda: shared.supervisor.faults(self.name))
        handlers = service.api.bind(monitoring, *service.families())
        shared.front.services[self.name] = shared.dispatcher(service.api, handlers)
        stack.callback(shared.front.services.pop, self.name, None)
        for prefix, handler in getattr(service, "mounts", dict)().items():
            shared.front.mount(prefix, handler)
            stack.callback(shared.front.unmount, prefix)

    def notes(self) -> list[str]:
        """What the service has to say for the status."""
        said: list[str] = getattr(self._service, "notes", list)()
        return said

    async def drain(self) -> None:
        """Send home those who wait."""
        draining = getattr(self._service, "drain", None)
        if draining is not None:
            draining()
