"""What a loop sleeps on that is to do something when it is due: until the next thing is, or until it is called earlier.

Where a loop runs in several processes on one database, an alarm with a topic calls all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Protocol

from tcbox import clock as clocks


class Hints(Protocol):
    """What carries hints between processes: a database (see `tcbox.db.Database`)."""

    def signal(self, topic: str, text: str, /) -> None:
        """Give the other processes a hint; it may be lost."""
        ...

    def listen(self, topic: str, listener: Callable[[str | None], None], /) -> Callable[[], None]:
        """Hear such hints, None when some may have been lost; gives what ends that."""
        ...


class Alarm:
    """What one loop sleeps on.

    Args:
        hints, topic: what tells the same loop in other processes, and as what; nobody is told without.
    """

    def __init__(self, clock: clocks.Clock, hints: Hints | None = None, topic: str = "") -> None:
        self._clock = clock
        self._hints = hints
        self._topic = topic
        self._called: float = inf
        self._until: float = inf
        self._event = asyncio.Event()

    def hear(self) -> Callable[[], None]:
        """Begin to hear what is due from other processes; gives what ends that."""
        return (lambda: None) if self._hints is None else self._hints.listen(self._topic, lambda text: self._call(int(text or 0)))

    def no_later_than(self, time: int) -> None:
        """Something is due at a time, in ms since the epoch: the loop is to look then, or before."""
        self._call(time)
        if self._hints is not None:
            self._hints.signal(self._topic, str(time))

    def ring(self) -> None:
        """Something is due now."""
        self.no_later_than(0)

    def reset(self) -> None:
        """The loop starts to look for what is due: forget what was called before."""
        self._called = inf
        self._event.clear()

    async def sleep(self, until: int) -> None:
        """Sleep until a time in ms since the epoch, or until something earlier is called."""
        self._until = until
        try:
            while True:
                time = min(until, self._called)
                left = time - self._clock.now()
                if left <= 0:
                    return
                self._event.clear()
                await self._race(left)
        finally:
            self._until = inf

    def _call(self, time: int) -> None:
        if time < self._called:
            self._called = time
            if time < self._until:
                self._event.set()

    async def _race(self, milliseconds: float) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(milliseconds))
        called = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait((timer, called), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            called.cancel()
