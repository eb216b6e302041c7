"""How often each named statement ran and how long it took, for metrics."""

from __future__ import annotations


class Stat:
    """One statement's counters: `calls`, and the `seconds` spent in them."""

    __slots__ = ("calls", "seconds")

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"Stat(calls={self.calls}, seconds={self.seconds:.6f})"


class Stats(dict[str, Stat]):
    """Counters by statement name (`queue.get_task`), made when first asked for."""

    def __missing__(self, name: str) -> Stat:
        stat = self[name] = Stat()
        return stat
