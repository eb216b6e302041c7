"""A whole instance: opens what all services share, starts them, serves, and closes all of it again."""

from __future__ import annotations

import os
import time
from contextlib import AsyncExitStack
from typing import Any

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.api.front import Front, Mounted
from tcbox.box import events, identity, landing, metrics, mounting, seed, seeding, services, vendors, workers
from tcbox.box.control import Control
from tcbox.config import Settings, checks, places
from tcbox.config.instance import Instance
from tcbox.config.values import masked, sqlite_path
from tcbox.credentials.sealed import Sealer, from_text, load_or_make
from tcbox.events import Bus
from tcbox.events import bus as event_bus
from tcbox.runtime import Registry, Supervisor
from tcbox.workers.livelog import LiveLogs

SEEDED = "seeded"
"""The file in the data folder that says that a first start was finished."""


class Box:
    """One instance on one data folder.

    Args:
        settings: what `tcbox.yml` and the flags say.
        folder: where its state is.
        token: what the command line shows to control it.
        ephemeral: nothing is to be kept for a later start.
    """

    def __init__(self, settings: Settings, folder: Instance, *, clock: clocks.Clock, token: str, ephemeral: bool = False) -> None:
        self.settings = settings
        self.folder = folder
        self.clock = clock
        self.supervisor = Supervisor(clock, drain_seconds=settings.shutdown.drain_seconds)
        self.front = Front(clock)
        self.registry = Registry()
        self.root_url = ""
        self.port = 0
        given = settings.root_access_token.reveal()
        self.root_client = identity.given_root(given) if given else identity.root_client(folder.root_client, durable=not ephemeral)
        self.shared: services.Shared | None = None
        self.workers: workers.Workers | None = None
        self.seed = seeding.Seed(folder, None)
        self._token = token
        self._ephemeral = ephemeral
        self._log = log.get("box")
        self._stack = AsyncExitStack()
        self._started = time.monotonic()

    async def start(self) -> None:
        """Open, migrate, start the services and serve.

        Raises TcboxError, with everything closed again, when something is in the way.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        folder = self.folder
        planted = folder.data / SEEDED  # not told by the keys: a first start may break off after they were made
        self.seed = await seeding.prepare(self.settings, folder, begun=planted.exists())
        self.settings = settings = self.seed.settings(self.settings)
        events.server(settings)  # says what is missing before anything is opened
        enabled = services.enabled(settings)
        database = db.connect(vendors.text(settings.database) or folder.database_url, clock=self.clock, durable=not self._ephemeral)
        self._stack.push_async_callback(database.close)
        await database.start([event_bus.migrations, *(services.migrations(name) for name in enabled)])
        self.front.known = set(enabled)
        self.front.off = services.switched_off(settings)
        self.front.complete.clear()
        self.port = await self.front.listen(settings.host, settings.port)
        self.root_url = (settings.root_url or f"http://{_shown(settings.host)}" + (f":{self.port}" if self.port != 80 else "")).rstrip("/")
        bus = Bus(database, self.clock)
        self._stack.push_async_callback(bus.close)
        given = settings.instance_key.reveal()
        key = identity.given_key(given) if given else identity.instance_key(folder.key_file("instance"), durable=not self._ephemeral)
        place, signer = services.open_blobs(settings, folder, self.root_url, key, self.clock)
        await place.start()
        self._stack.push_async_callback(place.close)
        shared = services.Shared(
            settings=settings, folder=folder, clock=self.clock, database=database, bus=bus, key=key, root_client=self.root_client,
            sealer=_sealer(settings, folder, durable=not self._ephemeral), schemas=services.schemas(tuple(enabled)),
            front=self.front, root_url=self.root_url, meter=metrics.Meter(self.registry), registry=self.registry, supervisor=self.supervisor,
            blobs=place, signer=signer, ephemeral=self._ephemeral, live_logs=LiveLogs(url=f"{self.root_url}/live", mounted=True),
            local_url=f"http://{_local(settings.host)}:{self.port}",
        )  # fmt: skip
        self.shared = shared
        metrics.show(self.registry, shared)
        page = landing.handler(lambda: {**self.describe(), "uptime": round(time.monotonic() - self._started)})
        self.supervisor.add(events.NAME, lambda: events.Events(shared, page))
        for name in enabled:
            services.add(shared, name)
        self._mount(shared, page)
        self._stack.push_async_callback(self.supervisor.stop)
        await self.supervisor.start()
        self.front.complete.set()
        await self.seed.begin(shared.running["auth"].roles)
        if not planted.exists():
            await seed.plant(shared.running["auth"].roles, self.root_client.client_id)
            planted.touch(mode=0o600)
        await self.seed.plant(shared)
        self.workers = workers.Workers(shared)

    def describe(self) -> dict[str, Any]:
        """What a person or a script needs to use the instance; `tcbox up` prints it."""
        assert self.shared is not None
        return {
            "rootUrl": self.root_url,
            "host": self.settings.host,
            "port": self.port,
            "pid": os.getpid(),
            "data": str(self.folder.data),
            "defaultData": self.folder.data == places.default_data(os.environ),
            "services": list(self.shared.apis),
            "switchedOff": services.switched_off(self.settings),
            "notes": checks.notes(self.settings),
            "workers": self.workers.describe() if self.workers is not None else {},
            "database": self._database,
            "events": events.described(self.settings),
            "ui": f"{self.root_url}/",
            "metrics": f"{self.root_url}/metrics",
            "log": str(self.folder.log_file),
            "seed": self.seed.describe(),
            "credentials": {"clientId": self.root_client.client_id, "accessToken": self.root_client.access_token},
        }

    @property
    def _database(self) -> str:
        """Where the state is, without a password."""
        chosen = vendors.text(self.settings.database)
        if chosen.startswith("postgres"):
            return f"PostgreSQL at {masked(chosen).partition('://')[2].rpartition('@')[2]}"
        return f"SQLite in {sqlite_path(chosen) if chosen else self.folder.database}"

    def start_workers(self) -> None:
        """Let the workers inside begin; they connect over HTTP, so this comes after the start."""
        if self.workers is not None:
            self.workers.start()

    def _mount(self, shared: services.Shared, page: Mounted) -> None:
        mounting.descriptions(shared)
        mounting.monitoring(self.front, self.registry, heartbeat=metrics.heartbeat(shared), lbheartbeat=metrics.lbheartbeat)
        mounting.blobs(shared)
        self.front.mount("/live/", shared.live_logs.handle)
        self.front.mount("/", page)
        control = Control(self._token, {"status": self._status, "restart": self._restart, "advance": self._advance, "sign-in": self._sign_in})
        self.front.mount("/instance/", control.handle)

    async def _status(self, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "rootUrl": self.root_url,
            "uptime": round(time.monotonic() - self._started, 1),
            "services": self.supervisor.status(),
            "switchedOff": services.switched_off(self.settings),
            "notes": checks.notes(self.settings),
            "database": self._database,
            "workers": self.workers.status() if self.workers is not None else {},
        }

    async def _restart(self, body: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        await self.supervisor.restart(str(body.get("service", "")))
        return {"milliseconds": (time.perf_counter() - started) * 1000}

    async def _sign_in(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"url": await self.sign_in_link()}

    async def sign_in_link(self) -> str:
        """A link that signs the owner in, once, within 10 minutes.

        Raises TcboxError when the instance takes none.
        """
        web_server = self.shared.running.get("web-server") if self.shared is not None else None
        if web_server is None or not web_server.has_links:
            raise errors.TcboxError(
                "this instance takes no links that sign in: enable services.web_server, with links: loopback or anywhere, "
                "or sign in with what 'tcbox env' prints"
            )
        here = self.settings.services.web_server.links == "loopback" and self.settings.root_url
        base = f"http://{_shown(self.settings.host)}:{self.port}" if here else self.root_url
        return f"{base}/sign-in#{await web_server.links.make()}"

    async def _advance(self, body: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(self.clock, clocks.VirtualClock):
            raise errors.TcboxError("this instance runs on real time: start it with 'tcbox up --ephemeral --virtual-time' to move its clock")
        self.clock.advance(int(body["milliseconds"]))
        return {"now": clocks.to_wire(self.clock.now())}

    async def stop(self) -> None:
        """Drain and close: no new claims, requests and running tasks get their grace, then everything in reverse."""
        drain = self.settings.shutdown.drain_seconds
        if self.workers is not None:
            await self.workers.stop(drain)
        await self.supervisor.drain()
        await self.front.close(drain)
        await self._stack.aclose()


def _sealer(settings: Settings, folder: Instance, *, durable: bool) -> Sealer:
    chosen = settings.services.secrets.key
    if chosen:
        return from_text(chosen.reveal(), "services.secrets.key")
    path = folder.key_file("sealing")
    if not path.exists() and (folder.data / SEEDED).exists():
        raise errors.TcboxError(
            f"the key that seals secrets and access tokens is gone: {path}. Restore it from a backup of the data folder, or give it as "
            "services.secrets.key. A new one would open nothing of what is stored; to give that up and go on, make an empty "
            f"instance with another --data, or remove {folder.data / SEEDED} to have a new key made"
        )
    return load_or_make(path, durable=durable)


def _shown(host: str) -> str:
    return "localhost" if host in ("127.0.0.1", "::1", "0.0.0.0", "::", "localhost") else host  # noqa: S104


def _local(host: str) -> str:
    """An address of this machine's own at which a server that listens on `host` is reached."""
    wild = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared with, not listened on
    return wild.get(host, f"[{host}]" if ":" in host else host)
