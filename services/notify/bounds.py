"""Runs what others wrote the instructions for (templates, Markdown) within bounds of time and size.

It runs in a thread whose calls are watched: past its bounds, it is broken off at the next call or return.
So a template that multiplies lists or texts without end costs little, and the event loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
SECONDS = 2.0
"""CPU time that one piece of work may take."""
LARGEST = 2**20
"""Characters of a text, or items of a list, that any step may give."""


class TooMuchError(Exception):
    """It takes too long, or becomes too large."""


class _Stop(BaseException):
    """Passes by those who catch every Exception."""


async def run(work: Callable[[], T], *, seconds: float = SECONDS, largest: int = LARGEST) -> T:
    """Do it in a thread. Raises TooMuchError when it goes beyond its bounds."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _watched, work, seconds, largest)


@cache
def _threads() -> ThreadPoolExecutor:
    """A few threads of our own, so that this work holds up nobody else's."""
    return ThreadPoolExecutor(2, thread_name_prefix="notify")


def _watched(work: Callable[[], T], seconds: float, largest: int) -> T:
    end = time.thread_time() + seconds

    def called(frame: FrameType, event: str, arg: Any) -> Any:
        frame.f_trace_lines = False
        if time.thread_time() > end:
            raise _Stop(f"it takes more than {seconds:g} s")
        return returned

    def returned(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "return" and isinstance(arg, (str, list)) and len(arg) > largest:
            raise _Stop(f"it becomes larger than {largest} characters or items")
        return returned

    before = sys.gettrace()
    sys.settrace(called)
    try:
        return work()
    except _Stop as stop:
        raise TooMuchError(str(stop)) from None
    finally:
        sys.settrace(before)
