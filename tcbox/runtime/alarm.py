"""What a loop sleeps on that is to do something when it is due: until the next thing is, or until it is called earlier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from tcbox import clock as clocks


class Alarm:
    """What one loop sleeps on."""

    def __init__(self, clock: clocks.Clock) -> None:
        self._clock = clock
        self._called: float = inf
        self._until: float = inf
        self._event = asyncio.Event()

    def no_later_than(self, time: int) -> None:
        """Something is due at a time, in ms since the epoch: the loop is to look then, or before."""
        if time < self._called:
            self._called = time
            if time < self._until:
                self._event.set()

    def now(self) -> None:
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

    async def _race(self, milliseconds: float) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(milliseconds))
        called = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait((timer, called), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            called.cancel()


class SharedAlarm(Alarm):
    """An alarm whose loop may run in another process, which is told as well.

    Args:
        tell: has the others `hear` a text.
    """

    def __init__(self, clock: clocks.Clock, tell: Callable[[str], None]) -> None:
        super().__init__(clock)
        self._tell = tell

    def no_later_than(self, time: int) -> None:
        """Something is due at a time, in ms since the epoch: a loop, here or elsewhere, is to look then, or before."""
        super().no_later_than(time)
        self._tell(str(time))

    def hear(self, text: str | None) -> None:
        """Another process told this; None when something that it told may have been lost."""
        super().no_later_than(int(text or 0))
