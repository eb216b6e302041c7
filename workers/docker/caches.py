"""Volumes that outlive their tasks: a task has one for itself while it runs, the next task finds it as it was left.

A volume's labels say which cache of which task queue it is and when it was made: a worker that serves several queues has
caches of each, since the scope for a cache may be for one queue alone. While a task has it, a file in the worker's folder says so;
a volume whose file is still there when a worker starts is in an unknown state, and removed.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import ids
from tcbox.workers import purges
from tcbox.workers.docker.engine import Engine, EngineError, labelled

LABEL = "tcbox.cache"
_NAME = "tcbox.cache.name"
_QUEUE = "tcbox.cache.queue"
_MADE = "tcbox.cache.made"


@dataclass(frozen=True, slots=True)
class Cache:
    """One volume of a named cache, in a task's hands; `made` is in ms.

    Attributes:
        queue: the task queue whose tasks have it.
        fresh: no task has had it before.
    """

    queue: str
    name: str
    volume: str
    made: int
    fresh: bool = False


class Caches:
    """Hands out volumes and takes them back.

    Args:
        folder: says which are in use.
        instance: only volumes of this instance are used or removed.
        keep: how many volumes of one name and queue are kept between tasks.
        token: stands in the files, for the watchdog to know the volumes of this worker from those of the next.
    """

    def __init__(self, engine: Engine, folder: Path, clock: clocks.Clock, instance: str, *, keep: int, token: str) -> None:
        self._engine, self._folder, self._clock, self._instance, self._keep, self._token = engine, folder, clock, instance, keep, token
        self._used: set[str] = set()
        self.purges = purges.Purges(clock)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def recover(self) -> None:
        """Remove the volumes that a worker which was killed had in use, and those of which nobody knows whose queue's they are."""
        for mark in list(self._folder.iterdir()):
            await self._remove(mark.name)
        for volume in await self._list(f"{LABEL}={self._instance}"):
            if _QUEUE not in volume["Labels"]:  # of a release before queues had caches of their own
                await self._remove(volume["Name"])

    async def take(self, task_queue_id: str, name: str) -> Cache:
        """A volume for a cache of a task queue: the one made last, or a new one.

        Raises EngineError.
        """
        for cache in await self._free(task_queue_id, name):
            if self.purges.purged(name, cache.made, task_queue_id):
                await self._remove(cache.volume)
            elif cache.volume not in self._used:  # not taken while others were looked at
                self._use(cache.volume)
                return cache
        made = self._clock.now()
        volume = f"tcbox-{hashlib.sha256(f'{task_queue_id} {name}'.encode()).hexdigest()[:12]}-{ids.slugid()}"
        self._use(volume)
        labels = {LABEL: self._instance, _QUEUE: task_queue_id, _NAME: name, _MADE: str(made)}
        await self._engine.call("POST", "/volumes/create", body={"Name": volume, "Labels": labels})
        return Cache(task_queue_id, name, volume, made, fresh=True)

    async def give_back(self, cache: Cache, *, purge: bool) -> None:
        """Keep a volume for the next task, or remove it; the container that had it must be gone."""
        if purge or self.purges.purged(cache.name, cache.made, cache.queue):
            await self._remove(cache.volume)
            return
        self._used.discard(cache.volume)
        (self._folder / cache.volume).unlink(missing_ok=True)
        with contextlib.suppress(EngineError):
            for extra in (await self._free(cache.queue, cache.name))[self._keep :]:
                await self._remove(extra.volume)

    async def forget(self) -> None:
        """Remove all volumes of the instance's caches."""
        for volume in await self._list(f"{LABEL}={self._instance}"):
            await self._remove(volume["Name"])

    async def clear(self) -> None:
        """Remove all volumes that no task has."""
        for volume in await self._list(f"{LABEL}={self._instance}"):
            if volume["Name"] not in self._used:
                await self._remove(volume["Name"])

    def _use(self, volume: str) -> None:
        self._used.add(volume)
        (self._folder / volume).write_text(self._token, encoding="ascii")

    async def _free(self, queue: str, name: str) -> list[Cache]:
        listed = await self._list(f"{LABEL}={self._instance}", f"{_QUEUE}={queue}", f"{_NAME}={name}")
        found = [Cache(queue, name, each["Name"], int(each["Labels"][_MADE])) for each in listed]
        return sorted((cache for cache in found if cache.volume not in self._used), key=lambda cache: cache.made, reverse=True)

    async def _list(self, *labels: str) -> list[dict[str, Any]]:
        reply = await self._engine.call("GET", "/volumes", query=labelled(*labels))
        return reply.get("Volumes") or []

    async def _remove(self, volume: str) -> None:
        try:
            await self._engine.call("DELETE", f"/volumes/{volume}", query={"force": "1"})
        except EngineError as error:
            if error.status != 404:
                self._use(volume)  # so that nobody gets it, and the next start removes it
                return
        self._used.discard(volume)
        (self._folder / volume).unlink(missing_ok=True)
