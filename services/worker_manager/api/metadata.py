"""Methods about workers with what the queue knows of them: what they claimed lately, and whether they are in quarantine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.services.worker_manager.declarations import LAUNCH_CONFIG, NEXT, api
from tcbox.services.worker_manager.merging import Merging, Position
from tcbox.services.worker_manager.model import Worker
from tcbox.services.worker_manager.queue_view import QueueView
from tcbox.services.worker_manager.workers import Workers

_CATEGORY = "Worker Metadata"
_WORKERS = "/provisioners/<provisionerId>/worker-types/<workerType>/workers"


class MetadataMethods:
    """Shows workers as the queue and the worker manager know them together."""

    def __init__(self, clock: clocks.Clock, workers: Workers, queue: QueueView) -> None:
        self._clock = clock
        self._workers = workers
        self._queue = queue

    @api.get(
        _WORKERS, name="listWorkers", category=_CATEGORY, output="list-workers-response", scopes="worker-manager:list-workers:<provisionerId>/<workerType>",
        query={**NEXT, "launchConfigId": LAUNCH_CONFIG, "quarantined": "^(true|false)$", "workerState": "^(requested|running|stopping|stopped)$"},
        stability="experimental",
    )  # fmt: skip
    async def list_workers(self, call: Call, provisionerId: str, workerType: str) -> dict[str, Any]:
        """Get a list of all active workers of a workerType

        The workers that have asked the queue for work lately, and those of the pool that have not asked yet, by group and
        id, in pages. `quarantined`, `workerState` and `launchConfigId` choose among them. A worker that is in no pool has
        the state `standalone`.
        """
        size, start = paging.limit(call.query), paging.after(call.query, str, str, str)
        position = Position(*start) if start else Position()
        found: list[tuple[dict[str, Any], Position]] = []
        merged: AsyncIterator[tuple[dict[str, Any] | None, Worker | None, Position]] = Merging(
            self._workers, self._queue, f"{provisionerId}/{workerType}"
        ).entries(position, only_quarantined=call.query.get("quarantined") == "true")
        async for seen, worker, place in merged:
            if self._chosen(seen, worker, call.query):
                found.append((_listed(f"{provisionerId}/{workerType}", seen, worker), place))
                if len(found) > size:
                    break
        return paging.page("workers", found, size, lambda each: (each[1].token, each[1].worker_group, each[1].worker_id), lambda each: each[0])

    @api.get(
        f"{_WORKERS}/<workerGroup>/<workerId>", name="getWorker", category=_CATEGORY, output="worker-response", stability="experimental",
        scopes="worker-manager:get-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>",
    )  # fmt: skip
    async def get_worker(self, call: Call, provisionerId: str, workerType: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Get a worker

        A worker that has asked the queue for work, with what it claimed lately and its quarantine, and how it stands with
        its pool. One that has not asked yet is shown by `worker`.
        """
        pool = f"{provisionerId}/{workerType}"
        worker = await self._workers.find(pool, workerGroup, workerId)
        try:
            seen = await self._queue.worker(pool, workerGroup, workerId)
        except errors.ResourceNotFound:
            hint = "It is in the pool, and has not asked for work yet." if worker is not None else "Are you sure it was created?"
            raise errors.ResourceNotFound(
                "Worker with workerId `{workerId}`, workerGroup `{workerGroup}`, worker-type `{workerType}` and provisioner `{provisionerId}` "
                "not found. {hint}",
                workerId=workerId, workerGroup=workerGroup, workerType=workerType, provisionerId=provisionerId, hint=hint,
            ) from None  # fmt: skip
        kept = ("expires", "firstClaim", "recentTasks", "lastDateActive", "quarantineUntil", "quarantineDetails")
        return {
            "provisionerId": provisionerId,
            "workerType": workerType,
            "workerPoolId": pool,
            "workerGroup": workerGroup,
            "workerId": workerId,
            **_standing(worker),
            "quarantineDetails": [],
            **{name: seen[name] for name in kept if name in seen},
        }

    def _chosen(self, seen: dict[str, Any] | None, worker: Worker | None, query: Any) -> bool:
        state, launch_config_id = query.get("workerState"), query.get("launchConfigId")
        if state is not None and (worker is None or worker.state != state):
            return False
        if launch_config_id is not None and (worker is None or worker.launch_config_id != launch_config_id):
            return False
        if "quarantined" not in query:
            return True
        until = (seen or {}).get("quarantineUntil")
        away = until is not None and clocks.from_wire(until) > self._clock.now()
        wanted: bool = query["quarantined"] == "true"
        return away == wanted


def _standing(worker: Worker | None) -> dict[str, Any]:
    """How a worker stands with its pool."""
    if worker is None:
        return {"state": "standalone", "capacity": 0, "providerId": "none"}
    shown = {"state": worker.state, "capacity": worker.capacity, "providerId": worker.provider_id}
    return shown if worker.launch_config_id is None else {**shown, "launchConfigId": worker.launch_config_id}


def _listed(worker_pool_id: str, seen: dict[str, Any] | None, worker: Worker | None) -> dict[str, Any]:
    name = {"workerGroup": worker.worker_group, "workerId": worker.worker_id} if worker is not None else {}
    kept = ("workerGroup", "workerId", "firstClaim", "lastDateActive", "latestTask", "quarantineUntil")
    return {"workerPoolId": worker_pool_id, **name, **_standing(worker), **{key: seen[key] for key in kept if seen is not None and key in seen}}
