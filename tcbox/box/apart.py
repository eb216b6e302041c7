"""What the services of one process share when others run elsewhere: who calls is asked of auth, and calls go over HTTP.

What runs in this process too is called within it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import structs

from tcbox import clock as clocks
from tcbox import errors
from tcbox.box import identity
from tcbox.box.services import UNSIGNED, Shared, package
from tcbox.client import Caller, LimitableCaller
from tcbox.client.authentication import RemoteAuthenticator
from tcbox.client.http import Credentials, Http, Routes, sign
from tcbox.client.local import Local
from tcbox.credentials import Failure, SignedRequest, Success, temporary
from tcbox.scopes import ScopeSet

if TYPE_CHECKING:
    import aiohttp

    from tcbox.api.declare import Api
    from tcbox.api.dispatch import Dispatcher
    from tcbox.box.tracing import Tracing
    from tcbox.services.auth.audit import Audit

Identity = Success | Failure
KNOWN = 2 * clocks.SECOND
"""For how long, in ms, the scopes of a service's own client are taken to be as auth said."""
_SHORT, _LONG = 5 * clocks.MINUTE, 15 * clocks.MINUTE  # of temporary credentials, before and after now
_FITTING = 2400  # characters of scopes that fit into a signed request
_READING = ("queue:list-task-group:", "queue:get-task:", "queue:status:", "queue:get-artifact:", "assume:")
_RETRIES = 6


class Elsewhere(Protocol):
    """Gives a client for a service that runs elsewhere."""

    def __call__(self, service: str, /) -> Http:
        """The client."""
        ...


