"""Fetches what a task needs: artifacts of other tasks, and files from anywhere."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox import errors
from tcbox.client.http import Credentials
from tcbox.workers.runs import Run

if TYPE_CHECKING:
    import aiohttp

_TRIES = 6
_CHUNK = 1024 * 1024
_KEPT = ("s3", "object")
"""Storage types whose bytes are where the instance itself put them; with others, a task said which URL is fetched."""


class DownloadError(errors.TcboxError):
    """Something could not be fetched; the message says what and why.

    Attributes:
        permanent: another try would end the same way.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class TooLarge(DownloadError):
    """What is fetched has more bytes than it may have."""


async def indexed_task(run: Run, namespace: str) -> str:
    """The task that the index has under a namespace.

    Raises DownloadError.
    """
    try:
        found = await run.http.call("index", "findTask", namespace)
    except errors.ApiError as error:
        raise DownloadError(f"The index has nothing for {namespace}: {error}", permanent=error.status < 500) from error
    task_id: str = found["taskId"]
    return task_id


async def artifact(
    run: Run, session: aiohttp.ClientSession, task_id: str, name: str, target: Path, *, kept: bool = False, most: int | None = None
) -> str:  # fmt: skip
    """Fetch an artifact of a task's latest run into a file, and give the content's SHA-256 in hexadecimal.

    Args:
        kept: whether it must be one whose bytes the instance keeps: a reference leads to whatever URL its task chose, of
            places that this machine reaches and no task does.
        most: how many bytes it may have; None for any number.

    Raises DownloadError.
    """
    try:
        content = await run.http.call("queue", "latestArtifact", task_id, name)
        if kept and content["storageType"] not in (*_KEPT, "error"):
            why = f"is of the storage type {content['storageType']}, which leads to a place that a task chose and is not followed for this"
            raise DownloadError(f"The artifact {name} of task {task_id} {why}: upload its content", permanent=True)
        url = await _url(run, content)
    except errors.ApiError as error:
        raise DownloadError(f"The artifact {name} of task {task_id} cannot be had: {error}", permanent=error.status < 500) from error
    return await fetch(session, url, target, what=f"the artifact {name} of task {task_id}", clock_sleep=run.clock.sleep, most=most)


async def allowed(run: Run, task_id: str, name: str) -> None:
    """Check that a run may have an artifact which was fetched before, for another run.

    Raises DownloadError when it may not, or the artifact is no longer there.
    """
    try:
        await run.http.call("queue", "latestArtifact", task_id, name)
    except errors.ApiError as error:
        raise DownloadError(f"The artifact {name} of task {task_id} cannot be had: {error}", permanent=error.status < 500) from error


async def _url(run: Run, content: dict[str, Any]) -> str:
    if content["storageType"] == "error":
        raise DownloadError(f"The artifact is an error: {content['reason']}: {content['message']}", permanent=True)
    if content["storageType"] != "object":
        return str(content["url"])
    given = content["credentials"]
    caller = run.http.using(Credentials(given["clientId"], given["accessToken"], given.get("certificate")))
    reply = await caller.call("object", "startDownload", content["name"], payload={"acceptDownloadMethods": {"simple": True}})
    return str(reply["url"])


async def fetch(session: aiohttp.ClientSession, url: str, target: Path, *, what: str, clock_sleep: Any, most: int | None = None) -> str:
    """Fetch a URL into a file, its content decoded, and give the SHA-256 in hexadecimal.

    Args:
        most: how many bytes it may have, decoded; None for any number.

    Raises DownloadError when all tries failed, TooLarge when it has more bytes than it may have.
    """
    import aiohttp

    why = ""
    limit = aiohttp.ClientTimeout(total=None, connect=30, sock_read=120)
    for attempt in range(_TRIES):
        if attempt:
            await clock_sleep(200 * 2**attempt)
        try:
            async with session.get(url, timeout=limit) as reply:
                if reply.status == 200:
                    return await _save(reply, target, what, most)
                why = f"HTTP status {reply.status}"
                if reply.status < 500 and reply.status != 429:
                    raise DownloadError(f"Cannot fetch {what} from {url}: {why}", permanent=True)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            why = str(error) or type(error).__name__
        except ValueError as error:
            raise DownloadError(f"Cannot fetch {what}: {url} is not a URL that can be fetched ({error})", permanent=True) from error
    raise DownloadError(f"Cannot fetch {what} from {url}: {why}")


async def _save(reply: aiohttp.ClientResponse, target: Path, what: str, most: int | None) -> str:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        async for chunk in reply.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if most is not None and size > most:
                raise TooLarge(f"Cannot fetch {what}: it has more than the {most} bytes that it may have", permanent=True)
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal; blocking."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, worked out in a thread."""
    return await asyncio.to_thread(sha256, path)
