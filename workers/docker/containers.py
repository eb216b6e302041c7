"""One container: made, started, listened to, waited for, read from, removed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from tcbox import log
from tcbox.workers.docker.engine import Engine, EngineError

_LOG = log.get("workers")
_CHUNK = 256 * 1024
_SECOND = 1_000_000_000
_LATE, _BRIEFLY = _SECOND, _SECOND // 5


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended.

    Attributes:
        code: exit code of its first process.
        starved: the machine ended processes of it, since it had used up its memory.
        killed: it was ended from outside, and not by this worker.
    """

    code: int
    starved: bool
    killed: bool


class Container:
    """A container of this worker."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self.id = engine, name

    @classmethod
    async def create(cls, engine: Engine, name: str, config: dict[str, Any]) -> Container:
        """Make a container, not yet started.

        Raises EngineError.
        """
        reply = await engine.call("POST", "/containers/create", query={"name": name}, body=config)
        return cls(engine, reply["Id"])

    async def run(self, write: Callable[[bytes], None], started: Callable[[], None] = lambda: None) -> Exit:
        """Start it, hand on all that it writes, and tell how it ended.

        Args:
            started: is called once it runs.

        Raises EngineError; with `StartError` when its command cannot be started.
        """
        query = {"stream": "1", "stdout": "1", "stderr": "1"}
        async with self._engine.stream("POST", f"/containers/{self.id}/attach", query=query) as output:
            try:
                await self._engine.call("POST", f"/containers/{self.id}/start")
            except EngineError as error:
                raise StartError(str(error), error.status) from error
            started()
            with contextlib.suppress(EngineError):
                async for chunk in output.content.iter_any():
                    write(chunk)
        reply = await self._engine.call("POST", f"/containers/{self.id}/wait")
        state = (await self.inspect())["State"]
        code = int(reply["StatusCode"])
        return Exit(code, bool(state.get("OOMKilled")), await self._was_killed(state, _LATE if code else _BRIEFLY))

    async def inspect(self) -> dict[str, Any]:
        """All that the engine knows of it.

        Raises EngineError.
        """
        found: dict[str, Any] = await self._engine.call("GET", f"/containers/{self.id}/json")
        return found

    async def has(self, path: str) -> bool:
        """Whether there is something at a path.

        Raises EngineError.
        """
        try:
            async with self._engine.stream("HEAD", f"/containers/{self.id}/archive", query={"path": path}):
                return True
        except EngineError as error:
            if error.status != 404:
                raise
            return False

    async def do(self, argv: list[str]) -> int:
        """Run a command in it, while it runs, and give its exit code.

        Raises EngineError, also when there is no such command.
        """
        made = await self._engine.call("POST", f"/containers/{self.id}/exec", body={"Cmd": argv, "User": "0:0", "AttachStdout": True, "AttachStderr": True})
        async with self._engine.stream("POST", f"/exec/{made['Id']}/start", body={"Detach": False, "Tty": False}) as output:
            await output.read()
        return int((await self._engine.call("GET", f"/exec/{made['Id']}/json"))["ExitCode"])

    async def _was_killed(self, state: dict[str, Any], later: int) -> bool:
        """Whether it was sent a signal through the engine, by a person or by the engine's own end.

        Args:
            later: for how long after its end the engine may still tell so, in nanoseconds: it does so after the signal has done its work.
        """
        moments = sorted((_moment(state["StartedAt"]), _moment(state["FinishedAt"])))  # the end of a short one can be noted as before its start
        filters = msgspec.json.encode({"container": [self.id], "event": ["kill"]}).decode()
        query = {"since": _told(moments[0]), "until": _told(moments[1] + later), "filters": filters}
        async with self._engine.stream("GET", "/events", query=query) as reply:
            return b"kill" in await reply.read()

    async def put(self, path: str, tar: bytes) -> None:
        """Write what is in a tar below a path.

        Raises EngineError.
        """

        async def body() -> AsyncIterator[bytes]:
            yield tar

        async with self._engine.stream("PUT", f"/containers/{self.id}/archive", query={"path": path}, data=body()):
            pass

    async def kill(self) -> None:
        """End all its processes; nothing when it does not run."""
        with contextlib.suppress(EngineError):
            await self._engine.call("POST", f"/containers/{self.id}/kill")

    async def remove(self) -> None:
        """End and remove it, with its unnamed volumes; nothing when it is gone."""
        try:
            await self._engine.call("DELETE", f"/containers/{self.id}", query={"force": "1", "v": "1"})
        except EngineError as error:
            if error.status not in (404, 409):
                raise

    async def copy_out(self, path: str, target: Path) -> None:
        """Write a tar of a file or folder of the container into a file; a link is followed.

        Raises EngineError; status 404 when there is nothing at the path.
        """
        for _ in range(8):
            async with self._engine.stream("GET", f"/containers/{self.id}/archive", query={"path": path}) as reply:
                link = _stat(reply.headers.get("X-Docker-Container-Path-Stat", "")).get("linkTarget")
                if not link or link == path:
                    with target.open("wb") as file:
                        await _save(reply.content, file)
                    return
                path = link
        raise EngineError(f"{path} is a link that leads round in a circle", 404)


async def removed(container: Container) -> None:
    """Remove a container, or leave it to the watchdog or the next start while no engine answers.

    Raises EngineError when the engine refuses.
    """
    try:
        await container.remove()
    except EngineError as error:
        if error.told:
            raise
        _LOG.warning("a container stays until the Docker engine answers again", extra={"container": container.id, "error": str(error)})


class StartError(EngineError):
    """The container's command cannot be started."""


def _moment(time: str) -> int:
    """A time of the engine's, such as 2026-01-31T12:00:00.123456789Z, in nanoseconds since 1970."""
    from datetime import datetime

    whole, _, fraction = time.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * _SECOND + int(fraction.ljust(9, "0")[:9])


def _told(moment: int) -> str:
    return f"{moment // _SECOND}.{moment % _SECOND:09}"


def _stat(header: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(base64.b64decode(header))
    except (ValueError, msgspec.DecodeError):
        return {}
    return found


async def _save(content: Any, file: IO[bytes]) -> None:
    async for chunk in content.iter_chunked(_CHUNK):
        if len(chunk) >= _CHUNK:
            await asyncio.to_thread(file.write, chunk)
        else:
            file.write(chunk)
