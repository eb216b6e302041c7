"""Requests to services of other makers; the client is opened by the first of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tcbox import errors

if TYPE_CHECKING:
    import aiohttp

TIMEOUT = 30.0
"""Seconds for one request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the request was granted."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None


class Outgoing:
    """Sends requests, over connections that are kept."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, verb: str, url: str, *, headers: Mapping[str, str] | None = None, json: Any = None, form: Mapping[str, str] | None = None) -> Answer:
        """Send one request; redirects are not followed.

        Raises errors.Unavailable when there is no answer.
        """
        import aiohttp

        sent = dict(headers or {})
        data: Any = form
        if json is not None:
            sent["Content-Type"] = "application/json"
            data = msgspec.json.encode(json)
        try:
            async with self._opened().request(verb, url, headers=sent, data=data, allow_redirects=False) as reply:
                names = {name.lower(): value for name, value in reply.headers.items()}
                return Answer(reply.status, names, await reply.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.Unavailable("{url} does not answer: {reason}", url=url, reason=str(error) or type(error).__name__) from error

    async def chunks(self, url: str, most: int) -> AsyncIterator[bytes]:
        """The body at a URL as it comes, unpacked, of at most so many bytes; redirects are not followed.

        Raises errors.Unavailable when there is no answer, or one that is not 200.
        """
        import aiohttp

        left = most
        limits = aiohttp.ClientTimeout(total=4 * TIMEOUT, sock_read=TIMEOUT)
        once = {"Connection": "close"}  # the place may be this instance, which could not stop while a connection is kept
        try:
            async with self._opened().get(url, headers=once, allow_redirects=False, timeout=limits) as reply:
                if reply.status != 200:
                    raise errors.Unavailable("{place} answers with status {status}", place=_place(url), status=reply.status)
                async for chunk in reply.content.iter_chunked(64 * 1024):
                    yield chunk[:left]
                    left -= len(chunk)
                    if left <= 0:
                        return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.Unavailable("{place} does not answer: {reason}", place=_place(url), reason=str(error) or type(error).__name__) from error

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _place(url: str) -> str:
    """A URL without its query, which may be signed."""
    return url.partition("?")[0]
