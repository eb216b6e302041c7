"""The secrets service, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.credentials.sealed import Sealer
from tcbox.runtime import LoopSpec
from tcbox.services.secrets import declarations, store
from tcbox.services.secrets.api import Secrets

CLIENT_ID = "static/taskcluster/secrets"
"""Who expires secrets, in the record of changes."""
_log = log.get("secrets")


class Service:
    """Secrets, sealed with the given key.

    Args:
        audit: where changes are recorded, such as the auth service's; None to record none.
    """

    name = "secrets"
    requires: tuple[str, ...] = ("auth",)
    api = declarations.api
    exchanges = None
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(self, *, database: db.Database, sealer: Sealer, clock: clocks.Clock, audit: store.Audit | None = None) -> None:
        self.store = store.Store(database=database, sealer=sealer, audit=audit)
        self._clock = clock
        self.loops = [LoopSpec("expire-secrets", clocks.HOUR, self.expire)]

    async def start(self, stack: AsyncExitStack) -> None:
        """Nothing is opened: the database and the key are there already."""

    def families(self) -> list[object]:
        """What answers the API."""
        return [Secrets(store=self.store, clock=self._clock)]

    async def expire(self) -> None:
        """Forget what has expired."""
        count = await self.store.expire(client_id=CLIENT_ID)
        if count:
            _log.info("forgot expired secrets", extra={"count": count})
