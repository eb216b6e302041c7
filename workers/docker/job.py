"""One docker-worker task: its image, its container and what goes with it, from the first to the last."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import log as logs
from tcbox.workers import artifacts, certificates, environment, files, outcomes, scoped
from tcbox.workers.docker import extract, limits, ownership, payload, shell
from tcbox.workers.docker.caches import Cache, Caches
from tcbox.workers.docker.containers import Container, Exit, StartError, removed
from tcbox.workers.docker.devices import Devices, Given
from tcbox.workers.docker.dind import Beside
from tcbox.workers.docker.engine import Engine, EngineError
from tcbox.workers.docker.images import Image, Images
from tcbox.workers.docker.networks import Network
from tcbox.workers.lifecycle import Tools
from tcbox.workers.outcomes import Outcome
from tcbox.workers.places import DockerPlace
from tcbox.workers.proxy import Proxy
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

_LOG = logs.get("workers")
_PROXY_HOST = "taskcluster"
_TERMINAL_LOG = "public/logs/terminal_bulk.log.gz"
_SHELL = "private/docker-worker/shell.html"


@dataclass(frozen=True, slots=True)
class Bench:
    """What the tasks of one worker share.

    Attributes:
        labels: of each container and network.
    """

    tools: Tools
    engine: Engine
    images: Images
    caches: Caches
    devices: Devices
    key: certificates.Key
    limits: limits.Limits
    labels: Mapping[str, str]


class DockerJob:
    """One task."""

    def __init__(self, bench: Bench, run: Run, log: TaskLog, folder: Path, given: payload.Payload) -> None:
        self._bench, self._run, self._log, self._folder, self._payload = bench, run, log, folder, given
        settings = bench.tools.settings
        self.log_names = given.log_names
        self.trust = certificates.Trust(bench.key, certificates.environment(settings)) if given.trust else None
        self._image: Image | None = None
        self._container: Container | None = None
        self._beside: Beside | None = None
        self._binds: list[dict[str, Any]] = []
        self._network: Network | None = None
        self._proxy: Proxy | None = None
        self._shells: shell.Shells | None = None
        self._watch: asyncio.Task[None] | None = None
        self._making: asyncio.Future[None] | None = None
        self._caches: list[Cache] = []
        self._devices: list[Given] = []
        self._purge = False
        self._made_with: dict[str, Any] = {}
        self._labels = {**bench.labels, "tcbox.task": run.name}
        self._name = f"tcbox-{settings.instance}-{run.name}"

    async def execute(self) -> Outcome:
        """Get the image, make the container, run it."""
        given = self._payload
        await scoped.require(self._run, payload.needed_scopes(given, self._run.task_queue_id), what="The payload")
        try:
            self._image = await self._bench.images.ensure(given.image, self._run, self._log, trust=given.trust)
            for name in given.devices:
                self._devices.append(await self._bench.devices.take(name, self._log.say))
            if given.beside:
                await self._accompany()
            env = await self._environment()
            await self._made(self._create(self._image, env))
        except EngineError as error:
            raise _refused(error, "The container cannot be made") from error
        assert self._container is not None
        if self.trust is not None:
            self.trust.environment["imageHash"] = self._image.id
            if self._image.digest is not None:
                self.trust.environment["imageArtifactHash"] = f"sha256:{self._image.digest}"
        async with self._run.limited(given.max_run_time):
            return await self._follow(self._container)

    # -- making

    async def _made(self, making: Coroutine[Any, Any, None]) -> None:
        """Wait for something to be made; once asked for it is, also when this run ends, so that it is known and can be removed."""
        self._making = asyncio.ensure_future(making)
        await asyncio.shield(self._making)

    async def _accompany(self) -> None:
        """Have a Docker engine of the task's own run beside it."""
        bench = self._bench
        self._beside = Beside(bench.engine, bench.images, bench.tools.settings.dind_image, bench.limits, labels=self._labels, log=self._log)
        await self._beside.fetch(self._run)
        await self._made(self._beside.create(f"{self._name}-dind"))
        self._binds.append(await self._beside.start())

    async def _create(self, image: Image, env: dict[str, str]) -> None:
        given = self._payload
        if given.cache:
            await self._bench.caches.purges.ask(self._bench.tools.http, self._run.task_queue_id)
        for name in given.cache:
            self._caches.append(await self._bench.caches.take(self._run.task_queue_id, name))
        for cache in self._caches:
            self._log.say(f"Using {'a new volume for ' if cache.fresh else ''}the cache {cache.name} at {given.cache[cache.name]}")
        about = (await self._bench.engine.call("GET", f"/images/{image.id}/json")).get("Config") or {}
        config = self._made_with = self._config(image, env, about)
        container = self._container = await Container.create(self._bench.engine, self._name, config)
        fresh = [given.cache[cache.name] for cache in self._caches if cache.fresh] + given.volumes
        await ownership.give(container, about.get("User") or "", fresh, self._folder)

    def _config(self, image: Image, env: dict[str, str], about: dict[str, Any]) -> dict[str, Any]:
        given = self._payload
        mounts: dict[str, str | None] = {**dict.fromkeys(given.volumes), **{given.cache[cache.name]: cache.volume for cache in self._caches}}
        hosts = [] if self._network is None else [f"{_PROXY_HOST}:{self._network.gateway}"]
        network = None if self._network is None else self._network.id
        config: dict[str, Any] = {
            "Image": image.id, "Env": [f"{name}={value}" for name, value in env.items()], "Labels": self._labels,
            "Tty": True, "AttachStdout": True, "AttachStderr": True,
            "HostConfig": limits.host_config(given, self._bench.limits, self._devices, mounts=mounts, network=network, hosts=hosts, binds=self._binds),
        }  # fmt: skip
        if given.interactive:
            config["Entrypoint"], config["Cmd"] = shell.wrapped(about.get("Entrypoint") or [], given.command or about.get("Cmd") or []), []
        elif given.command:
            config["Cmd"] = given.command
        return config

    async def _environment(self) -> dict[str, str]:
        run, settings = self._run, self._bench.tools.settings
        env = {
            **self._payload.env,
            **environment.standard(run, settings),
            "TASKCLUSTER_WORKER_POOL": run.task_queue_id,
            "TASKCLUSTER_WORKER_TYPE": run.task_queue_id.partition("/")[2],
            "TASKCLUSTER_WORKER_GROUP": settings.worker_group,
        }
        if self._payload.proxy:
            await self._made(self._connect())
            assert self._network is not None
            self._proxy = Proxy(run, self._bench.tools.session, guests=self._network.subnet)
            try:
                port = await self._proxy.listen(self._network.gateway, (80, 0))
            except OSError as error:
                raise outcomes.internal(f"The proxy cannot listen at {self._network.gateway}, the engine's side of the task's network: {error}") from error
            env["TASKCLUSTER_PROXY_URL"] = f"http://{_PROXY_HOST}" + ("" if port == 80 else f":{port}")
        return env

    async def _connect(self) -> None:
        self._network = await Network.create(self._bench.engine, self._name, self._labels)

    # -- running

    async def _follow(self, container: Container) -> Outcome:
        began = time.monotonic()
        try:
            ended = await container.run(self._log.write, self._started)
        except StartError as error:
            needs = " (the feature interactive needs /bin/sh in the image)" if self._payload.interactive else ""
            raise outcomes.failed(f"The command cannot be started{needs}: {error}") from error
        except EngineError as error:
            raise _refused(error, "The Docker engine failed while the task ran") from error
        except asyncio.CancelledError:
            self._purge = True
            await asyncio.shield(container.kill())
            raise
        return self._judge(ended, time.monotonic() - began)

    def _judge(self, ended: Exit, seconds: float) -> Outcome:
        given, code = self._payload, ended.code
        if ended.killed:
            self._purge = True
            why = "The container was ended through the Docker engine, by a person or by the engine's own end."
            raise outcomes.RunEnded(Outcome("exception", "worker-shutdown", why))
        self._purge = code in given.purge_caches
        if ended.starved:
            self._log.fault(f"The container ran out of memory: it may use {self._bench.limits.memory // 1_000_000} MB")
        word = "Unsuccessful" if code else "Successful"
        self._log.say(f"{word} task run with exit code: {code} completed in {seconds:.3f} seconds")
        if code in given.retry:
            raise outcomes.intermittent(f"Exit code {code} is listed in payload.onExitStatus.retry: the task is tried again.")
        return Outcome("failed") if code else outcomes.COMPLETED

    def _started(self) -> None:
        if self._payload.interactive:
            self._watch = asyncio.create_task(self._let_in(), name=f"shells {self._run.name}")

    async def _let_in(self) -> None:
        """Have people open shells, until the time for that is over; the container ends by itself then."""
        assert self._container is not None
        tools, run = self._bench.tools, self._run
        shells = self._shells = shell.Shells(self._bench.engine, self._container.id, run.clock, tools.settings.session_ms, tools.settings.session_after_ms)
        try:
            await self._announce(await tools.live_logs.open("shell.sock", shells.handle))
            await shells.over()
        except (outcomes.RunEnded, OSError) as error:
            self._log.caution(f"No shells can be had: {error}")
        with contextlib.suppress(EngineError):
            await self._container.put("/", shell.done())

    async def _announce(self, url: str) -> None:
        from urllib.parse import urlencode

        run, root_url = self._run, self._bench.tools.settings.root_url or self._run.http.root_url
        socket = re.sub(r"^http", "ws", url)
        page = f"{root_url}/shell/?" + urlencode({"v": "1", "socketUrl": socket, "taskId": run.task_id, "runId": run.run_id})
        until = min(run.clock.now() + self._payload.max_run_time * clocks.SECOND, clocks.from_wire(run.expires))
        told = {"storageType": "reference", "expires": clocks.to_wire(until), "url": page, "contentType": "text/html"}
        uploads = artifacts.Uploads(run, self._log, self._bench.tools.session, self._folder)
        await uploads.create(_SHELL, told)
        self._log.say(f"Shells can be opened: see the artifact {_SHELL}")

    # -- what it leaves

    def place(self) -> DockerPlace | None:
        """Its container, which has ended."""
        return None if self._container is None else DockerPlace(self._bench.engine.url, self._container.id, self._made_with)

    async def collect(self) -> list[files.Wanted]:
        """The payload's artifacts, copied out of the container."""
        container = self._container
        if container is None:
            return []
        await self._link_log()
        gate = asyncio.Semaphore(4)

        async def one(index: int, name: str, artifact: dict[str, Any]) -> files.Wanted:
            target = self._folder / "artifacts" / str(index) / (Path(artifact["path"]).name or "root")
            async with gate:
                await self._copy(container, artifact["path"], target)
            kind: Any = "file" if artifact["type"] == "file" else "directory"
            return files.Wanted(name, kind, str(target), artifact["path"], artifact.get("expires"), optional=True)

        return list(await asyncio.gather(*(one(index, *each) for index, each in enumerate(self._payload.artifacts.items()))))

    async def _link_log(self) -> None:
        """The log by its other name, when the payload asks for it in so many words."""
        if self._payload.terminal_log and self.log_names.backing is not None:
            uploads = artifacts.Uploads(self._run, self._log, self._bench.tools.session, self._folder)
            await uploads.link(_TERMINAL_LOG, self.log_names.backing)

    async def _copy(self, container: Container, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True)
        tar = target.parent.with_suffix(".tar")
        try:
            await container.copy_out(path, tar)
            await asyncio.to_thread(extract.extract, tar, target)
        except EngineError as error:
            if error.status != 404:
                raise _refused(error, f"The Docker engine cannot give {path}") from error
        finally:
            tar.unlink(missing_ok=True)

    async def close(self) -> None:
        """Remove the container and the network, give caches, devices and the image back, stop the proxy and all shells."""
        async with contextlib.AsyncExitStack() as stack:  # each step is taken, whatever comes of those before it
            stack.push_async_callback(self._give_back)
            if self._making is not None:
                await asyncio.gather(self._making, return_exceptions=True)
            if self._network is not None:
                stack.push_async_callback(self._network.remove)
            if self._proxy is not None:
                stack.push_async_callback(self._proxy.close)
            if self._beside is not None:
                stack.push_async_callback(self._beside.close)
            if self._container is not None:
                stack.push_async_callback(removed, self._container)
            if self._watch is not None:
                stack.push_async_callback(self._close_shells, self._watch)

    async def _close_shells(self, watch: asyncio.Task[None]) -> None:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        if self._shells is not None:
            self._bench.tools.live_logs.shut(self._shells.handle)
            await self._shells.close()

    async def _give_back(self) -> None:
        for cache in self._caches:
            await self._bench.caches.give_back(cache, purge=self._purge)
        for device in self._devices:
            await self._bench.devices.give_back(device)
        if self._image is not None:
            await self._bench.images.release(self._image)


def _refused(error: EngineError, what: str) -> outcomes.RunEnded:
    if not error.told:  # no answer: another worker, or this one once the engine is back, can run the task
        return outcomes.RunEnded(Outcome("exception", "worker-shutdown", f"{what}: {error}"))
    if error.full:
        return outcomes.unavailable(f"{what}: {error}")
    make = outcomes.malformed if error.status in (400, 404) else outcomes.internal
    return make(f"{what}: {error}")
