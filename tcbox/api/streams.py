"""`GET /events`: what the services announce, as server-sent events, for browsers and scripts.

Source: the HTML standard, server-sent events; the binding patterns are those of AMQP 0-9-1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import refusals, wire
from tcbox.api.authenticator import Authenticator
from tcbox.credentials import Failure, SignedRequest, Success, payload_hash
from tcbox.events import Binding, Bus
from tcbox.events.hub import Feed, Hub

if TYPE_CHECKING:
    from aiohttp import web

PREFIX = "/events"
SCOPE = "web:read-pulse"
HEARTBEAT = 15.0
"""Seconds after which a stream says that it still lives."""
SLOW = 30.0
"""Seconds for which a client may take nothing of what is sent before it is cut off."""
MOST = 5000
"""Streams at once."""
BINDINGS = 100
"""Bindings of one stream at most."""
SIGNED_LIFE = 1 * clocks.HOUR
"""How long, in ms, a stream that was opened with a signature lasts; its client connects anew, and is asked again."""
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Accept, Cache-Control, Last-Event-ID",
    "Access-Control-Max-Age": "900",
}
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no", **CORS}
_ID_DIGITS = 19


class Asked:
    """What a stream is to bring.

    Attributes:
        after: the id that the query names; None without one.
    """

    def __init__(self, query: str, known: Iterable[str]) -> None:
        """Read a query; raises InvalidRequestArguments or ResourceNotFound."""
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=BINDINGS + 10)
        except ValueError:
            raise errors.InvalidRequestArguments(
                "The query string is not well-formed: percent-encode UTF-8, and give at most {most} bindings.", most=BINDINGS
            ) from None
        self.after: int | None = None
        given: list[tuple[str, str]] = []
        for name, value in pairs:
            if name == "binding":
                exchange, colon, pattern = value.partition(":")
                given.append((exchange, pattern if colon else "#"))
            elif name == "bindings":
                given += _listed(value)
            elif name == "since":
                self.after = _id(value)
                if self.after is None:
                    raise errors.InvalidRequestArguments("since={value} is no id of an event: give the id of the last one that you have.", value=value)
            elif name != "bewit":
                raise errors.InvalidRequestArguments("There is no parameter {name}: there are binding, bindings, since and bewit.", name=name)
        self.bindings = frozenset(_expanded(given, sorted(known)))


def _listed(value: str) -> list[tuple[str, str]]:
    """Bindings as JSON: a list of objects with `exchange` and `routingKeyPattern`, or an object with such a list in it."""
    try:
        decoded = msgspec.json.decode(value)
        listed = decoded["bindings"] if isinstance(decoded, dict) else decoded
        found = [(each["exchange"], each.get("routingKeyPattern", "#")) for each in listed]
        if not all(isinstance(part, str) for pair in found for part in pair):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise errors.InvalidRequestArguments(
            "bindings is JSON of this form: {form}. Or give each binding as binding=<exchange>:<pattern>.",
            form='{"bindings": [{"exchange": "exchange/…", "routingKeyPattern": "#"}]}',
        ) from None
    return found


def _expanded(given: list[tuple[str, str]], known: list[str]) -> Iterable[Binding]:
    """Bindings to exchanges by their full names; all that there are when none is given."""
    if len(given) > BINDINGS:
        raise errors.InvalidRequestArguments("A stream has at most {most} bindings: use patterns with * and #.", most=BINDINGS)
    for exchange, pattern in given or [("*", "#")]:
        if len(pattern) > 255:
            raise errors.InvalidRequestArguments("A pattern has at most 255 letters, as a routing key has: {pattern} is longer.", pattern=pattern[:40] + "…")
        names = [name for name in known if name == exchange or (exchange.endswith("*") and name.startswith(exchange[:-1]))]
        if not names:
            raise errors.ResourceNotFound(
                "This instance has no exchange {exchange}; there are: {known}. An exchange that ends with * stands for all that begin so.",
                exchange=exchange, known=", ".join(known),
            )  # fmt: skip
        for name in names:
            yield Binding(name, pattern)


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS else None


class Gap(errors.ApiError):
    """Events between the id that was asked for and the oldest that is kept are gone."""

    code, status = "ResourceExpired", 410


class Streams:
    """Answers requests to `/events`.

    Args:
        exchanges: the addresses of all exchanges of this instance.

    Attributes:
        open: streams that are open.
        cut: how many were cut off since their clients did not read.
    """

    def __init__(self, bus: Bus, hub: Hub, authenticator: Authenticator, clock: clocks.Clock, exchanges: Callable[[], Iterable[str]]) -> None:
        self.open = 0
        self.cut = 0
        self._bus = bus
        self._hub = hub
        self._authenticator = authenticator
        self._clock = clock
        self._exchanges = exchanges

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request: with a stream, or why there is none."""
        from aiohttp import web

        if request.method == "OPTIONS":
            return web.Response(status=204, headers=CORS)
        try:
            if request.path != PREFIX:
                raise errors.ResourceNotFound("There is nothing at {path}; events are at /events.", path=request.path)
            if request.method not in ("GET", "HEAD"):
                return _refusal(405, _body(errors.InvalidRequestArguments("Events are asked for with GET."), request, self._clock.now()))
            caller = await self._allowed(request)
            asked = Asked(request.raw_path.partition("?")[2], self._exchanges())
            after, gap = await self._begin(asked, request.headers.get("Last-Event-ID"))
            if self.open >= MOST:
                raise errors.Unavailable("There are {most} streams of events already: try again later.", most=MOST)
        except errors.ApiError as error:
            return _refusal(error.status, _body(error, request, self._clock.now()), error.headers)
        self.open += 1
        try:
            return await self._stream(request, caller, asked, after, gap)
        finally:
            self.open -= 1

    async def _allowed(self, request: web.BaseRequest) -> Success:
        headers = wire.fold(request.headers.items())
        host, port = wire.host_and_port(headers)
        signed = SignedRequest(request.method.lower(), request.raw_path, host, port, headers.get("authorization"), request.remote or "")
        return await self._check(signed, headers.get("content-type", ""))

    async def _check(self, signed: SignedRequest, kind: str) -> Success:
        found = self._authenticator.authenticate(signed)
        caller = found if isinstance(found, (Success, Failure)) else await found
        if isinstance(caller, Failure):
            raise errors.AuthenticationFailed("{reason}", reason=caller.message)
        if caller.hash and caller.scheme == "hawk" and caller.hash != payload_hash(b"", kind):
            raise errors.AuthenticationFailed("The signature covers a body, and this request has none: sign without one.")
        if not caller.scopes.satisfied(SCOPE):
            raise refusals.insufficient_scopes(caller, SCOPE)
        return caller

    async def _begin(self, asked: Asked, last: str | None) -> tuple[int | None, bytes]:
        """After which id to begin, and what to say of a gap before it.

        Raises Gap when the query asks for what is not there; a browser that connects anew is told in the stream, for it
        has no other way to learn of it.
        """
        given = asked.after if last is None else _id(last)
        if given is None and last is None:
            return None, b""
        removed, newest = await self._bus.removed(), await self._bus.last_id()
        if given is not None and (given == 0 or removed <= given <= newest):
            return given, b""
        oldest = await self._bus.first_id()
        known = {"asked": last if last is not None else str(given), "oldest": str(oldest), "since": str(removed), "newest": str(newest)}
        if last is None:
            why = "those events are kept no longer" if given is not None and given < removed else "there is no such event yet: the database may be another one"
            raise Gap(
                "The id {asked} cannot be gone on from, {why}. The oldest event that is kept has the id {oldest}: begin with since={since}.", why=why, **known
            )
        return removed, b"event: gap\ndata: %b\n\n" % msgspec.json.encode(known)

    async def _stream(self, request: web.BaseRequest, caller: Success, asked: Asked, after: int | None, gap: bytes) -> web.StreamResponse:
        from aiohttp import web

        response = web.StreamResponse(headers=_HEADERS)
        response.force_close()
        if request.method == "HEAD":
            return web.Response(headers=_HEADERS)
        feed = await self._hub.open(asked.bindings, after)
        try:
            await response.prepare(request)
            ready = b'retry: 2000\n\n%bevent: ready\nid: %d\ndata: {"id":"%d"}\n\n' % (gap, feed.position, feed.position)
            await self._write(request, response, ready)
            await self._go_on(request, response, feed, caller)
            await response.write_eof()
        except ConnectionError:
            pass  # the client has gone
        finally:
            feed.close()
        return response

    async def _go_on(self, request: web.BaseRequest, response: web.StreamResponse, feed: Feed, caller: Success) -> None:
        loop = asyncio.get_running_loop()
        ends = caller.expires_ms if caller.scheme == "none" else min(caller.expires_ms, self._clock.now() + SIGNED_LIFE)
        checked = loop.time()
        while True:
            chunk = await feed.read(HEARTBEAT)
            if chunk is None:
                return
            if loop.time() - checked >= HEARTBEAT * 0.9:
                checked = loop.time()
                if caller.scheme == "none":
                    try:
                        await self._check(SignedRequest("get", PREFIX, "localhost", 80), "")
                    except errors.ApiError:
                        return
                elif self._clock.now() >= ends:
                    return
            # an id alone moves a client's last id on without an event, so that it can resume after a quiet time
            await self._write(request, response, chunk or b": heartbeat\nid: %d\n\n" % feed.position)

    async def _write(self, request: web.BaseRequest, response: web.StreamResponse, chunk: bytes) -> None:
        try:
            async with asyncio.timeout(SLOW):
                await response.write(chunk)
        except TimeoutError:
            self.cut += 1
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from None


def _body(error: errors.ApiError, request: web.BaseRequest, now: int) -> dict[str, Any]:
    body = refusals.body(error, "events", {}, None, now)
    return {**body, **{name: error.details[name] for name in ("oldest", "since", "newest") if name in error.details}} if isinstance(error, Gap) else body


def _refusal(status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> web.StreamResponse:
    from aiohttp import web

    return web.Response(status=status, body=wire.encode(body), headers={"Content-Type": wire.JSON, "Cache-Control": "no-store", **CORS, **(headers or {})})
