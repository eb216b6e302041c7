"""What stands in the outbox, for tests that look at once.

On PostgreSQL a message is held back while a transaction that began earlier is under way, be it only one that saves how far a
subscriber has come. A reader that follows hears of it a moment later; a test that looks once would miss it.
"""

from __future__ import annotations

import asyncio

from tcbox import db, events

_TEXT = "SELECT max(id) FROM events"
_NEWEST = db.Query("test.newest", "The newest message's id, whether it can be read yet or not.", _TEXT, _TEXT, ())


async def newest(bus: events.Bus) -> int:
    """The newest message's id, 0 before the first, once it and all before it can be read."""
    last: int = await bus._db.value(_NEWEST) or 0
    async with asyncio.timeout(20):
        while await bus.last_id() < last:
            await asyncio.sleep(0.002)
    return last


async def read(bus: events.Bus, after: int = 0) -> list[events.Event]:
    """All messages that follow an id, those included that are held back for a moment."""
    last, found = await newest(bus), list[events.Event]()
    while after < last:
        found += await bus.read(after)
        after = found[-1].id
    return found
