"""Sees to it that no task is claimed while the disk is nearly full."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from tcbox import clock as clocks
from tcbox import log

_LOG = log.get("workers")
_LOOK_MS = 5_000


class Room:
    """Watches the free space of a few folders.

    Args:
        floor: how many bytes must be free in each.
        clear: removes what can be had again, such as images and caches that no task uses.
    """

    def __init__(self, folders: list[Path], floor: int, clock: clocks.Clock, clear: Callable[[], Awaitable[None]]) -> None:
        self._folders, self._floor, self._clock, self._clear = folders, floor, clock, clear

    async def wait(self) -> None:
        """Return when there is room; what can be had again is removed first."""
        short = self._short()
        if short is None:
            return
        await self._clear()
        told = False
        while (short := self._short()) is not None:
            if not told:
                text = "the disk is nearly full: no task is claimed until something is removed"
                _LOG.warning(text, extra={"folder": str(short), "free": free(short), "wanted": self._floor})
                told = True
            await self._clock.sleep(_LOOK_MS)
            await self._clear()
        if told:
            _LOG.info("there is room on the disk again: tasks are claimed")

    def _short(self) -> Path | None:
        return next((folder for folder in self._folders if free(folder) < self._floor), None)


def free(folder: Path) -> int:
    """The bytes that are free for users where a folder lies."""
    return shutil.disk_usage(folder).free
