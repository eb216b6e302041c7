"""Time is handed in, so that a test, or an instance asked to, can move it.

All times in tcbox are integer milliseconds since the Unix epoch, in UTC; on the wire they are
`2026-01-31T12:00:00.000Z`.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    """What tells the time and waits for it.

    Implementers must never let `now` go back, and must wake a sleeper as soon as the clock has passed its time.
    """

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...

    def wall(self) -> int:
        """The machine's own time, by which callers sign their requests; `now`, unless that has been moved."""
        ...

    async def sleep(self, milliseconds: float) -> None:
        """Wait until the clock has moved on by so much."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    wall = now

    async def sleep(self, milliseconds: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(max(0.0, milliseconds) / 1000)


class VirtualClock:
    """The machine's time plus an offset that `advance` makes larger; sleepers wake when their time has come.

    Args:
        still: stand at the time at which it is made, but for `advance`, so that a test knows the time to the millisecond.
    """

    def __init__(self, offset: int = 0, *, still: bool = False) -> None:
        self.offset = offset
        self._stands = self.wall() if still else None
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """Milliseconds since the Unix epoch, moved on by all that `advance` was given."""
        return (self.wall() if self._stands is None else self._stands) + self.offset

    def wall(self) -> int:
        """Milliseconds since the Unix epoch, by the machine."""
        return time.time_ns() // 1_000_000

    async def sleep(self, milliseconds: float) -> None:
        """Wait until real time and `advance` together have moved the clock on by so much."""
        loop = asyncio.get_running_loop()
        until = self.now() + int(milliseconds)
        waiter: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (until, next(self._order), waiter))
        comes_by_itself = self._stands is None or milliseconds <= 0
        timer = loop.call_later(max(0.0, milliseconds) / 1000, _wake, waiter) if comes_by_itself else None
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

    def advance(self, milliseconds: int) -> None:
        """Move the time on, and wake whoever slept until then.

        Raises ValueError when asked to go back.
        """
        if milliseconds < 0:
            raise ValueError(f"the clock cannot go back ({milliseconds} ms): give a positive number of milliseconds")
        self.offset += milliseconds
        now = self.now()
        while self._sleepers and self._sleepers[0][0] <= now:
            _wake(heapq.heappop(self._sleepers)[2])


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def to_wire(milliseconds: int) -> str:
    """The time as the API writes it: `2026-01-31T12:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=4096)
def _from_second(text: str) -> int:
    """The time of a whole second, as `to_wire` writes it; kept, for the times of many tasks are in the same second."""
    return int(datetime.fromisoformat(f"{text}Z").timestamp()) * 1000


def from_wire(text: str) -> int:
    """Milliseconds from an RFC 3339 time.

    Raises ValueError when the text is no time, or has no zone.
    """
    if len(text) == 24 and text[23] == "Z" and text[19] == "." and text[20:23].isdecimal():
        try:
            return _from_second(text[:19]) + int(text[20:23])
        except ValueError:
            pass  # maybe a leap second
    leap = text[17:19] == "60"  # RFC 3339 allows a leap second, and small letters
    plain = f"{text[:17]}59{text[19:]}" if leap else text
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(plain.upper())
        if moment.tzinfo is not None:
            return int(moment.timestamp()) * 1000 + moment.microsecond // 1000 + leap * SECOND
    raise ValueError(f"{text!r} is not a time: write it like 2026-01-31T12:00:00.000Z")
