"""How a machine becomes a worker: it proves who it is and gets credentials, once, or again with the secret from the last time.

A machine that has proved itself and cannot be registered nevertheless is removed, so that it does not run for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.services.worker_manager import credentials, lifecycle, model
from tcbox.services.worker_manager.credentials import WorkerCredentials
from tcbox.services.worker_manager.model import Pool, Worker
from tcbox.services.worker_manager.pools import Pools
from tcbox.services.worker_manager.providers.interface import Provider, Refused
from tcbox.services.worker_manager.providers.registry import PATIENCE, Providers
from tcbox.services.worker_manager.removal import Removal
from tcbox.services.worker_manager.workers import Workers

_SAME = "Could not generate credentials for this secret"


class Registration:
    """Registers workers."""

    def __init__(
        self, *, clock: clocks.Clock, pools: Pools, workers: Workers, providers: Providers, removal: Removal, issuer: WorkerCredentials,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._pools = pools
        self._workers = workers
        self._providers = providers
        self._removal = removal
        self._issuer = issuer
        self._log = log.get("worker-manager")

    async def register(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Register whoever proves to be a worker; what it gets. Raises ApiError when it gets nothing."""
        pool = await self._pools.get(request["workerPoolId"])
        provider = self._provider(pool, request["providerId"])
        worker = await self._worker(request, provider)
        await self._verify(provider, worker, request["workerIdentityProof"])
        try:
            return await self._admit(provider, pool, worker)
        except errors.ApiError as error:
            now = await self._workers.find(*worker.key)
            if now is not None and (now.state in (model.STOPPING, model.STOPPED) or now.expires < self._clock.now()):
                await self._give_up(provider, worker, error)
            raise
        except Exception as error:
            await self._give_up(provider, worker, error)
            raise

    async def reregister(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Fresh credentials for a worker that has the secret from the last time. Raises InputError when it has not."""
        worker = await self._workers.find(request["workerPoolId"], request["workerGroup"], request["workerId"])
        known = credentials.digest(request["secret"])
        if not credentials.fits(request["secret"], worker.secret if worker is not None else None) or worker is None:
            raise errors.InputError(_SAME + ": it is not the one that this worker got last, or the worker has never registered.")
        if worker.state != model.RUNNING:
            raise errors.InputError("Worker {worker} is not running: it is {state}.", worker=worker.name, state=worker.state)
        self._refuse_expired(worker)
        expires = await self._expires(worker)
        secret = credentials.secret()
        if not await self._workers.reregister(worker, known, secret.digest, expires):
            raise errors.InputError(_SAME + ": it has been used just now, or the worker was stopped.")
        return {"expires": clocks.to_wire(expires), "credentials": self._issuer.issue(worker, expires), "secret": secret.text}

    def _provider(self, pool: Pool, provider_id: str) -> Provider:
        provider = self._providers.working(provider_id)
        if provider is None:
            raise errors.ResourceNotFound(
                "Provider {providerId} does not exist: it is none of this instance's ({known}).", providerId=provider_id, known=", ".join(self._providers.ids)
            )
        if provider_id != pool.provider_id and provider_id not in pool.previous_provider_ids:
            raise errors.InputError(
                "Worker pool {workerPoolId} not associated with provider {providerId}: it belongs to {its}.",
                workerPoolId=pool.worker_pool_id, providerId=provider_id, its=pool.provider_id,
            )  # fmt: skip
        return provider

    async def _worker(self, request: Mapping[str, Any], provider: Provider) -> Worker:
        worker = await self._workers.get(request["workerPoolId"], request["workerGroup"], request["workerId"])
        if worker.provider_id != provider.provider_id:
            raise errors.InputError("Worker {worker} does not have provider {providerId}.", worker=worker.name, providerId=provider.provider_id)
        if provider.by_hand:
            self._refuse_expired(worker)
        return worker

    async def _verify(self, provider: Provider, worker: Worker, proof: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await provider.verify(worker, proof)
        except Refused as refused:
            self._log.info("worker %s of %s was refused: %s", worker.name, worker.worker_pool_id, refused)
            raise errors.InputError("{reason}", reason=str(refused)) from None

    async def _admit(self, provider: Provider, pool: Pool, worker: Worker) -> dict[str, Any]:
        """Make a worker that has proved itself a running one."""
        self._refuse_expired(worker)
        needs = model.RUNNING if provider.by_hand else model.REQUESTED
        expires = await self._expires(worker, pool)
        secret = credentials.secret()
        if not await self._workers.register(worker, needs, secret.digest, None if provider.by_hand else expires):
            raise errors.InputError(
                "worker is not running: {worker} has been stopped."
                if provider.by_hand
                else "This worker is either stopped or running. No need to register: {worker} was {state}. Who has registered calls reregisterWorker.",
                worker=worker.name, state=worker.state,
            )  # fmt: skip
        config = msgspec.json.decode(worker.worker_config) if worker.worker_config is not None else pool.settings.get("workerConfig", {})
        return {
            "expires": clocks.to_wire(expires),
            "credentials": self._issuer.issue(worker, expires),
            "workerConfig": config if isinstance(config, dict) else {},
            "secret": secret.text,
        }

    async def _give_up(self, provider: Provider, worker: Worker, error: Exception) -> None:
        """Have the machine of a worker removed that has proved itself and gets no credentials."""
        if provider.by_hand:
            return
        try:
            await self._removal.remove(provider, worker, f"registration failed: {error}")
        except Exception:
            self._log.exception("worker %s of %s could not be removed after its registration failed; the scanner will", worker.name, worker.worker_pool_id)

    async def _expires(self, worker: Worker, pool: Pool | None = None) -> int:
        """Until when credentials hold: for as long as the pool says, and no longer than a worker that was made by hand is known."""
        if worker.reregistration_timeout is not None:
            return self._clock.now() + worker.reregistration_timeout
        pool = pool or await self._pools.find(worker.worker_pool_id)
        span = lifecycle.of(pool.settings).reregistration if pool is not None else lifecycle.REREGISTRATION
        return min(self._clock.now() + span, worker.expires)

    def _refuse_expired(self, worker: Worker) -> None:
        if worker.expires < self._clock.now():
            raise errors.InputError("Worker {worker} has expired, at {expires}.", worker=worker.name, expires=clocks.to_wire(worker.expires))
