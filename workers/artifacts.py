"""Uploads what a run leaves behind: files, error artifacts, logs and the links between them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tcbox import errors
from tcbox.workers import downloads, files, keeping, outcomes
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

if TYPE_CHECKING:
    import aiohttp

TEXT = "text/plain; charset=utf-8"
_AT_ONCE = 10
_TRIES = 6
_SMALL = 256 * 1024


class Uploads:
    """Uploads a run's artifacts with the run's credentials.

    Attributes:
        reserved: names that the worker itself uploads, by what; artifacts of the payload under them are passed over.
        hashes: for each file uploaded the SHA-256 of its content, in hexadecimal; None when nobody wants them.
    """

    def __init__(self, run: Run, log: TaskLog, session: aiohttp.ClientSession, scratch: Path) -> None:
        self._run, self._log, self._session, self._scratch = run, log, session, scratch
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self.reserved: dict[str, str] = {}
        self.hashes: dict[str, str] | None = None

    async def all(self, wanted: list[files.Wanted]) -> None:
        """Upload all that a payload asks for.

        Raises RunEnded: failed when an artifact that is not optional is missing; as `file` does, otherwise.
        """
        found = await asyncio.to_thread(lambda: [item for each in wanted for item in files.find(each)])
        results = await asyncio.gather(*(self._one(item) for item in found), return_exceptions=True)
        faults = [result for result in results if isinstance(result, BaseException)]
        for fault in faults:
            if not isinstance(fault, outcomes.RunEnded):
                raise fault
        if faults:
            raise next((fault for fault in faults if isinstance(fault, outcomes.RunEnded) and fault.outcome.state == "exception"), faults[0])

    async def _one(self, item: files.Found | files.Missing) -> None:
        async with self._gate:
            if item.name in self.reserved:
                self._log.caution(f"The artifact {item.name} of the payload is not uploaded: {self.reserved[item.name]} has that name.")
                return
            if isinstance(item, files.Found):
                await self.file(item.name, Path(item.path), item.content_type, item.content_encoding, item.wanted.expires)
                return
            try:
                await self.error(item)
            except outcomes.RunEnded as ended:
                if not item.wanted.optional or ended.outcome.state != "failed":
                    raise

    async def error(self, item: files.Missing) -> None:
        """Make an error artifact.

        Raises RunEnded(failed), since the task did not leave what it said it would.
        """
        payload = {"storageType": "error", "expires": item.wanted.expires or self._run.expires, "reason": item.reason, "message": item.message[:4096]}
        await self.create(item.name, payload)
        if item.wanted.optional:
            self._log.say(f"{item.message}; the task does not fail for that.")
        else:
            self._log.fault(f"{item.reason}: {item.message}")
        raise outcomes.failed(f"{item.reason}: {item.message}")

    async def file(self, name: str, path: Path, content_type: str, content_encoding: str, expires: str | None = None) -> None:
        """Upload a file, compressed on the way if so asked.

        Raises RunEnded: resource-unavailable when it could not be done, malformed-payload when the name is taken.
        """
        size = path.stat().st_size
        if self.hashes is not None:
            self.hashes[name] = await downloads.sha256_of(path)
        payload = {"storageType": "s3", "expires": expires or self._run.expires, "contentType": content_type, "contentLength": size}
        reply = await self.create(name, payload)
        headers = {"Content-Type": content_type}
        if content_encoding == "gzip":
            headers["Content-Encoding"] = "gzip"
        if size <= _SMALL:
            data = path.read_bytes()
            await self._put(name, reply["putUrl"], headers, gzip.compress(data, 6, mtime=0) if content_encoding == "gzip" else data)
        elif content_encoding == "gzip":
            packed = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - closing it can fail
            try:
                if await asyncio.to_thread(_pack, path, packed):
                    await self._put(name, reply["putUrl"], headers, packed)
                    return
            finally:
                with contextlib.suppress(OSError):  # what it had no room for
                    packed.close()
            del headers["Content-Encoding"]
            with path.open("rb") as file:
                await self._put(name, reply["putUrl"], headers, file)
        else:
            with path.open("rb") as file:
                await self._put(name, reply["putUrl"], headers, file)

    async def reference(self, name: str, url: str, expires: str) -> None:
        """Make an artifact that sends readers to a URL."""
        await self.create(name, {"storageType": "reference", "expires": expires, "url": url, "contentType": TEXT})

    async def link(self, name: str, target: str) -> None:
        """Make an artifact that is another one of the same run."""
        await self.create(name, {"storageType": "link", "expires": self._run.expires, "artifact": target, "contentType": TEXT})

    async def create(self, name: str, payload: dict[str, Any]) -> Any:
        """Announce an artifact to the queue, and give its reply."""
        try:
            return await self._run.call("createArtifact", name, payload=payload)
        except errors.ApiError as error:
            if error.status >= 500:
                raise outcomes.unavailable(f"The artifact {name} could not be created: {error}") from error
            if error.status == 409:
                await keeping.watch(self._run)
            if self._run.aborted is not None:
                raise outcomes.RunEnded(self._run.aborted) from error
            if error.status == 409:
                again = f"The artifact {name} was created before with other properties: give each artifact of the payload its own name. ({error})"
                raise outcomes.malformed(again) from error
            if error.status == 400:
                raise outcomes.malformed(f"The queue refuses the artifact {name}: {error}") from error
            raise outcomes.internal(f"The queue refuses the artifact {name}: {error}") from error

    async def _put(self, name: str, url: str, headers: dict[str, str], body: bytes | IO[bytes]) -> None:
        import aiohttp
        from yarl import URL

        why = ""
        limit = aiohttp.ClientTimeout(total=None, connect=30, sock_read=300)
        headers = {**headers, "Content-Length": str(_length(body))}
        for attempt in range(_TRIES):
            if attempt:
                await self._run.clock.sleep(200 * 2**attempt)
            try:
                async with self._session.put(URL(url, encoded=True), data=_again(body), headers=headers, timeout=limit) as reply:
                    if reply.status < 300:
                        return
                    why = f"HTTP status {reply.status}: {(await reply.text())[:300]}"
                    if reply.status < 500 and reply.status != 429:
                        break
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                why = str(error) or type(error).__name__
        raise outcomes.unavailable(f"The artifact {name} could not be uploaded: {why}")


def _pack(path: Path, packed: IO[bytes]) -> bool:
    """Whether there was room for the file, compressed."""
    try:
        with path.open("rb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=6, mtime=0) as out:
            shutil.copyfileobj(file, out, 1024 * 1024)
        packed.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    return True


def _length(body: bytes | IO[bytes]) -> int:
    return len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size


def _again(body: bytes | IO[bytes]) -> Any:
    """The body from its start; a file through a descriptor of its own, since the client closes what it has sent."""
    if isinstance(body, bytes):
        return body
    file = os.fdopen(os.dup(body.fileno()), "rb")
    file.seek(0)
    return file
