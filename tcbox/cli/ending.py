"""How a command that serves comes to its end: the first signal asks it to, the second one ends it at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def hold() -> None:
    """Have signals wait, so that none comes between the making of what must not be left behind and `watching`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def release() -> None:
    """Let them come, those first that waited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class Ended(BaseException):
    """A signal asked for the end while nothing was served yet."""


class Ending:
    """Watches for SIGINT, SIGTERM and SIGHUP from the first moment of a start to the last one of a stop.

    Args:
        asked: called with the first signal's number.
        forced: called when a second signal ends the process at once, for what must not be left behind.
    """

    def __init__(self, *, asked: Callable[[int], None] = lambda _: None, forced: Callable[[], None] = lambda: None) -> None:
        self.number = 0
        self._asked = asked
        self._forced = forced
        self._task: asyncio.Task[None] | None = None
        self._event: asyncio.Event | None = None

    @contextmanager
    def watching(self) -> Iterator[Ending]:
        """Take the signals."""
        before = {number: signal.getsignal(number) for number in _taken()}
        for number in before:
            signal.signal(number, self._plain)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def attend(self) -> None:
        """From here on signals cancel the present task, which is starting."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in _taken():
            loop.add_signal_handler(number, self._signalled, number)

    async def wait(self) -> None:
        """Until a signal asks for the end; what was started is then stopped without being cancelled."""
        self._event = asyncio.Event()
        if not self.number:
            await self._event.wait()

    def _plain(self, number: int, frame: FrameType | None) -> None:
        self._count(number)
        raise Ended

    def _signalled(self, number: int) -> None:
        self._count(number)
        if self._event is not None:
            self._event.set()
        elif self._task is not None:
            self._task.cancel()

    def _count(self, number: int) -> None:
        if self.number:
            try:
                self._forced()
            finally:
                os._exit(128 + number)
        self.number = number
        self._asked(number)


def _taken() -> list[signal.Signals]:
    """The signals; below nohup, which has SIGHUP ignored, not that one."""
    return [number for number in _SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
