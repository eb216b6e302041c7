"""Waiting for what comes by itself: until it is there, or a time is over that is long enough for a machine under load."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from math import inf
from typing import Any

from tcbox import clock as clocks


def until(ready: Callable[[], Any], seconds: float = 60, shown: Callable[[], object] = str) -> Any:
    """What a function gives once it gives something; when it does not, `shown` is said."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, f"what was waited for did not come: {shown()}"
        time.sleep(0.05)
    return found


async def eventually(ready: Callable[[], Any], seconds: float = 20, pause: float = 0.005) -> Any:
    """What a function, or what it gives when awaited, comes to once that is something."""
    async with asyncio.timeout(seconds):
        while True:
            found = ready()
            if found := await found if inspect.isawaitable(found) else found:
                return found
            await asyncio.sleep(pause)


def sleepers(clock: clocks.VirtualClock, within: float = inf) -> int:
    """How many sleep on a clock now, for no longer than so many milliseconds: they wake when it is moved on by these."""
    return sum(not waiter.done() and until <= clock.now() + within for until, _, waiter in clock._sleepers)


async def asleep(clock: clocks.VirtualClock, count: int = 1, within: float = inf) -> None:
    """Return once so many sleep on a clock."""
    await eventually(lambda: sleepers(clock, within) >= count)
