"""What the service does by itself: turns times that have come into firings, carries firings out, forgets old ones.

Each loop sleeps until the next thing is due, or until this or another process says that it has made something due; at
most ten seconds, since what another says may be lost. Both may run in several processes at once: a time is turned into a
firing by whoever moves it on, in one transaction.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.runtime.alarm import Alarm
from tcbox.services.hooks import cron, firing, model
from tcbox.services.hooks.firing import Firings
from tcbox.services.hooks.model import Hook
from tcbox.services.hooks.store import sql

STEP = 100
"""Hooks that are looked at in one step."""

AT_ONCE = 10
"""Firings that one process carries out at the same time."""

LONGEST = 10 * clocks.SECOND

_TIMES, _FIRINGS = "hooks.times", "hooks.firings"
"""The topics of hints between processes: when a hook is next due, and a firing."""

FRESH = 10 * clocks.MINUTE
"""For how long after its time a scheduled task still says that it was created at that time."""

_log = log.get("hooks")


class Loops:
    """The bodies of the loops; each looks once for all that is due, then waits for what comes next."""

    def __init__(self, *, database: db.Database, clock: clocks.Clock, firings: Firings) -> None:
        self._db = database
        self._clock = clock
        self._firings = firings
        self.times = Alarm(clock, database, _TIMES)
        self.waiting = Alarm(clock, database, _FIRINGS)

    def start(self, stack: AsyncExitStack) -> None:
        """Hear what other processes have made due."""
        stack.callback(self.times.hear())
        stack.callback(self.waiting.hear())

    async def schedule(self) -> None:
        """Have hooks fire whose time has come."""
        self.times.reset()
        while await self.advance():
            pass
        await self._sleep(self.times, await self._db.value(sql.next_due))

    async def fire(self) -> None:
        """Carry out firings."""
        self.waiting.reset()
        while await self.carry_out():
            pass
        await self._sleep(self.waiting, await self._db.value(sql.next_firing))

    async def _sleep(self, alarm: Alarm, due: int | None) -> None:
        latest = self._clock.now() + LONGEST
        await alarm.sleep(latest if due is None else min(latest, due))

    async def advance(self) -> int:
        """One step of `schedule`; how many hooks it saw to."""
        now = self._clock.now()
        due = [model.hook(row) for row in await self._db.all(sql.due_hooks, now=now, limit=STEP)]
        for hook in due:
            await self._advance(hook, now)
        if due:
            self.waiting.ring()
        return len(due)

    async def _advance(self, hook: Hook, now: int) -> None:
        """Fire once for all the times that have passed, and move on to the first that has not."""
        scheduled = hook.next_fire
        assert scheduled is not None
        try:
            following = cron.next_after(hook.definition.schedule, now, str(hook.name))
        except cron.CronError as error:  # read by a release that took more
            _log.error("a hook has a schedule that cannot be read; it fires no more by itself: %s", error, extra=hook.name.words)
            following = None
        stamp = scheduled if now - scheduled < FRESH else now
        made = firing.decided(hook, model.SCHEDULE, {}, hook.task_id(f"schedule/{scheduled}"), stamp, due=0)

        async def move_on(tx: db.Tx) -> None:
            if await tx.execute(sql.advance_hook, **hook.name.columns, was=scheduled, next_fire=following):
                await firing.add(tx, made)

        await self._db.transaction(move_on)

    async def carry_out(self) -> int:
        """One step of `fire`; how many firings it saw to."""
        due = [model.firing(row) for row in await self._db.all(sql.due_firings, now=self._clock.now(), limit=AT_ONCE)]
        ends = await asyncio.gather(*(self._firings.resume(each) for each in due), return_exceptions=True)
        for end in ends:  # one that fails must not keep the others from theirs, but the loop fails with it
            if end is not None:
                raise end
        return len(due)
