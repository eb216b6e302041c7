"""Requests to others over HTTP; the client is opened by the first of them, and redirects are never followed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tcbox import errors

if TYPE_CHECKING:
    import aiohttp

TIMEOUT = 30.0
"""Seconds for one request."""
MOST = 10 * 1024 * 1024
"""Bytes of an answer that is read whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


class Outgoing:
    """Sends requests, over connections that are kept."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, verb: str, url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None) -> Answer:
        """Send one request, and read the answer whole.

        Raises errors.Unavailable when there is no answer.
        """
        import aiohttp

        try:
            async with self._open().request(verb, url, headers=dict(headers or {}), data=form, allow_redirects=False) as reply:
                names = {name.lower(): value for name, value in reply.headers.items()}
                return Answer(reply.status, names, await _whole(reply))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(url, error) from error

    def stream(self, url: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A GET whose answer is read as it comes."""
        import aiohttp

        return self._open().get(url, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT))

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _whole(reply: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    async for chunk in reply.content.iter_any():
        chunks += chunk
        if len(chunks) > MOST:
            break
    return bytes(chunks)


def unreachable(url: str, error: Exception) -> errors.Unavailable:
    """The refusal when nothing answers; the URL's query is left out, as it may hold a secret."""
    return errors.Unavailable("{url} does not answer: {reason}", url=url.partition("?")[0], reason=str(error) or type(error).__name__)
