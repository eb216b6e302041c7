"""Finds the task queues that a worker serves by pattern, and which of them have work."""

from __future__ import annotations

import fnmatch
import re

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.client.http import Http
from tcbox.workers.settings import WorkerSettings

_LOG = log.get("workers")
_LISTED_MS = 3_000


class Finder:
    """Knows the task queues that match a worker's patterns."""

    def __init__(self, http: Http, clock: clocks.Clock, settings: WorkerSettings) -> None:
        self._http, self._clock = http, clock
        self._always = (*settings.task_queues, *(name for name in settings.serve if "*" not in name))
        self._patterns = [re.compile(fnmatch.translate(name)) for name in settings.serve if "*" in name]
        self._matched: tuple[str, ...] = ()
        self._listed_at = -_LISTED_MS
        self._turn = 0

    async def waiting(self) -> list[str]:
        """The served task queues with pending tasks, each call beginning with another, so that none waits for ever.

        Raises errors.ApiError when the queue cannot be asked.
        """
        if self._patterns and self._clock.now() - self._listed_at >= _LISTED_MS:
            self._matched = await self._list()
            self._listed_at = self._clock.now()
        names = list(dict.fromkeys((*self._always, *self._matched)))
        self._turn = (self._turn + 1) % len(names)
        return [name for name in names[self._turn :] + names[: self._turn] if await self._has_pending(name)]

    async def _list(self) -> tuple[str, ...]:
        found: list[str] = []
        token: str | None = None
        while True:
            page = await self._http.call("queue", "listTaskQueues", query={"continuationToken": token} if token else None)
            found += [each["taskQueueId"] for each in page["taskQueues"]]
            token = page.get("continuationToken")
            if not token:
                return tuple(name for name in found if any(pattern.fullmatch(name) for pattern in self._patterns))

    async def _has_pending(self, name: str) -> bool:
        try:
            reply = await self._http.call("queue", "pendingTasks", name)
        except errors.ResourceNotFound:
            return False
        return int(reply["pendingTasks"]) > 0
