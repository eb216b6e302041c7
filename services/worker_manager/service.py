"""The worker manager, put together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.api.schemas import SchemaSet
from tcbox.client import Caller
from tcbox.credentials.sealed import Sealer
from tcbox.events import Bus
from tcbox.runtime import LoopSpec
from tcbox.runtime.health import Health
from tcbox.services.worker_manager import declarations, events, model, store
from tcbox.services.worker_manager.api.errors import ErrorMethods
from tcbox.services.worker_manager.api.metadata import MetadataMethods
from tcbox.services.worker_manager.api.pools import PoolMethods
from tcbox.services.worker_manager.api.registration import RegistrationMethods
from tcbox.services.worker_manager.api.workers import WorkerMethods
from tcbox.services.worker_manager.credentials import WorkerCredentials
from tcbox.services.worker_manager.leases import Leases
from tcbox.services.worker_manager.mails import Mails
from tcbox.services.worker_manager.orders import Orders
from tcbox.services.worker_manager.pools import Audit, Pools
from tcbox.services.worker_manager.providers import inert
from tcbox.services.worker_manager.providers.interface import Provider
from tcbox.services.worker_manager.providers.registry import Providers
from tcbox.services.worker_manager.provisioner import Provisioner
from tcbox.services.worker_manager.queue_view import QueueView
from tcbox.services.worker_manager.registration import Registration
from tcbox.services.worker_manager.removal import Removal
from tcbox.services.worker_manager.reports import Reports
from tcbox.services.worker_manager.scanner import Scanner
from tcbox.services.worker_manager.workers import Workers

RETENTION = 7 * clocks.DAY
_log = log.get("worker-manager")


class Service:
    """Worker pools, and the workers in them.

    Args:
        caller: calls the queue and the notify service.
        client_id, access_token: the service's own credentials, with which those of workers are signed.
        providers: by id, without that of pools that are to go.
        audit: where changes are recorded; None to record none.
        health: where providers that do not work are told of; None to tell nobody.
        error_retention: ms for which errors of pools are kept.
    """

    name = "worker-manager"
    requires: tuple[str, ...] = ("auth", "queue")
    api = declarations.api
    exchanges = events.exchanges
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self,
        *,
        database: db.Database,
        bus: Bus,
        clock: clocks.Clock,
        caller: Caller,
        sealer: Sealer,
        schemas: SchemaSet,
        client_id: str,
        access_token: str,
        providers: Mapping[str, Provider],
        audit: Audit | None = None,
        health: Health | None = None,
        error_retention: int = RETENTION,
    ) -> None:
        self._health = health
        self.providers = Providers({**providers, model.NULL_PROVIDER: inert.null()}, schemas)
        self.pools = Pools(database, bus, audit)
        self.workers = Workers(database, bus)
        self.reports = Reports(database, bus, clock, retention=error_retention)
        self.mails = Mails(database, clock, caller)
        self._leases = Leases(database)
        self._clock = clock
        queue = QueueView(caller)
        removal = Removal(self.workers, self.pools, self.reports)
        self.provisioner = Provisioner(
            clock=clock, pools=self.pools, workers=self.workers, providers=self.providers, orders=Orders(database, bus, self.reports),
            reports=self.reports, queue=queue, leases=self._leases,
        )  # fmt: skip
        self.scanner = Scanner(clock=clock, pools=self.pools, workers=self.workers, providers=self.providers, removal=removal, queue=queue, leases=self._leases)
        registration = Registration(
            clock=clock, pools=self.pools, workers=self.workers, providers=self.providers, removal=removal,
            issuer=WorkerCredentials(client_id, access_token, clock),
        )  # fmt: skip
        self._families: list[object] = [
            PoolMethods(self.pools, self.providers),
            ErrorMethods(clock, self.pools, self.workers, self.reports),
            WorkerMethods(clock=clock, pools=self.pools, workers=self.workers, providers=self.providers, removal=removal, sealer=sealer),
            RegistrationMethods(registration),
            MetadataMethods(clock, self.workers, queue),
        ]
        self.loops = [
            LoopSpec("provision", 10 * clocks.SECOND, self.provisioner.provision),
            LoopSpec("scan-workers", 20 * clocks.SECOND, self.scanner.scan),
            LoopSpec("mail-errors", 5 * clocks.SECOND, self.mails.send),
            LoopSpec("expire", clocks.HOUR, self.expire),
        ]

    async def start(self, stack: AsyncExitStack) -> None:
        """Have the status tell of providers that do not work."""
        if self._health is not None:
            self._health.watch("providers", lambda: self.providers.fault)
            stack.callback(self._health.unwatch, "providers")

    def families(self) -> list[object]:
        """What answers the API."""
        return self._families

    def notes(self) -> list[str]:
        """How each provider is doing, for the status."""
        return self.providers.notes

    async def expire(self) -> None:
        """Forget workers and errors past their time, launch configurations that nobody uses, and pools that were given up."""
        await self.workers.expire(self._keeps)
        await self.reports.expire()
        await self.pools.expire_launch_configs()
        for worker_pool_id in await self.pools.expire():
            _log.info("forgot worker pool %s", worker_pool_id)
        await self._leases.expire(self._clock.now())

    def _keeps(self, worker: model.Worker) -> bool:
        """Whether a worker that has expired is kept nevertheless, for its machine may be there and must not be forgotten."""
        provider = self.providers.get(worker.provider_id)
        return worker.state != model.STOPPED and provider is not None and not provider.by_hand and not provider.idle
