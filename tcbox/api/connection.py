"""A connection's short path: plain API calls are read and answered here, everything else is handed to aiohttp.

An API call needs none of what a web framework brings (streams, routing tables, cookies), and pays several times its
own cost for it. So a connection starts here; at the first request that is no plain API call it is handed over,
transport and bytes, to aiohttp's own protocol, which keeps it from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from tcbox import errors, log
from tcbox.api import head as heads
from tcbox.api import started, wire

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

KEEP_ALIVE = 75.0
"""Seconds after which a connection that says nothing is closed."""
HEAD_TIME = 60.0
"""Seconds for the head of a request to arrive whole."""
REQUEST_TIME = 300.0
"""Seconds for a request to arrive whole."""
DRAIN_TIME = 30.0
"""Seconds for which the rest of a refused request is still read, so that its sender comes to read the refusal."""
MAX_AHEAD = 256 * 1024
"""Bytes of further requests that are kept while one is answered."""
_AT_ONCE = 32  # requests in a row, before other connections have their turn

_log = log.get("http")
_TOO_LARGE = "The body is larger than 10 MiB: send less, or upload it as an artifact."
_HEAD_TOO_LARGE = "The request line and headers are larger than 64 KiB: send fewer or smaller ones."
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Owner(Protocol):
    """What a connection belongs to."""

    connections: set[Connection]
    leaving: bool
    """Whether clients are to go elsewhere after an answer."""
    running: set[asyncio.Task[wire.Answer]]

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
    """One client's connection. Requests are answered one after another, in their order.

    Attributes:
        busy: a request is being answered.
        last: when something was last read or written, by the loop's clock.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._held = bytearray()  # what has come, and is not answered yet; starts with a request's first byte
        self._wanted = 0  # bytes of the request that `held` starts with, once its head has been read
        self._since = 0.0  # when the request that `held` starts with began to arrive
        self._continued = False
        self._task: asyncio.Task[wire.Answer] | None = None
        self._request: wire.Request | None = None
        self._patient = False
        self._stalled = False
        self._paused = False
        self._closing = False
        self._drain = 0
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
        """The client has gone; what it waited long for is given up, other work goes on to its end."""
        self._owner.connections.discard(self)
        self._closing = True
        self._held.clear()
        if self._task is not None and self._patient:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self.last = self._loop.time()
        held = self._held
        if self._closing:
            self._discard(len(data))
        elif self.busy or self._stalled:
            self._keep(data)
        elif not held:
            self._consume(data)
        else:
            seen = len(held)
            held += data
            whole = len(held) >= self._wanted if self._wanted else held.find(b"\r\n\r\n", max(0, seen - 3)) >= 0 or len(held) > heads.MAX_HEAD
            if whole:
                self._go_on()

    def eof_received(self) -> bool:
        """The client sends no more: what it asked for is answered, unless it has likely gone for good."""
        self._closing = True
        return (self.busy and not self._patient) or self._stalled

    def pause_writing(self) -> None:
        """The client is slow to read: it gets no further answers for now."""
        self._stalled = True

    def resume_writing(self) -> None:
        """The client has read."""
        self._stalled = False
        self.last = self._loop.time()
        if self._closing and not self.busy and not self._drain:
            self.transport.close()
        else:
            self._loop.call_soon(self._go_on)

    # -- reading

    def _keep(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > MAX_AHEAD and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """Answer what has been kept."""
        if self.busy or self._stalled or self._closing:
            return
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        if self._held:
            data = bytes(self._held)
            self._held.clear()
            self._consume(data)

    def _consume(self, data: bytes) -> None:
        """Answer the requests in these bytes, the first of which starts a request; keep what is left."""
        at, turns = 0, 0
        while at < len(data) and not self.busy and not self._stalled and not self._closing:
            turns += 1
            if turns > _AT_ONCE:
                self._loop.call_soon(self._go_on)
                break
            end = data.find(b"\r\n\r\n", at)
            if end < 0 or end - at > heads.MAX_HEAD:
                if not self._incomplete(data, at):
                    return
                break
            head = heads.read(data[at:end])
            if head is None:
                self._hand_over(data[at:])
                return
            size = end + 4 - at + head.length
            if head.length > wire.MAX_BODY:
                self._refuse(self._made(head, b""), errors.InputTooLarge(_TOO_LARGE), left=at + size - len(data))
                return
            if at + size > len(data):
                self._await_body(head, size)
                break
            self._wanted, self._since, self._continued = 0, 0.0, False
            body = data[end + 4 : at + size] if head.length else b""
            at += size
            self._serve(self._made(head, body))
        if at < len(data) and not self._closing:
            if not self._since:
                self._since = self.last
            self._keep(data[at:]) if self.busy or self._stalled else self._held.extend(data[at:])

    def _incomplete(self, data: bytes, at: int) -> bool:
        """Whether to wait for the rest of a head."""
        self._wanted = 0
        if len(data) - at > heads.MAX_HEAD:
            error = errors.InvalidRequestArguments(_HEAD_TOO_LARGE)
            error.status = 431
            self._refuse(wire.Request("GET", "", {}, b"", self._peer, wire.new_request_id()), error, left=wire.MAX_BODY)
            return False
        newline = data.find(b"\n", at)
        if newline >= 0 and data[newline - 1 : newline] != b"\r":
            self._hand_over(data[at:])
            return False
        return True

    def _await_body(self, head: heads.Head, size: int) -> None:
        self._wanted = size
        if not self._continued and head.headers.get("expect", "").lower() == "100-continue":
            self._continued = True
            self.transport.write(_CONTINUE)

    def _made(self, head: heads.Head, body: bytes) -> wire.Request:
        headers = head.headers
        request_id = wire.clean_request_id(headers.get("x-request-id")) or wire.new_request_id()
        close = "connection" in headers and "close" in headers["connection"].lower()
        return wire.Request(head.method, head.target, headers, body, self._peer, request_id, close)

    def _discard(self, count: int) -> None:
        """More of a refused request has come."""
        self._drain -= count
        if self._drain <= 0 and not self.busy and not self._stalled:
            self.transport.close()

    # -- answering

    def _serve(self, request: wire.Request) -> None:
        try:
            work = self._owner.start(request)
            if type(work) is wire.Answer:
                self._write(request, work)
                return
            assert isinstance(work, Work)
            coroutine = work.coroutine
            if work.eager:
                step = started.first_step(coroutine)
                if type(step) is started.Done:
                    self._write(request, step.value)
                    return
                assert isinstance(step, started.Started)
                coroutine = step
        except Exception as error:
            self._failed(request, error)
            return
        self.busy = True
        self._patient = work.patient
        self._request = request
        self._task = self._loop.create_task(coroutine)
        self._owner.running.add(self._task)
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[wire.Answer]) -> None:
        self._owner.running.discard(task)
        request, self._request, self._task = self._request, None, None
        self.busy = False
        assert request is not None
        if task.cancelled():
            self.transport.close()
            return
        error = task.exception()
        if error is not None:
            self._failed(request, error)
            return
        self._write(request, task.result())
        self._go_on()

    def _failed(self, request: wire.Request, error: BaseException) -> None:
        _log.error("a request could not be answered", exc_info=error, extra={"requestId": request.request_id})
        self._closing = True
        self.transport.close()

    def _refuse(self, request: wire.Request, error: errors.ApiError, *, left: int) -> None:
        """Refuse a request of which so many bytes are still to come, and read on to let the client read."""
        self._write(request, self._owner.refuse(request, error), drain=left)

    def _write(self, request: wire.Request, answer: wire.Answer, *, drain: int = 0) -> None:
        transport = self.transport
        self.last = self._loop.time()
        if transport.is_closing():
            return
        close = request.close or self._closing or drain > 0 or self._owner.leaving
        data = answer.to_bytes(request.request_id, close=close)
        if request.method == "HEAD":
            data = data[: data.index(b"\r\n\r\n") + 4]
        if close:
            self._closing = True
            self._drain = drain
            self._since = self.last
        transport.write(data)
        if close and drain <= 0:
            transport.close()

    # -- leaving

    def _hand_over(self, raw: bytes) -> None:
        """Give the connection to aiohttp, with the bytes from the start of the request that is not for here."""
        self._owner.connections.discard(self)
        handler = self._owner.take_over()
        self.transport.set_protocol(handler)
        handler.connection_made(self.transport)
        handler.data_received(raw)

    def close_when_idle(self) -> None:
        """Answer what is under way, then close."""
        self._closing = True
        if not self.busy:
            self.transport.close()

    def sweep(self, now: float) -> None:
        """Close the connection if its client has been silent or slow for too long."""
        if self._closing:
            overdue = not self.busy and now - max(self._since, self.last if self._stalled else 0.0) > DRAIN_TIME
        elif self.busy:
            overdue = False
        elif self._held and not self._stalled:
            overdue = now - self._since > (REQUEST_TIME if self._wanted else HEAD_TIME)
        else:
            overdue = now - self.last > KEEP_ALIVE
        if overdue:
            self.transport.abort()
