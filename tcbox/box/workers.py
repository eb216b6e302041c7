"""The workers inside: started after the instance serves, stopped before it drains, started anew when one fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.box import identity

if TYPE_CHECKING:
    from tcbox.box.services import Shared
    from tcbox.workers.settings import Kind, WorkerSettings

KINDS: tuple[Kind, ...] = ("builtin", "host", "docker")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class Worker:
    """One worker inside.

    Attributes:
        state: starting, running, stopped, or unavailable with the reason in `why`.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.state = "starting"
        self.why = ""
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Workers:
    """All workers inside one instance."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._log = log.get("workers")
        kinds = [kind for kind in KINDS if getattr(shared.settings.workers, kind).enabled] if shared.settings.services.queue.enabled else []
        self._workers = {kind: Worker(_settings(shared, kind)) for kind in kinds}

    def start(self) -> None:
        """Let them begin; those that cannot say why in `status`."""
        for kind, worker in self._workers.items():
            worker.task = asyncio.create_task(self._keep(kind, worker), name=f"worker:{kind}")

    def status(self) -> dict[str, Any]:
        """How each is."""
        return {
            kind: {
                "state": worker.state,
                "why": worker.why,
                "queues": [*worker.settings.task_queues, *worker.settings.serve],
                "capacity": worker.settings.capacity,
            }
            for kind, worker in self._workers.items()
        }

    def describe(self) -> dict[str, str]:
        """What each will serve, or why it cannot, in words for the banner."""
        described: dict[str, str] = {}
        for kind, worker in self._workers.items():
            why = docker_missing(worker.settings.docker_url) if kind == "docker" else ""
            described[kind] = f"not running, {why}" if why else ", ".join([*worker.settings.task_queues, *worker.settings.serve])
        return described

    async def stop(self, grace: float) -> None:
        """Ask them to end: running tasks get their grace, then end as worker-shutdown."""
        tasks = [worker.task for worker in self._workers.values() if worker.task is not None]
        for worker in self._workers.values():
            worker.stop.set()
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=self._shared.settings.workers.grace_seconds + grace)
        for task in left:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, kind: Kind, worker: Worker) -> None:
        """Run it until it is asked to stop; one that fails is started again, more and more slowly."""
        pause = _FIRST_PAUSE
        while not worker.stop.is_set():
            reason = docker_missing(worker.settings.docker_url) if kind == "docker" else ""
            if not reason:
                try:
                    await self._run(worker)
                except errors.TcboxError as error:
                    reason = str(error)
                except Exception as error:
                    self._log.exception("the %s worker failed; starting it again in %.0f s", kind, pause)
                    reason = f"{type(error).__name__}: {error}"
            if reason and reason != worker.why:
                expected = kind == "docker" and worker.state == "starting"  # the banner has said so
                self._log.log(logging.INFO if expected else logging.WARNING, "the %s worker does not run: %s", kind, reason)
            worker.state, worker.why = ("unavailable", reason) if reason else ("stopped", "")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(worker.stop.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        worker.state = "stopped"

    async def _run(self, worker: Worker) -> None:
        import aiohttp

        from tcbox.client.http import Credentials, Http
        from tcbox.workers.run import run

        own = identity.worker_client(self._shared.key)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            http = Http(self._shared.local_url, Credentials(own.client_id, own.access_token), session=session, clock=clocks.SystemClock())
            worker.state, worker.why = "running", ""
            await run(worker.settings, http=http, clock=clocks.SystemClock(), stop=worker.stop, live_logs=self._shared.live_logs)


def docker_missing(url: str) -> str:
    """Why no Docker engine can be used at this URL; empty when one can."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return ""
    path = Path(parts.path)
    if not path.exists():
        return f"no Docker engine listens at {path}: install and start Docker, or set workers.docker.url"
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(1)
            sock.connect(str(path))
    except PermissionError:
        return f"the Docker engine at {path} refuses this user: add it to the docker group (sudo usermod -aG docker $USER), then sign in again"
    except OSError as error:
        return f"the Docker engine at {path} does not answer ({error.strerror}): start it"
    return ""


def _docker(own: Any) -> dict[str, Any]:
    same = ("privileged", "dind_image", "memory_mb", "processes", "cpus", "free_disk_mb", "images_mb", "trusted_keys")
    return {"docker_url": own.url, **{name: getattr(own, name) for name in same}}


def _host(own: Any, docker_url: str) -> dict[str, Any]:
    from tcbox.workers.host.resources import Limits

    return {"docker_url": docker_url, "d2g": own.d2g, "free_disk_mb": own.free_disk_mb, "memory": Limits(percent=own.most_memory_percent)}


def _settings(shared: Shared, kind: Kind) -> WorkerSettings:
    from tcbox.workers.settings import WorkerSettings

    chosen = shared.settings.workers
    grace = int(chosen.grace_seconds * 1000)
    folder = shared.folder.worker_folder(kind)
    instance = identity.derive(shared.key, "instance id")[:12]
    if kind == "builtin":
        return WorkerSettings(kind=kind, folder=folder, worker_id="builtin", grace_ms=grace, instance=instance, capacity=16)
    own = getattr(chosen, kind)
    extra = _docker(own) if kind == "docker" else _host(own, chosen.docker.url)
    return WorkerSettings(
        kind=kind, folder=folder, worker_id=kind, grace_ms=grace, instance=instance, root_url=shared.root_url,
        task_queue_id=own.queue, capacity=own.capacity, serve=tuple(own.serve), keep_caches=not shared.ephemeral, **extra,
    )  # fmt: skip
