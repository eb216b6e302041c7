"""What web tools may ask for on a user's behalf: the rules of the published sign-in for third parties.

It is OAuth 2 (RFC 6749) with authorization codes or implicit grants, where a scope is a Taskcluster scope and a
request may say how long the credentials are to last. A code may be bound to its asker by PKCE (RFC 7636).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from tcbox import clock as clocks
from tcbox import errors, ids
from tcbox.scopes import ScopeSet
from tcbox.services.web_server import durations, identities

LIFETIME = 10 * clocks.MINUTE
"""Of a question to the user, a code and an access token, each."""

ResponseType = Literal["code", "token"]
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A web tool that may ask.

    Attributes:
        client_id: its name, which is no Taskcluster client id.
        redirect_uris: to where users may be sent back.
        max_expires_ms: how long credentials for it last at most.
        whitelisted: its users are not asked for consent, unless it uses the implicit flow.
    """

    client_id: str
    response_type: ResponseType
    scopes: tuple[str, ...]
    redirect_uris: tuple[str, ...]
    max_expires_ms: int
    whitelisted: bool = False


class AuthorizationError(errors.TcboxError):
    """A request that cannot be granted, by its OAuth 2 error code."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be granted, as far as its form goes.

    Attributes:
        lifetime_ms: how long the credentials are to last.
        state: what the tool wants back as it is; None when it gave none.
        challenge: the PKCE challenge; empty without.
        client_id: the Taskcluster client that is to be made.
    """

    tool: str
    redirect_uri: str
    response_type: ResponseType
    scopes: tuple[str, ...]
    lifetime_ms: int
    state: str | None
    challenge: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user has granted to a tool: enough to make the client.

    Attributes:
        expires: when the client's time is over, in ms since the epoch.
        challenge: with which the code must be redeemed; empty without PKCE.
    """

    tool: str
    redirect_uri: str
    identity: str
    client_id: str
    description: str
    scopes: tuple[str, ...]
    expires: int
    challenge: str = ""


class Return:
    """Where the user is sent back to, which is known to be safe, and how."""

    def __init__(self, redirect_uri: str, state: str | None, *, fragment: bool) -> None:
        self._uri = redirect_uri
        self._state = state
        self._fragment = fragment

    def url(self, **values: str) -> str:
        """The URL with these values, and the state, in its query or fragment."""
        if self._state is not None:
            values["state"] = self._state
        parts = urlsplit(self._uri)
        added = urlencode(values)
        if self._fragment:
            return urlunsplit(parts._replace(fragment=added))
        return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def single(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The values of a query or form, each given once.

    Raises AuthorizationError (invalid_request).
    """
    values: dict[str, str] = {}
    for name, value in query:
        if name in values:
            raise AuthorizationError("invalid_request", f"The parameter {name} is given more than once: give it once.")
        values[name] = value
    return values


def addressee(query: Mapping[str, str], clients: Mapping[str, RegisteredClient]) -> tuple[RegisteredClient, Return]:
    """Which tool asks, and where its user goes back to; before this nobody is sent anywhere.

    Raises AuthorizationError, which is to be told to the user, not to the tool.
    """
    for name in ("response_type", "client_id", "redirect_uri"):
        if not query.get(name):
            raise AuthorizationError("invalid_request", f"The request has no {name}: the tool that sent you here must give it.")
    client = clients.get(query["client_id"])
    if client is None:
        raise AuthorizationError(
            "unauthorized_client",
            f"No tool is registered here as {query['client_id']!r}. "
            "Its owner asks the owner of this instance to add it to services.web_server.registered_clients.",
        )
    if query["redirect_uri"] not in client.redirect_uris:
        raise AuthorizationError(
            "unauthorized_client",
            f"The tool {client.client_id!r} asks to send you to {query['redirect_uri']!r}, which is none of the addresses it is registered with.",
        )
    return client, Return(query["redirect_uri"], query.get("state"), fragment=query["response_type"] == "token")


