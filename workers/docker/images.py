"""Brings the image of a task into the engine: from a registry, or from an artifact that `docker save` made."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tcbox.workers import downloads, outcomes, scoped
from tcbox.workers.docker.engine import Engine, EngineError
from tcbox.workers.docker.origins import Origins
from tcbox.workers.docker.shelf import Shelf
from tcbox.workers.docker.untag import untagged
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

if TYPE_CHECKING:
    import aiohttp

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")
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
        self._loading = asyncio.Lock()
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
        if _NAME.fullmatch(name) is None:
            like = "debian:12 or registry.example.com/team/image@sha256:…"
            raise outcomes.malformed(f"payload.image: {name!r} is not the name of an image; write it like {like}")
        repository, tag = split(name)
        login = await asyncio.to_thread(_registry_auth, repository)
        if login and guarded:
            guards = tuple(dict.fromkeys(f"docker-worker:image:{each}" for each in (f"{repository}:{tag}", name)))
            await scoped.require(run, [guards], what=f"The image {name} is had with this machine's own credentials, which")
        async with self._locks.setdefault(name, asyncio.Lock()):
            held = await self._shelf.hold(name)
            if held is not None:
                log.say(f"Using the image {name}, {held}")
                return Image(held)
            log.say(f"Pulling the image {name}")
            await self._pull(name, repository, tag, login, log)
            held = await self._shelf.hold(name)
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
            digest = await downloads.artifact(run, self._session, task_id, path, part)
            held = await self._shelf.hold(book.loaded[digest]) if digest in book.loaded else None
            if held is None:
                log.say(f"Loading an image of {part.stat().st_size} bytes, SHA-256 {digest}")
                async with self._loading:
                    known = await self._load(part)
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

    async def _load(self, part: Path) -> str:
        said = ""
        archive = _Archive(part)
        try:
            async with self._engine.stream("POST", "/images/load", query={"quiet": "1"}, data=archive.bits()) as reply:
                async for line in reply.content:
                    told = msgspec.json.decode(line)
                    if "error" in told:
                        raise EngineError(told["error"], told=True)
                    said += told.get("stream", "")
        except EngineError as error:
            if archive.fault is None:
                raise
            raise EngineError(f"the artifact holds no image ({archive.fault}); make it with 'docker save'", told=True) from error
        found = re.search(r"Loaded image(?: ID)?: (\S+)", said)
        if found is None:
            raise EngineError(f"the artifact holds no image ({said.strip() or 'the engine said nothing'}); make it with 'docker save'", told=True)
        if "Loaded image ID" not in said:
            raise EngineError(f"the image has taken a name in the engine, {found[1]}, although it should have lost it: remove that name by hand", told=True)
        return found[1]


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


class _Archive:
    """An archive on its way into the engine, unpacked and without names.

    Attributes:
        fault: what was wrong with it; the client tells only that the request broke off.
    """

    def __init__(self, part: Path) -> None:
        self._part = part
        self.fault: Exception | None = None

    async def bits(self) -> AsyncIterator[bytes]:
        """Its bytes."""
        with self._part.open("rb") as raw:
            try:
                found = untagged(_unpacked(raw))
                while chunk := await asyncio.to_thread(_some, found):
                    yield chunk
            except Exception as error:
                self.fault = error
                raise


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    head = raw.read(4)
    raw.seek(0)
    if head == _ZSTD:
        import zstandard

        packed: IO[bytes] = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(raw, read_across_frames=True)
        return packed
    if head[:2] == _GZIP:
        import gzip

        unpacked: Any = gzip.GzipFile(fileobj=raw)
        return unpacked  # type: ignore[no-any-return]
    return raw


def _some(bits: Iterator[bytes]) -> bytes:
    """The next mebibyte or so; empty at the end."""
    gathered, size = [], 0
    for each in bits:
        gathered.append(each)
        size += len(each)
        if size >= 1024 * 1024:
            break
    return b"".join(gathered)
