"""Requests to servers that the settings name, over connections that are kept; redirects are not followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tcbox import clock as clocks
from tcbox.services.notify.channels import SECONDS, Unreachable, said

if TYPE_CHECKING:
    import aiohttp

_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the body as a JSON object, empty when it is none."""

    status: int
    body: Mapping[str, Any]
    retry_after: int


class Outgoing:
    """Sends JSON with a bearer token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def send(self, verb: str, url: str, body: Any) -> Answer:
        """Send one request. Raises Unreachable when there is no answer."""
        import aiohttp
        from yarl import URL

        if self._session is None:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json; charset=utf-8"}
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS), headers=headers)
        try:
            async with self._session.request(verb, URL(url, encoded=True), data=msgspec.json.encode(body), allow_redirects=False) as reply:
                text = await reply.content.read(_LARGEST)
                return Answer(reply.status, _object(text), _seconds(reply.headers.get("Retry-After", "")))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreachable(said(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(text: str) -> int:
    return min(int(text), 86400) * clocks.SECOND if text.isascii() and text.isdigit() and len(text) < 10 else 0
