"""Reads artifacts of a task, from where the instance keeps them alone: never from a URL that a task chose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.client import LimitableCaller
from tcbox.vendors.http import Outgoing

TEXT = "public/github/customCheckRunText.md"
ANNOTATIONS = "public/github/customCheckRunAnnotations.json"
LOG = "public/logs/live_backing.log"
_OWN = (TEXT, ANNOTATIONS, LOG)
MOST_BYTES = 1024 * 1024
MOST_LOG = 512 * 1024 * 1024


class ArtifactError(errors.TcboxError):
    """An artifact that cannot be read; the message is for who made it."""


class Artifacts:
    """Reads artifacts.

    Args:
        reach: from the URL that the instance gives out to one at which this process reaches the same.
    """

    def __init__(self, caller: LimitableCaller, outgoing: Outgoing, clock: clocks.Clock, reach: Callable[[str], str] = str) -> None:
        self._caller = caller
        self._outgoing = outgoing
        self._clock = clock
        self._reach = reach

    async def text(self, task_id: str, run_id: int, name: str) -> str | None:
        """An artifact's text, None when there is no such artifact.

        Raises ArtifactError.
        """
        url = await self._url(task_id, run_id, name)
        if url is None:
            return None
        read = await self._read(url, name)
        if len(read) > MOST_BYTES:
            raise ArtifactError(f"The artifact `{name}` has more than 1 MiB: make it smaller.")
        try:
            return read.decode()
        except UnicodeDecodeError:
            raise ArtifactError(f"The artifact `{name}` is no UTF-8 text: write it as such.") from None

    async def _read(self, url: str, name: str) -> bytes:
        for pause in (200, 1000, None):
            try:
                return b"".join([chunk async for chunk in self._outgoing.chunks(url, MOST_BYTES + 1)])
            except errors.Unavailable:
                if pause is not None:
                    await self._clock.sleep(pause)
        raise ArtifactError(f"The artifact `{name}` could not be downloaded, though the task has it.")

    async def log(self, task_id: str, run_id: int) -> AsyncIterator[bytes] | None:
        """The log of a run, None when there is none that can be read."""
        try:
            url = await self._url(task_id, run_id, LOG)
        except ArtifactError:
            return None
        return None if url is None else self._outgoing.chunks(url, MOST_LOG)

    async def names(self, task_id: str, run_id: int) -> list[dict[str, Any]]:
        """The first artifacts of a run."""
        try:
            listed: dict[str, Any] = await self._caller.call("queue", "listArtifacts", task_id, str(run_id), query={"limit": "50"})
        except errors.ResourceNotFound:
            return []
        found: list[dict[str, Any]] = listed["artifacts"]
        return found

    async def _url(self, task_id: str, run_id: int, name: str) -> str | None:
        # others' names come from the task, so for them nothing counts but what everybody may read
        limited = self._caller.limited([f"queue:get-artifact:{name}"] if name in _OWN else [])
        try:
            found = await limited.call("queue", "getArtifact", task_id, str(run_id), name)
        except errors.InsufficientScopes:
            raise ArtifactError(f"The artifact `{name}` is not public, so it cannot be shown here: give it a name that begins with `public/`.") from None
        except (errors.ResourceNotFound, errors.ResourceExpired):
            return None
        except errors.ApiError as error:
            if error.status >= 500:
                raise
            raise ArtifactError(f"The artifact `{name}` cannot be read: {error}") from None
        if found.get("storageType") == "reference":
            raise ArtifactError(
                f"The artifact `{name}` is of the storage type `reference`, which leads to a place that the task chose and is not "
                "followed here: upload its content as an artifact of its own."
            )
        if "url" not in found:
            raise ArtifactError(f"The artifact `{name}` is an error: {found.get('message', '')}")
        return self._reach(found["url"])
