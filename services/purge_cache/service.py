"""The purge-cache service, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.runtime import LoopSpec
from tcbox.services.purge_cache import declarations, store
from tcbox.services.purge_cache.api import PurgeCache

_log = log.get("purge-cache")


class Service:
    """Requests to throw caches away."""

    name = "purge-cache"
    requires: tuple[str, ...] = ("auth",)
    api = declarations.api
    exchanges = None
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(self, *, database: db.Database, clock: clocks.Clock) -> None:
        self.store = store.Store(database)
        self._clock = clock
        self.loops = [LoopSpec("expire-requests", clocks.HOUR, self.expire)]

    async def start(self, stack: AsyncExitStack) -> None:
        """Nothing is opened: the database is there already."""

    def families(self) -> list[object]:
        """What answers the API."""
        return [PurgeCache(self.store, self._clock)]

    async def expire(self) -> None:
        """Forget what has expired."""
        count = await self.store.expire()
        if count:
            _log.info("forgot expired requests to purge caches", extra={"count": count})
