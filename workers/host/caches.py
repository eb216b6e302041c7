"""Folders that outlive their tasks: a task has one for itself while it runs, the next task finds it as it was left.

On disk a cache is `<digest of its name>/<when made, in ms>-<id>`; while a task has it, it is moved away from there, so
that a worker which is killed loses it rather than handing on what is half done.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from tcbox import clock as clocks
from tcbox import ids
from tcbox.workers import lifecycle, purges


@dataclass(frozen=True, slots=True)
class Cache:
    """One folder of a named cache, in a task's hands.

    Attributes:
        home: where it is kept between tasks.
        made: when it was made, in ms.
        fresh: nothing is in it yet.
    """

    name: str
    home: Path
    made: int
    fresh: bool


class Caches:
    """Hands out caches and takes them back; several tasks may have one of the same name, each its own folder.

    Args:
        keep: how many caches of one name are kept between tasks; those used longest ago go first.
    """

    def __init__(self, folder: Path, clock: clocks.Clock, keep: int) -> None:
        self._folder, self._clock, self._keep = folder, clock, keep
        self.purges = purges.Purges(clock)

    async def take(self, name: str, target: Path) -> Cache:
        """Give a cache of that name at a path: the one used last, or a new one, which has `fresh` set and no folder yet."""
        for entry in self._entries(name):
            cache = Cache(name, entry, int(entry.name.partition("-")[0]), fresh=False)
            if self.purges.purged(name, cache.made):
                await asyncio.to_thread(lifecycle.remove, entry)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir() and not any(target.iterdir()):
                target.rmdir()
            try:
                claimed = entry.with_name(f".{entry.name}")
                entry.rename(claimed)
            except FileNotFoundError:
                continue
            await asyncio.to_thread(shutil.move, claimed, target)
            return cache
        now = self._clock.now()
        return Cache(name, self._home(name) / f"{now}-{ids.slugid()}", now, fresh=True)

    async def give_back(self, cache: Cache, target: Path) -> None:
        """Keep the folder for the next task, unless it was purged meanwhile.

        Raises OSError when it is gone or cannot be moved.
        """
        if self.purges.purged(cache.name, cache.made):
            await asyncio.to_thread(lifecycle.remove, target)
            return
        cache.home.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(shutil.move, target, cache.home)
        for extra in self._entries(cache.name)[self._keep :]:
            await asyncio.to_thread(lifecycle.remove, extra)

    def clear_halves(self) -> None:
        """Remove caches that were being moved when the worker was killed; blocking."""
        if self._folder.is_dir():
            for entry in self._folder.glob("*/.*"):
                lifecycle.remove(entry)

    def drop_oldest(self) -> bool:
        """Remove the cache that was used longest ago, of those that no task has; says whether there was one. Blocking."""
        if not self._folder.is_dir():
            return False
        found = [(entry.stat().st_mtime, entry) for entry in self._folder.glob("*/*") if not entry.name.startswith(".")]
        if found:
            lifecycle.remove(min(found)[1])
        return bool(found)

    def _home(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode()).hexdigest()[:32]

    def _entries(self, name: str) -> list[Path]:
        home = self._home(name)
        if not home.is_dir():
            return []
        found = [entry for entry in home.iterdir() if not entry.name.startswith(".")]
        return sorted(found, key=lambda entry: entry.stat().st_mtime, reverse=True)
