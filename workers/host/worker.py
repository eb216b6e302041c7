"""The host worker: generic-worker payloads as processes of this machine."""

from __future__ import annotations

import asyncio
import shlex
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tcbox import clock as clocks
from tcbox.workers import certificates, environment, files, lifecycle, outcomes
from tcbox.workers.host import leftovers, mounts, payload
from tcbox.workers.host.caches import Caches
from tcbox.workers.host.contents import Contents
from tcbox.workers.host.processes import CannotStart, Exit, Group, Keeper, KeeperGone
from tcbox.workers.lifecycle import Tools
from tcbox.workers.outcomes import Outcome
from tcbox.workers.places import HostPlace
from tcbox.workers.proxy import Proxy
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog


@dataclass(frozen=True, slots=True)
class Host:
    """Runs tasks in folders of their own, all their processes below one keeper."""

    tools: Tools
    keeper: Keeper
    contents: Contents
    caches: Caches

    @classmethod
    async def start(cls, tools: Tools, clock: clocks.Clock, stack: AsyncExitStack) -> Host:
        """Clean up after a worker that was killed, and get ready."""
        settings = tools.settings
        caches = Caches(settings.folder / "caches", clock, settings.capacity)
        await asyncio.to_thread(leftovers.clear, tools.folder)
        await asyncio.to_thread(caches.clear_halves)
        keeper = Keeper()
        stack.callback(keeper.close)
        return cls(tools, keeper, Contents(settings.folder / "downloads", tools.session), caches)

    async def ready(self) -> None:
        """It always is."""

    async def perform(self, run: Run) -> Outcome:
        """Run one task to its end."""
        return await lifecycle.perform(run, self.tools, self._job)

    def _job(self, run: Run, log: TaskLog, folder: Path) -> HostJob:
        read = payload.read(run.task, longest=self.tools.settings.max_run_time_s)
        wrong = mounts.faults(run.task, read.mounts)
        if wrong:
            raise outcomes.malformed("The payload's mounts cannot be made:\n" + "\n".join(f"- {fault}" for fault in wrong))
        return HostJob(self, run, log, folder, read)


class HostJob:
    """One task."""

    def __init__(self, host: Host, run: Run, log: TaskLog, folder: Path, given: payload.Payload) -> None:
        self._host, self._run, self._log, self._folder, self._payload = host, run, log, folder, given
        self.log_names = given.log_names
        self.trust: certificates.Trust | None = None
        self._home = folder / "task"
        self._home.mkdir()
        self._group: Group | None = None
        self._proxy: Proxy | None = None
        self._mounts = mounts.Mounts(given.mounts, self._home, run, log, contents=host.contents, caches=host.caches)
        self._purge = False
        self._env: dict[str, str] | None = None

    async def execute(self) -> Outcome:
        """Mount, then run the commands in order until one fails."""
        tools = self._host.tools
        if self._payload.mounts:
            await self._mounts.mount(tools.http)
        env = self._env = await self._environment()
        async with self._run.limited(self._payload.max_run_time):
            self._group = await self._host.keeper.group()
            try:
                for index, argv in enumerate(self._payload.command):
                    await self._command(self._group, index, argv, env)
            except asyncio.CancelledError:
                self._purge = True
                raise
            except KeeperGone as error:
                raise outcomes.internal("The process that kept the task's processes is gone: it was killed, perhaps for want of memory.") from error
            finally:
                await asyncio.shield(self._group.close())
        return outcomes.COMPLETED

    async def _command(self, group: Group, index: int, argv: list[str], env: dict[str, str]) -> None:
        self._log.say(f"Executing command {index}: {shlex.join(argv)}")
        started = time.monotonic()
        try:
            end = await group.run(argv, folder=self._home, env=env, output=self._log.path)
        except CannotStart as error:
            raise outcomes.failed(f"Command {index} cannot be run: {argv[0]}: {error}") from error
        self._tell(end, time.monotonic() - started)
        self._purge = self._purge or end.code in self._payload.purge_caches
        if end.code in self._payload.retry:
            raise outcomes.intermittent(f"Command {index} ended with exit code {end.code}, which payload.onExitStatus.retry lists: the task is tried again.")
        if end.code < 0:
            raise outcomes.failed(f"Command {index} was ended by signal {-end.code}")
        if end.code:
            raise outcomes.failed(f"Command {index} failed: exit status {end.code}")

    def _tell(self, end: Exit, seconds: float) -> None:
        self._log.say(
            f"   Exit Code: {end.code if end.code >= 0 else -1}\n"
            f"   User Time: {end.user * 1000:.3f}ms\n"
            f" Kernel Time: {end.system * 1000:.3f}ms\n"
            f"   Wall Time: {seconds * 1000:.3f}ms\n"
            f"      Result: {'FAILED' if end.code else 'SUCCEEDED'}"
        )

    async def _environment(self) -> dict[str, str]:
        env = {**environment.inherited(), **self._payload.env, **environment.standard(self._run, self._host.tools.settings)}
        env["TASK_WORKDIR"] = str(self._home)
        env[leftovers.MARK] = str(self._folder)
        if self._payload.proxy:
            self._proxy = Proxy(self._run, self._host.tools.session)
            env["TASKCLUSTER_PROXY_URL"] = f"http://127.0.0.1:{await self._proxy.listen('127.0.0.1')}"
        return env

    def place(self) -> HostPlace | None:
        """Its folder and variables."""
        return None if self._env is None else HostPlace(self._home, self._env)

    async def collect(self) -> list[files.Wanted]:
        """The payload's artifacts."""
        return payload.wanted(self._payload, self._home)

    async def close(self) -> None:
        """End what runs, give caches back, stop the proxy."""
        if self._group is not None:
            await self._group.close()
        if self._proxy is not None:
            await self._proxy.close()
        await self._mounts.unmount(purge=self._purge)
