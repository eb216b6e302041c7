"""The end of the outbox, read once for all who follow it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from tcbox import db

sql = db.load(Path(__file__).parent / "sql", "events")

BATCH = 500
PUBLISHED = "events.published"
"""The topic of signals between processes: that there are new messages."""
POLL = 1.0
"""Seconds between two looks for what other processes published, where there are any."""
SAFETY = 60.0
"""Seconds between two looks where there are none, so that all that is published is told."""
SPACING = 0.01
"""Seconds between two reads."""
_SOON = 0.02  # seconds until the next look when a message is announced, but held back by a transaction under way


class Tail:
    """Reads the outbox in batches. Followers at the same place share one read.

    Args:
        exchanges: tells which messages without custom routes are wanted, as a JSON list of their exchanges; without it, all are.
            Those that are not wanted may be left out of what is read, but for the newest, so that followers learn how far they are.
    """

    def __init__(self, database: db.Database, exchanges: Callable[[], str] | None = None) -> None:
        self._db = database
        self._exchanges = exchanges
        self._wanted: str | None = None  # what `exchanges` told when the rows were read
        self._reading = asyncio.Lock()
        self._rows: Sequence[db.Row] = []
        self._after = 0
        self._followers: set[asyncio.Event] = set()
        self._unlisten: Callable[[], None] | None = None
        self._next = 0.0
        self._waking: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Hear no more from other processes."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        self._wake_no_later()

    def wake(self) -> None:
        """Tell all followers that there is more."""
        self._wake_no_later()
        for follower in self._followers:
            follower.set()

    def wake_later(self) -> None:
        """Tell all followers within `POLL` that there is more, but nothing that any of them waits for."""
        if self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(POLL, self.wake)

    def _wake_no_later(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None

    async def read(self, after: int, limit: int = BATCH) -> Sequence[db.Row]:
        """The messages that follow an id, in order."""
        return await self._db.all(sql.events_after, after=after, limit=limit)

    async def follow(self, after: int) -> AsyncGenerator[Sequence[db.Row], None]:
        """All messages after an id, as they come, in batches that are never empty; without an end."""
        if self._unlisten is None:
            self._unlisten = self._db.listen(PUBLISHED, lambda _: self.wake())
        announced = asyncio.Event()
        self._followers.add(announced)
        soon, poll = (_SOON, POLL) if self._db.shared else (SAFETY, SAFETY)
        pause = poll
        try:
            while True:
                awaited = announced.is_set()
                announced.clear()
                rows = await self._shared(after)
                if rows:
                    after, pause = rows[-1]["id"], poll
                    yield rows
                    continue
                pause = soon if awaited else min(pause * 2, poll)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await announced.wait()
        finally:
            self._followers.discard(announced)

    async def _shared(self, after: int) -> Sequence[db.Row]:
        async with self._reading:
            rows = self._rows
            if not (rows and self._after <= after < rows[-1]["id"] and self._wanted == self._told()):
                await self._space()
                wanted = self._told()
                rows = await (self.read(after) if wanted is None else self._db.all(sql.wanted_after, after=after, limit=BATCH, exchanges=wanted))
                if rows:
                    self._after, self._rows, self._wanted = after, rows, wanted
                return rows
            return rows if after == self._after else [row for row in rows if row["id"] > after]

    def _told(self) -> str | None:
        return None if self._exchanges is None else self._exchanges()

    async def _space(self) -> None:
        """Wait until some time has gone by since the last read: under load one of many messages is as dear as one of few."""
        now = asyncio.get_running_loop().time()
        wait, self._next = self._next - now, max(now, self._next) + SPACING
        if wait > 0:
            await asyncio.sleep(wait)
