"""The hooks service, put together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import db, events, log
from tcbox.client import LimitableCaller
from tcbox.credentials.sealed import Sealer
from tcbox.runtime import LoopSpec
from tcbox.services.hooks import declarations, store
from tcbox.services.hooks import events as exchanges
from tcbox.services.hooks.api.fires import Fires
from tcbox.services.hooks.api.hooks import Hooks
from tcbox.services.hooks.api.triggers import Triggers
from tcbox.services.hooks.firing import Firings
from tcbox.services.hooks.loops import Loops
from tcbox.services.hooks.mail import Mail
from tcbox.services.hooks.messages import Messages
from tcbox.services.hooks.sandbox import Sandbox

YEAR = 365 * clocks.DAY
_log = log.get("hooks")


class Service:
    """Hooks.

    Args:
        caller: calls the queue and the notify service with the hooks service's credentials.
        audit: where changes are recorded, such as the auth service's; None to record none.
        denied: what the exchanges begin with that no hook may be bound to, beside the service's own.
        keep_fires: ms for which it is kept what came of a firing.
    """

    name = "hooks"
    requires = ("auth", "queue")
    api = declarations.api
    exchanges = exchanges.exchanges
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self,
        *,
        database: db.Database,
        bus: events.Bus,
        sealer: Sealer,
        clock: clocks.Clock,
        caller: LimitableCaller,
        root_url: str,
        audit: store.Audit | None = None,
        denied: Sequence[str] = (),
        keep_fires: int = YEAR,
        sandbox: Sandbox | None = None,
    ) -> None:
        self._sandbox = sandbox or Sandbox()
        self._keep_fires = keep_fires
        self.store = store.Store(database=database, bus=bus, sealer=sealer, audit=audit)
        mail = Mail(database=database, caller=caller, root_url=root_url)
        self.firings = Firings(database=database, clock=clock, caller=caller, sandbox=self._sandbox, mail=mail)
        self.work = Loops(database=database, clock=clock, firings=self.firings)
        self.messages = Messages(database=database, bus=bus, store=self.store, sandbox=self._sandbox, firings=self.work.waiting)
        self._families: list[object] = [
            Hooks(store=self.store, sandbox=self._sandbox, clock=clock, times=self.work.times, denied=denied),
            Triggers(store=self.store, firings=self.firings, sandbox=self._sandbox),
            Fires(database=database, store=self.store, caller=caller),
        ]
        self.loops = [
            LoopSpec("schedule", 0, self.work.schedule),
            LoopSpec("fire", 0, self.work.fire),
            LoopSpec("expire-fires", clocks.HOUR, self.expire),
        ]

    async def start(self, stack: AsyncExitStack) -> None:
        """Begin to listen for the messages that fire hooks."""
        stack.push_async_callback(self._sandbox.close)
        self.work.start(stack)
        await self.messages.start(stack)

    def families(self) -> list[object]:
        """What answers the API."""
        return self._families

    async def expire(self) -> None:
        """Forget what came of firings long ago."""
        count = await self.store.expire_fires(self._keep_fires)
        if count:
            _log.info("forgot old firings", extra={"count": count})
