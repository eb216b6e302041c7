"""Clients and roles as values, and the rules about them that need no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tcbox import clock, errors

STATIC = "static/"
"""Client ids that begin so are those of the configuration and of tcbox itself."""

TWIN_AGE = 15 * clock.MINUTE
"""How long after its creation a client may be created again in the same words, so that a lost answer does no harm."""

Expand = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Client:
    """A client as it is stored.

    Attributes:
        token: the sealed access token; of a static client a digest of it.
        scopes: as they were given, roles not expanded.
        expires, created, last_modified, last_date_used, last_rotated: ms since the epoch.
    """

    client_id: str
    description: str
    token: bytes
    expires: int
    disabled: bool
    scopes: tuple[str, ...]
    created: int
    last_modified: int
    last_date_used: int
    last_rotated: int
    delete_on_expiration: bool

    def is_twin(self, wanted: Wanted, now: int) -> bool:
        """Whether creating it once more in these words is the same request, come twice."""
        same = (self.scopes, self.expires, self.description) == (wanted.scopes or (), wanted.expires, wanted.description)
        return same and not self.disabled and self.created > now - TWIN_AGE

    def shown(self, expand: Expand) -> dict[str, Any]:
        """The client as the API shows it, which is without its access token."""
        return {
            "clientId": self.client_id,
            "description": self.description,
            "expires": clock.to_wire(self.expires),
            "created": clock.to_wire(self.created),
            "lastModified": clock.to_wire(self.last_modified),
            "lastDateUsed": clock.to_wire(self.last_date_used),
            "lastRotated": clock.to_wire(self.last_rotated),
            "deleteOnExpiration": self.delete_on_expiration,
            "scopes": self.scopes,
            "expandedScopes": tuple(expand(self.scopes)),
            "disabled": self.disabled,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client is to be; scopes None leaves them as they are."""

    description: str
    expires: int
    delete_on_expiration: bool
    scopes: tuple[str, ...] | None

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Wanted:
        """From the body of a request."""
        scopes = payload.get("scopes")
        return cls(
            payload["description"], clock.from_wire(payload["expires"]), bool(payload.get("deleteOnExpiration")),
            None if scopes is None else tuple(scopes),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Role:
    """A role as it is stored; times in ms since the epoch."""

    role_id: str
    description: str
    scopes: tuple[str, ...]
    created: int
    last_modified: int

    def shown(self, expand: Expand) -> dict[str, Any]:
        """The role as the API shows it."""
        return {
            "roleId": self.role_id,
            "scopes": self.scopes,
            "expandedScopes": tuple(expand([f"assume:{self.role_id}"])),
            "description": self.description,
            "lastModified": clock.to_wire(self.last_modified),
            "created": clock.to_wire(self.created),
        }


def refuse_static(client_id: str) -> None:
    """Raise InputError for a client that only the configuration may change."""
    if client_id.startswith(STATIC):
        raise errors.InputError(
            "The clientId {clientId} begins with 'static/', which is kept for clients of the configuration: "
            "change it there (services.auth.static_clients), or choose another clientId.",
            clientId=client_id,
        )  # fmt: skip


def refuse_nul(description: str) -> None:
    """Raise InputError for a description that not every database can hold."""
    if "\0" in description:
        raise errors.InputError("The description has a NUL character in it: take it out.")


def refuse_double_star(scopes: Iterable[str] | None) -> None:
    """Raise InputError for a scope that ends in two stars, as it is never what was meant."""
    for scope in scopes or ():
        if scope.endswith("**"):
            raise errors.InputError("The scope {scope} ends with `**`, and scopes must not: write one `*`.", scope=scope)


def added(wanted: Sequence[str] | None, had: Iterable[str]) -> list[str]:
    """The scopes that a client does not have word for word yet: the caller must have these."""
    known = frozenset(had)
    return [scope for scope in wanted or () if scope not in known]
