"""What services and workers call other services through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Caller(Protocol):
    """Calls published methods with the credentials that it was made with.

    Implementers must check the call as the API over HTTP would: scopes, schema, parameters.
    """

    async def call(self, service: str, method: str, /, *args: str, payload: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Call a method.

        Args:
            service: as in URLs, such as "worker-manager".
            method: the published name, such as "createTask".
            args: the route's parameters in order, not yet percent-encoded.
            payload: the body, as JSON would be decoded.

        Returns the decoded reply, None when it has no body.
        Raises the `tcbox.errors.ApiError` that the method answers with.
        """
        ...


class LimitableCaller(Caller, Protocol):
    """A caller that can hand on a part of what it may do."""

    def limited(self, scopes: Sequence[str]) -> Caller:
        """The same caller with no more than these scopes, and what they imply; as `authorizedScopes` of a signed request.

        Its calls raise AuthenticationFailed unless the caller itself has these scopes.
        """
        ...
