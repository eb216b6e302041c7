"""The secrets service, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.credentials.sealed import Sealer
from tcbox.services.secrets import declarations, store
from tcbox.services.secrets.api import Secrets

CLIENT_ID = "static/taskcluster/secrets"
"""Who expires secrets, in the record of changes."""
_log = log.get("secrets")


class LoopSpec(NamedTuple):
    """Work that the service does by itself: a name, the pause between two turns in ms, and one turn."""

    name: str
    interval_ms: int
    turn: Callable[[], Awaitable[None]]


class Service:
    """Secrets, sealed with the given key.

    Args:
        expire_interval_ms: pause between two sweeps for expired secrets; until swept, they are there but not readable.
        history_ms: how long the record of changes is kept.
    """

    name = "secrets"
    requires: tuple[str, ...] = ("auth",)
    api = declarations.api
    exchanges = None
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self,
        *,
        database: db.Database,
        sealer: Sealer,
        clock: clocks.Clock,
        expire_interval_ms: int = clocks.HOUR,
        history_ms: int = 365 * clocks.DAY,
    ) -> None:
        self.store = store.Store(database=database, sealer=sealer)
        self._clock = clock
        self._history_ms = history_ms
        self.loops = [LoopSpec("expire-secrets", expire_interval_ms, self.expire)]

    async def start(self, stack: AsyncExitStack) -> None:
        """Nothing is opened: the database and the key are there already."""

    def families(self) -> list[object]:
        """What answers the API."""
        return [Secrets(store=self.store, clock=self._clock)]

    async def expire(self) -> None:
        """Forget what has expired, and records that are old."""
        count = await self.store.expire(client_id=CLIENT_ID)
        await self.store.forget_history(self._clock.now() - self._history_ms)
        if count:
            _log.info("forgot expired secrets", extra={"count": count})
