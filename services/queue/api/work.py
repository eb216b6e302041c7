"""What workers call: claim, reclaim, and report the end of a run."""

from __future__ import annotations

from typing import Any

from tcbox import db, errors
from tcbox.api import Call, Encoded
from tcbox.services.queue import replies, store, transitions
from tcbox.services.queue import status as statuses
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.claiming import Claiming
from tcbox.services.queue.declarations import api
from tcbox.services.queue.sightings import Sightings
from tcbox.services.queue.status import Run, Status
from tcbox.services.queue.store import sql
from tcbox.services.queue.transitions import Change

_CATEGORY = "Worker Interface"


class Work:
    """Answers workers."""

    def __init__(self, database: db.Database, changes: Changes, claiming: Claiming, sightings: Sightings) -> None:
        self._db = database
        self._changes = changes
        self._claiming = claiming
        self._sightings = sightings

    @api.post(
        "/claim-work/<taskQueueId>", name="claimWork", input="claim-work-request", output="claim-work-response",
        category=_CATEGORY, patient=True,
        scopes={"AllOf": ["queue:claim-work:<taskQueueId>", "queue:worker-id:<workerGroup>/<workerId>"]},
    )  # fmt: skip
    async def claim_work(self, call: Call, taskQueueId: str) -> Encoded:
        """Claim Work

        Claim pending tasks of a task queue, those of the highest priority first, and of these the ones that have
        waited longest. If there are any, even if fewer than asked for, the reply comes at once; otherwise the call
        waits up to 20 seconds for one, and then gives an empty list. A worker in quarantine gets none.
        """
        request = call.payload
        worker_group, worker_id = request["workerGroup"], request["workerId"]
        await call.authorize(taskQueueId=taskQueueId, workerGroup=worker_group, workerId=worker_id)
        await self._sightings.worker(taskQueueId, worker_group, worker_id)
        return replies.encoded({"tasks": await self._claiming.work(taskQueueId, worker_group, worker_id, request["tasks"])})

    @api.post(
        "/task/<taskId>/runs/<runId>/claim", name="claimTask", input="task-claim-request", output="task-claim-response",
        category=_CATEGORY, stability="deprecated",
        scopes={"AllOf": ["queue:claim-task:<provisionerId>/<workerType>", "queue:worker-id:<workerGroup>/<workerId>"]},
    )  # fmt: skip
    async def claim_task(self, call: Call, taskId: str, runId: str) -> Encoded:
        """Claim Task

        Claim one certain run of a task. Workers use `claimWork` instead. A worker in quarantine is refused.
        """
        worker_group, worker_id = call.payload["workerGroup"], call.payload["workerId"]
        row = await self._db.point(sql.get_status, task_id=taskId)
        if row is None:
            raise replies.no_task(taskId)
        known = statuses.decode(row[0])
        await call.authorize(provisionerId=known.provisioner_id, workerType=known.worker_type, workerGroup=worker_group, workerId=worker_id)
        quarantine = await self._claiming.quarantine(known.task_queue_id, worker_group, worker_id)
        if quarantine is not None:
            raise replies.in_quarantine(known.task_queue_id, worker_group, worker_id, quarantine)
        run_id = replies.run_number(runId)
        await self._sightings.task_queue(known.task_queue_id)

        async def claim(tx: db.Tx) -> tuple[Status, str]:
            task = await _locked(tx, taskId)
            if task.deadline <= tx.now:
                raise replies.past_deadline(taskId, task.deadline, "claimed")
            run = task.status.run(run_id)
            if run is None:
                raise replies.no_run(taskId, run_id)
            taken_until = tx.now + self._claiming.claim_timeout
            change = transitions.claim(task.status, run_id, tx.now, taken_until, (worker_group, worker_id))
            if change is not None:
                await self._changes.apply(tx, task, change)
            elif not _holds(task.status, run, worker_group, worker_id):
                raise errors.RequestConflict("Run {runId} was already claimed by another worker, or has ended: claim another one.", runId=run_id)
            definition = await tx.value(sql.get_definition_by_id, id=task.id)
            return (change.after if change is not None else task.status), definition

        status, definition = await self._db.transaction(claim)
        self._sightings.claimed(status.task_queue_id, worker_group, worker_id, taskId, run_id)
        return replies.encoded(self._claiming.document(status, definition))

    @api.post(
        "/task/<taskId>/runs/<runId>/reclaim", name="reclaimTask", output="task-reclaim-response", category=_CATEGORY,
        scopes="queue:reclaim-task:<taskId>/<runId>",
    )  # fmt: skip
    async def reclaim_task(self, call: Call, taskId: str, runId: str) -> Encoded:
        """Reclaim Task

        Keep a claimed run for longer: until the new `takenUntil`, with new credentials. Call it some minutes before
        `takenUntil`; a claim that has ended is lost, and the run with it. A conflict means that the run was canceled
        or has otherwise ended, and is to be given up.
        """
        run_id = replies.run_number(runId)

        async def reclaim(tx: db.Tx) -> tuple[Status, str]:
            task = await _locked(tx, taskId)
            if task.status.run(run_id) is None:
                raise replies.no_run(taskId, run_id)
            if task.deadline <= tx.now:
                raise replies.past_deadline(taskId, task.deadline, "reclaimed")
            change = transitions.reclaim(task.status, run_id, tx.now + self._claiming.claim_timeout)
            if change is None:
                raise replies.not_running(taskId, run_id)
            await self._changes.apply(tx, task, change)
            return change.after, await tx.value(sql.get_definition_by_id, id=task.id)

        status, definition = await self._db.transaction(reclaim)
        run = status.runs[run_id]
        await self._sightings.worker(status.task_queue_id, run.worker_group or "", run.worker_id or "")
        document: dict[str, Any] = self._claiming.document(status, definition)
        del document["task"]
        return replies.encoded(document)

    @api.post(
        "/task/<taskId>/runs/<runId>/completed", name="reportCompleted", output="task-status-response",
        category=_CATEGORY, scopes="queue:resolve-task:<taskId>/<runId>",
    )  # fmt: skip
    async def report_completed(self, call: Call, taskId: str, runId: str) -> Encoded:
        """Report Run Completed

        Say that a run has ended with success; the task is resolved as `completed`.
        """
        unsuccessful = isinstance(call.payload, dict) and call.payload.get("success") is False  # as workers of long ago say it
        return await self._report(taskId, replies.run_number(runId), "failed" if unsuccessful else "completed")

    @api.post(
        "/task/<taskId>/runs/<runId>/failed", name="reportFailed", output="task-status-response", category=_CATEGORY,
        scopes="queue:resolve-task:<taskId>/<runId>",
    )  # fmt: skip
    async def report_failed(self, call: Call, taskId: str, runId: str) -> Encoded:
        """Report Run Failed

        Say that a run has ended without success, for a reason in the task itself, such as a non-zero exit status;
        the task is resolved as `failed`, and is not retried. For all other reasons there is `reportException`.
        """
        return await self._report(taskId, replies.run_number(runId), "failed")

    @api.post(
        "/task/<taskId>/runs/<runId>/exception", name="reportException", input="task-exception-request",
        output="task-status-response", category=_CATEGORY, scopes="queue:resolve-task:<taskId>/<runId>",
    )  # fmt: skip
    async def report_exception(self, call: Call, taskId: str, runId: str) -> Encoded:
        """Report Task Exception

        Say that a run could not be carried out, and why. After `worker-shutdown` and `intermittent-task` the task is
        retried, while retries are left; after any other reason it is resolved as `exception`:

        * `malformed-payload`: the payload is not what the worker takes;
        * `resource-unavailable`: something that the task needs, and that it names, is not there;
        * `internal-error`: the worker itself failed.
        """
        run_id, reason = replies.run_number(runId), call.payload["reason"]

        async def report(tx: db.Tx) -> Status:
            task = await _locked(tx, taskId)
            run = task.status.run(run_id)
            if run is None:
                raise replies.no_run(taskId, run_id)
            change = transitions.resolve(task.status, run_id, tx.now, "exception", reason)
            if change is not None:
                return await self._applied(tx, task, change)
            if len(task.status.runs) > run_id + 2 or (run.state, run.reason_resolved) != ("exception", reason):
                raise replies.not_running(taskId, run_id)
            return task.status

        return replies.status(await self._db.transaction(report))

    async def _report(self, task_id: str, run_id: int, state: str) -> Encoded:
        async def report(tx: db.Tx) -> Status:
            task = await _locked(tx, task_id)
            run = task.status.run(run_id)
            if run is None:
                raise replies.no_run(task_id, run_id)
            change = transitions.resolve(task.status, run_id, tx.now, state, state)
            if change is not None:
                return await self._applied(tx, task, change)
            if run.state != state or task.status.last_run_id != run_id:
                raise replies.not_running(task_id, run_id)
            return task.status

        return replies.status(await self._db.transaction(report))

    async def _applied(self, tx: db.Tx, task: store.Task, change: Change) -> Status:
        await self._changes.apply(tx, task, change)
        return change.after


async def _locked(tx: db.Tx, task_id: str) -> store.Task:
    row = await tx.one(sql.lock_task, task_id=task_id)
    if row is None:
        raise replies.no_task(task_id)
    return store.task(row)


def _holds(status: Status, run: Run, worker_group: str, worker_id: str) -> bool:
    last = run.run_id == status.last_run_id
    return last and run.state == "running" and (run.worker_group, run.worker_id) == (worker_group, worker_id)
