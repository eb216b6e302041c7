"""The host worker: generic-worker payloads as processes of this machine."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from tcbox import clock as clocks
from tcbox.workers import certificates, lifecycle, outcomes
from tcbox.workers.host import leftovers, mounts, payload
from tcbox.workers.host.caches import Caches
from tcbox.workers.host.contents import Contents
from tcbox.workers.host.docker import Docker
from tcbox.workers.host.images import Images
from tcbox.workers.host.job import HostJob, Means
from tcbox.workers.host.processes import Keeper
from tcbox.workers.lifecycle import Tools
from tcbox.workers.outcomes import Outcome
from tcbox.workers.room import Room, free
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog


class Host:
    """Runs tasks in folders of their own, all their processes below one keeper."""

    def __init__(self, means: Means, room: Room) -> None:
        self._means, self._room = means, room
        self._groups = own_groups()

    @classmethod
    async def start(cls, tools: Tools, clock: clocks.Clock, stack: AsyncExitStack) -> Host:
        """Clean up after a worker that was killed, and get ready."""
        settings = tools.settings
        caches = Caches(settings.folder / "caches", clock, settings.capacity)
        await asyncio.to_thread(leftovers.clear, tools.folder)
        await asyncio.to_thread(caches.clear_halves)
        keeper = Keeper()
        stack.callback(keeper.close)
        contents = Contents(settings.folder / "downloads", tools.session)
        docker = Docker(settings.docker_url, settings.instance, settings.folder / "docker", wanted=settings.d2g)
        stack.callback(docker.close)
        await docker.recover()
        means = Means(tools, keeper, contents, caches, docker, Images(docker, settings.folder, contents))
        floor = settings.free_disk_mb * 1_000_000

        async def clear() -> None:
            """Make room by what was downloaded, then by caches, those used longest ago before the others."""
            await asyncio.to_thread(contents.clear)
            while free(settings.folder) < floor and await asyncio.to_thread(caches.drop_oldest):
                pass

        return cls(means, Room([settings.folder], floor, clock, clear))

    async def ready(self) -> None:
        """Return when there is room on the disk for a task."""
        await self._room.wait()

    async def perform(self, run: Run) -> Outcome:
        """Run one task to its end."""
        given = run.task["payload"]
        asked = isinstance(given, dict) and ("image" in given or given.get("taskclusterProxyInterface") == "docker-bridge")
        try:
            containers = await run.unless_aborted(self._means.docker.missing()) if asked else ""
        except outcomes.RunEnded as error:
            return error.outcome

        def job(run: Run, log: TaskLog, folder: Path) -> HostJob:
            return self._job(run, log, folder, containers)

        return await lifecycle.perform(run, self._means.tools, job)

    def _job(self, run: Run, log: TaskLog, folder: Path, containers: str) -> HostJob:
        settings = self._means.tools.settings
        kvm = os.path.exists("/dev/kvm")
        read = payload.read(run.task, longest=settings.max_run_time_s, queue=run.task_queue_id, groups=self._groups, containers=containers, kvm=kvm)
        wrong = mounts.faults(run.task, read.mounts)
        if wrong:
            raise outcomes.malformed("The payload's mounts cannot be made:\n" + "\n".join(f"- {fault}" for fault in wrong))
        return HostJob(self._means, run, log, folder, read, key=certificates.Key.of(settings.folder) if read.trust else None)


def own_groups() -> frozenset[str]:
    """Names of the groups that this process's user is in, without the one that has the user's own name."""
    names = set()
    for number in {os.getgid(), *os.getgroups()}:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    with suppress(KeyError):
        names.discard(pwd.getpwuid(os.getuid()).pw_name)
    return frozenset(names)
