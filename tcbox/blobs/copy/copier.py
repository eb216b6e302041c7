"""The copying itself: blob by blob, so many at once, each read back after it was written."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tcbox import clock as clocks
from tcbox import errors
from tcbox.blobs.interface import Blobs, HashMismatch, Interrupted, NoSuchBlob, Stat

T = TypeVar("T")

_TRIES = 4
"""How often a blob is read whose reading breaks off."""
_PAUSE_MS = clocks.SECOND
"""Before the second time; twice as long before each further one."""
_NAMED = 100
"""Keys of each kind that are remembered; of the rest the number alone."""


@dataclass(slots=True)
class Some:
    """Blobs of a kind: how many, their bytes, and the first of them by key, with what there is to say."""

    count: int = 0
    size: int = 0
    named: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, size: int = 0, words: str = "") -> None:
        """Count one more."""
        self.count += 1
        self.size += size
        if len(self.named) < _NAMED:
            self.named[key] = words


@dataclass(slots=True)
class Copied:
    """What has been copied, or compared; grows as it goes on.

    Attributes:
        seen: those of the source.
        written: those that were written, each read back since.
        missing: those that the target has not; `different` those that it has otherwise. Both only when nothing is written.
        extra: those that the target has and the source has not.
        removed: of these, what was removed.
        failed: those that could not be copied, with the reason.
    """

    seen: Some = field(default_factory=Some)
    written: Some = field(default_factory=Some)
    missing: Some = field(default_factory=Some)
    different: Some = field(default_factory=Some)
    extra: Some = field(default_factory=Some)
    removed: Some = field(default_factory=Some)
    failed: Some = field(default_factory=Some)

    @property
    def same(self) -> bool:
        """Whether the target holds all that the source does, alike."""
        return not (self.missing.count or self.different.count or self.failed.count)


class Copier:
    """Makes one place hold what another does; neither is started or closed by it.

    Args:
        at_once: how many blobs are worked on at a time; each has three parts of an upload in memory at most.
        tell: is told after each blob how far it has come.
    """

    def __init__(self, source: Blobs, target: Blobs, *, at_once: int, clock: clocks.Clock, tell: Callable[[Copied], None] = lambda _: None) -> None:
        self._source = source
        self._target = target
        self._at_once = at_once
        self._clock = clock
        self._tell = tell
        self.copied = Copied()

    async def copy(self, *, remove: bool) -> Copied:
        """Write what differs; then look for what the source has not, and remove what of it a copy brought, if asked to.

        Raises Unavailable when one of the places is at fault; what concerns a single blob is noted, and the rest goes on.
        """
        await self._each(self._source, self._write)
        await self._each(self._target, self._remove if remove else self._look)
        return self.copied

    async def compare(self) -> Copied:
        """Read all bytes of both sides, and hold their SHA-256 against each other."""
        await self._each(self._source, self._hold)
        await self._each(self._target, self._look)
        return self.copied

    async def _each(self, place: Blobs, work: Callable[[str], Awaitable[object]]) -> None:
        """Do something for every blob of a place, so many at once."""
        free = asyncio.Semaphore(self._at_once)
        try:
            async with asyncio.TaskGroup() as group:
                async for key in place.listing(lambda words: self.copied.failed.add(words, words=words)):
                    await free.acquire()
                    group.create_task(self._guarded(key, work, free))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _guarded(self, key: str, work: Callable[[str], Awaitable[object]], free: asyncio.Semaphore) -> None:
        try:
            await work(key)
        except errors.Unavailable:
            raise  # the next one would fare no better
        except (errors.TcboxError, OSError, ValueError) as error:
            self.copied.failed.add(key, words=str(error))
        finally:
            free.release()
            self._tell(self.copied)

    # -- what is done for a blob of the source

    async def _write(self, key: str) -> None:
        here = await self._source.stat(key)
        if here is None:
            return  # deleted meanwhile; what the target has of it shows in the end
        self.copied.seen.add(key, here.size)
        there = await self._there(key)
        if there is not None and await self._alike(key, here, there):
            return
        await self._target.unseal(key)
        await self._patiently(lambda: self._once(key))

    async def _once(self, key: str) -> None:
        try:
            here, chunks = await self._source.open(key)
        except NoSuchBlob:
            return
        digest = hashlib.sha256()
        await self._target.put_stream(
            key, _hashed(chunks, digest), length=here.size, expected_hashes=here.hashes, origin=here.etag, **_headers(here)
        )  # fmt: skip
        read = await self._sha256(self._target, key)
        if read != digest.hexdigest():
            await self._target.delete([key])
            raise HashMismatch(f"what was written does not come back: its SHA-256 is {read}, and should be {digest.hexdigest()}; it was removed again")
        if here.sealed:
            await self._target.seal(key)
        self.copied.written.add(key, here.size)

    async def _alike(self, key: str, here: Stat, there: Stat) -> bool:
        """Whether the target has just these bytes: as one of the two is a copy of the other, else by reading them."""
        if not _looks_alike(here, there):
            return False
        return here.etag == there.origin or there.etag == here.origin or await self._same_bytes(key)

    async def _hold(self, key: str) -> None:
        here, there = await self._source.stat(key), await self._there(key)
        if here is None:
            return
        self.copied.seen.add(key, here.size)
        if there is None:
            self.copied.missing.add(key, here.size)
        elif not _looks_alike(here, there) or not await self._same_bytes(key):
            self.copied.different.add(key, here.size)

    async def _same_bytes(self, key: str) -> bool:
        return await self._sha256(self._source, key) == await self._sha256(self._target, key)

    async def _sha256(self, place: Blobs, key: str) -> str:
        async def read() -> str:
            digest = hashlib.sha256()
            _, chunks = await place.open(key)
            async for _ in _hashed(chunks, digest):
                pass
            return digest.hexdigest()

        return await self._patiently(read)

    async def _there(self, key: str) -> Stat | None:
        """What the target has; None also for what is damaged, which is no reason to keep it."""
        try:
            return await self._target.stat(key)
        except errors.Unavailable:
            raise
        except errors.TcboxError:
            return None

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it again when reading breaks off."""
        for attempt in range(_TRIES - 1):
            try:
                return await work()
            except Interrupted:
                await self._clock.sleep(_PAUSE_MS << attempt)
        return await work()

    # -- what is done for a blob of the target

    async def _look(self, key: str) -> Stat | None:
        """Count a blob that the source has not."""
        if await self._source.stat(key) is not None:
            return None
        there = await self._target.stat(key)
        if there is not None:
            self.copied.extra.add(key, there.size)
        return there

    async def _remove(self, key: str) -> None:
        there = await self._look(key)
        if there is not None and there.origin:
            await self._target.delete([key])
            self.copied.removed.add(key, there.size)


def _looks_alike(here: Stat, there: Stat) -> bool:
    return (here.size, _headers(here)) == (there.size, _headers(there))


def _headers(stat: Stat) -> dict[str, str]:
    """With what the bytes are kept and served; what uploads had that can stand in no header is left out."""
    given = {"content_type": stat.content_type, "content_encoding": stat.content_encoding, "content_disposition": stat.content_disposition}
    found = {name: value if value.isascii() and value.isprintable() else "" for name, value in given.items()}
    return {**found, "content_type": found["content_type"] or "application/octet-stream"}


async def _hashed(chunks: AsyncIterator[bytes], digest: hashlib._Hash) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        await asyncio.to_thread(digest.update, chunk)
        yield chunk
