"""`tcbox serve front`: one address before all processes, for where there is no ingress.

A request goes to a process that takes requests, each in turn. When that one is gone before it has answered, another is
asked, provided that asking twice does no harm; else the caller is told to try again.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.api import head as heads
from tcbox.api import refusals, wire
from tcbox.api.streams import PREFIX as EVENTS
from tcbox.box import metrics, parts
from tcbox.box.replicas import Replica, Replicas, watch
from tcbox.config import ConfigError, Settings
from tcbox.config.faults import Fault
from tcbox.runtime import Registry, silence
from tcbox.runtime.ending import watched

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import web
    from multidict import CIMultiDict

_AGAIN = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
"""Verbs of requests that may be sent twice."""
_HOP = frozenset(("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "content-length"))
_WHOLE = wire.MAX_BODY + 1
_LARGE = 256 * 1024
_CONNECT, _SILENT = 3.0, 150.0  # seconds for a connection, and for a process to say something
_GIVEN = ("User-Agent", "Accept-Encoding", "Accept", "Content-Type")
"""Headers that are the caller's to give, or not."""
_SIGN_IN, _BLOBS = "/login/", "/blobs/"
_ROUNDS, _PAUSE = 3, 0.25  # how often all processes are asked, and seconds between
_log = log.get("front")


