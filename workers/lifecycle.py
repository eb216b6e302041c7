"""The course of a run that has a log and leaves artifacts; docker and host workers give it its middle."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tcbox import clock as clocks
from tcbox import log as logs
from tcbox.client.http import Http
from tcbox.workers import artifacts, certificates, files, outcomes
from tcbox.workers.livelog import LiveLogs
from tcbox.workers.outcomes import Outcome, RunEnded
from tcbox.workers.places import Place
from tcbox.workers.runs import Run
from tcbox.workers.settings import WorkerSettings
from tcbox.workers.tasklog import TaskLog

if TYPE_CHECKING:
    import aiohttp

_LOG = logs.get("workers")
_SETTLE_S = 0.05
"""A live log is announced only after so long: a task that has ended by then has its log as an artifact anyway."""
_MARGIN_MS = 15 * clocks.MINUTE


@dataclass(frozen=True, slots=True)
class LogNames:
    """Under which names a run's log is kept; None where the payload wants none."""

    live: str | None = "public/logs/live.log"
    backing: str | None = "public/logs/live_backing.log"


@dataclass(frozen=True, slots=True)
class Tools:
    """What every run of a worker uses.

    Attributes:
        http: calls the instance with the worker's own credentials.
        folder: where each run has a folder of its own.
        on_failure: is waited for with each job that has failed, when it is set, before the job is closed.
    """

    settings: WorkerSettings
    http: Http
    session: aiohttp.ClientSession
    live_logs: LiveLogs
    folder: Path
    on_failure: OnFailure | None = None


class Job(Protocol):
    """What a kind of worker makes of one payload.

    Implementers must clean up after `execute` when it is cancelled, and all that is left in `close`, which is called
    once in any case; after `execute` has begun, artifacts must be there to be collected until then.
    """

    log_names: LogNames
    trust: certificates.Trust | None
    """Set from the beginning when the run is to be certified."""

    async def execute(self) -> Outcome:
        """Run the task to its end; may raise RunEnded."""
        ...

    async def collect(self) -> list[files.Wanted]:
        """The artifacts to upload, now on this machine's disk."""
        ...

    def place(self) -> Place | None:
        """Where the task ran, until `close`; None when it never came so far."""
        ...

    async def close(self) -> None:
        """Leave nothing behind."""
        ...


MakeJob = Callable[[Run, TaskLog, Path], Job]
OnFailure = Callable[[Run, "Job"], Awaitable[None]]


async def perform(run: Run, tools: Tools, make: MakeJob) -> Outcome:
    """Run a task from its first line of log to its last artifact; never raises for the task's sake.

    Args:
        make: checks the payload and gives the job; raises RunEnded for payloads that cannot be run.
    """
    folder = tools.folder / run.name
    run.after(lambda: remove(folder))
    try:
        folder.mkdir(parents=True)
        log = TaskLog(folder / "log", run.clock)
    except OSError as error:
        _LOG.warning("a run has no folder", extra={"run": run.name, "error": str(error)})
        return Outcome("exception", "resource-unavailable", str(error))
    try:
        return await _Course(run, tools, folder, log).follow(make)
    finally:
        log.finish()


