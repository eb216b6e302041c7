"""Remembers on disk which runs are claimed, so that a worker that is killed hands them back when it starts again.

Without, their tasks would wait until the claims expire, which takes minutes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.client.http import Credentials, Http
from tcbox.workers.runs import Run
from tcbox.workers.settings import WorkerSettings

_LOG = log.get("workers")


class _Entry(msgspec.Struct):
    task_id: str
    run_id: int
    taken_until: int
    client_id: str
    access_token: str
    certificate: str | None


def prepared(path: Path) -> Path:
    """A folder of a worker's, made when it is not there; others may not look into it.

    Raises TcboxError when it cannot be made, or may not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        why = "a file is in its place" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise errors.TcboxError(
            f"the worker's folder {path} cannot be made: {why}; name a folder of yours with --folder, or with --data for those inside"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise errors.TcboxError(f"the worker's folder {path} may not be written to: make it yours, or name another")
    return path


class Ledger:
    """A file for each claimed run, with the credentials to resolve it; readable by this user alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = prepared(folder)

    def enter(self, run: Run) -> None:
        """Remember a run, and its new credentials whenever it is reclaimed."""
        run.on_adopt = self._write
        self._write(run)

    def strike(self, run: Run) -> None:
        """Forget a run that was resolved."""
        run.on_adopt = None
        self._path(run).unlink(missing_ok=True)

    async def hand_back(self, http: Http, clock: clocks.Clock, settings: WorkerSettings) -> None:
        """Resolve the runs that an earlier worker left as worker-shutdown; the queue tries their tasks again.

        Those in the ledger are resolved with their own credentials. A claim whose answer never reached the worker is in
        no ledger; it is found in the queue, and resolved when this worker's own credentials allow it.
        """
        for path in sorted(self._folder.glob("*.json")):
            try:
                entry = msgspec.json.decode(path.read_bytes(), type=_Entry)
            except msgspec.DecodeError:
                path.unlink()
                continue
            if entry.taken_until > clock.now():
                caller = http.using(Credentials(entry.client_id, entry.access_token, entry.certificate))
                await _resolve(caller, entry.task_id, entry.run_id)
            path.unlink()
        for queue in settings.task_queues:
            try:
                await _claimed(queue, http, settings)
            except errors.ApiError as error:
                _LOG.debug("cannot look for lost claims", extra={"queue": queue, "error": str(error)})

    def _write(self, run: Run) -> None:
        mine = run.credentials
        entry = _Entry(run.task_id, run.run_id, run.taken_until, mine.client_id, mine.access_token, mine.certificate)
        part = self._path(run).with_suffix(".new")
        try:
            part.touch(mode=0o600)
            part.write_bytes(msgspec.json.encode(entry))
            part.rename(self._path(run))
        except OSError as error:  # the run goes on: should the worker be killed, its task waits until the claim expires
            _LOG.warning("a claim cannot be remembered", extra={"run": run.name, "error": str(error)})
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _path(self, run: Run) -> Path:
        return self._folder / f"{run.name}.json"


async def _claimed(queue: str, http: Http, settings: WorkerSettings) -> None:
    token: str | None = None
    while True:
        page = await http.call("queue", "listClaimedTasks", queue, query={"continuationToken": token} if token else None)
        for each in page["tasks"]:
            if (each["workerGroup"], each["workerId"]) == (settings.worker_group, settings.worker_id):
                await _resolve(http, each["taskId"], each["runId"])
        token = page.get("continuationToken")
        if not token:
            return


async def _resolve(caller: Http, task_id: str, run_id: int) -> None:
    try:
        await caller.call("queue", "reportException", task_id, str(run_id), payload={"reason": "worker-shutdown"})
    except errors.ApiError as error:
        _LOG.info("a run of an earlier worker is not to be handed back", extra={"run": f"{task_id}_{run_id}", "error": str(error)})
    else:
        _LOG.info("handed back a run of an earlier worker", extra={"run": f"{task_id}_{run_id}"})
