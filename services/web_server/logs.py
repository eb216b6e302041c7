"""The log of a task's latest run, fetched into a file."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

from tcbox import errors
from tcbox.client import Caller
from tcbox.services.web_server.outgoing import Outgoing, unreachable
from tcbox.services.web_server.profiles.logs import NAMES

if TYPE_CHECKING:
    import aiohttp

MOST = 200 * 1024 * 1024
"""Bytes of a log that is made a profile of."""
_KEPT_HERE = ("s3", "object")
"""Storage types whose bytes are where the instance itself put them; with others, the task says which URL is fetched."""


class Logs:
    """Fetches logs.

    Args:
        root_url, local_url: URLs at the first are reached from here at the second.
    """

    def __init__(self, outgoing: Outgoing, *, root_url: str, local_url: str, most: int = MOST) -> None:
        self._outgoing = outgoing
        self._root_url = root_url
        self._local_url = local_url
        self._most = most

    async def fetch(self, caller: Caller, task_id: str) -> IO[bytes]:
        """The log as a file at its beginning, which is to be closed.

        Raises ResourceNotFound when there is none, InputTooLarge when it is too long to be shown.
        """
        for name in NAMES:
            url = await self._url(caller, task_id, name)
            found = await self._download(url) if url else None
            if found is not None:
                return found
        raise errors.ResourceNotFound(
            "Task {taskId} has no log to make a profile of: neither {names} can be read, or it has expired.", taskId=task_id, names=" nor ".join(NAMES)
        )

    async def _url(self, caller: Caller, task_id: str, name: str) -> str:
        try:
            found = await caller.call("queue", "getLatestArtifact", task_id, name)
        except (errors.ResourceNotFound, errors.ResourceExpired):
            return ""
        if not isinstance(found, dict) or found.get("storageType") not in _KEPT_HERE:
            return ""
        url = str(found["url"])
        return self._local_url + url[len(self._root_url) :] if url.startswith(f"{self._root_url}/") else url

    async def _download(self, url: str) -> IO[bytes] | None:
        import aiohttp

        file = tempfile.TemporaryFile()  # noqa: SIM115 - given to the caller
        try:
            async with self._outgoing.stream(url) as reply:
                if reply.status == 404:
                    file.close()
                    return None
                if reply.status != 200:
                    raise errors.Unavailable("The log cannot be read from where it is kept: status {status}.", status=reply.status)
                await self._copy(reply, file)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            file.close()
            raise unreachable(url, error) from error
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    async def _copy(self, reply: aiohttp.ClientResponse, file: IO[bytes]) -> None:
        size = 0
        async for chunk in reply.content.iter_any():
            size += len(chunk)
            if size > self._most:
                raise errors.InputTooLarge("The log exceeds {most} MB, and no profile is made of a longer one.", most=self._most // 2**20)
            file.write(chunk)
