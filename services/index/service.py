"""The index, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import db, events, log
from tcbox.client import Caller
from tcbox.runtime import LoopSpec
from tcbox.services.index import completed, declarations, store
from tcbox.services.index.api.artifacts import Artifacts
from tcbox.services.index.api.entries import Entries
from tcbox.services.index.api.lists import Lists

_log = log.get("index")


class Service:
    """Names for tasks.

    Args:
        caller: calls the queue with the service's own credentials.
        anonymous: calls the queue as one who has none.
        client_id, access_token: the service's own credentials, with which URLs of artifacts are signed.
        root_url: of the instance, where those URLs lead.
    """

    name = "index"
    requires: tuple[str, ...] = ("auth", "queue")
    api = declarations.api
    exchanges = None
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self,
        *,
        database: db.Database,
        bus: events.Bus,
        clock: clocks.Clock,
        caller: Caller,
        anonymous: Caller,
        client_id: str,
        access_token: str,
        root_url: str,
    ) -> None:
        self.store = store.Store(database)
        self.completed = completed.Completed(self.store, caller)
        self._bus = bus
        self._families: list[object] = [
            Entries(self.store, clock),
            Lists(self.store, clock),
            Artifacts(self.store, clock, anonymous=anonymous, client_id=client_id, access_token=access_token, root_url=root_url),
        ]
        self.loops = [LoopSpec("expire-index", clocks.HOUR, self.expire)]

    async def start(self, stack: AsyncExitStack) -> None:
        """Begin to listen for tasks that complete, where it left off."""
        subscription = await self._bus.subscribe(completed.SUBSCRIPTION, completed.BINDINGS, self.completed.handle)
        stack.push_async_callback(self._bus.unsubscribe, subscription)

    def families(self) -> list[object]:
        """What answers the API."""
        return self._families

    async def expire(self) -> None:
        """Remove what has expired."""
        count = await self.store.expire()
        if count:
            _log.info("removed expired entries of the index", extra={"count": count})
