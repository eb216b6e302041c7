"""The thread on which all instances of a process run, so that tests may be of any kind, synchronous or not."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from tcbox.runtime import tuning

T = TypeVar("T")


class Background:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = tuning.new_loop()
        self.process = os.getpid()
        self._thread = threading.Thread(target=self.loop.run_forever, name="tcbox-testing", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, timeout: float | None = 60) -> T:
        """Run a coroutine there, and give what it returns or raises; TimeoutError after so many seconds."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise


_background: Background | None = None
_making = threading.Lock()


def background() -> Background:
    """The thread of this process, begun when first asked for; a forked process gets one of its own."""
    global _background  # noqa: PLW0603 - one a process
    with _making:
        if _background is None or _background.process != os.getpid():
            _background = Background()
        return _background
