"""The auth service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.credentials.sealed import Sealer
from tcbox.events import Bus
from tcbox.runtime import LoopSpec
from tcbox.services.auth import audit, clients, declarations, directory, events, roles, store
from tcbox.services.auth.api.audit import AuditMethods
from tcbox.services.auth.api.authentication import AuthenticationMethods
from tcbox.services.auth.api.clients import ClientMethods
from tcbox.services.auth.api.roles import RoleMethods
from tcbox.services.auth.api.scopes import ScopeMethods
from tcbox.services.auth.api.vendors import VendorMethods
from tcbox.services.auth.directory import Directory
from tcbox.services.auth.static import StaticClient
from tcbox.services.auth.usage import Usage
from tcbox.services.auth.vendors import aws, gcp, github, sentry, websocktunnel
from tcbox.vendors.http import Outgoing

_log = log.get("auth")
REFRESH = 2 * clocks.SECOND
"""How soon a change by another process counts here."""


@dataclass(frozen=True, slots=True)
class Vendors:
    """What is configured of the services of other makers; what is left out is refused by the methods that need it."""

    aws: tuple[aws.Bucket, ...] = ()
    gcp: gcp.Project | None = None
    sentry: sentry.Settings | None = None
    github_apps: Mapping[str, github.App] = field(default_factory=dict)
    github_url: str = github.API
    websocktunnel_secret: str | None = None


class Service:
    """Clients, roles, and who signed a request.

    Args:
        sealer: seals access tokens; its key is kept apart from the database.
        static_clients: those of the configuration, and of the instance's own services.

    Attributes:
        directory: tells who signed a request, for the dispatchers of all services.
        audit: where other services record their changes too.
    """

    name = "auth"
    with_api = frozenset(("refresh", "note-usage"))
    requires: tuple[str, ...] = ()
    api = declarations.api
    exchanges = events.exchanges
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self,
        *,
        database: db.Database,
        bus: Bus,
        sealer: Sealer,
        clock: clocks.Clock,
        static_clients: Iterable[StaticClient] = (),
        vendors: Vendors | None = None,
    ) -> None:
        self._db = database
        self._clock = clock
        self._outgoing = Outgoing()
        self._vendors = vendors or Vendors()
        self._usage = Usage(clock)
        self._hearing: asyncio.Task[None] | None = None
        self.directory = Directory(database, sealer, clock, static_clients=static_clients, usage=self._usage)
        self.audit = audit.Audit(database, clock)
        self.clients = clients.Clients(database=database, bus=bus, sealer=sealer, known=self.directory, audit=self.audit, clock=clock)
        self.roles = roles.Roles(database, bus, self.directory, self.audit)
        self._sentry = sentry.Dsns(self._vendors.sentry, self._outgoing, clock)
        self.loops = [
            LoopSpec("refresh", REFRESH, self.directory.refresh),
            LoopSpec("note-usage", 15 * clocks.SECOND, self.note_usage),
            LoopSpec("purge-expired-clients", 1 * clocks.HOUR, self.clients.purge_expired),
            LoopSpec("purge-audit-history", 1 * clocks.HOUR, self.audit.purge),
            LoopSpec("forget-changes", 10 * clocks.MINUTE, self.clients.forget_changes),
        ]
        if self._vendors.sentry is not None:
            self.loops.append(LoopSpec("expire-sentry", 1 * clocks.HOUR, self._sentry.purge))

    async def start(self, stack: AsyncExitStack) -> None:
        """Load all clients and roles.

        Raises TcboxError when the database does not answer.
        """
        stack.push_async_callback(self._outgoing.close)
        stack.callback(self._db.listen(directory.CHANGED, lambda _: self._hear()))
        await self.directory.load()
        stack.push_async_callback(self.note_usage)

    def families(self) -> list[object]:
        """What answers the API."""
        configured = self._vendors
        return [
            ClientMethods(self.clients, self.directory),
            RoleMethods(self.roles, self.directory),
            AuditMethods(self.audit),
            ScopeMethods(self.directory),
            AuthenticationMethods(self.directory, self._clock),
            VendorMethods(
                s3=aws.S3Credentials(configured.aws),
                gcp=gcp.AccessTokens(configured.gcp, self._outgoing, self._clock),
                sentry=self._sentry,
                github=github.RepoTokens(configured.github_apps, self._outgoing, self._clock, url=configured.github_url),
                websocktunnel=websocktunnel.Tokens(configured.websocktunnel_secret, self._clock),
                clock=self._clock,
            ),
        ]

    def _hear(self) -> None:
        """Another process has changed something; the loop would see it later."""
        if self._hearing is None or self._hearing.done():
            self._hearing = asyncio.get_running_loop().create_task(self._look(), name="auth changes")

    async def _look(self) -> None:
        await asyncio.sleep(0)  # for a change that is heard of while looking
        try:
            await self.directory.refresh()
        except Exception:
            _log.debug("what changed is looked up later", exc_info=True)

    async def note_usage(self) -> None:
        """Write when clients were last used."""
        await self._usage.write(self._db)
