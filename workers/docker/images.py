"""Brings the image of a task into the engine: from a registry, or from an artifact that `docker save` made."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tcbox.workers import downloads, outcomes
from tcbox.workers.docker.engine import Engine, EngineError
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

if TYPE_CHECKING:
    import aiohttp

_CHUNK = 1024 * 1024
_KEPT = 20
_ZSTD = b"\x28\xb5\x2f\xfd"
_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")


class Images:
    """Knows which artifacts were loaded as which images; each is fetched and loaded once, however many tasks want it.

    Args:
        folder: keeps what it knows, and the downloads under way.
    """

    def __init__(self, engine: Engine, folder: Path, session: aiohttp.ClientSession) -> None:
        self._engine, self._folder, self._session = engine, folder, session
        self._locks: dict[str, asyncio.Lock] = {}
        self._loading = asyncio.Lock()
        self._index = folder / "loaded.json"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in folder.glob("*.part"):
            part.unlink()
        self._loaded = _read(self._index)

    async def ensure(self, image: str | dict[str, str], run: Run, log: TaskLog) -> str:
        """The id or name of the image, now in the engine.

        Raises RunEnded: malformed-payload when there is no such image, resource-unavailable when it cannot be reached.
        """
        if isinstance(image, str):
            return await self._named(image, log)
        if image["type"] == "docker-image":
            return await self._named(image["name"], log)
        try:
            return await self._artifact(image, run, log)
        except downloads.DownloadError as error:
            raise (outcomes.malformed if error.permanent else outcomes.unavailable)(f"The image of the task cannot be had. {error}") from error
        except EngineError as error:
            if not error.told:
                raise
            raise outcomes.malformed(f"The engine cannot load the image of the task: {error}") from error

    # -- by name

    async def _named(self, name: str, log: TaskLog) -> str:
        if _NAME.fullmatch(name) is None:
            like = "debian:12 or registry.example.com/team/image@sha256:…"
            raise outcomes.malformed(f"payload.image: {name!r} is not the name of an image; write it like {like}")
        async with self._locks.setdefault(name, asyncio.Lock()):
            if await self._has(name):
                log.say(f"Using the image {name}")
            else:
                log.say(f"Pulling the image {name}")
                await self._pull(name, log)
        return name

    async def _has(self, name: str) -> bool:
        try:
            await self._engine.call("GET", f"/images/{name}/json")
        except EngineError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def _pull(self, name: str, log: TaskLog) -> None:
        repository, tag = split(name)
        headers = await asyncio.to_thread(_registry_auth, repository)
        try:
            async with self._engine.stream("POST", "/images/create", query={"fromImage": repository, "tag": tag}, headers=headers) as reply:
                async for line in reply.content:
                    _tell(msgspec.json.decode(line), log)
        except EngineError as error:
            if not error.told:
                raise
            gone = error.status in (400, 401, 403, 404) or re.search(r"not found|denied|manifest unknown|unauthorized|invalid reference", str(error))
            message = f"The image {name} cannot be pulled: {error}"
            raise (outcomes.malformed if gone else outcomes.unavailable)(message) from error

    # -- from artifacts

    async def _artifact(self, image: dict[str, str], run: Run, log: TaskLog) -> str:
        task_id = image.get("taskId") or await downloads.indexed_task(run, image["namespace"])
        key = f"{task_id}:{image['path']}"
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self._loaded.get(key)
            if known is not None and await self._has(known):
                await downloads.allowed(run, task_id, image["path"])
                log.say(f"Using the image of task {task_id}, {image['path']}, as loaded before")
            else:
                known = await self._fetch(task_id, image["path"], run, log)
            await self._remember(key, known)
        return known

    async def _fetch(self, task_id: str, path: str, run: Run, log: TaskLog) -> str:
        part = self._folder / f"{run.name}.part"
        log.say(f"Fetching the image of task {task_id}, {path}")
        try:
            digest = await downloads.artifact(run, self._session, task_id, path, part)
            known = self._loaded.get(digest)
            if known is None or not await self._has(known):
                log.say(f"Loading an image of {part.stat().st_size} bytes, SHA-256 {digest}")
                async with self._loading:
                    known = await self._load(part)
                await self._remember(digest, known)
            return known
        finally:
            part.unlink(missing_ok=True)

    async def _load(self, part: Path) -> str:
        said = ""
        async with self._engine.stream("POST", "/images/load", query={"quiet": "1"}, data=_tar(part)) as reply:
            async for line in reply.content:
                told = msgspec.json.decode(line)
                if "error" in told:
                    raise EngineError(told["error"], told=True)
                said += told.get("stream", "")
        found = re.search(r"Loaded image(?: ID)?: (\S+)", said)
        if found is None:
            raise EngineError(f"the artifact holds no image ({said.strip() or 'the engine said nothing'}); make it with 'docker save'", told=True)
        details = await self._engine.call("GET", f"/images/{found[1]}/json")
        identity: str = details["Id"]
        return identity

    async def _remember(self, key: str, image: str) -> None:
        self._loaded.pop(key, None)
        self._loaded[key] = image
        while len(set(self._loaded.values())) > _KEPT:
            await self._forget(next(iter(self._loaded.values())))
        part = self._index.with_suffix(".new")
        part.write_bytes(msgspec.json.encode(self._loaded))
        part.rename(self._index)

    async def _forget(self, image: str) -> None:
        self._loaded = {key: value for key, value in self._loaded.items() if value != image}
        try:
            await self._engine.call("DELETE", f"/images/{image}")
        except EngineError:
            return  # a container or a person still uses it; the engine keeps it


def split(name: str) -> tuple[str, str]:
    """An image's name as repository and tag or digest; `latest` when it has neither."""
    repository, at, digest = name.partition("@")
    if at:
        return repository, digest
    head, slash, tail = name.rpartition("/")
    tail, _, tag = tail.partition(":")
    return head + slash + tail, tag or "latest"


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


def _read(index: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(index.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}


async def _tar(part: Path) -> AsyncIterator[bytes]:
    """The file's bytes; those of a zstd file unpacked, since not every engine can do that itself."""
    with part.open("rb") as raw:
        packed = raw.read(4) == _ZSTD
        raw.seek(0)
        source: IO[bytes] = raw
        if packed:
            import zstandard

            source = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(raw, read_across_frames=True)
        while chunk := await asyncio.to_thread(source.read, _CHUNK):
            yield chunk
