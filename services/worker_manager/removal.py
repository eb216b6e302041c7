"""The way out for a worker: it is announced, its machine is removed, and what goes wrong with that is told and tried again."""

from __future__ import annotations

import asyncio

from tcbox import clock as clocks
from tcbox import log
from tcbox.services.worker_manager.model import Worker
from tcbox.services.worker_manager.pools import Pools
from tcbox.services.worker_manager.providers.interface import Provider, Trouble
from tcbox.services.worker_manager.providers.registry import PATIENCE
from tcbox.services.worker_manager.reports import Reports
from tcbox.services.worker_manager.workers import Workers


class Removal:
    """Removes workers and their machines."""

    def __init__(self, workers: Workers, pools: Pools, reports: Reports) -> None:
        self._workers = workers
        self._pools = pools
        self._reports = reports
        self._log = log.get("worker-manager")

    async def remove(self, provider: Provider, worker: Worker, reason: str) -> None:
        """Remove a worker. Its machine, where there is one, is known to be gone only when the scanner has seen so."""
        if provider.by_hand:
            await self._workers.stop(worker, removed=reason)
            return
        if await self._workers.begin_removal(worker, reason):
            self._log.info("worker %s of %s is removed: %s", worker.name, worker.worker_pool_id, reason)
        try:
            async with asyncio.timeout(PATIENCE):
                await provider.remove(worker)
        except Exception as error:
            self._log.exception("the machine of worker %s of %s cannot be removed now; the scanner will try again", worker.name, worker.worker_pool_id)
            await self.told(worker, error if isinstance(error, Trouble) else _trouble(worker, error))

    async def told(self, worker: Worker, trouble: Trouble, *, once_in: int = clocks.HOUR) -> None:
        """Tell the owner of a worker's pool what is wrong with it."""
        pool = await self._pools.find(worker.worker_pool_id)
        if pool is not None:
            extra = {**trouble.extra, "workerGroup": worker.worker_group, "workerId": worker.worker_id}
            full = Trouble(trouble.kind, trouble.title, trouble.description, extra)
            await self._reports.add(pool, full, launch_config_id=worker.launch_config_id, once_in=once_in)


def _trouble(worker: Worker, error: Exception) -> Trouble:
    words = str(error) or type(error).__name__
    return Trouble(
        "termination-error", "Instance Termination Error",
        f"The machine of worker {worker.name} could not be removed: {words}. It is tried again until the machine is gone.",
    )  # fmt: skip
