"""What a loop of deliveries sleeps on: it wakes when something is due, or when somebody rings."""

from __future__ import annotations

import asyncio

from tcbox import clock as clocks


class Bell:
    """One loop's bell."""

    def __init__(self, clock: clocks.Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """There is something to do."""
        self._rung.set()

    def hush(self) -> None:
        """What was rung for is being looked at."""
        self._rung.clear()

    async def sleep(self, milliseconds: int) -> None:
        """Sleep for so long, or until somebody rings."""
        timer = asyncio.ensure_future(self._clock.sleep(milliseconds))
        rung = asyncio.ensure_future(self._rung.wait())
        try:
            await asyncio.wait((timer, rung), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            rung.cancel()
