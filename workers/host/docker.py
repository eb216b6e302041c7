"""Docker beside the host worker, by its command line: for payloads that name an image, and for proxies on its networks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import time
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

from tcbox import errors, log
from tcbox.workers import bridges, outcomes
from tcbox.workers.helpers import Watchdog

_LOG = log.get("workers")
LABEL = "tcbox.host"
_LOOK_S = 10.0
_PATIENCE_S = 120.0
_RETURN_S, _AGAIN_S = 60.0, 2.0
_UNREACHED = re.compile(r"cannot connect to the docker daemon|error during connect|unexpected EOF|took longer than", re.IGNORECASE)


class DockerError(errors.TcboxError):
    """What `docker` said when it could not do something."""

    @property
    def unreached(self) -> bool:
        """Whether it says that no engine answers."""
        return _UNREACHED.search(str(self)) is not None


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge of one task.

    Attributes:
        gateway: this machine's address on it.
        subnet: the addresses of what is on it, such as 172.18.0.0/16.
    """

    name: str
    gateway: str
    subnet: str


class Docker:
    """A Docker engine, and what of this worker is in it.

    Args:
        url: where the engine listens.
        mark: a file that is there while something of this worker may be in the engine.
        instance: containers and networks bear this name; no others are removed.
        wanted: whether it is to be used at all.

    Attributes:
        labels: what containers and networks must bear.
    """

    def __init__(self, url: str, instance: str, mark: Path, *, wanted: bool) -> None:
        self.url, self._instance, self._mark, self._wanted = url, instance, mark, wanted
        self._watchdog = Watchdog(url)
        self.labels = {LABEL: instance, **self._watchdog.labels}
        self._looked = -_LOOK_S
        self._missing = ""
        self._answered = False
        self._cleared = False
        self._clearing = asyncio.Lock()

    def environment(self) -> dict[str, str]:
        """What the command line needs to find the engine, and the user's sign-ins at registries."""
        kept = ("PATH", "HOME", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")
        return {**{name: os.environ[name] for name in kept if name in os.environ}, "DOCKER_HOST": self.url}

    async def missing(self) -> str:
        """Why no containers can be run, and what to do about it; empty when they can.

        An engine that has answered before, and does not now, is waited for.

        Raises RunEnded(worker-shutdown) when it does not come back.
        """
        if not self._wanted:
            return "This worker makes none: send the task to a queue that a docker worker serves, or set workers.host.d2g."
        until = time.monotonic() + _RETURN_S
        while time.monotonic() - self._looked >= _LOOK_S or (self._missing and self._answered):
            self._missing, self._looked = await self._look(), time.monotonic()
            if not self._missing or not self._answered:
                break
            if time.monotonic() > until:
                raise unanswered(DockerError(self._missing))
            await asyncio.sleep(_AGAIN_S)
        self._answered = self._answered or not self._missing
        return self._missing

    async def _look(self) -> str:
        if shutil.which("docker") is None:
            return "This machine has no docker command: install it, or send the task to a queue that a docker worker serves."
        try:
            await self.ask("version", "--format", "{{.Server.Version}}", patience=10)
            await self._clear()
        except DockerError as error:
            return f"No Docker engine answers at {self.url}: start one, or send the task to a queue that a docker worker serves. ({error})"
        return ""

    async def recover(self) -> None:
        """Remove what a worker that was killed has left, if there may be something."""
        if self._wanted and self._mark.exists():
            reason = await self._look()
            if reason:
                _LOG.info("what an earlier worker left in Docker is not removed yet", extra={"why": reason})

    async def _clear(self) -> None:
        """Remove what an earlier worker has left, once; nothing of this one's is there yet."""
        async with self._clearing:
            if self._cleared:
                return
            mine = f"label={LABEL}={self._instance}"
            containers = (await self.ask("ps", "-aq", "--filter", mine)).split()
            networks = (await self.ask("network", "ls", "-q", "--filter", mine)).split()
            for container in containers:
                await self.remove(container)
            for network in networks:
                await self.remove_network(network)
            self._cleared = True
            if containers or networks:
                _LOG.info("removed what an earlier worker left in Docker", extra={"containers": len(containers), "networks": len(networks)})

    async def ask(self, *arguments: str, patience: float = _PATIENCE_S, source: Path | None = None) -> str:
        """What `docker` answers.

        Args:
            patience: seconds that it has.
            source: a file that becomes its standard input.

        Raises DockerError.
        """
        file = source.open("rb") if source is not None else None
        try:
            process = await asyncio.create_subprocess_exec(
                "docker", *arguments, stdin=file or DEVNULL, stdout=PIPE, stderr=PIPE, env=self.environment(), start_new_session=True
            )
            try:
                async with asyncio.timeout(patience):
                    out, err = await process.communicate()
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                if isinstance(error, TimeoutError):
                    raise DockerError(f"docker {arguments[0]} took longer than {patience:.0f} seconds") from error
                raise
        except OSError as error:
            raise DockerError(f"docker cannot be run: {error.strerror or error}") from error
        finally:
            if file is not None:
                file.close()
        if process.returncode:
            raise DockerError(err.decode(errors="replace").strip()[-2000:] or f"docker {arguments[0]} ended with exit code {process.returncode}")
        return out.decode(errors="replace")

    def guard(self) -> None:
        """Have what bears the labels removed also when this worker is killed."""
        if not self._watchdog.alive:
            self._mark.touch()
            self._watchdog.start()

    def close(self) -> None:
        """Let the helper go; may be called twice."""
        if self._watchdog.close():
            self._mark.unlink(missing_ok=True)

    async def network(self, name: str) -> Network:
        """Make a bridge.

        Raises DockerError.
        """
        self.guard()
        labels = [f"--label={key}={value}" for key, value in self.labels.items()]

        async def make(addresses: dict[str, str]) -> str:
            return await self.ask("network", "create", *labels, *(f"--{key.lower()}={value}" for key, value in addresses.items()), name)

        await bridges.made(make)
        found = bridges.ends(json.loads(await self.ask("network", "inspect", name, "--format", "{{json .IPAM.Config}}")) or ())
        if found is None:
            await self.remove_network(name)
            raise DockerError(bridges.NO_GATEWAY)
        return Network(name, *found)

    async def remove_network(self, name: str) -> None:
        """Remove a bridge; nothing when it is gone."""
        with contextlib.suppress(DockerError):
            await self.ask("network", "rm", name)

    async def remove(self, container: str) -> None:
        """End and remove a container with its unnamed volumes; nothing when it is gone."""
        with contextlib.suppress(DockerError):
            await self.ask("rm", "--force", "--volumes", container)


def unanswered(error: DockerError) -> outcomes.RunEnded:
    """How a run ends that Docker failed: another worker, or this one once the engine is back, can run the task."""
    return outcomes.RunEnded(outcomes.Outcome("exception", "worker-shutdown", f"Docker cannot do what the task needs: {error}"))
