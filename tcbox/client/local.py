"""Calls within the process: the same checks, without the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import structs

from tcbox import errors
from tcbox.credentials import Failure, Success
from tcbox.scopes import ScopeSet

if TYPE_CHECKING:
    from tcbox.api.dispatch import Dispatcher


Identity = Success | Failure


class Local:
    """Calls services of this process as one client.

    Args:
        dispatchers: finds a running service's dispatcher by name, None when it does not run.
        identity: who calls; asked at each call, since scopes change, and awaited where it has to be asked elsewhere.
    """

    def __init__(self, dispatchers: Callable[[str], Dispatcher | None], identity: Callable[[], Identity | Awaitable[Identity]]) -> None:
        self._dispatchers = dispatchers
        self._identity = identity

    def limited(self, scopes: Sequence[str]) -> Local:
        """The same client with no more than these scopes (see `LimitableCaller.limited`)."""
        authorized = ScopeSet(scopes)

        def identity() -> Identity | Awaitable[Identity]:
            whole = self._identity()
            return _part(whole, authorized) if isinstance(whole, (Success, Failure)) else later(whole)

        async def later(whole: Awaitable[Identity]) -> Identity:
            return _part(await whole, authorized)

        return Local(self._dispatchers, identity)

    async def call(self, service: str, method: str, /, *args: str, payload: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Call a method of a service in this process (see `Caller.call`)."""
        dispatcher = self._dispatchers(service)
        if dispatcher is None:
            raise errors.Unavailable("The service {service} does not run in this instance: enable services.{service} in tcbox.yml.", service=service)
        declared = dispatcher.api.methods.get(method)
        if declared is None:
            raise errors.ResourceNotFound("The service {service} has no method {method}.", service=service, method=method)
        if len(args) != len(declared.params):
            raise TypeError(f"{service}.{method} takes {len(declared.params)} parameters ({declared.route}), and was given {len(args)}")
        params = dict(zip(declared.params, args, strict=True))
        identity = self._identity()
        if not isinstance(identity, (Success, Failure)):
            identity = await identity
        return await dispatcher.invoke(method, params, query or {}, payload, identity)


def _part(whole: Identity, authorized: ScopeSet) -> Identity:
    """Who calls, with no more than some scopes."""
    if isinstance(whole, Failure):
        return whole
    part = whole.scopes.limited(authorized)
    listed = ", ".join(authorized)
    return structs.replace(whole, scopes=part) if part is not None else Failure(f"Supplied credentials do not satisfy authorizedScopes: {listed}")
