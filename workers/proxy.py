"""The proxy that lets a task call the instance without credentials: it signs each request with the task's own.

Paths are as tasks know them: `/api/<service>/v1/…`, the older `/<service>/v1/…`, `/<host>/…` for other hosts,
`/bewit` to have a URL signed, and `/credentials` to replace the credentials.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from tcbox import clock as clocks
from tcbox import credentials as creds
from tcbox import errors
from tcbox.client.http import Credentials, sign
from tcbox.credentials import bewit
from tcbox.workers import peers
from tcbox.workers.runs import Run

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import web

_HOST = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_HOP = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding", "upgrade", "host",
        "content-length", "authorization"}  # fmt: skip
_TRIES = 5
_MOST = 64 * 1024 * 1024


class Proxy:
    """Signs and passes on a task's requests.

    Reclaims are followed by themselves, since the run's present credentials sign each request.

    Args:
        guests: the network whose machines are answered, such as 172.18.0.0/16. The address that the proxy itself listens
            at is not one of them: this machine's other programs, and containers on other networks, can connect to it too.
        processes: whether the processes of this user are answered; without guests they alone are.
    """

    def __init__(self, run: Run, session: aiohttp.ClientSession, *, guests: str | None = None, processes: bool = False) -> None:
        self._run, self._session = run, session
        self._guests = None if guests is None else ipaddress.ip_network(guests)
        self._processes = processes or guests is None
        self._host = ""
        self._own: Credentials | None = None
        self._runner: web.ServerRunner | None = None

    async def listen(self, host: str, ports: tuple[int, ...] = (0,)) -> int:
        """Serve at the first port that can be had, and give it.

        Raises OSError when none can be had.
        """
        from aiohttp import web

        sock = _bound(host, ports)
        runner = web.ServerRunner(web.Server(self._handle, access_log=None, auto_decompress=False), shutdown_timeout=0.5)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        self._runner, self._host = runner, host
        return int(sock.getsockname()[1])

    async def close(self) -> None:
        """Stop serving; may be called twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @property
    def _credentials(self) -> Credentials:
        return self._own or self._run.credentials

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        if not self._admits(request) or not self._from_here(request):
            return web.Response(status=403, text="This proxy serves one task, and the request does not come from there.\n")
        target = request.raw_path
        if target.startswith("/bewit"):
            return await self._bewit(request)
        if target.startswith("/credentials"):
            return await self._replace(request)
        try:
            url = target_url(self._run.http.root_url, target)
        except ValueError as error:
            return web.Response(status=404, text=f"{error}\n")
        return await self._forward(request, url)

    def _admits(self, request: web.BaseRequest) -> bool:
        """Whether the connection comes from where the task runs: its own network, or a process of the same user."""
        ends = [request.transport.get_extra_info(name) for name in ("peername", "sockname")] if request.transport is not None else []
        if not all(ends):  # it is gone already
            return False
        peer, own = (end[:2] for end in ends)
        if self._guests is not None and peer[0] != self._host and ipaddress.ip_address(peer[0]) in self._guests:
            return True
        return self._processes and peers.own_process(peer, own)

    def _from_here(self, request: web.BaseRequest) -> bool:
        """Whether the request is none that a page from elsewhere has a browser of this machine send.

        Such a page can have any name lead here, and send what has no Origin, such as the request for an image.
        """
        origins = request.headers.getall("Origin", [])
        if not _near(request.headers.get("Host", "")) or (not origins and request.headers.get("Sec-Fetch-Site") == "cross-site"):
            return False
        return all(_local(origin) if self._processes else _near(origin) for origin in origins)

    async def _replace(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        if request.method != "PUT":
            return web.Response(status=405, text="Credentials are replaced by PUT.\n")
        try:
            given = msgspec.json.decode(await request.read())
            self._own = Credentials(given["clientId"], given["accessToken"], given.get("certificate") or None)
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            return web.Response(status=400, text="Credentials are JSON with clientId, accessToken and, when they are temporary, certificate.\n")
        return web.Response()

    async def _bewit(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        url = (await request.text()).strip()
        if "://" not in url:
            return web.Response(status=400, text=f"{url!r} is not a URL: send the URL to sign as the body.\n")
        mine = self._credentials
        ext = creds.make_ext(mine.certificate) if mine.certificate else ""
        code = bewit.make(mine.client_id, mine.access_token, url=url, expires_ms=self._run.clock.now() + clocks.HOUR, ext=ext)
        signed = f"{url}{'&' if '?' in url else '?'}bewit={code}"
        return web.Response(status=303, headers={"Location": signed}, text=signed)

    async def _forward(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        import aiohttp
        from aiohttp import web

        body = await _body(request)
        why = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(0.1 * 2**attempt)
            try:
                async with self._send(request, url, body) as reply:
                    if reply.status < 500 or attempt == _TRIES - 1:
                        return await self._answer(request, reply, url)
            except (aiohttp.ClientConnectionError, TimeoutError) as error:
                why = str(error) or type(error).__name__
        return web.Response(status=502, text=f"{url} does not answer: {why}\n")

    def _send(self, request: web.BaseRequest, url: str, body: bytes) -> Any:
        import aiohttp
        from yarl import URL

        headers: Any = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        content_type = request.headers.get("Content-Type")
        covered = body if body and content_type == "application/json" else None  # the hash is optional; its type must be what is sent
        headers.append(("Authorization", sign(self._credentials, request.method, url, covered, self._run.clock.now())))
        skip = [] if "User-Agent" in request.headers else ["User-Agent"]
        if content_type is None:
            skip.append("Content-Type")
        return self._session.request(
            request.method, URL(url, encoded=True), data=body or None, headers=headers, allow_redirects=False, skip_auto_headers=skip,
            timeout=aiohttp.ClientTimeout(total=None, connect=30, sock_read=300),
        )  # fmt: skip

    async def _answer(self, request: web.BaseRequest, reply: aiohttp.ClientResponse, url: str) -> web.StreamResponse:
        from aiohttp import web

        response = web.StreamResponse(status=reply.status, reason=reply.reason)
        for name, value in reply.headers.items():
            if name.lower() not in _HOP and name.lower() != "content-encoding":  # the client has decoded the body
                response.headers.add(name, value)
        response.headers["X-Taskcluster-Endpoint"] = url
        kind = "Temp" if self._credentials.certificate else "Perm"
        response.headers[f"X-Taskcluster-Proxy-{kind}-ClientId"] = self._credentials.client_id
        await response.prepare(request)
        async for chunk in reply.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def _near(place: str) -> bool:
    """Whether a Host or Origin is one that a task knows the proxy or itself by: a bare name or an address."""
    name = _name(place)
    return place != "null" and ("." not in name or re.fullmatch(r"[0-9.]+", name) is not None)


def _local(origin: str) -> bool:
    """Whether an Origin is a server's on this machine, by its address or as localhost."""
    name = _name(origin)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _name(place: str) -> str:
    try:
        return urlsplit(place if "//" in place else f"//{place}").hostname or ""
    except ValueError:
        return "not.a.name"


def target_url(root_url: str, target: str) -> str:
    """The URL that a request to the proxy goes to, percent-encoding untouched.

    Raises ValueError with a message for the task when there is none.
    """
    path, mark, query = target.partition("?")
    first, _, rest = path.lstrip("/").partition("/")
    if first == "api":
        service, _, below = rest.partition("/")
        version, _, below = below.partition("/")
        if not service or not version:
            raise ValueError(f"{path} is no API path: call /api/<service>/v1/…")
        return f"{root_url}/api/{service}/{version}/{below}{mark}{query}"
    if _HOST.fullmatch(first) is None:
        raise ValueError(f"{first!r} is neither a service nor a host: call /api/<service>/v1/…")
    if "." in first:
        return f"https://{first}/{rest}{mark}{query}"
    return f"{root_url}/api/{first}/{rest}{mark}{query}"


async def _body(request: web.BaseRequest) -> bytes:
    chunks, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > _MOST:
            raise errors.InputTooLarge
        chunks.append(chunk)
    return b"".join(chunks)


def _bound(host: str, ports: tuple[int, ...]) -> socket.socket:
    for port in ports:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            sock.close()
            if port == ports[-1]:
                raise
        else:
            return sock
    raise OSError("no port to listen on was given")
