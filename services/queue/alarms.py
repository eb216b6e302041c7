"""When the queue's loops have something to do: each sleeps until the next thing is due, and can be called earlier."""

from __future__ import annotations

from tcbox import clock as clocks
from tcbox.runtime.alarm import Alarm

__all__ = ["Alarm", "Alarms"]


class Alarms:
    """The alarms of all loops that have one."""

    def __init__(self, clock: clocks.Clock) -> None:
        self.dependencies = Alarm(clock)
        self.claims = Alarm(clock)
        self.deadlines = Alarm(clock)
        self.expiry = Alarm(clock)
