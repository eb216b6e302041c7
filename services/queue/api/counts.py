"""What waits and what runs in a task queue: counts and lists."""

from __future__ import annotations

from typing import Any

from tcbox import db
from tcbox.api import Call, Encoded, paging
from tcbox.services.queue import replies
from tcbox.services.queue import status as statuses
from tcbox.services.queue.declarations import PAGED, api
from tcbox.services.queue.store import sql

_CATEGORY = "Worker Metadata"


class Counts:
    """Answers how much there is to do in a task queue."""

    def __init__(self, database: db.Database) -> None:
        self._db = database

    @api.get(
        "/pending/<taskQueueId>", name="pendingTasks", output="pending-tasks-response", category=_CATEGORY,
        scopes="queue:pending-count:<taskQueueId>", stability="deprecated",
    )  # fmt: skip
    async def pending_tasks(self, call: Call, taskQueueId: str) -> dict[str, Any]:
        """Get Number of Pending Tasks

        How many tasks of a task queue wait for a worker. `taskQueueCounts` tells this and more.
        """
        return {**_names(taskQueueId), "pendingTasks": await self._db.value(sql.count_pending, task_queue_id=taskQueueId)}

    @api.get(
        "/task-queues/<taskQueueId>/counts", name="taskQueueCounts", output="task-queue-counts-response",
        category=_CATEGORY, scopes={"AllOf": ["queue:pending-count:<taskQueueId>", "queue:claimed-count:<taskQueueId>"]},
    )  # fmt: skip
    async def task_queue_counts(self, call: Call, taskQueueId: str) -> dict[str, Any]:
        """Get Number of Pending and Claimed Tasks

        How many tasks of a task queue wait for a worker, and how many run.
        """
        return await self._counts(taskQueueId)

    @api.post(
        "/task-queues/counts", name="taskQueueCountsBatch", input="task-queue-counts-request",
        output="task-queue-counts-list-response", category=_CATEGORY, stability="experimental",
        scopes={
            "AllOf": [
                {"for": "taskQueueId", "in": "taskQueueIds", "each": "queue:pending-count:<taskQueueId>"},
                {"for": "taskQueueId", "in": "taskQueueIds", "each": "queue:claimed-count:<taskQueueId>"},
            ]
        },
    )  # fmt: skip
    async def task_queue_counts_batch(self, call: Call) -> dict[str, Any]:
        """Get Numbers of Pending and Claimed Tasks of Several Task Queues

        What `taskQueueCounts` tells, for up to 1000 task queues at once. The caller needs `queue:pending-count` and
        `queue:claimed-count` for each of them.
        """
        task_queue_ids = call.payload["taskQueueIds"]
        await call.authorize(taskQueueIds=task_queue_ids)
        return {"taskQueueCounts": [await self._counts(task_queue_id) for task_queue_id in task_queue_ids]}

    @api.get(
        "/task-queues/<taskQueueId>/pending", name="listPendingTasks", output="list-pending-tasks-response",
        category=_CATEGORY, scopes="queue:pending-list:<taskQueueId>", query=PAGED, stability="experimental",
    )  # fmt: skip
    async def list_pending_tasks(self, call: Call, taskQueueId: str) -> Encoded:
        """List Pending Tasks

        The tasks of a task queue that wait for a worker, in the order in which they will be claimed. What has been
        claimed between two pages is missing from the second.
        """
        limit, after = paging.limit(call.query), paging.after(call.query, int, int) or [-1, 0]
        rows = await self._db.all(sql.list_pending, task_queue_id=taskQueueId, rank=after[0], after=after[1], limit=limit + 1)
        return replies.encoded(paging.page("tasks", rows, limit, lambda row: [row["pending_rank"], row["id"]], _pending))

    @api.get(
        "/task-queues/<taskQueueId>/claimed", name="listClaimedTasks", output="list-claimed-tasks-response",
        category=_CATEGORY, scopes="queue:claimed-list:<taskQueueId>", query=PAGED, stability="experimental",
    )  # fmt: skip
    async def list_claimed_tasks(self, call: Call, taskQueueId: str) -> Encoded:
        """List Claimed Tasks

        The tasks of a task queue that run, and on which worker; the one whose claim ends first is at the top.
        """
        limit, after = paging.limit(call.query), paging.after(call.query, int, int) or [-1, 0]
        rows = await self._db.all(sql.list_claimed, task_queue_id=taskQueueId, taken_until=after[0], after=after[1], limit=limit + 1)
        return replies.encoded(paging.page("tasks", rows, limit, lambda row: [row["taken_until"], row["id"]], _claimed))

    async def _counts(self, task_queue_id: str) -> dict[str, Any]:
        return {
            **_names(task_queue_id),
            "pendingTasks": await self._db.value(sql.count_pending, task_queue_id=task_queue_id),
            "claimedTasks": await self._db.value(sql.count_claimed, task_queue_id=task_queue_id),
        }


def _names(task_queue_id: str) -> dict[str, Any]:
    provisioner_id, _, worker_type = task_queue_id.partition("/")
    return {"provisionerId": provisioner_id, "workerType": worker_type, "taskQueueId": task_queue_id}


def _pending(row: db.Row) -> dict[str, Any]:
    status = statuses.decode(row["status"])
    return {
        "taskId": status.task_id,
        "runId": status.last_run_id,
        "task": replies.stored(row["definition"]),
        "inserted": status.runs[-1].scheduled,
    }


def _claimed(row: db.Row) -> dict[str, Any]:
    status = statuses.decode(row["status"])
    run = status.runs[-1]
    return {
        "taskId": status.task_id,
        "runId": run.run_id,
        "workerGroup": run.worker_group,
        "workerId": run.worker_id,
        "claimed": run.started,
        "task": replies.stored(row["definition"]),
    }
