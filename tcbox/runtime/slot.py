"""One part under supervision: its factory, what runs now, and the state that it is in."""

from __future__ import annotations

import inspect
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any, Literal

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.runtime import ending
from tcbox.runtime.health import Health
from tcbox.runtime.loop import PATIENCE
from tcbox.runtime.loops import Loops
from tcbox.runtime.parts import Factory, Lifecycle

LEAST = 1.0
"""Seconds that closing may take even where draining may take none: files are to be closed whole."""

State = Literal["stopped", "starting", "healthy", "degraded", "stopping", "failed"]


class StartFailed(errors.TcboxError):
    """A part did not start."""


class Slot:
    """A place for one part, which may be started, stopped and made anew.

    Args:
        clock: on which its loops pause.
        drain_seconds: how long each step of its end may take.
    """

    def __init__(self, name: str, factory: Factory, requires: tuple[str, ...], *, clock: clocks.Clock, drain_seconds: float) -> None:
        self.name = name
        self.factory = factory
        self.requires = requires
        self.health = Health(name)
        self.part: Lifecycle | None = None
        self.loops = Loops(name, (), clock=clock)
        self.error: str | None = None
        self._clock = clock
        self._drain_seconds = drain_seconds
        self._stack: AsyncExitStack | None = None
        self._state: State = "stopped"
        self._since = clock.now()
        self._started: float | None = None
        self._log = log.get(name)

    @property
    def state(self) -> State:
        """What it is doing; `degraded` when it runs, and something in it does not work."""
        return "degraded" if self._state == "healthy" and self.faults() else self._state

    @property
    def uptime(self) -> float:
        """Seconds since it started; 0 while it does not run."""
        return time.monotonic() - self._started if self._started is not None else 0.0

    def faults(self) -> list[str]:
        """What is wrong with it, in words; empty when it is healthy."""
        if self._state != "healthy":
            return [f"is {self._state}" + (f": {self.error}" if self.error else "")]
        return self.health.faults() + self.loops.faults()

    async def make(self) -> Lifecycle:
        """A new part from the factory. Raises StartFailed when it cannot be made."""
        try:
            made = self.factory()
            return await made if inspect.isawaitable(made) else made
        except Exception as error:
            raise self._failed(error) from error

    async def start(self, part: Lifecycle) -> None:
        """Start a part, then its loops.

        Raises StartFailed, after what it had opened was closed again.
        """
        self._enter("starting")
        stack = AsyncExitStack()
        try:
            await part.start(stack)
            self.loops = Loops(self.name, getattr(part, "loops", ()), clock=self._clock, patience=PATIENCE)
            self.loops.start()
        except BaseException as error:
            self.error = _words(error) if isinstance(error, Exception) else None
            self._enter("failed" if isinstance(error, Exception) else "stopped")
            await ending.shielded(self._close(stack))
            if isinstance(error, Exception):
                raise self._failed(error) from error
            raise
        self.part, self._stack, self.error = part, stack, None
        self._started = time.monotonic()
        self._enter("healthy")

    async def drain(self) -> None:
        """Have it begin nothing new, if it knows how to."""
        drain = getattr(self.part, "drain", None)
        if drain is None:
            return
        try:
            waiting = drain()
        except Exception:
            self._log.exception("draining failed")
            return
        if inspect.isawaitable(waiting):
            await ending.bounded(waiting, f"draining {self.name}", self._drain_seconds, self._log)

    async def stop(self) -> None:
        """Stop its loops, then close all that it has opened, the last first; does nothing when it does not run."""
        stack, self._stack = self._stack, None
        if stack is None:
            if self._state != "failed":
                self._enter("stopped")
            return
        self._enter("stopping")
        await self.loops.stop()
        await self._close(stack)
        self.part, self._started = None, None
        self._enter("stopped")

    def status(self) -> dict[str, Any]:
        """How it is, ready for JSON; times in ms since the epoch."""
        return {
            "state": self.state,
            "since": self._since,
            "requires": list(self.requires),
            "faults": self.faults() if self.state in ("degraded", "failed") else [],
            "notes": getattr(self.part, "notes", list)(),
            "loops": {status.name: asdict(status) for status in self.loops.status()},
        }

    async def _close(self, stack: AsyncExitStack) -> None:
        await ending.bounded(stack.aclose(), f"closing {self.name}", max(LEAST, self._drain_seconds), self._log)

    def _enter(self, state: State) -> None:
        self._state, self._since = state, self._clock.now()

    def _failed(self, error: Exception) -> StartFailed:
        self.error = _words(error)
        return StartFailed(f"{self.name} did not start: {self.error}")


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, errors.TcboxError) else f"{type(error).__name__}: {error}"
