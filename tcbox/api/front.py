"""The front door: one port for every service's API, and for whatever else is mounted beside them.

aiohttp is imported when the first request comes that needs it: its import costs more than the rest of a start.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import refusals, wire
from tcbox.api.connection import KEEP_ALIVE, Connection, Work
from tcbox.api.dispatch import Dispatcher

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.web_protocol import RequestHandler

    from tcbox.api.handed import Handed

Mounted = Callable[["web.BaseRequest"], Awaitable["web.StreamResponse"]]
_SWEEP = 5.0


class CannotListen(errors.TcboxError):
    """The address cannot be listened on."""


class Front:
    """Listens, and sends each request to its service.

    Attributes:
        services: the dispatchers of the services that run, by name; changed while serving when one restarts.
        known: names of services that belong to the instance, running or not.
        off: names of those that are switched off, with the key of the configuration that says so.
        leaving: whether each answer says that the connection ends with it, so that clients go elsewhere.
        complete: set once all is mounted; pages and streams wait for it, since a browser that is told that there is no
            stream of events yet would never ask again.
    """

    def __init__(self, clock: clocks.Clock) -> None:
        self.services: dict[str, Dispatcher] = {}
        self.known: set[str] = set()
        self.off: Mapping[str, str] = {}
        self.connections: set[Connection] = set()
        self.leaving = False
        self.complete = asyncio.Event()
        self.complete.set()
        self.running: set[asyncio.Task[wire.Answer]] = set()
        self._clock = clock
        self._mounts: list[tuple[str, Mounted, bool]] = []
        self._server: asyncio.Server | None = None
        self._aiohttp: Handed | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    def mount(self, prefix: str, handler: Mounted, *, direct: bool = False) -> None:
        """Answer a path, and all below it, by an aiohttp handler; the longest wins.

        The handler gets bodies as they were sent, and tells a client that expects it to continue.

        Args:
            direct: it is for those alone who reach this process itself, and not there for who comes through a proxy: no Ingress
                can portably keep a path back.
        """
        self._mounts.append((prefix, handler, direct))
        self._mounts.sort(key=lambda mount: -len(mount[0]))

    def unmount(self, prefix: str) -> None:
        """Take back what was mounted at a prefix."""
        self._mounts = [mount for mount in self._mounts if mount[0] != prefix]

    async def listen(self, host: str, port: int) -> int:
        """Start to serve; gives the port, which the system chooses when 0 is asked for.

        Raises CannotListen when the address is taken or not this machine's.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024, reuse_address=True)
        except OSError as error:
            raise CannotListen(_why(host, port, error)) from error
        self._sweeper = loop.call_later(_SWEEP, self._sweep)
        sock: socket.socket = self._server.sockets[0]
        return int(sock.getsockname()[1])

    async def close(self, drain_seconds: float) -> None:
        """Stop listening, let requests under way finish for so long, then close every connection."""
        if self._server is None:
            return
        self._server.close()
        self.complete.set()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.close_when_idle()
        if self._aiohttp is not None:
            self._aiohttp.pre_shutdown()  # its own connections likewise: one that a browser keeps open must not take the whole time
        loop = asyncio.get_running_loop()
        until = loop.time() + drain_seconds
        if self.running:
            await asyncio.wait(set(self.running), timeout=drain_seconds)
        for connection in list(self.connections):
            connection.transport.abort()
        if self._aiohttp is not None:
            await self._aiohttp.shutdown(max(0.1, until - loop.time()))
        self._server = None

    # -- what a Connection asks of its owner

    def start(self, request: wire.Request) -> wire.Answer | Work:
        """Find the method that answers a request below /api/, and give its work."""
        target, verb = request.target, request.method
        path, _, query = target.partition("?") if "?" in target else (target, "", "")
        parts = path.split("/", 4)
        dispatcher = self.services.get(parts[2]) if len(parts) > 2 else None
        if dispatcher is None:
            return self.refuse(request, self._no_service(parts[2] if len(parts) > 2 else ""))
        if verb == "OPTIONS":
            return wire.Answer(204, b"")
        if len(parts) < 5 or parts[3] != dispatcher.api.version:
            return self.refuse(request, errors.ResourceNotFound(
                "There is no {path} here; the API of {service} is at /api/{service}/v1/.", path=path, service=parts[2],
            ))  # fmt: skip
        match = dispatcher.match("GET" if verb == "HEAD" else verb, "/" + parts[4])
        if match is None:
            return self.refuse(request, errors.ResourceNotFound(
                "The service {service} has no method {verb} {path}; /references/{service}/v1/api.json lists all.",
                service=parts[2], verb=verb, path="/" + parts[4],
            ))  # fmt: skip
        method = match.method
        return Work(dispatcher.answer(request, match, query), eager=method.eager, patient=method.patient)

    def take_over(self) -> RequestHandler:
        """A new aiohttp protocol for a connection that leaves the short path."""
        return self._handed()()

    def _handed(self) -> Handed:
        if self._aiohttp is None:
            from tcbox.api.handed import Handed

            self._aiohttp = Handed(self._mounted, self, KEEP_ALIVE)
        return self._aiohttp

    def refuse(self, request: wire.Request, error: errors.ApiError) -> wire.Answer:
        """The answer to a request that reaches no method."""
        body = refusals.body(error, request.method, {}, None, self._clock.now())
        return wire.json_answer(body, error.status, error.headers or None)

    def _no_service(self, service: str) -> errors.ApiError:
        if service in self.known:
            return errors.Unavailable("The service {service} is not running just now: try again, or see 'tcbox status'.", service=service)
        if service in self.off:
            return errors.ResourceNotFound(
                "The service {service} is switched off in the configuration of this instance: {key} is false. Take that key out, and start the instance again.",
                service=service, key=self.off[service],
            )  # fmt: skip
        what = "There is no service {service} here" if service else "No service is named"
        return errors.ResourceNotFound(what + "; this instance has: {known}.", service=service, known=", ".join(sorted(self.known)))

    # -- aiohttp's side

    async def _mounted(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        await self.complete.wait()
        path = request.raw_path
        handler = None if path.startswith("/api/") else self._handler(path.partition("?")[0], request)
        if handler is not None:
            return await handler(request)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        if path.startswith("/api/"):
            return await self._handed().answer(request)
        body = refusals.body(errors.ResourceNotFound("There is nothing at {path}.", path=path), request.method, {}, None, self._clock.now())
        return web.Response(status=404, body=wire.encode(body), headers={"Content-Type": wire.JSON})

    def _handler(self, path: str, request: web.BaseRequest) -> Mounted | None:
        for prefix, handler, direct in self._mounts:
            if path == prefix or path.startswith(prefix if prefix[-1] == "/" else f"{prefix}/"):
                return None if direct and wire.proxied(request.headers) else handler
        return None

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self.connections):
            connection.sweep(now)
        self._sweeper = loop.call_later(_SWEEP, self._sweep)


def _why(host: str, port: int, error: OSError) -> str:
    address = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program: choose another with --port (0 for any free one), or stop that program"
    if error.errno == errno.EACCES:
        return f"{address} needs rights that this user lacks: choose a port above 1023, or grant them (setcap cap_net_bind_service=+ep)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: choose another with --host"
    return f"cannot listen on {address}: {error.strerror or error}"
