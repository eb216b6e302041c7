"""Starts the parts of an instance in order, watches them, restarts one while the others serve, and ends them cleanly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.runtime import ending, order
from tcbox.runtime.health import Health
from tcbox.runtime.parts import Factory, Lifecycle
from tcbox.runtime.slot import Slot

_log = log.get("supervisor")


class Supervisor:
    """The parts of an instance by name.

    Args:
        clock: on which loops pause; how long an end may take is measured in real time.
        drain_seconds: how long each part may take to drain, and again to close, before it is cancelled.
    """

    def __init__(self, clock: clocks.Clock, *, drain_seconds: float = 10.0) -> None:
        self._clock = clock
        self._drain_seconds = drain_seconds
        self._slots: dict[str, Slot] = {}
        self._changing = asyncio.Lock()

    def add(self, name: str, factory: Factory, requires: Sequence[str] = ()) -> None:
        """Add a part, to be made by its factory at each start, after those that it requires.

        Raises ValueError when there is one of that name already.
        """
        if name in self._slots:
            raise ValueError(f"there are two parts named {name!r}: give one of them another name")
        self._slots[name] = Slot(name, factory, tuple(requires), clock=self._clock, drain_seconds=self._drain_seconds)

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __contains__(self, name: str) -> bool:
        return name in self._slots

    async def start(self) -> None:
        """Start all parts that do not run yet.

        Raises order.OrderError before anything is started, and StartFailed when a part does not start; those that had
        started before are then stopped again, as they are when the start is cancelled.
        """
        async with self._changing:
            try:
                for slot in self._order():
                    if slot.part is None:
                        await slot.start(await slot.make())
            except order.OrderError:
                raise
            except BaseException:
                await ending.shielded(self._end(list(reversed(self._order()))))
                raise

    async def drain(self) -> None:
        """Have all parts begin nothing new and send home those who wait, while they still serve; `stop` does so too."""
        async with self._changing:
            for slot in reversed(self._order()):
                await slot.drain()

    async def stop(self) -> None:
        """Drain all parts, then stop them, the last started first; what fails or hangs is told and passed over.

        A cancellation comes into effect only when all have been stopped.
        """
        await ending.shielded(self._stop())

    async def restart(self, name: str, factory: Factory | None = None) -> None:
        """Stop one part and start it anew while the others go on; a given factory replaces its own.

        The new part is made before the old one is stopped, so that one which cannot be made leaves the old one
        running. Raises TcboxError when there is no such part, StartFailed when it does not start again.
        """
        async with self._changing:
            slot = self._slot(name)
            before, slot.factory = slot.factory, factory or slot.factory
            try:
                part = await slot.make()
            except BaseException:
                slot.factory = before
                raise
            await ending.shielded(self._end([slot]))
            await slot.start(part)
            _log.info("restarted", extra={"part": name})

    def part(self, name: str) -> Lifecycle | None:
        """The part that runs under a name; None while none does. Raises TcboxError when there is no such name."""
        return self._slot(name).part

    def health(self, name: str) -> Health:
        """Where a part, or who sees to it, reports what does not work. Raises TcboxError when there is no such name."""
        return self._slot(name).health

    def faults(self, name: str) -> list[str]:
        """What is wrong with a part, in words; empty when it is healthy. Raises TcboxError when there is no such name."""
        return self._slot(name).faults()

    def uptime(self, name: str) -> float:
        """Seconds since a part started; 0 while it does not run. Raises TcboxError when there is no such name."""
        return self._slot(name).uptime

    def wake(self, name: str, loop: str) -> None:
        """Have a part's loop take its next turn at once. Raises TcboxError or KeyError when there is none such."""
        self._slot(name).loops[loop].wake()

    def status(self) -> dict[str, dict[str, Any]]:
        """How each part is, ready for JSON: state, since (ms), requires, faults, loops."""
        return {name: slot.status() for name, slot in self._slots.items()}

    def _slot(self, name: str) -> Slot:
        if name not in self._slots:
            raise errors.TcboxError(f"there is no {name}; there are: {', '.join(self._slots)}")
        return self._slots[name]

    def _order(self) -> list[Slot]:
        return [self._slots[name] for name in order.sort({slot.name: slot.requires for slot in self._slots.values()})]

    async def _stop(self) -> None:
        async with self._changing:
            await self._end(list(reversed(self._order())))

    async def _end(self, slots: list[Slot]) -> None:
        for slot in slots:
            await slot.drain()
        for slot in slots:
            await slot.stop()
