"""The web-server service, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcbox import clock as clocks
from tcbox import db
from tcbox.credentials import Credentials
from tcbox.credentials.sealed import Sealer
from tcbox.events.turns import Turn
from tcbox.runtime import LoopSpec
from tcbox.services.web_server import declarations, github, links, store
from tcbox.services.web_server.api import Profiles
from tcbox.services.web_server.grants import Grants
from tcbox.services.web_server.identities import Provider, Providers
from tcbox.services.web_server.issuing import Callers, Issuer
from tcbox.services.web_server.logs import Logs
from tcbox.services.web_server.outgoing import Outgoing
from tcbox.services.web_server.owner import Owner
from tcbox.services.web_server.scanner import Scanner
from tcbox.services.web_server.sessions import Sessions
from tcbox.services.web_server.third_party import RegisteredClient
from tcbox.services.web_server.web.door import Door
from tcbox.services.web_server.web.routing import PREFIX, Routing
from tcbox.services.web_server.web.sign_in import SignIn
from tcbox.services.web_server.web.third_party import ThirdParty

if TYPE_CHECKING:
    from tcbox.api.front import Mounted

SETTLING = clocks.MINUTE
SESSION_LIFETIME = 7 * clocks.DAY


@dataclass(frozen=True, slots=True)
class Rules:
    """How people sign in here, and what web tools may ask them for.

    Attributes:
        session_ms: how long a sign-in lasts.
        reach: from where one-time links are taken; None when there are none.
        github: None when it is not configured.
        scan_ms: pause between two looks through the clients that people made.
    """

    session_ms: int = SESSION_LIFETIME
    reach: links.Reach | None = "loopback"
    github: github.App | None = None
    tools: Sequence[RegisteredClient] = ()
    scan_ms: int = clocks.HOUR


class Service:
    """Sign-in, credentials for web tools, and profiles.

    Args:
        root: the credentials of the root client, as which the owner acts who signs in by a link; None where that is not to be had.
        own: the service's own credentials, in whose name those of users are made.
        local_url: by which the instance is reached from here.

    Attributes:
        links: the links that sign the owner in.
    """

    name = "web-server"
    requires: tuple[str, ...] = ("auth",)
    api = declarations.api
    exchanges = None
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self, *, database: db.Database, sealer: Sealer, clock: clocks.Clock, callers: Callers, own: Credentials, root: Credentials | None,
        root_url: str, local_url: str, rules: Rules | None = None,
    ) -> None:  # fmt: skip
        rules = rules or Rules()
        self.links = links.Links(database, clock)
        self.sessions = Sessions(database, clock, lifetime_ms=rules.session_ms)
        self.grants = Grants(database, clock)
        self._clock = clock
        self._settling = True
        self._outgoing = Outgoing()
        self._profiles = Profiles(
            callers=callers, logs=Logs(self._outgoing, root_url=root_url, local_url=local_url), root_url=root_url, clock=clock
        )  # fmt: skip
        known: list[Provider] = []
        by_github = None
        if rules.github is not None:
            by_github = github.Github(rules.github, database=database, outgoing=self._outgoing, sealer=sealer, issuer=own)
            known.append(by_github)
        owner = Owner(root) if root is not None and rules.reach is not None else None
        if owner is not None:
            known.append(owner)
        self.has_links = owner is not None
        providers = Providers(known)
        issuer = Issuer(providers, callers, clock)
        door = Door(root_url)
        sign_in = SignIn(
            door=door, sessions=self.sessions, issuer=issuer, links=self.links, owner=owner.identity if owner else "",
            reach=rules.reach or "loopback", github=by_github, sealer=sealer, clock=clock,
        )  # fmt: skip
        tools: Mapping[str, RegisteredClient] = {tool.client_id: tool for tool in rules.tools}
        asking = ThirdParty(door=door, sign_in=sign_in, grants=self.grants, issuer=issuer, clients=tools, clock=clock)
        self._routing = Routing(sign_in, asking)
        self.scanner = Scanner(providers.scanned(), callers.own)
        self._turn = Turn(database, "web-server scan-clients", rules.scan_ms)
        self.loops = [LoopSpec("expire", clocks.HOUR, self.expire), LoopSpec("scan-clients", rules.scan_ms, self.scan)]

    async def start(self, stack: AsyncExitStack) -> None:
        """Nothing is opened before it is needed; what was, is closed at the end."""
        stack.push_async_callback(self._outgoing.close)

    def families(self) -> list[object]:
        """What answers the API."""
        return [self._profiles]

    def mounts(self) -> dict[str, Mounted]:
        """What answers beside the API."""
        return {PREFIX: self._routing.handle}

    async def scan(self) -> None:
        """Look after the clients that people made, unless another process has; not in the first minute, which has better to do."""
        if self._settling:
            await self._clock.sleep(SETTLING)
            self._settling = False
        await self._turn.take(self.scanner.scan)

    async def expire(self) -> None:
        """Forget sessions and grants that are over."""
        await self.sessions.expire()
        await self.grants.expire()
