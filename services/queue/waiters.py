"""Calls that wait for work: first come, first served, and woken the moment a task becomes pending.

Only as many are woken as there are tasks, so that a new task does not set all idle workers going at once. A task for which
nobody waits here is told to the queue's other processes, where somebody may.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import operator
from collections import defaultdict
from collections.abc import Callable

from tcbox import clock as clocks


class Waiter:
    """One call that waits.

    Attributes:
        place: its place among all calls; lower ones came earlier.
    """

    __slots__ = ("future", "place", "task_queue_id")

    def __init__(self, task_queue_id: str, place: int, future: asyncio.Future[bool]) -> None:
        self.task_queue_id = task_queue_id
        self.place = place
        self.future = future


_place = operator.attrgetter("place")


class Waiters:
    """All calls of this process that wait for work.

    Args:
        tell: tells the queue's other processes that a task of a task queue is pending.
    """

    def __init__(self, clock: clocks.Clock, tell: Callable[[str], None] = lambda _: None) -> None:
        self._clock = clock
        self._tell = tell
        self._queues: dict[str, list[Waiter]] = {}
        self._places = itertools.count()
        self._hints: defaultdict[str, int] = defaultdict(int)
        self._resting: set[asyncio.Future[bool]] = set()
        self.draining = False

    def hint(self, task_queue_id: str) -> int:
        """A number that grows whenever a task of the queue becomes pending: take it before looking for tasks."""
        return self._hints[task_queue_id]

    def waiting(self) -> dict[str, int]:
        """How many calls wait, by task queue."""
        return {name: len(queue) for name, queue in self._queues.items() if queue}

    def wake(self, task_queue_id: str, count: int = 1, *, tell: bool = True) -> None:
        """Some tasks of the queue have become pending: wake as many of those who wait for them, here or elsewhere."""
        self._hints[task_queue_id] += 1
        queue = self._queues.get(task_queue_id)
        while queue and count > 0:
            future = queue.pop(0).future
            if not future.done():
                future.set_result(True)
                count -= 1
        if count > 0 and tell:
            self._tell(task_queue_id)

    def hear(self, task_queue_id: str | None) -> None:
        """Another process says that a task of a queue is pending; None when it may have said so of any."""
        if task_queue_id is not None:
            self.wake(task_queue_id, tell=False)
            return
        for name, queue in list(self._queues.items()):
            self.wake(name, len(queue), tell=False)

    def place(self) -> int:
        """The place of a new call, behind all before it."""
        return next(self._places)

    async def wait(self, task_queue_id: str, seen: int, until: int, place: int) -> bool:
        """Wait until a task of the queue becomes pending, or a time has come; whether to look for tasks again.

        Args:
            seen: the hint that was taken before tasks were looked for in vain.
            until: ms since the epoch.
            place: the caller's place, which it keeps when it was woken and found that others were faster.
        """
        if self.draining:
            return False
        if self._hints[task_queue_id] != seen:
            return True
        waiter = Waiter(task_queue_id, place, asyncio.get_running_loop().create_future())
        queue = self._queues.setdefault(task_queue_id, [])
        bisect.insort(queue, waiter, key=_place)
        try:
            return await self._until(waiter.future, until)
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.result():
                self.wake(task_queue_id)
            raise
        finally:
            self._leave(queue, waiter)

    async def rest(self, until: int) -> None:
        """Wait until a time has come, or all are sent home."""
        if self.draining:
            return
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._resting.add(future)
        try:
            await self._until(future, until)
        finally:
            self._resting.discard(future)

    def drain(self) -> None:
        """Send home all who wait, now and from now on."""
        self.draining = True
        self.send_home()

    def send_home(self) -> None:
        """Let all who wait now go without a task."""
        for queue in self._queues.values():
            for waiter in queue:
                _settle(waiter.future)
        for future in self._resting:
            _settle(future)

    async def _until(self, future: asyncio.Future[bool], until: int) -> bool:
        timer = asyncio.create_task(self._clock.sleep(max(0, until - self._clock.now())))
        timer.add_done_callback(lambda _: _settle(future))
        try:
            return await future
        finally:
            timer.cancel()

    def _leave(self, queue: list[Waiter], waiter: Waiter) -> None:
        with contextlib.suppress(ValueError):
            queue.remove(waiter)
        if not queue and self._queues.get(waiter.task_queue_id) is queue:
            del self._queues[waiter.task_queue_id]


def _settle(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_result(False)
