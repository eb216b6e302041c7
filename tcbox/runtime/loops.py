"""The loops of one service, started and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from tcbox import clock as clocks
from tcbox.runtime.loop import PATIENCE, Loop, LoopStatus


class Loops:
    """A service's loops by name.

    Args:
        specs: LoopSpec, or tuples of that form; names must differ.
    """

    def __init__(
        self, service: str, specs: Sequence[tuple[str, int | None, Callable[[], Awaitable[object]]]], *,
        clock: clocks.Clock, patience: int = PATIENCE,
    ) -> None:  # fmt: skip
        self._loops: dict[str, Loop] = {}
        for name, interval_ms, run in specs:
            if name in self._loops:
                raise ValueError(f"{service} has two loops named {name!r}: give one of them another name")
            self._loops[name] = Loop(name, run, interval_ms=interval_ms, clock=clock, service=service, patience=patience)

    def __iter__(self) -> Iterator[Loop]:
        return iter(self._loops.values())

    def __getitem__(self, name: str) -> Loop:
        return self._loops[name]

    def start(self) -> None:
        """Begin them all."""
        for loop in self:
            loop.start()

    async def stop(self) -> None:
        """End them all; may be called twice."""
        await asyncio.gather(*(loop.stop() for loop in self))

    def faults(self) -> list[str]:
        """What is wrong, as `loop <name> failed …`."""
        return [f"loop {loop.name} {fault}" for loop in self if (fault := loop.fault)]

    def status(self) -> list[LoopStatus]:
        """How each is doing."""
        return [loop.status() for loop in self]
