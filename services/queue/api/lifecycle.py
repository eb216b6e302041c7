"""Creating tasks, and what their owners do to them afterwards: schedule, rerun, cancel, change of priority."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors
from tcbox.api import Call, Encoded
from tcbox.services.queue import definitions, replies, store, transitions
from tcbox.services.queue import events as exchanges
from tcbox.services.queue import status as statuses
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.creation import Creation
from tcbox.services.queue.declarations import api
from tcbox.services.queue.definitions import Limits
from tcbox.services.queue.status import MAX_RUNS, Status
from tcbox.services.queue.store import Task, sql

Act = Callable[[db.Tx, Task], Awaitable[Status]]


class _Retries(msgspec.Struct):
    retries: int


_retries = msgspec.json.Decoder(_Retries).decode


def _owners(verb: str) -> dict[str, Any]:
    return {
        "AnyOf": [
            f"queue:{verb}-task:<schedulerId>/<taskGroupId>/<taskId>",
            f"queue:{verb}-task-in-project:<projectId>",
            {"AllOf": [f"queue:{verb}-task", "assume:scheduler-id:<schedulerId>/<taskGroupId>"]},
        ]
    }


class Lifecycle:
    """Creates tasks, and changes them at their owners' wish."""

    def __init__(self, database: db.Database, clock: clocks.Clock, changes: Changes, creation: Creation, limits: Limits) -> None:
        self._db = database
        self._clock = clock
        self._changes = changes
        self._creation = creation
        self._limits = limits

    @api.put(
        "/task/<taskId>", name="createTask", input="create-task-request", output="task-status-response", category="Tasks",
        scopes={
            "AllOf": [
                {"for": "scope", "in": "scopes", "each": "<scope>"},
                {"for": "route", "in": "routes", "each": "queue:route:<route>"},
                "queue:create-task:project:<projectId>",
                "queue:scheduler-id:<schedulerId>",
                {
                    "AnyOf": [
                        {"for": "priority", "in": "priorities", "each": "queue:create-task:<priority>:<provisionerId>/<workerType>"}
                    ]
                },
            ]
        },
    )  # fmt: skip
    async def create_task(self, call: Call, taskId: str) -> Encoded:
        """Create New Task

        Create a task. The call can be repeated with the same definition without harm; another definition under the
        same taskId is refused.

        The `deadline` is at most 5 days ahead unless the installation allows more; a task that is not resolved by
        then is resolved as `exception`. From `expires` on, by default a year after the deadline, task and artifacts
        are removed. Each of the `routes` is a further routing key, `route.<route>`, of all messages about the task.

        All `dependencies` must exist, and must not expire before this task's deadline. A task with dependencies is
        scheduled as soon as they are resolved in the way that `requires` says; one that depends on itself only by
        `scheduleTask`.

        The caller needs the task's own `scopes` too, and a scope for this priority or a higher one. A group that has
        been sealed takes no tasks.
        """
        request = call.payload
        queue = definitions.task_queue(request)
        self._check_number_of_dependencies(request)
        await call.authorize(**definitions.scope_params(taskId, request, queue))
        definition = definitions.complete(taskId, request, queue, self._clock.now(), self._limits)
        return replies.status(await self._creation.create(definition))

    def _check_number_of_dependencies(self, request: dict[str, Any]) -> None:
        if len(request["dependencies"]) > self._limits.dependencies:
            raise errors.InputError(
                "task.dependencies exceeds the maximum allowed number of dependencies, {maxDependencies}: depend on tasks that gather others.",
                maxDependencies=self._limits.dependencies,
            )

    @api.post(
        "/task/<taskId>/schedule", name="scheduleTask", output="task-status-response", category="Tasks",
        scopes=_owners("schedule"),
    )  # fmt: skip
    async def schedule_task(self, call: Call, taskId: str) -> Encoded:
        """Schedule Defined Task

        Make a task pending although its dependencies are not resolved. For a task that was scheduled before, nothing
        happens; to run a resolved task again, use `rerunTask`.
        """

        async def schedule(tx: db.Tx, task: Task) -> Status:
            status = await self._changes.schedule(tx, task)
            if status is None:
                raise replies.past_deadline(taskId, task.deadline, "scheduled")
            return status

        return await self._act(call, taskId, schedule)

    @api.post("/task/<taskId>/rerun", name="rerunTask", output="task-status-response", category="Tasks", scopes=_owners("rerun"))
    async def rerun_task(self, call: Call, taskId: str) -> Encoded:
        """Rerun a Resolved Task

        Make a new run of a task that is resolved, whether it succeeded or not, or that was never scheduled. Its
        retries start anew. For a task that is pending or running, nothing happens.
        """

        async def rerun(tx: db.Tx, task: Task) -> Status:
            if task.deadline < tx.now:
                raise replies.past_deadline(taskId, task.deadline, "rescheduled")
            retries = _retries(await tx.value(sql.get_definition_by_id, id=task.id)).retries
            change = transitions.rerun(task.status, tx.now, retries)
            if change is None and task.status.resolved:
                raise errors.RequestConflict("Maximum number of runs reached ({maxRuns}): create a new task.", maxRuns=MAX_RUNS)
            return await self._apply(tx, task, change)

        return await self._act(call, taskId, rerun)

    @api.post("/task/<taskId>/cancel", name="cancelTask", output="task-status-response", category="Tasks", scopes=_owners("cancel"))
    async def cancel_task(self, call: Call, taskId: str) -> Encoded:
        """Cancel Task

        Resolve a task as `exception` with the reason `canceled`; if it has no run yet, it gets one for this. For a
        task that is resolved, nothing happens. A canceled task can only be run again by `rerunTask`.
        """

        async def cancel(tx: db.Tx, task: Task) -> Status:
            if task.deadline < tx.now:
                raise replies.past_deadline(taskId, task.deadline, "canceled")
            return await self._apply(tx, task, transitions.cancel(task.status, tx.now))

        return await self._act(call, taskId, cancel)

    @api.post(
        "/task/<taskId>/priority", name="changeTaskPriority", input="change-task-priority-request",
        output="task-status-response", category="Tasks", stability="experimental",
        scopes={"AnyOf": ["queue:change-task-priority:<taskId>", "queue:change-task-priority-in-queue:<taskQueueId>"]},
    )  # fmt: skip
    async def change_task_priority(self, call: Call, taskId: str) -> Encoded:
        """Change Task Priority

        Give a task that was never resolved another priority. A run that is already claimed goes on as it was.
        """
        priority = call.payload["newPriority"]

        async def change_priority(tx: db.Tx, task: Task) -> Status:
            if task.deadline <= tx.now:
                raise replies.past_deadline(taskId, task.deadline, "reprioritized")
            status = await reprioritize(tx, task, priority)
            if status is None:
                raise errors.RequestConflict(
                    "Task `{taskId}` is already resolved, or has the priority {priority} already, and cannot be reprioritized.",
                    taskId=taskId, priority=priority,
                )  # fmt: skip
            message = {"version": 1, "status": status, "oldPriority": task.status.priority, "newPriority": priority}
            await self._changes.publish(tx, task, exchanges.task_priority_changed, message)
            return status

        return await self._act(call, taskId, change_priority)

    async def _act(self, call: Call, task_id: str, act: Act) -> Encoded:
        row = await self._db.point(sql.get_status, task_id=task_id)
        if row is None:
            raise replies.no_task(task_id)
        known = statuses.decode(row[0])
        await call.authorize(
            taskId=task_id, schedulerId=known.scheduler_id, taskGroupId=known.task_group_id,
            projectId=known.project_id, taskQueueId=known.task_queue_id,
        )  # fmt: skip

        async def run(tx: db.Tx) -> Status:
            locked = await tx.one(sql.lock_task, task_id=task_id)
            if locked is None:
                raise replies.no_task(task_id)
            return await act(tx, store.task(locked))

        return replies.status(await self._db.transaction(run))

    async def _apply(self, tx: db.Tx, task: Task, change: transitions.Change | None) -> Status:
        if change is None:
            return task.status
        await self._changes.apply(tx, task, change)
        return change.after


async def reprioritize(tx: db.Tx, task: Task, priority: str) -> Status | None:
    """Give a task another priority; its status then, None when it was ever resolved, or has that priority."""
    change = None if task.ever_resolved else transitions.prioritize(task.status, priority)
    if change is None:
        return None
    await store.save_priority(tx, task, change)
    definition = await tx.value(sql.get_definition_by_id, id=task.id)
    await tx.execute(sql.update_definition, id=task.id, definition=definitions.with_priority(definition, priority))
    return change.after
