"""Methods about worker pools, the ways in which their machines are launched, and providers."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import errors
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.services.worker_manager import replies
from tcbox.services.worker_manager.declarations import NEXT, api
from tcbox.services.worker_manager.model import Numbers, Pool
from tcbox.services.worker_manager.pools import Pools, Wanted
from tcbox.services.worker_manager.providers.registry import Providers

_CATEGORY = "Worker Pools"
_MANAGE = {"AllOf": ["worker-manager:manage-worker-pool:<workerPoolId>", "worker-manager:provider:<providerId>"]}


class PoolMethods:
    """Makes, changes, reads and lists pools."""

    def __init__(self, pools: Pools, providers: Providers) -> None:
        self._pools = pools
        self._providers = providers

    @api.get("/providers", name="listProviders", category="Providers", output="provider-list", scopes="worker-manager:list-providers", query=NEXT)
    async def list_providers(self, call: Call) -> dict[str, Any]:
        """List Providers

        The providers that a worker pool can belong to, in pages. Those of a type `aws`, `azure` or `google` are listed
        whether or not they can launch machines just now.
        """
        size, start = paging.limit(call.query), paging.after(call.query, int) or [0]
        at = max(0, start[0])
        rows = list(enumerate(self._providers.listed, 1))[at : at + size + 1]
        return paging.page("providers", rows, size, lambda row: (row[0],), lambda row: {"providerId": row[1].provider_id, "providerType": row[1].provider_type})

    @api.put(
        "/worker-pool/<workerPoolId>",
        name="createWorkerPool",
        category=_CATEGORY,
        input="create-worker-pool-request",
        output="worker-pool-full",
        scopes=_MANAGE,
    )
    async def create_worker_pool(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """Create Worker Pool

        Make a worker pool. The configuration must have the form that its provider takes, and is given back as it came.
        The same request may be repeated; if there is another pool of this name, the answer is a conflict.
        """
        wanted = await self._wanted(call, workerPoolId)
        return await self._shown(await self._pools.create(workerPoolId, wanted, await call.client_id()))

    @api.post(
        "/worker-pool/<workerPoolId>", name="updateWorkerPool", category=_CATEGORY, input="update-worker-pool-request", output="worker-pool-full",
        scopes=_MANAGE, stability="experimental",
    )  # fmt: skip
    async def update_worker_pool(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """Update Worker Pool

        Replace what a worker pool is. With the provider `null-provider` it is marked to go: it gets no new workers, and
        is forgotten soon after the last of those that it has is gone. Until then it can be given a provider again.
        """
        wanted = await self._wanted(call, workerPoolId)
        if call.payload.get("workerPoolId", workerPoolId) != workerPoolId:
            raise errors.InputError(
                "Incorrect workerPoolId in request body: it is {given}, and the request is for {workerPoolId}. Leave it out, or make them the same.",
                given=call.payload["workerPoolId"], workerPoolId=workerPoolId,
            )  # fmt: skip
        return await self._shown(await self._pools.update(workerPoolId, wanted, await call.client_id()))

    @api.delete(
        "/worker-pool/<workerPoolId>",
        name="deleteWorkerPool",
        category=_CATEGORY,
        output="worker-pool-full",
        scopes="worker-manager:manage-worker-pool:<workerPoolId>",
    )
    async def delete_worker_pool(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """Delete Worker Pool

        Mark a worker pool to go, as `updateWorkerPool` with `null-provider` does, and archive all of its launch
        configurations. This needs no scope for a provider.
        """
        return await self._shown(await self._pools.delete(workerPoolId, await call.client_id()))

    @api.get(
        "/worker-pool/<workerPoolId>/launch-configs", name="listWorkerPoolLaunchConfigs", category="Worker Pool Launch Configs", stability="experimental",
        output="worker-pool-launch-config-list", scopes="worker-manager:get-worker-pool:<workerPoolId>", query={**NEXT, "includeArchived": "^(true|false)$"},
    )  # fmt: skip
    async def list_worker_pool_launch_configs(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """List Worker Pool Launch Configs

        The ways in which a pool's machines are launched, by id, in pages; with `includeArchived=true` also those that
        are no longer used and by which some worker was launched.
        """
        await self._pools.get(workerPoolId)
        size, after = paging.limit(call.query), paging.after(call.query, str) or [""]
        archived = call.query.get("includeArchived") == "true"
        rows = await self._pools.launch_configs(workerPoolId, after[0], size + 1, archived=archived)
        return paging.page("workerPoolLaunchConfigs", rows, size, lambda row: (row.launch_config_id,), replies.launch_config)

    @api.get(
        "/worker-pool/<workerPoolId>/stats", name="workerPoolStats", category=_CATEGORY, output="worker-pool-stats", stability="experimental",
        scopes="worker-manager:get-worker-pool:<workerPoolId>",
    )  # fmt: skip
    async def worker_pool_stats(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """Get Worker Pool Statistics

        How many workers of a pool are in each state, and how many tasks at once they run, by launch configuration;
        `unknown` stands for workers that were launched by none.
        """
        await self._pools.get(workerPoolId)
        split = await self._pools.split(workerPoolId)
        shown = [{"workerPoolId": workerPoolId, "launchConfigId": key or "unknown", **replies.counts(numbers)} for key, numbers in split.items()]
        return {"launchConfigStats": shown or [{"workerPoolId": workerPoolId, "launchConfigId": "unknown", **replies.counts(Numbers())}]}

    @api.get(
        "/worker-pool/<workerPoolId>", name="workerPool", category=_CATEGORY, output="worker-pool-full", scopes="worker-manager:get-worker-pool:<workerPoolId>"
    )
    async def worker_pool(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """Get Worker Pool

        One worker pool, with its configuration and how many workers it has.
        """
        return await self._shown(await self._pools.get(workerPoolId))

    @api.get("/worker-pools", name="listWorkerPools", category=_CATEGORY, output="worker-pool-list", scopes="worker-manager:list-worker-pools", query=NEXT)
    async def list_worker_pools(self, call: Call) -> dict[str, Any]:
        """List All Worker Pools

        All worker pools by name, in pages.
        """
        size, after = paging.limit(call.query), paging.after(call.query, str) or [""]
        rows = await self._pools.page(after[0], size + 1)
        numbers = await self._pools.numbers(rows[0].worker_pool_id, rows[-1].worker_pool_id) if rows else {}
        return paging.page(
            "workerPools", rows, size, lambda row: (row.worker_pool_id,), lambda row: replies.pool(row, numbers.get(row.worker_pool_id, Numbers()))
        )

    @api.get(
        "/worker-pools/stats", name="listWorkerPoolsStats", category=_CATEGORY, output="worker-pool-list-stats", scopes="worker-manager:list-worker-pools",
        query=NEXT, stability="experimental",
    )  # fmt: skip
    async def list_worker_pools_stats(self, call: Call) -> dict[str, Any]:
        """List All Worker Pools Stats

        How many workers of each pool are in each state, and how many tasks at once they run, in pages.
        """
        size, after = paging.limit(call.query), paging.after(call.query, str) or [""]
        names = await self._pools.names(after[0], size + 1)
        numbers = await self._pools.numbers(names[0], names[-1]) if names else {}
        return paging.page(
            "workerPoolsStats", names, size, lambda name: (name,), lambda name: {"workerPoolId": name, **replies.counts(numbers.get(name, Numbers()))}
        )

    async def _wanted(self, call: Call, worker_pool_id: str) -> Wanted:
        """What a pool is to be, checked by its provider."""
        payload = call.payload
        await call.authorize(workerPoolId=worker_pool_id, providerId=payload["providerId"])
        provider = self._providers.working(payload["providerId"])
        if provider is None:
            raise errors.InputError(
                "Invalid Provider: there is no {providerId}. Choose one of {validProviderIds}, or add it below `providers` in tcbox.yml.",
                providerId=payload["providerId"], validProviderIds=", ".join(self._providers.ids),
            )  # fmt: skip
        faults = self._providers.misfit(provider, payload["config"])
        if faults:
            raise errors.InputValidationError(
                "Schema Validation Failed!\nRejecting Schema: {schema}\nErrors:\n{faults}",
                schema=f"/schemas/worker-manager/v1/{provider.schema}.json#", faults=faults,
            )  # fmt: skip
        text = msgspec.json.encode(payload["config"]).decode()
        return Wanted(payload["providerId"], payload["description"], payload["owner"], payload["emailOnError"], text)

    async def _shown(self, pool: Pool) -> dict[str, Any]:
        numbers = await self._pools.numbers(pool.worker_pool_id, pool.worker_pool_id)
        return replies.pool(pool, numbers.get(pool.worker_pool_id, Numbers()))
