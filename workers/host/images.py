"""Brings images into the Docker engine for the host worker: by their names, or out of artifacts that `docker save` made."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tcbox.workers import downloads, outcomes
from tcbox.workers.host.contents import Contents
from tcbox.workers.host.docker import Docker, DockerError
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

_KEPT = 20
_PATIENCE_S = 3600.0
_ZSTD = b"\x28\xb5\x2f\xfd"
_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")
_GONE = re.compile(r"not found|denied|manifest unknown|unauthorized|invalid reference|no such", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the engine.

    Attributes:
        reference: what `docker run` is given: a name, or an id.
        sha256: of the artifact that it came out of, in hexadecimal; empty when it came from a registry.
    """

    reference: str
    sha256: str = ""


class Images:
    """Pulls and loads, each image once, however many tasks want it.

    Args:
        folder: keeps what was loaded from which artifact.
    """

    def __init__(self, docker: Docker, folder: Path, contents: Contents) -> None:
        self._docker, self._contents = docker, contents
        self._index = folder / "images.json"
        self._locks: dict[str, asyncio.Lock] = {}
        try:
            self._loaded = msgspec.json.decode(self._index.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            self._loaded = {}

    async def ensure(self, image: str | dict[str, str], run: Run, log: TaskLog) -> Image:
        """The image, now in the engine.

        Raises RunEnded: malformed-payload when there is no such image, resource-unavailable when it cannot be reached,
            failed when its artifact cannot be had. Raises DockerError when no engine answers.
        """
        if isinstance(image, str) or image["type"] == "docker-image":
            return await self._named(image if isinstance(image, str) else image["name"], log)
        content = {name: image[key] for name, key in (("taskId", "taskId"), ("namespace", "namespace"), ("artifact", "path")) if key in image}
        async with self._contents.file(content, run, log) as path:
            digest = await downloads.sha256_of(path)
            async with self._locks.setdefault(digest, asyncio.Lock()):
                known = self._loaded.get(digest)
                if known is not None and await self._has(known):
                    log.say(f"[d2g] Using the image {known}, as loaded before")
                else:
                    log.say("[d2g] Loading the image")
                    known = await self._load(path)
                    log.say(f"[d2g] Loaded the image {known}")
                await self._remember(digest, known)
            return Image(known, digest)

    async def id(self, image: Image) -> str:
        """The image's own id, `sha256:…`."""
        return (await self._docker.ask("image", "inspect", "--format", "{{.Id}}", image.reference)).strip()

    async def _named(self, name: str, log: TaskLog) -> Image:
        if _NAME.fullmatch(name) is None:
            like = "debian:12 or registry.example.com/team/image@sha256:…"
            raise outcomes.malformed(f"payload.image: {name!r} is not the name of an image; write it like {like}")
        async with self._locks.setdefault(name, asyncio.Lock()):
            if await self._has(name):
                log.say(f"[d2g] Using the image {name}, which is here")
                return Image(name)
            log.say(f"[d2g] Pulling the image {name}")
            try:
                await self._docker.ask("pull", "--quiet", name, patience=_PATIENCE_S)
            except DockerError as error:
                if error.unreached:
                    raise
                make = outcomes.malformed if _GONE.search(str(error)) else outcomes.unavailable
                raise make(f"The image {name} cannot be pulled: {error}") from error
        return Image(name)

    async def _has(self, name: str) -> bool:
        try:
            await self._docker.ask("image", "inspect", "--format", "{{.Id}}", name)
        except DockerError as error:
            if error.unreached:
                raise
            return False
        return True

    async def _load(self, path: Path) -> str:
        async with _loadable(path) as source:
            try:
                said = await self._docker.ask("load", "--quiet", source=source, patience=_PATIENCE_S)
            except DockerError as error:
                if error.unreached:
                    raise
                raise outcomes.malformed(f"The image of the task cannot be loaded; make its artifact with 'docker save'. ({error})") from error
        found = re.search(r"Loaded image(?: ID)?: (\S+)", said)
        if found is None:
            raise outcomes.malformed(f"The artifact holds no image; make it with 'docker save'. ({said.strip() or 'docker load said nothing'})")
        return await self.id(Image(found[1]))

    async def _remember(self, digest: str, image: str) -> None:
        self._loaded.pop(digest, None)
        self._loaded[digest] = image
        while len(self._loaded) > _KEPT:
            gone = self._loaded.pop(next(iter(self._loaded)))
            if gone not in self._loaded.values():
                with contextlib.suppress(DockerError):  # a container or a person still uses it; the engine keeps it
                    await self._docker.ask("image", "rm", gone)
        part = self._index.with_suffix(".new")
        part.write_bytes(msgspec.json.encode(self._loaded))
        part.rename(self._index)


@contextlib.asynccontextmanager
async def _loadable(path: Path) -> AsyncIterator[Path]:
    """The archive in a form that every engine loads; not all of them know zstd."""
    with path.open("rb") as file:
        packed = file.read(4) == _ZSTD
    if not packed:
        yield path
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tar") as unpacked:
        from tcbox.workers.host import archives

        try:
            await asyncio.to_thread(archives.decompress, path, "zst", Path(unpacked.name))
        except archives.CannotUnpack as error:
            raise outcomes.malformed(f"The image of the task: {error}") from error
        yield Path(unpacked.name)
