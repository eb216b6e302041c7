"""Who signed a request, asked of the auth service by a service that runs on its own.

A signature is good for one request, so little can be remembered: that an anonymous caller is one, and what was said of the
very same request a moment ago. What is remembered is forgotten after seconds, so that a client which is disabled, or a role
that changes, takes effect everywhere within them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, NamedTuple

from msgspec import structs

from tcbox import clock as clocks
from tcbox.client.caller import Caller
from tcbox.credentials import Failure, LazyScopes, SignedRequest, Success, bewit
from tcbox.scopes import ScopeSet

KEPT = 2 * clocks.SECOND
MOST = 4096
Identity = Success | Failure
_ANONYMOUS = SignedRequest("get", "/", "anonymous", 0)


class _Known(NamedTuple):
    identity: Identity
    until: int


class RemoteAuthenticator:
    """Asks `auth.authenticateHawk`.

    Args:
        caller: calls auth; needs no scopes.
        kept: for how long, in ms, an answer is remembered.
        most: how many answers are.
    """

    def __init__(self, caller: Caller, clock: clocks.Clock, *, kept: int = KEPT, most: int = MOST) -> None:
        self._caller = caller
        self._clock = clock
        self._kept = kept
        self._most = most
        self._known: OrderedDict[SignedRequest, _Known] = OrderedDict()
        self._asking: dict[SignedRequest, asyncio.Task[Identity]] = {}

    def authenticate(self, request: SignedRequest) -> Identity | asyncio.Future[Identity]:
        """Who signed a request: at once when that is remembered, else when awaited.

        Awaiting raises errors.Unavailable when auth does not answer.
        """
        asked = self._asked(request)
        known = self._known.get(asked)
        if known is not None and known.until > self._clock.now():
            return known.identity
        task = self._asking.get(asked)
        if task is None:
            task = self._asking[asked] = asyncio.ensure_future(self._ask(asked, request.source_ip))
            task.add_done_callback(lambda _: self._asking.pop(asked, None))
        return asyncio.shield(task)

    @staticmethod
    def _asked(request: SignedRequest) -> SignedRequest:
        """What the answer depends on; the same for all requests without credentials."""
        if not request.authorization and not bewit.carries(request.resource):
            return _ANONYMOUS
        return structs.replace(request, source_ip="")

    async def _ask(self, asked: SignedRequest, source_ip: str) -> Identity:
        payload: dict[str, Any] = {"method": asked.method.lower(), "resource": asked.resource, "host": asked.host, "port": asked.port}
        if asked.authorization:
            payload["authorization"] = asked.authorization
        if source_ip and asked is not _ANONYMOUS:
            payload["sourceIp"] = source_ip
        identity = _identity(await self._caller.call("auth", "authenticateHawk", payload=payload), asked)
        self._known[asked] = _Known(identity, self._clock.now() + self._kept)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return identity


def _identity(reply: dict[str, Any], asked: SignedRequest) -> Identity:
    if reply["status"] == "auth-failed":
        return Failure(reply["message"])
    scopes = LazyScopes(ScopeSet(reply["scopes"]))  # with all roles expanded, the anonymous one included
    expires = clocks.from_wire(reply["expires"])
    if reply["status"] == "no-auth":
        return Success("none", "auth-failed:no-auth", expires, scopes)
    scheme = "hawk" if asked.authorization else "bewit"
    return Success("bewit" if scheme == "bewit" else "hawk", reply["clientId"], expires, scopes, reply.get("hash"))
