"""The docker worker: docker-worker payloads in containers."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox.workers import certificates, lifecycle, room
from tcbox.workers.docker import leftovers, payload
from tcbox.workers.docker.caches import Caches
from tcbox.workers.docker.devices import Devices
from tcbox.workers.docker.engine import Engine
from tcbox.workers.docker.images import Images
from tcbox.workers.docker.job import Bench, DockerJob
from tcbox.workers.docker.limits import Limits
from tcbox.workers.docker.origins import Origins
from tcbox.workers.docker.shelf import Shelf
from tcbox.workers.helpers import Watchdog
from tcbox.workers.lifecycle import Tools
from tcbox.workers.outcomes import Outcome
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog


@dataclass(frozen=True, slots=True)
class Docker:
    """Runs each task in a container of its own."""

    tools: Tools
    bench: Bench
    guard: Watchdog
    room: room.Room

    @classmethod
    async def start(cls, tools: Tools, clock: clocks.Clock, stack: AsyncExitStack) -> Docker:
        """Connect to the engine, and clean up after a worker that was killed.

        Raises EngineError when there is no engine, TcboxError when the signing key cannot be read.
        """
        settings = tools.settings
        key = await asyncio.to_thread(certificates.Key.of, settings.folder)
        engine = Engine(settings.docker_url)
        await engine.open()
        stack.push_async_callback(engine.close)
        await leftovers.clear(engine, settings.instance)
        for folder in list(tools.folder.iterdir()):
            await asyncio.to_thread(lifecycle.remove, folder)
        guard = Watchdog(engine.url, str(settings.folder / "volumes"))
        stack.callback(guard.close)
        caches = Caches(engine, settings.folder / "volumes", clock, settings.instance, keep=settings.capacity, token=guard.token)
        await caches.recover()
        about = await engine.call("GET", "/info")
        images = settings.folder / "images"
        images.mkdir(parents=True, exist_ok=True, mode=0o700)
        shelf = Shelf(engine, images, clock, settings.images_mb * 1_000_000)
        origins = Origins(images, tools.session, [key.public, *settings.trusted_keys], strict=bool(settings.trusted_keys))
        bench = Bench(
            tools, engine, Images(engine, images, tools.session, shelf, origins), caches, Devices(), key,
            Limits.of(settings, int(about.get("MemTotal") or 0)), {leftovers.LABEL: settings.instance, **guard.labels},
        )  # fmt: skip

        async def clear() -> None:
            await shelf.tidy(all_unused=True)
            await caches.clear()

        if not settings.keep_caches:
            stack.push_async_callback(caches.forget)
            stack.push_async_callback(shelf.tidy, all_unused=True)
        return cls(tools, bench, guard, room.Room(_places(settings.folder, engine.url, about), settings.free_disk_mb * 1_000_000, clock, clear))

    @property
    def caches(self) -> Caches:
        """The caches of its tasks."""
        return self.bench.caches

    async def ready(self) -> None:
        """Wait until there is room on the disk, and ask the engine whether it is there.

        Raises EngineError when it is not.
        """
        await self.bench.engine.ping()
        await self.room.wait()

    async def perform(self, run: Run) -> Outcome:
        """Run one task to its end."""
        self.guard.start()
        return await lifecycle.perform(run, self.tools, self._job)

    def _job(self, run: Run, log: TaskLog, folder: Path) -> DockerJob:
        settings = self.tools.settings
        given = payload.read(run.task, longest=settings.max_run_time_s, privileged=settings.privileged, beside=bool(settings.dind_image))
        return DockerJob(self.bench, run, log, folder, given)


def _places(folder: Path, address: str, about: dict[str, Any]) -> list[Path]:
    """Where tasks need room: the worker's folder, and the engine's when it is of this machine and can be seen."""
    places = [folder]
    root = about.get("DockerRootDir")
    if root and address.startswith("unix://"):
        with contextlib.suppress(OSError):
            room.free(Path(root))
            places.append(Path(root))
    return places
