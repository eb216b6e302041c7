"""How the interpreter is set for a server whose one busy thread is the event loop.

- The writer's thread holds a commit's outcome that up to dozens of callers wait for, and must get the interpreter's
  lock from the busy event loop to hand it over: at the default of 5 ms it may wait that long. At 0.5 ms alone, creating
  tasks with 8 clients went 34 % and 15 % faster, in two rounds on a noisy machine.
- Most objects of a request die at once, without cycles; looking for cycles every 700 objects costs time. What these
  thresholds gain is not settled: together with the above they gave +35 % in one round and -20 % in the other.
"""

from __future__ import annotations

import asyncio
import gc
import sys

SWITCH_SECONDS = 0.0005
THRESHOLDS = (20_000, 20, 50)


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop: uvloop's, or Python's own where that is not there."""
    try:
        import uvloop

        return uvloop.new_event_loop()
    except ImportError:
        return asyncio.new_event_loop()


def before_start() -> None:
    """Set the interpreter up for serving."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*THRESHOLDS)


def after_start() -> None:
    """Leave what was made by the start out of every later search for cycles."""
    gc.freeze()
