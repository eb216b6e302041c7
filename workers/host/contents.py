"""What mounts are filled with: text, artifacts and files from elsewhere, fetched once and kept."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox.workers import downloads, outcomes
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

if TYPE_CHECKING:
    import aiohttp

_KEPT_BYTES = 10 * 1024**3
_NAME = 64  # hexadecimal digits


class Contents:
    """Keeps what was fetched, by where it came from, in a folder of its own; at most 10 GiB besides what is in use."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self._folder, self._session = folder, session
        self._locks: dict[str, asyncio.Lock] = {}
        self._used: Counter[Path] = Counter()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in folder.glob("*.part"):  # of a worker that was killed
            part.unlink()

    @contextlib.asynccontextmanager
    async def file(self, content: dict[str, Any], run: Run, log: TaskLog) -> AsyncIterator[Path]:
        """A file with the content, to be read and left as it is.

        Raises RunEnded(failed) when it cannot be had, or has another SHA-256 than the payload demands.
        """
        if "raw" in content or "base64" in content:
            with tempfile.NamedTemporaryFile(dir=self._folder) as file:
                file.write(_literal(content))
                file.flush()
                yield Path(file.name)
            return
        try:
            key, what, fetch, allowed = await self._source(content, run)
        except downloads.DownloadError as error:
            raise outcomes.failed(f"[mounts] {error}") from error
        path = self._folder / hashlib.sha256(key.encode()).hexdigest()
        self._used[path] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                if path.exists():
                    await allowed()
                await self._ensure(path, what, fetch, content.get("sha256"), log)
                path.touch()
            self._evict()
            yield path
        except downloads.DownloadError as error:
            raise outcomes.failed(f"[mounts] {error}") from error
        finally:
            self._used[path] -= 1

    def _evict(self, most: int = _KEPT_BYTES) -> None:
        """Remove what was used longest ago, down to what may be kept, but nothing that is in use."""
        files = sorted(((file.stat(), file) for file in self._folder.iterdir() if len(file.name) == _NAME), key=lambda each: each[0].st_mtime)
        size = sum(stat.st_size for stat, _ in files)
        for stat, file in files:
            if size <= most:
                return
            if not self._used[file]:
                file.unlink()
                size -= stat.st_size

    def clear(self) -> None:
        """Remove all that is not in use, to make room."""
        self._evict(0)

    async def _source(self, content: dict[str, Any], run: Run) -> tuple[str, str, Any, Any]:
        """The content's key, what it is in words, and what fetches it, or checks that the run may have what was fetched."""
        if "url" in content:
            url = content["url"]
            return f"url:{url}", url, lambda part: downloads.fetch(self._session, url, part, what="a mount's content", clock_sleep=run.clock.sleep), _anyone
        task_id = content.get("taskId") or await downloads.indexed_task(run, content["namespace"])
        name = content["artifact"]
        what = f"the artifact {name} of task {task_id}"
        return (
            f"artifact:{task_id}:{name}", what,
            lambda part: downloads.artifact(run, self._session, task_id, name, part), lambda: downloads.allowed(run, task_id, name),
        )  # fmt: skip

    async def _ensure(self, path: Path, what: str, fetch: Any, sha256: str | None, log: TaskLog) -> None:
        if path.exists():
            if sha256 is None or await downloads.sha256_of(path) == sha256:
                log.say(f"[mounts] Using {what} as fetched before")
                return
            log.say(f"[mounts] What was fetched before from {what} has another SHA-256 than {sha256}: fetching it again")
            path.unlink()
        part = path.with_suffix(".part")
        log.say(f"[mounts] Fetching {what}")
        try:
            digest = await fetch(part)
        except BaseException as error:
            part.unlink(missing_ok=True)
            if isinstance(error, downloads.DownloadError):
                raise outcomes.failed(f"[mounts] {error}") from error
            raise
        log.say(f"[mounts] Fetched {os.path.getsize(part)} bytes with SHA-256 {digest}")
        if sha256 is not None and digest != sha256:
            part.unlink()
            raise outcomes.failed(f"[mounts] {what} has the SHA-256 {digest}, but the payload demands {sha256}")
        part.rename(path)


async def _anyone() -> None:
    """What everybody may have."""


def _literal(content: dict[str, Any]) -> bytes:
    if "raw" in content:
        text: str = content["raw"]
        return text.encode()
    try:
        return base64.b64decode(content["base64"], validate=True)
    except binascii.Error as error:
        raise outcomes.malformed(f"The base64 content of a mount cannot be decoded: {error}") from error
