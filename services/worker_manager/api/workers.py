"""Methods about workers as the worker manager knows them: made by hand, read, listed, removed."""

from __future__ import annotations

from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.credentials.sealed import Sealer
from tcbox.services.worker_manager import model, replies
from tcbox.services.worker_manager.declarations import LAUNCH_CONFIG, NEXT, api
from tcbox.services.worker_manager.model import Pool, Worker
from tcbox.services.worker_manager.pools import Pools
from tcbox.services.worker_manager.providers import static
from tcbox.services.worker_manager.providers.interface import Provider
from tcbox.services.worker_manager.providers.registry import Providers
from tcbox.services.worker_manager.removal import Removal
from tcbox.services.worker_manager.workers import Page, Workers

_CATEGORY = "Workers"
_WORKER = "/workers/<workerPoolId>/<workerGroup>/<workerId>"
_OLD_GROUP = "/workers/<workerPoolId>:/<workerGroup>"
_OLD_WORKER = f"{_OLD_GROUP}/<workerId>"
"""Paths with a colon too many, which Taskcluster published once by mistake: clients of that time still use them."""
_ADVICE = {
    "/providerData": 'the secret of a static worker goes into `providerInfo`, as {"staticSecret": "…"}; pages of Taskcluster that speak of '
    "`providerData` are mistaken",
}  # fmt: skip


