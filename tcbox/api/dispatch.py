"""Answers requests to one service's API: route, identity, body, checks, the method's coroutine, the reply.

The order is the published one: identity before the form of parameters, that before the body's schema.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.api import refusals, routes, wire
from tcbox.api.authenticator import Authenticator, Identity
from tcbox.api.call import Call, Encoded, Reply
from tcbox.api.declare import Api, Method, published
from tcbox.api.schemas import SchemaSet, Validator
from tcbox.credentials import Failure, SignedRequest, Success, payload_hash
from tcbox.db.errors import DatabaseError

Coroutine = Callable[..., Awaitable[Any]]
_JSON = "application/json"
_LARGE = 256 * 1024
"""Bytes of a body of which only the first fault is told."""


class Meter(Protocol):
    """Counts calls; implementers must be cheap, as they are told of every one."""

    def called(self, method: Method, status: int, seconds: float) -> None:
        """One call was answered."""
        ...


class _Entry:
    """What answers one method, and what its arguments are checked with."""

    __slots__ = ("forms", "handler", "validator")

    def __init__(self, handler: Coroutine, forms: tuple[tuple[str, re.Pattern[str]], ...]) -> None:
        self.handler = handler
        self.forms = forms
        self.validator: Validator | None = None


class Dispatcher:
    """One service's methods, ready to be called over HTTP or from inside the process.

    Args:
        meter: is told of every call over HTTP.
        check_replies: check each reply against its schema, for tests.
    """

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
        self._schemas = schemas
        self._routes = routes.of(tuple(api.methods.values()))
        self._authenticator = authenticator
        self._clock = clock
        self._meter = meter
        self._check_replies = check_replies
        self._entries = {
            name: _Entry(handlers[name], tuple((param, api.params[param]) for param in method.params if param in api.params))
            for name, method in api.methods.items()
        }

    def match(self, verb: str, path: str) -> routes.Match | None:
        """The method that answers a verb, such as "GET", at a path below the service's version."""
        return self._routes.find(verb.lower(), path)

    async def answer(self, request: wire.Request, match: routes.Match, query: str) -> wire.Answer:
        """Answer one request; errors become published error bodies, and nothing is raised."""
        started = time.perf_counter()
        method, params = match.method, match.params
        payload: Any = None
        try:
            payload = self._body(request) if request.body else {}
            values, faults = self._query(query) if query else ({}, [])
            call = Call(method, params, values, request=request, identifier=self)
            if method.by_route:
                await call.authorize(**params)
            entry = self._entries[method.name]
            if values or faults or entry.forms or match.malformed:
                self._check_arguments(method, entry, params, values, malformed=match.malformed, faults=faults)
            if method.input is None:
                call.payload = payload
            else:
                self._check_kind(request)
                call.payload = self._valid(method, entry, payload, brief=len(request.body) > _LARGE)
            answer = self._reply(method, call, await entry.handler(call, **params))
        except errors.ApiError as error:
            inner = error.status == 500 and isinstance(error, DatabaseError)  # its message is about this machine
            answer = self._refuse(self._incident(method, request, error) if inner else error, method, params, payload)
        except Exception as error:
            answer = self._refuse(self._incident(method, request, error), method, params, payload)
        seconds = time.perf_counter() - started
        if self._meter is not None:
            self._meter.called(method, answer.status, seconds)
        if answer.status >= 500 or self.log.isEnabledFor(10):
            self.log.log(
                10 if answer.status < 500 else 40, "%s %s", method.name, answer.status,
                extra={"requestId": request.request_id, "resource": _resource(method, request), "milliseconds": round(seconds * 1000, 1)},
            )  # fmt: skip
        return answer

    def _incident(self, method: Method, request: wire.Request, error: Exception) -> errors.ApiError:
        """What the caller is told of a failure that is no fault of the call; the log has the rest."""
        self.log.error("%s failed", method.name, extra={"requestId": request.request_id}, exc_info=error)
        return errors.InternalServerError(
            "Internal Server Error, incidentId {incidentId}. The log of the {service} service has the whole story under that id.",
            incidentId=request.request_id, service=self.api.service,
        )  # fmt: skip

    async def invoke(self, name: str, params: Mapping[str, str], query: Mapping[str, str], payload: Any, identity: Identity) -> Any:
        """Call a method from inside the process, with the same checks as over HTTP.

        Raises the method's ApiErrors, and gives the value that would be encoded.
        """
        method, entry = self.api.methods[name], self._entries[name]
        call = Call(method, params, query, identity=identity)
        try:
            if method.by_route:
                await call.authorize(**params)
            self._check_arguments(method, entry, params, query)
            call.payload = {} if payload is None else payload
            if method.input is not None:
                call.payload = self._valid(method, entry, wire.decode(wire.encode(call.payload)))
            result = await entry.handler(call, **params)
            self._ensure_authorized(method, call)
        except errors.ApiError:
            raise
        except Exception as error:
            self.log.exception("%s failed", name, exc_info=error)
            raise errors.InternalServerError from error
        if isinstance(result, Reply):
            result = result.body
        if result is None or isinstance(result, bytes):
            return result
        return wire.decode(result.body if isinstance(result, Encoded) else wire.encode(result))

    def identify(self, request: wire.Request, authenticator: Authenticator | None = None) -> Identity | Awaitable[Identity]:
        """Who signed a request; a Failure also when the signature covers another body than the one that came."""
        headers = request.headers
        host, port = wire.host_and_port(headers)
        identity = (authenticator or self._authenticator).authenticate(
            SignedRequest(
                method=request.method.lower(), resource=request.target, host=host, port=port,
                authorization=headers.get("authorization"), source_ip=request.source_ip,
            )
        )  # fmt: skip
        if isinstance(identity, Success):
            return self._check_hash(identity, request) if identity.hash else identity
        return identity if isinstance(identity, Failure) else self._identify_later(identity, request)

    async def _identify_later(self, pending: Awaitable[Identity], request: wire.Request) -> Identity:
        if asyncio.current_task() is None:
            await asyncio.sleep(0)  # goes on in a task, which what follows may need
        identity = await pending
        return self._check_hash(identity, request) if isinstance(identity, Success) else identity

    @staticmethod
    def _check_hash(identity: Success, request: wire.Request) -> Identity:
        if not identity.hash or identity.scheme != "hawk":
            return identity
        computed = payload_hash(request.body, request.headers.get("content-type", ""))
        if computed == identity.hash:
            return identity
        return Failure(
            f"Invalid payload hash: {identity.hash}\nComputed payload hash: {computed}\n"
            "The signature covers another body than the one that came: sign the bytes that are sent, with the Content-Type that is sent."
        )

    @staticmethod
    def _body(request: wire.Request) -> Any:
        if not _is_json(request.headers.get("content-type")):
            return {}
        try:
            value = wire.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.MalformedPayload("Failed to parse JSON: {reason}. Send one JSON object or list.", reason=str(error)) from None
        if not isinstance(value, (dict, list)):
            raise errors.MalformedPayload("Failed to parse JSON: the body must be an object or a list, and is {kind}.", kind=type(value).__name__)
        if wire.too_deep(request.body, value):
            raise errors.MalformedPayload("The body nests lists and objects more than {most} deep: make it flatter.", most=wire.MAX_DEPTH)
        return value

    @staticmethod
    def _query(text: str) -> tuple[dict[str, str], list[str]]:
        """The query's values, and what is wrong with its form."""
        values: dict[str, str] = {}
        faults: list[str] = []
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError:
            return {}, ["The query string is not well-formed: percent-encode UTF-8, and give at most 100 parameters"]
        for name, value in pairs:
            if name in values:
                faults.append(f"Query-string parameter: {name} must be a string! It is given more than once")
            elif "\0" in value:
                faults.append(f"Query-string parameter: {name} has a NUL character in it")
            values[name] = value
        return values, faults

    @staticmethod
    def _check_arguments(
        method: Method,
        entry: _Entry,
        params: Mapping[str, str],
        query: Mapping[str, str],
        *,
        malformed: Sequence[str] = (),
        faults: Sequence[str] = (),
    ) -> None:
        wrong = malformed or [
            f"URL parameter '{name}' given as '{params[name]}' must match regular expression: '/{published(form)}/'"
            for name, form in entry.forms
            if not form.search(params[name])
        ]
        if wrong:
            raise errors.InvalidRequestArguments("Invalid URL patterns:\n{errors}", errors="\n".join(wrong))
        faults = list(faults)
        for name, value in query.items():
            pattern = method.query.get(name)
            if pattern is not None and not pattern.search(value):
                faults.append(f'Query-string parameter: {name}="{value}" does not match expression: /{published(pattern)}/')
            elif pattern is None and name != "bewit":
                known = ", ".join(method.query) or "none"
                faults.append(f"Query-string parameter: {name} is not supported! ({method.name} takes: {known})")
        if faults:
            raise errors.InvalidRequestArguments("{errors}", errors="\n".join(faults))

    @staticmethod
    def _check_kind(request: wire.Request) -> None:
        kind = request.headers.get("content-type")
        if not _is_json(kind):
            raise errors.MalformedPayload("Payload must be JSON with content-type: application/json got content-type: {contentType}", contentType=kind)

    def _valid(self, method: Method, entry: _Entry, payload: Any, *, brief: bool = False) -> Any:
        validator = entry.validator
        if validator is None:
            validator = entry.validator = self._schemas.validator(method.service, method.input or "")
        payload = validator.fill(payload)
        faults = validator.check(payload, brief=brief)
        if faults:
            advice = method.advice
            listed = "\n".join(f"  * {fault.path or '/'}: {fault.message}" + (f" ({advice[fault.path]})" if fault.path in advice else "") for fault in faults)
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
            wire.check_headers(headers)
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


def _resource(method: Method, request: wire.Request) -> str:
    """The path as the log has it: that of the route where it holds a token."""
    return method.route if "token" in method.params else request.target.partition("?")[0]


def _is_json(kind: str | None) -> bool:
    return kind is not None and (kind == _JSON or kind.partition(";")[0].strip().lower() == _JSON)
