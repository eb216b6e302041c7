"""Brings the image of a task into the engine: from a registry, or from an artifact that `docker save` made."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tcbox.workers import downloads, outcomes, scoped
from tcbox.workers.docker import references
from tcbox.workers.docker.engine import Engine, EngineError
from tcbox.workers.docker.loading import Loader
from tcbox.workers.docker.origins import Origins
from tcbox.workers.docker.shelf import Shelf
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

if TYPE_CHECKING:
    import aiohttp

_GONE = re.compile(r"not found|denied|manifest unknown|unauthorized|authentication required|no basic auth credentials|invalid reference")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that a task has, until it is let go.

    Attributes:
        id: by which the engine knows it.
        digest: SHA-256 of the artifact that it came from, in hexadecimal; None when it came from a registry.
    """

    id: str
    digest: str | None = None


class Images:
    """Knows which artifacts were loaded as which images; each is fetched and loaded once, however many tasks want it.

    Args:
        folder: keeps the downloads under way.
    """

    def __init__(self, engine: Engine, folder: Path, session: aiohttp.ClientSession, shelf: Shelf, origins: Origins) -> None:
        self._engine, self._folder, self._session, self._shelf, self._origins = engine, folder, session, shelf, origins
        self._locks: dict[str, asyncio.Lock] = {}
        self._loader = Loader(engine)
        for part in folder.glob("*.part"):
            part.unlink()

    async def ensure(self, image: str | dict[str, str], run: Run, log: TaskLog, *, trust: bool = False) -> Image:
        """The image, now in the engine, and kept there until `release`.

        Args:
            trust: the image's own certificate is looked at, too.

        Raises RunEnded: malformed-payload when there is no such image or the task may not have it, resource-unavailable
            when it cannot be reached.
        """
        if isinstance(image, str):
            return await self._named(image, run, log)
        if image["type"] == "docker-image":
            return await self._named(image["name"], run, log)
        try:
            return await self._artifact(image, run, log, trust)
        except downloads.DownloadError as error:
            raise (outcomes.malformed if error.permanent else outcomes.unavailable)(f"The image of the task cannot be had. {error}") from error
        except EngineError as error:
            if not error.told:
                raise
            end = outcomes.unavailable if error.full else outcomes.malformed
            raise end(f"The engine cannot load the image of the task: {error}") from error

    async def own(self, name: str, run: Run, log: TaskLog) -> Image:
        """An image that the worker itself needs for a task, which the task needs no scope for; otherwise as `ensure`."""
        return await self._named(name, run, log, guarded=False)

    async def release(self, image: Image) -> None:
        """Let an image go; the container that had it must be gone."""
        self._shelf.release(image.id)
        with contextlib.suppress(EngineError):
            await self._shelf.tidy()

    # -- by name

    async def _named(self, name: str, run: Run, log: TaskLog, *, guarded: bool = True) -> Image:
        if fault := references.fault(name, ids=not guarded):
            raise outcomes.malformed(fault)
        repository, tag = references.split(name)
        login = await asyncio.to_thread(_registry_auth, repository)
        if login and guarded:
            guards = tuple(dict.fromkeys(f"docker-worker:image:{each}" for each in (f"{repository}:{tag}", name)))
            await scoped.require(run, [guards], what=f"The image {name} is had with this machine's own credentials, which")
        hold = self._shelf.hold_named if guarded else self._shelf.hold  # who sets up the worker may give an id
        async with self._locks.setdefault(name, asyncio.Lock()):
            held = await hold(name)
            if held is not None:
                log.say(f"Using the image {name}, {held}")
                return Image(held)
            if guarded and references.short(name):
                raise outcomes.malformed(references.NO_ID.format(name=name))
            log.say(f"Pulling the image {name}")
            await self._pull(name, repository, tag, login, log)
            held = await hold(name)
            if held is None:
                raise outcomes.unavailable(f"The image {name} was pulled, and is gone again")
            self._shelf.bring(held, name)
            return Image(held)

    async def _pull(self, name: str, repository: str, tag: str, login: dict[str, str], log: TaskLog) -> None:
        try:
            async with self._engine.stream("POST", "/images/create", query={"fromImage": repository, "tag": tag}, headers=login) as reply:
                async for line in reply.content:
                    _tell(msgspec.json.decode(line), log)
        except EngineError as error:
            if not error.told:
                raise
            gone = error.status in (400, 401, 403, 404) or _GONE.search(str(error))
            message = f"The image {name} cannot be pulled: {error}"
            raise (outcomes.malformed if gone and not error.full else outcomes.unavailable)(message) from error

    # -- from artifacts

    async def _artifact(self, image: dict[str, str], run: Run, log: TaskLog, trust: bool) -> Image:
        task_id = image.get("taskId") or await downloads.indexed_task(run, image["namespace"])
        key = f"{task_id}:{image['path']}"
        book = self._shelf.book
        async with self._locks.setdefault(key, asyncio.Lock()):
            held = await self._shelf.hold(book.loaded[key]) if key in book.loaded else None
            try:
                if held is not None:
                    await downloads.allowed(run, task_id, image["path"])
                    log.say(f"Using the image of task {task_id}, {image['path']}, as loaded before")
                else:
                    held = await self._fetch(task_id, image["path"], key, run, log)
                if trust:
                    await self._origins.check(task_id, image["path"], book.digests[key], run, log)
            except BaseException:
                if held is not None:
                    self._shelf.release(held)
                raise
            return Image(held, book.digests.get(key))

    async def _fetch(self, task_id: str, path: str, key: str, run: Run, log: TaskLog) -> str:
        part = self._folder / f"{run.name}.part"
        book = self._shelf.book
        log.say(f"Fetching the image of task {task_id}, {path}")
        try:
            digest = await downloads.artifact(run, self._session, task_id, path, part, kept=True)
            held = await self._shelf.hold(book.loaded[digest]) if digest in book.loaded else None
            if held is None:
                log.say("Loading the image")
                known = await self._loader.load(part)
                log.say(f"Loaded an image of {part.stat().st_size} bytes, SHA-256 {digest}")
                held = await self._shelf.hold(known)
                if held is None:
                    raise EngineError("the image was loaded, and is gone again", told=True)
                self._shelf.bring(held, None)
            book.loaded[digest] = book.loaded[key] = held
            book.digests[key] = digest
            self._shelf.save()
            return held
        finally:
            part.unlink(missing_ok=True)


def _registry_auth(repository: str) -> dict[str, str]:
    """The header with the user's own credentials for the registry, as `docker login` left them; blocking."""
    try:
        from docker import auth
    except ImportError:
        return {}
    registry, _ = auth.resolve_repository_name(repository)
    found = auth.resolve_authconfig(auth.load_config(), registry)
    return {"X-Registry-Auth": auth.encode_header(found).decode()} if found else {}


def _tell(line: dict[str, Any], log: TaskLog) -> None:
    if "error" in line:
        raise EngineError(line["error"], told=True)
    if "status" in line and not line.get("progressDetail"):
        log.say(f"{line['id']}: {line['status']}" if line.get("id") else line["status"])
