"""What the supervisor runs: parts that open and close, services that also have loops, and loops as services give them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple, Protocol


class LoopSpec(NamedTuple):
    """Work that a service does by itself.

    Attributes:
        name: unique within the service; stands in the log, in the status and in metrics.
        interval_ms: the pause between two turns, in ms; 0 when a turn itself waits for something to do; None when
            `run` goes on for ever, so that its end is a fault.
        run: one turn, or the whole of the work.
    """

    name: str
    interval_ms: int | None
    run: Callable[[], Awaitable[object]]


class Lifecycle(Protocol):
    """A part that opens resources when it starts.

    Implementers must register the closing of each resource on the stack as soon as it is open, so that a start which
    fails half-way leaves nothing behind; what is registered may run in another task than `start` did. They must be able
    to start anew after the stack was closed, or else be made anew by their factory.
    """

    async def start(self, stack: AsyncExitStack) -> None:
        """Open what is needed; return when the part can work."""
        ...


class Service(Lifecycle, Protocol):
    """A part with a name, others that it needs, and loops.

    A `drain()`, plain or a coroutine function, may be there too: it is called before anything is closed, and must see
    to it that no new work is begun and that waiting callers are sent home. So may `notes()`, which gives lines for the
    status that are no faults.
    """

    @property
    def name(self) -> str:
        """Unique within the instance."""
        ...

    @property
    def requires(self) -> Sequence[str]:
        """The names of the services that must have started before."""
        ...

    @property
    def loops(self) -> Sequence[tuple[str, int | None, Callable[[], Awaitable[object]]]]:
        """What it does by itself, as LoopSpec or tuples of that form."""
        ...


Factory = Callable[[], Lifecycle | Awaitable[Lifecycle]]
"""Makes a part, for each start a new one."""