def asked(query: Mapping[str, str], client: RegisteredClient, identity: str) -> Asked:
    """What a tool asks for.

    Raises AuthorizationError, which is told to the tool.
    """
    if query["response_type"] != client.response_type:
        raise AuthorizationError("unsupported_response_type", f"{client.client_id} is registered with response_type {client.response_type}.")
    scopes = tuple(dict.fromkeys(query.get("scope", "").split()))
    if set(scopes) != set(client.scopes):
        raise AuthorizationError("invalid_scope", f"{client.client_id} is registered with the scopes: {' '.join(client.scopes)}")
    challenge = query.get("code_challenge", "")
    if challenge and (query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge)):
        raise AuthorizationError("invalid_request", "A code_challenge is the SHA-256 of the verifier in base64url, with code_challenge_method=S256.")
    name = f"{identities.client_prefix(identity)}{client.client_id}-{ids.slugid()[:6]}"
    lifetime = lifetime_of(query.get("expires", ""), client)
    return Asked(client.client_id, query["redirect_uri"], client.response_type, scopes, lifetime, query.get("state"), challenge, name)


def lifetime_of(words: str, client: RegisteredClient) -> int:
    """How long credentials are to last, in ms: as asked for, but no longer than the tool may have them.

    What is no duration counts as nothing asked for, as published.
    """
    try:
        return min(durations.parse(words), client.max_expires_ms) if words else client.max_expires_ms
    except ValueError:
        return client.max_expires_ms


def needs_consent(client: RegisteredClient) -> bool:
    """Whether the user must be asked; with the implicit flow always, since any page could begin it."""
    return not client.whitelisted or client.response_type == "token"


def granted(asked: Asked, identity: str, scopes: Sequence[str], user: ScopeSet, now: int, *, lifetime_ms: int, description: str = "") -> Grant:
    """What comes of a user's consent: of what they chose, what was asked for and they have themselves.

    Raises AuthorizationError (invalid_scope) when they chose what was not asked for.
    """
    chosen, wanted = ScopeSet(scopes), ScopeSet(asked.scopes)
    if chosen.intersect(wanted) != chosen:
        raise AuthorizationError("invalid_scope", "The consent is for scopes that were not asked for.")
    return Grant(
        asked.tool, asked.redirect_uri, identity, asked.client_id,
        description or f"Client generated by {identity} for OAuth2 Client {asked.tool}",
        chosen.intersect(user).scopes, now + min(lifetime_ms, asked.lifetime_ms), asked.challenge,
    )  # fmt: skip


def check_redeemer(grant: Grant, form: Mapping[str, str]) -> None:
    """Check who redeems a code: the tool that it was given to, at the same address, with the verifier if it gave a challenge.

    Raises AuthorizationError (invalid_grant).
    """
    same = hmac.compare_digest(form["redirect_uri"].encode(), grant.redirect_uri.encode()) and hmac.compare_digest(
        form["client_id"].encode(), grant.tool.encode()
    )
    if not same:
        raise AuthorizationError("invalid_grant", "The code was given to another client_id, or for another redirect_uri.")
    verifier = form.get("code_verifier", "")
    if grant.challenge:
        made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(made, grant.challenge):
            raise AuthorizationError("invalid_grant", "The code_verifier is not that of the code_challenge with which the code was asked for.")
    elif verifier:
        raise AuthorizationError("invalid_grant", "There is a code_verifier, but the code was asked for without a code_challenge.")


def origins(clients: Mapping[str, RegisteredClient]) -> frozenset[str]:
    """The origins of all tools: pages of these may call what gives out credentials."""
    found = set()
    for client in clients.values():
        for uri in client.redirect_uris:
            parts = urlsplit(uri)
            found.add(f"{parts.scheme}://{parts.netloc}".lower())
    return frozenset(found)
