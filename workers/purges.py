"""Which caches the instance has been asked to purge."""

from __future__ import annotations

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.client.http import Http

_LOG = log.get("workers")
_SKEW_MS = 5 * clocks.MINUTE
_ABSENT_MS = 10 * clocks.MINUTE


class Purges:
    """Remembers, for each cache's name, before which moment caches of that name must have gone.

    The moments are five minutes later than asked, since the clocks of this machine and the instance may differ.
    """

    def __init__(self, clock: clocks.Clock) -> None:
        self._clock = clock
        self._before: dict[str, dict[str, int]] = {}  # by name and task queue
        self._asked: dict[str, int] = {}  # by task queue
        self._absent_until = 0

    def purged(self, name: str, made: int, task_queue_id: str | None = None) -> bool:
        """Whether a cache that was made at a moment, in ms, must go.

        Args:
            task_queue_id: whose cache it is; None when it is common to all queues that the worker serves, so that what any
                of them was asked for goes for it.
        """
        asked = self._before.get(name, {})
        return made < (max(asked.values(), default=0) if task_queue_id is None else asked.get(task_queue_id, 0))

    async def ask(self, http: Http, task_queue_id: str) -> None:
        """Learn what a task queue was asked for since the last time; an instance that cannot tell is believed to want nothing."""
        now = self._clock.now()
        if now < self._absent_until:
            return
        asked = self._asked.get(task_queue_id)
        query = {"since": clocks.to_wire(asked - _SKEW_MS)} if asked is not None else None
        try:
            reply = await http.call("purge-cache", "purgeRequests", task_queue_id, query=query)
        except errors.ResourceNotFound:
            self._absent_until = now + _ABSENT_MS
            return
        except errors.ApiError as error:
            _LOG.warning("cannot ask which caches to purge", extra={"error": str(error)})
            return
        self._asked[task_queue_id] = now
        for request in reply["requests"]:
            before = clocks.from_wire(request["before"]) + _SKEW_MS
            asked_before = self._before.setdefault(request["cacheName"], {})
            asked_before[task_queue_id] = max(before, asked_before.get(task_queue_id, 0))
