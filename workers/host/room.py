"""Sees that tasks begin only where there is room for them on the disk."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from tcbox import clock as clocks
from tcbox import log
from tcbox.workers.host.caches import Caches
from tcbox.workers.host.contents import Contents

_LOG = log.get("workers")
_AGAIN_MS = 5_000
_LOOK_MS = 2_000


class Room:
    """The room in the worker's folder.

    Args:
        least: bytes that must be free before a task is claimed.
    """

    def __init__(self, folder: Path, least: int, clock: clocks.Clock, contents: Contents, caches: Caches) -> None:
        self._folder, self._least, self._clock, self._contents, self._caches = folder, least, clock, contents, caches
        self._looked = -_LOOK_MS
        self._told = False

    @property
    def _enough(self) -> bool:
        return shutil.disk_usage(self._folder).free >= self._least

    async def wait(self) -> None:
        """Return when there is enough; what was downloaded goes first, then caches, those used longest ago before the others."""
        now = self._clock.now()
        if now - self._looked < _LOOK_MS:
            return
        while not self._enough:
            await asyncio.to_thread(self._contents.clear)
            while not self._enough and await asyncio.to_thread(self._caches.drop_oldest):
                pass
            if self._enough:
                break
            if not self._told:
                text = "no task is claimed until there is room on the disk: remove what is not needed, or set free_disk_mb lower"
                _LOG.warning(text, extra={"folder": str(self._folder), "least_bytes": self._least})
                self._told = True
            await self._clock.sleep(_AGAIN_MS)
        self._told = False
        self._looked = self._clock.now()
