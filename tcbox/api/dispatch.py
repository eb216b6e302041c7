"""Answers requests to one service's API: route, identity, body, checks, the method's coroutine, the reply.

The order is the published one: identity before the form of parameters, that before the body's schema.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.api import refusals, routes, wire
from tcbox.api.call import Call, Encoded, Identity, Reply
from tcbox.api.declare import Api, Method
from tcbox.api.schemas import SchemaSet, Validator
from tcbox.credentials import SignedRequest, Success, payload_hash

Coroutine = Callable[..., Awaitable[Any]]


class Authenticator(Protocol):
    """Tells who signed a request.

    Implementers must answer every request, with a Failure where the credentials are wrong, and raise
    `errors.Unavailable` only when they cannot know. They may answer at once or be awaited.
    """

    def authenticate(self, request: SignedRequest) -> Identity | Awaitable[Identity]:
        """Who signed this request."""
        ...


class Meter(Protocol):
    """Counts calls; implementers must be cheap, as they are told of every one."""

    def called(self, method: Method, status: int, seconds: float) -> None:
        """One call was answered."""
        ...


class Dispatcher:
    """One service's methods, ready to be called over HTTP or from inside the process."""

    def __init__(
        self,
        api: Api,
        handlers: Mapping[str, Coroutine],
        schemas: SchemaSet,
        authenticator: Authenticator,
        *,
        clock: clocks.Clock,
        meter: Meter | None = None,
        check_replies: bool = False,
    ) -> None:
        self.api = api
        self.log = log.get(api.service)
        self._handlers = handlers
        self._schemas = schemas
        self._routes = routes.Routes(list(api.methods.values()))
        self._authenticator = authenticator
        self._clock = clock
        self._meter = meter
        self._check_replies = check_replies
        self._inputs: dict[str, Validator] = {}

    def match(self, request: wire.Request, path: str) -> routes.Match | None:
        """The method for a path below the service's version."""
        return self._routes.find(request.method.lower(), path)

    async def answer(self, request: wire.Request, match: routes.Match, query: str) -> wire.Answer:
        """Answer one request; errors become published error bodies, and nothing is raised."""
        started = time.perf_counter()
        method, params = match.method, match.params
        payload: Any = None
        try:
            payload = self._body(request)
            values = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
            call = Call(method, params, values, lambda: self._identify(request), request_id=request.request_id, source_ip=request.source_ip)
            if method.by_route:
                await call.authorize(**params)
            self._check_arguments(method, params, values)
            if method.input is not None:
                call.payload = self._checked(method, request, payload)
            answer = self._reply(method, call, await self._handlers[method.name](call, **params))
        except errors.ApiError as error:
            answer = self._refuse(error, method, params, payload)
        except Exception as error:
            self.log.exception("%s failed", method.name, extra={"requestId": request.request_id}, exc_info=error)
            wrapped = errors.InternalServerError(
                "Internal Server Error, incidentId {incidentId}. The log of the {service} service has the whole story under that id.",
                incidentId=request.request_id, service=self.api.service,
            )  # fmt: skip
            answer = self._refuse(wrapped, method, params, payload)
        seconds = time.perf_counter() - started
        if self._meter is not None:
            self._meter.called(method, answer.status, seconds)
        if answer.status >= 500 or self.log.isEnabledFor(10):
            self.log.log(
                10 if answer.status < 500 else 40, "%s %s", method.name, answer.status,
                extra={"requestId": request.request_id, "resource": request.target.partition("?")[0], "milliseconds": round(seconds * 1000, 1)},
            )  # fmt: skip
        return answer

    async def invoke(self, name: str, params: Mapping[str, str], query: Mapping[str, str], payload: Any, identity: Identity) -> Any:
        """Call a method from inside the process, with the same checks as over HTTP.

        Raises the method's ApiErrors, and gives the value that would be encoded.
        """
        method = self.api.methods[name]
        call = Call(method, params, query, lambda: identity)
        if method.by_route:
            await call.authorize(**params)
        self._check_arguments(method, params, query)
        if method.input is not None:
            call.payload = self._valid(method, payload)
        result = await self._handlers[name](call, **params)
        self._ensure_authorized(method, call)
        if isinstance(result, Encoded):
            return wire.decode(result.body)
        return result.body if isinstance(result, Reply) else result

    def _identify(self, request: wire.Request) -> Identity | Awaitable[Identity]:
        headers = request.headers
        host, port = wire.host_and_port(headers)
        identity = self._authenticator.authenticate(
            SignedRequest(
                method=request.method.lower(), resource=request.target, host=host, port=port,
                authorization=headers.get("authorization"), source_ip=request.source_ip,
            )
        )  # fmt: skip
        if isinstance(identity, Success):
            self._check_hash(identity, request)
            return identity
        return identity if not isinstance(identity, Awaitable) else self._identify_later(identity, request)

    async def _identify_later(self, pending: Awaitable[Identity], request: wire.Request) -> Identity:
        identity = await pending
        if isinstance(identity, Success):
            self._check_hash(identity, request)
        return identity

    def _check_hash(self, identity: Success, request: wire.Request) -> None:
        if identity.hash and identity.scheme == "hawk":
            computed = payload_hash(request.body, request.headers.get("content-type", ""))
            if computed != identity.hash:
                raise errors.AuthenticationFailed(
                    "The request's signature covers a body with the hash {hash}, but the body that came has the hash {computed}. "
                    "Sign the bytes that are sent, with the Content-Type that is sent.",
                    hash=identity.hash, computed=computed,
                )  # fmt: skip

    @staticmethod
    def _body(request: wire.Request) -> Any:
        if not request.body:
            return {}
        if not request.headers.get("content-type", "").startswith("application/json"):
            return {}
        try:
            value = wire.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.MalformedPayload("Failed to parse JSON: {reason}. Send one JSON object or list.", reason=str(error)) from None
        if not isinstance(value, (dict, list)):
            raise errors.MalformedPayload("Failed to parse JSON: the body must be an object or a list, and is {kind}.", kind=type(value).__name__)
        return value

    def _check_arguments(self, method: Method, params: Mapping[str, str], query: Mapping[str, str]) -> None:
        patterns = self.api.params
        wrong = [
            f"URL parameter '{name}' given as '{value}' must match regular expression: '{patterns[name].pattern}'"
            for name, value in params.items()
            if name in patterns and not patterns[name].search(value)
        ]
        for name, value in query.items():
            pattern = method.query.get(name)
            if pattern is not None and not pattern.search(value):
                wrong.append(f'Query-string parameter: {name}="{value}" does not match expression: {pattern.pattern}')
            elif pattern is None and name != "bewit":
                known = ", ".join(method.query) or "none"
                wrong.append(f"Query-string parameter: {name} is not supported! ({method.name} takes: {known})")
        if wrong:
            raise errors.InvalidRequestArguments("{errors}", errors="\n".join(wrong))

    def _checked(self, method: Method, request: wire.Request, payload: Any) -> Any:
        kind = request.headers.get("content-type")
        if kind is None or not kind.startswith("application/json"):
            raise errors.MalformedPayload("Payload must be JSON with content-type: application/json, got content-type: {kind}", kind=kind)
        return self._valid(method, payload)

    def _valid(self, method: Method, payload: Any) -> Any:
        validator = self._inputs.get(method.name)
        if validator is None:
            validator = self._inputs[method.name] = self._schemas.validator(method.service, method.input or "")
        payload = validator.fill(payload)
        faults = validator.check(payload)
        if faults:
            listed = "\n".join(f"  * {fault.path or '/'}: {fault.message}" for fault in faults)
            raise errors.InputValidationError(
                "Schema Validation Failed!\nRejecting Schema: {schema}\nErrors:\n{faults}",
                schema=self._schemas.path(method.service, method.input or ""), faults=listed,
            )  # fmt: skip
        return payload

    @staticmethod
    def _ensure_authorized(method: Method, call: Call) -> None:
        if not call.authorized:
            raise RuntimeError(f"{method.service}.{method.name} declares scopes but never checked them: await call.authorize(...)")

    def _reply(self, method: Method, call: Call, result: Any) -> wire.Answer:
        self._ensure_authorized(method, call)
        status, headers, body = 200, None, result
        if type(result) is Reply:
            status, headers, body = result.status, result.headers, result.body
        if type(body) is Encoded:
            return wire.Answer(status, body.body, headers)
        if body is None:
            return wire.Answer(204 if status == 200 else status, b"", headers)
        if isinstance(body, bytes):
            return wire.Answer(status, body, headers)
        if self._check_replies and method.output not in (None, "blob") and status == 200:
            faults = self._schemas.validator(method.service, method.output or "").check(wire.decode(wire.encode(body)))
            if faults:
                raise RuntimeError(f"{method.service}.{method.name} answers what its schema refuses: {faults}")
        return wire.Answer(status, wire.encode(body), headers)

    def _refuse(self, error: errors.ApiError, method: Method, params: Mapping[str, str], payload: Any) -> wire.Answer:
        shown = None if method.conceal else payload
        body = refusals.body(error, method.name, params, shown, self._clock.now())
        return wire.json_answer(body, error.status, error.headers or None)
