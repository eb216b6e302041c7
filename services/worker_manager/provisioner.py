"""Sees to it that each pool has the workers that it needs: orders machines, and lets go of former providers.

A round takes one pool after the other, each under a lease, so that several processes can do this on one database.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from tcbox import clock as clocks
from tcbox import log
from tcbox.services.worker_manager import estimator, model, selection
from tcbox.services.worker_manager.estimator import Supply
from tcbox.services.worker_manager.leases import Lease, Leases
from tcbox.services.worker_manager.model import NULL_PROVIDER, LaunchConfig, Pool, Worker
from tcbox.services.worker_manager.orders import PATIENCE as ORDER_PATIENCE
from tcbox.services.worker_manager.orders import Open, Orders
from tcbox.services.worker_manager.pools import Pools
from tcbox.services.worker_manager.providers.interface import Order, Provider, Trouble
from tcbox.services.worker_manager.providers.registry import PATIENCE, Providers
from tcbox.services.worker_manager.queue_view import QueueView
from tcbox.services.worker_manager.reports import Reports
from tcbox.services.worker_manager.workers import Workers

_PAGE = 200


class Provisioner:
    """The loop that asks for machines.

    Args:
        draw: a number from 0 to below 1, by which launch configurations are chosen.
    """

    def __init__(
        self, *, clock: clocks.Clock, pools: Pools, workers: Workers, providers: Providers, orders: Orders, reports: Reports,
        queue: QueueView, leases: Leases, draw: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._pools = pools
        self._workers = workers
        self._providers = providers
        self._orders = orders
        self._reports = reports
        self._queue = queue
        self._leases = leases
        self._draw = draw
        self._told_of: dict[str, tuple[str, int]] = {}
        self._log = log.get("worker-manager")

    async def provision(self) -> None:
        """One round over all pools; one pool, or provider, that fails keeps none of the others from theirs."""
        await self._providers.prepare()
        after = ""
        while True:
            page = await self._pools.page(after, _PAGE)
            for pool in page:
                try:
                    await self._pool(pool)
                except Exception:
                    self._log.exception("worker pool %s cannot be provisioned now; trying again in the next round", pool.worker_pool_id)
            if len(page) < _PAGE:
                return
            after = page[-1].worker_pool_id

    async def _pool(self, pool: Pool) -> None:
        provider = self._providers.get(pool.provider_id)
        if provider is None:
            known = ", ".join(self._providers.ids)
            await self._told(
                pool, f"This instance has no provider {pool.provider_id}: add it below `providers` in tcbox.yml, or change the pool to one of {known}."
            )
        elif provider.idle:
            await self._told(pool, f"Nothing is provisioned, because {provider.idle}")
        if provider is None or provider.by_hand or provider.idle or provider.provider_id == NULL_PROVIDER:
            if not pool.previous_provider_ids:
                return
            provider = None
        async with self._leases.take(f"pool/{pool.worker_pool_id}") as lease:
            if lease is None:
                return
            await self._settle(pool)
            if provider is not None and provider.provider_id not in self._providers.faults:
                await self._provision(lease, pool, provider)
            for former in pool.previous_provider_ids:
                await self._part(pool, former)

    async def _told(self, pool: Pool, why: str) -> None:
        """Tell, once a day and not by mail, why a pool that ought to have machines has none."""
        now = self._clock.now()
        before, when = self._told_of.get(pool.worker_pool_id, ("", 0))
        if (before == why and when > now - clocks.HOUR) or not pool.settings.get("maxCapacity"):
            return
        self._told_of[pool.worker_pool_id] = (why, now)
        await self._reports.add(pool, Trouble("provisioning-off", "Nothing is provisioned", why), mail=False, once_in=clocks.DAY)

    async def _provision(self, lease: Lease, pool: Pool, provider: Provider) -> None:
        limits = estimator.limits(pool.settings)
        workers, orders = await self._workers.live_of(pool.worker_pool_id), await self._orders.open(pool.worker_pool_id)
        demand = await self._queue.demand(pool.worker_pool_id)
        away = await self._queue.quarantined(pool.worker_pool_id) if workers else set()
        missing = estimator.missing(limits, demand, supply(workers, orders, away))
        if not missing:
            return
        capacities = Counter[str | None]()
        for worker in workers:
            capacities[worker.launch_config_id] += worker.capacity
        for order in orders:
            capacities[order.launch_config_id] += order.capacity * order.machines
        launch_configs = {each.launch_config_id: each for each in await self._pools.every_launch_config(pool.worker_pool_id)}
        errors = Counter[str | None]()
        for row in await self._reports.counts(pool.worker_pool_id, self._clock.now() - clocks.HOUR):
            errors[row["launch_config_id"]] += row["errors"]
        chosen = selection.choose(selection.candidates(launch_configs.values(), limits.most, capacities, errors), missing, self._draw)
        wanted = [(each.launch_config.launch_config_id, count, each.each) for each, count in chosen]
        for placed in await self._orders.place(lease, pool, wanted) if wanted else []:
            await self._ask(provider, pool, launch_configs[placed.launch_config_id], placed)

    async def _settle(self, pool: Pool) -> None:
        """Ask again for what was ordered before and is not known to have come, be it for a former provider."""
        open_orders = await self._orders.open(pool.worker_pool_id)
        if not open_orders:
            return
        known = {each.launch_config_id: each for each in await self._pools.every_launch_config(pool.worker_pool_id, archived=True)}
        for order in open_orders:
            provider, launch_config = self._providers.get(order.provider_id), known.get(order.launch_config_id)
            if order.created < self._clock.now() - ORDER_PATIENCE or launch_config is None:
                minutes = ORDER_PATIENCE // clocks.MINUTE
                words = f"The provider {order.provider_id} did not say within {minutes} minutes what became of an order of {order.machines} machines."
                await self._orders.fail(order, pool, Trouble("creation-error", "Instance Creation Error", words))
            elif provider is not None and order.provider_id not in self._providers.faults:
                await self._ask(provider, pool, launch_config, order)

    async def _ask(self, provider: Provider, pool: Pool, launch_config: LaunchConfig, open_order: Open) -> None:
        order = Order(open_order.token, pool, launch_config, open_order.machines, open_order.capacity, open_order.created)
        try:
            async with asyncio.timeout(PATIENCE):
                launched = await provider.launch(order)
        except Trouble as trouble:
            await self._orders.fail(open_order, pool, trouble)
        except Exception:
            self._log.exception("it is not known what became of an order for %s; it is asked for again under the same token", pool.worker_pool_id)
        else:
            await self._orders.fill(order, open_order.provider_id, launched)

    async def _part(self, pool: Pool, provider_id: str) -> None:
        """Let go of a former provider, and forget it when it has no workers in the pool any more."""
        provider = self._providers.get(provider_id)
        if provider is not None:
            if provider_id in self._providers.faults:
                return
            try:
                async with asyncio.timeout(PATIENCE):
                    await provider.deprovision(pool)
            except Exception:
                self._log.exception("the provider %s cannot let go of %s now; trying again in the next round", provider_id, pool.worker_pool_id)
                return
        await self._pools.part(pool, provider_id)


def supply(workers: list[Worker], orders: list[Open], away: set[tuple[str, str]]) -> Supply:
    """What a pool has, and what is coming: workers in quarantine do not count, and orders count in full."""
    found = Counter[str]()
    for each in workers:
        if (each.worker_group, each.worker_id) not in away or each.state == model.STOPPING:
            found[each.state] += each.capacity
    ordered = sum(each.machines * each.capacity for each in orders)
    return Supply(found[model.RUNNING], found[model.REQUESTED] + ordered, found[model.STOPPING])
