"""Orders of machines: written down before a provider is asked, settled with its answer, so that a crash loses none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tcbox import clock as clocks
from tcbox import db, ids
from tcbox.events import Bus
from tcbox.services.worker_manager import events, lifecycle, model, store
from tcbox.services.worker_manager.leases import Lease
from tcbox.services.worker_manager.model import Pool
from tcbox.services.worker_manager.providers.interface import Launched, Order, Trouble
from tcbox.services.worker_manager.reports import Reports
from tcbox.services.worker_manager.store import sql

PATIENCE = 10 * clocks.MINUTE
"""For how long an order whose outcome is not known is asked for again, in ms."""
MOST = 1000
EXPIRES = 7 * clocks.DAY
"""For how long a new worker is remembered, unless its machine is seen to be there."""


@dataclass(frozen=True, slots=True)
class Open:
    """An order that is not settled, as it is written down."""

    token: str
    worker_pool_id: str
    provider_id: str
    launch_config_id: str
    machines: int
    capacity: int
    created: int


class Orders:
    """The orders that are not settled."""

    def __init__(self, database: db.Database, bus: Bus, reports: Reports) -> None:
        self._db = database
        self._bus = bus
        self._reports = reports

    async def open(self, worker_pool_id: str) -> list[Open]:
        """Those of a pool, the oldest first."""
        rows = await self._db.all(sql.list_orders, worker_pool_id=worker_pool_id, limit=MOST)
        return [
            Open(row["token"], row["worker_pool_id"], row["provider_id"], row["launch_config_id"], row["machines"], row["capacity"], row["created"])
            for row in rows
        ]

    async def place(self, lease: Lease, pool: Pool, wanted: Sequence[tuple[str, int, int]]) -> list[Open]:
        """Write orders down: launchConfigId, machines, and the capacity of each.

        None are written when the lease, or the pool, is no longer what it was.
        """

        async def place(tx: db.Tx) -> list[Open]:
            row = await tx.one(sql.lock_pool, worker_pool_id=pool.worker_pool_id)
            if row is None or store.pool(row).provider_id != pool.provider_id or not await lease.check(tx):
                return []
            made = [Open(ids.slugid(), pool.worker_pool_id, pool.provider_id, key, machines, capacity, tx.now) for key, machines, capacity in wanted]
            for each in made:
                await tx.execute(
                    sql.add_order, token=each.token, worker_pool_id=each.worker_pool_id, provider_id=each.provider_id, now=tx.now,
                    launch_config_id=each.launch_config_id, machines=each.machines, capacity=each.capacity,
                )  # fmt: skip
            return made

        return await self._db.transaction(place)

    async def fill(self, order: Order, provider_id: str, launched: Sequence[Launched]) -> None:
        """Write the machines of an order as workers that were asked for, and settle it; those that are there already are let be."""
        span = lifecycle.of(order.pool.settings)
        name = order.pool.worker_pool_id

        async def fill(tx: db.Tx) -> None:
            if not await tx.execute(sql.end_order, token=order.token):
                return  # another process has settled it
            messages = []
            for each in launched:
                added = await tx.execute(
                    sql.add_worker, worker_pool_id=name, worker_group=each.worker_group, worker_id=each.worker_id, provider_id=provider_id,
                    launch_config_id=order.launch_config.launch_config_id, state=model.REQUESTED, capacity=order.capacity, now=tx.now,
                    expires=tx.now + EXPIRES, terminate_after=tx.now + span.first, reregistration_timeout=span.reregistration,
                    queue_inactivity_timeout=span.queue_inactivity, static_secret=None, provider_data=msgspec.json.encode(each.provider_data).decode(),
                    worker_config=None if each.worker_config is None else msgspec.json.encode(each.worker_config).decode(),
                )  # fmt: skip
                row = await tx.one(sql.get_worker, worker_pool_id=name, worker_group=each.worker_group, worker_id=each.worker_id)
                if added and row is not None:
                    messages.append(events.worker(events.worker_requested, store.worker(row), tx.now))
            await self._bus.publish_all(tx, messages)

        await self._db.transaction(fill)

    async def fail(self, order: Open, pool: Pool | None, trouble: Trouble) -> None:
        """Settle an order of which nothing is coming, and tell why, though not in every round while it stays the same."""

        async def fail(tx: db.Tx) -> None:
            if await tx.execute(sql.end_order, token=order.token) and pool is not None:
                await self._reports.write(tx, pool, trouble, launch_config_id=order.launch_config_id, once_in=clocks.MINUTE)

        await self._db.transaction(fail)
