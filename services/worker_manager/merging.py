"""The workers of a pool as the queue lists them and as the worker manager does, merged in one walk by group and id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tcbox.services.worker_manager.model import Worker
from tcbox.services.worker_manager.queue_view import QueueView
from tcbox.services.worker_manager.workers import Workers

_PAGE = 500
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a walk goes on: after a worker, within the page of the queue that a token leads to."""

    token: str = ""
    worker_group: str = ""
    worker_id: str = ""


class Merging:
    """Walks through the workers of one pool."""

    def __init__(self, workers: Workers, queue: QueueView, worker_pool_id: str) -> None:
        self._workers = workers
        self._queue = queue
        self._pool = worker_pool_id

    async def entries(self, start: Position, *, only_quarantined: bool = False) -> AsyncIterator[tuple[Entry | None, Worker | None, Position]]:
        """Each worker after a position: the queue's entry, the worker manager's, either of which may be missing, and where to go on.

        Args:
            only_quarantined: only those that the queue has in quarantine.
        """
        after, token = (start.worker_group, start.worker_id), start.token
        query = {"limit": str(_PAGE), **({"quarantined": "true"} if only_quarantined else {})}
        while True:
            entries, following = await self._queue.page(self._pool, {**query, **({"continuationToken": token} if token else {})})
            fresh = [entry for entry in entries if _key(entry) > after]
            until = _key(entries[-1]) if entries and following else None
            async for seen, worker in self._up_to(fresh, after, until, alone=not only_quarantined):
                after = _key(seen) if seen is not None else (worker.worker_group, worker.worker_id) if worker is not None else after
                yield seen, worker, Position(token, *after)
            if not following:
                return
            after, token = max(after, until or after), following

    async def _up_to(
        self, entries: list[Entry], after: tuple[str, str], until: tuple[str, str] | None, *, alone: bool
    ) -> AsyncIterator[tuple[Entry | None, Worker | None]]:  # fmt: skip
        """The queue's entries with their workers and, where wanted, those workers between them that the queue does not know, up to a last one."""
        left = entries[::-1]
        async for worker in self._from(after):
            key = (worker.worker_group, worker.worker_id)
            if (until is not None and key > until) or not (left or alone):
                break
            while left and _key(left[-1]) < key:
                yield left.pop(), None
            if left and _key(left[-1]) == key:
                yield left.pop(), worker
            elif alone:
                yield None, worker
        while left:
            yield left.pop(), None

    async def _from(self, after: tuple[str, str]) -> AsyncIterator[Worker]:
        while True:
            page = await self._workers.by_name(self._pool, after, _PAGE)
            for worker in page:
                yield worker
            if len(page) < _PAGE:
                return
            after = (page[-1].worker_group, page[-1].worker_id)


def _key(entry: Entry) -> tuple[str, str]:
    return entry["workerGroup"], entry["workerId"]