class WorkerMethods:
    """Makes, changes, reads, lists and removes workers.

    Args:
        sealer: seals the secrets of static workers.
    """

    def __init__(self, *, clock: clocks.Clock, pools: Pools, workers: Workers, providers: Providers, removal: Removal, sealer: Sealer) -> None:
        self._clock = clock
        self._pools = pools
        self._workers = workers
        self._providers = providers
        self._removal = removal
        self._sealer = sealer

    @api.get(
        "/workers/<workerPoolId>/<workerGroup>", name="listWorkersForWorkerGroup", category=_CATEGORY, output="worker-list",
        scopes="worker-manager:list-workers:<workerPoolId>/<workerGroup>", query=NEXT, also=_OLD_GROUP,
    )  # fmt: skip
    async def list_workers_for_worker_group(self, call: Call, workerPoolId: str, workerGroup: str) -> dict[str, Any]:
        """Workers in a specific Worker Group in a Worker Pool

        The workers of one group of a pool by id, in pages.
        """
        size, after = paging.limit(call.query), paging.after(call.query, str) or [""]
        rows = await self._workers.of_group(workerPoolId, workerGroup, after[0], size + 1)
        return paging.page("workers", rows, size, lambda row: (row.worker_id,), replies.worker)

    @api.get(
        _WORKER, name="worker", category=_CATEGORY, output="worker-full", also=_OLD_WORKER,
        scopes="worker-manager:get-worker:<workerPoolId>/<workerGroup>/<workerId>",
    )  # fmt: skip
    async def worker(self, call: Call, workerPoolId: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Get a Worker

        One worker, as the worker manager knows it.
        """
        return replies.worker(await self._workers.get(workerPoolId, workerGroup, workerId))

    @api.put(
        _WORKER, name="createWorker", category=_CATEGORY, input="create-worker-request", output="worker-full", conceal=True, advice=_ADVICE,
        scopes="worker-manager:create-worker:<workerPoolId>/<workerGroup>/<workerId>", also=_OLD_WORKER,
    )  # fmt: skip
    async def create_worker(self, call: Call, workerPoolId: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Create a Worker

        Make a worker known that somebody else looks after, so that it may register. Only providers of the type `static`
        take such workers; `providerInfo.staticSecret` holds the secret with which the worker will prove who it is: 44
        letters, digits, dashes and underscores, another one for each worker. The secret is never shown again.
        """
        provider, _ = await self._by_hand(workerPoolId)
        expires = clocks.from_wire(call.payload["expires"])
        if expires < self._clock.now():
            raise errors.InputError("worker.expires must be in the future: {expires} is past.", expires=call.payload["expires"])
        secret = call.payload.get("providerInfo", {}).get("staticSecret")
        if not secret:
            raise errors.InputError("no worker staticSecret provided: give providerInfo.staticSecret, 44 letters, digits, dashes and underscores.")
        key, capacity = (workerPoolId, workerGroup, workerId), call.payload.get("capacity", 1)
        made, new = await self._workers.create(key, provider.provider_id, capacity=capacity, expires=expires, static_secret=self._sealed(key, secret))
        if not new and not await self._is_twin(provider, made, secret, capacity):
            raise errors.RequestConflict(
                "Worker already exists: {worker} of {workerPoolId} is there, {state}, and not as asked for. Change it with updateWorker, "
                "or choose another workerId.",
                worker=made.name, workerPoolId=workerPoolId, state=made.state,
            )  # fmt: skip
        return replies.worker(made)

    @api.post(
        _WORKER, name="updateWorker", category=_CATEGORY, input="create-worker-request", output="worker-full", conceal=True, advice=_ADVICE,
        scopes="worker-manager:update-worker:<workerPoolId>/<workerGroup>/<workerId>", also=_OLD_WORKER,
    )  # fmt: skip
    async def update_worker(self, call: Call, workerPoolId: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Update an existing Worker

        Change until when a worker of a `static` provider is known, how many tasks at once it runs, and its secret. A time
        in the past has it forgotten at once; without `providerInfo` the secret stays as it is.
        """
        provider, _ = await self._by_hand(workerPoolId)
        worker = await self._workers.get(workerPoolId, workerGroup, workerId)
        if worker.provider_id != provider.provider_id:
            raise _unsupported("updating", worker.provider_id)
        secret = call.payload.get("providerInfo", {}).get("staticSecret")
        changed = await self._workers.change(
            worker, capacity=call.payload.get("capacity", 1), expires=clocks.from_wire(call.payload["expires"]),
            static_secret=self._sealed(worker.key, secret) if secret else None,
        )  # fmt: skip
        return replies.worker(changed)

    @api.delete(_WORKER, name="removeWorker", category=_CATEGORY, scopes="worker-manager:remove-worker:<workerPoolId>/<workerGroup>/<workerId>")
    async def remove_worker(self, call: Call, workerPoolId: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Remove a Worker

        Have a worker's machine removed, which may take a while, during which the worker can still be seen. One of a
        `static` provider is stopped at once: it gets no credentials any more.
        """
        worker = await self._workers.get(workerPoolId, workerGroup, workerId)
        provider = self._providers.working(worker.provider_id)
        if provider is None:
            raise errors.ResourceNotFound("Provider {providerId} for this worker does not exist: it is none of this instance's.", providerId=worker.provider_id)
        if provider.idle:
            raise errors.InputError("The worker cannot be removed from here, because {why}", why=provider.idle)
        await self._removal.remove(provider, worker, "workerManager.removeWorker API call")
        return {}

    @api.get(
        f"{_WORKER}/should-terminate", name="shouldWorkerTerminate", category=_CATEGORY, output="should-worker-terminate-response", stability="experimental",
        scopes="worker-manager:should-worker-terminate:<workerPoolId>/<workerGroup>/<workerId>",
    )  # fmt: skip
    async def should_worker_terminate(self, call: Call, workerPoolId: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Should worker terminate

        Whether a worker should end when it has nothing to do, and why: because its pool has more capacity than work, or
        because nothing is launched any more in the way in which it was.
        """
        worker = await self._workers.get(workerPoolId, workerGroup, workerId)
        return {"terminate": bool(worker.terminate), "reason": worker.reason or "none"}

    @api.get(
        "/workers/<workerPoolId>", name="listWorkersForWorkerPool", category=_CATEGORY, output="worker-list",
        scopes="worker-manager:list-workers:<workerPoolId>",
        query={**NEXT, "launchConfigId": LAUNCH_CONFIG, "state": "^(requested|running|stopping|stopped|standalone)$"},
    )  # fmt: skip
    async def list_workers_for_worker_pool(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """Workers in a Worker Pool

        The workers of a pool, the latest first, in pages; with `state` or `launchConfigId`, only those of that.
        """
        await self._pools.get(workerPoolId)
        size, start = paging.limit(call.query), paging.after(call.query, int, str, str)
        rows = await self._workers.latest(
            workerPoolId, Page(*start) if start else Page(), size + 1, state=call.query.get("state", ""), launch_config_id=call.query.get("launchConfigId", "")
        )
        return paging.page("workers", rows, size, lambda row: (row.created, row.worker_group, row.worker_id), replies.worker)

    async def _by_hand(self, worker_pool_id: str) -> tuple[Provider, Pool]:
        """The provider of a pool whose workers are made by hand."""
        pool = await self._pools.get(worker_pool_id)
        provider = self._providers.working(pool.provider_id)
        if provider is None:
            raise errors.ResourceNotFound(
                "Provider {providerId} for worker pool {workerPoolId} does not exist: it is none of this instance's.",
                providerId=pool.provider_id, workerPoolId=worker_pool_id,
            )  # fmt: skip
        if not provider.by_hand:
            raise _unsupported("creating and updating", pool.provider_id)
        return provider, pool

    def _sealed(self, key: model.Key, secret: str) -> bytes:
        return self._sealer.seal(secret.encode(), context=static.context(key))

    @staticmethod
    async def _is_twin(provider: Provider, there: Worker, secret: str, capacity: int) -> bool:
        """Whether a worker is what a repeated request asks for."""
        same = (there.provider_id, there.state, there.capacity) == (provider.provider_id, model.RUNNING, capacity)
        return same and isinstance(provider, static.Static) and provider.knows(there, secret)


def _unsupported(what: str, provider_id: str) -> errors.InputError:
    return errors.InputError(
        "{what} workers by hand is not supported for the provider {providerId}: only providers of the type static take such workers.",
        what=what,
        providerId=provider_id,
    )
