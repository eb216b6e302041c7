"""Blobs in files of the data folder, for an instance on one machine.

A blob's file is named by the hash of its key, so no key can lead out of the folder or clash with another on a file
system that ignores case. Clients read and write over URLs that the instance itself serves (see `http`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tcbox import clock as clocks
from tcbox import errors
from tcbox.blobs import files, hashing, keys, signing
from tcbox.blobs.interface import NoSuchBlob, Stat

CHUNK = 256 * 1024
"""Bytes read at once."""
_GATHER = 1024 * 1024
"""Bytes gathered before they are written."""
_FOLDER, _FILE = re.compile(r"[0-9a-f]{3}"), re.compile(r"[0-9a-f]{61}")
"""How the parts of a blob's path are named."""
PREFIX = "/blobs/"
"""Path, below the root URL, of the URLs that clients are given."""


class LocalBlobs:
    """Blobs below a folder.

    Args:
        root_url: of the instance, as clients reach it; may be changed once the port is known.
        signer: signs the URLs that clients are given.
    """

    backend = "files"

    def __init__(self, folder: Path, *, root_url: str, signer: signing.Signer, clock: clocks.Clock) -> None:
        self.folder = folder
        self.root_url = root_url
        self._signer = signer
        self._clock = clock
        self._unfinished = folder / "unfinished"

    async def start(self) -> None:
        """Make the folders, and remove what uploads that were cut off left behind.

        Raises TcboxError when the folder cannot be written to.
        """
        await asyncio.to_thread(self._clear)

    def _clear(self) -> None:
        try:
            self._unfinished.mkdir(parents=True, exist_ok=True)
            for entry in os.scandir(self._unfinished):
                os.unlink(entry.path)
        except OSError as error:
            raise errors.TcboxError(f"blobs cannot be kept in {self.folder} ({error}): give the user that runs tcbox the right to write there") from None

    async def close(self) -> None:
        """Nothing is open between calls."""

    async def check(self) -> None:
        """See `Blobs.check`."""
        if not await asyncio.to_thread(os.access, self.folder, os.R_OK | os.X_OK):
            raise errors.TcboxError(f"there is no folder {self.folder} that can be read: name one that is there, or make it readable")

    async def listing(self, damaged: Callable[[str], None]) -> AsyncIterator[str]:
        """See `Blobs.listing`."""
        for folder in await asyncio.to_thread(_entries, self.folder, _FOLDER):
            for key in await asyncio.to_thread(_keys, folder, damaged):
                yield key

    def path(self, key: str) -> Path:
        """The file of a key, whether it is there or not."""
        digest = hashlib.sha256(keys.location(key).encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / digest[:3] / digest[3:]

    async def put_stream(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str,
        content_encoding: str = "",
        content_disposition: str = "",
        length: int | None = None,
        expected_hashes: Mapping[str, str] | None = None,
        origin: str = "",
    ) -> Stat:
        """See `Blobs.put_stream`; raises errors.Unavailable when the disk is full."""
        expected = expected_hashes or {}
        with self._disk():
            upload = await asyncio.to_thread(files.Upload, self._unfinished, hashing.Hashes(expected))
            try:
                await _fill(upload, chunks, length)
                upload.check(key, length)
                found = upload.hashes.hexdigests()
                hashing.compare(key, expected, found)
                meta = files.Meta(
                    key, upload.size, content_type, self._clock.now(), secrets.token_hex(16),
                    content_encoding, content_disposition, {name: value for name, value in found.items() if name != "md5"}, origin,
                )  # fmt: skip
                await asyncio.to_thread(upload.finish, self.path(key), meta)
            finally:
                upload.abandon()
        return meta.stat()

    async def opened(self, key: str) -> files.Stored:
        """The open file of a key; the caller closes it.

        Raises NoSuchBlob.
        """
        stored = await asyncio.to_thread(files.open_blob, self.path(key))
        if stored is None:
            raise NoSuchBlob(f"there are no bytes for {key}: they were not uploaded, or have been deleted")
        return stored

    async def open(self, key: str, span: tuple[int, int] | None = None) -> tuple[Stat, AsyncIterator[bytes]]:
        """See `Blobs.open`."""
        stored = await self.opened(key)
        first, end = span or (0, stored.meta.size)
        return stored.stat(), read(stored, first, end)

    async def stat(self, key: str) -> Stat | None:
        """See `Blobs.stat`."""
        try:
            stored = await self.opened(key)
        except NoSuchBlob:
            return None
        stored.close()
        return stored.stat()

    async def hashes(self, key: str, algorithms: Iterable[str]) -> dict[str, str]:
        """See `Blobs.hashes`; those that were checked at the upload are not computed again."""
        stored = await self.opened(key)
        known = stored.meta.hashes
        wanted = set(algorithms)
        hashes = hashing.Hashes(wanted - set(known))
        try:
            if hashes:
                await asyncio.to_thread(_hash, stored, hashes)
        finally:
            stored.close()
        return {name: value for name, value in {**known, **hashes.hexdigests()}.items() if name in wanted}

    async def delete(self, keys: Iterable[str]) -> None:
        """See `Blobs.delete`."""
        paths = [self.path(key) for key in keys]
        await asyncio.to_thread(_remove, paths)

    async def seal(self, key: str) -> None:
        """See `Blobs.seal`."""
        await asyncio.to_thread(files.set_sealed, self.path(key), sealed=True)

    async def unseal(self, key: str) -> None:
        """See `Blobs.unseal`."""
        await asyncio.to_thread(files.set_sealed, self.path(key), sealed=False)

    def put_url(self, key: str, *, content_type: str, content_length: int | None = None, content_disposition: str = "", expires_ms: int) -> str:
        """See `Blobs.put_url`."""
        conditions: dict[str, str | int] = {"type": content_type}
        if content_length is not None:
            conditions["length"] = content_length
        if content_disposition:
            conditions["disposition"] = content_disposition
        return self._url(key, self._signer.query(keys.location(key), method="PUT", expires_ms=expires_ms, **conditions))

    def get_url(self, key: str, *, expires_ms: int, disposition: str = "", content_type: str = "") -> str:
        """See `Blobs.get_url`; the type is kept."""
        conditions = {"disposition": disposition} if disposition else {}
        return self._url(key, self._signer.query(keys.location(key), method="GET", expires_ms=expires_ms, **conditions))

    def _url(self, key: str, query: str) -> str:
        return f"{self.root_url.rstrip('/')}{PREFIX}{keys.path(key)}?{query}"

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise errors.Unavailable("The disk that holds {folder} is full: free space there, then try again.", folder=str(self.folder)) from None


async def read(stored: files.Stored, first: int, end: int) -> AsyncIterator[bytes]:
    """The bytes of an open blob, in chunks; closes it at the end."""
    try:
        while first < end:
            chunk = await asyncio.to_thread(stored.read, first, min(CHUNK, end - first))
            first += len(chunk)
            yield chunk
    finally:
        stored.close()


async def _fill(upload: files.Upload, chunks: AsyncIterator[bytes], length: int | None) -> None:
    gathered: list[bytes] = []
    size = 0
    async for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= _GATHER:
            await asyncio.to_thread(upload.write, gathered)
            gathered, size = [], 0
            if length is not None and upload.size > length:
                return
    if gathered:
        await asyncio.to_thread(upload.write, gathered)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        files.remove(path)


def _entries(folder: Path, form: re.Pattern[str]) -> list[Path]:
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if form.fullmatch(name)]
    except FileNotFoundError:
        return []


def _keys(folder: Path, damaged: Callable[[str], None]) -> list[str]:
    found = []
    for path in _entries(folder, _FILE):
        try:
            stored = files.open_blob(path)
        except (errors.TcboxError, OSError) as error:
            damaged(str(error))
            continue
        if stored is not None:  # or it went meanwhile
            stored.close()
            found.append(keys.location(stored.meta.key))
    return found


def _hash(stored: files.Stored, hashes: hashing.Hashes) -> None:
    offset = 0
    while chunk := stored.read(offset, 4 * CHUNK):
        hashes.update(chunk)
        offset += len(chunk)
