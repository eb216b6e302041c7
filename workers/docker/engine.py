"""Talks to a Docker engine over its HTTP interface, at a Unix socket or a TCP address."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tcbox import errors

if TYPE_CHECKING:
    import aiohttp

_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


class EngineError(errors.TcboxError):
    """The engine refused a request.

    Attributes:
        status: HTTP status; 0 when the engine did not answer, or said it later in an answer that had begun.
        told: the engine said so itself.
    """

    def __init__(self, message: str, status: int = 0, *, told: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.told = told or status != 0

    @property
    def full(self) -> bool:
        """Whether it says that a disk is full."""
        return _FULL.search(str(self)) is not None


class Engine:
    """A Docker engine.

    Implementation note: paths carry no version, so that the engine's own is used, however old or new it is.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Connect.

        Raises EngineError when nothing answers there, saying what to do.
        """
        import aiohttp

        scheme, _, rest = self.url.partition("://")
        if scheme not in ("unix", "tcp", "http"):
            raise EngineError(f"{self.url} is no address of a Docker engine: write unix:///var/run/docker.sock or tcp://host:2375")
        connector: aiohttp.BaseConnector = aiohttp.UnixConnector(path=rest, limit=0) if scheme == "unix" else aiohttp.TCPConnector(limit=0)
        base = "http://docker" if scheme == "unix" else f"http://{rest}"
        self._session = aiohttp.ClientSession(base, connector=connector, timeout=aiohttp.ClientTimeout(total=None, connect=10))
        try:
            await self.ping()
        except EngineError:
            await self.close()
            raise

    async def ping(self) -> None:
        """Find out whether the engine is there.

        Raises EngineError when nothing answers, saying what to do.
        """
        try:
            await self.call("GET", "/_ping")
        except EngineError as error:
            raise EngineError(f"No Docker engine answers at {self.url} ({error}): start it, give this user access to it, or set docker_url") from error

    async def close(self) -> None:
        """Disconnect; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, verb: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """One request with a short answer, decoded when it is JSON.

        Raises EngineError.
        """
        async with self.stream(verb, path, query=query, body=body) as reply:
            raw = await reply.read()
            return msgspec.json.decode(raw) if raw and "json" in reply.headers.get("Content-Type", "") else None

    @contextlib.asynccontextmanager
    async def stream(
        self, verb: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None,
        data: AsyncIterable[bytes] | None = None, headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        """One request with an answer to be read bit by bit.

        Raises EngineError.
        """
        import aiohttp

        if self._session is None:
            raise EngineError("The connection to the Docker engine is closed")
        own = dict(headers or {})
        content: Any = data
        if body is not None:
            content = msgspec.json.encode(body)
            own["Content-Type"] = "application/json"
        elif data is not None:
            own["Content-Type"] = "application/x-tar"
        try:
            async with self._session.request(verb, path, params=query, data=content, headers=own) as reply:
                if reply.status >= 400:
                    raise EngineError(_message(await reply.read()) or f"HTTP status {reply.status}", reply.status)
                yield reply
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:  # a full disk of the caller's is none of these
            raise EngineError(str(error) or type(error).__name__) from error

    async def hijack(self, path: str, body: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One request after which the connection carries bytes both ways; the caller closes the writer.

        Raises EngineError.
        """
        scheme, _, rest = self.url.partition("://")
        content = msgspec.json.encode(body)
        try:
            if scheme == "unix":
                reader, writer = await asyncio.open_unix_connection(rest)
            else:
                host, _, port = rest.rstrip("/").rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port))
            head = f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            answer = await reader.readuntil(b"\r\n\r\n")
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise EngineError(str(error) or type(error).__name__) from error
        status = int(answer.split(b" ", 2)[1])
        if status not in (101, 200):
            writer.close()
            raise EngineError(f"HTTP status {status}", status)
        return reader, writer


def _message(raw: bytes) -> str:
    try:
        return str(msgspec.json.decode(raw)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return raw[:300].decode(errors="replace")


def labelled(*labels: str) -> dict[str, str]:
    """The query that lists what has all the labels, such as `tcbox.instance=x`."""
    return {"filters": msgspec.json.encode({"label": list(labels)}).decode()}
