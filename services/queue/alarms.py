"""When the queue's loops have something to do: each sleeps until the next thing is due, and can be called earlier."""

from __future__ import annotations

from collections.abc import Callable

from tcbox import clock as clocks
from tcbox.runtime.alarm import Alarm

__all__ = ["Alarm", "Alarms"]


class Alarms:
    """The alarms of all loops that have one.

    Args:
        tell: tells the queue's other processes that there are dependents to look after.
    """

    def __init__(self, clock: clocks.Clock, tell: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self.dependencies = Alarm(clock)
        self.claims = Alarm(clock)
        self.deadlines = Alarm(clock)
        self.expiry = Alarm(clock)

    def resolved(self) -> None:
        """A task with many dependents is resolved: have them looked after, here or in another process."""
        self.dependencies.now()
        self._tell()