class Either:
    """Calls within this process what runs here, and over HTTP what does not.

    Args:
        here: whether a service answers in this process.
    """

    def __init__(self, here: Callable[[str], bool], local: Local, elsewhere: Elsewhere) -> None:
        self._here = here
        self._local = local
        self._elsewhere = elsewhere

    def limited(self, scopes: Sequence[str]) -> Either:
        """The same with no more than these scopes (see `LimitableCaller.limited`)."""
        return Either(self._here, self._local.limited(scopes), lambda service: self._elsewhere(service).limited(scopes))

    async def call(self, service: str, method: str, /, *args: str, payload: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Call a method (see `Caller.call`)."""
        if self._here(service):
            return await self._local.call(service, method, *args, payload=payload, query=query)
        return await self._elsewhere(service).call(service, method, *args, payload=payload, query=query)


@dataclass
class Apart(Shared):
    """What the services of this process share.

    Attributes:
        session: for calls of services that run elsewhere.
        token: the access token of the one service that runs here, where it does not derive from the key.
        answering: the services that answer calls here.
        tracing: where spans of calls are made; None to make none.
    """

    session: aiohttp.ClientSession = field(kw_only=True)
    token: str = field(default="", kw_only=True)
    answering: frozenset[str] = field(default=frozenset(), kw_only=True)
    tracing: Tracing | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._clients: dict[tuple[str, str], Http] = {}
        self._remote = RemoteAuthenticator(self._client("auth", None), self.clock)

    @property
    def _has_auth(self) -> bool:
        return "auth" in self.answering

    def dispatcher(self, api: Api, handlers: Mapping[str, Any]) -> Dispatcher:
        """What answers the calls of a service's methods."""
        return self.tracing.dispatcher(self, api, handlers) if self.tracing is not None else super().dispatcher(api, handlers)

    # -- who calls

    def authenticate(self, request: SignedRequest) -> Identity | Awaitable[Identity]:
        """Who signed a request: as auth's own directory says here, or auth elsewhere."""
        if not self._has_auth:
            return self._remote.authenticate(request)
        return self.directory.authenticate_anew(request)  # another process may just have changed something

    # -- calls of others

    @property
    def audit(self) -> Audit:
        """Where changes are recorded: in auth's tables, wherever auth runs."""
        from tcbox.services.auth.audit import Audit

        return Audit(self.database, self.clock)

    def own(self, service: str) -> identity.OwnClient:
        """A service's own client."""
        if not self.token:
            return super().own(service)
        return identity.OwnClient(f"static/taskcluster/{service}", self.token, identity.SERVICE_SCOPES[service], "")

    def caller(self, service: str) -> LimitableCaller:
        """Calls other services as this one."""
        own = self.own(service)
        credentials = Credentials(own.client_id, own.access_token)
        local = super().restricted(service, own.scopes) if self._has_auth else Local(self.front.services.get, _Own(self._remote, credentials, self.clock).tell)
        assert isinstance(local, Local)
        return Either(self.answering.__contains__, local, lambda name: self._client(name, credentials))

    def restricted(self, service: str, scopes: Iterable[str]) -> LimitableCaller:
        """Calls other services in this one's name with these scopes; where it has not all of them itself, in the owner's."""
        own, wanted = self.own(service), list(scopes)
        name, token = own.client_id, own.access_token
        if not ScopeSet(own.scopes).satisfies_all(wanted):
            name, token, wanted = self.root_client.client_id, self.root_client.access_token, fitting(wanted)
        now = self.clock.now()
        made = temporary.create(name, token, scopes=wanted, start_ms=now - _SHORT, expiry_ms=now + _LONG)
        credentials = Credentials(made.client_id, made.access_token, made.certificate)

        def elsewhere(service: str) -> Http:
            return self._client(service, None).using(credentials)

        if not self._has_auth:
            return Either(lambda _: False, Local(self.front.services.get, lambda: Failure("")), elsewhere)
        local = super().restricted(service, wanted)
        assert isinstance(local, Local)
        return Either(self.answering.__contains__, local, elsewhere)

    def anonymous(self) -> Caller:
        """Calls other services as somebody without credentials."""
        local = Local(self.front.services.get, lambda: self.authenticate(UNSIGNED))
        return Either(self.answering.__contains__, local, lambda service: self._client(service, None))

    def _client(self, service: str, credentials: Credentials | None) -> Http:
        key = (service, credentials.client_id if credentials is not None else "")
        if key not in self._clients:
            chosen = self.settings.serve
            url = chosen.urls.get(service) or chosen.services_url or self.root_url
            headers = self.tracing.headers if self.tracing is not None else dict
            self._clients[key] = Http(url, credentials, session=self.session, clock=clocks.SystemClock(), retries=_RETRIES, routes=routes, headers=headers)
        return self._clients[key]


class _Own:
    """Who a service's own client is, as auth elsewhere says."""

    def __init__(self, remote: RemoteAuthenticator, credentials: Credentials, clock: clocks.Clock) -> None:
        self._remote = remote
        self._credentials = credentials
        self._clock = clock
        self._known: tuple[Identity, int] | None = None

    async def tell(self) -> Identity:
        if self._known is None or self._known[1] <= self._clock.now():
            header = sign(self._credentials, "GET", "http://localhost/", None, self._clock.now())
            told = self._remote.authenticate(structs.replace(UNSIGNED, authorization=header))
            self._known = (told if isinstance(told, (Success, Failure)) else await told), self._clock.now() + KNOWN
        return self._known[0]


def fitting(scopes: Sequence[str]) -> list[str]:
    """Scopes that fit into a signed request; of too many, those alone that matter for reading tasks.

    Raises InputError when there are still too many.
    """
    if _size(scopes) <= _FITTING:
        return list(scopes)
    kept = [scope for scope in scopes if scope.startswith(_READING) or (scope.endswith("*") and any(each.startswith(scope[:-1]) for each in _READING))]
    if _size(kept) > _FITTING:
        raise errors.InputError("You have more scopes, {count}, than fit into a signed request: use credentials with fewer.", count=len(scopes))
    return kept


def _size(scopes: Sequence[str]) -> int:
    return sum(map(len, scopes)) + 3 * len(scopes)


@cache
def routes(service: str) -> Routes:
    """Verb and route of each method of a service, from its declarations, which are the same wherever it runs."""
    api = import_module(f"tcbox.services.{package(service)}.declarations").api
    import_module(f"tcbox.services.{package(service)}.service")  # declares the methods
    return {name: (method.verb.upper(), method.route) for name, method in api.methods.items()}
