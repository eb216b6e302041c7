"""When the queue's loops have something to do: each sleeps until the next thing is due, and can be called earlier."""

from __future__ import annotations

from tcbox import clock as clocks
from tcbox.runtime.alarm import Alarm, Hints

__all__ = ["Alarm", "Alarms"]

_RESOLVED = "queue.resolved"
"""The topic of hints between processes: that a task with many dependents is resolved."""


class Alarms:
    """The alarms of all loops that have one.

    Args:
        hints: what tells the queue's other processes that there are dependents to look after.
    """

    def __init__(self, clock: clocks.Clock, hints: Hints) -> None:
        self.dependencies = Alarm(clock, hints, _RESOLVED)
        self.claims = Alarm(clock)
        self.deadlines = Alarm(clock)
        self.expiry = Alarm(clock)
