"""Named loops, each guarded: one that fails says so, is tried again ever more slowly, and is never silently gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tcbox import clock as clocks
from tcbox import errors, log

FIRST_PAUSE = clocks.SECOND
LONGEST_PAUSE = clocks.MINUTE
LONGEST_WAIT = 5 * clocks.SECOND
"""The longest pause after failures for want of a server that is away, such as the database: when it is back, work is waiting."""
PATIENCE = 3
"""Failures in a row after which the service counts as degraded."""
SETTLED = clocks.MINUTE
"""A loop that must not end works again when it has gone on for so long, in ms."""


class LoopEndedError(Exception):
    """A loop that should go on for ever has ended."""


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """How a loop is doing.

    Attributes:
        runs: turns that ended well.
        failures: turns that failed, ever; `in_a_row` since the last that ended well.
        last_run: when the last turn began, in ms since the epoch; None before the first.
        last_duration_ms: how long the last turn that ended took.
        last_error: what the last failure said; None once a turn has ended well.
    """

    name: str
    interval_ms: int | None
    running: bool
    runs: int
    failures: int
    in_a_row: int
    last_run: int | None
    last_duration_ms: int | None
    last_error: str | None
    degraded: bool


class Loop:
    """One loop.

    Args:
        name: as it stands in the log, within its service.
        run: one turn; or, with an interval of None, the whole loop.
        interval_ms: pause between the end of a turn and the next, in ms; 0 when turns wait by themselves; None when
            `run` must not end.
        clock: on which it pauses.
        service: whose loop it is.
        patience: failures in a row after which it is degraded.
    """

    def __init__(
        self, name: str, run: Callable[[], Awaitable[object]], *, interval_ms: int | None, clock: clocks.Clock,
        service: str = "tcbox", patience: int = PATIENCE,
    ) -> None:  # fmt: skip
        self.name = name
        self.interval_ms = interval_ms
        self.runs = self.failures = self.in_a_row = 0
        self._run = run
        self._clock = clock
        self._patience = patience
        self._log = log.get(service)
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None
        self._woken = False
        self._began: int | None = None
        self._within = False
        self._took: int | None = None
        self._error: str | None = None
        self._waits = False  # whether it failed since a server is away
        self._told = False

    def start(self) -> None:
        """Begin; the first turn comes at once. Does nothing when the loop runs already."""
        if self._task is None:
            self._woken = False
            self._task = asyncio.get_running_loop().create_task(self._go_on(), name=f"loop {self.name}")

    async def stop(self, *, wait: float = 10.0) -> None:
        """End it, in the middle of a turn if need be; returns when it has ended, or after so many seconds."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task], timeout=wait)
        if not task.done():
            self._log.error("the loop does not end: leaving it behind", extra={"loop": self.name})

    def wake(self) -> None:
        """Have the next turn at once instead of after the pause; right after the present turn if there is one."""
        self._woken = True
        if self._pause is not None:
            self._pause.cancel()

    @property
    def degraded(self) -> bool:
        """Whether it has failed too often in a row, and not worked since."""
        return self.in_a_row >= self._patience and not self._settled(self._clock.now())

    @property
    def fault(self) -> str | None:
        """What is wrong, in words; None when all is well enough."""
        return f"failed {self.in_a_row} times in a row, last with {self._error}" if self.degraded else None

    def status(self) -> LoopStatus:
        """How it is doing."""
        return LoopStatus(
            self.name, self.interval_ms, self._task is not None, self.runs, self.failures, self.in_a_row,
            self._began, self._took, self._error, self.degraded,
        )  # fmt: skip

    async def _go_on(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            try:
                await self._turn()
            except Exception as error:
                self._failed(error)
            except asyncio.CancelledError:
                if task.cancelling():
                    raise
                self._failed(LoopEndedError("something that it waited for was cancelled"))
            await self._rest()

    async def _turn(self) -> None:
        self._began, self._within, self._woken = self._clock.now(), True, False
        try:
            await self._run()
            if self.interval_ms is None:
                raise LoopEndedError("it ended, though it should go on for ever")
        finally:
            self._within = False
            self._took = max(0, self._clock.now() - self._began)
        self._succeeded()

    async def _rest(self) -> None:
        pause = self._back_off() if self.in_a_row else self.interval_ms or 0
        if self._woken or pause <= 0:
            await asyncio.sleep(0)  # a turn that never waits must not keep all others from theirs
            return
        self._pause = asyncio.ensure_future(self._clock.sleep(pause))
        try:
            await asyncio.wait([self._pause])
        finally:
            self._pause.cancel()
            self._pause = None

    def _settled(self, now: int) -> bool:
        """Whether a loop that must not end has gone on for so long that it works."""
        return self.interval_ms is None and self._within and self._began is not None and now - self._began >= SETTLED

    def _back_off(self) -> int:
        return min(LONGEST_WAIT if self._waits else LONGEST_PAUSE, FIRST_PAUSE << min(max(self.in_a_row - 1, 0), 16))

    def _succeeded(self) -> None:
        self.runs += 1
        if self.in_a_row:
            self._log.info("the loop works again", extra={"loop": self.name, "failures": self.in_a_row})
        self.in_a_row, self._error, self._told = 0, None, False

    def _failed(self, error: BaseException) -> None:
        if self.interval_ms is None and (self._took or 0) >= SETTLED:
            self.in_a_row, self._told = 0, False
        self.failures += 1
        self.in_a_row += 1
        self._error, self._waits = f"{type(error).__name__}: {error}", isinstance(error, errors.Unavailable)
        fields = {"loop": self.name, "failures": self.in_a_row, "retry_ms": self._back_off()}
        self._log.error("the loop failed and will be tried again", extra=fields, exc_info=error)
        if self.degraded and not self._told:
            self._told = True
            self._log.error("the service is degraded until this loop works again", extra={"loop": self.name})
