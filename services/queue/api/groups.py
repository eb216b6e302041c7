"""Task groups: reading, sealing, cancelling, and the priority of all tasks in one."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from tcbox import db, errors
from tcbox.api import Call, Encoded, paging
from tcbox.services.queue import changes as changing
from tcbox.services.queue import events as exchanges
from tcbox.services.queue import priorities, replies, store, transitions
from tcbox.services.queue.api import lifecycle
from tcbox.services.queue.api.tasks import definitions_and_statuses
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.declarations import PAGED, api
from tcbox.services.queue.store import Task, sql

Step = Callable[[int, db.Tx], Awaitable[list[Task]]]

STEP = 100
"""Tasks that one transaction deals with, when a whole group is changed."""

_NEWEST = 2**63 - 1
"""Larger than the number of any task's row."""


class Groups:
    """Answers about task groups, and changes all of their tasks."""

    def __init__(self, database: db.Database, changes: Changes) -> None:
        self._db = database
        self._changes = changes

    @api.get(
        "/task-group/<taskGroupId>/list", name="listTaskGroup", output="list-task-group-response",
        scopes="queue:list-task-group:<taskGroupId>", category="Task Groups", query=PAGED,
    )  # fmt: skip
    async def list_task_group(self, call: Call, taskGroupId: str) -> Encoded:
        """List Task Group

        The tasks of a group in the order of their creation, up to 1000 at a time: as long as a reply has a
        `continuationToken`, there may be more. What is known of the group itself also comes from `getTaskGroup`.
        """
        limit, after = paging.limit(call.query), paging.after(call.query, int) or [0]
        group = await self._group(taskGroupId)
        rows = await self._db.all(sql.list_group, task_group_id=taskGroupId, after=after[0], limit=limit + 1)
        return replies.encoded({**group, **definitions_and_statuses(rows, limit)})

    @api.get(
        "/task-group/<taskGroupId>", name="getTaskGroup", output="task-group-response",
        scopes="queue:list-task-group:<taskGroupId>", category="Task Groups", eager=True,
    )  # fmt: skip
    async def get_task_group(self, call: Call, taskGroupId: str) -> dict[str, Any]:
        """Get Task Group

        What is known of a group: its scheduler, when it expires, and since when it is sealed, if it is.
        """
        return await self._group(taskGroupId)

    @api.post(
        "/task-group/<taskGroupId>/seal", name="sealTaskGroup", output="task-group-response",
        scopes="queue:seal-task-group:<schedulerId>/<taskGroupId>", category="Task Groups", stability="experimental",
    )  # fmt: skip
    async def seal_task_group(self, call: Call, taskGroupId: str) -> dict[str, Any]:
        """Seal Task Group

        Let no more tasks be created in a group, for good. For a group that is sealed already, nothing happens.
        """
        group = await self._group(taskGroupId)
        await call.authorize(taskGroupId=taskGroupId, schedulerId=group["schedulerId"])

        async def seal(tx: db.Tx) -> dict[str, Any]:
            sealed = await tx.execute(sql.seal_group, task_group_id=taskGroupId, now=tx.now)
            row = await tx.one(sql.get_group, task_group_id=taskGroupId)
            if row is None:
                raise replies.no_group(taskGroupId)
            document = changing.group_document(taskGroupId, row)
            if sealed:
                await self._changes.publish_group(tx, exchanges.task_group_sealed, document)
            return document

        return await self._db.transaction(seal)

    @api.post(
        "/task-group/<taskGroupId>/cancel", name="cancelTaskGroup", output="cancel-task-group-response",
        scopes="queue:cancel-task-group:<schedulerId>/<taskGroupId>", category="Tasks", stability="experimental",
    )  # fmt: skip
    async def cancel_task_group(self, call: Call, taskGroupId: str) -> dict[str, Any]:
        """Cancel Task Group

        Cancel all tasks of a sealed group that are not resolved, as `cancelTask` would. The call can be repeated; it
        then cancels what has been run again since.
        """
        group = await self._group(taskGroupId)
        if "sealed" not in group:
            raise errors.RequestConflict(
                "Cannot cancel unsealed task group: `{taskGroupId}`. Seal it first, so that no tasks are added meanwhile.",
                taskGroupId=taskGroupId,
            )
        await call.authorize(taskGroupId=taskGroupId, schedulerId=group["schedulerId"])

        async def step(before: int, tx: db.Tx) -> list[Task]:
            rows = await tx.all(sql.cancellable_in_group, task_group_id=taskGroupId, before=before, now=tx.now, limit=STEP)
            # newest first: what a task would release when it ends was created after it, and is canceled by then
            tasks = sorted(store.tasks(rows), key=lambda task: task.id, reverse=True)
            for task in tasks:
                await self._cancel(tx, task.status.task_id)
            return tasks

        canceled = await self._all(step, _NEWEST)
        size = await self._db.value(sql.count_group, task_group_id=taskGroupId)
        return {"taskGroupId": taskGroupId, "taskGroupSize": size, "cancelledCount": len(canceled), "taskIds": canceled}

    @api.post(
        "/task-group/<taskGroupId>/priority", name="changeTaskGroupPriority", input="change-task-priority-request",
        output="task-group-priority-change-response", scopes="queue:change-task-group-priority:<schedulerId>/<taskGroupId>",
        category="Task-Groups", stability="experimental",
    )  # fmt: skip
    async def change_task_group_priority(self, call: Call, taskGroupId: str) -> dict[str, Any]:
        """Change Task Group Priority

        Give all tasks of a group that were never resolved another priority, some at a time. Runs that are already
        claimed go on as they were.
        """
        group = await self._group(taskGroupId)
        await call.authorize(taskGroupId=taskGroupId, schedulerId=group["schedulerId"])
        priority = call.payload["newPriority"]

        async def step(after: int, tx: db.Tx) -> list[Task]:
            rows = await tx.all(
                sql.reprioritizable_in_group, task_group_id=taskGroupId, after=after, now=tx.now,
                priority=priorities.LEVEL[priority], limit=STEP,
            )  # fmt: skip
            tasks = store.tasks(rows)
            for task in tasks:
                await lifecycle.reprioritize(tx, task, priority)
            return tasks

        changed = await self._all(step)
        summary = {
            "taskGroupId": taskGroupId,
            "schedulerId": group["schedulerId"],
            "newPriority": priority,
            "tasksAffected": len(changed),
        }

        async def announce(tx: db.Tx) -> None:
            await self._changes.publish_group(tx, exchanges.task_group_priority_changed, summary)

        await self._db.transaction(announce)
        return {**summary, "taskIds": changed}

    async def _all(self, step: Step, start: int = 0) -> list[str]:
        """Take a step at a time through a group, each from where the last one ended; the taskIds of all that were changed."""
        changed: list[str] = []
        place = start
        while True:
            tasks = await self._db.transaction(functools.partial(step, place), bulk=True)
            changed += [task.status.task_id for task in tasks]
            if len(tasks) < STEP:
                return changed
            place = tasks[-1].id

    async def _cancel(self, tx: db.Tx, task_id: str) -> None:
        # read again: where the clocks of two hosts disagree, one that it waited for may be newer, and have just scheduled it
        row = await tx.one(sql.lock_task, task_id=task_id)
        if row is None:
            return
        task = store.task(row)
        change = transitions.cancel(task.status, tx.now)
        if change is not None:
            await self._changes.apply(tx, task, change)

    async def _group(self, task_group_id: str) -> dict[str, Any]:
        row = await self._db.point(sql.get_group, task_group_id=task_group_id)
        if row is None:
            raise replies.no_group(task_group_id)
        return changing.group_document(task_group_id, row)
