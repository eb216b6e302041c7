"""One task of the host worker: mounts, commands, shells, and what is left when they have ended."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox.workers import artifacts, certificates, environment, files, outcomes, scoped
from tcbox.workers.host import leftovers, mounts, payload, resources, shells
from tcbox.workers.host.caches import Caches
from tcbox.workers.host.containers import Container
from tcbox.workers.host.contents import Contents
from tcbox.workers.host.docker import Docker, DockerError, Network, unanswered
from tcbox.workers.host.images import Images
from tcbox.workers.host.processes import CannotStart, Exit, Group, Keeper, KeeperGone
from tcbox.workers.host.terminals import LocalTerminal
from tcbox.workers.lifecycle import Tools
from tcbox.workers.outcomes import Outcome
from tcbox.workers.places import HostPlace
from tcbox.workers.proxy import Proxy
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

MEASURED = "public/logs/resource-monitor.json"
"""The artifact with what the processes of a task used, when its payload asks for the resource monitor."""
_WIDE = 32


@dataclass(frozen=True, slots=True)
class Means:
    """What the tasks of a host worker run with."""

    tools: Tools
    keeper: Keeper
    contents: Contents
    caches: Caches
    docker: Docker
    images: Images


class HostJob:
    """One task.

    Args:
        key: signs the certificate of the task; None when none is wanted.
    """

    def __init__(self, means: Means, run: Run, log: TaskLog, folder: Path, given: payload.Payload, *, key: certificates.Key | None) -> None:
        self._means, self._run, self._log, self._folder, self._payload = means, run, log, folder, given
        self.log_names = given.log_names
        self.trust = None if key is None else certificates.Trust(key, certificates.environment(means.tools.settings))
        self._home = folder / "task"
        self._home.mkdir()
        self._env: dict[str, str] = {}
        self._group: Group | None = None
        self._proxy: Proxy | None = None
        self._network = ""
        self._shells: shells.Shells | None = None
        self._monitor = resources.Monitor(run.clock, means.tools.settings.memory) if given.monitor else None
        self._mounts = mounts.Mounts(given.mounts, self._home, run, log, contents=means.contents, caches=means.caches, docker=given.docker is not None)
        self._name = f"tcbox-host-{means.tools.settings.instance}-{run.name}"
        self._container = (
            None if given.docker is None else Container(means.docker, means.images, given.docker, run=run, log=log, home=self._home, name=self._name)
        )
        self._purge = self._cut = False

    async def execute(self) -> Outcome:
        """Mount, then run the commands in order until one fails."""
        given = self._payload
        await scoped.require(self._run, given.scopes, what="The payload")
        if given.mounts:
            await self._mounts.mount(self._means.tools.http)
        network = await self._prepare_environment()
        commands = given.command
        if self._container is not None:
            commands = [await self._container.prepare(network)]
            if self.trust is not None:
                self.trust.environment.update(await self._container.vouched())
        if given.interactive:
            await self._invite()
        async with self._run.limited(given.max_run_time):
            await self._commands(commands)
        return outcomes.COMPLETED

    async def _commands(self, commands: list[list[str]]) -> None:
        self._group = await self._means.keeper.group()
        try:
            if self._monitor is not None and self._payload.measured:
                self._monitor.follow(await self._group.root())
            for index, argv in enumerate(commands):
                await self._command(self._group, index, argv)
        except asyncio.CancelledError:
            self._purge = self._cut = True
            raise
        except KeeperGone as error:
            self._cut = True
            raise outcomes.internal("The process that kept the task's processes is gone: it was killed, perhaps for want of memory.") from error
        finally:
            await asyncio.shield(self._group.close())

    async def _command(self, group: Group, index: int, argv: list[str]) -> None:
        self._log.say(f"Executing command {index}: {shlex.join(argv)}")
        started = time.monotonic()
        if self._monitor is not None:
            self._monitor.usage = resources.Usage()
        try:
            end = await self._watched(group.run(argv, folder=self._home, env=self._env, output=self._log.path))
        except CannotStart as error:
            raise outcomes.failed(f"Command {index} cannot be run: {argv[0]}: {error}") from error
        self._tell(end, time.monotonic() - started)
        if self._container is not None:
            await self._container.doubt(end.code)
        self._purge = self._purge or end.code in self._payload.purge_caches
        if end.code in self._payload.retry:
            raise outcomes.intermittent(f"Command {index} ended with exit code {end.code}, which payload.onExitStatus.retry lists: the task is tried again.")
        if end.code < 0:
            raise outcomes.failed(f"Command {index} was ended by signal {-end.code}")
        if end.code:
            raise outcomes.failed(f"Command {index} failed: exit status {end.code}")

    async def _watched(self, work: Coroutine[Any, Any, Exit]) -> Exit:
        if self._monitor is None:
            return await work
        command, watching = asyncio.ensure_future(work), asyncio.ensure_future(self._monitor.watch())
        try:
            await asyncio.wait((command, watching), return_when=asyncio.FIRST_COMPLETED)
            if not command.done() and (strain := watching.result()):
                self._purge = self._cut = True
                raise outcomes.failed(f"Task aborted: {strain}")
            return await command
        finally:
            for each in (command, watching):
                each.cancel()
            await asyncio.gather(command, watching, return_exceptions=True)

    def _tell(self, end: Exit, seconds: float) -> None:
        lines = [
            ("Exit Code", str(end.code if end.code >= 0 else -1)),
            ("User Time", f"{end.user * 1000:.3f}ms"),
            ("Kernel Time", f"{end.system * 1000:.3f}ms"),
            ("Wall Time", f"{seconds * 1000:.3f}ms"),
            *(self._monitor.usage.lines() if self._monitor is not None else ()),
            ("Result", "FAILED" if end.code else "SUCCEEDED"),
        ]
        self._log.say("\n".join(f"{name:>{_WIDE}}: {value}" for name, value in lines))

    async def _prepare_environment(self) -> Network | None:
        """Decide on the variables of the commands, and start the proxy; gives the network that it is on."""
        settings = self._means.tools.settings
        standard = environment.standard(self._run, settings)
        if self._container is not None:
            self._env = {**self._means.docker.environment(), **standard}
        else:
            self._env = {**environment.inherited(), **self._payload.env, **standard, "TASK_WORKDIR": str(self._home)}
        self._env[leftovers.MARK] = str(self._folder)
        if not self._payload.proxy:
            return None
        if self._container is None and not self._payload.bridge:
            self._proxy = Proxy(self._run, self._means.tools.session)
            self._env["TASKCLUSTER_PROXY_URL"] = f"http://127.0.0.1:{await self._proxy.listen('127.0.0.1')}"
            return None
        return await self._bridged()

    async def _bridged(self) -> Network:
        self._network = self._name
        try:
            network = await self._means.docker.network(self._name)
        except DockerError as error:
            raise unanswered(error) from error
        contained = self._container is not None
        self._proxy = Proxy(self._run, self._means.tools.session, guests=network.subnet, processes=not contained)
        try:
            port = await self._proxy.listen(network.gateway, (80, 0))
        except OSError as error:
            raise outcomes.internal(f"The proxy cannot listen at {network.gateway}, the engine's side of the task's network: {error}") from error
        host = "taskcluster" if contained else network.gateway
        self._env["TASKCLUSTER_PROXY_URL"] = f"http://{host}" + ("" if port == 80 else f":{port}")
        if not contained:
            self._env |= {"TASKCLUSTER_DOCKER_NETWORK": network.name, "TASKCLUSTER_PROXY_GATEWAY": network.gateway}
        return network

    # -- shells

    async def _invite(self) -> None:
        tools = self._means.tools
        self._shells = shells.Shells(tools.live_logs, self._shell)
        uploads = artifacts.Uploads(self._run, self._log, tools.session, self._folder)
        try:
            await self._shells.show(self._run, uploads, tools.settings.root_url or self._run.http.root_url, self._payload.max_run_time)
        except OSError as error:
            self._log.caution(f"[interactive] No shell can be offered: {error}")
        else:
            self._log.say(f"[interactive] A shell is to be had while the task runs: open the artifact {shells.NAME}")

    async def _shell(self) -> shells.Terminal:
        keeper, more = self._means.keeper, {"TERM": "xterm-256color"}
        if self._container is not None:
            return await LocalTerminal.open(keeper, await self._container.shell(), folder=self._home, env={**self._env, **more})
        argv = ["bash"] if shutil.which("bash", path=self._env.get("PATH")) else ["sh"]
        return await LocalTerminal.open(keeper, argv, folder=self._home, env={**self._env, **more})

    # -- what is left

    def place(self) -> HostPlace | None:
        """Its folder and variables."""
        return HostPlace(self._home, self._env) if self._env else None

    async def collect(self) -> list[files.Wanted]:
        """The payload's artifacts, and what was measured."""
        if self._container is not None and self._container.prepared:
            if self._cut:
                await self._container.stop()
            await self._container.copy_out()
        wanted = [each for each in payload.wanted(self._payload, str(self._home)) if not self._is_own(each.name)]
        if self._monitor is not None and self._monitor.series is not None:
            path = self._folder / "resource-monitor.json"
            path.write_text(json.dumps(self._monitor.series.document()), encoding="utf-8")
            wanted.append(files.Wanted(MEASURED, "file", str(path), MEASURED, content_type="application/json"))
        return wanted

    def _is_own(self, name: str) -> bool:
        own = (name == shells.NAME and self._payload.interactive) or (name == MEASURED and self._payload.measured)
        if own:
            self._log.caution(f"The artifact {name} of the payload is not uploaded: the worker makes one of that name.")
        return own

    async def close(self) -> None:
        """End what runs, give caches back, stop the proxy."""
        if self._shells is not None:
            await self._shells.close()
        if self._group is not None:
            await self._group.close()
        if self._container is not None:
            await self._container.close()
        if self._proxy is not None:
            await self._proxy.close()
        if self._network:
            await self._means.docker.remove_network(self._network)
        await self._mounts.unmount(purge=self._purge)
        if self.trust is not None:
            self.trust.additional = _additional(self._home / payload.ADDITIONAL)


def _additional(path: Path) -> dict[str, Any]:
    """What the task wants to stand in its certificate.

    Raises RunEnded(failed) when it cannot.
    """
    if not os.path.lexists(path):
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise outcomes.failed(f"{payload.ADDITIONAL} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise outcomes.failed(f"{payload.ADDITIONAL} must hold a JSON object")
    return found
