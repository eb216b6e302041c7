"""What the queue knows of a pool: how much there is to do, and when each worker was last seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tcbox import clock as clocks
from tcbox.client import Caller
from tcbox.services.worker_manager.estimator import Demand
from tcbox.services.worker_manager.verdicts import Seen


class QueueView:
    """Asks the queue, as the worker manager."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def demand(self, worker_pool_id: str) -> Demand:
        """How many tasks wait, and how many run."""
        counts = await self._caller.call("queue", "taskQueueCounts", worker_pool_id)
        return Demand(counts["pendingTasks"], counts["claimedTasks"])

    async def seen(self, worker_pool_id: str) -> dict[tuple[str, str], Seen]:
        """All workers of a pool that the queue knows, by group and id."""
        return {(entry["workerGroup"], entry["workerId"]): _seen(entry) async for entry in self._entries(worker_pool_id, {})}

    async def quarantined(self, worker_pool_id: str) -> set[tuple[str, str]]:
        """The workers of a pool that get no work, by group and id."""
        return {(entry["workerGroup"], entry["workerId"]) async for entry in self._entries(worker_pool_id, {"quarantined": "true"})}

    async def page(self, worker_pool_id: str, query: dict[str, str]) -> tuple[list[dict[str, Any]], str]:
        """One page of a pool's workers by group and id, and the token of the next; empty when there is none."""
        provisioner_id, _, worker_type = worker_pool_id.partition("/")
        reply = await self._caller.call("queue", "listWorkers", provisioner_id, worker_type, query=query)
        return reply["workers"], reply.get("continuationToken", "")

    async def worker(self, worker_pool_id: str, worker_group: str, worker_id: str) -> dict[str, Any]:
        """One worker, as the queue shows it. Raises ResourceNotFound."""
        provisioner_id, _, worker_type = worker_pool_id.partition("/")
        found: dict[str, Any] = await self._caller.call("queue", "getWorker", provisioner_id, worker_type, worker_group, worker_id)
        return found

    async def _entries(self, worker_pool_id: str, query: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
        token = ""
        while True:
            entries, token = await self.page(worker_pool_id, {**query, **({"continuationToken": token} if token else {})})
            for entry in entries:
                yield entry
            if not token:
                return


def _seen(entry: dict[str, Any]) -> Seen:
    times = [clocks.from_wire(entry[name]) if name in entry else None for name in ("firstClaim", "lastDateActive", "quarantineUntil")]
    return Seen(*times)
