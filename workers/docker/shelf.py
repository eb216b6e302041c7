"""Remembers which images the worker brought into the engine, and takes out those used longest ago when they take too much room.

Images that were there before, or that a person has given a name since, are never touched; nor is one that a task uses.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import log
from tcbox.workers.docker import references
from tcbox.workers.docker.engine import Engine, EngineError

_LOG = log.get("workers")


class Book(msgspec.Struct):
    """What is remembered from one start to the next.

    Attributes:
        loaded: for each artifact, as `<taskId>:<path>` or by its digest, the id of the image.
        digests: for each artifact by `<taskId>:<path>` the SHA-256 of its content.
        used: when each image that the worker brought in was used last, in ms; by id.
        pulled: for each such image that was pulled, the name.
    """

    loaded: dict[str, str] = {}
    digests: dict[str, str] = {}
    used: dict[str, int] = {}
    pulled: dict[str, str] = {}


class Shelf:
    """The engine's images, as far as the worker brought them in.

    Args:
        most: what they may take together, in bytes.
    """

    def __init__(self, engine: Engine, folder: Path, clock: clocks.Clock, most: int) -> None:
        self._engine, self._clock, self._most = engine, clock, most
        self._path = folder / "images.json"
        self._held: Counter[str] = Counter()
        self._gate = asyncio.Lock()
        self.book = _read(self._path)

    async def hold(self, name: str) -> str | None:
        """The id of an image, which stays until it is let go; None when the engine has none of that name or id.

        Raises EngineError.
        """
        async with self._gate:
            return self._holding(await self._look(name))

    async def hold_named(self, name: str) -> str | None:
        """As `hold`, but an id, or the beginning of one, is no name.

        Raises EngineError.
        """
        wanted = references.full(name)
        async with self._gate:
            details = await self._look(wanted)
            names = [*(details.get("RepoTags") or ()), *(details.get("RepoDigests") or ())] if details is not None else ()
            return self._holding(details) if wanted in map(references.full, names) else None

    def _holding(self, details: dict[str, Any] | None) -> str | None:
        if details is None:
            return None
        identity: str = details["Id"]
        self._held[identity] += 1
        if identity in self.book.used:
            self.book.used[identity] = self._clock.now()
        return identity

    def release(self, identity: str) -> None:
        """Let an image go."""
        self._held[identity] -= 1
        self._held += Counter()  # drops what is at zero

    def bring(self, identity: str, name: str | None) -> None:
        """Remember that an image was brought in; `name` when it was pulled by one."""
        self.book.used[identity] = self._clock.now()
        if name is not None:
            self.book.pulled[identity] = name
        self.save()

    def save(self) -> None:
        """Write down what is known."""
        part = self._path.with_suffix(".new")
        part.write_bytes(msgspec.json.encode(self.book))
        part.rename(self._path)

    async def tidy(self, *, all_unused: bool = False) -> None:
        """Take images out until the rest fits, those used longest ago first; or all that no task uses."""
        async with self._gate:
            sizes = {identity: details["Size"] for identity in list(self.book.used) if (details := await self._mine(identity)) is not None}
            total = sum(sizes.values())
            for identity in sorted(sizes, key=self.book.used.__getitem__):
                if not all_unused and total <= self._most:
                    break
                if not self._held[identity] and await self._take_out(identity):
                    total -= sizes[identity]
            self.save()

    async def _look(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._engine.call("GET", f"/images/{name}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        return found

    async def _mine(self, identity: str) -> dict[str, Any] | None:
        """An image that may be taken out; one that has another name by now is a person's, and stays."""
        details = await self._look(identity)
        name = self.book.pulled.get(identity)
        if details is None:
            self._forget(identity)
        elif any(tag not in (name, f"{name}:latest") for tag in details.get("RepoTags") or ()):
            self.book.used.pop(identity)
            self.book.pulled.pop(identity, None)
            return None
        return details

    async def _take_out(self, identity: str) -> bool:
        try:
            await self._engine.call("DELETE", f"/images/{self.book.pulled.get(identity, identity)}")
        except EngineError as error:
            _LOG.debug("an image stays", extra={"image": identity, "error": str(error)})
            return False  # a container uses it
        _LOG.info("took an image out of Docker that was not used of late", extra={"image": identity})
        self._forget(identity)
        return True

    def _forget(self, identity: str) -> None:
        self.book.used.pop(identity, None)
        self.book.pulled.pop(identity, None)
        for key in [key for key, value in self.book.loaded.items() if value == identity]:
            del self.book.loaded[key]
            self.book.digests.pop(key, None)


def _read(path: Path) -> Book:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Book)
    except (OSError, msgspec.DecodeError):
        return Book()
