"""Puts files, archives and caches into a task's folder before it runs, and saves the caches after."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tcbox.client.http import Http
from tcbox.workers import lifecycle, outcomes, scoped
from tcbox.workers.host import archives
from tcbox.workers.host.caches import Cache, Caches
from tcbox.workers.host.contents import Contents
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog


def faults(task: Mapping[str, Any], mounts: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a payload's mounts beyond their form."""
    found = []
    for index, mount in enumerate(mounts):
        where, form = f"payload.mounts[{index}]", mount.get("format")
        known = archives.FILE_FORMATS if "file" in mount else archives.ARCHIVE_FORMATS
        lacking = archives.missing(form) if form in known else ""
        if lacking:
            found.append(f"{where}.format: {form} cannot be unpacked here: install {lacking} on this machine, or use one of {', '.join(_at_hand(known))}")
        task_id = mount.get("content", {}).get("taskId")
        if task_id is not None and task_id not in task.get("dependencies", []):
            found.append(f"{where}.content.taskId: an artifact of {task_id} is mounted, so task.dependencies must have that task")
    return found


def _at_hand(forms: tuple[str, ...]) -> list[str]:
    return [form for form in forms if not archives.missing(form)]


class Mounts:
    """The mounts of one task.

    Args:
        docker: the payload was made for docker-worker, whose scopes do too.
    """

    def __init__(self, mounts: list[dict[str, Any]], folder: Path, run: Run, log: TaskLog, *, contents: Contents, caches: Caches, docker: bool = False) -> None:
        self._mounts, self._folder, self._run, self._log = mounts, folder, run, log
        self._contents, self._caches = contents, caches
        self._kinds = ("docker-worker", "generic-worker") if docker else ("generic-worker",)
        self._taken: list[tuple[Cache, Path]] = []

    async def mount(self, http: Http) -> None:
        """Mount all, in order.

        Raises RunEnded: malformed-payload when scopes are missing, failed when content cannot be had or unpacked.
        """
        names = [mount["cacheName"] for mount in self._mounts if "cacheName" in mount]
        if names:
            needed = [tuple(f"{kind}:cache:{name}" for kind in self._kinds) for name in names]
            await scoped.require(self._run, needed, what="A cache of the payload")
            await self._caches.purges.ask(http, self._run.task_queue_id)
        for mount in self._mounts:
            try:
                await self._one(mount)
            except archives.CannotUnpack as error:
                raise outcomes.failed(f"[mounts] The content of {mount.get('file') or mount['directory']}: {error}") from error
            except OSError as error:
                raise outcomes.failed(f"[mounts] {mount.get('file') or mount['directory']} cannot be written: {error.strerror or error}") from error

    async def unmount(self, *, purge: bool) -> None:
        """Give the caches back, or throw them away.

        Raises RunEnded(failed) when some cannot be kept.
        """
        taken, self._taken = self._taken, []
        lost = [fault for cache, path in taken if (fault := await self._give_back(cache, path, purge=purge))]
        if lost:
            raise outcomes.failed("\n".join(lost))

    async def _give_back(self, cache: Cache, path: Path, *, purge: bool) -> str:
        if purge:
            self._log.say(f"[mounts] Purging the cache {cache.name}")
            await asyncio.to_thread(lifecycle.remove, path)
            return ""
        self._log.say(f"[mounts] Keeping the cache {cache.name}")
        try:
            if path.is_symlink() or not path.is_dir():
                return f"[mounts] The cache {cache.name} could not be kept: {path} is no folder any more"
            await self._caches.give_back(cache, path)
        except OSError as error:
            return f"[mounts] The cache {cache.name} at {path} could not be kept: {error.strerror or error}"
        return ""

    async def _one(self, mount: dict[str, Any]) -> None:
        target = self._folder / (mount.get("file") or mount["directory"])
        if "file" in mount:
            await self._file(mount, target)
        elif "cacheName" in mount:
            await self._cache(mount, target)
        else:
            await self._fill(mount, target)

    async def _file(self, mount: dict[str, Any], target: Path) -> None:
        if target.is_dir():
            raise outcomes.failed(f"[mounts] {mount['file']} is a directory already, so no file can be mounted there")
        target.parent.mkdir(parents=True, exist_ok=True)
        async with self._contents.file(mount["content"], self._run, self._log) as source:
            form = mount.get("format")
            await asyncio.to_thread(archives.decompress, source, form, target) if form else await asyncio.to_thread(shutil.copyfile, source, target)

    async def _cache(self, mount: dict[str, Any], target: Path) -> None:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise outcomes.failed(f"[mounts] {mount['directory']} is not empty, so the cache {mount['cacheName']} cannot be mounted there")
        cache = await self._caches.take(mount["cacheName"], target)
        self._log.say(f"[mounts] {'Starting' if cache.fresh else 'Using'} the cache {cache.name} at {mount['directory']}")
        if cache.fresh:
            target.mkdir(parents=True, exist_ok=True)
            if "content" in mount:
                try:
                    await self._fill(mount, target)
                except BaseException:
                    await asyncio.to_thread(lifecycle.remove, target)
                    raise
        self._taken.append((cache, target))

    async def _fill(self, mount: dict[str, Any], target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        async with self._contents.file(mount["content"], self._run, self._log) as source:
            self._log.say(f"[mounts] Unpacking a {mount['format']} archive into {mount['directory']}")
            await asyncio.to_thread(archives.unpack, source, mount["format"], target)
