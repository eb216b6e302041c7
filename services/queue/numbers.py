"""Numbers for new rows: they grow with time, and are made without asking the database or other processes."""

from __future__ import annotations

import random

_EPOCH = 1_577_836_800_000
"""The start of the year 2020, in ms since the Unix epoch."""

_RANDOM_BITS = 22


class Numbers:
    """Makes numbers of 63 bits: the time in ms, then random bits; within this process each is larger than the last."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: int) -> int:
        """A new number, at a time in ms since the Unix epoch."""
        drawn = (now - _EPOCH) << _RANDOM_BITS | random.getrandbits(_RANDOM_BITS)
        self._last = max(self._last + 1, drawn)
        return self._last