class _Course:
    def __init__(self, run: Run, tools: Tools, folder: Path, log: TaskLog) -> None:
        self.run, self.tools, self.folder, self.log = run, tools, folder, log
        self.uploads = artifacts.Uploads(run, log, tools.session, folder)
        self.names = LogNames()
        self.trust: certificates.Trust | None = None

    async def follow(self, make: MakeJob) -> Outcome:
        self._introduce()
        try:
            job = make(self.run, self.log, self.folder)
        except Exception as error:
            return await self._end(self._outcome_of(error))
        self.names, self.trust = job.log_names, job.trust
        self._reserve()
        async with self._shown():
            started = time.monotonic()
            try:
                outcome = await self._attempt(self.run.unless_aborted(job.execute()))
                self.log.say("=== Task Finished ===")
                self.log.say(f"Task Duration: {time.monotonic() - started:.3f} seconds")
                if outcome.state in ("completed", "failed") or outcome.reason == "intermittent-task":
                    left = await self._attempt(self._leave(job))
                    outcome = left if outcome.state == "completed" or left.state == "lost" else outcome
                if outcome.state == "failed" and self.tools.on_failure is not None:
                    await self._attempt(_done(self.tools.on_failure(self.run, job)))
            finally:
                closed = await self._attempt(_done(job.close()))
            if outcome.state == "completed":
                outcome = closed
        return await self._end(outcome)

    async def _leave(self, job: Job) -> Outcome:
        wanted = await job.collect()
        if wanted:
            await self.uploads.all(wanted)
        return outcomes.COMPLETED

    async def _attempt(self, work: Any) -> Outcome:
        try:
            outcome: Outcome = await work
            return outcome
        except Exception as error:
            return self._outcome_of(error)

    def _outcome_of(self, error: Exception) -> Outcome:
        if isinstance(error, RunEnded):
            return error.outcome
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Outcome("exception", "resource-unavailable", f"The worker's disk is full: {error}")
        _LOG.exception("a run ended by an error of the worker's own", extra={"run": self.run.name}, exc_info=error)
        return Outcome("exception", "internal-error", f"The worker had an error of its own, which its log tells in full: {type(error).__name__}: {error}")

    def _introduce(self) -> None:
        settings = self.tools.settings
        self.log.say(f"Task ID: {self.run.task_id}")
        self.log.say(f"Run ID: {self.run.run_id}")
        self.log.say(f"Task Queue: {self.run.task['taskQueueId']}")
        self.log.say(f"Worker: {settings.worker_group}/{settings.worker_id} ({settings.kind})")
        self.log.say("=== Task Starting ===")

    def _reserve(self) -> None:
        for name, what in ((self.names.backing, "the log"), (self.names.live, "the live log")):
            if name is not None:
                self.uploads.reserved[name] = what
        if self.trust is not None:
            self.uploads.hashes = {}
            self.uploads.reserved.update(dict.fromkeys(certificates.NAMES, "the chain of trust"))

    @contextlib.asynccontextmanager
    async def _shown(self) -> AsyncIterator[None]:
        if self.names.live is None:
            yield
            return
        showing = asyncio.ensure_future(self._show(self.names.live))
        try:
            yield
        finally:
            if not showing.done():
                showing.cancel()
            await asyncio.wait((showing,))

    async def _show(self, name: str) -> None:
        await asyncio.sleep(_SETTLE_S)
        try:
            url = await self.tools.live_logs.add(self.log)
            # shielded: a request under way is let through, so that a link made next is not overtaken by it
            await asyncio.shield(self._refer(name, url))
        except (RunEnded, OSError) as error:
            _LOG.warning("a live log cannot be shown", extra={"run": self.run.name, "error": str(error)})

    async def _refer(self, name: str, url: str) -> None:
        seconds = int(self.run.task.get("payload", {}).get("maxRunTime", 0) or 0)
        expires = min(self.run.clock.now() + seconds * clocks.SECOND + _MARGIN_MS, clocks.from_wire(self.run.expires))
        await self.uploads.reference(name, url, clocks.to_wire(expires))

    async def _end(self, outcome: Outcome) -> Outcome:
        if outcome.message:
            self.log.fault(outcome.message)
        self.log.finish()
        try:
            await self._keep_log()
            if self.trust is not None and outcome.state in ("completed", "failed"):
                await self._certify(self.trust)
        except (RunEnded, OSError) as error:
            _LOG.warning("a log or certificate could not be kept", extra={"run": self.run.name, "error": str(error)})
            return self._outcome_of(error) if outcome.state == "completed" else outcome
        finally:
            self.tools.live_logs.remove(self.log)
        return outcome

    async def _keep_log(self) -> None:
        work = []
        if self.names.backing is not None:
            work.append(self.uploads.file(self.names.backing, self.log.path, artifacts.TEXT, "gzip"))
            if self.names.live is not None:
                work.append(self.uploads.link(self.names.live, self.names.backing))
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _certify(self, trust: certificates.Trust) -> None:
        await self.uploads.file(certificates.LOG, self.log.path, artifacts.TEXT, "gzip")
        told = certificates.statement(self.run, self.tools.settings, self.uploads.hashes or {}, trust.environment, trust.additional)
        for name, content, kind in ((certificates.STATEMENT, told, artifacts.TEXT), (certificates.SIGNATURE, trust.key.sign(told), "application/octet-stream")):
            path = self.folder / name.rpartition("/")[2]
            path.write_bytes(content)
            await self.uploads.file(name, path, kind, "gzip")


async def _done(work: Any) -> Outcome:
    await work
    return outcomes.COMPLETED


def remove(folder: Path) -> None:
    """Remove a folder and all below it, also where the task took rights away; what resists is left and told of."""

    def unlock(function: Callable[..., Any], path: str, _: Any) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), stat.S_IRWXU)
            os.chmod(path, stat.S_IRWXU, follow_symlinks=False) if not os.path.islink(path) else None
            function(path)

    shutil.rmtree(folder, onerror=unlock)
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        _LOG.warning("a task's folder could not be removed whole: remove it by hand", extra={"folder": str(folder)})
