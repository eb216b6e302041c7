"""One event given to a subscriber, which may fail and must not miss it."""

from __future__ import annotations

import logging

from tcbox import clock as clocks
from tcbox.events.event import Event, Handler

_FIRST, _LONGEST = 1.0, 60.0


async def hand_over(handler: Handler, event: Event, *, name: str, clock: clocks.Clock, log: logging.Logger) -> None:
    """Give an event to a subscriber, again until it takes it; the pauses between grow from a second to a minute.

    Args:
        name: the subscriber's, for the log.
    """
    pause = _FIRST
    while True:
        try:
            await handler(event)
            return
        except Exception:
            what = f"event {event.id}" if event.id else "an event"
            log.exception("subscriber %s failed on %s of %s; trying again in %.0f s", name, what, event.exchange, pause)
            await clock.sleep(pause * clocks.SECOND)
            pause = min(pause * 2, _LONGEST)
