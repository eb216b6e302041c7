"""The queue as a whole: its parts put together from what it is given."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import db, events
from tcbox.client import Caller
from tcbox.runtime import LoopSpec
from tcbox.services.queue import declarations, removals, store
from tcbox.services.queue import events as exchanges
from tcbox.services.queue.alarms import Alarms
from tcbox.services.queue.api.artifact_reads import ArtifactReads
from tcbox.services.queue.api.artifacts import Artifacts
from tcbox.services.queue.api.counts import Counts
from tcbox.services.queue.api.groups import Groups
from tcbox.services.queue.api.lifecycle import Lifecycle
from tcbox.services.queue.api.tasks import Tasks
from tcbox.services.queue.api.work import Work
from tcbox.services.queue.api.workers import Workers
from tcbox.services.queue.artifact_store import ArtifactStore
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.claiming import Claiming
from tcbox.services.queue.creation import Creation
from tcbox.services.queue.definitions import Limits
from tcbox.services.queue.loops import Loops
from tcbox.services.queue.removals import Removals
from tcbox.services.queue.run_credentials import RunCredentials
from tcbox.services.queue.sightings import Sightings
from tcbox.services.queue.waiters import Waiters

PENDING = "queue.pending"
"""The topic of signals between the queue's processes: the task queue of a task that waits for a worker."""


class Service:
    """The queue service.

    Args:
        client_id, access_token: the queue's own credentials, with which temporary ones are signed.
        caller: calls other services (the object service) with the queue's credentials.
        artifact_store: where the bytes of artifacts of the storage type `s3` go; None to refuse that type.
        claim_timeout: seconds for which a claim holds unless it is renewed.
        deadline_days: how many days ahead a task's deadline may be.
        max_dependencies: how many dependencies a task may have.
        deadline_delay: ms after its deadline until a task is resolved.
        expiration_delay: ms after they expire until tasks, artifacts and the like are removed.
        watch_workers: whether to end the runs of workers that the worker manager says are gone, rather than wait until
            their claims end.
    """

    name = "queue"
    with_api = frozenset(("sightings", "pending"))
    requires = ("auth", "object")
    api = declarations.api
    monitoring = declarations.Monitoring
    exchanges = exchanges.exchanges
    migrations = store.migrations

    def __init__(
        self,
        *,
        database: db.Database,
        bus: events.Bus,
        clock: clocks.Clock,
        caller: Caller,
        client_id: str,
        access_token: str,
        artifact_store: ArtifactStore | None = None,
        claim_timeout: int = 1200,
        deadline_days: int = 5,
        max_dependencies: int = 10_000,
        deadline_delay: int = 0,
        expiration_delay: int = 30 * clocks.MINUTE,
        watch_workers: bool = False,
    ) -> None:
        self._bus = bus
        self._database = database
        self._watch_workers = watch_workers
        self.waiters = Waiters(clock, lambda task_queue_id: database.signal(PENDING, task_queue_id))
        self.sightings = Sightings(database, clock)
        self._alarms = alarms = Alarms(clock, database)
        changes = Changes(bus, self.waiters, alarms, expiration_delay=expiration_delay)
        creation = Creation(database, changes, alarms, self.sightings, deadline_delay=deadline_delay)
        credentials = RunCredentials(client_id, access_token, clock)
        claiming = Claiming(
            database=database, clock=clock, changes=changes, waiters=self.waiters, sightings=self.sightings, alarms=alarms,
            credentials=credentials, claim_timeout=claim_timeout * clocks.SECOND,
        )  # fmt: skip
        self.removals = Removals(database, changes)
        self.work = Loops(
            database=database, clock=clock, changes=changes, waiters=self.waiters, sightings=self.sightings, alarms=alarms,
            artifact_store=artifact_store, deadline_delay=deadline_delay, expiration_delay=expiration_delay,
        )  # fmt: skip
        self._families: list[object] = [
            Tasks(database),
            Lifecycle(database, clock, changes, creation, Limits(deadline_days, max_dependencies)),
            Groups(database, changes),
            Work(database, changes, claiming, self.sightings),
            Artifacts(database=database, clock=clock, changes=changes, credentials=credentials, caller=caller, artifact_store=artifact_store),
            ArtifactReads(database, clock, credentials, caller, artifact_store),
            Counts(database),
            Workers(database, clock, self.sightings),
        ]
        self.loops = [
            LoopSpec("dependencies", 0, self.work.dependencies),
            LoopSpec("claims", 0, self.work.claims),
            LoopSpec("deadlines", 0, self.work.deadlines),
            LoopSpec("expiry", 0, self.work.expiry),
            LoopSpec("sightings", clocks.SECOND, self.work.sightings),
            LoopSpec("pending", clocks.SECOND, self.work.pending),
        ]

    async def start(self, stack: AsyncExitStack) -> None:
        """Begin to listen for workers that are gone, if that is wanted."""
        if self._watch_workers:
            subscription = await self._bus.subscribe("queue/worker-removed", removals.BINDINGS, self.removals.handle)
            stack.push_async_callback(self._bus.unsubscribe, subscription)
        stack.push_async_callback(self.sightings.flush)
        stack.callback(self._database.listen(PENDING, self.waiters.hear))
        stack.callback(self._alarms.dependencies.hear())
        self.waiters.draining = False

    def families(self) -> list[object]:
        """The objects whose methods answer the API, the monitoring methods aside."""
        return self._families

    def drain(self) -> None:
        """Send home the workers that wait, and claim nothing more."""
        self.waiters.drain()
