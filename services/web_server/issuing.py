"""Credentials of those who are signed in: temporary ones for their own browser, clients for the tools they consented to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tcbox import clock as clocks
from tcbox import errors
from tcbox.client import Caller
from tcbox.credentials import Credentials
from tcbox.scopes import ScopeSet
from tcbox.services.web_server.identities import Providers, User
from tcbox.services.web_server.third_party import Grant

LIFETIME = 15 * clocks.MINUTE
"""Of a browser's credentials; it has them renewed as long as its session lasts."""
EARLIER = 5 * clocks.MINUTE
"""How long before now they begin, for clocks that are behind."""
FEW = 15
"""Scopes that surely fit into a signed request."""
ROOM = 2400
"""Characters of scopes, with quotes and commas, that fit into a header of 4096 beside the rest of a certificate."""
MARGIN = 30 * clocks.SECOND
"""How long before their end credentials are said to end, so that they are renewed in time."""


class Callers(Protocol):
    """What other services are called through.

    Attributes:
        own: with all that this service may.
    """

    own: Caller

    def restricted(self, scopes: Sequence[str]) -> Caller:
        """With these scopes, and what everybody may; less than this service may itself."""
        ...


@dataclass(frozen=True, slots=True)
class Issued:
    """Credentials, and when whoever has them should have them renewed, in ms since the epoch."""

    credentials: Credentials
    expires: int


class NoUserError(errors.TcboxError):
    """The user behind a session or a grant is no longer one; the message is for people."""


class Issuer:
    """Issues credentials."""

    def __init__(self, providers: Providers, callers: Callers, clock: clocks.Clock) -> None:
        self._providers = providers
        self._callers = callers
        self._clock = clock

    async def user(self, identity: str) -> User:
        """Who has an identity now.

        Raises NoUserError, or errors.Unavailable when nobody can tell just now.
        """
        user = await self._providers.user(identity)
        if user is None:
            raise NoUserError(f"{identity} can no longer sign in here: the account is gone or renamed, or its consent was withdrawn. Sign in again.")
        return user

    def stamp(self, identity: str) -> str:
        """What a sign-in under an identity must bear to be good."""
        return self._providers.stamp(identity)

    async def temporary(self, identity: str, until: int) -> Issued:
        """Credentials for the browser of someone whose session lasts until then.

        Raises as `user`.
        """
        user = await self._fitting(await self.user(identity))
        provider = self._providers.of(identity)
        assert provider is not None
        now = self._clock.now()
        expiry = min(now + LIFETIME, until)
        return Issued(provider.credentials(user, now - EARLIER, expiry), max(now, expiry - MARGIN))

    async def _fitting(self, user: User) -> User:
        """The user with scopes that fit into a signed request; of many, those whose role is not there say nothing, and are left out.

        Raises InputError when there are still too many.
        """
        if len(user.scopes) <= FEW:
            return user
        exact, begins = set(), []
        query: dict[str, str] = {}
        while True:
            page = await self._callers.own.call("auth", "listRoleIds", query=query)
            for role in page["roleIds"]:
                if role.endswith("*"):
                    begins.append(role[:-1])
                else:
                    exact.add(role)
            if not page.get("continuationToken"):
                break
            query = {"continuationToken": page["continuationToken"]}
        kept = tuple(each for each in user.scopes if (role := each.removeprefix("assume:")) in exact or role.startswith(tuple(begins)))
        if sum(map(len, kept)) + 3 * len(kept) > ROOM:
            raise errors.InputError(
                "{identity} has more roles, {count}, than fit into a signed request: give the scopes to roles of fewer teams.",
                identity=user.identity, count=len(kept),
            )  # fmt: skip
        return User(user.identity, kept)

    async def expand(self, user: User) -> ScopeSet:
        """All scopes of a user, roles expanded."""
        reply = await self._callers.own.call("auth", "expandScopes", payload={"scopes": [*user.scopes, "assume:anonymous"]})
        return ScopeSet(reply["scopes"])

    async def client(self, grant: Grant) -> Issued:
        """The client that was granted to a tool: made now, or again with the same token when it has just been made.

        It is made with what the user may do now, no more. Raises as `user`, and errors.ApiError when that does not suffice.
        """
        if grant.expires <= self._clock.now():
            raise NoUserError("The time for which the user gave credentials is over: ask again.")
        user = await self.user(grant.identity)
        wanted: dict[str, Any] = {
            "description": grant.description, "scopes": list(grant.scopes), "expires": clocks.to_wire(grant.expires), "deleteOnExpiration": True,
        }  # fmt: skip
        made = await self._callers.restricted(user.scopes).call("auth", "createClient", grant.client_id, payload=wanted)
        return Issued(Credentials(made["clientId"], made["accessToken"]), clocks.from_wire(made["expires"]) - MARGIN)
