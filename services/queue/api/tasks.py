"""Reading tasks: definitions and states, one at a time or many, and who depends on whom."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import db
from tcbox.api import Call, Encoded, paging
from tcbox.services.queue import replies
from tcbox.services.queue.declarations import PAGED, api
from tcbox.services.queue.store import sql


class Tasks:
    """Answers what is known of tasks."""

    def __init__(self, database: db.Database) -> None:
        self._db = database

    @api.get("/task/<taskId>", name="task", output="task", scopes="queue:get-task:<taskId>", category="Tasks", eager=True)
    async def task(self, call: Call, taskId: str) -> Encoded:
        """Get Task Definition

        The definition of a task, with the defaults that were filled in when it was created.
        """
        row = await self._db.point(sql.get_definition, task_id=taskId)
        if row is None:
            raise replies.no_task(taskId)
        return Encoded(row[0].encode())

    @api.get(
        "/task/<taskId>/status", name="status", output="task-status-response", scopes="queue:status:<taskId>",
        category="Tasks", eager=True,
    )  # fmt: skip
    async def status(self, call: Call, taskId: str) -> Encoded:
        """Get Task Status

        Where a task stands, with all of its runs.
        """
        row = await self._db.point(sql.get_status, task_id=taskId)
        if row is None:
            raise replies.no_task(taskId)
        return Encoded(b'{"status":' + row[0].encode() + b"}")

    @api.post(
        "/tasks", name="tasks", input="tasks-request", output="tasks-response", category="Tasks", query=PAGED,
        stability="experimental", scopes={"AllOf": [{"for": "taskId", "in": "taskIds", "each": "queue:get-task:<taskId>"}]},
    )  # fmt: skip
    async def tasks(self, call: Call) -> Encoded:
        """Get Several Task Definitions

        The definitions of several tasks at once, in the order of their taskIds. Those that do not exist are left out.
        """
        return await self._several(call, sql.definitions_of, "tasks", "task", "definition")

    @api.post(
        "/tasks/status", name="statuses", input="tasks-request", output="tasks-statuses-response", category="Tasks",
        query=PAGED, stability="experimental",
        scopes={"AllOf": [{"for": "taskId", "in": "taskIds", "each": "queue:status:<taskId>"}]},
    )  # fmt: skip
    async def statuses(self, call: Call) -> Encoded:
        """Get Several Task Statuses

        Where several tasks stand, in the order of their taskIds. Those that do not exist are left out.
        """
        return await self._several(call, sql.statuses_of, "statuses", "status", "status")

    async def _several(self, call: Call, statement: db.Query, listed: str, item: str, column: str) -> Encoded:
        task_ids = call.payload["taskIds"]
        await call.authorize(taskIds=task_ids)
        limit, after = paging.limit(call.query), paging.after(call.query, str) or [""]
        wanted = msgspec.json.encode(task_ids).decode()
        rows = await self._db.all(statement, task_ids=wanted, after=after[0], limit=limit + 1)
        page = paging.page(
            listed, rows, limit, lambda row: [row["task_id"]],
            lambda row: {"taskId": row["task_id"], item: replies.stored(row[column])},
        )  # fmt: skip
        return replies.encoded(page)

    @api.get(
        "/task/<taskId>/dependents", name="listDependentTasks", output="list-dependent-tasks-response",
        scopes="queue:list-dependent-tasks:<taskId>", category="Tasks", query=PAGED,
    )  # fmt: skip
    async def list_dependent_tasks(self, call: Call, taskId: str) -> Encoded:
        """List Dependent Tasks

        The tasks that depend on this one, in pages: as long as a reply has a `continuationToken`, there may be more.
        """
        limit, after = paging.limit(call.query), paging.after(call.query, int) or [0]
        task = await self._db.point(sql.get_task, task_id=taskId)
        if task is None:
            raise replies.no_task(taskId)
        rows = await self._db.all(sql.list_dependents, required_id=task["id"], after=after[0], limit=limit + 1)
        return replies.encoded({"taskId": taskId, **definitions_and_statuses(rows, limit)})


def definitions_and_statuses(rows: list[db.Row], limit: int) -> dict[str, Any]:
    """A page of tasks, each with definition and status."""
    return paging.page(
        "tasks", rows, limit, lambda row: [row["id"]],
        lambda row: {"status": replies.stored(row["status"]), "task": replies.stored(row["definition"])},
    )  # fmt: skip
