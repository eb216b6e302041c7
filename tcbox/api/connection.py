"""A connection's short path: API calls are parsed and answered here, everything else is handed to aiohttp.

An API call needs none of what a web framework brings (streams, routing tables, cookies), and pays several times its
own cost for it. So a connection starts here, on httptools' parser; at the first request that is no API call it is
handed over, transport and bytes, to aiohttp's own protocol, which keeps it from then on.
"""

from __future__ import annotations

import asyncio
import types
from collections import deque
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol

import httptools

from tcbox import errors, ids, log
from tcbox.api import wire

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

_log = log.get("http")
_TOO_LARGE = "The body is larger than 10 MiB: send less, or upload it as an artifact."


class Owner(Protocol):
    """What a connection belongs to."""

    connections: set[Connection]

    def start(self, request: wire.Request) -> wire.Answer | Work:
        """Answer a request at once, or give the coroutine that will."""
        ...

    def take_over(self) -> RequestHandler:
        """A new aiohttp protocol for a connection that leaves the short path."""
        ...

    def refuse(self, request: wire.Request, error: errors.ApiError) -> wire.Answer:
        """The answer to a request that reaches no method."""
        ...


class Work:
    """A coroutine that makes an answer, and how it may be run."""

    __slots__ = ("coroutine", "eager", "patient")

    def __init__(self, coroutine: Coroutine[Any, Any, wire.Answer], *, eager: bool, patient: bool) -> None:
        self.coroutine = coroutine
        self.eager = eager
        self.patient = patient


class Connection(asyncio.Protocol):
    """One client's connection. Requests are answered one after another, in their order."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._waiting: deque[wire.Request] = deque()
        self._raw: list[bytes] = []
        self._task: asyncio.Task[wire.Answer] | None = None
        self._patient = False
        self._leave = False
        self._closing = False
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._peer = ""
        self.transport: asyncio.Transport
        self.busy = False
        self.last = self._loop.time()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._owner.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone; what it waited long for is given up."""
        self._owner.connections.discard(self)
        self._closing = True
        if self._task is not None and self._patient:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self.last = self._loop.time()
        if self._closing:
            return
        self._raw.append(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._leave = True
        except (httptools.HttpParserError, httptools.HttpParserCallbackError):
            self._leave = True
        if self._leave:
            self._hand_over()
        elif not self._headers and not self._url:
            self._raw.clear()

    # -- httptools' callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = {}
        self._body = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Decide who answers: only API calls stay here."""
        if not self._url.startswith(b"/api/") or "expect" in self._headers or "upgrade" in self._headers:
            self._leave = True

    def on_body(self, body: bytes) -> None:
        """A part of the body; what is past the limit is not kept."""
        self._size += len(body)
        if self._size <= wire.MAX_BODY:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """A request has come whole."""
        if self._leave:
            return
        self._raw.clear()
        request = wire.Request(
            self._parser.get_method().decode(), self._url.decode("latin-1"), self._headers,
            b"".join(self._body), self._peer, wire.clean_request_id(self._headers.get("x-request-id")) or ids.request_id(),
        )  # fmt: skip
        if self._size > wire.MAX_BODY:
            self._write(request, self._owner.refuse(request, errors.InputTooLarge(_TOO_LARGE)), close=True)
            return
        if not self._parser.should_keep_alive():
            request.headers = {**request.headers, "connection": "close"}
        self._url, self._headers = b"", {}
        if self.busy:
            self._waiting.append(request)
        else:
            self._serve(request)

    # -- answering

    def _serve(self, request: wire.Request) -> None:
        work = self._owner.start(request)
        if isinstance(work, wire.Answer):
            self._finish(request, work)
            return
        if work.eager:
            step = _first_step(work.coroutine)
            if isinstance(step, wire.Answer):
                self._finish(request, step)
                return
            coroutine = step
        else:
            coroutine = work.coroutine
        self.busy = True
        self._patient = work.patient
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(lambda task: self._done(request, task))

    def _done(self, request: wire.Request, task: asyncio.Task[wire.Answer]) -> None:
        self.busy = False
        self._task = None
        if task.cancelled():
            self.transport.close()
            return
        error = task.exception()
        if error is not None:
            _log.error("a request could not be answered", exc_info=error, extra={"requestId": request.request_id})
            self.transport.close()
            return
        self._finish(request, task.result())
        while self._waiting and not self.busy and not self._closing:
            self._serve(self._waiting.popleft())
        if self._leave and not self.busy:
            self._hand_over()

    def _finish(self, request: wire.Request, answer: wire.Answer) -> None:
        self._write(request, answer, close=self._closing or request.headers.get("connection", "").lower() == "close")

    def _write(self, request: wire.Request, answer: wire.Answer, *, close: bool) -> None:
        self.last = self._loop.time()
        if self.transport.is_closing():
            return
        data = answer.to_bytes(request.request_id, close=close)
        if request.method == "HEAD":
            data = data[: data.index(b"\r\n\r\n") + 4]
        self.transport.write(data)
        if close:
            self._closing = True
            self.transport.close()

    def _hand_over(self) -> None:
        if self.busy or self._waiting:
            return
        self._owner.connections.discard(self)
        handler = self._owner.take_over()
        self.transport.set_protocol(handler)
        handler.connection_made(self.transport)
        raw = b"".join(self._raw)
        self._raw.clear()
        handler.data_received(raw)

    def close_when_idle(self) -> None:
        """Answer what is under way, then close."""
        self._closing = True
        if not self.busy:
            self.transport.close()


def _first_step(coroutine: Coroutine[Any, Any, wire.Answer]) -> wire.Answer | Coroutine[Any, Any, wire.Answer]:
    """Run a coroutine up to where it first waits; mostly it does not, and needs no task."""
    try:
        waited_for = coroutine.send(None)
    except StopIteration as stop:
        answer: wire.Answer = stop.value
        return answer
    return _rest(coroutine, waited_for)


async def _rest(coroutine: Coroutine[Any, Any, wire.Answer], waited_for: Any) -> wire.Answer:
    answer: wire.Answer = await _steps(coroutine, waited_for)
    return answer


@types.coroutine
def _steps(coroutine: Coroutine[Any, Any, wire.Answer], waited_for: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that has been started, from within a task."""
    while True:
        try:
            value = yield waited_for
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the coroutine
            step, argument = coroutine.throw, error
        else:
            step, argument = coroutine.send, value  # type: ignore[assignment]
        try:
            waited_for = step(argument)
        except StopIteration as stop:
            return stop.value
