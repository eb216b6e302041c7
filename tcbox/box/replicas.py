"""The processes that answer for a service, as the front door sees them: which are there, and whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tcbox import log

if TYPE_CHECKING:
    import aiohttp

LOOK = 0.5
"""Seconds between two looks whether a process takes requests."""
_PATIENCE = 2.0
_log = log.get("front")


class Replica:
    """One process.

    Attributes:
        url: where it is reached.
        up: whether it takes requests, as far as is known.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.up = True

    def seen(self, *, up: bool, why: str = "") -> None:
        """Note how it is; the log hears of changes."""
        if up != self.up:
            self.up = up
            _log.log(20 if up else 30, "%s %s", self.url, "takes requests" if up else f"takes no requests: {why}")


class Replicas:
    """All processes of one service, asked in turn."""

    def __init__(self, urls: Iterable[str]) -> None:
        self.all = [Replica(url) for url in urls]
        self._next = 0

    def turn(self) -> Iterator[Replica]:
        """Whom to ask, one after another: those that are up first, then the others, which may be up by now."""
        self._next += 1
        up, others = [each for each in self.all if each.up], [each for each in self.all if not each.up]
        for some in (up, others):
            start = self._next % len(some) if some else 0
            yield from some[start:] + some[:start]


async def watch(replica: Replica, session: aiohttp.ClientSession) -> None:
    """Look again and again whether a process takes requests."""
    import aiohttp

    limit = aiohttp.ClientTimeout(total=_PATIENCE)
    while True:
        why = "it does not answer"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with session.get(f"{replica.url}/__lbheartbeat__", timeout=limit) as reply:
                why = "" if reply.status == 200 else (await reply.text())[:100]
        replica.seen(up=not why, why=why)
        await asyncio.sleep(LOOK)
