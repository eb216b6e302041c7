"""One call of an API method: who calls, with what, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tcbox import errors
from tcbox.api import refusals
from tcbox.credentials import Failure, Success

if TYPE_CHECKING:
    from tcbox.api.declare import Method
    from tcbox.scopes import ScopeSet

Identity = Success | Failure


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
    """An answer that sends the caller elsewhere, with a JSON body for those who do not follow."""
    return Reply(body, status, {"location": url})


class Call:
    """What a method's coroutine is given.

    Attributes:
        payload: the decoded body, checked against the schema, defaults filled in; None without an input schema.
        query: the query parameters, checked.
        request_id: as in `X-Request-Id`.
    """

    __slots__ = ("_identify", "_identity", "authorized", "method", "params", "payload", "query", "request_id", "source_ip")

    def __init__(
        self,
        method: Method,
        params: Mapping[str, str],
        query: Mapping[str, str],
        identify: Callable[[], Identity | Awaitable[Identity]],
        *,
        payload: Any = None,
        request_id: str = "",
        source_ip: str = "",
    ) -> None:
        self.method = method
        self.params = params
        self.query = query
        self.payload = payload
        self.request_id = request_id
        self.source_ip = source_ip
        self.authorized = method.expression is None
        self._identify = identify
        self._identity: Identity | None = None

    async def identity(self) -> Identity:
        """Who calls, found out once: a Success (also for the anonymous caller) or a Failure."""
        if self._identity is None:
            identity = self._identify()
            self._identity = identity if isinstance(identity, (Success, Failure)) else await identity
        return self._identity

    async def caller(self) -> Success:
        """Who calls.

        Raises AuthenticationFailed when the credentials are not valid.
        """
        identity = self._identity or await self.identity()
        if isinstance(identity, Failure):
            raise errors.AuthenticationFailed("{reason}", reason=identity.message)
        return identity

    async def client_id(self) -> str:
        """The caller's client id, for records and replies, never for decisions."""
        return (await self.caller()).client_id

    async def scopes(self) -> ScopeSet:
        """All scopes of the caller, roles expanded."""
        return (await self.caller()).scopes.expanded

    async def expires(self) -> int:
        """When the caller's credentials end, in ms since the epoch."""
        return (await self.caller()).expires_ms

    async def authorize(self, **params: Any) -> None:
        """Check the method's scope expression with these parameters.

        Raises AuthenticationFailed, or InsufficientScopes with what is missing.
        """
        expression = self.method.expression
        if expression is None:
            raise TypeError(f"{self.method.name} declares no scopes: declare them before authorizing")
        required = expression.render(params)
        self.authorized = True
        if required is None:
            return
        caller = await self.caller()
        if not caller.scopes.satisfied(required):
            raise refusals.insufficient_scopes(caller, required)