class Leading:
    """Leads requests to processes, as `serve.replicas` names them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.port = 0
        self.leaving = False
        self.registry = Registry()
        self._clock = clocks.SystemClock()
        self._services = {name: Replicas(urls) for name, urls in settings.serve.replicas.items() if urls}
        if not self._services:
            hint = "write serve.replicas: {queue: [http://host:port, ...], ...}"
            raise ConfigError([Fault(key="serve.replicas", expected="where the services' processes are", found="nothing", hint=hint)])
        self._watching: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._requests = self.registry.counter("tcbox_front_requests_total", "Requests led to a service.", ("service", "status"))
        self._asked_again = self.registry.counter("tcbox_front_asked_again_total", "Requests sent to another process since one was gone.", ("service",))
        self.registry.computed("tcbox_front_replica_up", "Whether a process takes requests.", ("service", "url"), self._up)

    def _up(self) -> list[tuple[tuple[str, str], float]]:
        return [((name, each.url), float(each.up)) for name, found in self._services.items() for each in found.all]

    async def start(self) -> None:
        """Listen."""
        import aiohttp
        from aiohttp import web

        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=10, socket_factory=silence.sockets(self.settings.serve.lost_after_seconds))
        self._session: aiohttp.ClientSession = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=_GIVEN,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENT),
        )  # fmt: skip
        self._handler = web.Server(
            self._handle, access_log=None, lingering_time=10, max_line_size=heads.MAX_HEAD, max_field_size=heads.MAX_HEAD, auto_decompress=False,
            handler_cancellation=True,  # whoever goes away while the queue waits for a task is not to be given one
        )  # fmt: skip
        self._server = await asyncio.get_running_loop().create_server(self._handler, self.settings.host, self.settings.port, backlog=1024, reuse_address=True)
        self.port = int(self._server.sockets[0].getsockname()[1])
        replicas = [replica for found in self._services.values() for replica in found.all]
        self._watching = [watched(asyncio.create_task(watch(replica, self._session), name=f"front: {replica.url}"), _log) for replica in replicas]

    async def stop(self) -> None:
        """Give notice, then finish what is under way, and close."""
        if self._server is None:
            return
        self.leaving = True
        await asyncio.sleep(self.settings.serve.notice_seconds)
        self._server.close()
        self._handler.pre_shutdown()
        await self._handler.shutdown(self.settings.shutdown.drain_seconds)
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await self._session.close()

    # -- leading

    def service(self, path: str) -> str:
        """The service that a path belongs to."""
        if path.startswith("/api/"):
            return path.split("/", 3)[2]
        if path.startswith(_BLOBS):
            return next((name for name in parts.STORING if name in self._services), "")
        if path.startswith(_SIGN_IN):
            return "web-server"
        return next((name for name in parts.FRONT if name in self._services), "")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path in ("/__lbheartbeat__", "/__heartbeat__"):
            return metrics.answer({"state": "leaving" if self.leaving else "ready"}, 503 if self.leaving else 200)
        if path == "/__version__":
            return await metrics.version(request)
        if path == "/metrics":
            if wire.proxied(request.headers):  # it is for those alone who reach this process itself
                return self._refused(request, errors.ResourceNotFound("There is nothing at {path}.", path=path))
            return await metrics.handler(self.registry)(request)
        if path.startswith(_BLOBS) and self.settings.blobs.url.startswith("s3://"):  # whose body nobody waits for
            words = "There is nothing at {path}: what is stored is in S3, and is read and written there."
            return self._refused(request, errors.ResourceNotFound(words, path=path))
        name = self.service(path)
        replicas = self._services.get(name)
        if replicas is None:
            words = "There is nothing at {path}: serve.replicas of the front door names no process of {service}."
            return self._refused(request, errors.ResourceNotFound(words, path=path, service=name or "the pages"))
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        response = await self._led(request, name, replicas)
        self._requests.inc(name, str(response.status))
        return response

    async def _led(self, request: web.BaseRequest, name: str, replicas: Replicas) -> web.StreamResponse:
        """The answer of the first process that gives one."""
        import aiohttp

        body: bytes | aiohttp.StreamReader | None = request.content if request.body_exists else None
        whole = body is None or request.path.startswith("/api/") or (request.content_length or _WHOLE) < _WHOLE
        if body is not None and whole:
            body = await _read(request)
            if len(body) >= _WHOLE:
                return self._refused(request, errors.InputTooLarge())
        headers = _forwarded(request)
        for attempt in range(_ROUNDS):
            for replica in replicas.turn():
                try:
                    return await self._asked(request, replica, headers, body)
                except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:  # it has got nothing
                    replica.seen(up=False, why=str(error))
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    why = str(error) or type(error).__name__
                    if request.method not in _AGAIN or not whole:
                        return self._refused(request, errors.Unavailable("The process that had your request is gone ({reason}): try again.", reason=why))
                    if isinstance(error, aiohttp.ServerTimeoutError):
                        return self._refused(request, errors.Unavailable("The service {service} does not answer in time: try again.", service=name))
                self._asked_again.inc(name)
            if attempt + 1 < _ROUNDS:
                await asyncio.sleep(_PAUSE)
        return self._refused(request, errors.Unavailable("No process of the service {service} takes requests just now: try again.", service=name))

    async def _asked(self, request: web.BaseRequest, replica: Replica, headers: CIMultiDict[str], body: object) -> web.StreamResponse:
        """A process's answer; what is below /api/ is had as a whole before any of it goes on."""
        from aiohttp import web
        from yarl import URL

        url = URL(replica.url + request.raw_path, encoded=True)
        data = io.BytesIO(body) if isinstance(body, bytes) and len(body) > _LARGE else body  # large ones go out in pieces
        async with self._session.request(request.method, url, headers=headers, data=data, allow_redirects=False) as reply:
            kept = _kept(reply.headers)
            if request.method == "HEAD" or reply.status in (204, 304):
                response = web.Response(status=reply.status, headers=kept)
                if request.method == "HEAD" and "Content-Length" in reply.headers:
                    response.headers["Content-Length"] = reply.headers["Content-Length"]
                return response
            if request.path.startswith("/api/"):
                return web.Response(status=reply.status, headers=kept, body=await reply.read())
            streamed = web.StreamResponse(status=reply.status, headers=kept)
            if "Content-Length" in reply.headers:
                streamed.content_length = int(reply.headers["Content-Length"])
            await streamed.prepare(request)
            await _pumped(reply, streamed, endless=request.path.startswith(EVENTS))
            return streamed

    def _refused(self, request: web.BaseRequest, error: errors.ApiError) -> web.StreamResponse:
        from aiohttp import web

        body = refusals.body(error, request.method, {}, None, self._clock.now())
        headers = {"Content-Type": wire.JSON, **wire.COMMON_HEADERS, **error.headers}
        return web.Response(status=error.status, body=wire.encode(body), headers=headers)


async def _read(request: web.BaseRequest) -> bytes:
    """A body, up to one byte more than a body may have."""
    chunks, size = [], 0
    async for chunk in request.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size >= _WHOLE:
            break
    return b"".join(chunks)


async def _pumped(reply: aiohttp.ClientResponse, response: web.StreamResponse, *, endless: bool) -> None:
    """Hand a body on as it comes; one that breaks off breaks off for the caller too."""
    import aiohttp

    try:
        async for chunk in reply.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, OSError) as error:
        if not endless:
            raise ConnectionResetError(str(error)) from error
        response.force_close()
    await response.write_eof()


def _forwarded(request: web.BaseRequest) -> CIMultiDict[str]:
    headers = _kept(request.headers)
    before = request.headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = f"{before}, {request.remote}" if before else request.remote or ""
    return headers


def _kept(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers that go on."""
    from multidict import CIMultiDict

    left = _HOP | {each.strip().lower() for each in headers.get("Connection", "").split(",")} | {"expect"}
    return CIMultiDict([(name, value) for name, value in headers.items() if name.lower() not in left])
