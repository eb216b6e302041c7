"""The feature dind: a Docker engine of a task's own, in a privileged container beside the task's.

The engine listens on a socket in a volume of its container, which the task's container has as /var/run/docker.sock; nobody
else reaches it. Its images and containers are in another such volume. Both volumes go with its container.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tcbox.workers import outcomes
from tcbox.workers.docker import limits
from tcbox.workers.docker.containers import Container, removed
from tcbox.workers.docker.engine import Engine, EngineError
from tcbox.workers.docker.images import Image, Images
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

_FOLDER = "/run/tcbox"
_SOCKET = f"{_FOLDER}/docker.sock"
_STATE = "/var/lib/docker"
_LISTENS = b"API listen on"
"""What an engine writes, as long as it writes anything of that kind, once it serves."""
_START_S, _QUIET_S, _LOOK_S = 60.0, 5.0, 0.1
_KEPT = 4_000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Beside:
    """One such engine.

    Args:
        name: of its image, as `workers.docker.dind_image` says.
        labels: of its container.
    """

    def __init__(self, engine: Engine, images: Images, name: str, bounds: limits.Limits, *, labels: Mapping[str, str], log: TaskLog) -> None:
        self._engine, self._images, self._name, self._bounds, self._labels, self._log = engine, images, name, bounds, labels, log
        self._image: Image | None = None
        self._container: Container | None = None
        self._runs: asyncio.Task[None] | None = None
        self._listens = asyncio.Event()
        self._wrote = b""

    async def fetch(self, run: Run) -> None:
        """Get its image.

        Raises RunEnded(internal-error) when there is no such image, resource-unavailable when it cannot be reached.
        """
        try:
            self._image = await self._images.own(self._name, run, self._log)
        except outcomes.RunEnded as error:
            if error.outcome.reason != "malformed-payload":
                raise
            raise outcomes.internal(f"The image of workers.docker.dind_image cannot be had: {error.outcome.message}") from error

    async def create(self, name: str) -> None:
        """Make its container; to be let come to its end once it is called, so that what it makes is known.

        Raises RunEnded(malformed-payload) when the machine's engine takes no privileged containers, EngineError.
        """
        assert self._image is not None
        host = {"Privileged": True, "LogConfig": {"Type": "none"}, "Mounts": [limits.volume(_FOLDER), limits.volume(_STATE)], **self._bounds.told()}
        config = {
            "Image": self._image.id, "Cmd": ["dockerd", f"--host=unix://{_SOCKET}"], "Labels": dict(self._labels),
            "Tty": True, "AttachStdout": True, "AttachStderr": True, "HostConfig": host,
        }  # fmt: skip
        with _privileged():
            self._container = await Container.create(self._engine, name, config)

    async def start(self) -> dict[str, Any]:
        """Start it, wait until it serves, and give what is mounted into the task's container.

        Raises RunEnded: malformed-payload when the machine's engine runs no privileged containers, internal-error when it
            does not come up; EngineError.
        """
        assert self._container is not None
        self._log.say(f"Starting a Docker engine beside the task, of the image {self._name}")
        self._runs = asyncio.create_task(self._run(self._container), name="a Docker engine beside a task")
        await self._served(self._container, self._runs)
        await self._open(self._container)
        mounts = (await self._container.inspect())["Mounts"]
        source = next(each["Source"] for each in mounts if each["Destination"] == _FOLDER)
        return {"Type": "bind", "Source": f"{source}/docker.sock", "Target": "/var/run/docker.sock", "ReadOnly": True}

    async def close(self) -> None:
        """Remove it with all that is in it; the task's container must be gone."""
        runs, self._runs = self._runs, None
        if runs is not None:
            runs.cancel()
            await asyncio.gather(runs, return_exceptions=True)
        if self._container is not None:
            await removed(self._container)
        if self._image is not None:
            await self._images.release(self._image)

    async def _run(self, container: Container) -> None:
        await container.run(self._hear)
        if self._listens.is_set():
            self._log.caution(f"The Docker engine beside the task has ended; it wrote:\n{self._told()}")

    def _hear(self, chunk: bytes) -> None:
        self._wrote = (self._wrote + chunk)[-_KEPT:]
        if _LISTENS in self._wrote:
            self._listens.set()

    def _told(self) -> str:
        return _COLOUR.sub("", self._wrote.decode(errors="replace")).replace("\r", "").strip()

    async def _served(self, container: Container, runs: asyncio.Task[None]) -> None:
        """Wait until it serves: it says so or, if it is told to be quiet, has a socket for some seconds and goes on."""
        began, seen = time.monotonic(), None
        while not self._listens.is_set():
            now = time.monotonic()
            if runs.done() or now - began > _START_S:
                if runs.done():
                    with _privileged():
                        await runs
                raise outcomes.internal(f"The Docker engine beside the task does not come up; it wrote:\n{self._told()}")
            if seen is None and await container.has(_SOCKET):
                seen = now
            if seen is not None and now - seen > _QUIET_S:
                self._listens.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._listens.wait(), _LOOK_S)

    async def _open(self, container: Container) -> None:
        """Let every user of the task's container use the socket; no other container has it."""
        try:
            code = await container.do(["chmod", "0666", _SOCKET])
        except EngineError as error:
            if not error.told:
                raise
            code = -1
        if code:
            self._log.caution(f"Only root can use the Docker engine beside the task: the image {self._name} has no chmod")


@contextlib.contextmanager
def _privileged() -> Iterator[None]:
    """Tells what it means when the machine's engine refuses such a container, and not for want of room."""
    try:
        yield
    except EngineError as error:
        if not error.told or error.full:
            raise
        raise outcomes.malformed(
            "payload.features.dind: a Docker engine beside the task needs a privileged container, which the Docker engine of this machine does not run "
            f"({error}): leave it out, or send the task to a worker whose engine does"
        ) from error
