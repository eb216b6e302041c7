"""One call of an API method: who calls, with what, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from tcbox import errors
from tcbox.api import refusals
from tcbox.api.authenticator import Identity
from tcbox.credentials import Failure, Success
from tcbox.scopes import EMPTY

if TYPE_CHECKING:
    from tcbox.api import wire
    from tcbox.api.authenticator import Authenticator
    from tcbox.api.declare import Method
    from tcbox.scopes import ScopeSet

AUTH_FAILED = "auth-failed:auth-failed"
"""The published stand-in for the client id of a caller whose credentials are not valid."""
_URL = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status or headers of its own; the body is JSON unless it is bytes."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer that is JSON text already, as bytes."""

    body: bytes


def Redirect(url: str, body: Any = None, status: int = 303) -> Reply:  # noqa: N802 - reads as a kind of Reply
    """An answer that sends the caller elsewhere, with a JSON body for those who do not follow; without one, with a line of text.

    By an empty body under JSON's content type the published client for asyncio would give None, and no Location.
    What may not stand in a URL, such as a line break from the name of an artifact, is percent-encoded.
    """
    location = quote(url, safe=_URL)
    if body is None:
        return Reply(f"See {location}\n".encode(), status, {"location": location, "content-type": "text/plain; charset=utf-8"})
    return Reply(body, status, {"location": location})


class Identifier(Protocol):
    """Finds out who made a request."""

    def identify(self, request: wire.Request, authenticator: Authenticator | None = None) -> Identity | Awaitable[Identity]:
        """A Success, also for the anonymous caller, or a Failure; now or when awaited."""
        ...


class Call:
    """What a method's coroutine is given.

    Attributes:
        payload: the decoded body, checked against the schema, defaults filled in; without an input schema any object or list,
            and {} for a body that is not JSON by its content type.
        query: the query parameters, checked.
        request_id: as in `X-Request-Id`.
    """

    __slots__ = ("_identifier", "_identity", "_request", "authorized", "method", "params", "payload", "query", "request_id", "source_ip")

    def __init__(
        self,
        method: Method,
        params: Mapping[str, str],
        query: Mapping[str, str],
        *,
        request: wire.Request | None = None,
        identifier: Identifier | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.method = method
        self.params = params
        self.query = query
        self.payload: Any = None
        self.request_id = "" if request is None else request.request_id
        self.source_ip = "" if request is None else request.source_ip
        self.authorized = method.expression is None
        self._request = request
        self._identifier = identifier
        self._identity = identity

    @property
    def body(self) -> bytes:
        """The body as it came over HTTP; empty for a call from inside the process."""
        return b"" if self._request is None else self._request.body

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, names in lower case; none for a call from inside the process."""
        return {} if self._request is None else self._request.headers

    async def identity(self) -> Identity:
        """Who calls, found out once: a Success (also for the anonymous caller) or a Failure."""
        identity = self._identity
        if identity is None:
            assert self._identifier is not None
            assert self._request is not None
            found = self._identifier.identify(self._request)
            identity = self._identity = found if isinstance(found, (Success, Failure)) else await found
        return identity

    async def caller(self) -> Success:
        """Who calls.

        Raises AuthenticationFailed when the credentials are not valid.
        """
        identity = self._identity or await self.identity()
        if isinstance(identity, Failure):
            raise errors.AuthenticationFailed("{reason}", reason=identity.message)
        return identity

    async def identify_by(self, authenticator: Authenticator) -> Success:
        """Who calls, by an authenticator that knows other clients than the instance's own.

        Raises AuthenticationFailed when the credentials are not valid, or when the call did not come over HTTP.
        """
        if self._identifier is None or self._request is None:
            raise errors.AuthenticationFailed("The method {method} tries out signatures: call it over HTTP.", method=self.method.name)
        found = self._identifier.identify(self._request, authenticator)
        identity = found if isinstance(found, (Success, Failure)) else await found
        if isinstance(identity, Failure):
            raise errors.AuthenticationFailed("{reason}", reason=identity.message)
        return identity

    async def client_id(self) -> str:
        """The caller's client id, or `auth-failed:…` for one without valid credentials; for records, never for decisions."""
        identity = self._identity or await self.identity()
        return AUTH_FAILED if isinstance(identity, Failure) else identity.client_id

    async def scopes(self) -> ScopeSet:
        """All scopes of the caller, roles expanded; none when its credentials are not valid."""
        identity = self._identity or await self.identity()
        return EMPTY if isinstance(identity, Failure) else identity.scopes.expanded

    async def expires(self) -> int:
        """When the caller's credentials end, in ms since the epoch.

        Raises AuthenticationFailed when they are not valid.
        """
        return (await self.caller()).expires_ms

    async def authorize(self, **params: Any) -> None:
        """Check the method's scope expression with these parameters.

        Raises AuthenticationFailed, or InsufficientScopes with what is missing.
        """
        expression = self.method.expression
        if expression is None:
            raise TypeError(f"{self.method.name} declares no scopes: declare them before authorizing")
        self.authorized = True
        if expression.conditional and expression.render(params) is None:
            return
        caller = self._identity or await self.identity()
        if isinstance(caller, Failure):
            raise errors.AuthenticationFailed("{reason}", reason=caller.message)
        if not caller.scopes.allow(expression, params):
            raise refusals.insufficient_scopes(caller, expression.render(params))
