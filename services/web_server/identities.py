"""Who has signed in: identities, which are beginnings of client ids too, and the scopes that come with them.

Source: the published conventions on login identities.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tcbox.credentials import Credentials

_UNSAFE = re.compile(r"[^A-Za-z0-9@:.+|_-]")
_STATIC = "static/"


@dataclass(frozen=True, slots=True)
class User:
    """Someone who has signed in, as they are now.

    Attributes:
        identity: the client id as which they act, such as `github/123|octocat`.
        scopes: what they may do, roles not expanded.
    """

    identity: str
    scopes: tuple[str, ...]


class Provider(Protocol):
    """Someone who knows users.

    Attributes:
        name: what the identities of its users begin with, before the first slash.
        stamp: of what its users' sign-ins stand on; with another one they end.
        scanned: whether clients below its users' identities are turned off once their owner's scopes do not suffice.

    Implementers must give None for a user who is no longer one, and raise when they cannot know just now.
    """

    name: str
    stamp: str
    scanned: bool

    async def user(self, identity: str) -> User | None:
        """The user of an identity, with the scopes that they have now."""
        ...

    def credentials(self, user: User, start_ms: int, expiry_ms: int) -> Credentials:
        """Temporary credentials with which the user acts."""
        ...


class Providers:
    """All providers of an instance."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._by_name = {provider.name: provider for provider in providers}

    def of(self, identity: str) -> Provider | None:
        """Who knows the user of an identity; None when nobody does any more."""
        return self._by_name.get(identity.partition("/")[0])

    def stamp(self, identity: str) -> str:
        """What a sign-in under an identity must bear to be good."""
        provider = self.of(identity)
        return "" if provider is None else provider.stamp

    async def user(self, identity: str) -> User | None:
        """The user of an identity, None when there is none any more."""
        provider = self.of(identity)
        return None if provider is None else await provider.user(identity)

    def scanned(self) -> list[Provider]:
        """Those whose users' clients are looked after."""
        return [provider for provider in self._by_name.values() if provider.scanned]


def scopes(identity: str, roles: Iterable[str] = ()) -> tuple[str, ...]:
    """The scopes of a user: their roles, and that of the identity itself."""
    return (*(f"assume:{role}" for role in dict.fromkeys(roles)), f"assume:login-identity:{identity}")


def client_prefix(identity: str) -> str:
    """What the ids of clients begin with that someone makes for themselves.

    Ids that begin with `static/` are the configuration's own, so whoever acts under such an id leaves that away.
    """
    return f"{identity.removeprefix(_STATIC)}/"


def of_client(client_id: str) -> str | None:
    """The identity below which a client stands, None when it stands below none."""
    parts = client_id.split("/", 2)
    return "/".join(parts[:2]) if len(parts) > 1 and parts[1] else None


def encode(name: str) -> str:
    """A name as it may stand in a client id: what may not is written as `!` and two, or three, hexadecimal digits."""
    return _UNSAFE.sub(lambda found: f"!{ord(found[0]):02X}" if ord(found[0]) < 0x100 else f"!{ord(found[0]):03X}", name)
