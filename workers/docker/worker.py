"""The docker worker: docker-worker payloads in containers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import ids
from tcbox.workers import environment, files, lifecycle, outcomes, scoped
from tcbox.workers.docker import extract, leftovers, payload
from tcbox.workers.docker.caches import Cache, Caches
from tcbox.workers.docker.containers import Container, StartError
from tcbox.workers.docker.engine import Engine, EngineError
from tcbox.workers.docker.images import Images
from tcbox.workers.docker.networks import Network
from tcbox.workers.helpers import WATCHDOG, Helper
from tcbox.workers.lifecycle import Tools
from tcbox.workers.outcomes import Outcome
from tcbox.workers.places import DockerPlace
from tcbox.workers.proxy import Proxy
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

_PROXY_HOST = "taskcluster"
_WORKER = "tcbox.worker"


@dataclass(frozen=True, slots=True)
class Docker:
    """Runs each task in a container of its own."""

    tools: Tools
    engine: Engine
    images: Images
    caches: Caches
    guard: Guard

    @classmethod
    async def start(cls, tools: Tools, clock: clocks.Clock, stack: AsyncExitStack) -> Docker:
        """Connect to the engine, and clean up after a worker that was killed.

        Raises EngineError when there is no engine.
        """
        settings = tools.settings
        engine = Engine(settings.docker_url)
        await engine.open()
        stack.push_async_callback(engine.close)
        await leftovers.clear(engine, settings.instance)
        for folder in list(tools.folder.iterdir()):
            await asyncio.to_thread(lifecycle.remove, folder)
        caches = Caches(engine, settings.folder / "volumes", clock, settings.instance, settings.capacity)
        await caches.recover()
        if not settings.keep_caches:
            stack.push_async_callback(caches.forget)
        guard = Guard(engine.url)
        stack.callback(guard.close)
        return cls(tools, engine, Images(engine, settings.folder / "images", tools.session), caches, guard)

    async def ready(self) -> None:
        """Ask the engine whether it is there.

        Raises EngineError when it is not.
        """
        await self.engine.ping()

    async def perform(self, run: Run) -> Outcome:
        """Run one task to its end."""
        return await lifecycle.perform(run, self.tools, self._job)

    def _job(self, run: Run, log: TaskLog, folder: Path) -> DockerJob:
        return DockerJob(self, run, log, folder, payload.read(run.task, longest=self.tools.settings.max_run_time_s))


class Guard:
    """The watchdog of this worker's containers, started with the first of them.

    Attributes:
        token: value of the label `tcbox.worker`, by which containers and networks are guarded.
    """

    def __init__(self, address: str) -> None:
        self.token = ids.slugid()
        self._address = address
        self._helper: Helper | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._helper is None or not self._helper.alive:
            self._helper = Helper(WATCHDOG, self._address, f"{_WORKER}={self.token}")

    def close(self) -> None:
        """Let it go; may be called twice."""
        helper, self._helper = self._helper, None
        if helper is not None:
            with contextlib.suppress(OSError):
                helper.channel.send(b"+")
            helper.close()


class DockerJob:
    """One task."""

    def __init__(self, docker: Docker, run: Run, log: TaskLog, folder: Path, given: payload.Payload) -> None:
        self._docker, self._run, self._log, self._folder, self._payload = docker, run, log, folder, given
        self.log_names = given.log_names
        self._container: Container | None = None
        self._network: Network | None = None
        self._proxy: Proxy | None = None
        self._making: asyncio.Future[None] | None = None
        self._caches: list[Cache] = []
        self._purge = False
        self._made_with: dict[str, Any] = {}
        self._labels = {leftovers.LABEL: docker.tools.settings.instance, _WORKER: docker.guard.token, "tcbox.task": run.name}
        self._name = f"tcbox-{docker.tools.settings.instance}-{run.name}"

    async def execute(self) -> Outcome:
        """Get the image, make the container, run it."""
        needed = [f"docker-worker:cache:{name}" for name in self._payload.cache]
        needed += ["docker-worker:feature:allowPtrace"] * self._payload.ptrace
        await scoped.require(self._run, needed, what="The payload")
        self._docker.guard.start()
        try:
            image = await self._docker.images.ensure(self._payload.image, self._run, self._log)
            env = await self._environment()
            # shielded: once asked for, a thing is made, and must be known so that it can be removed
            self._making = asyncio.ensure_future(self._create(image, env))
            await asyncio.shield(self._making)
        except EngineError as error:
            raise _refused(error, "The container cannot be made") from error
        assert self._container is not None
        async with self._run.limited(self._payload.max_run_time):
            return await self._follow(self._container)

    async def _create(self, image: str, env: dict[str, str]) -> None:
        if self._payload.cache:
            await self._docker.caches.purges.ask(self._docker.tools.http, self._run.task_queue_id)
        for name in self._payload.cache:
            self._caches.append(await self._docker.caches.take(name))
        config = self._made_with = self._config(image, env)
        self._container = await Container.create(self._docker.engine, self._name, config)

    async def _connect(self) -> None:
        self._network = await Network.create(self._docker.engine, self._name, self._labels)

    async def _follow(self, container: Container) -> Outcome:
        started = time.monotonic()
        try:
            code = await container.run(self._log.write)
        except StartError as error:
            raise outcomes.failed(f"The command cannot be started: {error}") from error
        except EngineError as error:
            raise _refused(error, "The Docker engine failed while the task ran") from error
        except asyncio.CancelledError:
            self._purge = True
            await asyncio.shield(container.kill())
            raise
        self._purge = code in self._payload.purge_caches
        word = "Unsuccessful" if code else "Successful"
        self._log.say(f"{word} task run with exit code: {code} completed in {time.monotonic() - started:.3f} seconds")
        if code in self._payload.retry:
            raise outcomes.intermittent(f"Exit code {code} is listed in payload.onExitStatus.retry: the task is tried again.")
        return Outcome("failed") if code else outcomes.COMPLETED

    def _config(self, image: str, env: dict[str, str]) -> dict[str, Any]:
        hosts = ["localhost.localdomain:127.0.0.1"]
        host: dict[str, Any] = {"ExtraHosts": hosts, "LogConfig": {"Type": "none"}, "MemorySwap": -1, "AutoRemove": False}
        if self._network is not None:
            host["NetworkMode"] = self._network.id
            hosts.append(f"{_PROXY_HOST}:{self._network.gateway}")
        if self._caches:
            host["Mounts"] = [{"Type": "volume", "Source": cache.volume, "Target": self._payload.cache[cache.name]} for cache in self._caches]
        if self._payload.ptrace:
            host["CapAdd"] = ["SYS_PTRACE"]
        config: dict[str, Any] = {
            "Image": image, "Env": [f"{name}={value}" for name, value in env.items()], "Labels": self._labels,
            "Tty": True, "AttachStdout": True, "AttachStderr": True, "HostConfig": host,
        }  # fmt: skip
        if self._payload.command:
            config["Cmd"] = self._payload.command
        return config

    async def _environment(self) -> dict[str, str]:
        env = {**self._payload.env, **environment.standard(self._run, self._docker.tools.settings)}
        if self._payload.proxy:
            self._making = asyncio.ensure_future(self._connect())
            await asyncio.shield(self._making)
            assert self._network is not None
            self._proxy = Proxy(self._run, self._docker.tools.session, guests=self._network.subnet)
            try:
                port = await self._proxy.listen(self._network.gateway, (80, 0))
            except OSError as error:
                raise outcomes.internal(f"The proxy cannot listen at {self._network.gateway}, the engine's side of the task's network: {error}") from error
            env["TASKCLUSTER_PROXY_URL"] = f"http://{_PROXY_HOST}" + ("" if port == 80 else f":{port}")
        return env

    def place(self) -> DockerPlace | None:
        """Its container, which has ended."""
        return None if self._container is None else DockerPlace(self._docker.engine.url, self._container.id, self._made_with)

    async def collect(self) -> list[files.Wanted]:
        """The payload's artifacts, copied out of the container."""
        container = self._container
        if container is None:
            return []
        gate = asyncio.Semaphore(4)

        async def one(index: int, name: str, artifact: dict[str, Any]) -> files.Wanted:
            target = self._folder / "artifacts" / str(index) / (Path(artifact["path"]).name or "root")
            async with gate:
                await self._copy(container, artifact["path"], target)
            return files.Wanted(name, artifact["type"], str(target), artifact["path"], artifact.get("expires"), optional=True)

        return list(await asyncio.gather(*(one(index, *each) for index, each in enumerate(self._payload.artifacts.items()))))

    async def _copy(self, container: Container, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True)
        tar = target.parent.with_suffix(".tar")
        try:
            await container.copy_out(path, tar)
            await asyncio.to_thread(extract.extract, tar, target)
        except EngineError as error:
            if error.status != 404:
                raise outcomes.internal(f"The Docker engine cannot give {path}: {error}") from error
        finally:
            tar.unlink(missing_ok=True)

    async def close(self) -> None:
        """Remove the container and the network, give the caches back, stop the proxy."""
        if self._making is not None:
            await asyncio.gather(self._making, return_exceptions=True)
        if self._container is not None:
            await self._container.remove()
        if self._proxy is not None:
            await self._proxy.close()
        if self._network is not None:
            await self._network.remove()
        for cache in self._caches:
            await self._docker.caches.give_back(cache, purge=self._purge)


def _refused(error: EngineError, what: str) -> outcomes.RunEnded:
    if not error.told:  # no answer: another worker, or this one once the engine is back, can run the task
        return outcomes.RunEnded(Outcome("exception", "worker-shutdown", f"{what}: {error}"))
    make = outcomes.malformed if error.status in (400, 404) else outcomes.internal
    return make(f"{what}: {error}")
