"""A service called as over HTTP, without a server: routing, checks, error bodies, every reply held against its schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

import tcbox.services
from tcbox import clock as clocks
from tcbox.api import wire
from tcbox.api.dispatch import Dispatcher
from tcbox.api.schemas import SchemaSet
from tcbox.credentials import Success
from tcbox.credentials.identity import LazyScopes
from tcbox.scopes import ScopeSet

SERVICES = Path(tcbox.services.__path__[0])


@dataclass
class Answered:
    """What came back.

    Attributes:
        raw: the body as it came; `body` is the decoded one, None when there is none.
    """

    status: int
    raw: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        return msgspec.json.decode(self.raw) if self.raw else None

    @property
    def code(self) -> str:
        return self.body["code"]

    @property
    def message(self) -> str:
        return self.body["message"].partition("\n\n---\n")[0]


class Caller:
    """Calls a service as `client_id` with `scopes`, and bodies of the type `kind`, which a test may change."""

    def __init__(self, service: Any, clock: clocks.Clock, *, check_replies: bool = True) -> None:
        self.service = service
        self.scopes: tuple[str, ...] = ("*",)
        self.client_id = "tester"
        self.kind: str | None = "application/json"
        schemas = SchemaSet({service.name: SERVICES / service.name.replace("-", "_") / "schemas"})
        handlers = service.api.bind(*service.families(), service.monitoring(lambda: 1.0, list))
        self.dispatcher = Dispatcher(service.api, handlers, schemas, self, clock=clock, check_replies=check_replies)

    def authenticate(self, request: Any) -> Success:
        return Success("hawk", self.client_id, clocks.DAY * 100_000, LazyScopes(ScopeSet(self.scopes)))

    async def __call__(self, name: str, *args: str, payload: Any = None, **query: str) -> Answered:
        """Call a method by its published name; bytes as payload are sent as they are."""
        method = self.service.api.methods[name]
        path = method.route
        for parameter, value in zip(method.params, args, strict=True):
            path = path.replace(f"<{parameter}>", quote(value, safe=""))
        return await self.request(method.verb.upper(), path, payload, **query)

    async def request(self, verb: str, path: str, payload: Any = None, **query: str) -> Answered:
        """Send a request to a path below the service's version."""
        body = payload if isinstance(payload, bytes) else b"" if payload is None else msgspec.json.encode(payload)
        asked = urlencode(query)
        headers = {"host": "localhost"} if self.kind is None else {"host": "localhost", "content-type": self.kind}
        request = wire.Request(verb, f"/api/{self.service.name}/v1{path}?{asked}", headers, body, request_id="r1")
        match = self.dispatcher.match(verb, path)
        assert match is not None, path
        answer = await self.dispatcher.answer(request, match, asked)
        return Answered(answer.status, answer.body, dict(answer.headers or {}))
