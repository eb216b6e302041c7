"""A connection to an AMQP server, made anew when it is lost, with pauses that grow, and with one calm word about it.

Networks and servers know no time but the real one, so nothing here is on the instance's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from tcbox import log
from tcbox.events.amqp.address import Address

if TYPE_CHECKING:
    from aiormq.abc import AbstractConnection

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
PATIENCE = 20.0
"""Seconds for a connection to be made."""


class Lost(ConnectionError):
    """The connection is lost."""


class Link:
    """Connects to one server for one purpose.

    Args:
        purpose: in words, for the log and for the server's list of connections.

    Attributes:
        works: whether what it is for goes on.
        why: why it does not; empty before the first attempt has ended.
    """

    def __init__(self, address: Address, purpose: str, *, first_pause: float = FIRST_PAUSE) -> None:
        self.address = address
        self.purpose = purpose
        self.works = False
        self.why = ""
        self._first_pause = first_pause
        self._failures = 0
        self._log = log.get("events")

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        """A new connection, closed at the end."""
        _quieten()
        import aiormq

        made: AbstractConnection | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                made = await aiormq.connect(self.address.url, client_properties={"connection_name": f"tcbox: {self.purpose}"})
            yield made
        finally:
            self.works = False
            if made is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(2):
                        await made.close()

    def has_begun(self) -> None:
        """Say that what it is for goes on."""
        if self._failures or not self.works:
            self._log.info("connected to %s: %s", self.address.place, self.purpose)
        self.works, self.why, self._failures = True, "", 0

    def has_failed(self, error: BaseException) -> None:
        """Say what is in the way; the log gets a word when it is something new."""
        self.works = False
        self._failures += 1
        why = words(error)
        if why != self.why:
            self._log.warning("%s: %s (%s); trying again until it works", self.address.place, why, self.purpose)
        self.why = why

    async def pause(self, *, longest: float = LONGEST_PAUSE) -> None:
        """Wait before the next attempt, longer after each failure, up to so many seconds."""
        await asyncio.sleep(min(longest, self._first_pause * 2 ** min(max(0, self._failures - 1), 10)) * (0.75 + random.random() / 2))


async def until_lost(connection: AbstractConnection) -> None:
    """Wait for the end of a connection; raises Lost then."""
    done, _ = await asyncio.wait([connection.closing])
    error = next(iter(done)).exception() if not connection.closing.cancelled() else None
    raise Lost(words(error) if error is not None else "the server closed the connection") from error


def words(error: BaseException) -> str:
    """What an error says, for a person."""
    if isinstance(error, TimeoutError):
        return "it does not answer"
    kind = type(error).__name__
    if kind in ("ProbableAuthenticationError", "AuthenticationError"):
        return "it refuses the user or the password"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = ", ".join(str(part) for part in error.args if isinstance(part, (str, bytes)) and part) or str(error)
    return said or kind


def _quieten() -> None:
    """The library's own words about each failure would come on top of ours."""
    for name in ("aiormq", "pamqp"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
