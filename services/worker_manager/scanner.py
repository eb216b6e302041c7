"""Looks at every machine, and does with each worker what the rules say; decides who is still needed.

One process at a time does this, under a lease that it prolongs with every page of workers.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import msgspec

from tcbox import clock as clocks
from tcbox import log
from tcbox.services.worker_manager import estimator, model, verdicts
from tcbox.services.worker_manager.leases import Leases
from tcbox.services.worker_manager.model import Worker
from tcbox.services.worker_manager.pools import Pools
from tcbox.services.worker_manager.providers.interface import Provider, Sighting, Trouble
from tcbox.services.worker_manager.providers.registry import PATIENCE, Providers
from tcbox.services.worker_manager.queue_view import QueueView
from tcbox.services.worker_manager.removal import Removal
from tcbox.services.worker_manager.verdicts import Seen, Verdict
from tcbox.services.worker_manager.workers import Workers

_AT_ONCE = 10
_NOTHING = Seen()


class Scanner:
    """The loop that looks at machines."""

    def __init__(
        self, *, clock: clocks.Clock, pools: Pools, workers: Workers, providers: Providers, removal: Removal, queue: QueueView, leases: Leases,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._pools = pools
        self._workers = workers
        self._providers = providers
        self._removal = removal
        self._queue = queue
        self._leases = leases
        self._log = log.get("worker-manager")

    async def scan(self) -> None:
        """One round over all workers whose machines are looked after here; nothing at all when no provider has machines."""
        active = [each for each in self._providers if self._active(each)]
        if not active:
            return
        async with self._leases.take("scan") as lease:
            if lease is None:
                return
            running: defaultdict[str, list[Worker]] = defaultdict(list)
            pools: dict[str, dict[tuple[str, str], Seen] | None] = {}
            async for page in self._workers.live():
                found = [(worker, provider) for worker in page if (provider := self._looks_after(worker)) is not None]
                for worker, _ in found:
                    if worker.worker_pool_id not in pools:
                        pools[worker.worker_pool_id] = await self._seen(worker.worker_pool_id)
                kept = await self._look_at(found, pools)
                for worker in kept:
                    if worker.state == model.RUNNING and not self._in_quarantine(worker, pools[worker.worker_pool_id]):
                        running[worker.worker_pool_id].append(worker)
                if not await lease.prolong():
                    return
            for worker_pool_id, workers in running.items():
                await self._guarded(self._decide(worker_pool_id, workers), f"who is needed in {worker_pool_id}")
            for provider in active:
                await self._guarded(provider.sweep(self._known(provider)), f"machines of {provider.provider_id} without a worker")

    def _looks_after(self, worker: Worker) -> Provider | None:
        """The provider of a worker, unless it is one that does nothing for it now."""
        provider = self._providers.get(worker.provider_id)
        return provider if provider is not None and self._active(provider) else None

    def _active(self, provider: Provider) -> bool:
        """Whether a provider has machines, and works."""
        return not (provider.by_hand or provider.idle or provider.provider_id == model.NULL_PROVIDER or provider.provider_id in self._providers.faults)

    async def _seen(self, worker_pool_id: str) -> dict[tuple[str, str], Seen] | None:
        try:
            return await self._queue.seen(worker_pool_id)
        except Exception:
            self._log.exception("the queue does not say which workers of %s are at work; none is removed for being idle in this round", worker_pool_id)
            return None

    async def _look_at(self, found: list[tuple[Worker, Provider]], pools: dict[str, dict[tuple[str, str], Seen] | None]) -> list[Worker]:
        """Look at the machines of a page of workers, a few at a time; those that are kept."""
        gate = asyncio.Semaphore(_AT_ONCE)
        checked: list[tuple[Worker, str]] = []

        async def one(worker: Worker, provider: Provider) -> Worker | None:
            async with gate:
                try:
                    known = pools[worker.worker_pool_id]
                    seen = None if known is None else known.get((worker.worker_group, worker.worker_id), _NOTHING)
                    return await self._one(worker, provider, seen, checked)
                except Exception:
                    self._log.exception(
                        "the machine of worker %s of %s could not be looked at; trying again in the next round", worker.name, worker.worker_pool_id
                    )
                    return None

        kept = await asyncio.gather(*(one(worker, provider) for worker, provider in found))
        await self._workers.checked(checked)
        return [worker for worker in kept if worker is not None]

    async def _one(self, worker: Worker, provider: Provider, seen: Seen | None, checked: list[tuple[Worker, str]]) -> Worker | None:
        async with asyncio.timeout(PATIENCE):
            sighting: Sighting = await provider.look(worker)
        for trouble in sighting.troubles:
            await self._removal.told(worker, trouble, once_in=clocks.DAY)
        verdict = verdicts.judge(worker, sighting.machine, seen, self._clock.now())
        if verdict.do == "remove":
            # it may have registered while its machine was looked at
            fresh = await self._workers.find(*worker.key)
            if fresh is None:
                return None
            worker, verdict = fresh, verdicts.judge(fresh, sighting.machine, seen, self._clock.now())
        if verdict.do == "stopped":
            if await self._workers.stop(worker):
                await self._tell(worker, verdict)
            return None
        data = worker.provider_data if sighting.provider_data is None else msgspec.json.encode(sighting.provider_data).decode()
        checked.append((worker, data))
        if verdict.do == "stopping" and await self._workers.begin_removal(worker, verdict.why):
            await self._tell(worker, verdict)
        elif verdict.do == "remove":
            await self._removal.remove(provider, worker, verdict.why)
            await self._tell(worker, verdict)
        return worker if verdict.do == "keep" else None

    async def _tell(self, worker: Worker, verdict: Verdict) -> None:
        """A worker that goes without ever having registered is an error of its pool."""
        if not verdict.unregistered:
            return
        description = (
            f"Worker {worker.name} was asked for at {clocks.to_wire(worker.created)} and has never registered ({verdict.why}). Look at its image and its "
            "start: the machine must run worker-runner, reach this instance's root URL, and register within lifecycle.registrationTimeout."
        )
        trouble = Trouble(
            "registration-timeout", "Worker never registered", description, {"code": "never-registered", "requested": clocks.to_wire(worker.created)}
        )
        await self._removal.told(worker, trouble, once_in=clocks.DAY)

    def _in_quarantine(self, worker: Worker, known: dict[tuple[str, str], Seen] | None) -> bool:
        seen = (known or {}).get((worker.worker_group, worker.worker_id), _NOTHING)
        return seen.quarantined_until is not None and seen.quarantined_until > self._clock.now()

    async def _decide(self, worker_pool_id: str, workers: list[Worker]) -> None:
        pool = await self._pools.find(worker_pool_id)
        if pool is None:
            return
        every = await self._pools.every_launch_config(worker_pool_id, archived=True)
        archived = {each.launch_config_id for each in every if each.archived}
        needed = estimator.needed(estimator.limits(pool.settings), await self._queue.demand(worker_pool_id))
        await self._workers.decide(verdicts.dispensable(workers, archived, needed))

    async def _guarded(self, work: Awaitable[None], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await work
        except Exception:
            self._log.exception("it could not be seen to %s; trying again in the next round", what)

    def _known(self, provider: Provider) -> Callable[[str, str], Awaitable[bool]]:
        async def known(worker_group: str, worker_id: str) -> bool:
            return await self._workers.has_live(provider.provider_id, worker_group, worker_id)

        return known
