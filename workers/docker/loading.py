"""Loads images into the engine out of artifacts that `docker save` made: unpacked, and without the names that they bring."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from tcbox import log
from tcbox.workers.docker.engine import Engine, EngineError
from tcbox.workers.docker.untag import ArchiveError, untagged

_LOG = log.get("workers")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WINDOW = 1 << 27
"""Memory in bytes that unpacking by zstd may take: as much as `zstd -d` takes unless it is told to take more."""
_TOO_FAR = "it is packed by zstd with a window of more than 128 MiB; pack it with --long=27 or less"
_LOADED = re.compile(r"Loaded image(?: ID)?: (\S+)")


class Loader:
    """Loads one image after another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._gate = asyncio.Lock()

    async def load(self, part: Path) -> str:
        """The id of the image that an archive holds, now in the engine.

        Raises EngineError, which was `told` when the archive is at fault.
        """
        async with self._gate:
            before = await self._engine.call("GET", "/images/json") or []
            loaded: list[str] = []
            try:
                said = await self._send(part, loaded)
            finally:
                names = [each for each in loaded if not each.startswith("sha256:")]
                if names:  # also of an archive that broke off behind its first image
                    await asyncio.shield(self._give_back(names, before))
        if names:
            took = f"the image took the name {', '.join(names)}, which it has lost again"
            raise EngineError(f"{took}: save it without names, by 'docker save' of its id", told=True)
        if len(loaded) != 1:
            raise EngineError(f"the artifact holds no image ({said.strip() or 'the engine said nothing'}); make it with 'docker save'", told=True)
        return loaded[0]

    async def _send(self, part: Path, loaded: list[str]) -> str:
        """What the engine says of an archive; images that it names are loaded, whatever comes of the rest."""
        said = ""
        archive = _Archive(part)
        try:
            async with self._engine.stream("POST", "/images/load", query={"quiet": "1"}, data=archive.bits()) as reply:
                async for line in reply.content:
                    told = msgspec.json.decode(line)
                    if "error" in told:
                        raise EngineError(told["error"], told=True)
                    said += told.get("stream", "")
                    loaded[:] = _LOADED.findall(said)
        except EngineError as error:
            if archive.fault is None:
                raise
            raise EngineError(f"the artifact holds no image ({archive.fault}); make it with 'docker save'", told=True) from error
        return said

    async def _give_back(self, names: list[str], before: list[dict[str, Any]]) -> None:
        """Have names that an image took lead to what they led to before, and take out the image unless it was there."""
        known = {each["Id"] for each in before}
        former = {name: each["Id"] for each in before for name in each.get("RepoTags") or ()}
        for name in names:
            try:
                new = (await self._engine.call("GET", f"/images/{name}/json"))["Id"]
                if name not in former:
                    await self._engine.call("DELETE", f"/images/{name}")
                elif former[name] != new:
                    repository, _, tag = name.rpartition(":")
                    await self._engine.call("POST", f"/images/{former[name]}/tag", query={"repo": repository, "tag": tag})
                    if new not in known:
                        await self._engine.call("DELETE", f"/images/{new}")
            except EngineError as error:
                _LOG.warning("a name that a task's image took in Docker could not be given back: see to it by hand", extra={"image": name, "error": str(error)})


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
                self.fault = ArchiveError(_TOO_FAR) if "too much memory" in str(error) else error
                raise


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    head = raw.read(4)
    raw.seek(0)
    if head == _ZSTD:
        import zstandard

        packed: IO[bytes] = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(raw, read_across_frames=True)
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
